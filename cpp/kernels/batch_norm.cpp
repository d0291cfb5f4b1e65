// SPDX-License-Identifier: MIT
// Batch normalisation (Ioffe and Szegedy 2015) of x (n, c, inner), in two layouts. Planes (inner long): a channel is n
// runs of `inner`, and runs are vectors with one set of coefficients. Columns (inner short): x is a matrix (n, c * inner),
// vectors lie across columns, coefficients are expanded to them, and the `inner` columns of a channel are folded at the
// end. Where a channel fits in L2 one task reads it once from memory and does everything.
#include "rows.h"

namespace lamella {
namespace LAMELLA_ISA {

struct Channels {
  int64_t n, c, inner;
  LAMELLA_INLINE bool planes() const { return inner >= 32; }
  LAMELLA_INLINE bool cached() const { return n * inner <= 2 * kRow; }
  LAMELLA_INLINE int64_t width() const { return c * inner; }
  LAMELLA_INLINE double count() const { return double(n) * double(inner); }
};

// ---- one pass over all elements with coefficients per channel --------------------------------------------------------------
// f(at, step, v): v[j] holds coef[j * c + channel] of the elements at offset `at`.
template <class A, int K, class F>
LAMELLA_INLINE void channel_run(const Channels& g, int64_t ch, int64_t at, int64_t len, const A* coef, const F& f) {
  vec<A> v[K];
  for (int j = 0; j < K; ++j) v[j] = splat(coef[j * g.c + ch]);
  sweep<A, 4>(len, [&](int64_t i, int, auto k) { f(at + i, k, v); });
}

// `rows` rows of them.
template <class A> static void expand(const Channels& g, const A* coef, int count, A* wide, int64_t rows = 1) {
  const int64_t w = g.width();
  for (int j = 0; j < count; ++j, wide += rows * w) {
    for (int64_t ch = 0; ch < g.c; ++ch)
      for (int64_t i = 0; i < g.inner; ++i) wide[ch * g.inner + i] = coef[j * g.c + ch];
    for (int64_t r = 1; r < rows; ++r) std::memcpy(wide + r * w, wide, size_t(w) * sizeof(A));
  }
}

template <class A, int K, class F> static void channel_map(const Channels& g, const A* coef, int slot, const F& f) {
  if (g.planes()) {
    const int64_t pieces = ceil_div(g.inner, kRow), all = g.n * g.c * pieces;
    parallel_blocks(all, row_grain(all, least(g.inner, kRow)), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const int64_t plane = t / pieces, i = t % pieces * kRow;
        channel_run<A, K>(g, plane % g.c, plane * g.inner + i, least(kRow, g.inner - i), coef, f);
      }
    });
    return;
  }
  int64_t rows = 1;  // as one, so that vectors are full
  while (g.width() * rows % kLanes<A> && g.width() * rows * 2 <= 1024) rows *= 2;
  const int64_t w = g.width() * rows, all = g.n * g.width(), blocks = ceil_div(g.n, rows);
  const A* wide = coef;
  if (g.inner > 1 || rows > 1) {
    A* buffer = scratch_of<A>(K * w, slot);
    expand(g, coef, K, buffer, rows);
    wide = buffer;
  }
  parallel_blocks(blocks, row_grain(blocks, w), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      sweep<A, 1>(least(w, all - r * w), [&](int64_t i, int, auto k) {
        vec<A> v[K];
        for (int j = 0; j < K; ++j) v[j] = ld(wide + j * w + i, k);
        f(r * w + i, k, v);
      });
  });
}

