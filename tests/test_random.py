# SPDX-License-Identifier: MIT
"""The numbers themselves: distribution, streams, independence of threads."""

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


def test_dropout_uses_one_mask_both_ways():
    x = lamella.ones(1000, requires_grad=True)
    y = F.dropout(x, 0.4)
    y.sum().backward()
    assert (x.grad == y.detach()).all() and 0.5 < (y != 0).float().mean().item() < 0.7
    assert F.dropout(x, 0.4, training=False) is x
    assert (F.dropout(x, 1.0) == 0).all() and F.dropout(x, 0.0) is x
    channels = F.dropout2d(lamella.ones(8, 16, 5, 5), 0.5).reshape(128, 25)
    assert ((channels == 0).all(1) | (channels == 2).all(1)).all()
