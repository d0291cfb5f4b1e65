// SPDX-License-Identifier: MIT
// batch_norm, layer_norm and group_norm against plain loops in double: every form (rows in registers, pieces, columns,
// planes), sizes around the borders of packs, warps and blocks, pointers off 16 bytes, results the same twice.
#include <cstring>
#include "cuda/runtime.h"
#include "kernels/kernels.h"
#include "typed.h"

using namespace lamella;
namespace lamella::cuda {
#define K(name, Args) void name(const Args&);
LAMELLA_KERNELS(K)
#undef K
}  // namespace lamella::cuda

static DType wide(DType t) { return t == DType::f64 ? t : DType::f32; }
static double tolerance(DType t) { return t == DType::f64 ? 1e-11 : t == DType::f32 ? 2e-5 : 2 * epsilon(t); }
static bool near(const Typed& a, const std::vector<double>& want, DType t, double scale, const char* what) {
  for (int64_t i = 0; i < a.n; ++i) {
    const double d = std::fabs(a[i] - want[size_t(i)]);
    if (!(d <= tolerance(t) * (std::fabs(want[size_t(i)]) + scale))) {
      std::printf("%s %s at %lld of %lld: %.9g, want %.9g\n", what, name_of(t), (long long)i, (long long)a.n, a[i],
                  want[size_t(i)]);
      return false;
    }
  }
  return a.intact();
}
#define NEAR(a, want, scale) CHECK(near(a, want, t, scale, what))

// Everything that the norms have in common: x (n, c, inner), statistic s(i, ch), parameters by channel.
struct Case {
  int64_t n, c, inner, stats;  // statistics: how many
  bool by_sample;              // statistic of (i, ch): i * groups + ch / (c / groups); else ch
  int64_t groups;
  bool rms, frozen;
  int64_t of(int64_t i, int64_t ch) const { return by_sample ? i * groups + ch / (c / groups) : ch; }
};
struct Want { std::vector<double> y, mean, rstd, var, dx, dw, db; };

static Want reference(const Case& k, const Typed& x, const Typed* w, const Typed* b, const Typed& dy, double eps) {
  const size_t all = size_t(k.n * k.c * k.inner), stats = size_t(k.stats);
  Want r{std::vector<double>(all), std::vector<double>(stats), std::vector<double>(stats), std::vector<double>(stats),
         std::vector<double>(all), std::vector<double>(size_t(k.c)), std::vector<double>(size_t(k.c))};
  const double m = stats ? double(all) / double(stats) : 1;
  const auto each = [&](const auto& f) {
    int64_t at = 0;
    for (int64_t i = 0; i < k.n; ++i)
      for (int64_t ch = 0; ch < k.c; ++ch)
        for (int64_t j = 0; j < k.inner; ++j, ++at) f(at, ch, size_t(k.of(i, ch)));
  };
  std::vector<double> s1(stats), s2(stats);
  if (!k.rms) each([&](int64_t at, int64_t, size_t s) { r.mean[s] += x[at] / m; });
  each([&](int64_t at, int64_t, size_t s) { r.var[s] += (x[at] - r.mean[s]) * (x[at] - r.mean[s]) / m; });
  for (size_t s = 0; s < stats; ++s) r.rstd[s] = 1 / std::sqrt(r.var[s] + eps);
  each([&](int64_t at, int64_t ch, size_t s) {
    const double h = (x[at] - r.mean[s]) * r.rstd[s], d = dy[at], wc = w ? (*w)[ch] : 1;
    r.y[size_t(at)] = h * wc + (b ? (*b)[ch] : 0);
    r.dw[size_t(ch)] += d * h;
    r.db[size_t(ch)] += d;
    s1[s] += d * wc / m;
    s2[s] += d * wc * h / m;
  });
  each([&](int64_t at, int64_t ch, size_t s) {
    const double h = (x[at] - r.mean[s]) * r.rstd[s], g = dy[at] * (w ? (*w)[ch] : 1);
    r.dx[size_t(at)] = k.frozen ? g * r.rstd[s] : (g - (k.rms ? 0 : s1[s]) - h * s2[s]) * r.rstd[s];
  });
  return r;
}

