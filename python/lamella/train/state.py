# SPDX-License-Identifier: MIT
"""The state of a run in one file, such that a run that is resumed ends in the bits of one that was never stopped."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ops.random import get_rng_state, set_rng_state
from ..serialize import load, save

__all__ = ["TrainState"]

_KIND = "lamella train state 1"


def _get_random() -> dict[str, Any]:
    """The random streams of lamella, Python and NumPy."""
    version, words, gauss = random.getstate()
    name, keys, place, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "lamella": get_rng_state(),
        "python": [version, np.array(words, np.int64), gauss],
        "numpy": [name, np.asarray(keys, np.int64), int(place), int(has_gauss), float(cached)],
    }


def set_random(state: dict[str, Any]) -> None:
    """Puts the streams where they were."""
    set_rng_state(state["lamella"])
    version, words, gauss = state["python"]
    random.setstate((version, tuple(int(w) for w in np.asarray(words)), gauss))
    name, keys, place, has_gauss, cached = state["numpy"]
    np.random.set_state((name, np.asarray(keys, np.uint32), place, has_gauss, cached))


def _names(trainer: Any) -> dict[int, str]:
    return {id(p): name for name, p in trainer.model.named_parameters()}


def _labels(optimizer: Any, names: dict[int, str]) -> dict[int, str]:
    """id -> name of each parameter; of one that is not the model's its number, as '#3'."""
    labels: dict[int, str] = {}
    for group in optimizer.param_groups:
        for p in group["params"]:
            labels.setdefault(id(p), names.get(id(p), f"#{len(labels)}"))
    return labels


def _named_optimizer(optimizer: Any, names: dict[int, str]) -> dict[str, Any]:
    """state_dict with parameters by name instead of number."""
    plain, label = optimizer.state_dict(), list(_labels(optimizer, names).values())
    groups = [{k: [label[i] for i in v] if k == "params" else v for k, v in g.items()} for g in plain["param_groups"]]
    return {"state": {label[int(i)]: s for i, s in plain["state"].items()}, "param_groups": groups}


def _numbered_optimizer(op: str, optimizer: Any, named: dict[str, Any], names: dict[int, str]) -> dict[str, Any]:
    """The inverse, in this optimiser's order: ValueError where its groups hold other parameters."""
    labels = _labels(optimizer, names)
    number = {label: i for i, label in enumerate(labels.values())}
    here, there = optimizer.param_groups, named["param_groups"]
    if len(here) != len(there):
        raise ValueError(f"{op} must have {len(here)} parameter groups, got {len(there)}")
    groups = []
    for group, old in zip(here, there, strict=True):
        mine = [labels[id(p)] for p in group["params"]]
        if set(mine) != set(old["params"]):
            missing, unknown = sorted(set(mine) - set(old["params"])), sorted(set(old["params"]) - set(mine))
            raise ValueError(f"{op} must have the same parameters in a group, got none for {missing} and unknown {unknown}")
        kept = {k: group[k] if k == "param_names" else v for k, v in old.items()}
        groups.append({**kept, "params": [number[n] for n in mine]})
    return {"state": {number[n]: s for n, s in named["state"].items()}, "param_groups": groups}


