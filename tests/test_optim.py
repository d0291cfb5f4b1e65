# SPDX-License-Identifier: MIT
"""Optimisers: 50 steps against their papers' formulas in NumPy, state that resumes to the same bits, groups, layouts."""

import copy
import math

import numpy as np
import pytest

import lamella
from lamella import optim
from lamella.nn.utils import clip_grad_norm_
from lamella.optim import (
    ASGD,
    LAMB,
    LARS,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Lion,
    Muon,
    NAdam,
    RAdam,
    RMSprop,
    Rprop,
    orthogonalize,
)

START = np.linspace(-1, 1, 23)


def gradient(p, step):
    """Of a fixed smooth function that changes with the step."""
    return 2 * p + np.sin(3 * p + step)


def walk(p, optimizer, steps):
    for step in steps:
        p.grad = lamella.tensor(gradient(p.detach().numpy(), step))
        optimizer.step()
    return p.detach().numpy()


# ---- definitions: p, g, state, step from 1, options -> p ---------------------------------------------------------------
def sgd(p, g, s, t, lr, momentum=0.0, dampening=0.0, nesterov=False):
    if momentum:
        s["v"] = g if t == 1 else momentum * s["v"] + (1 - dampening) * g
        g = g + momentum * s["v"] if nesterov else s["v"]
    return p - lr * g


def moments(g, s, t, betas):
    """Those, and those without bias."""
    s["m"] = betas[0] * s.get("m", 0) + (1 - betas[0]) * g
    s["v"] = betas[1] * s.get("v", 0) + (1 - betas[1]) * g * g
    return s["m"], s["v"], s["m"] / (1 - betas[0] ** t), s["v"] / (1 - betas[1] ** t)


def adam(p, g, s, t, lr, betas=(0.9, 0.999), eps=1e-8, amsgrad=False):
    _, v, m_hat, v_hat = moments(g, s, t, betas)
    if amsgrad:
        s["top"] = np.maximum(s.get("top", 0), v)
        v_hat = s["top"] / (1 - betas[1] ** t)
    return p - lr * m_hat / (np.sqrt(v_hat) + eps)


def nadam(p, g, s, t, lr, betas=(0.9, 0.999), eps=1e-8, momentum_decay=4e-3):
    mu = [betas[0] * (1 - 0.5 * 0.96 ** (k * momentum_decay)) for k in range(1, t + 2)]
    m, _, _, v_hat = moments(g, s, t, betas)
    step = (1 - mu[t - 1]) / (1 - math.prod(mu[:t])) * g + mu[t] / (1 - math.prod(mu)) * m
    return p - lr * step / (np.sqrt(v_hat) + eps)


def radam(p, g, s, t, lr, betas=(0.9, 0.999), eps=1e-8):
    _, v, m_hat, _ = moments(g, s, t, betas)
    most = 2 / (1 - betas[1]) - 1
    r = most - 2 * t * betas[1] ** t / (1 - betas[1] ** t)
    if r <= 5:
        return p - lr * m_hat
    rectified = math.sqrt((r - 4) * (r - 2) * most / ((most - 4) * (most - 2) * r))
    return p - lr * m_hat * rectified * math.sqrt(1 - betas[1] ** t) / (np.sqrt(v) + eps)


def adamax(p, g, s, t, lr, betas=(0.9, 0.999), eps=1e-8):
    s["m"] = betas[0] * s.get("m", 0) + (1 - betas[0]) * g
    s["u"] = np.maximum(betas[1] * s.get("u", 0), np.abs(g) + eps)
    return p - lr / (1 - betas[0] ** t) * s["m"] / s["u"]


def adagrad(p, g, s, t, lr, lr_decay=0.0, eps=1e-10, initial_accumulator_value=0.0):
    s["v"] = s.get("v", initial_accumulator_value) + g * g
    return p - lr / (1 + (t - 1) * lr_decay) * g / (np.sqrt(s["v"]) + eps)


def adadelta(p, g, s, t, lr=1.0, rho=0.9, eps=1e-6):
    s["v"] = rho * s.get("v", 0) + (1 - rho) * g * g
    step = np.sqrt(s.get("u", 0) + eps) / np.sqrt(s["v"] + eps) * g
    s["u"] = rho * s.get("u", 0) + (1 - rho) * step * step
    return p - lr * step


