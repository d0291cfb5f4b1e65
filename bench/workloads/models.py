# SPDX-License-Identifier: MIT
"""Whole training steps (forward, loss, backward, AdamW) and inference. The source of a model is lamella's for all."""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .registry import Build, add

SOURCE = Path(__file__).resolve().parents[2] / "python" / "lamella" / "models"


def source(lib: Any, stem: str) -> Any:
    """lamella's models/`stem`.py as a module of `lib`, so that its relative imports name that library."""
    name = f"{lib.__name__}.lamella_models.{stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, SOURCE / f"{stem}.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


Make = Callable[[Any], tuple[Any, Any, Any]]  # library -> model, input, integer targets


def training(make: Make, compile: bool = False) -> Build:
    def build(lib: Any) -> Callable[[], Any]:
        model, x, target = make(lib)
        optimiser = lib.optim.AdamW(model.parameters(), lr=1e-3)
        run = lib.compile(model) if compile else model

        def step() -> None:
            optimiser.zero_grad()
            logits = run(x)
            logits = logits[0] if isinstance(logits, tuple) else logits
            loss = lib.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), target.reshape(-1))
            loss.backward()
            optimiser.step()

        return step

    return build


def inference(make: Make, compile: bool = False) -> Build:
    def build(lib: Any) -> Callable[[], Any]:
        model, x, _ = make(lib)
        run = lib.compile(model.eval()) if compile else model.eval()

        def call() -> None:
            with lib.no_grad():
                run(x)

        return call

    return build


def add_model(name: str, make: Make, step: bool = True, answer: bool = True, **known: Any) -> None:
    for wanted, suffix, how in ((step, "step", training), (answer, "inference", inference)):
        if wanted:
            builds = {"api": how(make), "compiled": how(make, compile=True)}
            add("models", f"{name}-{suffix}", **builds, memory=suffix == "step", **known)


def mlp(lib: Any) -> Any:
    nn = lib.nn
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10))
    return model, lib.randn(32, 64), lib.randint(0, 10, (32,))


def lenet(lib: Any) -> Any:
    return source(lib, "lenet").LeNet5(), lib.randn(64, 1, 28, 28), lib.randint(0, 10, (64,))


def resnet(lib: Any, depth: int, batch: int) -> Any:
    model = getattr(source(lib, "resnet"), f"resnet{depth}")()
    return model, lib.randn(batch, 3, 224, 224), lib.randint(0, 1000, (batch,))


def gpt(lib: Any, layers: int, heads: int, width: int, length: int, batch: int, vocabulary: int) -> Any:
    model = source(lib, "gpt").GPT(vocabulary, length, layers, heads, width)
    return model, *(lib.randint(0, vocabulary, (batch, length)) for _ in range(2))


def lstm(lib: Any) -> Any:
    """Two layers of 256 over 32 sequences of 64 words out of 10,000 (Penn Treebank's vocabulary)."""
    model = source(lib, "language").LSTMLanguageModel(10000, 256, 256, 2)
    return model, *(lib.randint(0, 10000, (32, 64)) for _ in range(2))


PART = functools.partial
ATTENTION, LSTM = ("nn.functional.scaled_dot_product_attention",), ("nn.LSTM",)
add_model("mlp-b32", mlp, answer=False)
add_model("lenet5-b64", lenet)
add_model("resnet18-b8", PART(resnet, depth=18, batch=8), answer=False)
add_model("resnet18-b1", PART(resnet, depth=18, batch=1), step=False)
add_model("resnet50-b1", PART(resnet, depth=50, batch=1), step=False)
# characters: the shapes of nanoGPT's small and large Shakespeare models, at batches of a CPU
SMALL = PART(gpt, layers=4, heads=4, width=128, length=128, batch=8, vocabulary=256)
LARGE = PART(gpt, layers=6, heads=6, width=384, length=256, batch=4, vocabulary=65)
add_model("gpt-4x128-b8", SMALL, answer=False, needs=ATTENTION)
add_model("gpt-6x384-b4", LARGE, needs=ATTENTION)
add_model("lstm-lm-2x256-b32", lstm, answer=False, needs=LSTM)
