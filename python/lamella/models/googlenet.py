# SPDX-License-Identifier: MIT
"""GoogLeNet (Szegedy et al. 2014) with batch norm, with torchvision's parameter names, and two blocks of Inception v3.

As in torchvision, whose weights these are to load, the "5 x 5" branch is a 3 x 3 convolution.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .. import cat, nn
from ..nn import functional as F

__all__ = ["GoogLeNet", "GoogLeNetOutputs", "Inception", "InceptionA", "InceptionC", "googlenet"]


class GoogLeNetOutputs(NamedTuple):
    """What GoogLeNet gives in training mode; the two last are None without auxiliary heads."""

    logits: Any
    aux_logits2: Any
    aux_logits1: Any


class BasicConv2d(nn.Module):
    """relu(bn(conv(x)))."""

    def __init__(self, channels, filters, kernel_size, **options):
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, kernel_size, bias=False, **options)
        self.bn = nn.BatchNorm2d(filters, eps=0.001)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


class Inception(nn.Module):
    """Four branches side by side: (N, C, H, W) -> (N, b1 + b2 + b3 + b4, H, W); `r2` and `r3` are the widths of the 1 x 1
    convolutions before the larger ones."""

    def __init__(self, channels, b1, r2, b2, r3, b3, b4):
        super().__init__()
        self.branch1 = BasicConv2d(channels, b1, 1)
        self.branch2 = nn.Sequential(BasicConv2d(channels, r2, 1), BasicConv2d(r2, b2, 3, padding=1))
        self.branch3 = nn.Sequential(BasicConv2d(channels, r3, 1), BasicConv2d(r3, b3, 3, padding=1))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1, ceil_mode=True), BasicConv2d(channels, b4, 1))

    def forward(self, x):
        return cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class InceptionAux(nn.Module):
    """A classifier on a map in the middle, for gradients to reach the first layers: (N, C, H, W) -> (N, num_classes)."""

    def __init__(self, channels, num_classes, dropout):
        super().__init__()
        self.conv = BasicConv2d(channels, 128, 1)
        self.fc1, self.fc2 = nn.Linear(2048, 1024), nn.Linear(1024, num_classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        x = self.conv(F.adaptive_avg_pool2d(x, 4)).flatten(1)  # (N, 128 * 16)
        return self.fc2(self.dropout(F.relu(self.fc1(x))))


class GoogLeNet(nn.Module):
    """(N, 3, H, W) -> (N, num_classes), H and W from 32, usually 224; in training mode a `GoogLeNetOutputs`.

    The loss of the paper is that of logits plus 0.3 times those of each auxiliary head. Weights start normal with
    deviation 0.01, cut at two of them.
    """

    def __init__(self, num_classes=1000, aux_logits=True, dropout=0.2, dropout_aux=0.7):
        super().__init__()
        self.conv1 = BasicConv2d(3, 64, 7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = BasicConv2d(64, 64, 1)
        self.conv3 = BasicConv2d(64, 192, 3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception3a = Inception(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = Inception(256, 128, 128, 192, 32, 96, 64)
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception4a = Inception(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = Inception(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = Inception(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = Inception(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = Inception(528, 256, 160, 320, 32, 128, 128)
        self.maxpool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.inception5a = Inception(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = Inception(832, 384, 192, 384, 48, 128, 128)
        self.aux1 = InceptionAux(512, num_classes, dropout_aux) if aux_logits else None
        self.aux2 = InceptionAux(528, num_classes, dropout_aux) if aux_logits else None
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(1024, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.01, a=-0.02, b=0.02)

    def forward(self, x):
        x = self.conv3(self.conv2(self.maxpool1(self.conv1(x))))  # (N, 192, H / 4, W / 4)
        x = self.inception3b(self.inception3a(self.maxpool2(x)))  # (N, 480, H / 8, W / 8)
        x = self.inception4a(self.maxpool3(x))  # (N, 512, H / 16, W / 16)
        aux1 = self.aux1(x) if self.training and self.aux1 is not None else None
        x = self.inception4d(self.inception4c(self.inception4b(x)))
        aux2 = self.aux2(x) if self.training and self.aux2 is not None else None
        x = self.inception5b(self.inception5a(self.maxpool4(self.inception4e(x))))  # (N, 1024, H / 32, W / 32)
        logits = self.fc(self.dropout(self.avgpool(x).flatten(1)))
        return GoogLeNetOutputs(logits, aux2, aux1) if self.training else logits


def googlenet(num_classes=1000, **options):
    """22 layers of weights; 6.6 million parameters without auxiliary heads, 13.0 million with them."""
    return GoogLeNet(num_classes, **options)


# ---- Inception v3 (Szegedy et al. 2015) ------------------------------------------------------------------------------
class InceptionA(nn.Module):
    """5 x 5 as two 3 x 3 in one branch (the paper's figure 5): (N, C, H, W) -> (N, 224 + pool_features, H, W)."""

    def __init__(self, in_channels, pool_features):
        super().__init__()
        self.branch1x1 = BasicConv2d(in_channels, 64, 1)
        self.branch5x5_1 = BasicConv2d(in_channels, 48, 1)
        self.branch5x5_2 = BasicConv2d(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = BasicConv2d(in_channels, 64, 1)
        self.branch3x3dbl_2 = BasicConv2d(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = BasicConv2d(96, 96, 3, padding=1)
        self.branch_pool = BasicConv2d(in_channels, pool_features, 1)

    def forward(self, x):
        five = self.branch5x5_2(self.branch5x5_1(x))
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        pooled = self.branch_pool(F.avg_pool2d(x, 3, stride=1, padding=1))
        return cat([self.branch1x1(x), five, three, pooled], 1)


class InceptionC(nn.Module):
    """7 x 7 as 1 x 7 and 7 x 1 (figure 6): (N, C, H, W) -> (N, 768, H, W)."""

    def __init__(self, in_channels, channels_7x7):
        super().__init__()
        c, row, column = channels_7x7, {"padding": (0, 3)}, {"padding": (3, 0)}
        self.branch1x1 = BasicConv2d(in_channels, 192, 1)
        self.branch7x7_1 = BasicConv2d(in_channels, c, 1)
        self.branch7x7_2 = BasicConv2d(c, c, (1, 7), **row)
        self.branch7x7_3 = BasicConv2d(c, 192, (7, 1), **column)
        self.branch7x7dbl_1 = BasicConv2d(in_channels, c, 1)
        self.branch7x7dbl_2 = BasicConv2d(c, c, (7, 1), **column)
        self.branch7x7dbl_3 = BasicConv2d(c, c, (1, 7), **row)
        self.branch7x7dbl_4 = BasicConv2d(c, c, (7, 1), **column)
        self.branch7x7dbl_5 = BasicConv2d(c, 192, (1, 7), **row)
        self.branch_pool = BasicConv2d(in_channels, 192, 1)

    def forward(self, x):
        once = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        twice = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        twice = self.branch7x7dbl_5(self.branch7x7dbl_4(twice))
        pooled = self.branch_pool(F.avg_pool2d(x, 3, stride=1, padding=1))
        return cat([self.branch1x1(x), once, twice, pooled], 1)
