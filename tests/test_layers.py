# SPDX-License-Identifier: MIT
"""What single layers promise beyond the table of modules.py: the Transformer's masks, positions, the cache, the perceptron,
lazy layers, dropout's relatives."""

import copy

import numpy as np
import pytest

import lamella
from lamella import nn
from lamella.nn import functional as F


def close(a, b, tolerance=1e-5):
    return (a - b).abs().max().item() <= tolerance


# ---- the Transformer ------------------------------------------------------------------------------------------------
KEYS = """self_attn.in_proj_weight self_attn.in_proj_bias self_attn.out_proj.weight self_attn.out_proj.bias linear1.weight
linear1.bias linear2.weight linear2.bias norm1.weight norm1.bias norm2.weight norm2.bias"""


def test_encoder_layer_has_pytorchs_keys_and_text():
    layer = nn.TransformerEncoderLayer(8, 2, 16)
    assert list(layer.state_dict()) == KEYS.split()
    assert repr(layer) == "\n".join(
        [
            "TransformerEncoderLayer(",
            "  (self_attn): MultiheadAttention(",
            "    (out_proj): Linear(in_features=8, out_features=8, bias=True)",
            "  )",
            "  (linear1): Linear(in_features=8, out_features=16, bias=True)",
            "  (dropout): Dropout(p=0.1, inplace=False)",
            "  (linear2): Linear(in_features=16, out_features=8, bias=True)",
            "  (norm1): LayerNorm((8,), eps=1e-05, elementwise_affine=True, bias=True)",
            "  (norm2): LayerNorm((8,), eps=1e-05, elementwise_affine=True, bias=True)",
            "  (dropout1): Dropout(p=0.1, inplace=False)",
            "  (dropout2): Dropout(p=0.1, inplace=False)",
            ")",
        ]
    )


def test_encoder_layer_is_its_formula():
    layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, "gelu", batch_first=True)
    x = lamella.randn(2, 5, 8)
    h = layer.norm1(x + layer.self_attn(x, x, x)[0])
    want = layer.norm2(h + layer.linear2(F.gelu(layer.linear1(h))))
    assert close(layer(x), want)
    layer.norm_first = True
    n = layer.norm1(x)
    h = x + layer.self_attn(n, n, n)[0]
    assert close(layer(x), h + layer.linear2(F.gelu(layer.linear1(layer.norm2(h)))))


@pytest.mark.parametrize("kind", ["floating", "bool", "said"])
def test_causal_masks_are_recognised_and_hide_the_future(kind):
    stack = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True), 2)
    x = lamella.randn(2, 5, 8)
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    if kind == "bool":
        mask = mask != 0
    y = stack(x, mask=mask, is_causal=True if kind == "said" else None)
    changed = x.clone()
    changed[:, 3:] = lamella.randn(2, 2, 8)
    assert close(stack(changed, mask=mask)[:, :3], y[:, :3])
    assert not close(stack(x), y, 1e-2)
    almost = mask.clone()
    almost[1, 0] = True if kind == "bool" else -1.0  # not the causal one: read as it is
    assert not close(stack(x, mask=almost), y, 1e-4)


def test_padding_leaves_no_trace():
    model = nn.Transformer(8, 2, 1, 1, 16, 0.0, batch_first=True)
    src, tgt = lamella.randn(2, 5, 8), lamella.randn(2, 4, 8)
    padding = lamella.tensor([[False] * 5, [False] * 3 + [True] * 2])
    options = {"src_key_padding_mask": padding, "memory_key_padding_mask": padding}
    y = model(src, tgt, **options)
    other = src.clone()
    other[1, 3:] = 7.0
    assert close(model(other, tgt, **options), y)
    assert close(model(src[1:, :3], tgt[1:]), y[1:])
    with pytest.raises(ValueError, match=r"\[Transformer\] src and tgt must have the same batch, got \(2, 5, 8\) and \(1, 4, 8\)"):
        model(src, tgt[:1])
    with pytest.raises(ValueError, match="activation must be 'relu', 'gelu' or a function, got 'tanh'"):
        nn.TransformerEncoderLayer(8, 2, activation="tanh")


# ---- positions ------------------------------------------------------------------------------------------------------
def test_sinusoidal_positions():
    layer = nn.SinusoidalPositionalEncoding(6, max_len=20)
    t, w = np.arange(20)[:, None], 10000.0 ** (-np.arange(0, 6, 2) / 6)
    want = np.stack([np.sin(t * w), np.cos(t * w)], -1).reshape(20, 6)
    np.testing.assert_allclose(layer(lamella.zeros(20, 6)).numpy(), want, atol=1e-6)
    np.testing.assert_allclose(layer(lamella.zeros(3, 2, 6), offset=5)[:, 1].numpy(), want[5:8], atol=1e-6)
    assert not layer.state_dict()
    with pytest.raises(ValueError, match="input must end within 20 positions, got 3 from 18 on"):
        layer(lamella.zeros(3, 6), offset=18)


