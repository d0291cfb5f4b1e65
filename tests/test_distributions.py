# SPDX-License-Identifier: MIT
"""Distributions against their formulas in float64, and samples against their moments."""

import math

import numpy as np
import pytest

import lamella
from lamella.distributions import Categorical, Independent, Normal, kl_divergence


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def test_categorical():
    rng = np.random.default_rng(0)
    logits, other = rng.normal(size=(2, 5, 4))
    p, q = (Categorical(logits=lamella.tensor(x)) for x in (logits, other))
    ours, theirs, classes = log_softmax(logits), log_softmax(other), rng.integers(0, 4, (3, 5))
    np.testing.assert_allclose(p.logits.numpy(), ours, atol=1e-12)
    wanted = np.take_along_axis(np.broadcast_to(ours, (3, 5, 4)), classes[..., None], -1)[..., 0]
    np.testing.assert_allclose(p.log_prob(lamella.tensor(classes)).numpy(), wanted, atol=1e-12)
    np.testing.assert_allclose(p.entropy().numpy(), -(np.exp(ours) * ours).sum(-1), atol=1e-12)
    np.testing.assert_allclose(kl_divergence(p, q).numpy(), (np.exp(ours) * (ours - theirs)).sum(-1), atol=1e-12)
    assert (p.mode.numpy() == logits.argmax(-1)).all() and p.batch_shape == (5,) and p.event_shape == ()
    drawn = p.sample((20_000,))
    assert drawn.shape == (20_000, 5) and drawn.dtype is lamella.int64
    share = (drawn.numpy()[..., None] == np.arange(4)).mean(0)
    np.testing.assert_allclose(share, np.exp(ours), atol=0.015)  # 4 deviations


def test_categorical_with_impossible_classes():
    p = Categorical(probs=lamella.tensor([0.0, 1.0, 3.0]))
    q = Categorical(probs=lamella.tensor([0.0, 1.0, 1.0]))
    assert p.entropy().item() == pytest.approx(-0.25 * math.log(0.25) - 0.75 * math.log(0.75))
    assert kl_divergence(p, q).item() == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(1.5))
    assert not (p.sample((200,)) == 0).any()


def test_normal_and_independent():
    rng = np.random.default_rng(0)
    m, n, x = rng.normal(size=(3, 5, 2))
    s, t = np.exp(rng.normal(size=(2, 2)))
    p = Independent(Normal(lamella.tensor(m), lamella.tensor(s)), 1)
    q = Independent(Normal(lamella.tensor(n), lamella.tensor(t)), 1)
    density = -(((x - m) / s) ** 2) / 2 - np.log(s * math.sqrt(2 * math.pi))
    np.testing.assert_allclose(p.log_prob(lamella.tensor(x)).numpy(), density.sum(1), atol=1e-12)
    entropy = np.full(5, (0.5 + np.log(s * math.sqrt(2 * math.pi))).sum())
    np.testing.assert_allclose(p.entropy().numpy(), entropy, atol=1e-12)
    kl = np.log(t / s) + (s**2 + (m - n) ** 2) / (2 * t**2) - 0.5
    np.testing.assert_allclose(kl_divergence(p, q).numpy(), kl.sum(1), atol=1e-12)
    assert (p.batch_shape, p.event_shape) == ((5,), (2,))
    drawn = p.sample((20_000,))
    np.testing.assert_allclose(drawn.mean(0).numpy(), m, atol=0.04 * s.max())
    np.testing.assert_allclose(drawn.std(0).numpy(), np.broadcast_to(s, (5, 2)), rtol=0.03)


def test_rsample_has_the_gradient_of_its_parameters():
    loc, scale = lamella.zeros(4, requires_grad=True), lamella.ones(4, requires_grad=True)
    z = Normal(loc, scale).rsample((7,))
    z.sum().backward()
    np.testing.assert_allclose(loc.grad.numpy(), 7)
    np.testing.assert_allclose(scale.grad.numpy(), z.detach().sum(0).numpy(), rtol=1e-6)
    assert not Normal(loc, scale).sample().requires_grad


def test_bad_parameters():
    with pytest.raises(ValueError, match=r"\[Categorical\] one of probs and logits must be given"):
        Categorical()
    with pytest.raises(ValueError, match=r"\[Normal\] scale must be positive"):
        Normal(lamella.zeros(2), lamella.zeros(2))
    with pytest.raises(TypeError, match=r"\[kl_divergence\] p and q must be of one kind, got Categorical and Normal"):
        kl_divergence(Categorical(logits=lamella.zeros(2)), Normal(lamella.zeros(2), lamella.ones(2)))
