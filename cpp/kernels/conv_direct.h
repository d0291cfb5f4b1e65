// SPDX-License-Identifier: MIT
// Convolution with few filters, where packing columns for a product would cost more than the product. A task copies a
// band of image rows into padded planes, in which the sources of consecutive positions lie side by side under every tap,
// and multiplies vectors read straight from there. Where rows of the grid fill vectors, tiles lie within them and are stored from
// registers; else positions run through the planes' rows end to end, and the few between one row's last and the next one's first
// are computed and dropped.
#pragma once
#include "conv_planes.h"

namespace lamella {
namespace LAMELLA_ISA {

// ---- register tile: rows (filters) x vectors (positions) -----------------------------------------------------------------
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kDirectRows = 8, kDirectVecs = 8;  // most rows; most vectors, of one row
constexpr int direct_vecs(int rows) { return rows == 1 ? 8 : 3; }
#else
constexpr int kDirectRows = 6, kDirectVecs = 6;
constexpr int direct_vecs(int rows) { return rows == 1 ? 6 : rows <= 4 ? 3 : 2; }
#endif

// Tiles within rows have 1 to kRowVecs vectors, so as to fill rows of any length: of float32 alone, for they are many.
constexpr int kRowVecs = 3;
template <class A> constexpr bool kByRows = sizeof(A) == 4;

// Where a tile's sums go: row r to y + r * row, of the last vector as many as `last`. bias: per row, or null.
template <class A> struct DirectEnds {
  A* y;
  int64_t row;
  int last;
  const A* bias;
  bool relu;
};

// (R, V vectors) = sum over k of w[k][r] times the vectors at planes + offset[k].
template <class A, int R, int V>
static void direct_tile(const A* planes, const int32_t* offset, const A* w, int64_t depth, DirectEnds<A> ends) {
  constexpr int L = kLanes<A>;
  vec<A> acc[R][V];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const vec<A> first = ends.bias ? splat(ends.bias[r]) : vec<A>{};
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      acc[r][v] = first;
      __builtin_prefetch(ends.y + r * ends.row + v * L, 1);
    }
  }
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
    for (int v = 0; v < V; ++v) {
      const vec<A> sum = ends.relu ? relu(acc[r][v]) : acc[r][v];
      A* const to = ends.y + r * ends.row + v * L;
      if (v < V - 1) vstore(to, sum);
      else store_last(to, sum, ends.last);
    }
}

template <class A> using DirectTile = void (*)(const A*, const int32_t*, const A*, int64_t, DirectEnds<A>);
template <class A, int R, int V> static DirectTile<A> direct_tile_of(int vecs) {
  constexpr int fewest = kByRows<A> ? 1 : direct_vecs(kDirectRows);
  if constexpr (V > fewest)
    if (vecs < V) return direct_tile_of<A, R, (V > kRowVecs ? kRowVecs : V - 1)>(vecs);
  return direct_tile<A, R, V>;
}
template <class A, int R = kDirectRows> static DirectTile<A> direct_tile_of(int rows, int vecs) {
  if constexpr (R > 1)
    if (rows < R) return direct_tile_of<A, R - 1>(rows, vecs);
  return direct_tile_of<A, R, direct_vecs(R)>(vecs);
}

// Filters in blocks of nearly equal size.
template <class A> struct DirectBlocks {
  static constexpr int kMost = 128 / kDirectRows + 1;
  struct Block {
    int64_t first;
    int rows;
    DirectTile<A> tile, within[kRowVecs + 1];  // of `vecs` vectors; within rows, of 1, 2, ... vectors
  };
  Block block[kMost];
  int count, vecs;  // vecs: the most that tiles of all blocks have
  explicit DirectBlocks(int64_t rows) : count(int(ceil_div(rows, kDirectRows))), vecs(direct_vecs(int(ceil_div(rows, count)))) {
    for (int b = 0; b < count; ++b) {
      Block& one = block[b];
      one.first = rows * b / count, one.rows = int(rows * (b + 1) / count - one.first);
      one.tile = direct_tile_of<A>(one.rows, vecs);
      for (int v = 1; kByRows<A> && v <= least(vecs, kRowVecs); ++v) one.within[v] = direct_tile_of<A>(one.rows, v);
    }
  }
};

// Beyond a few filters, packed columns are shared by enough of them to be worth their price, unless channels are few.
LAMELLA_INLINE bool direct_apt(const ImageWindow& w, const ConvShape& d) {
  return (w.tap_count() > 1 || d.groups > 1) && d.rows <= (d.channels <= 4 ? 128 : 24);
}

// Whether tiles lie within rows of the grid, stored from registers; else positions run on, for rows that do not fill vectors.
template <class A> LAMELLA_INLINE bool direct_by_rows(const ImageWindow& w, const ImageOut<A>& out) {
  return kByRows<A> && out.stride[4] == 1 && fills_vectors<A>(w.grid[2]);
}

