# SPDX-License-Identifier: MIT
"""Two towers, one for pictures and one for text, trained to agree (CLIP, Radford et al. 2021)."""

from __future__ import annotations

import math

from .. import arange, exp, nn, ones, tensor, zeros
from .. import bool as boolean
from ..nn import functional as F
from .vit import VisionTransformer

__all__ = ["CLIP", "contrastive_loss"]


class TextTower(nn.Module):
    """A causal Transformer: integers (N, T) -> (N, width), the output at the position of each row's largest token, which is
    the one that ends a text."""

    def __init__(self, vocab_size, context, layers, heads, width):
        super().__init__()
        self.token_embedding = nn.Embedding(vocab_size, width)
        self.position = nn.Parameter(zeros(context, width))
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, F.gelu, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width))
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.position, std=0.01)

    def forward(self, idx):
        n, t = idx.shape
        x = self.token_embedding(idx) + self.position[:t]
        hidden = ones(t, t, dtype=boolean).triu(1)
        x = self.encoder(x, mask=hidden, is_causal=True)
        return x[arange(n), idx.argmax(1)]


class CLIP(nn.Module):
    """Pictures (N, 3, image_size, image_size) and texts (M, T) -> similarities (N, M): the cosine of their embeddings times
    exp(logit_scale), which is learned, starts at 1 / 0.07 and is at most 100.

    The defaults are the paper's ViT-B/32: 151 million parameters, about. ValueError for texts longer than `context`.
    """

    def __init__(
        self,
        embed_dim=512,
        image_size=224,
        patch_size=32,
        vision_layers=12,
        vision_heads=12,
        vision_width=768,
        vocab_size=49408,
        context=77,
        text_layers=12,
        text_heads=8,
        text_width=512,
    ):
        super().__init__()
        self.context = context
        self.visual = VisionTransformer(
            image_size, patch_size, vision_layers, vision_heads, vision_width, 4 * vision_width, num_classes=embed_dim
        )
        self.text = TextTower(vocab_size, context, text_layers, text_heads, text_width)
        self.text_projection = nn.Linear(text_width, embed_dim, bias=False)
        self.logit_scale = nn.Parameter(tensor(math.log(1 / 0.07)))
        nn.init.normal_(self.visual.heads.head.weight, std=vision_width**-0.5)
        nn.init.normal_(self.text_projection.weight, std=text_width**-0.5)

    def encode_image(self, x):
        """Embeddings (N, embed_dim) of length one."""
        return F.normalize(self.visual(x), dim=-1)

    def encode_text(self, idx):
        """Embeddings (M, embed_dim) of length one."""
        if idx.shape[1] > self.context:
            raise ValueError(f"[CLIP] idx must have at most {self.context} tokens, got {tuple(idx.shape)}")
        return F.normalize(self.text_projection(self.text(idx)), dim=-1)

    def forward(self, x, idx):
        scale = exp(self.logit_scale.clamp(max=math.log(100.0)))
        return scale * (self.encode_image(x) @ self.encode_text(idx).t())


def contrastive_loss(similarities):
    """The mean cross-entropy of finding the text of each picture and the picture of each text, of similarities (N, N) whose
    diagonal are the pairs (Radford et al. 2021, figure 3)."""
    if similarities.ndim != 2 or similarities.shape[0] != similarities.shape[1]:
        raise ValueError(f"[contrastive_loss] similarities must have shape (N, N), got {tuple(similarities.shape)}")
    own = arange(similarities.shape[0])
    return (F.cross_entropy(similarities, own) + F.cross_entropy(similarities.t(), own)) / 2
