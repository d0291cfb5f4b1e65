# SPDX-License-Identifier: MIT
"""New tensors: from data, filled, or as ranges. `dtype` defaults to float32 for floats (see `set_default_dtype`)."""

from __future__ import annotations

import builtins
import math
from typing import Any

from .. import _core
from .._numpy import np
from ..autograd import record
from ..device import place_of
from .layout import like, memory_format, preserve_format

__all__ = [
    "arange",
    "as_tensor",
    "asarray",
    "bartlett_window",
    "blackman_window",
    "empty",
    "empty_like",
    "empty_strided",
    "eye",
    "from_dlpack",
    "from_numpy",
    "frombuffer",
    "full",
    "full_like",
    "get_default_dtype",
    "hamming_window",
    "hann_window",
    "linspace",
    "logspace",
    "meshgrid",
    "ones",
    "ones_like",
    "range",
    "scalar_tensor",
    "set_default_dtype",
    "tensor",
    "zeros",
    "zeros_like",
]

_default = _core.float32


def get_default_dtype() -> _core.dtype:
    """The dtype of new floating tensors where none is given."""
    return _default


def set_default_dtype(dtype: _core.dtype) -> None:
    """Sets the dtype of new floating tensors. TypeError if it is not floating."""
    global _default
    if not isinstance(dtype, _core.dtype) or not dtype.is_floating_point:
        raise TypeError(f"[set_default_dtype] dtype must be a floating lamella dtype, got {dtype!r}")
    _default = dtype
    _core.set_default_dtype(dtype)


def _finish(x: Any, requires_grad: bool) -> Any:
    if requires_grad:
        x.requires_grad = True
    return x


def _moved(x: Any, device: Any) -> Any:
    """x where `device` says (None: the default)."""
    place = place_of(device)
    if place is None or (type(place) is int and place == _core.cuda_device(x)):
        return x
    return _core.to_device(x, place)


def to_device_vjp(node, dy):
    place, = node.ctx
    return (_core.to_device(dy, place) if not dy.requires_grad else to_device(dy, place),)


def to_device(x: Any, device: Any, non_blocking: bool = False) -> Any:
    """x on `device`, x itself where it lies there already; its gradient goes back the same way. non_blocking: as in
    `Tensor.to`."""
    place = place_of(device)
    here = _core.cuda_device(x)
    there = here if place is None else _core.cuda_device(place) if isinstance(place, _core.TensorBase) else place
    if there == here:
        return x
    return record(_core.to_device(x, there, not non_blocking), to_device_vjp, (x,), (here,))


def from_numpy(array: np.ndarray) -> Any:
    """A tensor on the array's own memory. TypeError for dtypes lamella lacks; a read-only array gives a tensor that
    refuses in-place writes."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"[from_numpy] array must be a numpy.ndarray, got {type(array).__name__}")
    return _core.from_numpy(array)


def from_dlpack(x: Any) -> Any:
    """A tensor on the memory of any object with `__dlpack__`, on the CPU or a GPU, or of a DLPack capsule, without a copy. On a
    GPU the current stream waits for what the object's library has queued; a capsule alone cannot tell it to."""
    if not hasattr(x, "__dlpack__"):
        return _core.from_dlpack(x)
    where = x.__dlpack_device__() if hasattr(x, "__dlpack_device__") else (1, 0)
    of_gpu = {"stream": _core.cuda_stream(where[1]) or 1} if where[0] == 2 else {}  # kDLCUDA; 1: the default stream
    try:
        capsule = x.__dlpack__(max_version=(1, 0), **of_gpu)
    except TypeError:  # a producer of before DLPack 1.0
        capsule = x.__dlpack__(**of_gpu)
    return _core.from_dlpack(capsule)


