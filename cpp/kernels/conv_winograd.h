// SPDX-License-Identifier: MIT
// 3x3 convolution with a quarter of the products: Winograd's F(4x4, 3x3) (Lavin and Gray 2016, "Fast algorithms for convolutional
// neural networks"). A tile of 4x4 results, which sees 6x6 pixels, is a product of polynomials: pixels and weights are taken to
// their values at 6x6 points, "spots", at each of which a convolution over channels is one matrix product, and its sums back to
// results. Along a side the points are 0, a, -a, b, -b and infinity, a = sqrt(1/2), b = sqrt(2): rounding errors (rms) are about
// twice those of plain sums, where with the customary 0, 1, -1, 2, -2 they are four to five times, the largest up to nine. A
// value that is not finite would spread over its tile: if any result is not, none counts, and the convolution is done plainly.
#pragma once
#include "conv_copy.h"
#include "conv_pixels.h"

namespace lamella {
namespace LAMELLA_ISA {

// ---- transforms -------------------------------------------------------------------------------------------------------------
constexpr double kHalfRoot = 0.70710678118654752, kRoot = 1.41421356237309505;  // a, b
constexpr int kSpots = 36, kSpotSide = 6, kTileSide = 4;

// Of a side, 6 pixels, and 3 weights, to the points; and 6 sums from there to 4 results.
struct PixelsToPoints {
  template <class A> LAMELLA_INLINE static void on(const vec<A>* x, vec<A>* y) {
    const vec<A> a = splat(A(kHalfRoot)), b = splat(A(kRoot)), half = splat(A(-0.5)), two = splat(A(-2)), both = splat(A(-2.5));
    const vec<A> even1 = fma(two, x[2], x[4]), odd1 = a * fma(two, x[1], x[3]);
    const vec<A> even2 = fma(half, x[2], x[4]), odd2 = b * fma(half, x[1], x[3]);
    y[0] = fma(both, x[2], x[0] + x[4]);
    y[1] = even1 + odd1, y[2] = even1 - odd1, y[3] = even2 + odd2, y[4] = even2 - odd2;
    y[5] = fma(both, x[3], x[1] + x[5]);
  }
};
struct WeightsToPoints {
  template <class A> LAMELLA_INLINE static void on(const vec<A>* w, vec<A>* y) {
    const vec<A> third = splat(A(-2.0 / 3)), sixth = splat(A(1.0 / 6));
    const vec<A> even1 = third * fma(splat(A(0.5)), w[2], w[0]), odd1 = splat(A(-2.0 / 3 * kHalfRoot)) * w[1];
    const vec<A> even2 = sixth * fma(splat(A(2)), w[2], w[0]), odd2 = splat(A(kRoot / 6)) * w[1];
    y[0] = w[0], y[1] = even1 + odd1, y[2] = even1 - odd1, y[3] = even2 + odd2, y[4] = even2 - odd2, y[5] = w[2];
  }
};
struct PointsToResults {
  template <class A> LAMELLA_INLINE static void on(const vec<A>* m, vec<A>* y) {
    const vec<A> sum1 = m[1] + m[2], sum2 = m[3] + m[4], odd1 = splat(A(kHalfRoot)) * (m[1] - m[2]), odd2 = splat(A(kRoot)) * (m[3] - m[4]);
    const vec<A> half = splat(A(0.5)), two = splat(A(2));
    y[0] = m[0] + sum1 + sum2, y[1] = odd1 + odd2, y[2] = fma(half, sum1, two * sum2), y[3] = fma(half, odd1, fma(two, odd2, m[5]));
  }
};

// The transposed maps, for the gradient of the weights: of 4 results' gradients to the points, and from there to 3 weights'.
struct ResultsToPoints {
  template <class A> LAMELLA_INLINE static void on(const vec<A>* y, vec<A>* m) {
    const vec<A> a = splat(A(kHalfRoot)), b = splat(A(kRoot)), half = splat(A(0.5)), two = splat(A(2));
    const vec<A> even1 = fma(half, y[2], y[0]), odd1 = a * fma(half, y[3], y[1]);
    const vec<A> even2 = fma(two, y[2], y[0]), odd2 = b * fma(two, y[3], y[1]);
    m[0] = y[0], m[1] = even1 + odd1, m[2] = even1 - odd1, m[3] = even2 + odd2, m[4] = even2 - odd2, m[5] = y[3];
  }
};
struct PointsToWeights {
  template <class A> LAMELLA_INLINE static void on(const vec<A>* u, vec<A>* w) {
    const vec<A> third = splat(A(-2.0 / 3)), sixth = splat(A(1.0 / 6));
    const vec<A> sum1 = third * (u[1] + u[2]), sum2 = sixth * (u[3] + u[4]);
    w[0] = u[0] + sum1 + sum2;
    w[1] = fma(splat(A(-2.0 / 3 * kHalfRoot)), u[1] - u[2], splat(A(kRoot / 6)) * (u[3] - u[4]));
    w[2] = fma(splat(A(0.5)), sum1, fma(splat(A(2)), sum2, u[5]));
  }
};

// A map of a side from N to M, on both sides of a square: load(i, j), then store(i, j, value).
template <class A, int N, int M, class Map, class Load, class Store>
LAMELLA_INLINE void map_square(const Load& load, const Store& store) {
  vec<A> between[M][N];
#pragma GCC unroll 1
  for (int j = 0; j < N; ++j) {
    vec<A> in[N], out[M];
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) in[i] = load(i, j);
    Map::template on<A>(in, out);
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i) between[i][j] = out[i];
  }
#pragma GCC unroll 1
  for (int i = 0; i < M; ++i) {
    vec<A> out[M];
    Map::template on<A>(between[i], out);
#pragma GCC unroll 8
    for (int j = 0; j < M; ++j) store(i, j, out[j]);
  }
}

