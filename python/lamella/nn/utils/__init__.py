# SPDX-License-Identifier: MIT
"""Helpers around layers: gradient clipping, sequences of different lengths."""

from . import rnn
from .clip_grad import *
