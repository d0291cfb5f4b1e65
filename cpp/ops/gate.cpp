// SPDX-License-Identifier: MIT
#include "gate.h"
#include "dispatch/dispatch.h"
#include "param.h"

namespace lamella::ops {
namespace {

struct Halves { GateOp op; int64_t outer = 1, n = 1; int dim; };

Halves halves(const std::string& kind, const Array& x, int64_t d) {
  check_floating(kind.c_str(), x);
  check<ValueError>(x.ndim() > 0, "[", kind, "] input must have a dimension to halve, got a scalar");
  Halves h{kind == "glu" ? GateOp::glu : kind == "swiglu" ? GateOp::swiglu : GateOp::geglu, 1, 1,
           normalize_dim(kind.c_str(), d, x.ndim())};
  check<ValueError>(x.shape[h.dim] % 2 == 0, "[", kind, "] input must have an even size along dim ", d, ", got ", x.shape);
  for (int i = 0; i < h.dim; ++i) h.outer *= x.shape[i];
  h.n = x.shape[h.dim] / 2;
  for (int i = h.dim + 1; i < x.ndim(); ++i) h.n *= x.shape[i];
  return h;
}

}  // namespace

Array gate_fwd(const std::string& kind, const Array& input, int64_t dim) {
  const Halves h = halves(kind, input, dim);
  const Array x = contiguous(input);
  Shape shape = x.shape;
  shape[h.dim] /= 2;
  Array y = empty(shape, x.dtype);
  if (y.numel()) kernels().gate_fwd({h.op, x.dtype, h.outer, h.n, x.data(), y.data()});
  return y;
}

Array gate_bwd(const std::string& kind, const Array& input, const Array& dy, int64_t dim) {
  const Halves h = halves(kind, input, dim);
  const Array x = contiguous(input), d = contiguous(dy);
  Array dx = empty(x.shape, x.dtype);
  if (dx.numel()) kernels().gate_bwd({h.op, x.dtype, h.outer, h.n, x.data(), d.data(), dx.data()});
  return dx;
}

}  // namespace lamella::ops
