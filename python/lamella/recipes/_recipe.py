# SPDX-License-Identifier: MIT
"""A recipe: a training function with settings that the command line can set."""

from __future__ import annotations

import difflib
import inspect
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._run import Run

__all__ = ["Recipe", "Setting", "recipe"]

_TYPES = {"int": int, "float": float, "str": str, "bool": bool}


@dataclass(frozen=True)
class Setting:
    """One key of a recipe: its name, type (int, float, str, bool) and default; `optional` where None is allowed."""

    name: str
    type: type
    default: Any
    optional: bool = False

    def parse(self, value: Any) -> Any:
        """The value of a text or of a number: ValueError where it is of another type."""
        if self.optional and (value is None or value == "none"):
            return None
        if isinstance(value, self.type) and not (self.type is not bool and isinstance(value, bool)):
            return value
        text = str(value)
        if self.type is bool:
            if text.lower() in ("true", "yes", "1", "on"):
                return True
            if text.lower() in ("false", "no", "0", "off"):
                return False
        else:
            try:
                return self.type(text)
            except ValueError:
                pass
        raise ValueError(f"{self.name} must be of type {self.type.__name__}, got {text!r}")


def _settings(function: Callable[..., Any], data: str | None) -> dict[str, Setting]:
    found = {}
    for p in list(inspect.signature(function).parameters.values())[2 if data else 1 :]:
        words = p.annotation if isinstance(p.annotation, str) else inspect.formatannotation(p.annotation)
        kinds = [part.strip() for part in words.split("|")]
        if kinds[0] not in _TYPES or p.default is inspect.Parameter.empty or p.kind is not p.KEYWORD_ONLY:
            raise TypeError(f"[recipe] {function.__name__}: {p.name} must be keyword-only, int, float, str or bool, with a default")
        found[p.name] = Setting(p.name, _TYPES[kinds[0]], p.default, "None" in kinds[1:])
    return found


class Recipe:
    """`function(run, data, *, settings)` as a training that can be listed, set, repeated and resumed. Made by `recipe`."""

    def __init__(self, function: Callable[..., Any], data: str | None) -> None:
        self.function, self.data = function, data
        self.name, self.doc = function.__name__, inspect.cleandoc(function.__doc__ or "")
        self.settings = _settings(function, data)
        self.__doc__, self.__name__, self.__module__ = function.__doc__, function.__name__, function.__module__

    @property
    def module(self) -> Any:
        """Where build, predict and generate are."""
        return sys.modules[self.function.__module__]

    @property
    def summary(self) -> str:
        """The first line of its words."""
        return self.doc.split("\n", 1)[0]

    def parse(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Defaults with `settings` (texts or values) in place: ValueError for a key or a value that does not fit."""
        unknown = [key for key in settings if key not in self.settings]
        if unknown:
            near = difflib.get_close_matches(unknown[0], self.settings, 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise ValueError(f"[{self.name}] settings must be among {', '.join(self.settings) or 'none'}, got {unknown[0]!r}{hint}")
        try:
            return {k: s.parse(settings[k]) if k in settings else s.default for k, s in self.settings.items()}
        except ValueError as error:
            raise ValueError(f"[{self.name}] {error}") from None

    def __call__(
        self,
        data: str | Path | None = None,
        *,
        out: str | Path | None = None,
        seed: int = 0,
        quiet: bool = True,
        resume: bool = False,
        options: dict[str, Any] | None = None,
        **settings: Any,
    ) -> dict[str, Any]:
        """Trains, leaves its files in `out` (default lamella-runs/NAME), returns the figures.

        data: a folder or file, where the recipe takes one. resume: go on from the states in `out`. options: precision,
        tensorboard and callbacks for every trainer of the run.
        """
        if data is not None and self.data is None:
            raise ValueError(f"[{self.name}] data must not be given: the recipe makes its own")
        if data is not None and not Path(data).exists():
            raise ValueError(f"[{self.name}] data must be there, got {data}")
        run = Run(self, self.parse(settings), data, out or Path("lamella-runs") / self.name, seed, quiet, resume, options or {})
        run.begin()
        begun = time.perf_counter()
        arguments = (run,) if self.data is None else (run, None if data is None else Path(data))
        figures = self.function(*arguments, **run.settings) or {}
        run.end(figures, time.perf_counter() - begun)
        return figures

    def main(self, argv: list[str] | None = None) -> int:
        """The recipe as a command: what `lamella train NAME` does, for a file run by itself."""
        from ..cli import main

        return main(["train", self.name, *(sys.argv[1:] if argv is None else argv)], {self.name: self})


def recipe(function: Any = None, *, data: str | None = None) -> Any:
    """Makes function(run, data, *, key: type = default, …) -> dict of figures a Recipe.

    data: what `--data` must be, for the help; None for a recipe that takes none, whose function is then (run, *, …). Beside
    it in the file may stand build(meta) -> model, predict(model, meta, path) -> str and generate(model, meta, run, prompt,
    **options) -> str, which `lamella predict` and `lamella generate` use.
    """
    return Recipe(function, data) if function is not None else lambda f: Recipe(f, data)
