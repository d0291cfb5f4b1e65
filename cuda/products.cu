// SPDX-License-Identifier: MIT
// Products of vectors that are no matrix product.
#include "device.cuh"

namespace lamella::cuda {
namespace {

template <class T>
__global__ void __launch_bounds__(kThreads) cross_kernel(const T* a, const T* b, T* y, int64_t n, const Divisor inner) {
  const int64_t m = inner.d;
#pragma unroll 1
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < n; i += int64_t(gridDim.x) * kThreads) {
    int64_t c;
    const int64_t r = inner.divide(i, c), at = r * 3 * m + c;
    const auto a0 = up(a[at]), a1 = up(a[at + m]), a2 = up(a[at + 2 * m]);
    const auto b0 = up(b[at]), b1 = up(b[at + m]), b2 = up(b[at + 2 * m]);
    y[at] = down<T>(a1 * b2 - a2 * b1);
    y[at + m] = down<T>(a2 * b0 - a0 * b2);
    y[at + 2 * m] = down<T>(a0 * b1 - a1 * b0);
  }
}

}  // namespace

void cross(const Cross& c) {
  by_float(c.dtype, [&](auto t) {
    using T = decltype(t);
    const int64_t n = c.outer * c.inner;
    launch("cross", cross_kernel<T>, dim3(blocks_for(n, kThreads)), dim3(kThreads), 0, static_cast<const T*>(c.a),
           static_cast<const T*>(c.b), static_cast<T*>(c.y), n, Divisor(c.inner));
  });
}

}  // namespace lamella::cuda
