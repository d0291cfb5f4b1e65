# SPDX-License-Identifier: MIT
"""Denoising diffusion (DDPM, Ho et al. 2020): a U-Net that knows the time, the noise schedule, and sampling, also by DDIM
(Song et al. 2020)."""

from __future__ import annotations

import math

import numpy as np

from .. import arange, cat, cos, exp, from_numpy, full, int64, nn, no_grad, randint, randn, randn_like, sin
from ..nn import functional as F

__all__ = ["Diffusion", "DiffusionUNet"]


def time_embedding(t, width):
    """Sines and cosines of t (N) at geometric frequencies from 1 to 1 / 10000: (N, width)."""
    half = width // 2
    angle = t.float().unsqueeze(1) * exp(arange(half).float() * (-math.log(10000.0) / half))
    return cat([sin(angle), cos(angle)], 1)


class ResidualBlock(nn.Module):
    """x' + conv(silu(norm(conv(silu(norm(x))) + linear(time)))): (N, C, H, W), time (N, E) -> (N, filters, H, W)."""

    def __init__(self, channels, filters, time, groups):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(groups, channels), nn.Conv2d(channels, filters, 3, padding=1)
        self.time = nn.Linear(time, filters)
        self.norm2, self.conv2 = nn.GroupNorm(groups, filters), nn.Conv2d(filters, filters, 3, padding=1)
        self.skip = nn.Conv2d(channels, filters, 1) if channels != filters else nn.Identity()
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x, time):
        y = self.conv1(F.silu(self.norm1(x))) + self.time(F.silu(time))[:, :, None, None]
        return self.skip(x) + self.conv2(F.silu(self.norm2(y)))


class AttentionBlock(nn.Module):
    """x + attention among the pixels of norm(x)."""

    def __init__(self, channels, groups):
        super().__init__()
        self.norm, self.qkv, self.out = nn.GroupNorm(groups, channels), nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)

    def forward(self, x):
        q, k, v = self.qkv(self.norm(x).flatten(2).transpose(1, 2)).chunk(3, -1)  # (N, H W, C)
        y = self.out(F.scaled_dot_product_attention(q, k, v))
        return x + y.transpose(1, 2).reshape(x.shape)


class DiffusionUNet(nn.Module):
    """Noisy pictures (N, channels, H, W) and times (N) -> the noise in them.

    Levels of width * multiples[i] channels, each half the size of the one before, two residual blocks on the way down and up,
    attention at the smallest. With classes, forward(x, t, label) also takes labels (N). ValueError unless 2^(levels - 1)
    divides H and W.
    """

    def __init__(self, channels=3, width=64, multiples=(1, 2, 4), groups=8, classes=None):
        super().__init__()
        self.width, time = width, 4 * width
        self.time = nn.Sequential(nn.Linear(width, time), nn.SiLU(), nn.Linear(time, time))
        self.label = None if classes is None else nn.Embedding(classes, time)
        self.stem = nn.Conv2d(channels, width, 3, padding=1)
        self.down, self.up, last, kept = nn.ModuleList(), nn.ModuleList(), width, [width]
        for i, m in enumerate(multiples):
            if i:
                self.down.append(nn.Conv2d(last, last, 3, stride=2, padding=1))
                kept.append(last)
            for _ in range(2):
                self.down.append(ResidualBlock(last, width * m, time, groups))
                last = width * m
                kept.append(last)
        self.middle = nn.ModuleList(
            [ResidualBlock(last, last, time, groups), AttentionBlock(last, groups), ResidualBlock(last, last, time, groups)]
        )
        for i, m in reversed(list(enumerate(multiples))):
            for _ in range(3):
                self.up.append(ResidualBlock(last + kept.pop(), width * m, time, groups))
                last = width * m
            if i:
                self.up.append(nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(last, last, 3, padding=1)))
        self.norm, self.head = nn.GroupNorm(groups, last), nn.Conv2d(last, channels, 3, padding=1)
        self.factor = 1 << (len(multiples) - 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x, t, label=None):
        if x.shape[-1] % self.factor or x.shape[-2] % self.factor:
            raise ValueError(f"[DiffusionUNet] x must have height and width divisible by {self.factor}, got {tuple(x.shape)}")
        time = self.time(time_embedding(t, self.width))  # (N, 4 width)
        if label is not None:
            time = time + self.label(label)
        x = self.stem(x)
        kept = [x]
        for block in self.down:
            x = block(x, time) if isinstance(block, ResidualBlock) else block(x)
            kept.append(x)
        first, attention, second = self.middle
        x = second(attention(first(x, time)), time)
        for block in self.up:
            x = block(cat([x, kept.pop()], 1), time) if isinstance(block, ResidualBlock) else block(x)
        return self.head(F.silu(self.norm(x)))


