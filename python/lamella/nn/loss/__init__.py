# SPDX-License-Identifier: MIT
"""Losses as modules: the functions of nn.functional with their arguments kept."""

from .classification import *
from .generative import *
from .image import *
from .metric import *
from .regression import *
from .reinforcement import *
