// SPDX-License-Identifier: MIT
// Convolutions on the device against plain loops in double: every geometry, layout, dtype and path, gradients included.
#include <cstring>
#include <vector>
#include "cuda/device.cuh"
#include "cuda/gemm.h"
#include "typed.h"

using namespace lamella;

namespace {

int64_t product(const int64_t* s) { return s[0] * s[1] * s[2]; }

struct Case { int64_t n, c, k, groups, in[3], kernel[3], stride[3], pad[3], dilation[3]; };

ConvGeometry geometry(DType t, const Case& w, bool x_last, bool y_last) {
  ConvGeometry g{};
  g.dtype = t, g.n = w.n, g.c = w.c, g.k = w.k, g.groups = w.groups;
  for (int i = 0; i < 3; ++i) {
    g.in[i] = w.in[i], g.kernel[i] = w.kernel[i], g.stride[i] = w.stride[i], g.pad[i] = w.pad[i], g.dilation[i] = w.dilation[i];
    g.out[i] = (w.in[i] + 2 * w.pad[i] - w.dilation[i] * (w.kernel[i] - 1) - 1) / w.stride[i] + 1;
  }
  const auto strides = [](int64_t* s, const int64_t* size, int64_t c, bool last) {
    s[4] = last ? c : 1, s[3] = s[4] * size[2], s[2] = s[3] * size[1];
    s[1] = last ? 1 : product(size), s[0] = c * product(size);
  };
  strides(g.x_stride, g.in, g.c, x_last);
  strides(g.y_stride, g.out, g.k, y_last);
  return g;
}

// f(index in x, index in y, index in w, filter) for every multiplication of the convolution.
template <class F> void each(const ConvGeometry& g, const F& f) {
  const int64_t cg = g.c / g.groups, kg = g.k / g.groups, taps = product(g.kernel);
  for (int64_t n = 0; n < g.n; ++n)
    for (int64_t k = 0; k < g.k; ++k)
      for (int64_t o = 0; o < product(g.out); ++o) {
        const int64_t out[3] = {o / g.out[2] / g.out[1], o / g.out[2] % g.out[1], o % g.out[2]};
        for (int64_t t = 0; t < taps; ++t) {
          const int64_t tap[3] = {t / g.kernel[2] / g.kernel[1], t / g.kernel[2] % g.kernel[1], t % g.kernel[2]};
          int64_t x = n * g.x_stride[0], y = n * g.y_stride[0] + k * g.y_stride[1];
          bool inside = true;
          for (int d = 0; d < 3; ++d) {
            const int64_t i = out[d] * g.stride[d] + tap[d] * g.dilation[d] - g.pad[d];
            inside &= i >= 0 && i < g.in[d];
            x += i * g.x_stride[2 + d];
            y += out[d] * g.y_stride[2 + d];
          }
          if (!inside) continue;
          for (int64_t c = 0; c < cg; ++c) f(x + (k / kg * cg + c) * g.x_stride[1], y, (k * cg + c) * taps + t, k);
        }
      }
}

std::vector<double> values(const Typed& x) {
  std::vector<double> v(size_t(x.n));
  for (int64_t i = 0; i < x.n; ++i) v[size_t(i)] = x[i];
  return v;
}

// |a - b| against what the sum of that many products may lose, and the rounding of the result.
bool close(const Typed& a, const std::vector<double>& want, const std::vector<double>& size, double lose, const char* what,
           const ConvGeometry& g) {
  for (int64_t i = 0; i < a.n; ++i) {
    const double w = want[size_t(i)], d = std::fabs(a[i] - w);
    if (d <= lose * size[size_t(i)] + epsilon(a.dtype) * std::fabs(w) + 1e-7 * (size_of(a.dtype) == 2)) continue;
    std::printf("  %s at %lld: %.9g, want %.9g (%s, n %lld c %lld k %lld groups %lld height %lld)\n", what, (long long)i, a[i], w,
                name_of(a.dtype), (long long)g.n, (long long)g.c, (long long)g.k, (long long)g.groups, (long long)g.in[1]);
    return false;
  }
  return true;
}

double apply(Act act, double x) { return act == Act::relu ? x > 0 ? x : 0 : act == Act::silu ? x / (1 + std::exp(-x)) : x; }

int checked = 0;

// what: 1 forward, 2 the input's gradient, 4 the weight's
void one(DType t, const Case& w, bool x_last, bool y_last, bool with_bias = true, int what = 7, int64_t shift = 0) {
  const ConvGeometry g = geometry(t, w, x_last, y_last);
  const int64_t nx = g.n * g.c * product(g.in), ny = g.n * g.k * product(g.out), nw = g.k * (g.c / g.groups) * product(g.kernel);
  Typed x(t, nx, shift), f(t, nw), bias(t, g.k), y(t, ny, shift), dy(t, ny, shift), dx(t, nx, shift), dw(t, nw), db(t, g.k);
  x.fill(1, -1, 1), f.fill(2, -1, 1), bias.fill(3, -1, 1), dy.fill(4, -1, 1);
  const auto vx = values(x), vf = values(f), vb = values(bias), vdy = values(dy);
  const Act act = !with_bias ? Act::none : g.k % 3 ? Act::relu : Act::silu;
  std::vector<double> ry(size_t(ny), 0), rdx(size_t(nx), 0), rdw(size_t(nw), 0), rdb(size_t(g.k), 0);
  std::vector<double> sy(size_t(ny), 1), sdx(size_t(nx), 0), sdw(size_t(nw), 0), sdb(size_t(g.k), 0);
  const bool tf32 = t == DType::f32 && cuda::tf32_allowed();
  const double lose = tf32 ? 0x1p-10 : t == DType::f64 ? 0x1p-48 : 0x1p-19;
  each(g, [&](int64_t ix, int64_t iy, int64_t iw, int64_t) {
    const double xw = vx[size_t(ix)] * vf[size_t(iw)], dyw = vdy[size_t(iy)] * vf[size_t(iw)], dyx = vdy[size_t(iy)] * vx[size_t(ix)];
    ry[size_t(iy)] += xw, sy[size_t(iy)] += std::fabs(xw);
    rdx[size_t(ix)] += dyw, sdx[size_t(ix)] += std::fabs(dyw);
    rdw[size_t(iw)] += dyx, sdw[size_t(iw)] += std::fabs(dyx);
  });
  for (int64_t n = 0; n < g.n; ++n)
    for (int64_t k = 0; k < g.k; ++k)
      for (int64_t o = 0; o < product(g.out); ++o) {
        const int64_t i = n * g.y_stride[0] + k * g.y_stride[1] + o / g.out[2] / g.out[1] * g.y_stride[2] +
                          o / g.out[2] % g.out[1] * g.y_stride[3] + o % g.out[2] * g.y_stride[4];
        if (with_bias) ry[size_t(i)] = apply(act, ry[size_t(i)] + vb[size_t(k)]);
        rdb[size_t(k)] += vdy[size_t(i)], sdb[size_t(k)] += std::fabs(vdy[size_t(i)]);
      }
  ++checked;
  if (what & 1) {
    cuda::conv_fwd({g, x.data(), f.data(), with_bias ? bias.data() : nullptr, y.data(), act});
    CHECK(close(y, ry, sy, lose, "y", g) && y.intact());
  }
  if (what & 2) {
    cuda::conv_bwd_input({g, f.data(), dy.data(), dx.data()});
    CHECK(close(dx, rdx, sdx, lose, "dx", g) && dx.intact());
  }
  if (what & 4) {
    cuda::conv_bwd_weight({g, x.data(), dy.data(), dw.data(), with_bias ? db.data() : nullptr});
    CHECK(close(dw, rdw, sdw, lose, "dw", g) && dw.intact());
    if (with_bias) CHECK(close(db, rdb, sdb, lose, "db", g) && db.intact());
  }
}

const Case kCases[] = {
    {1, 1, 1, 1, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}},
    {3, 1, 5, 1, {1, 9, 8}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}},
    {1, 3, 17, 1, {1, 13, 11}, {1, 7, 7}, {1, 2, 2}, {0, 3, 3}, {1, 1, 1}},
    {3, 8, 8, 1, {1, 7, 7}, {1, 3, 3}, {1, 2, 2}, {0, 1, 1}, {1, 1, 1}},
    {2, 16, 32, 1, {1, 8, 8}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}},
    {1, 17, 8, 1, {1, 6, 9}, {1, 2, 3}, {1, 2, 1}, {0, 0, 4}, {1, 2, 3}},     // padding past the kernel, dilation
    {3, 32, 24, 1, {1, 1, 19}, {1, 1, 5}, {1, 1, 2}, {0, 0, 3}, {1, 1, 2}},   // one dim
    {2, 2, 70, 1, {1, 1, 40}, {1, 1, 9}, {1, 1, 3}, {0, 0, 4}, {1, 1, 1}},
    {1, 4, 6, 2, {4, 5, 6}, {2, 3, 2}, {2, 1, 3}, {1, 1, 0}, {1, 2, 1}},      // three, in groups
    {2, 16, 16, 2, {3, 4, 4}, {3, 3, 3}, {1, 2, 2}, {1, 1, 1}, {1, 1, 1}},
    {1, 24, 48, 3, {1, 5, 7}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}},
    {2, 8, 12, 4, {1, 6, 6}, {1, 3, 3}, {1, 2, 2}, {0, 2, 2}, {1, 2, 2}},
    {1, 8, 8, 1, {1, 12, 12}, {1, 4, 4}, {1, 4, 4}, {0, 0, 0}, {1, 1, 1}},    // patches: eight phases and more
    {1, 8, 9, 1, {1, 11, 10}, {1, 2, 2}, {1, 5, 3}, {0, 1, 0}, {1, 1, 1}},    // inputs that no output reads
    {1, 8, 8, 1, {1, 8, 8}, {1, 3, 3}, {1, 4, 2}, {0, 1, 1}, {1, 2, 2}},
    {3, 8, 16, 1, {1, 8, 8}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}},     // one tap
    {2, 17, 5, 1, {1, 5, 3}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}},
    {2, 16, 8, 1, {1, 7, 7}, {1, 1, 1}, {1, 2, 2}, {0, 0, 0}, {1, 1, 1}},
    {2, 5, 5, 5, {1, 9, 7}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}},      // depthwise
    {1, 32, 32, 32, {1, 9, 9}, {1, 3, 3}, {1, 2, 2}, {0, 1, 1}, {1, 1, 1}},
    {2, 8, 8, 8, {1, 10, 11}, {1, 5, 4}, {1, 1, 2}, {0, 4, 1}, {1, 2, 1}},
    {3, 3, 6, 3, {1, 7, 7}, {1, 3, 3}, {1, 2, 2}, {0, 1, 1}, {1, 1, 1}},      // with a multiplier
    {1, 8, 24, 8, {3, 5, 4}, {2, 3, 2}, {1, 2, 1}, {1, 1, 0}, {1, 1, 2}},
    {2, 6, 6, 6, {1, 1, 21}, {1, 1, 7}, {1, 1, 1}, {0, 0, 3}, {1, 1, 1}}};

