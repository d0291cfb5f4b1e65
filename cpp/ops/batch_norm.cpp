// SPDX-License-Identifier: MIT
#include "batch_norm.h"
#include "dispatch/dispatch.h"
#include "param.h"

namespace lamella::ops {
namespace {

constexpr const char* op = "batch_norm";

// Channels last in memory: rows of c values.
struct Layout {
  int64_t n, c, inner;
  bool last = false;
  Dims to, from;  // to channels-last order, and back

  explicit Layout(const Array& x) {
    check_floating(op, x);
    check<ValueError>(x.ndim() >= 2, "[batch_norm] input must be (N, C, ...), got ", x.shape);
    n = x.shape[0];
    c = x.shape[1];
    inner = n * c > 0 ? x.numel() / (n * c) : 0;
    if (x.ndim() < 3 || x.is_contiguous()) return;
    to.push(0);
    from.push(0);
    from.push(x.ndim() - 1);
    for (int i = 2; i < x.ndim(); ++i) { to.push(i); from.push(i - 1); }
    to.push(1);
    last = x.permute(to).is_contiguous();
    if (last) { n *= inner; inner = 1; }
  }
  Array dense(const Array& x) const { return last ? contiguous(x.permute(to)) : contiguous(x); }
  Array make(const Array& x) const {  // dense memory for a result of x's shape
    if (!last) return empty(x.shape, x.dtype);
    Shape s;
    for (int64_t d : to) s.push(x.shape[int(d)]);
    return empty(s, x.dtype);
  }
  Array view(const Array& y) const { return last && y.defined() ? y.permute(from) : y; }
};

}  // namespace

std::tuple<Array, Array, Array> batch_norm_fwd(const Array& x, const std::optional<Array>& weight,
                                               const std::optional<Array>& bias, std::optional<Array> running_mean,
                                               std::optional<Array> running_var, double momentum, double eps) {
  const Layout g(x);
  const DType wide = wide_dtype(x.dtype);
  check<ValueError>(g.n * g.inner != 1, "[batch_norm] input must have more than one value per channel in training, got ",
                    x.shape);
  check<ValueError>(bool(running_mean) == bool(running_var),
                    "[batch_norm] running_mean and running_var must be given together");
  Array w = parameter(op, "weight", weight, {g.c}, wide), b = parameter(op, "bias", bias, {g.c}, wide);
  Array rm = parameter(op, "running_mean", running_mean, {g.c}, wide);
  Array rv = parameter(op, "running_var", running_var, {g.c}, wide);
  for (auto* r : {&running_mean, &running_var})
    check<ValueError>(!*r || !(*r)->storage->readonly, "[batch_norm] running statistics must be writable, got read-only memory");
  Array c = g.dense(x), y = g.make(x), mean = empty({g.c}, wide), rstd = empty({g.c}, wide);
  if (!x.numel()) {  // no moments: zeros, so that backward's sums over nothing stay zero
    fill_(mean, 0.0);
    fill_(rstd, 0.0);
    return {g.view(y), mean, rstd};
  }
  kernels().batch_norm_fwd({c.dtype, wide, g.n, g.c, g.inner, c.data(), data_of(w), data_of(b), y.data(), mean.data(),
                            rstd.data(), data_of(rm), data_of(rv), eps, momentum, Act::none});
  if (rm.defined()) {
    if (rm.storage.get() != running_mean->storage.get()) copy_(*running_mean, rm);
    if (rv.storage.get() != running_var->storage.get()) copy_(*running_var, rv);
    ++running_mean->storage->version;
    ++running_var->storage->version;
  }
  return {g.view(y), mean, rstd};
}

std::tuple<Array, Array, Array> batch_norm_apply(const Array& x, const std::optional<Array>& weight,
                                                 const std::optional<Array>& bias, const Array& running_mean,
                                                 const Array& running_var, double eps) {
  const Layout g(x);
  const DType wide = wide_dtype(x.dtype);
  Array w = parameter(op, "weight", weight, {g.c}, wide), b = parameter(op, "bias", bias, {g.c}, wide);
  Array mean = parameter(op, "running_mean", running_mean, {g.c}, wide);
  Array var = parameter(op, "running_var", running_var, {g.c}, wide);
  Array rstd = unary(UnaryOp::rsqrt, binary(BinaryOp::add, var, eps));
  Array c = g.dense(x), y = g.make(x);
  if (x.numel())
    kernels().batch_norm_apply({c.dtype, wide, g.n, g.c, g.inner, c.data(), data_of(w), data_of(b), mean.data(),
                                rstd.data(), y.data(), Act::none});
  return {g.view(y), mean, rstd};
}

std::tuple<Array, Array, Array> batch_norm_bwd(const Array& x, const Array& dy, const std::optional<Array>& weight,
                                               const Array& mean, const Array& rstd, bool frozen, bool need_x,
                                               bool need_weight, bool need_bias) {
  const Layout g(x);
  const DType wide = wide_dtype(x.dtype);
  Array w = parameter(op, "weight", weight, {g.c}, wide), cx = g.dense(x), cdy = g.dense(dy), dx, dw, db;
  if (need_x) dx = g.make(x);
  if (need_weight) dw = empty({g.c}, wide);
  if (need_bias) db = empty({g.c}, wide);
  kernels().batch_norm_bwd({cx.dtype, wide, g.n, g.c, g.inner, cx.data(), cdy.data(), data_of(w), mean.data(),
                            rstd.data(), data_of(dx), data_of(dw), data_of(db), frozen});
  return {g.view(dx), dw, db};
}

}  // namespace lamella::ops
