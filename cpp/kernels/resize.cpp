// SPDX-License-Identifier: MIT
// Linear maps along rows and columns of planes: interpolation of any kind, and (with the map transposed) its gradient.
// Columns are done first where rows become more, on the rows that a task's outputs need; else rows first, so that the
// gathers along columns are always on the smaller side. Channels-last pixels need no gathers.
#include "rows.h"

namespace lamella {
namespace LAMELLA_ISA {

constexpr int64_t kResizeGrain = 16384;  // outputs of one task

// ---- columns -------------------------------------------------------------------------------------------------------
// The columns' map cut into blocks of one vector of outputs, each with as many taps as its widest output has; those that an
// output has not, have weight zero. near: all that the block reads lies within two vectors from `base`.
struct ColumnBlock { int64_t base, first, taps; bool near; };
template <class A> struct Columns {
  int64_t n, m, blocks;
  const ColumnBlock* block;
  const vec<int_of<A>>* index;  // `first` counts in these; within the two vectors where near
  const vec<A>* weight;
};

#if defined(__AVX512F__)
constexpr bool kPermutes = true;
LAMELLA_INLINE vec<float> pick(vec<float> lo, vec<int32_t> at, vec<float> hi) {
  return (vec<float>)_mm512_maskz_permutex2var_ps(0xffff, (__m512)lo, (__m512i)at, (__m512)hi);
}
LAMELLA_INLINE vec<double> pick(vec<double> lo, vec<int64_t> at, vec<double> hi) {
  return (vec<double>)_mm512_maskz_permutex2var_pd(0xff, (__m512d)lo, (__m512i)at, (__m512d)hi);
}
LAMELLA_INLINE vec<float> gather_lanes(const float* p, vec<int32_t> at) {
  return (vec<float>)_mm512_mask_i32gather_ps(_mm512_setzero_ps(), 0xffff, (__m512i)at, p, 4);
}
LAMELLA_INLINE vec<double> gather_lanes(const double* p, vec<int64_t> at) {
  return (vec<double>)_mm512_mask_i64gather_pd(_mm512_setzero_pd(), 0xff, (__m512i)at, p, 8);
}
#else
constexpr bool kPermutes = false;
template <class V, class I> LAMELLA_INLINE V pick(V lo, I, V) { return lo; }
template <class A> LAMELLA_INLINE vec<A> gather_lanes(const A* p, vec<int_of<A>> at) {
  vec<A> v;
  for (int l = 0; l < kLanes<A>; ++l) v[l] = p[at[l]];
  return v;
}
#endif

template <class A> static Columns<A> columns_of(const Taps& t) {
  constexpr int64_t L = kLanes<A>;
  Columns<A> c{t.n, t.m, ceil_div(t.m, L), nullptr, nullptr, nullptr};
  int64_t total = 0;
  const auto widest = [&](int64_t b) {
    int64_t most = 0;
    for (int64_t o = b * L; o < t.m && o < b * L + L; ++o)
      if (t.start[o + 1] - t.start[o] > most) most = t.start[o + 1] - t.start[o];
    return most;
  };
  for (int64_t b = 0; b < c.blocks; ++b) total += widest(b);
  const size_t table = size_t(total) * kVecBytes;
  char* memory = static_cast<char*>(scratch(2 * table + size_t(c.blocks) * sizeof(ColumnBlock), 1));
  auto* index = reinterpret_cast<vec<int_of<A>>*>(memory);
  auto* weight = reinterpret_cast<vec<A>*>(memory + table);
  auto* block = reinterpret_cast<ColumnBlock*>(memory + 2 * table);
  const A* w = static_cast<const A*>(t.weight);
  int64_t first = 0;
  for (int64_t b = 0; b < c.blocks; ++b) {
    int64_t lo = t.n, hi = 0;
    const int64_t taps = widest(b), end = least(b * L + L, t.m);
    for (int64_t i = t.start[b * L]; i < t.start[end]; ++i) {
      if (t.index[i] < lo) lo = t.index[i];
      if (t.index[i] > hi) hi = t.index[i];
    }
    const bool near = kPermutes && hi - lo < 2 * L;
    const int64_t base = near && lo < t.n ? lo : 0;
    for (int64_t k = 0; k < taps; ++k) {
      vec<int_of<A>> at = {};
      vec<A> by = {};
      for (int64_t o = b * L; o < end; ++o)
        if (const int64_t i = t.start[o] + k; i < t.start[o + 1]) {
          at[o - b * L] = int_of<A>(t.index[i] - base);
          by[o - b * L] = w[i];
        }
      index[first + k] = at;
      weight[first + k] = by;
    }
    block[b] = {base, first, taps, near};
    first += taps;
  }
  c.block = block;
  c.index = index;
  c.weight = weight;
  return c;
}

// y (m) from x (n).
template <class T> static void through_columns(const Columns<acc_t<T>>& c, const acc_t<T>* x, T* y) {
  using A = acc_t<T>;
  constexpr int64_t L = kLanes<A>;
  for (int64_t b = 0; b < c.blocks; ++b) {
    const ColumnBlock k = c.block[b];
    const auto *index = c.index + k.first;
    const auto *weight = c.weight + k.first;
    vec<A> sum = {};
    if (k.near) {
      const int64_t left = c.n - k.base;
      const vec<A> lo = left >= L ? vload(x + k.base) : vload(x + k.base, left);
      const vec<A> hi = left >= 2 * L ? vload(x + k.base + L) : left > L ? vload(x + k.base + L, left - L) : vec<A>{};
      for (int64_t t = 0; t < k.taps; ++t) {
        const vec<A> v = weight[t] * pick(lo, index[t], hi);
        sum = select(weight[t] != 0, t ? sum + v : v, sum);
      }
    } else {
      for (int64_t t = 0; t < k.taps; ++t) {
        const vec<A> v = weight[t] * gather_lanes(x, index[t]);
        sum = select(weight[t] != 0, t ? sum + v : v, sum);
      }
    }
    if (b * L + L <= c.m) vstore(y + b * L, sum);
    else vstore(y + b * L, sum, c.m - b * L);
  }
}

// ---- rows ----------------------------------------------------------------------------------------------------------
// y (n) = output o of the map of rows of n elements, row i at x + (i - first) n.
template <class S, class T>
static void through_rows(const Taps& t, int64_t o, const S* x, int64_t first, int64_t n, T* y) {
  using A = acc_t<T>;
  const int64_t begin = t.start[o], end = t.start[o + 1];
  const A* w = static_cast<const A*>(t.weight);
  column_tiles<A>(0, n, [&](int64_t c, auto count, auto k) {
    constexpr int V = decltype(count)::value;
    vec<A> sum[V] = {};
    bool any = false;
    for (int64_t i = begin; i < end; ++i) {
      if (w[i] == 0) continue;
      const S* row = x + (t.index[i] - first) * n + c;
      const vec<A> by = splat(w[i]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        const vec<A> product = by * ld(row + v * kLanes<A>, k);
        sum[v] = any ? sum[v] + product : product;
      }
      any = true;
    }
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) st(y + c + v * kLanes<A>, sum[v], k);
  });
}

// The input that output o is, where it is no sum; else -1.
template <class A> static int64_t only_input(const Taps& t, int64_t o) {
  if (!t.start) return o;
  const int64_t i = t.start[o];
  return t.start[o + 1] == i + 1 && static_cast<const A*>(t.weight)[i] == 1 ? t.index[i] : -1;
}

// x (n) as the arithmetic's type: x itself, or a copy in `to`.
template <class T> LAMELLA_INLINE const acc_t<T>* widened(const T* x, int64_t n, acc_t<T>* to) {
  if constexpr (__is_same(T, acc_t<T>)) return x;
  else {
    sweep<acc_t<T>, 1>(n, [&](int64_t i, int, auto k) { st(to + i, ld(x + i, k), k); });
    return to;
  }
}

template <class T> static void resize_of(const Resize& a) {
  using A = acc_t<T>;
  const auto* x = static_cast<const T*>(a.x);
  auto* y = static_cast<T*>(a.y);
  const Taps &rows = a.rows, &cols = a.cols;
  const int64_t in = rows.n * cols.n * a.inner, out = rows.m * cols.m * a.inner, row_out = cols.m * a.inner;
  if (a.outer * out == 0) return;
  // Tasks: some planes, or a block of rows of one.
  const int64_t planes = out < kResizeGrain ? kResizeGrain / out : 1;
  const int64_t block = planes > 1 ? rows.m : least(rows.m, kResizeGrain / row_out + 1), blocks = ceil_div(rows.m, block);
  const auto tasks = [&](const auto& f) {  // f(plane, first row, last row + 1)
    parallel(ceil_div(a.outer, planes) * blocks, [&](int64_t t) {
      const int64_t first = t / blocks * planes, r = t % blocks * block;
      for (int64_t p = first; p < least(first + planes, a.outer); ++p) f(p, r, least(r + block, rows.m));
    });
  };
  if (!cols.start) {
    tasks([&](int64_t p, int64_t r0, int64_t r1) {
      for (int64_t r = r0; r < r1; ++r) through_rows(rows, r, x + p * in, 0, row_out, y + p * out + r * row_out);
    });
    return;
  }
  if (a.inner > 1) {  // pixels are runs: columns are rows of the row
    tasks([&](int64_t p, int64_t r0, int64_t r1) {
      A* row = scratch_of<A>(cols.n * a.inner, 0);
      for (int64_t r = r0; r < r1; ++r) {
        const A* from = row;
        const int64_t row_of = only_input<A>(rows, r);
        if (row_of < 0) through_rows(rows, r, x + p * in, 0, cols.n * a.inner, row);
        else from = widened(x + p * in + row_of * cols.n * a.inner, cols.n * a.inner, row);
        T* to = y + p * out + r * row_out;
        for (int64_t o = 0; o < cols.m; ++o, to += a.inner) {
          const int64_t pixel = only_input<A>(cols, o);
          if (pixel < 0) through_rows(cols, o, from, 0, a.inner, to);
          else sweep<A, 4>(a.inner, [&](int64_t i, int, auto k) { st(to + i, ld(from + pixel * a.inner + i, k), k); });
        }
      }
    });
    return;
  }
  const Columns<A> c = columns_of<A>(cols);
  if (!rows.start || rows.n > rows.m) {
    tasks([&](int64_t p, int64_t r0, int64_t r1) {
      A* row = scratch_of<A>(cols.n, 0);
      for (int64_t r = r0; r < r1; ++r) {
        const A* from = row;
        if (rows.start) through_rows(rows, r, x + p * in, 0, cols.n, row);
        else from = widened(x + p * in + r * cols.n, cols.n, row);
        through_columns(c, from, y + p * out + r * cols.m);
      }
    });
    return;
  }
  tasks([&](int64_t p, int64_t r0, int64_t r1) {
    int64_t lo = rows.n, hi = 0;  // the rows these outputs need
    for (int64_t i = rows.start[r0]; i < rows.start[r1]; ++i) {
      if (rows.index[i] < lo) lo = rows.index[i];
      if (rows.index[i] >= hi) hi = rows.index[i] + 1;
    }
    const int64_t held = lo < hi ? hi - lo : 0;
    A* wide = scratch_of<A>(held * cols.m + cols.n, 0);
    for (int64_t r = 0; r < held; ++r) {
      const A* from = widened(x + p * in + (lo + r) * cols.n, cols.n, wide + held * cols.m);
      through_columns(c, from, wide + r * cols.m);
    }
    for (int64_t r = r0; r < r1; ++r) through_rows(rows, r, wide, lo, cols.m, y + p * out + r * cols.m);
  });
}

void resize(const Resize& a) {
  by_float(a.dtype, [&](auto t) { resize_of<decltype(t)>(a); });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
