// SPDX-License-Identifier: MIT
// log sum exp as a pair: the maximum m and s = sum of exp(x - m), over runs and over columns.
#pragma once
#include "rows.h"
#include "vecmath.h"

namespace lamella {
namespace LAMELLA_ISA {

template <class A> LAMELLA_INLINE A exp1(A x) { return vexp(splat(x))[0]; }
template <class A> LAMELLA_INLINE A log1(A x) { return vlog(splat(x))[0]; }

template <class T> LAMELLA_INLINE acc_t<T> run_max(const T* x, int64_t n) {  // NaN passes; -inf of nothing
  using A = acc_t<T>;
  const vec<A> low = constant<vec<A>>(-__builtin_inf());
  vec<A> m[4] = {low, low, low, low};
  sweep<A, 4>(n, [&](int64_t i, int u, auto k) { m[u] = vmax_nan(m[u], only(ld(x + i, k), low, k)); });
  return hmax(vmax_nan(vmax_nan(m[0], m[1]), vmax_nan(m[2], m[3])));
}

// Merging pairs is exact to rounding whatever the maxima. All -inf: m = -inf, s = 0. NaN and +inf give NaN.
template <class A> struct Lse {
  A m = A(-__builtin_inf()), s = 0;
  LAMELLA_INLINE void merge(A bm, A bs) {
    const A to = (bm > m || bm != bm) ? bm : m;
    if (to == A(-__builtin_inf())) return;
    s = s * exp1(m - to) + bs * exp1(bm - to);
    m = to;
  }
  LAMELLA_INLINE A value() const { return m + log1(s); }
};

// One pass over memory: the maximum and the sum of each kRun elements while they are in L1.
template <class T> static Lse<acc_t<T>> run_lse(const T* x, int64_t n) {
  using A = acc_t<T>;
  Lse<A> all;
  for (int64_t b = 0; b < n; b += kRun) {
    const int64_t len = least(kRun, n - b);
    const A m = run_max(x + b, len);
    if (m == A(-__builtin_inf())) continue;
    const vec<A> vm = splat(m);
    Four<A> s;
    sweep<A, 4>(len, [&](int64_t i, int u, auto k) { s.v[u] += only(vexp(ld(x + b + i, k) - vm), vec<A>{}, k); });
    if (n <= kRun) { all.m = m; all.s = s.sum(); }
    else all.merge(m, s.sum());
  }
  return all;
}

// Of `rows` short rows of n elements, at most kLanes<A>, one after another in memory: m and s, a row a lane. each(q, i, e,
// step) sees row q's e = exp(x - m). A NaN may be lost to m, never to s.
template <class T, class F>
LAMELLA_INLINE void short_lse(const T* x, int64_t n, int64_t rows, vec<acc_t<T>>& m, vec<acc_t<T>>& s, const F& each) {
  using A = acc_t<T>;
  constexpr int64_t L = kLanes<A>;
  const vec<A> low = constant<vec<A>>(-__builtin_inf());
  vec<A> r[L];
#pragma GCC unroll 1
  for (int64_t q = 0; q < L; ++q) {
    vec<A> top = low;
    if (q < rows) sweep<A, 1>(n, [&](int64_t i, int, auto k) { top = vmax(top, only(ld(x + q * n + i, k), low, k)); });
    r[q] = top;
  }
  m = fold_square<A>(r, [](vec<A> a, vec<A> b) { return vmax(a, b); });
  A tops[L];
  vstore<A>(tops, m);
#pragma GCC unroll 1
  for (int64_t q = 0; q < L; ++q) {
    vec<A> sum{};
    if (q < rows) {
      const vec<A> top = splat(tops[q]);
      sweep<A, 1>(n, [&](int64_t i, int, auto k) {
        const vec<A> e = vexp(ld(x + q * n + i, k) - top);
        sum += only(e, vec<A>{}, k);
        each(q, i, e, k);
      });
    }
    r[q] = sum;
  }
  s = fold_square<A>(r, [](vec<A> a, vec<A> b) { return a + b; });
}
// Rows that short_lse takes at once: they stay in L1 between its passes.
template <class A> LAMELLA_INLINE int64_t short_rows(int64_t n) {
  const int64_t fit = kShort * kAbreast / n;
  return fit < kLanes<A> ? fit : kLanes<A>;
}

// f(first column, outer index, Count, step) over tiles of the columns of (outer, n, inner).
template <class A, class F> static void tiles(int64_t outer, int64_t n, int64_t inner, const F& f) {
  constexpr int64_t W = 4 * kLanes<A>;
  int64_t strip = kTask / (n ? n : 1) / W * W;
  strip = strip < W ? W : strip;
  if (outer * n * inner <= 2 * kTask || strip > inner) strip = inner;
  const int64_t strips = ceil_div(inner, strip), all = outer * strips;
  parallel_blocks(all, row_grain(all, n * strip), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t c = t % strips * strip;
      column_tiles<A>(c, least(c + strip, inner), [&](int64_t i, auto count, auto k) { f(i, t / strips, count, k); });
    }
  });
}

// Maxima m and sums s of exp(x - m) down the columns of x (n, stride): V vectors of columns, a lane each. each(i, v, e, x) sees every
// x with its e = exp(x - m).
template <int V, class T, class Step, class F>
LAMELLA_INLINE void column_lse(const T* x, int64_t n, int64_t stride, Step k, vec<acc_t<T>>* m, vec<acc_t<T>>* s, const F& each) {
  using A = acc_t<T>;
  constexpr int64_t L = kLanes<A>;
  for (int v = 0; v < V; ++v) { m[v] = constant<vec<A>>(-__builtin_inf()); s[v] = vec<A>{}; }
  for (int64_t i = 0; i < n; ++i)
    for (int v = 0; v < V; ++v) m[v] = vmax_nan(m[v], ld(x + i * stride + v * L, k));
  for (int64_t i = 0; i < n; ++i)
    for (int v = 0; v < V; ++v) {
      vec<A> c = ld(x + i * stride + v * L, k), e = vexp(c - m[v]);
      s[v] += e;
      each(i, v, e, c);
    }
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
