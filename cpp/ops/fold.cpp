// SPDX-License-Identifier: MIT
#include "fold.h"
#include "dispatch/dispatch.h"
#include "param.h"

namespace lamella::ops {
namespace {

// The geometry of an image (n, c, size...) under the windows; dims are the last of three.
ConvGeometry windows(const char* op, DType dtype, int64_t n, int64_t c, const Dims& size, const FoldOptions& o) {
  const int dims = size.n;
  const Dims* all[] = {&o.kernel, &o.dilation, &o.padding, &o.stride};
  const char* names[] = {"kernel_size", "dilation", "padding", "stride"};
  for (int k = 0; k < 4; ++k) {
    check<ValueError>(all[k]->n == dims, "[", op, "] ", names[k], " must be a number or ", dims, " numbers, got ", *all[k]);
    for (int64_t v : *all[k])
      check<ValueError>(v >= (k == 2 ? 0 : 1), "[", op, "] ", names[k], " must be ", k == 2 ? "0 or more" : "positive", ", got ", *all[k]);
  }
  ConvGeometry g{};
  g.dtype = dtype;
  g.n = n;
  g.c = g.k = c;
  g.groups = 1;
  for (int i = 0; i < 3; ++i) {
    g.in[i] = g.out[i] = g.kernel[i] = g.stride[i] = g.dilation[i] = 1;
    const int at = i - (3 - dims);
    if (at < 0) continue;
    g.in[i] = size[at];
    g.kernel[i] = o.kernel[at];
    g.stride[i] = o.stride[at];
    g.pad[i] = o.padding[at];
    g.dilation[i] = o.dilation[at];
    const int64_t free = size[at] + 2 * g.pad[i] - g.dilation[i] * (g.kernel[i] - 1) - 1;
    check<ValueError>(free >= 0 && size[at] > 0, "[", op, "] kernel_size must fit into the padded image, got ", o.kernel,
                      " with dilation ", o.dilation, " for ", size, " with padding ", o.padding);
    g.out[i] = free / g.stride[i] + 1;
  }
  return g;
}

int64_t product(const int64_t* v) { return v[0] * v[1] * v[2]; }

}  // namespace

Array unfold(const Array& x, const FoldOptions& o) {
  const ConvGeometry g = windows("unfold", x.dtype, x.shape[0], x.shape[1], Dims(x.shape.begin() + 2, x.shape.end()), o);
  Array from = contiguous(x), y = empty({g.n, g.c * product(g.kernel), product(g.out)}, x.dtype);
  if (y.numel()) kernels().unfold({g, from.data(), y.data()});
  return y;
}

Array fold(const Array& columns, const Dims& output, const FoldOptions& o) {
  check_floating("fold", columns);
  const int64_t taps = o.kernel.product();
  check<ValueError>(taps > 0 && columns.shape[1] % taps == 0,
                    "[fold] input must have a multiple of kernel_size's product ", taps, " in dimension 1, got ", columns.shape);
  const ConvGeometry g = windows("fold", columns.dtype, columns.shape[0], columns.shape[1] / taps, output, o);
  check<ValueError>(columns.shape[2] == product(g.out), "[fold] input must have ", product(g.out), " positions for output_size ",
                    output, ", got ", columns.shape);
  Shape shape{g.n, g.c};
  for (int64_t size : output) shape.push(size);
  Array from = contiguous(columns), x = empty(shape, columns.dtype);
  if (x.numel()) kernels().fold({g, from.data(), x.data()});
  return x;
}

Array pixel_shuffle(const Array& x, int64_t r, bool inverse) {
  const int d = x.ndim();
  const bool fits = d >= 3 && r >= 1 && (inverse ? x.size(-1) % r == 0 && x.size(-2) % r == 0 : x.size(-3) % (r * r) == 0);
  if (inverse) check<ValueError>(fits, "[pixel_unshuffle] input must have sizes that downscale_factor divides, got ", x.shape, " and ", r);
  else check<ValueError>(fits, "[pixel_shuffle] input must have channels that upscale_factor^2 divides, got ", x.shape, " and ", r);
  Shape shape = x.shape;
  shape[d - 3] = inverse ? x.size(-3) * r * r : x.size(-3) / (r * r);
  for (int i = d - 2; i < d; ++i) shape[i] = inverse ? x.shape[i] / r : x.shape[i] * r;
  const bool last = here().is_cpu() && d == 4 && x.is_channels_last();
  const Array from = last ? x : contiguous(x);
  Array y = last ? empty_channels_last(shape, x.dtype) : empty(shape, x.dtype);
  const Shape& small = inverse ? shape : x.shape;  // the sizes of the image of more channels
  if (!y.numel()) return y;
  const int64_t h = small[d - 2], w = small[d - 1], channels = last ? small[1] / (r * r) : 0;
  const int64_t images = y.numel() / (h * w * r * r * (last ? channels : 1));
  kernels().pixel_shuffle({size_of(x.dtype), images, h, w, r, from.data(), y.data(), inverse, channels});
  return y;
}

}  // namespace lamella::ops