def rmsprop(p, g, s, t, lr, alpha=0.99, eps=1e-8, momentum=0.0, centered=False):
    s["v"] = alpha * s.get("v", 0) + (1 - alpha) * g * g
    s["a"] = alpha * s.get("a", 0) + (1 - alpha) * g
    step = g / (np.sqrt(s["v"] - s["a"] ** 2 * centered) + eps)
    s["b"] = momentum * s.get("b", 0) + step
    return p - lr * s["b"]


def rprop(p, g, s, t, lr, etas=(0.5, 1.2), step_sizes=(1e-6, 50)):
    sign = np.sign(g * s.get("g", 0))
    s["size"] = np.clip(s.get("size", lr) * np.where(sign > 0, etas[1], np.where(sign < 0, etas[0], 1)), *step_sizes)
    s["g"] = np.where(sign < 0, 0, g)
    return p - np.sign(s["g"]) * s["size"]


def asgd(p, g, s, t, lr, lambd=1e-4, alpha=0.75, t0=1e6):
    def eta(k):
        return lr / (1 + lambd * lr * k) ** alpha if k else lr

    p = p * (1 - lambd * eta(t - 1)) - eta(t - 1) * g
    s["ax"] = s.get("ax", 0) + (p - s.get("ax", 0)) / max(1, t - 1 - t0)
    return p


def lion(p, g, s, t, lr, betas=(0.9, 0.99)):
    m = s.get("m", 0 * p)
    s["m"] = betas[1] * m + (1 - betas[1]) * g
    return p - lr * np.sign(betas[0] * m + (1 - betas[0]) * g)


def lars(p, g, s, t, lr, weight_decay, momentum=0.9, trust_coeff=1e-3, eps=1e-8, trust_clip=False):
    size = np.linalg.norm(p)
    trust = trust_coeff * size / (np.linalg.norm(g) + weight_decay * size + eps)
    trust = min(trust / lr, 1) if trust_clip else trust
    return sgd(p, trust * (g + weight_decay * p), s, t, lr, momentum)


def lamb(p, g, s, t, lr, weight_decay, betas=(0.9, 0.999), eps=1e-6, trust_clip=False):
    _, _, m_hat, v_hat = moments(g, s, t, betas)
    u = m_hat / (np.sqrt(v_hat) + eps) + weight_decay * p
    trust = np.linalg.norm(p) / np.linalg.norm(u)
    return p - lr * (min(trust, 1) if trust_clip else trust) * u


TRAJECTORIES = [
    ("SGD", sgd, dict(lr=0.1)),
    ("SGD", sgd, dict(lr=0.05, momentum=0.9, dampening=0.3, weight_decay=0.1)),
    ("SGD", sgd, dict(lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01)),
    ("SGD", sgd, dict(lr=0.001, maximize=True)),
    ("Adam", adam, dict(lr=0.1, weight_decay=0.1)),
    ("Adam", adam, dict(lr=0.1, amsgrad=True, betas=(0.8, 0.9))),
    ("AdamW", adam, dict(lr=0.1, weight_decay=0.2, maximize=True)),
    ("NAdam", nadam, dict(lr=0.1, weight_decay=0.1)),
    ("NAdam", nadam, dict(lr=0.1, weight_decay=0.1, momentum_decay=0.1, decoupled_weight_decay=True)),
    ("RAdam", radam, dict(lr=0.1, weight_decay=0.1)),
    ("RAdam", radam, dict(lr=0.1, weight_decay=0.1, betas=(0.8, 0.9), decoupled_weight_decay=True)),
    ("Adamax", adamax, dict(lr=0.1, weight_decay=0.1, maximize=True)),
    ("Adagrad", adagrad, dict(lr=0.1, weight_decay=0.1, lr_decay=0.1, initial_accumulator_value=0.5)),
    ("Adadelta", adadelta, dict(rho=0.8, weight_decay=0.1)),
    ("RMSprop", rmsprop, dict(lr=0.01)),
    ("RMSprop", rmsprop, dict(lr=0.01, momentum=0.9)),
    ("RMSprop", rmsprop, dict(lr=0.01, centered=True, weight_decay=0.1)),
    ("RMSprop", rmsprop, dict(lr=0.01, centered=True, momentum=0.9, alpha=0.9, maximize=True)),
    ("Rprop", rprop, dict(lr=0.1, etas=(0.4, 1.3), step_sizes=(1e-3, 0.2))),
    ("ASGD", asgd, dict(lr=0.1, lambd=0.01, t0=10, weight_decay=0.1)),
    ("Lion", lion, dict(lr=0.01, weight_decay=0.1)),
    ("LARS", lars, dict(lr=0.5, weight_decay=0.1, trust_coeff=0.1)),
    ("LARS", lars, dict(lr=0.05, weight_decay=0.1, trust_coeff=0.1, trust_clip=True)),
    ("LAMB", lamb, dict(lr=0.1, weight_decay=0.1)),
    ("LAMB", lamb, dict(lr=0.1, weight_decay=0.1, trust_clip=True, maximize=True)),
]
IN_RULE = ("LARS", "LAMB")  # weight decay is a part of the formula
DECOUPLED = ("AdamW", "Lion")


