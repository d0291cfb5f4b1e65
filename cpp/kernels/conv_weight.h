// SPDX-License-Identifier: MIT
// The weight gradient of convolution as a product over positions, a chunk of them at a time. Both operands are copied as rows
// of channels, one for each pixel, in blocks as wide as a side of the register tile: of the result's gradient the positions
// of the grid, of the image the pixels that taps see, dealt out by their remainder mod the window's step. Pixels of a chunk's
// images lie side by side. So the sources of consecutive positions are consecutive under every tap, all taps share one copy,
// and positions from which a tap reads padding are left out. Where the taps of a row are taken as channels, rows of larger images
// are copied as they are, with their padding: what one position's taps see overlaps the next one's.
#pragma once
#include "conv_pixels.h"
#include "conv_planes.h"

namespace lamella {
namespace LAMELLA_ISA {

// ---- the tile: rows (channels of one operand) x vectors (of the other), over positions --------------------------------------
// `length` consecutive pixels of both operands.
struct Stretch { int32_t left, right, length; };

// sums (kTileRows x kTileCols, of which R x V vectors are computed) = or += sum over pixels of left's row by right's.
template <class A, int R, int V>
static void weight_tile(const Stretch* s, int64_t count, const A* left, int64_t left_width, const A* right, int64_t right_width,
                        A* sums, bool add) {
  constexpr int L = kLanes<A>, TC = kTileCols<A>;
  vec<A> acc[R][V];
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) acc[i][j] = vec<A>{};
  for (; count > 0; --count, ++s) {
    const A *a = left + s->left * left_width, *b = right + s->right * right_width;
#pragma GCC unroll 1
    for (int64_t n = s->length; n > 0; --n) {
      vec<A> row[V];
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) row[j] = vload(b + j * L);
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) __builtin_prefetch(b + (12 * kTileVecs + j) * L);  // from L2
#pragma GCC unroll 16
      for (int i = 0; i < R; ++i) {
        vec<A> x = splat(a[i]);
        pin(x);
#pragma GCC unroll 4
        for (int j = 0; j < V; ++j) acc[i][j] = fma(x, row[j], acc[i][j]);
      }
      a += left_width;
      b += right_width;
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) {
      A* to = sums + i * TC + j * L;
      vstore(to, add ? vload(to) + acc[i][j] : acc[i][j]);
    }
}

// What a product of so many rows and columns of tiles costs, in vectors; a lone vector of columns hides the loads of its rows
// less well.
template <class A> static double tiles_cost(int64_t rows, int64_t cols) {
  const int64_t vectors = ceil_div(cols, kLanes<A>);
  return double(ceil_div(rows, kThird<A>) * kThird<A>) * (double(vectors) + (vectors % 2 ? 0.5 : 0));
}

// The channels of one operand in blocks, a side of the tile each; stored `width` apart.
struct ChannelBlocks {
  int64_t channels, count, width;
  // In blocks of `most`; but where no more than `few` would be left for the last, that and the one before share what both
  // have: `two` and the rest.
  ChannelBlocks(int64_t n, int64_t most, int64_t unit, int64_t few, int64_t two)
      : channels(n), count(ceil_div(n, most)), width(ceil_div(least(n, most), unit) * unit), most_(most), even_(n / most * most), two_(most) {
    if (n > most && n > even_ && n - even_ <= few) even_ -= most, two_ = two;
  }
  int64_t first(int64_t i) const { return i * most_ <= even_ ? i * most_ : even_ + two_; }
  int64_t size(int64_t i) const { return (i + 1 < count ? first(i + 1) : channels) - first(i); }

 private:
  int64_t most_, even_, two_;  // even: channels in blocks of `most`
};

// A window on the result's gradient, each of whose positions is its own source. stride: image, channel, depth, height, width.
LAMELLA_INLINE ImageWindow grid_window(const ImageWindow& w, const int64_t* stride) {
  ImageWindow g = w;
  for (int d = 0; d < 3; ++d) g.size[d] = w.grid[d], g.taps[d] = g.step[d] = g.next[d] = 1, g.first[d] = 0;
  for (int d = 0; d < 5; ++d) g.stride[d] = stride[d];
  return g;
}

