# SPDX-License-Identifier: MIT
"""Vision Transformer (Dosovitskiy et al. 2020), with torchvision's parameter names."""

from __future__ import annotations

import math
from collections import OrderedDict

from .. import cat, nn, zeros

__all__ = ["VisionTransformer", "vit_b_16", "vit_b_32", "vit_l_16"]


class EncoderBlock(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)): (N, T, E) -> (N, T, E)."""

    def __init__(self, heads, width, mlp_dim, dropout):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.ln_2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(
            nn.Linear(width, mlp_dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(mlp_dim, width), nn.Dropout(dropout)
        )

    def forward(self, x):
        y = self.ln_1(x)
        x = x + self.dropout(self.self_attention(y, y, y, need_weights=False)[0])
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    """Learned positions, blocks, a last norm: (N, T, E) -> (N, T, E)."""

    def __init__(self, length, layers, heads, width, mlp_dim, dropout):
        super().__init__()
        self.pos_embedding = nn.Parameter(zeros(1, length, width))
        nn.init.normal_(self.pos_embedding, std=0.02)
        self.dropout = nn.Dropout(dropout)
        blocks = [(f"encoder_layer_{i}", EncoderBlock(heads, width, mlp_dim, dropout)) for i in range(layers)]
        self.layers = nn.Sequential(OrderedDict(blocks))
        self.ln = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x):
        return self.ln(self.layers(self.dropout(x + self.pos_embedding)))


class VisionTransformer(nn.Module):
    """(N, 3, image_size, image_size) -> (N, num_classes): the picture cut into patches, each a token, and a class token
    before them, whose output is classified.

    ValueError unless patch_size divides image_size, and for images of another size. The head starts at zero.
    """

    def __init__(
        self, image_size=224, patch_size=16, num_layers=12, num_heads=12, hidden_dim=768, mlp_dim=3072, dropout=0.0,
        num_classes=1000,
    ):  # fmt: skip
        super().__init__()
        if image_size % patch_size:
            raise ValueError(f"[VisionTransformer] patch_size must divide image_size {image_size}, got {patch_size}")
        self.image_size = image_size
        self.conv_proj = nn.Conv2d(3, hidden_dim, patch_size, stride=patch_size)
        self.class_token = nn.Parameter(zeros(1, 1, hidden_dim))
        length = (image_size // patch_size) ** 2 + 1
        self.encoder = Encoder(length, num_layers, num_heads, hidden_dim, mlp_dim, dropout)
        self.heads = nn.Sequential(OrderedDict(head=nn.Linear(hidden_dim, num_classes)))
        nn.init.trunc_normal_(self.conv_proj.weight, std=math.sqrt(1 / (3 * patch_size**2)))
        nn.init.zeros_(self.conv_proj.bias)
        nn.init.zeros_(self.heads.head.weight)
        nn.init.zeros_(self.heads.head.bias)

    def features(self, x):
        """All tokens of the last layer, (N, 1 + patches, hidden_dim)."""
        if tuple(x.shape[2:]) != (self.image_size, self.image_size):
            wanted = ("N", 3, self.image_size, self.image_size)
            raise ValueError(f"[VisionTransformer] x must have shape {wanted}, got {tuple(x.shape)}")
        x = self.conv_proj(x).flatten(2).transpose(1, 2)  # (N, patches, E)
        return self.encoder(cat([self.class_token.expand(x.shape[0], -1, -1), x], 1))

    def forward(self, x):
        return self.heads(self.features(x)[:, 0])


def vit_b_16(num_classes=1000, **options):
    """Base, patches of 16: 86.6 million parameters."""
    return VisionTransformer(224, 16, 12, 12, 768, 3072, num_classes=num_classes, **options)


def vit_b_32(num_classes=1000, **options):
    """Base, patches of 32: 88.2 million parameters."""
    return VisionTransformer(224, 32, 12, 12, 768, 3072, num_classes=num_classes, **options)


def vit_l_16(num_classes=1000, **options):
    """Large, patches of 16: 304.3 million parameters."""
    return VisionTransformer(224, 16, 24, 16, 1024, 4096, num_classes=num_classes, **options)
