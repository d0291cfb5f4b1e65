# SPDX-License-Identifier: MIT
"""3x3 convolution by Winograd's algorithm against the same by plain sums."""

import contextlib

import numpy as np
import pytest

import lamella
from harness import running
from lamella import _core
from lamella.nn import functional as F

SHAPES = [  # images, channels, filters, height, width, padding
    (2, 16, 16, 12, 13, 1),
    (3, 32, 64, 30, 9, 0),
    (1, 64, 48, 33, 40, 2),
    (9, 48, 80, 7, 7, 1),
    (1, 112, 128, 49, 52, 1),  # the weight gradient in several rounds
    (2, 256, 288, 7, 6, 1),  # by panels of filters
]
ISAS = _core.isas()


@contextlib.contextmanager
def plain():
    lamella.backends.cpu.winograd = False
    try:
        yield
    finally:
        lamella.backends.cpu.winograd = True


def tensors(shape, last=False, seed=0):
    n, c, k, h, w, _ = shape
    rng = np.random.default_rng(seed)
    x = lamella.tensor(rng.standard_normal((n, c, h, w)).astype(np.float32))
    f = lamella.tensor((rng.standard_normal((k, c, 3, 3)) / 3 / c**0.5).astype(np.float32))
    return (x.contiguous(memory_format=lamella.channels_last) if last else x), f, lamella.tensor(rng.standard_normal(k).astype(np.float32))


def results(x, f, b, padding):
    """y, and the gradients of x and f under y's own values."""
    x, f = x.detach().requires_grad_(), f.detach().requires_grad_()
    y = F.conv2d(x, f, b, padding=padding)
    y.backward(lamella.sin(y.detach() * 3))
    return y.detach().numpy(), x.grad.numpy(), f.grad.numpy()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_agrees_with_plain_sums(shape, last, isa):
    with running(isa):
        operands = tensors(shape, last)
        found = results(*operands, shape[-1])
        with plain():
            wanted = results(*operands, shape[-1])
    for name, a, b in zip(("y", "dx", "df"), found, wanted, strict=True):
        assert np.abs(a - b).max() <= 1e-5 * np.abs(b).max(), name
        assert a.tobytes() != b.tobytes(), f"{name} was computed plainly"


@pytest.mark.parametrize("shape", SHAPES[:3])
def test_errors_are_a_few_times_those_of_plain_sums(shape):
    operands = tensors(shape)
    exact = results(*(t.double() for t in operands), shape[-1])

    def error(got):
        return [np.sqrt(np.square(a - b).mean()) for a, b in zip(got, exact, strict=True)]

    found = error(results(*operands, shape[-1]))
    with plain():
        for name, a, b in zip(("y", "dx", "df"), found, error(results(*operands, shape[-1])), strict=True):
            assert a < 5 * b, name


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_same_bits_on_any_number_of_threads(threads):
    before = lamella.get_num_threads()
    operands = [tensors(s) for s in SHAPES]
    wanted = [results(*t, s[-1]) for t, s in zip(operands, SHAPES, strict=True)]
    lamella.set_num_threads(threads)
    try:
        for t, s, w in zip(operands, SHAPES, wanted, strict=True):
            assert [a.tobytes() for a in results(*t, s[-1])] == [a.tobytes() for a in w]
    finally:
        lamella.set_num_threads(before)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3e38])
def test_what_is_not_finite_stays_where_it_is(value, last, isa):
    """One such pixel, weight or gradient reaches what it reaches in plain sums, and no more: then all is done plainly."""
    x, f, b = tensors((2, 32, 32, 14, 15, 1), last)
    x[1, 3, 6, 7] = value
    dy = lamella.ones(2, 32, 14, 15)
    dy[0, 5, 2, 2] = value

    def convolve():
        return [
            F.conv2d(x, f, b, padding=1),
            _core.conv_input_grad(dy, f, x.shape, (1, 1), (1, 1), (1, 1), 1, None),
            _core.conv_weight_grad(dy, x, f.shape, (1, 1), (1, 1), (1, 1), 1, False)[0],
        ]

    with running(isa):
        found = convolve()
        with plain():
            wanted = convolve()
    assert [y.numpy().tobytes() for y in found] == [y.numpy().tobytes() for y in wanted]
    y = found[0].isfinite().numpy()
    seen = np.zeros_like(y)
    seen[1, :, 5:8, 6:9] = True
    assert y[~seen].all()


def test_the_switch():
    assert lamella.backends.cpu.winograd is True
    with plain():
        assert lamella.backends.cpu.winograd is False
