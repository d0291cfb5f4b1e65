# SPDX-License-Identifier: MIT
"""Losses. `reduction` is 'none', 'mean' (over all elements, unless its docstring says otherwise) or 'sum'.

Input and target must have the same shape: nothing broadcasts silently. ValueError for shapes that differ and for other
reductions. Cross-entropy and nll_loss are in softmax.py, ctc_loss in ctc.py.
"""

from .classification import *
from .generative import *
from .image import *
from .metric import *
from .regression import *
from .reinforcement import *

__all__ = [name for name, value in globals().items() if name[0] != "_" and not hasattr(value, "__spec__")]
