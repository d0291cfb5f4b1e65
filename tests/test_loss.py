# SPDX-License-Identifier: MIT
"""Loss modules, and what the cases of losses do not say."""

import math

import numpy as np
import pytest

import lamella
from lamella import nn
from lamella.nn import functional as F

X, Y = lamella.randn(4, 6), lamella.rand(4, 6)
SIGNS, LABELS = (X > 0).float() * 2 - 1, lamella.tensor([0, 5, 2, 2])
IMAGE, OTHER = lamella.rand(2, 3, 12, 12), lamella.rand(2, 3, 12, 12)


def features(x):
    return [x, x * x]


MODULES = [
    (nn.MSELoss, {}, F.mse_loss, (X, Y)),
    (nn.L1Loss, {}, F.l1_loss, (X, Y)),
    (nn.SmoothL1Loss, {"beta": 0.3}, F.smooth_l1_loss, (X, Y)),
    (nn.HuberLoss, {"delta": 0.3}, F.huber_loss, (X, Y)),
    (nn.LogCoshLoss, {}, F.log_cosh_loss, (X, Y)),
    (nn.QuantileLoss, {"q": 0.9}, F.quantile_loss, (X, Y)),
    (nn.PoissonNLLLoss, {"full": True}, F.poisson_nll_loss, (X, Y)),
    (nn.GaussianNLLLoss, {"full": True}, F.gaussian_nll_loss, (X, X, Y)),
    (nn.BCELoss, {"weight": Y}, F.binary_cross_entropy, (Y, Y)),
    (nn.BCEWithLogitsLoss, {"pos_weight": Y[0]}, F.binary_cross_entropy_with_logits, (X, Y)),
    (nn.CrossEntropyLoss, {"label_smoothing": 0.1, "weight": Y[0]}, F.cross_entropy, (X, LABELS)),
    (nn.NLLLoss, {"ignore_index": 2}, F.nll_loss, (X, LABELS)),
    (nn.KLDivLoss, {"reduction": "batchmean", "log_target": True}, F.kl_div, (X, X)),
    (nn.CTCLoss, {"blank": 1}, F.ctc_loss, (X.unsqueeze(1), LABELS[None, 1:3], [4], [2])),
    (nn.DistillationLoss, {"temperature": 3.0, "alpha": 0.2}, F.distillation_loss, (X, Y, LABELS)),
    (nn.FocalLoss, {"gamma": 1.5, "weight": Y[0]}, F.focal_loss, (X, LABELS)),
    (nn.SigmoidFocalLoss, {"alpha": 0.5, "gamma": 3, "reduction": "mean"}, F.sigmoid_focal_loss, (X, (Y > 0.5).float())),
    (nn.HingeLoss, {}, F.hinge_loss, (X, SIGNS)),
    (nn.SquaredHingeLoss, {}, F.squared_hinge_loss, (X, SIGNS)),
    (nn.SoftMarginLoss, {}, F.soft_margin_loss, (X, SIGNS)),
    (nn.MultiMarginLoss, {"p": 2, "margin": 0.5, "weight": Y[0]}, F.multi_margin_loss, (X, LABELS)),
    (nn.MultiLabelMarginLoss, {}, F.multilabel_margin_loss, (X, lamella.full((4, 6), -1))),
    (nn.MultiLabelSoftMarginLoss, {"weight": Y[0]}, F.multilabel_soft_margin_loss, (X, Y)),
    (nn.HingeEmbeddingLoss, {"margin": 0.5}, F.hinge_embedding_loss, (X, SIGNS)),
    (nn.MarginRankingLoss, {"margin": 0.5}, F.margin_ranking_loss, (X, Y, SIGNS)),
    (nn.ContrastiveLoss, {"margin": 3.0}, F.contrastive_loss, (X, Y, SIGNS[:, 0])),
    (nn.CosineEmbeddingLoss, {"margin": 0.1}, F.cosine_embedding_loss, (X, Y, SIGNS[:, 0])),
    (nn.TripletMarginLoss, {"margin": 2.0, "p": 1.0, "swap": True}, F.triplet_margin_loss, (X, Y, SIGNS)),
    (nn.TripletMarginWithDistanceLoss, {"margin": 2.0, "swap": True}, F.triplet_margin_with_distance_loss, (X, Y, SIGNS)),
    (nn.TripletSemiHardLoss, {"margin": 3.0}, F.triplet_semihard_loss, (X, LABELS)),
    (nn.InfoNCELoss, {"temperature": 0.5, "symmetric": True}, F.info_nce_loss, (X, Y)),
    (nn.NTXentLoss, {"temperature": 0.2}, F.nt_xent_loss, (X, Y)),
    (nn.DiceLoss, {"smooth": 0.1}, F.dice_loss, (IMAGE, OTHER)),
    (nn.SSIMLoss, {"kernel_size": 5}, F.ssim_loss, (IMAGE, OTHER)),
    (nn.TotalVariationLoss, {}, F.total_variation_loss, (IMAGE,)),
    (nn.GANDiscriminatorLoss, {"kind": "hinge"}, F.gan_discriminator_loss, (X, Y)),
    (nn.GANGeneratorLoss, {"kind": "least_squares"}, F.gan_generator_loss, (X,)),
    (nn.ELBOLoss, {"beta": 0.5, "likelihood": "gaussian"}, F.elbo_loss, (X, Y, X, Y)),
    (nn.PolicyGradientLoss, {}, F.policy_gradient_loss, (X, Y)),
    (nn.PPOLoss, {"clip_range": 0.1}, F.ppo_loss, (X, Y, SIGNS)),
    (nn.ValueLoss, {}, F.value_loss, (X, Y)),
    (nn.TDLoss, {"discount": 0.5, "delta": 1.0}, F.td_loss, (X, Y, X, SIGNS > 0)),
]


