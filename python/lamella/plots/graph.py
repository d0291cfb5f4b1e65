# SPDX-License-Identifier: MIT
"""A model's graph: its layers and the ops between them, as text for Graphviz, as SVG, as a picture."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from html import escape
from typing import Any

from .. import _core
from ..autograd import enable_grad
from ..serialize import atomic_write
from ..tensor import Tensor
from ..train.capture import tensors
from ._layout import Layout, layered
from ._style import figure, picture

__all__ = ["Graph", "Node", "graph"]

# Ops that only look at the same numbers in another way are not shown.
_VIEWS = set("reshape view transpose permute expand squeeze unsqueeze flatten split chunk narrow select slice getitem unbind alias".split())
_FILLS = {"input": "#e9e9e9", "output": "#e9e9e9", "op": "#ffffff", "layer": "#dcebf7"}


@dataclass
class Node:
    """A box: kind "input", "output", "layer" (a call of a module, `path` its name in the model) or "op"; shape of what comes
    out."""

    kind: str
    label: str
    path: str = ""
    shape: tuple[int, ...] | None = None

    @property
    def lines(self) -> list[str]:
        """What stands in the box."""
        shape = "" if self.shape is None else " x ".join(map(str, self.shape)) or "scalar"
        return [t for t in (self.label, self.path, shape) if t]


@dataclass
class Graph:
    """`nodes`, and `edges` (from, to) between their places in the list. `dot` is Graphviz's text, `svg` a picture, laid out
    here; `save(path)` writes either, or a PNG or PDF by matplotlib, by the path's ending; notebooks show it."""

    name: str
    nodes: list[Node] = field(default_factory=list)
    edges: list[tuple[int, int]] = field(default_factory=list)

    @property
    def dot(self) -> str:
        """The graph in Graphviz's language."""
        lines = [f'digraph "{self.name}" {{', '  node [shape=box style="rounded,filled" fontname=Helvetica fontsize=10];']
        for i, node in enumerate(self.nodes):
            text = "\\n".join(line.replace("\\", "\\\\").replace('"', '\\"') for line in node.lines)
            lines.append(f'  n{i} [label="{text}" fillcolor="{_FILLS[node.kind]}"];')
        lines += [f"  n{a} -> n{b};" for a, b in self.edges]
        return "\n".join([*lines, "}", ""])

    def _layout(self) -> Layout:
        sizes = [(max(7.0 * len(n.label), *(5.6 * len(t) for t in n.lines)) + 18, 13.0 * len(n.lines) + 9) for n in self.nodes]
        return layered(sizes, self.edges)

    @property
    def svg(self) -> str:
        """The graph as an SVG document."""
        at = self._layout()
        out = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {at.width:.0f} {at.height:.0f}" width="{at.width:.0f}" '
            f'height="{at.height:.0f}" font-family="Helvetica, Arial, sans-serif" font-size="10" text-anchor="middle">',
            f"<title>{escape(self.name)}</title>",
            '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0 0L8 4L0 8z" fill="#888"/></marker></defs>',
        ]
        for points in at.paths:
            (x, y), *rest = points
            curve = f"M{x:.1f} {y:.1f}"
            for u, v in rest:
                curve += f"C{x:.1f} {(y + v) / 2:.1f} {u:.1f} {(y + v) / 2:.1f} {u:.1f} {v:.1f}"
                x, y = u, v
            out.append(f'<path d="{curve}" fill="none" stroke="#888" marker-end="url(#head)"/>')
        for node, (x, y), (w, h) in zip(self.nodes, at.centres, at.sizes, strict=True):
            out.append(
                f'<rect x="{x - w / 2:.1f}" y="{y - h / 2:.1f}" width="{w:.1f}" height="{h:.1f}" rx="{h / 2 if node.kind == "op" else 5:.1f}" '
                f'fill="{_FILLS[node.kind]}" stroke="#7a8fa3"/>'
            )
            for i, line in enumerate(node.lines):
                style = ' font-weight="bold" font-size="11"' if i == 0 else ' fill="#555"'
                out.append(f'<text x="{x:.1f}" y="{y - h / 2 + 16 + 13 * i:.1f}"{style}>{escape(line)}</text>')
        return "\n".join([*out, "</svg>", ""])

    def _repr_svg_(self) -> str:
        return self.svg

    @picture
    def figure(self) -> Any:
        """The same as a matplotlib Figure."""
        from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
        from matplotlib.path import Path

        at = self._layout()
        scale = min(1 / 72, 40 / at.height, 40 / at.width)  # inches; very long graphs shrink
        made = figure(at.width * scale, at.height * scale)
        made.set_layout_engine("none")
        axes = made.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, at.width), ylim=(at.height, 0), aspect="equal")
        axes.set_axis_off()
        points = scale * 72
        for path in at.paths:
            (x, y), *rest = path
            corners, codes = [(x, y)], [Path.MOVETO]
            for u, v in rest:
                corners += [(x, (y + v) / 2), (u, (y + v) / 2), (u, v)]
                codes += [Path.CURVE4] * 3
                x, y = u, v
            arrow = FancyArrowPatch(path=Path(corners, codes), arrowstyle="-|>", mutation_scale=8 * points, color="#888888", linewidth=points)
            axes.add_patch(arrow)
        for node, (x, y), (w, h) in zip(self.nodes, at.centres, at.sizes, strict=True):
            shape = f"round,pad=0,rounding_size={h / 2 - 0.1 if node.kind == 'op' else 5}"
            box = FancyBboxPatch((x - w / 2, y - h / 2), w, h, boxstyle=shape, facecolor=_FILLS[node.kind], edgecolor="#7a8fa3", linewidth=points)
            axes.add_patch(box)
            for i, line in enumerate(node.lines):
                style: dict[str, Any] = {"fontweight": "bold"} if i == 0 else {"color": "#555555"}
                axes.text(x, y - h / 2 + 11.5 + 13 * i, line, ha="center", va="center", fontsize=(10 if i == 0 else 8.5) * points, **style)
        return made

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes .dot (or .gv), .svg, or another ending that matplotlib knows."""
        text = {"dot": self.dot, "gv": self.dot, "svg": self.svg}.get(os.fspath(path).rpartition(".")[2])
        if text is None:
            self.figure().savefig(path, dpi=110)
            return
        with atomic_write(path) as file:
            file.write(text.encode())


def graph(model: Any, *inputs: Any, depth: int | None = None, **options: Any) -> Graph:
    """The graph of model(*inputs, **options): a box for each call of a layer without layers of its own (or of a module `depth`
    deep, 1 being the model's own children), and for each op outside of them; views are left out.

    Runs the model once, in evaluation mode, and reads what autograd recorded: residual connections are there, and what is
    computed without a gradient (masks, positions) is not. The model's mode and gradients stay as they were.

    >>> from lamella import plots
    >>> made = plots.graph(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), lamella.zeros(3, 4))
    >>> [node.label for node in made.nodes], made.edges
    (['input', 'Linear', 'ReLU', 'Linear', 'output'], [(0, 1), (1, 2), (2, 3), (3, 4)])
    """
    names = {id(m): name for name, m in model.named_modules()}
    found = Graph(type(model).__name__)
    stack: list[Any] = []  # of (module, place of its box or None)
    box: dict[Any, int] = {}  # autograd's nodes and inputs' ids -> place
    recorded: list[Any] = []
    seen = 0

    def settle() -> None:
        """Nodes recorded since the last look belong to the module that is running now."""
        nonlocal seen
        inside = next((place for _, place in stack if place is not None), None)
        for node in recorded[seen:]:
            if inside is None:
                found.nodes.append(Node("op", str(node.name()).lstrip("_").replace("_", " ")))
            box[node] = len(found.nodes) - 1 if inside is None else inside
        seen = len(recorded)

    def enter(module: Any, args: Any, kwargs: Any) -> None:
        settle()
        leaf = next(module.children(), None) is None or (depth is not None and len(stack) >= depth)
        place = None
        if module is not model and leaf and all(p is None for _, p in stack):
            found.nodes.append(Node("layer", type(module).__name__, names.get(id(module), "")))
            place = len(found.nodes) - 1
            direct.extend((id(t), place) for t in tensors([args, kwargs]) if id(t) in box)
        stack.append((module, place))

    def leave(module: Any, args: Any, output: Any) -> None:
        settle()
        _, place = stack.pop()
        if place is not None:
            found.nodes[place].shape = next((tuple(t.shape) for t in tensors(output)), None)

    given = [t for t in tensors([inputs, options])]
    copies = {id(t): t.detach().requires_grad_() if t.dtype.is_floating_point else t for t in given}
    for i, t in enumerate(given):
        box[id(copies[id(t)])] = len(found.nodes)
        found.nodes.append(Node("input", "input" if len(given) == 1 else f"input {i}", shape=tuple(t.shape)))
    direct: list[tuple[int, int]] = []

    def swapped(value: Any) -> Any:
        if isinstance(value, Tensor):
            return copies[id(value)]
        if isinstance(value, dict):
            return {k: swapped(v) for k, v in value.items()}
        return type(value)(map(swapped, value)) if type(value) in (tuple, list) else value

    modes = [(m, m.training) for m in model.modules()]
    handles = [m.register_forward_pre_hook(enter, with_kwargs=True) for m in model.modules()]
    handles += [m.register_forward_hook(leave) for m in model.modules()]
    before = _core.watch_nodes(recorded)
    try:
        with enable_grad():
            result = model.eval()(*swapped(inputs), **swapped(options))
    finally:
        _core.watch_nodes(before)
        for handle in handles:
            handle.remove()
        for module, mode in modes:
            module.training = mode
    if not recorded:
        raise ValueError("[plots.graph] model must compute something differentiable of its inputs or parameters, got nothing recorded")
    edges = {(box[i], place) for i, place in direct}
    for node in recorded:
        for source, _ in node.next_functions:
            place = box.get(source, box.get(id(getattr(source, "variable", None))))
            if place is not None:
                edges.add((place, box[node]))
    for t in tensors(result):
        if t.grad_fn in box:
            found.nodes.append(Node("output", "output", shape=tuple(t.shape)))
            edges.add((box[t.grad_fn], len(found.nodes) - 1))
    return _tidy(found, edges)


def _tidy(found: Graph, edges: set[tuple[int, int]]) -> Graph:
    """Without views, loops, and boxes that no output needs."""
    edges = {(a, b) for a, b in edges if a != b}
    for i, node in enumerate(found.nodes):
        if node.kind == "op" and node.label in _VIEWS:
            before, after = [a for a, b in edges if b == i], [b for a, b in edges if a == i]
            edges = {e for e in edges if i not in e} | {(a, b) for a in before for b in after}
    needed = {i for i, node in enumerate(found.nodes) if node.kind == "output"}
    grown = set(needed)
    while grown:
        grown = {a for a, b in edges if b in grown} - needed
        needed |= grown
    kept = [i for i in range(len(found.nodes)) if i in needed or found.nodes[i].kind == "input"]
    place = {old: new for new, old in enumerate(kept)}
    found.nodes = [found.nodes[i] for i in kept]
    found.edges = sorted((place[a], place[b]) for a, b in edges if a in place and b in place)
    return found
