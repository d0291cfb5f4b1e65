# SPDX-License-Identifier: MIT
"""The figures that this project set itself, and whether a run reaches them."""

from __future__ import annotations

from collections.abc import Callable

from bench.report import Run, rate, ratio, seconds


def _import_ratio(run: Run) -> float | None:
    ours, numpy = seconds(run, "import"), seconds(run, "import", "numpy")
    return ours / numpy if ours and numpy else None


def _most_faults(run: Run) -> float | None:
    found = [run["results"].get(w, {}).get("lamella", {}).get("faults") for w in ("mlp-b32-step", "lenet5-b64-step")]
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
    ("MLP step against PyTorch", lambda r: ratio(r, "mlp-b32-step", "torch"), ">", 2.0, "x"),
    ("LeNet-5 step against PyTorch", lambda r: ratio(r, "lenet5-b64-step", "torch"), ">", 1.0, "x"),
    ("ResNet-18 step against PyTorch", lambda r: ratio(r, "resnet18-b8-step", "torch"), ">", 1.0, "x"),
    ("GPT 6 x 384 step against PyTorch", lambda r: ratio(r, "gpt-6x384-b4-step", "torch"), ">", 1.0, "x"),
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