@dataclass
class TrainState:
    """Model, optimisers (by parameter name), schedule, loss scaler, averaged weights, random streams (lamella's, Python's,
    NumPy's), the loader's place, callbacks' memory, counts and history: 37 steps, a save, a new process and 63 steps end in
    the same bits as 100 steps. The file is safetensors with a structure in its metadata; nothing in it is executed.
    """

    parts: dict[str, Any]

    @classmethod
    def of(cls, trainer: Any) -> TrainState:
        """The state of a trainer between two steps."""
        names = _names(trainer)
        loader = trainer._loader
        callbacks: dict[str, Any] = {}
        for callback in trainer.callbacks:
            kept = callback.state_dict() if hasattr(callback, "state_dict") else {}
            if kept:
                callbacks[_callback_name(callback, callbacks)] = kept
        return cls(
            {
                "kind": _KIND,
                "model": trainer.model.state_dict(),
                "optimizers": {n: _named_optimizer(o, names) for n, o in trainer.optimizers.items()},
                "schedule": None if trainer.schedule is None else trainer.schedule.state_dict(),
                "scaler": None if trainer.scaler is None else trainer.scaler.state_dict(),
                "ema": None if trainer.ema is None else trainer.ema.state_dict(),
                "random": _get_random(),
                "loader": loader.state_dict() if hasattr(loader, "state_dict") else None,
                "callbacks": callbacks,
                "counts": {
                    "steps_done": trainer.steps_done,
                    "samples_done": trainer.samples_done,
                    "epoch": trainer.epoch,
                    "batch_index": trainer.batch_index,
                },
                "sums": trainer._sums.state_dict(),
                "metrics": {n: m.state_dict() for n, m in trainer.metrics.items() if hasattr(m, "state_dict")},
                "history": trainer.history.rows,
            }
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes it under a temporary name, then renames: a file that was there stays whole until the new one is."""
        save(self.parts, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TrainState:
        """Reads it; ValueError names the file where it is damaged or something else."""
        parts = load(path)
        if not isinstance(parts, dict) or parts.get("kind") != _KIND:
            raise ValueError(f"[TrainState] {os.fspath(path)}: must be a state that Trainer.save wrote")
        return cls(parts)

    def restore(self, trainer: Any) -> None:
        """Puts it into a trainer that was made in the same way. Nothing is changed where it does not fit."""
        parts = self.parts
        check_model(trainer.model, parts["model"])
        names = _names(trainer)
        if set(parts["optimizers"]) != set(trainer.optimizers):
            raise ValueError(
                f"[TrainState] optimizers must be {sorted(trainer.optimizers)}, got {sorted(parts['optimizers'])}"
            )
        optimizers = {
            n: _numbered_optimizer(f"[TrainState] {n}", o, parts["optimizers"][n], names) for n, o in trainer.optimizers.items()
        }
        for name in ("schedule", "scaler", "ema"):
            if (parts[name] is None) != (getattr(trainer, name) is None):
                has, file = ("no", "has one") if parts[name] is not None else ("a", "has none")
                raise ValueError(f"[TrainState] {name} must be as in the file, which {file}: the trainer has {has} {name}")
        trainer.model.load_state_dict(parts["model"])
        for n, optimizer in trainer.optimizers.items():
            optimizer.load_state_dict(optimizers[n])
            optimizer.zero_grad()
        for name in ("schedule", "scaler", "ema"):
            if parts[name] is not None:
                getattr(trainer, name).load_state_dict(parts[name])
        seen: dict[str, Any] = {}
        for callback in trainer.callbacks:
            key = _callback_name(callback, seen)
            seen[key] = True
            if key in parts["callbacks"] and hasattr(callback, "load_state_dict"):
                callback.load_state_dict(parts["callbacks"][key])
        for name, value in parts["counts"].items():
            setattr(trainer, name, value)
        trainer._sums.load_state_dict(parts["sums"])
        for name, kept in parts["metrics"].items():
            if name in trainer.metrics:
                trainer.metrics[name].load_state_dict(kept)
        trainer.history.rows[:] = parts["history"]
        trainer._resumed, trainer._micro = {"loader": parts["loader"], "random": parts["random"]}, 0
        set_random(parts["random"])


def _callback_name(callback: Any, taken: dict[str, Any]) -> str:
    base = getattr(callback, "name", "") or type(callback).__name__
    name, n = base, 2
    while name in taken:
        name, n = f"{base} {n}", n + 1
    return name


def check_model(model: Any, state: dict[str, Any], op: str = "[TrainState]") -> None:
    """ValueError that lists the names and shapes in which a state is not the model's."""
    here = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    there = {k: tuple(v.shape) for k, v in state.items()}
    faults = [f"{k} {here[k]} is missing" for k in here if k not in there]
    faults += [f"{k} {there[k]} is unknown" for k in there if k not in here]
    faults += [f"{k} is {there[k]}, here {here[k]}" for k in here if k in there and here[k] != there[k]]
    if faults:
        more = f" and {len(faults) - 8} more" if len(faults) > 8 else ""
        raise ValueError(f"{op} weights must be of the same architecture, got: {'; '.join(faults[:8])}{more}")