def _from_data(data: Any, dtype: Any) -> Any:
    """A tensor of `data`, sharing memory with NumPy arrays of a dtype lamella has."""
    if isinstance(data, _core.TensorBase):
        return data
    if isinstance(data, (np.ndarray, np.generic)):
        x = _core.from_numpy(np.asarray(data))
    elif isinstance(data, bool):
        x = _core.scalar(data, _core.bool)
    elif isinstance(data, int) and -(2**53) <= data <= 2**53:
        x = _core.scalar(data, _core.int64)
    elif isinstance(data, float):
        x = _core.scalar(data, dtype if dtype is not None and dtype.is_floating_point else _default)
    elif hasattr(data, "__dlpack__"):
        x = from_dlpack(data)
    elif hasattr(data, "__array__"):
        x = _core.from_numpy(np.asarray(data))
    else:
        x = _from_list(data, dtype)
    return x


def _from_list(data: Any, dtype: Any) -> Any:
    if _holds_tensors(data):
        data = _plain(data)
    try:
        array = np.array(data)
    except ValueError as e:
        raise ValueError("[tensor] data must have rows of one length, got a ragged nested list") from e
    if array.dtype == object or array.dtype.kind not in "fiub":
        raise TypeError(f"[tensor] data must be numbers, nested lists of numbers or arrays, got {type(data).__name__} of {array.dtype}")
    x = _core.from_numpy(array if array.dtype != np.uint64 else array.astype(np.int64))
    # Python floats are float64 to NumPy: they take the default dtype, unless another is asked for.
    return _core.cast(x, _default) if dtype is None and array.dtype == np.float64 and x.dtype is not _default else x


def _holds_tensors(data: Any) -> bool:
    return isinstance(data, (list, tuple)) and any(isinstance(v, _core.TensorBase) or _holds_tensors(v) for v in data)


def _plain(data: Any) -> Any:
    if isinstance(data, _core.TensorBase):
        return _core.to_numpy(_core.cast(data, _core.float32) if data.dtype is _core.bfloat16 else data)
    return [_plain(v) for v in data] if isinstance(data, (list, tuple)) else data


