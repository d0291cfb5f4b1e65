# SPDX-License-Identifier: MIT
"""Augmentation of text. Transforms of words take a string, or a list of words, and give back the same kind."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from ...tensor import Tensor
from ..sample import random_source
from .base import probability, to_tensor


class _Words:
    """Subclasses define change(words, random)."""

    def change(self, words: list[str], random: np.random.Generator) -> list[str]:
        raise TypeError(f"{type(self).__name__} must define change")

    def __call__(self, text: Any) -> Any:
        if isinstance(text, str):
            return " ".join(self.change(text.split(), random_source()))
        if not isinstance(text, list | tuple) or not all(isinstance(w, str) for w in text):
            raise TypeError(f"[{type(self).__name__}] text must be a string or a list of words, got {type(text).__name__}")
        return type(text)(self.change(list(text), random_source()))


class SynonymReplacement(_Words):
    """Each word that has synonyms becomes one of them with chance p (Zhang et al. 2015; Wei and Zou 2019).

    synonyms: {word: [synonyms]}, or a function word -> list. A capital first letter is kept.

    >>> SynonymReplacement({"big": ["large"]}, p=1)("A Big dog")
    'A Large dog'
    """

    def __init__(self, synonyms: Mapping[str, Sequence[str]] | Callable[[str], Sequence[str]], p: float = 0.1) -> None:
        self.p = probability("SynonymReplacement", p)
        self.find = synonyms if callable(synonyms) else lambda word: synonyms.get(word, ())

    def change(self, words: list[str], random: np.random.Generator) -> list[str]:
        chosen = random.random(len(words)) < self.p
        out = list(words)
        for i in np.flatnonzero(chosen).tolist():
            word = words[i]
            if found := (self.find(word) or self.find(word.lower())):
                new = found[int(random.integers(len(found)))]
                out[i] = new[:1].upper() + new[1:] if word[:1].isupper() else new
        return out


class RandomSwap(_Words):
    """n times two words at random places change places; default: a tenth of the words, at least once (Wei and Zou 2019).

    >>> RandomSwap(1)("a b")
    'b a'
    """

    def __init__(self, n: int | None = None) -> None:
        if n is not None and n < 0:
            raise ValueError(f"[RandomSwap] n must not be negative, got {n}")
        self.n = n

    def change(self, words: list[str], random: np.random.Generator) -> list[str]:
        if len(words) < 2:
            return words
        for _ in range(max(1, len(words) // 10) if self.n is None else self.n):
            i = int(random.integers(len(words)))
            j = (i + 1 + int(random.integers(len(words) - 1))) % len(words)
            words[i], words[j] = words[j], words[i]
        return words


class RandomDeletion(_Words):
    """Each word is left out with chance p; one of them always stays (Wei and Zou 2019).

    >>> RandomDeletion(0)("a b")
    'a b'
    """

    def __init__(self, p: float = 0.1) -> None:
        self.p = probability("RandomDeletion", p)

    def change(self, words: list[str], random: np.random.Generator) -> list[str]:
        kept = [w for w, keep in zip(words, random.random(len(words)) >= self.p, strict=True) if keep]
        return kept or ([words[int(random.integers(len(words)))]] if words else [])


class Paraphrase:
    """Hands a text to `paraphrase` with chance p: a function of the text, or of the text and a NumPy generator (a
    translation there and back, a language model, a table). It must give a string.

    >>> Paraphrase(str.upper, p=1)("so")
    'SO'
    """

    def __init__(self, paraphrase: Callable[..., str], p: float = 0.5, with_generator: bool = False) -> None:
        self.p, self.paraphrase, self.with_generator = probability("Paraphrase", p), paraphrase, with_generator

    def __call__(self, text: str) -> str:
        random = random_source()
        if random.random() >= self.p:
            return text
        made = self.paraphrase(text, random) if self.with_generator else self.paraphrase(text)
        if not isinstance(made, str):
            raise TypeError(f"[Paraphrase] paraphrase must give a string, got {type(made).__name__}")
        return made


class Chain:
    """Functions one after the other: for text what Compose is for images.

    >>> Chain(str.lower, str.split)("A b")
    ['a', 'b']
    """

    def __init__(self, *functions: Callable[[Any], Any]) -> None:
        self.functions = functions

    def __call__(self, x: Any) -> Any:
        for function in self.functions:
            x = function(x)
        return x


class MaskTokens:
    """BERT's masking (Devlin et al. 2018): token ids (...) -> (input ids, labels), int64 Tensors of the same shape.

    A share p of the tokens that are not special is chosen; of these 80 % become mask_id, 10 % a random token that is
    not special, 10 % stay. labels are the tokens at chosen places and ignore_index elsewhere, as cross_entropy takes it.

    >>> inputs, labels = MaskTokens(vocab_size=9, mask_id=4, special=[0], p=1.0)(lamella.tensor([0, 7, 7]))
    >>> labels.tolist()
    [-100, 7, 7]
    """

    def __init__(
        self,
        vocab_size: int,
        mask_id: int,
        special: Collection[int] = (),
        p: float = 0.15,
        mask_share: float = 0.8,
        random_share: float = 0.1,
        ignore_index: int = -100,
    ) -> None:
        op = "MaskTokens"
        self.p = probability(op, p)
        if not 0 <= mask_id < vocab_size:
            raise ValueError(f"[{op}] mask_id must be in [0, {vocab_size}), got {mask_id}")
        if mask_share < 0 or random_share < 0 or mask_share + random_share > 1:
            raise ValueError(f"[{op}] mask_share and random_share must add up to at most 1, got {mask_share} and {random_share}")
        self.special = np.array(sorted({mask_id, *special}), np.int64)
        if self.special.min() < 0 or self.special.max() >= vocab_size:
            raise ValueError(f"[{op}] special must be token ids in [0, {vocab_size}), got {self.special.tolist()}")
        self.plain = np.setdiff1d(np.arange(vocab_size), self.special)
        if len(self.plain) == 0:
            raise ValueError(f"[{op}] special must leave a token, got all {vocab_size}")
        self.vocab_size, self.mask_id, self.ignore_index = vocab_size, mask_id, ignore_index
        self.mask_share, self.random_share = mask_share, random_share

    def __call__(self, tokens: Any) -> tuple[Tensor, Tensor]:
        ids = tokens.numpy() if isinstance(tokens, Tensor) else np.asarray(tokens)
        if ids.dtype.kind not in "iu" and ids.size:
            raise TypeError(f"[MaskTokens] tokens must be integers, got {ids.dtype}")
        ids = ids.astype(np.int64)
        if ids.size and (ids.min() < 0 or ids.max() >= self.vocab_size):
            bad = ids[(ids < 0) | (ids >= self.vocab_size)][0]
            raise ValueError(f"[MaskTokens] tokens must be in [0, {self.vocab_size}), got {bad}")
        random = random_source()
        chosen = (random.random(ids.shape) < self.p) & ~np.isin(ids, self.special)
        kind, other = random.random(ids.shape), self.plain[random.integers(len(self.plain), size=ids.shape)]
        new = np.where(kind < self.mask_share, self.mask_id, np.where(kind < self.mask_share + self.random_share, other, ids))
        return to_tensor(np.where(chosen, new, ids)), to_tensor(np.where(chosen, ids, self.ignore_index))


class SpanCorruption:
    """T5's task (Raffel et al. 2019, 3.1.4): token ids (T) -> (inputs, targets), lists of ids.

    About a share `rate` of the tokens, in spans of mean_length on average at random places, leaves the inputs, where one of
    `sentinels` stands for each span; the targets are those sentinels with their spans behind them. Both end with eos.
    A text has as many spans as there are sentinels at most, and begins with a token that stays.

    >>> inputs, targets = SpanCorruption(sentinels=[90, 91], eos=1, rate=0.4)([5, 6, 7, 8, 9])
    >>> len(inputs) + len(targets), inputs.count(90), targets[0], targets[-1]
    (9, 1, 90, 1)
    """

    def __init__(self, sentinels: Sequence[int], eos: int, rate: float = 0.15, mean_length: float = 3.0) -> None:
        if not 0 < rate < 1:
            raise ValueError(f"[SpanCorruption] rate must be in (0, 1), got {rate}")
        if mean_length < 1 or not len(sentinels):
            raise ValueError(f"[SpanCorruption] mean_length must be at least 1 with a sentinel, got {mean_length} and {len(sentinels)}")
        self.sentinels, self.eos, self.rate, self.mean_length = list(sentinels), eos, rate, mean_length

    def __call__(self, tokens: Sequence[int]) -> tuple[list[int], list[int]]:
        ids = [int(i) for i in tokens]
        random, n = random_source(), len(ids)
        lost = min(max(1, round(n * self.rate)), n - 1)
        if lost < 1:  # nothing could be left out
            return [*ids, self.eos], [self.eos]
        spans = min(max(1, round(lost / self.mean_length)), lost, n - lost, len(self.sentinels))
        kept, gone = (self._parts(random, total, spans) for total in (n - lost, lost))
        inputs, targets, at = [], [], 0
        for sentinel, stay, leave in zip(self.sentinels, kept, gone, strict=False):
            inputs += [*ids[at : at + stay], sentinel]
            targets += [sentinel, *ids[at + stay : at + stay + leave]]
            at += stay + leave
        return [*inputs, self.eos], [*targets, self.eos]

    @staticmethod
    def _parts(random: np.random.Generator, total: int, parts: int) -> list[int]:
        """`total` as a sum of so many positive integers, all sums equally likely."""
        cuts = np.sort(random.choice(total - 1, parts - 1, replace=False)) + 1 if parts > 1 else np.empty(0, np.int64)
        return np.diff(np.concatenate([[0], cuts, [total]])).astype(int).tolist()
