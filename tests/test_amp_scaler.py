# SPDX-License-Identifier: MIT
"""GradScaler and MasterWeights."""

import copy

import numpy as np
import pytest

import lamella
import lamella.nn.functional as F
from lamella import nn
from lamella.amp import GradScaler, MasterWeights
from lamella.nn.utils import clip_grad_norm_, clip_grad_value_
from lamella.optim import SGD, AdamW, Lion
from lamella.optim.lr_scheduler import StepLR

INF, NAN = float("inf"), float("nan")


def leaf(*values, dtype=None):
    return nn.Parameter(lamella.tensor(list(values), dtype=dtype or lamella.float32))


def test_scaled_steps_are_plain_steps():
    """A power of two loses no bit."""
    x, y = lamella.rand(8, 4), lamella.rand(8, 2)
    found = []
    for enabled in (False, True):
        lamella.manual_seed(1)
        model = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 2))
        optimizer, scaler = AdamW(model.parameters(), lr=1e-2), GradScaler(enabled=enabled)
        for _ in range(3):
            optimizer.zero_grad()
            loss = F.mse_loss(model(x), y)
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            clip_grad_norm_(model.parameters(), 0.1)
            scaler.step(optimizer)
            scaler.update()
        found.append(model[0].weight.detach().numpy())
    assert np.array_equal(*found)


@pytest.mark.parametrize("bad", [INF, -INF, NAN])
def test_an_infinite_gradient_leaves_the_step_out(bad):
    a, b = leaf(1.0, 2.0), leaf(3.0)
    optimizer, scaler = SGD([a, b], lr=1.0), GradScaler(init_scale=4.0, growth_interval=2)
    a.grad, b.grad = lamella.tensor([4.0, bad]), lamella.tensor([4.0])
    assert scaler.step(optimizer) is None
    scaler.update()
    assert a.tolist() == [1.0, 2.0] and b.tolist() == [3.0] and scaler.get_scale() == 2.0
    for expected in (2.0, 4.0):  # grows after two good steps
        a.grad, b.grad = lamella.tensor([2.0, 0.0]), lamella.tensor([0.0])
        scaler.step(optimizer)
        scaler.update()
        assert scaler.get_scale() == expected
    assert a.tolist() == [-1.0, 2.0]


def test_several_optimisers_have_steps_of_their_own_and_one_scale():
    a, b = leaf(1.0), leaf(1.0)
    first, second, scaler = SGD([a], lr=1.0), SGD([b], lr=1.0), GradScaler(init_scale=8.0)
    losses = scaler.scale([a.sum(), (b * INF).sum()])
    assert losses[0].item() == 8.0
    for loss in losses:
        loss.backward()
    scaler.unscale_(first)
    assert a.grad.item() == 1.0 and b.grad.item() == INF
    scaler.step(first)
    scaler.step(second)
    scaler.update()
    assert a.item() == 0.0 and b.item() == 1.0 and scaler.get_scale() == 4.0


def test_what_must_not_be():
    a = leaf(1.0)
    optimizer, scaler = SGD([a], lr=1.0), GradScaler()
    with pytest.raises(RuntimeError, match="must have a parameter with a gradient"):
        scaler.step(optimizer)
    scaler = GradScaler()
    with pytest.raises(RuntimeError, match=r"update must be called after step\(\)"):
        scaler.update()
    a.grad = lamella.ones(1)
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match=r"after unscale_\(\)"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="got a second call"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match=r"after step\(\)"):
        scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="without a closure"):
        scaler.step(optimizer, closure=lambda: None)
    half = leaf(1.0, dtype=lamella.float16)
    half.grad = lamella.ones(1, dtype=lamella.float16)
    with pytest.raises(ValueError, match="must not be float16"):
        scaler.unscale_(SGD([half], lr=1.0))
    with pytest.raises(ValueError, match="backoff_factor must be in"):
        GradScaler(backoff_factor=1.0)
    with pytest.warns(UserWarning, match="disabled"):
        assert not GradScaler("xpu").is_enabled()


