// SPDX-License-Identifier: MIT
// Packing of a strided matrix into panels: panel[q * R + i] is element (first + i, p + q), widened to the type of
// arithmetic, where i runs along the rows of A (R = tile rows) or the columns of B (R = tile columns) and q along k.
#pragma once
#include "turn.h"

namespace lamella {
namespace LAMELLA_ISA {

// A square of a panel: row i from row(i), stored as L rows of `width` elements, R apart.
template <class T, int R, class Row> LAMELLA_INLINE void pack_square(acc_t<T>* out, const Row& row, int width) {
  using A = acc_t<T>;
  constexpr int L = kLanes<A>;
  vec<A> r[L];
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) {
    if (i < width) __builtin_prefetch(row(i) + 4 * L);
    r[i] = i < width ? vload(row(i)) : vec<A>{};
  }
  transpose_lanes<A>(r);
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i)
    if (width == L) vstore(out + i * R, r[i]);
    else vstore(out + i * R, r[i], width);
}
// The same at an edge.
template <class T, int R, class Row>
__attribute__((noinline)) static void pack_edge(acc_t<T>* out, const Row& row, int count, int n, int width) {
  using A = acc_t<T>;
  constexpr int L = kLanes<A>;
  alignas(64) A square[L * L];
  load_edge(square, row, count, n);
#pragma GCC unroll 1
  for (int i = 0; i < n; ++i) vstore(out + i * R, vload(square + i * L), width);
}

// R rows, row i from row(i) on, `depth` long and adjacent along k: squares are transposed in registers.
template <class T, int R, class Row>
LAMELLA_INLINE void pack_rows(acc_t<T>* panel, const Row& row, int count, int64_t depth) {
  constexpr int L = kLanes<acc_t<T>>;
#pragma GCC unroll 4
  for (int i = 0; i < R; i += L) {
    const int width = R % L == 0 || R - i >= L ? L : R % L, rows = count - i < width ? count - i : width;
    int64_t q = 0;
    const auto from = [&](int r) { return row(i + r) + q; };
    if (rows == width)  // the compiler sees all but rows' addresses and q as constants
      for (; q + L <= depth; q += L) pack_square<T, R>(panel + q * R + i, from, width);
    for (; q < depth; q += L) pack_edge<T, R>(panel + q * R + i, from, rows, int(depth - q < L ? depth - q : L), width);
  }
}
template <class T, int R>
static void pack_transposed(acc_t<T>* panel, const T* x, int64_t row, int count, int64_t depth) {
  pack_rows<T, R>(panel, [&](int i) { return x + i * row; }, count, depth);
}

// Rows adjacent: one copy of R elements for each step of k.
template <class T, int R>
static void pack_adjacent(acc_t<T>* panel, const T* x, int64_t step, int count, int64_t depth) {
  using A = acc_t<T>;
  constexpr int L = kLanes<A>;
  if (count == R && R % L == 0) {
    for (int64_t q = 0; q < depth; ++q, x += step, panel += R)
      for (int i = 0; i < R; i += L) {
        __builtin_prefetch(x + i + 5 * step);
        vstore(panel + i, vload(x + i));
      }
    return;
  }
  for (int64_t q = 0; q < depth; ++q, x += step, panel += R) {
#pragma GCC unroll 16
    for (int i = 0; i < R; i += L) {
      const int width = R - i < L ? R - i : L;
      const int n = count - i < 0 ? 0 : count - i < width ? count - i : width;
      vec<A> v = n == L ? vload(x + i) : vload(x + i, n);
      if (width == L) vstore(panel + i, v);
      else vstore(panel + i, v, width);
    }
  }
}

// A strided matrix as an operand of gemm_core.h: element (i, q) is x[i * along + q * step].
template <class T, int R> struct StridedOperand {
  const T* x;
  int64_t along, step;
  void pack(acc_t<T>* panel, int64_t first, int count, int64_t p, int64_t depth) const {
    const T* from = x + first * along + p * step;
    if (along == 1) pack_adjacent<T, R>(panel, from, step, count, depth);
    else if (step == 1) pack_transposed<T, R>(panel, from, along, count, depth);
    else
      for (int64_t q = 0; q < depth; ++q)
        for (int i = 0; i < R; ++i) panel[q * R + i] = i < count ? up(from[i * along + q * step]) : acc_t<T>(0);
  }
};

}  // namespace LAMELLA_ISA
}  // namespace lamella
