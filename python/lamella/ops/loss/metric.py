# SPDX-License-Identifier: MIT
"""Losses of distances and similarities between embeddings."""

from __future__ import annotations

from ... import _core
from ..activation import relu
from ..creation import arange
from ..elementwise import abs, clamp, sqrt, square, where
from ..gemm import matmul
from ..index import nonzero
from ..join import cat
from ..reduce import norm
from ..softmax import cross_entropy
from ..sort import searchsorted, sort
from ._common import check_reduction, reduce, same_shape

__all__ = [
    "contrastive_loss",
    "cosine_embedding_loss",
    "hinge_embedding_loss",
    "info_nce_loss",
    "margin_ranking_loss",
    "nt_xent_loss",
    "semihard_triplets",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
    "triplet_semihard_loss",
]


# ---- pairs ----------------------------------------------------------------------------------------------------------
def hinge_embedding_loss(input, target, margin=1.0, reduction="mean"):
    """input where target is 1, max(0, margin - input) where it is -1."""
    same_shape("hinge_embedding_loss", input, target)
    return reduce("hinge_embedding_loss", where(target == 1, input, relu(margin - input)), reduction)


def margin_ranking_loss(input1, input2, target, margin=0.0, reduction="mean"):
    """max(0, -target (input1 - input2) + margin): target 1 ranks input1 higher, -1 input2."""
    same_shape("margin_ranking_loss", input1, input2, "input2")
    same_shape("margin_ranking_loss", input1, target)
    return reduce("margin_ranking_loss", relu(margin - target * (input1 - input2)), reduction)


def _norm(x, p=2.0):
    if p == 2:
        return norm(x, 2, -1)
    return (abs(x) ** p).sum(-1) ** (1 / p)


def _check_rows(op, input1, target):
    if target.shape != input1.shape[:-1]:
        raise ValueError(f"[{op}] target must have shape {tuple(input1.shape[:-1])}, got {tuple(target.shape)}")


def contrastive_loss(input1, input2, target, margin=1.0, reduction="mean"):
    """d^2 / 2 where target is 1 (a pair that belongs together), max(0, margin - d)^2 / 2 elsewhere, d the distance between
    rows of input1 and input2, (N, D) or (D,) (Hadsell, Chopra and LeCun 2006). Its derivative is 0 where d is 0."""
    op = "contrastive_loss"
    same_shape(op, input1, input2, "input2")
    _check_rows(op, input1, target)
    d = _norm(input1 - input2)
    return reduce(op, 0.5 * square(where(target == 1, d, relu(margin - d))), reduction)


def cosine_embedding_loss(input1, input2, target, margin=0.0, reduction="mean"):
    """1 - cos where target is 1, max(0, cos - margin) where it is -1; cos between rows of input1 and input2 (N, D) or (D,)."""
    op = "cosine_embedding_loss"
    same_shape(op, input1, input2, "input2")
    _check_rows(op, input1, target)
    tiny = 1e-12
    cos = (input1 * input2).sum(-1) / sqrt((square(input1).sum(-1) + tiny) * (square(input2).sum(-1) + tiny))
    return reduce(op, where(target == 1, 1 - cos, relu(cos - margin)), reduction)


# ---- triplets -------------------------------------------------------------------------------------------------------
def _triplet(op, distance, anchor, positive, negative, margin, swap, reduction):
    same_shape(op, anchor, positive, "positive")
    same_shape(op, anchor, negative, "negative")
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        other = distance(positive, negative)
        far = where(other < far, other, far)
    return reduce(op, relu(margin + near - far), reduction)


