// SPDX-License-Identifier: MIT
// Stores past the caches: of results that they would not hold until these are read, without reading their lines first.
#pragma once
#include <cstring>
#include "vec.h"

namespace lamella {
namespace LAMELLA_ISA {

constexpr int64_t kStreamBytes = 32 << 20;  // a result of that size is not in the caches by the time it is read
constexpr bool kPastRuns = kVecBytes > 16;  // loops that choose between both stores: short vectors would feel the branch

// Whether the stores of such a loop over a result of `bytes` at y may take `past`.
LAMELLA_INLINE bool goes_past(const void* y, int64_t bytes) {
  return kPastRuns && bytes >= kStreamBytes && reinterpret_cast<uintptr_t>(y) % kVecBytes == 0;
}
// A whole vector to p, aligned where `past`. What T narrows does not go past.
template <class T> LAMELLA_INLINE void vput(T* p, vec<acc_t<T>> v, bool past) {
  if constexpr (kPastRuns && __is_same(T, acc_t<T>)) {
#if defined(__x86_64__)
    asm volatile("" : "+r"(past));  // one loop for both
#endif
    if (__builtin_expect(past, 0)) return vstream<T>(p, v);
  }
  vstore<T>(p, v);
}

// Bytes to `to`, whole lines past the caches; stream_end() is the caller's.
__attribute__((unused)) static void stream_out(const char* from, char* to, int64_t bytes) {
  constexpr int64_t step = kLanes<float> * 4;
  const int64_t before = -reinterpret_cast<intptr_t>(to) & (step - 1), head = before < bytes ? before : bytes;
  if (head) std::memcpy(to, from, size_t(head));
  int64_t i = head;
  for (; i + step <= bytes; i += step) vstream(reinterpret_cast<float*>(to + i), vload(reinterpret_cast<const float*>(from + i)));
  if (i < bytes) std::memcpy(to + i, from + i, size_t(bytes - i));
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
