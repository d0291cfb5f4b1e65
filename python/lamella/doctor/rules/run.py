# SPDX-License-Identifier: MIT
"""Rules on how the loss moves: the learning rate, NaN, symptoms."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ..facts import Evidence
from ..finding import Finding

PROGRESS = 0.1  # of the first loss: the least that a trial must gain to be taken for learning
SHARE = 0.25  # of the best trial's gain: a rate that gains less is off
WILD, HIGH, LOW = 0.3, 0.1, 1e-5  # update / weight per step, where no trials tell


def tail(losses: list[float]) -> float:
    """The mean of the last quarter; infinite for a run that left the finite numbers."""
    if not losses or not all(map(math.isfinite, losses)):
        return math.inf
    return float(np.mean(losses[-max(1, len(losses) // 4) :]))


def gain(losses: list[float], first: float) -> float:
    """By how much of its first value a loss fell; at least -1."""
    end = tail(losses)
    return -1.0 if not math.isfinite(end) else max(-1.0, (first - end) / max(abs(first), 1e-12))


def ratio_of(e: Evidence) -> float:
    """The median of update / weight over the looks, without the first step where there are others; NaN if unknown."""
    found = [look.ratio for look in e.run.looks if look.step > 0 and math.isfinite(look.ratio)]
    found = found or [look.ratio for look in e.run.looks if math.isfinite(look.ratio)]
    return float(np.median(found)) if found else math.nan


def rate(e: Evidence) -> Iterator[Finding]:
    if not e.own_rate or not e.run.losses:
        return
    rates = e.trials.rates
    found = list(_by_trials(e, rates)) if len(rates) > 1 else []
    yield from found or _by_run(e, only_high=bool(rates))


def _by_trials(e: Evidence, rates: dict[float, list[float]]) -> Iterator[Finding]:
    """From the same start, the same batches at other rates."""
    firsts = [r[0] for r in rates.values() if r and math.isfinite(r[0])]
    if not firsts:
        return
    first, even = (
        firsts[0],
        min(len(r) for r in rates.values() if math.isfinite(tail(r)))
        if any(math.isfinite(tail(r)) for r in rates.values())
        else 0,
    )
    rates = {
        f: r[:even] if math.isfinite(tail(r)) else r for f, r in rates.items()
    }  # the same batches, where time cut one short
    gains = {factor: gain(losses, first) for factor, losses in rates.items()}
    mine, best = gains[1.0], max(gains, key=lambda f: gains[f])
    ratio, lr = ratio_of(e), e.run.rates[0]
    unmoved = 0.1 in gains and abs(gains[0.1] - mine) < 0.005  # a tenth of the rate does just as little
    if ratio < LOW and (mine < 0.02 or unmoved):
        yield Finding(
            "rate-too-low",
            f"an update is {ratio:.1g} of a weight (median; about 1e-3 is usual); at {lr:.3g} the loss went from {first:.3g} to "
            f"{tail(rates[1.0]):.3g} in {len(rates[1.0])} steps",
        )
        return
    broken = not math.isfinite(tail(rates[1.0]))
    wild = best < 1 and ratio > 0.03 and mine < 0.005  # large steps that gain nothing: little is asked of the better rate
    if best == 1.0 or mine > SHARE * gains[best] or gains[best] < (0 if broken else 0.02 if wild else PROGRESS):
        return
    steps = len(rates[best])
    end = tail(rates[1.0])
    seen = (
        f"at {lr:.3g} the loss went from {first:.3g} to {end:.3g} in {steps} steps, at {lr * best:.3g} to {tail(rates[best]):.3g}; "
        f"an update is {ratio:.1g} of a weight (median; about 1e-3 is usual)"
    )
    if best < 1:
        yield Finding("rate-too-high", seen)
    elif best >= 100 and (ratio < 1e-4 or not math.isfinite(ratio)):
        yield Finding("rate-too-low", seen)
    elif best >= 100 and ratio < 3e-4 and (mine < 0.02 or unmoved):
        yield Finding("rate-too-low", seen, "warning")


def _by_run(e: Evidence, only_high: bool) -> Iterator[Finding]:
    """From the size of the updates and from what the loss did; where trials told nothing, only of a rate that is too high."""
    losses, ratio = e.run.losses, ratio_of(e)
    if len(losses) < 6 or not math.isfinite(ratio):
        return
    first, end, lr = losses[0], tail(losses), e.run.rates[-1]
    early = max((look.ratio for look in e.run.looks if 0 < look.step <= 10 and math.isfinite(look.ratio)), default=ratio)
    peak = max((x for x in losses if math.isfinite(x)), default=math.inf)
    stuck = not end < 0.9 * first and (len(losses) >= 10 or not peak < 3 * abs(first))
    figures = (
        f"at rate {lr:.3g} an update is {ratio:.1g} of a weight (median, {early:.1g} early on; about 1e-3 is usual); "
        f"the loss went from {first:.3g} to {end:.3g} in {len(losses)} steps"
    )
    if stuck and (
        early > WILD
        or (early > HIGH and not end < 0.98 * first)
        or (early > 0.05 and (peak > 2 * abs(first) or not math.isfinite(end)))
    ):
        yield Finding("rate-too-high", f"{figures}, at most {peak:.3g}")
    elif not only_high and ratio < LOW and lr >= 0.5 * max(e.run.rates) and stuck and (lr <= 1.5 * e.run.rates[0] or len(losses) > 300):
        yield Finding("rate-too-low", figures)


def not_finite(e: Evidence) -> Iterator[Finding]:
    run = e.run
    at = next((i for i, x in enumerate(run.losses) if not math.isfinite(x)), None)
    text = str(run.error) if isinstance(run.error, FloatingPointError) else ""
    if at is None and not text and not (run.nan_at and not run.losses):
        return
    origin = run.nan_at
    if origin and origin != "inputs" and not origin.startswith(("weights", "a weight")) and (at or 0) == 0:
        yield Finding("nan-made", f"first in {origin}, at step {at or 0}", where=(origin,))
    elif at is not None:
        yield Finding("loss-not-finite", f"{run.losses[at]} at step {at}" + (f"; first in {origin}" if origin else ""))
    else:
        yield Finding("loss-not-finite", text or f"first in {origin}")


def overfit(e: Evidence) -> Iterator[Finding]:
    losses = e.trials.overfit
    if len(losses) >= 40 and gain(losses, losses[0]) < 0.1:
        yield Finding(
            "cannot-overfit",
            f"in {len(losses)} steps on one batch, by Adam at the better of two rates, the loss went from {losses[0]:.3g} to {tail(losses):.3g}",
        )


def one_class(e: Evidence) -> Iterator[Finding]:
    looks = [look for look in e.run.looks if look.predictions is not None and look.step >= 10]
    if not looks or e.classes < 2:
        return
    p = looks[-1].predictions
    counts = e.data.label_counts()
    most = max(counts.values(), default=0) / max(1, sum(counts.values()))
    if p.sum() >= 16 and p.max() == p.sum() and most < 0.75:
        stuck = looks[-1].step >= 50 and gain(e.run.losses, e.run.losses[0]) < 0.02
        seen = f"all {p.sum()} predictions at step {looks[-1].step} are class {int(p.argmax())}"
        yield Finding("one-class", seen, "warning" if stuck else "note")


def raised(e: Evidence) -> Iterator[Finding]:
    if e.run.error is not None and not isinstance(e.run.error, FloatingPointError):
        text = f"{type(e.run.error).__name__}: {e.run.error}"
        if "more than one value per channel" in text:
            yield Finding("batch-norm-batch", text)
        yield Finding("error-raised", text)


RULES = (rate, not_finite, overfit, one_class, raised)
