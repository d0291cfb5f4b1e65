# SPDX-License-Identifier: MIT
"""Commands that tell: info and models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import __version__, _core
from .recipes import matching

EXTRAS = ("rich", "matplotlib", "PIL", "safetensors", "tokenizers", "soundfile", "gymnasium")


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    import platform

    return platform.processor() or platform.machine()


def info(args: Any) -> int:
    import importlib.util

    import lamella
    from lamella import cuda

    memory = _core.memory_stats()
    extras = [f"{name} {'yes' if importlib.util.find_spec(name) else 'no'}" for name in EXTRAS]
    rows = {
        "lamella": __version__,
        "processor": _cpu_name(),
        "isa": f"{_core.active_isa()} (of {', '.join(_core.isas())})",
        "threads": f"{_core.num_threads()} (of {_core.available_cpus()} processors)",
        "devices": ", ".join(["cpu", *(f"cuda:{i} ({cuda.get_device_name(i)})" for i in range(cuda.device_count()))]),
        **({"no GPU": cuda.why_not()} if not cuda.is_available() else {}),
        "memory": f"{memory['allocated'] >> 20} MiB in use, {memory['cached'] >> 20} MiB cached, "
        f"{'no limit' if not memory['limit'] else str(memory['limit'] >> 20) + ' MiB limit'}",
        "extras": ", ".join(extras),
        "float32 peak": f"{_core.measure_fma(lamella.float32) / 1e9:.0f} GFLOP/s",
        "memory peak": f"{_core.measure_triad() / 1e9:.1f} GB/s",
    }
    for name, value in rows.items():
        print(f"{name:14}{value}")
    return 0


def list_models(args: Any) -> int:
    """The models by name, or all layers of one, as they come from `models.create` without options."""
    from .. import models
    from ..train import summary
    from . import UsageError

    chosen = matching(models.names(), args.names)
    if not chosen:
        raise UsageError(f"NAME must match one of {', '.join(models.names())}, got {' '.join(args.names)}")
    if len(chosen) > 1:
        print(f"{'model':34}{'parameters':>14}{'MFLOPs':>12}{'weights':>13}{'activations':>14}   input")
    for name in chosen:
        with models.uninitialised():
            model = models.create(name)
        inputs = models.example(name)
        found = summary(model, *inputs)
        if len(chosen) == 1:
            print(found)
            break
        shapes = ", ".join(str(tuple(x.shape)) for x in inputs)
        sizes = f"{found.parameter_bytes / 2**20:9.1f} MiB{found.activation_bytes / 2**20:10.1f} MiB"
        print(f"{name:34}{found.parameters:>14,}{found.flops / 1e6:>12,.2f}{sizes}   {shapes}", flush=True)
    return 0
