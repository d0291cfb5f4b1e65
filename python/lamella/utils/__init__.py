# SPDX-License-Identifier: MIT
"""`lamella.utils.checkpoint`, `lamella.utils.tensorboard`, and `lamella.utils.data`, PyTorch's place for `lamella.data`."""

from . import checkpoint

__all__ = ["checkpoint", "data", "tensorboard"]


def __getattr__(name):
    if name == "data":
        from .. import data

        return data
    if name == "tensorboard":
        import importlib

        return importlib.import_module(".tensorboard", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