@pytest.mark.parametrize(("name", "rule", "options"), TRAJECTORIES, ids=[f"{n}-{o}" for n, _, o in TRAJECTORIES])
def test_fifty_steps(name, rule, options):
    left, p, s = dict(options), START.copy(), {}
    sign = -1 if left.pop("maximize", False) else 1
    decay = 0.0 if name in IN_RULE else left.pop("weight_decay", 0.0)
    decoupled = left.pop("decoupled_weight_decay", name in DECOUPLED)
    for t in range(1, 51):
        g = sign * gradient(p, t - 1) + (0.0 if decoupled else decay * p)
        p = rule(p * (1 - left["lr"] * decay) if decoupled else p, g, s, t, **left)
    q = lamella.tensor(START, requires_grad=True)
    optimizer = getattr(optim, name)([q], **options)
    np.testing.assert_allclose(walk(q, optimizer, range(50)), p, rtol=1e-9)
    if name == "ASGD":
        np.testing.assert_allclose(optimizer.state[q]["ax"].numpy(), s["ax"], rtol=1e-9)


def newton_schulz(g):
    x = g / np.linalg.norm(g)
    x = x.T if x.shape[0] > x.shape[1] else x
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.775 * gram + 2.0315 * gram @ gram) @ x
    return x.T if g.shape[0] > g.shape[1] else x


@pytest.mark.parametrize("options", [{}, dict(nesterov=False), dict(adjust_lr_fn="match_rms_adamw", momentum=0.8)], ids=str)
def test_muon(options):
    shapes = ((6, 4), (3, 5), (6, 4))  # two of one shape go together
    starts = [np.random.default_rng(i).standard_normal(s) for i, s in enumerate(shapes)]
    tensors = [lamella.tensor(x, requires_grad=True) for x in starts]
    optimizer = Muon(tensors, lr=0.02, **options)
    buffers, momentum = [0.0] * 3, options.get("momentum", 0.95)
    for step in range(10):
        for i, (x, p) in enumerate(zip(starts, tensors, strict=True)):
            g = gradient(x, step)
            buffers[i] = momentum * buffers[i] + (1 - momentum) * g
            u = newton_schulz((1 - momentum) * g + momentum * buffers[i] if options.get("nesterov", True) else buffers[i])
            rows, columns = x.shape
            ratio = 0.2 * math.sqrt(max(rows, columns)) if "adjust_lr_fn" in options else math.sqrt(max(1, rows / columns))
            starts[i] = x * (1 - 0.02 * 0.1) - 0.02 * ratio * u
            p.grad = lamella.tensor(gradient(p.detach().numpy(), step))
        optimizer.step()
    for x, p in zip(starts, tensors, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), x, rtol=1e-9)


def test_orthogonalize_with_other_coefficients():
    x = np.random.default_rng(0).standard_normal((4, 6))
    want = x / np.linalg.norm(x)
    for _ in range(3):  # the cubic iteration: no square of the Gram matrix
        want = 1.5 * want - 0.5 * want @ want.T @ want
    np.testing.assert_allclose(orthogonalize(lamella.tensor(x), (1.5, -0.5, 0.0), 3).numpy(), want, rtol=1e-9)