// ---- images, cut into tiles -------------------------------------------------------------------------------------------------
// Rows of tiles [from, end) of one image, the first of whose tiles is number `tile` at the spots.
struct TileRows { int64_t image, from, end, tile; };

// How images of a grid are cut: rows of tiles are counted through all images.
struct TileGrid {
  int64_t images, down, across;
  TileGrid(const ImageWindow& w, int64_t n) : images(n), down(ceil_div(w.grid[1], kTileSide)), across(ceil_div(w.grid[2], kTileSide)) {}
  int64_t rows() const { return images * down; }
  int64_t tiles() const { return rows() * across; }
  // Rows of tiles [begin, end), image by image; the first is tile number `tile`.
  template <class F> void each(int64_t begin, int64_t end, int64_t tile, const F& f) const {
    for (int64_t i = begin, n; i < end; i += n, tile += n * across) {
      const int64_t from = i % down;
      n = least(down - from, end - i);
      f(TileRows{i / down, from, from + n, tile});
    }
  }
};

// Images whose tiles, of N x N pixels every 4, are taken to the spots: (spot, block of `width` channels, tile, channel).
template <class A, int N, class Map> struct SpotPixels {
  const ImageWindow w;
  const A *x, *zeros;  // zeros: one for each channel
  const int64_t channels, width;
  const bool in_place;
  SpotPixels(const ImageWindow& window, const A* from, int64_t c, int64_t block, const A* some_zeros)
      : w(window), x(from), zeros(some_zeros), channels(c), width(block), in_place(w.stride[1] == 1) {}
  int64_t spot(int64_t tiles) const { return ceil_div(channels, width) * tiles * width + 16; }  // from one to the next: other sets of L1
  int64_t room(int64_t rows) const { return in_place ? 0 : (rows * kTileSide + N - kTileSide) * w.size[2] * channels; }

  // Some rows of the tiles, of which there are `tiles` at a spot; where channels are apart, from a copy in `room`.
  void transform(const TileGrid& grid, const TileRows& r, int64_t tiles, A* to, A* room) const {
    const int64_t all = spot(tiles);
    constexpr int L = kLanes<A>;
    const A* image = x + r.image * w.stride[0];
    int64_t pixel = w.stride[4], row = w.stride[3];
    if (!in_place) {
      const int64_t top = r.from * kTileSide + w.first[1], low = top > 0 ? top : 0, n = w.size[2];
      const int64_t high = least((r.end - 1) * kTileSide + N + w.first[1], w.size[1]), joined = row == n ? high - low : 1;
      for (int64_t h = low; h < high; h += joined)
        transpose_pixels(image + h * row, w.stride[1], joined * n, channels, room + (h - low) * n * channels, channels);
      pixel = channels, row = n * pixel, image = room - low * row;
    }
    to += r.tile * width;
    for (int64_t i = r.from; i < r.end; ++i)
      for (int64_t j = 0; j < grid.across; ++j, to += width) {
        const int64_t y0 = i * kTileSide + w.first[1], x0 = j * kTileSide + w.first[2];
        const A* source[N * N];
        for (int u = 0; u < N; ++u)
          for (int v = 0; v < N; ++v) {
            const bool inside = uint64_t(y0 + u) < uint64_t(w.size[1]) && uint64_t(x0 + v) < uint64_t(w.size[2]);
            source[u * N + v] = inside ? image + (y0 + u) * row + (x0 + v) * pixel : zeros;
          }
        A* block = to;
        for (int64_t c = 0, in = 0; c < channels; c += L, in += L) {
          if (in == width) in = 0, block += tiles * width;
          map_square<A, N, kSpotSide, Map>([&](int u, int v) { return vload(source[u * N + v] + c); },
                                           [&](int u, int v, vec<A> y) { vstore(block + (u * kSpotSide + v) * all + in, y); });
        }
      }
  }
};

// Whether a convolution goes this way: 3x3 of full vectors of channels, where tiles are filled well and enough to share weights.
// Groups are taken one after another, each by all threads: as measured, only large ones are worth it.
template <class A> static bool winograd_apt(const ImageWindow& w, const ConvShape& d) {
  if (sizeof(A) != 4 || w.taps[0] != 1 || w.grid[0] != 1 || w.size[0] != 1 || w.first[0] != 0) return false;
  if (w.stride[1] != 1 && w.stride[4] != 1) return false;
  int64_t seen = 1;  // taps that see inside the image, of all positions
  for (int i = 1; i < 3; ++i) {
    if (w.taps[i] != 3 || w.step[i] != 1 || w.next[i] != 1) return false;
    int64_t of_side = 0;
    for (int64_t u = w.first[i]; u < w.first[i] + 3; ++u) {
      const int64_t n = least(w.grid[i], w.size[i] - u) - (u < 0 ? -u : 0);
      of_side += n > 0 ? n : 0;
    }
    seen *= of_side;
  }
  const TileGrid grid(w, d.images);
  const bool shared = grid.tiles() >= (d.rows < 256 ? 16 : 8), filled = seen >= 55 * grid.down * grid.across;
  const bool large = d.groups == 1 || grid.tiles() >= 256;
  return d.channels % kLanes<A> == 0 && d.channels >= 16 && d.rows >= 16 && shared && filled && large;
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
