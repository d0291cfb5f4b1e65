# SPDX-License-Identifier: MIT
"""Rules on inputs and labels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..facts import Evidence
from ..finding import Finding

LARGE, SMALL = 10.0, 1e-2  # root mean square of inputs beyond which they count as not scaled
UNEVEN = 1000.0  # ratio of the features' standard deviations


def finite(e: Evidence) -> Iterator[Finding]:
    d = e.data
    if d.not_finite:
        seen = f"{d.not_finite} values in {d.not_finite_samples} of {d.samples} samples; the first: {d.not_finite_at}"
        yield Finding("inputs-not-finite", seen)
    if d.targets_not_finite:
        yield Finding("targets-not-finite", f"{d.targets_not_finite} values in {d.samples} samples")


def identical(e: Evidence) -> Iterator[Finding]:
    d = e.data
    if d.samples > 1 and d.rows and not d.not_finite:
        rows = d.rows[0]
        if (
            len(rows) > 1
            and all((r == rows[0]).all() for r in rows[1:])
            and all((r[0] == rows[0]).all() for r in d.rows[1:])
        ):
            yield Finding("inputs-identical", f"the {d.samples} samples looked at are one and the same")


def scale(e: Evidence) -> Iterator[Finding]:
    d = e.data
    if not d.float_inputs or d.total is None or d.not_finite or not d.total.size:
        return
    severity = "note" if e.run.normalised else "error"
    rms, std = float(np.hypot(d.mean, d.std)), d.feature_std
    figures = f"mean {d.mean:.3g}, standard deviation {d.std:.3g}, values from {d.low.min():.4g} to {d.high.max():.4g}"
    alive = std[std > 0]
    tabular = len(d.shape) == 1 and alive.size > 1
    if rms > LARGE:
        yield Finding("inputs-not-scaled", f"{figures}; 0 and 1 are usual", severity)
    elif tabular and (alive.max() / alive.min() > UNEVEN or (np.sqrt(d.squares / d._count[0]) > LARGE).any()):
        seen = f"standard deviations of the features go from {alive.min():.3g} to {alive.max():.3g}"
        yield Finding("inputs-not-scaled", seen, severity)
    elif 0 < rms < SMALL:
        yield Finding(
            "inputs-not-scaled", f"{figures}: very small; 0 and 1 are usual", "warning" if severity == "error" else "note"
        )
    elif d.std > 0 and abs(d.mean) > 10 * d.std and rms > 0.5:
        yield Finding(
            "inputs-not-scaled", f"{figures}: nearly all of it is offset", "warning" if severity == "error" else "note"
        )
    if tabular and (std == 0).any() and d.samples >= 32:
        yield Finding("constant-features", f"{int((std == 0).sum())} of {std.size} features are constant", "note")


def target_scale(e: Evidence) -> Iterator[Finding]:
    if e.classes or not e.data.target_floats:
        return
    kinds = {n.kind for n in e.run.loss_nodes}
    y = np.concatenate([t.ravel() for t in e.data.target_floats])
    y = y[np.isfinite(y)]
    if y.size and kinds & {"mse", "l1", "huber", "smooth_l1"} and (size := float(np.sqrt((y * y).mean()))) > LARGE:
        severity = "error" if size > 10 * LARGE else "warning"
        yield Finding("targets-not-scaled", f"mean {y.mean():.4g}, standard deviation {y.std():.4g}", severity)


def label_range(e: Evidence) -> Iterator[Finding]:
    node = next((n for n in e.run.loss_nodes if n.classes), None)
    if node is None:
        return
    counts, c = e.data.label_counts(node.ignore), node.classes
    if not counts or (node.target is not None and node.target.dtype.is_floating_point):
        return
    low, high = min(counts), max(counts)
    seen = f"labels go from {low} to {high}, the model has {c} outputs (0 to {c - 1})"
    if high >= c or low < 0:
        one_off = (low, high) in ((1, c), (-1, c - 2)) or (high == c and low >= 1)
        yield Finding("labels-off-by-one" if one_off else "labels-out-of-range", seen)
        return
    enough = sum(counts.values()) >= 20 * c
    missing = [k for k in range(c) if k not in counts]
    if enough and missing == [0] and c > 2:
        yield Finding("labels-off-by-one", f"{seen}: class 0 never occurs, so labels probably begin at 1", "warning")
    elif enough and missing and c <= 1000:
        shown = ", ".join(map(str, missing[:8])) + (" ..." if len(missing) > 8 else "")
        yield Finding(
            "empty-class",
            f"{len(missing)} of {c} classes never occur in {sum(counts.values())} labels: {shown}",
            "note" if c > 50 else "warning",
        )
    most, total = max(counts.values()), sum(counts.values())
    if c > 1 and total >= 100 and most / total > max(0.9, 1 - 0.2 / c):
        label = max(counts, key=counts.__getitem__)
        yield Finding("class-imbalance", f"{most / total:.1%} of {total} labels are class {label}", "warning")
    elif 1 < c <= 100 and total >= 20 * c and most > 20 * min(counts.values()):
        yield Finding(
            "class-imbalance", f"the largest class has {most} samples, the smallest {min(counts.values())}", "note"
        )


def shifted(e: Evidence) -> Iterator[Finding]:
    """Labels that belong to a neighbouring row, or that are counted otherwise in the validation set, or not shifted at all."""
    r = e.relation
    if r is not None and r.shift:
        yield Finding(
            "labels-off-by-one",
            f"labels agree with those of neighbouring samples no more than by chance ({r.score:.1%} against {r.chance:.1%}), "
            f"but do (z = {r.shift_z:.0f}) when moved by {r.shift:+d} row{'s' if abs(r.shift) > 1 else ''}",
        )
    if e.mapping is not None:
        shift, share, agree = e.mapping
        if shift and share > 0.5 and agree < 0.2:
            yield Finding(
                "labels-off-by-one",
                f"{share:.0%} of the validation labels are those of their nearest training samples {shift:+d}, {agree:.0%} the same",
            )
    if e.data.same_as_input and e.classes and len(e.data.shape) == 1 and e.data.shape[0] > 1:
        yield Finding(
            "labels-off-by-one",
            "the targets equal the input tokens at every position: for next-token prediction they must be one position ahead",
            "warning",
        )


def unrelated(e: Evidence) -> Iterator[Finding]:
    """No relation by nearest neighbours, and none that training finds."""
    r, h = e.relation, e.trials.held_out
    if r is None or r.shift or r.z > 4:
        return
    seen = f"nearest neighbours share a label in {r.score:.1%} of cases, by chance in {r.chance:.1%} ({r.samples} samples, z = {r.z:.1f})"
    if h is None:
        return
    loss, prior, accuracy, largest, n = h
    spread = np.sqrt(max(largest * (1 - largest), 1e-4) / n)
    if accuracy < largest + 3 * spread + 0.02 and loss > 0.98 * prior:
        yield Finding(
            "labels-unrelated",
            f"{seen}; after training on the others, {n} held-out samples are right in {accuracy:.1%} (the largest class: {largest:.1%}) "
            f"with loss {loss:.3g} (frequencies alone: {prior:.3g})",
        )


def repeats(e: Evidence) -> Iterator[Finding]:
    again, differ = e.duplicates
    n = sum(map(len, e.data.rows))
    if n and (again > 0.1 * n or differ > 0.02 * n):
        severity = "warning" if differ > 0.05 * n else "note"
        yield Finding(
            "duplicates", f"{again} of {n} samples occurred before, {differ} of them with another label", severity
        )
    common, of = e.shared
    if of and common > max(1, 0.02 * of):
        yield Finding("leak", f"{common} of {of} validation samples are in the training set", "warning")


RULES = (finite, identical, scale, target_scale, label_range, shifted, unrelated, repeats)
