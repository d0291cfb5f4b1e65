// SPDX-License-Identifier: MIT
// Thin products: few rows or few columns, sums of many terms, as of a layer with few outputs or of few samples. Both matrices are
// read along their sums, where they lie: each result is a dot product.
#pragma once
#include "gemm_direct.h"

namespace lamella {
namespace LAMELLA_ISA {

constexpr int kDotRows = 4, kDotCols = kVecBytes == 64 ? 4 : 2;  // of a tile: as many sums as registers hold
constexpr int64_t kDotDepth = 1024;                              // terms at a time: the tile's rows stay in L1
constexpr int64_t kDotBlock = 64, kThin = 32;                    // rows of a task and columns, at most

// Whether results of m rows, `row` elements apart, by n <= m are best had so.
template <class A> static bool dots_pay(int64_t m, int64_t n, int64_t k, int64_t row) {
  return n <= 8 ? k >= 64 : n <= kThin && k >= 512 && (n <= 16 || m <= 32 || shares_sets<A>(row));
}

// sums[r * row + c] = or += (row r of a) . (row c of b), r < rows, c < cols; what a whole tile has beyond is computed in vain.
template <class T, int C>
static void dot_tile(int64_t depth, const T* a, int64_t a_row, int rows, const T* b, int64_t b_row, int cols, bool add, acc_t<T>* sums,
                     int64_t row) {
  using A = acc_t<T>;
  constexpr int L = kLanes<A>, R = kDotRows, squares = (R * C + L - 1) / L;
  const T *x[R], *y[C];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) x[r] = a + least(r, rows - 1) * a_row;
#pragma GCC unroll 4
  for (int c = 0; c < C; ++c) y[c] = b + least(c, cols - 1) * b_row;
  vec<A> acc[squares * L] = {};
  int64_t p = 0;
  const auto step = [&](bool whole) __attribute__((always_inline)) {
    vec<A> v[C];
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) v[c] = whole ? vload(y[c] + p) : vload(y[c] + p, depth - p);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      const vec<A> u = whole ? vload(x[r] + p) : vload(x[r] + p, depth - p);
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) acc[r * C + c] = fma(u, v[c], acc[r * C + c]);
    }
  };
  for (; p + L <= depth; p += L) step(true);
  if (p < depth) step(false);
  const auto plus = [](vec<A> u, vec<A> v) { return u + v; };
  A folded[squares * L];
#pragma GCC unroll 8
  for (int s = 0; s < squares; ++s) vstore(folded + s * L, fold_square<A>(acc + s * L, plus));
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < cols; ++c) sums[r * row + c] = folded[r * C + c] + (add ? sums[r * row + c] : A(0));
}

// sums (m, n) = A . B of m rows of a and n of b, both k long.
template <class T>
static void dot_block(int64_t m, int64_t n, int64_t k, const T* a, int64_t a_row, const T* b, int64_t b_row, acc_t<T>* sums) {
  for (int64_t p = 0; p < k; p += kDotDepth)
    for (int64_t i = 0; i < m; i += kDotRows)
      for (int64_t j = 0; j < n; j += kDotCols) {
        const int rows = int(least(kDotRows, m - i)), cols = int(least(kDotCols, n - j));
        const int64_t depth = least(kDotDepth, k - p);
        const T *x = a + i * a_row + p, *y = b + j * b_row + p;
        acc_t<T>* const to = sums + i * n + j;
        if (cols <= 2) dot_tile<T, 2>(depth, x, a_row, rows, y, b_row, cols, p > 0, to, n);
        else dot_tile<T, kDotCols>(depth, x, a_row, rows, y, b_row, cols, p > 0, to, n);
      }
}

// C = A . B, n <= kThin, where rows of A and columns of B are adjacent elements.
template <class T>
static void gemm_dots(int64_t m, int64_t n, int64_t k, const T* a, int64_t a_row, const T* b, int64_t b_col, const MatrixOut<T>& out) {
  using A = acc_t<T>;
  const int64_t grain = least(kDotBlock, ceil_div(1 + 200000 / (n * k), kDotRows) * kDotRows);
  parallel_if(m * n * k > 600000, ceil_div(m, grain), [&](int64_t t) {
    A sums[kDotBlock * kThin];
    const int64_t i = t * grain, rows = least(grain, m - i);
    dot_block(rows, n, k, a + i * a_row, a_row, b, b_col, sums);
    for (int64_t r = 0; r < rows; ++r) out.write(i + r, 0, int(n), sums + r * n, out.accumulate);
  });
}
// The same of m <= kThin, n any.
template <class T>
static void gemm_dots_across(int64_t m, int64_t n, int64_t k, const T* a, int64_t a_row, const T* b, int64_t b_col, const MatrixOut<T>& out) {
  using A = acc_t<T>;
  const int64_t grain = least(kDotBlock, ceil_div(1 + 200000 / (m * k), kDotRows) * kDotRows);
  parallel_if(m * n * k > 600000, ceil_div(n, grain), [&](int64_t t) {
    A sums[kDotBlock * kThin], turned[kDotBlock * kThin];
    const int64_t j = t * grain, cols = least(grain, n - j);
    dot_block(cols, m, k, b + j * b_col, b_col, a, a_row, sums);
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t c = 0; c < cols; ++c) turned[c] = sums[c * m + i];
      out.write(i, j, int(cols), turned, out.accumulate);
    }
  });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