def test_orthogonalize_brings_singular_values_near_one():
    lamella.manual_seed(0)
    for shape in ((3, 20, 8), (2, 160, 300)):  # of the larger the products may be bfloat16's
        y = orthogonalize(lamella.randn(*shape))
        s = np.linalg.svd(y.numpy(), compute_uv=False)
        assert y.dtype is lamella.float32 and s.min() > 0.6 and s.max() < 1.3


def test_trust_is_of_each_tensor():
    """Tensors of very different norms, cut by tasks anywhere, give what each gives alone."""
    sizes = (1000, 70_000, 3, 130_000)
    for make in (lambda p: LARS(p, lr=1.0, weight_decay=0.1), lambda p: LAMB(p, lr=0.1)):
        lamella.manual_seed(0)
        values = [lamella.randn(n) * 10.0**i for i, n in enumerate(sizes)]
        gradients = [lamella.randn(n) for n in sizes]
        together = [v.clone().requires_grad_() for v in values]
        alone = [v.clone().requires_grad_() for v in values]
        for p, q, g in zip(together, alone, gradients, strict=True):
            p.grad = q.grad = g
        make(together).step()
        for q in alone:
            make([q]).step()
        for p, q in zip(together, alone, strict=True):
            np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-6)


def test_trust_without_decay_or_norm():
    """Groups without decay are not adapted unless asked for; a tensor of zeros has trust 1."""
    p = lamella.zeros(3, requires_grad=True)
    p.grad = lamella.ones(3)
    LARS([p], lr=0.5, momentum=0.0, weight_decay=0.1).step()
    assert p.tolist() == [-0.5] * 3
    for kind, plain, options in ((LARS, SGD, {"momentum": 0.9}), (LAMB, Adam, {"eps": 1e-6})):
        results = []
        for made, more in ((kind, {"weight_decay": 0.0}), (plain, options), (kind, {"weight_decay": 0.0, "always_adapt": True})):
            p = lamella.tensor(START, requires_grad=True)
            results.append(walk(p, made([p], lr=0.1, **more), range(3)).copy())
        np.testing.assert_allclose(results[0], results[1], rtol=1e-12)
        assert not np.allclose(results[0], results[2])


# ---- state -----------------------------------------------------------------------------------------------------------
STATEFUL = {name: options for name, _, options in TRAJECTORIES}  # the last of each


@pytest.mark.parametrize("name", [*STATEFUL, "Muon"])
def test_state_resumes_to_the_same_bits(name):
    shape = (5, 4)
    start = np.random.default_rng(0).standard_normal(shape)

    def make(p):
        return getattr(optim, name)([p], **STATEFUL.get(name, {}))

    whole = lamella.tensor(start, requires_grad=True)
    walk(whole, make(whole), range(20))
    first = lamella.tensor(start, requires_grad=True)
    optimizer = make(first)
    walk(first, optimizer, range(7))
    saved = copy.deepcopy(optimizer.state_dict())
    walk(first, optimizer, range(7, 9))  # what was saved does not move on
    second = lamella.tensor(start, requires_grad=True)
    walk(second, make(second), range(7))
    resumed = make(second)
    resumed.load_state_dict(saved)
    assert np.array_equal(walk(second, resumed, range(7, 20)), whole.detach().numpy())


def test_state_of_pytorch_layout():
    """step as a tensor, buffers in another dtype: as PyTorch saves them."""
    p = lamella.tensor(START, requires_grad=True)
    optimizer = NAdam([p], lr=0.1)
    walk(p, optimizer, range(3))
    saved = optimizer.state_dict()
    s = saved["state"][0]
    assert set(s) == {"step", "mu_product", "exp_avg", "exp_avg_sq"} and s["step"] == 3
    foreign = {k: v.float() if isinstance(v, lamella.Tensor) else lamella.tensor(float(v)) for k, v in s.items()}
    optimizer.load_state_dict({"state": {"0": foreign}, "param_groups": saved["param_groups"]})
    s = optimizer.state[p]
    assert s["step"] == 3 and isinstance(s["step"], int) and s["exp_avg"].dtype is lamella.float64
    walk(p, optimizer, range(3, 5))


