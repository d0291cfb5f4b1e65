# SPDX-License-Identifier: MIT
"""Streams, events, several GPUs, pinned memory, other libraries, graphs. On a GPU or the emulated one (`.ci/run`, step
cuda_emulated, which has two); without either they skip, saying why."""

import numpy as np
import pytest

import lamella
import lamella.nn.functional as F
from lamella import cuda, nn

if not cuda.is_available():
    pytest.skip(f"no GPU: {cuda.why_not()}", allow_module_level=True)
two = pytest.mark.skipif(cuda.device_count() < 2, reason="one GPU")


# ---- streams and events ------------------------------------------------------------------------------------------------
def test_streams_and_events():
    side, x = cuda.Stream(), lamella.ones(1000, device="cuda")
    start, end = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True, blocking=True)
    with cuda.stream(side):
        assert cuda.current_stream() == side
        start.record()
        y = x + 1
        end.record()
    cuda.current_stream().wait_stream(side)
    y.record_stream(cuda.current_stream())
    assert y.sum().item() == 2000
    side.synchronize()
    end.synchronize()
    assert side.query() and end.query() and start.elapsed_time(end) >= 0
    assert cuda.current_stream() == cuda.default_stream()


def test_streams_after_an_error():
    with pytest.raises(ZeroDivisionError), cuda.stream(cuda.Stream()):
        raise ZeroDivisionError
    assert cuda.current_stream() == cuda.default_stream()


def test_options_that_there_are_not():
    with pytest.raises(ValueError, match="interprocess must be False"):
        cuda.Event(interprocess=True)
    with pytest.raises(ValueError, match="enable_timing"):
        cuda.Event().elapsed_time(cuda.Event())
    with pytest.raises(RuntimeError, match=r"\[record_stream\] tensor must lie on a GPU"):
        lamella.ones(2).record_stream(cuda.current_stream())


# ---- several GPUs --------------------------------------------------------------------------------------------------------
@two
def test_two_devices():
    x = lamella.arange(6, device="cuda:1")
    y = x.to("cuda:0")
    assert str(x.device) == "cuda:1" and str(y.device) == "cuda:0"
    assert (x * 2).tolist() == (y * 2).tolist() == [0, 2, 4, 6, 8, 10]
    with pytest.raises(RuntimeError, match=r"tensors must lie on one device, got cuda:\d and cuda:\d"):
        x + y
    y.copy_(x + 1)
    assert y.tolist() == [1, 2, 3, 4, 5, 6]
    assert nn.Linear(2, 2).to(x.float()).weight.device == x.device


@two
def test_each_device_has_its_streams():
    first, second = cuda.Stream("cuda:0"), cuda.Stream("cuda:1")
    with cuda.stream(second):
        assert cuda.current_device() == 1 and cuda.current_stream() == second
        assert cuda.current_stream("cuda:0") == cuda.default_stream("cuda:0")
        with cuda.stream(first):
            assert cuda.current_device() == 0 and cuda.current_stream(0) == first and cuda.current_stream(1) == second
            x = lamella.ones(3, device="cuda:0").to("cuda:1") + lamella.ones(3, device="cuda:1")
            assert x.tolist() == [2.0] * 3
        second.wait_stream(first)
    assert cuda.current_device() == 0 and cuda.current_stream(1) == cuda.default_stream(1)
    with cuda.device(1):
        event = cuda.Event()
        event.record()
        assert event.device.index == 1 and event.query()


@two
def test_a_device_that_is_not_there_leaves_the_thread_where_it_was():
    x = lamella.ones(2)
    with pytest.raises(RuntimeError, match=r"device must be one of \d+, got cuda:\d+"):
        lamella._core.cuda_synchronize(100)
    assert not (x + x).is_cuda and not lamella.zeros(2).is_cuda


