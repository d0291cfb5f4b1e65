// SPDX-License-Identifier: MIT
// Convolution, and its input gradient, of conv_winograd.h: one product a spot.
#pragma once
#include "conv_pixels_tile.h"
#include "conv_winograd.h"

namespace lamella {
namespace LAMELLA_ISA {

// One group's.
template <class A> struct WinogradProduct {
  static constexpr int L = kLanes<A>, TR = kTileRows<A>, TC = kTileCols<A>;
  const ConvShape d;
  const TileGrid grid;
  const SpotPixels<A, kSpotSide, PixelsToPoints> source;
  const PixelsOut<A> out;
  const int64_t first_filter, height, width, panels;
  const bool in_place;

  WinogradProduct(const ImageWindow& w, const ConvShape& shape, const PixelsOut<A>& to, const A* x, const A* zeros, int64_t group)
      : d(shape), grid(w, d.images), source(w, x + group * d.channels * w.stride[1], d.channels, row_of(d.channels), zeros), out(to),
        first_filter(group * d.rows), height(w.grid[1]), width(w.grid[2]), panels(ceil_div(d.rows, TC)), in_place(out.stride[1] == 1) {}

  int64_t weights_size() const { return kSpots * d.channels * TC; }  // of a panel
  int64_t sum_spot(int64_t tiles) const { return tiles * TC + 16; }
  int64_t result_room(int64_t rows) const { return in_place ? 0 : rows * kTileSide * width * TC; }

  // A panel of packed weights, (tap, channel, kTileCols), at their spots.
  void transform_weights(const A* packed, A* to) const {
    const int64_t tap = d.channels * TC;
    for (int64_t i = 0; i < tap; i += L)
      map_square<A, 3, kSpotSide, WeightsToPoints>([&](int u, int v) { return vload(packed + (u * 3 + v) * tap + i); },
                                                   [&](int u, int v, vec<A> y) { vstore(to + (u * kSpotSide + v) * tap + i, y); });
  }

  // Sums of all tiles at a spot for panel h: rows of kTileCols.
  void multiply(int64_t tiles, const A* pixels, const A* spot_weights, int64_t h, A* to) const {
    const A* rows[TR];
    A* results[TR];
    const SegmentRun all{0, 1};
    const int cols = int(ceil_div(least(TC, d.rows - h * TC), L) * L);
    for (int64_t t = 0; t < tiles; t += TR) {
      const int count = int(least(TR, tiles - t));
      for (int i = 0; i < TR; ++i) {
        const int64_t tile = t + (i < count ? i : 0);
        rows[i] = pixels + tile * source.width, results[i] = to + tile * TC;
      }
      at_edges<A>(count, cols, [&](auto rows_of, auto vecs) {
        pixel_tile<A, rows_of.value, vecs.value>(rows, &all, 1, d.channels, spot_weights, results, 0, count, cols, {nullptr, false, false});
      });
    }
  }

  // Results of some rows of tiles, of panel h. room: result_room. Returns 0 if all are finite.
  A finish(const TileRows& r, int64_t spot, const A* sums, int64_t h, A* room) const {
    const int cols = int(least(TC, d.rows - h * TC));
    const int64_t channel = first_filter + h * TC, first_row = r.from * kTileSide;
    const PixelsOut<A> to = out.from(r.image * out.stride[0] + first_row * out.stride[3]);
    const int64_t pixel = in_place ? out.stride[4] : TC, row = in_place ? out.stride[3] : width * TC;
    A* const first = in_place ? to.y + channel : room;
    const bool in_registers = out.in_registers();
    vec<A> bad{};
    sums += r.tile * TC;
    for (int64_t i = r.from; i < r.end; ++i)
      for (int64_t j = 0; j < grid.across; ++j, sums += TC) {
        A* const corner = first + (i - r.from) * kTileSide * row + j * kTileSide * pixel;
        const int64_t rows = height - i * kTileSide, columns = width - j * kTileSide;
        for (int c = 0; c < cols; c += L) {
          const int n = cols - c;
          const vec<A> bias = !in_registers || !out.bias ? vec<A>{} : n >= L ? vload(out.bias + channel + c) : vload(out.bias + channel + c, n);
          map_square<A, kSpotSide, kTileSide, PointsToResults>(
              [&](int u, int v) { return vload(sums + (u * kSpotSide + v) * spot + c); },
              [&](int u, int v, vec<A> y) {
                if (u >= rows || v >= columns) return;
                bad = fma(y, vec<A>{}, bad);
                y += bias;
                if (in_registers && out.act == Act::relu) y = relu(y);
                A* const at = corner + u * row + v * pixel + c;
                if (n >= L) vstore(at, y);
                else vstore(at, y, n);
              });
        }
        if (!in_registers)
          for (int64_t u = 0; u < least(kTileSide, rows); ++u)
            for (int64_t v = 0; v < least(kTileSide, columns); ++v) {
              A* const at = corner + u * row + v * pixel;
              out.end_rows(&at, 0, 1, channel, cols);
            }
      }
    const int64_t grid[3] = {1, least(r.end * kTileSide, height) - first_row, width};
    if (!in_place) to.write_planes(room, 1, grid, channel, cols);
    return hsum(bad);
  }

  // Panel h of the results of rows of tiles [begin, end), from pixels at their spots. total: spots of sums. Returns 0 if finite.
  A panel(int64_t begin, int64_t end, const A* pixels, const A* weights, int64_t h, A* total, A* room) const {
    const int64_t tiles = (end - begin) * grid.across, sums = sum_spot(tiles);
    for (int s = 0; s < kSpots; ++s) multiply(tiles, pixels + s * source.spot(tiles), weights + s * d.channels * TC, h, total + s * sums);
    A bad = 0;
    grid.each(begin, end, 0, [&](const TileRows& r) { bad += finish(r, sums, total, h, room); });
    return bad;
  }

  // False where a result is not finite. pack: as of pixels_product.
  bool run(const PanelPacker<A>& pack, int64_t group) const {
    const auto memory = [](int64_t n) { return static_cast<A*>(scratch(size_t(n) * sizeof(A), kPixelSlot + 2)); };
    const int64_t packed_size = 9 * d.channels * TC, size = weights_size(), rows = grid.rows();
    const auto weights_of = [&](int64_t h, A* packed, A* to) {
      pack(packed, group, h);
      transform_weights(packed, to);
    };
    int bad = 0;
    const auto check = [&](A sum) { if (!(sum == 0)) __atomic_store_n(&bad, 1, __ATOMIC_RELAXED); };
    // The rows of tiles in n parts.
    const int64_t many = ceil_div(rows, ceil_div(kTaskTiles, grid.across)), n = many < 8 ? least(rows, 8) : many, part = ceil_div(rows, n);
    const auto begin = [&](int64_t i) { return rows * i / n; };
    if (panels > n) {  // a task: a panel, whose weights none other needs
      const int64_t tiles = grid.tiles(), spot = source.spot(tiles), sums = kSpots * sum_spot(tiles);
      A* const pixels = static_cast<A*>(scratch(size_t(kSpots * spot) * sizeof(A), kPixelSlot));
      parallel(n, [&](int64_t i) {
        A* const room = memory(source.room(least(part, grid.down)));
        grid.each(begin(i), begin(i + 1), begin(i) * grid.across, [&](const TileRows& r) { source.transform(grid, r, tiles, pixels, room); });
      });
      parallel(panels, [&](int64_t h) {
        A *const packed = memory(packed_size + size + sums + result_room(grid.down)), *const own = packed + packed_size;
        weights_of(h, packed, own);
        check(panel(0, rows, pixels, own, h, own + size, own + size + sums));
      });
      return !bad;
    }
    // A task: some rows of tiles.
    A* const weights = static_cast<A*>(scratch(size_t(panels * size) * sizeof(A), kPixelSlot));
    parallel(panels, [&](int64_t h) { weights_of(h, memory(packed_size), weights + h * size); });
    parallel(n, [&](int64_t i) {
      const int64_t tiles = (begin(i + 1) - begin(i)) * grid.across, spot = source.spot(tiles), side = least(part, grid.down);
      const int64_t room_size = source.room(side) > result_room(side) ? source.room(side) : result_room(side);
      A *const room = memory(room_size + kSpots * (spot + sum_spot(tiles))), *const pixels = room + room_size;
      grid.each(begin(i), begin(i + 1), 0, [&](const TileRows& r) { source.transform(grid, r, tiles, pixels, room); });
      for (int64_t h = 0; h < panels; ++h)
        check(panel(begin(i), begin(i + 1), pixels, weights + h * size, h, pixels + kSpots * spot, room));
    });
    return !bad;
  }

 private:
  static int64_t row_of(int64_t channels) { return channels * int64_t(sizeof(A)) % 1024 ? channels : channels + 16; }  // in other sets of L1
  static constexpr int64_t kTaskTiles = 24;  // whose pixels and sums fit in L2
};

// False where a result is not finite: nothing that was written counts then.
template <class A>
static bool winograd_product(const ImageWindow& w, const ConvShape& d, const PixelsOut<A>& out, const A* x, const A* zeros,
                             const PanelPacker<A>& pack) {
  if constexpr (sizeof(A) == 4)
    for (int64_t g = 0; g < d.groups; ++g)
      if (!WinogradProduct<A>(w, d, out, x, zeros, g).run(pack, g)) return false;
  return sizeof(A) == 4;
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
