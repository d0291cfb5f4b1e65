# SPDX-License-Identifier: MIT
"""Embedding bags: sums, means and maxima of rows of a table, without the rows themselves."""

from __future__ import annotations

from .. import _core
from ..autograd import is_grad_enabled, no_grad, record, vjp
from .creation import arange, zeros
from .elementwise import where
from .index import embedding, index_add_, scatter_add_
from .reduce import norm

__all__ = ["embedding_bag"]

_MODES = ("sum", "mean", "max")


def embedding_bag(
    input,
    weight,
    offsets=None,
    max_norm=None,
    norm_type=2,
    scale_grad_by_freq=False,
    mode="mean",
    sparse=False,
    per_sample_weights=None,
    include_last_offset=False,
    padding_idx=None,
):
    """The sum, mean or maximum of rows of `weight` (rows, width), one for each bag: (bags, width).

    input (bags, n): bags of one size; or (count) with `offsets` (bags), where each bag begins (include_last_offset: and
    where the last one ends). An empty bag gives zeros. per_sample_weights, of input's shape, scale the rows of a sum.
    Rows equal to padding_idx take no part, nor a gradient. max_norm: rows that are used are scaled down to it in place.
    Gradients are dense whatever `sparse` says. ValueError, IndexError and TypeError for what does not fit.

    >>> table = lamella.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> F.embedding_bag(lamella.tensor([0, 1, 2]), table, lamella.tensor([0, 2]), mode="sum").tolist()
    [[4.0, 6.0], [5.0, 6.0]]
    """
    op = "[embedding_bag]"
    if weight.ndim != 2:
        raise ValueError(f"{op} weight must be 2-D (rows, width), got {tuple(weight.shape)}")
    if mode not in _MODES:
        raise ValueError(f"{op} mode must be sum, mean or max, got {mode!r}")
    if per_sample_weights is not None and (mode != "sum" or tuple(per_sample_weights.shape) != tuple(input.shape)):
        raise ValueError(
            f"{op} per_sample_weights must have the shape of input {tuple(input.shape)} and mode 'sum', "
            f"got {tuple(per_sample_weights.shape)} and {mode!r}"
        )
    if scale_grad_by_freq and mode == "max":
        raise ValueError(f"{op} scale_grad_by_freq must be False for mode 'max'")
    if input.ndim == 2:
        if offsets is not None:
            raise ValueError(f"{op} offsets must be None for a 2-D input, got one of shape {tuple(offsets.shape)}")
        bags, n = input.shape
        offsets, last = arange(0, bags * n + 1, max(n, 1), device=input) if n else zeros(bags + 1, dtype=_core.int64, device=input), True
        input = input.reshape(-1)
        per_sample_weights = None if per_sample_weights is None else per_sample_weights.reshape(-1)
    elif input.ndim != 1 or offsets is None:
        raise ValueError(f"{op} input must be 2-D, or 1-D with offsets, got {tuple(input.shape)}")
    else:
        last = include_last_offset
    rows = weight.shape[0]
    if padding_idx is not None:
        if not -rows <= padding_idx < rows:
            raise ValueError(f"{op} padding_idx must be in [{-rows}, {rows}), got {padding_idx}")
        padding_idx %= rows
    start, index, place = _core.bags_of(input, offsets, last, rows, -1 if padding_idx is None else padding_idx)
    if max_norm is not None:
        renorm_rows_(weight, index, max_norm, norm_type)
    if mode == "max":
        return _bag_max(start, index, weight)
    scale = per_sample_weights if per_sample_weights is None or place is None else per_sample_weights[place]
    counted = per_use(index, rows, weight.dtype) if scale_grad_by_freq else None
    if mode == "sum":
        return _bag_sum(weight, scale, start, index, counted)
    count = (start[1:] - start[:-1]).clamp(min=1)
    if weight.dtype.itemsize < 4:  # weighted in float32 and rounded once: a sum of float16 might overflow
        scale = (1.0 / count.float())[_core.bag_numbers(start, index.shape[0])]
        return _bag_sum(weight, scale, start, index, counted)
    return _bag_sum(weight, None, start, index, counted) / count.to(weight.dtype).unsqueeze(1)


def per_use(index, rows, dtype):
    """1 / how often each element of index occurs in it, in index's shape."""
    count, flat = zeros(rows, dtype=dtype, device=index), index.reshape(-1)
    _core.index_add_(count, 0, flat, _core.full(flat.shape, 1.0, dtype, flat))
    return 1.0 / count[index]


def renorm_rows_(weight, index, max_norm, norm_type):
    """Rows of weight that index names and whose norm is above max_norm are scaled down to it, in place."""
    from .sort import unique

    with no_grad():
        rows = unique(index.reshape(-1))
        picked = weight[rows]
        size = norm(picked, norm_type, 1, keepdim=True)
        weight[rows] = where(size > max_norm, picked * (max_norm / (size + 1e-7)), picked)


# ---- sums -----------------------------------------------------------------------------------------------------------
def _bag_sum(weight, scale, start, index, counted):
    y = _core.bag_sum(start, index, scale, weight)
    return record(y, bag_sum_vjp, (weight, scale), (weight, scale, start, index, counted))


def bag_sum_vjp(node, dy):
    weight, scale, start, index, counted = node.ctx
    bag, bags = _core.bag_numbers(start, index.shape[0]), start.shape[0] - 1
    if is_grad_enabled():
        return vjp(lambda w, s: bag_sum_unfused(w, s, index, bag, bags, counted), (weight, scale), dy)
    dweight = dscale = None
    if node.needs[0]:
        by = scale if counted is None else counted if scale is None else scale * counted
        dweight = _core.bag_sum_grad(index, bag, by, dy, weight.shape[0])
    if node.needs[1]:
        dscale = _core.bag_dot(bag, dy, index, weight).to(scale.dtype)
    return dweight, dscale


def bag_sum_unfused(weight, scale, index, bag, bags, counted=None):
    picked = embedding(index, weight)
    if counted is not None:  # the gradient alone is scaled
        picked = picked.detach() + (picked - picked.detach()) * counted.unsqueeze(-1)
    picked = picked if scale is None else picked * scale.unsqueeze(-1)
    return index_add_(zeros((bags, weight.shape[1]), dtype=weight.dtype, device=weight), 0, bag, picked)


# ---- maxima ---------------------------------------------------------------------------------------------------------
def _bag_max(start, index, weight):
    y, winner = _core.bag_max(start, index, weight)
    return record(y, bag_max_vjp, (weight,), (winner, weight.shape))


def bag_max_vjp(node, dy):
    winner, shape = node.ctx
    found = winner >= 0
    return (scatter_add_(zeros(shape, dtype=dy.dtype, device=dy), 0, where(found, winner, 0), where(found, dy, 0.0)),)

