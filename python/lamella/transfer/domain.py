# SPDX-License-Identifier: MIT
"""Domain adaptation by adversarial training (Ganin et al. 2016, "Domain-adversarial training of neural networks"):
labels in one domain, none in the other, and features that do not tell the two apart.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import nn, ops
from ..autograd import Function
from ..data import Dataset, default_collate
from ..nn import functional as F
from ..train.callbacks import Callback

__all__ = ["DANN", "GradientReversal", "PairedDataset", "ReversalSchedule", "dann_schedule", "reverse_gradient"]


class _Reverse(Function):
    @staticmethod
    def forward(ctx: Any, input: Any, weight: float) -> Any:
        ctx.weight = weight
        return input

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return dy * -ctx.weight, None


def reverse_gradient(input: Any, weight: float = 1.0) -> Any:
    """`input`; its gradient is that of the output times -weight.

    >>> x = lamella.tensor([1.0, 2.0], requires_grad=True)
    >>> transfer.reverse_gradient(x, 0.5).sum().backward()
    >>> x.grad
    tensor([-0.5000, -0.5000])
    """
    return _Reverse.apply(input, float(weight))


class GradientReversal(nn.Module):
    """`reverse_gradient` as a layer; `weight` may be changed as training goes on (see ReversalSchedule)."""

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight

    def forward(self, input: Any) -> Any:
        return reverse_gradient(input, self.weight)

    def extra_repr(self) -> str:
        return f"weight={self.weight}"


def dann_schedule(fraction: float, gamma: float = 10.0) -> float:
    """2 / (1 + e^(-gamma fraction)) - 1: from 0 at the start of a run to about 1 at its end, as in the paper.

    >>> dann_schedule(0.0), round(dann_schedule(0.5), 3)
    (0.0, 0.987)
    """
    return 2 / (1 + math.exp(-gamma * fraction)) - 1


class ReversalSchedule(Callback):
    """Sets the weight of every GradientReversal in the trainer's model before each batch: `weight` times `dann_schedule`."""

    def __init__(self, weight: float = 1.0, gamma: float = 10.0) -> None:
        self.weight, self.gamma = weight, gamma

    def on_batch_start(self, trainer: Any, batch: Any) -> None:
        value = self.weight * dann_schedule(trainer.fraction, self.gamma)
        for module in trainer.model.modules():
            if isinstance(module, GradientReversal):
                module.weight = value


class DANN(nn.Module):
    """A classifier whose features a second network tries to tell the domain from, through a GradientReversal.

    features (N, ...) -> (N, D...); classifier of features -> (N, classes); discriminator of features -> (N, 1) or (N,), the
    logit of being of the target domain. Called, it classifies. `step` is for a Trainer:

        trainer = Trainer(model, optimizer, step=DANN.step, callbacks=[ReversalSchedule()])
        trainer.fit(DataLoader(PairedDataset(source, target), 64, shuffle=True), DataLoader(test), epochs=30)
    """

    def __init__(self, features: Any, classifier: Any, discriminator: Any) -> None:
        self.features, self.classifier = features, classifier
        self.reversal, self.discriminator = GradientReversal(), discriminator

    def forward(self, input: Any) -> Any:
        return self.classifier(self.features(input))

    def step(self, batch: Any) -> dict[str, Any]:
        """The loss of a batch ((input, target), input of the other domain) of a PairedDataset: cross-entropy of the labels
        plus that of the domains; or of a batch (input, target), without domains."""
        if not isinstance(batch[0], (tuple, list)):
            output = self(batch[0])
            return {"loss": F.cross_entropy(output, batch[1]), "output": output, "target": batch[1]}
        (source, labels), other = batch
        found = self.features(ops.cat([source, other]))  # one batch, so that batch norm sees both
        output = self.classifier(found[: len(source)])
        domain = self.discriminator(self.reversal(found)).reshape(-1)
        is_other = ops.cat([ops.zeros(len(source)), ops.ones(len(other))])
        class_loss, domain_loss = F.cross_entropy(output, labels), F.binary_cross_entropy_with_logits(domain, is_other)
        right = ((domain.detach() > 0) == (is_other > 0)).float().mean()
        figures = {"class_loss": class_loss, "domain_loss": domain_loss, "domain_accuracy": right}
        return {"loss": class_loss + domain_loss, "output": output, "target": labels, **figures}


class PairedDataset(Dataset):
    """Items ((input, target) of `source`, input of `target`), as many as the larger of the two has: the smaller one starts
    over. What `target` holds behind its inputs is left out."""

    def __init__(self, source: Any, target: Any) -> None:
        for name, part in (("source", source), ("target", target)):
            if not len(part):
                raise ValueError(f"[PairedDataset] {name} must not be empty")
        self.source, self.target = source, target

    def __len__(self) -> int:
        return max(len(self.source), len(self.target))

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexError(f"[PairedDataset] index must be within {len(self)} items, got {index}")
        index %= len(self)
        return self.source[index % len(self.source)], _input(self.target[index % len(self.target)])

    def batch(self, indices: Any) -> Any:
        """The collated items, by the batch() of either where it has one."""
        indices = np.asarray(indices)
        source, other = (_batch(part, indices % len(part)) for part in (self.source, self.target))
        return source, _input(other)


def _input(item: Any) -> Any:
    return item[0] if isinstance(item, (tuple, list)) else item


def _batch(dataset: Any, indices: Any) -> Any:
    if hasattr(dataset, "batch"):
        return dataset.batch(indices)
    return default_collate([dataset[int(i)] for i in indices])
