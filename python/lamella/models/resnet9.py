# SPDX-License-Identifier: MIT
"""A small residual network for small pictures, quick to train (Page 2018, "How to train your ResNet", and its nine layers)."""

from __future__ import annotations

from .. import nn

__all__ = ["ResNet9", "resnet9"]


def _conv(channels, filters, pool=False):
    """Convolution, norm, ReLU; pooled before the norm, which then has a quarter of the work."""
    layers = [nn.Conv2d(channels, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters), nn.ReLU()]
    return nn.Sequential(layers[0], nn.MaxPool2d(2), *layers[1:]) if pool else nn.Sequential(*layers)


class Residual(nn.Module):
    """x + conv(conv(x)), each with norm and ReLU: (N, C, H, W) -> the same."""

    def __init__(self, channels):
        super().__init__()
        self.block = nn.Sequential(_conv(channels, channels), _conv(channels, channels))

    def forward(self, x):
        return x + self.block(x)


class ResNet9(nn.Module):
    """(N, channels, H, W) -> (N, num_classes), H and W from 8, made for 32.

    `width`: the channels of the first layer, 64 in the source; work grows with its square. Logits are scaled by 1 / 8, so
    that training begins with soft ones.
    """

    def __init__(self, num_classes=10, channels=3, width=64):
        super().__init__()
        self.features = nn.Sequential(
            _conv(channels, width),  # (N, width, H, W)
            _conv(width, 2 * width, pool=True),  # (N, 2 width, H / 2, W / 2)
            Residual(2 * width),
            _conv(2 * width, 4 * width, pool=True),  # (N, 4 width, H / 4, W / 4)
            _conv(4 * width, 8 * width, pool=True),  # (N, 8 width, H / 8, W / 8)
            Residual(8 * width),
            nn.AdaptiveMaxPool2d(1),
            nn.Flatten(),
        )
        self.fc = nn.Linear(8 * width, num_classes, bias=False)

    def forward(self, x):
        return self.fc(self.features(x)) / 8


def resnet9(num_classes=10, **options):
    """9 layers of weights, 6.6 million parameters."""
    return ResNet9(num_classes, **options)
