# SPDX-License-Identifier: MIT
"""Matrix products. Operands share one floating dtype; transposed and broadcast ones are read in place."""

from __future__ import annotations

import functools
from typing import Any

from .. import _core
from ..autograd import is_grad_enabled, record
from ..precision import lower, regions
from .activation import gelu
from .elementwise import where
from .reduce import sum
from .view import permute, reshape

__all__ = [
    "addmm",
    "baddbmm",
    "bmm",
    "dot",
    "einsum",
    "linear",
    "matmul",
    "mm",
    "mv",
    "outer",
    "tensordot",
]


def matmul(input, other):
    """Product over the last dimension of `input` and the second to last of `other`; 1-D operands are a row on the left
    and a column on the right, leading dimensions broadcast: (..., m, k) @ (..., k, n) -> (..., m, n).

    ValueError if the inner sizes differ or the leading ones do not broadcast, TypeError for dtypes.
    """
    if regions:
        input, other = lower(input, other)
    return _product(input, other)


def _product(a, b):
    return record(_core.matmul(a, b), matmul_vjp, (a, b), (a, b))


def matmul_vjp(node, dy):  # da = dy b^T, db = a^T dy
    a, b = node.ctx
    da = db = None
    if a.ndim == 1 and b.ndim == 1:
        return (dy * b if node.needs[0] else None, dy * a if node.needs[1] else None)
    if a.ndim == 1:
        a, dy = a.unsqueeze(0), dy.unsqueeze(-2)
    elif b.ndim == 1:
        b, dy = b.unsqueeze(1), dy.unsqueeze(-1)
    x, y = node.ctx
    if node.needs[0]:
        da = matmul(dy, b.transpose(-1, -2))
        if x.ndim == 1:
            da = da.squeeze(-2)
    if node.needs[1]:
        if b.ndim == 2 and a.ndim > 2:  # one product over all leading dimensions
            db = matmul(a.reshape(-1, a.shape[-1]).transpose(0, 1), dy.reshape(-1, dy.shape[-1]))
        else:
            db = matmul(a.transpose(-1, -2), dy)
        if y.ndim == 1:
            db = db.squeeze(-1)
    return da, db


def _want_dims(op: str, **operands: tuple[Any, int]) -> None:
    for name, (x, ndim) in operands.items():
        if x.ndim != ndim:
            raise ValueError(f"[{op}] {name} must have {ndim} dimension{'s' * (ndim > 1)}, got {tuple(x.shape)}")


def mm(input, mat2):
    """(m, k) @ (k, n). ValueError for other shapes."""
    _want_dims("mm", input=(input, 2), mat2=(mat2, 2))
    return matmul(input, mat2)


def bmm(input, mat2):
    """(b, m, k) @ (b, k, n). ValueError for other shapes."""
    _want_dims("bmm", input=(input, 3), mat2=(mat2, 3))
    if input.shape[0] != mat2.shape[0]:
        raise ValueError(f"[bmm] batch sizes must match, got {tuple(input.shape)} and {tuple(mat2.shape)}")
    return matmul(input, mat2)


def mv(input, vec):
    """(m, k) @ (k,). ValueError for other shapes."""
    _want_dims("mv", input=(input, 2), vec=(vec, 1))
    return matmul(input, vec)


def dot(input, other):
    """Sum of the products of two vectors. ValueError for other shapes."""
    _want_dims("dot", input=(input, 1), other=(other, 1))
    return _product(input, other)


def outer(input, vec2):
    """input_i vec2_j: (m,), (n,) -> (m, n). ValueError for other shapes."""
    _want_dims("outer", input=(input, 1), vec2=(vec2, 1))
    return input.unsqueeze(1) * vec2


def addmm(input, mat1, mat2, *, beta=1, alpha=1):
    """beta input + alpha (mat1 @ mat2), input broadcast to (m, n). With beta == 0 input is not read."""
    _want_dims("addmm", mat1=(mat1, 2), mat2=(mat2, 2))
    return _scaled_sum("addmm", input, matmul(mat1, mat2), beta, alpha)


def baddbmm(input, batch1, batch2, *, beta=1, alpha=1):
    """beta input + alpha (batch1 @ batch2), input broadcast to (b, m, n). With beta == 0 input is not read."""
    return _scaled_sum("baddbmm", input, bmm(batch1, batch2), beta, alpha)


