# SPDX-License-Identifier: MIT
"""Recurrent layers and cells."""

from __future__ import annotations

import math

from ..ops import creation
from ..ops import recurrent as ops
from . import init
from .module import Module
from .parameter import Parameter
from .utils.rnn import PackedSequence

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNBase", "RNNCell"]

_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}
_CELLS = {"LSTM": "lstm", "GRU": "gru", "RNN_TANH": "tanh", "RNN_RELU": "relu"}


def _draw(module):
    """All parameters uniform on +- 1 / sqrt(hidden_size), PyTorch's default."""
    bound = 1 / math.sqrt(module.hidden_size) if module.hidden_size > 0 else 0.0
    for p in module._own_parameters():
        init.uniform_(p[1], -bound, bound)


# ---- layers ---------------------------------------------------------------------------------------------------------
class RNNBase(Module):
    """What RNN, LSTM and GRU share. Parameters of layer k: weight_ih_l{k} (gates hidden, in), weight_hh_l{k} (gates hidden,
    out), bias_ih_l{k}, bias_hh_l{k} (gates hidden), with a projection weight_hr_l{k} (out, hidden); those of the backward
    direction end in _reverse. Each layer of each direction is one fused op (ops/recurrent.py).
    """

    def __init__(
        self,
        mode,
        input_size,
        hidden_size,
        num_layers=1,
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        proj_size=0,
        device=None,
        dtype=None,
    ):
        op = type(self).__name__
        if not isinstance(hidden_size, int) or hidden_size <= 0:
            raise ValueError(f"[{op}] hidden_size must be a positive int, got {hidden_size}")
        if num_layers <= 0:
            raise ValueError(f"[{op}] num_layers must be at least 1, got {num_layers}")
        if isinstance(dropout, bool) or not 0 <= dropout <= 1:
            raise ValueError(f"[{op}] dropout must be a probability in [0, 1], got {dropout}")
        if not 0 <= proj_size < hidden_size:
            raise ValueError(f"[{op}] proj_size must be in [0, hidden_size), got {proj_size} with {hidden_size}")
        if proj_size and mode != "LSTM":
            raise ValueError(f"[{op}] proj_size must be 0 except for LSTM, got {proj_size}")
        self.mode, self.input_size, self.hidden_size, self.num_layers = mode, input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size = bidirectional, proj_size
        out, rows, sides = proj_size or hidden_size, _GATES[mode] * hidden_size, 2 if bidirectional else 1
        shapes = {"weight_ih": None, "weight_hh": (rows, out)}
        if bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        if proj_size:
            shapes["weight_hr"] = (proj_size, hidden_size)
        self._names = []
        for layer in range(num_layers):
            shapes["weight_ih"] = (rows, input_size if layer == 0 else out * sides)
            for end in ("", "_reverse")[:sides]:
                for name, shape in shapes.items():
                    self._names.append(f"{name}_l{layer}{end}")
                    setattr(self, self._names[-1], Parameter(creation.empty(shape, device=device, dtype=dtype)))
        self.reset_parameters()

    def reset_parameters(self):
        """Draws the starting values again: all uniform on +- 1 / sqrt(hidden_size), PyTorch's default."""
        _draw(self)

    @property
    def all_weights(self):
        """The parameters, a list for each direction of each layer."""
        flat = [getattr(self, name) for name in self._names]
        each = len(flat) // (self.num_layers * (2 if self.bidirectional else 1))
        return [flat[i : i + each] for i in range(0, len(flat), each)]

    def flatten_parameters(self):
        """For programs written for PyTorch: weights need no order in memory here, each call packs them as it wants them."""

    def forward(self, input, hx=None):
        """(output, state after the last step). input: (T, N, in), with batch_first (N, T, in), unbatched (T, in), or a
        PackedSequence, and so is output. hx, and the state given back, as the class says.
        """
        packed = isinstance(input, PackedSequence)
        x, sizes, order = (input.data, input.batch_sizes, input.sorted_indices) if packed else (input, None, None)
        alone = not packed and x.ndim == 2
        self._check_input(x, packed)
        x = x.unsqueeze(1) if alone else x.transpose(0, 1) if self.batch_first and not packed else x
        batch = int(sizes[0].item()) if packed else x.shape[1]
        states = self._states(hx, batch, alone)
        if order is not None:
            states = [None if s is None else s.index_select(1, order) for s in states]
        y, *last = ops.recurrent_stack(
            _CELLS[self.mode],
            x,
            sizes,
            *states,
            [getattr(self, name) for name in self._names],
            self.bias,
            self.num_layers,
            self.dropout,
            self.training,
            self.bidirectional,
        )
        if order is not None:
            last = [s.index_select(1, input.unsorted_indices) for s in last]
        if alone:
            y, last = y.squeeze(1), [s.squeeze(1) for s in last]
        elif packed:
            y = PackedSequence(y, sizes, order, input.unsorted_indices)
        elif self.batch_first:
            y = y.transpose(0, 1)
        return y, tuple(last) if self.mode == "LSTM" else last[0]

    def _check_input(self, x, packed):
        op = type(self).__name__
        if not packed and x.ndim not in (2, 3):
            raise ValueError(f"[{op}] input must have 2 or 3 dimensions, got {tuple(x.shape)}")
        if x.shape[-1] != self.input_size:
            raise ValueError(f"[{op}] input must have {self.input_size} features in its last dimension, got {tuple(x.shape)}")

    def _states(self, hx, batch, alone):
        """h_0 and c_0 as (layers * sides, N, ...), or None for zeros."""
        op = type(self).__name__
        if hx is None:
            return [None, None]
        if self.mode == "LSTM" and not (isinstance(hx, (tuple, list)) and len(hx) == 2):
            raise ValueError(f"[{op}] hx must be a pair (h_0, c_0), got {type(hx).__name__}")
        states = list(hx) if self.mode == "LSTM" else [hx]
        layers = self.num_layers * (2 if self.bidirectional else 1)
        widths = (self.proj_size or self.hidden_size, self.hidden_size)
        for i, (name, s) in enumerate(zip(("h_0", "c_0"), states)):  # noqa: B905
            want = (layers, widths[i]) if alone else (layers, batch, widths[i])
            if tuple(s.shape) != want:
                raise ValueError(f"[{op}] {name} must have shape {want}, got {tuple(s.shape)}")
        states = [s.unsqueeze(1) for s in states] if alone else states
        return states if self.mode == "LSTM" else [states[0], None]

    def extra_repr(self):
        parts = [f"{self.input_size}, {self.hidden_size}"]
        defaults = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0}
        for name, default in (defaults | {"bidirectional": False}).items():
            if getattr(self, name) != default:
                parts.append(f"{name}={getattr(self, name)}")
        return ", ".join(parts)


