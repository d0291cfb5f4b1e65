// SPDX-License-Identifier: MIT
// Running sums, products, extremes and log-sums of exponentials along a dimension.
#include <cstring>
#include "elementwise.h"
#include "special.h"
#include "turn.h"

namespace lamella {
namespace LAMELLA_ISA {

constexpr int64_t kFew = 12;        // of a row whose elements are taken one after another
constexpr int64_t kScanCols = 512;  // columns of a task, and elements of a buffer

// next(state, x, j): the state after x, the j-th along the dimension. value(state) is what is written.
template <class S> struct Sum {
  using State = S;
  template <class V> LAMELLA_INLINE static V joined(V s, V x) { return s + x; }
  static constexpr State first = 0;
  LAMELLA_INLINE static void next(State& s, S x, int64_t) { s += x; }
  LAMELLA_INLINE static S value(State s) { return s; }
};
template <class S> struct Product {
  using State = S;
  template <class V> LAMELLA_INLINE static V joined(V s, V x) { return s * x; }
  static constexpr State first = 1;
  LAMELLA_INLINE static void next(State& s, S x, int64_t) { s *= x; }
  LAMELLA_INLINE static S value(State s) { return s; }
};
struct LogSumExp {
  using State = double;
  static constexpr State first = -__builtin_inf();
  template <class V> LAMELLA_INLINE static V joined(V s, V x) {
    const V high = vmax(s, x), y = high + vlog1p(vexp(vmin(s, x) - high));
    return select((s != s) | (x != x), s + x, select(s == x, high + kLn2, y));
  }
  LAMELLA_INLINE static void next(State& s, double x, int64_t) { s = joined(vec<double>{} + s, vec<double>{} + x)[0]; }
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

// Rows in lanes: kLanes<double> of them at once, squares of elements turned in registers on their way in and out. Rows past
// the last repeat it and are not stored.
template <class A, class Op> static void scan_rows(const Scan& c, const Port& x, const Port& y) {
  constexpr int L = kLanes<double>;
  constexpr int64_t kStretch = 64;
  typedef A Part __attribute__((vector_size(L * sizeof(A))));
  parallel_blocks(ceil_div(c.outer, L), kGrain / (c.n * L + 16) + 1, [&](int64_t t, int64_t end) {
    A buffer[L][kStretch];
    for (; t < end; ++t) {
      const int64_t first = t * L, rows = least(L, c.outer - first);
      vec<double> state = vec<double>{} + Op::first;
      for (int64_t j = 0; j < c.n; j += kStretch) {
        const int64_t n = least(kStretch, c.n - j);
        for (int i = 0; i < L; ++i) x.gather(x.data + ((first + least(i, rows - 1)) * c.n + j) * x.size, 1, buffer[i], n);
        for (int64_t k = 0; k < n; k += L) {
          vec<double> r[L];
#pragma GCC unroll 8
          for (int i = 0; i < L; ++i) {
            Part p;
            std::memcpy(&p, buffer[i] + k, sizeof p);
            r[i] = __builtin_convertvector(p, vec<double>);
          }
          transpose_lanes<double>(r);
#pragma GCC unroll 8
          for (int i = 0; i < L; ++i) r[i] = state = Op::joined(state, r[i]);
          transpose_lanes<double>(r);
#pragma GCC unroll 8
          for (int i = 0; i < L; ++i) {
            const Part p = __builtin_convertvector(r[i], Part);
            std::memcpy(buffer[i] + k, &p, sizeof p);
          }
        }
        for (int i = 0; i < rows; ++i) y.scatter(buffer[i], y.data + ((first + i) * c.n + j) * y.size, 1, n);
      }
    }
  });
}

// Rows one element after another: whole numbers, and rows so short that the steps of several overlap.
template <class A, class S, class Op> static void scan_steps(const Scan& c, const Port& x, const Port& y) {
  parallel_blocks(c.outer, kGrain / (c.n + 16) + 1, [&](int64_t begin, int64_t end) {
    const A* from = reinterpret_cast<const A*>(x.data) + begin * c.n;
    A* to = reinterpret_cast<A*>(y.data) + begin * c.n;
    for (; begin < end; ++begin, from += c.n, to += c.n) {
      S s = Op::first;
      for (int64_t i = 0; i < c.n; ++i) to[i] = A(s = Op::joined(s, S(from[i])));
    }
  });
}

// Short rows of narrow numbers, turned: kLanes<A> of them at once.
template <class A, class Op> static void scan_turned(const Scan& c, const Port& x, const Port& y) {
  constexpr int64_t L = kLanes<A>;
  typedef double Wide __attribute__((vector_size(L * sizeof(double))));
  parallel_blocks(ceil_div(c.outer, L), kGrain / (c.n * L + 16) + 1, [&](int64_t t, int64_t end) {
    A buffer[L * kTurned];
    for (; t < end; ++t) {
      const int64_t rows = least(L, c.outer - t * L), at = t * L * c.n;
      vec<A> r[kTurned];
      x.gather(x.data + at * x.size, 1, buffer, rows * c.n);
      turn_in<A>(buffer, c.n, rows, c.n, r);
      Wide state = Wide{} + Op::first;
      for (int64_t j = 0; j < c.n; ++j) {
        state = Op::joined(state, __builtin_convertvector(r[j], Wide));
        r[j] = __builtin_convertvector(state, vec<A>);
      }
      turn_out(r, buffer, c.n, rows, c.n);
      y.scatter(buffer, y.data + at * y.size, 1, rows * c.n);
    }
  });
}

// A row as it lies, a vector of doubles at a time: joined with itself moved by 1, 2, 4 lanes, then with what came before.
template <int L> struct Moves {  // shuffles' indices: by 1, 2, 4 lanes, the first of them from another vector; the last lane
  int64_t by[3][L], last[L];
  constexpr Moves() : by{}, last{} {
    for (int s = 0; s < 3; ++s)
      for (int i = 0; i < L; ++i) by[s][i] = i < 1 << s ? i : L + i - (1 << s), last[i] = L - 1;
  }
};
static constexpr Moves<kLanes<double>> kMoves;
LAMELLA_INLINE vec<int64_t> indices(const int64_t* p) { vec<int64_t> v; std::memcpy(&v, p, sizeof v); return v; }
template <class Op> LAMELLA_INLINE vec<double> joined_lanes(vec<double> v) {
  const vec<double> none = vec<double>{} + Op::first;
#pragma GCC unroll 4
  for (int s = 0; 1 << s < kLanes<double>; ++s) v = Op::joined(__builtin_shuffle(none, v, indices(kMoves.by[s])), v);
  return v;
}
template <class A, class Op> static void scan_along(const Scan& c, const Port& x, const Port& y) {
  constexpr int L = kLanes<double>;
  typedef A Part __attribute__((vector_size(L * sizeof(A))));
  parallel_blocks(c.outer, kGrain / (c.n + 16) + 1, [&](int64_t o, int64_t end) {
    A buffer[kScanCols];
    for (; o < end; ++o) {
      vec<double> before = vec<double>{} + Op::first;
      for (int64_t j = 0; j < c.n; j += kScanCols) {
        const int64_t n = least(kScanCols, c.n - j), at = o * c.n + j;
        const A* from = buffer;
        A* to = buffer;
        if (x.native) from = reinterpret_cast<const A*>(x.data) + at, to = reinterpret_cast<A*>(y.data) + at;
        else x.gather(x.data + at * x.size, 1, buffer, n);
        int64_t i = 0;
        for (; i + L <= n; i += L) {
          Part p;
          std::memcpy(&p, from + i, sizeof p);
          vec<double> r = Op::joined(before, joined_lanes<Op>(__builtin_convertvector(p, vec<double>)));
          if constexpr (sizeof(A) == 8) {  // what is joined ahead may overflow where the running value does not
            if (__builtin_expect(vany(r - r != 0.0), 0)) {
              double state = before[0];
              for (int l = 0; l < L; ++l) r[l] = state = Op::joined(state, p[l]);
            }
          }
          before = __builtin_shuffle(r, indices(kMoves.last));
          p = __builtin_convertvector(r, Part);
          std::memcpy(to + i, &p, sizeof p);
        }
        double state = before[0];
        for (; i < n; ++i) to[i] = A(state = Op::joined(state, double(from[i])));
        before = vec<double>{} + state;
        if (!x.native) y.scatter(buffer, y.data + at * y.size, 1, n);
      }
    }
  });
}

// A is the arithmetic type, S what the state is made of; columns of `inner` run side by side.
template <class A, class S, class Op> static void scan_of(const Scan& c) {
  const Port x = port(c.dtype, c.x), y = port(c.dtype, c.y);
  if constexpr (__is_same(Op, LogSumExp)) {
    if (c.inner == 1 && c.outer >= 2) return scan_rows<A, Op>(c, x, y);
  } else if constexpr (A(0.5) != 0 && __is_same(S, double) && requires { Op::joined(vec<double>{}, vec<double>{}); }) {
    if (c.inner == 1) {
      if (c.n > (x.native ? kFew : kTurned)) return scan_along<A, Op>(c, x, y);
      if constexpr (sizeof(A) == 4) if (!x.native) return scan_turned<A, Op>(c, x, y);
      return scan_steps<A, S, Op>(c, x, y);
    }
  } else if constexpr (requires { Op::joined(S{}, S{}); }) {
    if (c.inner == 1 && x.native) return scan_steps<A, S, Op>(c, x, y);
  }
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
        if (c.inner == 1) {  // of numbers that are not summed as vectors
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
