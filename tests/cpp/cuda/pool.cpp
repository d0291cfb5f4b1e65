// SPDX-License-Identifier: MIT
// Pooling, folding and resizing on the device give the CPU's results: planes and pixels, any window, any layout.
#include <vector>
#include "cuda/device.cuh"
#include "dispatch/dispatch.h"
#include "typed.h"

using namespace lamella;

static unsigned seed = 1;
static int64_t below(int64_t n) {
  seed = seed * 1664525u + 1013904223u;
  return int64_t(seed >> 4) % n;
}
static int64_t product(const int64_t* s) { return s[0] * s[1] * s[2]; }

struct Window { int64_t in[3], kernel[3], stride[3], pad[3], dilation[3]; bool ceil; };
enum Layout { planes, channels_last, pixels };

// Of `w` (of outputs `out` where adaptive). pixels: the channels are the last dim, w's first two dims the others.
static ConvGeometry geometry(DType t, int64_t n, int64_t c, const Window& w, Layout layout, const int64_t* out = nullptr) {
  ConvGeometry g{};
  g.dtype = t, g.n = n, g.c = g.k = c, g.groups = 1;
  for (int i = 0; i < 3; ++i) {
    g.in[i] = w.in[i], g.kernel[i] = w.kernel[i], g.stride[i] = w.stride[i];
    g.pad[i] = w.pad[i], g.dilation[i] = w.dilation[i];
    const int64_t free = w.in[i] + 2 * w.pad[i] - w.dilation[i] * (w.kernel[i] - 1) - 1;
    g.out[i] = out ? out[i] : (free + (w.ceil ? w.stride[i] - 1 : 0)) / w.stride[i] + 1;
    if (!out && w.ceil && (g.out[i] - 1) * w.stride[i] >= w.in[i] + w.pad[i]) --g.out[i];
  }
  if (layout == pixels) {
    g.in[2] = g.out[2] = c, g.c = g.k = 1;
    g.kernel[2] = g.stride[2] = g.dilation[2] = 1, g.pad[2] = 0;
  }
  const auto strides = [&](int64_t* s, const int64_t* size) {
    const bool last = layout == channels_last;
    s[4] = last ? g.c : 1, s[3] = s[4] * size[2], s[2] = s[3] * size[1];
    s[1] = last ? 1 : s[2] * size[0], s[0] = g.c * product(size);
  };
  strides(g.x_stride, g.in), strides(g.y_stride, g.out);
  return g;
}

// small numbers, with ties, and some NaN
static void fill_ties(Typed& x, bool nan) {
  for (int64_t i = 0; i < x.n; ++i)
    x.set(i, nan && below(40) == 0 ? NAN : below(15) == 0 ? -INFINITY : double(below(6)) - 3);
}

static void max_one(const ConvGeometry& g, bool adaptive, bool nan) {
  const DType t = g.dtype;
  const int64_t n = g.n * g.c * product(g.in), m = g.n * g.c * product(g.out);
  for (DType kind : {DType::i64, DType::i32, DType::b8}) {  // b8: no index
    if (adaptive && kind == DType::i32) continue;
    Typed x(t, n), y(t, m), want = y, at(kind, m), place = at, dx(t, n), to = dx;
    fill_ties(x, nan);
    void *i = kind == DType::b8 ? nullptr : at.data(), *j = kind == DType::b8 ? nullptr : place.data();
    if (adaptive) {
      cuda::adaptive_max_pool_fwd({g, x.data(), y.data(), static_cast<int64_t*>(i)});
      kernels().adaptive_max_pool_fwd({g, x.data(), want.data(), static_cast<int64_t*>(j)});
    } else {
      cuda::max_pool_fwd({g, x.data(), y.data(), i, kind});
      kernels().max_pool_fwd({g, x.data(), want.data(), j, kind});
    }
    CHECK(y.close(want, 0, 0) && at.same(place) && y.intact() && at.intact());
    if (!i) continue;
    ConvGeometry b = g;  // windows are not told
    for (int k = 0; k < 3; ++k) b.kernel[k] = b.stride[k] = 1, b.pad[k] = 0;
    y.fill(4, -1, 1);
    cuda::max_pool_bwd({b, y.data(), i, dx.data(), kind});
    kernels().max_pool_bwd({b, y.data(), i, to.data(), kind});
    CHECK(dx.close(to, 0, 0) && dx.intact());
  }
}

