# SPDX-License-Identifier: MIT
"""Results, copies and gradients lie in memory as what they are made of; values do not depend on it."""

import copy

import numpy as np
import pytest

import lamella
import lamella.nn.functional as F
from lamella import nn

LAST = lamella.channels_last


def image(*shape, seed=0):
    lamella.manual_seed(seed)
    return lamella.randn(*shape).contiguous(memory_format=LAST)


def lies_last(x):
    return x.is_contiguous(memory_format=LAST)


KEEPERS = {
    "clone": lambda x: x.clone(),
    "deepcopy": copy.deepcopy,
    "cast": lambda x: x.double().float(),
    "relu": lambda x: x.relu(),
    "add": lambda x: x + x,
    "add_number": lambda x: 1 - x,
    "broadcast": lambda x: x * x[:, :, :1, :1],
    "broadcast_first": lambda x: x[:1].expand(x.shape) * x,
    "where": lambda x: lamella.where(x > 0, x, 0.0),
    "where_mask": lambda x: lamella.where(x > 0, 1.0, 0.0) * x,
    "lerp": lambda x: lamella.lerp(x, x * 2, 0.5),
    "part": lambda x: x[:, 2:6].exp(),
    "part_in_space": lambda x: x[:, :, 1:, 2:].square(),
    "parts": lambda x: x[:, :4] * x[:, 4:],
    "cat": lambda x: lamella.cat([x, x[:, :3]], 1),
    "cat_one_channel": lambda x: lamella.cat([x[:, :1].clone(), x], 1),
    "pad": lambda x: F.pad(x, (1, 2, 3, 0)),
    "pad_reflect": lambda x: F.pad(x, (1, 1, 2, 1), mode="reflect"),
    "flip": lambda x: x.flip(3),
    "roll": lambda x: x.roll((1, 2), (2, 3)),
    "glu": lambda x: F.glu(x, 1),
    "softmax": lambda x: x.softmax(1),
    "log_softmax": lambda x: x.log_softmax(2),
    "pixel_shuffle": lambda x: F.pixel_shuffle(x, 2),
    "pixel_shuffle_of_few": lambda x: F.pixel_shuffle(lamella.cat([x, x, x[:, :2]], 1), 3),
    "pixel_shuffle_of_many": lambda x: F.pixel_shuffle(lamella.cat([x] * 18, 1), 3),
    "channel_shuffle": lambda x: F.channel_shuffle(x, 2),
    "conv_transpose": lambda x: F.conv_transpose2d(x, lamella.ones(8, 4, 2, 2), stride=2),
    "pixel_unshuffle": lambda x: F.pixel_unshuffle(x, 2),
    "group_norm": lambda x: F.group_norm(x, 4),
    "instance_norm": lambda x: F.instance_norm(x),
    "interpolate": lambda x: F.interpolate(x, scale_factor=2),
    "conv": lambda x: F.conv2d(x, lamella.ones(8, 8, 3, 3), padding=1),
    "max_pool": lambda x: F.max_pool2d(x, 2),
}


