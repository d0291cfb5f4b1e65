# SPDX-License-Identifier: MIT
"""The recipes of this folder by name."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from typing import Any

__all__ = ["get", "names"]


def names() -> list[str]:
    """Of all recipes, sorted."""
    from . import __path__ as folder

    return sorted(m.name for m in pkgutil.iter_modules(folder) if not m.name.startswith("_"))


def get(name: str) -> Any:
    """The recipe; ValueError with the nearest names where there is none."""
    if name not in names():
        near = difflib.get_close_matches(name, names(), 3) or names()
        raise ValueError(f"[recipes] name must be one of {', '.join(near)}, got {name!r}")
    return getattr(importlib.import_module(f"{__package__}.{name}"), name)
