# SPDX-License-Identifier: MIT
"""Random numbers: counter-based (Philox 4x32-10, Salmon et al. 2011), so the same on any number of threads.

A generator is a seed and the number of its next stream; every call below takes one stream, and element i of a result is
a function of (seed, stream, i) alone.
"""

from __future__ import annotations

import contextlib
import math
import os

from .. import _core
from .._numpy import np
from ..autograd import prepare_inplace, record
from ..device import place_of
from .creation import _finish, _shape, get_default_dtype
from .layout import like, preserve_format

__all__ = [
    "Generator",
    "alpha_dropout",
    "bernoulli",
    "bernoulli_",
    "cauchy_",
    "default_generator",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "exponential_",
    "feature_alpha_dropout",
    "fork_rng",
    "geometric_",
    "get_rng_state",
    "initial_seed",
    "log_normal_",
    "manual_seed",
    "multinomial",
    "normal",
    "normal_",
    "poisson",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "random_",
    "randperm",
    "seed",
    "set_rng_state",
    "stochastic_depth",
    "uniform_",
]


class Generator(_core.Generator):
    """A stream of random numbers of its own.

    >>> g = lamella.Generator().manual_seed(0)
    >>> a = lamella.rand(3, generator=g)
    >>> g = g.manual_seed(0)
    >>> lamella.equal(a, lamella.rand(3, generator=g))
    True
    """

    def __init__(self, device="cpu"):
        super().__init__()
        from ..device import device as device_of

        self._device = device_of(device)

    @property
    def device(self):
        """What it was made for: numbers are a function of seed and stream, the same on every device."""
        return self._device

    def manual_seed(self, seed: int) -> Generator:
        """Starts again from `seed` (64 bits)."""
        self._seed, self._stream = int(seed) % 2**64, 0
        return self

    def initial_seed(self) -> int:
        """The seed it was started from."""
        return self._seed

    def seed(self) -> int:
        """Starts again from a seed of the system's, which is returned."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little"))
        return self._seed

    def get_state(self):
        """All there is, seed and next stream, as a Tensor of 16 bytes (uint8)."""
        return _packed(self)

    def set_state(self, new_state):
        """Takes over what `get_state()` gave."""
        _unpack(self, new_state)
        return self

    def clone_state(self) -> Generator:
        """A generator that goes on like this one."""
        other = Generator()
        other._seed, other._stream = self._seed, self._stream
        return other

    def __reduce__(self):
        return _generator, (self._seed, self._stream)


def _generator(seed, stream):
    g = Generator()
    g._seed, g._stream = seed, stream
    return g


def _packed(generator):
    return _core.copy(_core.from_numpy(np.array([generator._seed, generator._stream], np.uint64).view(np.uint8)))


def _unpack(generator, state):
    if isinstance(state, _core.TensorBase):
        state = _core.to_numpy(_core.contiguous(state))
        if state.dtype != np.uint8 or state.size != 16:
            raise TypeError(f"[set_state] new_state must be the 16 bytes of get_state(), got {state.dtype} {state.shape}")
        state = state.view(np.uint64)
    generator._seed, generator._stream = int(state[0]), int(state[1])


for _name in ("manual_seed", "initial_seed", "seed", "get_state", "set_state", "clone_state", "device", "__reduce__"):
    setattr(_core.Generator, _name, getattr(Generator, _name))  # the default one is made in the extension
default_generator = _core.default_generator()


def manual_seed(seed: int):
    """Starts the default generator again from `seed`."""
    Generator.manual_seed(default_generator, seed)
    return default_generator


def initial_seed() -> int:
    """The seed of the default generator."""
    return default_generator._seed


def seed() -> int:
    """Starts the default generator from a seed of the system's, which is returned."""
    manual_seed(int.from_bytes(os.urandom(8), "little"))
    return default_generator._seed


def get_rng_state():
    """The state of the default generator: a Tensor of 16 bytes (uint8)."""
    return _packed(default_generator)


