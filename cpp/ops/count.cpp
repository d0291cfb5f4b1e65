// SPDX-License-Identifier: MIT
#include "count.h"
#include <algorithm>
#include <cmath>
#include <vector>
#include "core/threads.h"
#include "elementwise.h"

namespace lamella::ops {
namespace {

template <class F> void parallel(int64_t count, const F& f) {
  run_tasks(count, [](void* c, int64_t i) { (*static_cast<const F*>(c))(i); }, const_cast<F*>(&f));
}

// ---- Poisson -------------------------------------------------------------------------------------------------------------
// Uniform numbers in [0, 1) of one element: Philox blocks of its own, 2^20 of them.
class Uniforms {
 public:
  Uniforms(uint64_t seed, uint64_t stream, int64_t element) : seed_(seed), stream_(stream), block_(uint64_t(element) << 20) {}
  double next() {
    if (at_ == 0) words_ = philox(seed_, block_++, stream_);
    const uint64_t bits = (uint64_t(words_.v[at_ + 1]) << 21) ^ (words_.v[at_] >> 11);
    at_ = at_ ? 0 : 2;
    return double(bits) * 0x1p-53;
  }

 private:
  uint64_t seed_, stream_, block_;
  Philox words_{};
  int at_ = 0;
};

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

Array bincount(const Array& x, int64_t least) {
  const Array dense = contiguous(cast(x, DType::i64));
  const int64_t n = dense.numel(), pieces = n / 65536 + 1, each = (n + pieces - 1) / pieces;
  const int64_t* const v = dense.data<int64_t>();
  struct Range { int64_t low = 0, high = -1; };
  std::vector<Range> range(static_cast<size_t>(pieces));
  const auto of_piece = [&](int64_t t, const auto& f) {
    for (int64_t i = t * each, end = std::min(i + each, n); i < end; ++i) f(v[i]);
  };
  parallel(pieces, [&](int64_t t) {
    Range r;
    of_piece(t, [&](int64_t i) { r = {std::min(r.low, i), std::max(r.high, i)}; });
    range[size_t(t)] = r;
  });
  Range all;
  for (const Range& r : range) all = {std::min(all.low, r.low), std::max(all.high, r.high)};
  check<ValueError>(all.low >= 0, "[bincount] input must not be negative, got ", all.low);

  const int64_t bins = std::max(all.high + 1, least);
  Array y = empty({bins}, DType::i64);
  fill_(y, int64_t(0));
  // Tables of their own for tasks, where that is not more to write than there is to count; numbers add in any order.
  const int64_t tables = std::min<int64_t>({8, pieces, bins ? n / bins / 2 + 1 : 1});
  std::vector<int64_t> others(size_t((tables - 1) * bins), 0);
  int64_t* const first = y.data<int64_t>();
  parallel(tables, [&](int64_t t) {
    int64_t* const table = t ? others.data() + (t - 1) * bins : first;
    for (int64_t piece = t; piece < pieces; piece += tables) of_piece(piece, [&](int64_t i) { ++table[i]; });
  });
  for (int64_t t = 0; t + 1 < tables; ++t)
    for (int64_t i = 0; i < bins; ++i) first[i] += others[size_t(t * bins + i)];
  return y;
}

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
      Uniforms u(seed, stream, i);
      out[i] = rate[i] < 10 ? small_poisson(rate[i], u) : large_poisson(rate[i], u);
    }
  });
  return y;
}

}  // namespace lamella::ops