def _scaled_sum(op, input, product, beta, alpha):
    if regions and op != "addr":  # of no matrix product
        (input,) = lower(input)
    y = product if alpha == 1 else product * alpha
    if beta != 0:
        shape = product.shape
        y = y + (input if beta == 1 else input * beta)
        if y.shape != shape:
            raise ValueError(f"[{op}] input must broadcast to {tuple(shape)}, got {tuple(input.shape)}")
    return y


def linear(input, weight, bias=None):
    """input @ weight^T + bias: (..., in), (out, in), (out,) -> (..., out). ValueError for shapes that do not fit."""
    if regions:
        input, weight, bias = lower(input, weight, bias)
    return record(_core.linear(input, weight, bias), linear_vjp, (input, weight, bias), (input, weight))


def linear_vjp(node, dy):
    x, w = node.ctx
    need_x, need_w, need_b = node.needs
    if is_grad_enabled():
        rows = dy.reshape(-1, dy.shape[-1])
        return (
            matmul(dy, w) if need_x else None,
            matmul(rows.transpose(0, 1), x.reshape(-1, x.shape[-1])) if need_w else None,
            rows.sum(0) if need_b else None,
        )
    dw = db = None
    if need_w:
        dw, db = _core.linear_bwd_weight(x, dy, need_b)
    elif need_b:
        db = dy.reshape(-1, dy.shape[-1]).sum(0)
    return _core.matmul(dy, w) if need_x else None, dw, db


def linear_activation(input, weight, bias, activation):
    """relu(linear(input, weight, bias)), or of gelu, the `activation` by its name: applied as tiles are stored, one pass over
    memory less. gelu's derivative needs what linear gives, so where it may be asked for, that is made first."""
    if regions:
        input, weight, bias = lower(input, weight, bias)
    if activation == "relu":
        y = _core.linear(input, weight, bias, 1)
        return record(y, linear_relu_vjp, (input, weight, bias), (input, weight), True)
    if is_grad_enabled() and any(x is not None and x.requires_grad for x in (input, weight, bias)):
        return gelu(linear(input, weight, bias))
    return _core.linear(input, weight, bias, 2)


def linear_relu_vjp(node, dy):
    y = node.output
    return linear_vjp(node, where(y <= 0, 0.0, dy) if is_grad_enabled() else _core.relu_bwd(y, dy))


# ---- tensordot, einsum: permuted and reshaped to one product ---------------------------------------------------------
def tensordot(a, b, dims=2):
    """Sum over pairs of dimensions: the last `dims` of a with the first of b, or (dims of a, dims of b).

    ValueError if the sizes of a pair differ.
    """
    if isinstance(dims, int):
        if not 0 <= dims <= min(a.ndim, b.ndim):
            raise ValueError(f"[tensordot] dims must be 0 to {min(a.ndim, b.ndim)}, got {dims}")
        over_a, over_b = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    else:
        over_a, over_b = ([d] if isinstance(d, int) else list(d) for d in dims)
        for over, x in ((over_a, a), (over_b, b)):
            if any(not -x.ndim <= d < x.ndim for d in over):
                raise IndexError(f"[tensordot] dims must be within {x.ndim} dimensions, got {over}")
        over_a, over_b = [d % a.ndim for d in over_a], [d % b.ndim for d in over_b]
    if [a.shape[d] for d in over_a] != [b.shape[d] for d in over_b]:
        raise ValueError(
            f"[tensordot] contracted sizes must match, got {tuple(a.shape)} over {over_a} "
            f"and {tuple(b.shape)} over {over_b}"
        )
    keep_a = [d for d in range(a.ndim) if d not in over_a]
    keep_b = [d for d in range(b.ndim) if d not in over_b]
    k = _count(a.shape[d] for d in over_a)
    left = a.permute(keep_a + over_a).reshape(_count(a.shape[d] for d in keep_a), k)
    right = b.permute(over_b + keep_b).reshape(k, _count(b.shape[d] for d in keep_b))
    return matmul(left, right).reshape([a.shape[d] for d in keep_a] + [b.shape[d] for d in keep_b])


def _count(sizes) -> int:
    n = 1
    for s in sizes:
        n *= s
    return n


