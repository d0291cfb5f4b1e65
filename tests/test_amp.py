# SPDX-License-Identifier: MIT
"""Autocast: which op gives which dtype, weights' casts and gradients, regions; against what PyTorch's CPU autocast does."""

import threading
import warnings

import numpy as np
import pytest

import lamella
import lamella.nn.functional as F
from lamella import amp, nn, precision, train
from lamella.data import DataLoader, TensorDataset
from lamella.ops.gemm import linear_activation
from lamella.utils.checkpoint import checkpoint

BF16, F16, F32 = lamella.bfloat16, lamella.float16, lamella.float32
r = lamella.rand
LABELS = lamella.tensor([0, 1, 2])

LOWER = {
    "mm": lambda x: lamella.mm(x(3, 4), r(4, 3)),
    "matmul with a vector": lambda x: x(3, 4) @ r(4),
    "mv": lambda x: lamella.mv(x(3, 4), r(4)),
    "bmm": lambda x: lamella.bmm(x(2, 3, 4), r(2, 4, 3)),
    "addmm": lambda x: lamella.addmm(r(3, 3), x(3, 4), r(4, 3)),
    "einsum": lambda x: lamella.einsum("ij,jk->ik", x(3, 4), r(4, 3)),
    "tensordot": lambda x: lamella.tensordot(x(3, 4), r(4, 3), 1),
    "linear": lambda x: F.linear(x(3, 4), r(3, 4), r(3)),
    "linear_activation relu": lambda x: linear_activation(x(3, 4), r(3, 4), r(3), "relu"),
    "linear_activation gelu": lambda x: linear_activation(x(3, 4), r(3, 4), r(3), "gelu"),
    "conv1d": lambda x: F.conv1d(x(1, 1, 5), r(1, 1, 3), r(1)),
    "conv2d same": lambda x: F.conv2d(x(1, 1, 4, 4), r(1, 1, 2, 2), r(1), padding="same"),
    "conv_transpose2d": lambda x: F.conv_transpose2d(x(1, 1, 4, 4), r(1, 1, 3, 3), r(1)),
    "attention": lambda x: F.scaled_dot_product_attention(x(1, 2, 3, 4), r(1, 2, 3, 4), r(1, 2, 3, 4), r(3, 3)),
    "MultiheadAttention": lambda x: nn.MultiheadAttention(4, 2, batch_first=True)(x(1, 3, 4), x(1, 3, 4), x(1, 3, 4)),
    "LSTM": lambda x: nn.LSTM(4, 4, 2)(x(3, 2, 4)),
    "GRU": lambda x: nn.GRU(4, 4, bidirectional=True)(x(3, 2, 4)),
    "RNN": lambda x: nn.RNN(4, 4)(x(3, 2, 4)),
    "LSTMCell": lambda x: nn.LSTMCell(4, 4)(x(2, 4)),
    "prelu": lambda x: F.prelu(x(3, 4), r(4)),
}
FLOAT32 = {
    "cross_entropy": lambda x: F.cross_entropy(x(3, 4), LABELS),
    "cross_entropy of probabilities": lambda x: F.cross_entropy(x(3, 4), x(3, 4)),
    "nll_loss": lambda x: F.nll_loss(x(3, 4), LABELS),
    "mse_loss": lambda x: F.mse_loss(x(3), x(3)),
    "l1_loss": lambda x: nn.L1Loss()(x(3), x(3)),
    "binary_cross_entropy": lambda x: F.binary_cross_entropy(x(3), x(3)),
    "bce_with_logits": lambda x: F.binary_cross_entropy_with_logits(x(3), x(3)),
    "kl_div": lambda x: F.kl_div(x(3), x(3)),
    "huber_loss": lambda x: F.huber_loss(x(3), target=x(3)),
    "nt_xent_loss": lambda x: F.nt_xent_loss(x(3, 4), x(3, 4)),
    "triplet_margin_loss": lambda x: F.triplet_margin_loss(x(3, 4), x(3, 4), x(3, 4)),
    "ctc_loss": lambda x: F.ctc_loss(F.log_softmax(x(4, 1, 3), -1), LABELS[1:2].reshape(1, 1), LABELS[:1] + 4, LABELS[:1] + 1),
    "prod": lambda x: x(3).prod(),
    "trace": lambda x: lamella.trace(x(3, 3)),
    "cdist": lambda x: lamella.cdist(x(3, 4), x(3, 4)),
    "quantile": lambda x: lamella.quantile(x(3), 0.5),
    "cat": lambda x: lamella.cat([x(3), r(3)]),
    "stack": lambda x: lamella.stack([x(3), r(3)]),
    "add": lambda x: x(3) + r(3),
    "where": lambda x: lamella.where(x(3) > 0.5, x(3), r(3)),
    "index_copy": lambda x: r(3).index_copy(0, LABELS[:1], x(1)),
}
AS_GIVEN = {
    "softmax": lambda x: F.softmax(x(3, 4), -1),
    "log_softmax": lambda x: F.log_softmax(x(3, 4), -1),
    "layer_norm": lambda x: F.layer_norm(x(3, 4), (4,), r(4), r(4)),
    "group_norm": lambda x: F.group_norm(x(3, 4), 2, r(4), r(4)),
    "batch_norm": lambda x: F.batch_norm(x(3, 4), r(4), r(4), r(4), r(4), True),
    "exp": lambda x: x(3).exp(),
    "sum": lambda x: x(3).sum(),
    "dot": lambda x: lamella.dot(x(4), x(4)),
    "gelu": lambda x: F.gelu(x(3)),
    "max_pool2d": lambda x: F.max_pool2d(x(1, 1, 4, 4), 2),
}


