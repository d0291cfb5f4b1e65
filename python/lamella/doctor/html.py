# SPDX-License-Identifier: MIT
"""The report as one HTML file, which needs nothing else."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from . import svg
from .causes import CAUSES
from .facts import Evidence
from .style import STYLE

if TYPE_CHECKING:
    from .report import Report


def page(report: Report, title: str) -> str:
    """The whole page."""
    e = report.evidence
    head = report.headline()
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width,initial-scale=1'>",
        f"<title>{html.escape(title)}: {html.escape(head)}</title><style>{STYLE}</style></head><body><main>",
        f"<div class='kicker'>{html.escape(title)}</div><h1{' class=ok' if report.ok else ''}>{html.escape(head)}</h1>",
        "<ul class='summary'>" + "".join(f"<li>{html.escape(line)}</li>" for line in report.summary()) + "</ul>",
        *(_finding(i, f) for i, f in enumerate(report.findings, 1)),
    ]
    for name, figures in (("The run", run_pictures(e)), ("Layers", layer_pictures(e)), ("Data", data_pictures(e))):
        found = [f for f in figures if f]
        if found:
            parts.append(f"<h2>{name}</h2><div class='grid'>{''.join(found)}</div>")
    parts.append(_table(e))
    from .. import __version__

    seconds = f", {report.seconds:.1f} s" if report.seconds else ""
    parts.append(
        f"<footer>lamella {__version__}{seconds}. Causes stand before what follows from them.</footer></main></body></html>"
    )
    return "".join(parts)


def _finding(number: int, f: Any) -> str:
    because = f"<p class='because'>Probably because: {html.escape(CAUSES[f.because].title)}.</p>" if f.because else ""
    rows = "".join(
        f"<dt>{k}</dt><dd class='{k}'>{html.escape(v)}</dd>" for k, v in (("seen", f.seen), ("why", f.why), ("try", f.do))
    )
    title = f"<h3><span class='n'>{number}</span>{html.escape(f.title[0].upper() + f.title[1:])}<span class='tag'>{f.severity}</span></h3>"
    return f"<section class='finding {f.severity}'>{title}{because}<dl>{rows}</dl></section>"


def _figure(title: str, words: str, picture: str) -> str:
    return f"<figure><figcaption>{html.escape(title)}</figcaption><p>{html.escape(words)}</p>{picture}</figure>"


# ---- pictures ------------------------------------------------------------------------------------------------------------
def run_pictures(e: Evidence) -> list[str]:
    """Loss, other rates, range test, one batch, gradient norm and update ratio over the steps."""
    run, t, found = e.run, e.trials, []
    if len(run.losses) > 1:
        rows = ((e.expected, f"guessing: ln {e.classes} = {e.expected:.3g}"),) if e.expected else ()
        good = [x for x in run.losses if math.isfinite(x)]
        log = bool(good) and min(good) > 0 and max(good) > 30 * min(good)
        found.append(
            _figure(
                "Loss",
                "of each step, as the run is set up",
                svg.lines({"loss": (range(len(run.losses)), run.losses)}, "step", "loss", rows=rows, logy=log),
            )
        )
    if len(t.rates) > 1 and run.rates:
        named = {
            f"{run.rates[0] * k:.2g}" + (" (yours)" if k == 1 else ""): (range(len(v)), _clipped(v))
            for k, v in sorted(t.rates.items())
        }
        mine = next(n for n in named if "yours" in n)
        found.append(
            _figure(
                "The same steps at other learning rates",
                "from the same start, on the same batches",
                svg.lines(named, "step", "loss", strong=mine),
            )
        )
    if t.range.get("lr"):
        band = (t.low_high[0], t.low_high[2]) if t.low_high else None
        columns = ((run.rates[0], "yours"),) if e.own_rate and run.rates else ()
        words = (
            f"the loss falls from {band[0]:.1g} to {band[1]:.1g}; a constant rate lies in the lower half"
            if band
            else "no range in which the loss falls was found"
        )
        found.append(
            _figure(
                "Learning-rate range test",
                words,
                svg.lines(
                    {"loss": (t.range["lr"], _clipped(t.range["loss"]))},
                    "learning rate",
                    "smoothed loss",
                    logx=True,
                    band=band,
                    columns=columns,
                ),
            )
        )
    if len(t.overfit) > 1:
        found.append(
            _figure(
                "One batch learnt by heart",
                "16 samples, Adam, dropout off: a working model gets close to 0",
                svg.lines({"loss": (range(len(t.overfit)), t.overfit)}, "step", "loss"),
            )
        )
    steps = [look.step for look in run.looks]
    if len(steps) > 1:
        names = _matrices(e)[:8]
        ratios = {n: (steps, [_of(look, n, "update") for look in run.looks]) for n in names}
        if any(math.isfinite(v) for _, b in ratios.values() for v in b):
            found.append(
                _figure(
                    "Update / weight",
                    "of the largest weight matrices; about 1e-3 is usual",
                    svg.lines(
                        ratios, "step", "norm of update / norm of weight", logy=True, rows=((1e-3, "1e-3"),), dots=True
                    ),
                )
            )
        norms = [look.gradient_norm for look in run.looks]
        found.append(
            _figure(
                "Norm of the gradient",
                "of all parameters together",
                svg.lines({"norm": (steps, norms)}, "step", "norm", logy=True, dots=True),
            )
        )
    for path, values in (run.looks[0].time_gradients if run.looks else {}).items():
        series = {"gradient": (range(len(values)), values)}
        states = run.looks[0].time_states.get(path)
        if states:
            series = {"state": (range(len(states)), states), **series}
        found.append(
            _figure(
                f"{path}: through time",
                "norms per time step, at the first step of the run",
                svg.lines(series, "time step", "norm", logy=True),
            )
        )
    return found


def _clipped(values: list[float]) -> list[float]:
    """Without what is so high that the rest could not be seen."""
    good = [v for v in values if math.isfinite(v)]
    top = 3 * abs(good[0]) + 1 if good else 1.0
    return [min(v, top) if math.isfinite(v) else math.nan for v in values]


def _of(look: Any, name: str, what: str) -> float:
    w = next((w for w in look.weights if w.name == name), None)
    value = getattr(w, what) if w is not None else None
    return value / w.norm if value is not None and w.norm > 0 else math.nan


def _matrices(e: Evidence) -> list[str]:
    """The weight matrices, in order: the 24 largest where there are more."""
    if not e.run.looks:
        return []
    found = [w for w in e.run.looks[0].weights if len(w.shape) > 1]
    largest = {w.name for w in sorted(found, key=lambda w: -np.prod(w.shape))[:24]}
    return [w.name for w in found if w.name in largest]


def layer_pictures(e: Evidence) -> list[str]:
    """Gradients, activations and units, per layer, at the first look."""
    if not e.run.looks:
        return []
    look, found = e.run.looks[0], []
    names = _matrices(e)
    grads = {n: _of(look, n, "grad") for n in names}
    grads = {n: (0.0 if math.isnan(g) else g) for n, g in grads.items()}
    if grads:
        state = {w.name: ("frozen" if not w.trainable else "none") for w in look.weights if w.grad is None}
        colours = {n: "var(--error)" for n in state}
        found.append(
            _figure(
                "Gradient per layer",
                "norm of the gradient / norm of the weight, first step",
                svg.bars(grads, "gradient / weight", log=True, words=state, colours=colours),
            )
        )
    seen, shares, colours = set(), {}, {}
    for u in look.units[:28]:
        if u.where not in seen:
            seen.add(u.where)
            shares[u.where] = u.dead if u.kind == "relu" else u.flat
            colours[u.where] = "var(--error)" if shares[u.where] > 0.5 else "var(--c0)"
    if shares:
        words = {n: f"{v:.0%}" for n, v in shares.items()}
        found.append(
            _figure(
                "Dead units and flat values",
                "ReLU: units that are 0 for the whole batch; sigmoid and tanh: values at an end",
                svg.bars(shares, "share", limit=1.0, colours=colours, words=words),
            )
        )
    spreads = {y.path: y.std for y in list(look.layers.values())[:28]}
    if spreads:
        found.append(
            _figure(
                "Activations",
                "standard deviation of each layer's output, first step",
                svg.bars(spreads, "standard deviation", log=True),
            )
        )
    return found


def data_pictures(e: Evidence) -> list[str]:
    """Labels and input values."""
    found, counts = [], e.data.label_counts()
    if 1 < len(counts) <= 200:
        found.append(
            _figure(
                "Labels",
                f"{sum(counts.values())} labels",
                svg.columns({str(k): float(v) for k, v in counts.items()}, "label", "samples"),
            )
        )
    if e.data.float_inputs and e.data.rows:
        values = np.concatenate([r.ravel()[:200_000] for r in e.data.rows]).astype(np.float64)
        values = values[np.isfinite(values)]
        if values.size:
            heights, edges = np.histogram(values, 40)
            picture = svg.histogram(edges.tolist(), heights.astype(float).tolist(), "value", "count")
            found.append(_figure("Input values", f"mean {e.data.mean:.3g}, standard deviation {e.data.std:.3g}", picture))
    look = next((look for look in reversed(e.run.looks) if look.predictions is not None), None)
    if look is not None and len(look.predictions) <= 200:
        found.append(
            _figure(
                "Predictions",
                f"of one batch, step {look.step}",
                svg.columns({str(i): float(v) for i, v in enumerate(look.predictions)}, "class", "samples"),
            )
        )
    return found


def _table(e: Evidence) -> str:
    """All parameters at the last look."""
    looks = [look for look in e.run.looks if look.weights]
    if not looks:
        return ""
    look, rows = looks[-1], []
    for w in look.weights[:400]:
        ratio = "" if w.update is None or not w.norm else f"{w.update / w.norm:.2g}"
        grad = "frozen" if not w.trainable else "none" if w.grad is None else f"{w.grad:.3g}"
        rows.append(
            f"<tr><td>{html.escape(w.name)}</td><td>{'x'.join(map(str, w.shape))}</td><td>{w.norm:.3g}</td><td>{grad}</td><td>{ratio}</td></tr>"
        )
    head = "<tr><th>parameter</th><th>shape</th><th>norm</th><th>gradient</th><th>update / weight</th></tr>"
    return f"<h2>Parameters at step {look.step}</h2><div class='wide'><table>{head}{''.join(rows)}</table></div>"
