# SPDX-License-Identifier: MIT
"""Norms, softmax, cross-entropy, pooling, embedding, transposition, sorting: what passes over rows or windows."""

from __future__ import annotations

from typing import Any

from .registry import Index, add_op


def batch_norm(lib: Any, x: Any, w: Any, b: Any) -> Any:
    return lib.nn.functional.batch_norm(x, None, None, w, b, training=True)


def jax_norm(axes: Any, shape: Any, centred: bool = True) -> Any:
    def norm(jax: Any, x: Any, w: Any, b: Any = 0.0) -> Any:
        x = x - x.mean(axes, keepdims=True) if centred else x
        w, b = (v.reshape(shape) if hasattr(v, "shape") else v for v in (w, b))
        return x * jax.lax.rsqrt((x * x).mean(axes, keepdims=True) + 1e-5) * w + b

    return norm


SIZE = 32 * 64 * 56 * 56
IMAGE = (32, 64, 56, 56)
COMPILE = {"compile": True, "backward": 1.5}

add_op(
    "rows", "batch_norm-64@56", batch_norm, [IMAGE, (64,), (64,)], bytes=8.0 * SIZE,
    jax=jax_norm((0, 2, 3), (64, 1, 1)), **COMPILE,
)  # fmt: skip
add_op(
    "rows", "group_norm-64@56", lambda lib, x, w, b: lib.nn.functional.group_norm(x, 8, w, b), [IMAGE, (64,), (64,)],
    bytes=8.0 * SIZE, **COMPILE,
)  # fmt: skip
add_op(
    "rows", "layer_norm-4096x768", lambda lib, x, w, b: lib.nn.functional.layer_norm(x, (768,), w, b),
    [(4096, 768), (768,), (768,)], bytes=8.0 * 4096 * 768, jax=jax_norm(-1, (768,)), **COMPILE,
)  # fmt: skip
add_op(
    "rows", "rms_norm-4096x768", lambda lib, x, w: lib.nn.functional.rms_norm(x, (768,), w), [(4096, 768), (768,)],
    bytes=8.0 * 4096 * 768, jax=jax_norm(-1, (768,), centred=False), **COMPILE,
)  # fmt: skip
add_op(
    "rows", "softmax-4096x1024", lambda lib, x: lib.nn.functional.softmax(x, dim=-1), [(4096, 1024)],
    bytes=8.0 * 4096 * 1024, jax=lambda jax, x: jax.nn.softmax(x), **COMPILE,
)  # fmt: skip


def jax_cross_entropy(jax: Any, x: Any, target: Any) -> Any:
    return -jax.numpy.take_along_axis(jax.nn.log_softmax(x), target[:, None], 1).mean()


add_op(
    "rows", "cross_entropy-1024x50257", lambda lib, x, target: lib.nn.functional.cross_entropy(x, target),
    [(1024, 50257), Index(50257, (1024,))], bytes=4.0 * 1024 * 50257, jax=jax_cross_entropy, compile=True,
)  # fmt: skip