def dtypes(y):
    return {t.dtype for part in (y if isinstance(y, tuple) else (y,)) for t in (part if isinstance(part, tuple) else (part,))}


@pytest.mark.parametrize("name", [*LOWER, *FLOAT32, *AS_GIVEN])
@pytest.mark.parametrize("lower", [BF16, F16], ids=["bfloat16", "float16"])
def test_dtype(name, lower):
    op = {**LOWER, **FLOAT32, **AS_GIVEN}[name]
    for given in (F32, lower):
        with lamella.autocast("cpu", dtype=lower):
            found = dtypes(op(lambda *shape: (r(*shape) * 0.5 + 0.25).to(given)))  # noqa: B023
        assert found == {lower if name in LOWER else F32 if name in FLOAT32 else given}


def test_float64_and_integers_are_left_alone():
    with lamella.autocast("cpu"):
        assert (r(2, 3).double() @ r(3, 2).double()).dtype is lamella.float64
        assert (lamella.ones(2, 2, dtype=lamella.float64) + 1).dtype is lamella.float64
        assert F.mse_loss(r(2).double(), r(2).double()).dtype is lamella.float64


def test_float32_losses_have_the_value_of_the_rounded_input():
    x, labels = r(5, 4).bfloat16(), lamella.tensor([0, 1, 2, 3, 0])
    with lamella.autocast("cpu"):
        loss = F.cross_entropy(x, labels)
    assert loss.item() == F.cross_entropy(x.float(), labels).item()


# ---- regions -----------------------------------------------------------------------------------------------------------
def test_regions_nest_and_end():
    a = r(2, 2)
    with lamella.autocast("cpu"):
        assert lamella.is_autocast_enabled("cpu") and lamella.get_autocast_dtype("cpu") is BF16
        with lamella.autocast("cpu", enabled=False):
            assert not lamella.is_autocast_enabled() and (a @ a).dtype is F32
            with amp.autocast("cpu", dtype=F16):
                assert (a @ a).dtype is F16
        assert (a @ a).dtype is BF16
    with pytest.raises(ValueError, match="out of here"), lamella.autocast("cpu", dtype=F16):
        raise ValueError("out of here")
    assert (a @ a).dtype is F32 and not lamella.is_autocast_enabled() and not precision.regions
    assert lamella.get_autocast_dtype("cpu") is BF16


def test_one_object_twice_and_as_decorator():
    region = lamella.autocast("cpu", dtype=F16)

    @region
    def product(a, deep):
        return product(a, deep - 1) if deep else a @ a

    with region, region:
        assert product(r(2, 2), 2).dtype is F16
    assert not precision.regions and (r(2, 2) @ r(2, 2)).dtype is F32
    assert product.__name__ == "product" and product(r(2, 2), 0).dtype is F16


def test_other_threads_are_not_concerned():
    found = []
    with lamella.autocast("cpu"):
        thread = threading.Thread(target=lambda: found.extend([(r(2, 2) @ r(2, 2)).dtype, F.mse_loss(r(2), r(2)).dtype]))
        thread.start()
        thread.join()
    assert found == [F32, F32]


@pytest.mark.parametrize("options", [{"device_type": "xpu"}, {"dtype": F32}], ids=["device", "dtype"])
def test_what_there_is_not_warns_and_casts_nothing(options):
    with pytest.warns(UserWarning, match=r"\[autocast\].*nothing is cast"):
        region = lamella.autocast(**options)
    with region:
        assert (r(2, 2) @ r(2, 2)).dtype is F32
    with pytest.raises(ValueError, match="device_type must be a string"):
        lamella.autocast(BF16)


def test_is_bfloat16_fast_is_the_isa_s():
    assert amp.is_bfloat16_fast() == (lamella._core.active_isa() == "v4dot")


# ---- weights and gradients ---------------------------------------------------------------------------------------------
def casts(function):
    """How many casts are recorded."""
    nodes = []
    before = lamella._core.watch_nodes(nodes)
    try:
        function()
    finally:
        lamella._core.watch_nodes(before)
    return sum(n.name() == "identity" for n in nodes)


