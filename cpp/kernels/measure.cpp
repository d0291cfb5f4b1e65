// SPDX-License-Identifier: MIT
// What this machine can do: the peak of its multiply-add units and of its memory, in the code this ISA would run.
#include "vec.h"

namespace lamella {
namespace LAMELLA_ISA {

// Chains enough to cover the latency of two pipelined multiply-add units, few enough to stay in registers.
constexpr int kChains = 12;

template <class A> static void fma_task(int64_t count, double* sink) {
  vec<A> acc[kChains], x = splat(A(0.999)), y = splat(A(0.001));
  for (int i = 0; i < kChains; ++i) acc[i] = splat(A(i));
#if defined(__x86_64__)
  asm volatile("" : "+v"(x), "+v"(y));
#endif
  for (int64_t r = 0; r < count; ++r) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) acc[i] = fma(acc[i], x, y);
  }
  for (int i = 1; i < kChains; ++i) acc[0] += acc[i];
  *sink = double(hsum(acc[0]));
}

// sink: one double per task.
void measure_fma(const MeasureFma& g) {
  parallel(g.tasks, [&](int64_t t) {
    if (g.dtype == DType::f64) fma_task<double>(g.count, g.sink + t);
    else fma_task<float>(g.count, g.sink + t);
  });
  int lanes = g.dtype == DType::f64 ? kLanes<double> : kLanes<float>;
  *g.flops = 2.0 * double(lanes) * kChains * double(g.count) * double(g.tasks);
}

// Full lines of `a` go past the caches, where the ISA has such stores and `a` is aligned.
void measure_triad(const MeasureTriad& g) {
  parallel_blocks(g.n, 1 << 16, [&](int64_t begin, int64_t end) {
    vec<float> s = splat(g.s);
    int64_t i = begin;
    const bool aligned = reinterpret_cast<uintptr_t>(g.a + begin) % kVecBytes == 0;
    for (; i + kLanes<float> <= end; i += kLanes<float>) {
      vec<float> v = fma(s, vload(g.c + i), vload(g.b + i));
      if (aligned) { vstream(g.a + i, v); continue; }
      vstore(g.a + i, v);
    }
    for (; i < end; ++i) g.a[i] = g.b[i] + g.s * g.c[i];
    stream_end();
  });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
