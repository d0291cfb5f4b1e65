// SPDX-License-Identifier: MIT
#include "padding.h"
#include "dispatch/dispatch.h"
#include "elementwise.h"

namespace lamella::ops {

Array pad(const Array& x, const std::vector<PadSide>& sides, PadMode mode, double value) {
  if (sides.empty()) return copy(x);
  int64_t before[kMaxDims] = {};
  Shape shape = x.shape;
  for (const PadSide& s : sides) before[s.dim] = s.before, shape[s.dim] += s.before + s.after;
  const Array from = contiguous(x);
  Array y = empty(shape, x.dtype);
  Pad p{mode, size_of(x.dtype), 0, {}, {}, {}, number_bits(x.dtype, value), from.data(), y.data()};
  bool merges = false;  // neither the dimension before nor this one is padded
  for (int d = 0; d < x.ndim(); ++d) {
    const bool padded = shape[d] != x.shape[d];
    if (merges && !padded) {
      p.in[p.ndim - 1] *= x.shape[d], p.out[p.ndim - 1] *= shape[d];
    } else {
      p.in[p.ndim] = x.shape[d], p.out[p.ndim] = shape[d], p.before[p.ndim++] = before[d];
    }
    merges = !padded;
  }
  if (y.numel()) kernels().pad(p);
  return y;
}

}  // namespace lamella::ops
