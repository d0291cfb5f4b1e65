# SPDX-License-Identifier: MIT
"""What a watched run and the trials leave: plain records, which the rules read."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from . import graph
from .data import Data
from .relation import Relation


@dataclass
class Layer:
    """Outputs of a module without modules in it, at one step, all its calls: their mean, spread, largest value, whether all
    are finite, and the norm of the gradient that came to each call's output (the first call first)."""

    path: str
    kind: str
    mean: float
    std: float
    peak: float
    finite: bool
    finite_input: bool
    calls: int = 1
    norms: list[float] = field(default_factory=list)
    gradients: list[float] = field(default_factory=list)


@dataclass
class Weight:
    """A parameter at one step: norms of its values, its gradient (None: there was none) and its update."""

    name: str
    shape: tuple[int, ...]
    trainable: bool
    known: bool  # to the optimiser, in a group whose rate is not 0
    norm: float
    grad: float | None = None
    update: float | None = None
    called: bool = True
    fresh: bool = False  # looks like a default initialisation


@dataclass
class Look:
    """What was seen at one chosen step."""

    step: int
    loss: float = math.nan
    layers: dict[str, Layer] = field(default_factory=dict)
    units: list[graph.Units] = field(default_factory=list)
    softmaxes: list[graph.Softmax] = field(default_factory=list)
    weights: list[Weight] = field(default_factory=list)
    reached: set[int] | None = None
    predictions: np.ndarray | None = None  # how often each class is the largest
    time_gradients: dict[str, list[float]] = field(default_factory=dict)  # recurrent layer: norm per time step
    time_states: dict[str, list[float]] = field(default_factory=dict)

    @property
    def gradient_norm(self) -> float:
        """Of all parameters together."""
        return math.sqrt(sum((w.grad or 0.0) ** 2 for w in self.weights))

    @property
    def ratio(self) -> float:
        """The median of update norm / weight norm over the weight matrices; NaN where there is none."""
        found = [
            w.update / w.norm for w in self.weights if w.update is not None and w.grad and w.norm > 0 and len(w.shape) > 1
        ]
        return float(np.median(found)) if found else math.nan


@dataclass
class Run:
    """All that a watched run left."""

    losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    data: Data = field(default_factory=Data)
    loss_nodes: list[graph.LossNode] = field(default_factory=list)
    not_cleared: int = 0
    cleared: int = 0
    mode_checks: int = 0
    eval_steps: int = 0  # of these, how many found a layer in evaluation mode to which that matters
    eval_modules: list[str] = field(default_factory=list)
    small_norms: dict[str, int] = field(default_factory=dict)  # batch norm: the smallest batch it was trained on
    frozen: tuple[int, int] = (0, 0)  # parameters with requires_grad False, of how many
    normalised: bool = False  # the first layer is a norm
    output_shape: tuple[int, ...] = ()
    nan_at: str = ""
    error: BaseException | None = None

    @property
    def steps(self) -> int:
        return len(self.losses)


@dataclass
class Trials:
    """What was tried from the same start.

    rates: {factor on the user's rate: losses of the steps}. overfit: losses on one batch. range: the curve of the
    learning-rate range test. held_out: (loss on held-out samples, loss of always giving the classes' frequencies, accuracy,
    that of the largest class, how many) after training on the others. mixed: the largest change of the outputs of the
    samples that stayed when another was exchanged, against their spread.
    """

    rates: dict[float, list[float]] = field(default_factory=dict)
    overfit: list[float] = field(default_factory=list)
    range: dict[str, list[float]] = field(default_factory=dict)
    low_high: tuple[float, float, float] | None = None
    held_out: tuple[float, float, float, float, int] | None = None
    mixed: float | None = None
    last_batch: int = 0  # samples in the last batch of an epoch, where that is known
    skipped: str = ""  # why there were none


@dataclass
class Evidence:
    """All that the rules look at. What was not looked at is None or empty."""

    run: Run = field(default_factory=Run)
    data: Data = field(default_factory=Data)
    trials: Trials = field(default_factory=Trials)
    validation: Data | None = None
    relation: Relation | None = None
    mapping: tuple[int, float, float] | None = None
    duplicates: tuple[int, int] = (0, 0)
    shared: tuple[int, int] = (0, 0)  # validation samples that are in the training set, of how many
    own_rate: bool = True  # the optimiser is the user's
    planned: int = 0  # steps of the watched run, had it not ended early

    @property
    def classes(self) -> int:
        """How many classes the loss has; 0 where it is no classification."""
        return next((n.classes for n in self.run.loss_nodes if n.classes), 0)

    @property
    def expected(self) -> float | None:
        """The loss of guessing, ln C, for a classification with a mean loss."""
        return math.log(self.classes) if self.classes > 1 else None
