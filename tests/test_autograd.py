# SPDX-License-Identifier: MIT
"""The tape: accumulation, higher order, hooks, in-place safety."""

import numpy as np
import pytest

import lamella
from lamella.autograd import Function, functional, gradgradcheck
from lamella.utils.checkpoint import checkpoint, checkpoint_sequential


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
    with pytest.raises(RuntimeError, match="must not be a view of a leaf"):
        x[0].add_(1)


def test_writes_through_views_are_recorded():
    x, v = leaf(1.0, 2.0, 3.0), leaf(5.0)
    y = x * x
    y[1:] *= 2
    y[0] += v[0]
    other = y.view(3, 1)
    y.mul_(3)
    (other * lamella.tensor([[1.0], [10.0], [100.0]], dtype=lamella.float64)).sum().backward()
    assert y.tolist() == [18.0, 24.0, 54.0] and other.grad_fn is not None
    assert x.grad.tolist() == [6.0, 240.0, 3600.0] and v.grad.tolist() == [3.0]
    base = lamella.zeros(2, 2, dtype=lamella.float64)
    base.t()[0].add_(v)  # a view of a view of what required no gradient
    assert base.requires_grad and lamella.grad(base.sum(), v)[0].tolist() == [2.0]
    gradgradcheck(lambda t: _written(t), (lamella.randn(3, 2, dtype=lamella.float64, requires_grad=True),))


def _written(t):
    y = t * t
    y[1] *= t[0]
    return y * t


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


def test_anomaly_names_the_line_of_a_nan():
    x = leaf(0.0)
    with lamella.autograd.detect_anomaly():
        y = lamella.sqrt(x) * 0
        with pytest.raises(RuntimeError, match=r"sqrt gave NaN in the gradient of its input 0; .*test_autograd.py:\d+ in test_anomaly"):
            y.sum().backward()
    assert not lamella.is_anomaly_enabled()
    lamella.sqrt(x).mul(0).sum().backward()


def test_post_accumulate_hooks_see_the_whole_gradient_at_once():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    seen = []
    handle = x.register_post_accumulate_grad_hook(lambda t: seen.append((t.grad.tolist(), w.grad is None)))
    y = (x * 2 + x * x) * w  # x's two gradients come before w * 1 is reached
    (y.sum() + (w * 1).sum() * 0).backward()
    assert seen[0][0] == [12.0, 24.0] and len(seen) == 1
    handle.remove()
    x.sum().backward()
    assert len(seen) == 1
    with pytest.raises(RuntimeError, match="must be a leaf"):
        (x * 1).register_post_accumulate_grad_hook(print)


def test_modes_as_decorators():
    x = leaf(1.0)

    @lamella.no_grad
    def plain():
        return (x * 1).requires_grad

    @lamella.no_grad()
    def steps():
        yield (x * 1).requires_grad
        yield (x * 1).requires_grad

    @lamella.set_grad_enabled(False)
    def switched():
        return (x * 1).requires_grad

    assert not plain() and not switched() and (x * 1).requires_grad
    values = []
    for value in steps():
        values += [value, (x * 1).requires_grad]
    assert values == [False, True, False, True]
    with lamella.inference_mode(), lamella.inference_mode(False):
        assert not lamella.is_inference_mode_enabled()
    with lamella.inference_mode():
        assert lamella.is_inference_mode_enabled() and not (x * 1).requires_grad


class _Halves(Function):
    @staticmethod
    def forward(x, scale):
        return x * scale, (x > 0).to(x.dtype), x.sum()

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, ctx.scale = inputs
        ctx.save_for_backward(x)
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    @lamella.autograd.once_differentiable
    def backward(ctx, dy, dmask, dsum):
        assert ctx.saved_tensors[0].shape == dmask.shape
        return dy * ctx.scale + dsum, None


def test_function_protocol():
    x = leaf(1.0, -2.0)
    y, mask, _ = _Halves.apply(x, 3.0)
    assert not mask.requires_grad and y.grad_fn.name() == "_Halves"
    (g,) = lamella.grad(y.sum(), x, create_graph=True)
    assert g.tolist() == [3.0, 3.0]
    with pytest.raises(RuntimeError, match="differentiated once only"):
        g.sum().backward()
    node = (x * 2).grad_fn
    assert node.name() == "mul" and node.next_functions[0][0].variable is x and node.next_functions[1] == (None, 0)


