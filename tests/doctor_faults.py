# SPDX-License-Identifier: MIT
"""Faults to plant in runs that work, each with the findings that may stand first for it.

A `Setup` is a healthy run on the embedded digits; a fault changes it. `FAULTS[name]` is a `Fault`: the codes, the
architectures that can have it, and variants, functions of the setup. `python tests/doctor_faults.py [--seeds N]` plants all
of them in all architectures and prints how often each was named first, and how many alarms healthy runs raised.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import lamella
import lamella.nn.functional as F
from lamella import nn, optim
from lamella.data import DataLoader, TensorDataset, digits


class Conv(nn.Module):
    """Two blocks of convolution, batch norm and ReLU."""

    def __init__(self, width=12) -> None:
        self.features = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU(), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Linear(32 * width, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 10))

    def forward(self, x):  # (n, 1, 8, 8) -> (n, 10)
        return self.head(self.features(x))


class Recurrent(nn.Module):
    """An image as a sequence of rows, through LSTM, GRU or RNN."""

    def __init__(self, kind=nn.LSTM, rows=8, **options) -> None:
        self.rows = rows
        self.rnn = kind(64 // rows, 32, batch_first=True, **options)
        self.head = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10))

    def forward(self, x):  # (n, 1, 8, 8) -> (n, 10)
        y, _ = self.rnn(x.reshape(x.shape[0], self.rows, -1))
        return self.head(y[:, -1])


class Cells(nn.Module):
    """A recurrent net written by hand."""

    def __init__(self) -> None:
        self.cell, self.head = nn.RNNCell(2, 32, nonlinearity="relu"), nn.Linear(32, 10)

    def forward(self, x):
        x, h = x.reshape(x.shape[0], 32, 2), None
        for t in range(32):
            h = self.cell(x[:, t], h)
        return self.head(h)


class Transformer(nn.Module):
    """Rows as tokens."""

    def __init__(self, layers=2, **options) -> None:
        self.embed = nn.Linear(8, 32)
        self.place = nn.Parameter(lamella.randn(8, 32) * 0.1)
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(32, 4, 64, dropout=0.1, batch_first=True, **options), layers
        )
        self.head = nn.Linear(32, 10)

    def forward(self, x):
        return self.head(self.encoder(self.embed(x.reshape(-1, 8, 8)) + self.place).mean(1))


class Attention(nn.Module):
    """Attention spelled out, its softmax along `dim`."""

    def __init__(self, dim=-1) -> None:
        self.dim, self.qkv, self.head = dim, nn.Linear(8, 96), nn.Linear(32, 10)

    def forward(self, x):
        q, k, v = self.qkv(x.reshape(-1, 8, 8)).chunk(3, -1)
        return self.head((F.softmax(q @ k.mT / 32**0.5, self.dim) @ v).mean(1))


def mlp(hidden=nn.ReLU, sizes=(64, 64, 32)) -> nn.Module:
    layers: list[Any] = [nn.Flatten()]
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), hidden()]
    return nn.Sequential(*layers, nn.Dropout(0.1), nn.Linear(sizes[-1], 10))


MODELS: dict[str, Callable[[], Any]] = {"mlp": mlp, "conv": Conv, "lstm": Recurrent, "transformer": Transformer}

# Others with the same parts by name, for a wider look: main --wide.
WIDE: dict[str, Callable[[], Any]] = {
    "mlp": lambda: mlp(nn.ReLU, (64, 128, 96, 64, 32)),
    "conv": lambda: Conv(6),
    "lstm": lambda: Recurrent(nn.GRU, 16, num_layers=2),
    "transformer": lambda: Transformer(3, norm_first=True),
}


@dataclass
class Setup:
    """A run, before it is made: what a fault may change. `examined` makes it and asks the doctor."""

    arch: str = "mlp"
    seed: int = 0
    algorithm: str = "adam"
    model: Any = None
    x: np.ndarray = None
    y: np.ndarray = None
    lr: float = 0.0
    batch: int = 32
    criterion: Callable[[Any, Any], Any] = F.cross_entropy
    parameters: Callable[[Any], Any] = lambda model: model.parameters()
    train_step: Callable[[Setup], Callable[[Any], Any]] | None = None
    before: list[Callable[[Any], Any]] = field(default_factory=list)
    optimizer: Any = None

    def __post_init__(self) -> None:
        lamella.manual_seed(self.seed)
        x, y = digits("train").tensors
        order = np.random.default_rng(self.seed).permutation(len(x))
        self.x, self.y = (x.numpy()[order] - 0.305) / 0.376, y.numpy()[order]
        self.model = self.model or MODELS[self.arch]()
        self.lr = self.lr or {"adam": 2e-3, "adamw": 1e-3, "sgd": 0.05}[self.algorithm]

    def make(self) -> None:
        kind = {"adam": optim.Adam, "adamw": optim.AdamW, "sgd": optim.SGD}[self.algorithm]
        options = {"momentum": 0.9} if self.algorithm == "sgd" else {}
        self.optimizer = kind(list(self.parameters(self.model)), lr=self.lr, **options)

    def loader(self) -> DataLoader:
        data = TensorDataset(lamella.from_numpy(self.x.astype(np.float32)), lamella.from_numpy(self.y))
        return DataLoader(data, self.batch, shuffle=True, generator=self.seed)

    def examined(self, **options: Any) -> Any:
        self.make()
        if self.train_step is not None:
            options["train_step"] = self.train_step(self)
        else:
            options["criterion"] = self.criterion
        return lamella.doctor.examine(self.model, self.loader(), optimizer=self.optimizer, **options)

    def watched(self, steps: int = 60) -> Any:
        """The same by a loop of one's own under `watch`."""
        self.make()
        step = self.train_step(self) if self.train_step else _plain_step(self)
        batches = list(self.loader())
        w = lamella.doctor.watch(self.model, self.optimizer)
        try:
            with w, np.errstate(all="ignore"):
                for i in range(steps):
                    step(batches[i % len(batches)])
        except (ValueError, IndexError):
            pass
        return w.report()


