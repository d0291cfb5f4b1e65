# SPDX-License-Identifier: MIT
"""A classifier in one file: weights, how to build the model, what its classes are called, how to prepare an image."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

from ..models import build
from ..serialize import load, save

_KIND = "lamella classifier 1"


@dataclass
class Recipe:
    """How to make the model again and feed it: images of (channels, size, size), values (x - mean) / std of [0, 1]."""

    model: str
    classes: list[str]
    channels: int
    size: int
    mean: float = 0.0
    std: float = 1.0
    dark_on_light: bool = False  # the images were turned into light strokes on black

    def build(self) -> Any:
        """A fresh model."""
        return build(self.model, classes=len(self.classes), channels=self.channels)


def save_checkpoint(path: str | os.PathLike[str], model: Any, recipe: Recipe) -> None:
    """Writes both, atomically."""
    save({"kind": _KIND, "recipe": asdict(recipe), "state": model.state_dict()}, path)


def load_checkpoint(path: str | os.PathLike[str]) -> tuple[Any, Recipe]:
    """(model in evaluation mode, recipe). ValueError names the file if it is damaged or no classifier's checkpoint."""
    data = load(path)
    if not isinstance(data, dict) or data.get("kind") != _KIND:
        raise ValueError(f"[load_checkpoint] {os.fspath(path)}: must be a checkpoint of `lamella train` or `lamella demo`")
    try:
        recipe = Recipe(**data["recipe"])
        model = recipe.build()
        model.load_state_dict(data["state"])
    except (KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"[load_checkpoint] {os.fspath(path)}: weights must be those of its model: {error}") from None
    return model.eval(), recipe
