// SPDX-License-Identifier: MIT
// Included first by every kernel file: the namespace of the ISA this object is compiled for (LAMELLA_ISA, set by the
// build: v2, v3, v4, v4vnni, v4dot, neon), the declarations of all kernels in it, and parallel loops. Everything a kernel file
// defines stands inside that namespace, and no kernel file uses std:: containers: a function that two ISA objects both
// emit is merged by the linker, and an older CPU would then run instructions it lacks (tools/check_symbols.py).
#pragma once
#include <cstddef>
#include <cstdint>
#include "../core/storage.h"
#include "../core/threads.h"
#include "kernels.h"

#define LAMELLA_STRING_(x) #x
#define LAMELLA_STRING(x) LAMELLA_STRING_(x)

namespace lamella {
namespace LAMELLA_ISA {

#define K(name, Args) void name(const Args&);
LAMELLA_KERNELS(K)
#undef K

LAMELLA_INLINE int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b > 0); }  // b > 0, any a
LAMELLA_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
// a / b and a % b of numbers >= 0; of small ones in 32 bits, which is several times as fast on many CPUs.
struct Division {
  int64_t quotient, rest;
  LAMELLA_INLINE Division(int64_t a, int64_t b) {
    if ((a | b) >> 32) { quotient = a / b; rest = a % b; }
    else { quotient = uint32_t(a) / uint32_t(b); rest = uint32_t(a) % uint32_t(b); }
  }
};

// f(an unsigned integer of `size` bytes): what moves elements without reading them is made once for each size.
template <class F> LAMELLA_INLINE auto by_size(int size, const F& f) {
  switch (size) {
    case 1: return f(uint8_t());
    case 2: return f(uint16_t());
    case 4: return f(uint32_t());
    default: return f(uint64_t());
  }
}

// f(i) for every i in [0, count). Below two tasks, or inside another task, on the caller's own thread.
template <class F> inline void parallel(int64_t count, const F& f) {
  if (count == 1) { f(int64_t(0)); return; }
  run_tasks(count, [](void* c, int64_t i) { (*static_cast<const F*>(c))(i); }, const_cast<F*>(&f));
}

// f(begin, end) over [0, n) in blocks of `grain` (the last may be short). The blocks depend on n and grain alone.
template <class F> inline void parallel_blocks(int64_t n, int64_t grain, const F& f) {
  if (n <= 0) return;
  parallel(ceil_div(n, grain), [&](int64_t i) {
    int64_t begin = i * grain, end = begin + grain < n ? begin + grain : n;
    f(begin, end);
  });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
