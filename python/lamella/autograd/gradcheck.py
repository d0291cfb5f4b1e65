# SPDX-License-Identifier: MIT
"""Gradients against finite differences: gradcheck and gradgradcheck, with PyTorch's names and defaults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import _core
from .._numpy import np

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """A gradient by backward differs from the one by finite differences."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Backward's gradients of func(*inputs) against central differences (f(x + eps) - f(x - eps)) / (2 eps).

    Looks at every float64 input that requires a gradient and every floating output. The full check compares each entry
    of the Jacobian: |analytic - numerical| <= atol + rtol |numerical|. `fast_mode` compares, per input, one derivative
    along a random direction of one random projection of the outputs, within atol + rtol (sum of the magnitudes of its
    terms): two calls of func per input, whatever its size. Backward run twice must agree within `nondet_tol`.

    check_grad_dtypes: gradients must have their inputs' dtypes. check_undefined_grad: an output without a gradient counts
    as zeros. check_batched_grad: the same gradients by `is_grads_batched`. True, or raises GradcheckError (False where not
    `raise_exception`). ValueError if no input qualifies, or for check_forward_ad: there is no forward mode.
    """
    if check_forward_ad or check_batched_forward_grad:
        raise ValueError("[gradcheck] check_forward_ad must be False: derivatives are by backward")
    inputs = (inputs,) if isinstance(inputs, _core.TensorBase) else tuple(inputs)
    wanted = [i for i, x in enumerate(inputs) if isinstance(x, _core.TensorBase) and x.requires_grad]
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
    inputs: Any,
    grad_outputs: Any = None,
    *,
    gen_non_contig_grad_outputs: bool = False,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """gradcheck of the gradient itself, as a function of the inputs and of `grad_outputs` (random where not given)."""
    inputs = (inputs,) if isinstance(inputs, _core.TensorBase) else tuple(inputs)
    if grad_outputs is None:
        rng = np.random.default_rng(1)
        grad_outputs = [
            _leaf(rng.standard_normal(tuple(y.shape)))
            for y in _outputs(func(*inputs))
            if y.requires_grad
        ]
    elif isinstance(grad_outputs, _core.TensorBase):
        grad_outputs = [grad_outputs]

    def first(*args: Any) -> tuple[Any, ...]:
        xs, dys = args[: len(inputs)], args[len(inputs) :]
        ys = [y for y in _outputs(func(*xs)) if y.requires_grad]
        over = [x for x in xs if isinstance(x, _core.TensorBase) and x.requires_grad]
        return tuple(g for g in _grad(ys, over, list(dys), create_graph=True, allow_unused=True) if g is not None)

    options = {"eps": eps, "atol": atol, "rtol": rtol, "raise_exception": raise_exception}
    return gradcheck(first, (*inputs, *grad_outputs), nondet_tol=nondet_tol, fast_mode=fast_mode, **options)


def _outputs(result: Any) -> list[Any]:
    """The floating Tensors of a result."""
    found = result if isinstance(result, list | tuple) else (result,)
    return [y for y in found if isinstance(y, _core.TensorBase) and y.dtype.is_floating_point]


def _values(t: Any) -> np.ndarray:
    """A copy, floats as float64 (NumPy has no bfloat16), integers as they are."""
    t = t.detach()
    x = (t.float() if str(t.dtype).endswith("bfloat16") else t).cpu().numpy()
    return x.astype(np.float64 if x.dtype.kind == "f" else x.dtype)


def _leaf(values: np.ndarray) -> Any:
    x = _core.from_numpy(np.array(values))
    x.requires_grad = True
    return x


def _grad(*args: Any, **kwargs: Any) -> tuple[Any, ...]:
    from . import grad

    return grad(*args, **kwargs)


class _Probe:
    """func as a map between NumPy arrays, with its vector-Jacobian product by backward."""

    def __init__(
        self, func: Callable[..., Any], inputs: tuple[Any, ...], wanted: list[int], eps: float, nondet_tol: float
    ):
        self.func, self.inputs, self.wanted, self.eps, self.nondet_tol = func, inputs, wanted, eps, nondet_tol
        self.values = {i: _values(inputs[i]) for i in wanted}
        self.shapes = [y.shape for y in self.outputs({})[0]]
        self.rng = np.random.default_rng(0)

    def outputs(self, values: dict[int, np.ndarray]) -> tuple[list[np.ndarray], list[Any], list[Any]]:
        """Outputs as arrays and as Tensors, with the inputs they came from; `values` replaces some of the latter."""
        args, leaves = list(self.inputs), []
        for i in self.wanted:
            args[i] = _leaf(values.get(i, self.values[i]))
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
            pairs = [(y, _core.from_numpy(np.array(dy)).to(y.device)) for y, dy in zip(ys, dys, strict=True) if y.requires_grad]
            if not pairs:
                return np.zeros_like(self.values[i])
            (g,) = _grad(
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


