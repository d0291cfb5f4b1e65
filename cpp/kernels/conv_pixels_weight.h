// SPDX-License-Identifier: MIT
// The weight gradient of convolution in the terms of conv_pixels.h: at each position, filters' gradients by a run of
// channels, both read where they lie.
#pragma once
#include "conv_pixels_product.h"

namespace lamella {
namespace LAMELLA_ISA {

// sums (R rows, cols <= V vectors) = or += over positions of dy[i][row] x[i][column].
template <class A, int R, int V>
static void outer_tile(const A* const* dy, const A* const* x, int64_t positions, int64_t row, int64_t column, A* sums, int64_t stride,
                       int cols, bool add) {
  constexpr int L = kLanes<A>;
  const int last = cols - (V - 1) * L;
  vec<A> acc[R][V];
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) acc[i][j] = vec<A>{};
  const auto step = [&](int64_t p, bool whole) __attribute__((always_inline)) {
    const A *g = dy[p] + row, *from = x[p] + column;
    vec<A> v[V];
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) v[j] = j < V - 1 || whole ? vload(from + j * L) : vload(from + j * L, last);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      vec<A> a = splat(g[i]);
      pin(a);
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) acc[i][j] = fma(a, v[j], acc[i][j]);
    }
  };
  if (last == L)
    for (int64_t p = 0; p < positions; ++p) step(p, true);
  else
    for (int64_t p = 0; p < positions; ++p) step(p, false);
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
    A* to = sums + i * stride;
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) {
      const int n = j < V - 1 ? L : last;
      if (n == L) vstore(to + j * L, add ? vload(to + j * L) + acc[i][j] : acc[i][j]);
      else vstore(to + j * L, add ? vload(to + j * L, n) + acc[i][j] : acc[i][j], n);
    }
  }
}

// The tile of at most `rows` rows; returns how many.
template <class A, int V, int R = kTileRows<A>, class... Args> static int outer_tile_of(int64_t rows, const Args&... args) {
  if constexpr (R > 1)
    if (rows < R) return outer_tile_of<A, V, R == 12 ? 8 : R == 8 ? 6 : R == 6 ? 4 : R / 2>(rows, args...);
  outer_tile<A, R, V>(args...);
  return R;
}

