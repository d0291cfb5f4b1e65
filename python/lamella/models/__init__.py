# SPDX-License-Identifier: MIT
"""Models, `create(name, **options)`, which makes them by name, and loading of weights.

A model imports its library by relative names only (`from .. import nn`) and says what PyTorch says, so `bench` runs the
same source inside PyTorch.
"""

from . import gpt, resnet
from .alexnet import *
from .autoencoder import *
from .bert import *
from .boxes import *
from .clip import *
from .ctc_decode import *
from .ddpm import *
from .gan import *
from .generate import *
from .googlenet import *
from .gpt import GPT
from .language import *
from .lenet import *
from .llama import *
from .mlp import *
from .pretrained import *
from .registry import *
from .resnet import *
from .resnet9 import *
from .seq2seq import *
from .speech import *
from .ssd import *
from .t5 import *
from .text import *
from .translation import *
from .unet import *
from .vae import *
from .vgg import *
from .vit import *
