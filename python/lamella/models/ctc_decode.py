# SPDX-License-Identifier: MIT
"""Reading labels from the log-probabilities of a CTC model: the best path, and prefix beam search."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["ctc_beam_decode", "ctc_greedy_decode"]


def _rows(op, log_probs, lengths):
    """Each sequence's (T, C) as a NumPy array."""
    if log_probs.ndim != 3:
        raise ValueError(f"[{op}] log_probs must have shape (T, N, C), got {tuple(log_probs.shape)}")
    t, n, _ = log_probs.shape
    lengths = [t] * n if lengths is None else [int(x) for x in lengths]
    if len(lengths) != n or any(not 0 <= x <= t for x in lengths):
        raise ValueError(f"[{op}] lengths must be {n} numbers from 0 to {t}, got {lengths}")
    values = np.asarray(log_probs.detach().numpy(), np.float64)
    return [values[:length, i] for i, length in enumerate(lengths)]


def ctc_greedy_decode(log_probs, lengths=None, blank=0):
    """For each sequence of log_probs (T, N, C) the labels of its likeliest path: repeats are one, blanks go.

    >>> steps = lamella.tensor([1, 1, 0, 1, 2])
    >>> models.ctc_greedy_decode(F.one_hot(steps, 3).unsqueeze(1).float())
    [[1, 1, 2]]
    """
    decoded = []
    for row in _rows("ctc_greedy_decode", log_probs, lengths):
        best = row.argmax(1)
        first = np.ones(len(best), bool)
        first[1:] = best[1:] != best[:-1]
        decoded.append([int(label) for label in best[first & (best != blank)]])
    return decoded


def ctc_beam_decode(log_probs, lengths=None, beams=16, blank=0, prior=None):
    """For each sequence of log_probs (T, N, C) a list of (labels, log-probability), the likeliest first: prefixes are
    extended step by step, the `beams` best kept (Hannun et al. 2014). The probability of a prefix is summed over those of
    its alignments that were kept, so with enough beams it is exactly exp(-ctc_loss).

    prior: a function of (prefix, label), a tuple and an integer, that gives a log-probability to add where the label
    extends the prefix: a language model's.
    """
    if beams < 1:
        raise ValueError(f"[ctc_beam_decode] beams must be at least 1, got {beams}")
    return [_search(row, beams, blank, prior) for row in _rows("ctc_beam_decode", log_probs, lengths)]


def _add(found, prefix, side, value):
    """Adds exp(value) to what a prefix has on a side: 0, ends in a blank, 1, ends in its last label."""
    pair = found.setdefault(prefix, [-math.inf, -math.inf])
    pair[side] = np.logaddexp(pair[side], value)


def _search(row, beams, blank, prior):
    none = -math.inf
    kept = {(): (0.0, none)}  # prefix -> log-probability of its alignments that end in a blank, and in its last label
    for step in row:
        found = {}
        labels = [int(c) for c in np.flatnonzero(step > none) if c != blank]
        for prefix, (in_blank, in_label) in kept.items():
            total = np.logaddexp(in_blank, in_label)
            _add(found, prefix, 0, total + step[blank])
            if prefix:
                _add(found, prefix, 1, in_label + step[prefix[-1]])
            for label in labels:
                before = in_blank if prefix and label == prefix[-1] else total
                if before > none:
                    more = 0.0 if prior is None else prior(prefix, label)
                    _add(found, (*prefix, label), 1, before + step[label] + more)
        ranked = sorted(found.items(), key=lambda item: -np.logaddexp(*item[1]))
        kept = {prefix: tuple(pair) for prefix, pair in ranked[:beams]}
    return [(list(prefix), float(np.logaddexp(*pair))) for prefix, pair in kept.items()]
