# SPDX-License-Identifier: MIT
"""A run as people read it: the table, Markdown for the README, and the figures that this project set itself."""

from __future__ import annotations

from collections.abc import Callable
from statistics import geometric_mean
from typing import Any

from bench.workloads import WORKLOADS

Run = dict[str, Any]  # what __main__ writes as JSON


def seconds(run: Run, workload: str, peer: str = "lamella") -> float | None:
    return run["results"].get(workload, {}).get(peer, {}).get("seconds")


def ratio(run: Run, workload: str, peer: str) -> float | None:
    return run["results"].get(workload, {}).get(peer, {}).get("ratio")


def rate(run: Run, workload: str) -> tuple[float, str, float] | None:
    """(number, unit, share of this machine's peak) of lamella."""
    known, s = WORKLOADS.get(workload), seconds(run, workload)
    if not known or not s:
        return None
    if known.flops:
        return known.flops / s / 1e9, "GFLOP/s", known.flops / s / 1e9 / run["peaks"][known.dtype]
    if known.bytes:
        return known.bytes / s / 1e9, "GB/s", known.bytes / s / 1e9 / run["peaks"]["triad"]
    return None


def duration(s: float) -> str:
    for unit, size in (("s ", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if s >= size:
            return f"{s / size:.3g} {unit}"
    return f"{s / 1e-9:.3g} ns"


def rows(run: Run) -> tuple[list[str], list[list[str]]]:
    others = [p for p in run["peers"] if p != "lamella"]
    head = ["workload", "lamella", "rate", "of peak", "faults", *(f"{p}: time, times ours" for p in others)]
    body = []
    for name, found in run["results"].items():
        ours, speed = found.get("lamella", {}), rate(run, name)
        row = [name, duration(ours["seconds"]) if "seconds" in ours else "error" if "error" in ours else "-"]
        row += [f"{speed[0]:.4g} {speed[1]}", f"{speed[2]:.0%}"] if speed else ["", ""]
        row.append(f"{ours['faults']:.3g}" if "faults" in ours else "")
        for peer in others:
            theirs = found.get(peer, {})
            if "seconds" in theirs:
                row.append(duration(theirs["seconds"]) + (f"  {theirs['ratio']:.2f}x" if "ratio" in theirs else ""))
            else:
                row.append("error" if "error" in theirs else "")
        body.append(row)
    return head, body


def about(run: Run) -> str:
    machine, peaks, after = run["machine"], run["peaks"], run.get("peaks_after", {})
    versions = ", ".join(f"{name} {found['version']}" for name, found in run["peers"].items())
    lines = [
        f"{machine['cpu']}, {run['threads']} threads, {run['peers']['lamella'].get('isa', '?')}, commit {run['commit']}, "
        f"{run['date']}",
        f"peaks measured here: {peaks['float32']:.0f} GFLOP/s float32, {peaks['float64']:.0f} GFLOP/s float64, "
        f"{peaks['triad']:.1f} GB/s triad",
        versions,
    ]
    if any(abs(after[k] / peaks[k] - 1) > 0.1 for k in after):
        found = ", ".join(f"{k} {after[k]:.0f}" for k in after)
        lines.append(f"NOT A QUIET MACHINE: measured again at the end, the peaks were {found}")
    return "\n".join(lines)


def means(run: Run) -> str:
    """The geometric mean over all workloads of how many times lamella's time each peer took."""
    told = []
    for peer in run["peers"]:
        found = [r for name in run["results"] if (r := ratio(run, name, peer))]
        if found:
            told.append(f"{peer} {geometric_mean(found):.2f}x over {len(found)} workloads")
    return "geometric mean of times ours: " + ", ".join(told) if told else ""


def table(run: Run) -> str:
    head, body = rows(run)
    widths = [max(len(r[i]) for r in [head, *body]) for i in range(len(head))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in [head, *body]]
    return "\n".join([about(run), "", *lines, means(run)])


def markdown(run: Run) -> str:
    head, body = rows(run)
    lines = ["| " + " | ".join(r) + " |" for r in [head, ["---"] * len(head), *body]]
    return "\n".join([about(run), "", *lines, "", means(run)])


# --- figures ---------------------------------------------------------------------------------------------------------
def _import_ratio(run: Run) -> float | None:
    ours, numpy = seconds(run, "import"), seconds(run, "import", "numpy")
    return ours / numpy if ours and numpy else None


def _most_faults(run: Run) -> float | None:
    found = [run["results"].get(w, {}).get("lamella", {}).get("faults") for w in ("mlp-step-32", "lenet5-step-64")]
    return None if None in found else max(found)


def _micro(workload: str) -> Callable[[Run], float | None]:
    return lambda run: None if seconds(run, workload) is None else seconds(run, workload) * 1e6


# text, value, bound, unit; ">" where more is better
FIGURES: list[tuple[str, Callable[[Run], float | None], str, float, str]] = [
    ("sgemm 1024, share of the FMA peak", lambda r: (rate(r, "sgemm-1024") or [None] * 3)[2], ">", 0.60, ""),
    ("ReLU over 16 M floats", _micro("relu-16M"), "<", 8000, "µs"),
    ("a + b on 16 floats", _micro("add-16"), "<", 1.0, "µs"),
    ("a + b on 16 floats, with gradient", _micro("add-16-grad"), "<", 1.5, "µs"),
    ("import, in units of NumPy's", _import_ratio, "<", 1.5, ""),
    ("threads started by import", lambda r: r.get("import_threads"), "<", 0.5, ""),
    ("page faults in a training step", _most_faults, "<", 10, ""),
    ("MLP step against PyTorch", lambda r: ratio(r, "mlp-step-32", "torch"), ">", 2.0, "x"),
    ("LeNet-5 step against PyTorch", lambda r: ratio(r, "lenet5-step-64", "torch"), ">", 1.0, "x"),
]


def figures(run: Run) -> str:
    lines = ["figures"]
    for text, value, way, bound, unit in FIGURES:
        got = value(run)
        if got is None:
            continue
        reached = got >= bound if way == ">" else got < bound
        verdict = "reached" if reached else "NOT REACHED"
        lines.append(f"  {text:38} {got:8.3g} {unit:3} {way} {bound:g} {unit:3} {verdict}")
    return "\n".join(lines) if len(lines) > 1 else ""
