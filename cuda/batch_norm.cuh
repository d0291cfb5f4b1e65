// SPDX-License-Identifier: MIT
// Batch normalisation (Ioffe and Szegedy 2015) of x (n, c, inner), in two layouts. Planes (inner long): a channel is n runs
// of `inner`. Columns (inner short, 1 for channels last): x is a matrix (n, c * inner), threads lie across columns, and the
// `inner` columns of a channel are folded at the end. Both directions read their inputs twice: sums over pieces, merged in
// fixed order by a small kernel that writes the coefficients of each channel, then one pass with these.
#pragma once
#include "norm_columns.cuh"
#include "norm_planes.cuh"

namespace lamella::cuda {
namespace {

// ---- one pass over a matrix: a thread keeps the coefficients of its columns -----------------------------------------
template <class T, bool P, bool kBwd>
__global__ void __launch_bounds__(kThreads) column_apply(ColumnGrid<T, P> g, Divisor inner, const T* x, const T* dy, T* y,
                                                         Coefficients<acc_t<T>> from, bool relu) {
  using A = acc_t<T>;
  constexpr int V = ColumnGrid<T, P>::V;
  const bool frozen = kBwd && !from.s;
  Coefficient<A> by[V];
  g.each(inner, [&](int e, int64_t ch) { by[e].load(from, ch); });
  const int64_t begin = int64_t(blockIdx.y) * g.per, end = least(begin + g.per, g.rows);
#pragma unroll (P ? 4 : 8)
  for (int64_t r = begin + int(threadIdx.x) / kAcross; r < end; r += kDown) {
    Pack<T, V> vx{}, vd{}, out;
    if (!frozen) vx = g.load(x, r);
    if constexpr (kBwd) vd = g.load(dy, r);
#pragma unroll
    for (int e = 0; e < V; ++e) {
      if constexpr (kBwd) out.v[e] = down<T>(by[e].backward(up(vx.v[e]), up(vd.v[e]), frozen));
      else out.v[e] = down<T>(by[e].forward(up(vx.v[e]), relu));
    }
    g.store(y, r, out);
  }
}

template <class T, bool kBwd>
void apply_channels(int64_t n, int64_t c, int64_t inner, const T* x, const T* dy, T* y, const Coefficients<acc_t<T>>& by,
                    bool relu) {
  if (inner >= kPlane) return apply_planes<T, kBwd>(n * c, c, inner, x, dy, y, by, relu);
  by_packing<T>(c * inner % kPack<T> == 0 && is_aligned(x) && is_aligned(dy) && is_aligned(y), [&](auto p) {
    const ColumnGrid<T, decltype(p)::value> g(n, c * inner, 4 * kSumBlocks);
    launch("batch_norm", column_apply<T, decltype(p)::value, kBwd>, g.blocks(), kThreads, 0, g, Divisor(inner), x, dy, y,
           by, relu);
  });
}

}  // namespace
}  // namespace lamella::cuda