def set_rng_state(new_state) -> None:
    """Takes over what `get_rng_state()` gave."""
    _unpack(default_generator, new_state)


@contextlib.contextmanager
def fork_rng(devices=None, enabled=True):
    """Inside, the default generator starts where it was; afterwards it is there again, whatever was drawn."""
    before = default_generator._seed, default_generator._stream
    try:
        yield
    finally:
        if enabled:
            default_generator._seed, default_generator._stream = before


def _new(fill, size, dtype, device, requires_grad, generator, p0, p1):
    x = _core.empty(size, dtype, place_of(device))
    fill(x, p0, p1, generator or default_generator)
    return _finish(x, requires_grad)


def rand(*size, generator=None, dtype=None, device=None, requires_grad=False):
    """Uniform on [0, 1), of shape `size`."""
    return _new(_core.uniform_, _shape(size), dtype or get_default_dtype(), device, requires_grad, generator, 0.0, 1.0)


def randn(*size, generator=None, dtype=None, device=None, requires_grad=False):
    """Standard normal (Box-Muller), of shape `size`."""
    return _new(_core.normal_, _shape(size), dtype or get_default_dtype(), device, requires_grad, generator, 0.0, 1.0)


def _check_bounds(low, high):
    if not low < high:
        raise ValueError(f"[randint] low must lie below high, got {low} and {high}")


def randint(low, high=None, size=None, *, generator=None, dtype=None, device=None):
    """Integers in [low, high), or [0, low) where only one bound is given: `randint(10, (2, 3))`."""
    if size is None:
        low, high, size = 0, low, high
    _check_bounds(low, high)
    return _new(_core.randint_, size, dtype or _core.int64, device, False, generator, float(low), float(high))


def _new_like(fill, input, dtype, generator, memory_format, p0, p1):
    x = like(input, dtype or input.dtype, None, memory_format)
    fill(x, p0, p1, generator or default_generator)
    return x


def rand_like(input, dtype=None, generator=None, memory_format=preserve_format):
    """Uniform on [0, 1), with the shape, dtype and layout in memory of `input`."""
    return _new_like(_core.uniform_, input, dtype, generator, memory_format, 0.0, 1.0)


def randn_like(input, dtype=None, generator=None, memory_format=preserve_format):
    """Standard normal, with the shape, dtype and layout in memory of `input`."""
    return _new_like(_core.normal_, input, dtype, generator, memory_format, 0.0, 1.0)


def randint_like(input, low, high=None, dtype=None, generator=None, memory_format=preserve_format):
    """Integers in [low, high) (or [0, low)), with the shape, dtype and layout in memory of `input`."""
    low, high = (0, low) if high is None else (low, high)
    _check_bounds(low, high)
    return _new_like(_core.randint_, input, dtype, generator, memory_format, float(low), float(high))


def randperm(n, *, generator=None, dtype=None, device=None):
    """A random order of 0 .. n-1 (int64)."""
    p = _core.randperm(n, generator or default_generator, place_of(device))
    return p if dtype is None or dtype is _core.int64 else _core.cast(p, dtype)


def normal(mean, std, size=None, *, generator=None, dtype=None):
    """Normal numbers: of `size` for number arguments, else one per element of the broadcast mean and std."""
    if size is not None:
        return _new(_core.normal_, size, dtype or get_default_dtype(), None, False, generator, float(mean), float(std))
    like = mean + 0 * std
    return randn(like.shape, dtype=like.dtype, device=like, generator=generator) * std + mean


def bernoulli(input, *, generator=None):
    """1 with chance `input` (elementwise, each in [0, 1]), else 0; same dtype. No gradient."""
    return (rand(input.shape, dtype=_core.float32, device=input, generator=generator) < input.detach()).to(input.dtype)