class RNN(RNNBase):
    """h_t = act(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), act tanh or relu (Elman 1990).

    output (T, N, sides hidden), h_0 and h_n (layers sides, N, hidden), sides 2 if bidirectional; layouts of input and
    output: see forward. dropout acts between layers, in training.
    """

    def __init__(
        self,
        input_size,
        hidden_size,
        num_layers=1,
        nonlinearity="tanh",
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        device=None,
        dtype=None,
    ):
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"[RNN] nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
        self.nonlinearity = nonlinearity
        mode = f"RNN_{nonlinearity.upper()}"
        rest = (num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype)
        super().__init__(mode, input_size, hidden_size, *rest)


class LSTM(RNNBase):
    """Long short-term memory (Hochreiter and Schmidhuber 1997; with forget gates, Gers et al. 2000):

    i, f, o = sigmoid(W x_t + b + R h_{t-1} + b'), g = tanh(the same), each with its own quarter of the rows, in the order
    i f g o; c_t = f c_{t-1} + i g; h_t = o tanh(c_t), with proj_size P (Sak et al. 2014) h_t = W_hr (o tanh(c_t)).

    output (T, N, sides out), hx and the state: (h, c) of shapes (layers sides, N, out) and (layers sides, N, hidden), where
    out is P or hidden. dropout acts between layers, in training.
    """

    def __init__(
        self,
        input_size,
        hidden_size,
        num_layers=1,
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        proj_size=0,
        device=None,
        dtype=None,
    ):
        rest = (num_layers, bias, batch_first, dropout, bidirectional, proj_size, device, dtype)
        super().__init__("LSTM", input_size, hidden_size, *rest)


