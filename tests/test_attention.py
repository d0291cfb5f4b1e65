# SPDX-License-Identifier: MIT
"""What the record of attention cannot say: isolation in gradients, layout, memory, random streams."""

import numpy as np
import pytest

import lamella
import lamella.nn.functional as F
from lamella import _core, nn


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_nan_of_what_is_masked_stays_out_of_the_gradients(causal, dtype):
    """Keys 8 and 9 are masked, or lie past the diagonal, for all of 8 queries; query 2 sees nothing and is NaN itself."""
    n = 8
    mask = np.pad(np.tri(n, dtype=bool), ((0, 0), (0, 2)))
    mask[2] = False
    mask = None if causal else lamella.from_numpy(mask)

    def run(poison):
        rng = np.random.default_rng(0)
        q, k, v = (lamella.from_numpy(rng.standard_normal((2, m, 8))).to(getattr(lamella, dtype)) for m in (n, 10, 10))
        k[:, 8:] = poison
        v[:, 8:] = poison
        if not causal:
            q[:, 2] = poison
        q, k, v = (x.detach().requires_grad_() for x in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal)
        (y * y).sum().backward()
        keep = [i for i in range(n) if causal or i != 2]
        grads = [x.grad.double().numpy() for x in (q, k, v)]
        return [y.detach().double().numpy(), grads[0][:, keep], grads[1], grads[2]]

    for clean, poison in zip(run(0.0), run(float("nan")), strict=True):
        assert np.isfinite(poison).all() and (clean == poison).all()


def test_joining_the_heads_of_the_result_is_no_copy():
    q = lamella.randn(2, 5, 3, 4).transpose(1, 2).requires_grad_()
    y = F.scaled_dot_product_attention(q, q, q)
    assert y.transpose(1, 2).is_contiguous()
    assert lamella.grad(y.sum(), [q])[0].transpose(1, 2).is_contiguous()


def test_memory_is_linear_in_length():
    q = lamella.randn(1, 2, 4096, 8).requires_grad_()
    before = _core.memory_stats()["peak_allocated"]
    F.scaled_dot_product_attention(q, q, q, is_causal=True).sum().backward()
    assert _core.memory_stats()["peak_allocated"] - before < 4096 * 4096 * 4  # one head's scores


def test_dropout_draws_anew_repeats_by_seed_and_keeps_the_mean():
    q, v = lamella.zeros(4, 64, 8), lamella.ones(4, 64, 8)
    lamella.manual_seed(1)
    a, b = (F.scaled_dot_product_attention(q, q, v, dropout_p=0.25) for _ in range(2))
    lamella.manual_seed(1)
    again = F.scaled_dot_product_attention(q, q, v, dropout_p=0.25)
    assert (a == again).all() and not (a == b).all()
    assert abs(float(a.mean()) - 1) < 0.02  # 16,384 draws: deviation 0.0045


def test_weights_change_nothing_and_dropout_is_for_training():
    layer, x = nn.MultiheadAttention(8, 2, dropout=0.5, batch_first=True), lamella.randn(2, 5, 8)
    padding = lamella.tensor([[False] * 5, [True] * 5])  # the second sequence is all padding
    lamella.manual_seed(2)
    with_weights, w = layer(x, x, x, key_padding_mask=padding)
    lamella.manual_seed(2)
    without, none = layer(x, x, x, key_padding_mask=padding, need_weights=False)
    assert (with_weights == without).all() and none is None
    assert (w[1] == 0).all() and (with_weights[1] == layer.out_proj.bias).all()
    layer.eval()
    assert (layer(x, x, x)[0] == layer(x, x, x)[0]).all()


def test_state_dict_has_pytorchs_keys():
    assert set(nn.MultiheadAttention(4, 2).state_dict()) == {"in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"}
    own = set(nn.MultiheadAttention(4, 2, kdim=3, add_bias_kv=True).state_dict())
    assert {"q_proj_weight", "k_proj_weight", "v_proj_weight", "bias_k", "bias_v"} < own
