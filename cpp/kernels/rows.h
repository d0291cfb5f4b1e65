// SPDX-License-Identifier: MIT
// Sweeps over contiguous runs, shared by the norms and softmax: a loop body is written once for whole vectors and the
// tail; moments of a run are exact to the last digits whatever its mean; tasks are cut by shape.
#pragma once
#include "vec.h"

namespace lamella {
namespace LAMELLA_ISA {

// Runs up to kRun elements are summed by one set of vector accumulators and then merged in double.
constexpr int64_t kRun = 4096;
// A row of at most kRow elements is one task's (it stays in L2 between passes); a longer one is cut in chunks of kRow.
constexpr int64_t kRow = 65536;
// Rows up to kShort elements go kAbreast at a time: one row's chain of dependent steps would leave the core waiting.
constexpr int64_t kShort = 1024;
constexpr int kAbreast = 4;
// Elements worth a task of their own.
constexpr int64_t kTask = 32768;

// How many rows (of `cols` elements) make one task.
LAMELLA_INLINE int64_t row_grain(int64_t rows, int64_t cols) {
  if (rows * cols <= 2 * kTask) return rows ? rows : 1;
  int64_t g = kTask / (cols ? cols : 1);
  return g ? g : 1;
}

template <class T> LAMELLA_INLINE T* scratch_of(int64_t n, int slot) {
  return static_cast<T*>(scratch(size_t(n) * sizeof(T), slot));
}

template <int N> struct Count { static constexpr int value = N; };

// ---- one loop body for whole vectors and the tail ---------------------------------------------------------------------
struct Whole {};
struct Part { int64_t n; };  // the first n lanes
template <class T> LAMELLA_INLINE vec<acc_t<T>> ld(const T* p, Whole) { return vload(p); }
template <class T> LAMELLA_INLINE vec<acc_t<T>> ld(const T* p, Part k) { return vload(p, k.n); }
template <class T> LAMELLA_INLINE void st(T* p, vec<acc_t<T>> v, Whole) { vstore(p, v); }
template <class T> LAMELLA_INLINE void st(T* p, vec<acc_t<T>> v, Part k) { vstore(p, v, k.n); }

// v in the lanes of this step, `other` in those past the end.
template <class V> LAMELLA_INLINE V only(V v, V, Whole) { return v; }
template <class V> LAMELLA_INLINE V only(V v, V other, Part k) {
  using A = elem_t<V>;
  return select(lane_numbers<A>() < int_of<A>(k.n), v, other);
}

// f(i, u, step) over [0, n): u in [0, U) names the accumulator to use, step is Whole or Part.
template <class A, int U, class F> LAMELLA_INLINE void sweep(int64_t n, const F& f) {
  constexpr int64_t L = kLanes<A>;
  int64_t i = 0;
  for (; i + U * L <= n; i += U * L) {
#pragma GCC unroll 8
    for (int u = 0; u < U; ++u) f(i + u * L, u, Whole{});
  }
  for (; i + L <= n; i += L) f(i, 0, Whole{});
  if (i < n) f(i, 0, Part{n - i});
}

// f(column, Count<vectors>, step) over the columns [begin, end): tiles of four vectors, then one, then the tail.
template <class A, class F> LAMELLA_INLINE void column_tiles(int64_t begin, int64_t end, const F& f) {
  constexpr int64_t L = kLanes<A>;
  for (; begin + 4 * L <= end; begin += 4 * L) f(begin, Count<4>{}, Whole{});
  for (; begin + L <= end; begin += L) f(begin, Count<1>{}, Whole{});
  if (begin < end) f(begin, Count<1>{}, Part{end - begin});
}

template <class A> struct Four {  // four vector accumulators
  vec<A> v[4] = {};
  LAMELLA_INLINE A sum() const { return hsum((v[0] + v[1]) + (v[2] + v[3])); }
};

// ---- moments ------------------------------------------------------------------------------------------------------------
// Mean and sum of squared deviations of n values; merged by Chan, Golub and LeVeque (1979).
struct Stats {
  double n = 0, mean = 0, m2 = 0;
  LAMELLA_INLINE Stats() {}
  LAMELLA_INLINE Stats(double n, double mean, double m2) : n(n), mean(mean), m2(m2) {}
  LAMELLA_INLINE void merge(double bn, double bmean, double bm2) {
    if (bn == 0) return;
    double total = n + bn, d = bmean - mean, f = bn / total;
    mean += d * f;
    m2 += bm2 + d * d * n * f;
    n = total;
  }
};

// Moments of `count` runs of `len` elements, `stride` apart (count * len up to a few kRun: it should stay in cache).
template <class T> static Stats runs_stats(const T* x, int64_t count, int64_t len, int64_t stride) {
  using A = acc_t<T>;
  const double n = double(count) * double(len);
  Four<A> s;
  for (int64_t r = 0; r < count; ++r)
    sweep<A, 4>(len, [&](int64_t i, int u, auto k) { s.v[u] += ld(x + r * stride + i, k); });
  const A mean = A(double(s.sum()) / n);
  const vec<A> m = splat(mean);
  Four<A> d, q;
  for (int64_t r = 0; r < count; ++r)
    sweep<A, 4>(len, [&](int64_t i, int u, auto k) {
      vec<A> c = only(ld(x + r * stride + i, k) - m, vec<A>{}, k);
      d.v[u] += c;
      q.v[u] += c * c;
    });
  const double shift = double(d.sum()) / n;  // what rounding left in the mean
  return {n, double(mean) + shift, double(q.sum()) - shift * shift * n};
}

template <class T> static Stats row_stats(const T* x, int64_t n) {
  Stats s;
  for (int64_t i = 0; i < n; i += kRun) {
    Stats b = runs_stats(x + i, 1, least(kRun, n - i), 0);
    s.merge(b.n, b.mean, b.m2);
  }
  return s;
}

template <class T> static double row_sum_squares(const T* x, int64_t n) {
  using A = acc_t<T>;
  double total = 0;
  for (int64_t i = 0; i < n; i += kRun) {
    Four<A> q;
    sweep<A, 4>(least(kRun, n - i), [&](int64_t j, int u, auto k) {
      vec<A> v = ld(x + i + j, k);
      q.v[u] += v * v;
    });
    total += double(q.sum());
  }
  return total;
}

// f(Count<R>, r) over the rows [begin, end): R = kAbreast where so many are left, else 1.
template <class F> LAMELLA_INLINE void rows_abreast(int64_t begin, int64_t end, const F& f) {
  for (; begin + kAbreast <= end; begin += kAbreast) f(Count<kAbreast>{}, begin);
  for (; begin < end; ++begin) f(Count<1>{}, begin);
}

// Moments of R short rows of n elements, one after another in memory. rms: about zero.
template <int R, class T> LAMELLA_INLINE void short_stats(const T* x, int64_t n, bool rms, Stats* out) {
  using A = acc_t<T>;
  const double count = double(n);
  vec<A> s[R] = {}, d[R] = {}, q[R] = {};
  if (!rms)
    sweep<A, 1>(n, [&](int64_t i, int, auto k) {
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) s[r] += ld(x + r * n + i, k);
    });
  A mean[R];
  for (int r = 0; r < R; ++r) mean[r] = rms ? A(0) : hsum(s[r]) / A(n);
  sweep<A, 1>(n, [&](int64_t i, int, auto k) {
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      vec<A> c = only(ld(x + r * n + i, k) - splat(mean[r]), vec<A>{}, k);
      d[r] += c;
      q[r] += c * c;
    }
  });
  for (int r = 0; r < R; ++r) {
    const double shift = rms ? 0 : double(hsum(d[r])) / count;  // what rounding left in the mean
    out[r] = {count, double(mean[r]) + shift, double(hsum(q[r])) - shift * shift * count};
  }
}