def test_a_weight_is_cast_once_in_the_outermost_region():
    w, x = r(3, 3, requires_grad=True), r(3, 3)

    def twice():
        with lamella.autocast("cpu"):
            return x @ w

    def within(**options):
        with lamella.autocast("cpu", **options):
            twice(), twice()
            with lamella.autocast("cpu", enabled=False):
                twice()

    assert casts(within) == 1 and casts(lambda: (twice(), twice())) == 2
    assert casts(lambda: within(cache_enabled=False)) == 3  # taken over by the regions inside
    with lamella.autocast("cpu", cache_enabled=False):
        assert casts(lambda: (x @ w, x @ w)) == 2
    assert not precision.state.cache


def test_the_cast_of_a_changed_weight_is_fresh():
    w, x = r(3, 3, requires_grad=True), r(3, 3)
    with lamella.autocast("cpu"):
        before = x @ w
        with lamella.no_grad():
            w.mul_(2)
        assert ((x @ w) == 2 * before).all()
        with lamella.no_grad():
            assert not (x @ w).requires_grad
        assert (x @ w).requires_grad


def test_several_backward_passes_in_one_region():
    w, x = r(3, 3, requires_grad=True), r(3, 3)
    with lamella.autocast("cpu"):
        for _ in range(2):
            (x @ w).sum().backward()
    assert np.allclose(w.grad.numpy(), 2 * np.tile(x.bfloat16().float().sum(0).numpy()[:, None], 3), rtol=2e-2)


def test_a_cast_without_gradient_does_not_stay():
    w, x = r(3, 3, requires_grad=True), r(3, 3)
    with lamella.autocast("cpu"):
        with lamella.no_grad():
            x @ w
        (x @ w).sum().backward()
    assert w.grad is not None


def net():
    lamella.manual_seed(3)
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.LayerNorm(64), nn.Linear(64, 3))


@pytest.mark.parametrize("dtype", [BF16, F16], ids=["bfloat16", "float16"])
def test_gradients_are_float32_and_near(dtype):
    model, y = net(), lamella.tensor([0, 1, 2, 0, 1, 2])
    x = lamella.tensor(np.random.default_rng(0).random((6, 1, 4, 4), dtype=np.float32))
    grads = []
    for enabled in (False, True):
        model.zero_grad()
        with lamella.autocast("cpu", dtype=dtype, enabled=enabled):
            loss = F.cross_entropy(model(x), y)
        loss.backward()
        assert {p.grad.dtype for p in model.parameters()} == {F32} and loss.dtype is F32
        grads.append(np.concatenate([p.grad.numpy().ravel() for p in model.parameters()]))
    assert 0 < np.linalg.norm(grads[1] - grads[0]) < (2e-2 if dtype is BF16 else 3e-3) * np.linalg.norm(grads[0])


def test_training_goes_down_alike():
    x, y = r(32, 1, 4, 4), lamella.randint(0, 3, (32,))
    last = []
    for enabled in (False, True):
        model = net()
        optimizer = lamella.optim.AdamW(model.parameters(), lr=1e-2)
        for _ in range(25):
            with lamella.autocast("cpu", enabled=enabled):
                loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        last.append(loss.item())
    assert last[0] < 0.6 and abs(last[1] - last[0]) < 0.05


def test_backward_computes_as_forward_did():
    """Also where it is called inside a region: what forward did in float32, backward does in float32."""
    def gradient(inside):
        lamella.manual_seed(1)
        a, b = r(8, 8, requires_grad=True), r(8, 8, requires_grad=True)
        c = a @ b
        with lamella.autocast("cpu", enabled=inside):
            (c * c).sum().backward()
        return a.grad.numpy()

    assert np.array_equal(gradient(True), gradient(False))


def test_second_derivatives_inside():
    x, w, b = r(5, 4, requires_grad=True), r(3, 4, requires_grad=True), r(3, requires_grad=True)
    found = []
    for enabled in (False, True):
        with lamella.autocast("cpu", enabled=enabled):
            y = linear_activation(x, w, b, "gelu").float().square().sum()
            (dx,) = lamella.autograd.grad(y, x, create_graph=True)
            (dw,) = lamella.autograd.grad(dx.square().sum(), w)
        found.append(dw.numpy())
    assert found[1].dtype == np.float32 and np.allclose(found[0], found[1], rtol=0.1, atol=0.02 * np.abs(found[0]).max())


