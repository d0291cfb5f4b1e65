// SPDX-License-Identifier: MIT
// Packing of a strided matrix into panels: panel[q * R + i] is element (first + i, p + q), widened to the type of
// arithmetic, where i runs along the rows of A (R = tile rows) or the columns of B (R = tile columns) and q along k.
#pragma once
#include "vec.h"

namespace lamella {
namespace LAMELLA_ISA {

// Transposes a square of lanes in registers, by exchanging off-diagonal blocks of half, quarter, ... its size.
template <class A> LAMELLA_INLINE void transpose_lanes(vec<A>* r) {
  constexpr int L = kLanes<A>;
  using I = int_of<A>;
#pragma GCC unroll 4
  for (int h = L / 2; h; h /= 2) {
    vec<I> low, high;
    for (int l = 0; l < L; ++l) {
      low[l] = I(l & h ? L + l - h : l);
      high[l] = I(l & h ? L + l : l + h);
    }
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) {
      if (i & h) continue;
      vec<A> a = r[i], b = r[i + h];
      r[i] = __builtin_shuffle(a, b, low);
      r[i + h] = __builtin_shuffle(a, b, high);
    }
  }
}

// R rows, `depth` long, adjacent along k: squares are transposed in registers.
template <class T, int R> static void pack_transposed(acc_t<T>* panel, const T* x, int64_t row, int count, int64_t depth) {
  using A = acc_t<T>;
  constexpr int L = kLanes<A>;
  for (int64_t q = 0; q < depth; q += L) {
    int64_t n = depth - q < L ? depth - q : L;
    for (int i0 = 0; i0 < R; i0 += L) {
      const int width = R - i0 < L ? R - i0 : L;
      vec<A> r[L];
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i) {
        const T* p = x + (i0 + i) * row + q;
        r[i] = i0 + i >= count ? vec<A>{} : n == L ? vload(p) : vload(p, n);
      }
      transpose_lanes<A>(r);
      A* out = panel + q * R + i0;
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i) {
        if (i >= n) break;
        if (width == L) vstore(out + i * R, r[i]);
        else vstore(out + i * R, r[i], width);
      }
    }
  }
}

// Rows adjacent: one copy of R elements for each step of k.
template <class T, int R> static void pack_adjacent(acc_t<T>* panel, const T* x, int64_t step, int count, int64_t depth) {
  using A = acc_t<T>;
  constexpr int L = kLanes<A>;
  if (count == R && R % L == 0) {
    for (int64_t q = 0; q < depth; ++q, x += step, panel += R)
      for (int i = 0; i < R; i += L) vstore(panel + i, vload(x + i));
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
