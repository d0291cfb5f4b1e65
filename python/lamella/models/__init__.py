# SPDX-License-Identifier: MIT
"""Models, and `build(name, **arguments)`, by which a checkpoint makes its own again.

A model imports its library by relative names only (`from .. import nn`) and says what PyTorch says, so `bench` runs the
same source inside PyTorch.
"""

from .gpt import GPT
from .language import LSTMLanguageModel
from .lenet import ConvNet, LeNet5, SmallLeNet
from .resnet import ResNet, resnet18, resnet34, resnet50, resnet101, resnet152

MODELS = {
    "conv_net": ConvNet,
    "lenet5": LeNet5,
    "small_lenet": SmallLeNet,
    "gpt": GPT,
    "lstm_language_model": LSTMLanguageModel,
    **{f.__name__: f for f in (resnet18, resnet34, resnet50, resnet101, resnet152)},
}


def build(name, **arguments):
    """The model of that name. ValueError for an unknown one."""
    if name not in MODELS:
        raise ValueError(f"[models] name must be one of {', '.join(MODELS)}, got {name!r}")
    return MODELS[name](**arguments)
