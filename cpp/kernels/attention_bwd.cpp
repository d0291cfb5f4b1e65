// SPDX-License-Identifier: MIT
// Attention, backward, from its inputs, its output y and lse. With weights P = exp(score - lse), kept weights Pd =
// dropout(P) and D = the row sums of dy * y:
//   dv = Pd^T dy,  dS = P * (dropout(dy v^T) - D),  dq = scale dS k,  dk = scale dS^T q.
// A task is a run of keys of a k/v head against all queries of its group, so that dk and dv are its own; where heads are
// few, several runs share a head and their dq are added in order.
#include "attention.h"

namespace lamella {
namespace LAMELLA_ISA {

constexpr int64_t kKeyRun = 1024;  // keys whose packed forms and gradients a task holds at a time

// Scores become kept weights, dp (dy v^T) becomes dS. bias and keep may be null.
template <class A>
static void weigh_back(A* scores, A* dp, int64_t keys, const A* bias, const A* keep, A lse, A d) {
  const vec<A> low = constant<vec<A>>(kMinusInfinity<A>), zero{}, vlse = splat(lse), vd = splat(d);
  if (bias) add_bias(scores, bias, keys);
  sweep<A, 2>(keys, [&](int64_t i, int, auto k) {
    const vec<A> s = ld(scores + i, k), kept = keep ? ld(keep + i, k) : zero + A(1);
    const vec<A> p = select(s == low, zero, vexp(s - vlse));
    st(scores + i, p * kept, k);
    st(dp + i, select(p == zero, zero, p * (ld(dp + i, k) * kept - vd)), k);
  });
}

template <class T> struct BackwardBuffers {
  using A = acc_t<T>;
  A *queries, *dys, *d, *keys, *values, *key_rows, *dk, *dv, *scores, *dp, *bias, *keep, *dq;
  int64_t e_row, v_row;
  // dq is here only where the task has all keys of its head.
  BackwardBuffers(const Attention& a, int64_t dq_rows, Pieces<A>& p) {
    const int64_t run = ceil_div(least(a.s, kKeyRun), kBackwardKeys) * kBackwardKeys;
    e_row = row_stride<A>(a.e), v_row = row_stride<A>(a.ev);
    queries = p.take(kBackwardQueries * e_row), dys = p.take(kBackwardQueries * v_row), d = p.take(kBackwardQueries);
    keys = p.take(run * a.e), values = p.take(run * a.ev), key_rows = p.take(run * e_row);
    dk = p.take(run * e_row), dv = p.take(run * v_row);
    scores = p.take(kBackwardQueries * kScoreStride<A>), dp = p.take(kBackwardQueries * kScoreStride<A>);
    bias = p.take(a.mask ? kBackwardQueries * kMostKeys : 0), keep = p.take(kMostKeys);
    dq = p.take(dq_rows * e_row);
  }
};

template <class A> static void fill_zero(A* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] = A(0);
}

// dst (rows, n) of T = src * scale.
template <class T>
static void store_rows(T* to, int64_t row, const acc_t<T>* from, int64_t stride, int64_t rows, int64_t n, acc_t<T> scale) {
  using A = acc_t<T>;
  for (int64_t r = 0; r < rows; ++r)
    sweep<A, 4>(n, [&](int64_t i, int, auto k) { st(to + r * row + i, ld(from + r * stride + i, k) * scale, k); });
}

// Keys [first, first + count) (at most kKeyRun), already packed in b, against queries [i, i + rows) of a head; dq: rows of
// the accumulator.
template <class T>
static void backward_block(const AttentionBwd& f, const BackwardBuffers<T>& b, const MaskRows& mask, int64_t head,
                           int64_t i, int64_t rows, int64_t first, int64_t count, const Strangers* strange_keys, acc_t<T>* dq) {
  using A = acc_t<T>;
  constexpr int64_t S = kScoreStride<A>;
  const Attention& a = f.a;
  const bool guarded = a.mask || a.causal;
  const T *q = head_of<T>(a, a.q, head) + i * a.q.row, *k = head_of<T>(a, a.k, head) + first * a.k.row;
  const T *y = head_of<T>(a, f.y, head) + i * f.y.row, *dy = head_of<T>(a, f.dy, head) + i * f.dy.row;
  const A* lse = static_cast<const A*>(f.lse) + head * a.l + i;
  Strangers strange_queries{}, strange_dys{};
  copy_rows(b.queries, b.e_row, q, a.q.row, rows, a.e, A(a.scale));
  copy_rows(b.dys, b.v_row, dy, f.dy.row, rows, a.ev, A(1));
  for (int64_t r = 0; r < rows; ++r) {
    Four<A> sum;
    sweep<A, 4>(a.ev, [&](int64_t c, int u, auto p) { sum.v[u] += ld(b.dys + r * b.v_row + c, p) * ld(y + r * f.y.row + c, p); });
    b.d[r] = sum.sum();
  }
  if (guarded) {
    take_out(b.queries, b.e_row, rows, a.e, strange_queries);
    take_out(b.dys, b.v_row, rows, a.ev, strange_dys);
  }
  for (int64_t o = 0; o < count; o += kBackwardKeys) {
    const int64_t j = first + o, width = least(kBackwardKeys, count - o), ahead = j - i;
    const int64_t seen = a.causal ? least(width, rows - ahead) : width;
    int64_t bias_row = 0;
    if (seen <= 0 || (a.mask && !mask.block(i, rows, j, seen, b.bias, &bias_row))) continue;
    score_product(rows, seen, a.e, b.queries, b.e_row, b.keys + o * a.e, b.scores, a.causal, ahead);
    score_product(rows, seen, a.ev, b.dys, b.v_row, b.values + o * a.ev, b.dp, a.causal, ahead);
    for (int64_t r = 0; r < rows; ++r) {
      A *const s = b.scores + r * S, *const dp = b.dp + r * S;
      const int64_t visible = a.causal ? least(seen, r + 1 - ahead) : seen;
      for (int64_t c = visible < 0 ? 0 : visible; c < seen; ++c) s[c] = dp[c] = A(0);
      if (visible <= 0) continue;
      if (a.dropout > 0) keep_of(a, uint64_t((head * a.l + i + r) * a.s + j), visible, b.keep);
      weigh_back(s, dp, visible, a.mask ? b.bias + r * bias_row : nullptr, a.dropout > 0 ? b.keep : nullptr, lse[r], b.d[r]);
    }
    A *const dk = b.dk + o * b.e_row, *const dv = b.dv + o * b.v_row;
    weighted_columns(rows, seen, a.ev, b.scores, b.dys, b.v_row, dv, b.v_row, a.causal, ahead);
    weighted_columns(rows, seen, a.e, b.dp, b.queries, b.e_row, dk, b.e_row, a.causal, ahead);
    weighted_rows(rows, seen, a.e, b.dp, b.key_rows + o * b.e_row, b.e_row, dq, b.e_row, a.causal, ahead);
    add_strangers(strange_dys, dy, f.dy.row, a.ev, A(1), seen, {b.scores, 1, S}, rows, dv, b.v_row);
    add_strangers(strange_queries, q, a.q.row, a.e, A(a.scale), seen, {b.dp, 1, S}, rows, dk, b.e_row);
    add_strangers(strange_keys[o / kBackwardKeys], k + o * a.k.row, a.k.row, a.e, A(1), rows, {b.dp, S, 1}, seen, dq, b.e_row);
  }
}

// Keys [begin, end) of a k/v head. dq: null, or where this run's part of dq (group, l, row_stride(e)) goes.
template <class T>
static void backward_run(const AttentionBwd& f, int64_t shared, int64_t begin, int64_t end, acc_t<T>* part) {
  using A = acc_t<T>;
  const Attention& a = f.a;
  const int64_t group = a.heads[a.ndim - 1];
  Pieces<A> sizes;
  BackwardBuffers<T>(a, part ? 0 : group * a.l, sizes);
  Pieces<A> pieces{scratch_of<A>(sizes.used, kAttentionSlot)};
  const BackwardBuffers<T> b(a, part ? 0 : group * a.l, pieces);
  A* const dq = part ? part : b.dq;
  const T *k = head_of<T>(a, a.k, shared * group), *v = head_of<T>(a, a.v, shared * group);
  T* const dk = static_cast<T*>(f.dk.x) + head_offset(a, f.dk.batch, shared, a.ndim - 1);
  T* const dv = static_cast<T*>(f.dv.x) + head_offset(a, f.dv.batch, shared, a.ndim - 1);
  fill_zero(dq, group * a.l * b.e_row);
  for (int64_t j = begin; j < end; j += kKeyRun) {
    const int64_t count = least(kKeyRun, end - j);
    Strangers strange_keys[kKeyRun / kBackwardKeys];
    copy_rows(b.key_rows, b.e_row, k + j * a.k.row, a.k.row, count, a.e, A(1));
    for (int64_t o = 0; o < count; o += kBackwardKeys) {
      const int64_t width = least(kBackwardKeys, count - o);
      Strangers& strange = strange_keys[o / kBackwardKeys];
      strange.count = 0;
      pack_columns(b.keys + o * a.e, k + (j + o) * a.k.row, a.k.row, width, a.e);
      pack_columns(b.values + o * a.ev, v + (j + o) * a.v.row, a.v.row, width, a.ev);
      if (a.mask || a.causal) take_out(b.key_rows + o * b.e_row, b.e_row, width, a.e, strange);
    }
    fill_zero(b.dk, count * b.e_row);
    fill_zero(b.dv, count * b.v_row);
    for (int64_t g = 0; g < group; ++g) {
      const int64_t head = shared * group + g;
      const MaskRows mask(a, head);
      for (int64_t i = a.causal ? j / kBackwardQueries * kBackwardQueries : 0; i < a.l; i += kBackwardQueries)
        backward_block<T>(f, b, mask, head, i, least(kBackwardQueries, a.l - i), j, count, strange_keys, dq + (g * a.l + i) * b.e_row);
    }
    store_rows(dk + j * f.dk.row, f.dk.row, b.dk, b.e_row, count, a.e, A(1));
    store_rows(dv + j * f.dv.row, f.dv.row, b.dv, b.v_row, count, a.ev, A(1));
  }
  if (part) return;
  for (int64_t g = 0; g < group; ++g) {
    T* to = static_cast<T*>(f.dq.x) + head_offset(a, f.dq.batch, shared * group + g, a.ndim);
    store_rows(to, f.dq.row, dq + g * a.l * b.e_row, b.e_row, a.l, a.e, A(a.scale));
  }
}

template <class T> static void backward(const AttentionBwd& f) {
  using A = acc_t<T>;
  const Attention& a = f.a;
  const int64_t heads = head_count(a), group = a.heads[a.ndim - 1], row = row_stride<A>(a.e);
  if (heads == 0) return;
  const int64_t shared = heads / group, work = group * a.l * a.s * (a.e + a.ev) * 3 + 1;
  int64_t runs = shared >= 16 ? 1 : least(ceil_div(32, shared), ceil_div(a.s, 2 * kBackwardKeys));
  if (runs < 1 || shared * work < 400000) runs = 1;
  const int64_t run = ceil_div(ceil_div(a.s, runs), kBackwardKeys) * kBackwardKeys;
  runs = run ? ceil_div(a.s, run) : 1;
  const int64_t together = runs > 1 ? 1 : 1 + 300000 / work, part = group * a.l * row;
  A* const parts = runs > 1 ? scratch_of<A>(shared * runs * part, kAttentionSlot + 1) : nullptr;
  parallel_if(shared * work > 400000, ceil_div(shared * runs, together), [&](int64_t t) {
    for (int64_t u = t * together, end = least(u + together, shared * runs); u < end; ++u) {
      const int64_t h = u % shared, c = u / shared;
      backward_run<T>(f, h, c * run, least(c * run + run, a.s), runs > 1 ? parts + (h * runs + c) * part : nullptr);
    }
  });
  if (runs == 1) return;
  const int64_t blocks = ceil_div(a.l, kBackwardQueries);
  parallel(heads * blocks, [&](int64_t t) {
    const int64_t head = t / blocks, i = t % blocks * kBackwardQueries, rows = least(kBackwardQueries, a.l - i);
    A* const sum = parts + head / group * runs * part + (head % group * a.l + i) * row;
    for (int64_t c = 1; c < runs; ++c)
      for (int64_t n = 0; n < rows * row; ++n) sum[n] += sum[c * part + n];
    T* to = static_cast<T*>(f.dq.x) + head_offset(a, f.dq.batch, head, a.ndim) + i * f.dq.row;
    store_rows(to, f.dq.row, sum, row, rows, a.e, A(a.scale));
  });
}

void attention_bwd(const AttentionBwd& f) {
  by_float(f.a.dtype, [&](auto t) { backward<decltype(t)>(f); });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