// ---- one pass that sums over each channel ------------------------------------------------------------------------------------
// Columns: f(rows, stride, column, Count, step, out) reduces a chunk of rows to S values per column, each stored at
// out + s * width; merge(chunk, rows, part) then sees every chunk's (S, width) in order.
template <class A, int S, class F, class M>
static void column_chunks(const Channels& g, int slot, const F& f, const M& merge) {
  const int64_t w = g.width();
  int64_t chunk = kTask / (w ? w : 1);
  chunk = chunk < 16 ? 16 : chunk > 256 ? 256 : chunk;
  const int64_t chunks = ceil_div(g.n, chunk), strip = 4096, strips = ceil_div(w, strip);
  A* part = scratch_of<A>(chunks * S * w, slot);
  parallel_blocks(chunks * strips, row_grain(chunks * strips, chunk * least(w, strip)), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t j = t / strips, r = j * chunk, c = t % strips * strip;
      column_tiles<A>(c, least(c + strip, w), [&](int64_t i, auto count, auto k) {
        f(r, least(chunk, g.n - r), i, count, k, part + j * S * w + i);
      });
    }
  });
  for (int64_t j = 0; j < chunks; ++j) merge(least(chunk, g.n - j * chunk), part + j * S * w);
}

// ---- forward -------------------------------------------------------------------------------------------------------------------
template <class T> struct Fwd {
  using A = acc_t<T>;
  Channels g;
  const T* x;
  T* y;
  const A *weight, *bias;
  A *mean, *rstd, *running_mean, *running_var;
  double eps, momentum;
  bool relu;

  // What follows from a channel's moments: outputs, running statistics, and the coefficients hi, lo, a, b of
  // y = (x - hi - lo) a + b.
  LAMELLA_INLINE void finish(int64_t ch, double m, double m2, A* coef) const {
    const double n = g.count();
    const A rs = A(1.0 / __builtin_sqrt(m2 / n + eps));
    mean[ch] = A(m);
    rstd[ch] = rs;
    if (running_mean) {
      running_mean[ch] = A((1 - momentum) * double(running_mean[ch]) + momentum * m);
      running_var[ch] = A((1 - momentum) * double(running_var[ch]) + momentum * (m2 / (n - 1)));
    }
    coef[ch] = A(m);
    coef[g.c + ch] = A(m - double(A(m)));
    coef[2 * g.c + ch] = weight ? rs * weight[ch] : rs;
    coef[3 * g.c + ch] = bias ? bias[ch] : A(0);
  }
  template <class K> LAMELLA_INLINE void write(int64_t at, K k, const vec<A>* v) const {
    vec<A> r = (ld(x + at, k) - v[0] - v[1]) * v[2] + v[3];
    if (relu) r = vmax(vec<A>{}, r);  // NaN passes
    st(y + at, r, k);
  }
};

// Moments of channel ch over samples [begin, end).
template <class T> static Stats plane_stats(const Channels& g, const T* x, int64_t ch, int64_t begin, int64_t end) {
  Stats s;
  const int64_t group = g.inner >= kRun ? 1 : kRun / g.inner;
  for (int64_t i = begin; i < end; i += group) {
    const T* p = x + (i * g.c + ch) * g.inner;
    Stats b = g.inner > kRun ? row_stats(p, g.inner) : runs_stats(p, least(group, end - i), g.inner, g.c * g.inner);
    s.merge(b.n, b.mean, b.m2);
  }
  return s;
}

template <class T> static void fwd_planes(const Fwd<T>& p, acc_t<T>* coef) {
  using A = acc_t<T>;
  const Channels& g = p.g;
  auto write = [&](int64_t at, auto k, const vec<A>* v) { p.write(at, k, v); };
  if (g.cached()) {
    parallel_blocks(g.c, row_grain(g.c, g.n * g.inner), [&](int64_t begin, int64_t end) {
      for (int64_t ch = begin; ch < end; ++ch) {
        Stats s = plane_stats(g, p.x, ch, 0, g.n);
        p.finish(ch, s.mean, s.m2, coef);
        for (int64_t i = 0; i < g.n; ++i) channel_run<A, 4>(g, ch, (i * g.c + ch) * g.inner, g.inner, coef, write);
      }
    });
    return;
  }
  const int64_t samples = g.inner >= kRow ? 1 : kRow / g.inner, blocks = ceil_div(g.n, samples);
  Stats* part = scratch_of<Stats>(g.c * blocks, 1);
  parallel(g.c * blocks, [&](int64_t t) {
    const int64_t i = t / g.c * samples;  // channels innermost: neighbouring tasks read neighbouring memory
    part[t] = plane_stats(g, p.x, t % g.c, i, least(i + samples, g.n));
  });
  for (int64_t ch = 0; ch < g.c; ++ch) {
    Stats s;
    for (int64_t b = 0; b < blocks; ++b) { const Stats& q = part[b * g.c + ch]; s.merge(q.n, q.mean, q.m2); }
    p.finish(ch, s.mean, s.m2, coef);
  }
  channel_map<A, 4>(g, coef, 1, write);
}

