# SPDX-License-Identifier: MIT
"""Positional encodings

Attention sees a set: permute the keys and nothing changes. Order must be put in. Sinusoids give each position a pattern whose
product with another depends on their distance; rotary encodings turn queries and keys by an angle that grows with
position, so that their product *is* a function of the distance; ALiBi subtracts a multiple of the distance from each score.
"""

import picture

import lamella
from lamella import nn

lamella.manual_seed(0)
n, e = 64, 64
table = nn.SinusoidalPositionalEncoding(e, batch_first=True)(lamella.zeros(1, n, e))[0]
rotary = nn.RotaryEmbedding(e)
q, k = (rotary(lamella.randn(1, 1, 1, e).expand(1, 1, n, e))[0, 0] for _ in range(2))
scores = q @ k.t()
assert lamella.allclose(scores[:-7, :-7], scores[7:, 7:], atol=1e-3)  # only the distance counts
alibi = nn.ALiBi(8)(n, n)
fig, axes = picture.axes(1, 4, width=2.7, height=2.6)
for ax, (name, image) in zip(axes, (
    ("sinusoids", table),
    ("their products", table @ table.t()),
    ("rotary: one query,\none key, all positions", scores),
    ("ALiBi, head 4", alibi.reshape(8, n, n)[3]),
), strict=True):
    ax.imshow(image, cmap="coolwarm" if name != "ALiBi, head 4" else "viridis", aspect="auto")
    ax.set_title(name)
    picture.bare(ax)
picture.save(fig, __file__)
