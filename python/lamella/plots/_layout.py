# SPDX-License-Identifier: MIT
"""A layered drawing of a graph without cycles (Sugiyama et al. 1981): ranks, order within them, places."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Layout", "layered"]


@dataclass
class Layout:
    """Centres and sizes of the boxes, and for each edge the points it goes through, from box to box; y grows downwards."""

    width: float
    height: float
    centres: list[tuple[float, float]]
    sizes: list[tuple[float, float]]
    paths: list[list[tuple[float, float]]]


def _ranks(n: int, edges: list[tuple[int, int]]) -> list[int]:
    """The longest way to each box; then those without predecessors move down next to what they feed."""
    after: list[list[int]] = [[] for _ in range(n)]
    missing = [0] * n
    for a, b in edges:
        after[a].append(b)
        missing[b] += 1
    rank, ready, order = [0] * n, [i for i in range(n) if not missing[i]], []
    sources = set(ready)
    while ready:
        a = ready.pop()
        order.append(a)
        for b in after[a]:
            rank[b] = max(rank[b], rank[a] + 1)
            missing[b] -= 1
            if not missing[b]:
                ready.append(b)
    if len(order) < n:
        raise ValueError("[layered] edges must not form a cycle, got one")
    for a in sources:
        if after[a]:
            rank[a] = min(rank[b] for b in after[a]) - 1
    return rank


def layered(sizes: list[tuple[float, float]], edges: list[tuple[int, int]], across: float = 22, down: float = 26) -> Layout:
    """Boxes of sizes (w, h) with at least `across` and `down` between them. A long edge has a thin box of its own in every rank
    it passes, so that it runs around the others; order is by the mean place of the neighbours, in sweeps down and up."""
    rank, width = _ranks(len(sizes), edges), [w for w, _ in sizes]
    chains = []
    for a, b in edges:
        chain = [a]
        for level in range(rank[a] + 1, rank[b]):
            rank.append(level)
            width.append(6.0)
            chain.append(len(rank) - 1)
        chains.append([*chain, b])
    up: list[list[int]] = [[] for _ in rank]
    below: list[list[int]] = [[] for _ in rank]
    for chain in chains:
        for a, b in pairwise(chain):
            up[b].append(a)
            below[a].append(b)
    rows: list[list[int]] = [[] for _ in range(max(rank, default=0) + 1)]
    for i, level in enumerate(rank):
        rows[level].append(i)

    x = [0.0] * len(rank)

    def spread(row: list[int], wish: dict[int, float]) -> None:
        """Places as near to what is wished as the widths allow: blocks that collide move together (pool adjacent violators)."""
        blocks: list[list[float]] = []  # mean of the wished left end, count, and members' offsets are implied
        offset, starts = 0.0, []
        for i in row:
            starts.append(offset + width[i] / 2)
            offset += width[i] + across
            blocks.append([wish[i] - starts[-1], 1])
            while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
                value, count = blocks.pop()
                blocks[-1] = [(blocks[-1][0] * blocks[-1][1] + value * count) / (blocks[-1][1] + count), blocks[-1][1] + count]
        shifts = [value for value, count in blocks for _ in range(int(count))]
        for i, start, shift in zip(row, starts, shifts, strict=True):
            x[i] = start + shift

    for row in rows:
        spread(row, dict.fromkeys(row, 0.0))
    for sweep in range(12):
        forwards = sweep % 2 == 0
        for row in rows if forwards else rows[::-1]:
            near = up if forwards else below
            wish = {i: sum(x[j] for j in near[i]) / len(near[i]) if near[i] else x[i] for i in row}
            row.sort(key=lambda i, wish=wish: wish[i])  # type: ignore[misc]
            spread(row, wish)
    for sweep in range(6):  # order is settled: between what is above and below
        for row in rows if sweep % 2 else rows[::-1]:
            wish = {i: sum(x[j] for j in up[i] + below[i]) / max(1, len(up[i] + below[i])) if up[i] + below[i] else x[i] for i in row}
            spread(row, wish)

    n = len(sizes)
    left = min((x[i] - width[i] / 2 for i in range(len(x))), default=0.0) - 10
    x = [v - left for v in x]
    y, top = [0.0] * len(x), 10.0
    for row in rows:
        tall = max((sizes[i][1] for i in row if i < n), default=0.0)
        for i in row:
            y[i] = top + tall / 2
        top += tall + down
    paths = []
    for chain in chains:
        a, b = chain[0], chain[-1]
        inner = [(x[i], y[i]) for i in chain[1:-1]]
        paths.append([(x[a], y[a] + sizes[a][1] / 2), *inner, (x[b], y[b] - sizes[b][1] / 2)])
    right = max((x[i] + width[i] / 2 for i in range(len(x))), default=0.0) + 10
    return Layout(right, top - down + 10, [(x[i], y[i]) for i in range(n)], sizes, paths)