template <class T> static void fwd_columns(const Fwd<T>& p, acc_t<T>* coef) {
  using A = acc_t<T>;
  const Channels& g = p.g;
  const int64_t w = g.width();
  double *mean = scratch_of<double>(2 * w, 2), *m2 = mean + w, done = 0;
  __builtin_memset(mean, 0, size_t(2 * w) * sizeof(double));
  column_chunks<A, 3>(
      g, 1,
      [&](int64_t r, int64_t rows, int64_t c, auto count, auto k, A* out) {
        constexpr int V = decltype(count)::value;
        const T* x = p.x + r * w + c;
        vec<A> s[V] = {}, d[V] = {}, q[V] = {};
        for (int64_t i = 0; i < rows; ++i)
          for (int v = 0; v < V; ++v) s[v] += ld(x + i * w + v * kLanes<A>, k);
        for (int v = 0; v < V; ++v) s[v] = s[v] / A(rows);
        for (int64_t i = 0; i < rows; ++i)
          for (int v = 0; v < V; ++v) {
            vec<A> e = ld(x + i * w + v * kLanes<A>, k) - s[v];
            d[v] += e;
            q[v] += e * e;
          }
        for (int v = 0; v < V; ++v) {
          st(out + v * kLanes<A>, s[v], k);
          st(out + w + v * kLanes<A>, d[v], k);
          st(out + 2 * w + v * kLanes<A>, q[v], k);
        }
      },
      [&](int64_t rows, const A* part) {  // as Stats::merge, for all columns
        const double bn = double(rows), f = bn / (done + bn), h = done * f;
        for (int64_t i = 0; i < w; ++i) {
          const double shift = double(part[w + i]) / bn, d = double(part[i]) + shift - mean[i];
          mean[i] += d * f;
          m2[i] += double(part[2 * w + i]) - shift * shift * bn + d * d * h;
        }
        done += bn;
      });
  for (int64_t ch = 0; ch < g.c; ++ch) {
    double m = mean[ch * g.inner], q = m2[ch * g.inner];
    for (int64_t i = 1; i < g.inner; ++i) {
      const double d = mean[ch * g.inner + i] - m, f = 1.0 / double(i + 1);
      m += d * f;
      q += m2[ch * g.inner + i] + d * d * double(i) * f * double(g.n);
    }
    p.finish(ch, m, q, coef);
  }
  channel_map<A, 4>(g, coef, 1, [&](int64_t at, auto k, const vec<A>* v) { p.write(at, k, v); });
}

template <class T> static void fwd(const BatchNormFwd& a) {
  using A = acc_t<T>;
  Fwd<T> p{{a.n, a.c, a.inner}, (const T*)a.x, (T*)a.y, (const A*)a.weight, (const A*)a.bias, (A*)a.mean, (A*)a.rstd,
           (A*)a.running_mean, (A*)a.running_var, a.eps, a.momentum, a.act == Act::relu};
  if (a.c == 0 || a.n * a.inner == 0) return;
  A* coef = scratch_of<A>(4 * a.c, 0);
  if (p.g.planes()) fwd_planes(p, coef);
  else fwd_columns(p, coef);
}