static void layer(DType t, int64_t rows, int64_t cols, bool rms, bool affine, int64_t offset) {
  const char* what = rms ? "rms_norm" : "layer_norm";
  const Case k{rows, cols, 1, rows, true, 1, rms, false};
  Typed x(t, rows * cols, offset), dy(t, rows * cols), w(t, cols), b(t, cols), y(t, rows * cols, offset), dx(t,
      rows * cols);
  x.fill(1, 2, 5), dy.fill(2, -1, 1), w.fill(3, 0.5, 1.5), b.fill(4, -1, 1);
  Typed mean(wide(t), rows), rstd(wide(t), rows), dw(t, cols), db(t, cols);
  const void *wp = affine ? w.data() : nullptr, *bp = affine ? b.data() : nullptr;
  const Want want = reference(k, x, affine ? &w : nullptr, affine ? &b : nullptr, dy, 1e-5);
  cuda::layer_norm_fwd({t, rows, cols, x.data(), wp, bp, y.data(), mean.data(), rstd.data(), 1e-5, rms});
  NEAR(y, want.y, 1);
  if (cols == 0) return;
  for (auto [a, v] : {std::pair{&mean, &want.mean}, std::pair{&rstd, &want.rstd}}) CHECK(near(*a, *v, wide(t), 1, what));
  cuda::layer_norm_bwd({t, rows, cols, x.data(), dy.data(), wp, mean.data(), rstd.data(), dx.data(), dw.data(), db.data(),
                        rms});
  NEAR(dx, want.dx, 1);
  NEAR(dw, want.dw, 1 + double(rows) / 8);
  NEAR(db, want.db, 1 + double(rows) / 8);
  Typed again(t, rows * cols), dw2(t, cols);
  cuda::layer_norm_bwd({t, rows, cols, x.data(), dy.data(), wp, mean.data(), rstd.data(), again.data(), nullptr, nullptr,
                        rms});
  NEAR(again, want.dx, 1);
  cuda::layer_norm_bwd({t, rows, cols, x.data(), dy.data(), wp, mean.data(), rstd.data(), nullptr, dw2.data(), nullptr,
                        rms});
  CHECK(dw2.same(dw));
}

static void group(DType t, int64_t n, int64_t c, int64_t inner, int64_t groups, bool affine, int64_t offset) {
  const char* what = "group_norm";
  const Case k{n, c, inner, n * groups, true, groups, false, false};
  const int64_t all = n * c * inner;
  Typed x(t, all, offset), dy(t, all), w(t, c), b(t, c), y(t, all), dx(t, all), mean(wide(t), n * groups), rstd(wide(t),
      n * groups);
  x.fill(1, 2, 5), dy.fill(2, -1, 1), w.fill(3, 0.5, 1.5), b.fill(4, -1, 1);
  Typed dw(t, c), db(t, c), dw2(t, c);
  const void *wp = affine ? w.data() : nullptr, *bp = affine ? b.data() : nullptr;
  const Want want = reference(k, x, affine ? &w : nullptr, affine ? &b : nullptr, dy, 1e-5);
  cuda::group_norm_fwd({t, n, c, inner, groups, x.data(), wp, bp, y.data(), mean.data(), rstd.data(), 1e-5, false});
  NEAR(y, want.y, 1);
  for (auto [a, v] : {std::pair{&mean, &want.mean}, std::pair{&rstd, &want.rstd}}) CHECK(near(*a, *v, wide(t), 1, what));
  cuda::group_norm_bwd({t, n, c, inner, groups, x.data(), dy.data(), wp, mean.data(), rstd.data(), dx.data(), dw.data(),
                        db.data(), false});
  NEAR(dx, want.dx, 1);
  NEAR(dw, want.dw, 1 + double(n * inner) / 8);
  NEAR(db, want.db, 1 + double(n * inner) / 8);
  cuda::group_norm_bwd({t, n, c, inner, groups, x.data(), dy.data(), wp, mean.data(), rstd.data(), nullptr, dw2.data(),
                        nullptr, false});
  CHECK(dw2.same(dw));
}

static void batch(DType t, int64_t n, int64_t c, int64_t inner, bool affine, int64_t offset) {
  const char* what = "batch_norm";
  Case k{n, c, inner, c, false, 1, false, false};
  const int64_t all = n * c * inner;
  const DType p = wide(t);
  Typed x(t, all, offset), dy(t, all), w(p, c), b(p, c), y(t, all), dx(t, all), mean(p, c), rstd(p, c), rm(p, c), rv(p, c),
      dw(p, c), db(p, c);
  x.fill(1, 2, 5), dy.fill(2, -1, 1), w.fill(3, 0.5, 1.5), b.fill(4, -1, 1), rm.fill(5, 0, 1), rv.fill(6, 1, 2);
  const void *wp = affine ? w.data() : nullptr, *bp = affine ? b.data() : nullptr;
  Want want = reference(k, x, affine ? &w : nullptr, affine ? &b : nullptr, dy, 1e-5);
  std::vector<double> m2(size_t(c), 0.0), v2(size_t(c), 0.0);
  for (int64_t i = 0; i < c; ++i) {
    const double count = double(n * inner);
    m2[size_t(i)] = 0.7 * rm[i] + 0.3 * want.mean[size_t(i)];
    v2[size_t(i)] = 0.7 * rv[i] + 0.3 * want.var[size_t(i)] * count / (count - 1);
  }
  const Act act = affine ? Act::relu : Act::none;
  if (affine) for (double& v : want.y) v = v < 0 ? 0 : v;
  cuda::batch_norm_fwd({t, p, n, c, inner, x.data(), wp, bp, y.data(), mean.data(), rstd.data(), rm.data(), rv.data(),
                        1e-5, 0.3, act});
  NEAR(y, want.y, 1);
  for (auto [a, v] : {std::pair{&mean, &want.mean}, std::pair{&rstd, &want.rstd}, std::pair{&rm, &m2}, std::pair{&rv, &v2}})
    CHECK(near(*a, *v, p, 1, what));
  Typed y2(t, all);
  cuda::batch_norm_apply({t, p, n, c, inner, x.data(), wp, bp, mean.data(), rstd.data(), y2.data(), act});
  NEAR(y2, want.y, 1);
  for (bool frozen : {false, true}) {
    k.frozen = frozen;
    want = reference(k, x, affine ? &w : nullptr, nullptr, dy, 1e-5);
    cuda::batch_norm_bwd({t, p, n, c, inner, x.data(), dy.data(), wp, mean.data(), rstd.data(), dx.data(), dw.data(),
                          db.data(), frozen});
    NEAR(dx, want.dx, 1);
    CHECK(near(dw, want.dw, p, 1 + double(n * inner) / 8, what));
    CHECK(near(db, want.db, p, 1 + double(n * inner) / 8, what));
  }
  cuda::batch_norm_bwd({t, p, n, c, inner, x.data(), dy.data(), wp, mean.data(), rstd.data(), nullptr, nullptr, db.data(),
                        false});
}

