// SPDX-License-Identifier: MIT
#include "conv.h"
#include <atomic>
#include "dispatch/dispatch.h"
#include "elementwise.h"
#include "gemm.h"

namespace lamella::ops {
namespace {

std::atomic<bool> winograd{true};

void check_options(const char* op, const ConvOptions& o, int dims) {
  const auto one = [&](const char* name, const Dims& v, int64_t least) {
    check<ValueError>(v.n == dims, "[", op, "] ", name, " must be a number or ", dims, " numbers, got ", v);
    for (int64_t x : v) check<ValueError>(x >= least, "[", op, "] ", name, " must be at least ", least, ", got ", v);
  };
  one("stride", o.stride, 1);
  one("padding", o.padding, 0);
  one("dilation", o.dilation, 1);
  check<ValueError>(o.groups >= 1, "[", op, "] groups must be at least 1, got ", o.groups);
}

// Spatial dim i of 3 (depth, height, width) in a shape with `dims` of them; 1 or 0 strides where absent.
int64_t spatial(const Dims& v, int first, int dims, int i, int64_t absent) {
  int at = i - (3 - dims);
  return at < 0 ? absent : v[first + at];
}

void set_strides(int64_t* out, const Array& a, int dims) {
  out[0] = a.strides[0];
  out[1] = a.strides[1];
  for (int i = 0; i < 3; ++i) out[2 + i] = spatial(a.strides, 2, dims, i, 0);
  // Absent dims continue the present ones, so that planes count as joined.
  for (int i = 2 - dims; i >= 0; --i) out[2 + i] = out[3 + i] * spatial(a.shape, 2, dims, i + 1, 1);
}

Shape output_shape(const char* op, const Shape& x, const Shape& w, const ConvOptions& o) {
  int dims = x.n - 2;
  Shape y{x[0], w[0]};
  for (int i = 0; i < dims; ++i) {
    int64_t reach = o.dilation[i] * (w[2 + i] - 1) + 1, padded = x[2 + i] + 2 * o.padding[i];
    check<ValueError>(padded >= reach, "[", op, "] kernel must fit into the padded input, got kernel ", w, " with dilation ",
                      o.dilation, " for input ", x, " with padding ", o.padding);
    y.push((padded - reach) / o.stride[i] + 1);
  }
  return y;
}

ConvGeometry geometry(const Array& x, const Shape& w, const Array& y, const ConvOptions& o) {
  int dims = x.ndim() - 2;
  ConvGeometry g{};
  g.dtype = x.dtype;
  g.n = x.shape[0];
  g.c = x.shape[1];
  g.k = w[0];
  g.groups = o.groups;
  g.plain = !conv_winograd();
  for (int i = 0; i < 3; ++i) {
    g.in[i] = spatial(x.shape, 2, dims, i, 1);
    g.out[i] = spatial(y.shape, 2, dims, i, 1);
    g.kernel[i] = spatial(w, 2, dims, i, 1);
    g.stride[i] = spatial(o.stride, 0, dims, i, 1);
    g.pad[i] = spatial(o.padding, 0, dims, i, 0);
    g.dilation[i] = spatial(o.dilation, 0, dims, i, 1);
  }
  set_strides(g.x_stride, x, dims);
  set_strides(g.y_stride, y, dims);
  return g;
}

void check_operands(const char* op, const char* first, const Array& a, const Array& w) {
  int n = w.ndim();
  check<ValueError>(n >= 3 && n <= 5, "[", op, "] weight must have 3 to 5 dimensions, got ", w.shape);
  check<ValueError>(a.ndim() == n, "[", op, "] ", first, " must have ", n, " dimensions as weight has, got ", a.shape,
                    " with weight ", w.shape);
  check<TypeError>(is_floating(a.dtype) && a.dtype == w.dtype, "[", op, "] ", first,
                   " and weight must have one floating dtype, got ", name_of(a.dtype), " and ", name_of(w.dtype));
  bool taps = true;
  for (int i = 1; i < n; ++i) taps &= w.shape[i] > 0;
  check<ValueError>(taps, "[", op, "] weight must have at least one channel and tap, got ", w.shape);
}

void check_channels(const char* op, int64_t channels, const Shape& w, int64_t groups) {
  check<ValueError>(w[1] * groups == channels, "[", op, "] input must have ", w[1] * groups, " channels (weight ", w,
                    ", groups ", groups, "), got ", channels);
  check<ValueError>(w[0] % groups == 0, "[", op, "] weight's output channels must be a multiple of groups, got ", w[0],
                    " and ", groups);
}

void check_bias(const char* op, const Array& bias, DType dtype, int64_t channels) {
  check<ValueError>(bias.ndim() == 1 && bias.shape[0] == channels && bias.dtype == dtype, "[", op, "] bias must be ",
                    name_of(dtype), " (", channels, ",), got ", describe(bias));
}

// Groups of as many filters as channels, few: the CPU's kernels (kernels/conv_groups.h) read rows of adjacent elements, or adjacent
// channels, and contiguous weights; the others take any strides of images that are not channels-last.
bool small_groups(const Shape& w, const ConvOptions& o) { return o.groups > 1 && w[1] <= 16 && w[0] == w[1] * o.groups; }
Array with_rows(const Array& a, const Shape& w, const ConvOptions& o, bool last) {
  return !last && here().is_cpu() && small_groups(w, o) && a.strides[a.ndim() - 1] != 1 ? contiguous(a) : a;
}

// Whether the CPU's kernels take this convolution, or its input gradient, with adjacent channels (kernels/conv_pixels.h); else
// images are copied. The taps of a row can stand in for channels, but not in the input gradient.
bool taken_channels_last(const Shape& w, DType dtype, const ConvOptions& o, bool to_input = false) {
  if (!here().is_cpu()) return true;
  const bool rows = !to_input && o.dilation[w.n - 3] == 1;
  const bool grouped = small_groups(w, o) && (w[1] == 1 || (dtype == DType::f32 && (w[1] == 2 || w[1] == 4)));  // kernels/conv_groups.h
  return grouped || (w[0] >= 8 * o.groups && w[1] * (rows ? w[w.n - 1] : 1) >= 8);
}

// Whether pixels of `from` adjacent channels and weights are all there is to pixels of `to`: a matrix product. Where channels become
// a quarter, copying pixels into panels would not pay.
bool is_product(const Shape& w, const ConvOptions& o, int64_t from, int64_t to) {
  bool plain = here().is_cpu() && o.groups == 1 && (from < 4 * to || to < 8);
  for (int i = 0; i < w.n - 2; ++i) plain &= w[2 + i] == 1 && o.stride[i] == 1 && o.padding[i] == 0;
  return plain;
}
Array pixels(const Array& x) { return Order(x).apply(x); }  // (n, ..., c)
Array image(const Array& pixels) {                          // and back
  Dims order{0, pixels.ndim() - 1};
  for (int i = 1; i < pixels.ndim() - 1; ++i) order.push(i);
  return pixels.permute(order);
}
Array matrix(const Array& w) { return contiguous(w).reshape({w.shape[0], w.shape[1]}); }

// Weights for kernels that take images with adjacent channels: such weights as they are.
struct Weights {
  bool last;
  Array array;
  Weights(const Array& w, const ConvOptions& o, bool images_last)
      : last(images_last && here().is_cpu() && w.shape[1] >= 8 && !small_groups(w.shape, o) && w.is_channels_last()),
        array(last ? w : contiguous(w)) {}
};

// The CPU's kernels know float32 and float64: 16-bit floats are made float32, and what comes of them is rounded once.
bool narrow(const Array& a) { return size_of(a.dtype) == 2 && a.device().is_cpu(); }
Array wide(const Array& a) { return cast(a, DType::f32); }

}  // namespace

bool conv_winograd() { return winograd.load(std::memory_order_relaxed); }
void set_conv_winograd(bool on) { winograd.store(on, std::memory_order_relaxed); }

Array conv(const Array& x, const Array& w, const Array* bias, const ConvOptions& o, Act act) {
  check_operands("conv", "input", x, w);
  check_options("conv", o, x.ndim() - 2);
  check_channels("conv", x.shape[1], w.shape, o.groups);
  if (bias) check_bias("conv", *bias, x.dtype, w.shape[0]);
  const bool last = x.is_channels_last();
  if (last && is_product(w.shape, o, w.shape[1], w.shape[0]))
    return image(linear(pixels(x), matrix(w), bias ? std::optional(*bias) : std::nullopt, act));
  if (narrow(x)) {
    const Array b = bias ? wide(*bias) : Array();
    return cast(conv(wide(x), wide(w), bias ? &b : nullptr, o, act), x.dtype);
  }
  if (last && !taken_channels_last(w.shape, x.dtype, o)) return channels_last(conv(contiguous(x), w, bias, o, act));
  const Shape shape = output_shape("conv", x.shape, w.shape, o);
  Array y = last ? empty_channels_last(shape, x.dtype) : empty(shape, x.dtype), b;
  const Array xr = with_rows(x, w.shape, o, last);
  const Weights wc(w, o, last);
  if (bias) b = contiguous(*bias);
  kernels().conv_fwd({geometry(xr, w.shape, y, o), xr.data(), wc.array.data(), bias ? b.data() : nullptr, y.data(), act, wc.last});
  return y;
}

Array conv_input_grad(const Array& dy, const Array& w, const Shape& input, const ConvOptions& o, const Array* bias) {
  check_operands("conv_input_grad", "dy", dy, w);
  check_options("conv_input_grad", o, dy.ndim() - 2);
  check<ValueError>(input.n == dy.ndim(), "[conv_input_grad] input shape must have ", dy.ndim(), " sizes, got ", input);
  check_channels("conv_input_grad", input[1], w.shape, o.groups);
  Shape y = output_shape("conv_input_grad", input, w.shape, o);
  check<ValueError>(dy.shape == y, "[conv_input_grad] dy must have shape ", y, ", got ", dy.shape);
  if (bias) check_bias("conv_input_grad", *bias, dy.dtype, input[1]);
  const bool last = dy.is_channels_last();
  if (last && is_product(w.shape, o, w.shape[0], w.shape[1]))
    return image(linear(pixels(dy), matrix(w).transpose(0, 1), bias ? std::optional(*bias) : std::nullopt));
  if (narrow(dy)) {
    const Array b = bias ? wide(*bias) : Array();
    return cast(conv_input_grad(wide(dy), wide(w), input, o, bias ? &b : nullptr), dy.dtype);
  }
  if (last && !taken_channels_last(w.shape, dy.dtype, o, true)) return channels_last(conv_input_grad(contiguous(dy), w, input, o, bias));
  Array dx = last ? empty_channels_last(input, dy.dtype) : empty(input, dy.dtype);
  const Array dyr = with_rows(dy, w.shape, o, last);
  const Weights wc(w, o, last);
  const bool fused = bias && here().is_cpu() && input[1] > 1;
  const Array b = fused ? contiguous(*bias) : Array();
  kernels().conv_bwd_input({geometry(dx, w.shape, dyr, o), wc.array.data(), dyr.data(), dx.data(), wc.last, fused ? b.data() : nullptr});
  if (bias && !fused) {
    Shape spread = input;
    for (int d = 0; d < spread.n; ++d) spread[d] = d == 1 ? input[1] : 1;
    binary_out(BinaryOp::add, dx, dx, contiguous(*bias).reshape(spread));
  }
  return dx;
}

std::pair<Array, Array> conv_weight_grad(const Array& dy, const Array& x, const Shape& kernel, const ConvOptions& o,
                                         bool with_bias) {
  check<ValueError>(kernel.n == x.ndim() && dy.ndim() == x.ndim(), "[conv_weight_grad] dy, input and kernel must have as "
                    "many dimensions, got ", dy.shape, ", ", x.shape, " and ", kernel);
  check_options("conv_weight_grad", o, x.ndim() - 2);
  check_channels("conv_weight_grad", x.shape[1], kernel, o.groups);
  Shape y = output_shape("conv_weight_grad", x.shape, kernel, o);
  check<ValueError>(dy.shape == y, "[conv_weight_grad] dy must have shape ", y, ", got ", dy.shape);
  check<TypeError>(dy.dtype == x.dtype && is_floating(x.dtype), "[conv_weight_grad] dy and input must have one floating "
                   "dtype, got ", name_of(dy.dtype), " and ", name_of(x.dtype));
  if (narrow(x)) {
    const auto [dw, db] = conv_weight_grad(wide(dy), wide(x), kernel, o, with_bias);
    return {cast(dw, x.dtype), with_bias ? cast(db, x.dtype) : db};
  }
  const bool last = (x.is_channels_last() || dy.is_channels_last()) && taken_channels_last(kernel, x.dtype, o);
  const Array dyc = last ? channels_last(dy) : contiguous(dy), xc = last ? channels_last(x) : contiguous(x);
  Array dw = empty(kernel, x.dtype), db;
  if (with_bias) db = empty({kernel[0]}, x.dtype);
  kernels().conv_bwd_weight({geometry(xc, kernel, dyc, o), xc.data(), dyc.data(), dw.data(), with_bias ? db.data() : nullptr});
  return {dw, db};
}

}  // namespace lamella::ops