@pytest.mark.parametrize(("module", "options", "function", "args"), MODULES, ids=lambda v: getattr(v, "__name__", ""))
def test_a_module_is_its_function(module, options, function, args):
    got, want = module(**options)(*args), function(*args, **options)
    assert got.shape == want.shape and got.isfinite().all() and (got == want).all()
    summed = {**options, "reduction": "sum"}
    assert (module(**summed)(*args) == function(*args, **summed)).all()
    with pytest.raises(ValueError, match="reduction must be none, mean, sum"):
        module(**{**options, "reduction": "average"})


def test_every_loss_module_is_tested():
    assert {m for m in dir(nn) if m.endswith("Loss")} == {m.__name__ for m, *_ in MODULES} | {"PerceptualLoss", "StyleLoss"}


def test_losses_with_a_network():
    network = nn.Conv2d(3, 4, 3)
    for module, function in ((nn.PerceptualLoss, F.perceptual_loss), (nn.StyleLoss, F.style_loss)):
        loss = module(network, weights=[2.0])
        assert (loss(IMAGE, OTHER) == function(IMAGE, OTHER, network, [2.0])).all()
        assert list(loss.state_dict()) == ["features.weight", "features.bias"]
        assert module(features)(IMAGE, IMAGE).item() == 0


def test_weights_are_buffers():
    assert list(nn.CrossEntropyLoss(lamella.ones(3)).state_dict()) == ["weight"]
    assert list(nn.BCEWithLogitsLoss(pos_weight=lamella.ones(3)).state_dict()) == ["pos_weight"]


def test_dtypes_are_promoted():
    a, b = lamella.randn(5), lamella.randn(5, dtype=lamella.float64)
    assert F.mse_loss(a, b).dtype is lamella.float64
    assert F.mse_loss(lamella.tensor([1, 2]), lamella.tensor([0.5, 2.0])).item() == 0.125
    assert math.isnan(F.mse_loss(lamella.ones(0), lamella.ones(0)).item())


@pytest.mark.parametrize("kind", ["mse", "l1", "huber", "log_cosh", "quantile", "hinge", "squared_hinge"])
def test_nan_and_infinity_pass(kind):
    from lamella import _core

    x, t = lamella.tensor([math.nan, 1.0, math.inf]), lamella.tensor([0.0, math.nan, -1.0])
    loss = _core.loss_fwd(kind, x, t, "none", 0.5).numpy()
    assert np.isnan(loss[:2]).all() and loss[2] == math.inf


def test_gradient_penalty_reaches_the_critic():
    critic = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
    with lamella.no_grad():  # the penalty is made of gradients whatever the mode outside
        loss = F.gradient_penalty(critic, lamella.randn(5, 3), lamella.randn(5, 3))
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum().item() > 0 for p in list(critic.parameters())[:1])


def test_no_gradient_to_what_is_estimated():
    made = [lamella.randn(4, requires_grad=True) for _ in range(4)]
    F.ppo_loss(*made[:3]).backward()
    assert made[0].grad is not None and made[1].grad is None and made[2].grad is None
    F.td_loss(made[3], made[0].detach(), made[1], lamella.zeros(4)).backward()
    assert made[3].grad is not None and made[1].grad is None


# ---- ctc ------------------------------------------------------------------------------------------------------------
def test_ctc_without_alignment():
    x = lamella.randn(3, 2, 4).log_softmax(-1).requires_grad_()
    targets = lamella.tensor([[1, 1, 1], [1, 2, 3]])  # three equal labels need five steps
    loss = F.ctc_loss(x, targets, [3, 3], [3, 3], reduction="none")
    assert loss[0].item() == math.inf and math.isfinite(loss[1].item())
    (dx,) = lamella.grad(loss.sum(), x)
    assert dx[:, 0].isnan().all() and dx[:, 1].isfinite().all()
    kept = F.ctc_loss(x, targets, [3, 3], [3, 3], reduction="none", zero_infinity=True)
    assert kept[0].item() == 0 and kept[1].item() == loss[1].item()
    (dz,) = lamella.grad(kept.sum(), x)
    assert (dz[:, 0] == 0).all() and (dz[:, 1] == dx[:, 1]).all()


def test_ctc_keeps_precision_over_many_steps():
    """Log-probabilities of thousands would leave float32 three digits; steps are stored relative to one another."""
    rng = np.random.default_rng(0)
    x = lamella.tensor(rng.standard_normal((1000, 1, 50)).astype(np.float32)).log_softmax(-1)
    targets, lengths = lamella.tensor(rng.integers(1, 50, (1, 100))), ([1000], [100])
    grads = []
    for dtype in (lamella.float64, lamella.float32):
        leaf = x.to(dtype).clone().requires_grad_()
        F.ctc_loss(leaf, targets, *lengths, reduction="sum").backward()
        grads.append(leaf.grad.numpy())
    np.testing.assert_allclose(grads[1], grads[0], atol=2e-4)
    np.testing.assert_allclose(grads[0].sum(2), -1, atol=1e-9)  # at each step the shares of all classes are one


def test_ctc_lengths_are_lists_tuples_or_tensors():
    x, targets = lamella.randn(5, 2, 4).log_softmax(-1), lamella.tensor([[1, 2], [3, 1]])
    losses = {F.ctc_loss(x, targets, kind([5, 4]), kind([2, 1])).item() for kind in (list, tuple, lamella.tensor)}
    assert len(losses) == 1
    rows = F.ctc_loss(x.transpose(0, 1).contiguous().transpose(0, 1), targets.int(), [5, 4], [2, 1])
    assert rows.item() in losses