@pytest.mark.parametrize("interleaved", [False, True])
def test_rotary_products_depend_on_the_distance(interleaved):
    turn = nn.RotaryEmbedding(8, interleaved=interleaved, max_len=4)
    q, k = lamella.randn(1, 8), lamella.randn(1, 8)

    def product(i, j):
        return (turn(q, offset=i) * turn(k, offset=j)).sum().item()

    assert abs(product(3, 1) - product(12, 10)) < 1e-4  # the tables grow
    assert abs(product(0, 0) - (q * k).sum().item()) < 1e-5
    assert abs(product(3, 1) - product(3, 2)) > 1e-4


def test_alibi():
    bias = nn.ALiBi(8)(3)
    assert bias.shape == (8, 3, 3) and bias[0, 2].tolist() == [-1.0, -0.5, 0.0] and bias[7, 2, 0].item() == -2 * 2**-8
    assert bias[0, 0].tolist() == [0.0, float("-inf"), float("-inf")]
    assert nn.ALiBi(3).slopes.tolist() == [2**-4, 2**-8, 2**-2]  # those of two heads, then every other one of four
    assert nn.ALiBi(8)(1, 3)[0, 0].tolist() == [-1.0, -0.5, 0.0]  # the last query stands at the last key
    assert nn.ALiBi(8, causal=False)(2)[0].tolist() == [[0.0, -0.5], [-0.5, 0.0]]


# ---- the cache ------------------------------------------------------------------------------------------------------
def test_cache():
    cache, k, v = nn.KeyValueCache(2), lamella.randn(3, 2, 40, 4), lamella.randn(3, 2, 40, 5)
    assert cache.length == 0 and cache[0] is None and len(cache) == 2
    for start, end in ((0, 7), (7, 8), (8, 40)):
        for layer in range(2):
            keys, values = cache.update(layer, k[:, :, start:end], v[:, :, start:end])
        assert (keys == k[:, :, :end]).all() and (values == v[:, :, :end]).all() and cache.length == end
    cache.crop(30)
    cache.crop(-2)
    assert cache.length == 28 and (cache[1][0] == k[:, :, :28]).all()
    cache.reorder(lamella.tensor([2, 0, 0]))
    keys, _ = cache.update(0, k[:, :, :1], v[:, :, :1])
    assert (keys[:, :, :28] == k[[2, 0, 0]][:, :, :28]).all() and (keys[:, :, 28] == k[:, :, 0]).all()
    with pytest.raises(ValueError, match=r"key must continue \(3, 2, 29, 4\) in dimension 2, got \(3, 2, 1, 5\)"):
        cache.update(0, v[:, :, :1], v[:, :, :1])
    cache.reset()
    assert cache.length == 0 and cache[0] is None


def test_cache_lets_gradients_through():
    cache, parts = nn.KeyValueCache(1), [lamella.randn(1, 1, 2, 3, requires_grad=True) for _ in range(2)]
    for part in parts:
        keys, values = cache.update(0, part, 2 * part)
    (keys + values).sum().backward()
    assert all((part.grad == 3).all() for part in parts)
    with lamella.no_grad():
        keys, _ = cache.update(0, parts[0], parts[0])
    assert keys.shape == (1, 1, 6, 3) and (keys[:, :, 2:4] == parts[1]).all()


# ---- the perceptron -------------------------------------------------------------------------------------------------
def test_perceptron_rule():
    p = nn.Perceptron(2)
    x = lamella.tensor([[1.0, 2.0], [-1.0, 0.5]])
    assert p(x).tolist() == [[0.0], [0.0]]
    assert p.update(x, lamella.tensor([[1.0], [0.0]]), lr=0.5) == 1
    assert p.weight.tolist() == [[0.5, 1.0]] and p.bias.tolist() == [0.5]
    rng = np.random.default_rng(0)
    points = rng.standard_normal((80, 3)).astype("float32")
    points = lamella.from_numpy(points[np.abs(points @ [1.0, -2.0, 0.5] - 0.1) > 0.2])
    target = (points @ lamella.tensor([[1.0], [-2.0], [0.5]]) > 0.1).float()
    q = nn.Perceptron(3)
    assert q.fit(points, target)[-1] == 0 and (q(points) == target).all()
    xor = nn.Perceptron(2)
    corners = lamella.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    assert xor.fit(corners, lamella.tensor([[0.0], [1.0], [1.0], [0.0]]), max_epochs=20)[-1] > 0  # no plane does it
    with pytest.raises(ValueError, match=r"target must have shape \(2, 1\), got \(2,\)"):
        p.update(x, lamella.tensor([1.0, 0.0]))


