# SPDX-License-Identifier: MIT
"""Which parameters learn, from when on, and how fast: freezing, gradual unfreezing, rates by layer."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable, Sequence
from typing import Any

from .. import nn
from ..train.callbacks import Callback

__all__ = ["GradualUnfreezing", "freeze", "layer_groups", "layerwise_groups", "unfreeze"]

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


# ---- freezing --------------------------------------------------------------------------------------------------------
def freeze(model: Any, *which: Any, up_to: str | None = None, batch_norm: bool = False) -> list[str]:
    """Parameters take no gradient: all, or those of `which`, or those up to a layer. Returns their names.

    which: modules of the model, or patterns (as of file names: "features.*", "*.bias") of paths of modules and parameters.
    up_to: the path of a module; what comes before it in the order of `named_modules`, and it. batch_norm: batch norms among
    the frozen keep their statistics, too, being in evaluation mode whenever they are called, until `unfreeze`. Optimisers
    pass over parameters without gradients: they may hold them all from the start.

    ValueError for a module that is not in the model, or a pattern that fits nothing.

    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> transfer.freeze(model, "0")
    ['0.weight', '0.bias']
    >>> [name for name, p in model.named_parameters() if p.requires_grad]
    ['2.weight', '2.bias']
    """
    parameters, modules = _chosen("freeze", model, which, up_to)
    for p in parameters.values():
        p.requires_grad_(False)
        p.grad = None
    for module in modules if batch_norm else ():
        if isinstance(module, _BATCH_NORMS) and not _is_fixed(module):
            module.register_forward_pre_hook(_evaluate)
    return list(parameters)


def unfreeze(model: Any, *which: Any, up_to: str | None = None) -> list[str]:
    """The reverse of `freeze`, of batch norms' statistics too. Returns the names of the parameters."""
    parameters, modules = _chosen("unfreeze", model, which, up_to)
    for p in parameters.values():
        p.requires_grad_(True)
    for module in modules:
        if isinstance(module, _BATCH_NORMS) and _is_fixed(module):
            _release(module, model.training)
    return list(parameters)


def _evaluate(module: Any, args: Any) -> None:
    module.training = False


def _is_fixed(module: Any) -> bool:
    return module._hooks is not None and any(hook is _evaluate for hook, _ in module._hooks.pre)


def _release(module: Any, training: bool) -> None:
    module._hooks.pre = [entry for entry in module._hooks.pre if entry[0] is not _evaluate]
    module.training = training


def _chosen(op: str, model: Any, which: Sequence[Any], up_to: str | None) -> tuple[dict[str, Any], list[Any]]:
    """Parameters by name, and modules."""
    named_modules, named_parameters = dict(model.named_modules()), dict(model.named_parameters())
    if up_to is not None:
        if which:
            raise ValueError(f"[{op}] up_to must be given alone, got {len(which)} others")
        if up_to not in named_modules or not up_to:
            raise ValueError(f"[{op}] up_to must be the path of a module, got {up_to!r}: {_near(up_to, named_modules)}")
        paths = list(named_modules)
        last = max(i for i, path in enumerate(paths) if path == up_to or path.startswith(up_to + "."))
        # a module that holds later ones is not meant as a whole, only what it has before
        modules = [named_modules[p] for p in paths[: last + 1] if not any(q.startswith(p + ".") for q in paths[last + 1 :] if p)][1:]
        wanted = {id(p) for m in modules for p in m.parameters()} | {id(p) for _, p in model._own_parameters()}
        return {n: p for n, p in named_parameters.items() if id(p) in wanted}, modules
    if not which:
        return named_parameters, list(named_modules.values())
    modules, wanted = [], set()
    for item in which:
        if isinstance(item, str):
            tops = [m for path, m in named_modules.items() if path and fnmatch.fnmatchcase(path, item)]
            direct = {id(p) for name, p in named_parameters.items() if fnmatch.fnmatchcase(name, item)}
            if not tops and not direct:
                raise ValueError(f"[{op}] pattern must fit a module or a parameter, got {item!r}: {_near(item, named_modules)}")
            wanted |= direct
        elif any(item is m for m in named_modules.values()):
            tops = [item]
        else:
            raise ValueError(f"[{op}] which must hold modules of the model, or patterns, got {type(item).__name__}")
        for top in tops:
            modules += list(top.modules())
            wanted |= {id(p) for p in top.parameters()}
    return {n: p for n, p in named_parameters.items() if id(p) in wanted}, modules


def _near(path: str, paths: Iterable[str]) -> str:
    names = [p for p in paths if p]
    near = difflib.get_close_matches(path, names, 4) or names[:8]
    return f"there is {', '.join(near)}"


