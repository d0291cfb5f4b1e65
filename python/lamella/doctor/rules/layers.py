# SPDX-License-Identifier: MIT
"""Rules on activations and gradients, layer by layer, at the start of a run."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ..facts import Evidence, Look
from ..finding import Finding

DEAD, FLAT = 0.5, 0.6  # share of units of a layer, and of its values
GROWTH = 1e3  # of a state's or gradient's norm over the time steps of a recurrent layer
STEEP, FAINT = 1e3, 1e-6  # norm of the whole gradient per unit of loss; gradient / weight of one layer against another


def _start(e: Evidence) -> Look | None:
    return e.run.looks[0] if e.run.looks and e.run.looks[0].step == 0 else None


def dead(e: Evidence) -> Iterator[Finding]:
    first = _start(e)
    if first is None:
        return
    found = [u for u in first.units if u.kind == "relu" and u.count >= 4 and u.dead > DEAD]
    if found:
        seen = "; ".join(f"{u.where}: {u.dead:.0%} of {u.count} units are 0 for the whole batch" for u in found[:4])
        worst = max(u.dead for u in found)
        yield Finding("dead-relu", seen, "error" if worst > 0.75 else "warning", tuple(u.where for u in found))
    last = e.run.looks[-1]
    before = {u.where: u.dead for u in first.units if u.kind == "relu"}
    died = [u for u in last.units if u.kind == "relu" and u.count >= 4 and u.dead > 0.8 and before.get(u.where, 1) < DEAD]
    if died and last is not first:
        seen = "; ".join(
            f"{u.where}: {before[u.where]:.0%} of {u.count} at the start, {u.dead:.0%} at step {last.step}"
            for u in died[:4]
        )
        yield Finding("relus-died", seen, "warning", tuple(u.where for u in died))


def saturated(e: Evidence) -> Iterator[Finding]:
    first = _start(e)
    found = [u for u in first.units if u.kind in ("sigmoid", "tanh") and u.values >= 32 and u.flat > FLAT] if first else []
    for path, layer in (first.layers if first else {}).items():  # the states of a tanh RNN
        flat = layer.kind == "RNN" and layer.peak <= 1 and math.hypot(layer.mean, layer.std) > 0.97
        if flat:
            yield Finding(
                "saturated",
                f"{path}: the states' root mean square is {math.hypot(layer.mean, layer.std):.3f} of at most 1",
                "warning",
                (path,),
            )
    if found:
        seen = "; ".join(f"{u.where}: {u.flat:.0%} of the values lie within 0.02 of an end" for u in found[:4])
        yield Finding("saturated", seen, where=tuple(u.where for u in found))


def _growth(values: list[float], backward: bool) -> float:
    """How much larger the far end is than the near end: states grow towards the last step, gradients towards the first.
    Steps whose norm is 0 (a gradient that enters at the last step only) are left out."""
    v = [x for x in (values[::-1] if backward else values) if x > 0 or not math.isfinite(x)]
    if any(not math.isfinite(x) for x in v):
        return math.inf
    if len(v) < 4:
        return 1.0
    quarter = max(1, len(v) // 4)
    return float(np.median(v[-quarter:]) / np.median(v[:quarter])) if np.median(v[:quarter]) > 0 else 1.0


def recurrent(e: Evidence) -> Iterator[Finding]:
    """States or gradients that grow with every time step."""
    first = _start(e)
    if first is None or e.data.not_finite:
        return
    for path, layer in first.layers.items():
        states, gradients = first.time_states.get(path), first.time_gradients.get(path)
        if states is None and layer.calls >= 4:  # a cell, or a layer used as one
            states, gradients = layer.norms, layer.gradients
        if not states:
            continue
        steps, up, down = (
            len(states),
            _growth(states, False),
            _growth([g for g in gradients or [] if g == g or layer.calls < 4], True),
        )
        if not layer.finite or max(up, down) > GROWTH:
            told = [f"over {steps} time steps"]
            told += (
                [f"the state's norm goes from {states[0]:.3g} to {states[-1]:.3g}"] if up > 10 or not layer.finite else []
            )
            if gradients and down > 10:
                told.append(
                    f"the gradient's norm from {gradients[-1]:.3g} at the last step to {gradients[0]:.3g} at the first"
                )
            told.append(f"the whole gradient's norm is {first.gradient_norm:.3g}")
            yield Finding("exploding-recurrent", f"{path}: {', '.join(told)}", where=(path,))
            return


def steep(e: Evidence) -> Iterator[Finding]:
    first = _start(e)
    if first is None or not first.weights:
        return
    norm = first.gradient_norm
    if not math.isfinite(norm) or norm > STEEP * max(1.0, abs(first.loss) if math.isfinite(first.loss) else 1.0):
        worst = max(
            first.weights, key=lambda w: math.inf if w.grad is not None and not math.isfinite(w.grad) else w.grad or 0.0
        )
        yield Finding(
            "exploding",
            f"the gradient's norm at the start is {norm:.3g}, most of it at {worst.name} ({worst.grad:.3g})",
            where=(worst.name,),
        )


def faint(e: Evidence) -> Iterator[Finding]:
    """Layers whose gradient, per weight, is far below that of the others, at every look."""
    looks = [look for look in e.run.looks[:4] if look.weights]
    if not looks or not all(math.isfinite(look.gradient_norm) for look in looks):
        return
    least: dict[str, float] = {}
    for look in looks:
        ratios = {
            w.name: w.grad / w.norm
            for w in look.weights
            if w.trainable and w.grad is not None and w.norm > 0 and len(w.shape) > 1
        }
        top = max(ratios.values(), default=0.0)
        if top == 0:
            return  # nothing comes to any of them: another rule's matter
        for name, r in ratios.items():
            least[name] = max(least.get(name, 0.0), r / top)
    low = [(name, r) for name, r in least.items() if r < FAINT]
    if low and len(least) > 1:
        name, r = min(low, key=lambda pair: pair[1])
        seen = f"{len(low)} of {len(least)} weight matrices get less than a millionth of the relative gradient of the largest; {name}: {r:.1g}"
        yield Finding("vanishing", seen, "error" if len(low) * 2 >= len(least) else "warning", tuple(n for n, _ in low))


def first_loss(e: Evidence) -> Iterator[Finding]:
    """Against ln C, for a model that was not trained before."""
    run, expected = e.run, e.expected
    node = next((n for n in run.loss_nodes if n.classes), None)
    if node is not None and node.reduction == "sum":
        yield Finding(
            "loss-summed",
            f"reduction='sum' over {node.input.shape[0]} samples: {run.losses[0]:.4g} is {run.losses[0] / node.input.shape[0]:.3g} per sample"
            if run.losses
            else "reduction='sum'",
            "note",
        )
        return
    if expected is None or not run.losses or (node.kind == "nll" and not node.before):
        return
    loss = run.losses[0]
    if math.isfinite(loss) and loss > 2.5 * expected + 0.5:
        spread = float(np.std(node.input.detach().float().cpu().numpy()))
        yield Finding(
            "loss-at-start",
            f"{loss:.3g} at the first step; ln {node.classes} = {expected:.3g}; the scores' standard deviation is {spread:.3g}",
            "warning",
        )


RULES = (dead, saturated, recurrent, steep, faint, first_loss)
