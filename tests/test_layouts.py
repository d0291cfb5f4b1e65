# SPDX-License-Identifier: MIT
"""An op must not care how its arguments lie in memory: every layout gives what a contiguous copy gives, both ways."""

import functools

import numpy as np
import pytest

import lamella
from harness import CASES, ISAS, Call, bits, check_close, leaves_of, running, to_numpy, to_tensor, tolerance


def transposed(x: np.ndarray) -> lamella.Tensor:
    """Dimensions laid out in reverse order."""
    order = tuple(reversed(range(x.ndim)))
    return to_tensor(x.transpose(order), DTYPE).permute(order)


def last(x: np.ndarray) -> lamella.Tensor:
    """Adjacent channels: (N, C, ...) of which C varies fastest, and a part of the channels of something larger."""
    wide = np.full((x.shape[0], *x.shape[2:], x.shape[1] + 3), 7, x.dtype)
    wide[..., 2:-1] = np.moveaxis(x, 1, -1)
    whole = to_tensor(wide, DTYPE)
    return whole.permute(0, x.ndim - 1, *range(1, x.ndim - 1))[:, 2:-1]


def stepped(x: np.ndarray) -> lamella.Tensor:
    """Every other element of the last dimension of something larger."""
    wide = np.full((*x.shape[:-1], 2 * x.shape[-1] + 1), 7, x.dtype)
    wide[..., 1::2] = x
    return to_tensor(wide, DTYPE)[..., 1::2]


def offset(x: np.ndarray) -> lamella.Tensor:
    """One element past the start of its storage: contiguous, but not aligned."""
    flat = np.concatenate([np.zeros(1, x.dtype), x.reshape(-1)])
    return to_tensor(flat, DTYPE)[1:].reshape(x.shape)


def expanded(x: np.ndarray) -> lamella.Tensor:
    """The first row of the first dimension, stretched over all of it (stride 0)."""
    return to_tensor(x[:1], DTYPE).expand(x.shape)


DTYPE = "float32"
LAYOUTS = {"transposed": transposed, "last": last, "stepped": stepped, "offset": offset, "expanded": expanded}


def fits(name: str, shape: tuple[int, ...], floating: bool) -> bool:
    if 0 in shape or not shape or (name == "expanded" and not floating):
        return False
    return len(shape) >= {"transposed": 2, "expanded": 2, "last": 3}.get(name, 1)


def points():
    for case in CASES:
        if case.layouts and DTYPE in case.dtypes:
            for index in range(len(case.samples)):
                leaves = leaves_of(case, index)
                for layout in LAYOUTS:
                    if any(fits(layout, x.shape, x.floating) for x in leaves):
                        yield pytest.param(case, index, layout, id=f"{case.op}-{index}-{DTYPE}-{layout}-cpu")


@functools.lru_cache(maxsize=2)
def expected(number: int, index: int, first_rows: bool):
    """The call, its results and its gradients on plain arrays; with `first_rows` each is its first row, repeated."""
    call = Call(CASES[number], index, DTYPE)
    if first_rows:
        call.leaves = [np.repeat(x[:1], x.shape[0], 0) if fitting("expanded", x) else x for x in call.leaves]
    wanted = [to_numpy(y) if isinstance(y, lamella.Tensor) else y for y in call.forward()]
    if not (call.case.grad and any(call.differentiable)):
        return call, wanted, None
    gradients = call.gradients(call.tensors(grad=True))
    return call, wanted, [g if g is None else to_numpy(g) for g in gradients]


def fitting(name: str, x: np.ndarray) -> bool:
    return fits(name, x.shape, x.dtype.kind == "f")


