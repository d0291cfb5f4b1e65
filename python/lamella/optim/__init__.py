# SPDX-License-Identifier: MIT
"""Optimisers: one kernel call updates all parameters of a group. Schedules, averages of weights, penalties and helpers."""

from ..ops.optim import elastic_net_penalty, l1_penalty, l2_penalty, soft_threshold_
from . import lr_scheduler, swa_utils
from .accumulate import GradientAccumulator
from .adam import LAMB, Adam, Adamax, AdamW, NAdam, RAdam
from .adaptive import Adadelta, Adagrad, Lion, RMSprop, Rprop
from .lr_finder import LRFinder, scale_lr
from .muon import Muon, orthogonalize
from .optimizer import Optimizer
from .sgd import ASGD, LARS, SGD

__all__ = [
    "ASGD",
    "LAMB",
    "LARS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "GradientAccumulator",
    "LRFinder",
    "Lion",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "elastic_net_penalty",
    "l1_penalty",
    "l2_penalty",
    "lr_scheduler",
    "orthogonalize",
    "scale_lr",
    "soft_threshold_",
    "swa_utils",
]
