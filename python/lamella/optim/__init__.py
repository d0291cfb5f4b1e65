# SPDX-License-Identifier: MIT
"""Optimisers: one kernel call updates all parameters of a group."""

from . import lr_scheduler
from .adam import Adam, AdamW
from .optimizer import Optimizer
from .sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "lr_scheduler"]
