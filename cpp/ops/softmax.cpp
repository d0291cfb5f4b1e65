// SPDX-License-Identifier: MIT
#include "softmax.h"
#include "dispatch/dispatch.h"
#include "index_check.h"
#include "param.h"

namespace lamella::ops {
namespace {

struct Middle { int64_t outer = 1, n = 1, inner = 1; };  // a shape around one dimension

Middle around(const Shape& shape, int dim) {
  Middle m;
  if (shape.n == 0) return m;
  for (int i = 0; i < dim; ++i) m.outer *= shape[i];
  m.n = shape[dim];
  for (int i = dim + 1; i < shape.n; ++i) m.inner *= shape[i];
  return m;
}

// Logits (C,) or (N, C, ...) as the kernel takes them: of images with adjacent channels a pixel is a row.
struct Logits {
  bool last;
  Array x;
  Middle m;
  explicit Logits(const Array& input)
      : last(input.is_channels_last()), x(last ? input : contiguous(input)), m(around(input.shape, input.ndim() == 1 ? 0 : 1)) {
    if (last) m.outer *= m.inner, m.inner = 1;
  }
};

// The position of element i of `shape`, row-major.
Dims position(int64_t i, const Shape& shape) {
  Dims at = shape;
  for (int d = shape.n - 1; d >= 0; --d) { at[d] = i % shape[d]; i /= shape[d]; }
  return at;
}

// The targets, checked: on a GPU a copy in which those out of range are 0 (index_check.h).
Array checked_targets(const char* op, const Array& given, int64_t classes, int64_t ignore) {
  if (!here().is_cpu()) return safe_index(op, given, classes, false, ignore);
  const Array target = contiguous(cast(given, DType::i64));
  const int64_t *t = target.data<int64_t>(), n = target.numel();
  int64_t bad = 0;
  for (int64_t i = 0; i < n; ++i) bad |= int64_t(uint64_t(t[i]) >= uint64_t(classes)) & int64_t(t[i] != ignore);
  if (!bad) return target;
  for (int64_t i = 0; i < n; ++i)
    check<IndexError>((t[i] >= 0 && t[i] < classes) || t[i] == ignore, "[", op, "] target must be in [0, ", classes,
                      ") or ignore_index (", ignore, "), got ", t[i], " at ", position(i, target.shape));
  return target;
}

}  // namespace

Array softmax_fwd(const Array& x, int64_t dim, bool log) {
  const char* op = log ? "log_softmax" : "softmax";
  check_floating(op, x);
  const Order order(x);
  const Array c = contiguous(order.apply(x)), y = order.make(x.shape, x.dtype);
  const Middle m = around(c.shape, order.dim(normalize_dim(op, dim, x.ndim() ? x.ndim() : 1)));
  if (c.numel()) kernels().softmax_fwd({c.dtype, log, m.outer, m.n, m.inner, c.data(), y.data()});
  return y;
}

Array softmax_bwd(const Array& y, const Array& dy, int64_t dim, bool log) {
  const Order order(y);
  const Array cy = contiguous(order.apply(y)), cdy = contiguous(order.apply(dy)), dx = order.make(y.shape, y.dtype);
  const Middle m = around(cy.shape, order.dim(normalize_dim("softmax", dim, y.ndim() ? y.ndim() : 1)));
  if (cy.numel()) kernels().softmax_bwd({cy.dtype, log, m.outer, m.n, m.inner, cy.data(), cdy.data(), dx.data()});
  return dx;
}

std::tuple<Array, Array, Array, Array> cross_entropy_fwd(const Array& input, const Array& target,
                                                         const std::optional<Array>& weight, int64_t ignore_index,
                                                         const std::string& reduction, double smoothing, bool log_probs) {
  const char* op = log_probs ? "nll_loss" : "cross_entropy";
  check_floating(op, input);
  check<ValueError>(input.ndim() >= 1, "[", op, "] input must have a dimension of classes, got a scalar");
  Shape expected = input.shape;
  expected.erase(input.ndim() == 1 ? 0 : 1);
  check<ValueError>(target.shape == expected, "[", op, "] target must have shape ", expected, " for input ", input.shape,
                    ", got ", target.shape);
  check<TypeError>(is_integer(target.dtype), "[", op, "] target must hold class indices of an integer dtype, got ",
                   name_of(target.dtype), ": use target.to(lamella.int64)");
  const auto [last, x, m] = Logits(input);
  check<ValueError>(m.n > 0, "[", op, "] input must have at least one class, got ", input.shape);
  check<ValueError>(smoothing >= 0 && smoothing <= 1, "[", op, "] label_smoothing must be in [0, 1], got ", smoothing);
  const Reduction how = reduction_of(op, reduction);
  const DType wide = wide_dtype(input.dtype);
  Array t = checked_targets(op, target, m.n, ignore_index), w = parameter(op, "weight", weight, {m.n}, wide);
  Array loss = empty(how == Reduction::none ? expected : Shape{}, x.dtype);
  Array lse = log_probs ? Array() : empty(expected, wide), denominator = empty({}, wide);
  kernels().cross_entropy_fwd({x.dtype, m.outer, m.n, m.inner, x.data(), t.data<int64_t>(), data_of(w), loss.data(),
                               data_of(lse), denominator.data(), ignore_index, smoothing, how, log_probs});
  return {loss, lse, denominator, t};
}

Array cross_entropy_bwd(const Array& input, const Array& target, const std::optional<Array>& weight,
                        const std::optional<Array>& lse, const Array& denominator, const Array& dloss,
                        int64_t ignore_index, const std::string& reduction, double smoothing, bool log_probs) {
  const char* op = log_probs ? "nll_loss" : "cross_entropy";
  const auto [last, x, m] = Logits(input);
  Array dl = contiguous(dloss), dx = last ? empty_channels_last(input.shape, input.dtype) : empty(input.shape, input.dtype);
  Array w = parameter(op, "weight", weight, {m.n}, wide_dtype(input.dtype));
  kernels().cross_entropy_bwd({x.dtype, m.outer, m.n, m.inner, x.data(), target.data<int64_t>(), data_of(w),
                               lse ? lse->data() : nullptr, denominator.data(), dl.data(), dx.data(), ignore_index,
                               smoothing, reduction_of(op, reduction), log_probs});
  return dx;
}

}  // namespace lamella::ops
