# SPDX-License-Identifier: MIT
"""The tape: accumulation, higher order, hooks, in-place safety."""

import numpy as np
import pytest

import lamella
from lamella.autograd import Function


def leaf(*values):
    return lamella.tensor(values, dtype=lamella.float64, requires_grad=True)


def test_gradients_accumulate_and_broadcast():
    x, b = lamella.ones(2, 3, requires_grad=True), lamella.ones(3, requires_grad=True)
    (x * b + b).sum().backward()
    (x * 2).sum().backward()
    assert (x.grad == 3).all() and (b.grad == 4).all() and b.grad.shape == (3,)


def test_a_tensor_used_many_times():
    x = leaf(3.0)
    (x * x * x + x).backward(lamella.ones(1, dtype=lamella.float64))
    assert x.grad.item() == 28


def test_any_order():
    x = leaf(0.7)
    y = lamella.sin(x)
    for expected in (np.cos(0.7), -np.sin(0.7), -np.cos(0.7), np.sin(0.7)):
        (y,) = lamella.grad(y.sum(), x, create_graph=True)
        assert y.item() == pytest.approx(expected, rel=1e-12)


def test_grad_leaves_grad_alone_and_prunes():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    z = (x * y).sum()
    (gx,) = lamella.grad(z, x, retain_graph=True)
    assert gx.tolist() == [3.0, 4.0] and x.grad is None and y.grad is None
    with pytest.raises(RuntimeError, match="unused one at position 0"):
        lamella.grad(z, leaf(1.0), retain_graph=True)
    assert lamella.grad(z, leaf(1.0), allow_unused=True) == (None,)


def test_grad_computes_what_was_asked_for():
    seen = []

    class Both(lamella.autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            return a * b

        @staticmethod
        def backward(ctx, dy):
            seen.append(ctx.needs_input_grad)
            a, b = ctx.saved_tensors
            return dy * b, dy * a

    a, b = lamella.randn(3, requires_grad=True), lamella.randn(3, requires_grad=True)
    lamella.grad(Both.apply(a, b).sum(), [b])
    Both.apply(a, b).sum().backward()
    assert [tuple(s) for s in seen] == [(False, True), (True, True)]


def test_backward_twice_needs_retain_graph():
    x = leaf(2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 8
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        y.backward()


def test_switches():
    x = leaf(1.0)
    with lamella.no_grad():
        assert not (x * 2).requires_grad
        with lamella.enable_grad():
            assert (x * 2).requires_grad
    assert not x.detach().requires_grad and (x * 2).requires_grad

    @lamella.no_grad()
    def f():
        return x * 2

    assert not f().requires_grad
    with pytest.raises(RuntimeError, match=r"\[backward\] tensor must have one element"):
        (leaf(1.0, 2.0) * 2).backward()
    with pytest.raises(RuntimeError, match="must require gradient"):
        lamella.ones(1).backward()


def test_hooks():
    x = leaf(1.0, 2.0)
    y = x * 3
    seen = []
    handle = y.register_hook(lambda g: seen.append(g.tolist()) or g * 2)
    x.register_hook(lambda g: g + 1)
    y.retain_grad()
    y.sum().backward()
    assert seen == [[1.0, 1.0]] and y.grad.tolist() == [2.0, 2.0] and x.grad.tolist() == [7.0, 7.0]
    handle.remove()
    x.grad = None
    (x * 1 + y.detach()).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_in_place_is_safe():
    x = leaf(1.0, 2.0)
    y = x * 1
    z = y * y
    y.add_(1)
    with pytest.raises(RuntimeError, match="changed in place afterwards: it is at version 1, expected 0"):
        z.sum().backward()
    with pytest.raises(RuntimeError, match=r"\[in-place\] tensor must not be a leaf"):
        x.add_(1)
    w = x * 1
    w.mul_(x)
    w.sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]
    s = lamella.sigmoid(x)
    s.mul_(2)
    with pytest.raises(RuntimeError, match="changed in place"):
        s.backward(lamella.ones(2, dtype=lamella.float64))
    v = (x * 1)[0]
    with pytest.raises(RuntimeError, match="share its storage with a view"):
        v.add_(1)


def test_setitem_is_recorded():
    x, v = lamella.zeros(3, dtype=lamella.float64), leaf(5.0)
    x[1] = v * 2
    (x * x).sum().backward()
    assert v.grad.item() == 40


def test_your_own_op():
    class Cube(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx, dy):
            (x,) = ctx.saved_tensors
            return dy * 3 * x * x

    x = leaf(2.0)
    (g,) = lamella.grad(Cube.apply(x).sum(), x, create_graph=True)
    (h,) = lamella.grad(g.sum(), x)
    assert g.item() == 12 and h.item() == 12


def test_long_chains_do_not_overflow_the_stack():
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y + 1
    y.backward(lamella.ones(1, dtype=lamella.float64))
    assert x.grad.item() == 1
    del y


def test_gradcheck_finds_a_wrong_rule():
    from lamella.testing import gradcheck, gradgradcheck

    x = lamella.randn(3, 4, dtype=lamella.float64, requires_grad=True)
    assert gradcheck(lambda t: lamella.tanh(t) * t, (x,)) and gradgradcheck(lambda t: lamella.exp(t).sum(), (x,))

    class Wrong(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, dy):
            return dy * 3

    with pytest.raises(Exception, match=r"(?i)grad"):
        gradcheck(Wrong.apply, (x,))


def test_anomaly_names_the_line():
    class Broken(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, dy):
            raise ValueError("broken rule")

    with lamella.autograd.detect_anomaly():
        y = Broken.apply(leaf(1.0))
        with pytest.raises(ValueError, match="broken rule") as error:
            y.backward(lamella.ones(1, dtype=lamella.float64))
    assert any("test_autograd.py" in note for note in error.value.__notes__)
