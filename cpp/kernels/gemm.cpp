// SPDX-License-Identifier: MIT
// Matrix products: which path for which shape. Every path sums in an order that depends on the shape alone.
#include "gemm_core.h"
#include "gemm_direct.h"
#include "gemm_dots.h"
#include "gemm_out.h"
#include "gemm_vector.h"
#include "gemm_words.h"

namespace lamella {
#ifdef LAMELLA_DOT_BASE
namespace LAMELLA_DOT_BASE { void gemm(const Gemm&); }
#endif
namespace LAMELLA_ISA {

template <class T> struct Product {  // one matrix of the batch
  int64_t m, n, k;
  const T *a, *b;
  int64_t a_row, a_col, b_row, b_col;
  MatrixOut<T> out;
};

template <class T> static void packed(const Product<T>& g) {
  using A = acc_t<T>;
  StridedOperand<T, kTileRows<A>> left{g.a, g.a_row, g.a_col};
  StridedOperand<T, kTileCols<A>> right{g.b, g.b_col, g.b_row};
  gemm_blocked<A>(g.m, g.n, g.k, left, right, g.out);
}

// k == 0: the epilogue of zeros.
template <class T> static void no_product(const Product<T>& g) {
  if (g.out.accumulate) return;
  for (int64_t i = 0; i < g.m; ++i)
    for (int64_t j = 0; j < g.n; j += kTileCols<acc_t<T>>) {
      acc_t<T> zero[kTileCols<acc_t<T>>] = {};
      g.out.write(i, j, int(least(kTileCols<acc_t<T>>, g.n - j)), zero);
    }
}

// Few results, long sums: blocks of k side by side, added up in their order.
constexpr int kSplitSlot = 7;
constexpr int64_t kSplitDepth = 4096;
template <class T> static void split_depth(const Product<T>& g) {
  using A = acc_t<T>;
  const int64_t parts = ceil_div(g.k, kSplitDepth), size = g.m * g.n;
  A* sums = static_cast<A*>(scratch(size_t(parts * size) * sizeof(A), kSplitSlot));
  parallel(parts, [&](int64_t t) {
    const int64_t p = t * kSplitDepth;
    StridedOperand<T, kTileRows<A>> left{g.a + p * g.a_col, g.a_row, g.a_col};
    StridedOperand<T, kTileCols<A>> right{g.b + p * g.b_row, g.b_col, g.b_row};
    gemm_blocked<A>(g.m, g.n, least(kSplitDepth, g.k - p), left, right, MatrixOut<A>{sums + t * size, g.n, false, {}});
  });
  for (int64_t t = 1; t < parts; ++t)
    for (int64_t i = 0; i < size; ++i) sums[i] += sums[t * size + i];
  for (int64_t i = 0; i < g.m; ++i)
    for (int64_t j = 0; j < g.n; j += 1024)
      g.out.write(i, j, int(least(1024, g.n - j)), sums + i * g.n + j, g.out.accumulate);
}

template <class T> static void product(const Product<T>& g) {
  using A = acc_t<T>;
  if (g.k == 0) { no_product(g); return; }
  if (g.n == 1 && (g.a_col == 1 || g.a_row == 1)) {  // A . vector
    matrix_vector(g.m, g.k, g.a, g.a_row, g.a_col, g.b, g.b_row, [&](int64_t i, int count, A* sums) {
      for (int r = 0; r < count; ++r) g.out.write(i + r, 0, 1, sums + r, g.out.accumulate);
    });
    return;
  }
  if (g.m == 1 && (g.b_col == 1 || g.b_row == 1)) {  // vector . B
    matrix_vector(g.n, g.k, g.b, g.b_col, g.b_row, g.a, g.a_col, [&](int64_t j, int count, A* sums) {
      g.out.write(0, j, count, sums, g.out.accumulate);
    });
    return;
  }
  if constexpr (__is_same(T, A)) {
    const bool down = g.n <= g.m && g.a_col == 1 && dots_pay<A>(g.m, g.n, g.k, g.a_row);
    if (down && g.b_row == 1) { gemm_dots(g.m, g.n, g.k, g.a, g.a_row, g.b, g.b_col, g.out); return; }
    if (g.m < g.n && g.a_col == 1 && g.b_row == 1 && dots_pay<A>(g.n, g.m, g.k, g.b_col)) {
      gemm_dots_across(g.m, g.n, g.k, g.a, g.a_row, g.b, g.b_col, g.out);
      return;
    }
  }
  if (g.m * g.n <= 4096 && g.k >= 4 * kSplitDepth) { split_depth(g); return; }
  if constexpr (__is_same(T, A)) {
    const bool small = g.m <= 128 && g.n <= 128 && g.k <= 128, shallow = g.k <= 32 && g.m * g.n <= 131072;
    if (small || shallow || g.m <= 3 * kTileRows<A> || g.n <= kTileCols<A>) {
      gemm_direct<A>(g.m, g.n, g.k, g.a, g.a_row, g.a_col, g.b, g.b_row, g.b_col, g.out);
      return;
    }
  }
#if defined(LAMELLA_HAS_BF16_DOT)
  if constexpr (__is_same(T, bf16)) {
    gemm_words<Bf16Pair>(g.m, g.n, g.k, {g.a, g.a_row, g.a_col, g.k, 0}, {g.b, g.b_col, g.b_row, g.k, 0}, g.out);
    return;
  }
#endif
  packed(g);
}

template <class T> static void gemm_of(const Gemm& g) {
  int64_t count = 1;
  for (int d = 0; d < g.batch_ndim; ++d) count *= g.batch[d];
  if (count == 0 || g.m == 0 || g.n == 0) return;
  const T *a = static_cast<const T*>(g.a), *b = static_cast<const T*>(g.b);
  const T* bias = g.bias_axis == BiasAxis::none ? nullptr : static_cast<const T*>(g.bias);
  const MatrixOut<T> out{static_cast<T*>(g.c), g.c_row, g.accumulate, {g.bias_axis, bias, g.act}};
  const Product<T> p{g.m, g.n, g.k, a, b, g.a_row, g.a_col, g.b_row, g.b_col, out};
  const int64_t work = g.m * g.n * g.k;
  const auto one = [&](int64_t index) {
    Product<T> q = p;
    for (int d = g.batch_ndim - 1; d >= 0; --d) {
      const int64_t at = index % g.batch[d];
      index /= g.batch[d];
      q.a += at * g.a_batch[d];
      q.b += at * g.b_batch[d];
      q.out.c += at * g.c_batch[d];
    }
    product(q);
  };
  if (count == 1) product(p);
  else if (work > 8000000 && count < 16) for (int64_t i = 0; i < count; ++i) one(i);  // tasks within each
  else {
    const int64_t grain = least(count, 1 + 500000 / (work + 1000));
    if (count * work < 1000000) for (int64_t i = 0; i < count; ++i) one(i);
    else
      parallel_blocks(count, grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) one(i);
      });
  }
}

#ifdef LAMELLA_DOT_BASE  // has dot products of bfloat16; the other types are as without
void gemm(const Gemm& g) {
  if (g.dtype == DType::bf16) gemm_of<bf16>(g);
  else LAMELLA_DOT_BASE::gemm(g);
}
#else
void gemm(const Gemm& g) {
  switch (g.dtype) {
    case DType::f32: gemm_of<float>(g); break;
    case DType::f64: gemm_of<double>(g); break;
    case DType::bf16: gemm_of<bf16>(g); break;
    default: gemm_of<f16>(g); break;
  }
}
#endif

}  // namespace LAMELLA_ISA
}  // namespace lamella
