// SPDX-License-Identifier: MIT
// Copies of rows by vectors. glibc's memcpy takes the processor's string instruction from some size on, which on AMD Zen copies a
// row to a place a few bytes after its own, modulo a page, at a fifteenth of the speed.
#pragma once
#include <cstring>
#include "vec.h"

namespace lamella {
namespace LAMELLA_ISA {

// n bytes, fewer than a vector: two copies, which may cover some bytes twice.
template <int W> LAMELLA_INLINE void copy_ends(char* to, const char* from, int64_t n) {
  char a[W], b[W];
  std::memcpy(a, from, W);
  std::memcpy(b, from + n - W, W);
  std::memcpy(to, a, W);
  std::memcpy(to + n - W, b, W);
}
LAMELLA_INLINE void copy_short(void* to, const void* from, int64_t n) {
  const char* const x = static_cast<const char*>(from);
  char* const y = static_cast<char*>(to);
  if (n >= 32) copy_ends<32>(y, x, n);
  else if (n >= 16) copy_ends<16>(y, x, n);
  else if (n >= 8) copy_ends<8>(y, x, n);
  else if (n >= 4) copy_ends<4>(y, x, n);
  else if (n >= 2) copy_ends<2>(y, x, n);
  else if (n == 1) *y = *x;
}

// n bytes, which do not overlap.
__attribute__((noinline, unused)) static void copy_bytes(void* to, const void* from, int64_t n) {
  const char* const x = static_cast<const char*>(from);
  char* const y = static_cast<char*>(to);
  if (n < kVecBytes) return copy_short(to, from, n);
  for (int64_t i = 0; i < n; i += kVecBytes) {
    if (i > n - kVecBytes) i = n - kVecBytes;  // the last vector: some bytes twice
    vec<float> v;
    std::memcpy(&v, x + i, kVecBytes);
    std::memcpy(y + i, &v, kVecBytes);
  }
}

// The same of rows of n bytes, from `from` + i from_pitch to `to` + i to_pitch.
template <int W> LAMELLA_INLINE void copy_strided_by(char* to, int64_t to_pitch, const char* from, int64_t from_pitch, int64_t rows, int64_t n) {
  typedef char V __attribute__((vector_size(W)));
  for (; rows > 0; --rows, to += to_pitch, from += from_pitch) {
    V v;
    for (int64_t i = 0; i + W < n; i += W) {
      std::memcpy(&v, from + i, W);
      std::memcpy(to + i, &v, W);
    }
    std::memcpy(&v, from + n - W, W);  // the last: some bytes twice
    std::memcpy(to + n - W, &v, W);
  }
}
__attribute__((noinline, unused))
static void copy_strided(char* to, int64_t to_pitch, const char* from, int64_t from_pitch, int64_t rows, int64_t n) {
  if (n >= kVecBytes) return copy_strided_by<kVecBytes>(to, to_pitch, from, from_pitch, rows, n);
  if (n >= 32) return copy_strided_by<32>(to, to_pitch, from, from_pitch, rows, n);
  if (n >= 16) return copy_strided_by<16>(to, to_pitch, from, from_pitch, rows, n);
  if (n >= 8) return copy_strided_by<8>(to, to_pitch, from, from_pitch, rows, n);
  if (n >= 4) return copy_strided_by<4>(to, to_pitch, from, from_pitch, rows, n);
  if (n >= 2) return copy_strided_by<2>(to, to_pitch, from, from_pitch, rows, n);
  if (n == 1) return copy_strided_by<1>(to, to_pitch, from, from_pitch, rows, n);
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
