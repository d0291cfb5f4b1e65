# SPDX-License-Identifier: MIT
"""Layers of images with adjacent channels (channels-last), from (N, H, W, C) memory to (N, H, W, C) memory."""

from __future__ import annotations

from typing import Any

from .registry import Function, Input, add_op


def add_layer(name: str, fn: Function, image: tuple[int, ...], *others: Input, of: int = 1, **known: Any) -> None:
    """`name`-nhwc: fn(library, x..., others...), of `of` images (N, H, W, C), which it sees as (N, C, H, W)."""

    def layer(lib: Any, *given: Any) -> Any:
        images = [x.permute(0, 3, 1, 2) for x in given[:of]]
        return fn(lib, *images, *given[of:]).permute(0, 2, 3, 1)

    add_op("nhwc", f"{name}-nhwc", layer, [image] * of + list(others), **known)


IMAGE = (16, 56, 56, 64)
BYTES = 4.0 * 16 * 56 * 56 * 64

add_layer(
    "group_norm-64@56", lambda lib, x, w, b: lib.nn.functional.group_norm(x, 8, w, b), IMAGE, (64,), (64,), bytes=2 * BYTES,
    backward=1.5,
)  # fmt: skip
add_layer("softmax-64@56", lambda lib, x: lib.nn.functional.softmax(x, dim=1), IMAGE, bytes=2 * BYTES, backward=1.5)
add_layer("dropout-64@56", lambda lib, x: lib.nn.functional.dropout(x, 0.1), IMAGE, bytes=2 * BYTES, backward=1.0)
add_layer("dropout2d-64@56", lambda lib, x: lib.nn.functional.dropout2d(x, 0.1), IMAGE, bytes=2 * BYTES, backward=1.0)
add_layer("glu-64@56", lambda lib, x: lib.nn.functional.glu(x, 1), IMAGE, bytes=1.5 * BYTES, backward=1.5)
add_layer("cat-64+64@56", lambda lib, x, y: lib.cat((x, y), 1), IMAGE, of=2, bytes=4 * BYTES, backward=1.0)
add_layer("pad1-64@56", lambda lib, x: lib.nn.functional.pad(x, (1, 1, 1, 1)), IMAGE, bytes=2 * BYTES, backward=1.0)
add_layer("flip-64@56", lambda lib, x: x.flip(3), IMAGE, bytes=2 * BYTES, backward=1.0)
add_layer("upsample2-64@56", lambda lib, x: lib.nn.functional.interpolate(x, scale_factor=2), IMAGE, bytes=5 * BYTES, backward=1.0)
add_layer("pixel_shuffle2-64@56", lambda lib, x: lib.nn.functional.pixel_shuffle(x, 2), IMAGE, bytes=2 * BYTES, backward=1.0)
add_layer("channel_shuffle4-64@56", lambda lib, x: lib.nn.functional.channel_shuffle(x, 4), IMAGE, bytes=2 * BYTES, backward=1.0)
add_layer(
    "conv2d-3x3-128@28-g32", lambda lib, x, w: lib.nn.functional.conv2d(x, w, padding=1, groups=32), (16, 28, 28, 128),
    (128, 4, 3, 3), flops=2.0 * 16 * 28 * 28 * 128 * 4 * 9,
)  # fmt: skip
# the doubling layer of a U-Net
add_layer(
    "conv_transpose2d-2x2s2-128-64@28", lambda lib, x, w, b: lib.nn.functional.conv_transpose2d(x, w, b, stride=2),
    (16, 28, 28, 128), (128, 64, 2, 2), (64,), flops=2.0 * 16 * 28 * 28 * 128 * 64 * 4,
)  # fmt: skip