def einsum(equation, *operands):
    """Einstein summation: "bij,bjk->bik" multiplies operands and sums over the letters that are not in the output.

    Without "->" the output has the letters that occur once, in alphabetical order, after those of "...", which stands
    for broadcast leading dimensions; a size of 1 stands for the size that a letter has elsewhere. Pairs are contracted
    greedily, cheapest first. ValueError for a malformed equation or sizes that differ. Also as operands with lists of
    numbers for letters: einsum(a, [0, 1], b, [1, 2], [0, 2]).
    """
    if not isinstance(equation, str):
        equation, operands = _from_sublists((equation, *operands))
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    shapes = tuple([tuple(x.shape) for x in operands])
    plan = _pair_plan(equation, shapes) if len(operands) == 2 else None
    if plan is not None:
        return _run_pair(plan, *operands)
    terms, output, sizes = _parse(equation, shapes)
    items = [_lone(*_diagonal(x, term), sizes) for x, term in zip(operands, terms, strict=True)]
    while len(items) > 1:
        best = None
        for i in range(len(items)):
            for j in range(i + 1, len(items)):
                left = set(items[i][1]) | set(items[j][1])
                cost = _count(sizes[c] for c in left)
                if best is None or cost < best[0]:
                    best = (cost, i, j)
        _, i, j = best
        (b, tb), (a, ta) = items.pop(j), items.pop(i)
        needed = set(output).union(*(t for _, t in items))
        items.append(_contract(a, ta, b, tb, needed))
    x, term = items[0]
    x, term = _sum_out(x, term, set(output))
    y = x.permute([term.index(c) for c in output if c in term]) if term else x
    return y


def _from_sublists(args):
    """The equation of (operand, list, operand, list, ..., the output's list)."""
    letters = lambda names: "".join("..." if n is ... else chr(ord("A") + n + 6 * (n > 25)) for n in names)  # noqa: E731
    pairs = len(args) // 2
    equation = ",".join(letters(args[2 * i + 1]) for i in range(pairs))
    return (f"{equation}->{letters(args[-1])}" if len(args) % 2 else equation), args[0 : 2 * pairs : 2]


