# SPDX-License-Identifier: MIT
"""Tables: CSV, TSV, and Parquet where pyarrow is installed."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .dataset import TensorDataset

_MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?")


def _text(path: str) -> str:
    with open(path, "rb") as file:
        data = file.read()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"[read_table] {path}: line {line}: must be UTF-8: {error.reason}") from None


def _column(cells: Sequence[str]) -> np.ndarray:
    """int64 if every cell is an integer, float64 if every cell is a number or missing (NaN), else strings."""
    texts = np.array(cells)
    for dtype in (np.int64, np.float64):
        try:
            return texts.astype(dtype)
        except (ValueError, OverflowError):
            pass
    gaps = np.isin(np.char.strip(texts), _MISSING)
    if not gaps.all():
        try:
            return np.where(gaps, "nan", texts).astype(np.float64)
        except ValueError:
            pass
    return texts


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _numbers(text: str, start: int, delimiter: str, first: list[str]) -> list[np.ndarray] | None:
    """The columns of a table of plain numbers through NumPy's own reader, several times as fast as cell by cell; None
    where it is not one. first: the cells of its first row, which say what is an integer."""
    kinds = [_column([cell]).dtype for cell in first]
    if '"' in text or any(kind.kind not in "if" for kind in kinds):
        return None
    rows = np.dtype([(str(i), kind) for i, kind in enumerate(kinds)])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # an integer column with a point in it, and a table without rows
            table = np.loadtxt(io.StringIO(text), rows, delimiter=delimiter, skiprows=start, ndmin=1, comments=None)
    except (ValueError, UserWarning, DeprecationWarning):
        return None
    return [np.ascontiguousarray(table[name]) for name in rows.names or ()]


def read_table(
    path: str | os.PathLike[str], delimiter: str | None = None, header: bool | None = None
) -> dict[str, np.ndarray]:
    """{column name: array} of a CSV, TSV (either gzipped, too) or Parquet file, in the file's order.

    A column is int64, float64 (missing cells are NaN) or str. delimiter: default tab for .tsv, else what the first line
    has most of comma, tab and semicolon. header: whether the first line has names; default: it has if none of its cells
    is a number. Without, names are "0", "1", ... ValueError names the line that has another number of cells.
    """
    path = os.fspath(path)
    if path.endswith((".parquet", ".pq")):
        return _read_parquet(path)
    text = _text(path)
    first = text.lstrip("\r\n").split("\n", 1)[0]
    if not first.strip():
        raise ValueError(f"[read_table] {path}: must not be empty")
    if delimiter is None:
        delimiter = "\t" if ".tsv" in path else max(",\t;", key=first.count)
    quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL  # TSV has no quotes
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting)
    names = next(row for row in rows if row)
    if header is None:
        header = not any(_is_number(cell) for cell in names)
    start = rows.line_num if header else rows.line_num - 1
    labels = [name.strip() for name in names] if header else [str(i) for i in range(len(names))]
    if len(set(labels)) != len(labels):
        twice = next(n for n in labels if labels.count(n) > 1)
        raise ValueError(f"[read_table] {path}: columns must have different names, got {twice!r} twice")
    head = next((row for row in rows if row), None) if header else names
    if head is not None and len(head) == len(labels):
        plain = _numbers(text, start, delimiter, head)
        if plain is not None:
            return dict(zip(labels, plain, strict=True))
    lines = [row for row in itertools.chain([head or []], rows) if row]
    for at, row in enumerate(lines):
        if len(row) != len(labels):
            raise ValueError(
                f"[read_table] {path}: row {at + 1} must have {len(labels)} cells as the first line has, got {len(row)}"
            )
    columns = zip(*lines, strict=True) if lines else [()] * len(labels)
    return {name: _column(cells) for name, cells in zip(labels, columns, strict=True)}


def _read_parquet(path: str) -> dict[str, np.ndarray]:
    try:
        import pyarrow.parquet
    except ImportError:
        raise ImportError("reading Parquet needs pyarrow: pip install pyarrow") from None
    table = pyarrow.parquet.read_table(path)
    return {name: table.column(name).to_numpy() for name in table.column_names}


class TableDataset(TensorDataset):
    """(features (columns) float32, target) of a table: a path for read_table, or a mapping of columns.

    A target of strings or integers becomes class indices by sorted value (`classes`); one of floats stays float32.
    features: names of numeric columns; default: all that are numeric, but for the target. A feature of NaN or infinity
    is an error unless `fill` says what stands there.
    """

    def __init__(
        self,
        table: str | os.PathLike[str] | Mapping[str, np.ndarray],
        target: str,
        features: Sequence[str] | None = None,
        fill: float | None = None,
    ) -> None:
        from ..ops import from_numpy

        columns = table if isinstance(table, Mapping) else read_table(table)
        for name in [target, *(features or ())]:
            if name not in columns:
                raise ValueError(f"[TableDataset] columns must include {name!r}, got {', '.join(columns)}")
        chosen = list(features or (n for n, c in columns.items() if n != target and np.asarray(c).dtype.kind in "iufb"))
        if not chosen:
            raise ValueError("[TableDataset] features must not be empty: the table has no numeric column but the target")
        parts = []
        for name in chosen:
            column = np.asarray(columns[name])
            if column.dtype.kind not in "iufb":
                raise ValueError(f"[TableDataset] features must be numeric columns, got text in {name!r}")
            bad = ~np.isfinite(column)
            if bad.any() and fill is None:
                raise ValueError(
                    f"[TableDataset] column {name!r} must be finite, got {column[bad][0]} in row {int(bad.argmax())}: "
                    "give fill"
                )
            parts.append(np.where(bad, np.float64(fill or 0), column) if bad.any() else column)
        self.feature_names, self.classes = chosen, None
        y: Any = np.asarray(columns[target])
        if y.dtype.kind == "f":
            y = y.astype(np.float32)
        else:
            found, y = np.unique(y, return_inverse=True)
            self.classes = found.tolist()
        super().__init__(from_numpy(np.stack(parts, 1).astype(np.float32)), from_numpy(y.astype(y.dtype)))