// ---- chunks -----------------------------------------------------------------------------------------------------------------
// A part of the grid: some whole images, some slices or rows of one, or a piece of a row.
struct WeightChunks {
  int64_t images, part[3], n[4];
  // most_images: of a chunk.
  WeightChunks(const ImageWindow& w, int64_t most_images, int64_t all_images, int64_t positions) : images(1) {
    int64_t room = positions;
    for (int d = 2; d >= 0; --d) {
      part[d] = room < 1 ? 1 : least(room, w.grid[d]);
      n[1 + d] = ceil_div(w.grid[d], part[d]);
      part[d] = ceil_div(w.grid[d], n[1 + d]);
      room = n[1 + d] > 1 ? 1 : room / w.grid[d];
    }
    if (n[1] * n[2] * n[3] == 1 && room > 1) images = least(room, most_images);
    n[0] = ceil_div(all_images, images);
    images = ceil_div(all_images, n[0]);
    n[0] = ceil_div(all_images, images);
  }
  int64_t count() const { return n[0] * n[1] * n[2] * n[3]; }
  // Of chunk i: the first image, and the window cut to its positions; returns how many images.
  int64_t cut(int64_t i, int64_t all_images, ImageWindow& w, int64_t& image) const {
    const int64_t start[3] = {i / (n[2] * n[3]) % n[1] * part[0], i / n[3] % n[2] * part[1], i % n[3] * part[2]};
    for (int d = 0; d < 3; ++d) {
      w.grid[d] = least(part[d], w.grid[d] - start[d]);
      w.first[d] += start[d] * w.step[d];
    }
    image = i / (n[1] * n[2] * n[3]) * images;
    return least(images, all_images - image);
  }
};

// ---- copies of pixels -------------------------------------------------------------------------------------------------------
// One dim of what taps see of an image.
struct CellAxis {
  PlaneAxis to;
  int64_t pitch = 0;  // cells of a phase: the most that are inside
  CellAxis(const ImageWindow& w, int d) : to(w, d) {
    for (int64_t i = 0; i < to.phases; ++i) {
      const PlaneAxis::Inside in = inside(i);
      if (in.end - in.begin > pitch) pitch = in.end - in.begin;
    }
  }
  int64_t cells() const { return to.phases * pitch; }
  PlaneAxis::Inside inside(int64_t phase) const { return to.inside(phase, 0, to.grid + to.high - to.low); }
  // Positions [begin, end) have their source inside under tap u, the first of them in `cell`.
  struct View { int64_t begin, end, cell; };
  View view(int64_t u) const {
    const int64_t phase = u % to.phases, shift = to.shift(u) - to.low;
    const PlaneAxis::Inside in = inside(phase);
    const int64_t begin = in.begin > shift ? in.begin - shift : 0, end = least(to.grid, in.end - shift);
    return {begin, end < begin ? begin : end, phase * pitch + begin + shift - in.begin};
  }
};

// to[place[p] * width + c] = x[c * channel + p * step] for p < n with place[p] >= 0, c < channels. Up to `width` are written.
template <class A>
static void copy_pixels(const A* x, int64_t channel, int64_t step, int64_t n, int64_t channels, A* to, int64_t width, const int32_t* place) {
  constexpr int L = kLanes<A>;
  if (step == 1) return transpose_placed(x, channel, n, channels, to, width, place);
  for (int64_t p = 0; p < n; ++p, x += step)
    for (int64_t c = 0; place[p] >= 0 && c < width; c += L) {
      const vec<A> v = vload_masked(x + c * channel, lanes_between(0, channels - c), channel);
      if (width - c >= L) vstore(to + place[p] * width + c, v);
      else vstore(to + place[p] * width + c, v, width - c);
    }
}
// The same for adjacent channels, all blocks [b0, b1) of them at once: block b is at to + b * apart.
template <class A>
static void copy_adjacent(const A* x, int64_t step, int64_t n, const ChannelBlocks& blocks, int64_t b0, int64_t b1, A* to, int64_t apart,
                          const int32_t* place) {
  constexpr int L = kLanes<A>;
  const int64_t width = blocks.width;
  for (int64_t p = 0; p < n; ++p, x += step) {
    if (place[p] < 0) continue;
    for (int64_t b = b0; b < b1; ++b) {
      const A* from = x + blocks.first(b);
      A* const pixel = to + b * apart + place[p] * width;
      for (int64_t c = 0; c < width; c += L) {
        const int64_t rest = blocks.channels - blocks.first(b) - c, wide = least(L, width - c);
        const vec<A> v = rest >= L ? vload(from + c) : vload(from + c, rest < 0 ? 0 : rest);  // past the block's end: the next one's
        if (wide == L) vstore(pixel + c, v);
        else vstore(pixel + c, v, wide);
      }
    }
  }
}

