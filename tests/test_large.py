# SPDX-License-Identifier: MIT
"""Results that the caches do not hold are written past them: the same bits as those of pieces that they hold."""

import numpy as np
import pytest

import lamella
from harness import ISAS, running

N = (8 << 20) + 40037  # float32: past 32 MiB, with a part of a vector at the end
PIECE = 1 << 18

OPS = {
    "relu": lambda a, b: a.relu(),
    "exp": lambda a, b: a.exp(),
    "sigmoid": lambda a, b: a.sigmoid(),
    "add": lambda a, b: a + b,
    "number": lambda a, b: a * 1.5,
    "lerp": lambda a, b: lamella.lerp(a, b, 0.25),
    "where": lambda a, b: lamella.where(a > 0, a, b),
    "clone": lambda a, b: a.clone(),
    "int": lambda a, b: a.int(),
    "double": lambda a, b: a.double(),
    "whole": lambda a, b: a.int() + b.int(),
}


@pytest.fixture(scope="module")
def operands():
    lamella.manual_seed(3)
    return lamella.randn(N), lamella.randn(N)


def pieces(f, a, b):
    return np.concatenate([f(a[i : i + PIECE], b[i : i + PIECE]).numpy() for i in range(0, len(a), PIECE)])


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("op", OPS)
def test_large_results(op, isa, operands):
    f = OPS[op]
    with running(isa):
        got = f(*operands).numpy()
        want = pieces(f, *operands)
    assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("isa", ISAS)
def test_large_float64(isa, operands):
    a, b = (x[: N // 2 + 1].double() for x in operands)
    with running(isa):
        for f in (lambda a, b: a.relu(), lambda a, b: a - b):
            assert f(a, b).numpy().tobytes() == pieces(f, a, b).tobytes()


@pytest.mark.parametrize("isa", ISAS)
def test_large_layouts(isa, operands):
    """Rows that start anywhere in a line, operands that repeat, an output that is not aligned."""
    a, b = operands
    m, row = a[: 2899 * 2899].view(2899, 2899)[:, 1:], b[:2898]
    column = b[:2899].view(-1, 1)
    with running(isa):
        x, r, c = m.numpy(), row.numpy(), column.numpy()
        assert np.array_equal((m + row).numpy(), x + r)
        assert np.array_equal((m * column).numpy(), x * c)
        assert np.array_equal(m.relu().numpy(), np.maximum(x, 0))
        assert np.array_equal(m.contiguous().numpy(), x)
        assert np.array_equal(column.expand(2899, 2900).contiguous().numpy(), np.repeat(c, 2900, 1))
        assert np.array_equal(a.flip(0).numpy(), a.numpy()[::-1])
        assert np.array_equal((a * b.flip(0)).numpy(), a.numpy() * b.numpy()[::-1])
        out = lamella.empty(N + 1)
        out[1:].copy_(a)
        assert np.array_equal(out[1:].numpy(), a.numpy())


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("value", [0, 3])
def test_large_fills(value, isa):
    with running(isa):
        x = lamella.empty(N)
        x[1:-1].fill_(value)  # starts and ends within a line
        x[0] = x[-1] = 7
        assert (lamella.full((N,), value) == value).all()
    got = x.numpy()
    assert got[0] == got[-1] == 7 and (got[1:-1] == value).all()


@pytest.mark.parametrize("first", [0, 1, 5])
def test_large_results_from_an_offset(first):
    n = np.random.default_rng(0).standard_normal(8_400_013, dtype=np.float32)
    x, n = lamella.tensor(n)[first:], n[first:]
    np.testing.assert_array_equal(x.relu().numpy(), np.maximum(n, 0))
    np.testing.assert_array_equal((x + 1.5).numpy(), n + np.float32(1.5))
    np.testing.assert_array_equal((x * x.flip(0)).numpy(), n * n[::-1])
    np.testing.assert_allclose(lamella.addcmul(x, x, x, value=0.5).numpy(), n + np.float32(0.5) * n * n, rtol=1e-6, atol=1e-6)
    x += x
    np.testing.assert_array_equal(x.numpy(), 2 * n)


@pytest.mark.parametrize("isa", ISAS)
def test_large_random(isa, operands):
    """Large fills and dropout take the numbers that small ones do."""
    with running(isa):
        for f in (lamella.rand, lamella.randn):
            large, small = (f(n, generator=lamella.Generator(5)) for n in (N, 4099))
            assert np.array_equal(large[:4096].numpy(), small[:4096].numpy())
            assert np.isfinite(large.numpy()).all() and large.std() > 0.2
        lamella.manual_seed(5)
        kept = lamella.nn.functional.dropout(operands[0], 0.25)
        x = operands[0].numpy()
        y = kept.numpy()
        np.testing.assert_allclose(y[y != 0], x[y != 0] / 0.75, rtol=1e-6)
        assert abs((y == 0).mean() - 0.25) < 0.001
