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

#if defined(__AVX512VNNI__) || defined(__AVX512BF16__)
// Dot products of words: S sums, add(sum, x, y) of 32-bit lanes that hold two bfloat16 or four int8 each.
template <class S, class Add> static void dot_task(int64_t count, double* sink, const Add& add) {
  vec<S> acc[kChains];
  for (int i = 0; i < kChains; ++i) acc[i] = splat(S(i));  // chains that differ, or they would be one
  vec<int32_t> x = splat(int32_t(0x3f003f00)), y = splat(int32_t(0x3e003e00));
  asm volatile("" : "+v"(x), "+v"(y));
  for (int64_t r = 0; r < count; ++r) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) acc[i] = add(acc[i], x, y);
  }
  for (int i = 1; i < kChains; ++i) acc[0] += acc[i];
  *sink = double(acc[0][0]);
}
#endif

// sink: one double per task.
void measure_fma(const MeasureFma& g) {
  int per_vector = g.dtype == DType::f64 ? kLanes<double> : kLanes<float>;
#if defined(__AVX512BF16__)
  if (g.dtype == DType::bf16) per_vector *= 2;
#endif
#if defined(__AVX512VNNI__)
  if (g.dtype == DType::i8) per_vector *= 4;
#else
  if (g.dtype == DType::i8) per_vector = 0;
#endif
  *g.flops = 2.0 * double(per_vector) * kChains * double(g.count) * double(g.tasks);
  if (per_vector) parallel(g.tasks, [&](int64_t t) {
    double* const sink = g.sink + t;
#if defined(__AVX512BF16__)
    if (g.dtype == DType::bf16)
      return dot_task<float>(g.count, sink, [](vec<float> sum, vec<int32_t> x, vec<int32_t> y) __attribute__((always_inline)) {
        return (vec<float>)_mm512_dpbf16_ps((__m512)sum, (__m512bh)x, (__m512bh)y);
      });
#endif
#if defined(__AVX512VNNI__)
    if (g.dtype == DType::i8)
      return dot_task<int32_t>(g.count, sink, [](vec<int32_t> sum, vec<int32_t> x, vec<int32_t> y) __attribute__((always_inline)) {
        return (vec<int32_t>)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)x, (__m512i)y);
      });
#endif
    if (g.dtype == DType::f64) fma_task<double>(g.count, sink);
    else fma_task<float>(g.count, sink);
  });
}

#ifndef LAMELLA_DOT_BASE  // that of the base serves

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
#endif

}  // namespace LAMELLA_ISA
}  // namespace lamella
