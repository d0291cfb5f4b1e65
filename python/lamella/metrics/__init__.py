# SPDX-License-Identifier: MIT
"""Metrics with torchmetrics' names: `update(output, target)` for each batch, then `compute()`; `reset()` starts again."""

from .base import *
from .classification import *
from .detection import *
from .ranking import *
from .regression import *
from .text import *
from . import functional
