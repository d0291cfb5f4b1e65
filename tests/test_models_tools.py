# SPDX-License-Identifier: MIT
"""Boxes and detection, diffusion's and autoencoders' own methods, masks of words, summaries, the command `lamella models`."""

import math

import numpy as np
import pytest

import lamella
from lamella import models, nn, train
from lamella.cli import main
from lamella.metrics.functional import mean_average_precision


# ---- boxes -----------------------------------------------------------------------------------------------------------
def boxes(n, seed=0):
    corner = np.random.default_rng(seed).random((n, 2, 2))
    return np.concatenate([corner.min(1), corner.max(1) + 0.05], 1).astype(np.float32)


def test_iou_and_area():
    a, b = boxes(5), boxes(4, 1)
    found = models.box_iou(lamella.from_numpy(a), lamella.from_numpy(b)).numpy()
    for i in range(5):
        for j in range(4):
            w, h = (min(a[i, k + 2], b[j, k + 2]) - max(a[i, k], b[j, k]) for k in (0, 1))
            both = max(w, 0) * max(h, 0)
            area = [(x[2] - x[0]) * (x[3] - x[1]) for x in (a[i], b[j])]
            assert math.isclose(found[i, j], both / (sum(area) - both), rel_tol=1e-5, abs_tol=1e-7)
    assert models.box_iou(lamella.zeros(1, 4), lamella.zeros(1, 4)).item() == 0
    with pytest.raises(ValueError, match=r"\[box_iou\] boxes2 must have shape \(N, 4\), got \(4,\)"):
        models.box_iou(lamella.zeros(1, 4), lamella.zeros(4))


def test_nms_keeps_what_overlaps_no_better_one():
    b, scores = lamella.from_numpy(boxes(30)), lamella.from_numpy(np.random.default_rng(2).random(30).astype(np.float32))
    kept = models.nms(b, scores, 0.3)
    iou = models.box_iou(b, b).numpy()
    expected = []
    for i in np.argsort(-scores.numpy()):
        if all(iou[i, j] <= 0.3 for j in expected):
            expected.append(int(i))
    assert kept.tolist() == expected and 1 < len(expected) < 30
    classes = lamella.arange(30) % 2
    apart = models.batched_nms(b, scores, classes, 0.3)
    for c in (0, 1):
        own = (classes == c).nonzero().flatten()
        assert [i for i in apart.tolist() if i % 2 == c] == own[models.nms(b[own], scores[own], 0.3)].tolist()
    assert models.nms(b[:0], scores[:0], 0.3).shape == (0,) == models.batched_nms(b[:0], scores[:0], classes[:0], 0.3).shape
    with pytest.raises(ValueError, match=r"must have shapes \(N, 4\) and \(N,\), got \(30, 4\) and \(29,\)"):
        models.nms(b, scores[1:], 0.3)


def test_encoding_is_undone():
    b, anchors = lamella.from_numpy(boxes(6)), lamella.from_numpy(boxes(6, 3))
    np.testing.assert_allclose(models.decode_boxes(models.encode_boxes(b, anchors), anchors).numpy(), b.numpy(), atol=1e-6)
    np.testing.assert_allclose(models.center_to_corners(models.corners_to_center(b)).numpy(), b.numpy(), atol=1e-6)
    assert not models.encode_boxes(b, b).numpy().any()


def test_anchors_are_matched():
    model = models.SSD(2, 4, 2)
    anchors = model.anchors(32, 32)
    assert anchors.shape == ((16 + 4) * 4, 4) == model(lamella.zeros(1, 3, 32, 32))[1].shape[1:]
    classes, offsets = models.match_anchors(anchors, anchors[[5, 70]], lamella.tensor([0, 1]))
    assert classes[5].item() == 1 and classes[70].item() == 2 and not offsets[5].numpy().any()
    tiny = lamella.tensor([[0.5, 0.5, 0.51, 0.51]])  # far from every anchor, but one must take it
    assert (models.match_anchors(anchors, tiny, lamella.tensor([1]))[0] == 2).sum().item() == 1


