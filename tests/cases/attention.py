# SPDX-License-Identifier: MIT
"""Scaled dot-product attention and MultiheadAttention."""

import numpy as np

import lamella
import lamella.nn.functional as F
from case import ALL_FLOATS, A, B, Bad, Case, S
from lamella import nn
from lamella.ops.attention import attend, attention_unfused

INF = float("inf")


def weights_of(q, k, mask=None, is_causal=False, scale=None):
    """(..., L, S); zeros for a query without keys."""
    scale = 1 / np.sqrt(q.shape[-1]) if scale is None else scale
    s = scale * (q @ k.swapaxes(-1, -2))
    allowed = np.ones(s.shape, bool)
    if mask is not None:
        allowed &= mask if mask.dtype == bool else mask != -INF
        s = s if mask.dtype == bool else s + mask
    if is_causal:
        allowed &= np.tri(*s.shape[-2:], dtype=bool)
    if s.shape[-1] == 0:
        return s
    s = np.where(allowed, s, -INF)
    top = s.max(-1, keepdims=True)
    e = np.exp(s - np.where(top == -INF, 0, top))
    total = e.sum(-1, keepdims=True)
    return np.where(total == 0, 0, e / np.where(total == 0, 1, total))


def attention(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
    if enable_gqa:
        k, v = (np.repeat(x, q.shape[-3] // x.shape[-3], -3) for x in (k, v))
    p = weights_of(q, k, attn_mask, is_causal, scale)[..., None]
    return np.where(p == 0, 0, p * v[..., None, :, :]).sum(-2)


def Q(*shape):
    """A query's or key's shape: scores of standard deviation 1."""
    return A(shape)


def qkv(lead, n, s, e, ev=None):
    return Q(*lead, n, e), Q(*lead, s, e), A((*lead, s, ev or e))


TOL = {"float32": 6e-6, "float16": 4e-3}
LENGTHS = [(1, 17), (3, 5), (5, 3), (15, 16), (16, 17), (17, 31), (33, 32), (13, 129), (97, 40), (101, 131)]
PLAIN = [S(*qkv((2,), n, s, 8)) for n, s in LENGTHS]
PLAIN += [S(*qkv((), 7, 9, 5, 3)), S(*qkv((2, 3), 5, 6, 33, 16)), S(*qkv((1, 2), 9, 7, 17, 65)), S(*qkv((2, 1, 2), 3, 4, 2))]
PLAIN += [S(*qkv((2,), 4, 5, 3), scale=0.3), S(*qkv((2,), 6, 7, 1)), S(*qkv((1,), 2, 700, 4)), S(*qkv((1,), 200, 300, 4))]
PLAIN += [
    S(Q(2, 3, 4, 5), Q(3, 6, 5), A((2, 1, 6, 2))),  # leading dimensions broadcast
    S(Q(2, 3, 4, 5), Q(2, 1, 6, 5), A((2, 1, 6, 2))),  # one key head for all: summed in the kernel
    S(Q(4, 5), Q(2, 3, 6, 5), A((6, 2))),
    S(Q(2, 0, 5), Q(2, 3, 5), A((2, 3, 5))),
    S(Q(2, 3, 5), Q(2, 0, 5), A((2, 0, 5))),
    S(Q(0, 3, 5), Q(0, 3, 5), A((0, 3, 5))),
]
CAUSAL = [S(*qkv((2,), n, s, 8), is_causal=True) for n, s in LENGTHS[1:]] + [S(*qkv((1, 2), 260, 270, 3), is_causal=True)]
GROUPED = [
    S(Q(2, 4, 5, 8), Q(2, 2, 6, 8), A((2, 2, 6, 8)), enable_gqa=True),
    S(Q(6, 1, 8), Q(2, 150, 8), A((2, 150, 3)), enable_gqa=True),
    S(Q(2, 6, 17, 4), Q(1, 2, 17, 4), A((2, 2, 17, 4)), enable_gqa=True, is_causal=True),
    S(Q(1, 6, 9, 4), Q(1, 3, 7, 4), A((1, 3, 7, 4)), B((6, 9, 7)), enable_gqa=True),
    S(Q(1, 3, 9, 4), Q(1, 3, 7, 4), A((1, 3, 7, 4)), enable_gqa=True),
]


def masked(mask):
    """Samples with mask(shape) for the ways in which a mask may broadcast, and few, many and one query."""
    shapes = [(2, 3, 17, 33), (1, 1, 17, 33), (17, 33), (2, 1, 1, 33), (1, 3, 17, 1), (33,), (1,)]
    found = [S(*qkv((2, 3), 17, 33, 8), mask(s)) for s in shapes]
    found += [S(*qkv((2,), 130, 260, 4), mask((130, 260))), S(*qkv((2,), 130, 260, 4), mask((2, 1, 260)))]
    return [*found, S(*qkv((2, 2), 1, 300, 4), mask((2, 1, 1, 300))), S(*qkv((1,), 3, 5, 4), mask((3, 5)))]


def additive(shape):
    return A(shape, special=(-INF, -INF, 3.0), grad=False)


def mask_of(kind, n, s):
    """Fixed patterns: queries without keys, keys without queries, padding."""
    m = np.ones((n, s), bool)
    if kind == "blind":
        m[::3] = False
    elif kind == "unseen":
        m[:, 1::2] = False
    elif kind == "padding":
        m[:, s // 2 :] = False
    else:
        m[:] = False
    return m


PATTERNS = [S(*qkv((2,), 10, 20, 4), mask_of(kind, 10, 20)) for kind in ("blind", "unseen", "padding", "none")]
PATTERNS += [S(*qkv((2,), 10, 20, 4), mask_of("padding", 1, 20)), S(*qkv((1,), 120, 400, 4), mask_of("padding", 1, 400))]
PATTERNS += [S(*qkv((2,), 2, 20, 4), mask_of(kind, 2, 20)) for kind in ("blind", "unseen", "none")]
PATTERNS += [S(*qkv((1,), 100, 300, 4), mask_of("unseen", 100, 300)), S(*qkv((1,), 3, 4, 2), np.full((3, 4), -INF))]

ONE_KEY = [S(*qkv((2,), 1, 1, 8)), S(*qkv((2,), 3, 1, 8)), S(*qkv((2,), 3, 1, 8), is_causal=True), S(*qkv((1, 3), 97, 1, 5))]
ONE_KEY += [S(*qkv((2,), 1, 17, 8), is_causal=True), S(*qkv((2,), 1, 1, 8), is_causal=True)]

NAN = float("nan")
UNSEEN = np.array([False] + [True] * 20)  # key 0 is seen by none
HALF = np.arange(21) + np.arange(10)[:, None] > 4  # key 0 by some


def isolated(q, k, v, mask, bad):
    """Attention where key 0 is not finite and must matter only to queries that see it."""
    k, v = (lamella.where(lamella.arange(21, device=x).unsqueeze(1) == 0, bad, x) for x in (k, v))
    return F.scaled_dot_product_attention(q, k, v, mask)


def isolated_ref(q, k, v, mask, bad):
    k, v = k.copy(), v.copy()
    k[..., 0, :] = v[..., 0, :] = bad
    return attention(q, k, v, mask)


def later(q, k, v, at, bad):
    """Causal attention where the value of key `at` is not finite and must not reach earlier queries, nor their gradients."""
    v = lamella.where(lamella.arange(v.shape[-2], device=v).unsqueeze(1) == at, bad, v)
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)[..., :at, :]


def later_ref(q, k, v, at, bad):
    return attention(q, k, v, is_causal=True)[..., :at, :]


def unfused(q, k, v, attn_mask=None, is_causal=False, scale=None, enable_gqa=False):
    scale = 1 / np.sqrt(q.shape[-1]) if scale is None else scale
    return attention_unfused(q, k, v, attn_mask, scale, 0.0, is_causal, enable_gqa, 0, 0)


def dropped(q, k, v, p, mask=None, is_causal=False):
    lamella.manual_seed(5)
    return attend(q, k, v, mask, p, is_causal)


def dropped_ref(q, k, v, p, mask=None, is_causal=False):
    """With the kept weights that `dropout` of ones gives on the same stream."""
    w = weights_of(q, k, mask, is_causal)
    lamella.manual_seed(5)
    return (w * F.dropout(lamella.ones(w.shape, dtype=lamella.float64), p).numpy()) @ v


def module(options, w, b, wo, bo, **others):
    """A MultiheadAttention of 6 features and 3 heads with these parameters; PyTorch's layout (length, batch, features)."""
    m = nn.MultiheadAttention(6, 3, **options)
    projections = ("q_proj_weight", "k_proj_weight", "v_proj_weight") if "kdim" in options else ("in_proj_weight",)
    weights = dict(zip(projections, w if "kdim" in options else (w,), strict=True))
    bias_k, bias_v = others.get("bias_kv", (None, None))
    vars(m).update(weights, in_proj_bias=b, bias_k=bias_k, bias_v=bias_v)  # Tensors, not Parameters: they have histories
    vars(m.out_proj).update(weight=wo, bias=bo)
    return m


def mha(q, k, v, options, parameters, bias_kv=(None, None), **call):
    k, v = (q if k is None else k), (q if v is None else k if v == "key" else v)
    m = module(options, *parameters, bias_kv=bias_kv)
    return m(q, k, v, **call) if call.get("need_weights", True) else m(q, k, v, **call)[0]


def mha_ref(q, k, v, options, parameters, bias_kv=(None, None), **call):
    k, v = (q if k is None else k), (q if v is None else k if isinstance(v, str) else v)
    w, b, wo, bo = parameters
    ws, bs = (w if "kdim" in options else np.split(w, 3)), (0, 0, 0) if b is None else np.split(b, 3)
    batched = q.ndim == 3
    if not options.get("batch_first"):
        q, k, v = (x.swapaxes(0, 1) if batched else x for x in (q, k, v))
    q, k, v = (x if batched else x[None] for x in (q, k, v))
    (n, length, _), s = q.shape, k.shape[1]
    q, k, v = (x @ w.T + b for x, w, b in zip((q, k, v), ws, bs, strict=True))
    if bias_kv[0] is not None:
        k, v = (np.concatenate([x, np.broadcast_to(b, (n, 1, 6))], 1) for x, b in zip((k, v), bias_kv, strict=True))
    q, k, v = (x.reshape(n, -1, 3, 2).swapaxes(1, 2) for x in (q, k, v))
    if options.get("add_zero_attn"):
        k, v = (np.concatenate([x, np.zeros((n, 3, 1, 2))], 2) for x in (k, v))
    mask = np.zeros((n, 3, length, s))
    for given, shape in ((call.get("attn_mask"), (-1, 3, length, s)), (call.get("key_padding_mask"), (-1, 1, 1, s))):
        if given is not None:
            given = np.where(given, -INF, 0) if given.dtype == bool else given
            mask = mask + given.reshape(shape if given.ndim == 3 or shape[1] == 1 else given.shape)
    if call.get("is_causal"):
        mask = np.where(np.tri(length, s, dtype=bool), mask, -INF)
    p = weights_of(q, k, np.pad(mask, [(0, 0)] * 3 + [(0, k.shape[2] - s)]))
    y = np.where(p[..., None] == 0, 0, p[..., None] * v[..., None, :, :]).sum(-2).swapaxes(1, 2).reshape(n, length, 6) @ wo.T
    y = y if bo is None else y + bo
    p = p.mean(1) if call.get("average_attn_weights", True) else p
    y = y.swapaxes(0, 1) if batched and not options.get("batch_first") else y
    y, p = (y, p) if batched else (y[0], p[0])
    return (y, p) if call.get("need_weights", True) else y


WEIGHTS = (A((18, 6)), A((18,)), A((6, 6)), A((6,)))
X = A((5, 2, 6))  # length, batch, features
UPPER = np.triu(np.ones((5, 5), bool), 1)
PADDED = np.array([[False, False, False, True, True], [False, True, False, True, True]])
MHA = [
    S(X, None, None, {}, WEIGHTS),
    S(X, None, None, {}, WEIGHTS, need_weights=False),
    S(X, None, None, {}, WEIGHTS, average_attn_weights=False),
    S(X, A((7, 2, 6)), "key", {}, WEIGHTS),
    S(X, A((7, 2, 6)), A((7, 2, 6)), {}, (A((18, 6)), None, A((6, 6)), None)),
    S(X, A((7, 2, 4)), A((7, 2, 3)), {"kdim": 4, "vdim": 3}, ((A((6, 6)), A((6, 4)), A((6, 3))), *WEIGHTS[1:])),
    S(A((2, 5, 6)), None, None, {"batch_first": True}, WEIGHTS, need_weights=False),
    S(A((5, 6)), None, None, {}, WEIGHTS),
    S(A((5, 6)), None, None, {"batch_first": True}, WEIGHTS, key_padding_mask=PADDED[1]),
    S(X, None, None, {}, WEIGHTS, key_padding_mask=PADDED),
    S(X, None, None, {}, WEIGHTS, key_padding_mask=PADDED, need_weights=False),
    S(X, None, None, {}, WEIGHTS, attn_mask=UPPER),
    S(X, None, None, {}, WEIGHTS, attn_mask=UPPER, is_causal=True, need_weights=False),
    S(X, None, None, {}, WEIGHTS, is_causal=True, key_padding_mask=PADDED),
    S(X, None, None, {}, WEIGHTS, attn_mask=B((6, 5, 5)), key_padding_mask=PADDED),
    S(X, None, None, {}, WEIGHTS, attn_mask=A((6, 5, 5), grad=False), key_padding_mask=PADDED, need_weights=False),
    S(X, None, None, {}, WEIGHTS, attn_mask=np.ones((5, 5), bool)),  # no query sees a key
    S(X, None, None, {"add_zero_attn": True}, WEIGHTS, attn_mask=UPPER, is_causal=True),
    S(X, None, None, {}, WEIGHTS, bias_kv=(A((1, 1, 6)), A((1, 1, 6))), key_padding_mask=PADDED),
    S(A((2, 5, 6)), None, None, {"batch_first": True, "add_zero_attn": True}, WEIGHTS, bias_kv=(A((1, 1, 6)), A((1, 1, 6)))),
]

q, k = lamella.zeros(2, 3, 4), lamella.zeros(2, 5, 4)
layer = nn.MultiheadAttention(6, 3)
x = lamella.zeros(5, 2, 6)


def sdpa(*args, **kwargs):
    return lambda: F.scaled_dot_product_attention(*args, **kwargs)


def named(text):
    return "[scaled_dot_product_attention] " + text


CASES = [
    Case(
        op="attention",
        fn=F.scaled_dot_product_attention,
        ref=attention,
        samples=PLAIN + CAUSAL + GROUPED,
        kernels=("attention_fwd", "attention_bwd"),
        dtypes=ALL_FLOATS,
        tol=TOL,
        bad=[
            Bad(sdpa(q, k[0, 0], k), ValueError, named("key must have at least 2 dimensions, got (4,)")),
            Bad(sdpa(q, k[..., :3], k), ValueError, named("query and key must have the same last size, got (2, 3, 4)")),
            Bad(sdpa(q, k, k[:, :4]), ValueError, named("key and value must have the same length (dimension -2)")),
            Bad(sdpa(q, k.double(), k), TypeError, named("query, key and value must have one floating dtype, got float32")),
            Bad(sdpa(q.long(), k.long(), k.long()), TypeError, named("query, key and value must have one floating dtype")),
            Bad(sdpa(q, lamella.zeros(3, 5, 4), k), ValueError, "scaled_dot_product_attention"),
            Bad(sdpa(q, k, k, dropout_p=1.5), ValueError, named("dropout_p must be in [0, 1], got 1.5")),
            Bad(sdpa(q, k, k, lamella.ones(3, 4)), ValueError, named("attn_mask must broadcast to (2, 3, 5), got (3, 4)")),
            Bad(sdpa(q, k, k, lamella.ones(2, 2, 3, 5)), ValueError, named("attn_mask must broadcast to (2, 3, 5)")),
            Bad(
                sdpa(q, k, k, lamella.ones(3, 5, dtype=lamella.int64)),
                TypeError,
                named("attn_mask must be bool or floating, got int64"),
            ),
            Bad(
                sdpa(q, k, k, lamella.ones(3, 5), is_causal=True),
                ValueError,
                named("attn_mask must be None with is_causal=True, got one of shape (3, 5)"),
            ),
            Bad(sdpa(q[0], k[0], k[0], enable_gqa=True), ValueError, named("query, key and value must have at least 3")),
            Bad(
                sdpa(lamella.zeros(3, 2, 4), k, k, enable_gqa=True),
                ValueError,
                named("heads of key and value (dimension -3) must be equal and divide the query's"),
            ),
        ],
    ),
    Case(
        op="attention of one key",  # dq and dk are zero but for rounding: beside them a gradient that gives the scale
        fn=lambda q, k, v, **o: F.scaled_dot_product_attention(q, k, v, **o) + q.mean() + k.mean(),
        ref=lambda q, k, v, **o: attention(q, k, v, **o) + q.mean() + k.mean(),
        samples=ONE_KEY,
        dtypes=ALL_FLOATS,
        tol=TOL,
    ),
    Case(
        op="attention bool mask",
        fn=F.scaled_dot_product_attention,
        ref=attention,
        samples=masked(B) + PATTERNS,
        kernels=("attention_fwd", "attention_bwd"),
        dtypes=ALL_FLOATS,
        tol=TOL,
    ),
    Case(
        op="attention added mask",
        fn=F.scaled_dot_product_attention,
        ref=attention,
        samples=masked(additive),
        dtypes=ALL_FLOATS,
        tol=TOL,
    ),
    Case(
        op="attention mask gradient",
        fn=F.scaled_dot_product_attention,
        ref=attention,
        samples=[S(*qkv((2, 3), 5, 7, 4), A((3, 5, 7))), S(*qkv((2, 3), 5, 7, 4), A((2, 1, 1, 7)))],
    ),
    Case(
        op="attention NaN of a masked key",
        fn=isolated,
        ref=isolated_ref,
        samples=[S(*qkv((2,), n, 21, 4), m[:n] if m.ndim > 1 else m, x) for m in (UNSEEN, HALF) for n in (10, 3) for x in (NAN, INF)],
        dtypes=ALL_FLOATS,
        tol=TOL,
        grad=False,
        grad2=False,
        layouts=False,
    ),
    Case(
        op="attention NaN of a later key",
        fn=later,
        ref=later_ref,
        samples=[S(*qkv((2,), n, s, e), at, NAN) for n, s, e, at in ((80, 90, 64, 67), (40, 40, 8, 33), (200, 200, 4, 130))],
        dtypes=ALL_FLOATS,
        tol=TOL,
        grad=False,
        grad2=False,
        layouts=False,
    ),
    Case(
        op="attention unfused",
        fn=unfused,
        ref=attention,
        samples=[s for s in PLAIN[:6] + CAUSAL[3:6] + GROUPED + PATTERNS[:4] if s.args[0].shape[-2] < 40],
        tol={"float32": 6e-6},
    ),
    Case(
        op="attention dropout",
        fn=dropped,
        ref=dropped_ref,
        samples=[S(*qkv((2, 2), n, s, 8), 0.3) for n, s in ((1, 7), (2, 300), (5, 5), (33, 37), (100, 130))]
        + [S(*qkv((2,), 33, 37, 8), 1.0), S(*qkv((2,), 33, 37, 8), 0.5, is_causal=True), S(*qkv((2,), 9, 7, 8), 0.5, B((9, 7)))],
        dtypes=ALL_FLOATS,
        tol=TOL,
    ),
    Case(
        op="MultiheadAttention",
        fn=mha,
        ref=mha_ref,
        samples=MHA,
        tol={"float32": 1e-5},
        bad=[
            Bad(lambda: nn.MultiheadAttention(6, 4), ValueError, "[MultiheadAttention] num_heads must divide embed_dim, got 4 and 6"),
            Bad(lambda: layer(x, x[0], x), ValueError, "must all have 2 or all 3 dimensions, got (5, 2, 6), (2, 6) and (5, 2, 6)"),
            Bad(lambda: layer(x, x[..., :4], x), ValueError, "[MultiheadAttention] key must have 6 features, got (5, 2, 4)"),
            Bad(lambda: layer(x, x, x[:4]), ValueError, "key and value must have the same length and batch, got (5, 2, 6)"),
            Bad(lambda: layer(x, x, x, attn_mask=x[0]), ValueError, "attn_mask must have shape (5, 5) or (6, 5, 5), got (2, 6)"),
            Bad(lambda: layer(x, x, x, key_padding_mask=x[0]), ValueError, "key_padding_mask must have shape (2, 5), got (2, 6)"),
        ],
    ),
]
