// SPDX-License-Identifier: MIT
#include "rotary.h"
#include "dispatch/dispatch.h"
#include "param.h"

namespace lamella::ops {

Array rotary(const Array& x, const Array& cos, const Array& sin, bool interleaved, bool inverse) {
  const char* op = "rotary_embedding";
  check_floating(op, x);
  check<ValueError>(x.ndim() >= 2 && x.ndim() <= kHeadDims + 2, "[", op, "] input must have 2 to ", kHeadDims + 2,
                    " dimensions, got ", x.shape);
  const int64_t length = x.size(-2), dim = x.size(-1), pairs = cos.ndim() == 2 ? cos.shape[1] : 0;
  check<ValueError>(cos.ndim() == 2 && cos.shape[0] == length && 2 * pairs <= dim, "[", op, "] cos must have shape (", length,
                    ", at most ", dim / 2, ") for input ", x.shape, ", got ", cos.shape);
  const DType wide = wide_dtype(x.dtype);
  const Array c = parameter(op, "cos", cos, {length, pairs}, wide), s = parameter(op, "sin", sin, {length, pairs}, wide);
  const Array from = dim <= 1 || x.strides[x.ndim() - 1] == 1 ? x : contiguous(x);
  Array y = empty(x.shape, x.dtype);
  Rotary r{x.dtype, x.ndim() - 2, {}, length, dim, pairs, {from.data(), {}, from.strides[x.ndim() - 2]},
           y.data(), c.data(), s.data(), interleaved, inverse};
  for (int d = 0; d < r.ndim; ++d) {
    r.heads[d] = x.shape[d];
    r.x.batch[d] = from.strides[d];
  }
  if (y.numel()) kernels().rotary(r);
  return y;
}

}  // namespace lamella::ops