def test_state_by_name():
    a, b = lamella.ones(2, requires_grad=True), lamella.ones(3, requires_grad=True)
    a.grad, b.grad = lamella.ones(2), lamella.full((3,), 2.0)
    old = SGD([("a", a), ("b", b)], lr=0.1, momentum=0.9)
    old.step()
    c = lamella.ones(4, requires_grad=True)
    new = SGD([("c", c), ("b", b), ("a", a)], lr=0.5, momentum=0.5)
    new.load_state_dict(old.state_dict(), by_name=True)
    assert new.state[b]["momentum_buffer"].tolist() == [2.0] * 3 and not new.state[c]
    assert new.param_groups[0]["lr"] == 0.1 and new.param_groups[0]["param_names"] == ["c", "b", "a"]
    with pytest.raises(ValueError, match="by_name must have names on both sides"):
        SGD([a]).load_state_dict(old.state_dict(), by_name=True)


def test_parameters_that_miss_gradients_keep_their_own_step():
    for make in (Adam, NAdam, ASGD, lambda p: SGD(p, lr=0.1, momentum=0.9)):
        a, b, alone = (lamella.tensor(START, requires_grad=True) for _ in range(3))
        both, one = make([a, b]), make([alone])
        for step in range(6):
            a.grad = lamella.tensor(gradient(a.detach().numpy(), step))
            b.grad = None
            if step % 2:
                b.grad = lamella.tensor(gradient(b.detach().numpy(), step))
                alone.grad = lamella.tensor(gradient(alone.detach().numpy(), step))
                one.step()
            both.step()
        assert (b == alone).all() and not (a == b).all()


def test_options_may_change_between_steps():
    p = lamella.tensor(START, requires_grad=True)
    optimizer = RMSprop([p], momentum=0.9)
    walk(p, optimizer, range(2))
    optimizer.param_groups[0].update(momentum=0.0, centered=True)
    walk(p, optimizer, range(2))
    optimizer.param_groups[0].update(momentum=0.5)
    walk(p, optimizer, range(2))
    assert set(optimizer.state[p]) == {"step", "square_avg", "momentum_buffer", "grad_avg"}


# ---- groups, layouts, hooks ----------------------------------------------------------------------------------------------
def test_threads_do_not_change_a_bit():
    before = lamella.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            lamella.set_num_threads(threads)
            lamella.manual_seed(1)
            p = lamella.randn(300_001, requires_grad=True)
            optimizers = AdamW([p], lr=0.1), LAMB([p], lr=0.1)
            for _ in range(2):
                p.grad = lamella.randn(300_001)
                clip_grad_norm_([p], 1.0)
                for optimizer in optimizers:
                    optimizer.step()
            results.append(p.detach().numpy().copy())
    finally:
        lamella.set_num_threads(before)
    assert np.array_equal(results[0], results[1]) and np.array_equal(results[0], results[2])


def test_any_layout():
    """Parameters and gradients that are transposed or sliced: the same values as contiguous ones."""
    x = np.random.default_rng(0).standard_normal((4, 6))
    g = lamella.tensor(x * 0.5 - 0.1)
    plain = lamella.tensor(x, requires_grad=True)
    turned = lamella.tensor(np.ascontiguousarray(x.T)).t().requires_grad_()
    base = lamella.zeros(4, 12, dtype=lamella.float64)
    base[:, ::2] = lamella.tensor(x)
    sliced = base[:, ::2].detach().requires_grad_()
    plain.grad, turned.grad = g, g
    sliced.grad = g.t().contiguous().t()
    optimizer = AdamW([plain, turned, sliced], lr=0.1)
    for _ in range(3):
        optimizer.step()
    assert not turned.is_contiguous() and not sliced.is_contiguous()
    assert (plain == turned).all() and (plain == sliced).all() and (base[:, 1::2] == 0).all()


