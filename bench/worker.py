# SPDX-License-Identifier: MIT
"""One library in a process of its own. Reads a JSON request a line, answers a JSON line; see peers.py for the other end.

{"do": "hello"}                      -> {"version": ..., "python": ...}
{"do": "peaks"}                      -> {"float32": GFLOP/s, "float64": GFLOP/s, "triad": GB/s}   (lamella only)
{"do": "build", "workload": name}    -> {}, or {"missing": true} where this library has no form of it
{"do": "sample", "repeat": n}        -> {"seconds": per call, "faults": page faults per call}
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from typing import Any

from bench.workloads import WORKLOADS


def faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


class Worker:
    def __init__(self, peer: str, threads: int):
        self.peer, self.threads = peer, threads
        self.lib = importlib.import_module(peer)
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

        return peaks(self.lib, self.threads)

    def build(self, workload: str) -> dict[str, Any]:
        make = WORKLOADS[workload].builds.get(self.peer)
        self.call = None  # free the last one first
        if make is None:
            return {"missing": True}
        if hasattr(self.lib, "manual_seed"):
            self.lib.manual_seed(0)
        self.call = make(self.lib)
        return {}

    def sample(self, repeat: int) -> dict[str, float]:
        call = self.call
        call()  # wake threads, warm caches: another process has run meanwhile
        before = faults()
        start = time.perf_counter()
        for _ in range(repeat):
            told = call()
        seconds = (time.perf_counter() - start) / repeat
        if isinstance(told, float):  # a workload that times itself
            seconds = told
        return {"seconds": seconds, "faults": (faults() - before) / repeat}


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