class GRU(RNNBase):
    """Gated recurrent unit (Cho et al. 2014), the reset gate after the product, as in PyTorch and cuDNN:

    r, z = sigmoid(W x_t + b + R h_{t-1} + b'), n = tanh(W_n x_t + b_n + r (R_n h_{t-1} + b'_n)), each with its own third of
    the rows, in the order r z n; h_t = (1 - z) n + z h_{t-1}.

    output (T, N, sides hidden), h_0 and h_n (layers sides, N, hidden). dropout acts between layers, in training.
    """

    def __init__(
        self,
        input_size,
        hidden_size,
        num_layers=1,
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        device=None,
        dtype=None,
    ):
        rest = (num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype)
        super().__init__("GRU", input_size, hidden_size, *rest)


# ---- cells ----------------------------------------------------------------------------------------------------------
class _Cell(Module):
    """One step of a layer: weight_ih (gates hidden, in), weight_hh (gates hidden, hidden), bias_ih, bias_hh."""

    _gates = 1

    def _setup(self, input_size, hidden_size, bias, device, dtype):
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = self._gates * hidden_size
        self.weight_ih = Parameter(creation.empty(rows, input_size, device=device, dtype=dtype))
        self.weight_hh = Parameter(creation.empty(rows, hidden_size, device=device, dtype=dtype))
        self.bias_ih = Parameter(creation.empty(rows, device=device, dtype=dtype)) if bias else None
        self.bias_hh = Parameter(creation.empty(rows, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self):
        """Draws the starting values again: all uniform on +- 1 / sqrt(hidden_size), PyTorch's default."""
        _draw(self)

    def _check(self, input, *states):
        op = type(self).__name__
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise ValueError(f"[{op}] input must be (N, {self.input_size}) or ({self.input_size},), got {tuple(input.shape)}")
        want = (*input.shape[:-1], self.hidden_size)
        for s in states:
            if s is not None and tuple(s.shape) != want:
                raise ValueError(f"[{op}] hx must have shape {want}, got {tuple(s.shape)}")

    def _weights(self):
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    def extra_repr(self):
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(_Cell):
    """h' = act(W_ih x + b_ih + W_hh h + b_hh): x (N, in) or (in,), h (N, hidden) or (hidden,), zeros if not given."""

    def __init__(self, input_size, hidden_size, bias=True, nonlinearity="tanh", device=None, dtype=None):
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"[RNNCell] nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
        self.nonlinearity = nonlinearity
        self._setup(input_size, hidden_size, bias, device, dtype)

    def forward(self, input, hx=None):
        self._check(input, hx)
        op = ops.rnn_tanh_cell if self.nonlinearity == "tanh" else ops.rnn_relu_cell
        return op(input, hx, *self._weights())

    def extra_repr(self):
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else ", nonlinearity=relu")


class LSTMCell(_Cell):
    """One step of `LSTM`: (h', c') of x (N, in) or (in,) and (h, c), zeros if not given."""

    _gates = 4

    def __init__(self, input_size, hidden_size, bias=True, device=None, dtype=None):
        self._setup(input_size, hidden_size, bias, device, dtype)

    def forward(self, input, hx=None):
        hx = (None, None) if hx is None else hx
        self._check(input, *hx)
        return ops.lstm_cell(input, hx, *self._weights())


class GRUCell(_Cell):
    """One step of `GRU`: h' of x (N, in) or (in,) and h, zeros if not given."""

    _gates = 3

    def __init__(self, input_size, hidden_size, bias=True, device=None, dtype=None):
        self._setup(input_size, hidden_size, bias, device, dtype)

    def forward(self, input, hx=None):
        self._check(input, hx)
        return ops.gru_cell(input, hx, *self._weights())
