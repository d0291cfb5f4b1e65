// SPDX-License-Identifier: MIT
// What this device can do: the peak of its multiply-add units (a task is a block) and of its memory.
#include "device.cuh"

namespace lamella::cuda {
namespace {

constexpr int kChains = 16;

template <class A> __global__ void __launch_bounds__(kThreads) fma_task(int64_t count, A x, A y, double* sink) {
  A acc[kChains];
#pragma unroll
  for (int i = 0; i < kChains; ++i) acc[i] = A(i + int(threadIdx.x));
#pragma unroll 4
  for (int64_t r = 0; r < count; ++r) {
#pragma unroll
    for (int i = 0; i < kChains; ++i) acc[i] = acc[i] * x + y;
  }
#pragma unroll
  for (int i = 1; i < kChains; ++i) acc[0] += acc[i];
  const double sum = block_reduce(double(acc[0]), Sum(), 0.0);
  if (threadIdx.x == 0) sink[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kThreads) triad(int64_t n, float* a, const float* b, const float* c, float s, bool packed) {
  const int64_t at = int64_t(blockIdx.x) * kThreads + threadIdx.x, step = int64_t(gridDim.x) * kThreads;
  const int64_t packs = packed ? n / 4 : 0;
#pragma unroll 2
  for (int64_t i = at; i < packs; i += step) {
    const Pack<float, 4> x = load_pack<float, 4>(b + 4 * i), y = load_pack<float, 4>(c + 4 * i);
    Pack<float, 4> z;
#pragma unroll
    for (int j = 0; j < 4; ++j) z.v[j] = x.v[j] + s * y.v[j];
    store_pack(a + 4 * i, z);
  }
  for (int64_t i = 4 * packs + at; i < n; i += step) a[i] = b[i] + s * c[i];
}

}  // namespace

void measure_fma(const MeasureFma& g) {
  *g.flops = g.dtype == DType::i8 ? 0 : 2.0 * kThreads * kChains * double(g.count) * double(g.tasks);
  if (g.dtype == DType::i8) return;
  if (g.dtype == DType::f64)
    launch("measure_fma", fma_task<double>, dim3(unsigned(g.tasks)), dim3(kThreads), 0, g.count, 0.999, 0.001, g.sink);
  else
    launch("measure_fma", fma_task<float>, dim3(unsigned(g.tasks)), dim3(kThreads), 0, g.count, 0.999f, 0.001f, g.sink);
}

void measure_triad(const MeasureTriad& g) {
  launch("measure_triad", triad, dim3(blocks_for(g.n, kThreads * 8, 32)), dim3(kThreads), 0, g.n, g.a, g.b, g.c, g.s,
         is_aligned(g.a) && is_aligned(g.b) && is_aligned(g.c));
}

}  // namespace lamella::cuda
