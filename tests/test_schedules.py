# SPDX-License-Identifier: MIT
"""Learning-rate schedules: the rates of 60 steps against closed forms, chaining, resuming to the same bits."""

import copy
import math

import pytest

import lamella
from lamella.optim import SGD, AdamW
from lamella.optim import lr_scheduler as lrs
from lamella.optim.swa_utils import SWALR


def optimizer(kind=SGD):
    a, b = (lamella.ones(1, requires_grad=True) for _ in range(2))
    options = {} if kind is AdamW else {"momentum": 0.9}
    return kind([{"params": [a], "lr": 0.5}, {"params": [b]}], lr=1.0, **options)


def cosine(start, end, share):
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def warm_restarts(t):
    length = 5
    while t >= length:
        t, length = t - length, length * 2
    return cosine(1, 0, t / length)


def one_cycle(t, three_phase=False):  # 70 steps, 0.3 up, max 2
    low, end = 2 / 25, 2 / 25 / 1e4
    if t <= 20:
        return cosine(low, 2, t / 20)
    if three_phase:
        return cosine(2, low, (t - 20) / 20) if t <= 40 else cosine(low, end, (t - 40) / 29)
    return cosine(2, end, (t - 20) / 49)


def cycle(t):  # 6 up, 9 down
    t = t % 15
    return t / 6 if t <= 6 else (15 - t) / 9


