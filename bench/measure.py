# SPDX-License-Identifier: MIT
"""Timing: samples of all peers in turn (A B A B ...), until their spread is small; medians, and ratios round by round."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

from bench.peers import Peer, PeerError


def spread(samples: list[float]) -> float:
    """Median absolute deviation over median."""
    middle = median(samples)
    return median(abs(s - middle) for s in samples) / middle


def measure(workload: str, peers: list[Peer], quick: bool) -> dict[str, Any]:
    """{peer: {"seconds", "mad", "faults", "rounds", "ratio"}}; ratio: how many times lamella's time, paired by round."""
    length, budget, enough = (0.004, 0.4, 5) if quick else (0.02, 2.5, 9)
    result: dict[str, Any] = {}
    repeat: dict[str, int] = {}
    for peer in peers:
        try:
            if peer.dead or peer.ask("build", workload=workload).get("missing"):
                continue
            one = 1.0
            for _ in range(3):  # warm up: compile, fill caches, wake threads
                one = min(one, max(peer.ask("sample", repeat=1)["seconds"], 1e-8))
            one = peer.ask("sample", repeat=max(1, min(1000, int(length / one))))["seconds"]
            repeat[peer.name] = max(1, int(length / max(one, 1e-8)))
            result[peer.name] = {"samples": [], "faults": []}
        except PeerError as error:
            result[peer.name] = {"error": str(error)}
    running = [p for p in peers if p.name in repeat]
    stop = time.monotonic() + budget * len(running)
    while running:
        for peer in running:
            answer = peer.ask("sample", repeat=repeat[peer.name])
            result[peer.name]["samples"].append(answer["seconds"])
            result[peer.name]["faults"].append(answer["faults"])
        rounds = len(result[running[0].name]["samples"])
        steady = rounds >= enough and all(spread(result[p.name]["samples"]) < 0.01 for p in running)
        if steady or rounds >= 200 or (rounds >= 3 and time.monotonic() > stop):
            break
    ours = result.get("lamella", {}).get("samples")
    for peer in running:
        found = result[peer.name]
        samples = found.pop("samples")
        found |= {"seconds": median(samples), "best": min(samples), "mad": spread(samples), "rounds": len(samples)}
        found["faults"] = median(found["faults"])
        if ours and peer.name != "lamella":
            found["ratio"] = median(theirs / mine for theirs, mine in zip(samples, ours, strict=True))
    return result


def peaks(lamella: Any, threads: int) -> dict[str, float]:
    """This machine's own limits with this ISA and so many threads: GFLOP/s of multiply-adds, GB/s of a = b + s c."""
    best = {"float32": 0.0, "float64": 0.0, "triad": 0.0}
    for _ in range(7):
        for dtype in ("float32", "float64"):
            best[dtype] = max(best[dtype], lamella._core.measure_fma(getattr(lamella, dtype)) / 1e9)
        best["triad"] = max(best["triad"], lamella._core.measure_triad() / 1e9)
    return best
