// SPDX-License-Identifier: MIT
// Running sums, products, extremes and log-sums of exponentials along a dimension.
#include "elementwise.h"
#include "vecmath.h"

namespace lamella {
namespace LAMELLA_ISA {

constexpr int64_t kScanCols = 512;  // columns of a task, and elements of a buffer

// next(state, x, j): the state after x, the j-th along the dimension. value(state) is what is written.
template <class S> struct Sum {
  using State = S;
  static constexpr State first = 0;
  LAMELLA_INLINE static void next(State& s, S x, int64_t) { s += x; }
  LAMELLA_INLINE static S value(State s) { return s; }
};
template <class S> struct Product {
  using State = S;
  static constexpr State first = 1;
  LAMELLA_INLINE static void next(State& s, S x, int64_t) { s *= x; }
  LAMELLA_INLINE static S value(State s) { return s; }
};
struct LogSumExp {
  using State = double;
  static constexpr State first = -__builtin_inf();
  LAMELLA_INLINE static void next(State& s, double x, int64_t) {
    const double high = x > s ? x : s, low = x > s ? s : x;
    if (s != s || x != x) s = s + x;
    else if (high == low) s = high + 0.69314718055994530942;
    else if (low != -__builtin_inf()) s = high + __builtin_log1p(__builtin_exp(low - high));
    else s = high;
  }
  LAMELLA_INLINE static double value(State s) { return s; }
};
template <class S> struct Best { S value; int64_t at; };
template <class S, bool kMax> struct Extreme {
  using State = Best<S>;
  static constexpr bool kGreatest = kMax;
  static constexpr State first = {0, -1};
  LAMELLA_INLINE static void next(State& s, S x, int64_t j) {
    const bool wins = kMax ? x >= s.value : x <= s.value;
    if (s.at < 0 || (s.value == s.value && (wins || x != x))) s = {x, j};
  }
  LAMELLA_INLINE static S value(const State& s) { return s.value; }
};

// Running extremes of a row of floats, from state s on: vectors without a new extreme, nearly all, are filled with the old.
template <bool kMax, class A>
static void extreme_run(Best<A>& s, const A* x, A* y, int64_t* index, int64_t n, int64_t place) {
  constexpr int L = kLanes<A>;
  const auto one = [&](int64_t i) __attribute__((always_inline)) {
    Extreme<A, kMax>::next(s, x[i], place + i);
    y[i] = s.value;
    if (index) index[i] = s.at;
  };
  int64_t i = 0;
  if (n > 0 && s.at < 0) one(i++);
  for (; i + L <= n; i += L) {
    const vec<A> v = vload(x + i), old = splat(s.value);
    const auto loses = kMax ? v < old : v > old;  // not NaN, nor as good as the old
    if (s.value == s.value && vany(~loses)) {
      for (int64_t k = i; k < i + L; ++k) one(k);
      continue;
    }
    vstore(y + i, old);
    if (index) for (int k = 0; k < L; ++k) index[i + k] = s.at;
  }
  for (; i < n; ++i) one(i);
}

// A is the arithmetic type, S what the state is made of; columns of `inner` run side by side.
template <class A, class S, class Op> static void scan_of(const Scan& c) {
  const Port x = port(c.dtype, c.x), y = port(c.dtype, c.y);
  const int64_t width = c.inner < kScanCols ? c.inner : kScanCols, strips = (c.inner + width - 1) / width;
  parallel_blocks(c.outer * strips, kGrain / (c.n * width + 16) + 1, [&](int64_t t, int64_t end) {
    A buffer[kScanCols];
    typename Op::State state[kScanCols];
    for (; t < end; ++t) {
      const int64_t o = t / strips, begin = t % strips * width;
      const int64_t cols = c.inner - begin < width ? c.inner - begin : width;
      for (int64_t i = 0; i < cols; ++i) state[i] = Op::first;
      const int64_t base = o * c.n * c.inner + begin, step = c.inner == 1 ? kScanCols : 1;
      for (int64_t j = 0; j < c.n; j += step) {  // a stretch of a single column, or one row of many
        const int64_t n = c.inner == 1 ? (c.n - j < kScanCols ? c.n - j : kScanCols) : cols, at = base + j * c.inner;
        x.gather(x.data + at * x.size, 1, buffer, n);
        auto put = [&](auto& s, int64_t i, int64_t place) __attribute__((always_inline)) {
          Op::next(s, S(buffer[i]), place);
          buffer[i] = A(Op::value(s));
          if constexpr (requires { s.at; }) if (c.index) c.index[at + i] = s.at;
        };
        if constexpr (A(0.5) != 0 && requires { state->at; }) {
          if (c.inner == 1) {
            extreme_run<Op::kGreatest>(state[0], buffer, buffer, c.index ? c.index + at : nullptr, n, j);
            y.scatter(buffer, y.data + at * y.size, 1, n);
            continue;
          }
        }
        if (c.inner == 1) {
          auto s = state[0];  // kept in a register: each waits for the one before
          for (int64_t i = 0; i < n; ++i) put(s, i, j + i);
          state[0] = s;
        } else {
          for (int64_t i = 0; i < n; ++i) put(state[i], i, j);
        }
        y.scatter(buffer, y.data + at * y.size, 1, n);
      }
    }
  });
}

template <class A, class S> static void scan_as(const Scan& c) {  // S: float64 for floats, else uint64_t, which wraps
  switch (c.op) {
    case ScanOp::sum: return scan_of<A, S, Sum<S>>(c);
    case ScanOp::prod: return scan_of<A, S, Product<S>>(c);
    case ScanOp::max: return scan_of<A, A, Extreme<A, true>>(c);
    case ScanOp::min: return scan_of<A, A, Extreme<A, false>>(c);
    case ScanOp::logsumexp:
      if constexpr (S(0.5) != 0) return scan_of<A, double, LogSumExp>(c);
  }
}

void scan(const Scan& c) {
  switch (wide_of(c.dtype)) {
    case wide_f32: return scan_as<float, double>(c);
    case wide_f64: return scan_as<double, double>(c);
    case wide_i32: return scan_as<int32_t, uint64_t>(c);
    default: return scan_as<int64_t, uint64_t>(c);
  }
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
