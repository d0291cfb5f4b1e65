// SPDX-License-Identifier: MIT
// The measurements of the device do the work they count.
#include "cuda/device.cuh"
#include "typed.h"

using namespace lamella;

int main() {
  for (DType type : {DType::f32, DType::f64}) {
    double flops = 0, sink[3] = {-1, -1, -1};
    cuda::measure_fma({type, 10, 3, &flops, sink});
    CHECK(flops == 2.0 * 256 * 16 * 10 * 3);
    double want = 0;
    for (int t = 0; t < 256; ++t)
      for (int i = 0; i < 16; ++i) {
        double v = i + t;
        for (int r = 0; r < 10; ++r) v = v * 0.999 + 0.001;
        want += v;
      }
    for (double s : sink) CHECK(std::fabs(s - want) <= 1e-5 * want);
  }
  for (int64_t n : {0, 1, 3, 4, 5, 1023, 8191, 8192, 100003})
    for (int64_t offset : {0, 1}) {
      Typed a(DType::f32, n, offset), b(DType::f32, n, offset), c(DType::f32, n), want(DType::f32, n);
      b.fill(1, -1, 1);
      c.fill(2, -1, 1);
      for (int64_t i = 0; i < n; ++i) want.set(i, b[i] + 3 * c[i]);
      cuda::measure_triad({n, static_cast<float*>(a.data()), static_cast<const float*>(b.data()),
                           static_cast<const float*>(c.data()), 3});
      CHECK(a.close(want, 1e-6, 1e-6) && a.intact());
    }
  return failures() != 0;
}
