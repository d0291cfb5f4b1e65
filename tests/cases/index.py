# SPDX-License-Identifier: MIT
"""Indexing, embedding, gather, scatter, joining, splitting, padding."""

import numpy as np

import lamella
from case import ALL_FLOATS, A, B, Bad, Case, I, S

F = lamella.ops


def t(*shape):
    return lamella.zeros(shape)


def ints(*values):
    return lamella.tensor(list(values))


def np_add_at(x, index, y):
    x = x.copy()
    np.add.at(x, index, y)
    return x


def np_scatter(x, dim, index, src, add):
    x = x.copy()
    for at in np.ndindex(index.shape):
        to = (*at[:dim], index[at], *at[dim + 1 :])
        x[to] = x[to] + src[at] if add else src[at]
    return x


def np_gather(x, dim, index):
    y = np.empty(index.shape, x.dtype)
    for at in np.ndindex(index.shape):
        y[at] = x[(*at[:dim], index[at], *at[dim + 1 :])]
    return y


def np_put(x, index, value):
    x = x.copy()
    x[index] = value
    return x


def setitem(x, index, value):
    y = x.clone()
    y[index] = value
    return y


BASIC = [
    0,
    -1,
    slice(1, 3),
    slice(None, None, -2),
    (slice(None), 1),
    (..., -1),
    (0, ..., slice(0, 0)),
    (None, slice(None), None, 2),
    (slice(-2, None), slice(0, 9, 2), slice(5, 1)),
    (slice(2, None, -1), slice(None), slice(3, None, -1)),
    (),
    ...,
    (1, 2, 3),
]

