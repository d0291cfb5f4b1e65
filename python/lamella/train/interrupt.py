# SPDX-License-Identifier: MIT
"""Ctrl-C that lets a step finish."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

__all__ = ["deferred_interrupt"]


class Interrupt:
    """`asked` is set by the first Ctrl-C; the second raises KeyboardInterrupt where it comes."""

    asked = False

    def __call__(self, signum: int, frame: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


@contextlib.contextmanager
def deferred_interrupt() -> Iterator[Interrupt]:
    """Takes SIGINT for the block, where Python's own handler has it and this is the main thread; else changes nothing."""
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield interrupt
        return
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