@functools.lru_cache(maxsize=256)
def _parse(equation: str, shapes: tuple[tuple[int, ...], ...]) -> tuple[list[list[str]], list[str], dict[str, int]]:
    """Letters of each operand and of the output ("..." as numbers from the right), and their sizes."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    inputs = left.split(",")
    if len(inputs) != len(shapes):
        raise ValueError(f"[einsum] equation must name {len(shapes)} operands, got {equation!r}")
    letters = equation.replace(" ", "").replace("->", "").replace(",", "").replace("...", "")
    if not all(c.isalpha() for c in letters):
        raise ValueError(f"[einsum] equation must hold letters, commas, '...' and '->', got {equation!r}")
    wide, terms, sizes = 0, [], {}
    for shape, text in zip(shapes, inputs, strict=True):
        before, dots, after = text.partition("...")
        extra = len(shape) - len(before) - len(after)
        if extra < 0 or (extra and not dots) or "..." in after:
            raise ValueError(f"[einsum] term {text!r} must have one letter per dimension, got shape {shape}")
        wide = max(wide, extra)
        term = [*before, *(str(extra - i) for i in range(extra)), *after]
        last = dict(zip(term, shape, strict=True))  # of a letter that is repeated here
        for c, n in zip(term, shape, strict=True):
            if sizes.setdefault(c, n) == 1:
                sizes[c] = n
            other = last[c] if n != last[c] or n == 1 else sizes[c]
            if n != other:
                raise ValueError(f"[einsum] sizes of {c!r} must match, got {other} and {n} in {equation!r}")
        terms.append(term)
    dotted = [str(wide - i) for i in range(wide)]
    if arrow:
        before, dots, after = right.partition("...")
        output = [*before, *(dotted if dots else ()), *after]
        for c in output:
            if output.count(c) > 1 or c not in sizes:
                raise ValueError(f"[einsum] output letters must be distinct and occur in an operand, got {equation!r}")
    else:
        flat = [c for term in terms for c in term]
        output = dotted + sorted(c for c in set(flat) if flat.count(c) == 1 and not c.isdigit())
    return terms, output, sizes


@functools.lru_cache(maxsize=256)
def _pair_plan(equation, shapes):
    """What `_run_pair` is to do for two operands, None where a letter is repeated, broadcast or summed in one alone: how,
    the order and shape of each operand (None: as it is), and of the result."""
    (ta, tb), output, sizes = _parse(equation, shapes)
    letters = set(ta + tb)
    if any(len(set(t)) < len(t) for t in (ta, tb)) or any(c.isdigit() for c in letters):
        return None
    if any(n != sizes[c] for t, shape in zip((ta, tb), shapes, strict=True) for c, n in zip(t, shape, strict=True)):
        return None
    if any((c in ta) != (c in tb) and c not in output for c in letters):
        return None
    batch = [c for c in ta if c in tb and c in output]
    inner = [c for c in ta if c in tb and c not in output]
    rows, columns = [c for c in ta if c not in tb], [c for c in tb if c not in ta]
    size = lambda group: [sizes[c] for c in group]  # noqa: E731
    k = _count(size(inner))
    if not inner:  # elementwise over all letters
        how, order = "mul", (batch + rows, batch + columns)
        wanted = (size(batch + rows) + [1] * len(columns), size(batch) + [1] * len(rows) + size(columns))
    elif not rows and not columns:
        how, order = "sum" if batch else "dot", (batch + inner, batch + inner)
        wanted = ([*size(batch), k],) * 2
    else:  # without a batch, a side that has only inner letters is a vector
        how, order = "matmul", (batch + rows + inner, batch + inner + columns)
        m, n = ([_count(size(g))] if g or batch else [] for g in (rows, columns))
        wanted = (size(batch) + m + [k], [*size(batch), k, *n])
    made = batch + rows + columns
    plan = [how]
    for term, letters, shape in ((ta, order[0], wanted[0]), (tb, order[1], wanted[1])):
        plan.append(None if letters == term else tuple([term.index(c) for c in letters]))
        plan.append(None if shape == size(letters) else tuple(shape))
    plan.append(tuple(size(made)) if how == "matmul" and (len(rows) != 1 or len(columns) != 1) else None)
    plan.append(None if made == output else tuple([made.index(c) for c in output]))
    return tuple(plan)


def _run_pair(plan, a, b):
    how, order_a, shape_a, order_b, shape_b, shape, order = plan
    a = a if order_a is None else permute(a, order_a)
    a = a if shape_a is None else reshape(a, shape_a)
    b = b if order_b is None else permute(b, order_b)
    b = b if shape_b is None else reshape(b, shape_b)
    y = matmul(a, b) if how == "matmul" else dot(a, b) if how == "dot" else a * b
    if how == "sum":
        y = sum(y, -1)
    y = y if shape is None else reshape(y, shape)
    return y if order is None else permute(y, order)


def _diagonal(x, term):
    """Takes the diagonal of each repeated letter."""
    while len(set(term)) < len(term):
        c = next(c for c in term if term.count(c) > 1)
        i = term.index(c)
        j = term.index(c, i + 1)
        x = x.diagonal(0, i, j)
        term = [t for d, t in enumerate(term) if d not in (i, j)] + [c]
    return x, term


def _lone(x, term, sizes):
    """Drops dimensions of size 1 that stand for larger ones."""
    one = [d for d, c in enumerate(term) if x.shape[d] != sizes[c]]
    for d in reversed(one):
        x = x.squeeze(d)
    return x, [c for d, c in enumerate(term) if d not in one]


def _sum_out(x, term, needed):
    over = [d for d, c in enumerate(term) if c not in needed]
    return (x.sum(over) if over else x), [c for c in term if c in needed]


def _contract(a, ta, b, tb, needed):
    """The product of two operands, summed over the letters that nothing else needs."""
    a, ta = _sum_out(a, ta, needed | set(tb))
    b, tb = _sum_out(b, tb, needed | set(ta))
    batch = [c for c in ta if c in tb and c in needed]
    inner = [c for c in ta if c in tb and c not in needed]
    rows, columns = [c for c in ta if c not in tb], [c for c in tb if c not in ta]
    size = {**dict(zip(ta, a.shape, strict=True)), **dict(zip(tb, b.shape, strict=True))}
    shape = [size[c] for c in batch]
    m, k, n = (_count(size[c] for c in g) for g in (rows, inner, columns))
    left = a.permute([ta.index(c) for c in batch + rows + inner]).reshape([*shape, m, k])
    right = b.permute([tb.index(c) for c in batch + inner + columns]).reshape([*shape, k, n])
    out = batch + rows + columns
    return matmul(left, right).reshape([size[c] for c in out]), out