@pytest.mark.parametrize("cell", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_gradients(cell):
    layer, x = cell(3, 5), r(4, 2, 3)
    found = []
    for enabled in (False, True):
        layer.zero_grad()
        with lamella.autocast("cpu", enabled=enabled):
            y, _ = layer(x)
        y.float().square().sum().backward()
        found.append(layer.weight_hh_l0.grad.numpy())
    assert found[1].dtype == np.float32 and np.allclose(found[0], found[1], atol=0.03 * np.abs(found[0]).max())


# ---- what else recomputes or brings its own rules ----------------------------------------------------------------------
def test_checkpoint_computes_the_same_again():
    lamella.manual_seed(2)
    shared = nn.Linear(6, 6)
    blocks = [nn.Sequential(shared, nn.GELU(), nn.Dropout(0.3), nn.Linear(6, 6)) for _ in range(3)]
    x = r(4, 6)

    def gradients(call, where):
        lamella.manual_seed(5)
        for p in shared.parameters():
            p.grad = None
        with lamella.autocast("cpu"):
            y = x
            for block in blocks:
                y = call(block, y)
            loss = (shared(y)).float().square().sum()
            if where == "inside":
                loss.backward()
        if where == "outside":
            loss.backward()
        return shared.weight.grad.numpy()

    plain = gradients(lambda block, y: block(y), "outside")
    for where in ("inside", "outside"):
        assert np.allclose(gradients(lambda block, y: checkpoint(block, y), where), plain, rtol=2e-2, atol=2e-2 * np.abs(plain).max())


def test_checkpoint_of_one_segment_has_the_same_bits():
    block, x = nn.Sequential(nn.Linear(6, 6), nn.GELU(), nn.Linear(6, 6)), r(4, 6)
    found = []
    for call in (block, lambda v: checkpoint(block, v)):
        block.zero_grad()
        with lamella.autocast("cpu"):
            y = call(x)
            assert y.dtype is BF16
        y.float().square().sum().backward()
        found.append(block[0].weight.grad.numpy())
    assert np.array_equal(*found)


def test_custom_functions():
    seen = []

    class Product(lamella.autograd.Function):
        @staticmethod
        @amp.custom_fwd(device_type="cpu")
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            return a @ b

        @staticmethod
        @amp.custom_bwd(device_type="cpu")
        def backward(ctx, dy):
            a, b = ctx.saved_tensors
            seen.append((dy @ b.mT).dtype)
            return dy @ b.mT, a.mT @ dy

    class InFloat32(Product):
        @staticmethod
        @amp.custom_fwd(device_type="cpu", cast_inputs=F32)
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            assert not lamella.is_autocast_enabled("cpu")
            return a @ b

    a, b = r(2, 2, requires_grad=True), r(2, 2, requires_grad=True)
    for op, wanted in ((Product, BF16), (InFloat32, F32)):
        with lamella.autocast("cpu"):
            y = op.apply(a, b)
        assert y.dtype is wanted
        y.float().sum().backward()
        assert seen.pop() is wanted and a.grad.dtype is F32
    with lamella.autocast("cpu"):
        assert InFloat32.apply(a.detach().bfloat16(), b.detach()).dtype is F32
    assert InFloat32.apply(a.detach().double(), b.detach().double()).dtype is lamella.float64


# ---- in the Trainer ----------------------------------------------------------------------------------------------------
@pytest.mark.filterwarnings("ignore:.Trainer. precision 'bfloat16'")
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_the_trainer_resumes_to_the_same_bits(precision, tmp_path):
    data = TensorDataset(r(40, 1, 4, 4), lamella.randint(0, 3, (40,)))

    def run(steps, resume=None, save=None):
        model = net().to(BF16) if precision == "bfloat16" else net()
        optimizer = lamella.optim.AdamW(model.parameters(), lr=1e-2)
        if precision == "bfloat16":
            optimizer = amp.MasterWeights(optimizer)
        trainer = train.Trainer(model, optimizer, F.cross_entropy, precision=precision, clip_norm=1.0, seed=0)
        if resume:
            trainer.resume(resume)
        trainer.fit(DataLoader(data, 8, shuffle=True), steps=steps)
        if save:
            trainer.save(save)
        return np.concatenate([p.detach().float().numpy().ravel() for p in model.parameters()]), trainer

    straight, trainer = run(9)
    run(4, save=tmp_path / "state.safetensors")
    resumed, other = run(9, resume=tmp_path / "state.safetensors")
    assert np.array_equal(straight, resumed)
    if precision == "float16":
        assert other.scaler.state_dict() == trainer.scaler.state_dict()


def test_the_trainer_says_where_bfloat16_is_slow(monkeypatch):
    from lamella.amp import autocast_mode

    model = nn.Linear(2, 2)
    for fast in (False, True):
        monkeypatch.setattr(autocast_mode, "is_bfloat16_fast", lambda fast=fast: fast)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            train.Trainer(model, lamella.optim.SGD(model.parameters(), lr=0.1), F.mse_loss, precision="bfloat16")
        assert ["1.3 times as long" in str(w.message) for w in told] == ([] if fast else [True])
