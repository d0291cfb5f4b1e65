# SPDX-License-Identifier: MIT
"""Losses. `reduction` is 'none', 'mean' (over all elements, unless its docstring says otherwise) or 'sum'.

Input and target must have the same shape: nothing broadcasts silently. ValueError for shapes that differ and for other
reductions. Cross-entropy and nll_loss are in softmax.py, ctc_loss in ctc.py. Under autocast losses compute in float32, but
those that call a model or a function of the caller's.
"""

from ...precision import in_float32
from .classification import *
from .generative import *
from .image import *
from .metric import *
from .regression import *
from .reinforcement import *

__all__ = [name for name, value in globals().items() if name[0] != "_" and not hasattr(value, "__spec__") and name != "in_float32"]
for _name in set(__all__) - {"gradient_penalty", "perceptual_loss", "style_loss", "triplet_margin_with_distance_loss"}:
    globals()[_name] = in_float32(globals()[_name])
