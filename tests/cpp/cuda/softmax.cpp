// SPDX-License-Identifier: MIT
// softmax and cross_entropy against plain loops in double: rows in registers, in pieces, columns, pointers off 16 bytes,
// rows of every alignment, NaN and infinity, ignored targets.
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
static double tolerance(DType t) { return t == DType::f64 ? 1e-12 : t == DType::f32 ? 4e-6 : 2 * epsilon(t); }
static bool near(const Typed& a, const std::vector<double>& want, DType t, double scale, const char* what) {
  for (int64_t i = 0; i < a.n; ++i) {
    const double w = want[size_t(i)], d = std::fabs(a[i] - w);
    if (a[i] == w || (w != w && a[i] != a[i])) continue;
    if (!(d <= tolerance(t) * (std::fabs(w) + scale))) {
      std::printf("%s %s at %lld of %lld: %.9g, want %.9g\n", what, name_of(t), (long long)i, (long long)a.n, a[i], w);
      return false;
    }
  }
  return a.intact();
}

static double lse_of(const Typed& x, int64_t at, int64_t n, int64_t step) {
  double m = -INFINITY, s = 0;
  for (int64_t i = 0; i < n; ++i) m = std::fmax(m, x[at + i * step]);
  for (int64_t i = 0; i < n; ++i) s += std::exp(x[at + i * step] - m);
  return m + std::log(s);
}

static void softmax(DType t, int64_t outer, int64_t n, int64_t inner, int64_t offset) {
  const int64_t all = outer * n * inner;
  Typed x(t, all, offset), dy(t, all), y(t, all, offset), dx(t, all);
  x.fill(1, -4, 4), dy.fill(2, -1, 1);
  if (outer > 2 && n > 2) {  // a row of -inf, a NaN, an inf; -inf among others
    for (int64_t i = 0; i < n; ++i) x.set(i * inner, -INFINITY);
    x.set(n * inner + inner, NAN);
    x.set(n * inner * 2 + inner - 1, -INFINITY);
  }
  for (bool log : {false, true}) {
    std::vector<double> want(size_t(all), 0.0), grad(size_t(all), 0.0);
    cuda::softmax_fwd({t, log, outer, n, inner, x.data(), y.data()});
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t j = 0; j < inner; ++j) {
        const int64_t at = o * n * inner + j;
        const double l = lse_of(x, at, n, inner);
        double sum = 0;
        for (int64_t i = 0; i < n; ++i) {
          const double d = x[at + i * inner] - l;
          want[size_t(at + i * inner)] = log ? d : std::exp(d);
          sum += dy[at + i * inner] * (log ? 1 : y[at + i * inner]);
        }
        for (int64_t i = 0; i < n; ++i) {
          const double v = y[at + i * inner], d = dy[at + i * inner];
          grad[size_t(at + i * inner)] = log ? d - std::exp(v) * sum : v * (d - sum);
        }
      }
    CHECK(near(y, want, t, log ? 1 : 1e-3, log ? "log_softmax" : "softmax"));
    cuda::softmax_bwd({t, log, outer, n, inner, y.data(), dy.data(), dx.data()});
    CHECK(near(dx, grad, t, log ? 1 + double(n) / 100 : 0.1, log ? "log_softmax_bwd" : "softmax_bwd"));
  }
}

