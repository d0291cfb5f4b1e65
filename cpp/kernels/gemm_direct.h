// SPDX-License-Identifier: MIT
// Products that read A where it lies: for matrices that fit the caches, and for few rows or columns, where packing would
// cost as much as multiplying. B is read in place too where its columns are adjacent and whole vectors can be loaded.
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
                        int64_t stride, int cols, bool add) {
  constexpr int L = kLanes<A>, G = (R + 2) / 3;
  const int last = cols - (V - 1) * L;
  const A* base[G];
#pragma GCC unroll 4
  for (int g = 0; g < G; ++g) base[g] = a + 3 * g * a_row;
  vec<A> acc[R][V];
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) acc[i][j] = vec<A>{};
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
      if (j < V - 1 || whole) vstore(to + j * L, add ? vload(to + j * L) + acc[i][j] : acc[i][j]);
      else vstore(to + j * L, add ? vload(to + j * L, last) + acc[i][j] : acc[i][j], last);
    }
  }
}

template <int R> struct Rows { static constexpr int value = R; };

// All rows of a column panel, in tiles of exactly as many rows as are left.
template <class A, int R, class F> LAMELLA_INLINE void take_rows(int64_t& i, int64_t end, const F& f) {
  if constexpr (R <= kTileRows<A>)
    for (; end - i >= R; i += R) f(i, Rows<R>{});
}

template <class A, int V, class Out>
static void direct_panel(int64_t begin, int64_t end, int64_t depth, const A* a, int64_t a_row, int64_t a_col, const A* b,
                         int64_t b_row, const Out& out, int64_t j, int cols, bool add, bool last) {
  int64_t i = begin;
  const auto f = [&](int64_t at, auto rows) __attribute__((always_inline)) {
    constexpr int R = decltype(rows)::value;
    A* c = out.at(at, j);
    direct_tile<A, R, V>(depth, a + at * a_row, a_row, a_col, b, b_row, c, out.row, cols, add);
    if (last) out.finish(at, j, R, cols, c, out.row);
  };
  take_rows<A, 12>(i, end, f);
  take_rows<A, 8>(i, end, f);
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
  if (a_row * int64_t(sizeof(A)) % 2048 == 0 && k >= 64 && m > 4) {  // rows that far apart share the sets of L1
    const int64_t stride = div_up(k, L) * L + L;
    A* copy = static_cast<A*>(scratch(size_t(m * stride) * sizeof(A), kDirectSlot + 1));
    for (int64_t i = 0; i < m; ++i)
      for (int64_t p = 0; p < k; ++p) copy[i * stride + p] = a[i * a_row + p * a_col];
    a = copy, a_row = stride, a_col = 1;
  }
  const StridedOperand<A, TC> right{b, b_col, b_row};
  const int64_t panels = div_up(n, TC);
  const int64_t chunk = m <= 64 ? m : div_up(div_up(m, div_up(m, 192)), 12) * 12;  // rows per task
  const int64_t group = 1 + 250000 / (chunk * k * TC);                             // column panels per task
  const int64_t down = div_up(m, chunk), across = div_up(panels, group);
  parallel_if(work > 600000, down * across, [&](int64_t t) {
    const int64_t i0 = t % down * chunk, i1 = lesser(i0 + chunk, m);
    const int64_t h0 = t / down * group, h1 = lesser(h0 + group, panels);
    for (int64_t h = h0; h < h1; ++h) {
      const int64_t j = h * TC;
      const int cols = int(lesser(TC, n - j));
      const bool in_place = b_col == 1 && (kMaskedLoads || cols % L == 0);
      for (int64_t p = 0; p < k; p += depth_block) {
        const int64_t depth = lesser(depth_block, k - p);
        const A* from = b + p * b_row + j;
        int64_t step = b_row;
        if (!in_place) {
          A* panel = static_cast<A*>(scratch(size_t(depth_block * TC) * sizeof(A), kDirectSlot));
          right.pack(panel, j, cols, p, depth);
          from = panel, step = TC;
        }
        const bool add = p > 0 || out.accumulate, last = p + depth == k;
        if (cols > L) direct_panel<A, 2>(i0, i1, depth, a + p * a_col, a_row, a_col, from, step, out, j, cols, add, last);
        else direct_panel<A, 1>(i0, i1, depth, a + p * a_col, a_row, a_col, from, step, out, j, cols, add, last);
      }
    }
  });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
