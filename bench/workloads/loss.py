# SPDX-License-Identifier: MIT
"""Losses of single elements, of embeddings, and connectionist temporal classification."""

from __future__ import annotations

from typing import Any

from .registry import Index, add_op

SIZE = (2048, 2048)
BYTES = 8.0 * 2048 * 2048


def add_loss(name: str, **known: Any) -> None:
    def loss(lib: Any, x: Any, t: Any) -> Any:
        return getattr(lib.nn.functional, name)(x, t.detach())

    add_op("loss", f"{name}-2048x2048", loss, [SIZE, SIZE], bytes=BYTES, backward=1.5, **known)


add_loss("mse_loss", compile=True, jax=lambda jax, x, t: ((x - t) ** 2).mean())
add_loss("huber_loss")
add_loss("l1_loss")
add_loss("smooth_l1_loss")
add_loss("kl_div")
add_loss("soft_margin_loss")
add_loss("binary_cross_entropy_with_logits")
add_op(
    "loss", "multi_margin_loss-4096x1000", lambda lib, x, t: lib.nn.functional.multi_margin_loss(x, t),
    [(4096, 1000), Index(1000, (4096,))], bytes=4.0 * 4096 * 1000, backward=1.5,
)  # fmt: skip
add_op(
    "loss", "triplet_margin_loss-8192x256", lambda lib, a, p, n: lib.nn.functional.triplet_margin_loss(a, p, n),
    [(8192, 256)] * 3, bytes=12.0 * 8192 * 256,
)  # fmt: skip


def ctc(steps: int, batch: int, classes: int, labels: int) -> None:
    def loss(lib: Any, x: Any, targets: Any) -> Any:
        lengths = lib.full((batch,), steps, dtype=lib.int64), lib.full((batch,), labels, dtype=lib.int64)
        return lib.nn.functional.ctc_loss(lib.nn.functional.log_softmax(x, -1), targets + 1, *lengths)

    add_op("loss", f"ctc-{steps}x{batch}x{classes}-{labels}", loss, [(steps, batch, classes), Index(classes - 1, (batch, labels))])


ctc(400, 16, 32, 50)  # letters of speech
ctc(250, 8, 5000, 40)  # word pieces
