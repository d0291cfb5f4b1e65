# SPDX-License-Identifier: MIT
"""The case records on device `cuda`: a GPU, or the emulated one that CI builds (`.ci/run`, step cuda_emulated). Without
either they skip, saying why."""

import functools
import os

import numpy as np
import pytest

import lamella
from harness import CASES, Call, check_close, dtypes_of, leaves_of, name_of, to_numpy, tolerance
from lamella import cuda

if not cuda.is_available():
    pytest.skip(f"no GPU: {cuda.why_not()}", allow_module_level=True)
# The emulated device takes its time: of dtypes other than float32 it gets the first samples, unless all are asked for.
FEW = cuda.get_device_name() == "emulated device" and not os.environ.get("LAMELLA_EMULATE_ALL")


def sent(tensors):
    """Leaves on the GPU, that require gradient where they did."""
    return [t.detach().cuda().requires_grad_(t.requires_grad) for t in tensors]


def points(gradient: bool):
    for case in CASES:
        if gradient and not case.grad:
            continue
        for index in range(len(case.samples)):
            if gradient:
                leaves = leaves_of(case, index)
                if not any(x.differentiable for x in leaves) or any(0 in x.shape for x in leaves):
                    continue
            for dtype in dtypes_of(case, index):
                if not FEW or dtype == "float32" or index < 2:
                    yield pytest.param(case, index, dtype, id=f"{case.op}-{index}-{dtype}-cuda")


def check_device(outputs):
    for y in outputs:
        if isinstance(y, lamella.Tensor):
            assert y.is_cuda, f"result lies on {y.device}"


@pytest.mark.parametrize(("case", "index", "dtype"), list(points(gradient=False)))
def test_parity(case, index, dtype):
    call = Call(case, index, dtype)
    outputs, wants = call.forward(sent(call.tensors())), call.reference()
    assert len(outputs) == len(wants), f"{len(outputs)} results, expected {len(wants)}"
    for i, (got, want) in enumerate(zip(outputs, wants, strict=True)):
        if not isinstance(got, lamella.Tensor):
            assert got == want
            continue
        expected = call.out_dtype(want)
        assert name_of(got.dtype) == expected, f"result {i}: dtype {name_of(got.dtype)}, expected {expected}"
        tol = tolerance(case, expected) if want.dtype.kind == "f" else 0.0
        check_close(to_numpy(got.cpu()), want, expected, tol, f"result {i}")
    if call.leaves:
        check_device(outputs)


@functools.lru_cache(maxsize=1)
def wanted_gradients(number: int, index: int, dtype: str):
    call = Call(CASES[number], index, dtype, special=False)
    return call, [g if g is None else to_numpy(g) for g in call.gradients(call.tensors("float64", grad=True))]


@pytest.mark.parametrize(("case", "index", "dtype"), list(points(gradient=True)))
def test_gradient_parity(case, index, dtype):
    call, wanted = wanted_gradients(CASES.index(case), index, dtype)
    got = call.gradients(sent(call.tensors(grad=True)), layout=lambda p: p.cuda())
    for i, (g, w) in enumerate(zip(got, wanted, strict=True)):
        assert (g is None) == (w is None)
        if g is not None:
            assert g.is_cuda
            check_close(to_numpy(g.cpu()), w, dtype, 8 * tolerance(case, dtype), f"gradient {i}")


# ---- tensors, errors -------------------------------------------------------------------------------------------------
def test_there_and_back():
    x = lamella.randn(3, 5)
    y = x.cuda()
    assert y.device == lamella.device("cuda", 0) and y.is_cuda and not x.is_cuda and y.get_device() == 0
    assert lamella.equal(y.cpu(), x) and y.cuda() is y
    assert y.t().cpu().tolist() == x.t().tolist()
    z = x.to("cuda", lamella.float16)
    assert z.dtype is lamella.float16 and z.is_cuda
    z = lamella.empty(5, 3).t()
    z.copy_(y)
    assert lamella.equal(z, x)
    assert "device='cuda:0'" in repr(y) and y.tolist() == x.tolist()