def test_checkpoint_gives_the_same_gradients():
    w = leaf(0.3, -0.7)

    def block(x, *, scale, unused=None):
        return {"y": lamella.tanh(x * w) * scale + lamella.nn.functional.dropout(x, 0.5)}

    found = []
    for run in (block, lambda *a, **k: checkpoint(block, *a, use_reentrant=False, **k)):
        lamella.manual_seed(3)
        x = leaf(1.0, 2.0)
        y = run(run(x * 1, scale=2.0, unused="text")["y"], scale=3.0)["y"]
        first = lamella.grad(y.sum(), (x, w), create_graph=True)
        second = lamella.grad(sum(g.sum() for g in first), (x, w))
        found.append([g.tolist() for g in (*first, *second)])
    assert found[0][:2] == found[1][:2] and np.allclose(found[0], found[1], rtol=1e-13)
    x = leaf(1.0, 2.0)
    nested = checkpoint(lambda t: checkpoint(lamella.exp, t) * t, x)
    (g,) = lamella.grad(nested.sum(), x)
    assert g.tolist() == ((x + 1) * lamella.exp(x)).tolist()
    layers = [lamella.exp, lamella.sin, lamella.tanh]
    (g,) = lamella.grad(checkpoint_sequential(layers, 2, x).sum(), x)
    assert g.tolist() == lamella.grad(lamella.tanh(lamella.sin(lamella.exp(x))).sum(), x)[0].tolist()


def test_checkpoint_refuses_what_would_be_wrong():
    x = leaf(1.0, 2.0)
    turns = []

    def other(t):
        turns.append(1)
        return t * 2 if len(turns) == 1 else lamella.exp(t) * 2

    with pytest.raises(RuntimeError, match="function must do the same again"):
        checkpoint(other, x).sum().backward()
    t = x * 1
    y = checkpoint(lambda a: a * a, t)
    with lamella.no_grad():
        t.add_(1)
    with pytest.raises(RuntimeError, match="arguments must not be changed in place"):
        y.sum().backward()


def test_functional():
    x, v = lamella.tensor([1.0, 2.0]), lamella.tensor([1.0, 10.0])
    cube = lambda t: (t * t * t).sum()  # noqa: E731
    assert functional.jacobian(lambda t: t * t.sum(), x).tolist() == [[4.0, 1.0], [2.0, 5.0]]
    assert functional.hessian(cube, x).tolist() == [[6.0, 0.0], [0.0, 12.0]]
    assert functional.vjp(lambda t: t * t, x, v)[1].tolist() == functional.jvp(lambda t: t * t, x, v)[1].tolist() == [2.0, 40.0]
    assert functional.hvp(cube, x, v)[1].tolist() == functional.vhp(cube, x, v)[1].tolist() == [6.0, 120.0]
    (a, b), (c, d) = functional.jacobian(lambda t, u: (t * u, t.sum()), (x, v))
    assert a.tolist() == [[1.0, 0.0], [0.0, 10.0]] and b.tolist() == [[1.0, 0.0], [0.0, 2.0]]
    assert c.tolist() == [1.0, 1.0] and d.tolist() == [0.0, 0.0]
    with pytest.raises(RuntimeError, match=r"\[jacobian\] outputs must depend on every input where strict"):
        functional.jacobian(lambda t, u: t.sum(), (x, v), strict=True)
    with pytest.raises(RuntimeError, match=r"\[vjp\] v must be given"):
        functional.vjp(lambda t: t, x)


def test_backward_of_inputs_and_batched_grad():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    (x * y).sum().backward(inputs=[x])
    assert x.grad.tolist() == [3.0, 4.0] and y.grad is None
    rows = lamella.eye(2, dtype=lamella.float64)
    assert lamella.grad(x * x, x, rows, is_grads_batched=True)[0].tolist() == [[2.0, 0.0], [0.0, 4.0]]
    with pytest.raises(RuntimeError, match="grad_outputs must be one per output"):
        lamella.grad((x.sum(), y.sum()), x, rows)


def test_comparison_written_into_its_input_passes_no_gradient():
    x = lamella.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    y.eq_(2.0)
    (y * 3).sum().backward()
    assert y.tolist() == [1.0, 0.0] and x.grad is None


def test_modes_copy_and_refuse_what_is_no_function():
    import copy

    for make in (lamella.no_grad, lamella.enable_grad):
        mode = copy.deepcopy(make())
        with mode:
            assert lamella.is_grad_enabled() is (make is lamella.enable_grad)
        assert lamella.is_grad_enabled()
        with pytest.raises(TypeError, match="function must be a function, got int"):
            make(3)
        with pytest.raises(TypeError, match="takes one argument, function"):
            make(print, print)
        assert make(function=lamella.is_grad_enabled)() is (make is lamella.enable_grad)
    assert copy.copy(lamella.inference_mode(False)).mode is False