static void average_one(const ConvGeometry& g, bool adaptive) {
  const DType t = g.dtype;
  const int64_t n = g.n * g.c * product(g.in), m = g.n * g.c * product(g.out);
  const double e = 2 * epsilon(t), e32 = 150 * epsilon(t == DType::f64 ? t : DType::f32);
  for (int how = 0; how < (adaptive ? 1 : 3); ++how) {
    Typed x(t, n), y(t, m), want = y, dx(t, n), to = dx;
    x.fill(1, -1, 1);
    const int64_t divisor = how == 2 ? 5 : 0;
    if (adaptive) {
      cuda::adaptive_avg_pool_fwd({g, x.data(), y.data()});
      kernels().adaptive_avg_pool_fwd({g, x.data(), want.data()});
    } else {
      cuda::avg_pool_fwd({g, x.data(), y.data(), how == 1, divisor});
      kernels().avg_pool_fwd({g, x.data(), want.data(), how == 1, divisor});
    }
    CHECK(y.close(want, e, e32) && y.intact());
    y.fill(2, -1, 1);
    if (adaptive) {
      cuda::adaptive_avg_pool_bwd({g, y.data(), dx.data()});
      kernels().adaptive_avg_pool_bwd({g, y.data(), to.data()});
    } else {
      cuda::avg_pool_bwd({g, y.data(), dx.data(), how == 1, divisor});
      kernels().avg_pool_bwd({g, y.data(), to.data(), how == 1, divisor});
    }
    CHECK(dx.close(to, e, e32) && dx.intact());
  }
}

static void pools() {
  const Window windows[] = {
      {{1, 8, 8}, {1, 2, 2}, {1, 2, 2}, {0, 0, 0}, {1, 1, 1}, false},
      {{1, 9, 7}, {1, 3, 3}, {1, 2, 2}, {0, 1, 1}, {1, 1, 1}, false},
      {{1, 10, 11}, {1, 3, 2}, {1, 3, 2}, {0, 1, 1}, {1, 1, 1}, true},
      {{4, 5, 6}, {2, 3, 3}, {1, 2, 1}, {1, 1, 0}, {1, 1, 1}, true},
      {{1, 1, 13}, {1, 1, 5}, {1, 1, 1}, {0, 0, 2}, {1, 1, 1}, false},
      {{1, 7, 7}, {1, 7, 7}, {1, 7, 7}, {0, 0, 0}, {1, 1, 1}, false},
      {{1, 40, 31}, {1, 40, 31}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}, false},
      {{1, 14, 15}, {1, 8, 9}, {1, 3, 2}, {0, 4, 4}, {1, 1, 1}, true}};
  const Window dilated[] = {
      {{1, 9, 10}, {1, 3, 2}, {1, 2, 1}, {0, 1, 1}, {1, 2, 3}, false},
      {{5, 9, 9}, {2, 2, 3}, {2, 1, 2}, {1, 1, 1}, {3, 2, 2}, true},
      {{1, 30, 30}, {1, 7, 7}, {1, 2, 5}, {0, 3, 3}, {1, 3, 2}, true}};
  for (DType t : kFloats)
    for (int64_t c : {3, 16})
      for (Layout layout : {planes, channels_last, pixels}) {
        const auto fits = [&](const Window& w) { return layout != pixels || w.in[0] == 1; };
        // pixels: height and width in the first two dims
        const auto turned = [&](Window w) {
          if (layout == pixels)
            for (int64_t* s : {w.in, w.kernel, w.stride, w.pad, w.dilation}) s[0] = s[1], s[1] = s[2];
          return w;
        };
        for (const Window& w : windows) {
          if (!fits(w)) continue;
          const ConvGeometry g = geometry(t, 2, c, turned(w), layout);
          average_one(g, false);
          max_one(g, false, c == 3);
        }
        for (const Window& w : dilated)
          if (fits(w)) max_one(geometry(t, 2, c, turned(w), layout), false, c == 3);
        const int64_t outs[][3] = {{1, 1, 1}, {1, 3, 4}, {2, 7, 5}, {1, 2, 2}, {3, 9, 20}};
        for (const auto& out : outs) {
          Window w{{4, 6, 18}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}, false};
          if (layout == pixels && out[0] == 2) continue;
          const ConvGeometry g = geometry(t, 2, c, w, layout, out);
          average_one(g, true);
          max_one(g, true, c == 3);
        }
      }
  // Planes larger than a block's memory, and outputs that all name one input.
  Window large{{1, 150, 170}, {1, 3, 3}, {1, 2, 2}, {0, 1, 1}, {1, 1, 1}, false};
  max_one(geometry(DType::f32, 1, 2, large, planes), false, false);
  max_one(geometry(DType::f64, 1, 2, large, channels_last), false, false);
  const int64_t out[3] = {1, 30, 40};
  Window one{{1, 1, 2}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}, false};
  max_one(geometry(DType::f16, 1, 3, one, planes, out), true, false);
}