def test_gradient_goes_back_to_the_cpu():
    x = lamella.randn(4, requires_grad=True)
    (x.cuda() * 3).sum().backward()
    assert x.grad.tolist() == [3.0] * 4 and not x.grad.is_cuda


def test_devices_do_not_mix():
    x, y = lamella.ones(3), lamella.ones(3).cuda()
    with pytest.raises(RuntimeError, match=r"\[add\] tensors must lie on one device, got cpu and cuda:0"):
        x + y
    with pytest.raises(RuntimeError, match="one device"):
        lamella.matmul(lamella.ones(3, 3), y)
    with pytest.raises(TypeError, match=r"\[numpy\] tensor must lie on the CPU, got cuda:0"):
        y.numpy()
    assert (y * lamella.tensor(2.0)).tolist() == [2.0] * 3  # a number may come from the CPU


def test_creation_where_it_is_wanted():
    for make in (lamella.zeros, lamella.ones, lamella.empty, lamella.rand, lamella.randn):
        assert make(2, 3, device="cuda").is_cuda
    assert lamella.arange(5, device="cuda").tolist() == [0, 1, 2, 3, 4]
    assert lamella.linspace(0, 1, 3, device="cuda").tolist() == [0, 0.5, 1]
    assert lamella.eye(2, device="cuda").tolist() == [[1, 0], [0, 1]]
    x = lamella.ones(2, device="cuda")
    assert all(f(x).is_cuda for f in (lamella.zeros_like, lamella.ones_like, lamella.rand_like, lamella.empty_like))
    assert x.new_zeros(3).is_cuda and lamella.tensor([1.0], device="cuda:0").is_cuda
    with lamella.device("cuda"):
        assert lamella.zeros(2).is_cuda and lamella.nn.Linear(2, 2).weight.is_cuda
    assert not lamella.zeros(2).is_cuda


def test_same_random_numbers():
    def draw(device):
        lamella.manual_seed(3)
        x = lamella.empty(1000, device=device)
        drawn = [x.uniform_().cpu(), lamella.randint(0, 100, (999,), device=device).cpu(), lamella.randperm(50, device=device).cpu()]
        return [*drawn, lamella.nn.functional.dropout(lamella.ones(777, device=device), 0.3).cpu(), lamella.randn(501, device=device).cpu()]

    here, there = draw("cpu"), draw("cuda")
    for a, b in zip(here[:-1], there[:-1], strict=True):
        assert lamella.equal(a, b)
    np.testing.assert_allclose(here[-1].numpy(), there[-1].numpy(), rtol=2e-6, atol=1e-7)


def test_index_out_of_range_is_told_at_the_next_wait():
    table, index = lamella.randn(10, 4).cuda(), lamella.tensor([1, 12]).cuda()
    y = lamella.nn.functional.embedding(index, table)
    with pytest.raises(IndexError, match=r"\[embedding\] index must be in \[0, 10\), got 12 at flat position 1"):
        y.cpu()
    y.cpu()  # once


def test_no_memory_is_a_memory_error():
    with pytest.raises(MemoryError, match=r"\[cuda\] cuda:0 must have \d+ bytes left"):
        lamella.empty(1 << 46, device="cuda", dtype=lamella.uint8)
    assert lamella.ones(3, device="cuda").sum().item() == 3


def test_memory_comes_back():
    cuda.synchronize()
    x = lamella.randn(64, 64, device="cuda")
    before = cuda.memory_stats()["device_requests"]
    for _ in range(5):
        y = (x @ x).relu()
        del y
    after = cuda.memory_stats()
    assert after["device_requests"] - before <= 3  # those of the first round
    held = cuda.memory_allocated()
    del x
    assert cuda.memory_allocated() <= held - 64 * 64 * 4
    cuda.empty_cache()
    assert cuda.memory_reserved() >= cuda.memory_allocated()


def test_pinned_memory():
    x = lamella.randn(100).pin_memory()
    assert x.is_pinned() and not lamella.ones(2).is_pinned()
    assert lamella.equal(x.to("cuda", non_blocking=True).cpu(), x)


