# SPDX-License-Identifier: MIT
"""Small convolutional classifiers."""

from __future__ import annotations

from .. import nn

__all__ = ["ConvNet", "LeNet5", "SmallLeNet"]


class SmallLeNet(nn.Module):
    """LeNet's plan for 8 x 8 digits: (N, 1, 8, 8) -> (N, classes)."""

    def __init__(self, classes=10, channels=1):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 32, 3, padding=1),  # (N, 32, 8, 8)
            nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 32, 4, 4)
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 64, 2, 2)
        )
        self.classifier = nn.Sequential(nn.Flatten(), nn.Dropout(0.25), nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, classes))

    def forward(self, x):
        return self.classifier(self.features(x))


class LeNet5(nn.Module):
    """LeNet-5 (LeCun et al. 1998) with ReLU and max pooling: (N, 1, 28, 28) -> (N, classes)."""

    def __init__(self, classes=10, channels=1):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 6, 5, padding=2),  # (N, 6, 28, 28)
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 6, 14, 14)
            nn.Conv2d(6, 16, 5),  # (N, 16, 10, 10)
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 16, 5, 5)
        )
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, classes)
        )

    def forward(self, x):
        return self.classifier(self.features(x))


class ConvNet(nn.Module):
    """Three stages of convolution and batch norm for colour images of any size from 8 x 8: (N, C, H, W) -> (N, classes)."""

    def __init__(self, classes=10, channels=3, width=32):
        super().__init__()
        def stage(c, k):
            return [
                nn.Conv2d(c, k, 3, padding=1, bias=False),
                nn.BatchNorm2d(k),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]

        self.features = nn.Sequential(*stage(channels, width), *stage(width, 2 * width), *stage(2 * width, 4 * width))
        self.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, classes))

    def forward(self, x):
        return self.classifier(self.features(x))
