# SPDX-License-Identifier: MIT
"""lamella: a deep-learning tensor engine with PyTorch's names.

>>> import lamella
>>> x = lamella.randn(3, requires_grad=True)
>>> (x * x).sum().backward()
"""

import builtins

from . import _core, autograd, ops
from ._core import (
    bfloat16,
    bool,
    dtype,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)
from ._version import __version__
from .autograd import (
    enable_grad,
    grad,
    inference_mode,
    is_anomaly_enabled,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from .dtypes import can_cast, finfo, iinfo, promote_types, result_type
from .printing import set_printoptions
from .device import device, get_default_device, set_default_device
from .tensor import Parameter, Tensor
from .ops import *  # noqa: I001  after the module tensor: lamella.tensor is the function

double, float, half, long, int, short = float64, float32, float16, int64, int32, int16


def get_num_threads():
    """Threads that kernels use, the caller included."""
    return _core.num_threads()


def set_num_threads(n):
    """Sets it; results do not depend on it. Default: the processors this process may use; LAMELLA_NUM_THREADS sets it."""
    _core.set_num_threads(n)


def kernels():
    """Names of all kernels, from the one list they are made of."""
    return _core.kernel_names()


def numel(input):
    """How many elements there are."""
    return input.numel()


def is_floating_point(input):
    """Whether the dtype is floating."""
    return input.dtype.is_floating_point


def is_complex(input):
    """False: there are no complex dtypes."""
    return False


def is_signed(input):
    """Whether the dtype holds negative numbers."""
    return input.dtype.is_signed


def is_nonzero(input):
    """Whether the only element is not zero."""
    return builtins.bool(input)


def is_same_size(input, other):
    """Whether both have the same shape."""
    return input.shape == other.shape


def use_deterministic_algorithms(mode, *, warn_only=False):
    """Changes nothing: results are deterministic always."""


def are_deterministic_algorithms_enabled():
    """True."""
    return True


def is_tensor(x):
    """Whether x is a Tensor."""
    return isinstance(x, Tensor)


_LAZY = (
    "amp", "backends", "cli", "cuda", "data", "distributions", "doctor", "linalg", "metrics", "models", "nn", "optim", "plots", "random",
    "recipes", "rl", "serialize", "testing", "train", "transfer", "utils",
)  # fmt: skip


def __getattr__(name):
    """Submodules and what lies in them load when first used, so that `import lamella` stays short."""
    import importlib

    if name in _LAZY:
        return importlib.import_module(f".{name}", __name__)
    if name in ("save", "load"):
        return getattr(importlib.import_module(".serialize", __name__), name)
    if "autocast" in name:
        return getattr(importlib.import_module(".amp.autocast_mode", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