def multinomial(input, num_samples, replacement=False, *, generator=None):
    """`num_samples` indices per row of weights `input` (n) or (rows, n), drawn in proportion to them."""
    return _core.multinomial(input, num_samples, replacement, generator or default_generator)


def uniform_(input, a=0.0, b=1.0, *, generator=None):
    """Fills with uniform numbers on [a, b), in place."""
    prepare_inplace(input)
    _core.uniform_(input, a, b, generator or default_generator)
    return input


def normal_(input, mean=0.0, std=1.0, *, generator=None):
    """Fills with normal numbers, in place."""
    prepare_inplace(input)
    _core.normal_(input, mean, std, generator or default_generator)
    return input


def bernoulli_(input, p=0.5, *, generator=None):
    """Fills with ones (chance p) and zeros, in place."""
    prepare_inplace(input)
    _core.bernoulli_(input, p, generator or default_generator)
    return input


def random_(input, low=0, high=None, *, generator=None):
    """Fills with integers in [low, high), in place: random_(high) from 0; without bounds all the dtype holds exactly."""
    if high is None and low:
        low, high = 0, low
    if high is None:
        name = input.dtype.name
        exact = {"float64": 2**53 + 1, "float32": 2**24 + 1, "float16": 2**11 + 1, "bfloat16": 2**8 + 1, "bool": 2}
        high = exact[name] if name in exact else 2 ** (8 * input.dtype.itemsize - input.dtype.is_signed)
    prepare_inplace(input)
    _core.randint_(input, float(low), float(high), generator or default_generator)
    return input


def _open_uniform(input, generator):
    """Uniform on (0, 1] of input's shape, float64 for float64."""
    wide = _core.float64 if input.dtype is _core.float64 else _core.float32
    return 1 - rand(input.shape, dtype=wide, device=input, generator=generator)


def _fill(input, values):
    prepare_inplace(input)
    _core.copy_(input, values)
    input._bump()
    return input


def exponential_(input, lambd=1, *, generator=None):
    """Fills with exponential numbers of rate lambd, in place: -log(u) / lambd."""
    return _fill(input, -_core.log(_open_uniform(input, generator)) / lambd)


def geometric_(input, p, *, generator=None):
    """Fills with the number of trials of chance p up to the first success, in place: ceil(log(u) / log(1 - p))."""
    if not 0 < p < 1:
        raise ValueError(f"[geometric_] p must be in (0, 1), got {p}")
    return _fill(input, _core.maximum(_core.ceil(_core.log(_open_uniform(input, generator)) / math.log1p(-p)), 1.0))


def cauchy_(input, median=0, sigma=1, *, generator=None):
    """Fills with Cauchy numbers, in place: median + sigma tan(pi (u - 1/2))."""
    return _fill(input, _core.tan((_open_uniform(input, generator) - 0.5) * math.pi) * sigma + median)


def log_normal_(input, mean=1, std=2, *, generator=None):
    """Fills with e to the power of normal numbers, in place."""
    normal = randn(input.shape, dtype=_core.promote(input.dtype, _core.float32), device=input, generator=generator)
    return _fill(input, _core.exp(normal * std + mean))


def poisson(input, generator=None):
    """A Poisson number of each element's rate, of its dtype: inversion below 10, transformed rejection (Hoermann 1993)
    above. No gradient. ValueError for rates outside [0, 2^53]."""
    return _core.poisson(input, generator or default_generator).to(input)


# ---- dropout -----------------------------------------------------------------------------------------------------------
def _check_p(op, p):
    if not 0 <= p <= 1:
        raise ValueError(f"[{op}] p must be in [0, 1], got {p}")


def _dropout(input, p, block, seed, stream, last=False):
    y = _core.dropout(input, p, block, seed, stream, last)
    return record(y, dropout_vjp, (input,), (p, block, seed, stream, last))


def dropout_vjp(node, dy):
    """Dropout is linear in its input: the same stream on dy."""
    return (_dropout(dy, *node.ctx),)


