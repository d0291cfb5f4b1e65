// SPDX-License-Identifier: MIT
// Softmax and log-softmax along the middle of x (outer, n, inner): rows where inner is 1, else vectors across inner.
#include "lse.h"
#include "turn.h"

namespace lamella {
namespace LAMELLA_ISA {

// ---- forward ------------------------------------------------------------------------------------------------------------
template <bool Log, class T> static void fwd_run(const T* x, T* y, int64_t n, const Lse<acc_t<T>>& lse) {
  using A = acc_t<T>;
  const vec<A> m = splat(lse.m), scale = splat(A(1) / lse.s), log_s = splat(Log ? log1(lse.s) : A(0));
  sweep<A, 4>(n, [&](int64_t i, int, auto k) {
    vec<A> d = ld(x + i, k) - m;
    st(y + i, Log ? d - log_s : vexp(d) * scale, k);
  });
}

// Softmax of a row that stays in cache: each exponential is computed once and kept in e (y itself, or scratch).
template <class T> static void fwd_row(const T* x, T* y, int64_t n, acc_t<T>* e) {
  using A = acc_t<T>;
  const vec<A> m = splat(run_max(x, n));
  Four<A> s;
  sweep<A, 4>(n, [&](int64_t i, int u, auto k) {
    vec<A> v = vexp(ld(x + i, k) - m);
    st(e + i, v, k);
    s.v[u] += only(v, vec<A>{}, k);
  });
  const vec<A> scale = splat(A(1) / s.sum());
  sweep<A, 4>(n, [&](int64_t i, int, auto k) { st(y + i, ld(e + i, k) * scale, k); });
}

// `rows` short rows at once; e (rows, n) as above.
template <bool Log, class T> static void fwd_short(const T* x, T* y, int64_t rows, int64_t n, acc_t<T>* e) {
  using A = acc_t<T>;
  vec<A> m, s;
  short_lse(x, n, rows, m, s, [&](int64_t q, int64_t i, vec<A> v, auto k) {
    if constexpr (!Log) st(e + q * n + i, v, k);
  });
  A top[kLanes<A>], scale[kLanes<A>];
  vstore<A>(top, m);
  vstore<A>(scale, Log ? vlog(s) : A(1) / s);
#pragma GCC unroll 1
  for (int64_t q = 0; q < rows; ++q) {
    const vec<A> t = splat(top[q]), k = splat(scale[q]);
    sweep<A, 1>(n, [&](int64_t i, int, auto step) {
      const int64_t at = q * n + i;
      st(y + at, Log ? ld(x + at, step) - t - k : ld(e + at, step) * k, step);
    });
  }
}

// Rows of a few elements, turned: a row a lane.
template <bool Log, class T> static void fwd_turned(const T* x, T* y, int64_t rows, int64_t n) {
  using A = acc_t<T>;
  constexpr int64_t L = kLanes<A>;
  for (int64_t r = 0; r < rows; r += L, x += L * n, y += L * n) {
    const int64_t count = least(L, rows - r);
    vec<A> t[kTurned], m, s;
    turn_in(x, n, count, n, t);
    column_lse<1>(reinterpret_cast<const A*>(t), n, L, Whole{}, &m, &s, [&](int64_t i, int, vec<A> e, vec<A>) {
      if constexpr (!Log) t[i] = e;
    });
    s = Log ? vlog(s) : A(1) / s;
    for (int64_t i = 0; i < n; ++i) t[i] = Log ? t[i] - m - s : t[i] * s;
    turn_out(t, y, n, count, n);
  }
}

template <bool Log, class T> static void fwd_rows(const SoftmaxFwd& a) {
  using A = acc_t<T>;
  const T* x = (const T*)a.x;
  T* y = (T*)a.y;
  constexpr int64_t L = kLanes<A>;
  if (a.n < L || (!Log && a.n < 2 * L && a.n % L)) {
    parallel_blocks(a.outer, row_grain(a.outer, a.n), [&](int64_t begin, int64_t end) {
      fwd_turned<Log>(x + begin * a.n, y + begin * a.n, end - begin, a.n);
    });
    return;
  }
  if (a.n <= kRow) {
    parallel_blocks(a.outer, row_grain(a.outer, a.n), [&](int64_t begin, int64_t end) {
      A* e = nullptr;
      if constexpr (!Log && !__is_same(T, A)) e = scratch_of<A>((a.n <= kShort ? short_rows<A>(a.n) : 1) * a.n, 1);
      if (a.n <= kShort) {
        for (int64_t r = begin, step = short_rows<A>(a.n); r < end; r += step) {
          T* yr = y + r * a.n;
          if constexpr (__is_same(T, A)) fwd_short<Log>(x + r * a.n, yr, least(step, end - r), a.n, yr);
          else fwd_short<Log>(x + r * a.n, yr, least(step, end - r), a.n, e);
        }
        return;
      }
      for (int64_t r = begin; r < end; ++r) {
        const T* xr = x + r * a.n;
        T* yr = y + r * a.n;
        if constexpr (Log) fwd_run<true>(xr, yr, a.n, run_lse(xr, a.n));
        else if constexpr (__is_same(T, A)) fwd_row(xr, yr, a.n, yr);
        else fwd_row(xr, yr, a.n, e);
      }
    });
    return;
  }
  const int64_t chunks = ceil_div(a.n, kRow);
  Lse<A>* part = scratch_of<Lse<A>>(a.outer * chunks, 0);
  parallel(a.outer * chunks, [&](int64_t t) {
    const int64_t r = t / chunks, i = t % chunks * kRow;
    part[t] = run_lse(x + r * a.n + i, least(kRow, a.n - i));
  });
  for (int64_t r = 0; r < a.outer; ++r)
    for (int64_t i = 1; i < chunks; ++i) part[r * chunks].merge(part[r * chunks + i].m, part[r * chunks + i].s);
  parallel(a.outer * chunks, [&](int64_t t) {
    const int64_t r = t / chunks, i = t % chunks * kRow, at = r * a.n + i;
    fwd_run<Log>(x + at, y + at, least(kRow, a.n - i), part[r * chunks]);
  });
}

template <bool Log, class T> static void fwd_columns(const SoftmaxFwd& a) {
  using A = acc_t<T>;
  constexpr int64_t L = kLanes<A>;
  constexpr bool keep = !Log && __is_same(T, A);  // exponentials wait in y
  tiles<A>(a.outer, a.n, a.inner, [&](int64_t c, int64_t o, auto count, auto k) {
    constexpr int V = decltype(count)::value;
    const int64_t at = o * a.n * a.inner + c;
    const T* x = (const T*)a.x + at;
    T* y = (T*)a.y + at;
    vec<A> m[V], s[V];
    column_lse<V>(x, a.n, a.inner, k, m, s, [&](int64_t i, int v, vec<A> e, vec<A>) {
      if constexpr (keep) st(y + i * a.inner + v * L, e, k);
    });
    for (int v = 0; v < V; ++v) s[v] = Log ? vlog(s[v]) : A(1) / s[v];
    for (int64_t i = 0; i < a.n; ++i)
      for (int v = 0; v < V; ++v) {
        const int64_t p = i * a.inner + v * L;
        if constexpr (Log) st(y + p, ld(x + p, k) - m[v] - s[v], k);
        else if constexpr (keep) st(y + p, ld(y + p, k) * s[v], k);
        else st(y + p, vexp(ld(x + p, k) - m[v]) * s[v], k);
      }
  });
}

// ---- backward -----------------------------------------------------------------------------------------------------------
// softmax: dx = y (dy - sum(dy y)); log-softmax: dx = dy - exp(y) sum(dy).
template <bool Log, class V> LAMELLA_INLINE V bwd_of(V y, V dy, V sum) { return Log ? dy - vexp(y) * sum : y * (dy - sum); }

template <bool Log, class T> static acc_t<T> bwd_sum(const T* y, const T* dy, int64_t n) {
  using A = acc_t<T>;
  Four<A> s;
  sweep<A, 4>(n, [&](int64_t i, int u, auto k) { s.v[u] += Log ? ld(dy + i, k) : ld(dy + i, k) * ld(y + i, k); });
  return s.sum();
}

template <bool Log, class T> static void bwd_run(const T* y, const T* dy, T* dx, int64_t n, acc_t<T> sum) {
  using A = acc_t<T>;
  const vec<A> s = splat(sum);
  sweep<A, 4>(n, [&](int64_t i, int, auto k) { st(dx + i, bwd_of<Log>(ld(y + i, k), ld(dy + i, k), s), k); });
}

// `rows` short rows at once, whose sums fold together.
template <bool Log, class T> static void bwd_short(const T* y, const T* dy, T* dx, int64_t rows, int64_t n) {
  using A = acc_t<T>;
  constexpr int64_t L = kLanes<A>;
  vec<A> r[L];
#pragma GCC unroll 1
  for (int64_t q = 0; q < L; ++q) {
    vec<A> s{};
    if (q < rows)
      sweep<A, 1>(n, [&](int64_t i, int, auto k) {
        s += Log ? ld(dy + q * n + i, k) : ld(dy + q * n + i, k) * ld(y + q * n + i, k);
      });
    r[q] = s;
  }
  A sums[L];
  vstore<A>(sums, fold_square<A>(r, [](vec<A> a, vec<A> b) { return a + b; }));
#pragma GCC unroll 1
  for (int64_t q = 0; q < rows; ++q) {
    const vec<A> s = splat(sums[q]);
    sweep<A, 1>(n, [&](int64_t i, int, auto k) {
      const int64_t at = q * n + i;
      st(dx + at, bwd_of<Log>(ld(y + at, k), ld(dy + at, k), s), k);
    });
  }
}

template <bool Log, class T> static void bwd_turned(const T* y, const T* dy, T* dx, int64_t rows, int64_t n) {
  using A = acc_t<T>;
  constexpr int64_t L = kLanes<A>;
  for (int64_t r = 0; r < rows; r += L, y += L * n, dy += L * n, dx += L * n) {
    const int64_t count = least(L, rows - r);
    vec<A> t[kTurned], d[kTurned], s{};
    turn_in(y, n, count, n, t);
    turn_in(dy, n, count, n, d);
    for (int64_t i = 0; i < n; ++i) s += Log ? d[i] : d[i] * t[i];
    for (int64_t i = 0; i < n; ++i) d[i] = bwd_of<Log>(t[i], d[i], s);
    turn_out(d, dx, n, count, n);
  }
}

template <bool Log, class T> static void bwd_rows(const SoftmaxBwd& a) {
  using A = acc_t<T>;
  const T *y = (const T*)a.y, *dy = (const T*)a.dy;
  T* dx = (T*)a.dx;
  constexpr int64_t L = kLanes<A>;
  if (a.n < L) {
    parallel_blocks(a.outer, row_grain(a.outer, a.n), [&](int64_t begin, int64_t end) {
      const int64_t at = begin * a.n;
      bwd_turned<Log>(y + at, dy + at, dx + at, end - begin, a.n);
    });
    return;
  }
  if (a.n <= 4 * L) {
    parallel_blocks(a.outer, row_grain(a.outer, a.n), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin, step = short_rows<A>(a.n); r < end; r += step) {
        const int64_t at = r * a.n;
        bwd_short<Log>(y + at, dy + at, dx + at, least(step, end - r), a.n);
      }
    });
    return;
  }
  if (a.n <= kRow) {
    parallel_blocks(a.outer, row_grain(a.outer, a.n), [&](int64_t begin, int64_t end) {
      for (int64_t at = begin * a.n; at < end * a.n; at += a.n)
        bwd_run<Log>(y + at, dy + at, dx + at, a.n, bwd_sum<Log>(y + at, dy + at, a.n));
    });
    return;
  }
  const int64_t chunks = ceil_div(a.n, kRow);
  A* part = scratch_of<A>(a.outer * chunks, 0);
  parallel(a.outer * chunks, [&](int64_t t) {
    const int64_t r = t / chunks, i = t % chunks * kRow, at = r * a.n + i;
    part[t] = bwd_sum<Log>(y + at, dy + at, least(kRow, a.n - i));
  });
  for (int64_t r = 0; r < a.outer; ++r)
    for (int64_t i = 1; i < chunks; ++i) part[r * chunks] += part[r * chunks + i];
  parallel(a.outer * chunks, [&](int64_t t) {
    const int64_t r = t / chunks, i = t % chunks * kRow, at = r * a.n + i;
    bwd_run<Log>(y + at, dy + at, dx + at, least(kRow, a.n - i), part[r * chunks]);
  });
}

