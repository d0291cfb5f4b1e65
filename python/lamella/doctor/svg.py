# SPDX-License-Identifier: MIT
"""Small pictures as inline SVG: lines, bars, a histogram. Colours are CSS variables of the page."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

WIDTH, HEIGHT = 560, 250
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 12, 40
COLOURS = tuple(f"var(--c{i})" for i in range(8))


def text(x: float, y: float, words: str, anchor: str = "middle", extra: str = "") -> str:
    """A label."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {extra}>{html.escape(words)}</text>'


def short(value: float) -> str:
    """A number for an axis: 0.001 as 1e-3, 20 as 20."""
    if value == 0:
        return "0"
    power = math.floor(math.log10(abs(value)) + 1e-9)
    if -3 < power < 4:
        return f"{value:.4g}"
    mantissa = value / 10.0**power
    return f"1e{power}" if abs(mantissa - 1) < 1e-6 else f"{mantissa:.2g}e{power}"


def rect(x: float, y: float, width: float, height: float, colour: str = "var(--c0)", told: str = "", round: int = 0) -> str:
    """A filled rectangle; `told` is shown where the pointer rests."""
    words = f"<title>{html.escape(told)}</title>" if told else ""
    size = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {size} rx="{round}" fill="{colour}">{words}</rect>'


class Axis:
    """Maps values to pixels, linear or logarithmic, with round ticks."""

    def __init__(self, values: Sequence[float], start: float, end: float, log: bool = False) -> None:
        good = [v for v in values if math.isfinite(v) and (v > 0 or not log)]
        low, high = (min(good), max(good)) if good else ((0.1, 1.0) if log else (0.0, 1.0))
        if log:
            low, high = math.log10(low), math.log10(high)
        if high - low < 1e-9:
            low, high = low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)
        margin = 0.04 * (high - low)
        self.low, self.high, self.start, self.end, self.log = low - margin, high + margin, start, end, log

    def __call__(self, value: float) -> float:
        v = math.log10(max(value, 1e-300)) if self.log else value
        part = min(1.0, max(0.0, (v - self.low) / (self.high - self.low)))
        return self.start + part * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """Round values within."""
        span = self.high - self.low
        if self.log and span >= 1:
            step = max(1, math.ceil(span / (count + 1)))
            return [10.0**p for p in range(math.ceil(self.low), math.floor(self.high) + 1, step)]
        low, high = (10.0**self.low, 10.0**self.high) if self.log else (self.low, self.high)
        raw = (high - low) / count
        unit = 10.0 ** math.floor(math.log10(raw))
        step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= raw)
        first = math.ceil(low / step)
        return [k * step for k in range(first, math.floor(high / step) + 1)]


def frame(body: str, x: Axis | None, y: Axis | None, xname: str, yname: str, height: int = HEIGHT, label: str = "") -> str:
    """The picture with its axes, grid and names."""
    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{html.escape(label or yname)}">']
    bottom = height - BOTTOM
    for v in y.ticks(4) if y else ():
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(v):.1f}" y2="{y(v):.1f}"/>')
        parts.append(text(LEFT - 7, y(v) + 4, short(v), "end"))
    for v in x.ticks() if x else ():
        parts.append(f'<line class="tick" x1="{x(v):.1f}" x2="{x(v):.1f}" y1="{bottom}" y2="{bottom + 4}"/>')
        parts.append(text(x(v), bottom + 17, short(v)))
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{bottom}" y2="{bottom}"/>')
    parts.append(body)
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, height - 6, xname, extra='class="name"'))
    middle = (TOP + bottom) / 2
    parts.append(text(14, middle, yname, extra=f'class="name" transform="rotate(-90 14 {middle:.1f})"'))
    return "".join([*parts, "</svg>"])


