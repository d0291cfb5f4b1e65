// SPDX-License-Identifier: MIT
// The product of conv_weight.h: how it is cut into tasks, and the gradient made of its tiles' sums.
#pragma once
#include "conv_weight.h"

namespace lamella {
namespace LAMELLA_ISA {

// The part of its tiles that a product of so many filters and channels fills.
template <class A> static double tiles_fill(int64_t filters, int64_t channels) {
  const double one = tiles_cost<A>(filters, channels), other = tiles_cost<A>(channels, filters);
  return double(filters * channels) / kLanes<A> / (one < other ? one : other);
}
// Whether the taps of a row are taken as channels: where those alone are few, or do not fill tiles as well.
template <class A> static bool weight_merges(const ImageWindow& w, const ConvShape& d) {
  if (w.next[2] != 1 || w.taps[2] == 1) return false;
  const double apart = tiles_fill<A>(d.rows, d.channels), together = tiles_fill<A>(d.rows, d.channels * w.taps[2]);
  return together >= apart * (d.channels < kLeastPixelChannels ? 1 : 1.15);
}
template <class A> static double weight_fill(const ImageWindow& w, const ConvShape& d) {
  return tiles_fill<A>(d.rows, weight_merges<A>(w, d) ? d.channels * w.taps[2] : d.channels);
}

template <class A> class WeightProduct {
  static constexpr int TR = kTileRows<A>, TC = kTileCols<A>, kTile = TR * TC;
#if defined(__AVX512F__)
  static constexpr int kRowUnit = 1;  // parts of vectors are stored as quickly as whole ones
#else
  static constexpr int kRowUnit = kLanes<A>;
#endif
  static constexpr int64_t kSmallImage = 200;  // positions; of smaller images chunks of several are better than overlapping rows of one

 public:
  // y_stride: image, channel, depth, height, width of dy.
  WeightProduct(const ImageWindow& w, const A* x, const A* dy, const int64_t* y_stride, const ConvShape& d)
      : shape_(d), image_(w), grid_(grid_window(w, y_stride)), x_(x), dy_(dy), merges_(weight_merges<A>(w, d)),
        row_taps_(!merges_ ? RowTaps::apart : w.volume() < kSmallImage ? RowTaps::copied : RowTaps::overlapping),
        taps_(merges_ ? w.taps[0] * w.taps[1] : w.tap_count()), sources_(merges_ ? d.channels * w.taps[2] : d.channels),
        swapped_(tiles_cost<A>(sources_, d.rows) < tiles_cost<A>(d.rows, sources_)),
        rows_(swapped_ ? sources_ : d.rows, TR, kRowUnit, kThird<A>, kTwoThirds<A>), cols_(swapped_ ? d.rows : sources_, TC, kLanes<A>, 0, 0),
        sums_size_(rows_.count * cols_.count * taps_ * kTile), by_parts_(few_sums()),
        chunks_(w, row_taps_ == RowTaps::overlapping ? 1 : d.images, d.images, chunk_positions()),
        source_room_(room_of(image_, row_taps_)), grid_room_(room_of(grid_, RowTaps::apart)) {
    room_ = cell(true) * (swapped_ ? source_room_ : grid_room_) + cell(false) * (swapped_ ? grid_room_ : source_room_) + 2 * TC;
    room_ = ceil_div(room_, 16) * 16;
  }

  void run(A* dw) const {
    if (by_parts_) by_parts(dw);
    else
      for (int64_t g = 0; g < shape_.groups; ++g) by_tiles(g, dw);
  }

 private:
  const ConvShape shape_;
  const ImageWindow image_, grid_;  // windows on x, and on dy
  const A *const x_, *const dy_;
  const bool merges_;               // the taps of a row are channels
  const RowTaps row_taps_;
  const int64_t taps_, sources_;    // the others, and what is taken as channels of x
  const bool swapped_;              // rows of tiles are channels of x, columns filters; else the other way round
  const ChannelBlocks rows_, cols_;
  const int64_t sums_size_;         // of a group
  const bool by_parts_;
  const WeightChunks chunks_;
  const int64_t source_room_, grid_room_;  // pixels of a chunk, at most
  int64_t room_;                           // elements of a chunk's copies

  // Whether sums of several parts of the positions are less to move than copies of both operands.
  bool few_sums() const {
    if (sums_size_ * int64_t(sizeof(A)) > 1 << 20) return false;
    if (shape_.groups >= 8) return true;  // tasks enough
    const int64_t positions = shape_.images * image_.volume(), n = least(parts(), ceil_div(positions, 128));
    if (n == 1 && sums_size_ * positions > 500000) return false;
    return sums_size_ * n < positions * (sources_ + shape_.rows) * 3 / 2;
  }
  int64_t parts() const {  // of a group's positions, at most: 8 MiB of sums and 32 tasks, but no fewer than 8
    const int64_t cheap = (8 << 20) / (shape_.groups * sums_size_ * int64_t(sizeof(A))), fewest = ceil_div(8, shape_.groups);
    return cheap < fewest ? fewest : least(cheap, ceil_div(32, shape_.groups));
  }
  int64_t chunk_positions() const {
    const int64_t part = shape_.images * image_.volume() / 16, most = 800;
    return !by_parts_ || part > most ? most : part < 128 ? 128 : part;
  }

  int64_t room_of(const ImageWindow& w, RowTaps row_taps) const {
    int64_t pixels = chunks_.images;
    for (int d = 0; d < 3; ++d) {
      const int64_t part = chunks_.part[d];
      const PlaneAxis axis(w, d);
      if (d < 2 || row_taps == RowTaps::apart) pixels *= axis.phases * least(part + axis.high - axis.low, w.size[d]);
      else pixels *= row_taps == RowTaps::overlapping ? WeightCells::line_cells(w, part) : part;
    }
    return pixels;
  }

  struct Chunk {
    int64_t image;
    WeightCells source, grid;
  };
  Chunk chunk(int64_t i) const {
    ImageWindow x = image_, y = grid_;
    int64_t image;
    const int64_t n = chunks_.cut(i, shape_.images, x, image);
    chunks_.cut(i, shape_.images, y, image);
    return {image, {x, n, row_taps_}, {y, n, RowTaps::apart}};
  }
  size_t line_bytes() const {  // of WeightCells::copy's memory
    const int64_t pixels = (chunks_.part[2] - 1) * image_.step[2] + image_.taps[2];
    const int64_t line = merges_ ? (pixels * shape_.channels + 3 * TC) * int64_t(sizeof(A)) : 0;
    const PlaneAxis down(image_, 1);
    const int64_t rows = chunks_.part[1] + down.high - down.low, row = pixels + (image_.taps[2] - 1) * (image_.next[2] - 1);
    const int64_t places = rows * least(row, image_.size[2]), positions = chunks_.part[1] * chunks_.part[2];
    return size_t(line + (places > positions ? places : positions) * int64_t(sizeof(int32_t)) + 63) / 64 * 64;
  }
  // Copies of a chunk: blocks of rows one after another, then those of columns; of overlapping taps one copy for all blocks.
  bool overlaps(bool left) const { return left == swapped_ && row_taps_ == RowTaps::overlapping; }
  int64_t pitch(bool left) const { return overlaps(left) ? image_.step[2] * shape_.channels : (left ? rows_ : cols_).width; }
  int64_t cell(bool left) const { return overlaps(left) ? pitch(left) : pitch(left) * (left ? rows_ : cols_).count; }  // elements of all blocks
  int64_t pixels(const Chunk& c, bool left) const { return (left == swapped_ ? c.source : c.grid).pixels(); }
  int64_t block(const Chunk& c, bool left, int64_t i) const {  // where block i begins
    return overlaps(left) ? (left ? rows_ : cols_).first(i) : i * pitch(left) * pixels(c, left);
  }
  const A* right_of(const Chunk& c, const A* left) const { return left + cell(true) * pixels(c, true); }
  // Blocks [b0, b1) of one image.
  void copy(const Chunk& c, int64_t group, bool left, int64_t image, int64_t b0, int64_t b1, A* to, char* memory) const {
    const bool source = left == swapped_;
    const ImageWindow& w = source ? image_ : grid_;
    const int64_t all = source ? shape_.channels : shape_.rows;
    const A* from = (source ? x_ : dy_) + (c.image + image) * w.stride[0] + group * all * w.stride[1];
    (source ? c.source : c.grid).copy(from, image, all, left ? rows_ : cols_, b0, b1, left ? to : const_cast<A*>(right_of(c, to)), memory);
  }

  // Of taps [t0, t1) of a chunk: stretches one after another; of[i] is where those of tap t0 + i begin.
  int64_t most_stretches(int64_t taps) const { return taps * chunks_.part[0] * chunks_.part[1]; }
  void stretches(const Chunk& c, int64_t t0, int64_t t1, Stretch* to, int32_t* of) const {
    const int64_t m = c.grid.images(), h = c.grid.axis(1).cells(), w = c.grid.axis(2).cells();
    const int64_t down = c.source.axis(1).cells(), across = c.source.axis(2).cells(), row = merges_ ? 1 : image_.taps[2];
    int32_t n = 0;
    for (int64_t t = t0; t < t1; ++t) {
      of[t - t0] = n;
      const CellAxis::View v0 = c.source.axis(0).view(t / (image_.taps[1] * row)), v1 = c.source.axis(1).view(t / row % image_.taps[1]),
                           v2 = c.source.axis(2).view(t % row);
      const int32_t length = int32_t((v2.end - v2.begin) * m);
      if (length == 0) continue;
      for (int64_t i = v0.begin; i < v0.end; ++i)
        for (int64_t j = v1.begin; j < v1.end; ++j) {
          const int32_t position = int32_t(((i * h + j) * w + v2.begin) * m);
          const int32_t cell = int32_t((((v0.cell + i - v0.begin) * down + v1.cell + j - v1.begin) * across + v2.cell) * m);
          const Stretch s = swapped_ ? Stretch{cell, position, length} : Stretch{position, cell, length};
          Stretch& last = to[n - (n > of[t - t0])];
          if (n > of[t - t0] && last.left + last.length == s.left && last.right + last.length == s.right) last.length += length;
          else to[n++] = s;
        }
    }
    of[t1 - t0] = n;
  }

  // A part of the result: blocks of rows, of columns, taps.
  struct Part { int64_t i0, i1, j0, j1, t0, t1; };
  // sums: of block (i0, j0), all taps of a block together; `apart` from a row of blocks to the next.
  void multiply(const Chunk& c, const A* left, const Part& p, A* sums, int64_t apart, bool add, char* memory) const {
    Stretch* const table = reinterpret_cast<Stretch*>(memory);
    int32_t* const of = reinterpret_cast<int32_t*>(table + most_stretches(p.t1 - p.t0));
    stretches(c, p.t0, p.t1, table, of);
    const A* const right = right_of(c, left);
    for (int64_t j = p.j0; j < p.j1; ++j)
      for (int64_t i = p.i0; i < p.i1; ++i)
        for (int64_t t = p.t0; t < p.t1; ++t) {
          const int32_t from = of[t - p.t0];
          at_edges<A>(rows_.size(i), cols_.size(j), [&](auto rows, auto vecs) {
            weight_tile<A, rows.value, vecs.value>(table + from, int64_t(of[t - p.t0 + 1] - from), left + block(c, true, i), pitch(true),
                                                   right + block(c, false, j), pitch(false),
                                                   sums + (i - p.i0) * apart + ((j - p.j0) * taps_ + t) * kTile, add);
          });
        }
  }
  size_t table_bytes(int64_t taps) const {
    return (size_t(most_stretches(taps)) * sizeof(Stretch) + size_t(taps + 1) * sizeof(int32_t) + 63) / 64 * 64;
  }

  // dw of block (i, j) from `parts` of the sums, `apart` elements from one to the next, which are added in order.
  void finish(A* own, int64_t parts, int64_t apart, int64_t i, int64_t j, A* dw) const {
    constexpr int L = kLanes<A>;
    for (int64_t p = 1; p < parts; ++p)
      for (int64_t k = 0; k < taps_ * kTile; k += L) vstore(own + k, vload(own + k) + vload(own + p * apart + k));
    const int64_t all = image_.tap_count(), depth = shape_.channels * all, row_taps = image_.taps[2];
    const int64_t rows = rows_.size(i), cols = cols_.size(j);
    if (all == 1 && swapped_) return transpose_pixels<A>(own, TC, cols, rows, dw + cols_.first(j) * depth + rows_.first(i), depth);
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t row = rows_.first(i) + r, col = cols_.first(j);
      const A* const from = own + r * TC;
      if (!merges_) {
        A* const to = swapped_ ? dw + col * depth + row * all : dw + row * depth + col * all;
        if (all == 1) __builtin_memcpy(to, from, size_t(cols) * sizeof(A));
        else transpose_pixels<A>(from, kTile, cols, taps_, to, swapped_ ? depth : all);
        continue;
      }
      for (int64_t t = 0; t < taps_; ++t)
        for (int64_t c = 0; c < cols; ++c) {
          const int64_t source = swapped_ ? row : col + c, filter = swapped_ ? col + c : row;
          dw[filter * depth + source % shape_.channels * all + t * row_taps + source / shape_.channels] = from[t * kTile + c];
        }
    }
  }

