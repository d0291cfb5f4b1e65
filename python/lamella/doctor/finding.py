# SPDX-License-Identifier: MIT
"""A finding, and the order in which findings are told: causes before what follows from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from .causes import CAUSES, ORDER

SEVERITIES = ("error", "warning", "note")


@dataclass
class Finding:
    """`code` is a key of `causes.CAUSES`; `seen` has the figures; `where` the layers or parameters concerned.

    severity: "error" keeps a model from learning, "warning" probably does harm, "note" is worth knowing and no alarm.
    because: the code of an error further up that accounts for this one, or "".
    """

    code: str
    seen: str
    severity: str = "error"
    where: tuple[str, ...] = ()
    because: str = ""

    @property
    def title(self) -> str:
        """The fault in a few words."""
        return CAUSES[self.code].title

    @property
    def why(self) -> str:
        """Why it matters."""
        return CAUSES[self.code].why

    @property
    def do(self) -> str:
        """What to try."""
        return CAUSES[self.code].do

    def to_dict(self) -> dict[str, Any]:
        """All of it, texts included, as plain values."""
        return {**asdict(self), "where": list(self.where), "title": self.title, "why": self.why, "do": self.do}


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """Errors, warnings, notes, each in causal order. What an error further up accounts for comes after all else that is no
    note, and says so. Of two findings with one code the graver stays."""
    best: dict[str, Finding] = {}
    for f in findings:
        if f.code not in best or SEVERITIES.index(f.severity) < SEVERITIES.index(best[f.code].severity):
            best[f.code] = f
    found = sorted(best.values(), key=lambda f: (SEVERITIES.index(f.severity), ORDER[f.code]))
    roots = [f for f in found if f.severity == "error"]
    for f in found:
        above = [r.code for r in roots if ORDER[r.code] < ORDER[f.code] and not r.because]
        f.because = above[0] if above and CAUSES[f.code].consequence else ""
    return sorted(found, key=lambda f: (f.severity == "note", bool(f.because), SEVERITIES.index(f.severity), ORDER[f.code]))
