# SPDX-License-Identifier: MIT
"""Recurrent layers: RNN, LSTM and GRU over whole sequences, and their cells.

A layer, both directions together, is one op with a fused backward. Below it stands its unfused spelling: a loop over
the steps in differentiable ops.
"""

from __future__ import annotations

from .. import _core
from ..autograd import is_grad_enabled, record, vjp
from ..precision import lower, regions
from .activation import relu, sigmoid
from .creation import zeros
from .elementwise import tanh
from .gemm import linear
from .join import cat, stack
from .random import dropout as _dropout

__all__ = ["gru", "gru_cell", "lstm", "lstm_cell", "rnn_relu", "rnn_relu_cell", "rnn_tanh", "rnn_tanh_cell"]


# ---- one layer ------------------------------------------------------------------------------------------------------
def recurrent_layer(kind, input, sizes, h0, c0, weights):
    """One layer: (y, h_n) or, of lstm, (y, h_n, c_n).

    kind: (cell: tanh, relu, lstm or gru; sides: 1 or 2; bias; projected). input (T, N, in), or packed: (rows, in) with
    sizes int64 (T), how many sequences each step has. h0 (sides, N, out), c0 (sides, N, hidden) or None for zeros.
    weights, side by side: w_ih, w_hh, with bias b_ih, b_hh, projected w_hr. 16-bit floats are computed in float32.
    """
    if regions:
        input, h0, c0, *weights = lower(input, h0, c0, *weights)
    if str(input.dtype).endswith("float16"):
        return _in_float32(kind, input, sizes, h0, c0, weights)
    return _layer(kind, input, sizes, h0, c0, weights)


def _layer(kind, input, sizes, h0, c0, weights):
    inputs = (input, h0, c0, *weights)
    keep = is_grad_enabled() and any(x is not None and x.requires_grad for x in inputs)
    y, hn, cn, gates, cells = _core.recurrent_fwd(kind, input, sizes, h0, c0, weights, keep)
    outputs = (y, hn) if cn is None else (y, hn, cn)
    if keep:
        record(outputs, recurrent_vjp, inputs, (kind, sizes, gates, cells, input, h0, c0, *weights), keep_output=True)
    return outputs


def _in_float32(kind, input, sizes, h0, c0, weights):
    dtype, wide = input.dtype, _core.float32
    for x in (h0, c0, *weights):
        if x is not None and x.dtype != dtype:
            want, got = (str(t).rsplit(".", 1)[-1] for t in (dtype, x.dtype))
            raise TypeError(f"[recurrent] weights and states must have input's dtype {want}, got {got}")
    h0, c0 = (None if x is None else x.to(wide) for x in (h0, c0))
    outputs = _layer(kind, input.to(wide), sizes, h0, c0, [w.to(wide) for w in weights])
    return tuple(y.to(dtype) for y in outputs)


def recurrent_vjp(node, dy, dhn, dcn=None):
    kind, sizes, gates, cells, *inputs = node.ctx
    if is_grad_enabled():
        dys = (dy, dhn, dcn) if kind[0] == "lstm" else (dy, dhn)
        return vjp(lambda x, h0, c0, *w: recurrent_layer_unfused(kind, x, sizes, h0, c0, w), inputs, *dys)
    x, h0, c0, *weights = inputs
    need_x, need_h0, need_c0, *need_weights = node.needs
    dx, dh0, dc0, dweights = _core.recurrent_bwd(
        kind, x, sizes, h0, c0, weights, node.output[0], gates, cells, dy, dhn, dcn, need_x, need_h0, any(need_weights)
    )
    dweights = dweights if dweights else (None,) * len(weights)
    return (dx, dh0 if need_h0 else None, dc0 if need_c0 else None, *dweights)


