# SPDX-License-Identifier: MIT
"""Modules: names, state, hooks, errors, layers' shapes."""

import copy
import math
import pickle

import numpy as np
import pytest

import lamella
from lamella import nn


class Net(nn.Module):
    def __init__(self):
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
        self.head = nn.ModuleDict({"fc": nn.Linear(64, 10)})

    def forward(self, x):
        return self.head["fc"](self.features(x).flatten(1))


def test_state_dict_has_pytorchs_keys():
    assert list(Net().state_dict()) == [
        "features.0.weight",
        "features.0.bias",
        "features.1.weight",
        "features.1.bias",
        "features.1.running_mean",
        "features.1.running_var",
        "features.1.num_batches_tracked",
        "head.fc.weight",
        "head.fc.bias",
    ]


def test_state_round_trip(tmp_path):
    a, b = Net(), Net()
    x = lamella.randn(3, 1, 8, 8)
    a(x)  # moves the running statistics
    lamella.save(a.state_dict(), tmp_path / "m.safetensors")
    assert repr(b.load_state_dict(lamella.load(tmp_path / "m.safetensors"))) == "<All keys matched successfully>"
    assert (a.eval()(x) == b.eval()(x)).all()
    with pytest.raises(RuntimeError, match=r'for Linear:\n\tUnexpected key.* "b". \n\tMissing key.* "bias". $'):
        nn.Linear(2, 2).load_state_dict({"weight": lamella.zeros(2, 2), "b": lamella.zeros(2)})
    with pytest.raises(RuntimeError, match=r"size mismatch for weight: .* \(3, 2\) .* \(2, 2\)\.$"):
        nn.Linear(2, 2).load_state_dict({"weight": lamella.zeros(3, 2), "bias": lamella.zeros(2)})


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"])
def test_copies(clone):
    a = Net().eval()
    b = clone(a)
    x = lamella.randn(2, 1, 8, 8)
    assert (a(x) == b(x)).all() and not b.training
    next(b.parameters()).data.zero_()
    assert (next(a.parameters()) != 0).any()


def test_errors_name_the_layer():
    with pytest.raises(ValueError, match=r"^head\.fc \(Linear\(in_features=64.*\)\): \[linear\] "):
        Net()(lamella.randn(2, 1, 6, 6))


def test_a_module_without_forward_says_so():
    with pytest.raises(TypeError, match="Half must define forward"):
        type("Half", (nn.Module,), {})()(lamella.ones(1))


def test_train_eval_apply_and_walks():
    net = Net()
    assert not net.eval().features[1].training and net.train().features[1].training
    assert [n for n, _ in net.named_modules()][:3] == ["", "features", "features.0"]
    assert sum(p.numel() for p in net.parameters()) == 40 + 8 + 650
    assert all(p.dtype is lamella.float64 for p in net.double().parameters())
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())
    assert net.get_submodule("features.0").kernel_size == (3, 3)


def test_hooks():
    layer, seen = nn.Linear(2, 2), []
    handle = layer.register_forward_hook(lambda m, args, out: seen.append(out.shape))
    pre = layer.register_forward_pre_hook(lambda m, args: (args[0] * 0,))
    assert (layer(lamella.ones(1, 2)) == layer.bias).all() and seen == [(1, 2)]
    handle.remove()
    pre.remove()
    layer(lamella.ones(1, 2))
    assert len(seen) == 1


def test_initial_values():
    w = nn.Linear(400, 300).weight.detach().numpy()
    assert abs(w).max() <= 1 / 20 and abs(w.std() - 1 / 20 / 3**0.5) < 1e-3
    q = nn.init.orthogonal_(lamella.empty(5, 8)).numpy()
    np.testing.assert_allclose(q @ q.T, np.eye(5), atol=1e-5)
    assert abs(nn.init.kaiming_normal_(lamella.empty(200, 300), nonlinearity="relu").std().item() - (2 / 300) ** 0.5) < 1e-3
    t = nn.init.trunc_normal_(lamella.empty(4000), 0, 1, -1, 1)
    assert t.abs().max().item() <= 1
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        nn.init.xavier_uniform_(lamella.empty(3))