def _plain_step(s: Setup, clear: bool = True) -> Callable[[Any], Any]:
    def step(batch):
        loss = s.criterion(s.model(batch[0]), batch[1])
        if clear:
            s.optimizer.zero_grad()
        loss.backward()
        s.optimizer.step()
        return loss.detach()

    return step


@dataclass
class Fault:
    codes: tuple[str, ...]
    variants: tuple[Callable[[Setup], None], ...]
    archs: tuple[str, ...] = tuple(MODELS)


# ---- the faults ---------------------------------------------------------------------------------------------------------
def _lr(adam: float, sgd: float) -> Callable[[Setup], None]:
    def plant(s):
        s.lr = sgd if s.algorithm == "sgd" else adam

    return plant


def _shuffle(s):
    s.y = np.random.default_rng(1).permutation(s.y)


def _labels(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Setup], None]:
    def plant(s):
        s.y = change(s.y)

    return plant


def _scale(factor: float, offset: float = 0.0) -> Callable[[Setup], None]:
    def plant(s):
        s.x = (s.x * 0.376 + 0.305) * factor + offset

    return plant


def _freeze(which: int) -> Callable[[Setup], None]:
    def plant(s):
        heavy = [m for m in s.model.modules() if not list(m.children()) and any(p.ndim > 1 for p in m.parameters())]
        heavy[which].requires_grad_(False)

    return plant


class Cut(nn.Module):
    """A layer whose output is detached, or computed without recording."""

    def __init__(self, inner, way) -> None:
        self.inner, self.way = inner, way

    def forward(self, *args, **kwargs):
        if self.way == "no_grad":
            with lamella.no_grad():
                y = self.inner(*args, **kwargs)
        else:
            y = self.inner(*args, **kwargs)
        return (y[0].detach(), *y[1:]) if isinstance(y, tuple) else y.detach()

    @property
    def batch_first(self):
        return self.inner.batch_first


