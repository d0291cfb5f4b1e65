# SPDX-License-Identifier: MIT
"""Interpolation, windows as columns, bags of embeddings, and a whole Transformer layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .registry import Build, Index, add, add_op


def resized(**options: Any) -> Callable[..., Any]:
    return lambda lib, x: lib.nn.functional.interpolate(x, **options)


IMAGE, IMAGE_BYTES = (8, 64, 56, 56), 4.0 * 8 * 64 * 56 * 56
add_op(
    "layers", "bilinear2x-64@56", resized(scale_factor=2, mode="bilinear"), [IMAGE], bytes=5 * IMAGE_BYTES, backward=1.0,
    jax=lambda jax, x: jax.image.resize(x, (8, 64, 112, 112), "bilinear"),
)  # fmt: skip
add_op("layers", "nearest2x-64@56", resized(scale_factor=2), [IMAGE], bytes=5 * IMAGE_BYTES, backward=1.0)
add_op(
    "layers", "bicubic2x-3@224", resized(scale_factor=2, mode="bicubic"), [(8, 3, 224, 224)],
    bytes=5 * 4.0 * 24 * 224 * 224, backward=1.0,
)  # fmt: skip
add_op(
    "layers", "antialias-3@500-224", resized(size=224, mode="bilinear", antialias=True), [(8, 3, 500, 500)],
    bytes=4.0 * 24 * (500 * 500 + 224 * 224), backward=1.0,
)  # fmt: skip
add_op(
    "layers", "unfold3-64@56", lambda lib, x: lib.nn.functional.unfold(x, 3, padding=1), [IMAGE], bytes=10 * IMAGE_BYTES,
    backward=1.0,
)  # fmt: skip
add_op(
    "layers", "patches16-3@224", lambda lib, x: lib.nn.functional.unfold(x, 16, stride=16), [(32, 3, 224, 224)],
    bytes=8.0 * 96 * 224 * 224, backward=1.0,
)  # fmt: skip
add_op(
    "layers", "pixel_shuffle2-256@56", lambda lib, x: lib.nn.functional.pixel_shuffle(x, 2), [(8, 256, 56, 56)],
    bytes=8 * IMAGE_BYTES, backward=1.0,
)  # fmt: skip
add_op(
    "layers", "fold3-64@56", lambda lib, x: lib.nn.functional.fold(x, 56, 3, padding=1), [(8, 576, 56 * 56)],
    bytes=10 * IMAGE_BYTES, backward=1.0,
)  # fmt: skip
add_op(
    "layers", "adaptive_avg_pool7-64@56", lambda lib, x: lib.nn.functional.adaptive_avg_pool2d(x, 7), [IMAGE], bytes=IMAGE_BYTES,
    backward=1.0,
)  # fmt: skip
add_op(
    "layers", "global_avg_pool-512@7", lambda lib, x: lib.nn.functional.adaptive_avg_pool2d(x, 1), [(64, 512, 7, 7)],
    bytes=4.0 * 64 * 512 * 49, backward=1.0,
)  # fmt: skip
add_op(
    "layers", "reflect1-64@56", lambda lib, x: lib.nn.functional.pad(x, (1, 1, 1, 1), mode="reflect"), [(16, 64, 56, 56)],
    bytes=4.0 * 16 * 64 * (56 * 56 + 58 * 58), backward=1.0,
)  # fmt: skip
add_op(
    "layers", "pad4-3@32", lambda lib, x: lib.nn.functional.pad(x, (4, 4, 4, 4)), [(64, 3, 32, 32)],
    bytes=4.0 * 64 * 3 * (32 * 32 + 40 * 40), backward=1.0,
)  # fmt: skip
add_op(
    "layers", "crop32-3@40", lambda lib, x: x[:, :, 4:36, 4:36].contiguous(), [(64, 3, 40, 40)],
    bytes=8.0 * 64 * 3 * 32 * 32, backward=None,
)  # fmt: skip
add_op(
    "layers", "adaptive_max_pool7-64@56", lambda lib, x: lib.nn.functional.adaptive_max_pool2d(x, 7), [IMAGE], bytes=IMAGE_BYTES,
    backward=1.0,
)  # fmt: skip
add_op(
    "layers", "embedding_bag-max-4096x20-50000x128",
    lambda lib, index, w: lib.nn.functional.embedding_bag(index, w, mode="max"),
    [Index(50000, (4096, 20)), (50000, 128)], bytes=4.0 * 4096 * 128 * 21,
)  # fmt: skip
add_op(
    "layers", "embedding_bag-4096x20-50000x128", lambda lib, index, w: lib.nn.functional.embedding_bag(index, w),
    [Index(50000, (4096, 20)), (50000, 128)], bytes=4.0 * 4096 * 128 * 21,
)  # fmt: skip


def encoder(train: bool) -> Build:
    """One layer of 256 features, 4 heads, on 16 sequences of 128; `train`: with dropout, and backward."""

    def build(lib: Any) -> Callable[[], Any]:
        layer = lib.nn.TransformerEncoderLayer(256, 4, 1024, 0.1, "gelu", batch_first=True)
        x, dy = lib.randn(16, 128, 256), lib.randn(16, 128, 256)

        def step() -> None:
            layer(x).backward(dy)
            layer.zero_grad()

        def answer() -> None:
            with lib.no_grad():
                layer(x)

        layer.train(train)
        return step if train else answer

    return build


FLOPS = 2.0 * 16 * 128 * (4 * 256 * 256 + 2 * 256 * 1024 + 2 * 128 * 256)
add("layers", "encoder_layer-16x128x256", encoder(False), flops=FLOPS)
add("layers", "encoder_layer-16x128x256-train", encoder(True), flops=3 * FLOPS)
