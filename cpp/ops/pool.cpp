// SPDX-License-Identifier: MIT
#include "pool.h"
#include "dispatch/dispatch.h"
#include "elementwise.h"
#include "reduce.h"

namespace lamella::ops {
namespace {

// Geometry of contiguous x and y with `dims` spatial dims behind (n, c).
ConvGeometry planes(const Array& x, const Shape& xs, const Shape& ys) {
  int dims = xs.n - 2;
  ConvGeometry g{};
  g.dtype = x.dtype;
  g.n = xs[0];
  g.c = g.k = xs[1];
  g.groups = 1;
  for (int i = 0; i < 3; ++i) {
    int at = i - (3 - dims);
    g.in[i] = at < 0 ? 1 : xs[2 + at];
    g.out[i] = at < 0 ? 1 : ys[2 + at];
    g.kernel[i] = g.stride[i] = g.dilation[i] = 1;
  }
  const auto strides = [&](int64_t* s, const int64_t* size) {
    s[4] = 1;
    s[3] = size[2];
    s[2] = s[3] * size[1];
    s[1] = s[2] * size[0];
    s[0] = s[1] * g.c;
  };
  strides(g.x_stride, g.in);
  strides(g.y_stride, g.out);
  return g;
}

// x (n, c, h, w) or (n, c, w) with c innermost in memory.
bool by_pixels(const Array& x) { return x.ndim() <= 4 && x.is_channels_last(); }

// The same pooling of such arrays: one channel of depth h, height w and width c, its windows one wide.
ConvGeometry pixels(DType dtype, const Shape& xs, const Shape& ys) {
  const auto turned = [](const Shape& s) { return s.n == 4 ? Shape{s[0], 1, s[2], s[3], s[1]} : Shape{s[0], 1, 1, s[2], s[1]}; };
  Array like;
  like.dtype = dtype;
  return planes(like, turned(xs), turned(ys));
}

// The window's dims end at dim `last` of the geometry.
void set_window(ConvGeometry& g, const PoolOptions& o, int dims, int last = 2) {
  for (int i = 0; i < dims; ++i) {
    int d = last + 1 - dims + i;
    g.kernel[d] = o.kernel[i];
    g.stride[d] = o.stride[i];
    g.pad[d] = o.padding[i];
    g.dilation[d] = o.dilation[i];
  }
}

void check_input(const char* op, const Array& x) {
  check<ValueError>(x.ndim() >= 3 && x.ndim() <= 5, "[", op, "] input must have 3 to 5 dimensions, got ", x.shape);
  check<TypeError>(is_floating(x.dtype), "[", op, "] input must have a floating dtype, got ", name_of(x.dtype));
}

// Windows along a dim: floor or ceil of (size + 2 padding - reach) / stride, + 1; with ceil_mode a last window that would
// start behind the input and its left padding is left out.
Shape output_shape(const char* op, const Shape& x, const PoolOptions& o) {
  int dims = x.n - 2;
  const Dims* all[] = {&o.kernel, &o.stride, &o.padding, &o.dilation};
  const char* names[] = {"kernel_size", "stride", "padding", "dilation"};
  for (int k = 0; k < 4; ++k) {
    check<ValueError>(all[k]->n == dims, "[", op, "] ", names[k], " must be a number or ", dims, " numbers, got ", *all[k]);
    for (int64_t v : *all[k])
      check<ValueError>(v >= (k == 2 ? 0 : 1), "[", op, "] ", names[k], " must be ", k == 2 ? "0 or more" : "positive", ", got ", *all[k]);
  }
  Shape y{x[0], x[1]};
  for (int i = 0; i < dims; ++i) {
    check<ValueError>(2 * o.padding[i] <= o.kernel[i], "[", op, "] padding must be at most half of kernel_size, got ",
                      o.padding, " and ", o.kernel);
    int64_t free = x[2 + i] + 2 * o.padding[i] - o.dilation[i] * (o.kernel[i] - 1) - 1;
    int64_t n = free < 0 ? (o.ceil_mode && free > -o.stride[i] ? 1 : 0)
                         : (free + (o.ceil_mode ? o.stride[i] - 1 : 0)) / o.stride[i] + 1;
    if (o.ceil_mode && n > 0 && (n - 1) * o.stride[i] >= x[2 + i] + o.padding[i]) --n;
    check<ValueError>(n > 0 && x[2 + i] > 0, "[", op, "] input must be at least as large as the window, got ", x,
                      " with kernel_size ", o.kernel);
    for (int64_t w = 0; w < n && o.dilation[i] > 1; ++w) {  // dilated, a small input may lie between the taps
      const int64_t at = w * o.stride[i] - o.padding[i], first = at < 0 ? (-at + o.dilation[i] - 1) / o.dilation[i] : 0;
      check<ValueError>(first < o.kernel[i] && at + first * o.dilation[i] < x[2 + i], "[", op, "] every window must hold an element of the "
                        "input, got ", x, " with kernel_size ", o.kernel, ", padding ", o.padding, " and dilation ", o.dilation);
    }
    y.push(n);
  }
  return y;
}

int64_t plane_size(const Shape& x) {
  int64_t n = 1;
  for (int i = 2; i < x.n; ++i) n *= x[i];
  return n;
}

Shape adaptive_shape(const char* op, const Shape& x, const Dims& output) {
  check<ValueError>(output.n == x.n - 2, "[", op, "] output_size must have ", x.n - 2, " numbers, got ", output);
  Shape y{x[0], x[1]};
  for (int i = 0; i < output.n; ++i) {
    int64_t size = output[i] == -1 ? x[2 + i] : output[i];  // -1 keeps the size
    check<ValueError>(size >= 1 && x[2 + i] >= 1, "[", op, "] output_size must be positive for a non-empty input, got ",
                      output, " and ", x);
    y.push(size);
  }
  return y;
}

// True where one window holds all of every plane: its average is a reduction.
bool is_global(const Shape& x, const Shape& y) { return plane_size(y) == 1 && plane_size(x) > 1; }
bool is_global(const Shape& x, const Shape& y, const PoolOptions& o, const AvgOptions& a) {
  bool whole = is_global(x, y) && !a.divisor_override;
  for (int i = 2; i < x.n; ++i) whole &= o.kernel[i - 2] == x[i] && o.padding[i - 2] == 0;
  return whole;
}
Array global_average(const Array& x) {
  Dims planes;
  for (int i = 2; i < x.ndim(); ++i) planes.push(i);
  return reduce(ReduceOp::mean, x, planes, true);
}
Array global_average_grad(const Array& dy, const Shape& input) {
  Array dx = by_pixels(dy) ? empty_channels_last(input, dy.dtype) : empty(input, dy.dtype);
  copy_(dx, binary(BinaryOp::div, dy, double(plane_size(input))));
  return dx;
}

}  // namespace

std::pair<Array, Array> max_pool(const Array& x, const PoolOptions& o, PoolIndex kind) {
  check_input("max_pool", x);
  Shape shape = output_shape("max_pool", x.shape, o);
  if (kind == PoolIndex::none && by_pixels(x)) {  // positions are those of planes
    Array y = empty_channels_last(shape, x.dtype);
    ConvGeometry g = pixels(x.dtype, x.shape, shape);
    set_window(g, o, x.ndim() - 2, 1);
    kernels().max_pool_fwd({g, x.data(), y.data(), nullptr, DType::i64});
    return {y, Array()};
  }
  Array xc = contiguous(x), y = empty(shape, x.dtype), index;
  const DType type = kind == PoolIndex::small && plane_size(x.shape) < int64_t(1) << 31 ? DType::i32 : DType::i64;
  if (kind != PoolIndex::none) index = empty(shape, type);
  ConvGeometry g = planes(xc, x.shape, shape);
  set_window(g, o, x.ndim() - 2);
  kernels().max_pool_fwd({g, xc.data(), y.data(), index.defined() ? index.data() : nullptr, type});
  return {y, index};
}

Array max_pool_grad(const Array& dy, const Array& index, const Shape& input) {
  check<ValueError>(dy.shape == index.shape && input.n == dy.ndim(), "[max_pool_grad] dy and index must have one shape, got ",
                    dy.shape, " and ", index.shape);
  Array dyc = contiguous(dy), ic = contiguous(index), dx = empty(input, dy.dtype);
  kernels().max_pool_bwd({planes(dyc, input, dy.shape), dyc.data(), ic.data(), dx.data(), ic.dtype});
  return dx;
}

Array avg_pool(const Array& x, const PoolOptions& o, const AvgOptions& a) {
  check_input("avg_pool", x);
  Shape shape = output_shape("avg_pool", x.shape, o);
  if (is_global(x.shape, shape, o, a)) return global_average(x);
  if (by_pixels(x)) {
    Array y = empty_channels_last(shape, x.dtype);
    ConvGeometry g = pixels(x.dtype, x.shape, shape);
    set_window(g, o, x.ndim() - 2, 1);
    kernels().avg_pool_fwd({g, x.data(), y.data(), a.count_include_pad, a.divisor_override});
    return y;
  }
  Array xc = contiguous(x), y = empty(shape, x.dtype);
  ConvGeometry g = planes(xc, x.shape, shape);
  set_window(g, o, x.ndim() - 2);
  kernels().avg_pool_fwd({g, xc.data(), y.data(), a.count_include_pad, a.divisor_override});
  return y;
}

Array avg_pool_grad(const Array& dy, const Shape& input, const PoolOptions& o, const AvgOptions& a) {
  Shape shape = output_shape("avg_pool_grad", input, o);
  check<ValueError>(dy.shape == shape, "[avg_pool_grad] dy must have shape ", shape, ", got ", dy.shape);
  if (is_global(input, shape, o, a)) return global_average_grad(dy, input);
  if (by_pixels(dy)) {
    Array dx = empty_channels_last(input, dy.dtype);
    ConvGeometry g = pixels(dy.dtype, input, shape);
    set_window(g, o, input.n - 2, 1);
    kernels().avg_pool_bwd({g, dy.data(), dx.data(), a.count_include_pad, a.divisor_override});
    return dx;
  }
  Array dyc = contiguous(dy), dx = empty(input, dy.dtype);
  ConvGeometry g = planes(dyc, input, shape);
  set_window(g, o, input.n - 2);
  kernels().avg_pool_bwd({g, dyc.data(), dx.data(), a.count_include_pad, a.divisor_override});
  return dx;
}

Array adaptive_avg_pool(const Array& x, const Dims& output) {
  check_input("adaptive_avg_pool", x);
  Shape shape = adaptive_shape("adaptive_avg_pool", x.shape, output);
  if (is_global(x.shape, shape)) return global_average(x);
  if (by_pixels(x)) {
    Array y = empty_channels_last(shape, x.dtype);
    kernels().adaptive_avg_pool_fwd({pixels(x.dtype, x.shape, shape), x.data(), y.data()});
    return y;
  }
  Array xc = contiguous(x), y = empty(shape, x.dtype);
  kernels().adaptive_avg_pool_fwd({planes(xc, x.shape, shape), xc.data(), y.data()});
  return y;
}

Array adaptive_avg_pool_grad(const Array& dy, const Shape& input) {
  if (is_global(input, dy.shape)) return global_average_grad(dy, input);
  if (by_pixels(dy)) {
    Array dx = empty_channels_last(input, dy.dtype);
    kernels().adaptive_avg_pool_bwd({pixels(dy.dtype, input, dy.shape), dy.data(), dx.data()});
    return dx;
  }
  Array dyc = contiguous(dy), dx = empty(input, dy.dtype);
  kernels().adaptive_avg_pool_bwd({planes(dyc, input, dy.shape), dyc.data(), dx.data()});
  return dx;
}

std::pair<Array, Array> adaptive_max_pool(const Array& x, const Dims& output) {
  check_input("adaptive_max_pool", x);
  Shape shape = adaptive_shape("adaptive_max_pool", x.shape, output);
  Array xc = contiguous(x), y = empty(shape, x.dtype), index = empty(shape, DType::i64);
  ConvGeometry g = planes(xc, x.shape, shape);
  bool even = true;
  for (int i = 0; i < 3; ++i) {
    even &= g.in[i] % g.out[i] == 0;
    g.kernel[i] = g.stride[i] = g.in[i] / g.out[i];
  }
  // Narrow windows side by side are those of max_pool, which goes across them; wide ones are quicker column by column.
  if (even && g.out[2] >= 4 && g.kernel[2] <= 3) kernels().max_pool_fwd({g, xc.data(), y.data(), index.data(), DType::i64});
  else kernels().adaptive_max_pool_fwd({g, xc.data(), y.data(), index.data<int64_t>()});
  return {y, index};
}

}  // namespace lamella::ops
