# SPDX-License-Identifier: MIT
"""Tensor: an array that remembers how it was made.

The type itself (memory, attributes, arithmetic operators) is in the extension; here are its methods. Most are the
functions of lamella.ops under the same name, attached at the end of this file.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from . import _core, ops
from .autograd import backward

__all__ = ["Parameter", "Tensor", "device"]


class device:
    """Where tensors lie: `device("cpu")`; `device("cuda", 0)` or `device("cuda:0")` name a GPU."""

    __slots__ = ("index", "type")

    def __init__(self, type: Any, index: int | None = None) -> None:
        if isinstance(type, device):
            type, index = type.type, type.index
        name, _, number = str(type).partition(":")
        if name not in ("cpu", "cuda") or (number and not number.isdigit()):
            raise RuntimeError(f"[device] type must be 'cpu' or 'cuda', with ':index' or not, got {type!r}")
        self.type = name
        self.index = int(number) if number else index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index or 0) == (other.type, other.index or 0)

    def __hash__(self) -> int:
        return hash((self.type, self.index or 0))

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return f"device(type={self.type!r})" if self.index is None else f"device(type={self.type!r}, index={self.index})"


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
    __array_ufunc__ = None  # so that ndarray * tensor is ours

    # ---- gradients -----------------------------------------------------------------------------------------------
    def backward(self, gradient=None, retain_graph=None, create_graph=False):
        """Adds the gradient of this tensor (weighted by `gradient`; 1 for a scalar) to `.grad` of every leaf."""
        backward((self,), (gradient,), retain_graph, create_graph)

    def requires_grad_(self, requires_grad=True):
        """Sets `requires_grad` in place."""
        self.requires_grad = requires_grad
        return self

    def register_hook(self, hook: Callable[[Any], Any]) -> RemovableHandle:
        """Calls `hook(grad)` when the gradient of this tensor is computed; what it returns, if anything, replaces it."""
        if not self.requires_grad:
            raise RuntimeError("[register_hook] tensor must require gradient, got one that does not")
        return RemovableHandle(self._hooks(), hook)

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
        return self.device.type == "cuda"

    def is_floating_point(self):
        """Whether the dtype is floating."""
        return self.dtype.is_floating_point

    # ---- conversion ----------------------------------------------------------------------------------------------
    def item(self):
        """The only element, as a Python number."""
        return _core.item(self)

    def tolist(self):
        """Nested lists of Python numbers."""
        return self.detach().float().numpy().tolist() if self.dtype is _core.bfloat16 else _core.to_numpy(self).tolist()

    def numpy(self, *, force=False):
        """A NumPy array on the same memory. RuntimeError if gradients are recorded (unless `force`)."""
        if self.requires_grad and not force:
            raise RuntimeError("[numpy] tensor must not require gradient, got one that does: use detach().numpy()")
        return _core.to_numpy(self)

    def __array__(self, dtype=None, copy=None):
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
        if dl_device is not None and tuple(dl_device) != (1, 0):
            raise BufferError(f"[__dlpack__] dl_device must be (1, 0), the CPU, got {dl_device}")
        return _core.to_dlpack(_core.copy(self) if copy else self, max_version is not None and max_version[0] >= 1)

    def __dlpack_device__(self):
        return (1, 0)

    def to(self, *args, dtype=None, device=None, copy=False, non_blocking=False, memory_format=None):
        """As another dtype, on another device or in another memory format: `to(dtype)`, `to(device)`, `to(device, dtype)`,
        `to(other)`, `to(memory_format=lamella.channels_last)`."""
        for a in args:
            if isinstance(a, _core.dtype):
                dtype = a
            elif isinstance(a, Tensor):
                dtype, device = a.dtype, a.device
            elif a is not None and not isinstance(a, bool):
                device = a
        if device is not None and globals()["device"](device).type != "cpu":
            raise RuntimeError(f"[to] device must be available in this build (cpu), got {device}")
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
        return self

    def cuda(self, device=0):
        """On a GPU; RuntimeError where this build has none."""
        return self.to(f"cuda:{device}")

    def double(self):
        return self.to(_core.float64)

    def float(self):
        return self.to(_core.float32)

    def half(self):
        return self.to(_core.float16)

    def bfloat16(self):
        return self.to(_core.bfloat16)

    def long(self):
        return self.to(_core.int64)

    def int(self):
        return self.to(_core.int32)

    def short(self):
        return self.to(_core.int16)

    def char(self):
        return self.to(_core.int8)

    def byte(self):
        return self.to(_core.uint8)

    def bool(self):
        return self.to(_core.bool)

    def new_tensor(self, data, dtype=None, requires_grad=False):
        return ops.tensor(data, dtype=dtype or self.dtype, requires_grad=requires_grad)

    def new_empty(self, *size, dtype=None):
        return ops.empty(*size, dtype=dtype or self.dtype)

    def new_zeros(self, *size, dtype=None):
        return ops.zeros(*size, dtype=dtype or self.dtype)

    def new_ones(self, *size, dtype=None):
        return ops.ones(*size, dtype=dtype or self.dtype)

    def new_full(self, size, fill_value, dtype=None):
        return ops.full(size, fill_value, dtype=dtype or self.dtype)

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

    __getitem__ = ops.getitem
    __setitem__ = ops.setitem

    def __deepcopy__(self, memo):
        if not self.is_leaf:
            raise RuntimeError("[deepcopy] tensor must be a leaf, got the result of an op: detach() it first")
        copy = type(self)(_core.copy(self))
        copy.requires_grad = self.requires_grad
        if self.grad is not None:
            copy.grad = _core.copy(self.grad)
        memo[id(self)] = copy
        return copy

    def __reduce_ex__(self, protocol):
        bits = _core.to_numpy(_core.contiguous(self.detach()), bits=True)
        bits = bits.view(np.int16) if self.dtype is _core.bfloat16 else bits
        return _rebuild, (type(self), bits, self.dtype, self.requires_grad)

    def __repr__(self):
        array = np.asarray(self.detach())
        body = np.array2string(array, separator=", ", prefix=" " * 7, precision=4, suppress_small=True)
        notes = []
        if self.dtype not in (ops.get_default_dtype(), _core.int64, _core.bool):
            notes.append(f"dtype={self.dtype!r}")
        if self.numel() == 0:
            notes.append(f"size={self.shape}")
        if self.grad_fn is not None:
            notes.append(f"grad_fn={self.grad_fn!r}")
        elif self.requires_grad:
            notes.append("requires_grad=True")
        return f"tensor({', '.join([body, *notes])})"

    def __format__(self, spec):
        return format(self.item(), spec) if self.ndim == 0 else object.__format__(self, spec)

    # ---- in place ------------------------------------------------------------------------------------------------
    def add_(self, other, *, alpha=1):
        """self += alpha * other."""
        return _core.add.inplace(self, other if alpha == 1 else other * alpha)

    def sub_(self, other, *, alpha=1):
        """self -= alpha * other."""
        return _core.sub.inplace(self, other if alpha == 1 else other * alpha)

    def masked_fill_(self, mask, value):
        """Writes `value` where `mask` is True."""
        return _assign(self, ops.masked_fill(self.clone(), mask, value))

    def clamp_(self, min=None, max=None):
        """Limits every element to [min, max]."""
        return _assign(self, ops.clamp(self.clone(), min, max))


def _assign(x, value):
    """x becomes `value` (computed from a copy of x), history included."""
    return ops.copy_(x, value)


def _rebuild(cls, bits, dtype, requires_grad):
    x = _core.from_numpy(bits)
    x = _core.copy(x if x.dtype is dtype else _core.bitcast(x, dtype))
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


_core.set_tensor_class(Tensor, device("cpu"))
_core.set_to_tensor(ops.as_tensor)
_core.set_backward_ops(ops.sum_to_size, ops.cast)

# ---- ops as methods ------------------------------------------------------------------------------------------------
_METHODS = """
abs neg sign square exp expm1 log log1p sqrt rsqrt reciprocal sin cos tanh erf floor ceil round trunc sigmoid relu
isnan isinf isfinite logical_not add sub mul div floor_divide remainder pow maximum minimum atan2 eq ne lt le gt ge
logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor clamp lerp where masked_fill softmax log_softmax
sum mean prod max min amax amin argmax argmin any all var std norm logsumexp cumsum
matmul mm bmm mv dot addmm outer
reshape view view_as reshape_as flatten ravel unflatten transpose swapaxes t permute movedim moveaxis expand expand_as
broadcast_to sum_to_size unsqueeze squeeze diagonal clone contiguous is_contiguous copy_ fill_
zero_
gather scatter scatter_ scatter_add scatter_add_ index_select index_add index_add_ index_put index_put_
take_along_dim masked_select nonzero sort argsort msort topk kthvalue median nanmedian unique unique_consecutive tril triu flip roll repeat_interleave
split chunk unbind narrow repeat tile
uniform_ normal_ bernoulli_ allclose
""".split()
_INPLACE = """
mul div pow floor_divide remainder neg abs sign square exp log sqrt rsqrt reciprocal tanh sigmoid relu floor ceil round
trunc logical_not logical_and logical_or logical_xor
""".split()


def _attach() -> None:
    for name in _METHODS:
        if hasattr(ops, name):
            setattr(Tensor, name, getattr(ops, name))
    for name in _INPLACE:
        setattr(Tensor, name + "_", _inplace_method(name))


def _inplace_method(name: str) -> Callable[..., Any]:
    write = getattr(_core, name).inplace

    def method(self, *args):
        return write(self, *args)

    method.__name__ = name + "_"
    method.__doc__ = f"`{name}`, written into this tensor."
    return method


_attach()
