# SPDX-License-Identifier: MIT
"""Residual networks (He et al. 2015), with torchvision's parameter names: its weights load as they are.

The bottleneck's stride lies on its 3 x 3 convolution, as in torchvision ("ResNet v1.5").
"""

from __future__ import annotations

from .. import nn
from ..nn import functional as F

__all__ = ["ResNet", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]


def _conv(channels, filters, kernel, stride=1):
    return nn.Conv2d(channels, filters, kernel, stride, padding=kernel // 2, bias=False)


def _downsample(channels, filters, stride):
    """The skip connection's projection, where shapes differ; None where they do not."""
    if stride == 1 and channels == filters:
        return None
    return nn.Sequential(_conv(channels, filters, 1, stride), nn.BatchNorm2d(filters))


class BasicBlock(nn.Module):
    """relu(x' + bn(conv3x3(relu(bn(conv3x3(x)))))): (N, C, H, W) -> (N, width, H / stride, W / stride)."""

    expansion = 1

    def __init__(self, channels, width, stride=1):
        super().__init__()
        self.conv1, self.bn1 = _conv(channels, width, 3, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv(width, width, 3), nn.BatchNorm2d(width)
        self.downsample = _downsample(channels, width, stride)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """relu(x' + 1x1, 3x3, 1x1 convolutions of x): (N, C, H, W) -> (N, 4 width, H / stride, W / stride)."""

    expansion = 4

    def __init__(self, channels, width, stride=1):
        super().__init__()
        filters = width * self.expansion
        self.conv1, self.bn1 = _conv(channels, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv(width, width, 3, stride), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = _conv(width, filters, 1), nn.BatchNorm2d(filters)
        self.downsample = _downsample(channels, filters, stride)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """(N, 3, H, W) -> (N, num_classes), H and W from 32; `layers`: blocks in each of the four stages.

    Convolutions start normal with variance 2 / fan_out (He et al. 2015). `zero_init_residual` lets every block start as
    the identity, by a zero weight in its last batch norm (Goyal et al. 2017).
    """

    def __init__(self, block, layers, num_classes=1000, zero_init_residual=False):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = 64
        for i, count in enumerate(layers):
            blocks = []
            for j in range(count):
                blocks.append(block(channels, 64 << i, 2 if i > 0 and j == 0 else 1))
                channels = (64 << i) * block.expansion
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if zero_init_residual and isinstance(module, BasicBlock | Bottleneck):
                last = module.bn3 if isinstance(module, Bottleneck) else module.bn2
                nn.init.zeros_(last.weight)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))  # (N, 64, H / 4, W / 4)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))  # (N, 512 or 2048, H / 32, W / 32)
        return self.fc(self.avgpool(x).flatten(1))


def resnet18(num_classes=1000, **options):
    """18 layers of weights, 11.7 million parameters."""
    return ResNet(BasicBlock, (2, 2, 2, 2), num_classes, **options)


def resnet34(num_classes=1000, **options):
    """34 layers of weights, 21.8 million parameters."""
    return ResNet(BasicBlock, (3, 4, 6, 3), num_classes, **options)


def resnet50(num_classes=1000, **options):
    """50 layers of weights, 25.6 million parameters."""
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes, **options)


def resnet101(num_classes=1000, **options):
    """101 layers of weights, 44.5 million parameters."""
    return ResNet(Bottleneck, (3, 4, 23, 3), num_classes, **options)


def resnet152(num_classes=1000, **options):
    """152 layers of weights, 60.2 million parameters."""
    return ResNet(Bottleneck, (3, 8, 36, 3), num_classes, **options)