def sequence(t):
    return 0.1 + 0.09 * t if t < 10 else 0.5 ** ((t - 10) // 4) if t < 25 else 0.9 ** (t - 25)


class Power:
    """A function with a state of its own."""

    def __init__(self, base):
        self.base = base

    def __call__(self, t):
        return self.base**t


def chained(o):
    return lrs.ChainedScheduler([lrs.ConstantLR(o, 0.25, 8), lrs.ExponentialLR(o, 0.95)])


def in_sequence(o):
    parts = [lrs.LinearLR(o, 0.1, 1.0, 10), lrs.StepLR(o, 4, 0.5), lrs.ExponentialLR(o, 0.9)]
    return lrs.SequentialLR(o, parts, [10, 25])


# name: (schedule of an optimiser, rate of step t for an initial rate of b)
SCHEDULES = {
    "step": (lambda o: lrs.StepLR(o, 7, 0.5), lambda t, b: b * 0.5 ** (t // 7)),
    "multistep": (
        lambda o: lrs.MultiStepLR(o, [12, 5, 12], 0.1),
        lambda t, b: b * 0.1 ** ((t >= 5) + 2 * (t >= 12)),
    ),
    "constant": (lambda o: lrs.ConstantLR(o, 0.25, 8), lambda t, b: b * (0.25 if t < 8 else 1)),
    "linear": (lambda o: lrs.LinearLR(o, 0.2, 0.9, 13), lambda t, b: b * (0.2 + 0.7 * min(t, 13) / 13)),
    "exponential": (lambda o: lrs.ExponentialLR(o, 0.9), lambda t, b: b * 0.9**t),
    "polynomial": (lambda o: lrs.PolynomialLR(o, 23, 1.7), lambda t, b: b * (1 - min(t, 23) / 23) ** 1.7),
    "cosine": (lambda o: lrs.CosineAnnealingLR(o, 11, 0.1), lambda t, b: cosine(b, 0.1, t / 11)),
    "restarts": (lambda o: lrs.CosineAnnealingWarmRestarts(o, 5, 2), lambda t, b: b * warm_restarts(t)),
    "lambda": (lambda o: lrs.LambdaLR(o, [Power(0.9), lambda t: 0.9**t]), lambda t, b: b * 0.9**t),
    "multiplicative": (lambda o: lrs.MultiplicativeLR(o, lambda t: 0.9), lambda t, b: b * 0.9**t),
    "onecycle": (lambda o: lrs.OneCycleLR(o, 2.0, total_steps=70), lambda t, b: one_cycle(t)),
    "onecycle3": (
        lambda o: lrs.OneCycleLR(o, [2.0, 2.0], epochs=7, steps_per_epoch=10, three_phase=True),
        lambda t, b: one_cycle(t, True),
    ),
    "cyclic": (lambda o: lrs.CyclicLR(o, 0.5, 2.0, 6, 9), lambda t, b: 0.5 + 1.5 * cycle(t)),
    "cyclic2": (
        lambda o: lrs.CyclicLR(o, 0.5, 2.0, 6, 9, "triangular2"),
        lambda t, b: 0.5 + 1.5 * cycle(t) / 2 ** (t // 15),
    ),
    "cyclicexp": (
        lambda o: lrs.CyclicLR(o, 0.5, 2.0, 6, 9, "exp_range", gamma=0.9),
        lambda t, b: 0.5 + 1.5 * cycle(t) * 0.9**t,
    ),
    "cyclicown": (
        lambda o: lrs.CyclicLR(o, 0.5, 2.0, 6, 9, scale_fn=Power(0.5)),
        lambda t, b: 0.5 + 1.5 * cycle(t) * 0.5 ** (t // 15 + 1),
    ),
    "swa": (lambda o: SWALR(o, 0.1, 12), lambda t, b: cosine(b, 0.1, min(t, 12) / 12)),
    "swalinear": (lambda o: SWALR(o, 0.1, 12, "linear"), lambda t, b: b + (0.1 - b) * min(t, 12) / 12),
    "sequential": (in_sequence, lambda t, b: b * sequence(t)),
    "chained": (chained, lambda t, b: b * (0.25 if t < 8 else 1) * 0.95**t),
    "nested": (
        lambda o: lrs.SequentialLR(o, [lrs.ConstantLR(o, 0.5, 99), chained(o)], [6]),
        lambda t, b: b * 0.5 if t < 6 else b * (0.25 if t < 14 else 1) * 0.95 ** (t - 6),
    ),
    "warmupcosine": (
        lambda o: lrs.WarmupCosineLR(o, 10, 50, 0.1, 0.05),
        lambda t, b: b * (0.1 + 0.09 * t if t < 10 else cosine(1, 0.05, min(t - 10, 40) / 40)),
    ),
}


def now(o):
    return [{k: v for k, v in group.items() if k in ("lr", "momentum", "betas")} for group in o.param_groups]


@pytest.mark.parametrize("name", SCHEDULES)
def test_sixty_steps(name):
    make, expected = SCHEDULES[name]
    o = optimizer()
    schedule = make(o)
    for t in range(60):
        rates = [group["lr"] for group in o.param_groups]
        assert rates == pytest.approx([expected(t, 0.5), expected(t, 1.0)], rel=1e-9, abs=1e-12), t
        assert schedule.get_last_lr() == rates
        o.step()
        schedule.step()


@pytest.mark.parametrize("kind", [SGD, AdamW])
@pytest.mark.parametrize("name", SCHEDULES)
def test_resumes_to_the_same_bits(name, kind):
    make, _ = SCHEDULES[name]
    o = optimizer(kind)
    schedule, walked = make(o), []
    for t in range(40):
        if t == 17:
            saved = copy.deepcopy((o.state_dict(), schedule.state_dict()))
        walked.append(now(o))
        o.step()
        schedule.step()
    o = optimizer(kind)
    schedule = make(o)
    schedule.load_state_dict(saved[1])
    o.load_state_dict(saved[0])
    for t in range(17, 40):
        assert now(o) == walked[t]
        o.step()
        schedule.step()


@pytest.mark.parametrize("name", ["step", "linear", "exponential", "cosine", "lambda", "onecycle", "cyclic"])
def test_resumes_by_last_epoch(name):
    """Without the schedule's state: the optimiser's groups hold initial_lr. As PyTorch's, which for StepLR multiplies
    once more where it is resumed at a step of change."""
    make, expected = SCHEDULES[name]
    o = optimizer()
    schedule = make(o)
    for _ in range(10):
        o.step()
        schedule.step()
    fresh = optimizer()
    fresh.load_state_dict(o.state_dict())
    kind = type(schedule)
    options = {
        "step": (7, 0.5), "linear": (0.2, 0.9, 13), "exponential": (0.9,), "cosine": (11, 0.1),
        "lambda": (Power(0.9),), "onecycle": (2.0, 70), "cyclic": (0.5, 2.0, 6, 9),
    }[name]  # fmt: skip
    kind(fresh, *options, last_epoch=9)
    assert fresh.param_groups[1]["lr"] == pytest.approx(expected(10, 1.0))
    with pytest.raises(KeyError, match="must have 'initial_lr' where last_epoch is 9"):
        kind(optimizer(), *options, last_epoch=9)


def test_rates_may_be_set_by_hand():
    o = optimizer()
    schedule = lrs.ExponentialLR(o, 0.5)
    o.step()
    o.param_groups[0]["lr"] = 8.0
    schedule.step()
    assert [g["lr"] for g in o.param_groups] == [4.0, 0.5]
    schedule.step(3)
    assert [g["lr"] for g in o.param_groups] == [0.0625, 0.125]


def test_momentum_moves_against_the_rate():
    for kind, read in ((SGD, lambda g: g["momentum"]), (AdamW, lambda g: g["betas"][0])):
        for make, low, high in (
            (lambda o: lrs.OneCycleLR(o, 1.0, total_steps=20, pct_start=0.5), 0.85, 0.95),
            (lambda o: lrs.CyclicLR(o, 0.1, 1.0, 9), 0.8, 0.9),
        ):
            o = optimizer(kind)
            schedule = make(o)
            assert read(o.param_groups[0]) == pytest.approx(high)
            for _ in range(9):
                o.step()
                schedule.step()
            assert read(o.param_groups[0]) == pytest.approx(low)
            assert len(o.param_groups[0].get("betas", (0, 0))) == 2


def test_warm_restarts_within_an_epoch():
    o = optimizer()
    schedule = lrs.CosineAnnealingWarmRestarts(o, 5, 2)
    for quarter in range(80):
        schedule.step(quarter / 4)
        assert o.param_groups[1]["lr"] == pytest.approx(warm_restarts(quarter / 4), abs=1e-12)
    with pytest.raises(ValueError, match="epoch must not be negative, got -1"):
        schedule.step(-1)


@pytest.mark.parametrize(
    ("options", "metrics", "rates"),
    [
        (dict(patience=1, factor=0.5), [1.0, 0.9, 0.9, 0.9, 0.9], [1.0, 1.0, 1.0, 0.5, 0.5]),
        (dict(patience=0, factor=0.5, cooldown=1), [1.0, 1.0, 1.0, 1.0], [1.0, 0.5, 0.5, 0.25]),
        (dict(patience=0, factor=0.5, mode="max"), [1.0, 2.0, 2.0001], [1.0, 1.0, 0.5]),
        (dict(patience=0, factor=0.5, threshold=0.5, threshold_mode="abs"), [1.0, 0.6, 0.4], [1.0, 0.5, 0.5]),
        (dict(patience=0, factor=0.5, min_lr=[0.0, 0.3]), [1.0, 1.0, 1.0, 1.0], [1.0, 0.5, 0.3, 0.3]),
    ],
    ids=str,
)
def test_plateau(options, metrics, rates):
    o = optimizer()
    schedule = lrs.ReduceLROnPlateau(o, **options)
    for i, (metric, rate) in enumerate(zip(metrics, rates, strict=True)):
        if i == 2:  # resumed in the middle
            saved = copy.deepcopy(schedule.state_dict())
            schedule = lrs.ReduceLROnPlateau(o)
            schedule.load_state_dict(saved)
        schedule.step(lamella.tensor(metric))
        assert o.param_groups[1]["lr"] == rate and schedule.get_last_lr()[1] == rate


def test_a_step_before_the_optimizers_is_told():
    schedule = lrs.StepLR(optimizer(), 2)
    with pytest.warns(UserWarning, match=r"\[StepLR\] step was called before optimizer.step\(\)"):
        schedule.step()


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda o: lrs.StepLR(1, 2), TypeError, r"\[StepLR\] optimizer must be an Optimizer, got int"),
        (lambda o: lrs.LambdaLR(o, [len]), ValueError, r"\[LambdaLR\] lr_lambda must be one per parameter group \(2\), got 1"),
        (lambda o: lrs.MultiplicativeLR(o, 0.5), TypeError, r"\[MultiplicativeLR\] lr_lambda must be a function, got float"),
        (lambda o: lrs.ConstantLR(o, 2.0), ValueError, r"\[ConstantLR\] factor must be in \[0, 1\], got 2.0"),
        (lambda o: lrs.LinearLR(o, 0.0), ValueError, r"\[LinearLR\] start_factor must be in \(0, 1\], got 0.0"),
        (lambda o: lrs.LinearLR(o, 0.5, 2.0), ValueError, r"\[LinearLR\] end_factor must be in \[0, 1\], got 2.0"),
        (lambda o: lrs.CosineAnnealingWarmRestarts(o, 0), ValueError, "T_0 must be a positive int, got 0"),
        (lambda o: lrs.OneCycleLR(o, 1.0), ValueError, "total_steps, or epochs and steps_per_epoch, must be given"),
        (lambda o: lrs.OneCycleLR(o, 1.0, 5, pct_start=2.0), ValueError, r"pct_start must be in \[0, 1\], got 2.0"),
        (lambda o: lrs.OneCycleLR(o, 1.0, 5, anneal_strategy="x"), ValueError, "anneal_strategy must be 'cos' or 'linear'"),
        (lambda o: lrs.CyclicLR(o, 0.1, 1.0, mode="x"), ValueError, r"\[CyclicLR\] mode must be 'triangular'"),
        (lambda o: lrs.SequentialLR(o, [lrs.StepLR(o, 2)], [3]), ValueError, r"milestones must be one fewer than schedulers \(1\), got 1"),
        (lambda o: lrs.SequentialLR(o, [lrs.StepLR(optimizer(), 2)], []), ValueError, "must belong to one optimiser"),
        (lambda o: lrs.ChainedScheduler([]), ValueError, r"\[ChainedScheduler\] schedulers must hold at least one"),
        (lambda o: lrs.ChainedScheduler([lrs.ReduceLROnPlateau(o)]), ValueError, "must not need a metric"),
        (lambda o: lrs.WarmupCosineLR(o, 9, 5), ValueError, r"warmup_steps must be in \[0, total_steps = 5\], got 9"),
        (lambda o: lrs.ReduceLROnPlateau(o, factor=1.0), ValueError, r"\[ReduceLROnPlateau\] factor must be below 1"),
        (lambda o: SWALR(o, 0.1, -1), ValueError, r"\[SWALR\] anneal_epochs must be an int and not negative, got -1"),
    ],
)  # fmt: skip
def test_bad_arguments(make, error, text):
    with pytest.raises(error, match=text):
        make(optimizer())


def test_the_end_of_one_cycle():
    o = optimizer()
    schedule = lrs.OneCycleLR(o, 1.0, total_steps=3)
    for _ in range(3):
        o.step()
        schedule.step()
    with pytest.raises(ValueError, match="step must be called at most 3 times, got one more"):
        schedule.step()


def test_momentum_to_cycle_must_exist():
    o = lamella.optim.Adagrad([lamella.ones(1, requires_grad=True)])
    with pytest.raises(ValueError, match=r"\[OneCycleLR\] optimizer must have momentum or betas with cycle_momentum, got Adagrad"):
        lrs.OneCycleLR(o, 1.0, total_steps=3)
