# SPDX-License-Identifier: MIT
"""U-Net (Ronneberger et al. 2015) for segmentation, with padded convolutions and batch norm."""

from __future__ import annotations

from itertools import pairwise

from .. import cat, nn
from ..nn import functional as F

__all__ = ["UNet", "dice_loss"]


def _double(channels, filters):
    layers = []
    for c in (channels, filters):
        layers += [nn.Conv2d(c, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """(N, channels, H, W) -> logits of each pixel (N, classes, H, W).

    `depth` halvings, each doubling the channels from `width` on; on the way up a transposed convolution doubles the size
    and the map of that size from the way down is set beside it. ValueError unless 2^depth divides H and W.
    """

    def __init__(self, channels=3, classes=2, width=64, depth=4):
        super().__init__()
        widths = [width << i for i in range(depth + 1)]
        self.depth = depth
        self.stem = _double(channels, width)
        self.down = nn.ModuleList([_double(a, b) for a, b in pairwise(widths)])
        self.up = nn.ModuleList([nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in widths[-2::-1]])
        self.join = nn.ModuleList([_double(2 * w, w) for w in widths[-2::-1]])
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x):
        if x.shape[-1] % (1 << self.depth) or x.shape[-2] % (1 << self.depth):
            raise ValueError(f"[UNet] x must have height and width divisible by {1 << self.depth}, got {tuple(x.shape)}")
        x = self.stem(x)  # (N, width, H, W)
        kept = []
        for stage in self.down:
            kept.append(x)
            x = stage(F.max_pool2d(x, 2))  # (N, 2^i width, H / 2^i, W / 2^i)
        for up, join in zip(self.up, self.join, strict=True):
            x = join(cat([kept.pop(), up(x)], 1))
        return self.head(x)


def dice_loss(logits, target, smooth=1.0):
    """1 - the mean over classes of (2 sum p t + smooth) / (sum p + sum t + smooth), p = softmax(logits) (Milletari et al.
    2016): logits (N, C, H, W), target integers (N, H, W) -> ()."""
    p = F.softmax(logits, 1)
    t = F.one_hot(target, logits.shape[1]).permute(0, 3, 1, 2).to(p.dtype)
    both, each = (p * t).sum((0, 2, 3)), (p + t).sum((0, 2, 3))  # (C)
    return 1 - ((2 * both + smooth) / (each + smooth)).mean()
