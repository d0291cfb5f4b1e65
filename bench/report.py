# SPDX-License-Identifier: MIT
"""A run as people read it: tables, Markdown for the README, means, what is behind, scaling over threads, memory."""

from __future__ import annotations

from statistics import geometric_mean
from typing import Any

Run = dict[str, Any]  # what __main__ writes as JSON


def seconds(run: Run, workload: str, peer: str = "lamella") -> float | None:
    return run["results"].get(workload, {}).get(peer, {}).get("seconds")


def ratio(run: Run, workload: str, peer: str) -> float | None:
    return run["results"].get(workload, {}).get(peer, {}).get("ratio")


def best(run: Run, workload: str) -> float | None:
    """How many times lamella's time the fastest peer took."""
    return min((r for peer in run["peers"] if (r := ratio(run, workload, peer))), default=None)


def rate(run: Run, workload: str) -> tuple[float, str, float] | None:
    """(number, unit, share of this machine's peak) of lamella."""
    known, s = run.get("rows", {}).get(workload), seconds(run, workload)
    if not known or not s:
        return None
    if known["flops"] and run["peaks"].get(known["dtype"]):
        return known["flops"] / s / 1e9, "GFLOP/s", known["flops"] / s / 1e9 / run["peaks"][known["dtype"]]
    if known["bytes"]:
        return known["bytes"] / s / 1e9, "GB/s", known["bytes"] / s / 1e9 / run["peaks"]["triad"]
    return None


def duration(s: float) -> str:
    for unit, size in (("s ", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if s >= size:
            return f"{s / size:.3g} {unit}"
    return f"{s / 1e-9:.3g} ns"


def others(run: Run) -> list[str]:
    return [p for p in run["peers"] if p != "lamella"]


def cell(found: dict[str, Any]) -> str:
    """One peer's time in a row, and how many times lamella's it is."""
    if "seconds" in found:
        return duration(found["seconds"]) + (f"  {found['ratio']:.2f}x" if "ratio" in found else "")
    return "error" if "error" in found else "-" if "missing" in found else ""


def rows(run: Run) -> tuple[list[str], list[list[str]]]:
    peers = others(run)
    head = ["workload", "lamella", "rate", "of peak", "faults", *(f"{p}: time, times ours" for p in peers)]
    body = []
    for name, found in run["results"].items():
        ours, speed = found.get("lamella", {}), rate(run, name)
        row = [name, cell(ours) or "-"]
        row += [f"{speed[0]:.4g} {speed[1]}", f"{speed[2]:.0%}"] if speed else ["", ""]
        row.append(f"{ours['faults']:.3g}" if "faults" in ours else "")
        body.append(row + [cell(found.get(peer, {})) for peer in peers])
    return head, body


def aligned(lines: list[list[str]]) -> str:
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def about(run: Run) -> str:
    machine, peaks, after = run["machine"], run["peaks"], run.get("peaks_after", {})
    kinds = [k for k in ("float32", "float64", "bfloat16", "int8") if peaks.get(k)]
    versions = ", ".join(f"{name} {found['version']}" for name, found in run["peers"].items())
    lines = [
        f"{machine['cpu']}, {run['threads']} threads, {run['peers']['lamella'].get('isa', '?')}, commit {run['commit']}, "
        f"{run['date']}",
        f"peaks measured here: {', '.join(f'{peaks[k]:.0f} GFLOP/s {k}' for k in kinds)}, {peaks['triad']:.1f} GB/s triad",
        versions,
    ]
    if any(abs(after[k] - peaks[k]) > 0.1 * peaks[k] for k in after):
        found = ", ".join(f"{k} {after[k]:.0f}" for k in after)
        lines.append(f"NOT A QUIET MACHINE: measured again at the end, the peaks were {found}")
    return "\n".join(lines)


def means(run: Run) -> str:
    """The geometric mean over all workloads of how many times lamella's time each peer took, and the fastest of them."""
    columns = {peer: [r for name in run["results"] if (r := ratio(run, name, peer))] for peer in others(run)}
    if len(columns) > 1:
        columns["the fastest peer of each row"] = [r for name in run["results"] if (r := best(run, name))]
    told = [f"{peer} {geometric_mean(found):.2f}x over {len(found)} workloads" for peer, found in columns.items() if found]
    return "geometric mean of times ours: " + ", ".join(told) if told else ""


def behind(run: Run) -> str:
    """The rows in which a peer was faster, the worst first."""
    lost = sorted(
        (r, f"{name} {r:.2f}x ({peer})")
        for name in run["results"]
        for peer in others(run)
        if (r := ratio(run, name, peer)) and r < 1
    )
    return "behind: " + ", ".join(text for _, text in lost) if lost else ""


def left_out(run: Run) -> str:
    """Why rows have no figure: one line for what a library lacks, one for each error."""
    lacking: dict[str, list[str]] = {}
    errors = []
    for name, found in run["results"].items():
        for peer, result in found.items():
            if "missing" in result:
                lacking.setdefault(f"{peer} has no {result['missing']}", []).append(name)
            if "error" in result:
                errors.append(f"{name}: {result['error']}")
    return "\n".join([f"left out: {why}: {', '.join(names)}" for why, names in lacking.items()] + errors)


def scaling(run: Run) -> str:
    """Time with the fewest threads over time with the most, by row and peer; "" for a run of one number of threads."""
    if not run.get("by_threads"):
        return ""
    few = min(run["by_threads"], key=int)
    base = run | {"results": run["by_threads"][few]}
    body = [["workload", *run["peers"]]]
    for name in run["results"]:
        pairs = [(seconds(base, name, p), seconds(run, name, p)) for p in run["peers"]]
        if any(a and b for a, b in pairs):
            body.append([name, *(f"{a / b:.2f}x" if a and b else "" for a, b in pairs)])
    return f"{few} to {run['threads']} threads, times faster\n{aligned(body)}"


def memory(run: Run) -> str:
    """Peak memory of the rows that measure it."""
    if not run.get("memory"):
        return ""
    peers = [p for p in run["peers"] if any(p in found for found in run["memory"].values())]
    body = [["peak memory, MiB", *peers]]
    for name, found in run["memory"].items():
        body.append([name, *(f"{found[p] / 2**20:.0f}" if p in found else "" for p in peers)])
    return aligned(body)


def table(run: Run) -> str:
    head, body = rows(run)
    parts = [about(run), aligned([head, *body]), means(run), behind(run), scaling(run), memory(run), left_out(run)]
    return "\n\n".join(part for part in parts if part)


def markdown(run: Run) -> str:
    """The README's table: forward and training of a row in one line."""
    peers = [p for p in others(run) if any(ratio(run, name, p) for name in run["results"])]
    head = ["workload", "lamella", "of peak", *peers, "with backward", "of peak", *peers]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for name in run["results"]:
        base = name.removesuffix("-train")
        if name != base and base in run["results"]:
            continue
        pair = [name, f"{name}-train"] if base == name else [None, name]
        line = [f"`{base}`"]
        for each in pair:
            time, speed = (seconds(run, each), rate(run, each)) if each else (None, None)
            line += [duration(time) if time else "", f"{speed[2]:.0%}" if speed else ""]
            line += [f"{r:.2f}x" if each and (r := ratio(run, each, p)) else "" for p in peers]
        if any(line[1:]):
            lines.append(line)
    return "\n".join([about(run), "", *("| " + " | ".join(line) + " |" for line in lines), "", means(run), "", behind(run)])
