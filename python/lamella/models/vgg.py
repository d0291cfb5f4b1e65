# SPDX-License-Identifier: MIT
"""VGG (Simonyan and Zisserman 2014), with and without batch norm, with torchvision's parameter names."""

from __future__ import annotations

from .. import nn

__all__ = ["VGG", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"]

_WIDTHS = (64, 128, 256, 512, 512)  # of the five stages, each ended by a pooling


class VGG(nn.Module):
    """(N, 3, H, W) -> (N, num_classes), H and W from 32; `counts`: 3 x 3 convolutions in each of the five stages.

    `widths` are the stages' channels and `hidden` is the width of the classifier. Convolutions start normal with variance
    2 / fan_out, linear layers normal with deviation 0.01, biases at zero.
    """

    def __init__(self, counts, num_classes=1000, batch_norm=False, dropout=0.5, widths=_WIDTHS, hidden=4096):
        super().__init__()
        layers, channels = [], 3
        for count, width in zip(counts, widths, strict=True):
            for _ in range(count):
                layers.append(nn.Conv2d(channels, width, 3, padding=1))
                layers += [nn.BatchNorm2d(width), nn.ReLU()] if batch_norm else [nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)  # (N, 512, H / 32, W / 32)
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            nn.Linear(channels * 49, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, num_classes),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)

    def forward(self, x):
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def vgg11(num_classes=1000, **options):
    """11 layers of weights, 132.9 million parameters (the paper's A)."""
    return VGG((1, 1, 2, 2, 2), num_classes, **options)


def vgg13(num_classes=1000, **options):
    """13 layers of weights, 133.0 million parameters (B)."""
    return VGG((2, 2, 2, 2, 2), num_classes, **options)


def vgg16(num_classes=1000, **options):
    """16 layers of weights, 138.4 million parameters (D)."""
    return VGG((2, 2, 3, 3, 3), num_classes, **options)


def vgg19(num_classes=1000, **options):
    """19 layers of weights, 143.7 million parameters (E)."""
    return VGG((2, 2, 4, 4, 4), num_classes, **options)


def vgg11_bn(num_classes=1000, **options):
    """`vgg11` with batch norm."""
    return vgg11(num_classes, batch_norm=True, **options)


def vgg13_bn(num_classes=1000, **options):
    """`vgg13` with batch norm."""
    return vgg13(num_classes, batch_norm=True, **options)


def vgg16_bn(num_classes=1000, **options):
    """`vgg16` with batch norm."""
    return vgg16(num_classes, batch_norm=True, **options)


def vgg19_bn(num_classes=1000, **options):
    """`vgg19` with batch norm."""
    return vgg19(num_classes, batch_norm=True, **options)