# ---- pinned memory, other libraries --------------------------------------------------------------------------------------
def test_pinned_memory():
    x = lamella.randn(100000).pin_memory()
    assert x.is_pinned() and not lamella.ones(2).is_pinned()
    want = x.clone()
    y = x.to("cuda")  # waits: x may be written again
    x.zero_()
    assert lamella.equal(y.cpu(), want)
    x.copy_(want)
    assert lamella.equal(x.to("cuda", non_blocking=True).cpu(), want)
    assert lamella.equal(x.to("cuda", lamella.float64, True).cpu().float(), want)
    assert lamella.equal(y.zero_().copy_(x, non_blocking=True).cpu(), want)
    assert lamella.equal(x.cuda(non_blocking=True).cpu(), want)


def test_pinned_memory_is_used_again():
    at = set()
    for _ in range(5):
        x = lamella.ones(3000).pin_memory()
        x.to("cuda", non_blocking=True)
        cuda.synchronize()
        at.add(x.data_ptr())
        del x
    assert len(at) == 1


class Foreign:
    """What another library hands out: it notes the stream it was told."""

    def __init__(self, x):
        self.x, self.streams = x, []

    def __dlpack__(self, *, stream=None, max_version=None):
        self.streams.append(stream)
        return self.x.__dlpack__(stream=stream, max_version=max_version)

    def __dlpack_device__(self):
        return self.x.__dlpack_device__()


def test_dlpack_names_streams():
    x = lamella.arange(5, device="cuda") * 1.5
    foreign, side = Foreign(x), cuda.Stream()
    y = lamella.from_dlpack(foreign)
    with cuda.stream(side):
        z = lamella.from_dlpack(foreign)
    assert foreign.streams == [1, side.cuda_stream]  # 1: the default stream, by DLPack's name
    assert y.is_cuda and y.data_ptr() == z.data_ptr() == x.data_ptr() and y.tolist() == x.tolist()
    for stream in (None, 1, 2, -1, side.cuda_stream):
        assert lamella.from_dlpack(x.__dlpack__(stream=stream)).tolist() == x.tolist()
    assert Foreign(lamella.ones(2)).__dlpack_device__() == (1, 0)


# ---- graphs ----------------------------------------------------------------------------------------------------------------
def test_graph_replays_what_was_captured():
    x = lamella.ones(8, device="cuda")
    total = lamella.zeros(8, device="cuda")
    total += x * 2
    g = cuda.CUDAGraph()
    with cuda.graph(g):
        assert cuda.is_current_stream_capturing()
        total += x * 2
    assert total.tolist() == [2.0] * 8 and not cuda.is_current_stream_capturing()
    g.replay()
    x.copy_(lamella.full((8,), 5.0))
    g.replay()
    assert total.tolist() == [14.0] * 8


def stepper(optimizer_of, clip=None, dropout=0.0, schedule=False):
    model = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Dropout(dropout), nn.Linear(8, 1))
    model.load_state_dict({k: lamella.full(v.shape, 0.1) for k, v in model.state_dict().items()})
    model.cuda()
    optimizer = optimizer_of(model.parameters())

    def step(x, t):
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), t)
        loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        return loss.detach()

    return model, optimizer, step


def run(graphed, optimizer_of, schedule=False, **options):
    """Two steps, then four more, by a graph or not: the losses and the parameters."""
    lamella.manual_seed(5)
    model, optimizer, step = stepper(optimizer_of, **options)
    scheduler = lamella.optim.lr_scheduler.ExponentialLR(optimizer, 0.5) if schedule else None
    batches = [(lamella.randn(6, 4).cuda(), lamella.randn(6, 1).cuda()) for _ in range(4)]
    if graphed:
        step = cuda.make_graphed_callable(step, *batches[0], warmup=2)
    else:
        step(*batches[0])
        step(*batches[0])
    losses = []
    for b in batches:
        losses.append(step(*b).item())
        if scheduler:
            scheduler.step()
    steps = [int(s["step"]) for s in optimizer.state.values() if "step" in s]
    return losses, [p.tolist() for p in model.parameters()], steps, lamella.rand(2).tolist()


