# SPDX-License-Identifier: MIT
"""The numbers themselves: distribution, streams, independence of threads."""

import pickle

import numpy as np
import pytest

import lamella
from lamella.nn import functional as F


def test_distributions():
    lamella.manual_seed(3)
    n = 200_000
    u, z = lamella.rand(n).numpy(), lamella.randn(n).numpy()
    assert 0 <= u.min() and u.max() < 1
    assert abs(u.mean() - 0.5) < 0.003 and abs(u.var() - 1 / 12) < 0.001
    assert abs(z.mean()) < 0.01 and abs(z.var() - 1) < 0.02 and abs((z**3).mean()) < 0.05 and abs((z**4).mean() - 3) < 0.1
    counts = np.bincount(lamella.randint(0, 10, (n,)).numpy(), minlength=10)
    assert ((counts - n / 10) ** 2 / (n / 10)).sum() < 30  # chi-square with 9 degrees of freedom: 0.04 % beyond 30
    assert abs(lamella.empty(n).bernoulli_(0.3).mean().item() - 0.3) < 0.005


def test_state_and_streams():
    lamella.manual_seed(5)
    state = lamella.get_rng_state()
    a, b = lamella.randn(100), lamella.randn(100)
    assert not (a == b).any()
    lamella.set_rng_state(state)
    assert (lamella.randn(100) == a).all()
    g, h = lamella.Generator().manual_seed(1), lamella.Generator().manual_seed(1)
    assert (lamella.rand(9, generator=g) == lamella.rand(9, generator=h)).all()


def test_threads_do_not_change_a_bit():
    before, results = lamella.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            lamella.set_num_threads(threads)
            lamella.manual_seed(0)
            results.append([f(100_003).numpy() for f in (lamella.rand, lamella.randn)])
    finally:
        lamella.set_num_threads(before)
    assert all(np.array_equal(a, b) for r in results[1:] for a, b in zip(results[0], r, strict=True))


def test_permutation_and_multinomial():
    p = lamella.randperm(1000).numpy()
    assert sorted(p) == list(range(1000)) and not (p == np.arange(1000)).all()
    weights = lamella.tensor([[0.0, 1.0, 3.0], [1.0, 0.0, 0.0]])
    drawn = lamella.multinomial(weights, 20_000, replacement=True).numpy()
    assert (drawn[1] == 0).all() and (drawn[0] != 0).all() and abs((drawn[0] == 2).mean() - 0.75) < 0.015
    assert sorted(lamella.multinomial(lamella.ones(5), 5).tolist()) == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match=r"\[multinomial\] num_samples must be at most 3"):
        lamella.multinomial(lamella.ones(3), 4)
    with pytest.raises(ValueError, match=r"\[multinomial\] weights must leave at least 1 index to draw, got 0"):
        lamella.multinomial(lamella.ones(0), 1, replacement=True)


def test_dropout_uses_one_mask_both_ways():
    x = lamella.ones(1000, requires_grad=True)
    y = F.dropout(x, 0.4)
    y.sum().backward()
    assert (x.grad == y.detach()).all() and 0.5 < (y != 0).float().mean().item() < 0.7
    assert F.dropout(x, 0.4, training=False) is x
    assert (F.dropout(x, 1.0) == 0).all() and F.dropout(x, 0.0) is x
    channels = F.dropout2d(lamella.ones(8, 16, 5, 5), 0.5).reshape(128, 25)
    assert ((channels == 0).all(1) | (channels == 2).all(1)).all()


def test_generators_are_copied_and_restored():
    g = lamella.Generator().manual_seed(3)
    lamella.rand(2, generator=g)
    state, h = g.get_state(), pickle.loads(pickle.dumps(g))
    assert state.dtype is lamella.uint8 and state.shape == (16,)
    a = lamella.rand(4, generator=g)
    assert lamella.equal(a, lamella.rand(4, generator=h)) and not lamella.equal(a, lamella.rand(4, generator=g))
    g.set_state(state)
    assert lamella.equal(a, lamella.rand(4, generator=g)) and g.initial_seed() == 3
    with lamella.random.fork_rng():
        b = lamella.rand(3)
    assert lamella.equal(b, lamella.rand(3))
    with pytest.raises(TypeError, match=r"\[set_state\] new_state must be the 16 bytes"):
        g.set_state(lamella.zeros(16))


def test_in_place_distributions():
    n = 200_000
    lamella.manual_seed(11)
    x = lamella.empty(n)
    assert abs(x.exponential_(2.0).mean().item() - 0.5) < 0.01 and x.min() >= 0
    assert abs(x.geometric_(0.25).mean().item() - 4) < 0.06 and x.min() == 1
    assert abs(x.cauchy_(3, 2).median().item() - 3) < 0.05
    assert abs(x.log_normal_(0, 0.5).log().std().item() - 0.5) < 0.01
    assert abs(lamella.poisson(lamella.full((n,), 3.0)).var().item() - 3) < 0.1
    assert set(lamella.empty(1000, dtype=lamella.int8).random_(-2, 2).tolist()) == {-2, -1, 0, 1}
    with pytest.raises(ValueError, match=r"\[geometric_\] p must be in \(0, 1\), got 1"):
        x.geometric_(1)


def test_multinomial_of_weights_that_add_up_to_infinity():
    w = lamella.tensor([1e308, 1e308, 0.0, 0.5e308], dtype=lamella.float64)
    for replacement in (False, True):
        drawn = [lamella.multinomial(w, 1, replacement=replacement).item() for _ in range(60)]
        assert set(drawn) == {0, 1, 3}


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_dropout_of_more_channels_than_are_drawn_at_once(dtype):
    lamella.manual_seed(11)
    y = F.dropout1d(lamella.ones(70_001, 2, 3, dtype=getattr(lamella, dtype)), 0.25).numpy().reshape(-1, 3).astype(np.float64)
    assert (y == y[:, :1]).all()  # whole channels
    kept = y[:, 0] != 0
    assert np.allclose(y[kept], 4 / 3, rtol=1e-3) and abs(kept.mean() - 0.75) < 0.005
    assert not (kept[: len(kept) - 65_536] == kept[65_536:]).all()  # drawn anew from there on


def test_multinomial_draws_in_proportion():
    w = lamella.tensor([[1.0, 2.0, 0.0, 1.0]]).expand(20_000, 4)
    first = lamella.bincount(lamella.multinomial(w, 2)[:, 0], minlength=4) / 20_000
    assert (abs(first - w[0] / 4) < 0.015).all() and first[2] == 0
    both = lamella.multinomial(w, 3).sort(1).values
    assert (both == lamella.tensor([0, 1, 3])).all()
    many = lamella.bincount(lamella.multinomial(w[0], 40_000, replacement=True), minlength=4) / 40_000
    assert (abs(many - w[0] / 4) < 0.015).all()
    with pytest.raises(ValueError, match=r"weights must leave at least 4 indices to draw, got 3"):
        lamella.multinomial(w[0], 4)