template <class T> static void apply(const BatchNormApply& a) {
  using A = acc_t<T>;
  const Channels g{a.n, a.c, a.inner};
  const A *weight = (const A*)a.weight, *bias = (const A*)a.bias, *mean = (const A*)a.mean, *rstd = (const A*)a.rstd;
  const T* x = (const T*)a.x;
  T* y = (T*)a.y;
  const bool relu = a.act == Act::relu;
  A* coef = scratch_of<A>(3 * a.c, 0);
  for (int64_t ch = 0; ch < a.c; ++ch) {
    coef[ch] = mean[ch];
    coef[a.c + ch] = weight ? rstd[ch] * weight[ch] : rstd[ch];
    coef[2 * a.c + ch] = bias ? bias[ch] : A(0);
  }
  channel_map<A, 3>(g, coef, 1, [&](int64_t at, auto k, const vec<A>* v) {
    vec<A> r = (ld(x + at, k) - v[0]) * v[1] + v[2];
    if (relu) r = vmax(vec<A>{}, r);
    st(y + at, r, k);
  });
}

// ---- backward ------------------------------------------------------------------------------------------------------------------
// With s1 = sum(dy), s2 = sum(dy (x - mean)) of the channel and N values in it: dbias = s1, dweight = s2 rstd, and
// dx = weight rstd (dy - s1 / N - (x - mean) rstd^2 s2 / N); frozen: dx = weight rstd dy.
template <class T> struct Bwd {
  using A = acc_t<T>;
  Channels g;
  const T *x, *dy;
  T* dx;
  const A *weight, *mean, *rstd;
  A *dweight, *dbias;
  bool frozen;

  LAMELLA_INLINE void finish(int64_t ch, double s1, double s2, A* coef) const {  // dx = v1 dy + v2 (x - v0) + v3
    const double rs = double(rstd[ch]), a = weight ? rs * double(weight[ch]) : rs, n = g.count();
    if (dbias) dbias[ch] = A(s1);
    if (dweight) dweight[ch] = A(s2 * rs);
    coef[ch] = mean[ch];
    coef[g.c + ch] = A(a);
    coef[2 * g.c + ch] = A(frozen ? 0.0 : -a * rs * rs * s2 / n);
    coef[3 * g.c + ch] = A(frozen ? 0.0 : -a * s1 / n);
  }
  template <class K> LAMELLA_INLINE void write(int64_t at, K k, const vec<A>* v) const {
    vec<A> g = ld(dy + at, k);
    st(dx + at, frozen ? v[1] * g : v[1] * g + (v[2] * (ld(x + at, k) - v[0]) + v[3]), k);
  }
};

struct Sums { double dy, dyx; };

// Both sums of channel ch over samples [begin, end), by accumulators that are emptied into doubles every kRun elements.
template <class T> static Sums plane_sums(const Bwd<T>& p, int64_t ch, int64_t begin, int64_t end) {
  using A = acc_t<T>;
  const Channels& g = p.g;
  const vec<A> m = splat(p.mean[ch]);
  Sums total{0, 0};
  Four<A> s1, s2;
  int64_t held = 0;
  for (int64_t i = begin; i < end; ++i)
    for (int64_t j = 0; j < g.inner; j += kRun) {
      const int64_t at = (i * g.c + ch) * g.inner + j, len = least(kRun, g.inner - j);
      sweep<A, 4>(len, [&](int64_t q, int u, auto k) {
        vec<A> dy = ld(p.dy + at + q, k);
        s1.v[u] += dy;
        s2.v[u] += dy * (ld(p.x + at + q, k) - m);
      });
      held += len;
      if (held >= kRun || (i + 1 == end && j + kRun >= g.inner)) {
        total.dy += double(s1.sum());
        total.dyx += double(s2.sum());
        s1 = s2 = Four<A>{};
        held = 0;
      }
    }
  return total;
}