void all() {
  for (DType t : kFloats)
    for (const Case& w : kCases)
      for (int layout = 0; layout < 4; ++layout) {
        if (layout % 3 && w.k % 8) continue;                       // mixed layouts of a few
        if (t == DType::f16 && (&w - kCases) % 3 != 0) continue;  // bfloat16's code but for conversions
        one(t, w, layout & 1, layout & 2, layout != 1);
      }
}

void special() {
  const Case plain{2, 16, 16, 1, {1, 8, 8}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}};
  const Case depth{2, 16, 16, 16, {1, 8, 8}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}};
  for (DType t : kFloats)
    for (bool last : {false, true}) {
      one(t, plain, last, last, true, 7, 1);   // off alignment
      one(t, depth, last, last, true, 7, 1);
      Case none = plain;
      none.n = 0;
      one(t, none, last, last, true, 7);
      none = depth, none.n = 0;
      one(t, none, last, last, true, 7);
      none = plain, none.c = 0;
      one(t, none, last, last, true, 7);
      none = plain, none.k = 0;
      one(t, none, last, last, true, 7);
      if (t != DType::f16)  // several tiles and parts
        one(t, {3, 8, 70, 1, {1, 14, 17}, {1, 3, 2}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}}, last, last);
    }
  cuda::allow_tf32(true);
  for (const Case& w : kCases) {
    const bool last = (&w - kCases) % 2;
    one(DType::f32, w, last, last);
  }
  cuda::allow_tf32(false);
}

// Tiles of 128 want many blocks: of groups, with sums as short as can be.
void big() {
  const Case positions{1, 256, 130 * 32, 32, {1, 15, 18}, {1, 1, 2}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}};
  const Case narrow{1, 512, 40 * 64, 64, {1, 15, 18}, {1, 1, 2}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}};
  const Case weight{1, 72 * 32, 130 * 32, 32, {1, 3, 5}, {1, 1, 2}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}};
  const Case narrow_weight{1, 72 * 64, 40 * 64, 64, {1, 3, 5}, {1, 1, 2}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}};
  for (bool last : {false, true}) {
    one(DType::bf16, positions, last, last, true, 1);
    one(DType::bf16, narrow, last, last, true, 1);
  }
  one(DType::f32, positions, true, true, true, 1);
  one(DType::bf16, weight, true, true, false, 4);
  one(DType::bf16, narrow_weight, true, true, false, 4);
  one(DType::f32, weight, true, true, false, 4);
}

}  // namespace

int main() {
  all();
  special();
  big();
  if (!failures()) std::printf("conv: %d cases\n", checked);
  return failures() != 0;
}