// dw of every group. A task sums over a part of the chunks, for some of the channels; parts are added in order.
template <class T> static void pixels_weight(const ConvBwdWeight& a, const ImageWindow& w, const ConvShape& d) {
  using A = acc_t<T>;
  constexpr int TR = kTileRows<A>, TC = kTileCols<A>, L = kLanes<A>;
  const int64_t taps = w.tap_count(), columns = taps * d.channels, size = d.rows * columns;
  const int64_t fit = 448 * 1024 / ((d.channels + d.rows) * int64_t(sizeof(A))), room = fit < 256 ? 256 : least(fit, 1024);
  const PixelChunks chunks(w, {d.images, 1, d.channels, d.rows}, 1, room, 0);
  const int64_t cheap = (1 << 21) / size, part = ceil_div(chunks.count(), cheap < 1 ? 1 : least(cheap, 32));
  const int64_t parts = ceil_div(chunks.count(), part), panels = ceil_div(d.channels, TC);
  const int64_t own = ceil_div(panels, ceil_div(16, parts * d.groups)) * TC, cuts = ceil_div(d.channels, own);  // of channels
  A* const sums = static_cast<A*>(scratch(size_t(d.groups * parts * size) * sizeof(A), kPixelSlot));
  A* const zeros = static_cast<A*>(scratch(size_t(own + d.rows) * sizeof(A), kPixelSlot + 1));
  __builtin_memset(zeros, 0, size_t(own + d.rows) * sizeof(A));
  ImageWindow of_dy;
  for (int k = 0; k < 3; ++k) of_dy.size[k] = w.grid[k], of_dy.taps[k] = of_dy.step[k] = of_dy.next[k] = 1;
  for (int k = 0; k < 5; ++k) of_dy.stride[k] = a.g.y_stride[k];

  parallel_if(d.images * w.volume() * size > 1000000, d.groups * parts * cuts, [&](int64_t task) {
    const Division at(task, cuts), which(at.quotient, parts);
    const int64_t group = which.quotient, c0 = at.rest * own, channels = least(own, d.channels - c0);
    const T* const x = static_cast<const T*>(a.x) + (group * d.channels + c0) * w.stride[1];
    const T* const dy = static_cast<const T*>(a.dy) + group * d.rows * of_dy.stride[1];
    A* const to = sums + (group * parts + which.rest) * size + c0;
    const int64_t first = which.rest * part, end = least(first + part, chunks.count());
    for (int64_t i = first; i < end; ++i) {
      PixelRows<A> right{w, nullptr, zeros, nullptr}, left{of_dy, nullptr, zeros, nullptr};
      int64_t image, start[3];
      const int64_t images = chunks.cut(i, d, right.w, start, image);
      for (int k = 0; k < 3; ++k) left.w.first[k] = start[k], left.w.grid[k] = right.w.grid[k];
      const int64_t positions = images * right.w.volume(), tiles = ceil_div(positions, TR), apart = tiles * TR;

      const PixelSource<T> of_right(right.w, channels), of_left(left.w, d.rows);
      const size_t pointers = (size_t(apart * (taps + 1)) * sizeof(void*) + size_t(taps + 1) * sizeof(Segment) + 63) / 64 * 64;
      const int64_t pixels = ceil_div(images * of_right.size, L) * L;
      char* const memory = static_cast<char*>(scratch(pointers + size_t(pixels + images * of_left.size) * sizeof(A), kPixelSlot + 2));
      const A **const rows = reinterpret_cast<const A**>(memory), **const seen = rows + apart;
      Segment* const segments = reinterpret_cast<Segment*>(seen + apart * taps);
      A* const copies = reinterpret_cast<A*>(memory + pointers);
      right.x = of_right.open(right.w, x + image * w.stride[0], images, channels, copies);
      left.x = of_left.open(left.w, dy + image * of_dy.stride[0], images, d.rows, copies + pixels);
      right.segments = segments, left.segments = segments + taps;
      segments_of(right.w, segments), segments_of(left.w, segments + taps);
      for (int64_t t = 0; t < tiles; ++t) {
        const int count = int(least(TR, positions - t * TR));
        left.find(t * TR, count, 0, 1, rows + t * TR, apart);
        right.find(t * TR, count, 0, taps, seen + t * TR, apart);
      }
      for (int64_t s = 0; s < taps; ++s)
        for (int64_t c = 0; c < channels; c += TC) {
          const int cols = int(least(TC, channels - c));
          for (int64_t k = 0; k < d.rows;) {
            A* const tile = to + k * columns + s * d.channels + c;
            const A* const* const from = seen + s * apart;
            if (cols > L) k += outer_tile_of<A, 2>(d.rows - k, rows, from, positions, k, c, tile, columns, cols, i > first);
            else k += outer_tile_of<A, 1>(d.rows - k, rows, from, positions, k, c, tile, columns, cols, i > first);
          }
        }
    }
  });
  T* const dw = static_cast<T*>(a.dw);
  parallel_blocks(d.groups * d.rows, 1 + 16384 / (columns * parts), [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      A* const row = sums + (k / d.rows * parts * d.rows + k % d.rows) * columns;
      for (int64_t p = 1; p < parts; ++p)
        for (int64_t i = 0; i < columns; ++i) row[i] += row[p * size + i];
      for (int64_t c = 0; c < d.channels; ++c)
        for (int64_t t = 0; t < taps; ++t) dw[k * columns + c * taps + t] = down<T>(row[t * d.channels + c]);
    }
  });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
