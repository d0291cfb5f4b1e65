// SPDX-License-Identifier: MIT
// Convolution as products whose rows are positions, read where they lie (conv_pixels.h); where one tap is all, as products
// whose image operand packs itself (conv_columns.h), images folded into one long column axis. 3x3 of many channels goes Winograd's
// way (conv_winograd.h). Few channels or filters go the direct way (conv_direct.h, with vectors across filters
// conv_direct_filters.h), depthwise ones and small groups their own (conv_groups.h). Weight gradients: conv_weight.h, of little work
// conv_direct_weight.h, of 3x3 conv_winograd_weight.h.
#include "conv_columns.h"
#include "conv_groups.h"
#include "conv_direct_filters.h"
#include "conv_direct_weight.h"
#include "conv_pixels_product.h"
#include "conv_weight_product.h"
#include "conv_winograd_weight.h"

namespace lamella {
namespace LAMELLA_ISA {

static ImageWindow forward_window(const ConvGeometry& g) {
  ImageWindow w;
  for (int d = 0; d < 3; ++d) {
    w.grid[d] = g.out[d];
    w.size[d] = g.in[d];
    w.taps[d] = g.kernel[d];
    w.step[d] = g.stride[d];
    w.first[d] = -g.pad[d];
    w.next[d] = g.dilation[d];
  }
  for (int d = 0; d < 5; ++d) w.stride[d] = g.x_stride[d];
  return w;
}

static int64_t volume(const int64_t* v) { return v[0] * v[1] * v[2]; }

template <class T> static void forward(const ConvFwd& a) {
  using A = acc_t<T>;
  const ConvGeometry& g = a.g;
  const int64_t rows = g.k / g.groups, channels = g.c / g.groups, depth = channels * volume(g.kernel);
  ImageWindow w = forward_window(g);
  ImageOut<T> out{static_cast<T*>(a.y), nullptr, a.act, {g.out[0], g.out[1], g.out[2]}, {}};
  for (int d = 0; d < 5; ++d) out.stride[d] = g.y_stride[d];
  const bool last = a.w_last || pixels_dense(g);
  const int64_t columns = g.n * volume(g.out);
  const T *x = static_cast<const T*>(a.x), *weights = static_cast<const T*>(a.w);
  const ConvShape shape{g.n, g.groups, channels, rows};
  const bool winograd = !g.plain && winograd_apt<A>(w, shape);
  if (!winograd && groups_apt(g)) {
    out.bias = static_cast<const T*>(a.bias);
    return groups_forward(a, w, out);
  }
  const bool by_filters = !winograd && last && filters_apt_last<T>(w, shape);
  const bool merge = !by_filters && pixels_merge<A>(w, shape, last);
  if (by_filters || (!winograd && !last && !merge && direct_apt(w, shape))) {
    out.bias = static_cast<const T*>(a.bias);
    const int64_t taps = volume(g.kernel);
    const auto weight = [&](int64_t group, int64_t r, int64_t k) {
      return weights[(group * rows + r) * depth + (a.w_last ? k % taps * channels + k / taps : k)];
    };
    return direct_product<T>(w, x, shape, weight, out, by_filters);
  }
  const PixelsOut<T> pixels(out, static_cast<const T*>(a.bias));
  if (winograd || merge || pixels_apt(w, shape, last)) return pixels_forward<T>(a, w, shape, pixels, merge, winograd);
  w.flatten();
  for (int64_t group = 0; group < g.groups; ++group) {
    StridedOperand<T, kTileRows<A>> left{weights + group * rows * depth, depth, 1};
    ColumnsOperand<T> right{w, x + group * channels * g.x_stride[1]};
    ImageOut<T> o = out;
    o.y += group * rows * g.y_stride[1];
    o.bias = a.bias ? static_cast<const T*>(a.bias) + group * rows : nullptr;
    gemm_blocked<A>(rows, columns, depth, left, right, o);
  }
}

// Taps t of one dim that reach inputs phase, phase + stride, ...: those with (phase + pad - t dilation) a multiple of the
// stride, an arithmetic progression, taken downwards so that outputs ascend. Output of input phase + stride j under tap t:
// j + (phase + pad - t dilation) / stride.
struct PhaseTaps { int64_t count, first, next, out_first, out_next; };
static PhaseTaps phase_taps(int64_t phase, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation) {
  const int64_t apart = stride / gcd(stride, dilation);
  for (int64_t t = 0; t < kernel && t < apart; ++t) {
    if ((phase + pad - t * dilation) % stride) continue;
    const int64_t count = (kernel - t + apart - 1) / apart, last = t + (count - 1) * apart;
    return {count, last, -apart, (phase + pad - last * dilation) / stride, apart * dilation / stride};
  }
  return {0, 0, 0, 0, 0};
}

// dx where no tap reaches: zero, or the bias.
template <class T> static void fill_positions(const ImageOut<T>& o, int64_t images, int64_t channels) {
  parallel_blocks(images * channels, 64, [&](int64_t begin, int64_t end) {
    for (int64_t ic = begin; ic < end; ++ic)
      for (int64_t d = 0; d < o.grid[0]; ++d)
        for (int64_t h = 0; h < o.grid[1]; ++h) {
          T* to = o.y + ic / channels * o.stride[0] + ic % channels * o.stride[1] + d * o.stride[2] + h * o.stride[3];
          for (int64_t i = 0; i < o.grid[2]; ++i) to[i * o.stride[4]] = o.bias ? o.bias[ic % channels] : down<T>(acc_t<T>(0));
        }
  });
}

// How many phases from `phase` on, along the width, have as many taps and positions, and the same outputs under them: their
// inputs are adjacent, and so are their taps. One where an image has several channels, which are taken together instead.
static int64_t phases_alike(const ConvGeometry& g, int64_t phase) {
  if (g.c > 1 || g.x_stride[4] != 1 || g.k < kLeastPixelChannels) return 1;
  const auto taps = [&](int64_t p) { return phase_taps(p, g.kernel[2], g.stride[2], g.pad[2], g.dilation[2]); };
  const auto positions = [&](int64_t p) { return ceil_div(g.in[2] - p, g.stride[2]); };
  const PhaseTaps one = taps(phase);
  if (one.count == 0) return 1;
  int64_t n = 1;
  for (; phase + n < least(g.stride[2], g.in[2]); ++n) {
    const PhaseTaps p = taps(phase + n);
    if (p.count != one.count || p.first != one.first + n || p.out_first != one.out_first || positions(phase + n) != positions(phase)) break;
  }
  return n;
}

// Input positions of one phase (i mod stride along each dim) form an image of their own that sees a fixed set of taps with
// stride 1: no multiplication by zeros, no scatter.
template <class T> struct InputPhase {
  ImageWindow w;
  PhaseWeights<T> left;
  ImageOut<T> out;
  InputPhase(const ConvBwdInput& a, const int64_t* phase) : w() {
    const ConvGeometry& g = a.g;
    left = {static_cast<const T*>(a.w), g.c / g.groups, volume(g.kernel), {}, {}, {}, {}};
    out = {static_cast<T*>(a.dx), static_cast<const T*>(a.bias), Act::none, {}, {g.x_stride[0], g.x_stride[1], 0, 0, 0}};
    for (int d = 0; d < 3; ++d) {
      const PhaseTaps p = phase_taps(phase[d], g.kernel[d], g.stride[d], g.pad[d], g.dilation[d]);
      w.grid[d] = out.grid[d] = (g.in[d] - phase[d] + g.stride[d] - 1) / g.stride[d];
      w.size[d] = g.out[d];
      w.taps[d] = left.taps[d] = p.count;
      w.step[d] = 1;
      w.first[d] = p.out_first;
      w.next[d] = p.out_next;
      left.first[d] = p.first;
      left.next[d] = p.next;
      left.kernel[d] = g.kernel[d];
      out.stride[2 + d] = g.x_stride[2 + d] * g.stride[d];
      out.y += phase[d] * g.x_stride[2 + d];
    }
    for (int d = 0; d < 5; ++d) w.stride[d] = g.y_stride[d];
  }
};

// Phases of one depth together, for their results stand between one another's.
template <class T> static void groups_backward_input(const ConvBwdInput& a) {
  const ConvGeometry& g = a.g;
  const int64_t parts = least(g.stride[1], g.in[1]) * least(g.stride[2], g.in[2]);
  const auto each = [&](int64_t p0, const auto& f) {
    for (int64_t p1 = 0; p1 < least(g.stride[1], g.in[1]); ++p1)
      for (int64_t p2 = 0; p2 < least(g.stride[2], g.in[2]); ++p2) {
        const int64_t at[3] = {p0, p1, p2};
        f(InputPhase<T>(a, at), p1, p2);
      }
  };
  for (int64_t p0 = 0; p0 < least(g.stride[0], g.in[0]); ++p0) {
    const int64_t at[3] = {p0, 0, 0};
    const InputPhase<T> first(a, at);
    if (first.w.taps[0] == 0) {
      each(p0, [&](const InputPhase<T>& p, int64_t, int64_t) { fill_positions(p.out, g.n, g.c); });
      continue;
    }
    ImageWindow seen = first.w;
    for (int d = 1; d < 3; ++d) {
      int64_t low = g.out[d], high = 0;
      each(p0, [&](const InputPhase<T>& p, int64_t, int64_t) {
        if (p.w.taps[d] == 0) return;
        low = least(low, p.w.first[d]);
        high = p.w.first[d] + p.w.reach(d) > high ? p.w.first[d] + p.w.reach(d) : high;
      });
      seen.first[d] = low, seen.taps[d] = high > low ? high - low : 1, seen.next[d] = 1;
    }
    ImageOut<T> out = first.out;
    for (int d = 3; d < 5; ++d) out.stride[d] = g.x_stride[d];
    GroupProduct<T> product(seen, g.n, g.c, g.c / g.groups, out, g.stride + 1, g.in + 1, parts, volume(g.kernel));
    each(p0, [&](const InputPhase<T>& p, int64_t p1, int64_t p2) { product.add(p.w, p1, p2, [&](int64_t t) { return p.left.tap(t); }); });
    product.run(static_cast<const T*>(a.dy), static_cast<const T*>(a.w), true);
  }
}

// A phase that does not go the way of pixels: direct, or by packed columns.
template <class T>
static void backward_input_phase(const ConvBwdInput& a, InputPhase<T> p, const ConvShape& shape, bool direct, bool by_filters) {
  using A = acc_t<T>;
  const ConvGeometry& g = a.g;
  const int64_t channels = g.c / g.groups, filters = g.k / g.groups, group_size = filters * channels * volume(g.kernel);
  const int64_t depth = filters * p.w.tap_count(), columns = g.n * p.w.volume();
  const T *dy = static_cast<const T*>(a.dy), *weights = static_cast<const T*>(a.w);
  if (direct) {
    const auto weight = [&](int64_t group, int64_t r, int64_t k) {
      const int64_t taps = p.w.tap_count();
      if (!a.w_last) return *(p.left.source(r, k) + group * group_size);
      return weights[((group * filters + k / taps) * volume(g.kernel) + p.left.tap(k % taps)) * channels + r];
    };
    return direct_product<T>(p.w, dy, shape, weight, p.out, by_filters);
  }
  p.w.flatten();
  for (int64_t group = 0; group < g.groups; ++group) {
    p.left.w = weights + group * group_size;
    ColumnsOperand<T> right{p.w, dy + group * filters * g.y_stride[1]};
    ImageOut<T> o = p.out;
    o.y += group * channels * g.x_stride[1];
    if (o.bias) o.bias += group * channels;
    gemm_blocked<A>(channels, columns, depth, p.left, right, o);
  }
}

template <class T> static void backward_input(const ConvBwdInput& a) {
  const ConvGeometry& g = a.g;
  const ConvShape shape{g.n, g.groups, g.k / g.groups, g.c / g.groups};
  const auto winograd_apt_to = [&](const InputPhase<T>& p) { return !g.plain && volume(g.stride) == 1 && winograd_apt<acc_t<T>>(p.w, shape); };
  constexpr int64_t first[3] = {0, 0, 0};
  if (groups_apt(g) && !winograd_apt_to(InputPhase<T>(a, first))) return groups_backward_input<T>(a);
  const bool last = a.w_last || pixels_dense(g);
  PixelPart<T> parts[kMostPixelParts];  // phases that go the way of conv_pixels_product.h: together, as they read the same images
  PhaseWeights<T> phases[kMostPixelParts];
  int count = 0;
  bool winograd = false;  // of the only phase
  const auto finish = [&] {
    if (count > 0) pixels_backward_input<T>(a, parts, phases, count, shape, winograd);
    count = 0;
  };
  for (int64_t p0 = 0; p0 < least(g.stride[0], g.in[0]); ++p0)
    for (int64_t p1 = 0; p1 < least(g.stride[1], g.in[1]); ++p1)
      for (int64_t p2 = 0, alike; p2 < least(g.stride[2], g.in[2]); p2 += alike) {
        const int64_t at[3] = {p0, p1, p2};
        InputPhase<T> p(a, at);
        winograd = winograd_apt_to(p);
        const bool by_filters = !winograd && last && filters_apt_last<T>(p.w, shape);
        const bool direct = by_filters || (!winograd && !last && direct_apt(p.w, shape));
        alike = p.w.tap_count() == 0 ? 1 : phases_alike(g, p2);
        if (p.w.tap_count() == 0) {
          fill_positions(p.out, g.n, g.c);
        } else if (alike > 1) {  // `alike` adjacent phases of one channel, as so many channels
          p.left.apart = 1, p.out.stride[1] = 1;
          const PixelPart<T> part{p.w, PixelsOut<T>(p.out, nullptr), 0};
          pixels_backward_input<T>(a, &part, &p.left, 1, {g.n, 1, g.k, alike});
        } else if (direct || !(winograd || pixels_apt(p.w, shape, last))) {
          backward_input_phase<T>(a, p, shape, direct, by_filters);
        } else {
          if (count == kMostPixelParts) finish();
          const int64_t before = count ? parts[count - 1].first_tap + parts[count - 1].w.tap_count() : 0;
          phases[count] = p.left, parts[count++] = {p.w, PixelsOut<T>(p.out, p.out.bias), before};
        }
      }
  finish();
}

// Sums of dy per channel, channels adjacent: rows of positions in parts, whose sums are added in order.
template <class T> static void pixels_bias_gradient(const ConvBwdWeight& a) {
  using A = acc_t<T>;
  constexpr int L = kLanes<A>;
  const int64_t k = a.g.k, positions = a.g.n * volume(a.g.out), part = ceil_div(positions, least(32, 1 + positions * k / 30000));
  const int64_t parts = ceil_div(positions, part);
  A* const sums = static_cast<A*>(scratch(size_t(parts * k) * sizeof(A), kPixelSlot));
  parallel(parts, [&](int64_t p) {
    A* const own = sums + p * k;
    for (int64_t j = 0; j < k; ++j) own[j] = 0;
    const T* dy = static_cast<const T*>(a.dy) + p * part * k;
    for (int64_t i = 0, n = least(part, positions - p * part); i < n; ++i, dy += k) {
      int64_t j = 0;
      for (; j + L <= k; j += L) vstore(own + j, vload(own + j) + vload(dy + j));
      if (j < k) vstore(own + j, vload(own + j, k - j) + vload(dy + j, k - j), k - j);
    }
  });
  for (int64_t j = 0; j < k; ++j) {
    A total = sums[j];
    for (int64_t p = 1; p < parts; ++p) total += sums[p * k + j];
    static_cast<T*>(a.db)[j] = down<T>(total);
  }
}

// Sums of dy per channel: fixed order, images in turn.
template <class T> static void bias_gradient(const ConvBwdWeight& a) {
  using A = acc_t<T>;
  const ConvGeometry& g = a.g;
  const int64_t* s = g.y_stride;
  const bool joined = s[4] == 1 && s[3] == g.out[2] && s[2] == g.out[1] * s[3];
  const int64_t rows = joined ? 1 : g.out[0] * g.out[1], length = joined ? volume(g.out) : g.out[2];
  parallel_blocks(g.k, 1 + 30000 / (g.n * volume(g.out) + 1), [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      A total = 0;
      for (int64_t n = 0; n < g.n; ++n) {
        A image = 0;
        for (int64_t r = 0; r < rows; ++r) {
          const T* p = static_cast<const T*>(a.dy) + n * s[0] + k * s[1] + r / g.out[1] * s[2] + r % g.out[1] * s[3];
          if (s[4] == 1) {
            vec<A> sum = {};
            int64_t i = 0;
            for (; i + kLanes<A> <= length; i += kLanes<A>) sum += vload(p + i);
            if (i < length) sum += vload(p + i, length - i);
            image += hsum(sum);
          } else {
            for (int64_t i = 0; i < length; ++i) image += up(p[i * s[4]]);
          }
        }
        total += image;
      }
      static_cast<T*>(a.db)[k] = down<T>(total);
    }
  });
}

template <class T> static void backward_weight(const ConvBwdWeight& a) {
  const ImageWindow w = forward_window(a.g);
  const ConvShape shape{a.g.n, a.g.groups, a.g.c / a.g.groups, a.g.k / a.g.groups};
  const T *x = static_cast<const T*>(a.x), *dy = static_cast<const T*>(a.dy);
  T* const dw = static_cast<T*>(a.dw);
  if (groups_apt(a.g)) return groups_weight<T>(a, w);
  if (!a.g.plain && winograd_weight<T>(w, x, dy, a.g.y_stride, shape, dw)) return;
  if (!pixels_dense(a.g) && direct_apt_weight(w, shape) && weight_fill<T>(w, shape) < 0.8)  // as measured
    direct_weight_product(w, x, dy, a.g.y_stride, shape, dw);
  else WeightProduct<T>(w, x, dy, a.g.y_stride, shape).run(dw);
}

template <class F> static void by_dtype(DType t, const F& f) {
  if (t == DType::f64) f(double{});
  else f(float{});
}

void conv_fwd(const ConvFwd& a) {
  if (a.g.n == 0 || a.g.k == 0 || volume(a.g.out) == 0) return;
  by_dtype(a.g.dtype, [&](auto t) { forward<decltype(t)>(a); });
}

void conv_bwd_input(const ConvBwdInput& a) {
  const ConvGeometry& g = a.g;
  if (g.n == 0 || g.c == 0 || volume(g.in) == 0) return;
  by_dtype(g.dtype, [&](auto t) {
    using T = decltype(t);
    if (g.k > 0) return backward_input<T>(a);
    ImageOut<T> all{static_cast<T*>(a.dx), static_cast<const T*>(a.bias), Act::none, {g.in[0], g.in[1], g.in[2]}, {}};
    for (int d = 0; d < 5; ++d) all.stride[d] = g.x_stride[d];
    fill_positions(all, g.n, g.c);
  });
}

void conv_bwd_weight(const ConvBwdWeight& a) {
  const ConvGeometry& g = a.g;
  by_dtype(g.dtype, [&](auto t) {
    using T = decltype(t);
    if (a.db && g.n * volume(g.out) > 0 && pixels_dense(g.y_stride, g.k, g.out)) pixels_bias_gradient<T>(a);
    else if (a.db) bias_gradient<T>(a);
    if (g.k == 0) return;
    if (g.n * volume(g.out) > 0) backward_weight<T>(a);
    else __builtin_memset(a.dw, 0, size_t(g.k * (g.c / g.groups) * volume(g.kernel)) * sizeof(T));
  });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
