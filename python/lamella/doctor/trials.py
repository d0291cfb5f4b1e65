# SPDX-License-Identifier: MIT
"""Short runs from the same start: other rates, one batch, held-out samples, an exchanged sample."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import nn
from ..autograd import no_grad
from ..ops import cat
from ..optim import Adam
from ..optim.lr_finder import LRFinder
from ..tensor import Tensor
from .data import arrays, parts
from .keep import Trial
from .rules.run import gain, tail

LEAST = 10  # steps of a trial, however slow they are
LOWER, HIGHER = (0.1, 0.01, 0.001, 1e-4), (10.0, 100.0, 1e3, 1e4)


class Stepper:
    """One training step of a batch, by the user's own function or made of a loss function and the optimiser; its loss."""

    def __init__(
        self, model: Any, optimizer: Any, loss: Callable[[Any], Any] | None, own: Callable[[Any], Any] | None
    ) -> None:
        self.model, self.optimizer, self.loss, self.own = model, optimizer, loss, own

    def __call__(self, batch: Any) -> float:
        if self.own is not None:
            result = self.own(batch)
            result = result.get("loss") if isinstance(result, dict) else result
            return math.nan if result is None else float(result)
        self.optimizer.zero_grad()
        loss = self.loss(batch)
        loss.backward()
        self.optimizer.step()
        return float(loss.detach().item())


def losses_of(step: Callable[[Any], float], batches: list[Any], count: int, until: float = math.inf) -> list[float]:
    """Of `count` steps over the batches, again and again; ends where the loss is no number, and, after the first few, where the
    time is over."""
    found: list[float] = []
    for i in range(count):
        try:
            found.append(step(batches[i % len(batches)]))
        except (ArithmeticError, ValueError, IndexError, RuntimeError, TypeError):
            found.append(math.nan)
        if not math.isfinite(found[-1]) or (i >= LEAST and time.perf_counter() > until):
            break
    return found


def try_rates(
    trial: Trial, stepper: Stepper, base: list[float], ratio: float, batches: list[Any], count: int, until: float
) -> dict[float, list[float]]:
    """The same steps at rates 10 to 10,000 times lower or higher, unless the rate that is there does well. Lower ones come
    first; each side ends where it gets worse. ratio: of an update to its weight, at the rate that is there."""
    found = {1.0: base}
    first = next((x for x in base if math.isfinite(x)), math.nan)
    if not math.isfinite(first) or gain(base, first) > 0.5:
        return found
    for factors in (LOWER, HIGHER):
        best = -math.inf
        for factor in factors:
            if time.perf_counter() > until and factor not in LOWER[:2]:
                return found
            trial.again()
            for group in stepper.optimizer.param_groups:
                group["lr"] = group["lr"] * factor
            found[factor] = losses_of(stepper, batches, count, until)
            now, mine = gain(found[factor], first), gain(base, first)
            if not math.isfinite(tail(found[factor])) and factor > 1:
                break
            if factor < 1 and abs(now - mine) < 0.005 and not ratio > 1e-4:  # neither moves anything: lower still will not
                break
            if now < best - 0.05 and best > 0.1:
                break
            best = max(best, now)
        if max(gain(found[f], first) for f in found if f != 1.0) > 0.3 and factors is LOWER:
            break
    return found


def overfit(trial: Trial, model: Any, loss: Callable[[Any], Any], batch: Any, count: int, until: float) -> list[float]:
    """Adam on one batch of at most 16 samples, dropout off, at 3e-3 and, where that fails, at 3e-4; the better of both."""
    best: list[float] = []
    few = cut(batch, 16)
    for lr in (3e-3, 3e-4):
        trial.again()
        for m in model.modules():
            if "Dropout" in type(m).__name__ or "DropPath" in type(m).__name__:
                m.training = False
        trainable = [p for p in model.parameters() if p.requires_grad]
        if not trainable:
            return best
        losses = losses_of(Stepper(model, Adam(trainable, lr=lr), loss, None), [few], count, until)
        if not best or tail(losses) < tail(best):
            best = losses
        if gain(best, best[0]) > 0.3 or time.perf_counter() > until:
            break
    return best


def cut(batch: Any, count: int) -> Any:
    """The first `count` samples of a batch."""
    if isinstance(batch, Tensor):
        return batch[:count] if batch.ndim else batch
    if isinstance(batch, dict):
        return {k: cut(v, count) for k, v in batch.items()}
    if isinstance(batch, (list, tuple)):
        return (
            type(batch)(cut(v, count) for v in batch)
            if not hasattr(batch, "_fields")
            else type(batch)(*(cut(v, count) for v in batch))
        )
    return batch


