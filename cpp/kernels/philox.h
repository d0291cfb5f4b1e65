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

// words[4 * i + j] = word j of block first + i, for i < count (a multiple of kBlocks). Words are the low halves of lanes; what
// the high halves hold, mul32 does not see.
static void make_words(uint64_t seed, uint64_t stream, uint64_t first, int64_t count, uint32_t* words) {
  constexpr uint64_t low = 0xffffffff;
  constexpr int rounds = 10;
  uint64_t key[rounds][2];  // in memory: a load spreads each over the lanes
  for (int r = 0; r < rounds; ++r) {
    key[r][0] = uint32_t(seed) + 0x9E3779B9u * uint32_t(r);
    key[r][1] = uint32_t(seed >> 32) + 0xBB67AE85u * uint32_t(r);
  }
  for (int64_t base = 0; base < count; base += kBlocks) {
    const vu64 block = (vu64)lane_numbers<double>() + (first + uint64_t(base));
    vu64 c0 = block, c1 = block >> 32, c2 = vu64{} + stream, c3 = vu64{} + (stream >> 32);
#pragma GCC unroll 10
    for (int r = 0; r < rounds; ++r) {
      const vu64 p0 = mul32(c0, 0xD2511F53u), p1 = mul32(c2, 0xCD9E8D57u);
      c0 = (p1 >> 32) ^ c1 ^ key[r][0];
      c2 = (p0 >> 32) ^ c3 ^ key[r][1];
      c1 = p1;
      c3 = p0;
    }
    const vec<double> w01 = (vec<double>)((c0 & low) | (c1 << 32)), w23 = (vec<double>)((c2 & low) | (c3 << 32));
    const vec<double> w[2] = {in_turn<0, double>(w01, w23), in_turn<kBlocks / 2, double>(w01, w23)};
    std::memcpy(words + 4 * base, w, sizeof w);
  }
}

// [0, 1): of one word, and of as many as fill a vector; of float64 of two words each.
LAMELLA_INLINE float unit(uint32_t w) { return float(int32_t(w >> 8)) * 0x1p-24f; }
template <class A> LAMELLA_INLINE vec<A> units(const uint32_t* words) {
  vec<int_of<A>> w;
  std::memcpy(&w, words, sizeof w);
  if constexpr (sizeof(A) == 8) return __builtin_convertvector((vec<int64_t>)((vu64)w >> 11), vec<double>) * 0x1p-53;
  else return __builtin_convertvector((vec<int32_t>)((vec<uint32_t>)w >> 8), vec<float>) * 0x1p-24f;
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
