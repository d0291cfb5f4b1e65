// SPDX-License-Identifier: MIT
// Group normalisation (Wu and He 2018) of x (n, c, inner); groups == c is instance normalisation. Where inner is small,
// what belongs to a channel is spread over its elements once, and a group is one run of vectors. Adjacent channels: group_norm_pixels.h.
#include "group_norm_pixels.h"

namespace lamella {
namespace LAMELLA_ISA {

constexpr int64_t kSmallInner = 64;

// to (c, inner) = value (c) of each channel, or `none`.
template <class T> static void spread(acc_t<T>* to, const T* value, acc_t<T> none, int64_t c, int64_t inner) {
  for (int64_t ch = 0; ch < c; ++ch) {
    const acc_t<T> v = value ? up(value[ch]) : none;
    for (int64_t i = 0; i < inner; ++i) *to++ = v;
  }
}

template <class T> static void fwd(const GroupNormFwd& a) {
  using A = acc_t<T>;
  const T *x = (const T*)a.x, *w = (const T*)a.weight, *b = (const T*)a.bias;
  T* y = (T*)a.y;
  const int64_t rows = a.n * a.groups, channels = a.c / a.groups, cols = channels * a.inner;
  if (a.inner <= kSmallInner) {
    A *scale = scratch_of<A>(2 * a.c * a.inner, 1), *shift = scale + a.c * a.inner;
    spread<T>(scale, w, 1, a.c, a.inner);
    spread<T>(shift, b, 0, a.c, a.inner);
    normalize_rows<T>(x, rows, cols, a.eps, false, (A*)a.mean, (A*)a.rstd,
                      [&](int64_t r, int64_t begin, int64_t end, Mean<A> mean, A rstd) {
      const vec<A> hi = splat(mean.hi), lo = splat(mean.lo), rs = splat(rstd);
      const int64_t at = r * cols + begin, of = r % a.groups * cols + begin;
      sweep<A, 4>(end - begin, [&](int64_t j, int, auto k) {
        st(y + at + j, (ld(x + at + j, k) - hi - lo) * (rs * ld(scale + of + j, k)) + ld(shift + of + j, k), k);
      });
    });
    return;
  }
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

// As bwd below. Sums for dweight and dbias are kept for each element of (c, inner) over a block of n.
template <class T> static void bwd_small(const GroupNormBwd& a) {
  using A = acc_t<T>;
  const T *x = (const T*)a.x, *dy = (const T*)a.dy;
  const A *mean = (const A*)a.mean, *rstd = (const A*)a.rstd;
  T *dx = (T*)a.dx, *dw = (T*)a.dweight, *db = (T*)a.dbias;
  const int64_t width = a.c * a.inner, cols = width / a.groups;
  const int64_t least_block = kTask / (width ? width : 1) + 1, block = least_block < 8 ? 8 : least_block, blocks = ceil_div(a.n, block);
  A *weight = scratch_of<A>((2 * blocks + 1) * width, 0), *sums = weight + width;  // of each block: of dy, of dy h
  spread<T>(weight, (const T*)a.weight, 1, a.c, a.inner);
  const int64_t pieces = blocks * a.groups;
  parallel_blocks(pieces, row_grain(pieces, cols * least(block, a.n)), [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      const int64_t t = piece / a.groups, group = piece % a.groups;
      A *s = sums + 2 * t * width, *sh = s + width;
      std::memset(s + group * cols, 0, size_t(cols) * sizeof(A));
      std::memset(sh + group * cols, 0, size_t(cols) * sizeof(A));
      for (int64_t n = t * block; n < least((t + 1) * block, a.n); ++n) {
        const int64_t r = n * a.groups + group, at = r * cols, of = group * cols;
        const vec<A> m = splat(mean[r]), rs = splat(rstd[r]);
        vec<A> g[2] = {}, gh[2] = {};
        sweep<A, 2>(cols, [&](int64_t j, int u, auto k) {
          const vec<A> d = ld(dy + at + j, k), dh = d * ((ld(x + at + j, k) - m) * rs), w = ld(weight + of + j, k);
          st(s + of + j, ld(s + of + j, k) + d, k);
          st(sh + of + j, ld(sh + of + j, k) + dh, k);
          g[u] += d * w;
          gh[u] += dh * w;
        });
        if (!dx) continue;
        const vec<A> c1 = splat(hsum(g[0] + g[1]) / A(cols)), c2 = splat(hsum(gh[0] + gh[1]) / A(cols));
        sweep<A, 4>(cols, [&](int64_t j, int, auto k) {
          const vec<A> h = (ld(x + at + j, k) - m) * rs;
          st(dx + at + j, (ld(dy + at + j, k) * ld(weight + of + j, k) - c1 - h * c2) * rs, k);
        });
      }
    }
  });
  if (!dw && !db) return;
  parallel_blocks(a.c, row_grain(a.c, blocks * a.inner), [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      double s = 0, sh = 0;
      for (int64_t t = 0; t < blocks; ++t) {
        vec<A> some = {}, more = {};
        sweep<A, 1>(a.inner, [&](int64_t i, int, auto k) {
          some += ld(sums + 2 * t * width + c * a.inner + i, k);
          more += ld(sums + (2 * t + 1) * width + c * a.inner + i, k);
        });
        s += double(hsum(some));
        sh += double(hsum(more));
      }
      if (db) db[c] = down<T>(A(s));
      if (dw) dw[c] = down<T>(A(sh));
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

template <class T, class Args, class F> static void of_pixels(T, const Args& a, const F& f) {
  if constexpr (sizeof(T) > 2) {
    GroupedPixels<T> pixels(a);
    f(pixels);
  }
}

void group_norm_fwd(const GroupNormFwd& a) {
  by_float(a.dtype, [&](auto t) {
    if (a.last) return of_pixels(t, a, [&](auto& p) { p.forward(a); });
    fwd<decltype(t)>(a);
  });
}
void group_norm_bwd(const GroupNormBwd& a) {
  by_float(a.dtype, [&](auto t) {
    if (a.last) return of_pixels(t, a, [&](auto& p) { p.backward(a); });
    if (a.inner <= kSmallInner) bwd_small<decltype(t)>(a);
    else bwd<decltype(t)>(a);
  });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