# ---- layers from the input to the head -------------------------------------------------------------------------------
def layer_groups(model: Any, layers: Sequence[Any] | None = None) -> list[tuple[str, list[tuple[str, Any]]]]:
    """[(layer, [(name, parameter), ...]), ...] from the input to the head, every parameter once.

    Layers are the children of the model that have parameters, in order; Sequentials and lists of modules count member by
    member, also within an encoder or the like. layers: patterns to go by instead, the first that fits a parameter's name
    ("embed*", "blocks.0", ...); several in a tuple make one group. ValueError where some parameter fits none.

    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> [name for name, _ in transfer.layer_groups(net)]
    ['0', '2']
    """
    named = list(model.named_parameters())
    if layers is not None:
        alternatives = [(x,) if isinstance(x, str) else tuple(x) for x in layers]
        groups: dict[str, list[tuple[str, Any]]] = {", ".join(patterns): [] for patterns in alternatives}
        for name, p in named:
            for patterns, members in zip(alternatives, groups.values(), strict=True):
                if any(fnmatch.fnmatchcase(name, x) or name.startswith(x + ".") for x in patterns):
                    members.append((name, p))
                    break
            else:
                raise ValueError(f"[layer_groups] layers must fit every parameter, got none that fits {name!r}")
        return [(layer, members) for layer, members in groups.items() if members]
    groups = {}
    own: list[tuple[str, Any]] = []  # parameters of the model itself, or of a container: with the first layer
    paths = _stages(model, "")
    for name, p in named:
        path = next((q for q in paths if name.startswith(q + ".")), None)
        (own if path is None else groups.setdefault(path, [])).append((name, p))
    found = [(path, groups[path]) for path in paths if path in groups]
    return [(found[0][0], own + found[0][1]), *found[1:]] if found else [("", own)]


def _stages(module: Any, prefix: str) -> list[str]:
    paths = []
    for name, child in module.named_children():
        path = prefix + name
        if _holds_layers(child):
            paths += _stages(child, path + ".")
        elif any(True for _ in child.parameters()):
            paths.append(path)
    return paths


_ROWS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def _holds_layers(module: Any) -> bool:
    """A row of modules, or a module such as an encoder with a row of blocks in it (but no block with a short row of layers)."""
    if isinstance(module, _ROWS):
        return any(True for _ in module.children())
    rows = [child for child in module.children() if isinstance(child, _ROWS)]
    return any(any(True for _ in block.children()) for row in rows for block in row.children())


def layerwise_groups(
    model: Any, lr: float, decay: float = 0.9, *, layers: Sequence[Any] | None = None, **options: Any
) -> list[dict[str, Any]]:
    """Parameter groups for an optimiser, one for each of `layer_groups(model, layers)`: the head learns at rate lr, the
    layer before it at lr decay, the one before that at lr decay^2, and so on. options are put into every group.

    1 / 2.6 is the decay of discriminative fine-tuning (Howard and Ruder 2018), 0.65 to 0.9 what transformers are fine-tuned
    with (Clark et al. 2020, Bao et al. 2022). ValueError unless 0 < decay <= 1.

    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> optimizer = lamella.optim.AdamW(transfer.layerwise_groups(net, lr=0.1, decay=0.5))
    >>> [group["lr"] for group in optimizer.param_groups]
    [0.05, 0.1]
    """
    if not 0 < decay <= 1:
        raise ValueError(f"[layerwise_groups] decay must be in (0, 1], got {decay}")
    groups = layer_groups(model, layers)
    last = len(groups) - 1
    return [{"params": members, "lr": lr * decay ** (last - i), "name": name, **options} for i, (name, members) in enumerate(groups)]


class GradualUnfreezing(Callback):
    """Trains the head first and unfreezes a layer more, from the head down, every `every` epochs (Howard and Ruder 2018).

    layers: see `layer_groups`. first: how many layers learn from the start. at: the epochs (from 0) at which one more does,
    in place of `every`. batch_norm: frozen batch norms keep their statistics. A run that is resumed goes on as it was.

    >>> thaw = transfer.GradualUnfreezing(every=2)
    """

    def __init__(
        self,
        every: int = 1,
        *,
        layers: Sequence[Any] | None = None,
        first: int = 1,
        at: Sequence[int] | None = None,
        batch_norm: bool = True,
    ) -> None:
        if every < 1 or first < 1:
            raise ValueError(f"[GradualUnfreezing] every and first must be at least 1, got {every} and {first}")
        self.every, self.layers, self.first, self.batch_norm = every, layers, first, batch_norm
        self.at = None if at is None else sorted(at)

    def learning(self, epoch: int) -> int:
        """How many layers learn in an epoch, were there enough."""
        return self.first + (epoch // self.every if self.at is None else sum(epoch >= e for e in self.at))

    def on_epoch_start(self, trainer: Any) -> None:
        groups = layer_groups(trainer.model, self.layers)
        frozen = max(0, len(groups) - self.learning(trainer.epoch))
        for i, (_, members) in enumerate(groups):
            names = [name for name, p in members if p.requires_grad == (i < frozen)]
            if names and i < frozen:
                freeze(trainer.model, *names)
            elif names:
                unfreeze(trainer.model, *names)
        if self.batch_norm:
            self._fix(trainer.model, {id(p) for _, members in groups[:frozen] for _, p in members})

    def _fix(self, model: Any, frozen: set[int]) -> None:
        """Statistics of batch norms go with their weights."""
        for module in model.modules():
            if isinstance(module, _BATCH_NORMS) and module.weight is not None:
                wanted = id(module.weight) in frozen
                if wanted and not _is_fixed(module):
                    module.register_forward_pre_hook(_evaluate)
                elif not wanted and _is_fixed(module):
                    _release(module, model.training)
