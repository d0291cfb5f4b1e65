// SPDX-License-Identifier: MIT
// The weight gradient of small convolutions, as dot products over padded planes.
#pragma once
#include "conv_direct.h"

namespace lamella {
namespace LAMELLA_ISA {

// dy's zeros, and what is left of its rows' last vectors, meet cells of the planes between rows, which hold the image's next row or
// zeros of its own channel: a NaN or infinity of the image reaches the gradients of its channel, and no others.

// ---- the tile: rows (filters) x Q (channel, tap), over positions -----------------------------------------------------------
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kDotRows = 4, kDotTaps = 6;
#else
constexpr int kDotRows = 3, kDotTaps = 4;
#endif
constexpr int kDotSums = kDotRows * kDotTaps;

// What a dot tile runs over: `bands` copies of planes and their parts of dy, `lines` of n positions each.
template <class A> struct DotOperands {
  const A *dy, *planes;
  int64_t dy_row, dy_line, dy_band, pitch, planes_band, bands, lines, n;
};

// sums[r][q] += dy[r] . (planes + offset[q]).
template <class A, int R> static void dot_tile(DotOperands<A> o, const int32_t* offset, A* sums) {
  constexpr int L = kLanes<A>, Q = kDotTaps;
  vec<A> acc[R][Q];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int q = 0; q < Q; ++q) acc[r][q] = vec<A>{};
  for (; o.bands > 0; --o.bands, o.dy += o.dy_band, o.planes += o.planes_band) {
    const A *dy = o.dy, *x[Q];
#pragma GCC unroll 8
    for (int q = 0; q < Q; ++q) x[q] = o.planes + offset[q];
    for (int64_t line = 0; line < o.lines; ++line, dy += o.dy_line) {
      for (int64_t i = 0; i < o.n; i += L) {
        const int64_t count = least(L, o.n - i);  // parts of vectors with AVX-512 alone
        vec<A> g[R];
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) g[r] = kVecBytes < 64 ? vload(dy + r * o.dy_row + i) : vload(dy + r * o.dy_row + i, count);
#pragma GCC unroll 8
        for (int q = 0; q < Q; ++q) {
          vec<A> v = vload(x[q] + i);
          pin(v);
#pragma GCC unroll 8
          for (int r = 0; r < R; ++r) acc[r][q] = fma(g[r], v, acc[r][q]);
        }
      }
#pragma GCC unroll 8
      for (int q = 0; q < Q; ++q) x[q] += o.pitch;
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int q = 0; q < Q; ++q) sums[r * Q + q] += hsum(acc[r][q]);
}
template <class A, int R = kDotRows>
static void dot_tile_of(int64_t rows, const DotOperands<A>& o, const int32_t* offset, A* sums) {
  if constexpr (R > 1)
    if (rows < R) return dot_tile_of<A, R - 1>(rows, o, offset, sums);
  dot_tile<A, R>(o, offset, sums);
}

// dy (rows of one group) of a band at the planes' pitch, zeros between rows, `stride` cells from row to row of which the
// band fills n. y_stride: image, channel, depth, height, width.
template <class T>
static void load_gradient(const Planes<acc_t<T>>& p, const T* dy, const int64_t* y_stride, const Band& b, int64_t rows,
                          int64_t n, int64_t stride, acc_t<T>* to) {
  using A = acc_t<T>;
  for (int64_t r = 0; r < rows; ++r, to += stride) {
    const T* from = dy + b.image * y_stride[0] + r * y_stride[1] + b.slice * y_stride[2] + b.row * y_stride[3] +
                    b.column * y_stride[4];
    for (int64_t j = 0; j < b.rows; ++j, from += y_stride[3]) {
      A* row = to + j * p.pitch;
      copy_row(from, y_stride[4], b.columns, row);
      zero_row(row + b.columns, p.pitch - b.columns);
    }
    zero_row(to + b.rows * p.pitch, n - b.rows * p.pitch);
  }
}

// Where the sums of a chunk fit in L2 and a channel's planes are few; better than conv_weight.h where that does not fill its tiles.
LAMELLA_INLINE bool direct_apt_weight(const ImageWindow& w, const ConvShape& d) {
  return (w.tap_count() > 1 || d.groups > 1) && d.rows * d.channels * w.tap_count() <= 16384 &&
         (w.step[2] == 1 || d.channels <= 4);
}

// dw (groups * rows, depth). Bands of a group are dealt to a few chunks by shape; their sums are added in order.
template <class T>
static void direct_weight_product(const ImageWindow& w, const T* x, const T* dy, const int64_t* y_stride,
                                  const ConvShape& d, T* dw) {
  using A = acc_t<T>;
  constexpr int L = kLanes<A>, Q = kDotTaps;
  const Planes<A> planes(w, d.channels, d.images, L, d.rows, 448 << 10);
  const int64_t depth = d.channels * w.tap_count(), tiles = ceil_div(depth, Q), row_blocks = ceil_div(d.rows, kDotRows);
  const int64_t tasks = planes.tasks(), per = ceil_div(tasks, ceil_div(16, d.groups)), chunks = ceil_div(tasks, per);
  // dy is read in place where what its rows leave of vectors costs less than a copy at the planes' pitch.
  const int64_t rounded = ceil_div(planes.columns, L) * L;
  const bool parts = kVecBytes == 64 || (rounded == planes.columns && planes.cuts == 1);  // of vectors cost nothing, or there are none
  const bool in_place = y_stride[4] == 1 && parts && depth * rounded * 15 <= (depth * 16 + 60) * planes.columns;
  const bool whole = planes.bands * planes.cuts * w.grid[0] == 1;  // bands are images
  const int64_t n = ceil_div(planes.rows * planes.pitch, L) * L, dy_size = in_place ? 0 : n + L;
  // Bands under one tile, so that its sums stay in registers for long.
  const int64_t together = in_place && !whole ? 1 : least(per, ceil_div(1024, n));
  const int64_t sums_size = row_blocks * tiles * kDotSums;
  const size_t all_sums = size_t(d.groups * chunks * sums_size);
  A* const sums = static_cast<A*>(scratch(all_sums * sizeof(A) + size_t(tiles * Q) * sizeof(int32_t), kPlanesSlot));
  int32_t* const offset = reinterpret_cast<int32_t*>(sums + all_sums);
  planes.offsets(offset);
  for (int64_t q = depth; q < tiles * Q; ++q) offset[q] = 0;

  parallel(d.groups * chunks, [&](int64_t task) {
    const int64_t g = task / chunks, c = task % chunks;
    A* const own = sums + task * sums_size;
    __builtin_memset(own, 0, size_t(sums_size) * sizeof(A));
    const size_t cells = size_t(together * (planes.size + d.rows * dy_size) + L);
    A* const buffer = static_cast<A*>(scratch(cells * sizeof(A), kPlanesSlot + 1));
    A* const gradient = buffer + together * planes.size;
    const int64_t end = least((c + 1) * per, tasks);
    for (int64_t t = c * per; t < end; t += together) {
      const int64_t bands = least(together, end - t);
      for (int64_t i = 0; i < bands; ++i) {
        const Band band = planes.band(t + i);
        planes.load(x + g * d.channels * w.stride[1], band, buffer + i * planes.size);
        if (!in_place)
          load_gradient(planes, dy + g * d.rows * y_stride[1], y_stride, band, d.rows, n, dy_size, gradient + i * d.rows * dy_size);
      }
      DotOperands<A> o{gradient, buffer, dy_size, 0, d.rows * dy_size, 0, planes.size, bands, 1, n};
      if (in_place) {
        const Band first = planes.band(t);
        o.dy = dy + first.image * y_stride[0] + g * d.rows * y_stride[1] + first.slice * y_stride[2] + first.row * y_stride[3] + first.column;
        o.dy_row = y_stride[1], o.dy_line = y_stride[3], o.dy_band = y_stride[0];
        o.pitch = planes.pitch, o.lines = first.rows, o.n = first.columns;
      }
      for (int64_t b = 0; b < row_blocks; ++b, o.dy += kDotRows * o.dy_row)
        for (int64_t q = 0; q < tiles; ++q)
          dot_tile_of(d.rows - b * kDotRows, o, offset + q * Q, own + (b * tiles + q) * kDotSums);
    }
  });
  parallel_blocks(d.groups * d.rows, 1 + 2000 / (depth * chunks), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t g = i / d.rows, r = i % d.rows;
      for (int64_t k = 0; k < depth; ++k) {
        const A* from = sums + g * chunks * sums_size + (r / kDotRows * tiles + k / Q) * kDotSums + r % kDotRows * Q + k % Q;
        A total = from[0];
        for (int64_t c = 1; c < chunks; ++c) total += from[c * sums_size];
        dw[i * depth + k] = down<T>(total);
      }
    }
  });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
