# SPDX-License-Identifier: MIT
"""A run as a picture: for every row how many times lamella's time a peer took, on a logarithmic axis, by family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.report import Run, about, ratio

Line = tuple[str, float | None, float | None]  # row, ratio without gradient, ratio with backward

FAMILIES = {
    "gemm": "matrix products",
    "conv": "convolution",
    "elementwise": "elementwise, 16 M",
    "rows": "norms, softmax, pooling, ...",
    "index": "indices, masks, scans, three operands",
    "loss": "losses",
    "attention": "attention",
    "recurrent": "recurrent",
    "layers": "resampling, bags, Transformer layer",
    "nhwc": "channels-last layers",
    "optim": "optimisers",
    "overhead": "overhead",
    "data": "data",
    "models": "models",
}


def families(run: Run, peer: str) -> dict[str, list[Line]]:
    """The lines of the picture by family; a row and its -train row are one line."""
    found: dict[str, list[Line]] = {}
    for name in run["results"]:
        base = name.removesuffix("-train")
        if name != base and base in run["results"]:
            continue
        pair = (ratio(run, name, peer), ratio(run, f"{name}-train", peer))
        pair = pair if name == base else (None, pair[0])
        if any(pair):
            found.setdefault(run.get("rows", {}).get(name, {}).get("family", "other"), []).append((base, *pair))
    return found


def columns(groups: dict[str, list[Line]], count: int = 2) -> list[list[str]]:
    """The families in so many columns, in order, about equally long; a title takes a line and a half."""
    heights = {name: len(lines) + 1.5 for name, lines in groups.items()}
    whole, done, result = sum(heights.values()), 0.0, [[] for _ in range(count)]
    for name, height in heights.items():
        result[min(count - 1, int((done + height / 2) / whole * count))].append(name)
        done += height
    return [column for column in result if column]


def draw(run: Run, out: Path, peer: str = "torch") -> None:
    """Writes the picture; its format is the suffix of `out`. SystemExit where matplotlib is missing or no row has a ratio."""
    try:
        import matplotlib
    except ImportError:
        raise SystemExit("bench: picture needs matplotlib: pip install matplotlib") from None
    matplotlib.use("Agg")
    matplotlib.rcParams |= {"svg.hashsalt": "lamella", "font.size": 8, "svg.fonttype": "path"}
    import matplotlib.pyplot as plt

    found = families(run, peer)
    groups = {f: found[f] for f in (*FAMILIES, *found) if f in found}
    if not groups:
        raise SystemExit(f"bench: the run has no row with {peer}; got {', '.join(run['peers'])}")
    shown = columns(groups)
    longest = max(sum(len(groups[f]) + 1.5 for f in column) for column in shown)
    figure, axes = plt.subplots(1, len(shown), figsize=(10, 0.9 + 0.17 * longest), squeeze=False, sharex=True)
    for axis, column in zip(axes[0], shown, strict=True):
        panel(axis, {f: groups[f] for f in column}, longest)
    largest = max(r for lines in groups.values() for _, *pair in lines for r in pair if r)
    least = min(r for lines in groups.values() for _, *pair in lines for r in pair if r)
    for axis in axes[0]:
        axis.set_xlim(min(0.5, least / 1.1), largest * 1.8)
    ours, theirs = run["peers"]["lamella"]["version"], run["peers"][peer]["version"]
    figure.suptitle(f"How many times lamella {ours}'s time {peer} {theirs} takes", fontsize=10, fontweight="bold")
    figure.text(0.5, 0.002, about(run).splitlines()[0], ha="center", va="bottom", fontsize=7, color="#666666")
    handles = [plt.Rectangle((0, 0), 1, 1, color=c) for c in COLOURS]
    figure.legend(handles, ["without gradient", "with backward", f"{peer} faster"], loc="upper center", ncol=3, frameon=False,
                  fontsize=7, bbox_to_anchor=(0.5, 0.985 - 0.12 / figure.get_figheight()))  # fmt: skip
    figure.tight_layout(rect=(0, 0.015, 1, 1 - 0.3 / figure.get_figheight()))
    figure.savefig(out, dpi=160, metadata={"Date": None} if out.suffix == ".svg" else None)
    plt.close(figure)


COLOURS = "#2b6cb0", "#90bde6", "#d9534f"


def panel(axis: Any, groups: dict[str, list[Line]], longest: float) -> None:
    """One column of bars, from the top down."""
    y, ticks = 0.0, []
    for family, lines in groups.items():
        axis.text(0.0, y + 0.4, FAMILIES.get(family, family), transform=axis.get_yaxis_transform(), fontsize=8,
                  fontweight="bold", ha="left", va="center")  # fmt: skip
        y += 1.5
        for name, forward, train in lines:
            ticks.append((y, name))
            first = COLOURS[name.endswith("-step")]  # a step has a backward
            bars = [(r, c) for r, c in ((forward, first), (train, COLOURS[1])) if r]
            for i, (r, colour) in enumerate(bars):
                height = 0.8 / len(bars)
                at = y - 0.4 + height * (i + 0.5)
                axis.barh(at, r - 1, height, left=1, color=colour if r >= 1 else COLOURS[2], linewidth=0)
            least, most = min(r for r, _ in bars), max(r for r, _ in bars)
            text = ", ".join(f"{r:.2f}" if r < 2 else f"{r:.1f}" if r < 10 else f"{r:.0f}" for r, _ in bars)
            axis.text(max(1, most) * 1.04, y, text, fontsize=6.5, va="center", color="#444444" if least >= 1 else COLOURS[2])
            y += 1
    axis.set_xscale("log")
    axis.set_ylim(longest, -0.5)
    axis.axvline(1, color="black", linewidth=0.8)
    marks = (0.5, 1, 2, 5, 10, 20, 50)
    axis.set_xticks(marks, [f"{m:g}x" for m in marks], fontsize=7)
    axis.xaxis.minorticks_off()
    axis.set_yticks([at for at, _ in ticks], [name for _, name in ticks], fontsize=6.5)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", linewidth=0.4, color="#dddddd")
    axis.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
