# SPDX-License-Identifier: MIT
"""Recurrent modules: names, options, states, sequences of different lengths."""

import math

import numpy as np
import pytest

import lamella
from lamella import nn
from lamella.nn.utils import rnn as R

LENGTHS = [3, 5, 1, 5, 2]


def same(a, b, tol=1e-5):
    assert a.shape == b.shape
    assert np.allclose(a.detach().numpy(), b.detach().numpy(), rtol=tol, atol=tol)


def made(cls, **options):
    lamella.manual_seed(3)
    return cls(4, 6, num_layers=2, bidirectional=True, **options)


LAYERS = [(nn.RNN, {}), (nn.RNN, {"nonlinearity": "relu"}), (nn.LSTM, {}), (nn.LSTM, {"proj_size": 3}), (nn.GRU, {})]


# ---- parameters -----------------------------------------------------------------------------------------------------
def test_names_and_shapes_are_pytorchs():
    m = nn.LSTM(4, 6, num_layers=2, bidirectional=True, proj_size=3)
    shapes = {name: tuple(value.shape) for name, value in m.state_dict().items()}
    expected = {}
    for layer, width in ((0, 4), (1, 6)):
        for end in ("", "_reverse"):
            for name, shape in (
                ("weight_ih", (24, width)),
                ("weight_hh", (24, 3)),
                ("bias_ih", (24,)),
                ("bias_hh", (24,)),
                ("weight_hr", (3, 6)),
            ):
                expected[f"{name}_l{layer}{end}"] = shape
    assert shapes == expected
    assert list(shapes) == list(expected)
    assert [len(w) for w in m.all_weights] == [5] * 4
    assert list(nn.GRU(2, 3, bias=False).state_dict()) == ["weight_ih_l0", "weight_hh_l0"]
    assert [tuple(p.shape) for p in nn.GRUCell(2, 3).parameters()] == [(9, 2), (9, 3), (9,), (9,)]


@pytest.mark.parametrize("cls", [nn.LSTM, nn.GRUCell])
def test_starting_values(cls):
    values = np.concatenate([p.detach().numpy().ravel() for p in cls(50, 100).parameters()])
    assert abs(values).max() <= 0.1
    assert abs(values).max() > 0.099
    assert abs(values.std() - 0.1 / math.sqrt(3)) < 1e-3


# ---- layouts and options --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("cls", "options"), LAYERS)
def test_batch_first_and_unbatched(cls, options):
    m, x = made(cls, **options), lamella.randn(5, 3, 4)
    first = made(cls, batch_first=True, **options)
    y, last = m(x)
    y2, last2 = first(x.transpose(0, 1))
    same(y2.transpose(0, 1), y)
    y1, last1 = m(x[:, 1])
    same(y1, y[:, 1])
    for a, b, c in zip(*((s if cls is nn.LSTM else (s,)) for s in (last, last2, last1)), strict=True):
        same(a, b)
        same(c, a[:, 1])


@pytest.mark.parametrize(("cls", "options"), LAYERS)
def test_a_sequence_in_two_parts(cls, options):
    lamella.manual_seed(0)
    m, x = cls(4, 6, num_layers=2, **options), lamella.randn(7, 3, 4)
    y, last = m(x)
    y1, state = m(x[:3])
    y2, last2 = m(x[3:], state)
    same(lamella.cat([y1, y2]), y)
    for a, b in zip(*((s if cls is nn.LSTM else (s,)) for s in (last, last2)), strict=True):
        same(a, b)


def test_dropout_is_between_layers_in_training():
    m, x = nn.GRU(4, 6, num_layers=2, dropout=1.0), lamella.randn(5, 3, 4)
    silent, other = m(x)[0], m(x + 1)[0]
    assert (silent == other).all()  # nothing of the first layer came through
    m.eval()
    assert not (m(x)[0] == m(x + 1)[0]).all()
    one = nn.GRU(4, 6, dropout=1.0)
    assert not (one(x)[0] == one(x + 1)[0]).all()


