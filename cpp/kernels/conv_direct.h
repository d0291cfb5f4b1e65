// SPDX-License-Identifier: MIT
// Convolution with few filters, where packing columns for a product would cost more than the product. A task copies a
// band of image rows into padded planes, in which the sources of consecutive positions lie side by side under every tap,
// and multiplies vectors read straight from there. Positions run through the planes' rows end to end: the few between
// one row's last and the next one's first are computed and dropped.
#pragma once
#include "conv_planes.h"

namespace lamella {
namespace LAMELLA_ISA {

// ---- register tile: rows (filters) x vectors (positions) -----------------------------------------------------------------
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kDirectRows = 8, kDirectSums = 24;  // most rows; most sums in registers
constexpr int direct_vecs(int rows) { return rows == 1 ? 8 : rows <= 6 ? 4 : 3; }
#else
constexpr int kDirectRows = 6, kDirectSums = 12;
constexpr int direct_vecs(int rows) { return rows == 1 ? 6 : rows <= 3 ? 3 : 2; }
#endif

// out (R, V vectors) = sum over k of w[k][r] times the vectors at planes + offset[k].
template <class A, int R, int V>
static void direct_tile(const A* planes, const int32_t* offset, const A* w, int64_t depth, A* out) {
  constexpr int L = kLanes<A>;
  vec<A> acc[R][V];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) acc[r][v] = vec<A>{};
  for (int64_t k = 0; k < depth; ++k, w += R) {
    const A* from = planes + offset[k];
    vec<A> x[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) x[v] = vload(from + v * L);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      vec<A> a = splat(w[r]);
      pin(a);
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) acc[r][v] = fma(a, x[v], acc[r][v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) vstore(out + (r * V + v) * L, acc[r][v]);
}

// The tile for `rows` filters beside tiles of V vectors.
template <class A> using DirectTile = void (*)(const A*, const int32_t*, const A*, int64_t, A*);
template <class A, int V, int R = kDirectRows> static DirectTile<A> direct_tile_of(int rows) {
  if constexpr (R > 1)
    if (rows < R || R * V > kDirectSums) return direct_tile_of<A, V, R - 1>(rows);
  if constexpr (R * V <= kDirectSums) return direct_tile<A, R, V>;
  else return nullptr;
}
template <class A> static DirectTile<A> direct_tile_of(int rows, int vecs) {
  constexpr int one = direct_vecs(1), few = direct_vecs(2), many = direct_vecs(kDirectRows);
  return vecs == one ? direct_tile_of<A, one, 1>(rows) : vecs == few ? direct_tile_of<A, few>(rows) : direct_tile_of<A, many>(rows);
}

// Filters in blocks of nearly equal size.
template <class A> struct DirectBlocks {
  static constexpr int kMost = 128 / kDirectRows + 1;
  struct Block { int64_t first; int rows; DirectTile<A> tile; };
  Block block[kMost];
  int count, vecs;
  explicit DirectBlocks(int64_t rows) : count(int(ceil_div(rows, kDirectRows))) {
    vecs = direct_vecs(int(ceil_div(rows, count)));
    for (int b = 0; b < count; ++b) {
      const int64_t first = rows * b / count;
      const int n = int(rows * (b + 1) / count - first);
      block[b] = {first, n, direct_tile_of<A>(n, vecs)};
    }
  }
};

// Beyond a few filters, packed columns are shared by enough of them to be worth their price, unless channels are few.
LAMELLA_INLINE bool direct_apt(const ImageWindow& w, const ConvShape& d) {
  return (w.tap_count() > 1 || d.groups > 1) && d.rows <= (d.channels <= 4 ? 128 : 24);
}

// Of every group: out = weights (rows, depth) . image; weight(group, row, k) reads one, k counting (channel, tap).
template <class T, class W>
static void direct_product(const ImageWindow& w, const T* x, const ConvShape& d, const W& weight, const ImageOut<T>& out) {
  using A = acc_t<T>;
  const DirectBlocks<A> blocks(d.rows);
  const int width = blocks.vecs * kLanes<A>;
  const Planes<A> planes(w, d.channels, d.images, width, 0, 192 << 10);
  const int64_t depth = d.channels * w.tap_count(), size = d.rows * depth;
  A* const packed = static_cast<A*>(scratch(size_t(d.groups * size) * sizeof(A) + size_t(depth) * sizeof(int32_t), kPlanesSlot));
  int32_t* const offset = reinterpret_cast<int32_t*>(packed + d.groups * size);
  planes.offsets(offset);
  for (int64_t g = 0; g < d.groups; ++g)
    for (int i = 0; i < blocks.count; ++i) {
      const auto& b = blocks.block[i];
      for (int64_t k = 0; k < depth; ++k)
        for (int r = 0; r < b.rows; ++r) packed[g * size + b.first * depth + k * b.rows + r] = weight(g, b.first + r, k);
    }

  const int64_t tasks = planes.tasks();
  parallel_blocks(d.groups * tasks, planes.grain(size), [&](int64_t begin, int64_t end) {
    A* const buffer = static_cast<A*>(scratch(size_t(planes.size + kDirectRows * width) * sizeof(A), kPlanesSlot + 1));
    A* const tile = buffer + planes.size;
    for (int64_t t = begin; t < end; ++t) {
      const int64_t g = t / tasks;
      const Band band = planes.band(t % tasks);
      planes.load(x + g * d.channels * w.stride[1], band, buffer);
      PlaneRuns runs(width);
      for (int64_t at = 0; at < planes.positions(band); at += width) {
        runs.next(planes, out, band);
        for (int i = 0; i < blocks.count; ++i) {
          const auto& b = blocks.block[i];
          b.tile(buffer + at, offset, packed + g * size + b.first * depth, depth, tile);
          runs.write(out, g * d.rows + b.first, b.rows, tile);
        }
      }
    }
  });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
