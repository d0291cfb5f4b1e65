# SPDX-License-Identifier: MIT
"""What stands around an optimiser: clipping, penalties, averages of weights, accumulation, the learning-rate finder."""

import builtins
import math

import numpy as np
import pytest

import lamella
from lamella import optim
from lamella.nn import BatchNorm1d, Linear, Sequential
from lamella.nn.utils import clip_grad_norm_, clip_grad_value_, get_total_norm
from lamella.optim import SGD, AdamW, GradientAccumulator, LRFinder, scale_lr, soft_threshold_, swa_utils
from lamella.optim.swa_utils import AveragedModel


# ---- clipping ------------------------------------------------------------------------------------------------------------
def test_clipping():
    p, q = lamella.zeros(3, requires_grad=True), lamella.zeros(1, requires_grad=True)
    p.grad, q.grad = lamella.tensor([1.0, 2.0, 2.0]), lamella.tensor([4.0])
    assert clip_grad_norm_([p, q], 1.0).item() == pytest.approx(5.0)
    assert math.hypot(*p.grad.tolist(), *q.grad.tolist()) == pytest.approx(1.0, rel=1e-5)
    clip_grad_value_([q], 0.5)
    assert q.grad.item() == 0.5


@pytest.mark.parametrize("p", [2.0, 1.0, 0.5, 3.0, math.inf, -math.inf])
def test_total_norm_is_that_of_all_elements(p):
    a, b = lamella.tensor([[1.0, -2.0], [3.0, 0.5]]), lamella.tensor([-4.0])
    expected = np.linalg.norm([1.0, -2.0, 3.0, 0.5, -4.0], p)
    assert get_total_norm([a, b], p).item() == pytest.approx(expected, rel=1e-6)
    assert get_total_norm([a.t(), b], p).item() == pytest.approx(expected, rel=1e-6)


def test_clipping_of_what_is_not_finite():
    p = lamella.zeros(2, requires_grad=True)
    p.grad = lamella.tensor([math.inf, 1.0])
    with pytest.raises(RuntimeError, match="must be finite, got inf"):
        clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
    assert p.grad.tolist() == [math.inf, 1.0]
    p.grad = lamella.tensor([math.nan, 1.0])
    assert math.isnan(clip_grad_norm_(p, 1.0).item())
    assert np.isnan(p.grad.numpy()).all()
    assert clip_grad_norm_([], 1.0).item() == 0.0


def test_clipping_of_gradients_that_are_not_contiguous():
    p = lamella.zeros(2, 3, requires_grad=True)
    p.grad = lamella.tensor([[3.0, 0.0], [0.0, 4.0], [0.0, 0.0]]).t()
    clip_grad_norm_(p, 1.0)
    assert p.grad.norm().item() == pytest.approx(1.0, rel=1e-5)
    clip_grad_value_(p, 0.5)
    assert p.grad.max().item() == 0.5


# ---- penalties -----------------------------------------------------------------------------------------------------------
def test_l2_penalty_is_weight_decay():
    a, b = (lamella.linspace(-1, 2, 7).requires_grad_() for _ in range(2))
    first, second = SGD([a], lr=0.1), SGD([b], lr=0.1, weight_decay=0.3)
    optim.l2_penalty(a, 0.3).backward()
    b.grad = lamella.zeros(7)
    first.step()
    second.step()
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-6)


def test_l1_by_soft_thresholds_finds_the_sparse_solution():
    """Of 1/2 |p - t|^2 + l1 |p|, whose minimum is known."""
    target = lamella.tensor([3.0, 0.2, -0.1, -2.0])
    p = lamella.zeros(4, requires_grad=True)
    optimizer = SGD([p], lr=0.5)
    for _ in range(60):
        optimizer.zero_grad()
        (0.5 * (p - target).square()).sum().backward()
        optimizer.step()
        soft_threshold_([p], 0.5 * 0.5)
    assert p.detach().numpy() == pytest.approx([2.5, 0.0, 0.0, -1.5], rel=1e-6)
    assert (p == 0).tolist() == [False, True, True, False]