def held_out(
    trial: Trial, model: Any, loss: Callable[[Any], Any], train: list[Any], test: list[Any], until: float
) -> tuple[float, float, float, float, int] | None:
    """Trains by Adam at 2e-3 on `train`, twenty times over, and looks at `test` after each: the best, so that learning by
    heart does not hide what carries over. For one integer label per sample."""
    targets = [parts(b)[1] for b in test]
    if not train or any(t is None or t.ndim != 1 or t.dtype.is_floating_point for t in targets):
        return None
    y = np.concatenate([arrays(t) for t in targets])
    seen = np.concatenate([arrays(parts(b)[1]) for b in train])
    counts = np.bincount(seen[seen >= 0], minlength=int(max(y.max(), seen.max())) + 1) + 1e-3
    shares = counts / counts.sum()
    prior, largest = float(-np.log(shares[y]).mean()), float((y == shares.argmax()).mean())
    trial.again()
    best: tuple[float, float] | None = None
    stepper = Stepper(model, Adam([p for p in model.parameters() if p.requires_grad], lr=2e-3), loss, None)
    caught: list[Tensor] = []
    handle = model.register_forward_hook(lambda m, a, out: caught.append(out))
    try:
        for _ in range(20):
            model.train()
            losses_of(stepper, train, len(train), until)
            model.eval()
            values, right = [], 0
            with no_grad():
                for batch, target in zip(test, targets, strict=True):
                    caught.clear()
                    values.append(float(loss(batch)) * len(target))
                    out = caught[-1][0] if isinstance(caught[-1], (tuple, list)) else caught[-1]
                    if not isinstance(out, Tensor) or out.ndim != 2 or out.shape[0] != len(target):
                        return None
                    right += int((arrays(out).argmax(1) == arrays(target)).sum())
            now = (sum(values) / len(y), right / len(y))
            best = now if best is None else (min(best[0], now[0]), max(best[1], now[1]))
            if time.perf_counter() > until:
                break
    finally:
        handle.remove()
    return (best[0], prior, best[1], largest, len(y)) if best and math.isfinite(best[0]) else None


def range_test(
    model: Any, optimizer: Any, loss: Callable[[Any], Any], batches: list[Any], count: int
) -> tuple[dict[str, list[float]], tuple[float, float, float] | None]:
    """The curve of optim.LRFinder and the range read from it, if there is one."""

    class Whole(nn.Module):
        def __init__(self) -> None:
            self.model = model

        def forward(self, batch: Any) -> Any:
            return loss(batch)

    training = {m: m.training for m in model.modules()}
    whole = Whole()

    def criterion(output: Any, _: Any) -> Any:
        return output

    finder = LRFinder(whole, optimizer, criterion)
    try:
        finder.range_test(((b, None) for b in batches * (count // len(batches) + 1)), 1e-6, 10.0, count, smooth_f=0.3)
        found = finder.suggestion(skip_start=2)
        start, lowest = finder.history["loss"][2], min(finder.history["loss"])
        if found.high < 1.5 * found.low or start - lowest < 0.03 * abs(start):  # noise
            return finder.history, None
        return finder.history, (found.low, found.steepest, found.high)
    except (ArithmeticError, ValueError, IndexError, RuntimeError):
        return finder.history, None
    finally:
        for m, mode in training.items():
            m.training = mode


def mixing(model: Any, batch: Any, call: Callable[[list[Tensor]], Any]) -> float | None:
    """How far the outputs of the other samples move when the first is replaced by the second, against their spread; None
    where it cannot be told which axis of the output counts samples. In evaluation mode."""
    inputs, target = parts(batch)
    if not inputs or target is None or target.ndim == 0:
        return None
    n = inputs[0].shape[0]
    timed = any(getattr(m, "batch_first", True) is False for m in model.modules())
    if n < 3 or target.shape[0] != n or any(x.ndim == 0 or x.shape[0] != n for x in inputs) or (timed and target.ndim > 1):
        return None
    if any(getattr(m, "track_running_stats", True) is False and "BatchNorm" in type(m).__name__ for m in model.modules()):
        return None
    changed = [cat([x[1:2], x[1:]]) for x in inputs]
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        with no_grad():
            outs = [call(inputs), call(changed)]
    except (ArithmeticError, ValueError, IndexError, RuntimeError, TypeError):
        return None
    finally:
        for m, mode in modes.items():
            m.training = mode
    outs = [o[0] if isinstance(o, (tuple, list)) and o else o for o in outs]
    if not all(isinstance(o, Tensor) and o.ndim and o.shape[0] % n == 0 and o.numel() for o in outs):
        return None
    a, b = (arrays(o).astype(np.float64).reshape(n, -1)[1:] for o in outs)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return None
    return float(np.abs(a - b).max() / max(float(a.std()), 1e-12)) if a.std() > 1e-9 else 0.0


def quietly(function: Callable[..., Any], *args: Any) -> Any:
    """function(*args) with NumPy's and the schedules' warnings off: trials go where numbers overflow."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return function(*args)
