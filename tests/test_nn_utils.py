# SPDX-License-Identifier: MIT
"""nn.utils: parametrisations, weight and spectral normalisation, fusion, parameters as a vector; Module's setting and hooks; LSUV."""

import copy
import pickle

import numpy as np
import pytest

import lamella
from lamella import nn
from lamella.nn import utils
from lamella.nn.utils import parametrizations, parametrize


def close(a, b, tolerance=1e-5):
    return (a - b).abs().max().item() <= tolerance


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).transpose(-1, -2)


class Scaled(nn.Module):
    def forward(self, x):
        return 2 * x

    def right_inverse(self, x):
        return x / 2


# ---- parametrize ----------------------------------------------------------------------------------------------------
def test_parametrize():
    layer = nn.Linear(3, 3)
    held = layer.weight
    value = held.detach().clone()
    parametrize.register_parametrization(layer, "weight", Scaled())
    assert close(layer.weight, value, 0) and layer.parametrizations.weight.original is held
    parametrize.register_parametrization(layer, "weight", Symmetric())
    assert (layer.weight == layer.weight.t()).all() and parametrize.is_parametrized(layer, "weight")
    assert list(layer.state_dict()) == ["bias", "parametrizations.weight.original"]
    assert type(layer).__name__ == "ParametrizedLinear" and isinstance(layer, nn.Linear)
    layer(lamella.ones(1, 3)).sum().backward()
    assert held.grad is not None and (held.grad.tril(-1) == 0).all()
    for clone in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert close(clone.weight, layer.weight, 0) and type(clone) is type(layer)
    with parametrize.cached():
        assert layer.weight is layer.weight
    assert layer.weight is not layer.weight
    final = layer.weight.detach()
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear and layer.weight is held and close(layer.weight, final, 0)
    with pytest.raises(ValueError, match="tensor_name must name a parameter or buffer of Linear, got 'w'"):
        parametrize.register_parametrization(layer, "w", Symmetric())
    flat = type("Flat", (nn.Module,), {"forward": lambda self, x: x.reshape(-1)})
    with pytest.raises(ValueError, match=r"must keep shape and dtype \(3, 3\)"):
        parametrize.register_parametrization(layer, "weight", flat())
    with pytest.raises(RuntimeError, match="Symmetric must have right_inverse to be assigned to"):
        parametrize.register_parametrization(layer, "weight", Symmetric()).weight = final


@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize("norm", [utils.weight_norm, parametrizations.weight_norm], ids=["hook", "parametrization"])
def test_weight_norm(norm, dim):
    layer = nn.Linear(4, 3)
    value, x = layer.weight.detach().clone(), lamella.randn(2, 4)
    before = layer(x)
    layer = norm(layer, "weight", dim)
    assert close(layer(x), before)
    hook = norm is utils.weight_norm
    names = ("weight_g", "weight_v") if hook else ("parametrizations.weight.original0", "parametrizations.weight.original1")
    g, v = (layer.get_parameter(name) for name in names)
    assert g.shape == {0: (3, 1), 1: (1, 4), None: ()}[dim]
    with lamella.no_grad():
        v.mul_(3.0)
        g.mul_(2.0)
    layer(x).sum().backward()
    assert g.grad is not None and abs((v * v.grad).sum().item()) < 1e-4  # the length of v does not matter
    (utils.remove_weight_norm if hook else parametrize.remove_parametrizations)(layer, "weight")
    assert close(layer.weight, 2 * value) and sorted(layer.state_dict()) == ["bias", "weight"]
    if hook:
        assert layer._hooks is None or not (layer._hooks.pre or layer._hooks.post)
        with pytest.raises(ValueError, match="module must have it on 'weight', got a Linear without"):
            utils.remove_weight_norm(layer)


@pytest.mark.parametrize("norm", [utils.spectral_norm, parametrizations.spectral_norm], ids=["hook", "parametrization"])
@pytest.mark.parametrize("make", [lambda: nn.Linear(6, 4), lambda: nn.ConvTranspose2d(3, 5, 2)], ids=["linear", "transposed"])
def test_spectral_norm(norm, make):
    layer = make()
    value = layer.weight.detach().numpy()
    matrix = value if value.ndim == 2 else value.transpose(1, 0, 2, 3).reshape(5, -1)
    x = lamella.randn(2, 6) if value.ndim == 2 else lamella.randn(1, 3, 4, 4)
    layer = norm(layer, n_power_iterations=20)
    for _ in range(10):
        layer(x)
    layer.eval()
    layer(x)
    np.testing.assert_allclose(layer.weight.detach().numpy(), value / np.linalg.norm(matrix, 2), rtol=1e-3, atol=1e-5)
    keys = {"weight_orig", "weight_u", "weight_v"} if norm is utils.spectral_norm else set()
    keys = keys or {f"parametrizations.weight.{name}" for name in ("original", "0._u", "0._v")}
    assert set(layer.state_dict()) == keys | {"bias"}
    layer.train()(x).sum().backward()
    layer(x).sum().backward()  # the iteration's writes do not disturb a graph
    assert close(copy.deepcopy(layer).eval()(x), layer.eval()(x))