  // Positions in parts, each with sums of its own.
  void by_parts(A* dw) const {
    const int64_t count = chunks_.count(), per = ceil_div(count, this->parts()), parts = ceil_div(count, per);
    const int64_t size = parts * sums_size_, blocks = rows_.count * cols_.count;
    const Part whole{0, rows_.count, 0, cols_.count, 0, taps_};
    A* const sums = static_cast<A*>(scratch(size_t(shape_.groups * size) * sizeof(A), kPixelSlot));
    parallel(shape_.groups * parts, [&](int64_t task) {
      const size_t tables = table_bytes(taps_), lines = line_bytes();
      char* const memory = static_cast<char*>(scratch(tables + lines + size_t(room_) * sizeof(A), kPixelSlot + 2));
      A* const room = reinterpret_cast<A*>(memory + tables + lines);
      const int64_t group = task / parts, begin = task % parts * per, end = least(begin + per, count);
      for (int64_t i = begin; i < end; ++i) {
        const Chunk c = chunk(i);
        for (int64_t image = 0; image < c.grid.images(); ++image) {
          copy(c, group, true, image, 0, rows_.count, room, memory);
          copy(c, group, false, image, 0, cols_.count, room, memory);
        }
        multiply(c, room, whole, sums + task * sums_size_, cols_.count * taps_ * kTile, i > begin, memory + lines);
      }
    });
    parallel_if(shape_.groups * size > 50000, shape_.groups * blocks, [&](int64_t t) {
      const int64_t g = t / blocks, b = t % blocks;
      finish(sums + g * size + b * taps_ * kTile, parts, sums_size_, b / cols_.count, b % cols_.count, dw_of(dw, g));
    });
  }