# ---- training --------------------------------------------------------------------------------------------------------
def small_model():
    lamella.manual_seed(1)
    nn = lamella.nn
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                         nn.Linear(8 * 4 * 4, 10))  # fmt: skip


def trained(device, steps=4, graph=False):
    model = small_model().to(device)
    optimizer = lamella.optim.AdamW(model.parameters(), lr=1e-2)
    x, t = lamella.randn(6, 3, 8, 8).to(device), lamella.arange(6).to(device)

    def step():
        optimizer.zero_grad()
        loss = lamella.nn.functional.cross_entropy(model(x), t)
        loss.backward()
        optimizer.step()
        return loss.detach()

    losses = [step().item() for _ in range(steps)]
    return losses, {k: v.cpu() for k, v in model.state_dict().items()}, step


def test_training_is_that_of_the_cpu():
    here, there = trained("cpu"), trained("cuda")
    np.testing.assert_allclose(here[0], there[0], rtol=1e-4)
    for k, v in here[1].items():
        np.testing.assert_allclose(v.numpy(), there[1][k].numpy(), rtol=2e-3, atol=2e-4, err_msg=k)


def test_training_gives_the_same_bits_again():
    a, b = trained("cuda"), trained("cuda")
    assert a[0] == b[0] and all(lamella.equal(v, b[1][k]) for k, v in a[1].items())


def test_module_moves_with_its_state(tmp_path):
    model = small_model().cuda()
    assert all(p.is_cuda for p in model.parameters()) and all(b.is_cuda for b in model.buffers())
    lamella.save(model.state_dict(), tmp_path / "m.safetensors")
    other = small_model()
    other.load_state_dict(lamella.load(tmp_path / "m.safetensors"))
    assert not next(other.parameters()).is_cuda
    assert lamella.equal(other[0].weight, model.cpu()[0].weight)


def test_properties():
    p = cuda.get_device_properties()
    assert p.name and p.total_memory > 0 and p.multi_processor_count > 0 and cuda.get_device_capability() >= (8, 0)
    assert cuda.device_count() >= 1 and cuda.current_device() == 0
    with pytest.raises(RuntimeError, match="must be there"):
        lamella.zeros(2, device=f"cuda:{cuda.device_count()}")


def test_trainer_moves_batches():
    from lamella.data import DataLoader, TensorDataset
    from lamella.train import Trainer

    lamella.manual_seed(0)
    model = lamella.nn.Linear(3, 1).cuda()
    x = lamella.randn(32, 3)
    loader = DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=8, pin_memory=True)
    trainer = Trainer(model, lamella.optim.Adam(model.parameters(), lr=0.1), lamella.nn.MSELoss())
    history = trainer.fit(loader, epochs=15)
    assert history.rows[-1]["loss"] < history.rows[0]["loss"] / 10
    assert trainer.predict(loader).is_cuda


def test_autocast_and_scaler():
    model = lamella.nn.Linear(8, 4).cuda()
    optimizer, scaler = lamella.optim.SGD(model.parameters(), lr=0.1), lamella.amp.GradScaler("cuda", init_scale=16.0)
    assert scaler.is_enabled()
    before = model.weight.cpu()
    with lamella.autocast("cuda"):
        y = model(lamella.randn(5, 8, device="cuda"))
    assert y.dtype is lamella.float16
    scaler.scale(y.float().square().mean()).backward()
    scaler.step(optimizer)
    scaler.update()
    assert not lamella.equal(model.weight.cpu(), before) and model.weight.grad.dtype is lamella.float32


def test_optimizer_state_loads_where_the_parameters_lie():
    p = lamella.nn.Parameter(lamella.ones(5))
    optimizer = lamella.optim.Adam([p], lr=0.1)
    p.grad = lamella.ones(5)
    optimizer.step()
    q = lamella.nn.Parameter(lamella.ones(5).cuda())
    other = lamella.optim.Adam([q], lr=0.1)
    other.load_state_dict(optimizer.state_dict())
    q.grad = lamella.ones(5).cuda()
    other.step()
    assert all(v.is_cuda for v in other.state[q].values() if isinstance(v, lamella.Tensor))
