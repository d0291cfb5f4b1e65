# SPDX-License-Identifier: MIT
"""The library as part of a process: threads, fork, memory, interrupts, the measured peaks."""

import os
import resource
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

import lamella
from lamella import _core, nn
from lamella.nn import functional as F


def run(code, **env):
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120, env={**os.environ, **env}
    )
    return result.returncode, result.stdout.strip(), result.stderr.strip()


def test_import_starts_no_thread():
    code, out, err = run("import lamella, os; print(len(os.listdir('/proc/self/task')))", OPENBLAS_NUM_THREADS="1")
    assert (code, out) == (0, "1"), err


def test_numpy_is_loaded_by_its_first_use_alone():
    code = """
    import sys, lamella
    model = lamella.nn.Sequential(lamella.nn.Linear(3, 4), lamella.nn.ReLU(), lamella.nn.Linear(4, 1))
    optimizer = lamella.optim.AdamW(model.parameters())
    model(lamella.randn(5, 3)).square().mean().backward()
    optimizer.step()
    assert "numpy" not in sys.modules
    assert model(lamella.ones(1, 3)).detach().numpy().shape == (1, 1)
    """
    assert run(code)[0] == 0


def test_forced_isa_must_exist():
    code, _, err = run("import lamella; lamella.ones(3) + 1", LAMELLA_ISA="v9")
    assert code == 1 and "LAMELLA_ISA must be one of" in err
    code, out, _ = run("import lamella; print(lamella._core.active_isa())", LAMELLA_ISA=_core.isas()[0])
    assert (code, out) == (0, _core.isas()[0])


def test_small_work_wakes_nobody():
    x, w = lamella.randn(32, 64), lamella.randn(64, 64)
    before = _core.pool_wakeups()
    for _ in range(50):
        (x @ w).relu().sum()
    assert _core.pool_wakeups() == before


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork_after_parallel_work():
    x = lamella.randn(600, 600)
    expected = (x @ x).sum().item()
    for _ in range(50):
        pid = os.fork()
        if pid == 0:
            os._exit(0 if (x @ x).sum().item() == expected else 1)
        assert os.waitpid(pid, 0)[1] == 0
    assert (x @ x).sum().item() == expected


def test_several_python_threads():
    x = lamella.randn(400, 400)
    expected, results = (x @ x).numpy(), []
    workers = [threading.Thread(target=lambda: results.append((x @ x).numpy())) for _ in range(6)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert len(results) == 6 and all(np.array_equal(r, expected) for r in results)


def test_interrupt_gets_through():
    code, out, _ = run(
        """
        import os, signal, threading
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent may have had it ignored
        import lamella
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        x = lamella.randn(300, 300)
        threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        try:
            while True:
                x @ x
        except KeyboardInterrupt:
            print("interrupted")
        """
    )
    assert (code, out) == (0, "interrupted")


def training_step():
    lamella.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 10))
    optimizer = lamella.optim.AdamW(model.parameters())
    x, y = lamella.randn(16, 1, 8, 8), lamella.randint(0, 10, (16,))

    def step():
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


def test_no_growth_over_2000_steps():
    code, out, err = run(  # a process of its own: in this one other tests' garbage would count
        """
        import resource
        from test_process import _core, training_step
        step = training_step()
        for _ in range(50):
            step()
        live, rss = _core.memory_stats()["allocated"], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(2000):
            step()
        print(_core.memory_stats()["allocated"] - live, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - rss)
        """,
        PYTHONPATH=os.pathsep.join([os.path.dirname(__file__), *sys.path]),
    )
    assert code == 0, err
    live, grown = map(int, out.split())
    # bytes in arrays: less than the smallest for each step (a thread may get its first scratch late); KiB of the process
    assert live < 2000 * 64 and grown < 4096


def test_a_steady_step_touches_no_fresh_pages():
    step = training_step()
    for _ in range(50):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        step()
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 100 < 10


def test_varying_shapes_do_not_creep():
    rng = np.random.default_rng(0)
    for n in rng.integers(1, 3000, 2000):
        lamella.randn(int(n), 50).relu().sum()
    stats = _core.memory_stats()
    assert stats["cached"] <= max(stats["peak_allocated"], 64 << 20)
    _core.empty_cache()
    assert _core.memory_stats()["cached"] == 0


def test_measured_peaks():
    found = {dtype: _core.measure_fma(getattr(lamella, dtype)) for dtype in ("float32", "float64", "bfloat16", "int8")}
    assert min(found["float32"], found["float64"], found["bfloat16"]) > 1e9
    assert (found["int8"] > 1e9) == (_core.active_isa() in ("v4vnni", "v4dot")) == (found["int8"] > 0)
    assert _core.measure_triad() > 1e8
    with pytest.raises(TypeError, match=r"\[measure_fma\] dtype must be float32, float64, bfloat16 or int8"):
        _core.measure_fma(lamella.int32)
