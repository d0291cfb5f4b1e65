// SPDX-License-Identifier: MIT
// Products of vectors that are no matrix product.
#include "rows.h"

namespace lamella {
namespace LAMELLA_ISA {

template <class T> static void cross_of(const Cross& c) {
  const T *a = static_cast<const T*>(c.a), *b = static_cast<const T*>(c.b);
  T* y = static_cast<T*>(c.y);
  const int64_t n = c.inner;
  parallel_blocks(c.outer * n, kTask, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end;) {  // the rest of one (3, inner)
      const int64_t stop = least(end, (i / n + 1) * n);
      const int64_t run = n == 1 ? end - i : stop - i, step = n == 1 ? 3 : 1, at = n == 1 ? 3 * i : i / n * 3 * n + i % n;
      const T *__restrict p = a + at, *__restrict q = b + at;
      T* __restrict o = y + at;
      for (int64_t k = 0; k < run; ++k, p += step, q += step, o += step) {
        const auto p0 = up(p[0]), p1 = up(p[n]), p2 = up(p[2 * n]), q0 = up(q[0]), q1 = up(q[n]), q2 = up(q[2 * n]);
        o[0] = down<T>(p1 * q2 - p2 * q1);
        o[n] = down<T>(p2 * q0 - p0 * q2);
        o[2 * n] = down<T>(p0 * q1 - p1 * q0);
      }
      i += run;
    }
  });
}

void cross(const Cross& c) {
  switch (c.dtype) {
    case DType::f32: return cross_of<float>(c);
    case DType::f64: return cross_of<double>(c);
    case DType::bf16: return cross_of<bf16>(c);
    default: return cross_of<f16>(c);
  }
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
