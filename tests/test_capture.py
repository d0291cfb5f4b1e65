# SPDX-License-Identifier: MIT
"""What is collected inside of models while they run."""

import numpy as np
import pytest

import lamella
from lamella import models, nn, optim, train
from lamella.nn import functional as F


def small():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Sequential(nn.Linear(8, 2)))


def test_activations_and_gradients():
    model, x = small(), lamella.rand(3, 4)
    with train.capture(model, gradients=True) as seen:
        model(x).square().sum().backward()
    h = model[0](x)
    assert list(seen.activations) == ["0", "1", "2.0"] and list(seen.gradients) == ["2.0", "1", "0"]
    np.testing.assert_array_equal(seen["0"].numpy(), h.detach().numpy())
    y = model(x).detach()
    np.testing.assert_allclose(seen.gradients["2.0"][0].numpy(), 2 * y.numpy(), rtol=1e-6)
    dh = (2 * y @ model[2][0].weight.detach()) * (h > 0)
    np.testing.assert_allclose(seen.gradients["0"][0].numpy(), dh.detach().numpy(), rtol=1e-5, atol=1e-6)
    assert all(m._hooks is None for m in model.modules())
    model(x)
    assert len(seen.activations["0"]) == 1
    seen.clear()
    with pytest.raises(KeyError, match=r"path must be among none yet, got '0'"):
        seen["0"]


def test_choosing():
    model, x = small(), lamella.rand(3, 4)
    for which, expected in [(nn.Linear, ["0", "2.0"]), ("2*", ["2.0", "2"]), (model[1], ["1"]), (["1", nn.Linear], ["0", "1", "2.0"])]:
        with train.capture(model, which) as seen:
            model(x)
        assert list(seen.activations) == expected
    with pytest.raises(ValueError, match=r"\[capture\] names must be of modules \(0, 1, 2, 2.0, ...\), got 'conv'"):
        train.capture(model, "conv")
    model.train()
    with pytest.raises(ZeroDivisionError), train.capture(model):
        raise ZeroDivisionError
    assert all(m._hooks is None for m in model.modules())


@pytest.mark.parametrize("need", [True, False])
def test_attention_of_multihead(need):
    layer, x = nn.MultiheadAttention(8, 2, batch_first=True), lamella.rand(3, 5, 8)
    plain = layer(x, x, x, need_weights=need)
    with train.capture(layer, attention=True) as seen:
        watched = layer(x, x, x, None, need)
    np.testing.assert_allclose(watched[0].detach().numpy(), plain[0].detach().numpy(), rtol=1e-6, atol=1e-7)
    expected = layer(x, x, x, average_attn_weights=False)[1].detach().numpy()
    np.testing.assert_allclose(seen.attention[""][0].numpy(), expected, rtol=1e-5)
    assert (watched[1] is None) == (not need)
    if need:
        np.testing.assert_allclose(watched[1].detach().numpy(), plain[1].detach().numpy(), rtol=1e-6)
    assert not seen.activations and layer._hooks is None


def test_attention_of_models():
    gpt, idx = models.GPT(11, 8, 2, 2, 8).eval(), lamella.randint(0, 11, (1, 6))
    before, fused = gpt(idx).detach().numpy(), F.scaled_dot_product_attention
    with train.capture(gpt, attention=True) as seen:
        after = gpt(idx).detach().numpy()
    assert F.scaled_dot_product_attention is fused
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)
    assert list(seen.attention) == ["transformer.h.0.attn", "transformer.h.1.attn"]
    weights = seen.attention["transformer.h.1.attn"][0].numpy()
    assert weights.shape == (1, 2, 6, 6) and not np.triu(weights[0, 0], 1).any()
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True), 2)
    with train.capture(encoder, attention=True) as seen:
        encoder(lamella.rand(2, 5, 8))
    assert [w[0].shape for w in seen.attention.values()] == [(2, 2, 5, 5)] * 2


def test_distribution():
    x = np.random.default_rng(0).normal(size=10_000).astype(np.float32)
    x[:2500] = 0
    d = train.Distribution.of(lamella.tensor(np.append(x, [np.nan, np.inf])), bins=20, step=7)
    assert d.zeros == 0.25 and d.size == 10_002 and d.step == 7 and d.not_finite == pytest.approx(2 / 10_002)
    assert d.counts.sum() == 7500 and len(d.edges) == 21
    np.testing.assert_allclose(d.quantiles, np.quantile(x, (0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1)), atol=1e-6)
    assert (d.mean, d.std) == (pytest.approx(x.mean(), abs=1e-6), pytest.approx(x.std(), rel=1e-5))
    assert train.Distribution.of([np.nan]).not_finite == 1 and train.Distribution.of([]).size == 0


def test_histograms_callback():
    model, batches = small(), [(lamella.rand(6, 4), lamella.zeros(6, dtype=lamella.int64)) for _ in range(5)]
    kept = train.Histograms(every=4, which=[nn.Linear])
    trainer = train.Trainer(model, optim.SGD(model.parameters(), lr=0.1), F.cross_entropy, callbacks=[kept])
    trainer.fit(batches, batches[:1], epochs=2)
    for found in (kept.activations, kept.gradients):
        assert list(found) == ["0", "2.0"]
        assert [d.step for d in found["0"]] == [1, 5, 9] and found["0"][0].size == 48
    assert all(m._hooks is None for m in model.modules())
    with pytest.raises(ValueError, match=r"\[Histograms\] every must be positive, got 0"):
        train.Histograms(0)
