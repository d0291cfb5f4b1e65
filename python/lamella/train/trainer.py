# SPDX-License-Identifier: MIT
"""The training loop: steps, evaluation, history, callbacks, and a state that goes on to the same bits."""

from __future__ import annotations

import contextlib
import copy
import math
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..autograd import no_grad
from ..device import move_to_model
from ..nn.utils import clip_grad_norm_, clip_grad_value_
from ..ops import cat
from ..optim.lr_scheduler import ReduceLROnPlateau
from ..optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from ..tensor import Tensor
from . import state as states
from .history import History, Sums
from .interrupt import deferred_interrupt

__all__ = ["Trainer"]

_HOOKS = (
    "on_fit_start", "on_epoch_start", "on_batch_start", "on_backward_end", "on_step_end", "on_evaluate_start",
    "on_evaluate_end", "on_epoch_end", "on_fit_end", "on_exception",
)  # fmt: skip
_RESERVED = ("output", "target", "weight")  # of a step's result: no figures


def _samples(batch: Any) -> int:
    """How many samples a batch has: the first dimension of the first tensor in it."""
    while isinstance(batch, (tuple, list, dict)) and batch:
        batch = next(iter(batch.values())) if isinstance(batch, dict) else batch[0]
    shape = getattr(batch, "shape", None)
    return int(shape[0]) if shape else 1


