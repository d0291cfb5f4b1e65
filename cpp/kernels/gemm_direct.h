// SPDX-License-Identifier: MIT
// Products that read A where it lies: for matrices that fit the caches, and for few rows or columns, where packing
// would cost as much as multiplying. B is read in place too where its columns are adjacent.
#pragma once
#include "gemm_core.h"
#include "gemm_out.h"

namespace lamella {
namespace LAMELLA_ISA {

#if defined(__AVX512F__)
constexpr bool kMaskedLoads = true;  // a partial vector costs no more than a whole one
#else
constexpr bool kMaskedLoads = false;
#endif

// c (R x cols) = or += a . b, cols <= V vectors. Three rows of A share a base pointer: few registers for many rows.
template <class A, int R, int V>
static void direct_tile(int64_t depth, const A* a, int64_t a_row, int64_t a_col, const A* b, int64_t b_row, A* c,
                        int64_t stride, int cols, TileEnds<A> ends) {
  constexpr int L = kLanes<A>, G = (R + 2) / 3;
  const int last = cols - (V - 1) * L;
  const A* base[G];
#pragma GCC unroll 4
  for (int g = 0; g < G; ++g) base[g] = a + 3 * g * a_row;
  vec<A> acc[R][V];
  start_tile<A, R, V>(acc, ends.start, last);
  const auto step = [&](bool whole) __attribute__((always_inline)) {
    for (int64_t p = 0; p < depth; ++p) {
      vec<A> row[V];
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) row[j] = j < V - 1 || whole ? vload(b + j * L) : vload(b + j * L, last);
      b += b_row;
#pragma GCC unroll 4
      for (int g = 0; g < G; ++g) {
#pragma GCC unroll 3
        for (int h = 0; h < 3; ++h)
          if (3 * g + h < R) {
            vec<A> x = splat(base[g][h * a_row]);
            pin(x);
#pragma GCC unroll 4
            for (int j = 0; j < V; ++j) acc[3 * g + h][j] = fma(x, row[j], acc[3 * g + h][j]);
          }
        base[g] += a_col;
      }
    }
  };
  const bool whole = last == L;
  if (whole || !kMaskedLoads) step(true);
  else step(false);
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
    A* to = c + i * stride;
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) {
      const bool full = j < V - 1 || (kVecBytes < 64 && whole);  // else a mask costs nothing
      vec<A> v = acc[i][j];
      if (ends.add) v += full ? vload(to + j * L) : vload(to + j * L, last);
      if (ends.relu) v = relu(v);
      if (full) vstore(to + j * L, v);
      else vstore(to + j * L, v, last);
    }
  }
}

// All rows of a column panel, in tiles of exactly as many rows as are left.
template <class A, int R, class F> LAMELLA_INLINE void take_rows(int64_t& i, int64_t end, const F& f) {
  if constexpr (R <= kTileRows<A>)
    for (; end - i >= R; i += R) f(i, Count<R>{});
}

// Rows that far apart share sets of L1, where only a few of them stay.
template <class A> static bool shares_sets(int64_t row) { return row * int64_t(sizeof(A)) % 2048 == 0; }

template <class A, int V, class Out>
static void direct_panel(int64_t begin, int64_t end, int64_t depth, const A* a, int64_t a_row, int64_t a_col,
                         const A* b, int64_t b_row, const Out& out, int64_t j, int cols, bool first, bool last) {
  int64_t i = begin;
  const auto& e = out.epilogue;
  const bool relu = last && e.act == Act::relu && (e.axis == BiasAxis::none || out.starts());
  const TileEnds<A> ends{first ? out.start(j) : nullptr, !first || out.accumulate, relu};
  const auto f = [&](int64_t at, auto rows) __attribute__((always_inline)) {
    constexpr int R = decltype(rows)::value;
    A* c = out.at(at, j);
    direct_tile<A, R, V>(depth, a + at * a_row, a_row, a_col, b, b_row, c, out.row, cols, ends);
    if (last && !relu) out.finish(at, j, R, cols, c, out.row);
  };
  if (!shares_sets<A>(a_row) || depth < 64) {
    take_rows<A, 12>(i, end, f);
    take_rows<A, 8>(i, end, f);
  }
  take_rows<A, 6>(i, end, f);
  take_rows<A, 4>(i, end, f);
  take_rows<A, 2>(i, end, f);
  take_rows<A, 1>(i, end, f);
}

constexpr int kDirectSlot = 4;  // scratch slots 4 (a panel of B, per task) and 5 (a copy of A)

// C = A . B (A and B of C's type), k >= 1.
template <class A>
static void gemm_direct(int64_t m, int64_t n, int64_t k, const A* a, int64_t a_row, int64_t a_col, const A* b,
                        int64_t b_row, int64_t b_col, const MatrixOut<A>& out) {
  constexpr int L = kLanes<A>, TC = kTileCols<A>, depth_block = 512;
  const int64_t work = m * n * k;
  if (shares_sets<A>(a_row) && k >= 64 && m > 4 && n >= 128) {  // little beside the products
    const int64_t stride = ceil_div(k, L) * L + L;
    A* copy = static_cast<A*>(scratch(size_t(m * stride) * sizeof(A), kDirectSlot + 1));
    for (int64_t i = 0; i < m; ++i)
      for (int64_t p = 0; p < k; ++p) copy[i * stride + p] = a[i * a_row + p * a_col];
    a = copy, a_row = stride, a_col = 1;
  }
  const StridedOperand<A, TC> right{b, b_col, b_row};
  const int64_t panels = ceil_div(n, TC);
  const int64_t chunk = m <= 64 ? m : ceil_div(ceil_div(m, ceil_div(m, 192)), 12) * 12;  // rows per task
  const int64_t group = 1 + 250000 / (chunk * k * TC);                             // column panels per task
  const int64_t down = ceil_div(m, chunk), across = ceil_div(panels, group);
  parallel_if(work > 600000, down * across, [&](int64_t t) {
    const int64_t i0 = t % down * chunk, i1 = least(i0 + chunk, m);
    const int64_t h0 = t / down * group, h1 = least(h0 + group, panels);
    for (int64_t h = h0; h < h1; ++h) {
      const int64_t j = h * TC;
      const int cols = int(least(TC, n - j));
      // Rows of B a power of two apart share sets of L1 and would not stay there from tile to tile.
      const bool spread = m <= 2 * kTileRows<A> || b_row * int64_t(sizeof(A)) % 512 != 0;
      const bool in_place = b_col == 1 && spread && (kMaskedLoads || cols % L == 0);
      for (int64_t p = 0; p < k; p += depth_block) {
        const int64_t depth = least(depth_block, k - p);
        const A* from = b + p * b_row + j;
        int64_t step = b_row;
        if (!in_place) {
          A* panel = static_cast<A*>(scratch(size_t(depth_block * TC) * sizeof(A), kDirectSlot));
          right.pack(panel, j, cols, p, depth);
          from = panel, step = TC;
        }
        const bool first = p == 0, last = p + depth == k;
        const A* left = a + p * a_col;
        if (cols > L) direct_panel<A, 2>(i0, i1, depth, left, a_row, a_col, from, step, out, j, cols, first, last);
        else direct_panel<A, 1>(i0, i1, depth, left, a_row, a_col, from, step, out, j, cols, first, last);
      }
    }
  });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