// A mean as the sum of two numbers of the arithmetic's type, so that x - hi - lo loses nothing where mean >> deviation.
template <class A> struct Mean {
  A hi, lo;
  LAMELLA_INLINE explicit Mean(double m) : hi(A(m)), lo(A(m - double(hi))) {}
};

template <class A> LAMELLA_INLINE A inv_sqrt(double v) { return A(1.0 / __builtin_sqrt(v)); }

// For every row of x (rows, cols): its mean and rstd = 1 / sqrt(variance + eps) (rms: mean 0, variance the mean square)
// are stored where asked for, then write(row, begin, end, mean, rstd) is called over all its elements, still in cache.
template <class T, class Write>
static void normalize_rows(const T* x, int64_t rows, int64_t cols, double eps, bool rms, acc_t<T>* mean, acc_t<T>* rstd,
                           const Write& write) {
  using A = acc_t<T>;
  auto stats = [&](const T* p, int64_t n) { return rms ? Stats{double(n), 0, row_sum_squares(p, n)} : row_stats(p, n); };
  auto store = [&](int64_t r, const Stats& s) {
    A rs = inv_sqrt<A>(s.m2 / double(cols) + eps);
    if (mean) mean[r] = A(s.mean);
    if (rstd) rstd[r] = rs;
    return rs;
  };
  if (cols <= kShort) {
    parallel_blocks(rows, row_grain(rows, cols), [&](int64_t begin, int64_t end) {
      rows_abreast(begin, end, [&](auto count, int64_t r) {
        constexpr int R = decltype(count)::value;
        Stats s[R];
        short_stats<R>(x + r * cols, cols, rms, s);
        for (int q = 0; q < R; ++q) write(r + q, int64_t(0), cols, Mean<A>(s[q].mean), store(r + q, s[q]));
      });
    });
    return;
  }
  if (cols <= kRow) {
    parallel_blocks(rows, row_grain(rows, cols), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        Stats s = stats(x + r * cols, cols);
        A rs = store(r, s);
        write(r, int64_t(0), cols, Mean<A>(s.mean), rs);
      }
    });
    return;
  }
  const int64_t chunks = ceil_div(cols, kRow);
  Stats* part = scratch_of<Stats>(rows * chunks, 0);
  parallel(rows * chunks, [&](int64_t t) {
    int64_t r = t / chunks, i = t % chunks * kRow;
    part[t] = stats(x + r * cols + i, least(kRow, cols - i));
  });
  for (int64_t r = 0; r < rows; ++r) {
    Stats& s = part[r * chunks];
    for (int64_t i = 1; i < chunks; ++i) { const Stats& b = part[r * chunks + i]; s.merge(b.n, b.mean, b.m2); }
    store(r, s);
  }
  parallel(rows * chunks, [&](int64_t t) {
    int64_t r = t / chunks, i = t % chunks * kRow;
    const Stats& s = part[r * chunks];
    write(r, i, least(i + kRow, cols), Mean<A>(s.mean), inv_sqrt<A>(s.m2 / double(cols) + eps));
  });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
