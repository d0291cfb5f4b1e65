# SPDX-License-Identifier: MIT
"""Parameter: a Tensor that a Module trains."""

from ..tensor import Parameter

__all__ = ["Parameter"]
