# SPDX-License-Identifier: MIT
"""Layers: PyTorch's names, arguments, defaults and state_dict keys."""

from . import functional, init, utils
from .activation import *
from .attention import *
from .container import ModuleDict, ModuleList, ParameterDict, ParameterList, Sequential
from .conv import *
from .dropout import *
from .embedding import *
from .linear import *
from .loss import *
from .module import Module
from .norm import *
from .parameter import Parameter
from .pool import *
from .recurrent import *
