# SPDX-License-Identifier: MIT
"""NumPy, loaded when it is first used: that takes several times as long as the rest of `import lamella`."""

from __future__ import annotations

import types
from typing import Any


class _Lazy(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        import numpy

        value = getattr(numpy, name)
        setattr(self, name, value)
        return value


np: Any = _Lazy("numpy")
