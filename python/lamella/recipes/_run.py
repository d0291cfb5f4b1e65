# SPDX-License-Identifier: MIT
"""One run of a recipe: its folder, its trainers, what it leaves."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ..serialize import atomic_write, load, save

__all__ = ["Run", "load_model"]

_KIND = "lamella model 1"


class Run:
    """What a recipe's function gets: the folder `out`, `seed` (manual_seed was called with it), `settings`, and the ways to
    train, to save and to show."""

    def __init__(
        self,
        recipe: Any,
        settings: dict[str, Any],
        data: Any,
        out: str | Path,
        seed: int = 0,
        quiet: bool = True,
        resuming: bool = False,
        options: dict[str, Any] | None = None,
    ) -> None:
        self.recipe, self.settings, self.data, self.out = recipe, settings, data, Path(out)
        self.seed, self.quiet, self.resuming, self.options = seed, quiet, resuming, options or {}
        self.files: list[str] = []
        self.figures: dict[str, Any] = {}
        self._notes: set[str] = set()

    # ---- beginning and end -------------------------------------------------------------------------------------------
    def begin(self) -> None:
        """Makes the folder, writes down what is run, seeds."""
        from ..ops.random import manual_seed

        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"[{self.recipe.name}] out must be a folder that can be written, got {self.out}: {error.strerror}") from None
        self._record()
        manual_seed(self.seed)

    def end(self, figures: dict[str, Any], seconds: float) -> None:
        """Writes down the figures."""
        self.figures = {k: float(v) if hasattr(v, "__float__") and not isinstance(v, bool | int) else v for k, v in figures.items()}
        self._record(figures=self.figures, seconds=seconds, files=self.files)

    def _record(self, **more: Any) -> None:
        from .. import __version__, _core

        data = None if self.data is None else os.path.abspath(self.data)
        options = {k: v for k, v in self.options.items() if isinstance(v, str | int | float | bool)}
        what = {"recipe": self.recipe.name, "settings": self.settings, "data": data, "seed": self.seed, "options": options}
        what |= {"lamella": __version__, "isa": _core.active_isa(), **more}
        with atomic_write(self.out / "run.json") as file:
            file.write((json.dumps(what, indent=1) + "\n").encode())

    # ---- training ----------------------------------------------------------------------------------------------------
    def trainer(
        self, model: Any, optimizer: Any, criterion: Any = None, *, name: str = "", cls: Any = None, callbacks: Any = (), **options: Any
    ) -> Any:
        """A Trainer (or `cls`) that shows its progress, keeps history.csv and its state in the run's folder, and goes on from
        that state where the run is resumed. name: sets apart the trainers of a run that has several."""
        from ..train import Checkpoint, CSVLogger, Trainer, progress

        prefix = f"{name}-" if name else ""
        state = self.out / f"{prefix}state.safetensors"
        options |= {k: v for k, v in self.options.items() if k == "precision"}  # what was asked for counts
        kept = [*callbacks, *progress(self.quiet), CSVLogger(self.out / f"{prefix}history.csv"), *self.options.get("callbacks", ())]
        if self.options.get("tensorboard"):
            from ..train import TensorBoard

            kept.append(TensorBoard(self.out / "tensorboard" / name))
        made = (cls or Trainer)(model, optimizer, criterion, callbacks=[*kept, Checkpoint(state)], **options)
        if self.resuming and state.exists():
            made.resume(state)
        self._left(state.name, f"{prefix}history.csv")
        return made

    # ---- what is left ------------------------------------------------------------------------------------------------
    def _left(self, *names: str) -> None:
        self.files += [n for n in names if n not in self.files]

    def print(self, text: str) -> None:
        """A line for the person who runs it."""
        if not self.quiet:
            print(text, flush=True)

    def save(self, model: Any, meta: dict[str, Any] | None = None, name: str = "model") -> Path:
        """NAME.safetensors: the weights with the recipe's name, its settings and `meta`, of which build(meta) makes the model
        again."""
        path = self.out / f"{name}.safetensors"
        parts = {"kind": _KIND, "recipe": self.recipe.name, "file": self._file(), "settings": self.settings, "meta": meta or {}}
        save({**parts, "state": model.state_dict()}, path)
        self._left(path.name)
        return path

    def _file(self) -> str | None:
        """Where a recipe that is not lamella's own stands."""
        path = getattr(self.recipe.module, "__file__", None)
        return None if path is None or Path(path).parent == Path(__file__).parent else os.path.abspath(path)

    def text(self, name: str, text: str) -> Path:
        """NAME (with its ending) as a text file."""
        path = self.out / name
        with atomic_write(path) as file:
            file.write(text.encode())
        self._left(path.name)
        return path

    def figure(self, name: str, make: Any, *args: Any, **options: Any) -> Path | None:
        """NAME.png of a matplotlib Figure, or of what make(*args, **options) returns; where matplotlib is missing, a line
        says so and there is no picture.

        run.figure("confusion", plots.confusion_matrix, counts, classes)
        """
        import io

        try:
            made = make(*args, **options) if callable(make) else make
            buffer = io.BytesIO()
            made.savefig(buffer, format="png", dpi=110)
        except ImportError as error:
            if str(error) not in self._notes:
                self._notes.add(str(error))
                self.print(f"no pictures: {error}")
            return None
        path = self.out / f"{name}.png"
        with atomic_write(path) as file:
            file.write(buffer.getvalue())
        self._left(path.name)
        return path


def load_model(path: str | os.PathLike[str]) -> tuple[Any, dict[str, Any], Any]:
    """(model in evaluation mode, meta, the recipe's module) of a file that Run.save wrote. ValueError names the file where
    it is damaged, something else, or its weights do not fit what its recipe builds. A file of a recipe of your own is read by
    importing that recipe first; nothing in the file itself is executed."""
    from ..train.state import check_model
    from ._registry import get, names

    parts = load(path)
    if not isinstance(parts, dict) or parts.get("kind") != _KIND:
        raise ValueError(f"[load_model] {os.fspath(path)}: must be a model that a recipe saved (model.safetensors)")
    if parts["recipe"] not in names():
        raise ValueError(f"[load_model] {os.fspath(path)}: its recipe {parts['recipe']!r} is not lamella's: run its own file, {parts['file']}")
    module = get(parts["recipe"]).module
    meta = {**parts["meta"], "settings": parts["settings"]}
    model = module.build(meta)
    check_model(model, parts["state"], f"[load_model] {os.fspath(path)}")
    model.load_state_dict(parts["state"])
    return model.eval(), meta, module
