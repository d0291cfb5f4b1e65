# SPDX-License-Identifier: MIT
"""`examine`: looks at data, model, loss and optimiser, runs a few steps and trials, and puts everything back."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ..data import TensorDataset
from ..optim import Adam
from . import relation, trials
from .data import arrays, batches_of, in_order, is_pair, looked_at
from .facts import Evidence
from .keep import Trial
from .report import Report
from .rules import judge
from .rules.run import ratio_of
from .watch import Watch

# With one of these there is nothing to be learnt from trials.
HOPELESS = ("inputs-not-finite", "targets-not-finite", "inputs-identical", "error-raised", "shapes-disagree", "nan-made")


def examine(
    model: Any,
    data: Any,
    criterion: Callable[[Any, Any], Any] | None = None,
    optimizer: Any = None,
    *,
    step: Callable[[Any, Any], Any] | None = None,
    train_step: Callable[[Any], Any] | None = None,
    validation: Any = None,
    keep: tuple[Any, ...] = (),
    steps: int | None = None,
    budget_seconds: float = 20.0,
) -> Report:
    """Why does this model not learn? Looks at everything between data and update, and tells what it found, causes first.

    model: as training begins, in the mode in which it is trained. data: a loader or list of batches (its first ones are
    used), or a pair of arrays (inputs, targets). The loss is criterion(model(input), target), or step(model, batch) (a loss,
    or a dict with "loss"). Your own whole step is train_step(batch): forward, zero_grad, backward, optimizer.step(); then
    `optimizer` must be the one it uses.
    optimizer: without one, nothing is said of rates and of which parameters are updated.
    validation: held-out data, compared with `data`. keep: what else a train_step changes and has state_dict and
    load_state_dict (a schedule, a scaler), to be put back.
    steps: of the watched run; by default as many (12 to 60) as take a fifth of the time. budget_seconds: for all of it,
    kept roughly.

    Weights, buffers, gradients, modes, the optimiser's state and random streams are afterwards as they were. ValueError
    where not exactly one of criterion, step and train_step is given.

    >>> _ = lamella.manual_seed(0)
    >>> x = lamella.randn(256, 8)
    >>> y = x[:, :3].argmax(1)
    >>> model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3), nn.Softmax(-1))
    >>> optimizer = lamella.optim.SGD(model.parameters(), lr=0.1)
    >>> report = lamella.doctor.examine(model, (x, y), nn.CrossEntropyLoss(), optimizer, budget_seconds=2)
    >>> [finding.code for finding in report.alarms][:1]
    ['softmax-twice']
    """
    if sum(f is not None for f in (criterion, step, train_step)) != 1:
        raise ValueError("[examine] exactly one of criterion, step and train_step must be given")
    if train_step is not None and optimizer is None:
        raise ValueError("[examine] optimizer must be given with train_step: the one it steps")
    if not budget_seconds > 0:
        raise ValueError(f"[examine] budget_seconds must be positive, got {budget_seconds}")
    begun = time.perf_counter()
    batches = batches_of(data, 24)
    if not batches:
        raise ValueError("[examine] data must yield at least one batch, got none")
    evidence = Evidence(own_rate=optimizer is not None)
    used = (
        optimizer
        if optimizer is not None
        else Adam([p for p in model.parameters() if p.requires_grad] or list(model.parameters()), lr=1e-3)
    )

    def loss(batch: Any) -> Any:
        if step is not None:
            result = step(model, batch)
            return result["loss"] if isinstance(result, dict) else result
        inputs, target = batch[:-1], batch[-1]
        return criterion(model(*inputs), target)

    stepper = trials.Stepper(model, used, None if train_step else loss, train_step)
    with Trial(model, used, keep) as trial:
        trials.quietly(_run, evidence, stepper, batches, steps, budget_seconds)
        trials.quietly(_data, evidence, data, batches, validation)
        hopeless = [f.code for f in judge(evidence) if f.severity == "error" and (f.code in HOPELESS)]
        if hopeless:
            evidence.trials.skipped = f"no trials were made: {judge(evidence)[0].title}"
        else:
            trials.quietly(_trials, evidence, trial, stepper, None if train_step else loss, batches, begun + budget_seconds)
    return Report.of(evidence, seconds=time.perf_counter() - begun)


def _run(e: Evidence, stepper: trials.Stepper, batches: list[Any], steps: int | None, budget: float) -> None:
    """The watched run. The first steps say how long one takes."""
    watch = Watch(stepper.model, stepper.optimizer)
    e.run = watch.run
    count, begun = steps or 12, time.perf_counter()
    try:
        with watch:
            i = 0
            while i < count:
                stepper(batches[i % len(batches)])
                i += 1
                if i == 4 and steps is None:
                    each = (time.perf_counter() - begun) / 4
                    count = int(np.clip(0.2 * budget / max(each, 1e-6), 12, 60))
                if (i >= trials.LEAST and time.perf_counter() - begun > 0.4 * budget) or (
                    i >= 3 and not all(map(math.isfinite, e.run.losses))
                ):
                    break
        e.planned = count
    except Exception as error:  # it is evidence, whatever it is
        e.run.error = error


def _data(e: Evidence, data: Any, batches: list[Any], validation: Any) -> None:
    e.data = looked_at(batches)
    dataset = getattr(data, "dataset", None)
    if isinstance(dataset, TensorDataset) and len(dataset.tensors) == 2 and not dataset.tensors[1].dtype.is_floating_point:
        e.data.counts = {}
        e.data.tally(arrays(dataset.tensors[1]))
    last = (
        getattr(data, "drop_last", True) is False
        and getattr(data, "batch_size", None) not in (None, 1)
        and hasattr(dataset, "__len__")
    )
    if last:
        e.trials.last_batch = len(dataset) % data.batch_size
    rows = _joined(e.data.rows)
    labels = _joined(e.data.labels)
    if rows is not None:
        e.duplicates = relation.duplicates(rows, labels)
    if rows is not None and labels is not None and not e.data.not_finite:
        if labels.ndim == 1 or labels[0].size == 1:
            e.relation = relation.relate(rows, labels.reshape(len(labels)), in_order(data))
        elif labels.dtype.kind in "iu":
            e.relation = relation.tokens_related(e.data.rows, e.data.labels)
    if validation is not None:
        e.validation = looked_at(batches_of(validation, 24, 64))
        other, theirs = _joined(e.validation.rows), _joined(e.validation.labels)
        if other is not None:
            e.shared = (relation.shared(_all_rows(data, rows), other), len(other))
            if labels is not None and theirs is not None:
                e.mapping = relation.mapping(rows, labels, other, theirs)


def _joined(rows: list[np.ndarray]) -> np.ndarray | None:
    if not rows or any(r.shape[1:] != rows[0].shape[1:] for r in rows):
        return None
    return np.concatenate(rows)


def _all_rows(data: Any, rows: np.ndarray | None) -> np.ndarray:
    """The inputs of the whole data set where they lie in memory, at most 50,000, else those that were looked at."""
    dataset = getattr(data, "dataset", None)
    if isinstance(dataset, TensorDataset):
        return arrays(dataset.tensors[0][:50_000])
    if is_pair(data):
        return np.asarray(data[0])[:50_000]
    return rows if rows is not None else np.zeros((0, 1))


def _trials(e: Evidence, trial: Trial, stepper: trials.Stepper, loss: Any, batches: list[Any], until: float) -> None:
    """In the order of what they tell: other rates, one batch, exchanged samples, held-out samples, the range test."""
    t, base, now = e.trials, e.run.losses, time.perf_counter()
    left = max(1.0, until - now)
    count = e.planned or max(8, len(base))
    if e.own_rate:
        t.rates = trials.try_rates(trial, stepper, base, ratio_of(e), batches, count, now + 0.45 * left)
    if loss is None:
        return
    model = stepper.model
    trial.again()
    t.mixed = (
        trials.mixing(model, batches[0], lambda inputs: model(*inputs))
        if stepper.own is None and e.run.output_shape
        else None
    )
    t.overfit = trials.overfit(trial, model, loss, batches[0], 60, now + 0.6 * left)
    r = e.relation
    if r is not None and r.z <= 4 and not r.shift and len(batches) >= 4:
        part = max(1, len(batches) // 4)
        t.held_out = trials.held_out(trial, model, loss, batches[:-part], batches[-part:], now + 0.85 * left)
    trial.again()
    if time.perf_counter() < until:
        each = (time.perf_counter() - now) / max(1, sum(map(len, t.rates.values())) + len(t.overfit))
        points = int(np.clip((until - time.perf_counter()) / max(each, 1e-6), 20, 80))
        t.range, t.low_high = trials.range_test(model, stepper.optimizer, loss, batches, points)
