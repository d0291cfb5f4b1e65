// SPDX-License-Identifier: MIT
// Group normalisation (Wu and He 2018) of x (n, c, inner); groups == c is instance normalisation.
#include "rows.h"

namespace lamella {
namespace LAMELLA_ISA {

template <class T> static void fwd(const GroupNormFwd& a) {
  using A = acc_t<T>;
  const T *x = (const T*)a.x, *w = (const T*)a.weight, *b = (const T*)a.bias;
  T* y = (T*)a.y;
  const int64_t rows = a.n * a.groups, channels = a.c / a.groups, cols = channels * a.inner;
  normalize_rows<T>(x, rows, cols, a.eps, false, (A*)a.mean, (A*)a.rstd,
                    [&](int64_t r, int64_t begin, int64_t end, Mean<A> mean, A rstd) {
    const vec<A> hi = splat(mean.hi), lo = splat(mean.lo);
    for (int64_t i = begin; i < end;) {  // a run within one channel
      const int64_t ch = r % a.groups * channels + i / a.inner, next = least(end, (i / a.inner + 1) * a.inner);
      const vec<A> scale = splat(w ? rstd * up(w[ch]) : rstd), shift = splat(b ? up(b[ch]) : A(0));
      const int64_t at = r * cols + i;
      sweep<A, 4>(next - i, [&](int64_t j, int, auto k) { st(y + at + j, (ld(x + at + j, k) - hi - lo) * scale + shift, k); });
      i = next;
    }
  });
}

// With g = dy w and h = (x - mean) rstd: dx = rstd (g - mean(g) - h mean(g h)) over the group, from sums per channel.
template <class T> static void bwd(const GroupNormBwd& a) {
  using A = acc_t<T>;
  const T *x = (const T*)a.x, *dy = (const T*)a.dy, *w = (const T*)a.weight;
  const A *mean = (const A*)a.mean, *rstd = (const A*)a.rstd;
  T *dx = (T*)a.dx, *dw = (T*)a.dweight, *db = (T*)a.dbias;
  const int64_t rows = a.n * a.groups, channels = a.c / a.groups, cols = channels * a.inner;
  A *sums = scratch_of<A>(2 * a.n * a.c, 0), *sums_h = sums + a.n * a.c;  // (n, c): of dy, of dy h
  parallel_blocks(rows, row_grain(rows, cols), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const vec<A> m = splat(mean[r]), rs = splat(rstd[r]);
      double g = 0, gh = 0;
      for (int64_t c = 0; c < channels; ++c) {
        const int64_t ch = r * channels + c;  // of (n, c)
        double s = 0, sh = 0;
        for (int64_t i = 0; i < a.inner; i += kRun) {
          const int64_t at = ch * a.inner + i;
          Four<A> s1, s2;
          sweep<A, 4>(least(kRun, a.inner - i), [&](int64_t j, int u, auto k) {
            vec<A> d = ld(dy + at + j, k);
            s1.v[u] += d;
            s2.v[u] += d * ((ld(x + at + j, k) - m) * rs);
          });
          s += double(s1.sum());
          sh += double(s2.sum());
        }
        sums[ch] = A(s);
        sums_h[ch] = A(sh);
        const double wc = w ? double(up(w[ch % a.c])) : 1;
        g += wc * s;
        gh += wc * sh;
      }
      if (!dx) continue;
      const vec<A> c1 = splat(A(g / double(cols))), c2 = splat(A(gh / double(cols)));
      for (int64_t c = 0; c < channels; ++c) {
        const int64_t ch = r * channels + c, at = ch * a.inner;
        const vec<A> wc = splat(w ? up(w[ch % a.c]) : A(1));
        sweep<A, 4>(a.inner, [&](int64_t j, int, auto k) {
          st(dx + at + j, (ld(dy + at + j, k) * wc - c1 - (ld(x + at + j, k) - m) * rs * c2) * rs, k);
        });
      }
    }
  });
  for (int64_t c = 0; c < a.c; ++c) {
    double s = 0, sh = 0;
    for (int64_t i = 0; i < a.n; ++i) { s += double(sums[i * a.c + c]); sh += double(sums_h[i * a.c + c]); }
    if (db) db[c] = down<T>(A(s));
    if (dw) dw[c] = down<T>(A(sh));
  }
}

void group_norm_fwd(const GroupNormFwd& a) {
  by_float(a.dtype, [&](auto t) { fwd<decltype(t)>(a); });
}
void group_norm_bwd(const GroupNormBwd& a) {
  by_float(a.dtype, [&](auto t) { bwd<decltype(t)>(a); });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
