# SPDX-License-Identifier: MIT
"""Ready-made trainings: each file here is one, a script of a page that `lamella train NAME` runs.

`names()` lists them, `get(name)` is one: called with its settings, it trains and returns its figures. `recipe` makes a
function a recipe, for files of your own too (`python my_recipe.py --data DIR lr=0.01`).

>>> recipes.get("digits").settings["epochs"].default
25
"""

from ._recipe import Recipe, Setting, recipe
from ._registry import get, names
from ._run import Run, load_model

__all__ = ["Recipe", "Run", "Setting", "get", "load_model", "names", "recipe"]
