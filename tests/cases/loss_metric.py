# SPDX-License-Identifier: MIT
"""Losses of distances and similarities between embeddings."""

import numpy as np

import lamella.ops as ops
from case import A, Bad, Case, I, S

from .loss import by_sign, each_reduction, reduced, shape_and_reduction, signs, x, y
from .softmax import cross_entropy


def cosine_embedding(a, b, t, margin=0.0):
    cos = (a * b).sum(-1) / np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    return np.where(t == 1, 1 - cos, np.maximum(0, cos - margin))


def triplet(a, p, n, margin=1.0, swap=False, norm=2.0):
    def d(x, y):
        return (np.abs(x - y + 1e-6) ** norm).sum(-1) ** (1 / norm)

    far = np.minimum(d(a, n), d(p, n)) if swap else d(a, n)
    return np.maximum(0, margin + d(a, p) - far)


def squared_triplet(a, p, n, margin=1.0, swap=False):
    near, far = ((a - p) ** 2).sum(-1), ((a - n) ** 2).sum(-1)
    return np.maximum(0, margin + near - (np.minimum(far, ((p - n) ** 2).sum(-1)) if swap else far))


def contrastive(a, b, t, margin=1.0):
    d = np.sqrt(((a - b) ** 2).sum(-1))
    return np.where(t == 1, d, np.maximum(0, margin - d)) ** 2 / 2


def mined(x, labels):
    """Triplet by triplet."""
    d = np.sqrt(((x[:, None] - x) ** 2).sum(-1))
    found = []
    for a in range(len(x)):
        others = [k for k in range(len(x)) if labels[k] != labels[a]]
        for p in range(len(x)):
            if p != a and labels[p] == labels[a] and others:
                beyond = [k for k in others if d[a, k] > d[a, p]]
                n = min(beyond, key=lambda k: d[a, k]) if beyond else max(others, key=lambda k: d[a, k])
                found.append((a, p, n))
    return np.array(found, np.int64).reshape(-1, 3), d


def semihard(x, labels, margin=1.0):
    found, d = mined(x, labels)
    return np.maximum(0, d[found[:, 0], found[:, 1]] - d[found[:, 0], found[:, 2]] + margin)


def unit(x):
    return x / np.sqrt((x * x).sum(-1, keepdims=True))


def info_nce(q, k, negatives=None, temperature=0.1, symmetric=False, reduction="mean"):
    q, k = unit(q), unit(k)
    rows = np.arange(len(q))
    if negatives is None:
        loss = cross_entropy(q @ k.T / temperature, rows, reduction=reduction)
        return (loss + cross_entropy(k @ q.T / temperature, rows, reduction=reduction)) / 2 if symmetric else loss
    against = np.einsum("nd,nmd->nm", q, np.broadcast_to(unit(negatives), (len(q), *negatives.shape[-2:])))
    scores = np.concatenate([(q * k).sum(1, keepdims=True), against], 1) / temperature
    return cross_entropy(scores, 0 * rows, reduction=reduction)


def nt_xent(a, b, temperature=0.5, reduction="mean"):
    z = unit(np.concatenate([a, b]))
    n, scores = len(a), z @ z.T / temperature
    np.fill_diagonal(scores, -1e9)  # an infinity would be multiplied by a smoothing of 0
    return cross_entropy(scores, np.roll(np.arange(2 * n), n), reduction=reduction)


ROWS = A((5, 7)), A((5, 7))

