# SPDX-License-Identifier: MIT
"""Recurrent layers: two of 256 units over 32 sequences of 64 steps, and one step of a cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .registry import add

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def add_recurrent(name: str, kind: str, directions: int = 1) -> None:
    def build(lib: Any, training: bool) -> Callable[[], Any]:
        layer = getattr(lib.nn, kind)(256, 256, num_layers=2, batch_first=True, bidirectional=directions == 2)
        x, dy = lib.randn(32, 64, 256), lib.randn(32, 64, 256 * directions)

        def forward() -> None:
            with lib.no_grad():
                layer(x)

        def both() -> None:
            layer(x)[0].backward(dy)
            for p in layer.parameters():
                p.grad = None
            x.grad = None

        x.requires_grad_(training)
        return both if training else forward

    # rows x (inputs + units) x gates, of the first layer and the second, whose inputs are all directions
    flops = 2.0 * 32 * 64 * 256 * GATES[kind] * directions * (512 + 256 * (directions + 1))
    needs = (f"nn.{kind}",)
    add("recurrent", name, lambda lib: build(lib, False), flops=flops, needs=needs)
    add("recurrent", f"{name}-train", lambda lib: build(lib, True), flops=3 * flops, needs=needs, memory=kind == "LSTM")


add_recurrent("lstm-2x256", "LSTM")
add_recurrent("bilstm-2x256", "LSTM", directions=2)
add_recurrent("gru-2x256", "GRU")
add_recurrent("rnn-2x256", "RNN")


def lstm_cell(lib: Any) -> Callable[[], Any]:
    cell, x, state = lib.nn.LSTMCell(256, 256), lib.randn(32, 256), (lib.randn(32, 256), lib.randn(32, 256))

    def call() -> None:
        with lib.no_grad():
            cell(x, state)

    return call


add("recurrent", "lstm-cell-256", lstm_cell, flops=2.0 * 32 * 512 * 1024, needs=("nn.LSTMCell",))
