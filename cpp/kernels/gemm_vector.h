// SPDX-License-Identifier: MIT
// A matrix times a vector, at the speed of the memory that the matrix comes from: each element is read once, in order.
#pragma once
#include "gemm_core.h"
#include "gemm_out.h"

namespace lamella {
namespace LAMELLA_ISA {

constexpr int kVectorSlot = 6;  // scratch slot of the vector, contiguous and widened

// sums[r] = row r . x for N rows of adjacent elements.
template <class T, int N> static void dot_rows(int64_t k, const T* m, int64_t row, const acc_t<T>* x, acc_t<T>* sums) {
  using A = acc_t<T>;
  constexpr int L = kLanes<A>;
  vec<A> acc[N][2];
#pragma GCC unroll 4
  for (int r = 0; r < N; ++r) acc[r][0] = acc[r][1] = vec<A>{};
  int64_t p = 0;
  for (; p + 2 * L <= k; p += 2 * L) {
    const vec<A> x0 = vload(x + p), x1 = vload(x + p + L);
#pragma GCC unroll 4
    for (int r = 0; r < N; ++r) {
      acc[r][0] = fma(vload(m + r * row + p), x0, acc[r][0]);
      acc[r][1] = fma(vload(m + r * row + p + L), x1, acc[r][1]);
    }
  }
  for (; p < k; p += L) {
    const int64_t n = least(L, k - p);
    const vec<A> x0 = vload(x + p, n);
#pragma GCC unroll 4
    for (int r = 0; r < N; ++r) acc[r][0] = fma(vload(m + r * row + p, n), x0, acc[r][0]);
  }
#pragma GCC unroll 4
  for (int r = 0; r < N; ++r) sums[r] = hsum(acc[r][0] + acc[r][1]);
}

// sums[0 .. V vectors) = sum over p of x[p] * (adjacent elements of m at p * step), the last vector `last` lanes wide.
template <class T, int V>
static void add_columns(int64_t k, const T* m, int64_t step, const acc_t<T>* x, acc_t<T>* sums, int last) {
  using A = acc_t<T>;
  constexpr int L = kLanes<A>;
  vec<A> acc[V];
#pragma GCC unroll 8
  for (int j = 0; j < V; ++j) acc[j] = vec<A>{};
  for (int64_t p = 0; p < k; ++p, m += step) {
    const vec<A> s = splat(x[p]);
#pragma GCC unroll 8
    for (int j = 0; j < V; ++j)
      acc[j] = fma(s, j < V - 1 || last == L ? vload(m + j * L) : vload(m + j * L, last), acc[j]);
  }
#pragma GCC unroll 8
  for (int j = 0; j < V; ++j) vstore(sums + j * L, acc[j]);
}

// put(i, count, sums): elements [i, i + count) of M . x, where M's (i, p) is m[i * row + p * col] and row or col is 1.
template <class T, class Put>
static void matrix_vector(int64_t rows, int64_t k, const T* m, int64_t row, int64_t col, const T* v, int64_t v_step,
                          const Put& put) {
  using A = acc_t<T>;
  constexpr int L = kLanes<A>, V = 8;
  const A* x = reinterpret_cast<const A*>(v);
  if (v_step != 1 || !__is_same(T, A)) {
    A* copy = static_cast<A*>(scratch(size_t(k) * sizeof(A), kVectorSlot));
    for (int64_t p = 0; p < k; ++p) copy[p] = up(v[p * v_step]);
    x = copy;
  }
  const bool worth = rows * k > 200000;
  if (col == 1) {
    const int64_t grain = ceil_div(1 + 32768 / k, 4) * 4;
    parallel_if(worth, ceil_div(rows, grain), [&](int64_t t) {
      int64_t i = t * grain, end = least(i + grain, rows);
      A sums[4];
      for (; i + 4 <= end; i += 4) {
        dot_rows<T, 4>(k, m + i * row, row, x, sums);
        put(i, 4, sums);
      }
      for (; i < end; ++i) {
        dot_rows<T, 1>(k, m + i * row, row, x, sums);
        put(i, 1, sums);
      }
    });
  } else {
    parallel_if(worth, ceil_div(rows, V * L), [&](int64_t t) {
      int64_t i = t * V * L, end = least(i + V * L, rows);
      A sums[V * L];
      if (end - i == V * L) {
        add_columns<T, V>(k, m + i, col, x, sums, L);
        put(i, V * L, sums);
        return;
      }
      for (; i + 2 * L <= end; i += 2 * L) {
        add_columns<T, 2>(k, m + i, col, x, sums, L);
        put(i, 2 * L, sums);
      }
      for (; i < end; i += L) {
        const int n = int(least(L, end - i));
        add_columns<T, 1>(k, m + i, col, x, sums, n);
        put(i, n, sums);
      }
    });
  }
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