def recurrent_layer_unfused(kind, input, sizes, h0, c0, weights):
    cell, sides, _, _ = kind
    each = len(weights) // sides
    counts = [input.shape[1]] * input.shape[0] if sizes is None else sizes.tolist()
    rows = input if sizes is not None else input.reshape(-1, input.shape[-1])
    found = []
    for d in range(sides):
        first = [None if s is None else s[d] for s in (h0, c0)]
        found.append(_side_unfused(kind, rows, counts, first, weights[d * each : (d + 1) * each], d == 1))
    y = cat([f[0] for f in found], -1)
    y = y if sizes is not None else y.reshape(*input.shape[:2], -1)
    return (y, *(stack([f[i] for f in found]) for i in range(1, 3 if cell == "lstm" else 2)))


def _side_unfused(kind, rows, counts, first, weights, backward):
    """y (rows, out), h_n and c_n of one side. Sequences, longest first, end or come in where the count changes."""
    cell, _, bias, projected = kind
    w_ih, w_hh, b_ih, b_hh = (*weights[:4],) if bias else (*weights[:2], None, None)
    w_hr = weights[-1] if projected else None
    sizes = (w_hh.shape[1], w_hh.shape[0] // {"lstm": 4, "gru": 3}.get(cell, 1))
    first = [zeros(counts[0], n, dtype=rows.dtype, device=rows) if s is None else s for s, n in zip(first, sizes, strict=True)]
    a = linear(rows, w_ih, b_ih)
    starts = [sum(counts[:t]) for t in range(len(counts))]
    order = range(len(counts))[::-1] if backward else range(len(counts))
    state = [s[: counts[order[0]]] for s in first]
    steps, ended = [None] * len(counts), []
    for t in order:
        n, now = counts[t], state[0].shape[0]
        if n < now:
            ended.append([s[n:] for s in state])
            state = [s[:n] for s in state]
        elif n > now:
            state = [cat([s, f[now:n]]) for s, f in zip(state, first, strict=True)]
        state = _CELLS[cell](a[starts[t] : starts[t] + n], *state, w_hh, b_hh, w_hr)
        steps[t] = state[0]
    last = [cat([s, *(e[i] for e in reversed(ended))]) for i, s in enumerate(state)]
    return cat(steps), *last


def _lstm_unfused(a, h, c, w_hh, b_hh, w_hr):
    i, f, g, o = (a + linear(h, w_hh, b_hh)).chunk(4, -1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h = sigmoid(o) * tanh(c)
    return [h if w_hr is None else linear(h, w_hr), c]


def _gru_unfused(a, h, c, w_hh, b_hh, w_hr):
    (ar, az, an), (hr, hz, hn) = a.chunk(3, -1), linear(h, w_hh, b_hh).chunk(3, -1)
    z, n = sigmoid(az + hz), tanh(an + sigmoid(ar + hr) * hn)
    return [n + z * (h - n), c]


_CELLS = {
    "lstm": _lstm_unfused,
    "gru": _gru_unfused,
    "tanh": lambda a, h, c, w_hh, b_hh, _: [tanh(a + linear(h, w_hh, b_hh)), c],
    "relu": lambda a, h, c, w_hh, b_hh, _: [relu(a + linear(h, w_hh, b_hh)), c],
}


# ---- stacks of layers -----------------------------------------------------------------------------------------------
def recurrent_stack(cell, input, sizes, h0, c0, params, bias, num_layers, dropout, train, bidirectional):
    """num_layers layers, each fed by the one below, with dropout between them. h0, c0 (layers * sides, N, ...) or None."""
    sides = 2 if bidirectional else 1
    each = len(params) // (num_layers * sides)
    kind = (cell, sides, bool(bias), each == 3 + 2 * bool(bias))
    last = []
    for layer in range(num_layers):
        part = slice(layer * sides, (layer + 1) * sides)
        first = [s if s is None or num_layers == 1 else s[part] for s in (h0, c0)]
        weights = params[layer * sides * each : (layer + 1) * sides * each]
        input, *states = recurrent_layer(kind, input, sizes, *first, list(weights))
        last.append(states)
        if dropout and train and layer + 1 < num_layers:
            input = _dropout(input, dropout, True)
    return input, *(s[0] if num_layers == 1 else cat(s) for s in zip(*last, strict=True))


def _run(op, cell, args, batch_first):
    """PyTorch's two calls: (input, hx, params, ...), or packed (data, batch_sizes, hx, params, ...)."""
    *head, params, has_biases, num_layers, dropout, train, bidirectional = args
    input, sizes, hx = (head[0], None, head[1]) if len(head) == 2 else head
    h0, c0 = hx if cell == "lstm" else (hx, None)
    x = input.transpose(0, 1) if batch_first else input
    y, *last = recurrent_stack(
        cell, x, sizes, h0, c0, params, has_biases, num_layers, dropout, train, bidirectional
    )
    return y.transpose(0, 1) if batch_first else y, *last


def lstm(*args, batch_first=False):
    """lstm(input, (h_0, c_0), params, has_biases, num_layers, dropout, train, bidirectional, batch_first=False), or
    lstm(data, batch_sizes, (h_0, c_0), params, ...) of a packed sequence: (output, h_n, c_n).

    Formulas, shapes and the order of params: see nn.LSTM, which is this with its parameters.
    """
    args, batch_first = (args[:8], args[8]) if len(args) == 9 and isinstance(args[1], (tuple, list)) else (args, batch_first)
    return _run("lstm", "lstm", args, batch_first)


def _one_state(name, cell):
    def op(*args, batch_first=False):
        packed = not isinstance(args[2], (tuple, list))  # the third of a dense call is params
        args, batch_first = (args[:8], args[8]) if len(args) == 9 and not packed else (args, batch_first)
        return _run(name, cell, args, batch_first)

    op.__name__ = op.__qualname__ = name
    op.__doc__ = f"""{name}(input, h_0, params, has_biases, num_layers, dropout, train, bidirectional, batch_first=False), or
    {name}(data, batch_sizes, h_0, params, ...) of a packed sequence: (output, h_n). See nn.{"GRU" if cell == "gru" else "RNN"}."""
    return op


gru = _one_state("gru", "gru")
rnn_tanh = _one_state("rnn_tanh", "tanh")
rnn_relu = _one_state("rnn_relu", "relu")


# ---- cells ----------------------------------------------------------------------------------------------------------
def _cell(cell, input, h, c, w_ih, w_hh, b_ih, b_hh):
    """One step of a batch (N, in), or of one sample (in,): a layer of one step."""
    if (b_ih is None) != (b_hh is None):
        raise ValueError("[recurrent] b_ih and b_hh must be given both or neither")
    alone = input.ndim == 1
    states = [None if s is None else (s.unsqueeze(0).unsqueeze(0) if alone else s.unsqueeze(0)) for s in (h, c)]
    x = input.unsqueeze(0)
    x = x.unsqueeze(0) if alone else x
    weights = [w_ih, w_hh] if b_ih is None else [w_ih, w_hh, b_ih, b_hh]
    y, *last = recurrent_layer((cell, 1, b_ih is not None, False), x, None, *states, weights)
    found = [y[0], *(s[0] for s in last[1:])]
    return [s[0] for s in found] if alone else found


def lstm_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step: (h', c') of input (N, in) or (in,) and hx = (h, c). See nn.LSTMCell."""
    return tuple(_cell("lstm", input, *hx, w_ih, w_hh, b_ih, b_hh))


def gru_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step: h' of input (N, in) or (in,) and hx = h. See nn.GRUCell."""
    return _cell("gru", input, hx, None, w_ih, w_hh, b_ih, b_hh)[0]


def rnn_tanh_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step: h' = tanh(w_ih x + b_ih + w_hh h + b_hh). See nn.RNNCell."""
    return _cell("tanh", input, hx, None, w_ih, w_hh, b_ih, b_hh)[0]


def rnn_relu_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step: h' = relu(w_ih x + b_ih + w_hh h + b_hh). See nn.RNNCell."""
    return _cell("relu", input, hx, None, w_ih, w_hh, b_ih, b_hh)[0]
