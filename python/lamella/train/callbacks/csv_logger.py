# SPDX-License-Identifier: MIT
"""The history as a table on disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ...serialize import atomic_write
from .base import Callback

__all__ = ["CSVLogger", "write_csv"]


def write_csv(rows: list[dict[str, Any]], path: str | os.PathLike[str]) -> None:
    """One line per row, columns by first appearance; empty where a row has no such figure."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [",".join(names)]
    lines += [",".join(f"{row[n]:.6g}" if n in row else "" for n in names) for row in rows]
    with atomic_write(path) as file:
        file.write(("\n".join(lines) + "\n").encode())


class CSVLogger(Callback):
    """Keeps `path` a CSV of the history's rows; a run that is resumed writes those of its earlier part too."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def on_epoch_end(self, trainer: Any, row: dict[str, Any]) -> None:
        write_csv(trainer.history.rows, self.path)
