# SPDX-License-Identifier: MIT
"""Puts the layer's path in front of the message of an error that comes out of a forward."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .module import Module

_KINDS = (ValueError, TypeError, IndexError, RuntimeError, MemoryError, ArithmeticError)


def blame(module: Module, error: Exception) -> None:
    """Called by each nested Module.__call__ while `error` passes, innermost first.

    The innermost names itself; every outer one puts the path from itself down to the last in front, so that the message
    reads, once, "encoder.2.fc1 (Linear(490 -> 10)): ...". Errors without a message of their own are left alone.
    """
    if not (isinstance(error, _KINDS) and len(error.args) == 1 and isinstance(error.args[0], str)):
        return
    state = error.__dict__.get("_lamella_blame")
    if state is None:
        path, label, message, last = "", module._label(), error.args[0], module
    else:
        path, label, message, last = state
        if last is module:
            return
        step = next((name for name, found in module.named_modules() if found is last), type(last).__name__)
        path, last = f"{step}.{path}" if path else step, module
    error._lamella_blame = (path, label, message, last)
    error.args = (f"{path} ({label}): {message}" if path else f"{label}: {message}",)