CASES = [
    *(
        Case(
            f"getitem_{k}",
            fn=lambda x, index=index: x[index],
            ref=lambda x, index=index: x[index],
            samples=[S(A((4, 5, 6)))],
        )
        for k, index in enumerate(BASIC)
    ),
    *(
        Case(
            f"setitem_{k}",
            fn=lambda x, v, index=index: setitem(x, index, v),
            ref=lambda x, v, index=index: np_put(x, index, v),
            samples=[S(A((4, 5, 6)), A(())), S(A((4, 5, 6)), A((1,) * np.zeros((4, 5, 6))[index].ndim))],
        )
        for k, index in enumerate(BASIC)
    ),
    Case(
        "getitem_tensor",
        fn=lambda x, i: x[i],
        ref=lambda x, i: x[i],
        samples=[
            S(A((7,)), I((0,), 0, 7)),
            S(A((7,)), I((17,), -7, 7)),
            S(A((7, 1)), I((3, 2), -7, 7, "int32")),
            S(A((50, 33)), I((100,), -50, 50)),
            S(A((3, 4, 5)), I((2, 2), 0, 3, "uint8")),
            S(A((300, 513)), I((700,), -300, 300)),
            S(A((5, 0)), I((3,), 0, 5)),
        ],
        kernels=("gather_rows", "scatter_add_rows"),
        dtypes=ALL_FLOATS,
        bad=[
            Bad(lambda: t(3, 4)[5], IndexError, "[index] index must be in [-3, 3) along dimension 0, got 5"),
            Bad(lambda: t(3, 4)[:, -5], IndexError, "[index] index must be in [-4, 4) along dimension 1, got -5"),
            Bad(lambda: t(3)[0, 0], IndexError, "[index] index must name at most the 1 dimensions of (3,), got 2"),
            Bad(lambda: t(3)[..., ...], IndexError, "[index] index must hold at most one '...', got 2"),
            Bad(
                lambda: t(3, 4)[:, lamella.tensor([[0, 1], [2, 9]])],
                IndexError,
                "[index] index must be in [-4, 4) along dimension 1, got 9 at position (1, 1)",
            ),
            Bad(
                lambda: t(3)[lamella.zeros(2)],
                IndexError,
                "index tensors must have an integer or bool dtype, got float32",
            ),
            Bad(lambda: t(3)[[0.5]], IndexError, "and integer or bool tensors, got float64"),
            Bad(lambda: t(3)["a"], IndexError, "[index] index must be made of ints, slices"),
            Bad(lambda: t(3)[lamella.ones(4).bool()], IndexError, "[index] mask must have the shape"),
            Bad(lambda: t(3, 4)[ints(0, 1), ints(0, 1, 2)], ValueError, "(2,) and (3,)"),
            Bad(lambda: t(3)[::0], ValueError, "slice step cannot be zero"),
            Bad(lambda: setitem(t(3, 4), 0, t(5)), ValueError, "(5,)"),
            Bad(lambda: setitem(t(3), ints(0, 1), t(3)), ValueError, "[index_put] "),
        ],
    ),
    Case(
        "getitem_two_tensors",
        fn=lambda x, i, j: (x[i, j], x[i, :, j], x[:, i, j], x[..., i, None, j], x[1:, i, :, j]),
        ref=lambda x, i, j: (x[i, j], x[i, :, j], x[:, i, j], x[..., i, None, j], x[1:, i, :, j]),
        samples=[S(A((4, 4, 4, 4)), I((3,), -4, 4), I((2, 1), -4, 4))],
    ),
    Case(
        "getitem_mask",
        fn=lambda x, m, v: (x[m], x[:, v], x[m[:, 0]], x[m[:, 0], 1:], x[m, None]),
        ref=lambda x, m, v: (x[m], x[:, v], x[m[:, 0]], x[m[:, 0], 1:], x[m, None]),
        samples=[S(A((5, 6)), B((5, 6)), B((6,))), S(A((3, 70, 2)), B((3, 70), 0.1), B((70,), 1.0))],
        kernels=("nonzero",),
    ),
    Case(
        "setitem_tensor",
        fn=lambda x, v, m: (
            setitem(x, (slice(None), [2, 0]), v),
            setitem(x, m, 7.0),
            setitem(x, ([3, 1], [0, -1]), v[0]),
        ),
        ref=lambda x, v, m: (
            np_put(x, (slice(None), [2, 0]), v),
            np_put(x, m, 7.0),
            np_put(x, ([3, 1], [0, -1]), v[0]),
        ),
        samples=[S(A((4, 5)), A((4, 2)), B((4, 5))), S(A((4, 5)), A((1, 2)), B((4,)))],
        kernels=("scatter_rows",),
        dtypes=ALL_FLOATS,
    ),
    Case(
        "index_put",
        fn=lambda x, i, v: F.index_put(x, (i,), v, accumulate=True),
        ref=lambda x, i, v: np_add_at(x, (i,), v),
        samples=[S(A((7,)), I((40,), -7, 7), A((40,))), S(A((9, 5)), I((3, 4), 0, 9), A((4, 5)))],
    ),
    Case(
        "index_put-pairs",
        fn=lambda x, i, j, v: F.index_put(x, (i, j), v, accumulate=True),
        ref=lambda x, i, j, v: np_add_at(x, (i, j), v),
        samples=[
            S(A((4, 5)), I((3, 2), -4, 4), I((2,), 0, 5), A((3, 2))),
            S(A((3, 4, 6)), I((7,), 0, 3), I((7,), 0, 4), A((7, 6))),
            S(A((300, 500), grad=False), I((150_000,), 0, 300), I((150_000,), 0, 500), A((150_000,), grad=False)),
        ],
        kernels=("scatter_add_rows",),
        tol={"float32": 1e-5},
    ),
    Case(
        "masked_select",
        fn=F.masked_select,
        ref=lambda x, m: x[np.broadcast_to(m, x.shape)],
        samples=[S(A((4, 5)), B((4, 5))), S(A((4, 5)), B((5,))), S(A((0,)), B((0,)))],
    ),
    Case(
        "nonzero",
        fn=lambda m: (F.nonzero(m), *F.where(m)),
        ref=lambda m: (np.argwhere(m), *np.nonzero(m)),
        samples=[
            *(S(B((n,))) for n in (0, 1, 7, 8, 9, 17)),
            S(B((65536 + 1,), 0.01)),
            S(B((70000, 2), 0.9)),
            S(I((3, 4, 5), 0, 2)),
        ],
        kernels=("nonzero",),
        grad=False,
    ),
    Case(
        "embedding",
        fn=lambda i, w: F.embedding(i, w),
        ref=lambda i, w: w[i],
        samples=[
            S(I((0,), 0, 5), A((5, 3))),
            S(I((), 0, 5), A((5, 3))),
            S(I((2, 3), 0, 5, "int32"), A((5, 1))),
            *(S(I((40,), 0, 13), A((13, w))) for w in (15, 16, 17, 64)),
            S(I((3000,), 0, 13), A((13, 100))),
            S(I((700,), 0, 3000), A((3000, 515))),
        ],
        kernels=("gather_rows", "scatter_add_rows"),
        dtypes=ALL_FLOATS,
        bad=[
            Bad(
                lambda: F.embedding(lamella.tensor([[0, 1], [2, 3], [0, 0], [1, 12]]), t(10, 4)),
                IndexError,
                "[embedding] index must be in [0, 10), got 12 at position (3, 1)",
            ),
            Bad(lambda: F.embedding(ints(-1), t(10, 4)), IndexError, "must be in [0, 10), got -1 at position (0,)"),
            Bad(lambda: F.embedding(t(2), t(10, 4)), TypeError, "index must have an integer dtype, got float32"),
            Bad(lambda: F.embedding(ints(0), t(10)), ValueError, "weight must be 2-D (rows, width), got (10,)"),
            Bad(
                lambda: F.embedding(ints(0), t(3, 4), padding_idx=3),
                ValueError,
                "padding_idx must be in [-3, 3), got 3",
            ),
        ],
    ),
    Case(
        "one_hot",
        fn=lambda i: F.one_hot(i, 6),
        ref=lambda i: np.eye(6, dtype=np.int64)[i],
        samples=[S(I((), 0, 6)), S(I((0,), 0, 6)), S(I((3, 4), 0, 6))],
        kernels=("scatter_along",),
        grad=False,
        bad=[Bad(lambda: F.one_hot(ints(3), 3), IndexError, "[scatter] index must be in [0, 3), got 3")],
    ),
    Case(
        "index_select",
        fn=lambda x, i: (F.index_select(x, 0, i), F.index_select(x, -1, i)),
        ref=lambda x, i: (np.take(x, i, 0), np.take(x, i, -1)),
        samples=[S(A((5,)), I((9,), 0, 5)), S(A((4, 300, 4)), I((7,), 0, 4)), S(A((3, 0, 3)), I((2,), 0, 3))],
        dtypes=ALL_FLOATS,
        bad=[
            Bad(lambda: F.index_select(t(3), 0, ints(3)), IndexError, "[index_select] index must be in [0, 3), got 3")
        ],
    ),
    Case(
        "index_add",
        fn=lambda x, i, y: F.index_add(x, 1, i, y, alpha=2),
        ref=lambda x, i, y: np_add_at(x, (slice(None), i), 2 * y),
        samples=[S(A((2, 4)), I((6,), 0, 4), A((2, 6))), S(A((3, 4, 5)), I((2,), 0, 4), A((3, 2, 5)))],
        bad=[
            Bad(
                lambda: F.index_add(t(3, 4), 1, ints(0), t(3, 2)),
                ValueError,
                "[index_add] source must have shape (3, 1), got (3, 2)",
            )
        ],
    ),
    Case(  # x is more than a cache holds: by strips of columns; the last strip is short
        "gather_strips",
        fn=lambda x, i: F.gather(x, 0, i),
        ref=lambda x, i: np_gather(x, 0, i),
        samples=[S(A((600, 1100)), I((310, 1100), 0, 600))],
        kernels=("gather_along",),
        dtypes=ALL_FLOATS,
        grad=False,
        layouts=False,
    ),
    *(
        Case(
            f"gather_{dim}",
            fn=lambda x, i, dim=dim: F.gather(x, dim, i),
            ref=lambda x, i, dim=dim: np_gather(x, dim, i),
            samples=[
                S(A((4, 4, 4)), I((4, 4, 4), 0, 4)),
                S(A((4, 4, 4)), I((2, 3, 2), 0, 4)),
                S(A((4, 4, 4)), I((3, 2, 4) if dim else (9, 2, 4), 0, 4)),
                S(A((4, 4, 4)), I((0, 4, 4), 0, 4)),
            ],
            kernels=("gather_along", "scatter_along"),
            dtypes=ALL_FLOATS,
        )
        for dim in (0, 1, 2)
    ),
    *(
        Case(
            f"scatter_add_{dim}",
            fn=lambda x, i, y, dim=dim: F.scatter_add(x, dim, i, y),
            ref=lambda x, i, y, dim=dim: np_scatter(x, dim, i, y, True),
            samples=[
                S(A((4, 4, 4)), I((4, 4, 4), 0, 4), A((4, 4, 4))),
                S(A((4, 4, 4)), I((2, 3, 2), 0, 4), A((3, 3, 3))),
            ],
            kernels=("scatter_along",),
            dtypes=ALL_FLOATS,
            tol={"bfloat16": 3e-2, "float16": 4e-3},  # every addition rounds
            bad=[
                Bad(
                    lambda: F.scatter_add(t(3, 4), 1, lamella.zeros((4, 4), dtype=lamella.int64), t(4, 4)),
                    ValueError,
                    "[scatter_add] index must have the dimensions of input (3, 4) and be no larger than it outside",
                )
            ],
        )
        for dim in (0, 1, 2)
    ),
    Case(
        "scatter",
        fn=lambda x, y: (
            F.scatter(x, 1, lamella.tensor([[2, 0], [1, 3]]), y),
            F.scatter(x, 0, ints(1, 0, 2).reshape(1, 3), 5),
        ),
        ref=lambda x, y: (
            np_scatter(x, 1, np.array([[2, 0], [1, 3]]), y, False),
            np_scatter(x, 0, np.array([[1, 0, 2]]), np.full((1, 3), 5.0), False),
        ),
        samples=[S(A((3, 4)), A((2, 2))), S(A((3, 4)), A((2, 3)))],
    ),
    Case(
        "take_along_dim",
        fn=lambda x, i: (F.take_along_dim(x, i, 1), F.take_along_dim(x, i)),
        ref=lambda x, i: (np.take_along_axis(x, i, 1), np.take(x.reshape(-1), i.reshape(-1))),
        samples=[S(A((3, 4)), I((3, 7), -4, 4)), S(A((3, 4)), I((1, 2), 0, 4))],
    ),
    *(
        Case(
            name,
            fn=lambda x, d, name=name: getattr(F, name)(x, d),
            ref=lambda x, d, name=name: getattr(np, name)(x, d),
            samples=[S(A(s), d) for s in ((3, 4), (5, 3), (2, 17, 33), (0, 3)) for d in (0, 1, -2, 40, -40)],
            kernels=("triangle",),
            dtypes=ALL_FLOATS,
            bad=[
                Bad(
                    lambda name=name: getattr(F, name)(t(3)),
                    ValueError,
                    f"[{name}] input must have at least 2 dimensions, got (3,)",
                )
            ],
        )
        for name in ("tril", "triu")
    ),
    Case(
        "flip",
        fn=lambda x: (F.flip(x, 0), F.flip(x, (0, -1)), F.flip(x, ())),
        ref=lambda x: (np.flip(x, 0), np.flip(x, (0, -1)), x),
        samples=[S(A((3, 4, 5))), S(A((1, 17))), S(A((0, 3))), S(A((3, 15))), S(A((2, 3, 67))), S(A((2, 1100)))],
        dtypes=ALL_FLOATS,
    ),
    Case(
        "roll",
        fn=lambda x: (F.roll(x, 1), F.roll(x, (-1, 7), (0, 1)), F.roll(x, 0, 0)),
        ref=lambda x: (np.roll(x, 1), np.roll(x, (-1, 7), (0, 1)), x),
        samples=[S(A((3, 5))), S(A((0, 2)))],
    ),
    Case(
        "cat",
        fn=lambda *x: (F.cat(x), F.cat(x, -1)),
        ref=lambda *x: (np.concatenate(x), np.concatenate(x, -1)),
        samples=[
            S(A((3, 4)), A((3, 4)), A((3, 4))),
            S(A((1, 1))),
            S(A((2, 0)), A((2, 0))),
            S(A((17, 33)), A((17, 33))),
        ],
        dtypes=ALL_FLOATS,
        bad=[
            Bad(lambda: F.cat([]), ValueError, "[cat] tensors must not be empty"),
            Bad(
                lambda: F.cat([t(2, 3), t(2, 4)]),
                ValueError,
                "[cat] tensors must have the same shape outside dimension 0, got (2, 3) and (2, 4) at position 1",
            ),
            Bad(lambda: F.cat([t(2, 3)], 2), IndexError, "[cat]"),
        ],
    ),
    Case(
        "stack",
        fn=lambda *x: (F.stack(x), F.stack(x, 1), F.stack(x, -1)),
        ref=lambda *x: (np.stack(x), np.stack(x, 1), np.stack(x, -1)),
        samples=[S(A((3, 4)), A((3, 4))), S(A((2,)), A((2,)), A((2,)))],
        bad=[
            Bad(
                lambda: F.stack([t(2), t(3)]),
                ValueError,
                "[stack] tensors must have one shape, got (2,) and (3,) at position 1",
            )
        ],
    ),
    Case(
        "split",
        fn=lambda x: (
            *F.split(x, 2),
            *F.split(x, [1, 0, 4], 0),
            *F.chunk(x, 3, 1),
            *F.unbind(x, 1),
            F.narrow(x, 1, 1, 2),
        ),
        ref=lambda x: (
            *np.split(x, [2, 4]),
            *np.split(x, [1, 1]),
            *np.split(x, [2], 1),
            *np.moveaxis(x, 1, 0),
            x[:, 1:3],
        ),
        samples=[S(A((5, 4))), S(A((5, 4, 3)))],
        bad=[
            Bad(lambda: F.split(t(5), [1, 2]), ValueError, "[split] sizes must add up to 5, got (1, 2)"),
            Bad(
                lambda: F.narrow(t(5), 0, 3, 3), ValueError, "[narrow] start and length must stay within 5, got 3 and 3"
            ),
        ],
    ),
    Case(
        "split_unused",
        fn=lambda x: F.split(x, 2)[1] * F.unbind(x, 1)[0][:2].unsqueeze(1),
        ref=lambda x: x[2:4] * x[:2, :1],
        samples=[S(A((5, 4)))],
    ),
    Case(
        "repeat",
        fn=lambda x: (F.repeat(x, 2, 1, 3), F.tile(x, 2), F.repeat(x, 1, 1), F.repeat(x, 0, 2)),
        ref=lambda x: (np.tile(x, (2, 1, 3)), np.tile(x, (1, 2)), x, np.tile(x, (0, 2))),
        samples=[S(A((3, 4))), S(A((1, 17)))],
    ),
    Case(
        "repeat_interleave",
        fn=lambda x: (F.repeat_interleave(x, 3, 0), F.repeat_interleave(x, 2), F.repeat_interleave(x, [1, 0, 2], 0)),
        ref=lambda x: (np.repeat(x, 3, 0), np.repeat(x, 2), np.repeat(x, [1, 0, 2], 0)),
        samples=[S(A((3, 4)))],
    ),
    Case(
        "pad",
        fn=lambda x: (F.pad(x, (1, 2)), F.pad(x, (0, 1, 3, 0), value=2.5), F.pad(x, (-1, 2, 0, -1)), F.pad(x, ())),
        ref=lambda x: (
            np.pad(x, ((0, 0), (1, 2))),
            np.pad(x, ((3, 0), (0, 1)), constant_values=2.5),
            np.pad(x[:-1, 1:], ((0, 0), (0, 2))),
            x,
        ),
        kernels=("pad",),
        samples=[S(A((3, 4))), S(A((17, 1)))],
        dtypes=ALL_FLOATS,
        bad=[
            Bad(lambda: F.pad(t(3), (1,)), ValueError, "[pad] pad must hold a pair for at most 1 dimensions, got (1,)"),
            Bad(lambda: F.pad(t(3), (1.0, 2.0)), TypeError, "[pad] pad must hold integers, got (1.0, 2.0)"),
            Bad(lambda: F.pad(t(3), (1, 1), "odd"), ValueError, "[pad] mode must be 'constant', 'reflect'"),
            Bad(lambda: F.pad(t(3), (1, 1), "reflect", 2.0), ValueError, "[pad] value must be None for mode 'reflect', got 2.0"),
            Bad(lambda: F.pad(t(3), (3, 0), "reflect"), ValueError, "[pad] pad must be in [0, 2] for mode 'reflect'"),
        ],
    ),
    *(
        Case(
            f"pad_{mode}",
            fn=lambda x, mode=mode: F.pad(x, (2, 3, 1, 0), mode=mode),
            ref=lambda x, to=to: np.pad(x, ((0, 0),) * (x.ndim - 2) + ((1, 0), (2, 3)), mode=to),
            kernels=("pad",),
            samples=[S(A((3, 4))), S(A((2, 5, 7))), S(A((2, 9, 5, 7))), S(A((3, 2, 31, 33)))],
        )
        for mode, to in (("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap"))
    ),
]