# ---- averages ------------------------------------------------------------------------------------------------------------
def changing_model(**options):
    lamella.manual_seed(0)
    model = Sequential(Linear(3, 4), BatchNorm1d(4), Linear(4, 1))
    averaged, seen = AveragedModel(model, **options), []
    for _ in range(5):
        with lamella.no_grad():
            for p in model.parameters():
                p.add_(lamella.randn(p.shape))
            model[1].running_mean.add_(1.0)
            model[1].num_batches_tracked.add_(3)
        averaged.update_parameters(model)
        seen.append({k: v.numpy().astype(np.float64).copy() for k, v in model.state_dict().items()})
    return averaged, seen


@pytest.mark.parametrize("fused", [True, False])
def test_average_of_weights(fused):
    options = {} if fused else {"avg_fn": swa_utils.get_swa_avg_fn()}
    averaged, seen = changing_model(**options)
    got = averaged.module.state_dict()
    for name in ("0.weight", "2.bias", "1.weight"):
        np.testing.assert_allclose(got[name].numpy(), np.mean([s[name] for s in seen], 0), rtol=1e-5, atol=1e-6)
    assert (got["1.running_mean"].numpy() == seen[-1]["1.running_mean"]).all() and averaged.n_averaged.item() == 5


@pytest.mark.parametrize("fused", [True, False])
def test_exponential_average_of_weights(fused):
    make = swa_utils.get_ema_multi_avg_fn if fused else swa_utils.get_ema_avg_fn
    averaged, seen = changing_model(**{"multi_avg_fn" if fused else "avg_fn": make(0.75)}, use_buffers=True)
    got = averaged.module.state_dict()
    for name in ("0.weight", "1.running_mean"):
        expected = seen[0][name]
        for s in seen[1:]:
            expected = 0.75 * expected + 0.25 * s[name]
        np.testing.assert_allclose(got[name].numpy(), expected, rtol=1e-5, atol=1e-6)
    again = AveragedModel(averaged.module)
    again.load_state_dict(averaged.state_dict())
    assert again.n_averaged.item() == 5 and (again.module[0].weight == averaged.module[0].weight).all()


def test_a_float32_average_of_a_bfloat16_model():
    average, weights = [lamella.zeros(3)], [lamella.tensor([1.0, 2.0, 4.0]).to(lamella.bfloat16)]
    swa_utils.get_ema_multi_avg_fn(0.75)(average, weights, 1)
    assert average[0].tolist() == [0.25, 0.5, 1.0]


def test_an_average_that_is_reached_stays():
    p = lamella.randn(1000)
    average = [p.clone()]
    swa_utils.get_ema_multi_avg_fn(0.999)(average, [p], 1)
    assert (average[0] == p).all()


def test_update_bn():
    lamella.manual_seed(0)
    model = Sequential(BatchNorm1d(2))
    batches = [lamella.randn(8, 2) + 3.0 for _ in range(4)]
    model(batches[0])
    model.eval()
    swa_utils.update_bn([(x, 0) for x in batches], model)
    means = np.mean([x.numpy().mean(0) for x in batches], 0)
    np.testing.assert_allclose(model[0].running_mean.numpy(), means, rtol=1e-5)
    assert not model.training and model[0].momentum == 0.1 and model[0].num_batches_tracked.item() == 4


def test_bad_averages():
    model = Linear(1, 1)
    with pytest.raises(ValueError, match=r"\[AveragedModel\] avg_fn and multi_avg_fn must not both be given"):
        AveragedModel(model, avg_fn=len, multi_avg_fn=len)
    with pytest.raises(ValueError, match=r"\[get_ema_multi_avg_fn\] decay must be in \[0, 1\], got 1.5"):
        swa_utils.get_ema_multi_avg_fn(1.5)


