# SPDX-License-Identifier: MIT
"""All ops, one module per family: the forward call and, right below it, the rule of its gradient.

Only this package, tensor.py and optim/ call the extension.
"""

from .activation import *
from .creation import *
from .elementwise import *
from .gate import *
from .special import *
from .gemm import *
from .index import *
from .index_bag import *
from .join import *
from .layout import *
from .padding import *
from .reduce import *
from .scan import *
from .view import *
from .view import cast
from .sort import *
from .write import *
from .shape import *
from .products import *
from .statistics import *
from . import alias as _alias
from .random import *
from .recurrent import *
from .conv import *
from .pool import *
from .fold import channel_shuffle, pixel_shuffle, pixel_unshuffle  # fold and unfold are those of nn.functional alone
from .resize import *
from .rotary import *
from .softmax import *
from .attention import *
from .layer_norm import *
from .batch_norm import *
from .ctc import *
from .loss import *
from .quant import *
from .optim import *

__all__ = [  # what the modules above give, not the modules themselves
    name for name, value in globals().items() if name[0] != "_" and not hasattr(value, "__spec__")
]
