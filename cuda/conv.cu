// SPDX-License-Identifier: MIT
// Convolutions: which path for which shape. One tap per position is a plain product, one channel per group goes its own way
// (conv_depthwise.cu), all else is a product over windows (conv.cuh).
#include <numeric>
#include "conv.cuh"
#include "gemm.h"

namespace lamella::cuda {
namespace {

int64_t volume(const int64_t* v) { return v[0] * v[1] * v[2]; }
bool is_depthwise(const ConvGeometry& g) { return g.groups == g.c && g.c > 0 && g.k > 0; }
bool is_pointwise(const ConvGeometry& g) {
  for (int d = 0; d < 3; ++d)
    if (g.kernel[d] != 1 || g.stride[d] != 1 || g.pad[d] != 0) return false;
  return g.groups == 1 && g.c > 0;
}
bool pixels(const int64_t* stride) { return stride[1] == 1; }
bool by_tf32(const ConvGeometry& g) { return g.dtype == DType::f32 && tf32_allowed(); }

// For a product of `rows` filters or channels and so many `others`, `copies` times over: large tiles where those leave
// enough blocks. float's large tile has 64 x 128 elements.
Tiles choose_tiles(const ConvGeometry& g, int64_t rows, int64_t others, bool rows_first, int64_t copies) {
  const bool half = size_of(g.dtype) == 2;
  if (half || by_tf32(g)) {
    if (others <= 64 || rows <= 32) return Tiles::small;
    const int64_t side = rows > 64 ? 128 : 64;
    if (ceil_div(rows, side) * ceil_div(others, 128) * copies < 128) return Tiles::small;
    return rows > 64 ? Tiles::big : half ? Tiles::narrow : Tiles::small;
  }
  const int64_t m = rows_first ? rows : others, n = rows_first ? others : rows;
  return m > 32 && n > 64 && ceil_div(m, 64) * ceil_div(n, 128) * copies >= 128 ? Tiles::big : Tiles::small;
}

// The step between neighbours of dims [first, 4) of (n, d, h, w), which must all be as far apart; 0 where they are not, and
// `only` where there is but one.
int64_t even_step(int64_t n, const int64_t* size, const int64_t* stride, bool images, int64_t only) {
  int64_t step = 0, expect = 0;
  for (int d = 2; d >= (images ? -1 : 0); --d) {
    const int64_t count = d < 0 ? n : size[d], by = d < 0 ? stride[0] : stride[2 + d];
    if (count <= 1) continue;
    if (step == 0) step = by;
    else if (by != expect) return 0;
    expect = by * count;
  }
  return step ? step : only;
}

// ---- images ------------------------------------------------------------------------------------------------------------
// An image as the loaders want it: x's own memory or a copy.
struct Source {
  Channels channels;
  bool copied;
  int64_t width, stride[4], group, bytes = 0;  // strides n, d, h, w
  Source(DType t, int64_t n, int64_t c, int64_t groups, const int64_t* size, const int64_t* strides, const void* x, int64_t sub,
         int64_t width_)
      : width(width_) {
    const int64_t per = 16 / size_of(t), each = c / groups;
    channels = {each, int(sub), int(most(1, ceil_div(each * sub, per)) * per)};
    copied = sub > 1 || strides[1] != 1 || each % per || each == 0 || !is_aligned(x);
    for (int d = 0; d < 5; ++d) copied |= d != 1 && (d == 0 ? n : size[d - 2]) > 1 && strides[d] % per;
    if (!copied) {
      group = each;
      for (int d = 0; d < 4; ++d) stride[d] = strides[d ? d + 1 : 0];
      return;
    }
    group = channels.padded;
    stride[3] = groups * group;
    stride[2] = stride[3] * width;
    stride[1] = stride[2] * size[1];
    stride[0] = stride[1] * size[0];
    bytes = n * stride[0] * size_of(t);
  }
  Source(DType t, int64_t n, int64_t c, int64_t groups, const int64_t* size, const int64_t* strides, const void* x)
      : Source(t, n, c, groups, size, strides, x, 1, size[2]) {}

