# SPDX-License-Identifier: MIT
"""How Tensors print: numbers in columns, whole numbers as such, wide ranges in scientific notation, big Tensors by their
edges. The layout is PyTorch's."""

from __future__ import annotations

import math
from typing import Any

from . import _core
from ._numpy import np

__all__ = ["set_printoptions"]

_DEFAULT = {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80, "sci_mode": None}
_SHORT = _DEFAULT | {"precision": 2, "edgeitems": 2}
_FULL = _DEFAULT | {"threshold": math.inf}
_options: dict[str, Any] = dict(_DEFAULT)


def set_printoptions(precision=None, threshold=None, edgeitems=None, linewidth=None, profile=None, sci_mode=None):
    """How Tensors print.

    precision: digits behind the point (4). threshold: elements from which only `edgeitems` (3) at each end of a dimension
    show (1000). linewidth: characters of a line (80). sci_mode: scientific notation (None: where the range asks for it).
    profile: "default", "short" or "full" instead. ValueError for another one.
    """
    if profile is not None:
        profiles = {"default": _DEFAULT, "short": _SHORT, "full": _FULL}
        if profile not in profiles:
            raise ValueError(f"[set_printoptions] profile must be 'default', 'short' or 'full', got {profile!r}")
        _options.update(profiles[profile])
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    _options.update({k: v for k, v in given.items() if v is not None})
    _options["sci_mode"] = sci_mode


class _Format:
    """One format for all elements that show."""

    def __init__(self, values: np.ndarray) -> None:
        self.floating = values.dtype.kind == "f"
        self.whole, self.sci, self.width = False, False, 1
        flat = values.reshape(-1)
        if not self.floating:
            self.width = max((len(str(v)) for v in flat.tolist()), default=1)
            return
        numbers = np.abs(flat[np.isfinite(flat) & (flat != 0)].astype(np.float64))
        if numbers.size:
            high, low = float(numbers.max()), float(numbers.min())
            self.whole = bool((numbers == np.ceil(numbers)).all())
            wide = high / low > 1000 or high > 1e8
            self.sci = wide or (not self.whole and low < 1e-4)
        if _options["sci_mode"] is not None:
            self.sci = _options["sci_mode"]
        counted = flat[np.isfinite(flat) & (flat != 0)]  # what is not a number may stand out
        self.width = max((len(self(v)) for v in counted), default=1)

    def __call__(self, v: Any) -> str:
        if not self.floating:
            text = str(v.item()) if hasattr(v, "item") else str(v)
        elif self.sci:
            text = f"{float(v):.{_options['precision']}e}"
        elif self.whole:
            text = f"{float(v):.0f}"
            text += "." if math.isfinite(v) else ""
        else:
            text = f"{float(v):.{_options['precision']}f}"
        return text.rjust(self.width) if self.width > 1 else text


def _vector(row: np.ndarray, indent: int, form: _Format, summarize: bool) -> str:
    per_line = max(1, (_options["linewidth"] - indent) // (form.width + 2))
    edge = _options["edgeitems"]
    if summarize and not edge:
        cells = ["..."]
    elif summarize and len(row) > 2 * edge:
        cells = [form(v) for v in row[:edge]] + [" ..."] + [form(v) for v in row[-edge:]]
    else:
        cells = [form(v) for v in row]
    lines = [", ".join(cells[i : i + per_line]) for i in range(0, len(cells), per_line)] or [""]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _nested(x: np.ndarray, indent: int, form: _Format, summarize: bool) -> str:
    if x.ndim == 0:
        return form(x)
    if x.ndim == 1:
        return _vector(x, indent, form, summarize)
    edge = _options["edgeitems"]
    if summarize and x.shape[0] > 2 * edge:
        rows = [_nested(r, indent + 1, form, summarize) for r in x[:edge]] + ["..."]
        rows += [_nested(r, indent + 1, form, summarize) for r in x[len(x) - edge :]]
    else:
        rows = [_nested(r, indent + 1, form, summarize) for r in x]
    return "[" + ("," + "\n" * (x.ndim - 1) + " " * (indent + 1)).join(rows) + "]"


def _edges(x: np.ndarray) -> np.ndarray:
    """The elements that show."""
    edge = _options["edgeitems"]
    for d in range(x.ndim):
        n = x.shape[d]
        if n > 2 * edge:
            x = np.take(x, [*range(edge), *range(n - edge, n)], axis=d)
    return x


def text_of(t: Any, prefix: str = "tensor(") -> str:
    """repr of a Tensor."""
    from .ops.creation import get_default_dtype

    x = t.detach().cpu()
    array = _core.to_numpy(_core.cast(x, _core.float32) if x.dtype is _core.bfloat16 else x)
    empty = array.size == 0
    usual = t.dtype in (get_default_dtype(), _core.bool) or (t.dtype is _core.int64 and not empty)
    notes = []
    if empty:
        body = "[]"
        if t.ndim != 1:
            notes.append(f"size={tuple(t.shape)}")
    else:
        summarize = array.size > _options["threshold"]
        body = _nested(array, len(prefix), _Format(_edges(array) if summarize else array), summarize)
    if t.is_cuda:
        notes.append(f"device='{t.device}'")
    if not usual:
        notes.append(f"dtype={t.dtype!r}")
    if t.grad_fn is not None:
        notes.append(f"grad_fn={t.grad_fn!r}")
    elif t.requires_grad:
        notes.append("requires_grad=True")
    text, line = prefix + body, len(body.rsplit("\n", 1)[-1]) + (0 if "\n" in body else len(prefix))
    for note in notes:
        if line + len(note) + 3 > _options["linewidth"]:
            text += ",\n" + " " * len(prefix) + note
            line = len(prefix) + len(note)
        else:
            text += ", " + note
            line += len(note) + 2
    return text + ")"
