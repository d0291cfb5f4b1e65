// SPDX-License-Identifier: MIT
// int8 products.
#include "gemm_words.h"

namespace lamella {
namespace LAMELLA_ISA {

// Sums start below zero by 128 times their column's sum where the left bytes are 128 too large. Scales.
template <class T> struct Int8Out {
  static constexpr bool kDirect = __is_same(T, int32_t);
  T* c;
  int64_t row;
  bool accumulate;
  const int32_t* below;  // what sums of each column start from, or null
  const GemmInt8* g;

  int32_t* at(int64_t i, int64_t j) const { return reinterpret_cast<int32_t*>(c + i * row + j); }
  const int32_t* start(int64_t j) const { return below ? below + j : nullptr; }
  void finish(int64_t i, int64_t j, int rows, int cols, int32_t* tile, int64_t stride) const {
    for (int r = 0; !kDirect && r < rows; ++r, tile += stride) {
      T* to = c + (i + r) * row + j;
      const float a = g->a_scale[(i + r) * g->a_scale_step];
      const float* b = g->b_scale + j * g->b_scale_step;
      for (int s = 0; s < cols; ++s) to[s] = T(float(tile[s]) * (a * b[s * g->b_scale_step]));
      if (g->bias)
        for (int s = 0; s < cols; ++s) to[s] += T(g->bias[j + s]);
    }
  }
};

// to[j] = -128 * sum over q of b(q, j), modulo 2^32.
static void column_start(const GemmInt8& g, int32_t* to) {
  parallel_blocks(g.n, 1 + 65536 / (g.k + 1), [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; ++j) to[j] = 0;
    if (g.b_row == 1)
      for (int64_t j = begin; j < end; ++j) {
        int32_t sum = 0;
        for (int64_t q = 0; q < g.k; ++q) sum += g.b[q + j * g.b_col];
        to[j] = sum;
      }
    else
      for (int64_t q = 0; q < g.k; ++q)
        for (int64_t j = begin; j < end; ++j) to[j] += g.b[q * g.b_row + j * g.b_col];
    for (int64_t j = begin; j < end; ++j) to[j] = int32_t(uint32_t(to[j]) * -128u);
  });
}

constexpr int kStartSlot = 6;  // scratch slot of the column sums

template <class T> static void int8_product(const GemmInt8& g) {
  using W = Int8Word;
  constexpr bool quads = __is_same(W, Int8Quad);
  const WordOperand<W, kTileRows<W>> left{g.a, g.a_row, g.a_col, g.k, quads ? 0x80808080u : 0};
  const WordOperand<W, kTileCols<W>> right{g.b, g.b_col, g.b_row, g.k, 0};
  int32_t* below = nullptr;
  if (quads) {
    below = static_cast<int32_t*>(scratch(size_t(g.n) * sizeof(int32_t), kStartSlot));
    column_start(g, below);
  }
  gemm_words<W>(g.m, g.n, g.k, left, right, Int8Out<T>{static_cast<T*>(g.c), g.n, false, below, &g});
}

void gemm_int8(const GemmInt8& g) {
  if (g.m == 0 || g.n == 0) return;
  if (g.k == 0) {
    for (int64_t i = 0; i < g.m; ++i)
      for (int64_t j = 0; j < g.n; ++j) {
        if (!g.a_scale) static_cast<int32_t*>(g.c)[i * g.n + j] = 0;
        else static_cast<float*>(g.c)[i * g.n + j] = g.bias ? g.bias[j] : 0;
      }
  } else if (g.a_scale) {
    int8_product<float>(g);
  } else {
    int8_product<int32_t>(g);
  }
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
