# SPDX-License-Identifier: MIT
"""Starting values of parameters, written in place; each function gives its tensor back."""

from __future__ import annotations

import math

from .._numpy import np
from ..autograd import no_grad
from ..ops import creation, random

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "lsuv_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]


def calculate_gain(nonlinearity, param=None):
    """The factor on the deviation that keeps variance through a nonlinearity: 1 for linear, 5/3 for tanh, sqrt(2) for relu,
    sqrt(2 / (1 + slope^2)) for leaky_relu, 3/4 for selu. ValueError for an unknown name."""
    if nonlinearity in ("linear", "sigmoid", *(f"conv{t}{d}d" for t in ("", "_transpose") for d in (1, 2, 3))):
        return 1.0
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else float(param)
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity == "selu":
        return 3.0 / 4
    raise ValueError(f"[calculate_gain] nonlinearity must be a known name such as 'relu' or 'tanh', got {nonlinearity!r}")


def _fans(op, tensor):
    """(fan in, fan out): inputs and outputs of one unit, times the kernel's positions."""
    if tensor.ndim < 2:
        raise ValueError(f"[{op}] tensor must have at least 2 dimensions, got {tensor.shape}")
    positions = math.prod(tensor.shape[2:])
    return tensor.shape[1] * positions, tensor.shape[0] * positions


def uniform_(tensor, a=0.0, b=1.0, generator=None):
    """Uniform on [a, b)."""
    with no_grad():
        return random.uniform_(tensor, a, b, generator=generator)


def normal_(tensor, mean=0.0, std=1.0, generator=None):
    """Normal."""
    with no_grad():
        return random.normal_(tensor, mean, std, generator=generator)


def constant_(tensor, val):
    """`val` everywhere."""
    with no_grad():
        return tensor.fill_(val)


def ones_(tensor):
    """Ones."""
    return constant_(tensor, 1.0)


def zeros_(tensor):
    """Zeros."""
    return constant_(tensor, 0.0)


def eye_(tensor):
    """The identity, for a matrix."""
    if tensor.ndim != 2:
        raise ValueError(f"[eye_] tensor must have 2 dimensions, got {tensor.shape}")
    with no_grad():
        return tensor.copy_(creation.eye(*tensor.shape, dtype=tensor.dtype, device=tensor))


def xavier_uniform_(tensor, gain=1.0, generator=None):
    """Uniform with variance gain^2 2 / (fan_in + fan_out) (Glorot and Bengio 2010)."""
    bound = gain * math.sqrt(6.0 / sum(_fans("xavier_uniform_", tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor, gain=1.0, generator=None):
    """Normal with variance gain^2 2 / (fan_in + fan_out) (Glorot and Bengio 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(_fans("xavier_normal_", tensor))), generator)


def _kaiming_std(op, tensor, a, mode, nonlinearity):
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"[{op}] mode must be 'fan_in' or 'fan_out', got {mode!r}")
    fan = _fans(op, tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan) if fan else 0.0


def kaiming_uniform_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", generator=None):
    """Uniform with variance gain^2 / fan (He et al. 2015); `a` is leaky_relu's slope."""
    bound = math.sqrt(3.0) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", generator=None):
    """Normal with variance gain^2 / fan (He et al. 2015); `a` is leaky_relu's slope."""
    return normal_(tensor, 0.0, _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity), generator)


def trunc_normal_(tensor, mean=0.0, std=1.0, a=-2.0, b=2.0, generator=None):
    """Normal, limited to [a, b] by drawing those outside again."""
    with no_grad():
        x = creation.empty(tensor.shape, dtype=creation.tensor(0.0).dtype)
        values = np.array(random.normal_(x, mean, std, generator=generator))
        while True:
            outside = (values < a) | (values > b)
            if not outside.any():
                return tensor.copy_(creation.from_numpy(values))
            values[outside] = np.array(random.normal_(x, mean, std, generator=generator))[outside]


def orthogonal_(tensor, gain=1, generator=None):
    """A (semi-)orthogonal matrix over the first and all other dimensions, times gain (Saxe et al. 2014)."""
    if tensor.ndim < 2:
        raise ValueError(f"[orthogonal_] tensor must have at least 2 dimensions, got {tensor.shape}")
    rows = tensor.shape[0]
    cols = tensor.numel() // max(rows, 1)
    flat = np.asarray(random.randn(max(rows, cols), min(rows, cols), dtype=creation.tensor(0.0).dtype, generator=generator))
    q, r = np.linalg.qr(flat.astype(np.float64))
    q *= np.sign(np.diag(r))  # uniform over all orthogonal matrices
    q = q.T if rows < cols else q
    with no_grad():
        return tensor.copy_(creation.from_numpy(np.ascontiguousarray(q * gain)).reshape(tensor.shape))


def sparse_(tensor, sparsity, std=0.01, generator=None):
    """Normal, with a share `sparsity` of each column set to zero (Martens 2010)."""
    if tensor.ndim != 2:
        raise ValueError(f"[sparse_] tensor must have 2 dimensions, got {tensor.shape}")
    rows, cols = tensor.shape
    zeros = math.ceil(sparsity * rows)
    normal_(tensor, 0.0, std, generator)
    values = np.array(tensor.detach())
    for c in range(cols):
        values[np.asarray(random.randperm(rows, generator=generator))[:zeros], c] = 0
    with no_grad():
        return tensor.copy_(creation.from_numpy(values))


def dirac_(tensor, groups=1):
    """Kernels that pass each channel on as it is: 1 at the centre of kernel (i, i) within each group."""
    if tensor.ndim not in (3, 4, 5) or tensor.shape[0] % groups:
        raise ValueError(f"[dirac_] tensor must be a kernel of 3 to 5 dimensions with channels in {groups} groups, got {tensor.shape}")
    values = np.zeros(tensor.shape)
    per = tensor.shape[0] // groups
    centre = tuple(s // 2 for s in tensor.shape[2:])
    for g in range(groups):
        for i in range(min(per, tensor.shape[1])):
            values[(g * per + i, i, *centre)] = 1
    with no_grad():
        return tensor.copy_(creation.from_numpy(values))


def lsuv_(module, input, std=1.0, tol=0.05, max_iter=10, orthogonal=True):
    """Layer-sequential unit-variance (Mishkin and Matas 2016): linear and convolution layers, in the order in which
    module(input) calls them, get an orthogonal weight and a bias of zero, and are scaled until their output over this batch
    has deviation `std`, to a share `tol`, or max_iter times. orthogonal=False keeps the weights' directions. The module comes back.
    """
    from .conv import _Conv
    from .linear import Linear

    layers = [m for m in module.modules() if isinstance(m, (Linear, _Conv))]
    order = []
    handles = [m.register_forward_pre_hook(lambda m, args: order.append(m)) for m in layers]
    inputs = tuple(input) if isinstance(input, (tuple, list)) else (input,)
    with no_grad():
        module(*inputs)
        for handle in handles:
            handle.remove()
        for layer in dict.fromkeys(order):
            if orthogonal:
                orthogonal_(layer.weight)
            if layer.bias is not None:
                zeros_(layer.bias)
            seen = []
            with layer.register_forward_hook(lambda m, args, y, seen=seen: seen.append(float(y.float().std(unbiased=False)))):
                for _ in range(max_iter):
                    seen.clear()
                    module(*inputs)
                    if seen[0] == 0 or abs(seen[0] / std - 1) <= tol:
                        break
                    layer.weight.mul_(std / seen[0])
    return module