def test_groups_and_errors():
    a, b = lamella.ones(2, requires_grad=True), lamella.ones(2, requires_grad=True)
    optimizer = SGD([{"params": [a], "lr": 1.0}, {"params": [b]}], lr=0.5)
    a.grad = b.grad = lamella.ones(2)
    optimizer.step()
    assert a.tolist() == [0.0, 0.0] and b.tolist() == [0.5, 0.5]
    optimizer.zero_grad()
    assert a.grad is None and b.grad is None
    c = lamella.ones(2, requires_grad=True)
    optimizer.add_param_group({"params": c, "lr": lamella.tensor(2.0)})
    assert optimizer.param_groups[2]["lr"] == 2.0 and optimizer.param_groups[2]["momentum"] == 0.0
    optimizer.step()  # nothing has a gradient
    assert a.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda p: SGD([p, p]), ValueError, r"\[SGD\] params must be given once, got one again at position 1"),
        (lambda p: SGD([]), ValueError, r"\[SGD\] params must hold at least one tensor"),
        (lambda p: SGD({p}), TypeError, r"\[SGD\] params must be in an order that stays, got a set"),
        (lambda p: SGD([1.0]), TypeError, r"\[SGD\] params must be Tensors, got float at position 0"),
        (lambda p: SGD([p * 2]), ValueError, r"\[SGD\] params must be leaves"),
        (lambda p: SGD([p], nesterov=True), ValueError, r"\[SGD\] nesterov must come with momentum"),
        (lambda p: SGD([p], lr=-1), ValueError, r"\[SGD\] lr must be at least 0, got -1"),
        (lambda p: Adam([p], betas=(1.0, 0.9)), ValueError, r"\[Adam\] betas\[0\] must be in \[0, 1\), got 1.0"),
        (lambda p: Adagrad([p], lr_decay=-1), ValueError, r"\[Adagrad\] lr_decay must be at least 0"),
        (lambda p: Rprop([p], etas=(1.2, 0.5)), ValueError, r"\[Rprop\] etas must be below and above 1, got 1.2 and 0.5"),
        (lambda p: Lion([p], betas=(0.9, 1.0)), ValueError, r"\[Lion\] betas\[1\] must be in \[0, 1\)"),
        (lambda p: RAdam([p], eps=-1), ValueError, r"\[RAdam\] eps must be at least 0"),
        (lambda p: Muon([p]), ValueError, r"\[Muon\] params must be matrices, got one of shape \(2,\)"),
        (lambda p: Muon([p], adjust_lr_fn="x"), ValueError, r"\[Muon\] adjust_lr_fn must be 'original' or 'match_rms_adamw'"),
        (lambda p: SGD([p]).load_state_dict(SGD([{"params": []}, {"params": p}]).state_dict()), ValueError, "must have 1 param_groups, got 2"),
    ],
)  # fmt: skip
def test_bad_arguments(make, error, text):
    with pytest.raises(error, match=text):
        make(lamella.ones(2, requires_grad=True))


def test_a_state_of_another_shape_changes_nothing():
    a, b = lamella.ones(2, requires_grad=True), lamella.ones(3, requires_grad=True)
    a.grad, b.grad = lamella.ones(2), lamella.ones(3)
    first, second = SGD([a], lr=0.1, momentum=0.9), SGD([b], lr=0.5, momentum=0.9)
    first.step()
    with pytest.raises(ValueError, match=r"momentum_buffer of parameter 0 must have shape \(3,\), got \(2,\)"):
        second.load_state_dict(first.state_dict())
    assert second.param_groups[0]["lr"] == 0.5 and not second.state


def test_closure_and_hooks():
    p = lamella.ones(1, requires_grad=True)
    optimizer = SGD([p], lr=0.25)
    seen = []
    before = optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append("before"))
    optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append("after"))

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with lamella.no_grad():
        assert optimizer.step(closure).item() == 1.0
    before.remove()
    assert optimizer.step(closure).item() == 0.25
    assert seen == ["before", "after", "after"]


@pytest.mark.parametrize("name", ["Adam", "LAMB", "SGD"])
def test_moments_that_fade_into_subnormal_numbers_are_zero(name):
    """With these numbers a step would take many times as long; elsewhere they stay what they are."""
    p = lamella.ones(40, requires_grad=True)
    optimizer = getattr(lamella.optim, name)([p], lr=0.1, **({"momentum": 0.9} if name == "SGD" else {}))
    for _ in range(2):
        p.grad = lamella.zeros(40)
        optimizer.step()
        moment = next(v for k, v in optimizer.state[p].items() if k in ("exp_avg", "momentum_buffer"))
        moment.fill_(1e-39)
    p.grad = lamella.zeros(40)
    optimizer.step()
    assert (moment == 0).all().item()
    assert (lamella.full((40,), 1e-39) * 0.5).max().item() > 0
