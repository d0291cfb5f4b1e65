// SPDX-License-Identifier: MIT
// The direct way (conv_direct.h) with vectors across filters: each pixel of the planes meets a vector of weights. Better where
// the result's channels are adjacent, or where its rows are too short to fill vectors.
#pragma once
#include "conv_direct.h"
#include "conv_pixels.h"

namespace lamella {
namespace LAMELLA_ISA {

// ---- register tile: P pieces of R consecutive positions x V vectors (filters) ------------------------------------------------
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kPieceLengths[] = {14, 10, 8, 4};
#else
constexpr int kPieceLengths[] = {6, 4};
#endif
constexpr int kLeastPiece = 4, kPieceVecs = 2;
constexpr int pieces_of(int vecs) { return vecs == 1 ? 2 : 1; }

// Of those that a row of at least kLeastPiece columns can be cut into, the longest of which fewest positions are computed twice.
LAMELLA_INLINE int piece_length(int64_t columns) {
  int best = 0;
  for (int r : kPieceLengths)
    if (r <= columns && (!best || ceil_div(columns, r) * r < ceil_div(columns, best) * best)) best = r;
  return best;
}

// Where sums go: position i of piece p to to[p] + i * apart, of the last vector as many as `last`. bias: per filter, or null.
template <class A> struct PieceEnds {
  A* to[2];
  int64_t apart;
  int last;
  const A* bias;
  bool relu;
};

template <class A, int R, int V>
static void filters_tile(const A* const* pieces, const int32_t* offset, const A* w, int64_t depth, const PieceEnds<A>& ends) {
  constexpr int L = kLanes<A>, P = pieces_of(V);
  vec<A> acc[P * R][V];
#pragma GCC unroll 2
  for (int v = 0; v < V; ++v) {
    const vec<A> first = !ends.bias ? vec<A>{} : v < V - 1 || ends.last == L ? vload(ends.bias + v * L) : vload(ends.bias + v * L, ends.last);
#pragma GCC unroll 32
    for (int i = 0; i < P * R; ++i) acc[i][v] = first;
  }
#pragma GCC unroll 32
  for (int i = 0; i < P * R; ++i) __builtin_prefetch(ends.to[i / R] + i % R * ends.apart, 1);
#pragma GCC unroll 1
  for (int64_t k = 0; k < depth; ++k, w += V * L) {
    const A *const a = pieces[0] + offset[k], *const b = pieces[P - 1] + offset[k];
    vec<A> row[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) row[v] = vload(w + v * L);
#pragma GCC unroll 32
    for (int i = 0; i < P * R; ++i) {
      vec<A> x = splat(i < R ? a[i] : b[i - R]);
      if (V > 1) pin(x);
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) acc[i][v] = fma(x, row[v], acc[i][v]);
    }
  }
#pragma GCC unroll 32
  for (int i = 0; i < P * R; ++i) {
    A* const to = ends.to[i / R] + i % R * ends.apart;
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      const vec<A> sum = ends.relu ? relu(acc[i][v]) : acc[i][v];
      if (v < V - 1) vstore(to + v * L, sum);
      else store_last(to + v * L, sum, ends.last);
    }
  }
}
template <class A> using FiltersTile = void (*)(const A* const*, const int32_t*, const A*, int64_t, const PieceEnds<A>&);
template <class A, int V, int i = 0> static FiltersTile<A> filters_tile_of(int length) {
  if constexpr (kPieceLengths[i] > kLeastPiece)
    if (length < kPieceLengths[i]) return filters_tile_of<A, V, i + 1>(length);
  return filters_tile<A, kPieceLengths[i], V>;
}

