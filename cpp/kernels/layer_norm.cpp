// SPDX-License-Identifier: MIT
// Layer and RMS normalisation (Ba, Kiros and Hinton 2016; Zhang and Sennrich 2019): rows of x (rows, cols).
#include "rows.h"

namespace lamella {
namespace LAMELLA_ISA {

// ---- forward ------------------------------------------------------------------------------------------------------------
// y = (x - mean) * rstd * w + b over one run.
template <bool W, bool B, class T>
static void affine_run(const T* x, const T* w, const T* b, T* y, int64_t n, Mean<acc_t<T>> mean, acc_t<T> rstd) {
  using A = acc_t<T>;
  const vec<A> hi = splat(mean.hi), lo = splat(mean.lo), rs = splat(rstd);
  sweep<A, 4>(n, [&](int64_t i, int, auto k) {
    vec<A> v = (ld(x + i, k) - hi - lo) * rs;
    if constexpr (W) v = v * ld(w + i, k);
    if constexpr (B) v = v + ld(b + i, k);
    st(y + i, v, k);
  });
}

template <class T> static void fwd(const LayerNormFwd& a) {
  using A = acc_t<T>;
  const T *x = (const T*)a.x, *w = (const T*)a.weight, *b = (const T*)a.bias;
  T* y = (T*)a.y;
  normalize_rows<T>(x, a.rows, a.cols, a.eps, a.rms, (A*)a.mean, (A*)a.rstd,
                    [&](int64_t r, int64_t i, int64_t end, Mean<A> mean, A rstd) {
    const T* xr = x + r * a.cols + i;
    T* yr = y + r * a.cols + i;
    if (w && b) affine_run<true, true>(xr, w + i, b + i, yr, end - i, mean, rstd);
    else if (w) affine_run<true, false>(xr, w + i, w, yr, end - i, mean, rstd);
    else if (b) affine_run<false, true>(xr, b, b + i, yr, end - i, mean, rstd);
    else affine_run<false, false>(xr, x, x, yr, end - i, mean, rstd);
  });
}

// ---- backward -----------------------------------------------------------------------------------------------------------
// With g = dy w and h = (x - mean) rstd:  dx = rstd (g - mean(g) - h mean(g h)), without mean(g) for rms;
// dw = sum over rows of dy h, db = sum over rows of dy.
template <class T> struct Bwd {
  using A = acc_t<T>;
  const T *x, *dy, *w;
  const A *mean, *rstd;
  T* dx;
  int64_t rows, cols;
  bool rms, params;  // params: dweight or dbias is asked for
  LAMELLA_INLINE A mean_of(int64_t r) const { return rms ? A(0) : mean[r]; }
};

// R rows from row r: their part of dw and db is added to dw, db (cols).
template <int R, bool P, class T> static void bwd_rows(const Bwd<T>& p, int64_t r, acc_t<T>* dw, acc_t<T>* db) {
  using A = acc_t<T>;
  const T *x = p.x + r * p.cols, *dy = p.dy + r * p.cols;
  vec<A> m[R], rs[R], s1[R], s2[R];
  for (int q = 0; q < R; ++q) {
    m[q] = splat(p.mean_of(r + q));
    rs[q] = splat(p.rstd[r + q]);
    s1[q] = s2[q] = vec<A>{};
  }
  sweep<A, 1>(p.cols, [&](int64_t i, int, auto k) {
    vec<A> w = p.w ? ld(p.w + i, k) : splat(A(1)), pw{}, pb{};
    if constexpr (P) { pw = ld(dw + i, k); pb = ld(db + i, k); }
#pragma GCC unroll 4
    for (int q = 0; q < R; ++q) {
      vec<A> g = ld(dy + q * p.cols + i, k), h = (ld(x + q * p.cols + i, k) - m[q]) * rs[q];
      if constexpr (P) { pw += g * h; pb += g; }
      g = g * w;
      s1[q] += g;
      s2[q] += g * h;
    }
    if constexpr (P) { st(dw + i, pw, k); st(db + i, pb, k); }
  });
  if (!p.dx) return;
  for (int q = 0; q < R; ++q) {
    const A n = A(p.cols);
    const vec<A> c1 = splat(p.rms ? A(0) : hsum(s1[q]) / n), c2 = splat(hsum(s2[q]) / n);
    T* dx = p.dx + (r + q) * p.cols;
    sweep<A, 4>(p.cols, [&](int64_t i, int, auto k) {
      vec<A> g = ld(dy + q * p.cols + i, k), h = (ld(x + q * p.cols + i, k) - m[q]) * rs[q];
      if (p.w) g = g * ld(p.w + i, k);
      st(dx + i, (g - c1 - h * c2) * rs[q], k);
    });
  }
}

template <bool P, class T>
static void bwd_block(const Bwd<T>& p, int64_t begin, int64_t end, acc_t<T>* dw, acc_t<T>* db) {
  for (; begin + 4 <= end; begin += 4) bwd_rows<4, P>(p, begin, dw, db);
  for (; begin < end; ++begin) bwd_rows<1, P>(p, begin, dw, db);
}

// dst = sum of the `blocks` rows of part, in order.
template <class T>
static void fold_blocks(const acc_t<T>* part, int64_t blocks, int64_t stride, int64_t begin, int64_t end, T* dst) {
  using A = acc_t<T>;
  if (!dst) return;
  sweep<A, 4>(end - begin, [&](int64_t i, int, auto k) {
    vec<A> s = ld(part + begin + i, k);
    for (int64_t j = 1; j < blocks; ++j) s += ld(part + j * stride + begin + i, k);
    st(dst + begin + i, s, k);
  });
}

// Rows of moderate length: blocks of rows, each with partial sums of dw and db of its own.
template <class T> static void bwd_tall(const Bwd<T>& p, T* dweight, T* dbias) {
  using A = acc_t<T>;
  int64_t grain = row_grain(p.rows, p.cols), floor = ceil_div(p.rows, 64);
  if (p.params) grain = grain < floor ? floor : grain;
  if (p.params && grain < 16) grain = 16;
  const int64_t blocks = ceil_div(p.rows, grain);
  A* part = p.params ? scratch_of<A>(blocks * 2 * p.cols, 0) : nullptr;
  parallel_blocks(p.rows, grain, [&](int64_t begin, int64_t end) {
    A* dw = part ? part + begin / grain * 2 * p.cols : nullptr;
    A* db = dw + p.cols;
    if (part) __builtin_memset(dw, 0, size_t(2 * p.cols) * sizeof(A));
    if (part) bwd_block<true>(p, begin, end, dw, db);
    else bwd_block<false>(p, begin, end, dw, db);
  });
  if (!part) return;
  parallel_blocks(p.cols, blocks * p.cols <= 2 * kTask ? p.cols : 1024, [&](int64_t begin, int64_t end) {
    fold_blocks<T>(part, blocks, 2 * p.cols, begin, end, dweight);
    fold_blocks<T>(part + p.cols, blocks, 2 * p.cols, begin, end, dbias);
  });
}

// Few rows, or long ones: the two sums of each row first (in chunks), then columns: dx, dw and db together.
template <class T> static void bwd_wide(const Bwd<T>& p, T* dweight, T* dbias) {
  using A = acc_t<T>;
  constexpr int64_t L = kLanes<A>;
  const int64_t chunk = 16384, chunks = ceil_div(p.cols, chunk);
  A* sums = scratch_of<A>(p.rows * chunks * 2, 0);  // (rows, chunks, 2)
  if (p.dx) {
    parallel(p.rows * chunks, [&](int64_t t) {
      const int64_t r = t / chunks, c = t % chunks * chunk, n = least(chunk, p.cols - c);
      const vec<A> m = splat(p.mean_of(r)), rs = splat(p.rstd[r]);
      const T *x = p.x + r * p.cols + c, *dy = p.dy + r * p.cols + c;
      Four<A> s1, s2;
      sweep<A, 4>(n, [&](int64_t i, int u, auto k) {
        vec<A> g = ld(dy + i, k), h = (ld(x + i, k) - m) * rs;
        if (p.w) g = g * ld(p.w + c + i, k);
        s1.v[u] += g;
        s2.v[u] += g * h;
      });
      sums[2 * t] = s1.sum();
      sums[2 * t + 1] = s2.sum();
    });
    for (int64_t r = 0; r < p.rows; ++r) {
      double s1 = 0, s2 = 0;
      for (int64_t c = 0; c < chunks; ++c) { s1 += sums[2 * (r * chunks + c)]; s2 += sums[2 * (r * chunks + c) + 1]; }
      sums[2 * r] = A(p.rms ? 0 : s1 / double(p.cols));  // r * chunks >= r: already read
      sums[2 * r + 1] = A(s2 / double(p.cols));
    }
  }
  int64_t width = kTask / p.rows / (4 * L) * (4 * L);
  width = width < 8 * L ? 8 * L : width;
  parallel_blocks(p.cols, width, [&](int64_t begin, int64_t end) {
    column_tiles<A>(begin, end, [&](int64_t c, auto count, auto k) {
      constexpr int V = decltype(count)::value;
      vec<A> w[V], dw[V] = {}, db[V] = {};
      for (int v = 0; v < V; ++v) w[v] = p.w ? ld(p.w + c + v * L, k) : splat(A(1));
      for (int64_t r = 0; r < p.rows; ++r) {
        const vec<A> m = splat(p.mean_of(r)), rs = splat(p.rstd[r]);
        const int64_t at = r * p.cols + c;
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) {
          vec<A> g = ld(p.dy + at + v * L, k), h = (ld(p.x + at + v * L, k) - m) * rs;
          dw[v] += g * h;
          db[v] += g;
          if (p.dx) st(p.dx + at + v * L, (g * w[v] - sums[2 * r] - h * sums[2 * r + 1]) * rs, k);
        }
      }
      for (int v = 0; v < V; ++v) {
        if (dweight) st(dweight + c + v * L, dw[v], k);
        if (dbias) st(dbias + c + v * L, db[v], k);
      }
    });
  });
}

template <class T> static void bwd(const LayerNormBwd& a) {
  using A = acc_t<T>;
  Bwd<T> p{(const T*)a.x, (const T*)a.dy, (const T*)a.weight, (const A*)a.mean, (const A*)a.rstd, (T*)a.dx,
           a.rows, a.cols, a.rms, a.dweight || a.dbias};
  T *dw = (T*)a.dweight, *db = (T*)a.dbias;
  if (a.cols == 0) return;
  if (a.rows == 0) {
    if (dw) __builtin_memset(dw, 0, size_t(a.cols) * sizeof(T));
    if (db) __builtin_memset(db, 0, size_t(a.cols) * sizeof(T));
  } else if (a.cols > 16384 || (a.rows < 32 && a.rows * a.cols > 2 * kTask)) {
    bwd_wide(p, dw, db);
  } else {
    bwd_tall(p, dw, db);
  }
}

void layer_norm_fwd(const LayerNormFwd& a) {
  by_float(a.dtype, [&](auto t) { fwd<decltype(t)>(a); });
}
void layer_norm_bwd(const LayerNormBwd& a) {
  by_float(a.dtype, [&](auto t) { bwd<decltype(t)>(a); });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
