// SPDX-License-Identifier: MIT
// A matrix times a vector, at the speed of the memory that the matrix comes from: each element is read once, in order.
#pragma once
#include "gemm_core.h"
#include "gemm_out.h"

namespace lamella {
namespace LAMELLA_ISA {

constexpr int kVectorSlot = 6;  // scratch slots 6 (the vector, contiguous and widened) and 7 (sums of chunks)
constexpr int64_t kChunk = 16384;  // of a long row, at least

// sums[r] = row r . x for N rows of adjacent elements.
template <class T, int N>
__attribute__((noinline)) static void dot_rows(int64_t k, const T* m, int64_t row, const acc_t<T>* x, acc_t<T>* sums) {
  using A = acc_t<T>;
  constexpr int L = kLanes<A>, C = N == 1 ? 4 : 2;  // sums of a row, that do not wait for each other
  vec<A> acc[N][C];
#pragma GCC unroll 4
  for (int r = 0; r < N; ++r)
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) acc[r][c] = vec<A>{};
  int64_t p = 0;
  for (; p + C * L <= k; p += C * L)
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) {
      const vec<A> here = vload(x + p + c * L);
#pragma GCC unroll 4
      for (int r = 0; r < N; ++r) acc[r][c] = fma(vload(m + r * row + p + c * L), here, acc[r][c]);
    }
  for (; p < k; p += L) {
    const int64_t n = least(L, k - p);
    const vec<A> x0 = vload(x + p, n);
#pragma GCC unroll 4
    for (int r = 0; r < N; ++r) acc[r][0] = fma(vload(m + r * row + p, n), x0, acc[r][0]);
  }
#pragma GCC unroll 4
  for (int r = 0; r < N; ++r) {
#pragma GCC unroll 4
    for (int h = C / 2; h; h /= 2)
#pragma GCC unroll 4
      for (int c = 0; c < h; ++c) acc[r][c] += acc[r][c + h];
    sums[r] = hsum(acc[r][0]);
  }
}

// sums[j] = sum over p < k of x[p] * m[p * step + j], j < n: four rows at a time, each read in order; sums stay in L1.
template <class T>
static void add_rows(int64_t k, int64_t n, const T* m, int64_t step, const acc_t<T>* x, acc_t<T>* sums) {
  using A = acc_t<T>;
  constexpr int L = kLanes<A>;
  for (int64_t p = 0; p < k; p += 4) {
    const int64_t rows = least(4, k - p);
    const T* row[4];
    vec<A> s[4];
    for (int r = 0; r < 4; ++r) {
      row[r] = m + (p + (r < rows ? r : 0)) * step;
      s[r] = splat(r < rows ? x[p + r] : A(0));
    }
    if (rows < 4) {
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t j = 0; j < n; j += L) {
          const int64_t c = least(L, n - j);
          const vec<A> before = p + r ? vload(sums + j, c) : vec<A>{};
          vstore(sums + j, fma(s[r], vload(row[r] + j, c), before), c);
        }
      continue;
    }
    const auto add = [&](auto load, auto store, int64_t j) __attribute__((always_inline)) {
      vec<A> sum = p ? load(sums + j) : vec<A>{};
#pragma GCC unroll 4
      for (int r = 0; r < 4; ++r) sum = fma(s[r], load(row[r] + j), sum);
      store(sums + j, sum);
    };
    int64_t j = 0;
    for (; j + L <= n; j += L) add([](auto* from) { return vload(from); }, [](A* to, vec<A> v) { vstore(to, v); }, j);
    const int64_t c = n - j;
    if (c) add([c](auto* from) { return vload(from, c); }, [c](A* to, vec<A> v) { vstore(to, v, c); }, j);
  }
}

// put(i, count, sums): elements [i, i + count) of M . x, where M's (i, p) is m[i * row + p * col] and row or col is 1.
template <class T, class Put>
static void matrix_vector(int64_t rows, int64_t k, const T* m, int64_t row, int64_t col, const T* v, int64_t v_step,
                          const Put& put) {
  using A = acc_t<T>;
  constexpr int L = kLanes<A>;
  const A* x = reinterpret_cast<const A*>(v);
  if (v_step != 1 || !__is_same(T, A)) {
    A* copy = static_cast<A*>(scratch(size_t(k) * sizeof(A), kVectorSlot));
    for (int64_t p = 0; p < k; ++p) copy[p] = up(v[p * v_step]);
    x = copy;
  }
  const bool worth = rows * k > 200000;
  if (col == 1 && rows <= 16 && k >= 2 * kChunk) {  // few rows, long ones: in chunks that are added up in their order
    const int64_t chunks = least(16, k / kChunk), depth = ceil_div(ceil_div(k, chunks), L) * L;
    A* const part = static_cast<A*>(scratch(size_t(chunks * rows) * sizeof(A), kVectorSlot + 1));
    parallel(chunks, [&](int64_t t) {
      const int64_t p = least(t * depth, k);
      for (int64_t i = 0; i < rows; ++i) dot_rows<T, 1>(least(depth, k - p), m + i * row + p, row, x + p, part + t * rows + i);
    });
    for (int64_t t = 1; t < chunks; ++t)
      for (int64_t i = 0; i < rows; ++i) part[i] += part[t * rows + i];
    put(0, int(rows), part);
  } else if (col == 1) {
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
    // Strips of columns whose sums fit L1, by chunks of k that are added up in their order.
    constexpr int64_t kStrip = 16384 / int64_t(sizeof(A));
    const int64_t strips = ceil_div(rows, kStrip), width = ceil_div(ceil_div(rows, strips), L) * L;
    const int64_t depth = ceil_div(k, least(16, ceil_div(k, 4 * ceil_div(32768, width)))), chunks = ceil_div(k, depth);
    A* const part = static_cast<A*>(scratch(size_t(chunks * strips * width) * sizeof(A), kVectorSlot + 1));
    parallel_if(worth, chunks * strips, [&](int64_t t) {
      const int64_t j = t % strips * width, p = t / strips * depth;
      if (j < rows) add_rows(least(depth, k - p), least(width, rows - j), m + j + p * col, col, x + p, part + t * width);
    });
    parallel_if(worth && chunks > 1, strips, [&](int64_t t) {
      A* const sums = part + t * width;
      const int64_t j = t * width, n = least(width, rows - j);
      for (int64_t c = 1; c < chunks; ++c)
        for (int64_t i = 0; i < n; ++i) sums[i] += sums[c * strips * width + i];
      if (n > 0) put(j, int(n), sums);
    });
  }
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
