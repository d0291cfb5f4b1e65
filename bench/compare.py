# SPDX-License-Identifier: MIT
"""Two runs beside each other: lamella's time in B as a ratio of A's, and against each peer, which the machine moves too."""

from __future__ import annotations

import json
from pathlib import Path

from bench.report import about, duration, ratio, seconds


def compare(first: Path, second: Path) -> str:
    a, b = (json.loads(path.read_text()) for path in (first, second))
    lines = [f"A: {first}\n{about(a)}\n", f"B: {second}\n{about(b)}\n"]
    lines.append(f"{'workload':28} {'A':>10} {'B':>10} {'A / B':>7}   times faster than torch: A, B")
    for name in a["results"]:
        before, after = seconds(a, name), seconds(b, name)
        if before and after:
            peers = [f"{r:.2f}x" if r else "" for r in (ratio(a, name, "torch"), ratio(b, name, "torch"))]
            speed = f"{before / after:6.2f}x"
            lines.append(
                f"{name:28} {duration(before):>10} {duration(after):>10} {speed}   {', '.join(filter(None, peers))}"
            )
    return "\n".join(lines)
