// SPDX-License-Identifier: MIT
#include "gate.h"
#include "dispatch/dispatch.h"
#include "param.h"

namespace lamella::ops {
namespace {

struct Halves {
  GateOp op;
  Order order;
  Array x;  // in that order
  int64_t outer = 1, n;
  Shape shape;  // of the result

  Halves(const std::string& kind, const Array& input, int64_t d) : order(input), x(contiguous(order.apply(input))), shape(input.shape) {
    check_floating(kind.c_str(), input);
    check<ValueError>(x.ndim() > 0, "[", kind, "] input must have a dimension to halve, got a scalar");
    op = kind == "glu" ? GateOp::glu : kind == "swiglu" ? GateOp::swiglu : GateOp::geglu;
    const int dim = normalize_dim(kind.c_str(), d, x.ndim()), at = order.dim(dim);
    check<ValueError>(shape[dim] % 2 == 0, "[", kind, "] input must have an even size along dim ", d, ", got ", shape);
    shape[dim] /= 2;
    for (int i = 0; i < at; ++i) outer *= x.shape[i];
    n = x.shape[at] / 2;
    for (int i = at + 1; i < x.ndim(); ++i) n *= x.shape[i];
  }
};

}  // namespace

Array gate_fwd(const std::string& kind, const Array& input, int64_t dim) {
  const Halves h(kind, input, dim);
  Array y = h.order.make(h.shape, input.dtype);
  if (y.numel()) kernels().gate_fwd({h.op, input.dtype, h.outer, h.n, h.x.data(), y.data()});
  return y;
}

Array gate_bwd(const std::string& kind, const Array& input, const Array& dy, int64_t dim) {
  const Halves h(kind, input, dim);
  const Array d = contiguous(h.order.apply(dy));
  Array dx = h.order.make(input.shape, input.dtype);
  if (dx.numel()) kernels().gate_bwd({h.op, input.dtype, h.outer, h.n, h.x.data(), d.data(), dx.data()});
  return dx;
}

}  // namespace lamella::ops
