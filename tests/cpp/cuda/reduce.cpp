// SPDX-License-Identifier: MIT
// Reductions, moments and scans of the CUDA backend on the emulated device, against plain loops in double or int64.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <vector>
#include "check.h"
#include "cuda/device.cuh"
#include "cuda/reduce.cuh"

using namespace lamella;
using I = int64_t;
const double kNan = std::numeric_limits<double>::quiet_NaN(), kInf = std::numeric_limits<double>::infinity();

uint64_t state = 1;
uint64_t draw() { state = state * 6364136223846793005u + 1442695040888963407u; return state >> 33; }

double get(DType t, const void* p, I i) {
  double y = 0;
  cuda::by_dtype(t, [&](auto z) { y = double(cuda::up(static_cast<const decltype(z)*>(p)[i])); });
  return y;
}
void put(DType t, void* p, I i, double v) {
  cuda::by_dtype(t, [&](auto z) {
    using T = decltype(z);
    if constexpr (cuda::kFloating<T>) static_cast<T*>(p)[i] = cuda::down<T>(cuda::acc_t<T>(v));
    else static_cast<T*>(p)[i] = T(I(v));
  });
}
struct Buffer {  // n elements that begin `off` elements after an aligned address
  DType t;
  std::vector<char> bytes;
  char* p;
  Buffer(DType t, I n, I off = 0) : t(t), bytes(size_t(n + off) * size_of(t) + 64) {
    p = bytes.data() + (64 - reinterpret_cast<uintptr_t>(bytes.data()) % 64) % 64 + off * size_of(t);
  }
  double operator[](I i) const { return get(t, p, i); }
};
const DType kAll[] = {DType::f64, DType::f32, DType::f16, DType::bf16, DType::i64,
                      DType::i32, DType::i16, DType::i8, DType::u8, DType::b8};
double unit(DType t) {
  return t == DType::f64 ? 1e-15 : t == DType::f32 ? 6e-8 : t == DType::f16 ? 5e-4 : t == DType::bf16 ? 4e-3 : 0;
}
double value(DType t, ReduceOp op) {
  if (op == ReduceOp::prod && is_floating(t)) return 0.95 + double(draw() % 100) / 1000;
  if (op == ReduceOp::prod) return draw() % 997 == 0 ? 3 : t == DType::u8 || t == DType::b8 || draw() % 2 ? 1 : -1;
  if (op == ReduceOp::any || op == ReduceOp::all) return draw() % 64 ? op == ReduceOp::all : op == ReduceOp::any;
  if (t == DType::b8) return double(draw() % 2);
  if (is_floating(t)) return double(draw() % 2001) / 500 - 1.5;
  return double(draw() % 60) - (t == DType::u8 ? 0 : 30);
}

I count(const Loop<2>& l) { I n = 1; for (int d = 0; d < l.ndim; ++d) n *= l.shape[d]; return n; }
I place(const Loop<2>& l, I i) {
  I at = 0;
  for (int d = l.ndim - 1; d >= 0; --d) { at += i % l.shape[d] * l.stride[1][d]; i /= l.shape[d]; }
  return at;
}
Loop<2> loop(std::vector<I> shape, std::vector<I> stride) {
  Loop<2> l{};
  l.ndim = int(shape.size());
  for (int d = 0; d < l.ndim; ++d) { l.shape[d] = shape[size_t(d)]; l.stride[1][d] = stride[size_t(d)]; }
  return l;
}
DType result(ReduceOp op, DType t) {
  if (op == ReduceOp::any || op == ReduceOp::all) return DType::b8;
  if (op == ReduceOp::argmax || op == ReduceOp::argmin) return DType::i64;
  return is_floating(t) || op == ReduceOp::max || op == ReduceOp::min ? t : DType::i64;
}

