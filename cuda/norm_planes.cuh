// SPDX-License-Identifier: MIT
// Normalisation of x (n, c, inner) with inner long enough that a channel's runs are worth reading as such: sums over a
// channel, and one pass over all elements with coefficients by channel. Shared by batch_norm and group_norm.
#pragma once
#include "rows.cuh"

namespace lamella::cuda {
namespace {

constexpr int64_t kPlane = 32;  // the least inner

// A channel has `units` of V elements; it is cut in pieces of `per` units, and `group` threads take a piece.
template <class T, bool P> struct PlaneGrid {
  static constexpr int V = P ? kPack<T> : 1, K = P ? 4 : 8;
  int64_t c, inner, units, per;
  Divisor plane, pieces;
  int group;
  int64_t step_unit, step;  // what `group` units further means
  PlaneGrid(int64_t n, int64_t c, int64_t inner) : c(c), inner(inner), units(n * (inner / V)), plane(inner / V) {
    const int64_t cut = least(ceil_div(1024, most(c, 1)), ceil_div(units, int64_t(K) * kThreads));
    per = most(ceil_div(units, most(cut, 1)), 1);
    pieces = Divisor(most(ceil_div(units, per), 1));
    group = kThreads;
    if (per <= 16 * K)
      for (group = 1; group < 32 && group * K < per;) group *= 2;
    else if (per <= 64 * K) group = 32;
    if (plane.d == 0) return;
    step_unit = group % plane.d;
    step = group / plane.d * c * inner;
  }
  int64_t parts() const { return c * pieces.d; }
  unsigned blocks() const { return unsigned(group > 32 ? parts() : ceil_div(parts(), kThreads / group)); }
};

// Goes through a channel's units, `group` at a time.
template <class T, bool P> struct PlaneWalk {
  const PlaneGrid<T, P>& g;
  int64_t i, at;  // the unit within its plane; the plane's first element
  GPU PlaneWalk(const PlaneGrid<T, P>& g, int64_t ch, int64_t unit) : g(g) {
    at = (g.plane.divide(unit, i) * g.c + ch) * g.inner;
  }
  GPU int64_t next() {
    const int64_t offset = at + i * PlaneGrid<T, P>::V;
    i += g.step_unit;
    at += g.step;
    if (i >= g.plane.d) { i -= g.plane.d; at += g.c * g.inner; }
    return offset;
  }
};

// ---- sums of dy and of dy (x - mean) of each piece: part (c, pieces) ------------------------------------------------
// Channel ch has mean[ch / shared].
template <class T, bool P>
__global__ void __launch_bounds__(kThreads) plane_sums(PlaneGrid<T, P> g, const T* x, const T* dy, const acc_t<T>* mean,
                                                       Divisor shared,
                                                       Pair<acc_t<T>>* part) {
  using A = acc_t<T>;
  constexpr int V = PlaneGrid<T, P>::V, K = PlaneGrid<T, P>::K;
  const Place at(g.group);
  int64_t piece, rest;
  const int64_t ch = g.pieces.divide(at.row, piece), begin = piece * g.per;
  const int64_t end = ch < g.c ? least(begin + g.per, g.units) : 0;
  const A m = ch < g.c ? mean[shared.divide(ch, rest)] : A(0);
  Pair<A> sum{0, 0};
  PlaneWalk<T, P> walk(g, ch, begin + at.lane);
  for (int64_t base = begin + at.lane; base < end; base += int64_t(K) * g.group) {
    Pack<T, V> vx[K], vd[K];
#pragma unroll
    for (int k = 0; k < K; ++k) {
      const int64_t u = base + k * g.group;
      vd[k] = Pack<T, V>{};
      if (u >= end) continue;
      const int64_t i = walk.next();
      vx[k] = load_pack<T, V>(x + i);
      vd[k] = load_pack<T, V>(dy + i);
    }
#pragma unroll
    for (int k = 0; k < K; ++k) {
      if (base + k * g.group >= end) break;
#pragma unroll
      for (int e = 0; e < V; ++e) {
        const A d = up(vd[k].v[e]);
        sum.a += d;
        sum.b += d * (up(vx[k].v[e]) - m);
      }
    }
  }
  sum = group_reduce(sum, AddPair{}, Pair<A>{0, 0}, g.group);
  if (at.lane == 0 && ch < g.c) part[at.row] = sum;
}

// ---- one pass with coefficients by channel --------------------------------------------------------------------------
// Forward: (x - m) a w + b. Backward: a dy + s (x - m) + b, or a dy where s is null. w and b may be null.
template <class A> struct Coefficients { const A *m, *a, *w, *b, *s; };
template <class A> struct Coefficient {
  A m, a, b, s;
  GPU void load(const Coefficients<A>& from, int64_t ch) {
    a = from.a[ch];
    if (from.w) a *= from.w[ch];
    b = from.b ? from.b[ch] : A(0);
    m = from.m ? from.m[ch] : A(0);
    s = from.s ? from.s[ch] : A(0);
  }
  GPU A forward(A x, bool relu) const {
    const A y = (x - m) * a + b;
    return relu && y < A(0) ? A(0) : y;  // NaN passes
  }
  GPU A backward(A x, A dy, bool frozen) const { return frozen ? a * dy : a * dy + (s * (x - m) + b); }
};

constexpr int kApply = 2;  // packs of a thread

template <class T> struct PlaneApply {
  int64_t n;           // elements
  Divisor inner, c;    // coefficients repeat after c planes
  const T *x, *dy;
  T* y;
  Coefficients<acc_t<T>> by;
  bool relu, aligned;
};
template <class T, bool kBwd> __global__ void __launch_bounds__(kThreads) plane_apply(PlaneApply<T> p) {
  using A = acc_t<T>;
  constexpr int V = kPack<T>;
  const bool frozen = kBwd && !p.by.s;
  Pack<T, V> vx[kApply], vd[kApply];
  const int64_t first = (int64_t(blockIdx.x) * kApply * kThreads + int(threadIdx.x)) * V;
  const auto load = [&](const T* from, int64_t i, Pack<T, V>& v) {
    if (p.aligned && i + V <= p.n) v = load_pack<T, V>(from + i);
    else
      for (int e = 0; e < V; ++e) v.v[e] = i + e < p.n ? from[i + e] : T{};
  };
#pragma unroll
  for (int k = 0; k < kApply; ++k) {
    const int64_t i = first + k * kThreads * V;
    if (i >= p.n) break;
    if (!frozen) load(p.x, i, vx[k]);
    if constexpr (kBwd) load(p.dy, i, vd[k]);
  }
#pragma unroll
  for (int k = 0; k < kApply; ++k) {
    const int64_t i = first + k * kThreads * V;
    if (i >= p.n) break;
    int64_t at, ch;
    p.c.divide(p.inner.divide(i, at), ch);
    Coefficient<A> by, next{};
    by.load(p.by, ch);
    const int own = int(least(p.inner.d - at, V));  // of this channel; the others are the next one's
    if (own < V) next.load(p.by, ch + 1 == p.c.d ? 0 : ch + 1);
    Pack<T, V> out;
#pragma unroll
    for (int e = 0; e < V; ++e) {
      if (e == own) by = next;
      const A x = frozen ? A(0) : up(vx[k].v[e]);
      if constexpr (kBwd) out.v[e] = down<T>(by.backward(x, up(vd[k].v[e]), frozen));
      else out.v[e] = down<T>(by.forward(x, p.relu));
    }
    if (p.aligned && i + V <= p.n) store_pack<T, V>(p.y + i, out);
    else
      for (int e = 0; e < V; ++e)
        if (i + e < p.n) p.y[i + e] = out.v[e];
  }
}
template <class T, bool kBwd>
void apply_planes(int64_t planes, int64_t c, int64_t inner, const T* x, const T* dy, T* y,
                  const Coefficients<acc_t<T>>& by, bool relu) {
  const PlaneApply<T> p{planes * inner, Divisor(inner), Divisor(c), x, dy, y, by, relu,
                        is_aligned(x) && is_aligned(y) && (!kBwd || is_aligned(dy))};
  launch("norm", plane_apply<T, kBwd>, unsigned(ceil_div(p.n, kApply * kThreads * kPack<T>)), kThreads, 0, p);
}

}  // namespace
}  // namespace lamella::cuda