// A mean far from zero: the deviations keep their digits.
static void far_mean() {
  const int64_t n = 8192;
  for (int64_t rows : {1, 3}) {
    Typed x(DType::f32, rows * n), y(DType::f32, rows * n), mean(DType::f32, rows), rstd(DType::f32, rows);
    x.fill(7, 9999, 10001);
    Typed z(DType::f32, rows * n);
    const Want want = reference({rows, n, 1, rows, true, 1, false, false}, x, nullptr, nullptr, x, 1e-5);
    cuda::layer_norm_fwd({DType::f32, rows, n, x.data(), nullptr, nullptr, y.data(), mean.data(), rstd.data(), 1e-5,
                          false});
    CHECK(near(y, want.y, DType::f32, 1, "far mean"));
    for (auto [b, c, inner] : {std::array<int64_t, 3>{n, rows, 1}, {2, rows, n / 2}}) {
      const Want other = reference({b, c, inner, c, false, 1, false, false}, x, nullptr, nullptr, x, 1e-5);
      Typed m(DType::f32, c), r(DType::f32, c);
      cuda::batch_norm_fwd({DType::f32, DType::f32, b, c, inner, x.data(), nullptr, nullptr, z.data(), m.data(), r.data(),
                            nullptr, nullptr, 1e-5, 0.1, Act::none});
      CHECK(near(z, other.y, DType::f32, 1, "far mean"));
    }
  }
}

int main() {
  for (DType t : kFloats) {
    for (int64_t cols : {1, 2, 7, 8, 16, 31, 32, 33, 127, 128, 264, 512, 520, 1000, 1024, 1025, 1032}) {
      layer(t, 5, cols, false, true, 0);
      layer(t, cols < 64 ? 300 : 33, cols, true, cols % 2, cols == 128);
    }
    layer(t, 3, 8192, false, true, 0);
    layer(t, 2, 8200, true, true, 0);
    layer(t, 2, 4097, false, true, 0);
    layer(t, 0, 12, false, true, 0);
    layer(t, 700, 16, false, true, 0);
    group(t, 3, 6, 5, 2, true, 0);
    group(t, 2, 32, 4, 4, true, 0);
    group(t, 9, 24, 1, 3, false, 1);
    group(t, 2, 6, 49, 3, true, 0);
    group(t, 2, 4, 64, 2, true, 0);
    group(t, 2, 4, 64, 4, false, 1);
    group(t, 1, 2, 3000, 1, true, 0);
    group(t, 0, 4, 5, 2, true, 0);
    batch(t, 2, 3, 1, true, 0);
    batch(t, 5000, 3, 1, true, 0);
    batch(t, 67, 40, 1, true, 0);
    batch(t, 300, 8, 1, false, 1);
    batch(t, 9, 5, 7, true, 0);
    batch(t, 40, 8, 4, true, 0);
    batch(t, 5, 3, 49, true, 0);
    batch(t, 3, 4, 64, false, 0);
    batch(t, 4, 5, 33, true, 1);
    batch(t, 2, 2, 5000, true, 0);
  }
  layer(DType::bf16, 2, 32776, false, true, 0);
  layer(DType::f32, 2, 16388, true, true, 0);
  layer(DType::f32, 2, 16389, false, false, 0);
  group(DType::f32, 1, 4, 20001, 1, true, 0);
  group(DType::f32, 1, 1400, 15, 1, true, 0);
  far_mean();
  return failures() != 0;
}
