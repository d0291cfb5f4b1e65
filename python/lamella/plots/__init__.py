# SPDX-License-Identifier: MIT
"""Pictures of models and runs, one function each. All return a matplotlib Figure that belongs to no window:
`figure.savefig("picture.png")`; a notebook shows it. matplotlib is imported with the first picture, and nothing global of its
settings is touched."""

from .boxes import *
from .classes import *
from .ctc import *
from .graph import *
from .images import *
from .space import *
from .training import *
