# SPDX-License-Identifier: MIT
"""Commands around recipes: train, resume, predict, generate, doctor and their list."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from .. import _core


def _pairs(texts: list[str]) -> dict[str, str]:
    """key=value each."""
    from . import UsageError

    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"settings must be key=value, got {text!r}")
        found[key.replace("-", "_")] = value
    return found


def _recipe(args: Any, name: str) -> Any:
    from .. import recipes

    return args.own.get(name) or recipes.get(name)


def _options(args: Any) -> dict[str, Any]:
    kept = {name: getattr(args, name, None) for name in ("precision", "tensorboard", "doctor")}
    return {name: value for name, value in kept.items() if value}


def _go(args: Any, recipe: Any, data: Any, out: Path, settings: dict[str, Any], seed: int, options: dict[str, Any], resume: bool) -> int:
    """Runs it and prints what came of it."""
    from ..train import duration

    watching = None
    if options.get("doctor"):
        from ..doctor import Doctor

        watching = Doctor(out / "doctor.html")
        options = {**options, "callbacks": [watching]}
    threads = _core.num_threads()
    if not args.quiet:
        print(f"{recipe.name}: seed {seed}, {threads} thread{'s' if threads > 1 else ''}, files in {out}", flush=True)
    begun = time.perf_counter()
    try:
        figures = recipe(data, out=out, seed=seed, quiet=args.quiet, resume=resume, options=options, **settings)
    except KeyboardInterrupt:
        print(f"\nstopped; go on with: lamella resume {out}", file=sys.stderr)
        return 130
    words = ", ".join(f"{k.replace('_', ' ')} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in figures.items())
    print(f"{words or 'done'}; seed {seed}, {duration(time.perf_counter() - begun)}")
    if watching is not None:
        print(watching.report)
    files = json.loads((out / "run.json").read_text())["files"]
    print(f"wrote {', '.join(str(out / name) for name in [*files, 'run.json'])}")
    return 0


def train(args: Any) -> int:
    """Trains by a recipe."""
    recipe = _recipe(args, args.recipe)
    out = Path(args.out or Path("lamella-runs") / recipe.name)
    return _go(args, recipe, args.data, out, _pairs(args.settings), args.seed, _options(args), False)


def demo(args: Any) -> int:
    """The recipe `digits`."""
    args.recipe, args.data, args.out = "digits", None, args.out or "lamella-runs/demo"
    return train(args)


def resume(args: Any) -> int:
    """Goes on in a run's folder."""
    from . import UsageError

    out = Path(args.out)
    try:
        what = json.loads((out / "run.json").read_text())
        recipe = _recipe(args, what["recipe"])
        data, settings, seed, options = what["data"], what["settings"], what["seed"], what["options"]
    except FileNotFoundError:
        raise UsageError(f"DIR must be the folder of a run, got {out}, which has no run.json") from None
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise UsageError(f"{out / 'run.json'} is damaged: {error}") from None
    return _go(args, recipe, data, out, settings, seed, options, True)


def matching(names: list[str], patterns: list[str]) -> list[str]:
    import fnmatch

    return [n for n in names if any(fnmatch.fnmatch(n, p) for p in patterns or ["*"])]


def list_recipes(args: Any) -> int:
    """A line each, or one with its settings."""
    from .. import recipes
    from . import UsageError

    chosen = matching(recipes.names(), args.names)
    if not chosen:
        raise UsageError(f"NAME must match one of {', '.join(recipes.names())}, got {' '.join(args.names)}")
    width = max(len(n) for n in chosen)
    for name in chosen:
        recipe = recipes.get(name)
        if len(chosen) > 1:
            print(f"{name:{width}}  {recipe.summary}")
            continue
        print(f"{name}: {recipe.doc}\n")
        print(f"--data  {recipe.data or 'none: the recipe makes or brings its own'}")
        for s in recipe.settings.values():
            print(f"{s.name}={'none' if s.default is None else s.default}  ({s.type.__name__}{', or none' if s.optional else ''})")
    return 0


def _model(args: Any) -> tuple[Any, dict[str, Any], Any, Path]:
    from ..recipes import load_model

    path = Path(args.checkpoint)
    path = path / "model.safetensors" if path.is_dir() else path
    return (*load_model(path), path)


def predict(args: Any) -> int:
    """A line for each input."""
    from . import UsageError

    model, meta, module, path = _model(args)
    if not hasattr(module, "predict"):
        raise UsageError(f"MODEL must be of a recipe that predicts, got {path}: try `lamella generate`")
    for item in args.inputs:
        print(f"{item}\t{module.predict(model, meta, item)}", flush=True)
    return 0


def generate(args: Any) -> int:
    """Text on stdout, or pictures in the folder."""
    from .. import manual_seed
    from ..recipes import Run
    from . import UsageError

    model, meta, module, path = _model(args)
    if not hasattr(module, "generate"):
        raise UsageError(f"MODEL must be of a recipe that generates, got {path}: try `lamella predict`")
    plain = [t for t in args.prompt if "=" not in t]
    options = _pairs([t for t in args.prompt if "=" in t])
    run = Run(module, {}, None, args.out or path.parent, args.seed, quiet=False)
    manual_seed(args.seed)
    text = module.generate(model, meta, run, " ".join(plain), **{k: _value(v) for k, v in options.items()})
    if text:
        print(text)
    if run.files:
        print(f"wrote {', '.join(str(run.out / name) for name in run.files)}")
    return 0


def _value(text: str) -> Any:
    """An option's text as the number, truth value or None that it spells, else itself."""
    try:
        value = json.loads(text.lower().replace("none", "null"))
    except json.JSONDecodeError:
        return text
    return value if isinstance(value, int | float | bool | type(None)) else text


def doctor(args: Any) -> int:
    """Runs a recipe's first steps under the doctor and prints its report."""
    from ..doctor import command

    recipe = _recipe(args, args.recipe)
    return command(recipe, args.data, Path(args.out or Path("lamella-runs") / f"doctor-{recipe.name}"), _pairs(args.settings), args.seed, args.quiet)
