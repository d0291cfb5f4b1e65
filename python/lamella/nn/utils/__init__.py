# SPDX-License-Identifier: MIT
"""Helpers around layers: gradient clipping, parametrisations, fusion for inference, sequences of different lengths."""

from . import parametrizations, parametrize, rnn
from .clip_grad import *
from .convert_parameters import *
from .fusion import *
from .spectral_norm import *
from .weight_norm import *