template <bool Log, class T> static void bwd_columns(const SoftmaxBwd& a) {
  using A = acc_t<T>;
  constexpr int64_t L = kLanes<A>;
  tiles<A>(a.outer, a.n, a.inner, [&](int64_t c, int64_t o, auto count, auto k) {
    constexpr int V = decltype(count)::value;
    const int64_t at = o * a.n * a.inner + c;
    const T *y = (const T*)a.y + at, *dy = (const T*)a.dy + at;
    T* dx = (T*)a.dx + at;
    vec<A> s[V] = {};
    for (int64_t i = 0; i < a.n; ++i)
      for (int v = 0; v < V; ++v) {
        const int64_t p = i * a.inner + v * L;
        s[v] += Log ? ld(dy + p, k) : ld(dy + p, k) * ld(y + p, k);
      }
    for (int64_t i = 0; i < a.n; ++i)
      for (int v = 0; v < V; ++v) {
        const int64_t p = i * a.inner + v * L;
        st(dx + p, bwd_of<Log>(ld(y + p, k), ld(dy + p, k), s[v]), k);
      }
  });
}

void softmax_fwd(const SoftmaxFwd& a) {
  by_float(a.dtype, [&](auto t) {
    using T = decltype(t);
    if (a.inner == 1) a.log ? fwd_rows<true, T>(a) : fwd_rows<false, T>(a);
    else a.log ? fwd_columns<true, T>(a) : fwd_columns<false, T>(a);
  });
}
void softmax_bwd(const SoftmaxBwd& a) {
  by_float(a.dtype, [&](auto t) {
    using T = decltype(t);
    if (a.inner == 1) a.log ? bwd_rows<true, T>(a) : bwd_rows<false, T>(a);
    else a.log ? bwd_columns<true, T>(a) : bwd_columns<false, T>(a);
  });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