OPTIMIZERS = {
    "sgd": lambda p: lamella.optim.SGD(p, lr=0.1),
    "momentum": lambda p: lamella.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "lars": lambda p: lamella.optim.LARS(p, lr=0.5, weight_decay=0.1, trust_clip=True),
    "asgd": lambda p: lamella.optim.ASGD(p, lr=0.1, lambd=0.1, t0=1),
    "muon": lambda p: lamella.optim.Muon([q for q in p if q.ndim == 2], lr=0.05),
    "adam": lambda p: lamella.optim.Adam(p, lr=0.05),
    "adamw": lambda p: lamella.optim.AdamW(p, lr=0.05, weight_decay=0.1, amsgrad=True),
    "nadam": lambda p: lamella.optim.NAdam(p, lr=0.05),
    "radam": lambda p: lamella.optim.RAdam(p, lr=0.05),
    "lamb": lambda p: lamella.optim.LAMB(p, lr=0.05),
    "rmsprop": lambda p: lamella.optim.RMSprop(p, lr=0.01),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_training_step_as_a_graph(name):
    assert run(True, OPTIMIZERS[name], schedule=True) == run(False, OPTIMIZERS[name], schedule=True)


def test_master_weights_as_a_graph():
    def of(parameters):
        return lamella.amp.MasterWeights(lamella.optim.AdamW([p for p in parameters], lr=0.05))

    def trained(graphed):
        p = nn.Parameter(lamella.linspace(-1, 1, 8).cuda().bfloat16())
        optimizer, x = of([p]), lamella.ones(8, device="cuda")

        def step(x):
            optimizer.zero_grad()
            loss = ((p.float() - x) ** 2).sum()
            loss.backward()
            optimizer.step()
            return loss.detach()

        if graphed:
            step = cuda.make_graphed_callable(step, x, warmup=2)
        else:
            step(x), step(x)
        return [step(x).item() for _ in range(4)], p.tolist()

    assert trained(True) == trained(False)


def test_a_graph_draws_the_next_numbers_and_follows_the_schedule():
    options = dict(dropout=0.5, clip=0.1, schedule=True)
    assert run(True, OPTIMIZERS["adam"], **options) == run(False, OPTIMIZERS["adam"], **options)


def test_random_ops_of_a_graph():
    x = lamella.zeros(40, device="cuda")
    q = lamella.ones(1, 2, 5, 8, device="cuda")

    def draw():
        return [
            lamella.randn(7, device="cuda"),
            F.dropout(x + 1, 0.5),
            lamella.randint(0, 50, (9,), device="cuda"),
            lamella.bernoulli(x + 0.5),
            F.scaled_dot_product_attention(q, q, q, dropout_p=0.5),
            F.scaled_dot_product_attention(q.half(), q.half(), q.half(), dropout_p=0.5),
        ]

    lamella.manual_seed(3)
    want = [[t.tolist() for t in draw()] for _ in range(3)]
    state = lamella.get_rng_state()
    g = cuda.CUDAGraph()
    with cuda.graph(g):
        drawn = draw()
    assert lamella.equal(lamella.get_rng_state(), state)  # nothing was drawn
    for seed in (3, 3, 8):
        lamella.manual_seed(seed)
        got = []
        for _ in range(3):
            g.replay()
            got.append([t.tolist() for t in drawn])
        assert (got == want) == (seed == 3)
        assert got[0] != got[1]


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "sgd"])
def test_state_is_not_made_inside_a_graph(name):
    p = nn.Parameter(lamella.ones(3, 3).cuda())
    optimizer = OPTIMIZERS[name]([p])
    p.grad = lamella.ones(3, 3).cuda()
    with pytest.raises(RuntimeError, match="step must have been called before"), cuda.graph(cuda.CUDAGraph()):
        optimizer.step()