// The frame of both ways: pack(group, to) writes a group's weights, `size` of them; multiply(group, band, image, offset, weights)
// has a band's planes, loaded, and after them `beside` cells of its own.
template <class A, class Pack, class Multiply>
static void each_band(const Planes<A>& planes, const A* x, int64_t groups, int64_t size, int64_t beside, const Pack& pack,
                      const Multiply& multiply) {
  const size_t depth = size_t(planes.channels * planes.w.tap_count());
  A* const packed = static_cast<A*>(scratch(size_t(groups * size) * sizeof(A) + depth * sizeof(int32_t), kPlanesSlot));
  int32_t* const offset = reinterpret_cast<int32_t*>(packed + groups * size);
  planes.offsets(offset);
  parallel_blocks(groups, 1 + 4000 / size, [&](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) pack(g, packed + g * size);
  });
  const int64_t tasks = planes.tasks();
  parallel_blocks(groups * tasks, planes.grain(size), [&](int64_t begin, int64_t end) {
    A* const image = static_cast<A*>(scratch(size_t(planes.size + beside) * sizeof(A), kPlanesSlot + 1));
    for (int64_t t = begin; t < end; ++t) {
      const int64_t g = t / tasks;
      const Band band = planes.band(t % tasks);
      planes.load(x + g * planes.channels * planes.w.stride[1], band, image);
      multiply(g, band, image, offset, packed + g * size);
    }
  });
}

// Of every group: out = weights (rows, depth) . image; weight(group, row, k) reads one, k counting (channel, tap).
template <class A> struct DirectProduct {
  const ConvShape d;
  const ImageOut<A> out;
  const DirectBlocks<A> blocks;
  const int width;  // cells of the widest tile
  const Planes<A> planes;
  const int64_t depth, size;
  const bool by_rows;

  DirectProduct(const ImageWindow& w, const ConvShape& shape, const ImageOut<A>& to)
      : d(shape), out(to), blocks(d.rows), width(blocks.vecs * kLanes<A>), planes(w, d.channels, d.images, width, 0, 192 << 10),
        depth(d.channels * w.tap_count()), size(d.rows * depth), by_rows(direct_by_rows(w, out)) {}

  template <class W> void run(const A* x, const W& weight) const {
    const auto pack = [&](int64_t g, A* to) {
      for (int i = 0; i < blocks.count; ++i) {
        const auto& b = blocks.block[i];
        for (int64_t k = 0; k < depth; ++k)
          for (int r = 0; r < b.rows; ++r) *to++ = weight(g, b.first + r, k);
      }
    };
    const auto multiply_band = [&](int64_t g, const Band& band, A* image, const int32_t* offset, const A* weights) {
      if (by_rows) multiply_rows(band, image, offset, weights, g * d.rows);
      else multiply(band, image, offset, weights, g * d.rows, image + planes.size);
    };
    each_band(planes, x, d.groups, size, by_rows ? 0 : kDirectRows * width, pack, multiply_band);
  }

 private:
  void multiply_rows(const Band& band, const A* image, const int32_t* offset, const A* weights, int64_t filter) const {
    constexpr int L = kLanes<A>;
    const bool in_registers = out.act == Act::none || out.act == Act::relu;
    const int64_t vecs = ceil_div(band.columns, L), pieces = ceil_div(vecs, least(blocks.vecs, kRowVecs));
    A* const y = out.y + band.image * out.stride[0] + band.slice * out.stride[2] + band.row * out.stride[3] + band.column;
    for (int i = 0; i < blocks.count; ++i) {
      const auto& b = blocks.block[i];
      const A *const w = weights + b.first * depth, *const bias = out.bias ? out.bias + filter + b.first : nullptr;
      for (int64_t row = 0; row < band.rows; ++row)
        for (int64_t p = 0, v = 0; p < pieces; ++p) {
          const int64_t at = v * L, end = vecs * (p + 1) / pieces, n = least(band.columns, end * L) - at;
          A* const to = y + (filter + b.first) * out.stride[1] + row * out.stride[3] + at;
          b.within[end - v](image + row * planes.pitch + at, offset, w, depth,
                            {to, out.stride[1], int(n - (end - v - 1) * L), bias, out.act == Act::relu});
          for (int r = 0; !in_registers && r < b.rows; ++r) out.write(to + r * out.stride[1], to + r * out.stride[1], int(n), A(0));
          v = end;
        }
    }
  }
  void multiply(const Band& band, const A* image, const int32_t* offset, const A* weights, int64_t filter, A* tile) const {
    PlaneRuns runs(width);
    for (int64_t at = 0; at < planes.positions(band); at += width) {
      runs.next(planes, out, band);
      for (int i = 0; i < blocks.count; ++i) {
        const auto& b = blocks.block[i];
        b.tile(image + at, offset, weights + b.first * depth, depth, {tile, width, kLanes<A>, nullptr, false});
        runs.write(out, filter + b.first, b.rows, tile);
      }
    }
  }
};

}  // namespace LAMELLA_ISA
}  // namespace lamella
