// SPDX-License-Identifier: MIT
#include "products.h"
#include "dispatch/dispatch.h"
#include "param.h"

namespace lamella::ops {

Array cross(const Array& a, const Array& b, int64_t dim) {
  check_floating("cross", a);
  check<TypeError>(a.dtype == b.dtype, "[cross] input and other must have one dtype, got ", name_of(a.dtype), " and ", name_of(b.dtype));
  const int d = normalize_dim("cross", dim, a.ndim());
  check(a.shape == b.shape && a.shape[d] == 3, "[cross] input and other must have one shape, with size 3 along dimension ", d,
        ", got ", a.shape, " and ", b.shape);
  const Array p = contiguous(a), q = contiguous(b);
  Array y = empty(a.shape, a.dtype);
  int64_t inner = 1;
  for (int i = d + 1; i < a.ndim(); ++i) inner *= a.shape[i];
  if (y.numel()) kernels().cross({y.dtype, y.numel() / (3 * inner), inner, p.data(), q.data(), y.data()});
  return y;
}

}  // namespace lamella::ops