void compare(ReduceOp op, DType t, const Loop<2>& kept, const Loop<2>& over, I off, double special, bool twice) {
  I span = 1;
  for (const Loop<2>* l : {&kept, &over})
    for (int d = 0; d < l->ndim; ++d) span += std::max<I>(l->shape[d] - 1, 0) * l->stride[1][d];
  Buffer x(t, span, off);
  for (I i = 0; i < span; ++i) put(t, x.p, i, value(t, op));
  if (special != 0 && is_floating(t)) for (int i = 0; i < 3; ++i) put(t, x.p, I(draw()) % span, special);
  const I rows = count(kept), m = count(over);
  const DType to = result(op, t);
  Buffer y(to, rows);
  cuda::reduce({op, t, to, x.p, y.p, kept, over});
  if (twice) {  // where x lies changes no bit
    Buffer moved(t, span, off + 1), again(to, rows);
    std::memcpy(moved.p, x.p, size_t(span) * size_of(t));
    cuda::reduce({op, t, to, moved.p, again.p, kept, over});
    CHECK(std::memcmp(y.p, again.p, size_t(rows) * size_of(to)) == 0);
  }
  bool good = true;
  for (I k = 0; k < rows; ++k) {
    double sum = 0, size = 0, prod = 1, high = -kInf, low = kInf, any = 0, all = 1;
    I first_high = 0, first_low = 0;
    for (I j = 0; j < m; ++j) {
      const double v = x[place(kept, k) + place(over, j)];
      sum += op == ReduceOp::sum_squares ? v * v : op == ReduceOp::sum_abs ? std::abs(v) : v;
      size += op == ReduceOp::sum_squares ? v * v : std::abs(v);
      prod *= v;
      if (high == high && !(v <= high)) { high = v; first_high = j; }
      if (low == low && !(v >= low)) { low = v; first_low = j; }
      any = any || v != 0;
      all = all && v != 0;
    }
    double want = sum;
    switch (op) {
      case ReduceOp::mean: want = sum / double(m); size /= double(m); break;
      case ReduceOp::prod: want = prod; size = std::abs(prod) * std::sqrt(double(m) + 1); break;
      case ReduceOp::max: want = high; size = 0; break;
      case ReduceOp::min: want = low; size = 0; break;
      case ReduceOp::argmax: want = double(first_high); break;
      case ReduceOp::argmin: want = double(first_low); break;
      case ReduceOp::any: want = any; break;
      case ReduceOp::all: want = all; break;
      default: break;
    }
    const double got = y[k];
    const double sums = !is_floating(t) || !is_floating(to) ? 0 : 4 * (t == DType::f64 ? 1e-14 : unit(DType::f32)) * size + unit(to) * std::abs(want);
    good = good && (got == want || (got != got && want != want) || std::abs(got - want) <= sums);
  }
  if (!good)
    std::printf("op %d dtype %s rows %lld m %lld off %lld\n", int(op), name_of(t), (long long)rows, (long long)m, (long long)off);
  CHECK(good);
}

void reductions() {
  const I rows[] = {1, 3, 33}, sizes[] = {0, 1, 2, 5, 31, 64, 127, 513, 1030, 4096, 5003};
  int turn = 0;
  for (DType t : kAll)
    for (int o = 0; o < int(ReduceOp::count); ++o) {
      const ReduceOp op = ReduceOp(o);
      if (op == ReduceOp::mean && !is_floating(t)) continue;
      const bool none = op == ReduceOp::max || op == ReduceOp::min || op == ReduceOp::argmax || op == ReduceOp::argmin;
      const double special = turn % 3 == 0 ? kNan : turn % 3 == 1 ? -kInf : 0;
      for (I m : sizes) {
        if (m == 0 && none) continue;
        const I n = rows[++turn % 3], off = turn % 4 == 0;
        compare(op, t, loop({n}, {m}), loop({m}, {1}), off, op == ReduceOp::sum_squares || m < 5 ? 0 : special, m == 127 || m == 4096);
        compare(op, t, loop({n == 33 ? 40 : n}, {1}), loop({m}, {n == 33 ? 40 : n}), off, 0, m == 127 || m == 513);
      }
      compare(op, t, loop({5, 3}, {64, 1}), loop({7, 4}, {320, 16}), 0, special, false);    // strides everywhere
      compare(op, t, loop({6}, {48}), loop({4, 48}, {288, 1}), 0, special, true);           // rows of pieces, whole packs
      compare(op, t, loop({3}, {7}), loop({4, 7}, {21, 1}), 1, special, false);             // and odd ones
      compare(op, t, loop({3, 32}, {64, 1}), loop({2}, {32}), 0, special, true);            // planes of columns
      compare(op, t, loop({}, {}), loop({9}, {0}), 0, 0, false);
    }
  compare(ReduceOp::sum, DType::f32, loop({2}, {70001}), loop({70001}, {1}), 0, 0, true);   // parts
  compare(ReduceOp::argmin, DType::bf16, loop({1}, {40000}), loop({40000}, {1}), 0, kNan, true);
  compare(ReduceOp::sum, DType::i8, loop({1}, {0}), loop({150001}, {1}), 1, 0, false);
  compare(ReduceOp::max, DType::f64, loop({5}, {1}), loop({20000}, {5}), 0, kNan, false);
  compare(ReduceOp::argmax, DType::f16, loop({700}, {1}), loop({600}, {700}), 0, 0, false);
  // all of the lowest value: the first place
  const std::vector<float> low(3000, float(-kInf));
  int64_t at = -1;
  cuda::reduce({ReduceOp::argmax, DType::f32, DType::i64, low.data(), &at, loop({}, {}), loop({3000}, {1})});
  CHECK(at == 0);
}

void divisions() {
  for (I d : {I(1), I(2), I(3), I(7), I(1000003), I(1) << 31, (I(1) << 40) + 1, (I(1) << 62) - 1, I(1) << 62})
    for (I n : {I(0), I(1), d - 1, d, d + 1, 5 * (d / 5), (I(1) << 31) - 1, I(1) << 33, ~(I(1) << 63)}) {
      I rest;
      CHECK(cuda::Quotient(d).divide(n, rest) == n / d && rest == n % d);
    }
}

