# SPDX-License-Identifier: MIT
"""How a tensor's elements lie in memory: row-major, or with adjacent channels (channels-last); copies in one or the other."""

from __future__ import annotations

from .. import _core
from ..autograd import record

__all__ = [
    "channels_last",
    "channels_last_3d",
    "clone",
    "contiguous",
    "contiguous_format",
    "is_contiguous",
    "memory_format",
    "preserve_format",
]


class memory_format:
    """How a tensor's elements lie: `contiguous_format`, `channels_last` (N, C, H, W), `channels_last_3d` (N, C, D, H, W),
    `preserve_format` (as they are)."""

    def __init__(self, name, ndim=None):
        self.name, self.ndim = name, ndim

    def __repr__(self):
        return f"lamella.{self.name}"


contiguous_format, preserve_format = memory_format("contiguous_format"), memory_format("preserve_format")
channels_last, channels_last_3d = memory_format("channels_last", 4), memory_format("channels_last_3d", 5)


def identity_vjp(node, dy):
    return (dy,)


def is_contiguous(input, memory_format=contiguous_format):
    """Whether the elements lie in row-major order without gaps, or as another memory format has it."""
    if memory_format.ndim is None:
        return input._is_row_major()
    if input.ndim != memory_format.ndim:
        return False
    return input._is_channels_last() or (input._is_row_major() and 1 in (input.shape[1], input[0, 0].numel()))


def _check(op, input, memory_format):
    if input.ndim != memory_format.ndim:
        raise ValueError(f"[{op}] input must have {memory_format.ndim} dimensions for {memory_format.name}, got {input.shape}")


def contiguous(input, memory_format=contiguous_format):
    """`input` itself if its elements lie in row-major order, or as `memory_format` has it; else a copy that does.

    With `channels_last` the channels of an (N, C, H, W) image are adjacent in memory; its shape stays. Convolutions,
    norms, pooling and elementwise ops keep that layout in their results. ValueError if the number of dimensions differs.
    """
    if memory_format.ndim is None:
        keep = memory_format is preserve_format or input._is_row_major()
        return input if keep else record(_core.copy(input), identity_vjp, (input,))
    _check("contiguous", input, memory_format)
    return input if is_contiguous(input, memory_format) else record(_core.channels_last(input), identity_vjp, (input,))


def clone(input, *, memory_format=preserve_format):
    """A copy that lies in memory as `input` does (channels-last stays channels-last), or as `memory_format` has it; gradients
    flow through."""
    if memory_format is preserve_format:
        return record(_core.clone(input), identity_vjp, (input,))
    y = like(input, input.dtype, None, memory_format)
    _core.copy_(y, input, True)
    return record(y, identity_vjp, (input,))


def like(input, dtype, place, memory_format):
    """Uninitialised, of input's shape; place: as `place_of` gives it, None for input's own."""
    y = _core.empty_like(input, dtype, memory_format is preserve_format, input if place is None else place)
    if memory_format.ndim is None:
        return y
    _check("clone", input, memory_format)
    return y if is_contiguous(y, memory_format) else _core.channels_last(y)
