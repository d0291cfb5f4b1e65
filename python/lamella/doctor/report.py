# SPDX-License-Identifier: MIT
"""What the doctor says: text for a terminal, plain values, one HTML file."""

from __future__ import annotations

import io
import json
import math
import os
import textwrap
from dataclasses import dataclass, field
from typing import Any

from ..serialize import atomic_write
from .facts import Evidence
from .finding import Finding
from .rules import judge

_MARKS = {"error": "x", "warning": "!", "note": "-"}
_COLOURS = {"error": "bold red", "warning": "bold yellow", "note": "cyan"}


@dataclass
class Report:
    """`findings`, the first being the likeliest cause; `alarms` are those that are no notes. str() is the text, `html()` a
    page that needs nothing else."""

    findings: list[Finding] = field(default_factory=list)
    evidence: Evidence = field(default_factory=Evidence)
    seconds: float = 0.0

    @classmethod
    def of(cls, evidence: Evidence, seconds: float = 0.0) -> Report:
        """The report that the rules make of evidence."""
        return cls(judge(evidence), evidence, seconds)

    @property
    def alarms(self) -> list[Finding]:
        """Errors and warnings."""
        return [f for f in self.findings if f.severity != "note"]

    @property
    def ok(self) -> bool:
        """Whether there is no alarm."""
        return not self.alarms

    def headline(self) -> str:
        """The verdict in a line."""
        alarms = self.alarms
        if not alarms:
            return "Nothing wrong was found."
        more = len(alarms) - 1
        return f"{alarms[0].title[0].upper()}{alarms[0].title[1:]}" + (
            f", and {more} more finding{'s' if more > 1 else ''}." if more else "."
        )

    def summary(self) -> list[str]:
        """What was looked at, in a few lines."""
        e, lines = self.evidence, []
        if e.data.samples:
            shape = "x".join(map(str, e.data.shape)) or "scalars"
            lines.append(
                f"{e.data.samples} samples of {shape} in batches of {max(e.data.batch_sizes)}"
                + (f", {e.classes} classes" if e.classes else "")
            )
        if e.run.losses:
            expected = f" (guessing: {e.expected:.3g})" if e.expected else ""
            lines.append(
                f"{len(e.run.losses)} steps: loss {_number(e.run.losses[0])}{expected} to {_number(e.run.losses[-1])}"
            )
        ratios = [look.ratio for look in e.run.looks if math.isfinite(look.ratio)]
        if ratios:
            lines.append(f"an update is {ratios[-1]:.1g} of a weight (about 1e-3 is usual)")
        if e.trials.low_high:
            low, _, high = e.trials.low_high
            lines.append(
                f"range test: the loss falls at rates from {low:.1g} to {high:.1g}"
                + (f"; yours is {e.run.rates[0]:.1g}" if e.own_rate and e.run.rates else "")
            )
        if e.trials.overfit:
            lines.append(
                f"one batch learnt by heart: loss {_number(e.trials.overfit[0])} to {_number(min(e.trials.overfit))} in {len(e.trials.overfit)} steps"
            )
        if e.trials.skipped:
            lines.append(e.trials.skipped)
        return lines

    def __str__(self) -> str:
        lines = [self.headline(), ""]
        for i, f in enumerate(self.findings, 1):
            lines.append(
                f"{i}. [{_MARKS[f.severity]}] {f.title}"
                + (f" (probably because: {self._title(f.because)})" if f.because else "")
            )
            for name, text in (("seen", f.seen), ("why", f.why), ("try", f.do)):
                lines += textwrap.wrap(f"{name}: {text}", 110, initial_indent="     ", subsequent_indent="           ")
            lines.append("")
        return "\n".join([*lines, *(f"  {line}" for line in self.summary())]).rstrip()

    def _title(self, code: str) -> str:
        from .causes import CAUSES

        return CAUSES[code].title

    def print(self, file: Any = None) -> None:
        """In colours where rich is installed and the terminal has them, else as text."""
        try:
            from rich.console import Console
            from rich.padding import Padding
            from rich.text import Text
        except ImportError:
            print(self, file=file)
            return
        console = Console(file=file, highlight=False)
        console.print(Text(self.headline(), style="bold green" if self.ok else "bold"))
        for i, f in enumerate(self.findings, 1):
            head = Text(f"\n{i}. ")
            head.append(f.title, style=_COLOURS[f.severity])
            head.append(f"  {f.severity}", style="dim")
            if f.because:
                head.append(f", probably because: {self._title(f.because)}", style="dim")
            console.print(head)
            for name, text in (("seen", f.seen), ("why", f.why), ("try", f.do)):
                line = Text(f"{name:5}", style="dim")
                line.append(text, style="" if name != "why" else "dim")
                console.print(Padding(line, (0, 0, 0, 3)))
        console.print()
        for line in self.summary():
            console.print(Text(f"   {line}", style="dim"))

    def to_dict(self) -> dict[str, Any]:
        """Findings and the figures they rest on, as plain values."""
        run, t = self.evidence.run, self.evidence.trials
        looks = [
            {
                "step": look.step,
                "loss": look.loss,
                "gradient_norm": look.gradient_norm,
                "update_ratio": look.ratio,
                "weights": [{"name": w.name, "norm": w.norm, "grad": w.grad, "update": w.update} for w in look.weights],
                "layers": [
                    {"path": y.path, "kind": y.kind, "mean": y.mean, "std": y.std, "peak": y.peak}
                    for y in look.layers.values()
                ],
                "units": [{"where": u.where, "kind": u.kind, "dead": u.dead, "flat": u.flat} for u in look.units],
            }
            for look in run.looks
        ]
        return {
            "findings": [f.to_dict() for f in self.findings],
            "data": self.evidence.data.to_dict(),
            "losses": run.losses,
            "rates": run.rates,
            "looks": looks,
            "trials": {
                "rates": {f"{k:g}": v for k, v in t.rates.items()},
                "overfit": t.overfit,
                "range": t.range,
                "low_steepest_high": t.low_high,
            },
            "seconds": self.seconds,
        }

    def json(self) -> str:
        """to_dict() as JSON; numbers that are not finite become strings."""
        return json.dumps(_plain(self.to_dict()), indent=1)

    def html(self, path: str | os.PathLike[str] | None = None, title: str = "lamella doctor") -> str:
        """The page, written to `path` if that is given."""
        from .html import page

        text = page(self, title)
        if path is not None:
            with atomic_write(path) as file:
                file.write(io.BytesIO(text.encode()).getvalue())
        return text


def _number(x: float) -> str:
    return f"{x:.3g}" if math.isfinite(x) else str(x)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
