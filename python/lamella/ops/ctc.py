# SPDX-License-Identifier: MIT
"""Connectionist temporal classification: labels for a sequence without knowing where in it each one lies."""

from __future__ import annotations

from .. import _core
from ..autograd import is_grad_enabled, record, vjp
from ..precision import in_float32
from .creation import arange, full, tensor, zeros
from .elementwise import isinf, where
from .index import gather
from .join import cat, stack
from .reduce import logsumexp

__all__ = ["ctc_loss"]


def _lengths(x):
    x = x if isinstance(x, _core.TensorBase) else tensor(list(x) if isinstance(x, (list, tuple)) else x, dtype=_core.int64)
    return x.reshape(1) if x.ndim == 0 else x


@in_float32
def ctc_loss(
    log_probs, targets, input_lengths, target_lengths, blank=0, reduction="mean", zero_infinity=False
):
    """-log of the probability of `targets`, summed over all their alignments (Graves et al. 2006).

    log_probs: (T, N, C), as `log_softmax` gives them, or (T, C) for one sequence. targets: (N, S) padded, or all labels
    one after another, or (S,) for one sequence; integers in [0, C), none of them `blank`. input_lengths, target_lengths:
    (N,), integers, how much of each row counts. An alignment gives every step a label or a blank; repeated labels are
    read as one, then blanks are left out. 'mean' divides each loss by its target length (at least 1), then averages over
    the batch; 'sum' adds the losses, 'none' gives (N,), or () for one sequence.

    The loss is infinite where a sequence is too short for its labels; zero_infinity makes it and its gradient zero.
    The gradient is that of the formula at any log_probs. (PyTorch's has softmax(log_probs) added, which log_softmax's
    own gradient cancels: what reaches the logits is the same.) ValueError for shapes, lengths and a blank among the
    targets, IndexError for labels out of range, TypeError for dtypes other than float32 and float64.

    Of the 8 alignments of a label to 3 steps, 6 read as it (it may take 1, 2 or 3 steps in a row):

    >>> half = lamella.full((3, 1, 2), 0.5).log()
    >>> round((-lamella.nn.functional.ctc_loss(half, lamella.tensor([[1]]), [3], [1])).exp().item(), 4)
    0.75
    """
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"[ctc_loss] reduction must be 'none', 'mean' or 'sum', got {reduction!r}")
    single = log_probs.ndim == 2
    if single:
        log_probs = log_probs.unsqueeze(1)
        targets = targets.reshape(1, -1)
    lengths = _lengths(input_lengths), _lengths(target_lengths)
    needs = log_probs.requires_grad and is_grad_enabled()
    loss, alpha, shift, targets, spans = _core.ctc_fwd(log_probs, targets, *lengths, blank, needs)
    loss = record(loss, ctc_vjp, (log_probs,), (log_probs, targets, spans, blank, alpha, shift), True)
    if zero_infinity:
        loss = where(isinf(loss), 0.0, loss)
    if reduction == "mean":
        return (loss / lengths[1].to(loss).clamp(min=1.0)).mean()
    if reduction == "sum":
        return loss.sum()
    return loss.squeeze(0) if single else loss


def ctc_vjp(node, dy):
    log_probs, targets, spans, blank, alpha, shift = node.ctx
    if is_grad_enabled():
        return vjp(lambda x: ctc_unfused(x, targets, spans, blank), (log_probs,), dy)
    return (_core.ctc_bwd(log_probs, targets, spans, blank, node.output, alpha, shift, dy),)


def ctc_unfused(log_probs, targets, spans, blank):
    """The loss of each sequence, step by step over all states: a blank, then each label and a blank.

    targets: all labels in a row; spans (N, 3): steps, first label, number of labels.
    """
    dead = -1e30  # the log of zero; finite, so that gradients need no care
    dtype = log_probs.dtype
    n = log_probs.shape[1]
    count = spans[:, 2:]
    states = 2 * (int(count.max().item()) if n else 0) + 1
    targets, spans = targets.to(log_probs.device), spans.to(log_probs.device)
    steps, first, count = (spans[:, i : i + 1] for i in range(3))
    state = arange(states, device=log_probs)
    place = first + (state // 2).unsqueeze(0)
    real = (state % 2 == 1) & (state < 2 * count)
    labels = cat([targets.reshape(-1), zeros(1, dtype=_core.int64, device=log_probs)])
    label = where(real, labels[where(real, place, 0)], blank)
    before = cat([full((n, 2), blank, dtype=_core.int64, device=log_probs), label[:, :-2]], 1)[:, :states]
    dead2 = full((n, 2), dead, dtype=dtype, device=log_probs)
    emitted = gather(log_probs, 2, label.unsqueeze(0).expand(log_probs.shape[0], n, states)).clamp(min=dead)
    alpha = where(state == 0, 0.0, dead).to(dtype).unsqueeze(0).expand(n, states)
    for t in range(log_probs.shape[0]):
        earlier = cat([dead2, alpha], 1)
        skipped = where(label == before, dead, earlier[:, :states])  # two blanks are alike
        ways = logsumexp(stack([alpha, earlier[:, 1 : states + 1], skipped]), 0)
        alpha = where(t < steps, ways + emitted[t], alpha)
    ends = where((state == 2 * count) | (state == 2 * count - 1), alpha, dead)
    total = logsumexp(ends, 1)
    return where(total < 0.5 * dead, float("inf"), -total)