def _drop(op, input, p, training, inplace, block):
    _check_p(op, p)
    if not training or p == 0 or input.numel() == 0:
        return input
    g = default_generator
    stream = g._stream
    g._stream = stream + 1
    y = _dropout(input, float(p), block, g._seed, stream, input._is_channels_last())
    return input.copy_(y) if inplace else y


def dropout(input, p=0.5, training=True, inplace=False):
    """Each element is zeroed with chance p, the others scaled by 1 / (1 - p) (Srivastava et al. 2014). The mask is not
    stored: backward makes it again from the stream. ValueError unless 0 <= p <= 1."""
    return _drop("dropout", input, p, training, inplace, 1)


def _channels(op, input, dims):
    if input.ndim not in (dims + 1, dims + 2):
        raise ValueError(f"[{op}] input must have {dims + 1} or {dims + 2} dimensions, got {input.shape}")
    block = 1
    for s in input.shape[input.ndim - dims :]:
        block *= s
    return block


def dropout1d(input, p=0.5, training=True, inplace=False):
    """Dropout of whole channels of (N, C, L) or (C, L)."""
    return _drop("dropout1d", input, p, training, inplace, _channels("dropout1d", input, 1))


def dropout2d(input, p=0.5, training=True, inplace=False):
    """Dropout of whole channels of (N, C, H, W) or (C, H, W) (Tompson et al. 2015)."""
    return _drop("dropout2d", input, p, training, inplace, _channels("dropout2d", input, 2))


def dropout3d(input, p=0.5, training=True, inplace=False):
    """Dropout of whole channels of (N, C, D, H, W) or (C, D, H, W)."""
    return _drop("dropout3d", input, p, training, inplace, _channels("dropout3d", input, 3))


_ALPHA = -1.7580993408473766  # -scale * alpha of SELU


def alpha_dropout(input, p=0.5, training=False, inplace=False):
    """Dropout that keeps mean and variance of SELU's outputs (Klambauer et al. 2017): dropped elements become
    alpha' = -1.7580993408473766, then a x + b with a = ((1 - p)(1 + p alpha'^2))^-1/2 and b = -a p alpha'."""
    return _alpha_drop("alpha_dropout", input, p, training, inplace, input.shape)


def feature_alpha_dropout(input, p=0.5, training=False, inplace=False):
    """`alpha_dropout` of whole channels of (N, C, ...)."""
    if input.ndim < 2:
        raise ValueError(f"[feature_alpha_dropout] input must have at least 2 dimensions, got {tuple(input.shape)}")
    shape = (*input.shape[:2], *(1,) * (input.ndim - 2))
    return _alpha_drop("feature_alpha_dropout", input, p, training, inplace, shape)


def _alpha_drop(op, input, p, training, inplace, shape):
    _check_p(op, p)
    if not training or p == 0:
        return input
    if p == 1:
        return input.mul_(0) if inplace else input * 0
    a = ((1 - p) * (1 + p * _ALPHA * _ALPHA)) ** -0.5
    keep = (rand(shape, dtype=_core.float32, device=input) >= p).to(input.dtype)
    y = (input * keep + (1 - keep) * _ALPHA) * a - a * p * _ALPHA
    return input.copy_(y) if inplace else y


def stochastic_depth(input, p, mode, training=True):
    """A residual branch dropped with chance p, scaled by 1 / (1 - p) where kept (Huang et al. 2016): all of it (mode
    "batch"), or each sample by itself ("row")."""
    if mode not in ("batch", "row"):
        raise ValueError(f"[stochastic_depth] mode must be 'batch' or 'row', got {mode!r}")
    if input.ndim == 0:
        raise ValueError("[stochastic_depth] input must have at least 1 dimension, got ()")
    block = input.numel() if mode == "batch" else input.numel() // max(input.shape[0], 1)
    return _drop("stochastic_depth", input, p, training, False, block)
