# SPDX-License-Identifier: MIT
"""Which learning rate? The range test, and how rates scale with the batch."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from .._numpy import np
from .optimizer import Optimizer


def scale_lr(lr: float, batch_size: int, base_batch_size: int = 256, rule: str = "linear") -> float:
    """The rate for `batch_size` where `lr` is right for base_batch_size: lr k, k = batch_size / base_batch_size, for SGD
    (linear scaling, Goyal et al. 2017), or lr sqrt(k) for Adam and its kin (rule 'sqrt', Malladi et al. 2022).

    >>> scale_lr(0.1, 1024)
    0.4
    >>> scale_lr(0.1, 1024, rule="sqrt")
    0.2
    """
    if batch_size <= 0 or base_batch_size <= 0:
        raise ValueError(f"[scale_lr] batch sizes must be positive, got {batch_size} and {base_batch_size}")
    if rule not in ("linear", "sqrt"):
        raise ValueError(f"[scale_lr] rule must be 'linear' or 'sqrt', got {rule!r}")
    k = batch_size / base_batch_size
    return lr * (k if rule == "linear" else math.sqrt(k))


class LRRange(NamedTuple):
    """Where the loss begins to fall, falls fastest, and is lowest: base_lr, a constant lr, and max_lr of a cycle."""

    low: float
    steepest: float
    high: float


class LRFinder:
    """The learning-rate range test (Smith 2017): a few steps at rates that grow from batch to batch, and the loss of each.

    `range_test(loader)` leaves the curve in `history` ({"lr": [...], "loss": [...]}, the loss smoothed) and the model and
    the optimiser as they were; `suggestion()` reads a range from it, `plot()` draws it.
    """

    def __init__(self, model: Any, optimizer: Optimizer, criterion: Callable[[Any, Any], Any]) -> None:
        self.model, self.optimizer, self.criterion = model, optimizer, criterion
        self.history: dict[str, list[float]] = {"lr": [], "loss": []}

    def range_test(
        self,
        train_loader: Iterable[Any],
        start_lr: float = 1e-7,
        end_lr: float = 10.0,
        num_iter: int = 100,
        step_mode: str = "exp",
        smooth_f: float = 0.05,
        diverge_th: float = 5.0,
    ) -> LRFinder:
        """Trains num_iter steps on (input, target) batches, from the start again where they run out, and stops earlier
        where the loss exceeds diverge_th times the best so far or is not finite.

        step_mode: rates grow by a factor ('exp') or a term ('linear'). smooth_f: the weight of a new loss in the
        exponential average; 1 leaves them as they are.
        """
        if not 0 < start_lr < end_lr:
            raise ValueError(f"[LRFinder] start_lr must be positive and below end_lr, got {start_lr} and {end_lr}")
        if num_iter < 2:
            raise ValueError(f"[LRFinder] num_iter must be at least 2, got {num_iter}")
        if step_mode not in ("exp", "linear"):
            raise ValueError(f"[LRFinder] step_mode must be 'exp' or 'linear', got {step_mode!r}")
        if not 0 < smooth_f <= 1:
            raise ValueError(f"[LRFinder] smooth_f must be in (0, 1], got {smooth_f}")
        spaced = np.geomspace if step_mode == "exp" else np.linspace
        weights = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        saved = self.optimizer.state_dict()
        saved["state"] = {i: {k: _copied(v) for k, v in s.items()} for i, s in saved["state"].items()}
        training = self.model.training
        self.history = {"lr": [], "loss": []}
        self.model.train()
        try:
            self._walk(train_loader, [float(lr) for lr in spaced(start_lr, end_lr, num_iter)], smooth_f, diverge_th)
        finally:
            self.model.load_state_dict(weights)
            self.optimizer.load_state_dict(saved)
            self.optimizer.zero_grad()
            self.model.train(training)
        return self

    def _walk(self, loader: Iterable[Any], rates: list[float], smooth_f: float, diverge_th: float) -> None:
        batches, smooth = iter(loader), 0.0
        for i, lr in enumerate(rates):
            try:
                x, y = next(batches)
            except StopIteration:
                batches = iter(loader)
                try:
                    x, y = next(batches)
                except StopIteration:
                    raise ValueError("[LRFinder] train_loader must yield at least one batch each time, got none") from None
            for group in self.optimizer.param_groups:
                group["lr"] = lr
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(x), y)
            loss.backward()
            self.optimizer.step()
            value = float(loss.detach())
            smooth = value if i == 0 else smooth + smooth_f * (value - smooth)
            losses = self.history["loss"]
            if not math.isfinite(smooth) or (losses and smooth > diverge_th * min(losses)):
                return
            self.history["lr"].append(lr)
            losses.append(smooth)

    def suggestion(self, skip_start: int = 5, skip_end: int = 0) -> LRRange:
        """The range read from the curve without its first skip_start and last skip_end points."""
        end = len(self.history["lr"]) - skip_end
        lrs, losses = (np.array(self.history[k][skip_start:end]) for k in ("lr", "loss"))
        if len(lrs) < 3:
            raise ValueError(f"[LRFinder] the curve must have at least 3 points, got {len(lrs)}: run range_test with more")
        lowest = int(np.argmin(losses))
        if lowest == 0:
            raise ValueError("[LRFinder] the loss must fall somewhere on the curve, got one that rises from its start")
        slopes = np.gradient(losses, np.log(lrs))[: lowest + 1]
        fallen = losses[: lowest + 1] <= losses[0] - 0.1 * (losses[0] - losses[lowest])
        return LRRange(float(lrs[int(np.argmax(fallen))]), float(lrs[int(np.argmin(slopes))]), float(lrs[lowest]))

    def plot(self, path: str | os.PathLike[str] | None = None, ax: Any = None, skip_start: int = 5, skip_end: int = 0) -> Any:
        """Draws the curve and the suggested range with matplotlib, saves it to `path` if given, and returns the axes."""
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise ImportError("[LRFinder] matplotlib must be installed for plot(): pip install matplotlib") from None
        if ax is None:
            ax = Figure(figsize=(7, 4.5), layout="constrained").add_subplot()
        end = len(self.history["lr"]) - skip_end
        ax.plot(self.history["lr"][skip_start:end], self.history["loss"][skip_start:end])
        try:
            found = self.suggestion(skip_start, skip_end)
        except ValueError:
            found = None
        if found is not None:
            ax.axvspan(found.low, found.high, alpha=0.12)
            ax.axvline(found.steepest, linestyle="--", label=f"steepest at {found.steepest:.2g}")
            ax.legend()
        ax.set(xscale="log", xlabel="learning rate", ylabel="smoothed loss", title="Learning-rate range test")
        if path is not None:
            ax.figure.savefig(path)
        return ax


def _copied(value: Any) -> Any:
    return value.detach().clone() if hasattr(value, "detach") else value
