// SPDX-License-Identifier: MIT
#include "padding.h"
#include "dispatch/dispatch.h"
#include "elementwise.h"

namespace lamella::ops {

Array pad(const Array& x, const std::vector<PadSide>& sides, PadMode mode, double value) {
  if (sides.empty()) return clone(x);
  int64_t before[kMaxDims] = {};
  Shape shape = x.shape;
  for (const PadSide& s : sides) before[s.dim] = s.before, shape[s.dim] += s.before + s.after;
  const Order order(x);
  const Array from = contiguous(order.apply(x)), y = order.make(shape, x.dtype), to = order.apply(y);
  Pad p{mode, size_of(x.dtype), 0, {}, {}, {}, number_bits(x.dtype, value), from.data(), to.data()};
  bool merges = false;  // neither the dimension before nor this one is padded
  for (int d = 0; d < x.ndim(); ++d) {
    const bool padded = to.shape[d] != from.shape[d];
    if (merges && !padded) {
      p.in[p.ndim - 1] *= from.shape[d], p.out[p.ndim - 1] *= to.shape[d];
    } else {
      p.in[p.ndim] = from.shape[d], p.out[p.ndim] = to.shape[d], p.before[p.ndim++] = order.natural ? before[d] : before[order.to[d]];
    }
    merges = !padded;
  }
  if (y.numel()) kernels().pad(p);
  return y;
}

}  // namespace lamella::ops