void spreads() {
  for (DType t : {DType::f64, DType::f32, DType::f16, DType::bf16})
    for (I m : {I(1), I(2), I(9), I(64), I(1000), I(3001), I(40000)})
      for (bool columns : {false, true}) {
        if (columns && m > 3001) continue;
        const I rows = m > 3001 ? 1 : 5;
        Buffer x(t, rows * m);
        for (I i = 0; i < rows * m; ++i) put(t, x.p, i, 100 + value(t, ReduceOp::sum));
        const Loop<2> kept = columns ? loop({rows}, {1}) : loop({rows}, {m});
        const Loop<2> over = columns ? loop({m}, {rows}) : loop({m}, {1});
        const DType wide = t == DType::f64 ? t : DType::f32;
        Buffer mean(wide, rows), m2(wide, rows), only(wide, rows);
        cuda::moments({t, x.p, mean.p, m2.p, kept, over});
        cuda::moments({t, x.p, nullptr, only.p, kept, over});
        CHECK(std::memcmp(only.p, m2.p, size_t(rows) * size_of(wide)) == 0);
        for (I k = 0; k < rows; ++k) {
          double a = 0, b = 0;
          for (I j = 0; j < m; ++j) a += x[place(kept, k) + place(over, j)] / double(m);
          for (I j = 0; j < m; ++j) b += std::pow(x[place(kept, k) + place(over, j)] - a, 2);
          CHECK(std::abs(mean[k] - a) <= 4 * unit(wide) * 100);
          const double rounded = unit(wide) * 100;  // of a mean
          CHECK(std::abs(m2[k] - b) <= 40 * unit(wide) * b + 2 * rounded * std::sqrt(double(m) * b) + 16 * rounded * rounded);
        }
      }
}

void scan_case(ScanOp op, DType t, I outer, I n, I inner, I off, bool specials) {
  const I size = outer * n * inner;
  const bool extreme = op == ScanOp::max || op == ScanOp::min;
  Buffer x(t, size, off), y(t, size, off);
  std::vector<I> index(size_t(size), -7);
  for (I i = 0; i < size; ++i) put(t, x.p, i, value(t, op == ScanOp::prod ? ReduceOp::prod : ReduceOp::sum));
  if (specials && is_floating(t) && size)
    for (double v : {kNan, kInf, -kInf}) put(t, x.p, I(draw()) % size, v);
  cuda::scan({op, t, x.p, y.p, extreme ? index.data() : nullptr, outer, n, inner});
  bool good = true;
  for (I o = 0; o < outer; ++o)
    for (I i = 0; i < inner; ++i) {
      double s = op == ScanOp::prod ? 1 : op == ScanOp::logsumexp ? -kInf : 0, size_of_sum = 0;
      I at = -1;
      for (I j = 0; j < n; ++j) {
        const I k = (o * n + j) * inner + i;
        const double v = x[k];
        if (op == ScanOp::sum) { s += v; size_of_sum += std::abs(v); }
        else if (op == ScanOp::prod) { s *= v; size_of_sum = std::abs(s); }
        else if (op == ScanOp::logsumexp) {
          const double h = std::max(s, v), d = std::min(s, v);
          s = s != s || v != v ? s + v : s == v ? h + std::log(2.0) : h + std::log1p(std::exp(d - h));
          size_of_sum = 1;
        } else if (at < 0 || (s == s && ((op == ScanOp::max ? v >= s : v <= s) || v != v))) { s = v; at = j; }
        double want = s;
        if (!is_floating(t))
          cuda::by_dtype(t, [&](auto z) { if constexpr (!cuda::kFloating<decltype(z)>) want = double(decltype(z)(I(s))); });
        good = good && (y[k] == want || (want != want && y[k] != y[k]) ||
                        std::abs(y[k] - want) <= unit(t) * std::abs(want) + 1e-14 * size_of_sum +
                            1e-12 * (op == ScanOp::logsumexp));
        if (extreme) good = good && index[size_t(k)] == at;
      }
    }
  if (!good)
    std::printf("scan %d %s (%lld, %lld, %lld) off %lld\n", int(op), name_of(t), (long long)outer, (long long)n, (long long)inner, (long long)off);
  CHECK(good);
}

void scans() {
  int turn = 0;
  for (DType t : kAll)
    for (ScanOp op : {ScanOp::sum, ScanOp::prod, ScanOp::max, ScanOp::min, ScanOp::logsumexp}) {
      if (op == ScanOp::logsumexp && !is_floating(t)) continue;
      if (op == ScanOp::prod && t == DType::b8) continue;
      for (I n : {0, 1, 3, 16, 33, 128, 700, 2500}) { ++turn; scan_case(op, t, n > 100 ? 2 : 19, n, 1, turn % 2, turn % 3 == 0); }
      for (I n : {1, 5, 63, 65, 300}) scan_case(op, t, 2, n, n > 60 ? 3 : 130, 0, ++turn % 3 == 0);
    }
  scan_case(ScanOp::sum, DType::f32, 2, 70000, 1, 0, false);
  scan_case(ScanOp::max, DType::f16, 1, 66001, 1, 1, true);
  scan_case(ScanOp::logsumexp, DType::f32, 1, 65600, 1, 0, false);
}

int main() {
  divisions();
  reductions();
  spreads();
  scans();
  if (!failures()) std::puts("reduce, moments, scan: ok");
  return failures() != 0;
}
