# SPDX-License-Identifier: MIT
"""Rules on how model, loss and optimiser are put together: read off the graph, not measured."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..data import arrays
from ..facts import Evidence
from ..finding import Finding


def _names(names: list[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def softmaxes(e: Evidence) -> Iterator[Finding]:
    for node in e.run.loss_nodes:
        soft = [n for n in node.before if "softmax" in n]
        if node.kind in ("cross_entropy", "nll") and soft and not node.sums_to_one():
            p = arrays(node.input).astype(np.float64)
            p = np.exp(p) if node.kind == "nll" or node.before[0] == "log_softmax" else p
            sums = p.sum(1 if p.ndim > 1 else 0)
            shape = tuple(node.input.shape)
            seen = f"what goes into {node.kind}, {shape}, sums over the classes to {sums.min():.3g} ... {sums.max():.3g}, not 1"
            yield Finding("softmax-wrong-axis", seen)
        elif node.kind == "soft" or (node.kind == "cross_entropy" and {"softmax", "sigmoid"} & set(node.before)):
            kind = "sigmoid" if "softmax" not in node.before and node.kind != "soft" else "softmax"
            yield Finding(
                "softmax-twice", f"the input of {'log_softmax' if node.kind == 'soft' else node.kind} comes from a {kind}"
            )
        elif node.kind == "nll":
            if len(soft) > 1 and "softmax" in soft[1:]:
                yield Finding("softmax-twice", f"before nll_loss there are {' of '.join(node.before)}")
            elif not node.before and arrays(node.input).max() > 1e-6:
                yield Finding(
                    "not-log-probabilities",
                    f"its input has values up to {arrays(node.input).max():.3g}; log-probabilities are at most 0",
                )
        elif node.kind == "bce_logits" and node.before[:1] in (["sigmoid"], ["softmax"]):
            yield Finding("softmax-twice", f"the input of binary_cross_entropy_with_logits comes from a {node.before[0]}")


def inner_softmaxes(e: Evidence) -> Iterator[Finding]:
    """A softmax inside the model along the batch, or in attention along another axis than the keys'."""
    batch = max(e.data.batch_sizes, default=0)
    for s in (s for look in e.run.looks[:1] for s in look.softmaxes):
        if s.attention and s.dim != s.ndim - 1:
            yield Finding(
                "softmax-wrong-axis",
                f"attention weights of shape {s.shape} are normalised along axis {s.dim}, not the last",
                where=(s.where,),
            )
        elif s.dim == 0 and s.ndim > 1 and s.shape[0] == batch and batch > 1 and s.ndim != 3:
            yield Finding(
                "softmax-wrong-axis", f"a softmax of shape {s.shape} runs along axis 0, the batch", where=(s.where,)
            )


def shapes(e: Evidence) -> Iterator[Finding]:
    error = e.run.error
    text = str(error) if error is not None else ""
    if (
        isinstance(error, ValueError)
        and any(k in text for k in ("[cross_entropy]", "[nll", "_loss]", "[binary_cross", "loss"))
        and "shape" in text
    ):
        yield Finding("shapes-disagree", text)
    for node in e.run.loss_nodes:
        if node.classes == 1:
            yield Finding(
                "shapes-disagree",
                f"cross_entropy over one class (output {tuple(node.input.shape)}) is 0 whatever the model says: for two classes "
                "use two outputs, or binary_cross_entropy_with_logits",
            )


def mixed(e: Evidence) -> Iterator[Finding]:
    m = e.trials.mixed
    if m is not None and m > 1e-3:
        yield Finding(
            "samples-mixed",
            f"exchanging one sample changed the outputs of the others by up to {m:.2g} of their spread (in evaluation mode)",
            "warning" if m < 0.02 else "error",
        )


def modes(e: Evidence) -> Iterator[Finding]:
    run = e.run
    if run.eval_steps and run.eval_steps == run.mode_checks:
        seen = f"in evaluation mode at all {run.eval_steps} forward passes looked at"
        yield Finding("eval-mode", f"{seen}: {_names(run.eval_modules)}", where=tuple(run.eval_modules))
    elif run.eval_steps:
        yield Finding(
            "eval-mode",
            f"in evaluation mode at some of the training steps: {_names(run.eval_modules)}",
            "warning",
            tuple(run.eval_modules),
        )
    if run.small_norms:
        smallest = min(run.small_norms.values())
        where = tuple(p for p, n in run.small_norms.items() if n == smallest)
        if smallest < 4:
            yield Finding(
                "batch-norm-batch",
                f"{smallest} sample{'s' if smallest > 1 else ''} in a batch at {_names(list(where))}",
                "error" if smallest == 1 else "warning",
                where,
            )
        elif e.trials.last_batch == 1:
            yield Finding("batch-norm-batch", "the last batch of an epoch has one sample: drop_last=True", "warning", where)


def reach(e: Evidence) -> Iterator[Finding]:
    """Parameters without a gradient, or without an update."""
    looks = [look for look in e.run.looks if look.weights]
    if not looks:
        if e.run.frozen[1] and e.run.frozen[0] == e.run.frozen[1]:
            yield Finding("frozen", f"all {e.run.frozen[1]} parameters")
        elif e.run.error is not None and "must require gradient" in str(e.run.error):
            yield Finding("detached", "the loss does not depend on any parameter: " + str(e.run.error))
        return
    first = looks[0]
    got = {w.name for look in looks for w in look.weights if w.grad is not None}
    frozen = [w for w in first.weights if not w.trainable]
    if frozen:
        fresh = any(w.fresh for w in frozen)
        share = sum(np.prod(w.shape) for w in frozen) / max(1, sum(np.prod(w.shape) for w in first.weights))
        seen = f"{_names([w.name for w in frozen])} ({share:.0%} of all parameters)"
        seen += "; the weights look as if just initialised" if fresh else "; the weights do not look freshly initialised"
        yield Finding("frozen", seen, "error" if fresh else "note", tuple(w.name for w in frozen))
    cut = [w for w in first.weights if w.trainable and w.name not in got]
    if cut:
        unused = [w.name for w in cut if not w.called]
        seen = f"no gradient comes to {_names([w.name for w in cut])}"
        if unused:
            seen += f"; the forward pass never calls the modules of {_names(unused)}"
        yield Finding("detached", seen, "error" if len(unused) < len(cut) else "warning", tuple(w.name for w in cut))
    if e.own_rate:
        known = {w.name for look in looks for w in look.weights if w.known}
        missed = [w for w in first.weights if w.trainable and w.name in got and w.name not in known]
        if missed:
            yield Finding("not-in-optimizer", _names([w.name for w in missed]), where=tuple(w.name for w in missed))


def cleared(e: Evidence) -> Iterator[Finding]:
    bad, good = e.run.not_cleared, e.run.cleared
    if bad > good:
        norms = [look.gradient_norm for look in e.run.looks]
        grown = f"; the gradient's norm went from {norms[0]:.3g} to {norms[-1]:.3g}" if len(norms) > 1 else ""
        yield Finding(
            "gradients-not-cleared", f"at {bad} of {bad + good} steps backward added to what earlier steps had left{grown}"
        )
    elif bad > 1:
        yield Finding(
            "gradients-not-cleared",
            f"at {bad} of {bad + good} steps backward added to what earlier steps had left",
            "warning",
        )


RULES = (softmaxes, inner_softmaxes, shapes, mixed, modes, reach, cleared)
