# SPDX-License-Identifier: MIT
"""Layers: PyTorch's names, arguments, defaults and state_dict keys."""

from . import functional, init, utils
from .activation import *
from .attention import *
from .cache import *
from .container import ModuleDict, ModuleList, ParameterDict, ParameterList, Sequential
from .conv import *
from .distance import *
from .dropout import *
from .embedding import *
from .lazy import *
from .linear import *
from .loss import *
from .module import Module
from .norm import *
from .padding import *
from .parameter import Parameter
from .perceptron import *
from .pool import *
from .position import *
from .recurrent import *
from .resize import *
from .transformer import *
