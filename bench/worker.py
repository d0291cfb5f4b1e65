# SPDX-License-Identifier: MIT
"""One library in a process of its own. Reads a JSON request a line, answers a JSON line; see peers.py for the other end.

{"do": "hello"}                              -> {"version": ..., "python": ...}
{"do": "peaks"}                              -> {"float32": GFLOP/s, ..., "triad": GB/s}   (lamella only)
{"do": "build", "workload": name}            -> {}, {"absent": true} where this peer has no form of it, or
                                                {"missing": what} where its library lacks a name that the row needs
{"do": "sample", "repeat": n, "wake": bool}  -> {"seconds": per call, "faults": page faults per call}
{"do": "memory", "workload": name}           -> {"bytes": most resident memory of building it and three calls, beyond
                                                that of the library loaded}; for a fresh process
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from functools import reduce
from pathlib import Path
from typing import Any

from bench.workloads import WORKLOADS


def faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def status(field: str) -> int:
    """Bytes of VmRSS (resident now) or VmHWM (the most since the start) from /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


def lacks(lib: Any, name: str) -> bool:
    try:
        reduce(getattr, name.split("."), lib)
    except AttributeError:
        return True
    return False


class Worker:
    def __init__(self, peer: str, threads: int):
        self.peer, self.threads = peer, threads
        self.lib = importlib.import_module(peer.removesuffix("-compiled"))
        if hasattr(self.lib, "set_num_threads"):
            self.lib.set_num_threads(threads)
        self.call: Any = None

    def hello(self) -> dict[str, Any]:
        version = getattr(self.lib, "__version__", "?")
        found = {"version": version, "python": sys.version.split()[0]}
        if self.peer == "lamella":
            found["isa"] = self.lib._core.active_isa()
        return found

    def peaks(self) -> dict[str, float]:
        from bench.measure import peaks

        return peaks(self.lib)

    def build(self, workload: str) -> dict[str, Any]:
        known = WORKLOADS[workload]
        self.call = None  # free the last one first
        if self.peer not in known.builds:
            return {"absent": True}
        if self.peer != "jax" and (lacking := [name for name in known.needs if lacks(self.lib, name)]):
            return {"missing": ", ".join(lacking)}
        if hasattr(self.lib, "manual_seed"):
            self.lib.manual_seed(0)
        if self.peer == "torch-compiled":
            self.lib.compiler.reset()
        self.call = known.builds[self.peer](self.lib)
        return {}

    def sample(self, repeat: int, wake: bool) -> dict[str, float]:
        call = self.call
        if wake:
            call()  # threads and caches: another process has run meanwhile
        before = faults()
        start = time.perf_counter()
        for _ in range(repeat):
            told = call()
        seconds = (time.perf_counter() - start) / repeat
        if isinstance(told, float):  # a workload that times itself
            seconds = told
        return {"seconds": seconds, "faults": (faults() - before) / repeat}

    def memory(self, workload: str) -> dict[str, Any]:
        self.lib.nn, self.lib.optim  # noqa: B018  loaded before the count begins
        (self.lib.randn(8, 8) @ self.lib.randn(8, 8)).sum()
        before = status("VmRSS")
        answer = self.build(workload)
        if not answer:
            for _ in range(3):
                self.call()
            answer = {"bytes": status("VmHWM") - before}
        return answer


def main() -> None:
    # Answers go to the real standard output; what a library prints goes to standard error.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    worker = Worker(sys.argv[1], int(sys.argv[2]))
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(worker, request.pop("do"))(**request)
        except Exception as error:  # told to the parent, which goes on with the next workload
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