// How the taps of a row are taken: each for itself, or as channels, (tap, channel) in order, a row's cells being positions; the
// latter as copies, or, of one image, as parts of the row that overlap: cells are `step` pixels then.
enum class RowTaps { apart, copied, overlapping };

// What a window sees of a chunk's images, channels apart.
class WeightCells {
 public:
  WeightCells(const ImageWindow& w, int64_t n, RowTaps taps)
      : window_(w), axis_{{w, 0}, {w, 1}, {seen(w, taps != RowTaps::apart), 2}}, images_(n), row_taps_(taps) {
    if (taps == RowTaps::overlapping) axis_[2].pitch = line_cells(w, w.grid[2]);
    const CellAxis &down = axis_[1], &across = axis_[2];
    joined_ = taps == RowTaps::apart && across.to.phases == 1 && across.to.step == 1 && across.pitch == w.size[2] &&
              down.to.phases == 1 && down.to.step == 1 && w.stride[3] == w.size[2] * w.stride[4];
  }
  const CellAxis& axis(int d) const { return axis_[d]; }
  int64_t images() const { return images_; }
  int64_t pixels() const { return axis_[0].cells() * axis_[1].cells() * axis_[2].cells() * images_; }
  // Of a row of so many positions with overlapping taps.
  static int64_t line_cells(const ImageWindow& w, int64_t positions) { return ceil_div((positions - 1) * w.step[2] + w.taps[2], w.step[2]); }

  // An image (of `all` channels) into blocks [b0, b1) of its channels, each `pixels() * width` elements on from the one before;
  // rows with overlapping taps with the first of them.
  template <class A>
  void copy(const A* x, int64_t image, int64_t all, const ChannelBlocks& blocks, int64_t b0, int64_t b1, A* to, char* memory) const {
    const CellAxis &down = axis_[1], &across = axis_[2];
    const ImageWindow& w = window_;
    int32_t* const place = reinterpret_cast<int32_t*>(memory);
    A* const line = reinterpret_cast<A*>(memory);
    int64_t low = 0, n = 0;
    const bool overlaps = row_taps_ == RowTaps::overlapping;
    if (overlaps && b0 > 0) return;
    if (row_taps_ == RowTaps::copied) zero_row(line, line_size() * all + kTileCols<A>);
    else if (row_taps_ == RowTaps::apart) lay(place, low, n);
    const int64_t width = overlaps ? w.step[2] * all : blocks.width, apart = pixels() * width;
    // Steps of the loops below: remainders mod the window's step, and cells of them.
    for (int64_t p0 = 0; p0 < axis_[0].to.phases; ++p0) {
      const PlaneAxis::Inside d = axis_[0].inside(p0);
      for (int64_t j0 = 0; j0 < d.end - d.begin; ++j0)
        for (int64_t p1 = 0; p1 < down.to.phases; ++p1) {
          const PlaneAxis::Inside h = down.inside(p1);
          for (int64_t j1 = 0; j1 < (joined_ ? h.end > h.begin : h.end - h.begin); ++j1) {
            const A* from = x + (d.from + j0 * w.step[0]) * w.stride[2] + (h.from + j1 * w.step[1]) * w.stride[3];
            const int64_t row = ((p0 * axis_[0].pitch + j0) * down.cells() + p1 * down.pitch + j1) * across.cells();
            A* const cells = to + (row * images_ + image) * width;
            if (overlaps) {
              __builtin_memset(cells, 0, size_t(across.pitch * width) * sizeof(A));
              lay_line(from, all, cells);
              continue;
            }
            if (row_taps_ == RowTaps::copied) {
              lay_line(from, all, line);
              for (int64_t b = b0; b < b1; ++b) merge(line, all, blocks.first(b), cells + b * apart, width);
              continue;
            }
            from += low * w.stride[4];
            if (w.stride[1] == 1) copy_adjacent(from, w.stride[4], n, blocks, b0, b1, cells, apart, place);
            else
              for (int64_t b = b0; b < b1; ++b)
                copy_pixels(from + blocks.first(b) * w.stride[1], w.stride[1], w.stride[4], n, blocks.size(b), cells + b * apart, width, place);
          }
        }
    }
  }