def test_no_batch():
    y, (h, c) = nn.LSTM(4, 6)(lamella.zeros(5, 0, 4))
    assert (tuple(y.shape), tuple(h.shape), tuple(c.shape)) == ((5, 0, 6), (1, 0, 6), (1, 0, 6))


def test_only_what_is_asked_for_gets_a_gradient():
    m, x = nn.LSTM(4, 6), lamella.randn(5, 3, 4)
    m.weight_hh_l0.requires_grad_(False)
    _y, (h, _c) = m(x)
    h.sum().backward()  # neither y nor c takes part
    assert m.weight_hh_l0.grad is None
    assert m.bias_ih_l0.grad is not m.bias_hh_l0.grad
    same(m.bias_ih_l0.grad, m.bias_hh_l0.grad)
    m.bias_ih_l0.grad.mul_(2)
    assert not (m.bias_ih_l0.grad == m.bias_hh_l0.grad).all()  # memory of its own


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn_tanh", "rnn_relu"])
def test_functions_take_pytorchs_arguments(name):
    cls = {"lstm": nn.LSTM, "gru": nn.GRU}.get(name, nn.RNN)
    m = made(cls, **({"nonlinearity": name[4:]} if cls is nn.RNN else {}))
    x, h = lamella.randn(5, 3, 4), lamella.randn(4, 3, 6)
    hx = (h, h + 1) if name == "lstm" else h
    weights = [w for group in m.all_weights for w in group]
    options = (weights, True, 2, 0.0, False, True)
    op = getattr(lamella, name)
    same(op(x, hx, *options)[0], m(x, hx)[0])
    same(op(x.transpose(0, 1), hx, *options, True)[0].transpose(0, 1), m(x, hx)[0])
    packed = R.pack_padded_sequence(x, [5, 3, 1])
    same(op(packed.data, packed.batch_sizes, hx, *options)[0], m(packed, hx)[0].data)


# ---- lengths --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("states", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize(("cls", "options"), LAYERS)
def test_packed_is_every_sequence_alone(cls, options, batch_first, states):
    m = made(cls, batch_first=batch_first, **options)
    rows = [lamella.randn(n, 4) for n in LENGTHS]
    padded = R.pad_sequence(rows, batch_first, math.nan)
    x = padded.detach().requires_grad_()
    n, out = len(rows), options.get("proj_size", 6)
    hx = [lamella.randn(4, n, w) for w in ((out, 6) if cls is nn.LSTM else (out,))] if states else None
    as_hx = lambda s: None if s is None else (tuple(s) if cls is nn.LSTM else s[0])  # noqa: E731
    y, last = m(R.pack_padded_sequence(x, LENGTHS, batch_first, enforce_sorted=False), as_hx(hx))
    y, lengths = R.pad_packed_sequence(y, batch_first)
    assert lengths.tolist() == LENGTHS
    y.sum().backward()
    grads = [p.grad for p in m.parameters()]
    assert all(g.isfinite().all() for g in grads)
    for p in m.parameters():
        p.grad = None
    dx = R.unpad_sequence(x.grad, LENGTHS, batch_first)
    for i, row in enumerate(rows):
        row.requires_grad_()
        alone, state = m(row, as_hx([s[:, i] for s in hx]) if hx else None)
        alone.sum().backward()
        same(R.unpad_sequence(y, LENGTHS, batch_first)[i], alone)
        same(dx[i], row.grad)
        for a, b in zip(*((s if cls is nn.LSTM else (s,)) for s in (last, state)), strict=True):
            same(a[:, i], b)
    for g, p in zip(grads, m.parameters(), strict=True):
        same(g, p.grad, 1e-4)
    padding = (y if batch_first else y.transpose(0, 1))[0, 3:]
    assert (padding == 0).all()


