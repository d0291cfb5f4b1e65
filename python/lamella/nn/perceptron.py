# SPDX-License-Identifier: MIT
"""The perceptron and its learning rule (Rosenblatt 1958)."""

from __future__ import annotations

from ..autograd import no_grad
from ..ops import creation
from . import functional as F
from .module import Module
from .parameter import Parameter

__all__ = ["Perceptron"]


class Perceptron(Module):
    """y = 1 where x W^T + b > 0, else 0: x (N, in_features) -> (N, out_features); weight (out, in) and bias (out) start at zero.

    Its step has no gradient: it learns by `update` or `fit`. Where the classes can be separated by a plane, with radius R
    and margin g, `fit` ends after at most (R / g)^2 mistakes (Novikoff 1962).

    >>> x = lamella.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> gate = nn.Perceptron(2)
    >>> gate.fit(x, lamella.tensor([[0.0], [0.0], [0.0], [1.0]]))[-1]
    0
    >>> gate(x).flatten().tolist()
    [0.0, 0.0, 0.0, 1.0]
    """

    def __init__(self, in_features, out_features=1, bias=True, device=None, dtype=None):
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(creation.zeros(out_features, in_features, device=device, dtype=dtype))
        self.bias = Parameter(creation.zeros(out_features, device=device, dtype=dtype)) if bias else None

    def forward(self, input):
        z = F.linear(input.detach(), self.weight.detach(), None if self.bias is None else self.bias.detach())
        return (z > 0).to(z.dtype)

    @no_grad()
    def update(self, input, target, lr=1.0):
        """W += lr (target - y)^T x and b += lr (target - y), summed over the rows of input (N, in) and target (N, out) of
        zeros and ones; gives back how many of target were wrong."""
        if tuple(target.shape) != (*input.shape[:-1], self.out_features):
            wanted = (*input.shape[:-1], self.out_features)
            raise ValueError(f"[Perceptron] target must have shape {wanted}, got {tuple(target.shape)}")
        error = target.to(self.weight.dtype) - self(input)
        mistakes = int(error.abs().sum().item())
        if mistakes:
            self.weight += lr * (error.reshape(-1, self.out_features).t() @ input.reshape(-1, self.in_features))
            if self.bias is not None:
                self.bias += lr * error.reshape(-1, self.out_features).sum(0)
        return mistakes

    def fit(self, input, target, lr=1.0, max_epochs=100):
        """Rosenblatt's procedure: `update` by one row after another, until a pass over all makes no mistake; the number of
        mistakes in each pass."""
        counts = []
        for _ in range(max_epochs):
            counts.append(sum(self.update(input[i : i + 1], target[i : i + 1], lr) for i in range(input.shape[0])))
            if counts[-1] == 0:
                break
        return counts

    def extra_repr(self):
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
