# SPDX-License-Identifier: MIT
"""Metrics of text: perplexity, BLEU, errors of words and characters."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import ops
from ..autograd import no_grad
from ..nn import functional as F
from ..tensor import Tensor
from .base import Metric, array

__all__ = ["BLEUScore", "CharErrorRate", "Perplexity", "WordErrorRate", "edit_distance", "tokenize_13a"]


class Perplexity(Metric):
    """exp(mean of -log p(target)): output (N, T, V) logits, target (N, T) tokens, where those equal to ignore_index do not
    count. V for a model that knows nothing, 1 for one that is sure and right. Also (tokens, V) and (tokens).

    >>> round(Perplexity()(lamella.zeros(2, 3, 5), lamella.zeros(2, 3, dtype=lamella.int64)), 4)
    5.0
    """

    def __init__(self, ignore_index: int | None = None, *, name: str | None = None) -> None:
        self.ignore_index = ignore_index
        super().__init__(name)

    def reset(self) -> None:
        self.total, self.count = 0.0, 0

    @no_grad()
    def update(self, output: Any, target: Any) -> None:
        output = output if isinstance(output, Tensor) else ops.from_numpy(np.ascontiguousarray(array(output)))
        target = array(target)
        if tuple(output.shape[:-1]) != target.shape or output.ndim < 2:
            raise self._wrong(f"target must have output's shape without the last dimension, {tuple(output.shape[:-1])}, got {target.shape}")
        target = target.reshape(-1)
        kept = np.ones(len(target), bool) if self.ignore_index is None else target != self.ignore_index
        size = output.shape[-1]
        if kept.any() and not 0 <= target[kept].min() <= target[kept].max() < size:
            raise self._wrong(f"target must be tokens from 0 to {size - 1}, got {target[kept].min()} to {target[kept].max()}")
        labels = ops.from_numpy(np.where(kept, target, -100).astype(np.int64))
        losses = F.cross_entropy(output.reshape(-1, size).float(), labels, ignore_index=-100, reduction="none")
        self.total += float(losses.cpu().numpy().sum(dtype=np.float64))
        self.count += int(kept.sum())

    def compute(self) -> float:
        return float(np.exp(self.total / self.count)) if self.count else float("nan")


# ---- BLEU ------------------------------------------------------------------------------------------------------------
def tokenize_13a(text: str) -> list[str]:
    """Words and punctuation as WMT's mteval-v13a separates them, which is what published BLEU figures count.

    >>> tokenize_13a("It's 3.5, isn't it?")
    ["It's", '3.5', ',', "isn't", 'it', '?']
    """
    text = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, character in (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")):
        text = text.replace(entity, character)
    text = re.sub(r"([{-~\[-` -&(-+:-@/])", r" \1 ", f" {text} ")
    text = re.sub(r"([^0-9])([.,])", r"\1 \2 ", text)
    text = re.sub(r"([.,])([^0-9])", r" \1 \2", text)
    return re.sub(r"([0-9])(-)", r"\1 \2 ", text).split()


def _grams(tokens: Sequence[Any], n: int) -> Counter:
    return Counter(zip(*(tokens[i:] for i in range(n)), strict=False))


class BLEUScore(Metric):
    """Corpus BLEU (Papineni et al. 2002): min(1, exp(1 - r / c)) exp(sum_n w_n log p_n), n = 1 to n_gram, in [0, 1].

    p_n is the share of the n-grams of all outputs that are in a reference, each counted as often as there at most; c is the
    length of all outputs, r that of the references that come closest. `update(outputs, references)`: lists of texts or of
    lists of tokens, and for each one reference or a list of them. Texts are split at white space, or by `tokenize`: a
    function, or "13a" for `tokenize_13a` (sacrebleu's default).

    smooth: False or "none": 0 where some p_n is 0; True: one added to both counts of p_2 and on (Lin and Och
    2004); "exp": the k-th p_n that is 0 counts as 1 / 2^k of a hit (sacrebleu's default). weights: w_n, equal
    unless given.

    >>> BLEUScore()(["the cat is on the mat"], [["there is a cat on the mat", "a cat is on the mat"]])
    0.7598356856515925
    """

    def __init__(self, n_gram: int = 4, smooth: bool | str = False, weights: Sequence[float] | None = None, *,
                 tokenize: str | Callable[[str], list[str]] | None = None, name: str | None = None) -> None:  # fmt: skip
        if n_gram < 1:
            raise self._wrong(f"n_gram must be positive, got {n_gram}")
        if smooth not in (True, False, "exp", "none"):
            raise self._wrong(f"smooth must be True, False, 'exp' or 'none', got {smooth!r}")
        if weights is not None and len(weights) != n_gram:
            raise self._wrong(f"weights must be {n_gram}, got {len(weights)}")
        if isinstance(tokenize, str) and tokenize not in ("13a", "none"):
            raise self._wrong(f"tokenize must be '13a', 'none' or a function, got {tokenize!r}")
        self.n_gram, self.smooth = n_gram, smooth
        self.weights = np.full(n_gram, 1 / n_gram) if weights is None else np.asarray(weights, np.float64)
        self.split = tokenize if callable(tokenize) else tokenize_13a if tokenize == "13a" else str.split
        super().__init__(name or "bleu")

    def reset(self) -> None:
        self.hits, self.total = np.zeros(self.n_gram, np.int64), np.zeros(self.n_gram, np.int64)
        self.output_length = self.reference_length = 0

    def update(self, output: Sequence[Any], target: Sequence[Any]) -> None:
        if isinstance(output, str) or isinstance(target, str) or len(output) != len(target):
            got = "a text" if isinstance(output, str) or isinstance(target, str) else f"{len(output)} and {len(target)}"
            raise self._wrong(f"output and target must be lists of the same length, got {got}")
        for said, references in zip(output, target, strict=True):
            one = isinstance(references, str) or not len(references) or not isinstance(references[0], (str, list, tuple))
            if one or (not isinstance(said, str) and isinstance(references[0], str)):
                references = [references]
            said, *references = (list(self.split(t) if isinstance(t, str) else t) for t in (said, *references))
            self.output_length += len(said)
            self.reference_length += min((abs(len(r) - len(said)), len(r)) for r in references)[1]
            for n in range(1, self.n_gram + 1):
                known: Counter = Counter()
                for r in references:
                    known |= _grams(r, n)
                found = _grams(said, n)
                self.hits[n - 1] += (found & known).total()
                self.total[n - 1] += found.total()

    def compute(self) -> float:
        if self.reference_length == 0 and self.output_length == 0:
            return float("nan")
        hits, total = self.hits.astype(np.float64), self.total.astype(np.float64)
        if self.smooth is True:
            hits[1:] += 1
            total[1:] += 1
        elif self.smooth == "exp":
            missed = (hits == 0) & (total > 0)
            hits[missed] = 0.5 ** np.arange(1, missed.sum() + 1)
        if hits[0] == 0 or not hits.all():
            return 0.0
        penalty = min(1.0, math.exp(1 - self.reference_length / self.output_length))
        return float(penalty * np.exp((self.weights * np.log(hits / total)).sum()))


# ---- edits -----------------------------------------------------------------------------------------------------------
def edit_distance(seq1: Sequence[Any], seq2: Sequence[Any]) -> int:
    """The fewest insertions, deletions and substitutions that make seq2 of seq1 (Levenshtein 1966): of characters of texts,
    or of elements of lists and arrays.

    Row by row: d_ij = min(d_(i-1)j + 1, d_(i-1)(j-1) + [a_i != b_j], d_i(j-1) + 1), whose last term along a row is a running
    minimum of d - j.

    >>> edit_distance("kitten", "sitting")
    3
    >>> edit_distance(["a", "b", "c"], ["a", "c"])
    1
    """
    codes: dict[Any, int] = {}
    a, b = (
        np.array([codes.setdefault(item, len(codes)) for item in (array(s).tolist() if hasattr(s, "dtype") else s)], np.int64)
        for s in (seq1, seq2)
    )
    places = np.arange(len(b) + 1)
    row = places.copy()
    for i, item in enumerate(a):
        fresh = row + 1
        np.minimum(fresh[1:], row[:-1] + (b != item), out=fresh[1:])
        fresh[0] = i + 1
        row = np.minimum.accumulate(fresh - places) + places
    return int(row[-1])


class _ErrorRate(Metric):
    def reset(self) -> None:
        self.errors = self.count = 0

    def update(self, output: Any, target: Any) -> None:
        output, target = ([x] if isinstance(x, str) else x for x in (output, target))
        if len(output) != len(target):
            raise self._wrong(f"output must be as many texts as target ({len(target)}), got {len(output)}")
        for said, true in zip(output, target, strict=True):
            said, true = self._parts(said), self._parts(true)
            self.errors += edit_distance(said, true)
            self.count += len(true)

    def compute(self) -> float:
        if self.count == 0:
            return float("inf") if self.errors else float("nan")
        return self.errors / self.count


class WordErrorRate(_ErrorRate):
    """Edits of words that turn output into target, over the words of target; may exceed 1. Texts, or lists of words.

    >>> WordErrorRate()(["one two tree"], ["one two three four"])
    0.5
    """

    def _parts(self, text: Any) -> Any:
        return text.split() if isinstance(text, str) else text


class CharErrorRate(_ErrorRate):
    """Edits of characters that turn output into target, over the characters of target; may exceed 1.

    >>> CharErrorRate()(["tree"], ["three"])
    0.2
    """

    def _parts(self, text: Any) -> Any:
        return text