# ---- fusion and vectors ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("layer", "norm", "size"),
    [
        (nn.Conv2d(4, 6, 3, groups=2), nn.BatchNorm2d(6), (2, 4, 5, 5)),
        (nn.Conv1d(3, 5, 3, bias=False), nn.BatchNorm1d(5, affine=False), (2, 3, 6)),
        (nn.ConvTranspose2d(4, 6, 3, groups=2), nn.BatchNorm2d(6), (2, 4, 5, 5)),
        (nn.Linear(4, 6, bias=False), nn.BatchNorm1d(6), (5, 4)),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, nn.Module) else "",
)
def test_fusion(layer, norm, size):
    lamella.manual_seed(0)
    x = lamella.randn(size)
    for _ in range(3):
        norm(layer(x * 2 + 1))
    for p in norm.parameters():
        nn.init.uniform_(p, 0.5, 2.0)
    fuse = utils.fuse_linear_bn_eval if isinstance(layer, nn.Linear) else utils.fuse_conv_bn_eval
    options = {"transpose": True} if isinstance(layer, nn.ConvTranspose2d) else {}
    with pytest.raises(ValueError, match="layers must be in evaluation mode"):
        fuse(layer, norm, **options)
    fused = fuse(layer.eval(), norm.eval(), **options)
    assert close(fused(x), norm(layer(x)), 1e-4) and isinstance(fused.weight, nn.Parameter)


def test_parameters_as_a_vector():
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    vector = utils.parameters_to_vector(net.parameters())
    assert vector.shape == (13,) and (vector[:6] == net[0].weight.flatten()).all()
    utils.vector_to_parameters(vector * 2, net.parameters())
    assert close(utils.parameters_to_vector(net.parameters()), vector * 2, 0)
    with pytest.raises(ValueError, match=r"vec must have shape \(13,\), got \(12,\)"):
        utils.vector_to_parameters(vector[1:], net.parameters())


# ---- Module ---------------------------------------------------------------------------------------------------------
def test_names_keep_their_kind():
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    with pytest.raises(TypeError, match=r"\[Linear\] parameter 'weight' must be set to a Parameter or None, got Tensor"):
        net[0].weight = lamella.ones(2, 2)
    with pytest.raises(TypeError, match=r"\[BatchNorm1d\] buffer 'running_mean' must be set to a Tensor or None, got float"):
        net[1].running_mean = 0.0
    with pytest.raises(TypeError, match="child module '0' must be set to a Module or None, got int"):
        setattr(net, "0", 3)
    net[0].bias = None
    assert list(net[0].state_dict()) == ["weight"]
    net[0].bias = nn.Parameter(lamella.ones(2))
    net[1].running_mean = nn.Parameter(lamella.ones(2))
    del net[1].running_var
    assert [name for name, _ in net[1].named_buffers()] == ["num_batches_tracked"]
    assert [name for name, _ in net[1].named_parameters()] == ["weight", "bias", "running_mean"]
    net.set_submodule("0", nn.Identity())
    assert isinstance(net[0], nn.Identity)
    with pytest.raises(ValueError, match="mode must be a bool, got str"):
        net.train("yes")


def test_assigned_state():
    a, b = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    state = {name: t.double() if t.is_floating_point() else t for name, t in a.state_dict().items()}
    b.weight.requires_grad_(False)
    b.load_state_dict(state, assign=True)
    assert b.weight.dtype is lamella.float64 and isinstance(b.weight, nn.Parameter) and not b.weight.requires_grad
    assert b.running_mean is state["running_mean"] and b.bias.requires_grad
    found = nn.Linear(2, 2).load_state_dict({"weight": lamella.ones(2, 2), "more": lamella.ones(1)}, strict=False)
    assert repr(found) == "_IncompatibleKeys(missing_keys=['bias'], unexpected_keys=['more'])"
    into = {"first": lamella.ones(1)}
    assert a.state_dict(destination=into, prefix="norm.") is into and "norm.weight" in into


def test_backward_hooks():
    layer, seen = nn.Linear(2, 1, bias=False), []
    layer.register_full_backward_pre_hook(lambda m, dy: (dy[0] * 3,))
    layer.register_full_backward_hook(lambda m, dx, dy: seen.append((dx[0].tolist(), dy[0].tolist())))
    layer.register_forward_hook(lambda m, args, kwargs, y: y + kwargs["input"].sum(), with_kwargs=True)
    x = lamella.ones(1, 2, requires_grad=True)
    with lamella.no_grad():
        assert close(layer(input=x), layer.forward(x) + 2)
    layer._hooks.post.clear()
    layer(x).sum().backward()
    assert close(x.grad, 3 * layer.weight) and seen == [(x.grad.tolist(), [[3.0]])]


def test_lsuv():
    lamella.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Tanh(), nn.Flatten(), nn.Linear(128, 20), nn.ReLU(), nn.Linear(20, 5))
    x, seen = 5 * lamella.randn(16, 3, 6, 6), {}
    for i in (0, 3, 5):
        net[i].register_forward_hook(lambda m, args, y, i=i: seen.update({i: y.std().item()}))
    assert nn.init.lsuv_(net, x) is net
    net(x)
    assert all(abs(s - 1) < 0.06 for s in seen.values()) and (net[3].bias == 0).all()
    w = net[3].weight.detach().numpy()
    gram = w @ w.T
    np.testing.assert_allclose(gram / gram[0, 0], np.eye(20), atol=1e-4)