@pytest.mark.parametrize(("case", "index", "layout"), list(points()))
def test_layouts(case, index, layout):
    call, wanted, gradients = expected(CASES.index(case), index, layout == "expanded")

    def laid_out(x: np.ndarray) -> lamella.Tensor:
        return LAYOUTS[layout](x) if fitting(layout, x) else to_tensor(x, DTYPE)

    tol = tolerance(case, DTYPE)
    for got, want in zip(call.forward([laid_out(x) for x in call.leaves]), wanted, strict=True):
        if isinstance(got, lamella.Tensor):
            check_close(to_numpy(got), want, DTYPE, tol)
        else:
            assert got == want

    if gradients is not None:
        odd = [laid_out(x) for x in call.leaves]
        for t, differentiable in zip(odd, call.differentiable, strict=True):
            t.requires_grad_(differentiable)
        skewed = transposed if layout == "transposed" else None
        got = call.gradients(odd, layout=(lambda t: skewed(t.numpy())) if skewed else (lambda t: t))
        for g, w in zip(got, gradients, strict=True):
            assert (g is None) == (w is None)
            if w is not None:
                check_close(to_numpy(g), w, DTYPE, 4 * tol, "gradient")


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize(("shape", "turned"), [((513, 200), False), ((770, 193), False), ((192, 600), True), ((2, 520, 200), False)])
def test_a_product_with_its_own_transpose_has_the_bits_of_any_other(shape, turned, dtype):
    """Of x x^T half is computed."""
    x = lamella.randn(*shape, generator=lamella.Generator(3)).to(getattr(lamella, dtype))
    x = x.mT if turned else x
    x[..., 7, 5] = float("inf")
    y = x @ x.mT
    assert bits(y) == bits(x @ x.clone().mT)
    assert bits(y) == bits(y.mT.contiguous())


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_padding_of_any_dtype_and_dimensions(mode, isa):
    """Rows shorter and longer than a vector, dimensions between padded ones, empty ones, layouts."""
    named = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode]
    rng = np.random.default_rng(0)
    with running(isa):
        for dtype in ("uint8", "bool", "int16", "int32", "int64", "float16", "float32", "float64"):
            for shape, widths in (
                ((5,), (3, 1)),
                ((70,), (0, 4)),
                ((3, 4, 33), (2, 1, 0, 0, 1, 2)),
                ((2, 3, 4, 5, 16), (1, 1, 0, 0, 2, 0)),
                ((4, 3, 200), (0, 0, 1, 1)),
                ((2, 70_001), (300, 7)),
                ((2, 70_001), (70, 0, 1, 0)),
            ):
                x = rng.integers(0, 2 if dtype == "bool" else 100, shape).astype(dtype)
                pairs = [(widths[2 * i], widths[2 * i + 1]) for i in range(len(widths) // 2)][::-1]
                pairs = [(0, 0)] * (x.ndim - len(pairs)) + pairs
                extra = {"constant_values": 1} if mode == "constant" else {}
                want = np.pad(x, pairs, mode=named, **extra)
                for t in (lamella.tensor(x), lamella.tensor(np.ascontiguousarray(x.T)).permute(*range(x.ndim)[::-1])):
                    got = lamella.nn.functional.pad(t, widths, mode=mode, value=1 if mode == "constant" else None)
                    assert got.dtype == t.dtype and np.array_equal(got.numpy(), want)
        if mode == "constant":
            assert (lamella.nn.functional.pad(lamella.zeros(2, 0), (1, 2), value=4) == 4).all()
            assert lamella.nn.functional.pad(lamella.zeros(0, 3), (1, 1)).shape == (0, 5)
            assert lamella.nn.functional.pad(lamella.tensor(2.0), ()).item() == 2
        else:
            empty = lamella.nn.functional.pad(lamella.zeros(0, 3), (1, 1, 0, 0), mode=mode)
            assert empty.shape == (0, 5)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int64"])
def test_running_sums_and_products_of_a_row_alone(dtype, isa):
    """A row of a batch has the bits it has alone."""
    x = (lamella.randn(70, 40, generator=lamella.Generator(3)) * 3).to(getattr(lamella, dtype))
    with running(isa):
        for n in (1, 3, 9, 12, 13, 33, 40):
            for f in (lamella.cumsum, lamella.cumprod, lamella.logcumsumexp)[: 2 if dtype == "int64" else 3]:
                y = f(x[:, :n].contiguous(), 1)
                for r in (0, 7, 69):
                    assert bits(y[r : r + 1]) == bits(f(x[r : r + 1, :n].contiguous(), 1)), (f.__name__, n)


@pytest.mark.parametrize("isa", ISAS)
def test_running_values_overflow_where_they_do(isa):
    with running(isa), np.errstate(over="ignore"):
        for n in (8, 16, 40):
            x = np.ones(n)
            x[:3] = 1e-300, 1e200, 1e200
            s = np.resize([-1e308, 1e308, 1e308, 0.0, -1e308], n)
            for rows in (1, 5):
                many = np.tile(x, (rows, 1)), np.tile(s, (rows, 1))
                np.testing.assert_allclose(lamella.tensor(many[0]).cumprod(1).numpy(), many[0].cumprod(1), rtol=1e-14)
                np.testing.assert_allclose(lamella.tensor(many[1]).cumsum(1).numpy(), many[1].cumsum(1), rtol=1e-14)
