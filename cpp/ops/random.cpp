// SPDX-License-Identifier: MIT
#include "random.h"
#include <algorithm>
#include <cmath>
#include <vector>
#include "core/backend.h"
#include "dispatch/dispatch.h"
#include "elementwise.h"
#include "parallel.h"

namespace lamella::ops {

void random_(Array& y, RandomOp op, double p0, double p1, Generator& g) {
  if (op == RandomOp::uniform || op == RandomOp::normal)
    check<TypeError>(is_floating(y.dtype), "[", op == RandomOp::uniform ? "uniform" : "normal",
                     "] tensor must have a floating dtype, got ", name_of(y.dtype));
  if (op == RandomOp::uniform) check<ValueError>(p0 <= p1, "[uniform] from must not lie above to, got ", p0, " and ", p1);
  if (op == RandomOp::normal) check<ValueError>(p1 >= 0, "[normal] std must not be negative, got ", p1);
  if (op == RandomOp::integer) check<ValueError>(p0 < p1, "[randint] low must lie below high, got ", p0, " and ", p1);
  if (op == RandomOp::bernoulli) check<ValueError>(p0 >= 0 && p0 <= 1, "[bernoulli] p must be in [0, 1], got ", p0);
  uint64_t stream = g.stream++;
  if (y.is_contiguous()) {
    kernels().random({op, y.dtype, y.numel(), y.data(), g.seed, stream, p0, p1, random_shift()});
  } else {
    Array t = empty_like(y);
    kernels().random({op, t.dtype, t.numel(), t.data(), g.seed, stream, p0, p1, random_shift()});
    copy_(y, t);
  }
}

// Whole channels of images with adjacent channels.
static Array drop_channels(const Array& x, double p, uint64_t seed, uint64_t stream) {
  Shape channels = x.shape;
  for (int d = 2; d < channels.n; ++d) channels[d] = 1;
  Array drawn = empty(channels, x.dtype);
  fill_(drawn, 1.0);
  return binary(BinaryOp::mul, channels_last(x), dropout(drawn, p, 1, seed, stream, false));
}

Array dropout(const Array& x, double p, int64_t block, uint64_t seed, uint64_t stream, bool last) {
  check<TypeError>(is_floating(x.dtype), "[dropout] input must have a floating dtype, got ", name_of(x.dtype));
  if (last && block > 1) {
    const bool channels = x.shape[0] * x.shape[1] * block == x.numel() && size_of(x.dtype) > 2;  // 16-bit ones are rounded once
    return channels ? drop_channels(x, p, seed, stream) : channels_last(dropout(contiguous(x), p, block, seed, stream, false));
  }
  const Array c = last ? channels_last(x) : contiguous(x), y = last ? empty_channels_last(x.shape, x.dtype) : empty_like(c);
  if (c.numel()) kernels().dropout({c.dtype, c.numel(), block, c.data(), y.data(), p, seed, stream, random_shift()});
  return y;
}

namespace {
// Uniform doubles in [0, 1) of one stream, in order, from a Philox block on.
class Uniforms {
 public:
  Uniforms(uint64_t seed, uint64_t stream, uint64_t first) : seed_(seed), stream_(stream), block_(first) {}
  double next() {
    if (at_ == 0) words_ = philox(seed_, block_++, stream_);
    uint64_t bits = (uint64_t(words_.v[at_ + 1]) << 21) ^ (words_.v[at_] >> 11);
    at_ = at_ ? 0 : 2;
    return double(bits) * 0x1p-53;
  }
 private:
  uint64_t seed_, stream_, block_;
  Philox words_{};
  int at_ = 0;
};

// The first n of them at once.
Array uniforms(int64_t n, Generator& g) {
  Array u = empty({n}, DType::f64);
  kernels().random({RandomOp::uniform, DType::f64, n, u.data(), g.seed, g.stream++, 0, 1});
  return u;
}
}  // namespace

Array randperm(int64_t n, Generator& g) {
  check<ValueError>(n >= 0, "[randperm] n must not be negative, got ", n);
  const Device device = here();
  const On host(Device{});
  Array y = empty({n}, DType::i64);
  int64_t* p = y.data<int64_t>();
  for (int64_t i = 0; i < n; ++i) p[i] = i;
  const Array draws = uniforms(std::max<int64_t>(n - 1, 0), g);
  const double* u = draws.data<double>();
  for (int64_t i = n - 1; i > 0; --i) std::swap(p[i], p[int64_t(*u++ * double(i + 1))]);
  return to_device(y, device);
}

Array multinomial(const Array& weights, int64_t count, bool replacement, Generator& g) {
  check<ValueError>(weights.ndim() == 1 || weights.ndim() == 2, "[multinomial] input must have 1 or 2 dimensions, got ",
                    weights.shape);
  check<ValueError>(count > 0, "[multinomial] num_samples must be positive, got ", count);
  const Device device = weights.device();  // draws are made on the host, one after another
  const On host(Device{});
  Array w = contiguous(cast(on_host(contiguous(weights)), DType::f64));
  int64_t n = w.shape.back(), rows = w.ndim() == 2 ? w.shape[0] : 1;
  check<ValueError>(replacement || count <= n, "[multinomial] num_samples must be at most ", n,
                    " without replacement, got ", count);
  Array y = empty(w.ndim() == 2 ? Shape{rows, count} : Shape{count}, DType::i64);
  replacement |= count == 1;  // the same, and cheaper
  Array draws = uniforms(rows * (replacement ? count : n), g);
  if (!replacement) draws = unary(UnaryOp::log1p, unary(UnaryOp::neg, draws));  // minus the times until arrivals at rate 1
  const double* u = draws.data<double>();
  std::vector<double> sums(replacement ? static_cast<size_t>(n) : 0);
  std::vector<std::pair<double, int64_t>> first;
  for (int64_t r = 0; r < rows; ++r) {
    const double* row = w.data<double>() + r * n;
    double most = 0, total = 0;
    int64_t some = 0;
    for (int64_t i = 0; i < n; ++i) {
      check<ValueError>(row[i] >= 0 && std::isfinite(row[i]), "[multinomial] weights must be finite and not negative, got ",
                        row[i], " at position ", i);
      most = std::max(most, row[i]);
      some += row[i] > 0;
    }
    int64_t* out = y.data<int64_t>() + r * count;
    if (!replacement) {  // arrivals at the weights as rates come in the order of draws without replacement: a heap has the first
      check<ValueError>(some >= count, "[multinomial] weights must leave at least ", count, " indices to draw, got ", some);
      first.clear();
      for (int64_t i = 0; i < n; ++i, ++u) {
        const std::pair<double, int64_t> arrival(-*u / row[i], i);
        if (row[i] == 0 || (int64_t(first.size()) == count && !(arrival < first.front()))) continue;
        if (int64_t(first.size()) == count) std::pop_heap(first.begin(), first.end()), first.pop_back();
        first.push_back(arrival);
        std::push_heap(first.begin(), first.end());
      }
      std::sort_heap(first.begin(), first.end());
      for (int64_t k = 0; k < count; ++k) out[k] = first[size_t(k)].second;
      continue;
    }
    const double scale = most > 0x1p900 ? 1 / most : 1;  // weights may add up to infinity
    for (int64_t i = 0; i < n; ++i) sums[size_t(i)] = total += row[i] * scale;
    check<ValueError>(total > 0, "[multinomial] weights must leave at least 1 index to draw, got 0");
    for (int64_t k = 0; k < count; ++k) {
      const auto it = std::upper_bound(sums.begin(), sums.end(), *u++ * total);
      out[k] = std::min<int64_t>(it - sums.begin(), n - 1);
    }
  }
  return to_device(y, device);
}

// ---- Poisson -------------------------------------------------------------------------------------------------------------
namespace {
// Inversion: the first k whose distribution function exceeds u.
double small_poisson(double rate, Uniforms& u) {
  double p = std::exp(-rate), left = u.next(), k = 0;
  while (left > p && p > 0) {
    left -= p;
    p *= rate / ++k;
  }
  return k;
}
// Transformed rejection (Hoermann 1993, "PTRS"), for rates of 10 and more.
double large_poisson(double rate, Uniforms& u) {
  const double root = std::sqrt(rate), log_rate = std::log(rate), b = 0.931 + 2.53 * root, a = -0.059 + 0.02483 * b;
  const double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4), squeeze = 0.9277 - 3.6224 / (b - 2);
  for (;;) {
    const double x = u.next() - 0.5, v = u.next(), edge = 0.5 - std::fabs(x);
    const double k = std::floor((2 * a / edge + b) * x + rate + 0.43);
    if (edge >= 0.07 && v <= squeeze) return k;
    if (k < 0 || (edge < 0.013 && v > edge)) continue;
    int sign;
    if (std::log(v * inverse_alpha / (a / (edge * edge) + b)) <= k * log_rate - rate - lgamma_r(k + 1, &sign)) return k;
  }
}
}  // namespace

Array poisson(const Array& x, Generator& g) {
  const Array rates = contiguous(cast(x, DType::f64));
  const int64_t n = rates.numel(), each = 1024;
  const double* const rate = rates.data<double>();
  for (int64_t i = 0; i < n; ++i)
    check<ValueError>(rate[i] >= 0 && rate[i] <= 0x1p53, "[poisson] input must lie in [0, 2^53], got ", rate[i], " at flat position ", i);
  Array y = empty(x.shape, DType::f64);
  double* const out = y.data<double>();
  const uint64_t seed = g.seed, stream = g.stream++;
  parallel((n + each - 1) / each, [&](int64_t t) {
    for (int64_t i = t * each, end = std::min(i + each, n); i < end; ++i) {
      Uniforms u(seed, stream, uint64_t(i) << 20);  // blocks of its own
      out[i] = rate[i] < 10 ? small_poisson(rate[i], u) : large_poisson(rate[i], u);
    }
  });
  return y;
}

}  // namespace lamella::ops