static void cross_entropy(DType t, int64_t outer, int64_t classes, int64_t inner, int64_t offset, bool weighted,
                          double smoothing,
                          Reduction how, bool log_probs, bool all_ignored = false) {
  const int64_t all = outer * classes * inner, count = outer * inner, ignore = -100;
  const char* what = log_probs ? "nll" : "cross_entropy";
  const DType w = wide(t);
  const bool none = how == Reduction::none;
  Typed x(t, all, offset), dx(t, all), weight(w, classes), loss(t, none ? count : 1), lse(w, count), den(w, 1), dloss(t,
      none ? count : 1);
  x.fill(1, -4, 4), weight.fill(2, 0.5, 1.5), dloss.fill(3, 0.5, 1);
  std::vector<int64_t> target(size_t(count), 0);
  for (int64_t i = 0; i < count; ++i) target[size_t(i)] = all_ignored || i % 5 == 3 ? ignore : (i * 7919 + 13) % classes;
  if (count > 3) x.set(3 / inner * classes * inner + 3 % inner, NAN);  // in an ignored row
  const void* wp = weighted ? weight.data() : nullptr;
  cuda::cross_entropy_fwd({t, outer, classes, inner, x.data(), target.data(), wp, loss.data(),
                           log_probs ? nullptr : lse.data(),
                           den.data(), ignore, smoothing, how, log_probs});
  std::vector<double> want(size_t(count), 0.0), l(size_t(count), 0.0);
  const auto of = [&](int64_t c) { return weighted ? weight[c] : 1.0; };
  double sum = 0, weights = 0, total = 0;
  for (int64_t c = 0; c < classes; ++c) total += of(c);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t c = target[size_t(i)], at = i / inner * classes * inner + i % inner;
    if (c == ignore) continue;
    double& v = want[size_t(i)];
    l[size_t(i)] = log_probs ? 0 : lse_of(x, at, classes, inner);
    v = of(c) * (1 - smoothing) * (l[size_t(i)] - x[at + c * inner]);
    if (smoothing != 0)
      for (int64_t k = 0; k < classes; ++k) v += smoothing / double(classes) * of(k) * (l[size_t(i)] - x[at + k * inner]);
    sum += v;
    weights += of(c);
  }
  if (!log_probs) CHECK(near(lse, l, w, 1, "lse"));
  if (none) CHECK(near(loss, want, t, 1, what));
  else CHECK(near(loss, {how == Reduction::mean ? sum / weights : sum}, t, 1 + double(count) / 8, what));
  if (how == Reduction::mean) CHECK(near(den, {weights}, w, 1, "denominator"));
  cuda::cross_entropy_bwd({t, outer, classes, inner, x.data(), target.data(), wp, log_probs ? nullptr : lse.data(),
                           den.data(),
                           dloss.data(), dx.data(), ignore, smoothing, how, log_probs});
  std::vector<double> grad(size_t(all), 0.0);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t t0 = target[size_t(i)], at = i / inner * classes * inner + i % inner;
    if (t0 == ignore) continue;
    const double d = dloss[none ? i : 0] / (how == Reduction::mean ? weights : 1);
    for (int64_t c = 0; c < classes; ++c) {
      const double p = log_probs ? 0 : std::exp(x[at + c * inner] - l[size_t(i)]);
      double g = d * of(t0) * (1 - smoothing) * (p - (c == t0));
      if (!log_probs) g += d * smoothing / double(classes) * (total * p - of(c));
      grad[size_t(at + c * inner)] = g;
    }
  }
  CHECK(near(dx, grad, t, how == Reduction::mean ? 0.1 : 1, what));
}

int main() {
  for (DType t : kFloats) {
    for (int64_t n : {1, 2, 8, 31, 32, 33, 129, 256, 1000, 1024, 1032, 4095, 4096}) softmax(t, n < 64 ? 70 : 3, n, 1,
        n == 256);
    softmax(t, 2, 9001, 1, 0);
    softmax(t, 0, 5, 1, 0);
    softmax(t, 3, 0, 1, 0);
    for (auto [n, inner] : {std::pair{3, 5}, {1, 7}, {40, 3}, {100, 33}, {17, 300}}) softmax(t, 3, n, inner, 0);
    for (Reduction how : {Reduction::none, Reduction::sum, Reduction::mean}) {
      cross_entropy(t, 37, 10, 1, 0, true, 0.1, how, false);
      cross_entropy(t, 7, 1000, 1, 0, false, 0, how, false);
      cross_entropy(t, 5, 1031, 1, 1, true, 0.2, how, false);
      cross_entropy(t, 3, 21, 50, 0, true, 0.1, how, false);
      cross_entropy(t, 300, 3, 1, 0, true, 0, how, true);
      cross_entropy(t, 2, 40, 9, 0, false, 0, how, true);
      cross_entropy(t, 6, 12, 1, 0, true, 0.1, how, false, true);
      cross_entropy(t, 0, 12, 1, 0, true, 0.1, how, false);
    }
    cross_entropy(t, 1100, 7, 1, 3, false, 0, Reduction::mean, false);
    cross_entropy(t, 3, 9973, 1, 0, true, 0.1, Reduction::none, false);
    cross_entropy(t, 4, 1, 1, 0, false, 0, Reduction::sum, false);
  }
  softmax(DType::bf16, 3, 32776, 1, 0);
  softmax(DType::f32, 3, 16388, 1, 0);
  softmax(DType::f32, 1, 50, 5000, 0);
  cross_entropy(DType::bf16, 6, 50257, 1, 0, false, 0.1, Reduction::mean, false);
  cross_entropy(DType::f32, 5000, 3, 1, 0, true, 0, Reduction::mean, false);
  cross_entropy(DType::f16, 1, 3, 9000, 0, true, 0, Reduction::sum, true);
  return failures() != 0;
}
