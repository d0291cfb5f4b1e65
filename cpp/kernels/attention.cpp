// SPDX-License-Identifier: MIT
// Attention, forward: tasks are runs of queries of a head; each packs the keys and values it sees block by block.
#include "attention.h"
#include "attention_decode.h"

namespace lamella {
namespace LAMELLA_ISA {

template <class T> struct ForwardBuffers {
  using A = acc_t<T>;
  A *queries, *y, *keys, *values, *scores, *bias, *keep, *m, *l;
  int64_t query_row, value_row;
  ForwardBuffers(const Attention& a, int64_t count, Pieces<A>& p) {
    query_row = row_stride<A>(a.e), value_row = row_stride<A>(a.ev);
    queries = p.take(count * query_row);
    y = p.take(count * value_row);
    keys = p.take(kForwardKeys * a.e);
    values = p.take(kForwardKeys * value_row);
    scores = p.take(kForwardQueries * kScoreStride<A>);
    bias = p.take(a.mask ? kForwardQueries * kMostKeys : 0);
    keep = p.take(kMostKeys);
    m = p.take(count), l = p.take(count);
  }
};

// Queries [first, first + count) of a head.
template <class T> static void forward_run(const AttentionFwd& f, int64_t head, int64_t first, int64_t count) {
  using A = acc_t<T>;
  constexpr int64_t S = kScoreStride<A>;
  const Attention& a = f.a;
  Pieces<A> sizes;
  ForwardBuffers<T>(a, count, sizes);
  Pieces<A> pieces{scratch_of<A>(sizes.used, kAttentionSlot)};
  const ForwardBuffers<T> b(a, count, pieces);
  const T *q = head_of<T>(a, a.q, head), *k = head_of<T>(a, a.k, head), *v = head_of<T>(a, a.v, head);
  const MaskRows mask(a, head);
  const bool guarded = a.mask || a.causal;

  copy_rows(b.queries, b.query_row, q + first * a.q.row, a.q.row, count, a.e, A(a.scale));
  for (int64_t i = 0; i < count * b.value_row; ++i) b.y[i] = A(0);
  for (int64_t r = 0; r < count; ++r) b.m[r] = kMinusInfinity<A>, b.l[r] = A(0);
  const int64_t all = mask.keys(a.s, b.bias), end = a.causal ? least(all, first + count) : all;
  for (int64_t j = 0; j < end; j += kForwardKeys) {
    const int64_t width = least(kForwardKeys, end - j);
    Strangers strangers{};
    pack_columns(b.keys, k + j * a.k.row, a.k.row, width, a.e);
    copy_rows(b.values, b.value_row, v + j * a.v.row, a.v.row, width, a.ev, A(1));
    if (guarded) take_out(b.values, b.value_row, width, a.ev, strangers);
    for (int64_t r0 = 0; r0 < count; r0 += kForwardQueries) {
      const int64_t i = first + r0, rows = least(kForwardQueries, count - r0), ahead = j - i;
      const int64_t seen = a.causal ? least(width, rows - ahead) : width;
      int64_t bias_row = 0;
      if (seen <= 0 || (a.mask && !mask.block(i, rows, j, seen, b.bias, &bias_row))) continue;
      score_product(rows, seen, a.e, b.queries + r0 * b.query_row, b.query_row, b.keys, b.scores, a.causal, ahead);
      for (int64_t r = 0; r < rows; ++r) {
        A* const row = b.scores + r * S;
        const int64_t visible = a.causal ? least(seen, r + 1 - ahead) : seen;
        for (int64_t c = visible < 0 ? 0 : visible; c < seen; ++c) row[c] = A(0);
        if (visible <= 0) continue;
        if (a.mask) add_bias(row, b.bias + r * bias_row, visible);
        weigh(row, visible, b.m[r0 + r], b.l[r0 + r], b.y + (r0 + r) * b.value_row, a.ev);
        if (a.dropout > 0) {
          keep_of(a, uint64_t((head * a.l + i + r) * a.s + j), visible, b.keep);
          sweep<A, 2>(visible, [&](int64_t c, int, auto p) { st(row + c, ld(row + c, p) * ld(b.keep + c, p), p); });
        }
      }
      A* const y = b.y + r0 * b.value_row;
      weighted_rows(rows, seen, a.ev, b.scores, b.values, b.value_row, y, b.value_row, a.causal, ahead);
      add_strangers(strangers, v + j * a.v.row, a.v.row, a.ev, A(1), rows, {b.scores, S, 1}, seen, y, b.value_row);
    }
  }
  T* y = static_cast<T*>(f.y.x) + head_offset(a, f.y.batch, head, a.ndim) + first * f.y.row;
  A* const lse = static_cast<A*>(f.lse) + head * a.l + first;
  finish_queries<T>(count, b.y, b.value_row, b.m, b.l, a.ev, y, f.y.row, lse);
}

// Runs of queries: a whole head, or less where heads are few or long; several heads where they are small.
template <class T> static void forward(const AttentionFwd& f) {
  const Attention& a = f.a;
  const int64_t heads = head_count(a), work = a.l * a.s * (a.e + a.ev) + 1;
  if (heads == 0 || a.l == 0) return;
  if (is_decode(a)) { decode<T>(f); return; }
  int64_t run = least(a.l, 1024);
  while (heads * ceil_div(a.l, run) < 32 && run > 2 * kForwardQueries) run = ceil_div(run / 2, kForwardQueries) * kForwardQueries;
  const int64_t runs = ceil_div(a.l, run), together = runs > 1 ? 1 : 1 + 150000 / work;
  parallel_if(heads * work > 400000, ceil_div(heads * runs, together), [&](int64_t t) {
    for (int64_t u = t * together, end = least(u + together, heads * runs); u < end; ++u) {
      const int64_t first = (runs - 1 - u / heads) * run;  // causal: the longest first
      forward_run<T>(f, u % heads, first, least(run, a.l - first));
    }
  });
}

void attention_fwd(const AttentionFwd& f) {
  by_float(f.a.dtype, [&](auto t) { forward<decltype(t)>(f); });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