def test_the_detector_finds_what_it_learned():
    lamella.manual_seed(0)
    model = models.SSD(2, 8, 2)
    x = lamella.zeros(2, 3, 32, 32)
    truth = [[0.1, 0.2, 0.5, 0.6], [0.4, 0.4, 0.9, 0.9]]
    targets = [{"boxes": lamella.tensor([b]), "labels": lamella.tensor([i])} for i, b in enumerate(truth)]
    for i, (x1, y1, x2, y2) in enumerate((np.array(truth) * 32).astype(int)):
        x[i, i, y1:y2, x1:x2] = 1.0
    optimizer = lamella.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        models.ssd_loss(*model(x), model.anchors(32, 32), targets).backward()
        optimizer.step()
    found = model.detect(x)
    assert mean_average_precision(found, targets, np.arange(0.5, 0.75, 0.05)) == 1.0
    wrong = [{**f, "labels": 1 - f["labels"]} for f in found]
    assert mean_average_precision(wrong, targets) == 0.0



# ---- generative models' own methods ----------------------------------------------------------------------------------
@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_diffusion_undoes_noise_that_it_knows(schedule):
    lamella.manual_seed(0)
    process, x = models.Diffusion(40, schedule), lamella.randn(2, 1, 4, 4)
    assert process.kept[-1] < 1e-2 and (np.diff(process.kept) < 0).all()

    def knows(y, t):  # the noise in y, given that the picture is x
        a = lamella.from_numpy(process.kept[t.numpy()].astype(np.float32)).reshape(-1, 1, 1, 1)
        return (y - a.sqrt() * x) / (1 - a).sqrt()

    for options in ({}, {"steps": 5}, {"steps": 40, "eta": 1.0}):
        found = process.sample(knows, (2, 1, 4, 4), clip=None, **options)
        np.testing.assert_allclose(found.numpy(), x.numpy(), atol=0.02)
    noise = lamella.randn(2, 1, 4, 4)
    t = lamella.tensor([0, 39])
    np.testing.assert_allclose(knows(process.add_noise(x, noise, t), t).numpy(), noise.numpy(), atol=1e-3)
    with pytest.raises(ValueError, match=r"\[Diffusion.sample\] steps must be from 1 to 40, got 41"):
        process.sample(knows, (2, 1, 4, 4), steps=41)


@pytest.mark.parametrize("options", [{}, {"steps": 20}])
def test_a_model_that_is_off_a_little_at_the_start_still_draws_the_picture(options):
    """Where hardly anything of x_0 is left, dividing by that blows a small error up: guesses are kept within the pixels' range."""
    lamella.manual_seed(0)
    process, x = models.Diffusion(1000, "cosine"), lamella.ones(1, 1, 4, 4) * 0.5

    def nearly(y, t):
        a = lamella.from_numpy(process.kept[t.numpy()].astype(np.float32)).reshape(-1, 1, 1, 1)
        return ((y - a.sqrt() * x) / (1 - a).sqrt()).clamp(-4, 4) + 0.02 * (a < 0.1).float()

    found = process.sample(nearly, (1, 1, 4, 4), **options)
    np.testing.assert_allclose(found.numpy(), x.numpy(), atol=0.1)
    if options:
        assert abs(process.sample(nearly, (1, 1, 4, 4), clip=None, **options).numpy() - 0.5).max() > 0.5


def test_ddim_is_a_function_of_its_noise():
    model = models.DiffusionUNet(1, 8, (1, 2), groups=4).eval()
    process, noise = models.Diffusion(20), lamella.randn(1, 1, 4, 4)
    a, b = (process.sample(model, noise.shape, steps=4, noise=noise) for _ in range(2))
    assert (a == b).all() and not (a == process.sample(model, noise.shape, steps=4, noise=-noise)).all()


