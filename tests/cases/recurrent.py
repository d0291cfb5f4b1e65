# SPDX-License-Identifier: MIT
"""RNN, LSTM and GRU layers, stacks and cells, against every sequence run alone, step by step, in NumPy."""

import numpy as np

import lamella
import lamella.ops as ops
from case import ALL_FLOATS, A, Bad, Case, S
from lamella.ops.recurrent import recurrent_layer, recurrent_layer_unfused, recurrent_stack

KERNELS = ("recurrent_fwd", "recurrent_bwd")
TOL = {"float32": 1e-5, "float64": 1e-12}
TOL_ALL = {**TOL, "bfloat16": 3e-2, "float16": 6e-3}
GATES = {"tanh": 1, "relu": 1, "lstm": 4, "gru": 3}


# ---- reference --------------------------------------------------------------------------------------------------------
def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def step(cell, x, h, c, w_ih, w_hh, b_ih, b_hh, w_hr=None):
    a, b = w_ih @ x + b_ih, w_hh @ h + b_hh
    if cell == "lstm":
        i, f, g, o = np.split(a + b, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        return (h if w_hr is None else w_hr @ h), c
    if cell == "gru":
        (ar, az, an), (br, bz, bn) = np.split(a, 3), np.split(b, 3)
        z, n = sigmoid(az + bz), np.tanh(an + sigmoid(ar + br) * bn)
        return (1 - z) * n + z * h, c
    return (np.tanh(a + b) if cell == "tanh" else np.maximum(a + b, 0)), c


def reference(kind, x, sizes, h0, c0, weights):
    cell, sides, bias, projected = kind
    each = len(weights) // sides
    counts = np.full(x.shape[0], x.shape[1]) if sizes is None else sizes
    starts = np.concatenate([[0], np.cumsum(counts)])
    rows, batch = x.reshape(-1, x.shape[-1]), int(counts[0])
    hidden, out = weights[0].shape[0] // GATES[cell], weights[1].shape[1]
    y = np.zeros((len(rows), sides * out))
    hn, cn = np.zeros((sides, batch, out)), np.zeros((sides, batch, hidden))
    for d in range(sides):
        w_ih, w_hh, *rest = weights[d * each : (d + 1) * each]
        b_ih, b_hh = rest[:2] if bias else (0.0, np.zeros(len(w_hh)))
        for b in range(batch):
            h = np.zeros(out) if h0 is None else h0[d, b]
            c = np.zeros(hidden) if c0 is None else c0[d, b]
            length = int((counts > b).sum())
            for t in range(length)[:: -1 if d else 1]:
                row = starts[t] + b
                h, c = step(cell, rows[row], h, c, w_ih, w_hh, b_ih, b_hh, rest[-1] if projected else None)
                y[row, d * out : (d + 1) * out] = h
            hn[d, b], cn[d, b] = h, c
    y = y.reshape(*x.shape[:-1], sides * out)
    return (y, hn, cn) if cell == "lstm" else (y, hn)


def stacked(cell, x, sizes, h0, c0, params, bias, num_layers, dropout, train, bidirectional):
    sides, last = 1 + bidirectional, []
    each = len(params) // num_layers
    for layer in range(num_layers):
        part = slice(layer * sides, (layer + 1) * sides)
        first = [None if s is None else s[part] for s in (h0, c0)]
        kind = (cell, sides, bias, False)
        x, *states = reference(kind, x, sizes, *first, params[layer * each : (layer + 1) * each])
        last.append(states)
    return (x, *(np.concatenate(s) for s in zip(*last, strict=True)))


def one_step(cell):
    def run(x, hx, w_ih, w_hh, b_ih, b_hh):
        h, c = hx if cell == "lstm" else (hx, None)
        first = [None if s is None else s.reshape(1, -1, s.shape[-1]) for s in (h, c)]
        _, *last = reference((cell, 1, True, False), x.reshape(1, -1, x.shape[-1]), None, *first, [w_ih, w_hh, b_ih, b_hh])
        last = [s.reshape(*x.shape[:-1], s.shape[-1]) for s in last]
        return tuple(last) if cell == "lstm" else last[0]

    return run


# ---- samples ----------------------------------------------------------------------------------------------------------
def weights(cell, width, hidden, sides=1, bias=True, proj=0):
    rows, out, bound = GATES[cell] * hidden, proj or hidden, 0.8 / hidden**0.5
    shapes = [(rows, width), (rows, out), *([(rows,)] * 2 if bias else []), *([(proj, hidden)] if proj else [])]
    return [A(s, -bound, bound) for s in shapes] * sides


def sample(cell, steps, batch, hidden, width=3, sides=1, bias=True, proj=0, sizes=None, states=True):
    """One layer; `sizes`: sequences at each step, for packed ones."""
    kind = (cell, sides, bias, proj > 0)
    shape = (sum(sizes), width) if sizes else (steps, batch, width)
    h0 = A((sides, batch, proj or hidden)) if states else None
    c0 = A((sides, batch, hidden)) if states and cell == "lstm" else None
    w = weights(cell, width, hidden, sides, bias, proj)
    return S(kind, A(shape), np.array(sizes) if sizes else None, h0, c0, w)


SHAPES = [  # steps, batch, hidden
    (1, 1, 1),
    (1, 3, 17),
    (2, 2, 5),
    (3, 1, 3),
    (3, 2, 4),
    (3, 3, 7),
    (3, 4, 8),
    (3, 5, 9),
    (3, 6, 15),
    (3, 7, 16),
    (3, 13, 17),
    (4, 1, 31),
    (3, 2, 33),
    (3, 19, 13),  # blocks of rows
    (4, 3, 67),
]


def samples(cell):
    found = [sample(cell, *s, width=(1, 3, 17)[i % 3], states=i % 2 == 0) for i, s in enumerate(SHAPES)]
    found += [
        sample(cell, 3, 2, 5, sides=2),
        sample(cell, 4, 18, 6, sides=2, bias=False, states=False),
        sample(cell, 0, 1, 5, sizes=[1, 1, 1]),
        sample(cell, 0, 5, 9, sizes=[5, 5, 2, 1]),
        sample(cell, 0, 5, 9, sizes=[5, 3, 3, 1], sides=2),
        sample(cell, 0, 4, 3, sizes=[4, 1], sides=2, states=False),  # too short for packed weights
        sample(cell, 0, 20, 5, sizes=[20, 17, 4, 4, 3], sides=2, bias=False),
        sample(cell, 0, 19, 18, sizes=[19, 8, 7], states=False),
    ]
    if cell == "lstm":
        found += [
            sample(cell, 3, 2, 7, proj=3),
            sample(cell, 1, 2, 7, proj=5, states=False),
            sample(cell, 3, 20, 18, proj=17, sides=2),
            sample(cell, 0, 5, 9, proj=4, sizes=[5, 3, 3, 1], sides=2, bias=False),
        ]
    return found


LARGE = [  # cut over hidden units, with and without room to share out
    sample("lstm", 3, 5, 96),
    sample("gru", 4, 17, 101, sides=2),
    sample("tanh", 3, 3, 259, states=False),
    sample("lstm", 3, 100, 40, proj=33),
    sample("tanh", 3, 18, 920, states=False),  # weights beyond what one core keeps
]


def cell_sample(cell, hidden, shape):
    h = A((*shape, hidden))
    return S(A((*shape, 3)), (h, A((*shape, hidden))) if cell == "lstm" else h, *weights(cell, 3, hidden))


def stack_sample(cell, sizes=None, **options):
    width = 6
    params = [*weights(cell, 3, 3, 2), *weights(cell, width, 3, 2)]
    x, c0 = A((sum(sizes), 3) if sizes else (4, 3, 3)), A((4, 3, 3)) if cell == "lstm" else None
    return S(cell, x, np.array(sizes) if sizes else None, A((4, 3, 3)), c0, params, True, 2, 0.5, False, True)


# ---- bad calls --------------------------------------------------------------------------------------------------------
x, w_ih, w_hh = lamella.zeros(2, 3, 4), lamella.zeros(5, 4), lamella.zeros(5, 5)
RNN = ("tanh", 1, False, False)


def bad(error, text, *args):
    return Bad(lambda: recurrent_layer(*args), error, text)


BAD = [
    bad(
        ValueError,
        "[recurrent] cell must be 'tanh', 'relu', 'lstm' or 'gru', got 'elu'",
        *(("elu", 1, False, False), x, None, None, None, [w_ih, w_hh]),
    ),
    bad(ValueError, "[recurrent] weight_ih must have shape (5, 4), got (5, 3)", RNN, x, None, None, None, [w_ih[:, :3], w_hh]),
    bad(ValueError, "[recurrent] weight_hh must be (5, 5), got (5, 4)", RNN, x, None, None, None, [w_ih, w_hh[:, :4]]),
    bad(ValueError, "[recurrent] weights must be 2, got 1", RNN, x, None, None, None, [w_ih]),
    bad(ValueError, "[recurrent] h_0 must have shape (1, 3, 5), got (1, 2, 5)", RNN, x, None, lamella.zeros(1, 2, 5), None, [w_ih, w_hh]),
    bad(ValueError, "[recurrent] input must have at least one step, got (0, 3, 4)", RNN, x[:0], None, None, None, [w_ih, w_hh]),
    bad(ValueError, "[recurrent] input must be (steps, batch, in), got (3, 4)", RNN, x[0], None, None, None, [w_ih, w_hh]),
    bad(
        ValueError,
        "[recurrent] batch_sizes must be positive and not grow, got 2 at step 1",
        *(RNN, x[0], lamella.tensor([1, 2]), None, None, [w_ih, w_hh]),
    ),
    bad(
        ValueError,
        "[recurrent] batch_sizes must sum to input's 3 rows, got 4",
        *(RNN, x[0], lamella.tensor([3, 1]), None, None, [w_ih, w_hh]),
    ),
    bad(TypeError, "[recurrent] input must be float32 or float64, got int64", RNN, x.long(), None, None, None, [w_ih, w_hh]),
    bad(TypeError, "weight_hh must have input's dtype float32, got float64", RNN, x, None, None, None, [w_ih, w_hh.double()]),
    bad(TypeError, "must have input's dtype bfloat16", RNN, x.bfloat16(), None, None, None, [w_ih, w_hh]),
]

CELLS = [
    ("lstm_cell", ops.lstm_cell, "lstm"),
    ("gru_cell", ops.gru_cell, "gru"),
    ("rnn_tanh_cell", ops.rnn_tanh_cell, "tanh"),
    ("rnn_relu_cell", ops.rnn_relu_cell, "relu"),
]
CASES = [
    *(
        Case(
            f"recurrent {cell}",
            recurrent_layer,
            reference,
            samples(cell),
            kernels=KERNELS,
            dtypes=ALL_FLOATS,
            tol=TOL_ALL,
            bad=BAD if cell == "tanh" else (),
        )
        for cell in ("tanh", "relu", "lstm", "gru")
    ),
    Case("recurrent large", recurrent_layer, reference, LARGE, kernels=KERNELS, tol=TOL, grad2=False, layouts=False),
    Case(
        "recurrent unfused",
        recurrent_layer_unfused,
        reference,
        [s for cell in ("tanh", "relu", "lstm", "gru") for s in samples(cell)[15:]],
        tol=TOL,
        layouts=False,
    ),
    Case(
        "recurrent stack",
        recurrent_stack,
        stacked,
        [stack_sample("lstm"), stack_sample("gru", sizes=[3, 2]), stack_sample("relu")],
        kernels=KERNELS,
        tol=TOL,
    ),
    *(
        Case(
            name,
            fn,
            one_step(cell),
            [cell_sample(cell, 5, (2,)), cell_sample(cell, 17, ()), cell_sample(cell, 16, (7,))],
            kernels=KERNELS,
            tol=TOL,
        )
        for name, fn, cell in CELLS
    ),
]