def test_an_average_is_not_captured():
    model = nn.Linear(2, 2).cuda()
    averaged = lamella.optim.swa_utils.AveragedModel(model)
    with pytest.raises(RuntimeError, match="must be called outside of a captured graph"), cuda.graph(cuda.CUDAGraph()):
        averaged.update_parameters(model)


def test_graph_that_waits_is_an_error():
    x = lamella.ones(3, device="cuda")
    g = cuda.CUDAGraph()
    with pytest.raises(RuntimeError, match=r"\[cuda\]"), cuda.graph(g):
        x.sum().item()
    with pytest.raises(RuntimeError, match="must be captured"):
        g.replay()
    assert not cuda.is_current_stream_capturing() and (x + x).tolist() == [2.0] * 3


def test_errors_inside_a_graph_are_theirs():
    g = cuda.CUDAGraph()
    with pytest.raises(KeyError, match="mine"), cuda.graph(g):
        lamella.ones(3, device="cuda")
        raise KeyError("mine")
    with cuda.graph(g):  # empty again
        with pytest.raises(RuntimeError, match="before another begins"):
            cuda.CUDAGraph().capture_begin()
        y = lamella.ones(3, device="cuda") + 1
    g.replay()
    assert y.tolist() == [2.0] * 3
    for wrong, error in ((dict(pool=3), TypeError), (dict(capture_error_mode="global"), ValueError)):
        with pytest.raises(error, match=next(iter(wrong))):
            cuda.CUDAGraph().capture_begin(**wrong)


def test_graphs_that_share_memory():
    x = lamella.ones(4, device="cuda")
    first, second = cuda.CUDAGraph(), cuda.CUDAGraph()
    with cuda.graph(first, pool=cuda.graph_pool_handle()):
        y = x + 1
    with cuda.graph(second, pool=first.pool()):
        z = y * 2
    first.reset()
    with pytest.raises(RuntimeError, match="must be captured"):
        first.pool()
    x.fill_(5)
    y.fill_(1)
    second.replay()
    assert z.tolist() == [2.0] * 4
    reserved = cuda.memory_reserved()
    del y, z
    second.reset()
    assert cuda.memory_reserved() < reserved


def test_copies_inside_a_graph():
    short, kept, pinned = lamella.arange(10.0), lamella.arange(5000.0), lamella.arange(5000.0).pin_memory()
    want = short.sum().item(), kept.sum().item()
    g = cuda.CUDAGraph()
    with cuda.graph(g):
        a, b, c = short.cuda().sum(), kept.cuda().sum(), pinned.cuda(non_blocking=True).sum()
        order = lamella.randperm(2000, device="cuda")
    short.zero_(), kept.zero_(), pinned.fill_(2)
    g.replay()
    assert (a.item(), b.item(), c.item()) == (*want, 10000.0)
    assert sorted(order.tolist()) == list(range(2000))
    with pytest.raises(RuntimeError, match="must be of pinned memory"), cuda.graph(cuda.CUDAGraph()):
        lamella.zeros(1 << 19).cuda()


def test_clipping_does_not_wait():
    g, want = lamella.randn(1000), []
    for limit in (0.5, 1e6):
        p = nn.Parameter(lamella.zeros(1000))
        p.grad = g.clone()
        q = nn.Parameter(lamella.zeros(1000).cuda())
        q.grad = g.clone().cuda()
        norms = [float(nn.utils.clip_grad_norm_([one], limit)) for one in (p, q)]
        np.testing.assert_allclose(norms[1], norms[0], rtol=1e-6)
        np.testing.assert_allclose(q.grad.cpu().numpy(), p.grad.numpy(), rtol=1e-6)
        want.append(float(p.grad.norm()))
    assert abs(want[0] - 0.5) < 1e-4 and want[1] > 20
    q.grad[3] = float("nan")
    nn.utils.clip_grad_norm_([q], 1.0)
    assert q.grad.isnan().all()
    with pytest.raises(RuntimeError, match="must be finite"):
        nn.utils.clip_grad_norm_([q], 1.0, error_if_nonfinite=True)
