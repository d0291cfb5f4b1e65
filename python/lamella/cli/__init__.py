# SPDX-License-Identifier: MIT
"""The command `lamella`. Bad input gives one line on stderr and exit code 2."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from .. import __version__, _core

__all__ = ["UsageError", "main"]


class UsageError(Exception):
    """What the user can mend: printed without a traceback."""


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def _run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="DIR", help="folder for weights, state, curves and pictures (default: lamella-runs/RECIPE)")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers (default: 0)")
    parser.add_argument("--threads", type=_positive, help="results do not depend on it (default: the processors there are)")
    parser.add_argument("--precision", choices=("float32", "bfloat16", "float16", "auto"), help="of products; sums stay float32")
    parser.add_argument("--tensorboard", action="store_true", help="event files in OUT/tensorboard")
    parser.add_argument("--doctor", action="store_true", help="watch the run and report in OUT/doctor.html")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def _recipe_and_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="a name that `lamella recipes` lists")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="settings of the recipe: see `lamella recipes RECIPE`")
    parser.add_argument("--data", metavar="DIR", help="folder or file with the data")


def _parser() -> argparse.ArgumentParser:
    from . import about, recipes

    parser = argparse.ArgumentParser("lamella", description="A deep-learning tensor engine: train and use models.")
    parser.add_argument("--version", action="version", version=f"lamella {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Any, words: str, more: str = "") -> argparse.ArgumentParser:
        p = commands.add_parser(name, help=words, description=f"{words[0].upper()}{words[1:]}. {more}".strip())
        p.set_defaults(run=run)
        return p

    p = command("demo", recipes.demo, "train a LeNet on the embedded UCI digits")
    _run_options(p)
    p.add_argument("settings", nargs="*", metavar="key=value", help="settings of the recipe `digits`")
    p = command("train", recipes.train, "train by a recipe", "For example: lamella train lenet5 --data DIR epochs=3")
    _recipe_and_settings(p)
    _run_options(p)
    p = command("resume", recipes.resume, "go on with a run that was stopped", "It ends in the bits of a run that was not.")
    p.add_argument("out", metavar="DIR", help="the run's folder")
    p.add_argument("--threads", type=_positive)
    p.add_argument("--quiet", action="store_true", help="no progress")
    p = command("recipes", recipes.list_recipes, "all recipes, or the settings of one")
    p.add_argument("names", nargs="*", metavar="NAME", help="a name, or a pattern such as 'vae*'")
    p = command("predict", recipes.predict, "what a trained model says of files, or of a line of text")
    p.add_argument("checkpoint", metavar="MODEL", help="model.safetensors, or the run's folder")
    p.add_argument("inputs", nargs="+", metavar="FILE", help="as the recipe takes them: images, WAV files, lines of text")
    p = command("generate", recipes.generate, "text or pictures by a trained model", "For example: lamella generate DIR 'ROMEO:' length=300")
    p.add_argument("checkpoint", metavar="MODEL", help="model.safetensors, or the run's folder")
    p.add_argument("prompt", nargs="*", metavar="PROMPT or key=value", help="what to begin with, and options of the recipe")
    p.add_argument("--out", metavar="DIR", help="folder for pictures (default: the model's)")
    p.add_argument("--seed", type=int, default=0)
    p = command("doctor", recipes.doctor, "why does a model not learn? examines a recipe's first steps")
    _recipe_and_settings(p)
    _run_options(p)
    p = command("models", about.list_models, "all models: parameters, FLOPs, memory; or the layers of one")
    p.add_argument("names", nargs="*", metavar="NAME", help="a name, or a pattern such as 'vgg*'")
    command("info", about.info, "version, ISA, threads, memory, measured peaks")
    return parser


def main(argv: list[str] | None = None, own_recipes: dict[str, Any] | None = None) -> int:
    """Runs the command line; returns the exit code: 0, 2 for bad input, 130 when interrupted. own_recipes: of a file that
    runs itself, beside lamella's."""
    parser = _parser()
    args, rest = parser.parse_known_args(argv)
    # argparse takes `RECIPE key=value` only where no option stands between: what comes after one is in `rest`
    target = next((name for name in ("settings", "prompt") if hasattr(args, name)), None)
    if target is None or any(text.startswith("-") for text in rest):
        if rest:
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
    else:
        setattr(args, target, [*getattr(args, target), *rest])
    args.own = own_recipes or {}
    try:
        if getattr(args, "threads", None):
            _core.set_num_threads(args.threads)
        return args.run(args)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (UsageError, ValueError, OSError, MemoryError, ImportError, FloatingPointError) as error:
        print(f"lamella: {error}", file=sys.stderr)
        return 2