template <class T> static void bwd_planes(const Bwd<T>& p, acc_t<T>* coef) {
  using A = acc_t<T>;
  const Channels& g = p.g;
  auto write = [&](int64_t at, auto k, const vec<A>* v) { p.write(at, k, v); };
  if (g.cached()) {
    parallel_blocks(g.c, row_grain(g.c, g.n * g.inner), [&](int64_t begin, int64_t end) {
      for (int64_t ch = begin; ch < end; ++ch) {
        Sums s = plane_sums(p, ch, 0, g.n);
        p.finish(ch, s.dy, s.dyx, coef);
        if (!p.dx) continue;
        for (int64_t i = 0; i < g.n; ++i) channel_run<A, 4>(g, ch, (i * g.c + ch) * g.inner, g.inner, coef, write);
      }
    });
    return;
  }
  const int64_t samples = g.inner >= kRow ? 1 : kRow / g.inner, blocks = ceil_div(g.n, samples);
  Sums* part = scratch_of<Sums>(g.c * blocks, 1);
  parallel(g.c * blocks, [&](int64_t t) {
    const int64_t i = t / g.c * samples;
    part[t] = plane_sums(p, t % g.c, i, least(i + samples, g.n));
  });
  for (int64_t ch = 0; ch < g.c; ++ch) {
    double s1 = 0, s2 = 0;
    for (int64_t b = 0; b < blocks; ++b) { s1 += part[b * g.c + ch].dy; s2 += part[b * g.c + ch].dyx; }
    p.finish(ch, s1, s2, coef);
  }
  if (p.dx) channel_map<A, 4>(g, coef, 1, write);
}

template <class T> static void bwd_columns(const Bwd<T>& p, acc_t<T>* coef) {
  using A = acc_t<T>;
  const Channels& g = p.g;
  const int64_t w = g.width();
  double *s1 = scratch_of<double>(2 * w, 2), *s2 = s1 + w;
  __builtin_memset(s1, 0, size_t(2 * w) * sizeof(double));
  A* wide = scratch_of<A>(w, 3);
  expand(g, p.mean, 1, wide);
  column_chunks<A, 2>(
      g, 1,
      [&](int64_t r, int64_t rows, int64_t c, auto count, auto k, A* out) {
        constexpr int V = decltype(count)::value;
        const T *x = p.x + r * w + c, *dy = p.dy + r * w + c;
        vec<A> a[V] = {}, b[V] = {}, m[V];
        for (int v = 0; v < V; ++v) m[v] = ld(wide + c + v * kLanes<A>, k);
        for (int64_t i = 0; i < rows; ++i)
          for (int v = 0; v < V; ++v) {
            vec<A> d = ld(dy + i * w + v * kLanes<A>, k);
            a[v] += d;
            b[v] += d * (ld(x + i * w + v * kLanes<A>, k) - m[v]);
          }
        for (int v = 0; v < V; ++v) {
          st(out + v * kLanes<A>, a[v], k);
          st(out + w + v * kLanes<A>, b[v], k);
        }
      },
      [&](int64_t, const A* part) {
        for (int64_t i = 0; i < w; ++i) { s1[i] += double(part[i]); s2[i] += double(part[w + i]); }
      });
  for (int64_t ch = 0; ch < g.c; ++ch) {
    double a = 0, b = 0;
    for (int64_t i = 0; i < g.inner; ++i) { a += s1[ch * g.inner + i]; b += s2[ch * g.inner + i]; }
    p.finish(ch, a, b, coef);
  }
  if (p.dx) channel_map<A, 4>(g, coef, 1, [&](int64_t at, auto k, const vec<A>* v) { p.write(at, k, v); });
}

template <class T> static void bwd(const BatchNormBwd& a) {
  using A = acc_t<T>;
  Bwd<T> p{{a.n, a.c, a.inner}, (const T*)a.x, (const T*)a.dy, (T*)a.dx, (const A*)a.weight, (const A*)a.mean,
           (const A*)a.rstd, (A*)a.dweight, (A*)a.dbias, a.frozen};
  if (a.c == 0) return;
  A* coef = scratch_of<A>(4 * a.c, 0);
  if (p.g.planes()) bwd_planes(p, coef);
  else bwd_columns(p, coef);
}

void batch_norm_fwd(const BatchNormFwd& a) {
  by_float(a.dtype, [&](auto t) { fwd<decltype(t)>(a); });
}
void batch_norm_apply(const BatchNormApply& a) {
  by_float(a.dtype, [&](auto t) { apply<decltype(t)>(a); });
}
void batch_norm_bwd(const BatchNormBwd& a) {
  by_float(a.dtype, [&](auto t) { bwd<decltype(t)>(a); });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