CASES = [
    Case(
        "hinge_embedding_loss",
        by_sign(ops.hinge_embedding_loss),
        by_sign(reduced(lambda x, t, margin=1.0: np.where(t == 1, x, np.maximum(0, margin - x)))),
        [*each_reduction(A((5, 7)), signs(5, 7)), S(A((5, 7)), signs(5, 7), margin=0.5)],
        bad=shape_and_reduction("hinge_embedding_loss"),
    ),
    Case(
        "margin_ranking_loss",
        by_sign(ops.margin_ranking_loss),
        by_sign(reduced(lambda a, b, t, margin=0.0: np.maximum(0, margin - t * (a - b)))),
        [*each_reduction(A((7,)), A((7,)), signs(7)), S(A((7,)), A((7,)), signs(7), margin=0.5)],
        bad=[
            Bad(lambda: ops.margin_ranking_loss(x, y, x), ValueError, "[margin_ranking_loss] input2 must have input's shape"),
            Bad(lambda: ops.margin_ranking_loss(x, x, y), ValueError, "[margin_ranking_loss] target must have input's shape"),
        ],
    ),
    Case(
        "cosine_embedding_loss",
        by_sign(ops.cosine_embedding_loss),
        by_sign(reduced(cosine_embedding)),
        [*each_reduction(A((5, 7)), A((5, 7)), signs(5)), S(A((5, 7)), A((5, 7)), signs(5), margin=0.2)],
        bad=[Bad(lambda: ops.cosine_embedding_loss(x, x, y), ValueError, "target must have shape (3,), got (3, 1)")],
    ),
    Case(
        "triplet_margin_loss",
        ops.triplet_margin_loss,
        reduced(triplet),
        [
            *each_reduction(A((5, 7)), A((5, 7)), A((5, 7))),
            S(A((5, 7)), A((5, 7)), A((5, 7)), margin=0.5, swap=True),
        ],
        bad=[Bad(lambda: ops.triplet_margin_loss(x, y, x), ValueError, "[triplet_margin_loss] positive must have input's shape")],
    ),
    Case(
        "triplet_margin_with_distance_loss",
        lambda *args, **k: ops.triplet_margin_with_distance_loss(*args, distance_function=lambda a, b: ops.square(a - b).sum(-1), **k),
        reduced(squared_triplet),
        [*each_reduction(*ROWS, A((5, 7))), S(*ROWS, A((5, 7)), margin=0.5, swap=True)],
        bad=[
            Bad(lambda: ops.triplet_margin_with_distance_loss(x, x, x, margin=0), ValueError, "margin must be positive, got 0"),
            Bad(lambda: ops.triplet_margin_with_distance_loss(x, x, y), ValueError, "negative must have input's shape (3, 4), got (3, 1)"),
        ],
    ),
    Case("triplet distance", ops.triplet_margin_with_distance_loss, reduced(triplet), [S(*ROWS, A((5, 7)), margin=2.0)]),
    Case(
        "triplet_margin_loss of order 3",
        lambda *args: ops.triplet_margin_loss(*args, p=3.0),
        reduced(lambda *args: triplet(*args, norm=3.0)),
        [S(*ROWS, A((5, 7)))],
    ),
    Case(
        "contrastive_loss",
        by_sign(ops.contrastive_loss),
        by_sign(reduced(contrastive)),
        [*each_reduction(*ROWS, signs(5)), S(*ROWS, signs(5), margin=5.0)],
        bad=[
            Bad(lambda: ops.contrastive_loss(x, y, y), ValueError, "[contrastive_loss] input2 must have input's shape"),
            Bad(lambda: ops.contrastive_loss(x, x, y), ValueError, "[contrastive_loss] target must have shape (3,), got (3, 1)"),
        ],
    ),
    Case(
        "semihard_triplets",
        ops.semihard_triplets,
        lambda x, labels: tuple(mined(x, labels)[0].T),
        [S(A((13, 4)), I((13,), 0, 4)), S(A((5, 4)), np.array([1, 1, 1, 1, 1])), S(A((3, 2)), np.array([0, 1, 2]))],
        grad=False,
        layouts=False,
        bad=[Bad(lambda: ops.semihard_triplets(x, y), ValueError, "labels must be (N,) for input (N, D), got (3, 1) for (3, 4)")],
    ),
    Case(
        "triplet_semihard_loss",
        ops.triplet_semihard_loss,
        reduced(semihard),
        each_reduction(A((11, 3)), I((11,), 0, 4), margin=0.7),
        tol={"float32": 2e-5},
        layouts=False,
        bad=[Bad(lambda: ops.triplet_semihard_loss(x[0], y), ValueError, "[triplet_semihard_loss] labels must be (N,) for input (N, D)")],
    ),
    Case(
        "info_nce_loss",
        ops.info_nce_loss,
        info_nce,
        [
            *each_reduction(*ROWS),
            S(*ROWS, symmetric=True, temperature=0.5),
            S(*ROWS, A((4, 7)), temperature=0.5),
            S(*ROWS, A((5, 3, 7)), temperature=0.5, reduction="none"),
        ],
        tol={"float32": 2e-5},
        bad=[
            Bad(lambda: ops.info_nce_loss(x, y), ValueError, "[info_nce_loss] positive_key must have input's shape"),
            Bad(lambda: ops.info_nce_loss(x[0], x[0]), ValueError, "query must have shape (N, D), got (4,)"),
            Bad(lambda: ops.info_nce_loss(x, x, y), ValueError, "negative_keys must be (M, 4) or (3, M, 4), got (3, 1)"),
            Bad(lambda: ops.info_nce_loss(x, x, x, symmetric=True), ValueError, "negative_keys must be None with symmetric=True"),
            Bad(lambda: ops.info_nce_loss(x, x, temperature=0), ValueError, "temperature must be positive, got 0"),
        ],
    ),
    Case(
        "nt_xent_loss",
        ops.nt_xent_loss,
        nt_xent,
        [*each_reduction(*ROWS), S(*ROWS, temperature=0.2)],
        tol={"float32": 1e-5},
        bad=[
            Bad(lambda: ops.nt_xent_loss(x, y), ValueError, "[nt_xent_loss] input2 must have input's shape"),
            Bad(lambda: ops.nt_xent_loss(x[0], x[0]), ValueError, "input1 must have shape (N, D), got (4,)"),
            Bad(lambda: ops.nt_xent_loss(x, x, -1.0), ValueError, "temperature must be positive, got -1.0"),
        ],
    ),
]
