// SPDX-License-Identifier: MIT
// bfloat16 by its dot-product instruction: lane l of the sum gains x[2l] y[2l] + x[2l+1] y[2l+1], so operands are packed
// in pairs along k. Subnormal numbers count as zero there, as the instruction has it.
// LAMELLA_EMULATE_DOT replaces the instruction by multiply-adds, for machines without it.
#pragma once
#include "gemm_core.h"
#include "gemm_out.h"
#if (defined(LAMELLA_DOT_BASE) && defined(__AVX512BF16__)) || (defined(LAMELLA_EMULATE_DOT) && defined(__AVX512F__))
#define LAMELLA_HAS_BF16_DOT 1

namespace lamella {
namespace LAMELLA_ISA {

LAMELLA_INLINE vec<float> dot_pairs(vec<float> sum, __m512i x, __m512i y) {
#if defined(LAMELLA_EMULATE_DOT)
  const __m512i high = _mm512_set1_epi32(int(0xffff0000u));
  sum = fma((vec<float>)_mm512_and_si512(x, high), (vec<float>)_mm512_and_si512(y, high), sum);
  return fma((vec<float>)_mm512_slli_epi32(x, 16), (vec<float>)_mm512_slli_epi32(y, 16), sum);
#else
  return (vec<float>)_mm512_dpbf16_ps((__m512)sum, (__m512bh)x, (__m512bh)y);
#endif
}

// panel[(q / 2) * R + i] holds elements (first + i, p + q) and (first + i, p + q + 1); zero past count and past depth.
template <int R> struct PairOperand {
  const bf16* x;
  int64_t along, step;
  void pack(uint32_t* panel, int64_t first, int count, int64_t p, int64_t depth) const {
    const bf16* from = x + first * along + p * step;
    for (int64_t q = 0; q < depth; q += 2, panel += R) {
      const bf16 *even = from + q * step, *odd = even + step;
      const bool pair = q + 1 < depth;
      if (pair && step == 1) {
        for (int i = 0; i < count; ++i) std::memcpy(panel + i, even + i * along, 4);
      } else {
        for (int i = 0; i < count; ++i)
          panel[i] = even[i * along].bits | (pair ? uint32_t(odd[i * along].bits) << 16 : 0);
      }
      for (int i = count; i < R; ++i) panel[i] = 0;
    }
  }
};

// tile (R x TC) = a . b over `pairs` pairs of k.
template <int R> static void dot_tile(int64_t pairs, const uint32_t* a, const uint32_t* b, float* tile) {
  constexpr int L = kLanes<float>, TC = kTileCols<float>;
  vec<float> acc[R][2];
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) acc[i][0] = acc[i][1] = vec<float>{};
  for (int64_t p = 0; p < pairs; ++p, a += R, b += TC) {
    const __m512i b0 = _mm512_loadu_si512(b), b1 = _mm512_loadu_si512(b + L);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      __m512i x = _mm512_set1_epi32(int(a[i]));
      pin(x);
      acc[i][0] = dot_pairs(acc[i][0], x, b0);
      acc[i][1] = dot_pairs(acc[i][1], x, b1);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
    vstore(tile + i * TC, acc[i][0]);
    vstore(tile + i * TC + L, acc[i][1]);
  }
}

// C (m, n) = A . B. A block of rows is packed by the task that multiplies it; B is packed once for all.
static void gemm_dot(int64_t m, int64_t n, int64_t k, const PairOperand<kTileRows<float>>& left,
                     const PairOperand<kTileCols<float>>& right, const MatrixOut<bf16>& out) {
  constexpr int TR = kTileRows<float>, TC = kTileCols<float>;
  const int64_t nc = least(ceil_div(n, TC) * TC, kSharedWidth), panels = nc / TC, pairs = ceil_div(k, 2);
  uint32_t* const b = static_cast<uint32_t*>(scratch(size_t(nc * pairs) * 4, kGemmSlot));
  for (int64_t j0 = 0; j0 < n; j0 += nc) {
    const int64_t cols = least(nc, n - j0), across = ceil_div(cols, TC);
    const bool worth = m * cols * k > 2000000;
    parallel_if(worth, across, [&](int64_t h) {
      right.pack(b + h * TC * pairs, j0 + h * TC, int(least(TC, cols - h * TC)), 0, k);
    });
    const int64_t group = ceil_div(panels, 1 + panels / 16), down = ceil_div(m, TR);
    parallel_if(worth, down * ceil_div(across, group), [&](int64_t t) {
      const int64_t i = t % down * TR, h0 = t / down * group, h1 = least(h0 + group, across);
      const int rows = int(least(TR, m - i));
      uint32_t* const a = static_cast<uint32_t*>(scratch(size_t(TR * pairs) * 4, kGemmSlot + 1));
      left.pack(a, i, rows, 0, k);
      for (int64_t h = h0; h < h1; ++h) {
        float tile[TR * TC] __attribute__((aligned(64)));
        dot_tile<TR>(pairs, a, b + h * TC * pairs, tile);
        out.finish(i, j0 + h * TC, rows, int(least(TC, cols - h * TC)), tile, TC);
      }
    });
  }
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
#endif
