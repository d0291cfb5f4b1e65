# SPDX-License-Identifier: MIT
"""Optimisers: 50 steps against PyTorch's formulas in NumPy, state that resumes to the same bits, schedules, clipping."""

import math

import numpy as np
import pytest

import lamella
from lamella.nn.utils import clip_grad_norm_, clip_grad_value_, get_total_norm
from lamella.optim import SGD, Adam, AdamW, lr_scheduler

START = np.linspace(-1, 1, 23)


def gradient(p, step):
    """Of a fixed smooth function that changes with the step."""
    return 2 * p + np.sin(3 * p + step)


def trajectory(make, steps=50):
    p = lamella.tensor(START, requires_grad=True)
    optimizer = make([p])
    for step in range(steps):
        p.grad = lamella.tensor(gradient(p.detach().numpy(), step))
        optimizer.step()
    return p.detach().numpy()


def sgd(lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False):
    p, v = START.copy(), None
    for step in range(50):
        g = gradient(p, step) * (-1 if maximize else 1) + weight_decay * p
        if momentum:
            v = g.copy() if v is None else momentum * v + (1 - dampening) * g
            g = g + momentum * v if nesterov else v
        p = p - lr * g
    return p


def adam(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False, maximize=False, decoupled=False):
    p, m, v, top = START.copy(), 0.0, 0.0, 0.0
    for step in range(50):
        g = gradient(p, step) * (-1 if maximize else 1)
        p, g = (p * (1 - lr * weight_decay), g) if decoupled else (p, g + weight_decay * p)
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
        top = np.maximum(top, v)
        root = np.sqrt((top if amsgrad else v) / (1 - betas[1] ** (step + 1))) + eps
        p = p - lr / (1 - betas[0] ** (step + 1)) * m / root
    return p


@pytest.mark.parametrize(
    "options",
    [
        dict(lr=0.1),
        dict(lr=0.05, momentum=0.9),
        dict(lr=0.05, momentum=0.9, dampening=0.3, weight_decay=0.1),
        dict(lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
        dict(lr=0.001, maximize=True),
    ],
    ids=str,
)
def test_sgd(options):
    np.testing.assert_allclose(trajectory(lambda p: SGD(p, **options)), sgd(**options), rtol=1e-10)


@pytest.mark.parametrize(
    "options",
    [dict(lr=0.1), dict(lr=0.1, weight_decay=0.1), dict(lr=0.1, amsgrad=True), dict(lr=0.01, maximize=True, betas=(0.8, 0.9))],
    ids=str,
)
def test_adam(options):
    np.testing.assert_allclose(trajectory(lambda p: Adam(p, **options)), adam(**options), rtol=1e-9)


def test_adamw():
    got = trajectory(lambda p: AdamW(p, lr=0.1, weight_decay=0.2))
    np.testing.assert_allclose(got, adam(lr=0.1, weight_decay=0.2, decoupled=True), rtol=1e-9)


@pytest.mark.parametrize("make", [lambda p: SGD(p, lr=0.1, momentum=0.9), lambda p: AdamW(p, lr=0.1)], ids=["sgd", "adamw"])
def test_state_resumes_to_the_same_bits(make):
    def run(p, optimizer, steps):
        for step in steps:
            p.grad = lamella.tensor(gradient(p.detach().numpy(), step))
            optimizer.step()

    whole = lamella.tensor(START, requires_grad=True)
    run(whole, make([whole]), range(20))
    first = lamella.tensor(START, requires_grad=True)
    optimizer = make([first])
    run(first, optimizer, range(7))
    second = lamella.tensor(first.detach(), requires_grad=True)
    resumed = make([second])
    resumed.load_state_dict(optimizer.state_dict())
    run(second, resumed, range(7, 20))
    assert np.array_equal(second.detach().numpy(), whole.detach().numpy())


def test_parameters_without_gradient_stay():
    a, b = lamella.ones(3, requires_grad=True), lamella.ones(3, requires_grad=True)
    a.grad = lamella.ones(3)
    AdamW([a, b], lr=0.1).step()
    assert (a != 1).all() and (b == 1).all()


def test_threads_do_not_change_a_bit():
    before = lamella.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            lamella.set_num_threads(threads)
            lamella.manual_seed(1)
            p = lamella.randn(300_001, requires_grad=True)
            optimizer = AdamW([p], lr=0.1)
            for _ in range(3):
                p.grad = lamella.randn(300_001)
                clip_grad_norm_([p], 1.0)
                optimizer.step()
            results.append(p.detach().numpy().copy())
    finally:
        lamella.set_num_threads(before)
    assert np.array_equal(results[0], results[1]) and np.array_equal(results[0], results[2])


def test_groups_and_errors():
    a, b = lamella.ones(2, requires_grad=True), lamella.ones(2, requires_grad=True)
    optimizer = SGD([{"params": [a], "lr": 1.0}, {"params": [b]}], lr=0.5)
    a.grad = b.grad = lamella.ones(2)
    optimizer.step()
    assert a.tolist() == [0.0, 0.0] and b.tolist() == [0.5, 0.5]
    optimizer.zero_grad()
    assert a.grad is None and b.grad is None
    with pytest.raises(ValueError, match=r"\[SGD\] params must be given once"):
        optimizer.add_param_group({"params": [a]})
    with pytest.raises(ValueError, match=r"\[Adam\] betas\[0\] must be in \[0, 1\), got 1.0"):
        Adam([a], betas=(1.0, 0.9))
    with pytest.raises(ValueError, match=r"\[SGD\] params must hold at least one tensor"):
        SGD([], lr=0.1)
    with pytest.raises(ValueError, match=r"\[SGD\] nesterov must come with momentum"):
        SGD([a], lr=0.1, nesterov=True)
    with pytest.raises(ValueError, match=r"state_dict must have 2 param_groups, got 1"):
        optimizer.load_state_dict(SGD([a], lr=0.1).state_dict())


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda o: lr_scheduler.StepLR(o, 3, 0.5), lambda t: 0.5 ** (t // 3)),
        (lambda o: lr_scheduler.MultiStepLR(o, [2, 5], 0.1), lambda t: 0.1 ** ((t >= 2) + (t >= 5))),
        (lambda o: lr_scheduler.ExponentialLR(o, 0.9), lambda t: 0.9**t),
        (lambda o: lr_scheduler.CosineAnnealingLR(o, 10, 0.1), lambda t: 0.1 + 0.9 * (1 + math.cos(math.pi * t / 10)) / 2),
        (lambda o: lr_scheduler.LinearLR(o, 0.2, 1.0, 4), lambda t: 0.2 + 0.8 * min(t, 4) / 4),
        (lambda o: lr_scheduler.LambdaLR(o, lambda t: 1 / (1 + t)), lambda t: 1 / (1 + t)),
    ],
    ids=["step", "multistep", "exponential", "cosine", "linear", "lambda"],
)
def test_schedules(make, expected):
    optimizer = SGD([lamella.ones(1, requires_grad=True)], lr=1.0)
    schedule = make(optimizer)
    for t in range(9):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected(t), rel=1e-12)
        schedule.step()


