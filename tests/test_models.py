# SPDX-License-Identifier: MIT
"""Models: parameter names and counts of their originals, that they learn, what they refuse."""

import numpy as np
import pytest

import lamella
from lamella import models
from lamella.nn import functional as F


def count(model):
    return sum(p.numel() for p in model.parameters())


def descends(model, x, target, steps=8, lr=1e-2):
    """Whether so many steps on one batch make its loss smaller by a third; every parameter has had a gradient."""
    optimizer = lamella.optim.AdamW(model.parameters(), lr=lr)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        logits = model(x)
        logits = logits[0] if isinstance(logits, tuple) else logits
        loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), target.reshape(-1))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    return losses[-1] < losses[0] * 2 / 3


@pytest.mark.parametrize(
    ("name", "parameters"),  # torchvision's counts
    [("resnet18", 11689512), ("resnet34", 21797672), ("resnet50", 25557032), ("resnet101", 44549160), ("resnet152", 60192808)],
)
def test_resnets_have_their_parameters(name, parameters, monkeypatch):
    monkeypatch.setattr(lamella.nn.init, "kaiming_normal_", lambda *args, **options: None)  # values do not matter here
    monkeypatch.setattr(lamella.nn.init, "kaiming_uniform_", lambda *args, **options: None)
    model = models.build(name)
    assert count(model) == parameters
    keys = list(model.state_dict())
    assert keys[0] == "conv1.weight" and keys[-2:] == ["fc.weight", "fc.bias"]
    assert {"layer1.0.bn1.running_var", "layer2.0.downsample.0.weight", "layer2.0.downsample.1.weight"} <= set(keys)
    assert ("layer1.0.downsample.0.weight" in keys) == ("layer1.0.conv3.weight" in keys) == (parameters > 22e6)


@pytest.mark.parametrize("block", ["BasicBlock", "Bottleneck"])
def test_resnet_learns(block):
    model = models.ResNet(getattr(models.resnet, block), (1, 1, 1, 1), num_classes=4)
    assert descends(model, lamella.randn(8, 3, 32, 32), lamella.arange(8) % 4, lr=1e-3)
    model.eval()
    x = lamella.randn(3, 3, 40, 33)
    y = model(x)
    assert y.shape == (3, 4)
    np.testing.assert_allclose(model(x[1:2]).detach().numpy(), y[1:2].detach().numpy(), rtol=1e-4, atol=1e-5)


def test_a_block_can_start_as_the_identity():
    model = models.ResNet(models.resnet.BasicBlock, (2, 1, 1, 1), num_classes=2, zero_init_residual=True).eval()
    x = lamella.randn(1, 64, 8, 8).abs()
    assert (model.layer1(x) == x).all()


def test_unknown_model():
    with pytest.raises(ValueError, match=r"\[models\] name must be one of .*resnet18.*, got 'resnet19'"):
        models.build("resnet19")


# ---- language --------------------------------------------------------------------------------------------------------
def small_gpt(**options):
    return models.GPT(vocab_size=11, block_size=8, n_layer=2, n_head=2, n_embd=16, **options)


def test_gpt_has_gpt2s_names_and_counts():
    keys = set(small_gpt().state_dict())
    block = {f"transformer.h.1.{name}" for name in ("ln_1.weight", "attn.c_attn.bias", "attn.c_proj.weight", "mlp.c_fc.weight")}
    assert block | {"transformer.wte.weight", "transformer.wpe.weight", "transformer.ln_f.bias", "lm_head.weight"} <= keys
    assert count(small_gpt()) == 11 * 16 + 8 * 16 + 2 * (12 * 16 * 16 + 13 * 16) + 2 * 16
    assert count(small_gpt(tied=False)) == count(small_gpt()) + 11 * 16
    with pytest.raises(ValueError, match=r"\[GPT\] n_head must divide n_embd 16, got 3"):
        models.GPT(n_embd=16, n_head=3)


def test_gpt_learns_and_sees_only_the_past():
    model = small_gpt()
    idx = lamella.randint(0, 11, (3, 8))
    assert descends(model, idx[:, :-1], idx[:, 1:], steps=25)
    other = idx.clone()
    other[:, 5] = (other[:, 5] + 1) % 11
    a, b = model.eval()(idx), model(other)
    assert (a[:, :5] == b[:, :5]).all() and (a[:, 5:] != b[:, 5:]).any()


def test_gpt_cache_gives_the_same_logits():
    model = small_gpt().double().eval()
    idx = lamella.randint(0, 11, (2, 6))
    cache = model.new_cache()
    first = model(idx[:, :4], cache)
    steps = [model(idx[:, i : i + 1], cache) for i in (4, 5)]
    whole = model(idx).detach().numpy()
    np.testing.assert_allclose(lamella.cat([first, *steps], 1).detach().numpy(), whole, rtol=1e-12, atol=1e-14)
    cache = model.new_cache()
    chunks = [model(part, cache) for part in idx.split(2, 1)]
    np.testing.assert_allclose(lamella.cat(chunks, 1).detach().numpy(), whole, rtol=1e-12, atol=1e-14)


def test_gpt_generates():
    model, idx = small_gpt().eval(), lamella.tensor([[1, 2, 3], [4, 5, 6]])
    drawn = model.generate(idx, 20)
    assert drawn.shape == (2, 23) and (drawn[:, :3] == idx).all() and 0 <= drawn.min().item() <= drawn.max().item() < 11
    greedy = model.generate(idx, 5, temperature=0)
    for t in range(3, 8):
        assert (greedy[:, t] == model(greedy[:, :t])[:, -1].argmax(-1)).all()


@pytest.mark.skipif(not hasattr(lamella, "topk"), reason="needs topk")
def test_gpt_draws_from_the_likeliest():
    model, idx = small_gpt().eval(), lamella.tensor([[1, 2, 3]])
    assert (model.generate(idx, 6, top_k=1) == model.generate(idx, 6, temperature=0)).all()


def test_hugging_faces_gpt2_is_read():
    model = small_gpt()
    turned = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
    theirs = {k: v.T if k.endswith(turned) else v for k, v in small_gpt().state_dict().items()}
    theirs["transformer.h.0.attn.bias"] = lamella.ones(1, 1, 8, 8)
    state = models.gpt.from_huggingface(theirs)
    model.load_state_dict(state)
    assert state["transformer.h.0.attn.c_attn.weight"].shape == (48, 16) and "transformer.h.0.attn.bias" not in state


def test_lstm_language_model_learns():
    model = models.build("lstm_language_model", vocab_size=11, embedding_dim=8, hidden_size=8)
    assert {"encoder.weight", "rnn.weight_hh_l1", "rnn.bias_ih_l0", "decoder.bias"} <= set(model.state_dict())
    idx = lamella.randint(0, 11, (3, 7))
    y, (h, c) = model(idx)
    assert y.shape == (3, 7, 11) and h.shape == c.shape == (2, 3, 8)
    _, state = model(idx[:, :4])
    np.testing.assert_allclose(model(idx[:, 4:], state)[0].detach().numpy(), y[:, 4:].detach().numpy(), rtol=1e-4, atol=1e-5)
    assert descends(model, idx[:, :-1], idx[:, 1:], steps=40, lr=3e-2)
    with pytest.raises(ValueError, match="embedding_dim must be hidden_size where tied, got 8 and 4"):
        models.LSTMLanguageModel(11, 8, 4, tied=True)
    assert count(models.LSTMLanguageModel(11, 8, 8, tied=True)) == count(model) - 88
