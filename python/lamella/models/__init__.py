# SPDX-License-Identifier: MIT
"""Models, and `build(name, **arguments)`, by which a checkpoint makes its own again."""

from .lenet import ConvNet, LeNet5, SmallLeNet

MODELS = {"conv_net": ConvNet, "lenet5": LeNet5, "small_lenet": SmallLeNet}


def build(name, **arguments):
    """The model of that name. ValueError for an unknown one."""
    if name not in MODELS:
        raise ValueError(f"[models] name must be one of {', '.join(MODELS)}, got {name!r}")
    return MODELS[name](**arguments)
