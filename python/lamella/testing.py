# SPDX-License-Identifier: MIT
"""Checks for users' own ops and models: gradients against finite differences, tensors against tensors.

Names, arguments and defaults are those of torch.autograd.gradcheck and torch.testing.assert_close.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .autograd import grad
from .ops.creation import from_numpy, tensor
from .tensor import Tensor

__all__ = ["GradcheckError", "assert_close", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """A gradient by backward differs from the one by finite differences."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    fast_mode: bool = False,
) -> bool:
    """Backward's gradients of func(*inputs) against central differences (f(x + eps) - f(x - eps)) / (2 eps).

    Looks at every float64 input that requires a gradient and every floating output. The full check compares each entry
    of the Jacobian: |analytic - numerical| <= atol + rtol |numerical|. `fast_mode` compares, per input, one derivative
    along a random direction of one random projection of the outputs, within atol + rtol (sum of the magnitudes of its
    terms): two calls of func per input, whatever its size. Backward run twice must agree within `nondet_tol`.

    True, or raises GradcheckError (False where not `raise_exception`). ValueError if no input qualifies.
    """
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    wanted = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
    if not wanted:
        raise ValueError("[gradcheck] inputs must have a Tensor that requires a gradient, got none")
    for i in wanted:
        if not str(inputs[i].dtype).endswith("float64"):
            raise ValueError(f"[gradcheck] input {i} must be float64 for finite differences, got {inputs[i].dtype}")
    check = _check_direction if fast_mode else _check_jacobian
    try:
        probe = _Probe(func, inputs, wanted, eps, nondet_tol)
        for i in wanted:
            check(probe, i, atol, rtol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    fast_mode: bool = False,
) -> bool:
    """gradcheck of the gradient itself, as a function of the inputs and of `grad_outputs` (random where not given)."""
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    if grad_outputs is None:
        rng = np.random.default_rng(1)
        grad_outputs = [
            from_numpy(np.asarray(rng.standard_normal(tuple(y.shape)))).requires_grad_()
            for y in _outputs(func(*inputs))
            if y.requires_grad
        ]
    elif isinstance(grad_outputs, Tensor):
        grad_outputs = [grad_outputs]

    def first(*args: Any) -> tuple[Tensor, ...]:
        xs, dys = args[: len(inputs)], args[len(inputs) :]
        ys = [y for y in _outputs(func(*xs)) if y.requires_grad]
        over = [x for x in xs if isinstance(x, Tensor) and x.requires_grad]
        return tuple(g for g in grad(ys, over, list(dys), create_graph=True, allow_unused=True) if g is not None)

    options = {"eps": eps, "atol": atol, "rtol": rtol, "raise_exception": raise_exception}
    return gradcheck(first, (*inputs, *grad_outputs), nondet_tol=nondet_tol, fast_mode=fast_mode, **options)


def _outputs(result: Any) -> list[Tensor]:
    """The floating Tensors of a result."""
    found = result if isinstance(result, list | tuple) else (result,)
    return [y for y in found if isinstance(y, Tensor) and y.dtype.is_floating_point]


def _values(t: Tensor) -> np.ndarray:
    """A copy, floats as float64 (NumPy has no bfloat16), integers as they are."""
    t = t.detach()
    x = (t.float() if str(t.dtype).endswith("bfloat16") else t).numpy()
    return x.astype(np.float64 if x.dtype.kind == "f" else x.dtype)


class _Probe:
    """func as a map between NumPy arrays, with its vector-Jacobian product by backward."""

    def __init__(
        self, func: Callable[..., Any], inputs: tuple[Any, ...], wanted: list[int], eps: float, nondet_tol: float
    ):
        self.func, self.inputs, self.wanted, self.eps, self.nondet_tol = func, inputs, wanted, eps, nondet_tol
        self.values = {i: _values(inputs[i]) for i in wanted}
        self.shapes = [y.shape for y in self.outputs({})[0]]
        self.rng = np.random.default_rng(0)

    def outputs(self, values: dict[int, np.ndarray]) -> tuple[list[np.ndarray], list[Tensor], list[Tensor]]:
        """Outputs as arrays and as Tensors, with the inputs they came from; `values` replaces some of the latter."""
        args, leaves = list(self.inputs), []
        for i in self.wanted:
            args[i] = from_numpy(np.array(values.get(i, self.values[i]))).requires_grad_()
            leaves.append(args[i])
        ys = _outputs(self.func(*args))
        return [_values(y) for y in ys], ys, leaves

    def difference(self, i: int, direction: np.ndarray) -> list[np.ndarray]:
        """d outputs / d eps for input i moved along `direction`."""
        up = self.outputs({i: self.values[i] + self.eps * direction})[0]
        down = self.outputs({i: self.values[i] - self.eps * direction})[0]
        return [(a - b) / (2 * self.eps) for a, b in zip(up, down, strict=True)]

    def backward(self, i: int, dys: list[np.ndarray]) -> np.ndarray:
        """sum over outputs of dy . Jacobian, for input i."""
        found = []
        for _ in range(2 if self.nondet_tol is not None else 1):
            _, ys, leaves = self.outputs({})
            pairs = [(y, from_numpy(np.array(dy))) for y, dy in zip(ys, dys, strict=True) if y.requires_grad]
            if not pairs:
                return np.zeros_like(self.values[i])
            (g,) = grad(
                [y for y, _ in pairs], [leaves[self.wanted.index(i)]], [dy for _, dy in pairs], allow_unused=True
            )
            found.append(np.zeros_like(self.values[i]) if g is None else _values(g))
        if np.abs(found[0] - found[-1]).max(initial=0) > self.nondet_tol:
            raise GradcheckError(f"[gradcheck] backward of input {i} is not the same twice: {found[0]} and {found[-1]}")
        return found[0]