def _cut(way: str) -> Callable[[Setup], None]:
    def plant(s):
        path = {"mlp": "1", "conv": "features", "lstm": "rnn", "transformer": "embed"}[s.arch]
        if s.arch == "transformer":
            s.model.place.requires_grad_(True)
        s.model.set_submodule(path, Cut(s.model.get_submodule(path), way))

    return plant


def _kill(amount: float) -> Callable[[Setup], None]:
    """Biases before ReLUs far below zero."""

    def plant(s):
        target = {"mlp": "3", "conv": "head.0", "lstm": "head.0", "transformer": "encoder.layers.0.linear1"}[s.arch]
        with lamella.no_grad():
            s.model.get_submodule(target).bias.fill_(-amount)

    return plant


def _saturate(kind: Any, gain: float) -> Callable[[Setup], None]:
    def plant(s):
        s.model = mlp(kind) if s.arch == "mlp" else s.model
        if s.arch == "conv":
            s.model.features[2], s.model.features[6] = nn.Identity(), nn.Identity()
            s.model.head[1] = kind()
        if s.arch == "lstm":
            s.model.head[1] = kind()
        with lamella.no_grad():
            layers = [m for m in s.model.modules() if isinstance(m, nn.Linear)][:-1]
            for m in layers:
                m.weight.mul_(gain * (20 if s.arch == "lstm" else 1))

    return plant


def _explode(model: Callable[[], Any], gain: float, only: str = "weight_hh") -> Callable[[Setup], None]:
    def plant(s):
        s.model = model()
        with lamella.no_grad():
            for name, p in s.model.named_parameters():
                if only in name:
                    p.mul_(gain)

    return plant


def _end(*layers: Any, criterion: Any = F.cross_entropy) -> Callable[[Setup], None]:
    def plant(s):
        s.model, s.criterion = nn.Sequential(s.model, *layers), criterion

    return plant


def _no_zero_grad(s):
    s.train_step = lambda s: _plain_step(s, clear=False)


def _eval(s):
    s.model.eval()


def _eval_later(s):
    def made(s):
        inner = _plain_step(s)

        def step(batch):
            s.model.eval()
            return inner(batch)

        return step

    s.train_step = made


def _one(s):
    s.batch = 1


def _bn1d(s):
    s.batch = 1
    s.model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10))


def _nan(rows: int, value: float) -> Callable[[Setup], None]:
    def plant(s):
        s.x = s.x.copy()
        s.x[np.random.default_rng(s.seed).choice(len(s.x), rows, replace=False), 0, 3, 4] = value

    return plant


