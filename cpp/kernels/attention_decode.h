// SPDX-License-Identifier: MIT
// Attention of a few queries, at the speed of the memory that keys and values come from: both are read where they lie,
// once for all queries of a group. Chunks of keys are weighed apart and merged in their order (as in Dao et al. 2023,
// "Flash-Decoding").
#pragma once
#include "attention.h"
#include "gemm_vector.h"

namespace lamella {
namespace LAMELLA_ISA {

constexpr int64_t kDecodeKeys = kMostKeys, kDecodeQueries = 2;

LAMELLA_INLINE bool is_decode(const Attention& a) { return a.heads[a.ndim - 1] * a.l <= kDecodeQueries && !a.causal; }

// One block of a query's scores becomes its weights, exp(score - m), where m is the greatest so far; l is the sum of all
// weights and y (n) what they gave, which shrink as m grows.
template <class A> static void weigh(A* scores, int64_t keys, A& m, A& l, A* y, int64_t n) {
  const vec<A> low = constant<vec<A>>(kMinusInfinity<A>);
  vec<A> top[4] = {low, low, low, low};
  sweep<A, 4>(keys, [&](int64_t i, int u, auto k) { top[u] = vmax(only(ld(scores + i, k), low, k), top[u]); });
  const auto greater = [](vec<A> a, vec<A> b) { return vmax(a, b); };
  const A here = fold_lanes(vmax(vmax(top[0], top[1]), vmax(top[2], top[3])), greater);  // NaN shows in the sum instead
  const A to = here > m ? here : m;
  const vec<A> base = splat(to == kMinusInfinity<A> ? A(0) : to);
  Four<A> sum;
  sweep<A, 4>(keys, [&](int64_t i, int u, auto k) {
    const vec<A> e = vexp(ld(scores + i, k) - base);
    st(scores + i, e, k);
    sum.v[u] += only(e, vec<A>{}, k);
  });
  if (to != m && l != A(0)) {
    const A shrink = exp1(m - to);
    sweep<A, 4>(n, [&](int64_t i, int, auto k) { st(y + i, ld(y + i, k) * shrink, k); });
    l *= shrink;
  }
  m = to;
  l += sum.sum();
}

// y (n) = weights (keys) . v (keys, n)
template <class T>
static void sum_values(const acc_t<T>* weights, int64_t keys, const T* v, int64_t row, int64_t n, acc_t<T>* y) {
  using A = acc_t<T>;
  constexpr int64_t L = kLanes<A>;
  int64_t c = 0;
  A wide[4 * L];
  const auto put = [&](int64_t count) { for (int64_t i = 0; i < count; ++i) y[c + i] = wide[i]; };
  for (; c + 4 * L <= n; c += 4 * L) add_columns<T, 4>(keys, v + c, row, weights, wide, L), put(4 * L);
  for (; c < n; c += L) add_columns<T, 1>(keys, v + c, row, weights, wide, int(least(L, n - c))), put(least(L, n - c));
}

// State of a query past one chunk: m, l, then y (ev).
template <class T> static void decode_chunk(const Attention& a, int64_t head, int64_t i, int64_t j, int64_t keys, acc_t<T>* state) {
  using A = acc_t<T>;
  A* const q = scratch_of<A>(a.e, kAttentionSlot);
  A scores[kDecodeKeys], extra[kDecodeKeys];
  const T *k = head_of<T>(a, a.k, head) + j * a.k.row, *v = head_of<T>(a, a.v, head) + j * a.v.row;
  copy_rows(q, 0, head_of<T>(a, a.q, head) + i * a.q.row, 0, 1, a.e, A(a.scale));
  int64_t c = 0;
  for (; c + 4 <= keys; c += 4) {
    prefetch_rows(k + (c + 8) * a.k.row, a.k.row, 4, a.e);
    prefetch_rows(v + c * a.v.row, a.v.row, 4, a.ev);
    dot_rows<T, 4>(a.e, k + c * a.k.row, a.k.row, q, scores + c);
  }
  for (; c < keys; ++c) dot_rows<T, 1>(a.e, k + c * a.k.row, a.k.row, q, scores + c);
  if (a.mask) {
    MaskRows(a, head).bias(i, j, keys, extra);
    add_bias(scores, extra, keys);
  }
  A *y = state + 2;
  state[0] = kMinusInfinity<A>, state[1] = 0;
  weigh(scores, keys, state[0], state[1], y, 0);
  if (a.dropout > 0) {
    keep_of(a, uint64_t((head * a.l + i) * a.s + j), keys, extra);
    for (int64_t o = 0; o < keys; ++o) scores[o] *= extra[o];
  }
  sum_values(scores, keys, v, a.v.row, a.ev, y);
  if (a.mask && !all_finite(y, a.ev)) {  // a key of weight zero may have done it: those are left out
    for (int64_t o = 0; o < a.ev; ++o) y[o] = 0;
    for (int64_t b = 0; b < keys; ++b)
      if (scores[b] != A(0))
        for (int64_t o = 0; o < a.ev; ++o) y[o] += scores[b] * up(v[b * a.v.row + o]);
  }
}

template <class T> static void decode(const AttentionFwd& f) {
  using A = acc_t<T>;
  const Attention& a = f.a;
  const int64_t heads = head_count(a), group = a.heads[a.ndim - 1], queries = group * a.l, size = a.ev + 2;
  const int64_t chunks = a.s ? ceil_div(a.s, kDecodeKeys) : 1;
  const int64_t work = queries * least(a.s, kDecodeKeys) * (a.e + a.ev) + 1, together = 1 + 30000 / work;
  A* const states = scratch_of<A>(heads * a.l * chunks * size, kAttentionSlot + 1);
  const auto state = [&](int64_t head, int64_t i, int64_t c) { return states + ((head * a.l + i) * chunks + c) * size; };
  const int64_t all = heads / group * chunks;
  parallel_if(all * work > 100000, ceil_div(all, together), [&](int64_t t) {
    for (int64_t u = t * together, end = least(u + together, all); u < end; ++u) {
      const int64_t first = u / chunks * group, c = u % chunks, j = c * kDecodeKeys;
      for (int64_t g = 0; g < queries; ++g)
        decode_chunk<T>(a, first + g / a.l, g % a.l, j, least(kDecodeKeys, a.s - j), state(first + g / a.l, g % a.l, c));
    }
  });
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t i = 0; i < a.l; ++i) {
      A* const to = state(h, i, 0);
      A m = to[0];
      for (int64_t c = 1; c < chunks; ++c) m = state(h, i, c)[0] > m ? state(h, i, c)[0] : m;
      const A base = m == kMinusInfinity<A> ? A(0) : m;
      for (int64_t c = 0; c < chunks && chunks > 1; ++c) {
        A* const from = state(h, i, c);
        const A factor = exp1(from[0] - base);
        for (int64_t o = 1; o < size; ++o) to[o] = from[o] * factor + (c ? to[o] : A(0));
      }
      T* y = static_cast<T*>(f.y.x) + head_offset(a, f.y.batch, h, a.ndim) + i * f.y.row;
      finish_queries<T>(1, to + 2, 0, &m, to + 1, a.ev, y, 0, static_cast<A*>(f.lse) + h * a.l + i);
    }
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
