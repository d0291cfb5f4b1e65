// SPDX-License-Identifier: MIT
// Rows of elements, at any distance and in either direction, put side by side.
#pragma once
#include "vec.h"

namespace lamella {
namespace LAMELLA_ISA {

// The first n lanes in reverse order.
template <class T> LAMELLA_INLINE vec<T> reversed(vec<T> v, int64_t n) {
  using I = int_of<T>;
  return __builtin_shuffle(v, splat(I(n - 1)) - lane_numbers<T>());
}

// Rows of n elements, a vector at least, in reverse order: `from` is the first row's last one. Pitches are of bytes.
template <class T>
static void reverse_strided(char* to, int64_t to_pitch, const char* from, int64_t from_pitch, int64_t rows, int64_t n) {
  constexpr int64_t L = kLanes<T>;
  for (; rows > 0; --rows, to += to_pitch, from += from_pitch)
    for (int64_t i = 0; i < n; i += L) {
      i = least(i, n - L);  // the last: some elements twice
      vstore<T>(reinterpret_cast<T*>(to) + i, reversed<T>(vload(reinterpret_cast<const T*>(from) - i - (L - 1)), L));
    }
}

// `rows` rows, `down` apart, of `inner` elements, `across` apart, into `to`, past whose end a vector may be written.
template <class T> static void gather_block(const T* x, int64_t across, int64_t down, int64_t rows, int64_t inner, T* to) {
  constexpr int64_t L = kLanes<T>;
  if (across == 0) {
    for (int64_t i = 0; i < rows; ++i, x += down, to += inner)
      for (int64_t j = 0; j < inner; j += L) vstore<T>(to + j, splat(*x));
  } else if (across == 1 && (inner >= L || kVecBytes == 64)) {
    const int64_t whole = inner / L * L;
    for (int64_t i = 0; i < rows; ++i, x += down, to += inner) {
      for (int64_t j = 0; j < whole; j += L) vstore<T>(to + j, vload(x + j));
      if (whole == inner) continue;
      if (kVecBytes == 64) vstore<T>(to + whole, vload(x + whole, inner - whole));
      else vstore<T>(to + inner - L, vload(x + inner - L));
    }
  } else if (across == -1 && (inner >= L || kVecBytes == 64)) {  // as a flipped image's
    const int64_t whole = inner / L * L;
    for (int64_t i = 0; i < rows; ++i, x += down, to += inner) {
      for (int64_t j = 0; j < whole; j += L) vstore<T>(to + j, reversed<T>(vload(x - j - (L - 1)), L));
      if (whole == inner) continue;
      if (kVecBytes == 64) vstore<T>(to + whole, reversed<T>(vload(x - (inner - 1), inner - whole), inner - whole));
      else vstore<T>(to + inner - L, reversed<T>(vload(x - (inner - 1)), L));
    }
  } else {
    for (int64_t j = 0; j < inner; ++j, x += across)
      for (int64_t i = 0; i < rows; ++i) to[i * inner + j] = x[i * down];
  }
}

// The same of bytes.
static void gather_bytes(const uint8_t* x, int64_t across, int64_t down, int64_t rows, int64_t inner, uint8_t* to) {
  for (int64_t i = 0; i < rows; ++i, x += down, to += inner) {
    if (across == 0) {
      const uint64_t all = *x * 0x0101010101010101u;
      for (int64_t j = 0; j < inner; j += 8) std::memcpy(to + j, &all, 8);
    } else if (across == 1) {
      int64_t j = 0;
      for (; j + 8 <= inner; j += 8) std::memcpy(to + j, x + j, 8);
      for (; j < inner; ++j) to[j] = x[j];
    } else {
      for (int64_t j = 0; j < inner; ++j) to[j] = x[j * across];
    }
  }
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
