# SPDX-License-Identifier: MIT
"""The rules: each reads the evidence and yields findings. None knows of another; finding.py ranks what they say."""

from __future__ import annotations

from ..facts import Evidence
from ..finding import Finding, ranked
from . import data, layers, run, wiring

RULES = (*data.RULES, *wiring.RULES, *layers.RULES, *run.RULES)


def judge(evidence: Evidence) -> list[Finding]:
    """All findings, ranked."""
    return ranked(f for rule in RULES for f in rule(evidence))
