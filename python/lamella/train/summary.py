# SPDX-License-Identifier: MIT
"""What a model is made of: layers, shapes, parameters, FLOPs, memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from .. import nn
from ..autograd import no_grad
from ..nn import functional as F
from ..tensor import Tensor

__all__ = ["Layer", "Summary", "summary"]


@dataclass
class Layer:
    """A row: path and type of a module, its nesting, the shape of its output, and its own parameters, without those of the
    modules in it; FLOPs of its products, and bytes of its output, all calls together."""

    path: str
    kind: str
    depth: int
    output: tuple[int, ...] | None = None
    parameters: int = 0
    flops: int = 0
    output_bytes: int = 0
    leaf: bool = True


@dataclass
class Summary:
    """`layers` and their totals. str() is a table.

    parameters and trainable count a shared one once; flops is of one forward pass, a multiplication and an addition being
    two; parameter_bytes includes buffers; activation_bytes are the outputs of all layers without layers of their own,
    roughly what training keeps for backward.
    """

    name: str
    layers: list[Layer] = field(default_factory=list)
    parameters: int = 0
    trainable: int = 0
    parameter_bytes: int = 0
    activation_bytes: int = 0
    flops: int = 0

    def __str__(self) -> str:
        rows = [("layer", "output", "parameters", "FLOPs")]
        for layer in self.layers:
            name = layer.path.rpartition(".")[2]
            text = "  " * layer.depth + (f"{name}: {layer.kind}" if name else layer.kind)
            shape = "" if layer.output is None else str(layer.output)
            rows.append((text, shape, f"{layer.parameters:,}" if layer.parameters else "", _short(layer.flops)))
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        lines = [
            f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}".rstrip() for a, b, c, d in rows
        ]
        lines.insert(1, "-" * (sum(widths) + 6))
        lines += [
            lines[1],
            f"parameters   {self.parameters:,}, {self.trainable:,} of them trainable",
            f"FLOPs        {_short(self.flops) or '0'} of one forward pass",
            f"memory       {_bytes(self.parameter_bytes)} of weights, {_bytes(self.activation_bytes)} of activations",
        ]
        return "\n".join(lines)


def _short(n: int) -> str:
    for power, unit in ((12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if n >= 10**power:
            return f"{n / 10**power:.2f} {unit}"
    return str(n) if n else ""


def _bytes(n: int) -> str:
    return f"{n / (1 << 20):.1f} MiB"


# ---- FLOPs -----------------------------------------------------------------------------------------------------------
def _linear(module: Any, x: Any, y: Any) -> int:
    return 2 * y.numel() * module.weight.shape[1]


def _conv(module: Any, x: Any, y: Any) -> int:
    return 2 * y.numel() * math.prod(module.weight.shape[1:])


def _conv_transpose(module: Any, x: Any, y: Any) -> int:
    return 2 * x.numel() * math.prod(module.weight.shape[1:])


def _recurrent(module: Any, x: Any, y: Any) -> int:
    """Every weight matrix once for every step of every row."""
    x = getattr(x, "data", x) if not isinstance(x, Tensor) else x
    return 2 * (x.numel() // x.shape[-1]) * sum(p.numel() for p in module.parameters() if p.ndim == 2)



def _attention(module: Any, x: Any, key: Any, value: Any) -> int:
    """The projections of query, key and value, and the products with them; out_proj counts for itself."""
    e, rows, keys = module.embed_dim, x.numel() // module.embed_dim, key.numel() // module.kdim
    n = 1 if x.ndim == 2 else x.shape[0 if module.batch_first else 1]
    projected = 2 * e * (rows * e + keys * module.kdim + keys * module.vdim)
    return projected + 2 * 2 * rows * (keys // max(1, n)) * e


_COUNTED: list[tuple[Any, Any]] = [
    ((nn.Linear, nn.Perceptron), _linear),
    ((nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), _conv_transpose),
    ((nn.Conv1d, nn.Conv2d, nn.Conv3d), _conv),

    ((nn.RNNBase, nn.RNNCell, nn.LSTMCell, nn.GRUCell), _recurrent),
]


def _tensors(value: Any) -> list[Any]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return [t for part in value for t in _tensors(part)]
    return []


@no_grad()
def summary(model: Any, *inputs: Any, **options: Any) -> Summary:
    """Runs model(*inputs, **options) once, in evaluation mode and without gradients, and tells what each layer did.

    FLOPs are those of linear, convolutional, recurrent and attention layers and of F.scaled_dot_product_attention (masked
    keys included); what is done element by element is not counted. The model's mode is as it was afterwards.

    >>> train.summary(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), lamella.zeros(3, 4)).flops
    288
    """
    rows, found, stack = {}, Summary(type(model).__name__), []
    for path, module in model.named_modules():
        row = Layer(path, type(module).__name__, path.count(".") + 1 if path else 0)
        row.parameters = sum(p.numel() for p in module.parameters(recurse=False))
        row.leaf = next(module.children(), None) is None
        rows[id(module)] = row
        found.layers.append(row)

    def enter(module: Any, args: Any) -> None:
        stack.append(module)

    def leave(module: Any, args: Any, kwargs: Any, output: Any) -> None:
        stack.pop()
        row, outputs = rows[id(module)], _tensors(output)
        given = [*args, *kwargs.values()]
        if outputs:
            row.output = tuple(outputs[0].shape)
        if row.leaf:
            row.output_bytes += sum(t.numel() * t.element_size() for t in outputs)
        if isinstance(module, nn.MultiheadAttention):
            row.flops += _attention(module, *given[:3])
            return
        for kinds, count in _COUNTED:
            if isinstance(module, kinds):
                row.flops += count(module, given[0], outputs[0])
                return

    fused = F.scaled_dot_product_attention

    def counted(query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        output = fused(query, key, value, *args, **kwargs)
        rows[id(stack[-1] if stack else model)].flops += 2 * output.numel() * key.shape[-2] * 2
        return output

    modes = [(module, module.training) for module in model.modules()]
    handles = [module.register_forward_pre_hook(enter) for module in model.modules()]
    handles += [module.register_forward_hook(leave, with_kwargs=True) for module in model.modules()]
    F.scaled_dot_product_attention = counted
    try:
        model.eval()(*inputs, **options)
    finally:
        F.scaled_dot_product_attention = fused
        for handle in handles:
            handle.remove()
        for module, mode in modes:
            module.training = mode
    for p in model.parameters():
        found.parameters += p.numel()
        found.trainable += p.numel() if p.requires_grad else 0
    held = [*model.parameters(), *model.buffers()]
    found.parameter_bytes = sum(t.numel() * t.element_size() for t in held)
    found.activation_bytes = sum(row.output_bytes for row in found.layers)
    found.flops = sum(row.flops for row in found.layers)
    return found