class Trainer:
    """Trains `model` with `optimizer`.

    criterion: loss = criterion(model(input), target) for batches (input, target). For all else give
    step: step(model, batch) -> loss, or a dict with "loss" and, if wanted, "output" and "target" (for the metrics),
        "weight" (what the batch counts in means; default: its number of samples) and further figures to be averaged; or
        override `training_step`, where a step is not one backward and one optimiser step.
    optimizer: one, or a dict of several for an overridden training_step.
    schedule: stepped after each optimiser step, or with schedule_every="epoch" after each epoch; ReduceLROnPlateau always
        after each row of the history, with the figure that `monitor` names.
    metrics: a dict of name -> Metric, or a list; computed in evaluation, and in training where train_metrics.
    accumulate: batches whose gradients one optimiser step takes, as their mean.
    clip_norm, clip_value: bounds of the gradient's norm and of its elements.
    precision: "float32", or "bfloat16" or "float16" for autocast (with float16 the loss is scaled); "auto": bfloat16 where
        `amp.is_bfloat16_fast` for the device that the model is on, else float32.
    ema: the decay of an exponential average of the weights, which evaluation and prediction then use (`evaluated`).
    seed: for manual_seed, at the start of a run that is not resumed.
    check_finite: a loss that is not finite ends the run with FloatingPointError instead of spoiling the weights; with
        float16 the scaler leaves such steps out instead.

    Interrupted by Ctrl-C, the step is finished, callbacks save, and KeyboardInterrupt leaves `fit`; a second one leaves at
    once.

    >>> from lamella.data import DataLoader, TensorDataset
    >>> _ = lamella.manual_seed(0)
    >>> x = lamella.randn(64, 2)
    >>> loader = DataLoader(TensorDataset(x, x @ lamella.tensor([[2.0], [-1.0]])), batch_size=16)
    >>> model = nn.Linear(2, 1)
    >>> trainer = train.Trainer(model, lamella.optim.SGD(model.parameters(), lr=0.1), F.mse_loss)
    >>> history = trainer.fit(loader, loader, epochs=20)
    >>> history.last["val_loss"] < 1e-3, trainer.steps_done
    (True, 80)
    """

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        criterion: Callable[[Any, Any], Any] | None = None,
        *,
        step: Callable[[Any, Any], Any] | None = None,
        schedule: Any = None,
        schedule_every: str = "step",
        monitor: str = "val_loss",
        metrics: Any = None,
        train_metrics: bool = True,
        callbacks: Iterable[Any] = (),
        accumulate: int = 1,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        precision: str = "float32",
        ema: float | None = None,
        seed: int | None = None,
        check_finite: bool = True,
    ) -> None:
        if (criterion is not None) == (step is not None) and type(self).training_step is Trainer.training_step:
            given = "both" if criterion is not None else "neither"
            raise ValueError(f"[Trainer] exactly one of criterion and step must be given, got {given}")
        if schedule_every not in ("step", "epoch"):
            raise ValueError(f"[Trainer] schedule_every must be 'step' or 'epoch', got {schedule_every!r}")
        if not isinstance(accumulate, int) or accumulate < 1:
            raise ValueError(f"[Trainer] accumulate must be a positive int, got {accumulate!r}")
        if precision not in ("float32", "bfloat16", "float16", "auto"):
            raise ValueError(f"[Trainer] precision must be 'float32', 'bfloat16', 'float16' or 'auto', got {precision!r}")
        if precision == "auto":
            from ..amp import is_bfloat16_fast

            parameter = next(iter(model.parameters()), None)
            precision = "bfloat16" if is_bfloat16_fast("cpu" if parameter is None else parameter.device.type) else "float32"
        self.model, self.criterion, self.step = model, criterion, step
        self.optimizers: dict[str, Any] = dict(optimizer) if isinstance(optimizer, dict) else {"optimizer": optimizer}
        self.optimizer = optimizer if not isinstance(optimizer, dict) else next(iter(self.optimizers.values()))
        self.schedule, self.schedule_every, self.monitor = schedule, schedule_every, monitor
        named = metrics if isinstance(metrics, dict) else {m.name: m for m in metrics or ()}
        self.metrics: dict[str, Any] = dict(named)
        self.train_metrics = train_metrics
        self.arrays: dict[str, Any] = {}  # metrics that are no single figure, as last computed: a confusion matrix
        self.accumulate, self.clip_norm, self.clip_value = accumulate, clip_norm, clip_value
        self.precision, self.seed, self.check_finite = precision, seed, check_finite
        self.ema = None
        if ema is not None:
            self.ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(ema), use_buffers=True)
        self.scaler = None
        if precision == "float16":
            from ..amp import GradScaler

            self.scaler = GradScaler("cpu")
        elif precision == "bfloat16":
            from ..amp.autocast_mode import warn_if_slow

            warn_if_slow("Trainer")
        self._hooks: dict[str, list[Any]] = {}
        self.callbacks: list[Any] = []
        for callback in callbacks:
            self.add_callback(callback)
        self.history = History()
        self.steps_done = self.samples_done = self.epoch = self.batch_index = 0
        self.epochs: int | None = None
        self.steps: int | None = None
        self.batches: int | None = None  # of an epoch, where the loader knows
        self.grad_norm: Any = None  # of the last step, before clipping, where clip_norm is given
        self.should_stop = self.interrupted = False
        self.consistent = True  # False within a step: a state saved then could not go on
        self._micro = 0  # batches since the last optimiser step
        self._skipped = False  # whether the scaler left the last step out, for gradients that were not finite
        self._sums = Sums()
        self._resumed: dict[str, Any] | None = None  # a state whose loader part waits for fit
        self._loader: Any = None

    # ---- parts -------------------------------------------------------------------------------------------------------
    @property
    def evaluated(self) -> Any:
        """The model that evaluation uses: the averaged one, where ema is given."""
        return self.model if self.ema is None else self.ema.module

    @property
    def running_loss(self) -> float:
        """The mean loss since the last row of the history."""
        return self._sums.mean("loss")

    @property
    def fraction(self) -> float:
        """How much of the run is done, from 0 to 1."""
        parts = [self.steps_done / self.steps] if self.steps else []
        if self.epochs:
            within = min(1.0, self.batch_index / self.batches) if self.batches else 0.0
            parts.append((self.epoch + within) / self.epochs)
        return min(1.0, max(parts, default=0.0))

    def add_callback(self, callback: Any) -> None:
        """Adds one behind the others; only the moments it defines cost anything."""
        from .callbacks.base import Callback

        self.callbacks.append(callback)
        for name in _HOOKS:
            method = getattr(callback, name, None)
            if method is not None and getattr(type(callback), name, None) is not getattr(Callback, name):
                self._hooks.setdefault(name, []).append(method)

    def _call(self, name: str, *args: Any) -> None:
        for hook in self._hooks.get(name, ()):
            hook(self, *args)

    def autocast(self) -> Any:
        """The context of the forward pass, by `precision`."""
        if self.precision == "float32":
            return contextlib.nullcontext()
        from .. import bfloat16, float16
        from ..amp import autocast

        return autocast("cpu", dtype=bfloat16 if self.precision == "bfloat16" else float16)

    # ---- one step ----------------------------------------------------------------------------------------------------
    def forward(self, model: Any, batch: Any) -> dict[str, Any]:
        """The result of criterion or step on a batch, always a dict. A batch goes where the model lies."""
        batch = move_to_model(batch, model)
        if self.step is not None:
            result = self.step(model, batch)
            return result if isinstance(result, dict) else {"loss": result}
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            size = f" of {len(batch)}" if isinstance(batch, (tuple, list)) else ""
            raise ValueError(
                f"[Trainer] batches must be (input, target) for a criterion, got {type(batch).__name__}{size}: "
                "give step=function(model, batch) instead"
            )
        output = model(batch[0])
        return {"loss": self.criterion(output, batch[1]), "output": output, "target": batch[1]}

    def training_step(self, batch: Any) -> dict[str, Any]:
        """Forward and backward of one batch, and after `accumulate` of them the optimiser's step."""
        with self.autocast():
            result = self.forward(self.model, batch)
        loss = result["loss"]
        if self.check_finite and self.scaler is None and not math.isfinite(loss.item()):
            raise FloatingPointError(
                f"[Trainer] loss must be finite, got {loss.item()} at step {self.steps_done + 1}: try a lower learning rate or "
                "clip_norm, look at the data, or run `lamella doctor`"
            )
        scaled = loss if self.scaler is None else self.scaler.scale(loss)
        (scaled if self.accumulate == 1 else scaled / self.accumulate).backward()
        self._micro += 1
        if self._micro == self.accumulate:
            self.optimizer_step()
        return result

    def optimizer_step(self) -> None:
        """Clips, steps, drops the gradients, averages the weights. A group of batches that is not full counts as a whole."""
        optimizer = self.optimizer
        if self.scaler is not None:
            self.scaler.unscale_(optimizer)
        if self._micro < self.accumulate:
            for p in self._parameters():
                if p.grad is not None:
                    p.grad = p.grad.detach() * (self.accumulate / self._micro)
        self._call("on_backward_end")
        if self.clip_norm is not None:
            self.grad_norm = clip_grad_norm_(self._parameters(), self.clip_norm)
        if self.clip_value is not None:
            clip_grad_value_(self._parameters(), self.clip_value)
        if self.scaler is None:
            optimizer.step()
        else:
            scale = self.scaler.get_scale()
            self.scaler.step(optimizer)
            self.scaler.update()
            self._skipped = self.scaler.get_scale() < scale
        optimizer.zero_grad()
        self._micro = 0

    def _parameters(self) -> list[Any]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def _one(self, batch: Any) -> None:
        """A training step with what belongs to it: figures, schedule, average, counts, callbacks."""
        self.consistent = False
        self._call("on_batch_start", batch)
        result = self.training_step(batch)
        samples = _samples(batch)
        figures = {k: v for k, v in result.items() if k not in _RESERVED}
        self._sums.add(figures, result.get("weight", samples), samples)
        if self.train_metrics and self.metrics and result.get("output") is not None:
            with no_grad():
                for metric in self.metrics.values():
                    metric.update(result["output"], result["target"])
        self.batch_index += 1
        self.samples_done += samples
        if self._micro == 0:  # else gradients wait for more
            self._after_step(figures)

    def _after_step(self, figures: dict[str, Any]) -> None:
        self.steps_done += 1
        if not self._skipped:
            if self.schedule is not None and self.schedule_every == "step" and not isinstance(self.schedule, ReduceLROnPlateau):
                self.schedule.step()
            if self.ema is not None:
                self.ema.update_parameters(self.model)
        self.consistent = True
        self._call("on_step_end", figures)

    # ---- the run -----------------------------------------------------------------------------------------------------
    def fit(
        self,
        train: Iterable[Any],
        validation: Iterable[Any] | None = None,
        *,
        epochs: int | None = None,
        steps: int | None = None,
        validate_every: int | None = None,
    ) -> History:
        """Trains until `epochs` passes over `train` or `steps` optimiser steps are done in all, whichever is first, counting
        those of the run that `resume` loaded. After each epoch, or every validate_every steps, evaluates on `validation` and
        adds a row to the history: the means of the training figures since the row before, validation's as val_... The model
        is in evaluation mode afterwards.
        """
        for name, value in (("epochs", epochs), ("steps", steps), ("validate_every", validate_every)):
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ValueError(f"[Trainer.fit] {name} must be a positive int, got {value!r}")
        if epochs is None and steps is None:
            raise ValueError("[Trainer.fit] epochs or steps must be given")
        if not hasattr(train, "__iter__"):
            raise TypeError(f"[Trainer.fit] train must be a loader or another iterable of batches, got {type(train).__name__}")
        self.epochs, self.steps, self._validate_every = epochs, steps, validate_every
        self.should_stop = self.interrupted = False
        if self._resumed is None and train is not self._loader:
            self.batch_index = 0
        self._loader = train
        if validation is train:  # whose place evaluation must not move
            validation = copy.copy(train)
        try:
            self.batches = len(train)  # type: ignore[arg-type]
        except TypeError:
            self.batches = None
        if self._resumed is None and self.seed is not None and self.steps_done == 0:
            from ..ops.random import manual_seed

            manual_seed(self.seed)
        with deferred_interrupt() as interrupt:
            self._interrupt = interrupt
            try:
                self._call("on_fit_start")
                while not self._finished():
                    self._one_epoch(train, validation)
            except BaseException as error:
                self.interrupted = True
                self._call("on_exception", error)
                raise
            finally:
                self._call("on_fit_end")
                self.model.eval()
        return self.history

    def _finished(self) -> bool:
        done = self.epochs is not None and self.epoch >= self.epochs
        return done or self.should_stop or (self.steps is not None and self.steps_done >= self.steps)

    def _batches(self, train: Any) -> Iterator[Any]:
        """The batches of this epoch that are still to come."""
        skip = 0
        if self._resumed is not None:
            resumed, self._resumed = self._resumed, None
            if resumed["loader"] is not None and hasattr(train, "load_state_dict"):
                train.load_state_dict(resumed["loader"])
            else:
                skip = self.batch_index
            states.set_random(resumed["random"])
        elif self.batch_index and hasattr(train, "load_state_dict"):  # the last fit ended within an epoch
            train.load_state_dict(train.state_dict())
        else:
            skip = self.batch_index
        for batch in train:
            if skip:
                skip -= 1
                continue
            yield batch

    def _one_epoch(self, train: Any, validation: Any) -> None:
        self.model.train()
        self._call("on_epoch_start")
        started = self.batch_index
        every = self._validate_every
        for batch in self._batches(train):
            self._one(batch)
            if not self.consistent:
                continue
            if every and self.steps_done % every == 0:
                self._row(validation)
            if self._interrupt.asked:
                raise KeyboardInterrupt
            if self.should_stop or (self.steps is not None and self.steps_done >= self.steps):
                break
        else:
            if self.batch_index == 0:
                raise ValueError("[Trainer.fit] train must have at least one batch, got none")
            if self.batch_index == started == 0:
                return
            if self._micro:  # the last group of an epoch, where accumulate does not divide it
                self.optimizer_step()
                self._after_step({})
            self.epoch, self.batch_index = self.epoch + 1, 0
            if self.schedule is not None and self.schedule_every == "epoch" and not isinstance(self.schedule, ReduceLROnPlateau):
                self.schedule.step()
        if self._sums.count and (not every or self._finished()):
            self._row(validation)
        if self._interrupt.asked:
            raise KeyboardInterrupt

    def _row(self, validation: Any) -> None:
        """Ends a stretch of the history."""
        row: dict[str, Any] = {"epoch": self.epoch if self.batch_index == 0 else self.epoch + 1, "step": self.steps_done}
        row |= self._sums.means()
        if self.train_metrics:
            row |= self._computed()
        row["lr"] = float(self.optimizer.param_groups[0]["lr"])
        row["seconds"], row["samples_per_second"] = self._sums.seconds, self._sums.rate
        if validation is not None:
            row |= {f"val_{k}": v for k, v in self.evaluate(validation).items()}
        if isinstance(self.schedule, ReduceLROnPlateau):
            if self.monitor not in row:
                raise ValueError(f"[Trainer] monitor must be one of {', '.join(row)}, got {self.monitor!r}")
            self.schedule.step(row[self.monitor])
        self._sums = Sums()
        self.history.rows.append(row)
        self._call("on_epoch_end", row)
        self.model.train()

    def _computed(self) -> dict[str, Any]:
        """What the metrics that have seen anything say, and starts them anew. Those of several numbers go to `arrays`."""
        values = {}
        for name, metric in self.metrics.items():
            if getattr(metric, "updated", True):
                value = metric.compute()
                if getattr(value, "ndim", 0) == 0:
                    values[name] = float(value)
                else:
                    self.arrays[name] = value
            metric.reset()
        return values

    # ---- without training --------------------------------------------------------------------------------------------
    def evaluate(self, loader: Iterable[Any]) -> dict[str, float]:
        """The mean loss, other figures and metrics over `loader`, in evaluation mode and without gradients."""
        self._call("on_evaluate_start")
        model, sums = self.evaluated, Sums()
        training = model.training
        model.eval()
        for metric in self.metrics.values():
            metric.reset()
        try:
            with no_grad(), self.autocast():
                for batch in loader:
                    result = self.forward(model, batch)
                    samples = _samples(batch)
                    figures = {k: v for k, v in result.items() if k not in _RESERVED}
                    sums.add(figures, result.get("weight", samples), samples)
                    if result.get("output") is not None:
                        for metric in self.metrics.values():
                            metric.update(result["output"], result["target"])
        finally:
            model.train(training)
        if not sums.count:
            raise ValueError("[Trainer.evaluate] loader must have at least one batch, got none")
        figures = sums.means() | self._computed()
        self._call("on_evaluate_end", figures)
        return figures

    def predict(self, loader: Iterable[Any]) -> Tensor:
        """The model's outputs over `loader` (inputs, or batches that begin with them), joined along the first axis."""
        model = self.evaluated
        training = model.training
        model.eval()
        try:
            with no_grad(), self.autocast():
                inputs = (batch[0] if isinstance(batch, (tuple, list)) else batch for batch in loader)
                parts = [model(move_to_model(x, model)) for x in inputs]
        finally:
            model.train(training)
        if not parts:
            raise ValueError("[Trainer.predict] loader must have at least one batch, got none")
        return cat(parts)

    # ---- state -------------------------------------------------------------------------------------------------------
    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes everything the run needs to go on to the same bits, atomically. See `TrainState`."""
        states.TrainState.of(self).save(path)

    def resume(self, path: str | os.PathLike[str]) -> None:
        """Takes over a state that `save` wrote: the next `fit` goes on where it was, mid-epoch too. ValueError, with nothing
        changed, where the file is damaged or of another model or optimiser."""
        states.TrainState.load(path).restore(self)
        self._sums.restart()