def test_state_goes_round_and_disabled_does_nothing():
    scaler = GradScaler(init_scale=32.0, growth_interval=5)
    a = leaf(1.0)
    a.grad = lamella.ones(1)
    scaler.step(SGD([a], lr=1.0))
    scaler.update()
    state = scaler.state_dict()
    assert state == {"scale": 32.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 5, "_growth_tracker": 1}
    other = GradScaler()
    other.load_state_dict(state)
    assert other.state_dict() == state and copy.deepcopy(other).state_dict() == state
    scaler.update(new_scale=3.0)
    assert scaler.get_scale() == 3.0
    off = GradScaler(enabled=False)
    assert off.scale(a) is a and off.get_scale() == 1.0 and off.state_dict() == {}
    off.update()
    with pytest.raises(RuntimeError, match="got an empty one"):
        other.load_state_dict({})


def test_small_gradients_live_in_float16():
    w, x = leaf(1.0, 1.0), lamella.tensor([[1e-3, 1e-3]])
    found = []
    for enabled in (False, True):
        w.grad = None
        scaler, optimizer = GradScaler(enabled=enabled), SGD([w], lr=0.0)
        with lamella.autocast("cpu", dtype=lamella.float16):
            loss = F.linear(x, w.unsqueeze(0)).float().sum() * 1e-5
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        found.append(w.grad.tolist())
    assert found[0] == [0.0, 0.0] and np.allclose(found[1], 1e-8, rtol=2e-3)


# ---- master weights ----------------------------------------------------------------------------------------------------
def test_small_steps_add_up():
    plain, w = leaf(1.0, dtype=lamella.bfloat16), leaf(1.0, dtype=lamella.bfloat16)
    optimizers = [SGD([plain], lr=1e-3), MasterWeights(SGD([w], lr=1e-3))]
    for _ in range(100):
        for p, optimizer in zip((plain, w), optimizers, strict=True):
            p.grad = lamella.ones(1, dtype=lamella.bfloat16)
            optimizer.step()
    assert plain.item() == 1.0 and abs(w.item() - 0.9) < 0.004
    assert abs(optimizers[1].master_parameters()[0].item() - 0.9) < 1e-5
    optimizers[1].zero_grad()
    assert w.grad is None


def trained(dtype, make, steps, scaler=None, clip=None, saved=None, stop=None):
    """The weights after some steps, saved and loaded anew in the middle where `stop` says so."""
    lamella.manual_seed(7)
    x, y = lamella.rand(16, 6), lamella.randint(0, 3, (16,))

    def fresh():
        model = nn.Sequential(nn.Linear(6, 12), nn.GELU(), nn.LayerNorm(12), nn.Linear(12, 3)).to(dtype)
        return model, make(model)

    model, optimizer = fresh()
    for step in range(steps):
        if step == stop:
            state = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
            model, optimizer = fresh()
            for owner, values in zip((model, optimizer) if saved == "model first" else (optimizer, model),
                                     state if saved == "model first" else state[::-1], strict=True):
                owner.load_state_dict(values)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x.to(dtype)).float(), y)
        (scaler.scale(loss) if scaler else loss).backward()
        if scaler and clip:
            scaler.unscale_(optimizer)
        if clip:
            clip(model)
        if scaler:
            scaler.step(optimizer)
            scaler.update()
        else:
            optimizer.step()
    masters = optimizer.master_parameters() if isinstance(optimizer, MasterWeights) else list(model.parameters())
    return np.concatenate([p.detach().float().numpy().ravel() for p in masters]), loss.item()