def test_one_cycle_and_plateau():
    optimizer = AdamW([lamella.ones(1, requires_grad=True)], lr=1.0)
    schedule = lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=10)
    rates = [optimizer.param_groups[0]["lr"]]
    for _ in range(9):
        schedule.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[0] == pytest.approx(1 / 25) and max(rates) == pytest.approx(1.0) and rates[-1] == pytest.approx(4e-6)
    with pytest.raises(ValueError, match="step must be called at most 10 times"):
        schedule.step()
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer, patience=1, factor=0.5)
    optimizer.param_groups[0]["lr"] = 1.0
    for loss in (1.0, 0.9, 0.9, 0.9):
        plateau.step(loss)
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_clipping():
    p, q = lamella.zeros(3, requires_grad=True), lamella.zeros(1, requires_grad=True)
    p.grad, q.grad = lamella.tensor([1.0, 2.0, 2.0]), lamella.tensor([4.0])
    assert clip_grad_norm_([p, q], 1.0).item() == pytest.approx(5.0)
    assert math.hypot(*p.grad.tolist(), *q.grad.tolist()) == pytest.approx(1.0, rel=1e-5)
    clip_grad_value_([q], 0.5)
    assert q.grad.item() == 0.5


@pytest.mark.parametrize("p", [2.0, 1.0, 0.5, 3.0, math.inf, -math.inf])
def test_total_norm_is_that_of_all_elements(p):
    a, b = lamella.tensor([[1.0, -2.0], [3.0, 0.5]]), lamella.tensor([-4.0])
    expected = np.linalg.norm([1.0, -2.0, 3.0, 0.5, -4.0], p)
    assert get_total_norm([a, b], p).item() == pytest.approx(expected, rel=1e-6)
    assert get_total_norm([a.t(), b], p).item() == pytest.approx(expected, rel=1e-6)


def test_clipping_of_what_is_not_finite():
    p = lamella.zeros(2, requires_grad=True)
    p.grad = lamella.tensor([math.inf, 1.0])
    with pytest.raises(RuntimeError, match="must be finite, got inf"):
        clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
    assert p.grad.tolist() == [math.inf, 1.0]
    p.grad = lamella.tensor([math.nan, 1.0])
    assert math.isnan(clip_grad_norm_(p, 1.0).item())
    assert np.isnan(p.grad.numpy()).all()
    assert clip_grad_norm_([], 1.0).item() == 0.0


def test_clipping_of_gradients_that_are_not_contiguous():
    p = lamella.zeros(2, 3, requires_grad=True)
    p.grad = lamella.tensor([[3.0, 0.0], [0.0, 4.0], [0.0, 0.0]]).t()
    clip_grad_norm_(p, 1.0)
    assert p.grad.norm().item() == pytest.approx(1.0, rel=1e-5)
    clip_grad_value_(p, 0.5)
    assert p.grad.max().item() == 0.5
