# SPDX-License-Identifier: MIT
"""Layers that learn the size of their input from the first one: then they are the layer they are named after."""

from __future__ import annotations

from ..ops import creation
from . import conv, linear, norm
from .module import Module

__all__ = [f"Lazy{kind}{d}d" for kind in ("BatchNorm", "Conv", "ConvTranspose", "InstanceNorm") for d in (1, 2, 3)]
__all__ += ["LazyLinear"]


class _Lazy(Module):
    """Made with size 0; parameters are empty until `_infer` gives them their shape, and stay the same objects. An optimiser
    may hold them before. A state_dict brings the size with it."""

    _becomes: type
    _probe = "weight"  # the parameter whose shape in a state_dict tells the size

    def forward(self, *args, **kwargs):
        self._infer(args[0].shape)
        return self.forward(*args, **kwargs)  # that of `_becomes`

    def initialize_parameters(self, input):
        """Takes the size from `input` without a forward."""
        self._infer(input.shape)

    def _infer(self, shape):
        if len(shape) < 2:
            raise ValueError(f"[{type(self).__name__}] input must have at least 2 dimensions, got {tuple(shape)}")
        self._become(self._size_of(shape))

    def _infer_from_state(self, state, prefix):
        value = state.get(prefix + self._probe)
        if value is not None:
            self._become(self._size_in(tuple(value.shape)))

    def _resize(self, name, shape, fill=None):
        held = getattr(self, name)
        if held is not None:
            held.data = creation.empty(shape, dtype=held.dtype, device=held) if fill is None else creation.full(shape, fill, held.dtype, held)


class LazyLinear(_Lazy, linear.Linear):
    """`Linear` with in_features from the first input."""

    _becomes = linear.Linear

    def __init__(self, out_features, bias=True, device=None, dtype=None):
        linear.Linear.__init__(self, 0, out_features, bias, device, dtype)

    def _size_of(self, shape):
        return shape[-1]

    def _size_in(self, weight):
        return weight[1]

    def _become(self, size):
        self.in_features = size
        self._resize("weight", (self.out_features, size))
        self.__class__ = self._becomes
        self.reset_parameters()


class _LazyConv(_Lazy):
    _arguments = ("stride", "padding", "dilation", "groups", "bias", "padding_mode", "device", "dtype")

    def __init__(self, out_channels, kernel_size, *args, **kwargs):
        if len(args) > len(self._arguments):
            raise TypeError(
                f"[{type(self).__name__}] arguments must be out_channels, kernel_size, {', '.join(self._arguments)}, "
                f"got {len(args) + 2}"
            )
        options = dict(zip(self._arguments, args, strict=False)) | kwargs
        groups = options.pop("groups", 1)
        self._becomes.__init__(self, 0, out_channels, kernel_size, **options)
        self.groups = groups

    def _size_of(self, shape):
        if len(shape) not in (self._dims + 1, self._dims + 2):
            raise ValueError(
                f"[{type(self).__name__}] input must have {self._dims + 1} or {self._dims + 2} dimensions, got {tuple(shape)}"
            )
        return shape[-self._dims - 1]

    def _size_in(self, weight):
        return weight[0] if self._transposed else weight[1] * self.groups

    def _become(self, size):
        if size % self.groups or self.out_channels % self.groups:
            raise ValueError(
                f"[{type(self).__name__}] channels must be multiples of groups, got {size}, {self.out_channels} and {self.groups}"
            )
        self.in_channels = size
        first, second = (size, self.out_channels) if self._transposed else (self.out_channels, size)
        self._resize("weight", (first, second // self.groups, *self.kernel_size))
        self.__class__ = self._becomes
        self.reset_parameters()


class _LazyNorm(_Lazy):
    _probe = "weight"

    def __init__(self, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True, device=None, dtype=None, *, bias=True):
        self._becomes.__init__(self, 0, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self._probe = "weight" if affine else "running_mean"

    def _size_of(self, shape):
        if len(shape) not in self._ndims:
            expected = " or ".join(map(str, self._ndims))
            raise ValueError(f"[{type(self).__name__}] input must have {expected} dimensions, got {tuple(shape)}")
        batched = not issubclass(self._becomes, norm._InstanceNorm) or len(shape) == max(self._ndims)
        return shape[1 if batched else 0]

    def _size_in(self, weight):
        return weight[0]

    def _become(self, size):
        self.num_features = size
        for name, fill in (("weight", 1.0), ("bias", 0.0)):
            self._resize(name, (size,), fill)
        for name, make in (("running_mean", creation.zeros), ("running_var", creation.ones)):
            if getattr(self, name) is not None:
                setattr(self, name, make(size, dtype=getattr(self, name).dtype))
        del self.__dict__["_probe"]
        self.__class__ = self._becomes


class _LazyConvTranspose(_LazyConv):
    _arguments = ("stride", "padding", "output_padding", "groups", "bias", "dilation", "padding_mode", "device", "dtype")


def _layer(base, kind, dims):
    becomes = getattr(conv if "Conv" in kind else norm, f"{kind}{dims}d")
    doc = f"`{kind}{dims}d` with its channels from the first input."
    return type(f"Lazy{kind}{dims}d", (base, becomes), {"_becomes": becomes, "__doc__": doc, "__module__": __name__})


LazyConv1d, LazyConv2d, LazyConv3d = (_layer(_LazyConv, "Conv", d) for d in (1, 2, 3))
LazyConvTranspose1d, LazyConvTranspose2d, LazyConvTranspose3d = (
    _layer(_LazyConvTranspose, "ConvTranspose", d) for d in (1, 2, 3)
)
LazyBatchNorm1d, LazyBatchNorm2d, LazyBatchNorm3d = (_layer(_LazyNorm, "BatchNorm", d) for d in (1, 2, 3))
LazyInstanceNorm1d, LazyInstanceNorm2d, LazyInstanceNorm3d = (_layer(_LazyNorm, "InstanceNorm", d) for d in (1, 2, 3))