def _check_direction(probe: _Probe, i: int, atol: float, rtol: float) -> None:
    direction = probe.rng.standard_normal(probe.values[i].shape)
    dys = [probe.rng.standard_normal(shape) for shape in probe.shapes]
    products = probe.backward(i, dys) * direction
    analytic = float(products.sum())
    numerical = float(sum((dy * d).sum() for dy, d in zip(dys, probe.difference(i, direction), strict=True)))
    if not abs(analytic - numerical) <= atol + rtol * float(np.abs(products).sum()):
        raise GradcheckError(
            f"[gradcheck] input {i}, shape {probe.values[i].shape}: the derivative along a random direction is "
            f"{analytic:.9g} by backward, {numerical:.9g} by finite differences; fast_mode=False shows where"
        )


def _check_jacobian(probe: _Probe, i: int, atol: float, rtol: float) -> None:
    x = probe.values[i]
    numerical = [np.zeros((*shape, *x.shape)) for shape in probe.shapes]
    for at in np.ndindex(x.shape):
        unit = np.zeros(x.shape)
        unit[at] = 1
        for jacobian, column in zip(numerical, probe.difference(i, unit), strict=True):
            jacobian[(..., *at)] = column
    for k, shape in enumerate(probe.shapes):
        for row in np.ndindex(*shape):
            dys = [np.zeros(s) for s in probe.shapes]
            dys[k][row] = 1
            analytic = probe.backward(i, dys)
            wrong = ~(np.abs(analytic - numerical[k][row]) <= atol + rtol * np.abs(numerical[k][row]))
            if wrong.any():
                at = tuple(map(int, np.argwhere(wrong)[0]))
                raise GradcheckError(
                    f"[gradcheck] d output {k}{list(row)} / d input {i}{list(at)} is {analytic[at]:.9g} by backward, "
                    f"{numerical[k][row][at]:.9g} by finite differences ({int(wrong.sum())} of {wrong.size} entries "
                    "of that row differ)"
                )


# torch.testing's defaults: rtol, atol
_TOLERANCES = {"float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}


def assert_close(
    actual: Any,
    expected: Any,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_dtype: bool = True,
    msg: str | None = None,
) -> None:
    """AssertionError, saying where and by how much, unless |actual - expected| <= atol + rtol |expected| everywhere.

    Tensors, NumPy arrays, numbers, and sequences or dicts of these. The default tolerances follow the dtype, the wider
    where the two differ; integers and booleans must be equal. Give both `rtol` and `atol`, or neither.
    """
    if (rtol is None) != (atol is None):
        raise ValueError("[assert_close] rtol and atol must be given together")
    if isinstance(expected, dict):
        if not isinstance(actual, dict) or actual.keys() != expected.keys():
            raise AssertionError(msg or f"keys differ: {sorted(map(str, actual))} and {sorted(map(str, expected))}")
        pairs = [(actual[k], v, f"[{k!r}]") for k, v in expected.items()]
    elif isinstance(expected, list | tuple):
        if not isinstance(actual, list | tuple) or len(actual) != len(expected):
            raise AssertionError(msg or f"{len(expected)} items expected, got {actual!r}")
        pairs = [(a, e, f"[{k}]") for k, (a, e) in enumerate(zip(actual, expected, strict=True))]
    else:
        _assert_close(actual, expected, rtol, atol, equal_nan, check_dtype, msg)
        return
    for a, e, where in pairs:
        try:
            assert_close(a, e, rtol=rtol, atol=atol, equal_nan=equal_nan, check_dtype=check_dtype, msg=msg)
        except AssertionError as error:
            raise AssertionError(msg or f"item {where}: {error}") from None


def _assert_close(
    actual: Any,
    expected: Any,
    rtol: float | None,
    atol: float | None,
    equal_nan: bool,
    check_dtype: bool,
    msg: str | None,
) -> None:
    a, e = (x.detach() if isinstance(x, Tensor) else tensor(x) for x in (actual, expected))
    if tuple(a.shape) != tuple(e.shape):
        raise AssertionError(msg or f"shapes differ: {tuple(a.shape)} and {tuple(e.shape)}")
    names = [str(x.dtype).rsplit(".", 1)[-1] for x in (a, e)]
    if check_dtype and isinstance(actual, Tensor) and isinstance(expected, Tensor) and names[0] != names[1]:
        raise AssertionError(msg or f"dtypes differ: {names[0]} and {names[1]}")
    if rtol is None or atol is None:
        rtol, atol = (max(_TOLERANCES.get(n, (0.0, 0.0))[k] for n in names) for k in (0, 1))
    x, y = (_values(t) for t in (a, e))
    with np.errstate(invalid="ignore"):
        error = np.abs(x - y) if x.dtype.kind == "f" or y.dtype.kind == "f" else (x != y).astype(np.float64)
        close = (x == y) | (error <= atol + rtol * np.abs(y)) | (equal_nan & np.isnan(x) & np.isnan(y))
    if not close.all():
        worst = np.unravel_index(int(np.argmax(np.where(close, -1, np.nan_to_num(error, nan=np.inf)))), y.shape)
        raise AssertionError(
            msg
            or f"{int((~close).sum())} of {y.size} values differ by more than {atol:g} + {rtol:g} |expected|; "
            f"the worst at {tuple(map(int, worst))}: {x[worst]!r}, expected {y[worst]!r}"
        )
