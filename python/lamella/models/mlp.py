# SPDX-License-Identifier: MIT
"""Classifiers of plain vectors: logistic regression and the multi-layer perceptron. Rosenblatt's perceptron is
`nn.Perceptron`."""

from __future__ import annotations

from .. import nn

__all__ = ["MLP", "LogisticRegression"]


class LogisticRegression(nn.Module):
    """Logits x W^T + b of a softmax (Cox 1958; several classes: Bishop 2006, 4.3.4): (N, in_features) -> (N, classes).

    Weights start at zero, where the loss is log(classes) and, the loss being convex, every start ends in the same place.
    """

    def __init__(self, in_features, classes=2):
        super().__init__()
        self.linear = nn.Linear(in_features, classes)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x):
        return self.linear(x)


class MLP(nn.Sequential):
    """Linear layers with ReLU and dropout between them (Rumelhart et al. 1986): (N, in_features) -> (N, classes); `hidden`:
    the widths in between. Its layers are numbered as in the Sequential that one would write down."""

    def __init__(self, in_features, classes=10, hidden=(128, 128), dropout=0.0):
        if any(width < 1 for width in hidden):
            raise ValueError(f"[MLP] hidden must be positive widths, got {tuple(hidden)}")
        layers = []
        for width in hidden:
            layers += [nn.Linear(in_features, width), nn.ReLU(), nn.Dropout(dropout)]
            in_features = width
        super().__init__(*layers, nn.Linear(in_features, classes))
