# SPDX-License-Identifier: MIT
"""The doctor in a Trainer's run, and before one: a callback, `examine_trainer`, and what `lamella doctor` does."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ..optim.lr_scheduler import ReduceLROnPlateau
from ..train.callbacks.base import Callback
from .examine import examine
from .keep import Trial
from .report import Report
from .watch import Watch


class Doctor(Callback):
    """Watches a run and reports at its end, in `report` and as the page `path` where that is given.

    Steps 0, 1, 2, 5, 10, 20, 50, ... are looked at closely, the others cost next to nothing. A grave finding after one of
    these steps is told at once, as a warning; with `stop` it also ends the run.

    >>> from lamella.data import DataLoader, TensorDataset
    >>> _ = lamella.manual_seed(0)
    >>> x, y = lamella.randn(64, 4), lamella.randint(0, 3, (64,))
    >>> model = nn.Linear(4, 3)
    >>> watching = Doctor(tell=False)
    >>> trainer = lamella.train.Trainer(model, lamella.optim.SGD(model.parameters(), lr=0.1), F.cross_entropy, callbacks=[watching])
    >>> _ = trainer.fit(DataLoader(TensorDataset(x, y), 16), steps=20)
    >>> watching.report.ok
    True
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, *, stop: bool = False, tell: bool = True) -> None:
        self.path, self.stop, self.tell = path, stop, tell
        self.report = Report()
        self._watch: Watch | None = None
        self._told: set[str] = set()

    def on_fit_start(self, trainer: Any) -> None:
        """Puts the hooks on."""
        self._told = set()
        self._watch = Watch(trainer.model, trainer.optimizer)
        self._watch.__enter__()

    def on_step_end(self, trainer: Any, figures: dict[str, Any]) -> None:
        """The step's loss as it is, not as it was scaled for accumulation or float16; a look at the findings now and then."""
        if self._watch is None:
            return
        run = self._watch.run
        if run.losses and "loss" in figures:
            run.losses[-1] = float(figures["loss"])
        if run.looks and run.looks[-1].step == run.steps - 1 and run.steps > 1:
            self._judge(trainer)

    def _judge(self, trainer: Any) -> None:
        self.report = self._watch.report()
        new = [f for f in self.report.alarms if f.severity == "error" and f.code not in self._told]
        self._told |= {f.code for f in new}
        if new and self.tell:
            warnings.warn(f"[Doctor] step {self._watch.run.steps}: {new[0].title}: {new[0].seen}", stacklevel=2)
        if new and self.stop:
            trainer.should_stop = True

    def on_exception(self, trainer: Any, error: BaseException) -> None:
        """The error is evidence."""
        if self._watch is not None and isinstance(error, Exception):
            self._watch.failed(error)

    def on_fit_end(self, trainer: Any) -> None:
        """Takes the hooks off, makes the report, writes the page."""
        if self._watch is None:
            return
        self._watch.__exit__()
        self.report, self._watch = self._watch.report(), None
        if self.path is not None:
            self.report.html(self.path)


def examine_trainer(trainer: Any, loader: Any, validation: Any = None, *, budget_seconds: float = 20.0) -> Report:
    """`examine` for a Trainer that has not begun: its model, loss, optimiser and schedule, which are all put back. With a
    schedule the rate that is looked at is the median of those that are planned: a warm-up begins far below it.

    >>> from lamella.data import DataLoader, digits
    >>> _ = lamella.manual_seed(0)
    >>> model = lamella.models.create("small_lenet").requires_grad_(False)
    >>> trainer = lamella.train.Trainer(model, lamella.optim.Adam(model.parameters()), F.cross_entropy)
    >>> report = lamella.doctor.examine_trainer(trainer, DataLoader(digits(), 64), budget_seconds=2)
    >>> report.findings[0].code
    'frozen'
    """
    from ..train import Trainer

    options: dict[str, Any] = {"validation": validation, "budget_seconds": budget_seconds}
    kept = [trainer.schedule, trainer.scaler, *(o for o in trainer.optimizers.values() if o is not trainer.optimizer)]
    options["keep"] = tuple(o for o in kept if o is not None)
    model, optimizer = trainer.model, trainer.optimizer
    modes = [(m, m.training) for m in model.modules()]
    rates = [group["lr"] for group in optimizer.param_groups]
    model.train()
    try:
        for group, rate in zip(optimizer.param_groups, _planned(trainer), strict=True):
            group["lr"] = rate
        if type(trainer).training_step is not Trainer.training_step:
            return examine(model, loader, optimizer=optimizer, train_step=trainer.training_step, **options)
        return examine(model, loader, optimizer=optimizer, step=_step_of(trainer), **options)
    finally:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        for m, mode in modes:
            m.training = mode


def _step_of(trainer: Any) -> Any:
    def step(model: Any, batch: Any) -> Any:
        with trainer.autocast():
            return trainer.forward(model, batch)["loss"]

    return step


def _planned(trainer: Any) -> list[float]:
    """The median of each group's rate over the run; where it is not known how long that will be, the largest of 1,000."""
    optimizer, schedule = trainer.optimizer, trainer.schedule
    rates = [[group["lr"]] for group in optimizer.param_groups]
    if schedule is None or isinstance(schedule, ReduceLROnPlateau):
        return [r[0] for r in rates]
    of_epochs = (trainer.epochs or 0) * (trainer.batches or 1 if trainer.schedule_every == "step" else 1)
    known = (trainer.steps if trainer.schedule_every == "step" else None) or of_epochs
    with Trial(trainer.model, optimizer, (schedule,)), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for _ in range(min(5000, known or 1000)):
                schedule.step()
                for rate, group in zip(rates, optimizer.param_groups, strict=True):
                    rate.append(group["lr"])
        except ValueError:  # a schedule of a fixed length is at its end
            pass
    return [float(np.median(r) if known else max(r)) for r in rates]


class _Examined(Exception):
    """Leaves a recipe when its first trainer has been looked at."""


class _Examiner(Callback):
    """Examines the first trainer that begins to fit, in place of its run."""

    def __init__(self, budget_seconds: float) -> None:
        self.budget_seconds = budget_seconds
        self.report: Report | None = None

    def on_fit_start(self, trainer: Any) -> None:
        self.report = examine_trainer(trainer, trainer._loader, budget_seconds=self.budget_seconds)
        raise _Examined


def command(
    recipe: Any, data: Any, out: Path, settings: dict[str, Any], seed: int, quiet: bool, budget_seconds: float = 30.0
) -> int:
    """What `lamella doctor RECIPE` does: the recipe up to its first trainer, that one examined, report.html and report.json
    in `out`, the findings on the terminal. 0 if there is no alarm, else 1."""
    examiner = _Examiner(budget_seconds)
    if not quiet:
        print(
            f"{recipe.name}: seed {seed}, looking at data, model and first steps for up to {budget_seconds:.0f} s",
            flush=True,
        )
    try:
        recipe(data, out=out, seed=seed, quiet=True, options={"callbacks": [examiner]}, **settings)
    except _Examined:
        pass
    report = examiner.report
    if report is None:
        raise ValueError(
            f"[doctor] recipe must train by run.trainer, got {recipe.name}, which does not: call lamella.doctor.watch in it"
        )
    report.html(out / "report.html", f"{recipe.name}, seed {seed}")
    (out / "report.json").write_text(report.json() + "\n")
    report.print()
    if not quiet:
        print(f"{report.seconds:.1f} s; wrote {out / 'report.html'}, {out / 'report.json'}")
    return 0 if report.ok else 1
