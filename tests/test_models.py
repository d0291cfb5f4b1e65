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
