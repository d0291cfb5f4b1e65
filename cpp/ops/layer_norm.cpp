// SPDX-License-Identifier: MIT
#include "layer_norm.h"
#include "dispatch/dispatch.h"
#include "param.h"

namespace lamella::ops {
namespace {

struct Grads {  // what is asked for, allocated
  Array dx, dw, db;
  Grads(const Array& x, const Shape& params, bool need_x, bool need_weight, bool need_bias, bool last = false) {
    if (need_x) dx = last ? empty_channels_last(x.shape, x.dtype) : empty(x.shape, x.dtype);
    if (need_weight) dw = empty(params, x.dtype);
    if (need_bias) db = empty(params, x.dtype);
  }
};

// Whether images go to the CPU's kernel with adjacent channels: few of them would not fill vectors.
bool takes_pixels(const Array& x) { return here().is_cpu() && x.is_channels_last() && x.shape[1] >= 8; }

}  // namespace

std::tuple<Array, Array, Array> layer_norm_fwd(const Array& x, const Shape& shape, const std::optional<Array>& weight,
                                               const std::optional<Array>& bias, double eps, bool rms) {
  const char* op = rms ? "rms_norm" : "layer_norm";
  check_floating(op, x);
  const int lead = x.ndim() - shape.n;
  bool same = shape.n > 0 && lead >= 0;
  for (int i = 0; same && i < shape.n; ++i) same = x.shape[lead + i] == shape[i];
  check<ValueError>(same, "[", op, "] normalized_shape must be the last sizes of input ", x.shape, ", got ", shape);
  Array w = parameter(op, "weight", weight, shape, x.dtype), b = parameter(op, "bias", bias, shape, x.dtype);
  const Shape outer(x.shape.begin(), x.shape.begin() + lead);
  const DType wide = wide_dtype(x.dtype);
  Array c = contiguous(x), y = empty(x.shape, x.dtype), rstd = empty(outer, wide);
  Array mean = rms ? Array() : empty(outer, wide);
  kernels().layer_norm_fwd({c.dtype, outer.product(), shape.product(), c.data(), data_of(w), data_of(b), y.data(),
                            data_of(mean), rstd.data(), eps, rms});
  return {y, mean, rstd};
}

std::tuple<Array, Array, Array> layer_norm_bwd(const Array& x, const Array& dy, const Shape& shape,
                                               const std::optional<Array>& weight, const std::optional<Array>& mean,
                                               const Array& rstd, bool rms, bool need_x, bool need_weight, bool need_bias) {
  Array w = parameter("layer_norm", "weight", weight, shape, x.dtype), cx = contiguous(x), cdy = contiguous(dy);
  Grads g(x, shape, need_x, need_weight, need_bias);
  kernels().layer_norm_bwd({cx.dtype, rstd.numel(), shape.product(), cx.data(), cdy.data(), data_of(w),
                            mean ? mean->data() : nullptr, rstd.data(), data_of(g.dx), data_of(g.dw), data_of(g.db), rms});
  return {g.dx, g.dw, g.db};
}

std::tuple<Array, Array, Array> group_norm_fwd(const Array& x, int64_t groups, const std::optional<Array>& weight,
                                               const std::optional<Array>& bias, double eps) {
  const char* op = "group_norm";
  check_floating(op, x);
  check<ValueError>(x.ndim() >= 2, "[group_norm] input must be (N, C, ...), got ", x.shape);
  const int64_t n = x.shape[0], c = x.shape[1];
  check<ValueError>(groups > 0 && c % groups == 0, "[group_norm] num_groups must divide the ", c,
                    " channels of input, got ", groups);
  Array w = parameter(op, "weight", weight, {c}, x.dtype), b = parameter(op, "bias", bias, {c}, x.dtype);
  const DType wide = wide_dtype(x.dtype);
  const bool last = takes_pixels(x);
  if (last && size_of(x.dtype) == 2) {  // 16-bit floats are rounded once
    const auto widened = [](const Array& a) { return a.defined() ? std::optional(cast(a, DType::f32)) : std::nullopt; };
    auto [y, mean, rstd] = group_norm_fwd(cast(x, DType::f32), groups, widened(w), widened(b), eps);
    return {cast(y, x.dtype), mean, rstd};
  }
  Array cx = last ? x : contiguous(x), y = last ? empty_channels_last(x.shape, x.dtype) : empty(x.shape, x.dtype);
  Array mean = empty({n, groups}, wide), rstd = empty({n, groups}, wide);
  if (x.numel())
    kernels().group_norm_fwd({cx.dtype, n, c, x.numel() / (n * c), groups, cx.data(), data_of(w), data_of(b), y.data(),
                              mean.data(), rstd.data(), eps, last});
  return {y, mean, rstd};
}

std::tuple<Array, Array, Array> group_norm_bwd(const Array& x, const Array& dy, int64_t groups,
                                               const std::optional<Array>& weight, const Array& mean, const Array& rstd,
                                               bool need_x, bool need_weight, bool need_bias) {
  const int64_t n = x.shape[0], c = x.shape[1], inner = n * c > 0 ? x.numel() / (n * c) : 0;
  const bool last = takes_pixels(x);
  Array w = parameter("group_norm", "weight", weight, {c}, x.dtype);
  if (last && size_of(x.dtype) == 2) {
    const auto narrowed = [&](const Array& a) { return a.defined() ? cast(a, x.dtype) : a; };
    auto [dx, dw, db] = group_norm_bwd(cast(x, DType::f32), cast(dy, DType::f32), groups,
                                       w.defined() ? std::optional(cast(w, DType::f32)) : std::nullopt, mean, rstd, need_x, need_weight, need_bias);
    return {narrowed(dx), narrowed(dw), narrowed(db)};
  }
  Array cx = last ? x : contiguous(x), cdy = last ? channels_last(dy) : contiguous(dy);
  Grads g(x, {c}, need_x, need_weight, need_bias, last);
  kernels().group_norm_bwd({cx.dtype, n, c, inner, groups, cx.data(), cdy.data(), data_of(w), mean.data(), rstd.data(),
                            data_of(g.dx), data_of(g.dw), data_of(g.db), last});
  return {g.dx, g.dw, g.db};
}

}  // namespace lamella::ops
