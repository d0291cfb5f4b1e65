// SPDX-License-Identifier: MIT
#include "layout.h"
#include <cstdlib>

namespace lamella::ops {

Order::Order(const Array& x) {
  const int n = x.ndim();
  if (n < 2 || x.is_contiguous()) return;
  to.n = from.n = n;
  if (x.is_channels_last()) {
    for (int i = 1; i < n - 1; ++i) to[i] = i + 1;
    to[0] = 0, to[n - 1] = 1;
  } else {
    int sorted[kMaxDims], count = 0;
    for (int d = 0; d < n; ++d) {
      if (x.shape[d] == 1) continue;
      if (x.strides[d] == 0) return;
      int at = count++;
      for (; at > 0 && std::abs(x.strides[sorted[at - 1]]) < std::abs(x.strides[d]); --at) sorted[at] = sorted[at - 1];
      sorted[at] = d;
    }
    for (int d = 0, at = 0; d < n; ++d) to[d] = x.shape[d] == 1 ? d : sorted[at++];
  }
  for (int i = 0; i < n; ++i) {
    from[int(to[i])] = i;
    natural &= to[i] == i;
  }
}

bool Order::fits(const Array& x) const {
  int64_t before = INT64_MAX;
  for (int i = 0; i < x.ndim(); ++i) {
    const int d = natural ? i : int(to[i]);
    if (x.shape[d] == 1) continue;
    if (std::abs(x.strides[d]) > before) return false;
    before = std::abs(x.strides[d]);
  }
  return true;
}

Array Order::make(const Shape& shape, DType dtype) const {
  if (natural) return empty(shape, dtype);
  Shape s = shape;
  for (int i = 0; i < s.n; ++i) s[i] = shape[int(to[i])];
  return empty(s, dtype).permute(from);
}

bool is_dense(const Array& x) {
  if (x.is_contiguous()) return true;
  const Order order(x);
  return !order.natural && order.apply(x).is_contiguous();
}

Array empty_in_layout(const Shape& shape, DType dtype, std::initializer_list<const Array*> operands) {
  const auto broadcast = [](const Array& x) {
    for (int d = 0; d < x.ndim(); ++d)
      if (x.strides[d] == 0 && x.shape[d] != 1) return true;
    return false;
  };
  for (const Array* x : operands) {
    if (!x || x->shape != shape) continue;
    if (x->is_contiguous()) break;
    if (!broadcast(*x)) return Order(*x).make(shape, dtype);
  }
  return empty(shape, dtype);
}

}  // namespace lamella::ops
