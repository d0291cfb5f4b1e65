# SPDX-License-Identifier: MIT
"""Weight normalisation w = g v / |v| (Salimans and Kingma 2016), by a hook before each forward: parameters weight_g and
weight_v. `parametrizations.weight_norm` is the newer form."""

from __future__ import annotations

from ...ops.reduce import norm
from ..parameter import Parameter

__all__ = ["remove_weight_norm", "weight_norm"]


def norm_except(v, dim):
    """The norms of the slices of v along dim, of v's number of dimensions; of all of v for None."""
    if dim is None:
        return norm(v)
    dim %= v.ndim
    return norm(v, 2.0, tuple(i for i in range(v.ndim) if i != dim), keepdim=True)


def normed(g, v, dim):
    return v * (g / norm_except(v, dim))


class WeightHook:
    """Computes module.<name> before each forward, and takes it off the graph after it, so that modules can be copied."""

    name = "weight"

    def before(self, module, inputs):
        setattr(module, self.name, self.compute(module))

    def after(self, module, inputs, output):
        setattr(module, self.name, getattr(module, self.name).detach())

    def install(self, module):
        module.register_forward_pre_hook(self.before)
        module.register_forward_hook(self.after)

    @classmethod
    def remove(cls, op, module, name):
        """Takes the hook for this name away and gives it back; ValueError where there is none."""
        hooks = module._hooks
        found = [h.__self__ for h, _ in (hooks.pre if hooks else ()) if isinstance(getattr(h, "__self__", None), cls)]
        found = [hook for hook in found if hook.name == name]
        if not found:
            raise ValueError(f"[{op}] module must have it on {name!r}, got a {type(module).__name__} without")
        for kind in ("pre", "post"):
            kept = [entry for entry in getattr(hooks, kind) if getattr(entry[0], "__self__", None) is not found[0]]
            setattr(hooks, kind, kept)
        return found[0]


class _WeightNorm(WeightHook):
    def __init__(self, name, dim):
        self.name, self.dim = name, dim

    def compute(self, module):
        return normed(getattr(module, self.name + "_g"), getattr(module, self.name + "_v"), self.dim)


def weight_norm(module, name="weight", dim=0):
    """Replaces module.<name> by its length <name>_g and direction <name>_v, slice by slice along dim (None: as one)."""
    weight = module.__dict__.get(name)
    if not isinstance(weight, Parameter):
        raise ValueError(f"[weight_norm] name must be that of a parameter, got {name!r}")
    hook = _WeightNorm(name, dim)
    delattr(module, name)
    module.register_parameter(name + "_g", Parameter(norm_except(weight, dim).detach()))
    module.register_parameter(name + "_v", Parameter(weight.detach()))
    setattr(module, name, hook.compute(module).detach())
    hook.install(module)
    return module


def remove_weight_norm(module, name="weight"):
    """module.<name> is a parameter again, with the value it has."""
    weight = _WeightNorm.remove("remove_weight_norm", module, name).compute(module).detach()
    for gone in (name, name + "_g", name + "_v"):
        delattr(module, gone)
    module.register_parameter(name, Parameter(weight))
    return module