FAULTS: dict[str, Fault] = {
    "rate too high": Fault(("rate-too-high",), (_lr(1.0, 20.0), _lr(0.3, 5.0))),
    "rate too low": Fault(("rate-too-low",), (_lr(1e-7, 1e-6), _lr(1e-6, 1e-5))),
    "labels shuffled": Fault(("labels-unrelated",), (_shuffle,)),
    "labels off by one": Fault(
        ("labels-off-by-one",), (_labels(lambda y: y + 1), _labels(lambda y: np.roll(y, 1)), _labels(lambda y: y - 1))
    ),
    "inputs not scaled": Fault(("inputs-not-scaled",), (_scale(255.0), _scale(50.0, 1000.0))),
    "a frozen layer": Fault(("frozen",), (_freeze(0), _freeze(1))),
    "a detached branch": Fault(("detached",), (_cut("detach"), _cut("no_grad"))),
    "dead ReLUs": Fault(("dead-relu",), (_kill(10.0), _kill(30.0))),
    "saturated sigmoids": Fault(
        ("saturated",), (_saturate(nn.Sigmoid, 40.0), _saturate(nn.Tanh, 30.0)), ("mlp", "conv", "lstm")
    ),
    "exploding recurrent net": Fault(
        ("exploding-recurrent",),
        (
            _explode(lambda: Recurrent(nn.RNN, 32, nonlinearity="relu"), 4.0),
            _explode(Cells, 4.0),
            _explode(lambda: Recurrent(nn.RNN, 64, nonlinearity="tanh"), 4.0),
        ),
        ("lstm",),
    ),
    "softmax twice": Fault(
        ("softmax-twice",), (_end(nn.Softmax(-1)), _end(nn.Softmax(-1), nn.LogSoftmax(-1), criterion=F.nll_loss))
    ),
    "wrong axis of softmax": Fault(
        ("softmax-wrong-axis",),
        (
            _end(nn.LogSoftmax(0), criterion=F.nll_loss),
            _end(nn.Softmax(0), criterion=lambda p, y: F.nll_loss((p + 1e-9).log(), y)),
            lambda s: setattr(s, "model", Attention(0)),
            lambda s: setattr(s, "model", Attention(1)),
        ),
    ),
    "missing zero_grad": Fault(("gradients-not-cleared",), (_no_zero_grad,)),
    "eval mode in training": Fault(("eval-mode",), (_eval, _eval_later), ("mlp", "conv", "transformer")),
    "batch norm with a batch of one": Fault(("batch-norm-batch",), (_one, _bn1d), ("conv",)),
    "NaN in the data": Fault(("inputs-not-finite",), (_nan(200, np.nan), _nan(100, np.inf))),
}


def plant(fault: str, arch: str = "", variant: int = 0, seed: int = 0, algorithm: str = "adam") -> Setup:
    """The run with that fault in it."""
    f = FAULTS[fault]
    setup = Setup(arch or f.archs[0], seed, algorithm)
    f.variants[variant](setup)
    return setup


def main() -> None:
    import argparse
    import time

    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--budget", type=float, default=4.0)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--wide", action="store_true", help="other architectures than the tests have")
    parser.add_argument("--only", default="")
    parser.add_argument("--watch", action="store_true", help="by a loop under watch() instead of examine()")
    args = parser.parse_args()
    MODELS.update(WIDE if args.wide else {})
    total = first = 0
    begun = time.time()

    def look(s):
        return s.watched() if args.watch else s.examined(budget_seconds=args.budget)

    for name, fault in FAULTS.items():
        if args.only not in name:
            continue
        hits, misses = 0, []
        for arch in fault.archs:
            for variant in range(len(fault.variants)):
                for seed in range(args.first_seed, args.first_seed + args.seeds):
                    for algorithm in ("adam", "sgd"):
                        found = look(plant(name, arch, variant, seed, algorithm)).findings
                        good = bool(found) and found[0].code in fault.codes
                        hits += good
                        total, first = total + 1, first + good
                        if not good:
                            misses.append((arch, variant, seed, algorithm, [f.code for f in found[:3]]))
        print(f"{name:32} {hits}/{hits + len(misses)}", *misses, sep="\n      ", flush=True)
    print(f"named first: {first} of {total}; {time.time() - begun:.0f} s")
    if args.only:
        return
    alarms, healthy = 0, 0
    for arch in MODELS:
        for seed in range(args.first_seed, args.first_seed + 3 * args.seeds):
            for algorithm in ("adam", "adamw", "sgd"):
                report = look(Setup(arch, seed, algorithm))
                healthy, alarms = healthy + 1, alarms + (not report.ok)
                if not report.ok:
                    print("false alarm:", arch, seed, algorithm, [(f.code, f.seen) for f in report.alarms])
    print(f"healthy runs with an alarm: {alarms} of {healthy}; {time.time() - begun:.0f} s")


if __name__ == "__main__":
    main()