def tensor(data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """A new leaf tensor with a copy of `data`: a number, nested lists, a NumPy array or a tensor.

    Without `dtype`: Python floats give the default dtype, ints int64, bools bool; arrays and tensors keep theirs.
    ValueError for ragged lists, TypeError for what is not numbers.
    """
    x = _from_data(data, dtype)
    if device is None and isinstance(data, _core.TensorBase):
        device = data
    x = _moved(_core.cast(x, x.dtype if dtype is None else dtype), device)  # always a copy
    return _finish(x, requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Any:
    """`data` as a tensor, without a copy where it is a tensor or a NumPy array of that dtype."""
    if isinstance(data, _core.TensorBase) and (dtype is None or data.dtype is dtype) and device is None:
        return data
    x = _from_data(data, dtype)
    if dtype is not None and x.dtype is not dtype:
        from .view import cast

        x = cast(x, dtype)
    return x if device is None and isinstance(data, _core.TensorBase) else to_device(x, device)


asarray = as_tensor


def _shape(size: tuple[Any, ...]) -> Any:
    return size[0] if len(size) == 1 and not isinstance(size[0], int) else size


def _filled(op: str, size: Any, value: Any, dtype: Any, device: Any, requires_grad: bool) -> Any:
    if isinstance(value, int) and not dtype.is_floating_point:
        x = _core.full_int(size, value, dtype, place_of(device))
    else:
        x = _core.full(size, float(value), dtype, place_of(device))
    return _finish(x, requires_grad)


def empty(*size, dtype=None, device=None, requires_grad=False):
    """An uninitialised tensor of shape `size`."""
    return _finish(_core.empty(_shape(size), dtype or _default, place_of(device)), requires_grad)


def zeros(*size, dtype=None, device=None, requires_grad=False):
    """Zeros of shape `size`."""
    return _filled("zeros", _shape(size), 0, dtype or _default, device, requires_grad)


def ones(*size, dtype=None, device=None, requires_grad=False):
    """Ones of shape `size`."""
    return _filled("ones", _shape(size), 1, dtype or _default, device, requires_grad)


def full(size, fill_value, dtype=None, device=None, requires_grad=False):
    """`fill_value` everywhere, of shape `size`; its kind of number decides the dtype where none is given."""
    if dtype is None:
        kind = type(fill_value)
        dtype = _core.bool if kind is bool else _core.int64 if kind is int else _default
    return _filled("full", size, fill_value, dtype, device, requires_grad)


def _like(input: Any, value: Any, dtype: Any, device: Any, requires_grad: bool, memory_format: memory_format) -> Any:
    x = like(input, dtype or input.dtype, None if device is None else place_of(device), memory_format)
    if isinstance(value, int) and not x.dtype.is_floating_point:
        _core.fill_int_(x, value)
    elif value is not None:
        _core.fill_(x, float(value))
    return _finish(x, requires_grad)


def empty_like(input, dtype=None, device=None, requires_grad=False, memory_format=preserve_format):
    """Uninitialised, with the shape, dtype and layout in memory of `input`."""
    return _like(input, None, dtype, device, requires_grad, memory_format)


def zeros_like(input, dtype=None, device=None, requires_grad=False, memory_format=preserve_format):
    """Zeros with the shape, dtype and layout in memory of `input`."""
    return _like(input, 0, dtype, device, requires_grad, memory_format)


def ones_like(input, dtype=None, device=None, requires_grad=False, memory_format=preserve_format):
    """Ones with the shape, dtype and layout in memory of `input`."""
    return _like(input, 1, dtype, device, requires_grad, memory_format)


def full_like(input, fill_value, dtype=None, device=None, requires_grad=False, memory_format=preserve_format):
    """`fill_value` with the shape, dtype and layout in memory of `input`."""
    return _like(input, fill_value, dtype, device, requires_grad, memory_format)


def arange(start, end=None, step=1, dtype=None, device=None, requires_grad=False):
    """start, start + step, ... below `end`: ceil((end - start) / step) values. ValueError if step is 0 or leads away."""
    if end is None:
        start, end = 0, start
    if step == 0 or (end - start) / step < 0:
        raise ValueError(f"[arange] step must lead from start to end, got {start}, {end}, {step}")
    n = math.ceil((end - start) / step)
    if all(isinstance(v, int) for v in (start, end, step)):
        x = _core.arange_int(start, step, n, dtype or _core.int64, place_of(device))
    else:
        x = _core.arange(float(start), float(step), n, dtype or _default, place_of(device))
    return _finish(x, requires_grad)


def linspace(start, end, steps, dtype=None, device=None, requires_grad=False):
    """`steps` evenly spaced values from start to end, both included."""
    if steps < 0:
        raise ValueError(f"[linspace] steps must not be negative, got {steps}")
    start, end = float(start), float(end)
    x = _core.arange(start, (end - start) / (steps - 1) if steps > 1 else 0.0, steps, _core.float64)
    if steps > 1:
        _core.fill_(_core.slice(x, 0, steps - 1, steps, 1), end)
    return _finish(_moved(_core.cast(x, dtype or _default), device), requires_grad)


def logspace(start, end, steps, base=10.0, dtype=None, device=None, requires_grad=False):
    """base ** linspace(start, end, steps)."""
    values = float(base) ** np.linspace(start, end, steps)
    return _finish(_moved(_core.cast(_core.from_numpy(values), dtype or _default), device), requires_grad)


def eye(n, m=None, dtype=None, device=None, requires_grad=False):
    """(n, m) with ones on the diagonal; m defaults to n."""
    x = zeros((n, n if m is None else m), dtype=dtype, device=device)
    _core.fill_(_core.diagonal(x, 0, 0, 1), 1.0)
    return _finish(x, requires_grad)


def meshgrid(*tensors, indexing="ij"):
    """Views that repeat each 1-D tensor over the grid of all; indexing 'ij' (matrix) or 'xy' (Cartesian)."""
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tuple(tensors[0])
    if indexing not in ("ij", "xy"):
        raise ValueError(f"[meshgrid] indexing must be 'ij' or 'xy', got {indexing!r}")
    n = len(tensors)
    order = [1, 0, *builtins.range(2, n)] if indexing == "xy" and n > 1 else list(builtins.range(n))
    shape = tuple(tensors[k].numel() for k in order)
    views = []
    for k, x in enumerate(tensors):
        place = order.index(k)
        views.append(x.reshape([-1 if d == place else 1 for d in builtins.range(n)]).expand(shape))
    return tuple(views)


def scalar_tensor(s, dtype=None, device=None, requires_grad=False):
    """A 0-d Tensor of a number, of the default dtype unless `dtype` is given."""
    return full((), s, dtype or _default, device, requires_grad)


def frombuffer(buffer, *, dtype, count=-1, offset=0, requires_grad=False):
    """A vector of `count` elements (-1: all) on the memory of an object with the buffer protocol, `offset` bytes into it."""
    name = "uint16" if dtype is _core.bfloat16 else dtype.name
    x = _core.from_numpy(np.frombuffer(buffer, name, count, offset))
    return _finish(x if x.dtype is dtype else _core.bitcast(x, dtype), requires_grad)


def empty_strided(size, stride, dtype=None, device=None, requires_grad=False):
    """An uninitialised tensor of this size and these strides."""
    room = 1 + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) if all(size) else 0
    return _finish(_core.as_strided(_core.empty((room,), dtype or _default, place_of(device)), tuple(size), tuple(stride), None), requires_grad)


def range(start=0, end=None, step=1, dtype=None, device=None, requires_grad=False):
    """start, start + step, ... up to `end`, which is included, of the default dtype: `arange` is what you want."""
    if end is None:
        start, end = 0, start
    if step == 0 or (end - start) / step < 0:
        raise ValueError(f"[range] step must lead from start to end, got {start}, {end}, {step}")
    return _finish(_core.arange(float(start), float(step), int((end - start) / step) + 1, dtype or _default, place_of(device)), requires_grad)


# ---- windows: cosine sums over n points; periodic ones are one point longer, without the last --------------------------
def _window(coefficients, n, periodic, dtype, device, requires_grad):
    if n <= 1:
        return ones(n, dtype=dtype, device=device, requires_grad=requires_grad)
    t = 2 * math.pi * np.arange(n) / (n if periodic else n - 1)
    w = np.zeros(n)
    for k, a in enumerate(coefficients):
        w = w + (-1) ** k * a * np.cos(k * t)
    return _finish(_moved(_core.cast(_core.from_numpy(w), dtype or _default), device), requires_grad)


def hann_window(window_length, periodic=True, *, dtype=None, device=None, requires_grad=False):
    """(1 - cos(2 pi n / N)) / 2."""
    return _window((0.5, 0.5), window_length, periodic, dtype, device, requires_grad)


def hamming_window(window_length, periodic=True, alpha=0.54, beta=0.46, *, dtype=None, device=None, requires_grad=False):
    """alpha - beta cos(2 pi n / N)."""
    return _window((alpha, beta), window_length, periodic, dtype, device, requires_grad)


def blackman_window(window_length, periodic=True, *, dtype=None, device=None, requires_grad=False):
    """0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N)."""
    return _window((0.42, 0.5, 0.08), window_length, periodic, dtype, device, requires_grad)


def bartlett_window(window_length, periodic=True, *, dtype=None, device=None, requires_grad=False):
    """1 - |2 n / N - 1|."""
    if window_length <= 1:
        return ones(window_length, dtype=dtype, device=device, requires_grad=requires_grad)
    n = window_length if periodic else window_length - 1
    w = 1 - np.abs(2 * np.arange(window_length) / n - 1)
    return _finish(_moved(_core.cast(_core.from_numpy(w), dtype or _default), device), requires_grad)
