// SPDX-License-Identifier: MIT
// Philox 4x32-10 (core/random.h), several counter blocks at once in vector lanes.
#pragma once
#include "../core/random.h"
#include "vec.h"

namespace lamella {
namespace LAMELLA_ISA {

typedef uint64_t vu64 __attribute__((vector_size(kVecBytes)));
constexpr int kBlocks = kVecBytes / 8;      // Philox blocks per vector: one 32-bit word in each 64-bit lane

LAMELLA_INLINE vu64 mul32(vu64 a, uint32_t b) {  // low 32 bits of each lane times b, 64 bits wide
#if defined(__AVX512F__)
  return (vu64)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64(b));
#elif defined(__AVX2__)
  return (vu64)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x(b));
#elif defined(__x86_64__)
  return (vu64)_mm_mul_epu32((__m128i)a, _mm_set1_epi64x(b));
#else
  return (a & 0xffffffffu) * uint64_t(b);
#endif
}

// words[4 * i + j] = word j of block first + i, for i < count (a multiple of kBlocks).
static void make_words(uint64_t seed, uint64_t stream, uint64_t first, int64_t count, uint32_t* words) {
  for (int64_t base = 0; base < count; base += kBlocks) {
    vu64 c0, c1;
    for (int l = 0; l < kBlocks; ++l) {
      uint64_t block = first + uint64_t(base + l);
      c0[l] = uint32_t(block);
      c1[l] = block >> 32;
    }
    vu64 c2 = vu64{} + uint32_t(stream), c3 = vu64{} + (stream >> 32);
    uint32_t k0 = uint32_t(seed), k1 = uint32_t(seed >> 32);
    for (int r = 0; r < 10; ++r) {
      vu64 p0 = mul32(c0, 0xD2511F53u), p1 = mul32(c2, 0xCD9E8D57u);
      vu64 n0 = (p1 >> 32) ^ c1 ^ uint64_t(k0), n2 = (p0 >> 32) ^ c3 ^ uint64_t(k1);
      c1 = p1 & 0xffffffffu;
      c3 = p0 & 0xffffffffu;
      c0 = n0;
      c2 = n2;
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    for (int l = 0; l < kBlocks; ++l) {
      uint32_t* w = words + 4 * (base + l);
      w[0] = uint32_t(c0[l]);
      w[1] = uint32_t(c1[l]);
      w[2] = uint32_t(c2[l]);
      w[3] = uint32_t(c3[l]);
    }
  }
}

LAMELLA_INLINE float unit(uint32_t w) { return float(int32_t(w >> 8)) * 0x1p-24f; }                 // [0, 1)

}  // namespace LAMELLA_ISA
}  // namespace lamella
