// SPDX-License-Identifier: MIT
// Products of elements narrower than 32 bits: panels of gemm_core.h whose words hold elements adjacent along k, multiplied
// and summed by one instruction.
//   Bf16Pair   2 bfloat16, summed in float32 (AVX512_BF16). Subnormal numbers count as zero, as the instruction has it.
//              LAMELLA_EMULATE_DOT replaces it by multiply-adds, for machines without it.
//   Int8Quad   4 int8, summed in int32 (AVX512_VNNI). The instruction's left bytes have no sign: they are 128 too large
//              (WordOperand::flip), and 128 times the sum of the right operand's column is to be taken off.
//   Int16Pair  2 int8 as int16, summed in int32 (SSE2, AVX2, AVX-512BW; elsewhere two multiplications).
#pragma once
#include "gemm_core.h"
#if (defined(LAMELLA_DOT_BASE) && defined(__AVX512BF16__)) || (defined(LAMELLA_EMULATE_DOT) && defined(__AVX512F__))
#define LAMELLA_HAS_BF16_DOT 1
#endif

namespace lamella {
namespace LAMELLA_ISA {

enum class Bf16Pair : uint32_t {};
enum class Int8Quad : uint32_t {};
enum class Int16Pair : uint32_t {};

// Element: what a word holds kCount of; bits: an element's place in a word; Narrow: its bits as an integer that widens so.
template <class W> struct Word;
template <> struct Word<Bf16Pair> {
  using Element = bf16;
  using Narrow = uint16_t;
  static constexpr int kCount = 2;
  LAMELLA_INLINE static uint32_t bits(bf16 x) { return x.bits; }
};
template <> struct Word<Int8Quad> {
  using Element = int8_t;
  using Narrow = uint8_t;
  static constexpr int kCount = 4;
  LAMELLA_INLINE static uint32_t bits(int8_t x) { return uint8_t(x); }
};
template <> struct Word<Int16Pair> {
  using Element = int8_t;
  using Narrow = int8_t;
  static constexpr int kCount = 2;
  LAMELLA_INLINE static uint32_t bits(int8_t x) { return uint16_t(x); }
};

// Element (i, q) is x[i * along + q * step], q < k. flip: bits that are inverted in every word.
template <class W, int R> struct WordOperand {
  using T = typename Word<W>::Element;
  static constexpr int N = Word<W>::kCount, kShift = 32 / N;
  const T* x;
  int64_t along, step, k;
  uint32_t flip;

  // p and depth count words; elements past k are zero.
  void pack(W* panel, int64_t first, int count, int64_t p, int64_t depth) const {
    const T* const from = x + first * along + p * N * step;
    const int64_t left = k - p * N, whole = least(depth, left / N);
    int64_t q = 0;
    if (step == 1 && sizeof(T) * N == 4) {  // words as they lie, transposed
      pack_rows<float, R>(reinterpret_cast<float*>(panel),
                          [&](int i) { return reinterpret_cast<const float*>(from + i * along); }, count, whole);
      q = whole;
    } else if (along == 1) {
      for (; q < whole; ++q) interleave(panel + q * R, from + q * N * step, count);
    }
    for (; q < depth; ++q)
      for (int i = 0; i < R; ++i) {
        uint32_t word = 0;
        for (int e = 0; e < N && i < count && q * N + e < left; ++e)
          word |= Word<W>::bits(from[i * along + (q * N + e) * step]) << e * kShift;
        panel[q * R + i] = W(word);
      }
    if (flip)
      for (int64_t i = 0; i < depth * R; ++i) panel[i] = W(uint32_t(panel[i]) ^ flip);
  }

 private:
  // n elements as 32-bit lanes, zero past n.
  LAMELLA_INLINE static vec<uint32_t> widen(const T* from, int n) {
    using Narrow = typename Word<W>::Narrow;
#if defined(__AVX512BW__) && defined(__AVX512VL__)
    const uint16_t some = uint16_t((1u << n) - 1);
    if constexpr (sizeof(T) == 2) return (vec<uint32_t>)_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(some, from));
    else {
      const __m128i v = _mm_maskz_loadu_epi8(some, from);
      return (vec<uint32_t>)(Narrow(-1) < 0 ? _mm512_cvtepi8_epi32(v) : _mm512_cvtepu8_epi32(v));
    }
#else
    constexpr int L = kLanes<W>;
    typedef Narrow narrow __attribute__((vector_size(L * sizeof(T))));
    narrow v{};
    if (n == L) std::memcpy(&v, from, sizeof v);
    else for (int l = 0; l < n; ++l) std::memcpy(reinterpret_cast<char*>(&v) + l * sizeof(T), from + l, sizeof(T));
    return (vec<uint32_t>)__builtin_convertvector(v, vec<int32_t>);
#endif
  }
  // One step: N rows of adjacent elements.
  LAMELLA_INLINE void interleave(W* to, const T* from, int count) const {
    constexpr int L = kLanes<W>;
#pragma GCC unroll 4
    for (int i = 0; i < R; i += L) {
      const int width = R - i < L ? R - i : L, n = count - i < 0 ? 0 : count - i < width ? count - i : width;
      vec<uint32_t> words{};
#pragma GCC unroll 4
      for (int e = 0; e < N; ++e) {
        vec<uint32_t> wide = widen(from + e * step + i, n);
        if (e < N - 1) wide &= (1u << kShift) - 1;
        words |= wide << e * kShift;
      }
      if (width == L) std::memcpy(to + i, &words, sizeof words);
      else std::memcpy(to + i, &words, size_t(width) * sizeof(W));
    }
  }
};

template <class W, class S> struct MultiplyWords {
  using Sum = S;
  LAMELLA_INLINE static vec<int32_t> load(const W* p) {
    vec<int32_t> v;
    std::memcpy(&v, p, sizeof v);
    return v;
  }
  LAMELLA_INLINE static vec<int32_t> all(W x) { return splat(int32_t(x)); }
};

template <> struct Multiply<Int16Pair> : MultiplyWords<Int16Pair, int32_t> {
  LAMELLA_INLINE static vec<int32_t> add(vec<int32_t> sum, vec<int32_t> x, vec<int32_t> y) {
#if defined(__AVX512BW__)
    return sum + (vec<int32_t>)_mm512_madd_epi16((__m512i)x, (__m512i)y);
#elif defined(__AVX2__)
    return sum + (vec<int32_t>)_mm256_madd_epi16((__m256i)x, (__m256i)y);
#elif defined(__x86_64__)
    return sum + (vec<int32_t>)_mm_madd_epi16((__m128i)x, (__m128i)y);
#else
    return sum + (x << 16 >> 16) * (y << 16 >> 16) + (x >> 16) * (y >> 16);
#endif
  }
};

#if defined(__AVX512VNNI__)
template <> struct Multiply<Int8Quad> : MultiplyWords<Int8Quad, int32_t> {
  LAMELLA_INLINE static vec<int32_t> add(vec<int32_t> sum, vec<int32_t> x, vec<int32_t> y) {
    return (vec<int32_t>)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)x, (__m512i)y);
  }
};
using Int8Word = Int8Quad;
#else
using Int8Word = Int16Pair;
#endif

#if defined(LAMELLA_HAS_BF16_DOT)
template <> struct Multiply<Bf16Pair> : MultiplyWords<Bf16Pair, float> {
  LAMELLA_INLINE static vec<float> add(vec<float> sum, vec<int32_t> x, vec<int32_t> y) {
#if defined(LAMELLA_EMULATE_DOT)
    const vec<int32_t> high = splat(int32_t(0xffff0000u));
    sum = fma((vec<float>)(x & high), (vec<float>)(y & high), sum);
    return fma((vec<float>)(x << 16), (vec<float>)(y << 16), sum);
#else
    return (vec<float>)_mm512_dpbf16_ps((__m512)sum, (__m512bh)x, (__m512bh)y);
#endif
  }
};
#endif

// C (m, n) = A . B of elements that words W hold.
template <class W, class Out>
static void gemm_words(int64_t m, int64_t n, int64_t k, const WordOperand<W, kTileRows<W>>& left,
                       const WordOperand<W, kTileCols<W>>& right, const Out& out) {
  gemm_blocked<W>(m, n, ceil_div(k, Word<W>::kCount), left, right, out);
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