@pytest.mark.parametrize("name", KEEPERS)
def test_channels_last_stays(name):
    x = image(2, 8, 6, 4)
    y = KEEPERS[name](x)
    assert lies_last(y) and not y.is_contiguous()
    np.testing.assert_allclose(y.numpy(), KEEPERS[name](x.contiguous()).numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", sorted(set(KEEPERS) - {"deepcopy"}))
def test_gradient_lies_as_its_leaf(name):
    grads, weights = [], lamella.randn(*KEEPERS[name](image(2, 8, 6, 4)).shape)
    for layout in (LAST, lamella.contiguous_format):
        x = image(2, 8, 6, 4).contiguous(memory_format=layout).requires_grad_()
        (KEEPERS[name](x) * weights).sum().backward()
        assert x.grad.is_contiguous(memory_format=layout)
        grads.append(x.grad.numpy())
    np.testing.assert_allclose(*grads, rtol=1e-4, atol=1e-4)


def test_a_transposed_part_keeps_the_order_of_its_dimensions():
    x = lamella.randn(5, 7, 3).permute(2, 0, 1)
    assert (x[:, 1:4] * 2).stride() == (1, 21, 3)
    assert x[:, :, ::2].neg().stride() == (1, 12, 3)
    assert x.expand(2, 3, 5, 7).neg().is_contiguous()
    assert x.flip(0).stride() == x.stride()


def test_the_first_operand_decides():
    x, y = image(2, 3, 4, 5), lamella.randn(2, 3, 4, 5)
    assert lies_last(x + y) and (y + x).is_contiguous()
    np.testing.assert_array_equal((x + y).numpy(), (y + x).numpy())
    z = lamella.randn(4, 64, 40, 40)  # large enough to be read in tiles
    x = z.contiguous(memory_format=LAST)
    np.testing.assert_array_equal((x - z * 2).numpy(), (z - z * 2).numpy())
    x += z
    assert lies_last(x)
    np.testing.assert_array_equal(x.numpy(), (z + z).numpy())


def test_clone_in_a_given_format():
    x = lamella.randn(2, 3, 4, 5, requires_grad=True)
    y = x.clone(memory_format=LAST)
    assert lies_last(y) and y.data_ptr() != x.data_ptr()
    (y * y).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * x.detach().numpy())
    assert y.clone(memory_format=lamella.contiguous_format).is_contiguous()
    assert x.clone(memory_format=lamella.contiguous_format).data_ptr() != x.data_ptr()
    with pytest.raises(ValueError, match=r"\[clone\] input must have 4 dimensions for channels_last, got \(3,\)"):
        lamella.ones(3).clone(memory_format=LAST)


@pytest.mark.parametrize("name", ["empty_like", "zeros_like", "ones_like", "rand_like", "randn_like"])
def test_likes(name):
    like, x = getattr(lamella, name), image(2, 3, 4, 5)
    assert lies_last(like(x))
    assert like(x, memory_format=lamella.contiguous_format).is_contiguous()
    assert lies_last(like(x.contiguous(), memory_format=LAST))
    assert like(x, dtype=lamella.float64).dtype is lamella.float64


def test_values_of_likes():
    x = image(2, 3, 4, 5)
    for layout in (lamella.preserve_format, lamella.contiguous_format, LAST):
        assert lamella.zeros_like(x, memory_format=layout).sum().item() == 0
        assert lamella.ones_like(x, memory_format=layout).sum().item() == x.numel()
    whole = 2**53 + 1
    assert lamella.full_like(x, whole, dtype=lamella.int64).min().item() == whole
    a, b = (lamella.manual_seed(3) and lamella.randn_like(t) for t in (x, x.contiguous()))
    np.testing.assert_array_equal(a.numpy(), b.numpy())  # the numbers do not depend on the layout
    with pytest.raises(ValueError, match=r"\[randint\] low must lie below high, got 2 and 2"):
        lamella.randint_like(x, 2, 2)


@pytest.mark.parametrize("shape", [(2, 8, 6, 4), (3, 5, 7)])
def test_dropout_drops_the_same_forward_and_backward(shape):
    x = lamella.ones(*shape).movedim(1, -1).contiguous().movedim(-1, 1).requires_grad_()
    y = F.dropout(x, 0.4)
    assert y.stride() == x.stride()
    kept = y.detach().numpy()
    assert 0.2 < (kept == 0).mean() < 0.6
    y.backward(lamella.ones(*shape))  # of another layout
    np.testing.assert_array_equal(x.grad.numpy(), kept)


