// SPDX-License-Identifier: MIT
// Copies of rows by vectors. glibc's memcpy takes the processor's string instruction from some size on, which on AMD Zen copies a
// row to a place a few bytes after its own, modulo a page, at a fifteenth of the speed.
#pragma once
#include <cstring>
#include "vec.h"

namespace lamella {
namespace LAMELLA_ISA {

// n bytes, which do not overlap.
__attribute__((noinline, unused)) static void copy_bytes(void* to, const void* from, int64_t n) {
  const char* const x = static_cast<const char*>(from);
  char* const y = static_cast<char*>(to);
  if (n < kVecBytes) {
    std::memcpy(y, x, size_t(n));
    return;
  }
  for (int64_t i = 0; i < n; i += kVecBytes) {
    if (i > n - kVecBytes) i = n - kVecBytes;  // the last vector: some bytes twice
    vec<float> v;
    std::memcpy(&v, x + i, kVecBytes);
    std::memcpy(y + i, &v, kVecBytes);
  }
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