@pytest.mark.parametrize("make", [
    lambda m: MasterWeights(AdamW(m.parameters(), lr=1e-2)),
    lambda m: MasterWeights(SGD(m.named_parameters(), lr=1e-1, momentum=0.9)),
    lambda m: MasterWeights(Lion([{"params": m[0].parameters(), "lr": 1e-3}, {"params": m[3].parameters()}], lr=2e-3)),
    lambda m: MasterWeights(SGD(m.parameters(), lr=1e-1)),
], ids=["AdamW", "SGD momentum", "Lion groups", "SGD"])
@pytest.mark.parametrize("saved", ["model first", "optimiser first"])
def test_resumed_runs_end_in_the_same_bits(make, saved):
    straight, _ = trained(lamella.bfloat16, make, 6)
    resumed, _ = trained(lamella.bfloat16, make, 6, saved=saved, stop=3)
    assert np.array_equal(straight, resumed)


def test_a_float16_model_learns_as_a_float32_one():
    wide, loss = trained(lamella.float32, lambda m: AdamW(m.parameters(), lr=1e-2), 12)
    for clip in (None, lambda m: clip_grad_norm_(m.parameters(), 10.0)):
        near, other = trained(lamella.float16, lambda m: MasterWeights(AdamW(m.parameters(), lr=1e-2)), 12, GradScaler(init_scale=256.0), clip)
        assert abs(other - loss) < 5e-3 and np.abs(near - wide).mean() < 5e-3


def test_clipping_the_models_gradients_counts():
    w = leaf(1.0, dtype=lamella.float16)
    optimizer, scaler = MasterWeights(SGD([w], lr=1.0)), GradScaler(init_scale=16.0)
    w.grad = lamella.tensor([64.0], dtype=lamella.float16)
    scaler.unscale_(optimizer)
    assert w.grad.item() == 4.0
    clip_grad_value_([w], 0.5)
    scaler.step(optimizer)
    assert w.item() == 0.5
    scaler.update()
    w.grad = lamella.tensor([INF], dtype=lamella.float16)
    scaler.step(optimizer)
    assert w.item() == 0.5


def test_masters_follow_who_changes_the_parameters():
    w, v = leaf(1.0, 2.0, dtype=lamella.bfloat16), leaf(1.0)
    optimizer = MasterWeights(SGD([{"params": [w]}], lr=1e-3))
    optimizer.add_param_group({"params": [v], "lr": 0.5})
    schedule = StepLR(optimizer, 1, gamma=0.1)
    w.grad, v.grad = lamella.ones(2, dtype=lamella.bfloat16), lamella.ones(1)
    optimizer.step()
    schedule.step()
    assert v.item() == 0.5 and [g["lr"] for g in optimizer.param_groups] == [1e-4, 0.05]
    kept = optimizer.master_parameters()[0].detach().clone()
    with lamella.no_grad():
        w[1] = 5.0
    optimizer.step()  # no gradient for w now but the old one
    assert optimizer.master_parameters()[0].tolist() == pytest.approx([kept[0].item() - 1e-4, 5.0 - 1e-4])
    assert optimizer.optimizer.param_groups is optimizer.param_groups and optimizer.param_groups[0]["params"][0] is w


def test_a_state_without_masters_loads_and_a_wrong_one_does_not():
    w = leaf(1.0, dtype=lamella.bfloat16)
    w.grad = lamella.ones(1, dtype=lamella.bfloat16)
    plain = AdamW([w], lr=1e-3)
    plain.step()
    optimizer = MasterWeights(AdamW([w], lr=1e-3))
    optimizer.load_state_dict(plain.state_dict())
    assert optimizer.state_dict()["state"][0]["exp_avg"].dtype is lamella.float32
    bad = optimizer.state_dict()
    bad["state"][0]["master"] = lamella.ones(2)
    with pytest.raises(ValueError, match=r"\[MasterWeights\] master of parameter 0 must have shape \(1,\), got \(2,\)"):
        optimizer.load_state_dict(bad)
    with pytest.raises(TypeError, match="must be an Optimizer"):
        MasterWeights(optimizer)
