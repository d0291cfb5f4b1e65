# SPDX-License-Identifier: MIT
"""`lamella.utils.checkpoint`, and `lamella.utils.data`, PyTorch's place for `lamella.data`."""

from . import checkpoint

__all__ = ["checkpoint", "data"]


def __getattr__(name):
    if name == "data":
        from .. import data

        return data
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