@pytest.mark.parametrize(
    ("layer", "size", "expected"),
    [
        (nn.Linear(3, 5), (2, 4, 3), (2, 4, 5)),
        (nn.Bilinear(3, 3, 2), None, None),
        (nn.Conv1d(2, 4, 3, padding="same"), (2, 2, 9), (2, 4, 9)),
        (nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect"), (1, 2, 5, 5), (1, 4, 5, 5)),
        (nn.Conv3d(2, 4, 2), (1, 2, 4, 4, 4), (1, 4, 3, 3, 3)),
        (nn.ConvTranspose2d(2, 4, 2, stride=2), (1, 2, 5, 5), (1, 4, 10, 10)),
        (nn.MaxPool1d(2), (1, 2, 6), (1, 2, 3)),
        (nn.AvgPool2d(2), (1, 2, 6, 6), (1, 2, 3, 3)),
        (nn.AdaptiveAvgPool2d(1), (1, 2, 6, 6), (1, 2, 1, 1)),
        (nn.AdaptiveMaxPool2d((2, 3)), (1, 2, 6, 6), (1, 2, 2, 3)),
        (nn.BatchNorm1d(3), (4, 3), (4, 3)),
        (nn.LayerNorm((2, 3)), (5, 2, 3), (5, 2, 3)),
        (nn.RMSNorm(3), (5, 3), (5, 3)),
        (nn.GroupNorm(2, 4), (2, 4, 3, 3), (2, 4, 3, 3)),
        (nn.InstanceNorm2d(4), (2, 4, 3, 3), (2, 4, 3, 3)),
        (nn.Dropout(0.5), (4, 4), (4, 4)),
        (nn.PReLU(), (4, 4), (4, 4)),
        (nn.GELU("tanh"), (4, 4), (4, 4)),
        (nn.Softmax(-1), (4, 4), (4, 4)),
        (nn.GLU(), (4, 6), (4, 3)),
        (nn.Flatten(), (2, 3, 4), (2, 12)),
        (nn.Unflatten(1, (3, 4)), (2, 12), (2, 3, 4)),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, nn.Module) else "",
)
def test_layers(layer, size, expected):
    if size is None:
        x = lamella.randn(4, 3)
        y = layer(x, x)
        assert y.shape == (4, 2)
    else:
        y = layer(lamella.randn(*size))
        assert y.shape == expected
    if y.requires_grad:
        y.sum().backward()
        assert all(p.grad is not None and p.grad.shape == p.shape for p in layer.parameters())
    assert type(layer).__name__ in repr(layer)


def test_embedding_and_losses():
    table = nn.Embedding(5, 3, padding_idx=0)
    y = table(lamella.tensor([[0, 2], [4, 2]]))
    y.sum().backward()
    assert y.shape == (2, 2, 3) and (y[0, 0] == 0).all() and table.weight.grad[:, 0].tolist() == [0, 0, 2, 0, 1]
    with pytest.raises(IndexError, match=r"\[embedding\] "):
        table(lamella.tensor([5]))
    scores = lamella.randn(6, 4, requires_grad=True)
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)(scores, lamella.tensor([0, 1, 2, 3, 0, 1]))
    loss.backward()
    assert loss.ndim == 0 and abs(scores.grad.sum().item()) < 1e-6
    with pytest.raises(IndexError, match=r"\[cross_entropy\] target must be in \[0, 4\)"):
        nn.CrossEntropyLoss()(scores, lamella.tensor([0, 1, 2, 3, 0, 9]))
    with pytest.raises(ValueError, match=r"\[mse_loss\] target must have"):
        nn.MSELoss()(lamella.ones(4, 1), lamella.ones(4))


@pytest.mark.parametrize(("channels", "filters", "size"), [(3, 5, 8), (44, 45, 14), (70, 70, 8)])
def test_a_nan_stays_in_its_channel(channels, filters, size):
    x = lamella.randn(2, channels, size, size)
    x[:, 1] = math.nan
    w = lamella.randn(filters, channels, 3, 3, requires_grad=True)
    dy = lamella.randn(2, filters, size, size)
    (dw,) = lamella.grad(nn.functional.conv2d(x, w, padding=1), [w], dy)
    assert dw[:, 1].isnan().all() and not dw[:, 0].isnan().any() and not dw[:, 2:].isnan().any()