static void folds() {
  struct Case { Window w; int64_t n, c; };
  const Case cases[] = {{{{1, 6, 7}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}, false}, 2, 3},
                        {{{1, 9, 8}, {1, 2, 4}, {1, 2, 3}, {0, 1, 2}, {1, 2, 1}, false}, 1, 5},
                        {{{3, 5, 6}, {2, 2, 2}, {1, 2, 2}, {1, 0, 1}, {1, 1, 2}, false}, 2, 2},
                        {{{1, 32, 32}, {1, 16, 16}, {1, 16, 16}, {0, 0, 0}, {1, 1, 1}, false}, 1, 3},
                        {{{1, 6, 7}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}, false}, 0, 3}};
  for (const Case& c : cases)
    for (DType t : {DType::u8, DType::f32, DType::f64, DType::bf16, DType::f16}) {
      const ConvGeometry g = geometry(t, c.n, c.c, c.w, planes);
      const int64_t n = g.n * g.c * product(g.in), m = g.n * g.c * product(g.kernel) * product(g.out);
      Typed x(t, n), columns(t, m), want = columns, to = x;
      x.fill(1, -8, 8);
      cuda::unfold({g, x.data(), columns.data()});
      kernels().unfold({g, x.data(), want.data()});
      CHECK(columns.same(want) && columns.intact());
      if (!is_floating(t)) continue;
      columns.fill(2, -1, 1);
      cuda::fold({g, columns.data(), x.data()});
      kernels().fold({g, columns.data(), to.data()});
      CHECK(x.same(to) && x.intact());
    }
  for (DType t : {DType::u8, DType::bf16, DType::f32, DType::f64})
    for (int64_t r : {1, 2, 3, 5})
      for (int64_t w : {1, 4, 33}) {
        Typed x(t, 2 * r * r * 3 * w), y(t, x.n), want = y, back = x;
        x.fill(3, 0, 100);
        cuda::pixel_shuffle({size_of(t), 2, 3, w, r, x.data(), y.data(), false, 0});
        kernels().pixel_shuffle({size_of(t), 2, 3, w, r, x.data(), want.data(), false, 0});
        cuda::pixel_shuffle({size_of(t), 2, 3, w, r, y.data(), back.data(), true, 0});
        CHECK(y.same(want) && back.same(x) && y.intact());
      }
}

static void pads() {
  for (PadMode mode : {PadMode::constant, PadMode::reflect, PadMode::replicate, PadMode::circular})
    for (DType t : {DType::u8, DType::bf16, DType::f32, DType::f64})
      for (int64_t w : {3, 17, 70})
        for (int ndim : {1, 2, 4}) {
          Pad p{mode, size_of(t), ndim, {}, {}, {}, 0x0102030405060708, nullptr, nullptr};
          int64_t in = 1, out = 1;
          for (int d = 0; d < ndim; ++d) {
            p.in[d] = d == ndim - 1 ? w : 3 + d;
            p.before[d] = d == 1 ? 0 : 2;
            p.out[d] = p.in[d] + p.before[d] + (d == 1 ? 0 : 1);
            in *= p.in[d], out *= p.out[d];
          }
          Typed x(t, in), y(t, out), want = y;
          x.fill(3, 0, 100);
          p.x = x.data(), p.y = y.data();
          cuda::pad(p);
          p.y = want.data();
          kernels().pad(p);
          CHECK(y.same(want) && y.intact());
        }
}

// A map of n values to m with up to `most` taps each, some of weight zero, some outputs without any.
struct Made {
  std::vector<int64_t> start{0}, index;
  std::vector<double> weight;
  std::vector<float> narrow;
  Made(int64_t n, int64_t m, int64_t most) {
    for (int64_t o = 0; o < m; ++o) {
      for (int64_t k = below(most + 1); k > 0; --k) index.push_back(below(n)), weight.push_back(double(below(5) - 1) / 2);
      start.push_back(int64_t(index.size()));
    }
    narrow.assign(weight.begin(), weight.end());
  }
  Taps taps(int64_t n, int64_t m, DType t) const {
    return {n, m, start.data(), index.data(), t == DType::f64 ? static_cast<const void*>(weight.data()) : narrow.data()};
  }
};

static void resizes() {
  struct Case { int64_t outer, inner, h, w, oh, ow, taps; };
  const Case cases[] = {{1, 1, 5, 6, 9, 11, 2}, {7, 1, 8, 9, 5, 4, 2}, {3, 1, 6, 20, 12, 7, 9}, {3, 1, 20, 6, 7, 12, 9},
                        {2, 8, 5, 6, 9, 4, 2}, {2, 16, 9, 7, 4, 8, 8}, {2, 5, 9, 7, 4, 8, 8},
                        {0, 1, 3, 3, 4, 4, 2}, {2, 1, 3, 400, 3, 900, 3}};
  for (const Case& c : cases)
    for (DType t : kFloats)
      for (int which = 1; which < 4; ++which) {
        const int64_t oh = which & 1 ? c.oh : c.h, ow = which & 2 ? c.ow : c.w;
        const Made rows(c.h, oh, c.taps), cols(c.w, ow, c.taps);
        const Taps none{0, 0, nullptr, nullptr, nullptr};
        Taps r = which & 1 ? rows.taps(c.h, oh, t) : none, k = which & 2 ? cols.taps(c.w, ow, t) : none;
        r.n = c.h, r.m = oh, k.n = c.w, k.m = ow;
        Typed x(t, c.outer * c.h * c.w * c.inner), y(t, c.outer * oh * ow * c.inner), want = y;
        x.fill(1, -1, 1);
        cuda::resize({t, c.outer, c.inner, r, k, x.data(), y.data()});
        kernels().resize({t, c.outer, c.inner, r, k, x.data(), want.data()});
        CHECK(y.close(want, 2 * epsilon(t), 60 * epsilon(t == DType::f64 ? t : DType::f32)) && y.intact());
      }
}

int main() {
  pools();
  folds();
  pads();
  resizes();
  return failures() != 0;
}