// Of every group: result = weights (rows, depth) . image; weight(group, row, k) reads one, k counting (channel, tap).
template <class A> struct FiltersProduct {
  static constexpr int L = kLanes<A>, TC = kTileCols<A>;
  static_assert(kPieceVecs * L <= TC);
  const ConvShape d;
  const PixelsOut<A> out;
  const bool in_place;  // the result's channels are adjacent; else planes, from a copy
  const int length;     // of a piece
  const Planes<A> planes;
  const int64_t depth, size;
  const FiltersTile<A> tile[2];  // of 1 vector, and of 2

  FiltersProduct(const ImageWindow& w, const ConvShape& shape, const PixelsOut<A>& to)
      : d(shape), out(to), in_place(out.stride[1] == 1), length(piece_length(w.grid[2])),
        planes(w, d.channels, d.images, 2 * length, in_place ? 0 : TC, 192 << 10), depth(d.channels * w.tap_count()),
        size(ceil_div(d.rows, L) * L * depth), tile{filters_tile_of<A, 1>(length), filters_tile_of<A, 2>(length)} {}

  template <class W> void run(const A* x, const W& weight) const {
    const auto pack = [&](int64_t g, A* to) {
      each_block(g, [&](const Block& b) {
        for (int64_t k = 0; k < depth; ++k)
          for (int64_t r = b.first; r < b.first + b.vecs * L; ++r) *to++ = r < d.rows ? weight(g, r, k) : A(0);
      });
    };
    const auto multiply_band = [&](int64_t g, const Band& band, A* image, const int32_t* offset, const A* weights) {
      const int64_t rows = in_place ? 2 : band.rows;
      for (int64_t row = 0; row < band.rows; row += rows)  // adjacent channels: all filters of some rows, to write in order
        each_block(g, [&](const Block& b) {
          multiply(b, band, row, least(rows, band.rows - row), image, weights + b.first * depth, offset);
        });
    };
    each_band(planes, x, d.groups, size, in_place ? 0 : planes.rows * planes.columns * TC, pack, multiply_band);
  }

 private:
  // Filters of a group: the first, and as all groups count it.
  struct Block { int64_t first, channel; int vecs, cols; };
  template <class F> void each_block(int64_t group, const F& f) const {
    for (int64_t r = 0; r < d.rows; r += kPieceVecs * L)
      f(Block{r, group * d.rows + r, d.rows - r > L ? 2 : 1, int(least(kPieceVecs * L, d.rows - r))});
  }

  void multiply(const Block& b, const Band& band, int64_t first_row, int64_t rows, A* image, const A* w, const int32_t* offset) const {
    const PixelsOut<A> to = out.from(band.image * out.stride[0] + band.slice * out.stride[2] + band.row * out.stride[3] +
                                     band.column * out.stride[4]);
    const bool in_registers = out.in_registers();
    const int64_t pixel = in_place ? out.stride[4] : TC, line = in_place ? out.stride[3] : band.columns * TC;
    A* const y = in_place ? to.y + b.channel : image + planes.size;
    const int most = pieces_of(b.vecs);
    PieceEnds<A> ends{{}, pixel, b.cols - (b.vecs - 1) * L,
                      in_registers && out.bias ? out.bias + b.channel : nullptr, in_registers && out.act == Act::relu};
    const A* pieces[2];
    int n = 0;
    const auto finish = [&] {
      if (n == 1) pieces[1] = pieces[0], ends.to[1] = ends.to[0];
      tile[b.vecs - 1](pieces, offset, w, depth, ends);
      n = 0;
    };
    for (int64_t row = first_row; row < first_row + rows; ++row)
      for (int64_t c = 0; c < band.columns; c += length) {
        const int64_t at = least(c, band.columns - length);
        pieces[n] = image + row * planes.pitch + at;
        ends.to[n] = y + row * line + at * pixel;
        if (++n == most) finish();
      }
    if (n > 0) finish();
    for (int64_t row = first_row; !in_registers && row < first_row + rows; ++row)
      for (int64_t c = 0; c < band.columns; ++c) {  // once each: pieces overlap
        A* const sum = y + row * line + c * pixel;
        out.end_rows(&sum, 0, 1, b.channel, b.cols);
      }
    const int64_t grid[3] = {1, band.rows, band.columns};
    if (!in_place) to.write_planes(y, 1, grid, b.channel, b.cols);
  }
};

// Whether images of adjacent channels go this way, of few channels or to one vector of filters: the tiles of
// conv_pixels_product.h would spend more on their segments, and on loads. Under long strides the taps of a row as one segment are
// better (pixels_merge), as measured.
template <class A> LAMELLA_INLINE bool filters_apt_last(const ImageWindow& w, const ConvShape& d) {
  const bool few = d.channels < kLeastPixelChannels || (d.rows <= kLanes<A> && d.channels <= 64);
  return sizeof(A) == 4 && few && d.rows >= kLeastPixelChannels && w.step[2] < 4 && w.grid[2] >= kLeastPiece && w.tap_count() > 1;
}

// Whether this way costs less than vectors across positions: products per useful one, and steps of k that results cost.
LAMELLA_INLINE bool filters_apt(const ImageWindow& w, const ConvShape& d, bool by_rows) {
  constexpr int64_t L = kLanes<float>;
  const int64_t columns = w.grid[2], length = piece_length(columns), vecs = ceil_div(columns, L);
  if (columns < kLeastPiece) return false;
  const double depth = double(d.channels * w.tap_count()), pitch = double(columns + (w.taps[2] - 1) * w.next[2] / w.step[2]);
  const double mine = double(ceil_div(d.rows, L) * L) / double(d.rows) * double(ceil_div(columns, length) * length) / double(columns);
  const double other = by_rows ? double(vecs * L) / double(columns) * (vecs == 1 ? 1.1 : 1.0) : 1.1 * pitch / double(columns);
  return depth * mine + 10 < depth * other + (by_rows ? 2 : 6);
}

// By filters: this way in any case. weight(group, row, k): as of the products.
template <class T, class W>
static void direct_product(const ImageWindow& w, const T* x, const ConvShape& d, const W& weight, const ImageOut<T>& out, bool by_filters) {
  if constexpr (sizeof(T) == 4)
    if (by_filters || filters_apt(w, d, direct_by_rows(w, out)))
      return FiltersProduct<T>(w, d, PixelsOut<T>(out, out.bias)).run(x, weight);
  DirectProduct<T>(w, d, out).run(x, weight);
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