  const void* copy(DType t, int64_t n, int64_t groups, const int64_t* size, const int64_t* strides, const void* x, void* to, int step,
                   int first, int next) const {
    if (!copied) return x;
    ImageCopy a{t, x, to, {}, n, {size[0], size[1], size[2]}, width, groups, step, first, next, channels};
    for (int d = 0; d < 5; ++d) a.stride[d] = strides[d];
    copy_image(a);
    return to;
  }
};

// How many taps along the width become channels, where those would be mostly padding.
int64_t taps_as_channels(const ConvGeometry& g) {
  const int64_t per = 16 / size_of(g.dtype), each = g.c / g.groups, kw = g.kernel[2];
  if (kw == 1 || each == 0 || each >= per || each * kw > 64) return 1;
  return ceil_div(each * kw, per) < ceil_div(each, per) * kw ? kw : 1;
}

// ---- windows -----------------------------------------------------------------------------------------------------------
Window forward_window(const ConvGeometry& g, const Source& s) {
  Window w{};
  const bool wide = s.channels.sub > 1;  // the width's taps are channels
  for (int d = 0; d < 3; ++d) {
    const bool taken = wide && d == 2;
    w.start[d] = d;
    w.phases[d] = 1;
    w.kernel[d] = taken ? 1 : int(g.kernel[d]);
    w.size[d] = int(d == 2 ? s.width : g.in[d]);
    w.step[d] = taken ? 1 : int(g.stride[d]);
    w.few[d] = {Divisor(g.out[d]), w.kernel[d], 0, 1, taken ? 0 : -int(g.pad[d]), int(g.dilation[d]), 0};
  }
  for (int d = 0; d < 4; ++d) w.stride[d] = s.stride[d] * size_of(g.dtype) / 16;
  return w;
}

// Taps t of a dim that reach inputs phase, phase + stride, ...: those with phase + pad - t dilation a multiple of the stride,
// an arithmetic progression.
Phase phase_of(const ConvGeometry& g, int d, int64_t phase) {
  const int64_t apart = g.stride[d] / std::gcd(g.stride[d], g.dilation[d]);
  Phase p{Divisor(ceil_div(most(0, g.in[d] - phase), g.stride[d])), 0, 0, 1, 0, 0, 0};
  for (int64_t t = 0; t < g.kernel[d] && t < apart; ++t) {
    const int64_t reach = phase + g.pad[d] - t * g.dilation[d];
    if (reach % g.stride[d]) continue;
    p.count = int((g.kernel[d] - t + apart - 1) / apart);
    p.first = int(t);
    p.first_next = int(apart);
    p.at = int(reach / g.stride[d]);
    p.next = -int(apart * g.dilation[d] / g.stride[d]);
  }
  return p;
}

// All phases; `all` holds the table.
Window backward_window(const ConvGeometry& g, const Source& s, std::vector<Phase>& all) {
  Window w{};
  for (int d = 0; d < 3; ++d) {
    w.start[d] = int(all.size());
    w.phases[d] = int(g.stride[d]);
    w.kernel[d] = int(g.kernel[d]);
    w.size[d] = int(g.out[d]);
    w.step[d] = 1;
    int before = 0;
    for (int64_t i = 0; i < g.stride[d]; ++i) {
      Phase p = phase_of(g, d, i);
      p.before = before;
      before += p.count;
      all.push_back(p);
    }
  }
  if (all.size() <= size_t(kFewPhases)) std::copy(all.begin(), all.end(), w.few);
  for (int d = 0; d < 4; ++d) w.stride[d] = s.stride[d] * size_of(g.dtype) / 16;
  return w;
}

// ---- products ----------------------------------------------------------------------------------------------------------
// Runs p, whose window, operands and sizes are set, over images in pieces of few enough positions; `plane`: of an image, in
// its largest phase.
void run(const ConvGeometry& g, ConvProduct p, int64_t plane, bool vector_planes) {
  const bool last = pixels(p.y_stride);
  const int64_t size = size_of(g.dtype), per = 16 / size;
  p.y_vector = is_aligned(p.y);
  if (last) {
    p.y_vector &= p.rows % per == 0;
    for (int d = 0; d < 5; ++d) p.y_vector &= d == 1 || p.y_stride[d] % per == 0;
  } else {
    p.y_vector &= vector_planes && plane % 8 == 0 && p.y_stride[0] % per == 0 && p.y_stride[1] % per == 0;
  }
  const int64_t all = g.n, piece = most(1, (int64_t(1) << 30) / most(1, most(plane, p.window.stride[0])));
  const char* x = static_cast<const char*>(p.x);
  char* y = static_cast<char*>(p.y);
  for (int64_t n = 0; n < all; n += piece) {
    p.images = least(piece, all - n);
    p.positions = p.images * plane;
    p.x = x + n * p.window.stride[0] * 16;
    p.y = y + n * p.y_stride[0] * size;
    const Tiles tiles = choose_tiles(g, p.rows, p.positions, !last, p.phases[0].d * p.phases[1].d * p.phases[2].d * g.groups);
    switch (g.dtype) {
      case DType::f64: conv_product_double(p, g.groups, last, tiles); break;
      case DType::bf16: conv_product_bf16(p, g.groups, last, tiles); break;
      case DType::f16: conv_product_f16(p, g.groups, last, tiles); break;
      default:
        if (by_tf32(g)) conv_product_tf32(p, g.groups, last, tiles);
        else conv_product_float(p, g.groups, last, tiles);
    }
  }
}

// y (k channels) or dx (c channels) = rows . image as one product, or one for each image, where positions are evenly apart.
bool run_pointwise(const ConvGeometry& g, const void* x, const int64_t* x_stride, int64_t c, const void* w, int64_t w_row, int64_t w_col,
                   int64_t k, const void* bias, void* y, const int64_t* y_stride, Act act) {
  if (!is_pointwise(g)) return false;
  const int64_t plane = volume(g.in);
  Gemm m{};
  m.dtype = g.dtype, m.k = c, m.c = y, m.bias = bias, m.act = act;
  if (pixels(x_stride) && pixels(y_stride)) {
    const int64_t from = even_step(g.n, g.in, x_stride, true, c), to = even_step(g.n, g.in, y_stride, true, k);
    if (!from || !to) return false;
    m.m = g.n * plane, m.n = k;
    m.a = x, m.a_row = from, m.a_col = 1;
    m.b = w, m.b_row = w_col, m.b_col = w_row;
    m.c_row = to;
    m.bias_axis = bias ? BiasAxis::column : BiasAxis::none;
  } else {
    const int64_t from = even_step(g.n, g.in, x_stride, false, 1), to = even_step(g.n, g.in, y_stride, false, 1);
    if (!from || to != 1 || plane < 64 || plane * size_of(g.dtype) % 16) return false;
    m.m = k, m.n = plane;
    m.a = w, m.a_row = w_row, m.a_col = w_col;
    m.b = x, m.b_row = x_stride[1], m.b_col = from;
    m.c_row = y_stride[1];
    m.batch_ndim = 1;
    m.batch[0] = g.n, m.b_batch[0] = x_stride[0], m.c_batch[0] = y_stride[0];
    m.bias_axis = bias ? BiasAxis::row : BiasAxis::none;
  }
  gemm(m);
  return true;
}

}  // namespace

void conv_fwd(const ConvFwd& a) {
  const ConvGeometry& g = a.g;
  if (g.n * g.k * volume(g.out) == 0) return;
  if (is_depthwise(g)) return depthwise_fwd(a);
  if (run_pointwise(g, a.x, g.x_stride, g.c, a.w, g.c, 1, g.k, a.bias, a.y, g.y_stride, a.act)) return;
  const int64_t sub = taps_as_channels(g), rows = g.k / g.groups;
  const Source s(g.dtype, g.n, g.c, g.groups, g.in, g.x_stride, a.x, sub, sub > 1 ? g.out[2] : g.in[2]);
  const bool wide = sub > 1;
  const Temp image{size_t(s.bytes)};
  ConvProduct p{};
  p.x = s.copy(g.dtype, g.n, g.groups, g.in, g.x_stride, a.x, image.p, wide ? int(g.stride[2]) : 1, wide ? -int(g.pad[2]) : 0,
               wide ? int(g.dilation[2]) : 0);
  p.window = forward_window(g, s);
  const int64_t taps = int64_t(p.window.kernel[0]) * p.window.kernel[1] * p.window.kernel[2];
  const Temp filter(size_t(g.k * taps * s.channels.padded * size_of(g.dtype)));
  pack_filters(g.dtype, p.window, a.w, filter.p, g.groups, rows, g.c / g.groups, false, s.channels, nullptr, nullptr, nullptr);
  p.filter = filter.p, p.bias = a.bias, p.y = a.y, p.act = a.act;
  p.rows = rows;
  p.x_group = s.group;
  p.padded = s.channels.padded;
  for (int d = 0; d < 5; ++d) p.y_stride[d] = g.y_stride[d];
  for (int d = 0; d < 3; ++d) p.y_step[d] = 1, p.phases[d] = Divisor(1);
  run(g, p, volume(g.out), even_step(1, g.out, g.y_stride + 0, false, 1) == 1);
}

void conv_bwd_input(const ConvBwdInput& a) {
  const ConvGeometry& g = a.g;
  if (g.n * g.c * volume(g.in) == 0) return;
  if (is_depthwise(g)) return depthwise_bwd_input(a);
  if (g.k > 0 && run_pointwise(g, a.dy, g.y_stride, g.k, a.w, 1, g.c, g.c, nullptr, a.dx, g.x_stride, Act::none)) return;
  const int64_t rows = g.c / g.groups;
  const Source s(g.dtype, g.n, g.k, g.groups, g.out, g.y_stride, a.dy);
  const Temp image{size_t(s.bytes)};
  ConvProduct p{};
  p.x = s.copy(g.dtype, g.n, g.groups, g.out, g.y_stride, a.dy, image.p, 1, 0, 0);
  std::vector<Phase> phases;
  p.window = backward_window(g, s, phases);
  const bool few = phases.size() <= size_t(kFewPhases);
  const Uploaded table(phases.data(), few ? 0 : phases.size() * sizeof(Phase));
  p.window.many = table.as<Phase>();
  const Temp filter(size_t(g.c * volume(g.kernel) * s.channels.padded * size_of(g.dtype)));
  pack_filters(g.dtype, p.window, a.w, filter.p, g.groups, g.k / g.groups, rows, true, s.channels, g.stride, g.pad, g.dilation);
  p.filter = filter.p, p.y = a.dx, p.act = Act::none;
  p.rows = rows;
  p.x_group = s.group;
  p.padded = s.channels.padded;
  for (int d = 0; d < 5; ++d) p.y_stride[d] = g.x_stride[d];
  int64_t plane = 1;
  for (int d = 0; d < 3; ++d) {
    p.y_step[d] = int(g.stride[d]);
    p.phases[d] = Divisor(g.stride[d]);
    plane *= ceil_div(g.in[d], g.stride[d]);
  }
  run(g, p, plane, volume(g.stride) == 1 && even_step(1, g.in, g.x_stride, false, 1) == 1);
}

// ---- the gradient of the weight -----------------------------------------------------------------------------------------
namespace {

// Parts of the positions, so that few tiles fill a device: about 512 blocks of 64 x 64, none of them short.
int64_t choose_parts(const ConvWeight& p, int64_t groups) {
  const int64_t tiles = ceil_div(p.rows, 64) * ceil_div(p.columns, 64) * groups;
  const int64_t parts = tiles >= 256 ? 1 : most(1, least(ceil_div(512, tiles), p.positions / 256));
  return most(parts, ceil_div(p.positions, int64_t(1) << 29));
}

void weight_products(const ConvBwdWeight& a) {
  const ConvGeometry& g = a.g;
  const int64_t sub = taps_as_channels(g), plane = volume(g.out), size = size_of(g.dtype);
  const bool wide = sub > 1;
  const Source s(g.dtype, g.n, g.c, g.groups, g.in, g.x_stride, a.x, sub, wide ? g.out[2] : g.in[2]);
  Source d(g.dtype, g.n, g.k, g.groups, g.out, g.y_stride, a.dy);
  int64_t step = d.copied ? d.stride[3] : even_step(g.n, g.out, g.y_stride, true, g.k);
  if (!step) {  // positions must be evenly apart
    const int64_t none[5] = {0, 0, 0, 0, 0};
    d = Source(g.dtype, g.n, g.k, g.groups, g.out, none, a.dy);
    step = d.stride[3];
  }
  const Temp image{size_t(s.bytes)}, image_dy{size_t(d.bytes)};
  ConvWeight p{};
  p.x = s.copy(g.dtype, g.n, g.groups, g.in, g.x_stride, a.x, image.p, wide ? int(g.stride[2]) : 1, wide ? -int(g.pad[2]) : 0,
               wide ? int(g.dilation[2]) : 0);
  p.dy = d.copy(g.dtype, g.n, g.groups, g.out, g.y_stride, a.dy, image_dy.p, 1, 0, 0);
  const int64_t even = s.copied ? s.stride[3] : even_step(g.n, g.in, g.x_stride, true, g.c);
  if (is_pointwise(g) && even) {
    Gemm m{};
    m.dtype = g.dtype;
    m.m = g.k, m.n = g.c, m.k = g.n * plane;
    m.a = p.dy, m.a_row = 1, m.a_col = step;
    m.b = p.x, m.b_row = even, m.b_col = 1;
    m.c = a.dw, m.c_row = g.c;
    return gemm(m);
  }
  p.window = forward_window(g, s);
  const int64_t taps = int64_t(p.window.kernel[0]) * p.window.kernel[1] * p.window.kernel[2];
  p.rows = g.k / g.groups;
  p.columns = taps * s.channels.padded;
  p.positions = g.n * plane;
  p.x_group = s.group, p.dy_group = d.group, p.dy_row = step;
  p.padded = s.channels.padded;
  int64_t parts = choose_parts(p, g.groups);
  p.depth = parts == 1 ? p.positions : ceil_div(ceil_div(p.positions, parts), 64) * 64;
  if (parts > 1) parts = ceil_div(p.positions, p.depth);
  p.parts = Divisor(parts);
  const Temp partial(size_t(g.groups * parts * p.rows * p.columns * most(4, size)));
  p.partial = partial.p;
  const Tiles tiles = choose_tiles(g, p.rows, p.columns, true, g.groups * parts);
  switch (g.dtype) {
    case DType::f64: conv_weight_double(p, g.groups, tiles); break;
    case DType::bf16: conv_weight_bf16(p, g.groups, tiles); break;
    case DType::f16: conv_weight_f16(p, g.groups, tiles); break;
    default:
      if (by_tf32(g)) conv_weight_tf32(p, g.groups, tiles);
      else conv_weight_float(p, g.groups, tiles);
  }
  sum_weights(g.dtype, partial.p, a.dw, g.groups, parts, p.rows, taps, s.channels);
}

// db: the sum of dy over images and positions.
void bias_sum(const ConvBwdWeight& a) {
  const ConvGeometry& g = a.g;
  Reduce r{};
  r.op = ReduceOp::sum, r.from = r.to = g.dtype, r.x = a.dy, r.y = a.db;
  r.kept.ndim = 1;
  r.kept.shape[0] = g.k, r.kept.stride[0][0] = 1, r.kept.stride[1][0] = g.y_stride[1];
  for (int d = -1; d < 3; ++d) {  // dims that can be one are
    const int64_t count = d < 0 ? g.n : g.out[d], by = d < 0 ? g.y_stride[0] : g.y_stride[2 + d];
    if (count == 1) continue;
    int& n = r.over.ndim;
    if (n && r.over.stride[1][n - 1] == by * count) {
      r.over.shape[n - 1] *= count;
      r.over.stride[1][n - 1] = by;
    } else {
      r.over.shape[n] = count;
      r.over.stride[1][n++] = by;
    }
  }
  reduce(r);
}

}  // namespace

void conv_bwd_weight(const ConvBwdWeight& a) {
  const ConvGeometry& g = a.g;
  if (g.k == 0) return;
  if (g.c > 0 && is_depthwise(g)) depthwise_bwd_weight(a);
  else if (g.c > 0) weight_products(a);
  if (a.db) bias_sum(a);
}

}  // namespace lamella::cuda