def test_autoencoder_judges_and_denoises():
    lamella.manual_seed(0)
    model, x = models.Autoencoder(6, 2, (16,)), lamella.randn(64, 2) @ lamella.randn(2, 6)
    optimizer = lamella.optim.Adam(model.parameters(), lr=0.02)
    for step in range(150):
        optimizer.zero_grad()
        model.loss(x, noise=0.05 if step < 100 else 0.0, dropped=0.0).backward()
        optimizer.step()
    line = model.threshold(x, 0.95)
    assert 0.9 <= (model.anomaly_score(x) <= line).float().mean().item() <= 1
    assert (model.anomaly_score(3 * lamella.randn(50, 6)) > line).float().mean().item() > 0.9
    assert model.loss(x, dropped=0.5).item() > model.loss(x).item()


def test_vae_samples():
    model = models.ConvVAE(1, 8, 3, 2)
    assert model.sample(4).shape == (4, 1, 8, 8) and (model.train()(lamella.zeros(1, 1, 8, 8))[0] != model(lamella.zeros(1, 1, 8, 8))[0]).any()
    model.eval()
    x = lamella.rand(1, 1, 8, 8)
    assert (model(x)[0] == model.decode(model.encode(x)[0])).all()


def test_words_are_masked_in_their_shares():
    lamella.manual_seed(0)
    idx = lamella.randint(5, 1000, (200, 100))
    idx[:, 0] = 0
    inputs, labels = models.mask_tokens(idx, 3, 1000)
    chosen = labels != -100
    assert not chosen[:, 0].any() and (labels[chosen] == idx[chosen]).all() and (inputs[~chosen] == idx[~chosen]).all()
    assert abs(chosen[:, 1:].float().mean().item() - 0.15) < 0.01
    assert abs((inputs[chosen] == 3).float().mean().item() - 0.8) < 0.03
    assert abs((inputs[chosen] == idx[chosen]).float().mean().item() - 0.1) < 0.03


# ---- summaries -------------------------------------------------------------------------------------------------------
def test_summary_counts():
    model = models.LeNet5()
    model.features[0].weight.requires_grad_(False)
    found = train.summary(model, lamella.zeros(2, 1, 28, 28))
    layers = {layer.path: layer for layer in found.layers}
    assert found.parameters == 61706 and found.trainable == 61706 - 150 and found.parameter_bytes == 4 * 61706
    assert layers["features.0"].output == (2, 6, 28, 28) and layers["features.0"].flops == 2 * 2 * 6 * 28 * 28 * 25
    assert found.flops == 2 * 2 * (6 * 784 * 25 + 16 * 100 * 150 + 400 * 120 + 120 * 84 + 84 * 10)
    assert layers["classifier.1"].output_bytes == 2 * 120 * 4 and model.training
    assert "3: Conv2d             (2, 16, 10, 10)       2,416  960.00 k" in str(found)


def test_summary_counts_attention_and_recurrence():
    t, e = 5, 8
    gpt = train.summary(models.GPT(11, 8, 1, 2, e), lamella.zeros(1, t, dtype=lamella.int64))
    assert gpt.flops == 2 * t * (12 * e * e + 11 * e) + 4 * t * t * e
    mha = train.summary(nn.MultiheadAttention(e, 2, batch_first=True), *[lamella.zeros(1, t, e)] * 3)
    assert mha.flops == 2 * t * 4 * e * e + 4 * t * t * e
    rnn = train.summary(nn.LSTM(3, 4, 2), lamella.zeros(t, 2, 3))
    assert rnn.flops == 2 * t * 2 * (16 * 3 + 3 * 16 * 4)
    up = train.summary(nn.ConvTranspose2d(3, 4, 2, stride=2), lamella.zeros(1, 3, 5, 5))
    assert up.flops == 2 * 75 * 16


def test_command_lists_models(capsys):
    assert main(["models", "lenet*", "mlp"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].split()[:2] == ["model", "parameters"] and {line.split()[0] for line in out[1:]} == {"lenet5", "mlp"}
    assert any(line.split()[:3] == ["lenet5", "61,706", "0.83"] for line in out)
    assert main(["models", "lenet5"]) == 0 and "features: Sequential" in capsys.readouterr().out
    assert main(["models", "lenet6"]) == 2 and "NAME must match one of perceptron" in capsys.readouterr().err
