# SPDX-License-Identifier: MIT
"""Masks

Attention is a weighted mean over keys; a mask takes keys away from it. Causal: no query sees a later key, so all positions of
a sequence can be trained at once. Padding: nobody sees what was added to fill the batch. What is masked has weight zero exactly:
here even a NaN in a masked place reaches nobody, and a query with no key left gives zeros.
"""

import picture

import lamella
import lamella.nn.functional as F

lamella.manual_seed(0)
n, e = 12, 16
q, k = 2 * lamella.randn(1, n, e), lamella.randn(1, n, e)
at = lamella.arange(n)
masks = {
    "all": lamella.ones(n, n, dtype=lamella.bool),
    "causal": at.unsqueeze(1) >= at,
    "padding (last 4)": (at < 8).expand(n, n),
    "window of 3, causal": (at.unsqueeze(1) >= at) & (at.unsqueeze(1) - at < 3),
}
fig, axes = picture.axes(1, 4, width=2.4, height=2.6)
for ax, (name, mask) in zip(axes, masks.items(), strict=True):
    weights = F.scaled_dot_product_attention(q, k, lamella.eye(n).unsqueeze(0), attn_mask=mask)[0]  # values: one per key
    assert lamella.allclose(weights.sum(1), lamella.ones(n)) and (weights[~mask] == 0).all()
    ax.imshow(weights, cmap="Blues")
    ax.set(title=name, xlabel="key", ylabel="query")
    picture.bare(ax)

values = lamella.randn(1, n, e)
values[0, 8:] = float("nan")
assert F.scaled_dot_product_attention(q, k, values, attn_mask=masks["padding (last 4)"]).isfinite().all()
nobody = lamella.zeros(n, n, dtype=lamella.bool)
assert (F.scaled_dot_product_attention(q, k, lamella.randn(1, n, e), attn_mask=nobody) == 0).all()
picture.save(fig, __file__)
