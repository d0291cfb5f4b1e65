# SPDX-License-Identifier: MIT
"""Convolutions."""

from __future__ import annotations

from typing import Any

from .registry import add_op


def add_conv(
    name: str, n: int, c: int, k: int, size: int, kernel: int, stride: int = 1, pad: int = 0, groups: int = 1, last: bool = False
) -> None:
    """conv2d-`name`: n images of c channels, `size` square, under k filters. last: the image lies channels last."""

    def conv(lib: Any, x: Any, w: Any, b: Any) -> Any:
        x = x.permute(0, 3, 1, 2) if last else x
        return lib.nn.functional.conv2d(x, w, b, stride=stride, padding=pad, groups=groups)

    def jax_conv(jax: Any, x: Any, w: Any, b: Any) -> Any:
        layout = ("NHWC" if last else "NCHW", "OIHW", "NCHW")
        y = jax.lax.conv_general_dilated(
            x, w, (stride, stride), [(pad, pad)] * 2, feature_group_count=groups, dimension_numbers=layout
        )
        return y + b[:, None, None]

    out = (size + 2 * pad - kernel) // stride + 1
    image = (n, size, size, c) if last else (n, c, size, size)
    flops = 2.0 * n * k * out * out * (c // groups) * kernel * kernel
    add_op("conv", f"conv2d-{name}", conv, [image, (k, c // groups, kernel, kernel), (k,)], flops=flops, jax=jax_conv)


add_conv("lenet1", 64, 1, 6, 28, 5, pad=2)
add_conv("lenet2", 64, 6, 16, 14, 5)
add_conv("3x3-1-32@28", 64, 1, 32, 28, 3)
add_conv("3x3-3-64@32", 64, 3, 64, 32, 3, pad=1)
add_conv("3x3-3-64@32-nhwc", 64, 3, 64, 32, 3, pad=1, last=True)
add_conv("8x8s4-4-32@84", 64, 4, 32, 84, 8, stride=4)
add_conv("3x3-16@32", 64, 16, 16, 32, 3, pad=1)
add_conv("3x3-16@32-nhwc", 64, 16, 16, 32, 3, pad=1, last=True)
add_conv("7x7s2-3-64@224", 16, 3, 64, 224, 7, stride=2, pad=3)
add_conv("3x3-64@56", 16, 64, 64, 56, 3, pad=1)
add_conv("3x3-128@28", 16, 128, 128, 28, 3, pad=1)
add_conv("3x3-256@14", 16, 256, 256, 14, 3, pad=1)
add_conv("3x3-512@7", 16, 512, 512, 7, 3, pad=1)
add_conv("1x1-64-256@56", 16, 64, 256, 56, 1)
add_conv("3x3s2-64-128@56", 16, 64, 128, 56, 3, stride=2, pad=1)
add_conv("depthwise3x3-128@56", 16, 128, 128, 56, 3, pad=1, groups=128)
add_conv("depthwise3x3-512@14", 16, 512, 512, 14, 3, pad=1, groups=512)  # MobileNet's, EfficientNet's and ConvNeXt's
add_conv("depthwise5x5s2-240@28", 16, 240, 240, 28, 5, stride=2, pad=2, groups=240)
add_conv("depthwise7x7-96@56", 16, 96, 96, 56, 7, pad=3, groups=96)
add_conv("depthwise7x7-96@56-nhwc", 16, 96, 96, 56, 7, pad=3, groups=96, last=True)
add_conv("3x3-256@14-g32", 16, 256, 256, 14, 3, pad=1, groups=32)  # ResNeXt's
add_conv("3x3s2-256@28-g32", 16, 256, 256, 28, 3, stride=2, pad=1, groups=32)
add_conv("8x8s8-3-192@224", 8, 3, 192, 224, 8, stride=8)  # ViT's patches
add_conv("3x3-64@56-nhwc", 16, 64, 64, 56, 3, pad=1, last=True)

# a filter bank over a second of sound at 16 kHz
add_op(
    "conv",
    "conv1d-80s4-1-32@16000",
    lambda lib, x, w, b: lib.nn.functional.conv1d(x, w, b, stride=4),
    [(8, 1, 16000), (32, 1, 80), (32,)],
    flops=2.0 * 8 * 32 * 80 * 3981,
)
# ten seconds of sound at 16 kHz: a learned filter bank of 25 ms every 10 ms
add_op(
    "conv",
    "conv1d-400s160-1-64@160000",
    lambda lib, x, w, b: lib.nn.functional.conv1d(x, w, b, stride=160),
    [(1, 1, 160000), (64, 1, 400), (64,)],
    flops=2.0 * 64 * 400 * ((160000 - 400) // 160 + 1),
)
# the doubling layers of a U-Net and of a generator
add_op(
    "conv",
    "conv_transpose2d-2x2s2-128-64@28",
    lambda lib, x, w, b: lib.nn.functional.conv_transpose2d(x, w, b, stride=2),
    [(16, 128, 28, 28), (128, 64, 2, 2), (64,)],
    flops=2.0 * 16 * 28 * 28 * 128 * 64 * 4,
)
add_op(
    "conv",
    "conv_transpose2d-4x4s2-128-64@14",
    lambda lib, x, w, b: lib.nn.functional.conv_transpose2d(x, w, b, stride=2, padding=1),
    [(16, 128, 14, 14), (128, 64, 4, 4), (64,)],
    flops=2.0 * 16 * 14 * 14 * 128 * 64 * 16,
)