def lines(
    series: dict[str, tuple[Sequence[float], Sequence[float]]],
    xname: str,
    yname: str,
    *,
    logx: bool = False,
    logy: bool = False,
    band: tuple[float, float] | None = None,
    rows: tuple[tuple[float, str], ...] = (),
    columns: tuple[tuple[float, str], ...] = (),
    dots: bool = False,
    strong: str = "",
) -> str:
    """Curves {name: (x, y)} with a shaded band of x, marked rows and columns, and a key. Gaps where values are not finite.
    The curve named `strong` is drawn heavier."""
    bottom = HEIGHT - BOTTOM
    xs = [v for a, _ in series.values() for v in a] + [v for v, _ in columns]
    ys = [v for _, b in series.values() for v in b] + [v for v, _ in rows]
    x, y = Axis(xs, LEFT, WIDTH - RIGHT, logx), Axis(ys, bottom, TOP, logy)
    parts = []
    if band is not None:
        a, b = x(band[0]), x(band[1])
        parts.append(f'<rect class="band" x="{a:.1f}" y="{TOP}" width="{max(2.0, b - a):.1f}" height="{bottom - TOP}"/>')
    for value, name in rows:
        parts.append(f'<line class="mark" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        parts.append(text(WIDTH - RIGHT - 2, y(value) - 4, name, "end", 'class="halo"'))
    for value, name in columns:
        parts.append(f'<line class="mark" x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{TOP}" y2="{bottom}"/>')
        end = x(value) > WIDTH * 0.7
        parts.append(text(x(value) + (-4 if end else 4), TOP + 10, name, "end" if end else "start", 'class="halo"'))
    for i, (name, (a, b)) in enumerate(series.items()):
        colour, path, down = COLOURS[i % len(COLOURS)], [], False
        for u, v in zip(a, b, strict=False):
            if not math.isfinite(v) or (logy and v <= 0):
                down = False
                continue
            path.append(f"{'L' if down else 'M'}{x(u):.1f} {y(v):.1f}")
            down = True
            if dots:
                parts.append(f'<circle cx="{x(u):.1f}" cy="{y(v):.1f}" r="2.6" fill="{colour}"/>')
        width = 2.6 if name == strong else 1.7
        drawn = f'd="{"".join(path)}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round"'
        parts.append(f"<path {drawn}><title>{html.escape(name)}</title></path>")
    return frame("".join(parts), x, y, xname, yname) + key(list(series))


def key(names: list[str]) -> str:
    """Which colour is which, where there are several."""
    if len(names) < 2:
        return ""
    items = (
        f'<span><i style="background:{COLOURS[i % len(COLOURS)]}"></i>{html.escape(n)}</span>' for i, n in enumerate(names)
    )
    return f'<div class="key">{"".join(items)}</div>'


def bars(
    values: dict[str, float],
    xname: str,
    *,
    log: bool = False,
    limit: float | None = None,
    colours: dict[str, str] | None = None,
    words: dict[str, str] | None = None,
) -> str:
    """Horizontal bars, one per name, from the top; values beyond `limit` end there."""
    room, each = 190, 20
    height = TOP + each * len(values) + BOTTOM
    good = [v for v in values.values() if math.isfinite(v) and (v > 0 or not log)]
    shown = [*good, *([] if log else [0.0]), *([limit] if limit is not None else [])]
    if log and good:
        shown.append(min(good) / 3)
    x = Axis(shown, room, WIDTH - 62, log)
    if not log:
        x.low = 0.0
    parts = []
    for i, (name, value) in enumerate(values.items()):
        top = TOP + i * each
        label = name if len(name) <= 27 else "..." + name[-25:]
        parts.append(text(room - 8, top + 13, label, "end"))
        drawn = value if math.isfinite(value) else (limit if limit is not None else max(good, default=1.0))
        width = max(1.0, x(drawn) - room) if (drawn > 0 or not log) else 1.0
        colour = (colours or {}).get(name, "var(--c0)")
        told = f"{name}: {short(value) if math.isfinite(value) else value}"
        parts.append(rect(room, top + 3, width, 13, colour, told, 2))
        parts.append(
            text(
                room + width + 5,
                top + 14,
                (words or {}).get(name, short(float(f"{value:.2g}")) if math.isfinite(value) else str(value)),
                "start",
                'class="figure"',
            )
        )
    bottom = height - BOTTOM
    for v in x.ticks(4):
        parts.append(f'<line class="tick" x1="{x(v):.1f}" x2="{x(v):.1f}" y1="{bottom}" y2="{bottom + 4}"/>')
        parts.append(text(x(v), bottom + 17, short(v)))
    parts.append(f'<line class="axis" x1="{room}" x2="{WIDTH - RIGHT}" y1="{bottom}" y2="{bottom}"/>')
    parts.append(text((room + WIDTH - RIGHT) / 2, height - 6, xname, extra='class="name"'))
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{html.escape(xname)}">{"".join(parts)}</svg>'


def columns(values: dict[str, float], xname: str, yname: str) -> str:
    """Upright bars, evenly spaced, every so many named."""
    bottom = HEIGHT - BOTTOM
    y = Axis([0.0, *values.values()], bottom, TOP)
    y.low = 0.0
    each = (WIDTH - LEFT - RIGHT) / max(1, len(values))
    every = max(1, len(values) // 14)
    parts = []
    for i, (name, value) in enumerate(values.items()):
        left = LEFT + i * each
        parts.append(rect(left + each * 0.08, y(value), each * 0.84, bottom - y(value), told=f"{name}: {value:g}"))
        if i % every == 0:
            parts.append(text(left + each / 2, bottom + 17, name))
    return frame("".join(parts), None, y, xname, yname)


def histogram(edges: Sequence[float], heights: Sequence[float], xname: str, yname: str) -> str:
    """Heights over the intervals between edges."""
    bottom = HEIGHT - BOTTOM
    x, y = Axis(edges, LEFT, WIDTH - RIGHT), Axis([0.0, *heights], bottom, TOP)
    y.low = 0.0
    parts = [
        rect(x(a) + 0.5, y(h), max(1.0, x(b) - x(a) - 1), bottom - y(h))
        for a, b, h in zip(edges[:-1], edges[1:], heights, strict=True)
    ]
    return frame("".join(parts), x, y, xname, yname)
