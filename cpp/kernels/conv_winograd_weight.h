// SPDX-License-Identifier: MIT
// The weight gradient of conv_winograd.h: at every spot a product over tiles, of the gradient's tiles and the image's.
#pragma once
#include "conv_weight.h"
#include "conv_winograd.h"

namespace lamella {
namespace LAMELLA_ISA {

// One group's. Rows of the products are filters, columns channels.
template <class A> class WinogradWeight {
  static constexpr int L = kLanes<A>, TR = kTileRows<A>, TC = kTileCols<A>, kTile = TR * TC;

 public:
  // dy_window: each position its own source.
  WinogradWeight(const ImageWindow& w, const ImageWindow& dy_window, const ConvShape& d, const A* x, const A* dy, const A* zeros, int64_t group)
      : d_(d), grid_(w, d.images), source_(w, x + group * d.channels * w.stride[1], d.channels, TC, zeros),
        gradient_(dy_window, dy + group * d.rows * dy_window.stride[1], d.rows, 4 * TR, zeros), blocks_(d.rows, TR, 1, kThird<A>, kTwoThirds<A>),
        panels_(ceil_div(d.channels, TC)) {}

  // dw (rows, channels, 9). False where a gradient is not finite.
  bool run(A* dw) const { return panels_ * sums_size() <= kFewSums ? by_parts(dw) : by_panels(dw); }

 private:
  static constexpr int64_t kFewSums = 400000;                  // of a task
  static constexpr int64_t kLeastTiles = 16, kPartTiles = 64;  // of a task, and of what it takes at once
  static constexpr int64_t kRoundTiles = 128, kCopyTiles = 12;  // that all tasks read, and that one transforms
  const ConvShape d_;
  const TileGrid grid_;
  const SpotPixels<A, kSpotSide, PixelsToPoints> source_;
  const SpotPixels<A, kTileSide, ResultsToPoints> gradient_;
  const ChannelBlocks blocks_;  // of filters
  const int64_t panels_;        // of channels

  int64_t sums_size() const { return kSpots * blocks_.count * kTile; }  // of a panel
  int64_t room_size(int64_t rows) const {
    const int64_t most = least(rows, grid_.down), x = source_.room(most), dy = gradient_.room(most);
    return x > dy ? x : dy;
  }

  // Few sums: a task has some rows of tiles and sums of its own, which are added in order. (As soon as they do not fit in L2 beside the
  // tiles they cost more than tiles that all tasks read.)
  bool by_parts(A* dw) const {
    const int64_t rows = grid_.rows(), size = panels_ * sums_size(), some = ceil_div(kPartTiles, grid_.across);
    const int64_t cheap = (8 << 20) / (size * int64_t(sizeof(A))), most_parts = cheap < 8 ? 8 : least(cheap, 32);
    const int64_t parts = least(least(rows, ceil_div(grid_.tiles(), kLeastTiles)), most_parts);
    A* const sums = static_cast<A*>(scratch(size_t(parts * size) * sizeof(A), kPixelSlot));
    parallel(parts, [&](int64_t t) {
      const int64_t begin = rows * t / parts, end = rows * (t + 1) / parts, chunks = ceil_div(end - begin, some);
      const int64_t most = ceil_div(end - begin, chunks), x_size = kSpots * source_.spot(most * grid_.across);
      const int64_t dy_size = kSpots * gradient_.spot(most * grid_.across);
      A* const pixels = static_cast<A*>(scratch(size_t(x_size + dy_size + room_size(most)) * sizeof(A), kPixelSlot + 2));
      A *const gradients = pixels + x_size, *const room = gradients + dy_size;
      const auto at = [&](int64_t i) { return begin + (end - begin) * i / chunks; };
      for (int64_t i = 0; i < chunks; ++i) {
        const int64_t from = at(i), to = at(i + 1), tiles = (to - from) * grid_.across;
        grid_.each(from, to, 0, [&](const TileRows& r) { source_.transform(grid_, r, tiles, pixels, room); });
        grid_.each(from, to, 0, [&](const TileRows& r) { gradient_.transform(grid_, r, tiles, gradients, room); });
        for (int64_t j = 0; j < panels_; ++j) multiply(tiles, pixels, gradients, j, 0, blocks_.count, sums + t * size + j * sums_size(), i > 0);
      }
    });
    int bad = 0;
    parallel(panels_ * blocks_.count, [&](int64_t t) {
      const int64_t j = t / blocks_.count, i = t % blocks_.count, apart = blocks_.count * kTile;
      A row[9 * TC], *const own = sums + j * sums_size() + i * kTile;
      for (int64_t p = 1; p < parts; ++p)
        for (int s = 0; s < kSpots; ++s)
          for (int64_t k = s * apart; k < s * apart + kTile; k += L) vstore(own + k, vload(own + k) + vload(own + p * size + k));
      if (!finish(own, apart, j, i, dw, row)) __atomic_store_n(&bad, 1, __ATOMIC_RELAXED);
    });
    return !bad;
  }

  // Many sums: a task has some of them, and all tiles of a round.
  bool by_panels(A* dw) const {
    const int64_t rows = grid_.rows();
    const int64_t rounds = ceil_div(rows, ceil_div(kRoundTiles, grid_.across)), most = ceil_div(rows, rounds) * grid_.across;
    const int64_t x_size = kSpots * source_.spot(most), dy_size = kSpots * gradient_.spot(most);
    const int64_t per = ceil_div(blocks_.count, least(blocks_.count, ceil_div(8, panels_))), parts = ceil_div(blocks_.count, per);
    const int64_t size = kSpots * per * kTile;
    A* const pixels = static_cast<A*>(scratch(size_t(x_size + dy_size + (rounds > 1 ? panels_ * parts * size : 0)) * sizeof(A), kPixelSlot));
    A *const gradients = pixels + x_size, *const kept = gradients + dy_size;
    int bad = 0;
    for (int64_t k = 0; k < rounds; ++k) {
      const int64_t begin = rows * k / rounds, end = rows * (k + 1) / rounds, tiles = (end - begin) * grid_.across;
      transform(begin, end, pixels, gradients);
      parallel(panels_ * parts, [&](int64_t task) {
        const int64_t j = task / parts, i0 = task % parts * per, i1 = least(i0 + per, blocks_.count);
        A row[9 * TC];
        A* const sums = rounds > 1 ? kept + task * size : static_cast<A*>(scratch(size_t(size) * sizeof(A), kPixelSlot + 2));
        multiply(tiles, pixels, gradients, j, i0, i1, sums, k > 0);
        for (int64_t i = i0; k + 1 == rounds && i < i1; ++i)
          if (!finish(sums + (i - i0) * kTile, (i1 - i0) * kTile, j, i, dw, row)) __atomic_store_n(&bad, 1, __ATOMIC_RELAXED);
      });
    }
    return !bad;
  }
  // Rows of tiles [begin, end) of both operands, a few to a task.
  void transform(int64_t begin, int64_t end, A* pixels, A* gradients) const {
    const int64_t tiles = (end - begin) * grid_.across, n = ceil_div(end - begin, ceil_div(kCopyTiles, grid_.across));
    const auto at = [&](int64_t i) { return begin + (end - begin) * i / n; };
    parallel(2 * n, [&](int64_t i) {
      const int64_t from = at(i / 2), to = at(i / 2 + 1);
      A* const room = static_cast<A*>(scratch(size_t(room_size(to - from)) * sizeof(A), kPixelSlot + 2));
      grid_.each(from, to, (from - begin) * grid_.across, [&](const TileRows& r) {
        if (i % 2) gradient_.transform(grid_, r, tiles, gradients, room);
        else source_.transform(grid_, r, tiles, pixels, room);
      });
    });
  }

  // sums (spot, block, tile of the product) = or +=.
  void multiply(int64_t tiles, const A* pixels, const A* gradients, int64_t j, int64_t i0, int64_t i1, A* sums, bool add) const {
    const Stretch all{0, 0, int32_t(tiles)};
    const int cols = int(least(TC, d_.channels - j * TC));
    for (int s = 0; s < kSpots; ++s)
      for (int64_t i = i0; i < i1; ++i, sums += kTile)
        at_edges<A>(int(blocks_.size(i)), cols, [&](auto rows, auto vecs) {
          const int64_t first = blocks_.first(i), width = gradient_.width;
          const A* const left = gradients + s * gradient_.spot(tiles) + first / width * tiles * width + first % width;
          weight_tile<A, rows.value, vecs.value>(&all, 1, left, width, pixels + s * source_.spot(tiles) + j * tiles * TC, TC, sums, add);
        });
  }
  // The gradient of block i of filters by panel j of channels, from sums `apart` from spot to spot. row: room for a filter's.
  bool finish(const A* sums, int64_t apart, int64_t j, int64_t i, A* dw, A* row) const {
    const int64_t cols = least(TC, d_.channels - j * TC);
    vec<A> bad{};
    for (int64_t r = 0; r < blocks_.size(i); ++r) {
      for (int64_t c = 0; c < cols; c += L)
        map_square<A, kSpotSide, 3, PointsToWeights>([&](int u, int v) { return vload(sums + (u * kSpotSide + v) * apart + r * TC + c); },
                                                     [&](int u, int v, vec<A> y) {
                                                       bad = fma(y, vec<A>{}, bad);
                                                       vstore(row + (u * 3 + v) * TC + c, y);
                                                     });
      transpose_pixels(row, TC, cols, 9, dw + ((blocks_.first(i) + r) * d_.channels + j * TC) * 9, 9);
    }
    return hsum(bad) == 0;
  }
};

// dw (groups * rows, channels, 9). False where this is not the way, or a gradient is not finite: then dw does not count.
template <class A>
static bool winograd_weight(const ImageWindow& w, const A* x, const A* dy, const int64_t* y_stride, const ConvShape& d, A* dw) {
  if constexpr (sizeof(A) == 4) {
    if (!winograd_apt<A>(w, d) || d.rows % kLanes<A> || (y_stride[1] != 1 && y_stride[4] != 1)) return false;
    const int64_t most = d.rows > d.channels ? d.rows : d.channels;
    A* const zeros = static_cast<A*>(scratch(size_t(most) * sizeof(A), kPixelSlot + 1));
    __builtin_memset(zeros, 0, size_t(most) * sizeof(A));
    for (int64_t g = 0; g < d.groups; ++g)
      if (!WinogradWeight<A>(w, grid_window(w, y_stride), d, x, dy, zeros, g).run(dw + g * d.rows * d.channels * 9)) return false;
    return true;
  } else {
    return false;
  }
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
