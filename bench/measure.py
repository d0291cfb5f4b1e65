# SPDX-License-Identifier: MIT
"""Timing: samples of all peers in turn (A B A B ...), until their spread is small; medians, and ratios round by round."""

from __future__ import annotations

import time
from collections.abc import Iterable
from statistics import median
from typing import Any

from bench.peers import Peer, PeerError
from bench.workloads import WORKLOADS

BUDGET = {False: 1.2, True: 0.3}  # seconds of samples of a row for each peer; by whether the run is a quick one
LONG = 0.1  # a call that takes longer needs no other before it to wake threads and warm caches


def spread(samples: list[float]) -> float:
    """Median absolute deviation over median."""
    middle = median(samples)
    return median(abs(s - middle) for s in samples) / middle


def warm_up(peer: Peer, length: float) -> tuple[int, bool]:
    """(calls that take `length` seconds together, whether a call must come before each sample)."""
    peer.ask("sample", repeat=1, wake=False)  # compiles, packs, faults
    one = 1e9
    for _ in range(3):
        one = min(one, max(peer.ask("sample", repeat=1, wake=one < LONG)["seconds"], 1e-8))
        if one > LONG:
            return 1, False
    one = peer.ask("sample", repeat=max(1, min(1000, int(length / one))), wake=True)["seconds"]
    return max(1, int(length / max(one, 1e-8))), True


def measure(workload: str, peers: list[Peer], quick: bool) -> dict[str, Any]:
    """{peer: {"seconds", "best", "mad", "faults", "rounds", "ratio"}, {"missing": name} or {"error": text}}.

    ratio: how many times lamella's time, paired by round.
    """
    length, enough = (0.004, 5) if quick else (0.02, 9)
    result: dict[str, Any] = {}
    repeat: dict[str, tuple[int, bool]] = {}
    for peer in peers:
        try:
            if peer.dead or (told := peer.ask("build", workload=workload)).get("absent"):
                continue
            if "missing" in told:
                result[peer.name] = told
                continue
            repeat[peer.name] = warm_up(peer, length)
            result[peer.name] = {"samples": [], "faults": []}
        except PeerError as error:
            result[peer.name] = {"error": str(error)}
    running = [p for p in peers if p.name in repeat]
    stop = time.monotonic() + BUDGET[quick] * len(running)
    while running:
        for peer in running:
            calls, wake = repeat[peer.name]
            answer = peer.ask("sample", repeat=calls, wake=wake)
            result[peer.name]["samples"].append(answer["seconds"])
            result[peer.name]["faults"].append(answer["faults"])
        rounds = len(result[running[0].name]["samples"])
        steady = rounds >= enough and all(spread(result[p.name]["samples"]) < 0.01 for p in running)
        if steady or rounds >= 200 or (rounds >= 3 and time.monotonic() > stop):
            break
    ours = result.get("lamella", {}).get("samples")
    for peer in running:
        result[peer.name] = summary(**result[peer.name], ours=ours if peer.name != "lamella" else None)
    return result


def summary(samples: list[float], faults: list[float], ours: list[float] | None) -> dict[str, float]:
    """What stays of a peer's samples; `ours`: lamella's of the same rounds."""
    found = {"seconds": median(samples), "best": min(samples), "mad": spread(samples), "rounds": len(samples)}
    found["faults"] = median(faults)
    if ours:
        found["ratio"] = median(theirs / mine for theirs, mine in zip(samples, ours, strict=True))
    return found


def memory(names: Iterable[str], fresh: Any) -> dict[str, dict[str, int]]:
    """{row: {peer: bytes}} of those rows that say so; `fresh()` gives the peers, each in a new process."""
    result: dict[str, dict[str, int]] = {}
    for name in names:
        if WORKLOADS[name].memory:
            for peer in fresh():
                try:
                    answer = peer.ask("memory", workload=name)
                    if "bytes" in answer:
                        result.setdefault(name, {})[peer.name] = answer["bytes"]
                except PeerError:
                    pass  # measure() has told why
                peer.close()
    return result


def peaks(lamella: Any) -> dict[str, float]:
    """This machine's own limits with this ISA and these threads: GFLOP/s of multiply-adds (0: the ISA has none), GB/s of a = b + s c."""
    dtypes = ("float32", "float64", "bfloat16", "int8")
    best = dict.fromkeys((*dtypes, "triad"), 0.0)
    for _ in range(7):
        for dtype in dtypes:
            best[dtype] = max(best[dtype], lamella._core.measure_fma(getattr(lamella, dtype)) / 1e9)
        best["triad"] = max(best["triad"], lamella._core.measure_triad() / 1e9)
    return best
