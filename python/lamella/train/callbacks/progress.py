# SPDX-License-Identifier: MIT
"""How a run looks while it goes on: a bar in a terminal, a line per row of the history elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

from .base import Callback

__all__ = ["ProgressBar", "ProgressLines", "duration", "progress"]


def duration(seconds: float) -> str:
    """Seconds as people say them.

    >>> train.duration(7.42), train.duration(83), train.duration(5025)
    ('7.4 s', '1:23', '1:23:45')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def _words(row: dict[str, Any]) -> str:
    shown = {k: v for k, v in row.items() if isinstance(v, float | int) and k not in ("epoch", "step", "seconds", "samples_per_second")}
    return "  ".join(f"{k.replace('_', ' ')} {v:.4g}" for k, v in shown.items())


class ProgressLines(Callback):
    """A line for each row of the history: for files and pipes."""

    def __init__(self, stream: Any = None) -> None:
        self._stream = stream
        self._begun = 0.0
        self._from = 0.0

    def _print(self, text: str) -> None:
        print(text, file=self._stream or sys.stdout, flush=True)

    def on_fit_start(self, trainer: Any) -> None:
        self._begun, self._from = time.perf_counter(), trainer.fraction

    def left(self, trainer: Any) -> float:
        """Seconds to the end at the pace so far."""
        done = trainer.fraction - self._from
        return (time.perf_counter() - self._begun) * (1 - trainer.fraction) / done if done > 0 else float("nan")

    def on_epoch_end(self, trainer: Any, row: dict[str, Any]) -> None:
        place = f"epoch {row['epoch']}/{trainer.epochs}" if trainer.epochs else f"step {row['step']}/{trainer.steps}"
        rate = f"{row['samples_per_second']:.0f} samples/s"
        self._print(f"{place}  {_words(row)}  {rate}  {duration(max(0.0, self.left(trainer)))} left")


class ProgressBar(ProgressLines):
    """A bar by rich: the loss as it falls, the newest validation figures, samples per second, time left."""

    def on_fit_start(self, trainer: Any) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        super().on_fit_start(trainer)
        self._bar = Progress(
            TextColumn("{task.fields[place]}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%  {task.fields[words]}  {task.fields[rate]:.0f} samples/s  {task.fields[left]} left"),
        )
        self._task = self._bar.add_task("", total=1.0, place="", words="", rate=0.0, left="?")
        self._row = ""
        self._shown, self._samples = time.perf_counter(), trainer.samples_done
        self._bar.start()

    def _print(self, text: str) -> None:
        self._bar.console.print(text, highlight=False)

    def on_step_end(self, trainer: Any, figures: dict[str, Any]) -> None:
        now = time.perf_counter()
        if now - self._shown < 0.2:
            return
        rate = (trainer.samples_done - self._samples) / (now - self._shown)
        self._shown, self._samples = now, trainer.samples_done
        place = f"epoch {trainer.epoch + 1}/{trainer.epochs}" if trainer.epochs else f"step {trainer.steps_done}/{trainer.steps}"
        words = f"loss {trainer.running_loss:.4f}{self._row}"
        left = duration(max(0.0, self.left(trainer))) if trainer.fraction > self._from else "?"
        self._bar.update(self._task, completed=trainer.fraction, place=place, words=words, rate=rate, left=left)

    def on_epoch_end(self, trainer: Any, row: dict[str, Any]) -> None:
        self._row = "".join(f"  {k[4:].replace('_', ' ')} {v:.4g}" for k, v in row.items() if k.startswith("val_") and k != "val_loss")
        super().on_epoch_end(trainer, row)

    def on_fit_end(self, trainer: Any) -> None:
        self._bar.update(self._task, completed=trainer.fraction)
        self._bar.stop()


def progress(quiet: bool = False) -> list[Callback]:
    """A bar where stdout is a terminal and rich is installed, else lines; nothing where `quiet`."""
    if quiet:
        return []
    if sys.stdout.isatty():
        try:
            import rich.progress  # noqa: F401

            return [ProgressBar()]
        except ImportError:
            pass
    return [ProgressLines()]
