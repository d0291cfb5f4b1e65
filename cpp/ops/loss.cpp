// SPDX-License-Identifier: MIT
#include "loss.h"
#include "dispatch/dispatch.h"
#include "param.h"

namespace lamella::ops {
namespace {

LossOp loss_op(const std::string& kind) {
#define L(name) if (kind == #name) return LossOp::name;
  LAMELLA_LOSS_OPS(L)
#undef L
  throw ValueError(text("[loss] kind must be that of a kernel, got '", kind, "'"));
}

void check_pair(const Array& input, const Array& target) {
  check_floating("loss", input);
  check<ValueError>(input.shape == target.shape, "[loss] target must have shape ", input.shape, ", got ", target.shape);
  check<TypeError>(input.dtype == target.dtype, "[loss] target must have dtype ", name_of(input.dtype), ", got ",
                   name_of(target.dtype));
}

}  // namespace

Array loss_fwd(const std::string& kind, const Array& input, const Array& target, const std::string& reduction, double p) {
  check_pair(input, target);
  const Reduction how = reduction_of(kind.c_str(), reduction);
  const Array x = contiguous(input), t = contiguous(target);
  Array loss = empty(how == Reduction::none ? input.shape : Shape{}, x.dtype);
  if (loss.numel()) kernels().loss_fwd({loss_op(kind), x.dtype, how, x.numel(), x.data(), t.data(), loss.data(), p});
  return loss;
}

Array loss_bwd(const std::string& kind, const Array& input, const Array& target, const Array& dloss,
               const std::string& reduction, double p) {
  check_pair(input, target);
  const Array x = contiguous(input), t = contiguous(target), d = contiguous(dloss);
  Array dx = empty(x.shape, x.dtype);
  if (dx.numel())
    kernels().loss_bwd({loss_op(kind), x.dtype, reduction_of(kind.c_str(), reduction), x.numel(), x.data(), t.data(), d.data(),
                        dx.data(), p});
  return dx;
}

}  // namespace lamella::ops
