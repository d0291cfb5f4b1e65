# SPDX-License-Identifier: MIT
"""Where Tensors lie."""

from __future__ import annotations

import threading
from typing import Any

from . import _core

__all__ = ["device", "get_default_device", "place_of", "set_default_device"]

_captures = threading.local()  # graph: the CUDAGraph that the thread captures


def captured_graph() -> Any:
    """The CUDAGraph that this thread captures; None outside."""
    return getattr(_captures, "graph", None)


_now = {"default": None, "gpu": 0}  # the device of new tensors (None: the CPU), and the GPU that "cuda" alone means


class device:
    """Where tensors lie: `device("cpu")`; `device("cuda", 0)`, `device("cuda:0")` or `device(0)` name a GPU. As a context,
    new tensors lie there: `with lamella.device("cuda"): ...`."""

    __slots__ = ("index", "type")

    def __init__(self, type: Any, index: int | None = None) -> None:
        if isinstance(type, device):
            type, index = type.type, type.index
        elif isinstance(type, int) and not isinstance(type, bool):
            type, index = "cuda", type
        name, _, number = str(type).partition(":")
        if name not in ("cpu", "cuda") or (number and not number.isdigit()):
            raise RuntimeError(f"[device] type must be 'cpu' or 'cuda', with ':index' or not, got {type!r}")
        if number and index is not None:
            raise RuntimeError(f"[device] index must be given once, got {type!r} and {index}")
        self.type = name
        self.index = int(number) if number else index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index or 0) == (other.type, other.index or 0)

    def __hash__(self) -> int:
        return hash((self.type, self.index or 0))

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self) -> Any:
        return device, (self.type, self.index)

    def __enter__(self) -> device:
        _before.append(_now["default"])
        set_default_device(self)
        return self

    def __exit__(self, *exc: object) -> None:
        _now["default"] = _before.pop()

    def __repr__(self) -> str:
        return f"device(type={self.type!r})" if self.index is None else f"device(type={self.type!r}, index={self.index})"


_before: list[Any] = []


def place_of(where: Any) -> Any:
    """What the extension takes for a device: None (the default), -1 (the CPU) or the number of a GPU. A Tensor stands for
    where it lies. RuntimeError where there is no such GPU."""
    if where is None:
        return None if _now["default"] is None else place_of(_now["default"])
    if isinstance(where, _core.TensorBase):
        return where
    if type(where) is not device:
        where = device(where)
    if where.type == "cpu":
        return -1
    index = _now["gpu"] if where.index is None else where.index
    if index >= _core.cuda_count():
        why = _core.cuda_problem() or f"there are {_core.cuda_count()}"
        raise RuntimeError(f"[device] GPU must be there, got {where}: {why}")
    return index


def get_default_device() -> device:
    """Where new Tensors lie."""
    return _now["default"] or device("cpu")


def set_default_device(device: Any) -> None:
    """Where new Tensors lie from here on; None: the CPU. RuntimeError for a GPU that is not there."""
    wanted = None if device is None else globals()["device"](device)
    if wanted is not None:
        place_of(wanted)
    _now["default"] = wanted


# ---- batches of any structure ------------------------------------------------------------------------------------------
def map_tensors(batch: Any, f: Any) -> Any:
    """The batch with f of its tensors, those in tuples, lists and dicts too; what is no tensor stays."""
    if isinstance(batch, _core.TensorBase):
        return f(batch)
    if isinstance(batch, dict):
        return type(batch)({k: map_tensors(v, f) for k, v in batch.items()})
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(map_tensors(v, f) for v in batch))
    return type(batch)(map_tensors(v, f) for v in batch) if isinstance(batch, (list, tuple)) else batch


def move_to_model(batch: Any, model: Any) -> Any:
    """The batch where the model's parameters lie."""
    parameter = next(iter(model.parameters()), None) if hasattr(model, "parameters") else None
    if parameter is None or not parameter.is_cuda:
        return batch
    return map_tensors(batch, lambda t: t.to(parameter.device, non_blocking=True))