# ---- lazy layers ----------------------------------------------------------------------------------------------------
def test_lazy_layers_keep_their_parameters():
    net = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2))
    held = list(net.parameters())
    before = copy.deepcopy(net)
    net(lamella.randn(2, 3, 5, 5))
    assert [type(m).__name__ for m in net] == ["Conv2d", "BatchNorm2d", "Flatten", "Linear"]
    assert all(a is b for a, b in zip(held, net.parameters(), strict=True)) and net[3].weight.shape == (2, 36)
    assert net[0].weight.std().item() > 0 and type(before[0]).__name__ == "LazyConv2d"
    before.load_state_dict(net.state_dict())
    x = lamella.randn(2, 3, 5, 5)
    assert (before.eval()(x) == net.eval()(x)).all()
    with pytest.raises(ValueError, match=r"^1 \(LazyConv1d.*input must have 2 or 3 dimensions, got \(2, 3, 4, 5\)"):
        nn.Sequential(nn.Identity(), nn.LazyConv1d(2, 3))(lamella.ones(2, 3, 4, 5))


# ---- dropout's relatives --------------------------------------------------------------------------------------------
def test_dropped_branches_connections_and_features():
    lamella.manual_seed(0)
    x = lamella.ones(4000, 3)
    for layer in (nn.StochasticDepth(0.25, "row"), nn.DropPath(0.25)):
        y = layer(x)
        kept = y[:, 0] != 0
        assert (y == kept.float().unsqueeze(1) / 0.75).all() and abs(kept.float().mean().item() - 0.75) < 0.03
        assert layer.eval()(x) is x
    whole = {nn.StochasticDepth(0.5, "batch")(x).sum().item() for _ in range(20)}
    assert whole == {0.0, 24000.0}
    assert set(nn.DropPath(0.5, scale_by_keep=False)(x).unique().tolist()) == {0.0, 1.0}
    linear = nn.DropConnectLinear(50, 40, p=0.5)
    y = linear(lamella.eye(50)) - linear.bias
    dropped = y == 0
    assert abs(dropped.float().mean().item() - 0.5) < 0.05 and close((y - 2 * linear.weight.t())[~dropped], 0.0)
    assert (linear.eval()(lamella.eye(50)) - linear.bias - linear.weight.t()).abs().max().item() < 1e-6
    y = nn.FeatureAlphaDropout(0.3)(lamella.randn(2000, 10, 7))
    same = (y[:, :, 1:] == y[:, :, :1]).all(-1)
    assert abs(same.float().mean().item() - 0.3) < 0.02 and abs(y.mean().item()) < 0.03 and abs(y.std().item() - 1) < 0.03
    for make in (lambda: nn.DropPath(1.5), lambda: nn.StochasticDepth(-0.1, "row"), lambda: nn.DropConnectLinear(2, 2, 2.0)):
        with pytest.raises(ValueError, match=r"must be in \[0, 1\]"):
            make()


def test_transposed_convolutions_take_an_output_size():
    down, up = nn.Conv2d(2, 3, 3, 2, 1), nn.ConvTranspose2d(3, 2, 3, 2, 1)
    for size in ((7, 8), (8, 7)):
        assert up(down(lamella.ones(1, 2, *size)), output_size=(1, 2, *size)).shape == (1, 2, *size)
    with pytest.raises(ValueError, match=r"output_size must be in \(7, 7\) to \(8, 8\), got \(9, 7\)"):
        up(lamella.ones(1, 3, 4, 4), output_size=(9, 7))


def test_embeddings_renormalise_what_they_use():
    layer = nn.Embedding(6, 3, max_norm=0.5)
    before = layer.weight.detach().clone()
    y = layer(lamella.tensor([1, 4, 1]))
    assert (y.norm(2.0, 1) <= 0.5 + 1e-6).all() and (layer.weight[[0, 2, 3, 5]] == before[[0, 2, 3, 5]]).all()
    table = nn.Embedding.from_pretrained(before, padding_idx=2)
    assert not table.weight.requires_grad and table.padding_idx == 2
    y = nn.Embedding(6, 3, scale_grad_by_freq=True)
    y(lamella.tensor([1, 4, 1, 1])).sum().backward()
    assert close(y.weight.grad[:, 0], lamella.tensor([0.0, 1.0, 0.0, 0.0, 1.0, 0.0]))
