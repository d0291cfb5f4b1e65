// SPDX-License-Identifier: MIT
#include "ops/reduce.h"
#include <cmath>
#include <limits>
#include "dispatch/dispatch.h"
#include "ops/elementwise.h"
#include "ops/loop.h"

namespace lamella::ops {

#define NAME(name) #name,
static const char* const kNames[] = {LAMELLA_REDUCE_OPS(NAME)};
#undef NAME

static bool is_arg(ReduceOp op) { return op == ReduceOp::argmax || op == ReduceOp::argmin; }

// A reduction's two halves: the dims that stay and the dims that go, of x.
struct Halves {
  bool gone[kMaxDims] = {};
  Shape result;  // with or without sizes of 1 for the dims that go
  Dims kept_shape, kept_strides, over_shape, over_strides;
  int64_t count = 1;  // elements of one result

  Halves(const char* op, const Array& x, const Dims& axes, bool keepdim) {
    for (int i = 0; i < axes.n; ++i) {
      if (x.shape.n == 0) { normalize_dim(op, axes.v[i], 1); continue; }
      const int d = normalize_dim(op, axes.v[i], x.shape.n);
      check(!gone[d], "[", op, "] dim must not repeat a dimension, got ", axes);
      gone[d] = true;
    }
    if (axes.n == 0) for (bool& g : gone) g = true;
    for (int d = 0; d < x.shape.n; ++d) {
      if (gone[d]) {
        over_shape.push(x.shape.v[d]);
        over_strides.push(x.strides.v[d]);
        count *= x.shape.v[d];
        if (keepdim) result.push(1);
      } else {
        kept_shape.push(x.shape.v[d]);
        kept_strides.push(x.strides.v[d]);
        result.push(x.shape.v[d]);
      }
    }
  }
  Loop<2> kept() const {
    const Dims y = contiguous_strides(kept_shape);
    const int64_t* strides[2] = {y.v, kept_strides.v};
    return make_loop(kept_shape.n, kept_shape.v, strides);
  }
  // Along x's memory, or in row-major order where positions count.
  Loop<2> over(bool row_major) const {
    const Dims order = contiguous_strides(over_shape);
    const int64_t* strides[2] = {row_major ? order.v : over_strides.v, over_strides.v};
    return make_loop(over_shape.n, over_shape.v, strides);
  }
  // True where elements that are reduced together lie apart, and those of neighbouring results together.
  bool columns() const {
    return over_shape.n && kept_shape.n && count > 1 && over_strides.back() != 1 && kept_shape.product() > 1;
  }
};

// x with the dims that go moved to the end, contiguous: for the reductions that have no column form.
static Array gathered(const Array& x, const Halves& h) {
  Dims order;
  for (int d = 0; d < x.shape.n; ++d) if (!h.gone[d]) order.push(d);
  for (int d = 0; d < x.shape.n; ++d) if (h.gone[d]) order.push(d);
  return contiguous(x.permute(order));
}
static Dims trailing(int from, int to) {
  Dims d;
  for (; from < to; ++from) d.push(from);
  return d;
}

Array reduce(ReduceOp op, const Array& input, const Dims& axes, bool keepdim, std::optional<DType> dtype) {
  const char* name = kNames[int(op)];
  const Array x = dtype && op != ReduceOp::any && op != ReduceOp::all ? cast(input, *dtype) : input;
  Halves h(name, x, axes, keepdim);
  const bool sums =
      op == ReduceOp::sum || op == ReduceOp::prod || op == ReduceOp::sum_squares || op == ReduceOp::sum_abs;
  check<TypeError>(op != ReduceOp::mean || is_floating(x.dtype), "[mean] input must be floating, got ",
                   name_of(x.dtype), "; pass dtype=");
  if (op == ReduceOp::max || op == ReduceOp::min || is_arg(op))
    check(h.count > 0, "[", name, "] input must have elements along the reduced dimensions, got shape ", x.shape);
  const DType to = op == ReduceOp::any || op == ReduceOp::all ? DType::b8
                   : is_arg(op) || (sums && !is_floating(x.dtype)) ? DType::i64
                                                                   : x.dtype;
  Array y = empty(h.result, to);
  if (is_arg(op) && h.columns() && h.kept_strides.back() != 1 && here().is_cpu()) {
    const Array g = gathered(x, h);
    const Halves rows(name, g, trailing(h.kept_shape.n, g.shape.n), false);
    kernels().reduce({op, g.dtype, to, g.bytes(), y.bytes(), rows.kept(), rows.over(true)});
    return y;
  }
  kernels().reduce({op, x.dtype, to, x.bytes(), y.bytes(), h.kept(), h.over(is_arg(op))});
  return y;
}

VarMean var(const Array& x, const Dims& axes, double correction, bool keepdim) {
  check<TypeError>(is_floating(x.dtype), "[var] input must be floating, got ", name_of(x.dtype));
  const DType wide = x.dtype == DType::f64 ? DType::f64 : DType::f32;
  const Halves h("var", x, axes, keepdim);
  VarMean r{empty(h.result, wide), empty(h.result, wide)};
  if (h.count == 0) {
    fill_(r.var, std::numeric_limits<double>::quiet_NaN());
    fill_(r.mean, std::numeric_limits<double>::quiet_NaN());
  } else {
    const bool gather = h.columns() && here().is_cpu();
    const Array g = gather ? gathered(x, h) : x;
    const Halves rows = gather ? Halves("var", g, trailing(h.kept_shape.n, g.shape.n), false) : h;
    kernels().moments({x.dtype, g.bytes(), r.mean.bytes(), r.var.bytes(), rows.kept(), rows.over(false)});
    const double divisor = double(h.count) - correction;
    binary_out(BinaryOp::div, r.var, r.var, divisor > 0 ? divisor : 0.0);
  }
  return {cast(r.var, x.dtype), cast(r.mean, x.dtype)};
}

Scanned scan(ScanOp op, const Array& input, int64_t dim, std::optional<DType> dtype) {
  static const char* const names[] = {"cumsum", "cumprod", "cummax", "cummin", "logcumsumexp"};
  const char* name = names[int(op)];
  const bool extreme = op == ScanOp::max || op == ScanOp::min, integer = !is_floating(input.dtype);
  check<TypeError>(op != ScanOp::logsumexp || !integer, "[", name, "] input must be floating, got ", name_of(input.dtype));
  const DType t = dtype ? *dtype : integer && !extreme ? DType::i64 : input.dtype;
  const Array x = contiguous(cast(input, t));
  const int d = normalize_dim(name, dim, x.shape.n ? x.shape.n : 1);
  Scanned y{empty(x.shape, t), extreme ? empty(x.shape, DType::i64) : Array()};
  int64_t outer = 1, inner = 1;
  for (int i = 0; i < x.shape.n; ++i) if (i < d) outer *= x.shape.v[i]; else if (i > d) inner *= x.shape.v[i];
  const int64_t n = x.shape.n ? x.shape.v[d] : 1;
  int64_t* index = extreme ? y.index.data<int64_t>() : nullptr;
  if (x.numel() > 0) kernels().scan({op, t, x.bytes(), y.values.bytes(), index, outer, n, inner});
  return y;
}

Array sum_to(const Array& x, const Shape& shape) {
  if (x.shape == shape) return x;
  Dims axes;
  const int lead = x.shape.n - shape.n;
  check(lead >= 0 && broadcast("sum_to", shape, x.shape) == x.shape, "[sum_to] shape must broadcast to ", x.shape,
        ", got ", shape);
  for (int d = 0; d < x.shape.n; ++d)
    if (d < lead || (shape.v[d - lead] == 1 && x.shape.v[d] != 1)) axes.push(d);
  return reduce(ReduceOp::sum, x, axes, true, x.dtype).reshape(shape);
}

bool scalar_bool(const Array& x) { return *on_host(x).data<bool>(); }

}  // namespace lamella::ops