POOLED = 4.0 * 32 * 64 * (112 * 112 + 56 * 56)
add_op(
    "rows", "max_pool3x3s2-64@112", lambda lib, x: lib.nn.functional.max_pool2d(x, 3, 2, 1), [(32, 64, 112, 112)],
    bytes=POOLED, backward=1.0,
)  # fmt: skip
add_op(
    "rows", "avg_pool3x3s2-64@112", lambda lib, x: lib.nn.functional.avg_pool2d(x, 3, 2, 1), [(32, 64, 112, 112)],
    bytes=POOLED, backward=1.0,
)  # fmt: skip
add_op(
    "rows", "embedding-8x1024-50257x768", lambda lib, index, w: lib.nn.functional.embedding(index, w),
    [Index(50257, (8, 1024)), (50257, 768)], bytes=8.0 * 8192 * 768, backward=3.0,
    jax=lambda jax, index, w: w[index],
)  # fmt: skip
add_op(
    "rows", "transpose-4096", lambda lib, x: x.t().contiguous(), [(4096, 4096)], bytes=8.0 * 4096 * 4096, backward=None,
    numpy=lambda np, x: np.ascontiguousarray(x.T),
)  # fmt: skip
add_op(
    "rows", "transpose-32Kx4x16", lambda lib, x: x.transpose(1, 2).contiguous(), [(1 << 15, 4, 16)], bytes=8.0 * (1 << 21),
    backward=None, numpy=lambda np, x: np.ascontiguousarray(x.transpose(0, 2, 1)),
)  # fmt: skip
add_op(
    "rows", "sum-columns-4096", lambda lib, x: x.sum(0), [(4096, 4096)], bytes=4.0 * 4096 * 4096, backward=None,
    numpy=lambda np, x: x.sum(0), jax=lambda jax, x: x.sum(0),
)  # fmt: skip
add_op(
    "rows", "argmax-4096x1024", lambda lib, x: x.argmax(-1), [(4096, 1024)], bytes=4.0 * 4096 * 1024, backward=None,
    numpy=lambda np, x: x.argmax(-1), jax=lambda jax, x: x.argmax(-1),
)  # fmt: skip
# rows of a few classes, and the extremes of columns
FEW = (100_000, 10)
add_op(
    "rows", "softmax-100Kx10", lambda lib, x: lib.nn.functional.softmax(x, dim=-1), [FEW], bytes=8e6, backward=1.5,
    jax=lambda jax, x: jax.nn.softmax(x),
)  # fmt: skip
add_op(
    "rows", "log_softmax-32Kx32", lambda lib, x: lib.nn.functional.log_softmax(x, dim=-1), [(1 << 15, 32)],
    bytes=8.0 * (1 << 20), backward=1.5, jax=lambda jax, x: jax.nn.log_softmax(x),
)  # fmt: skip
add_op(
    "rows", "cross_entropy-100Kx10", lambda lib, x, target: lib.nn.functional.cross_entropy(x, target), [FEW, Index(10, FEW[:1])],
    bytes=4e6, jax=jax_cross_entropy,
)  # fmt: skip
add_op(
    "rows", "argmax-100Kx10", lambda lib, x: x.argmax(-1), [FEW], bytes=4e6, backward=None, numpy=lambda np, x: x.argmax(-1),
    jax=lambda jax, x: x.argmax(-1),
)  # fmt: skip
add_op(
    "rows", "argmax-columns-1024", lambda lib, x: x.argmax(0), [(1024, 1024)], bytes=4.0 * (1 << 20), backward=None,
    numpy=lambda np, x: x.argmax(0), jax=lambda jax, x: x.argmax(0),
)  # fmt: skip
add_op(
    "rows", "sum-rows-32Kx32", lambda lib, x: x.sum(-1), [(1 << 15, 32)], bytes=4.0 * (1 << 20), backward=None,
    numpy=lambda np, x: x.sum(-1), jax=lambda jax, x: x.sum(-1),
)  # fmt: skip
add_op(
    "rows", "sum-channels-16x64x56x56", lambda lib, x: x.sum((0, 2, 3)), [(16, 64, 56, 56)], bytes=4.0 * 16 * 64 * 56 * 56, backward=None,
    numpy=lambda np, x: x.sum((0, 2, 3)), jax=lambda jax, x: x.sum((0, 2, 3)),
)  # fmt: skip
add_op(
    "rows", "cumsum-100Kx10", lambda lib, x: x.cumsum(-1), [FEW], bytes=8e6, backward=None, numpy=lambda np, x: x.cumsum(-1),
    jax=lambda jax, x: x.cumsum(-1),
)  # fmt: skip
add_op(
    "rows", "sort-1M", lambda lib, x: lib.sort(x), [(1 << 20,)], needs=("sort",), backward=None,
    numpy=lambda np, x: (i := np.argsort(x), x[i]), jax=lambda jax, x: (i := jax.numpy.argsort(x), x[i]),  # both, as torch.sort
)  # fmt: skip
add_op(
    "rows", "sort-rows-128Kx8", lambda lib, x: lib.sort(x, -1), [(1 << 17, 8)], backward=None,
    numpy=lambda np, x: (i := np.argsort(x, -1), np.take_along_axis(x, i, -1)), jax=lambda jax, x: (jax.numpy.argsort(x), jax.numpy.sort(x)),
)  # fmt: skip
add_op("rows", "topk2-128Kx8", lambda lib, x: lib.topk(x, 2), [(1 << 17, 8)], backward=None, jax=lambda jax, x: jax.lax.top_k(x, 2))
add_op(
    "rows", "topk50-1024x50257", lambda lib, x: lib.topk(x, 50), [(1024, 50257)], needs=("topk",), backward=None,
    bytes=4.0 * 1024 * 50257, jax=lambda jax, x: jax.lax.top_k(x, 50)[0],
)  # fmt: skip
