# SPDX-License-Identifier: MIT
"""Reading labels from the log-probabilities of a CTC model: the best path, and prefix beam search."""

from __future__ import annotations

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
    values = np.asarray(log_probs.detach().cpu().numpy(), np.float64)
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


def _search(row, beams, blank, prior):
    prefixes, last = [()], np.array([blank])  # K of them, and their last labels
    in_blank, in_label = np.zeros(1), np.full(1, -np.inf)  # log-probability of the alignments that end in each
    for step in row:
        total = np.logaddexp(in_blank, in_label)
        by_blank, by_label = total + step[blank], in_label + step[last]
        longer = np.repeat(total[:, None], len(step), 1)  # (K, C): each prefix with each label behind it
        longer[np.arange(len(last)), last] = in_blank
        longer += step
        longer[:, blank] = -np.inf
        if prior is not None:
            for k, label in np.argwhere(longer > -np.inf).tolist():
                longer[k, label] += prior(prefixes[k], label)
        place = {prefix: k for k, prefix in enumerate(prefixes)}
        for k, prefix in enumerate(prefixes):
            parent = place.get(prefix[:-1]) if prefix else None
            if parent is not None:  # its longer form is kept already
                by_label[k] = np.logaddexp(by_label[k], longer[parent, prefix[-1]])
                longer[parent, prefix[-1]] = -np.inf
        scores = np.concatenate([np.logaddexp(by_blank, by_label), longer.ravel()])
        best = np.argsort(-scores, kind="stable")[:beams]
        best = best[scores[best] > -np.inf] if scores[best[0]] > -np.inf else best[:1]
        n, old = len(prefixes), best < len(prefixes)
        parents, labels = np.where(old, best, (best - n) // len(step)), (best - n) % len(step)
        prefixes = [prefixes[k] if o else (*prefixes[k], c) for k, o, c in zip(parents.tolist(), old, labels.tolist(), strict=True)]
        last = np.where(old, last[parents], labels)
        in_blank = np.where(old, by_blank[parents], -np.inf)
        in_label = np.where(old, by_label[parents], scores[best])
    return [(list(p), float(x)) for p, x in zip(prefixes, np.logaddexp(in_blank, in_label), strict=True)]