 private:
  ImageWindow window_;
  CellAxis axis_[3];
  int64_t images_;
  RowTaps row_taps_;
  bool joined_;  // rows of a slice follow each other as cells and in the image

  int64_t line_size() const { return (window_.grid[2] - 1) * window_.step[2] + window_.taps[2]; }  // pixels
  static ImageWindow seen(ImageWindow w, bool merges) {
    if (merges) w.size[2] = w.grid[2], w.taps[2] = w.step[2] = w.next[2] = 1, w.first[2] = 0;
    return w;
  }
  // The places of n sources from `low` on.
  void lay(int32_t* place, int64_t& low, int64_t& n) const {
    const CellAxis& x = axis_[2];
    int64_t high = 0;
    low = INT64_MAX;
    for (int64_t p = 0; p < x.to.phases; ++p) {
      const PlaneAxis::Inside in = x.inside(p);
      if (in.end == in.begin) continue;
      const int64_t last = in.from + (in.end - in.begin - 1) * x.to.step;
      low = least(low, in.from), high = last > high ? last : high;
    }
    if (low == INT64_MAX) low = 0, high = -1;
    n = joined_ ? x.pitch * axis_[1].pitch : high + 1 - low;
    if (joined_) {
      for (int64_t i = 0; i < n; ++i) place[i] = int32_t(i * images_);
      return;
    }
    for (int64_t i = 0; i < n; ++i) place[i] = -1;
    for (int64_t p = 0; p < x.to.phases; ++p) {
      const PlaneAxis::Inside in = x.inside(p);
      for (int64_t j = 0; j < in.end - in.begin; ++j)
        place[in.from + j * x.to.step - low] = int32_t((p * x.pitch + j) * images_);
    }
  }
  // A row without its padding, which is zero already, all channels of a pixel side by side.
  template <class A> void lay_line(const A* x, int64_t all, A* line) const {
    const ImageWindow& w = window_;
    const int64_t begin = w.first[2] < 0 ? -w.first[2] : 0, end = least(line_size(), w.size[2] - w.first[2]);
    x += (w.first[2] + begin) * w.stride[4], line += begin * all;
    if (end <= begin) return;
    if (w.stride[4] == all && (w.stride[1] == 1 || all == 1)) copy_row(x, 1, (end - begin) * all, line);
    else if (w.stride[4] == 1) transpose_pixels(x, w.stride[1], end - begin, all, line, all);
    else
      for (int64_t i = 0; i < end - begin; ++i)
        for (int64_t c = 0; c < all; ++c) line[i * all + c] = x[i * w.stride[4] + c * w.stride[1]];
  }
  // One block of a row's cells; reads up to 2 kTileCols elements past the line.
  template <class A> void merge(const A* line, int64_t all, int64_t first, A* cells, int64_t width) const {
    constexpr int L = kLanes<A>;
    for (int64_t g = 0; g < window_.grid[2]; ++g, line += window_.step[2] * all, cells += images_ * width)
      for (int64_t c = 0; c < width; c += L) {
        const vec<A> v = vload(line + first + c);  // past the block's end anything: no result comes of it
        if (width - c >= L) vstore(cells + c, v);
        else vstore(cells + c, v, width - c);
      }
  }
};

}  // namespace LAMELLA_ISA
}  // namespace lamella