  // Tiles dealt to tasks, all positions for each; of a few chunks at once, whose copies are made before.
  void by_tiles(int64_t group, A* dw) const {
    const int64_t count = chunks_.count(), at_once = least(count, ceil_div((6 << 20) / int64_t(sizeof(A)), room_));
    // A task: a block of columns, some of rows; of the taps too where that alone makes few tasks.
    constexpr int64_t enough = 24;
    const int64_t rows = ceil_div(rows_.count, least(rows_.count, ceil_div(enough, cols_.count))), row_tasks = ceil_div(rows_.count, rows);
    const int64_t tile_tasks = row_tasks * cols_.count, tap_cuts = tile_tasks >= enough / 2 ? 1 : least(taps_, ceil_div(enough, tile_tasks));
    const int64_t taps = ceil_div(taps_, tap_cuts), tap_tasks = ceil_div(taps_, taps);
    const bool own = at_once == count && tap_tasks == 1;  // a task's sums end with it
    const int64_t block = taps_ * kTile, sums_size = own ? 0 : sums_size_, apart = own ? block : cols_.count * block;
    A* const sums = static_cast<A*>(scratch(size_t(sums_size + at_once * room_) * sizeof(A), kPixelSlot));
    A* const rooms = sums + sums_size;
    A* const to = dw_of(dw, group);
    for (int64_t first = 0; first < count; first += at_once) {
      const int64_t n = least(at_once, count - first);
      copy_chunks(group, first, n, rooms);
      parallel(tile_tasks * tap_tasks, [&](int64_t t) {
        const int64_t j = t / (row_tasks * tap_tasks), i = t / tap_tasks % row_tasks * rows, t0 = t % tap_tasks * taps;
        const Part part{i, least(i + rows, rows_.count), j, j + 1, t0, least(t0 + taps, taps_)};
        const size_t tables = table_bytes(taps);
        char* const memory = static_cast<char*>(scratch(tables + (own ? size_t(rows * block) * sizeof(A) : 0), kPixelSlot + 2));
        A* const mine = own ? reinterpret_cast<A*>(memory + tables) : sums + (i * cols_.count + j) * block;
        for (int64_t k = 0; k < n; ++k) multiply(chunk(first + k), rooms + k * room_, part, mine, apart, first + k > 0, memory);
        if (first + n == count && tap_tasks == 1)
          for (int64_t r = part.i0; r < part.i1; ++r) finish(mine + (r - i) * apart, 1, 0, r, j, to);
      });
    }
    if (tap_tasks > 1)
      parallel(rows_.count * cols_.count, [&](int64_t b) { finish(sums + b * block, 1, 0, b / cols_.count, b % cols_.count, to); });
  }
  // Of n chunks, each into a room of its own. A task: some blocks of one image.
  void copy_chunks(int64_t group, int64_t first, int64_t n, A* rooms) const {
    constexpr int64_t some = 4;
    const int64_t row_units = ceil_div(rows_.count, some), units = row_units + ceil_div(cols_.count, some);
    parallel(n * chunks_.images * units, [&](int64_t t) {
      const int64_t unit = t % units, image = t / units % chunks_.images, k = t / (units * chunks_.images);
      const bool left = unit < row_units;
      const int64_t b0 = (left ? unit : unit - row_units) * some, b1 = least(b0 + some, left ? rows_.count : cols_.count);
      const Chunk c = chunk(first + k);
      if (image < c.grid.images())
        copy(c, group, left, image, b0, b1, rooms + k * room_, static_cast<char*>(scratch(line_bytes(), kPixelSlot + 2)));
    });
  }
  A* dw_of(A* dw, int64_t group) const { return dw + group * shape_.rows * shape_.channels * image_.tap_count(); }
};

}  // namespace LAMELLA_ISA
}  // namespace lamella
