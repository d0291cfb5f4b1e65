# SPDX-License-Identifier: MIT
"""Do labels have anything to do with the inputs? Nearest neighbours against chance; duplicates and leaks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEIGHBOURS, SHUFFLES, SAMPLES = 5, 40, 768


@dataclass
class Relation:
    """How often neighbours share a label (or how well their mean predicts a figure), against shuffled labels.

    score, chance, and z = (score - chance) / spread of the shuffles. `shift`: the rows by which labels must be moved for
    the relation to be the best, and its z, where that is not 0.
    """

    samples: int
    score: float
    chance: float
    z: float
    shift: int = 0
    shift_z: float = 0.0


def features(rows: np.ndarray) -> np.ndarray | None:
    """One standardised vector per sample; of integer rows (tokens) the counts of up to 512 values, of length 1."""
    n = len(rows)
    if rows.dtype.kind in "iub":
        flat = rows.reshape(n, -1)
        if flat.shape[1] == 1:
            return flat.astype(np.float64)
        hashed = (flat.astype(np.int64) * 2654435761 >> 7) % 512 if flat.max(initial=0) >= 512 else flat.astype(np.int64)
        counts = np.zeros((n, 512))
        np.add.at(counts, (np.arange(n)[:, None], hashed), 1.0)
        rarity = np.log((1 + n) / (1 + (counts > 0).sum(0)))
        counts = np.sqrt(counts) * rarity
        return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-12)
    x = np.nan_to_num(rows.reshape(n, -1).astype(np.float64), nan=0, posinf=0, neginf=0)
    if x.shape[1] > 4096:
        x = x[:, :: -(-x.shape[1] // 4096)]
    std = x.std(0)
    x = x[:, std > 0]
    return (x - x.mean(0)) / std[std > 0] if x.size else None


def neighbours(x: np.ndarray, of: np.ndarray | None = None) -> np.ndarray:
    """Indices in x of the nearest 5 of each row of x (itself left out), or of each row of `of`."""
    other = x if of is None else of
    d = (other**2).sum(1)[:, None] + (x**2).sum(1)[None] - 2 * other @ x.T
    if of is None:
        np.fill_diagonal(d, np.inf)
    return np.argpartition(d, NEIGHBOURS, 1)[:, :NEIGHBOURS]


def _score(y: np.ndarray, near: np.ndarray) -> float:
    if y.dtype.kind in "iub":
        return float((y[near] == y[:, None]).mean())
    guess = y[near].mean(1)
    spread = guess.std() * y.std()
    return float(((guess - guess.mean()) * (y - y.mean())).mean() / spread) if spread > 0 else 0.0


def relate(rows: np.ndarray, labels: np.ndarray, ordered: tuple[np.ndarray, np.ndarray] | None = None) -> Relation | None:
    """The relation, or None where it cannot be told (few samples, labels that are no single figure, one class only)."""
    rows, labels = rows[:SAMPLES], labels[:SAMPLES]
    if len(labels) != len(rows) or len(rows) < 60:
        return None
    y = labels.reshape(len(labels), -1)
    if y.shape[1] != 1 or not np.isfinite(y.astype(np.float64)).all() or len(np.unique(y)) < 2:
        return None
    found = _against_chance(rows, y[:, 0])
    if found is None or found.z > 4 or ordered is None:
        return found
    x, t = ordered[0][:SAMPLES], ordered[1][:SAMPLES].reshape(len(ordered[1][:SAMPLES]), -1)[:, 0]
    for shift in (1, -1, 2, -2):
        a, b = (x[shift:], t[:-shift]) if shift > 0 else (x[:shift], t[-shift:])
        moved = _against_chance(a, b)
        if moved is not None and moved.z > max(8.0, found.shift_z):
            found.shift, found.shift_z = -shift, moved.z
    return found


def _against_chance(rows: np.ndarray, y: np.ndarray) -> Relation | None:
    x = features(rows)
    if x is None or len(x) < 60:
        return None
    near, rng = neighbours(x), np.random.default_rng(0)
    score = _score(y, near)
    shuffled = [_score(rng.permutation(y), near) for _ in range(SHUFFLES)]
    mean, spread = float(np.mean(shuffled)), float(np.std(shuffled))
    return Relation(len(x), score, mean, (score - mean) / max(spread, 1e-9))


def tokens_related(rows: list[np.ndarray], labels: list[np.ndarray]) -> Relation | None:
    """For a label per token: how often the most frequent label of a token (learnt on one half) is right on the other."""
    pairs = [
        (r.ravel(), t.ravel()) for r, t in zip(rows, labels, strict=False) if r.shape == t.shape and r.dtype.kind in "iu"
    ]
    if not pairs:
        return None
    x, y = (np.concatenate(p) for p in zip(*pairs, strict=True))
    keep = y >= 0
    x, y = x[keep], y[keep]
    if len(x) < 400 or len(np.unique(y)) < 2:
        return None
    half, rng = len(x) // 2, np.random.default_rng(0)

    def score(t: np.ndarray) -> float:
        codes, at = np.unique(t, return_inverse=True)
        table: dict[int, np.ndarray] = {}
        for token in np.unique(x[:half]):
            table[int(token)] = np.bincount(at[:half][x[:half] == token], minlength=len(codes)).argmax()
        rest = np.bincount(at[:half]).argmax()
        guess = np.array([table.get(int(token), rest) for token in x[half:]])
        return float((guess == at[half:]).mean())

    shuffled = [score(rng.permutation(y)) for _ in range(8)]
    mean, spread = float(np.mean(shuffled)), float(np.std(shuffled))
    found = score(y)
    return Relation(len(x), found, mean, (found - mean) / max(spread, 1e-3))


def mapping(rows: np.ndarray, labels: np.ndarray, other: np.ndarray, theirs: np.ndarray) -> tuple[int, float, float] | None:
    """Integer labels of another set against those of its neighbours here: (the constant c for which theirs = ours + c most
    often, how often that is, how often they agree)."""
    if labels.dtype.kind not in "iu" or theirs.dtype.kind not in "iu" or labels.ndim != 1 or theirs.ndim != 1:
        return None
    if len(rows) < 60 or len(other) < 20 or rows.shape[1:] != other.shape[1:]:
        return None
    both = features(np.concatenate([rows, other]))
    if both is None:
        return None
    near = labels[neighbours(both[: len(rows)], both[len(rows) :])]
    differences, counts = np.unique(theirs[:, None] - near, return_counts=True)
    best = int(counts.argmax())
    return int(differences[best]), float(counts[best] / near.size), float((theirs[:, None] == near).mean())


def _keys(rows: np.ndarray) -> list[bytes]:
    return [np.ascontiguousarray(r).tobytes() for r in rows]


def duplicates(rows: np.ndarray, labels: np.ndarray | None) -> tuple[int, int]:
    """(samples that occurred before, those of them with another label)."""
    first: dict[bytes, int] = {}
    again = differ = 0
    for i, key in enumerate(_keys(rows)):
        j = first.setdefault(key, i)
        if j != i:
            again += 1
            differ += labels is not None and len(labels) == len(rows) and not np.array_equal(labels[i], labels[j])
    return again, differ


def shared(rows: np.ndarray, other: np.ndarray) -> int:
    """How many of `other` are among `rows`."""
    if rows.shape[1:] != other.shape[1:]:
        return 0
    known = set(_keys(rows))
    return sum(key in known for key in _keys(other))
