// SPDX-License-Identifier: MIT
// Copies of pixels: rows of elements at a distance, and channels that lie apart put side by side, or the other way round.
#pragma once
#include "conv_columns.h"

namespace lamella {
namespace LAMELLA_ISA {

// The first n lanes: where a mask costs nothing, all by one.
template <class A> LAMELLA_INLINE void store_last(A* to, vec<A> v, int n) {
  if (kVecBytes < 64 && n == kLanes<A>) vstore(to, v);
  else vstore(to, v, n);
}

// ---- rows -----------------------------------------------------------------------------------------------------------------
// A vector of elements J apart, and no others touched: those of the first j vectors, v, with those of the next one beside them.
template <class A, int J, int j = 1, int... l> LAMELLA_INLINE vec<A> load_every(const A* p, vec<A> v, Lanes<l...> lanes) {
  constexpr int L = kLanes<A>, left = (L - 1) * J + 1 - j * L;
  if constexpr (left <= 0) return v;
  const vec<A> next = left >= L ? vload(p + j * L) : vload(p + j * L, left);
  using I = vec<int_of<A>>;
  v = __builtin_shuffle(v, next, I{(l * J < j * L ? (j == 1 ? l * J : l) : l * J < (j + 1) * L ? L + l * J - j * L : l)...});
  if constexpr (j < J - 1) return load_every<A, J, j + 1>(p, v, lanes);
  else return v;
}
template <int J, class A> static void copy_every(const A* from, int64_t n, A* to) {  // n: a vector at least
  constexpr int L = kLanes<A>;
  for (int64_t i = 0; i < n; i += L) {
    i = least(i, n - L);
    vstore(to + i, load_every<A, J>(from + i * J, vload(from + i * J), AllLanes<A>{}));
  }
}
// n elements `jump` apart; may write whole vectors.
template <class A> LAMELLA_INLINE void copy_row(const A* from, int64_t jump, int64_t n, A* to) {
  constexpr int L = kLanes<A>;
  if (jump == 1) {
    int64_t i = 0;
    for (; i + L <= n; i += L) vstore(to + i, vload(from + i));
    if (i < n) vstore(to + i, vload(from + i, n - i));
  } else if (sizeof(A) == 4 && n >= L && jump >= 2 && jump <= 4) {
    if (jump == 2) copy_every<2>(from, n, to);
    else if (jump == 3) copy_every<3>(from, n, to);
    else copy_every<4>(from, n, to);
  } else {
    for (int64_t i = 0; i < n; i += L)
      vstore(to + i, vload_masked(from + i * jump, lanes_between(0, n - i < L ? n - i : L), jump));
  }
}
template <class A> LAMELLA_INLINE void zero_row(A* to, int64_t n) {  // writes whole vectors
  for (int64_t i = 0; i < n; i += kLanes<A>) vstore(to + i, vec<A>{});
}

// ---- channels apart, to adjacent ones -------------------------------------------------------------------------------------
// pixel(p)[c] = x[c * channel + p] for p < n with pixel(p) not null, c < channels; zero for channels <= c < width. Whole squares in
// registers, others by way of memory.
template <class T, class Pixel>
LAMELLA_INLINE void transpose_to(const T* x, int64_t channel, int64_t n, int64_t channels, int64_t width, const Pixel& pixel) {
  using A = acc_t<T>;
  constexpr int L = kLanes<A>;
  for (int64_t c = 0; c < width; c += L) {
    const int64_t rows = least(L, channels - c), wide = least(L, width - c);
    for (int64_t p = 0; p < n; p += L) {
      const int64_t m = least(L, n - p);
      const T* const from = x + c * channel + p;
      if (rows == L && m == L) {
        vec<A> r[L];
        load_square(from, channel, r);
#pragma GCC unroll 16
        for (int l = 0; l < L; ++l)
          if (A* const to = pixel(p + l)) vstore(to + c, r[l]);
        continue;
      }
      alignas(64) A square[L * L];
      load_edge(square, [=](int l) { return from + l * channel; }, rows, m);
#pragma GCC unroll 1
      for (int l = 0; l < m; ++l)
        if (A* const to = pixel(p + l)) vstore(to + c, vload(square + l * L), wide);
    }
  }
}
// Lanes j L, j L + 1, ... of C interleaved vectors: those of r[0] to r[s - 1] are in v.
template <class A, int C, int j, int s = 1, int... l> LAMELLA_INLINE vec<A> interleave(const vec<A>* r, vec<A> v, Lanes<l...> lanes) {
  constexpr int L = kLanes<A>;
  using I = vec<int_of<A>>;
  v = __builtin_shuffle(v, r[s], I{((j * L + l) % C == s ? L + (j * L + l) / C : s > 1 ? l : (j * L + l) / C)...});
  if constexpr (s + 1 < C) return interleave<A, C, j, s + 1>(r, v, lanes);
  else return v;
}
template <class A, int C, int j = 0> LAMELLA_INLINE void store_interleaved(const vec<A>* r, int64_t n, A* to) {
  constexpr int L = kLanes<A>;
  const int64_t left = n * C - j * L;
  const vec<A> v = interleave<A, C, j>(r, r[0], AllLanes<A>{});
  if (left >= L) vstore(to + j * L, v);
  else if (left > 0) vstore(to + j * L, v, left);
  if constexpr (j + 1 < C) store_interleaved<A, C, j + 1>(r, n, to);
}
template <int C, class A> static void interleave_pixels(const A* x, int64_t channel, int64_t n, A* to) {
  constexpr int L = kLanes<A>;
  for (int64_t p = 0; p < n; p += L, to += L * C) {
    const int64_t m = least(L, n - p);
    vec<A> r[C];
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) {
      __builtin_prefetch(x + c * channel + p + 32 * L);
      r[c] = m == L ? vload(x + c * channel + p) : vload(x + c * channel + p, m);
    }
    store_interleaved<A, C>(r, m, to);
  }
}
// to[p * pitch + c]
template <class T>
static void transpose_pixels(const T* x, int64_t channel, int64_t n, int64_t channels, acc_t<T>* to, int64_t pitch) {
  if constexpr (sizeof(T) == 4) {
    if (channels == 2 && pitch == 2) return interleave_pixels<2>(x, channel, n, to);
    if (channels == 3 && pitch == 3) return interleave_pixels<3>(x, channel, n, to);
    if (channels == 4 && pitch == 4) return interleave_pixels<4>(x, channel, n, to);
  }
  transpose_to(x, channel, n, channels, channels, [=](int64_t p) { return to + p * pitch; });
}
// to[place[p] * width + c], where place[p] >= 0
template <class T>
static void transpose_placed(const T* x, int64_t channel, int64_t n, int64_t channels, acc_t<T>* to, int64_t width, const int32_t* place) {
  transpose_to(x, channel, n, channels, width, [=](int64_t p) { return place[p] < 0 ? nullptr : to + place[p] * width; });
}

// ---- adjacent channels, to planes --------------------------------------------------------------------------------------------
// to[c * apart + p * step] = x[p * jump + c] for p < n, c < channels. As transpose_to.
template <class A>
static void split_pixels(const A* x, int64_t jump, int64_t n, int64_t channels, A* to, int64_t apart, int64_t step = 1) {
  constexpr int L = kLanes<A>;
  for (int64_t c = 0; c < channels; c += L)
    for (int64_t p = 0; p < n; p += L) {
      const int64_t rows = least(L, channels - c), m = least(L, n - p);
      const A* const from = x + p * jump + c;
      A* const row = to + c * apart + p * step;
      if (rows == L && m == L && step == 1) {
        vec<A> r[L];
        load_square(from, jump, r);
#pragma GCC unroll 16
        for (int l = 0; l < L; ++l) vstore(row + l * apart, r[l]);
        continue;
      }
      alignas(64) A square[L * L];
      load_edge(square, [=](int l) { return from + l * jump; }, m, rows);
#pragma GCC unroll 1
      for (int l = 0; l < rows; ++l) vstore_masked(row + l * apart, vload(square + l * L), lanes_between(0, m), step);
    }
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
