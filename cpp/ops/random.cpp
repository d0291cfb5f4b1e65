// SPDX-License-Identifier: MIT
#include "random.h"
#include <algorithm>
#include <cmath>
#include <vector>
#include "core/backend.h"
#include "dispatch/dispatch.h"
#include "elementwise.h"

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

Array dropout(const Array& x, double p, int64_t block, uint64_t seed, uint64_t stream) {
  check<TypeError>(is_floating(x.dtype), "[dropout] input must have a floating dtype, got ", name_of(x.dtype));
  Array c = contiguous(x), y = empty_like(c);
  if (c.numel()) kernels().dropout({c.dtype, c.numel(), block, c.data(), y.data(), p, seed, stream, random_shift()});
  return y;
}

namespace {
// Uniform doubles in [0, 1) of one stream, in order.
class Uniforms {
 public:
  explicit Uniforms(Generator& g) : seed_(g.seed), stream_(g.stream++) {}
  double next() {
    if (at_ == 0) words_ = philox(seed_, block_++, stream_);
    uint64_t bits = (uint64_t(words_.v[at_ + 1]) << 21) ^ (words_.v[at_] >> 11);
    at_ = at_ ? 0 : 2;
    return double(bits) * 0x1p-53;
  }
 private:
  uint64_t seed_, stream_, block_ = 0;
  Philox words_{};
  int at_ = 0;
};
}  // namespace

Array randperm(int64_t n, Generator& g) {
  check<ValueError>(n >= 0, "[randperm] n must not be negative, got ", n);
  const Device device = here();
  const On host(Device{});
  Array y = empty({n}, DType::i64);
  int64_t* p = y.data<int64_t>();
  for (int64_t i = 0; i < n; ++i) p[i] = i;
  Uniforms u(g);
  for (int64_t i = n - 1; i > 0; --i) std::swap(p[i], p[int64_t(u.next() * double(i + 1))]);
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
  Uniforms u(g);
  std::vector<double> sums(static_cast<size_t>(n));
  std::vector<std::pair<double, int64_t>> arrivals;
  for (int64_t r = 0; r < rows; ++r) {
    const double* row = w.data<double>() + r * n;
    for (int64_t i = 0; i < n; ++i) {
      check<ValueError>(row[i] >= 0 && std::isfinite(row[i]), "[multinomial] weights must be finite and not negative, got ",
                        row[i], " at position ", i);
    }
    int64_t* out = y.data<int64_t>() + r * count;
    if (!replacement) {  // exponential arrivals at these rates come in the order of draws without replacement
      arrivals.clear();
      for (int64_t i = 0; i < n; ++i) {
        const double e = -std::log1p(-u.next());
        if (row[i] > 0) arrivals.emplace_back(e / row[i], i);
      }
      check<ValueError>(int64_t(arrivals.size()) >= count, "[multinomial] weights must leave at least ", count,
                        " indices to draw, got ", arrivals.size());
      std::partial_sort(arrivals.begin(), arrivals.begin() + count, arrivals.end());
      for (int64_t k = 0; k < count; ++k) out[k] = arrivals[size_t(k)].second;
      continue;
    }
    double total = 0;
    for (int64_t i = 0; i < n; ++i) sums[size_t(i)] = total += row[i];
    check<ValueError>(total > 0, "[multinomial] weights must leave at least 1 index to draw, got 0");
    for (int64_t k = 0; k < count; ++k) {
      const auto it = std::upper_bound(sums.begin(), sums.end(), u.next() * total);
      out[k] = std::min<int64_t>(it - sums.begin(), n - 1);
    }
  }
  return to_device(y, device);
}

}  // namespace lamella::ops
