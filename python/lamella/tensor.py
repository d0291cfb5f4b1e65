# SPDX-License-Identifier: MIT
"""Tensor: an array that remembers how it was made.

The type itself (memory, attributes, arithmetic operators) is in the extension; here are its methods. Most are the
functions of lamella.ops under the same name, attached at the end of this file.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

from . import _core, ops
from ._numpy import np
from .autograd import backward
from .device import device
from .methods import attach_methods
from .numpy_protocol import array_function, array_ufunc
from .printing import text_of

__all__ = ["Parameter", "Tensor", "device"]


class RemovableHandle:
    """What registering a hook returns: `remove()` takes the hook away."""

    _ids = itertools.count()

    def __init__(self, hooks: dict[int, Any], hook: Any) -> None:
        self._hooks, self.id = hooks, next(self._ids)
        hooks[self.id] = hook

    def remove(self) -> None:
        self._hooks.pop(self.id, None)


class Tensor(_core.TensorBase):
    """An n-dimensional array with automatic differentiation; made by `lamella.tensor(data)` and by every op."""

    __slots__ = ()
    __array_priority__ = 1000
    __array_ufunc__ = array_ufunc
    __array_function__ = array_function

    # ---- gradients -----------------------------------------------------------------------------------------------
    def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
        """Adds the gradient of this tensor (weighted by `gradient`; 1 for a scalar) to `.grad` of every leaf, or of
        `inputs` alone."""
        backward((self,), (gradient,), retain_graph, create_graph, inputs=inputs)

    def requires_grad_(self, requires_grad=True):
        """Sets `requires_grad` in place."""
        self.requires_grad = requires_grad
        return self

    def register_hook(self, hook: Callable[[Any], Any]) -> RemovableHandle:
        """Calls `hook(grad)` when the gradient of this tensor is computed; what it returns, if anything, replaces it."""
        if not self.requires_grad:
            raise RuntimeError("[register_hook] tensor must require gradient, got one that does not")
        return RemovableHandle(self._hooks(), hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Any], None]) -> RemovableHandle:
        """Calls `hook(tensor)` once backward has added the whole gradient to `.grad` of this leaf: a place to step an
        optimiser and free the gradient at once."""
        if not self.requires_grad or not self.is_leaf:
            raise RuntimeError("[register_post_accumulate_grad_hook] tensor must be a leaf that requires gradient")
        return RemovableHandle(self._post_hooks(), hook)

    def detach_(self):
        """Leaves the graph, in place."""
        return self._become(self.detach())

    @property
    def data(self):
        """The same elements, outside of the graph; assigning replaces them."""
        return self.detach()

    @data.setter
    def data(self, value):
        self._set_array(value)

    # ---- attributes ----------------------------------------------------------------------------------------------
    def size(self, dim=None):
        """The shape, or one size of it."""
        return self.shape if dim is None else self.shape[dim]

    def stride(self, dim=None):
        """Step of each dimension, or of one, in elements."""
        return self._strides() if dim is None else self._strides()[dim]

    def element_size(self):
        """Bytes per element."""
        return self.dtype.itemsize

    nelement = _core.TensorBase.numel
    ndimension = _core.TensorBase.dim

    @property
    def nbytes(self):
        """Bytes of all elements."""
        return self.numel() * self.dtype.itemsize

    @property
    def T(self):
        """All dimensions in reverse order."""
        return self.permute(*range(self.ndim - 1, -1, -1))

    @property
    def mT(self):
        """The last two dimensions exchanged."""
        return self.transpose(-2, -1)

    @property
    def is_cuda(self):
        """Whether it lies on a GPU."""
        return self.device.type == "cuda"

    mH, H = mT, T

    is_cpu = property(lambda self: self.device.type == "cpu", doc="Whether it lies on the CPU.")
    is_sparse = is_quantized = is_meta = is_nested = is_mps = is_xpu = is_mkldnn = property(lambda self: False, doc="False.")
    layout = property(lambda self: "strided", doc="'strided', the only one.")
    names = property(lambda self: (None,) * self.ndim, doc="None for each dimension.")
    name = property(lambda self: None, doc="None.")

    @property
    def itemsize(self):
        """Bytes per element."""
        return self.dtype.itemsize

    def get_device(self):
        """The number of the GPU, -1 on the CPU."""
        return _core.cuda_device(self)

    def is_floating_point(self):
        """Whether the dtype is floating."""
        return self.dtype.is_floating_point

    def is_complex(self):
        """False: there are no complex dtypes."""
        return False

    def is_signed(self):
        """Whether the dtype holds negative numbers."""
        return self.dtype.is_signed

    def is_inference(self):
        """False: Tensors made in inference_mode are like others."""
        return False

    def is_nonzero(self):
        """Whether the only element is not zero."""
        return bool(self)

    def is_same_size(self, other):
        """Whether both have the same shape."""
        return self.shape == other.shape

    def is_set_to(self, other):
        """Whether both are the same view of the same memory."""
        return self.data_ptr() == other.data_ptr() and self.shape == other.shape and self.stride() == other.stride()

    def is_pinned(self, device=None):
        """Whether it lies in memory that a GPU copies from without waiting."""
        return _core.is_pinned(self)

    def pin_memory(self, device=None):
        """A copy in pinned memory, from which `to("cuda", non_blocking=True)` does not wait; this tensor where it is pinned
        already. RuntimeError without a GPU."""
        if self.is_cuda:
            raise RuntimeError(f"[pin_memory] tensor must lie on the CPU, got one on {self.device}")
        return self if self.is_pinned() else _core.pinned(self.detach())

    def record_stream(self, stream):
        """Says that a GPU's stream uses this tensor, which was made on another: its memory is not handed out again before what that
        stream has queued now is done."""
        _core.cuda_used_by(self, stream.cuda_stream)

    def share_memory_(self):
        """This tensor: forked processes see its memory as it was."""
        return self

    def is_shared(self):
        """False."""
        return False

    def dim_order(self):
        """The dimensions by falling strides."""
        strides = self.stride()
        return tuple(sorted(range(self.ndim), key=lambda d: -strides[d]))

    # ---- conversion ----------------------------------------------------------------------------------------------
    def item(self):
        """The only element, as a Python number."""
        return _core.item(self)

    def tolist(self):
        """Nested lists of Python numbers."""
        self = self.detach().cpu()
        return self.float().numpy().tolist() if self.dtype is _core.bfloat16 else _core.to_numpy(self).tolist()

    def numpy(self, *, force=False):
        """A NumPy array on the same memory. RuntimeError if gradients are recorded (unless `force`)."""
        if force:
            self = self.detach().cpu()
        if self.requires_grad:
            raise RuntimeError("[numpy] tensor must not require gradient, got one that does: use detach().numpy()")
        return _core.to_numpy(self)

    def __array__(self, dtype=None, copy=None):
        if self.requires_grad:
            raise RuntimeError("[numpy] tensor must not require gradient, got one that does: use detach().numpy()")
        x = self.detach()
        array = _core.to_numpy(ops.cast(x, _core.float32) if x.dtype is _core.bfloat16 else x)
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError(f"[__array__] copy must be allowed to convert {array.dtype} to {dtype}")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        if self.requires_grad:
            raise BufferError("[__dlpack__] tensor must not require gradient, got one that does: use detach()")
        if dl_device is not None and tuple(dl_device) != self.__dlpack_device__():
            raise BufferError(f"[__dlpack__] dl_device must be {self.__dlpack_device__()}, where the tensor lies, got {dl_device}")
        if copy:
            self = _core.copy(self)
        if self.is_cuda and stream != -1:  # the consumer's stream; None and 1: the default one
            _core.cuda_let_wait(self.get_device(), 1 if stream is None else stream)
        return _core.to_dlpack(self, max_version is not None and max_version[0] >= 1)

    def __dlpack_device__(self):
        return (2, self.get_device()) if self.is_cuda else (1, 0)  # kDLCUDA, kDLCPU

    def to(self, *args, dtype=None, device=None, copy=False, non_blocking=False, memory_format=None):
        """As another dtype, on another device or in another memory format: `to(dtype)`, `to(device)`, `to(device, dtype)`,
        `to(other)`, `to(memory_format=lamella.channels_last)`. With non_blocking a copy from pinned memory to a GPU is not waited
        for: this tensor must stay as it is until the GPU has read it. Copies to the CPU are always waited for."""
        flags = [a for a in args if isinstance(a, bool)]
        non_blocking, copy = *flags, *(non_blocking, copy)[len(flags) :]  # PyTorch's order
        for a in args:
            if isinstance(a, _core.dtype):
                dtype = a
            elif isinstance(a, Tensor):
                dtype, device = a.dtype, a.device
            elif a is not None and not isinstance(a, bool):
                device = a
        if device is not None:
            moved = ops.creation.to_device(self, device, non_blocking)
            self, copy = moved, copy and moved is self
        if dtype is not None and dtype is not self.dtype:
            self, copy = ops.cast(self, dtype), False
        if memory_format is not None:
            moved = ops.contiguous(self, memory_format)
            self, copy = moved, copy and moved is self
        return self.clone() if copy else self

    def type(self, dtype=None):
        """The dtype's name, or the tensor as another dtype."""
        return repr(self.dtype) if dtype is None else self.to(dtype)

    def type_as(self, other):
        """As the dtype of `other`."""
        return self.to(other.dtype)

    def cpu(self):
        """On the CPU."""
        return ops.creation.to_device(self, "cpu")

    def cuda(self, device=None, non_blocking=False):
        """On a GPU, the current one unless `device` names another; RuntimeError where there is none."""
        return ops.creation.to_device(self, "cuda" if device is None else device, non_blocking)

    def double(self):
        """As float64."""
        return self.to(_core.float64)

    def float(self):
        """As float32."""
        return self.to(_core.float32)

    def half(self):
        """As float16."""
        return self.to(_core.float16)

    def bfloat16(self):
        """As bfloat16."""
        return self.to(_core.bfloat16)

    def long(self):
        """As int64."""
        return self.to(_core.int64)

    def int(self):
        """As int32."""
        return self.to(_core.int32)

    def short(self):
        """As int16."""
        return self.to(_core.int16)

    def char(self):
        """As int8."""
        return self.to(_core.int8)

    def byte(self):
        """As uint8."""
        return self.to(_core.uint8)

    def bool(self):
        """As bool: whether it is not zero."""
        return self.to(_core.bool)

    def new_tensor(self, data, dtype=None, device=None, requires_grad=False):
        """`lamella.tensor(data)` of this tensor's dtype."""
        return ops.tensor(data, dtype=dtype or self.dtype, device=self if device is None else device, requires_grad=requires_grad)

    def new_empty(self, *size, dtype=None, device=None, requires_grad=False):
        """`lamella.empty` of this tensor's dtype."""
        return ops.empty(*size, dtype=dtype or self.dtype, device=self if device is None else device, requires_grad=requires_grad)

    def new_zeros(self, *size, dtype=None, device=None, requires_grad=False):
        """`lamella.zeros` of this tensor's dtype."""
        return ops.zeros(*size, dtype=dtype or self.dtype, device=self if device is None else device, requires_grad=requires_grad)

    def new_ones(self, *size, dtype=None, device=None, requires_grad=False):
        """`lamella.ones` of this tensor's dtype."""
        return ops.ones(*size, dtype=dtype or self.dtype, device=self if device is None else device, requires_grad=requires_grad)

    def new_full(self, size, fill_value, dtype=None, device=None, requires_grad=False):
        """`lamella.full` of this tensor's dtype."""
        return ops.full(size, fill_value, dtype or self.dtype, self if device is None else device, requires_grad)

    # ---- Python's own protocols ----------------------------------------------------------------------------------
    def __bool__(self):
        if self.numel() != 1:
            raise RuntimeError(f"[bool] tensor must have one element, got {self.shape}: use .any() or .all()")
        return self.item() != 0

    def __int__(self):
        return int(self.item())

    def __float__(self):
        return float(self.item())

    def __complex__(self):
        return complex(self.item())

    def __index__(self):
        value = self.item()
        if self.dtype.is_floating_point:
            raise TypeError(f"[index] tensor must be an integer, got {self.dtype.name}")
        return int(value)

    def __iter__(self):
        if self.ndim == 0:
            raise TypeError("[iter] tensor must have at least one dimension, got a scalar")
        return iter(self.unbind(0))

    def __contains__(self, value):
        return (self == value).any().item()

    def __matmul__(self, other):
        return ops.matmul(self, other)

    def __rmatmul__(self, other):
        return ops.matmul(ops.as_tensor(other), self)

    def __invert__(self):
        if self.dtype is _core.bool:
            return ops.logical_not(self)
        return self ^ -1

    def __pos__(self):
        return ops.positive(self)

    def __reversed__(self):
        return ops.flip(self, 0) if self.ndim else self

    def __lshift__(self, other):
        return _core.bitwise_left_shift(self, other)

    def __rlshift__(self, other):
        return _core.bitwise_left_shift(other, self)

    def __rshift__(self, other):
        return _core.bitwise_right_shift(self, other)

    def __rrshift__(self, other):
        return _core.bitwise_right_shift(other, self)

    def __ifloordiv__(self, other):
        return _core.floor_divide.inplace(self, other)

    def __imod__(self, other):
        return _core.remainder.inplace(self, other)

    def __ipow__(self, other):
        return _core.pow.inplace(self, other)

    def __ilshift__(self, other):
        return _core.bitwise_left_shift.inplace(self, other)

    def __irshift__(self, other):
        return _core.bitwise_right_shift.inplace(self, other)

    def __iand__(self, other):
        return (_core.logical_and if self.dtype is _core.bool else _core.bitwise_and).inplace(self, other)

    def __ior__(self, other):
        return (_core.logical_or if self.dtype is _core.bool else _core.bitwise_or).inplace(self, other)

    def __ixor__(self, other):
        return (_core.logical_xor if self.dtype is _core.bool else _core.bitwise_xor).inplace(self, other)

    __getitem__ = ops.getitem
    __setitem__ = ops.setitem

    def __deepcopy__(self, memo):
        if not self.is_leaf:
            raise RuntimeError("[deepcopy] tensor must be a leaf, got the result of an op: detach() it first")
        copy = type(self)(_core.clone(self))
        copy.requires_grad = self.requires_grad
        if self.grad is not None:
            copy.grad = _core.clone(self.grad)
        memo[id(self)] = copy
        return copy

    def __reduce_ex__(self, protocol):
        bits = _core.to_numpy(_core.contiguous(self.detach().cpu()), bits=True)
        bits = bits.view(np.int16) if self.dtype is _core.bfloat16 else bits
        return _rebuild, (type(self), bits, self.dtype, self.requires_grad, *((self.device,) if self.is_cuda else ()))

    def __repr__(self):
        return text_of(self)

    def __format__(self, spec):
        return format(self.item(), spec) if self.ndim == 0 else object.__format__(self, spec)

    # ---- in place ------------------------------------------------------------------------------------------------
    def add_(self, other, *, alpha=1):
        """self += alpha * other."""
        return _core.add.inplace(self, other if alpha == 1 else other * alpha)

    def sub_(self, other, *, alpha=1):
        """self -= alpha * other."""
        return _core.sub.inplace(self, other if alpha == 1 else other * alpha)

    def div_(self, other, *, rounding_mode=None):
        """self /= other, rounded towards zero ("trunc") or minus infinity ("floor") where wanted."""
        if rounding_mode is None:
            return _core.div.inplace(self, other)
        return ops.copy_(self, ops.div(ops.clone(self), other, rounding_mode=rounding_mode))

    def clamp_(self, min=None, max=None):
        """Limits every element to [min, max], in place."""
        limits = (min, max)
        if limits == (None, None) or not self.dtype.is_floating_point or any(isinstance(v, Tensor) for v in limits):
            return ops.copy_(self, ops.clamp(ops.clone(self), min, max))
        return _core.clamp.inplace(self, -math.inf if min is None else min, math.inf if max is None else max)

    clip_ = clamp_

    def round_(self, *, decimals=0):
        """`round`, written into this Tensor."""
        return ops.copy_(self, ops.round(ops.clone(self), decimals=decimals)) if decimals else _core.round.inplace(self)


def _rebuild(cls, bits, dtype, requires_grad, device=None):
    x = _core.from_numpy(bits)
    x = _core.copy(x if x.dtype is dtype else _core.bitcast(x, dtype))
    x = x if device is None else ops.creation.to_device(x, device)
    y = x if cls is Tensor else cls(x)
    y.requires_grad = requires_grad
    return y


class Parameter(Tensor):
    """A tensor that a Module counts among its parameters: `Parameter(data, requires_grad=True)`."""

    __slots__ = ()

    def __new__(cls, data=None, requires_grad=True):
        data = ops.empty(0) if data is None else ops.as_tensor(data)
        self = super().__new__(cls, data.detach())
        self.requires_grad = requires_grad
        return self

    def __repr__(self):
        return "Parameter containing:\n" + super().__repr__()


_core.set_tensor_class(Tensor, device)
_core.set_to_tensor(ops.as_tensor)
_core.set_backward_ops(ops.sum_to_size, ops.cast)

attach_methods(Tensor)
