# SPDX-License-Identifier: MIT
"""What a model computes on the way: features for another model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .. import nn
from ..autograd import no_grad
from ..data import TensorDataset
from ..ops import cat
from .freeze import _near

__all__ = ["FeatureExtractor", "extract_features"]


class _Enough(BaseException):
    """All outputs are there: leaves the forward pass. No Exception, so that nobody on the way takes it for an error."""


class FeatureExtractor(nn.Module):
    """The outputs of layers inside `model`, as a dict: names are paths of modules, or {path: name in the result}.

    A module that is called several times gives its first output. The forward pass ends with the last output wanted. Layers
    that write into their input in place (ReLU(inplace=True)) change what was found before them. Gradients flow as ever.
    ValueError for a path that is not in the model, RuntimeError for a module that was not called.

    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> features = transfer.FeatureExtractor(net, {"1": "hidden"})
    >>> features(lamella.ones(3, 4))["hidden"].shape
    (3, 8)
    """

    def __init__(self, model: Any, names: Iterable[str] | Mapping[str, str]) -> None:
        super().__init__()
        self.model = model
        self.names = dict(names) if isinstance(names, Mapping) else {name: name for name in names}
        modules = dict(model.named_modules())
        for path in self.names:
            if path not in modules:
                raise ValueError(f"[FeatureExtractor] names must be paths of modules, got {path!r}: {_near(path, modules)}")
        if not self.names:
            raise ValueError("[FeatureExtractor] names must hold at least one path, got none")

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        modules = dict(self.model.named_modules())

        def keep(path: str) -> Any:
            def hook(module: Any, args: Any, output: Any) -> None:
                found.setdefault(path, output)
                if len(found) == len(self.names):
                    raise _Enough

            return hook

        handles = [modules[path].register_forward_hook(keep(path)) for path in self.names]
        try:
            self.model(*args, **kwargs)
        except _Enough:
            pass
        finally:
            for handle in handles:
                handle.remove()
        for path in self.names:
            if path not in found:
                raise RuntimeError(f"[FeatureExtractor] module {path!r} must be called by the model's forward, got no call")
        return {name: found[path] for path, name in self.names.items()}


def extract_features(model: Any, loader: Iterable[Any], layer: str | None = None, *, flatten: bool = True) -> Any:
    """A TensorDataset of the outputs of `model`, or of a layer in it, over all batches of `loader`, and of whatever the
    batches hold behind their input (targets). In evaluation mode, without gradients; the model's mode is as before.

    flatten: (N, C, H, W) become (N, C H W). To train a new head on a frozen trunk, this runs the trunk once instead of once
    an epoch. ValueError for no batches.
    """
    run = model if layer is None else FeatureExtractor(model, [layer])
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    columns: list[list[Any]] = []
    try:
        with no_grad():
            for batch in loader:
                input, *rest = batch if isinstance(batch, (tuple, list)) else (batch,)
                output = run(input)
                output = output if layer is None else output[layer]
                columns.append([output.flatten(1) if flatten and output.ndim > 2 else output, *rest])
    finally:
        for module, mode in modes:
            module.training = mode
    if not columns:
        raise ValueError("[extract_features] loader must have at least one batch, got none")
    return TensorDataset(*(cat(column) for column in zip(*columns, strict=True)))
