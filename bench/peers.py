# SPDX-License-Identifier: MIT
"""The processes that hold one library each, and the pipe to them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
KNOWN = ("lamella", "torch", "torch-compiled", "jax", "numpy")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LAMELLA_NUM_THREADS")


class PeerError(RuntimeError):
    """A worker that failed at a workload, or died."""


class Peer:
    """A library in its own process, which is stopped except while it answers: idle threads of one library that still
    wait by spinning (OpenBLAS, OpenMP) would otherwise take time from the next one's sample."""

    def __init__(self, name: str, python: str, threads: int):
        self.name, self.dead = name, False
        env = os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads))
        env.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode
        env |= {
            "JAX_PLATFORMS": "cpu",
            "JAX_ENABLE_X64": "1",
            "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}",
        }
        command = [python, "-m", "bench.worker", name, str(threads)]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.about = self.ask("hello")

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        try:
            self.process.send_signal(signal.SIGCONT)
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.dead = True
            raise PeerError(f"{self.name}: the process ended with code {self.process.wait()}")
        self.process.send_signal(signal.SIGSTOP)
        answer = json.loads(line)
        if "error" in answer:
            raise PeerError(f"{self.name}: {answer['error']}")
        return answer

    def close(self) -> None:
        if self.dead:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def importing(names: list[str], pythons: dict[str, str]) -> dict[str, str]:
    """{peer: interpreter} of those of `names` whose library imports, lamella first; says which do not."""
    found = {}
    for name in sorted(names, key=KNOWN.index):
        library = name.removesuffix("-compiled")
        python = pythons.get(name) or pythons.get(library, sys.executable)
        probe = subprocess.run([python, "-c", f"import {library}"], cwd=ROOT, capture_output=True)
        if probe.returncode == 0:
            found[name] = python
        elif name == "lamella":
            sys.exit(f"bench: lamella does not import in {python}:\n{probe.stderr.decode()}")
        else:
            print(f"bench: {name} does not import in {python}; left out", file=sys.stderr)
    return found


def start(found: dict[str, str], threads: int) -> Iterator[Peer]:
    """A new process for each, one after the other as they are asked for."""
    return (Peer(name, python, threads) for name, python in found.items())