# ---- accumulation --------------------------------------------------------------------------------------------------------
def test_accumulated_batches_are_one_large_batch():
    lamella.manual_seed(0)
    x, y = lamella.randn(14, 3), lamella.randn(14, 1)

    def steps(parts, size):
        lamella.manual_seed(1)
        model = Linear(3, 1)
        calls = []
        optimizer = AdamW(model.parameters(), lr=0.1)
        schedule = optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
        accumulator = GradientAccumulator(optimizer, parts, max_norm=0.5, scheduler=schedule, on_step=lambda: calls.append(1))
        done = [accumulator.backward((model(x[i : i + size]) - y[i : i + size]).square().mean()) for i in range(0, 14, size)]
        assert accumulator.flush() == (not done[-1]) and not accumulator.flush()
        assert len(calls) == 2 and optimizer.param_groups[0]["lr"] == 0.025
        return model.weight.detach().numpy()

    # 8 and 6 rows in two steps: 4 micro-batches of 2 and then 3, or one of 8 and one of 6
    np.testing.assert_allclose(steps(4, 2), steps(1, 8), rtol=1e-5)
    with pytest.raises(ValueError, match=r"\[GradientAccumulator\] steps must be a positive int, got 0"):
        GradientAccumulator(SGD([lamella.ones(1, requires_grad=True)]), 0)


# ---- learning-rate finder ------------------------------------------------------------------------------------------------
def finder():
    lamella.manual_seed(0)
    x = lamella.randn(32, 4)
    model = Linear(4, 1)
    optimizer = SGD(model.parameters(), lr=0.125, momentum=0.9)
    loader = [(x[:16], x[:16].sum(1, keepdim=True)), (x[16:], x[16:].sum(1, keepdim=True))]
    return LRFinder(model, optimizer, lambda p, y: (p - y).square().mean()), loader


def test_finder_leaves_everything_as_it_was_and_finds_a_range():
    found, loader = finder()
    weight = found.model.weight.detach().numpy().copy()
    found.model.eval()
    assert found.range_test(loader, 1e-4, 10.0, 60) is found
    assert (found.model.weight.detach().numpy() == weight).all() and not found.model.training
    assert found.optimizer.param_groups[0]["lr"] == 0.125 and not found.optimizer.state
    lrs = found.history["lr"]
    assert len(lrs) < 60 and lrs[1] / lrs[0] == pytest.approx(1e5 ** (1 / 59))  # stopped where it diverged
    low, steepest, high = found.suggestion()
    assert 1e-3 < low <= steepest <= high < 2


def test_finder_with_linear_rates_and_a_picture(tmp_path):
    pytest.importorskip("matplotlib")
    found, loader = finder()
    found.range_test(loader, 0.01, 0.1, 20, "linear", smooth_f=1.0)
    assert np.diff(found.history["lr"]) == pytest.approx(0.09 / 19)
    ax = found.plot(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 1000 and ax.get_xscale() == "log"


def test_finder_errors(monkeypatch):
    found, loader = finder()
    with pytest.raises(ValueError, match=r"start_lr must be positive and below end_lr, got 1.0 and 0.5"):
        found.range_test(loader, 1.0, 0.5)
    with pytest.raises(ValueError, match="step_mode must be 'exp' or 'linear', got 'x'"):
        found.range_test(loader, step_mode="x")
    with pytest.raises(ValueError, match="train_loader must yield at least one batch each time, got none"):
        found.range_test([])
    with pytest.raises(ValueError, match="the curve must have at least 3 points, got 0"):
        found.suggestion()
    there = builtins.__import__

    def without_matplotlib(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return there(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    with pytest.raises(ImportError, match="matplotlib must be installed for plot"):
        found.plot()


def test_scale_lr():
    assert scale_lr(0.1, 512) == 0.2 and scale_lr(0.1, 64, 256, "sqrt") == 0.05
    with pytest.raises(ValueError, match="batch sizes must be positive, got 0 and 256"):
        scale_lr(0.1, 0)
    with pytest.raises(ValueError, match="rule must be 'linear' or 'sqrt', got 'x'"):
        scale_lr(0.1, 64, rule="x")