class Diffusion:
    """The noise schedule: x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) noise, t from 0 to steps - 1, a_t the product of 1 - beta.

    "linear": beta from 1e-4 to 0.02 in 1000 steps (Ho et al.), in fewer steps proportionally larger; "cosine": a_t as
    cos^2((t / steps + 0.008) / 1.008 pi / 2) (Nichol and Dhariwal 2021). ValueError for another schedule.
    """

    def __init__(self, steps=1000, schedule="linear"):
        if steps < 1:
            raise ValueError(f"[Diffusion] steps must be at least 1, got {steps}")
        if schedule == "linear":
            beta = np.linspace(0.1 / steps, min(0.999, 20 / steps), steps)
        elif schedule == "cosine":
            a = np.cos((np.arange(steps + 1) / steps + 0.008) / 1.008 * np.pi / 2) ** 2
            beta = np.minimum(1 - a[1:] / a[:-1], 0.999)
        else:
            raise ValueError(f"[Diffusion] schedule must be 'linear' or 'cosine', got {schedule!r}")
        self.steps, self.beta, self.kept = steps, beta, np.cumprod(1 - beta)  # float64

    def _at(self, values, t, x):
        """values[t] in the shape (N, 1, ...) and dtype of x."""
        return from_numpy(values[t.cpu().numpy()]).to(x).reshape(-1, *[1] * (x.ndim - 1))

    def add_noise(self, x, noise, t):
        """x_t of x (N, ...) at t (N)."""
        return self._at(np.sqrt(self.kept), t, x) * x + self._at(np.sqrt(1 - self.kept), t, x) * noise

    def loss(self, model, x, *args):
        """The mean squared error of the noise that model(x_t, t, *args) finds, at random t (Ho et al., algorithm 1)."""
        t, noise = randint(0, self.steps, (x.shape[0],)), randn_like(x)
        return F.mse_loss(model(self.add_noise(x, noise, t), t, *args), noise)

    def _guess(self, model, x, t, clip, args):
        """x_0 and the noise in x, x being x_t, as the model has them."""
        now = float(self.kept[t])
        noise = model(x, full((x.shape[0],), t, dtype=int64), *args)
        start = (x - math.sqrt(1 - now) * noise) / math.sqrt(now)
        if clip is not None:  # early on x_0 is a small difference over a smaller number
            start = start.clamp(-clip, clip)
            noise = (x - math.sqrt(now) * start) / math.sqrt(1 - now)
        return start, noise

    @no_grad()
    def sample(self, model, shape, *args, steps=None, eta=0.0, noise=None, clip=1.0):
        """Pictures of that shape out of noise. steps None: all, each drawn from its distribution (algorithm 2). A number of
        steps: DDIM, that many of all; eta 0 adds no noise on the way, so the same noise gives the same picture. clip: what
        x_0 is limited to on either side of 0 wherever it is guessed, None for data without limits."""
        x = randn(*shape) if noise is None else noise
        if steps is None:
            for t in range(self.steps - 1, -1, -1):
                _, guess = self._guess(model, x, t, clip, args)
                x = (x - float(self.beta[t] / math.sqrt(1 - self.kept[t])) * guess) / math.sqrt(1 - self.beta[t])
                if t:
                    x = x + math.sqrt(self.beta[t]) * randn_like(x)
            return x
        if not 1 <= steps <= self.steps:
            raise ValueError(f"[Diffusion.sample] steps must be from 1 to {self.steps}, got {steps}")
        times = np.linspace(self.steps - 1, 0, steps).round().astype(int)
        for i, t in enumerate(times):
            now, then = float(self.kept[t]), float(self.kept[times[i + 1]]) if i + 1 < steps else 1.0
            start, guess = self._guess(model, x, int(t), clip, args)
            drawn = eta * math.sqrt((1 - then) / (1 - now) * (1 - now / then))
            x = math.sqrt(then) * start + math.sqrt(max(0.0, 1 - then - drawn**2)) * guess
            if drawn > 0:
                x = x + drawn * randn_like(x)
        return x
