# SPDX-License-Identifier: MIT
"""Autocast: products in 16 bits, the rest as it comes.

The rule, which is that of PyTorch's autocast on CPUs:

- In the lower dtype: linear, matmul and all that is made of it (mm, bmm, mv, addmm, einsum, tensordot, ...), convolutions
  and transposed ones, scaled_dot_product_attention, RNN, LSTM, GRU and their cells. float64 is left alone.
- In float32: losses; prod, trace, cdist, quantile, nanquantile.
- In the widest dtype of their operands: arithmetic, cat, stack, where, index_copy.
- In the dtype of their input: all others (activations, norms, softmax, exp, log, sums, pooling, ...). Inside, kernels of
  16-bit types compute in float32 and round once; the weights and statistics of norms may stay float32.

Weights stay float32, and so are their gradients. Backward computes in the dtypes of forward, wherever it is called.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

from .. import _core
from ..precision import region, state

__all__ = [
    "autocast",
    "clear_autocast_cache",
    "custom_bwd",
    "custom_fwd",
    "get_autocast_cpu_dtype",
    "get_autocast_dtype",
    "is_autocast_available",
    "is_autocast_cache_enabled",
    "is_autocast_cpu_enabled",
    "is_autocast_enabled",
    "is_bfloat16_fast",
]

_LOWER = (_core.bfloat16, _core.float16)


class autocast(region):
    """Products of this thread compute in `dtype`, bfloat16 or float16, until the end of a `with` block; also a decorator.

    dtype: bfloat16 unless given, on a GPU float16. enabled False: nothing is cast inside, also within another region.
    cache_enabled: a weight is cast once, not at each use, until the outermost region ends. device_type "cuda" where there is no
    GPU, and another dtype, warn and cast nothing, as in PyTorch. In `dtype`: products of matrices, convolutions, attention,
    recurrent layers. In float32: losses, prod, trace, cdist, quantiles. All others take what they are given, and promote.

    bfloat16 has float32's range and 8 bits; float16 has 11 bits, and gradients below 6e-8 vanish: use a GradScaler. Whether
    this processor has instructions for it, `is_bfloat16_fast` tells; the results are the same.

    >>> layer, x = nn.Linear(4, 2), lamella.ones(1, 4)
    >>> with lamella.autocast("cpu", dtype=lamella.bfloat16):
    ...     y = layer(x)
    ...     loss = F.mse_loss(y, lamella.zeros(1, 2))
    >>> y.dtype, loss.dtype
    (lamella.bfloat16, lamella.float32)
    >>> loss.backward()
    >>> layer.weight.grad.dtype
    lamella.float32
    """

    def __init__(
        self, device_type: str = "cpu", dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"[autocast] device_type must be a string, got {device_type!r}")
        self.device, enabled = device_type, bool(enabled)
        self.fast_dtype = get_autocast_dtype(device_type) if dtype is None else dtype
        ours = is_autocast_available(device_type)
        if enabled and not ours:
            warnings.warn(f"[autocast] device_type must be one that is there, got {device_type!r}: nothing is cast", stacklevel=2)
        elif enabled and self.fast_dtype not in _LOWER:
            warnings.warn(f"[autocast] dtype must be bfloat16 or float16, got {self.fast_dtype}: nothing is cast", stacklevel=2)
            enabled = False
        self.enabled = enabled
        caching = state.caching if cache_enabled is None else bool(cache_enabled)
        if ours:
            super().__init__(self.fast_dtype if enabled else None, caching)
        else:  # what is set for other devices holds on
            super().__init__(state.dtype, state.caching)

    def __enter__(self) -> autocast:
        super().__enter__()
        return self

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return wrapper


# ---- what is set on this thread --------------------------------------------------------------------------------------
def is_autocast_enabled(device_type: str = "cpu") -> bool:
    """Whether this thread is in an autocast region that casts."""
    return is_autocast_available(device_type) and state.dtype is not None


def get_autocast_dtype(device_type: str = "cpu") -> Any:
    """What products compute in under autocast: bfloat16 unless a region says otherwise."""
    return state.dtype if is_autocast_enabled(device_type) else _LOWER[device_type == "cuda"]


def is_autocast_cpu_enabled() -> bool:
    """`is_autocast_enabled("cpu")`."""
    return is_autocast_enabled()


def get_autocast_cpu_dtype() -> Any:
    """`get_autocast_dtype("cpu")`."""
    return get_autocast_dtype()


def is_autocast_cache_enabled() -> bool:
    """Whether weights are cast once in a region."""
    return state.caching


def clear_autocast_cache() -> None:
    """Lets go of the casts that this thread's region holds."""
    state.cache.clear()


def is_autocast_available(device_type: str) -> bool:
    """Whether there is autocast for such a device: "cpu", and "cuda" where there is a GPU."""
    return device_type == "cpu" or (device_type.partition(":")[0] == "cuda" and not _core.cuda_problem())


def is_bfloat16_fast(device_type: str = "cpu") -> bool:
    """Whether bfloat16 is multiplied faster than float32: by this processor if it has AVX-512's dot products (v4dot), by any
    GPU ("cuda").

    Without them bfloat16 products are unpacked to float32, which takes about a third longer than float32 products take;
    what autocast then gives is the numbers of mixed precision and half the memory of activations, no speed.
    """
    return device_type == "cuda" or _core.active_isa() == "v4dot"


def warn_if_slow(op: str) -> None:
    """A UserWarning where bfloat16 is slower than float32 here."""
    if not is_bfloat16_fast():
        warnings.warn(
            f"[{op}] precision 'bfloat16' has no instructions on this processor ({_core.active_isa()}): products take about "
            "1.3 times as long as in float32; only the memory of activations is halved",
            stacklevel=3,
        )


# ---- ops of one's own ------------------------------------------------------------------------------------------------
def custom_fwd(fwd: Callable[..., Any] | None = None, *, device_type: str = "cpu", cast_inputs: Any = None) -> Any:
    """Decorates `forward(ctx, ...)` of an autograd.Function. With cast_inputs, a floating dtype, Tensors among its
    arguments are cast to it in an autocast region, and forward runs with autocast off; without, it runs as it is called."""
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        enabled = is_autocast_enabled(device_type)
        ctx._dtype, ctx._fwd_used_autocast = get_autocast_dtype(device_type), enabled and cast_inputs is None
        if not enabled or cast_inputs is None:
            return fwd(ctx, *args, **kwargs)
        with region(None):
            return fwd(ctx, *_to(args, cast_inputs), **_to(kwargs, cast_inputs))

    return forward


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str = "cpu") -> Any:
    """Decorates `backward(ctx, ...)` of an autograd.Function whose forward has custom_fwd: it runs with autocast as it was
    in forward. Without this decorator backward runs with autocast off."""
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def backward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        with region(ctx._dtype if ctx._fwd_used_autocast else None):
            return bwd(ctx, *args, **kwargs)

    return backward


def _to(value: Any, dtype: Any) -> Any:
    """Floating Tensors other than float64, in (nested) arguments, as dtype."""
    if isinstance(value, _core.TensorBase):
        return value.to(dtype) if value.dtype.is_floating_point and value.dtype is not _core.float64 else value
    if isinstance(value, dict):
        return {k: _to(v, dtype) for k, v in value.items()}
    return type(value)([_to(v, dtype) for v in value]) if type(value) in (tuple, list) else value