@pytest.mark.parametrize("dtype", [lamella.float32, lamella.float64, lamella.bfloat16])
def test_dropped_channels_do_not_depend_on_the_layout(dtype):
    drawn = []
    for layout in (LAST, lamella.contiguous_format):
        lamella.manual_seed(1)
        x = lamella.ones(4, 32, 3, 5).to(dtype).contiguous(memory_format=layout).requires_grad_()
        y = nn.Dropout2d(0.25)(x)
        assert y.is_contiguous(memory_format=layout)
        y.backward(lamella.ones_like(y, memory_format=lamella.contiguous_format))
        drawn += [y.detach().float().numpy(), x.grad.float().numpy()]
    for other in drawn[1:]:
        np.testing.assert_array_equal(drawn[0], other)
    assert set(np.unique(drawn[0].std((2, 3)))) == {0}
    assert 0.1 < (drawn[0] == 0).mean() < 0.4


def test_cross_entropy_of_images_with_adjacent_channels():
    x, target = image(2, 7, 5, 6), lamella.randint(0, 7, (2, 5, 6))
    for options in ({}, {"reduction": "none"}, {"label_smoothing": 0.1, "weight": lamella.rand(7) + 0.5}):
        losses, grads = [], []
        for layout in (LAST, lamella.contiguous_format):
            logits = x.contiguous(memory_format=layout).detach().requires_grad_()
            loss = F.cross_entropy(logits, target, **options)
            loss.sum().backward()
            assert logits.grad.is_contiguous(memory_format=layout)
            losses.append(loss.detach().numpy())
            grads.append(logits.grad.numpy())
        np.testing.assert_allclose(*losses, rtol=1e-5)
        np.testing.assert_allclose(*grads, rtol=1e-5, atol=1e-7)


def test_parameters_with_adjacent_channels_train_alike():
    lamella.manual_seed(0)
    w, trained = lamella.randn(8, 8, 3, 3), []
    for layout in (LAST, lamella.contiguous_format):
        p = nn.Parameter(w.contiguous(memory_format=layout).clone())
        optimizer = lamella.optim.AdamW([p], lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            (p * p * w).sum().backward()
            optimizer.step()
        assert p.is_contiguous(memory_format=layout)
        trained.append(p.detach().numpy())
    np.testing.assert_array_equal(*trained)


@pytest.mark.parametrize("dtype", ["uint8", "bfloat16", "float32", "int64"])
@pytest.mark.parametrize(
    "plane",
    [(2, 33), (64, 2), (3, 17), (50, 3), (4, 16), (19, 4), (5, 7), (8, 8), (16, 16), (12, 32), (23, 41), (70, 65)],
)
def test_many_small_planes_transposed(plane, dtype):
    values = np.random.default_rng(0).integers(0, 250, (37, *plane)).astype(np.float32)
    x = lamella.from_numpy(values).to(getattr(lamella, dtype))
    y = x.transpose(1, 2).contiguous()
    assert y.is_contiguous()
    np.testing.assert_array_equal(y.to(lamella.float32).numpy(), values.transpose(0, 2, 1))
    part = x[:, 1:, 1:].transpose(1, 2).contiguous()  # rows with holes between them
    np.testing.assert_array_equal(part.to(lamella.float32).numpy(), values[:, 1:, 1:].transpose(0, 2, 1))
    order = x.view(37, 1, *plane).permute(0, 3, 1, 2)
    np.testing.assert_array_equal(order.reshape(-1).to(lamella.float32).numpy(), values.transpose(0, 2, 1).reshape(-1))


def test_group_norm_of_half_precision_images_with_adjacent_channels():
    x = image(2, 16, 5, 7).to(lamella.bfloat16)
    results = []
    for layout in (LAST, lamella.contiguous_format):
        leaf = x.contiguous(memory_format=layout).detach().requires_grad_()
        weight = lamella.ones(16, dtype=lamella.bfloat16, requires_grad=True)
        y = F.group_norm(leaf, 4, weight, None)
        assert y.dtype is lamella.bfloat16 and y.is_contiguous(memory_format=layout)
        (y * x.relu()).sum().backward()
        assert weight.grad.dtype is lamella.bfloat16
        results.append([t.float().numpy() for t in (y.detach(), leaf.grad, weight.grad)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-2, atol=2e-2)