def test_packing_round_trip():
    rows = [lamella.randn(n, 2) for n in LENGTHS]
    packed = R.pack_sequence(rows, enforce_sorted=False)
    assert packed.batch_sizes.tolist() == [5, 4, 3, 2, 2]
    assert packed.sorted_indices.tolist() == [1, 3, 0, 4, 2]
    assert packed.unsorted_indices.tolist() == [2, 0, 4, 1, 3]
    for a, b in zip(R.unpack_sequence(packed), rows, strict=True):
        assert (a == b).all()
    padded, _ = R.pad_packed_sequence(packed, batch_first=True, padding_value=-1, total_length=7)
    assert tuple(padded.shape) == (5, 7, 2)
    assert (padded[2, 1:] == -1).all()
    left = R.pad_sequence(rows, batch_first=True, padding_value=9, padding_side="left")
    assert (left[2, :4] == 9).all()
    assert (left[2, 4] == rows[2][0]).all()
    assert packed.double().data.dtype == lamella.float64


# ---- errors ---------------------------------------------------------------------------------------------------------
x3 = lamella.zeros(5, 2, 4)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: nn.LSTM(4, 0), "[LSTM] hidden_size must be a positive int, got 0"),
        (lambda: nn.GRU(4, 6, num_layers=0), "[GRU] num_layers must be at least 1, got 0"),
        (lambda: nn.GRU(4, 6, dropout=1.5), "[GRU] dropout must be a probability in [0, 1], got 1.5"),
        (lambda: nn.LSTM(4, 6, proj_size=6), "[LSTM] proj_size must be in [0, hidden_size), got 6 with 6"),
        (lambda: nn.RNN(4, 6, nonlinearity="elu"), "[RNN] nonlinearity must be 'tanh' or 'relu', got 'elu'"),
        (lambda: nn.RNNCell(4, 6, nonlinearity="elu"), "[RNNCell] nonlinearity must be"),
        (lambda: nn.LSTM(3, 6)(x3), "[LSTM] input must have 3 features in its last dimension, got (5, 2, 4)"),
        (lambda: nn.LSTM(4, 6)(x3[0, 0]), "[LSTM] input must have 2 or 3 dimensions, got (4,)"),
        (lambda: nn.GRU(4, 6)(x3, lamella.zeros(1, 3, 6)), "[GRU] h_0 must have shape (1, 2, 6), got (1, 3, 6)"),
        (lambda: nn.LSTM(4, 6)(x3, lamella.zeros(1, 2, 6)), "[LSTM] hx must be a pair (h_0, c_0), got Tensor"),
        (lambda: nn.LSTM(4, 6)(x3[:0]), "[recurrent] input must have at least one step"),
        (lambda: nn.LSTMCell(4, 6)(x3), "[LSTMCell] input must be (N, 4) or (4,), got (5, 2, 4)"),
        (lambda: nn.GRUCell(4, 6)(x3[0], lamella.zeros(3, 6)), "[GRUCell] hx must have shape (2, 6), got (3, 6)"),
        (lambda: R.pack_padded_sequence(x3, [2, 3]), "[pack_padded_sequence] lengths must not grow, got [2, 3]"),
        (lambda: R.pack_padded_sequence(x3, [6, 3]), "lengths must be at most the padded length 5, got 6"),
        (lambda: R.pack_padded_sequence(x3, [3, 0]), "lengths must be positive, got 0"),
        (lambda: R.pack_padded_sequence(x3, [3]), "lengths must be 2 integers, one per sequence"),
        (lambda: R.pad_packed_sequence(R.pack_padded_sequence(x3, [5, 5]), total_length=4), "total_length must be at least"),
        (lambda: R.pad_sequence([]), "[pad_sequence] sequences must not be empty"),
        (lambda: R.pad_sequence([x3, x3[0]]), "[pad_sequence] sequences must agree but in length"),
    ],
)
def test_errors(call, text):
    with pytest.raises(ValueError) as error:
        call()
    assert text in str(error.value)