def triplet_margin_loss(anchor, positive, negative, margin=1.0, p=2.0, eps=1e-6, swap=False, reduction="mean"):
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), d the p-norm of the difference + eps along the last dim.

    swap: the smaller of d(anchor, negative) and d(positive, negative) (Balntas et al. 2016). ValueError unless margin is
    positive.
    """
    if margin <= 0:
        raise ValueError(f"[triplet_margin_loss] margin must be positive, got {margin}")

    def distance(a, b):
        return _norm(a - b + eps, p)

    return _triplet("triplet_margin_loss", distance, anchor, positive, negative, margin, swap, reduction)


def triplet_margin_with_distance_loss(
    anchor, positive, negative, *, distance_function=None, margin=1.0, swap=False, reduction="mean"
):
    """triplet_margin_loss with any distance: distance_function(a, b) of rows (N, D) gives (N,); Euclidean unless given."""
    op = "triplet_margin_with_distance_loss"
    if margin <= 0:
        raise ValueError(f"[{op}] margin must be positive, got {margin}")
    distance = distance_function or (lambda a, b: _norm(a - b + 1e-6))
    return _triplet(op, distance, anchor, positive, negative, margin, swap, reduction)


def _distances(x):
    """Of all pairs of rows, (N, N); 1 on the diagonal, which no triplet uses and where the root has no derivative."""
    squares = square(x).sum(1)
    d2 = squares.unsqueeze(1) + squares - 2 * matmul(x, x.transpose(0, 1))
    positions = arange(x.shape[0], device=x)
    return sqrt(where(positions.unsqueeze(1) == positions, 1.0, clamp(d2, min=1e-12)))


def _semihard(distances, labels):
    alike = labels.unsqueeze(1) == labels
    n = labels.shape[0]
    positions = arange(n, device=labels)
    far, order = sort(where(alike, float("inf"), distances), 1)
    others = (n - alike.sum(1)).unsqueeze(1)
    anchor, positive = nonzero(alike & (positions.unsqueeze(1) != positions) & (others > 0), as_tuple=True)
    first = searchsorted(far, distances, right=True)  # the nearest negative beyond the positive, else the farthest
    place = where(first < others, first, others - 1)
    at = anchor * n + positive
    negative = order.reshape(-1)[anchor * n + place.reshape(-1)[at]]
    return anchor, positive, negative


def _check_labels(op, input, labels):
    if input.ndim != 2 or tuple(labels.shape) != tuple(input.shape[:1]):
        raise ValueError(f"[{op}] labels must be (N,) for input (N, D), got {tuple(labels.shape)} for {tuple(input.shape)}")


def semihard_triplets(input, labels):
    """(anchor, positive, negative): row numbers of triplets mined from a batch (Schroff, Kalenichenko and Philbin 2015).

    input: (N, D), labels: (N,) integers. Every ordered pair of rows of one label makes a triplet; its negative is the
    nearest row of another label that is farther from the anchor than the positive is, or, if none is, the farthest.
    Anchors without a row of another label are left out. ValueError for shapes.
    """
    _check_labels("semihard_triplets", input, labels)
    return _semihard(_distances(input.detach()), labels)


def triplet_semihard_loss(input, labels, margin=1.0, reduction="mean"):
    """max(0, d(anchor, positive) - d(anchor, negative) + margin) over `semihard_triplets`, d the Euclidean distance.

    'mean' is over the triplets, NaN if there is none; 'none' gives one value for each. ValueError for shapes.
    """
    op = "triplet_semihard_loss"
    _check_labels(op, input, labels)
    check_reduction(op, reduction)
    d = _distances(input)
    anchor, positive, negative = _semihard(d.detach(), labels)
    n, flat = input.shape[0], d.reshape(-1)
    return reduce(op, relu(flat[anchor * n + positive] - flat[anchor * n + negative] + margin), reduction)


# ---- contrast within a batch ----------------------------------------------------------------------------------------
def _unit(x):
    return x / clamp(norm(x, 2, -1, keepdim=True), min=1e-12)


def _check_temperature(op, temperature):
    if not isinstance(temperature, _core.TensorBase) and temperature <= 0:
        raise ValueError(f"[{op}] temperature must be positive, got {temperature}")


def info_nce_loss(query, positive_key, negative_keys=None, temperature=0.1, symmetric=False, reduction="mean"):
    """-log of the share of e^(cos(query, positive_key) / temperature) in the sum over all keys (van den Oord et al. 2018).

    query, positive_key: (N, D), row by row a pair. Negatives are the other rows of positive_key, or negative_keys: (M, D)
    for all queries or (N, M, D) for each. symmetric: the mean with the same of keys as queries (CLIP, Radford et al.
    2021). temperature: a positive number or a Tensor, which may be learned. 'none' gives (N,). ValueError for shapes.
    """
    op = "info_nce_loss"
    _check_temperature(op, temperature)
    check_reduction(op, reduction)
    if query.ndim != 2:
        raise ValueError(f"[{op}] query must have shape (N, D), got {tuple(query.shape)}")
    same_shape(op, query, positive_key, "positive_key")
    if symmetric and negative_keys is not None:
        raise ValueError(f"[{op}] negative_keys must be None with symmetric=True, got shape {tuple(negative_keys.shape)}")
    q, k = _unit(query), _unit(positive_key)
    if negative_keys is None:
        scores, target = matmul(q, k.transpose(0, 1)) / temperature, arange(query.shape[0], device=query)
        loss = cross_entropy(scores, target, reduction=reduction)
        return 0.5 * (loss + cross_entropy(scores.transpose(0, 1), target, reduction=reduction)) if symmetric else loss
    other = _unit(negative_keys)
    if other.ndim not in (2, 3) or other.shape[-1] != q.shape[1] or (other.ndim == 3 and other.shape[0] != q.shape[0]):
        n, d = q.shape
        raise ValueError(f"[{op}] negative_keys must be (M, {d}) or ({n}, M, {d}), got {tuple(negative_keys.shape)}")
    against = matmul(q, other.transpose(0, 1)) if other.ndim == 2 else matmul(other, q.unsqueeze(2)).squeeze(2)
    scores = cat([(q * k).sum(1, keepdim=True), against], 1) / temperature
    return cross_entropy(scores, _core.full((q.shape[0],), 0, _core.int64, q), reduction=reduction)


def nt_xent_loss(input1, input2, temperature=0.5, reduction="mean"):
    """info_nce_loss of both views of a batch at once: each of the 2 N rows against all others (SimCLR, Chen et al. 2020).

    input1, input2: (N, D), row by row two views of one example. 'none' gives (2 N,). ValueError for shapes.
    """
    op = "nt_xent_loss"
    _check_temperature(op, temperature)
    if input1.ndim != 2:
        raise ValueError(f"[{op}] input1 must have shape (N, D), got {tuple(input1.shape)}")
    same_shape(op, input1, input2, "input2")
    n = input1.shape[0]
    z, positions = _unit(cat([input1, input2])), arange(2 * n, device=input1)
    scores = matmul(z, z.transpose(0, 1)) / temperature
    scores = where(positions.unsqueeze(1) == positions, float("-inf"), scores)
    return cross_entropy(scores, where(positions < n, positions + n, positions - n), reduction=reduction)
