// SPDX-License-Identifier: MIT
// Optional parameters of the norms and losses: checked, in the dtype the kernel wants, contiguous.
#pragma once
#include <optional>
#include <string>
#include "elementwise.h"
#include "kernels/kernels.h"

namespace lamella::ops {

inline Array parameter(const char* op, const char* name, const std::optional<Array>& p, const Shape& shape, DType dtype) {
  if (!p || !p->defined()) return {};
  check<ValueError>(p->shape == shape, "[", op, "] ", name, " must have shape ", shape, ", got ", p->shape);
  check<TypeError>(is_floating(p->dtype), "[", op, "] ", name, " must have a floating dtype, got ", name_of(p->dtype));
  return contiguous(cast(*p, dtype));
}
inline void* data_of(const Array& a) { return a.defined() ? a.data() : nullptr; }
// What sums and statistics of x are kept in.
inline DType wide_dtype(DType x) { return x == DType::f64 ? DType::f64 : DType::f32; }
inline void check_floating(const char* op, const Array& x) {
  check<TypeError>(is_floating(x.dtype), "[", op, "] input must have a floating dtype, got ", name_of(x.dtype),
                   ": use input.to(lamella.float32)");
}
inline Reduction reduction_of(const char* op, const std::string& name) {
  if (name == "mean") return Reduction::mean;
  if (name == "sum") return Reduction::sum;
  check<ValueError>(name == "none", "[", op, "] reduction must be 'none', 'mean' or 'sum', got '", name, "'");
  return Reduction::none;
}

}  // namespace lamella::ops
