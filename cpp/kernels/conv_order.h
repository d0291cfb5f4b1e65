// SPDX-License-Identifier: MIT
// The order in which a product takes the positions of a grid: by the taps that see inside the image from there, so that a tile
// of positions at an edge leaves out the taps that read padding. (3x3 over 7x7 with padding: a fifth of all products.)
#pragma once
#include "conv_columns.h"

namespace lamella {
namespace LAMELLA_ISA {

// Taps [from, end) along each dim.
struct PixelBox {
  int64_t from[3], end[3];
  LAMELLA_INLINE bool has(const int64_t* u) const {
    return u[0] >= from[0] && u[0] < end[0] && u[1] >= from[1] && u[1] < end[1] && u[2] >= from[2] && u[2] < end[2];
  }
  int64_t volume() const { return (end[0] - from[0]) * (end[1] - from[1]) * (end[2] - from[2]); }
  void join(const PixelBox& b) {
    for (int d = 0; d < 3; ++d) from[d] = least(from[d], b.from[d]), end[d] = end[d] > b.end[d] ? end[d] : b.end[d];
  }
};

// The positions from which the same taps see inside the image.
struct PixelKind {
  PixelBox box;
  int64_t positions, taps;
};

// Consecutive positions of one kind within one row of the grid.
struct PixelRun {
  int64_t image, g0, g1, g2;
  int length;
  const PixelBox* box;
};

// The runs of some images' grid, in order.
class PixelOrder {
 public:
  explicit PixelOrder(const ImageWindow& w) {
    int64_t all = 1, seen = 1, boxes = 1;  // taps of all positions, those that see inside, kinds of positions
    for (int d = 0; d < 3; ++d) {
      all *= w.grid[d] * w.taps[d], seen *= cut(w, d);
      boxes *= count_[d];
    }
    if ((all - seen) * 256 < all || boxes > kMostBoxes)  // too little to leave out, or too many kinds
      for (int d = 0; d < 3; ++d) count_[d] = 1, cuts_[d][0] = {0, w.grid[d], 0, w.taps[d]};
  }
  int64_t kinds() const { return count_[0] * count_[1] * count_[2]; }
  int64_t runs(int64_t images) const {
    for (int d = 0; d < 3; ++d) images *= d < 2 ? cuts_[d][count_[d] - 1].end : count_[d];
    return images;
  }
  // kinds() kinds of positions, and their runs, in order.
  void write(int64_t images, PixelKind* kind, PixelRun* to) const {
    for (int64_t i = 0; i < count_[0]; ++i)
      for (int64_t j = 0; j < count_[1]; ++j)
        for (int64_t k = 0; k < count_[2]; ++k, ++kind) {
          const Cut &a = cuts_[0][i], &b = cuts_[1][j], &c = cuts_[2][k];
          *kind = {{{a.tap_from, b.tap_from, c.tap_from}, {a.tap_end, b.tap_end, c.tap_end}},
                   images * (a.end - a.from) * (b.end - b.from) * (c.end - c.from),
                   (a.tap_end - a.tap_from) * (b.tap_end - b.tap_from) * (c.tap_end - c.tap_from)};
          for (int64_t image = 0; image < images; ++image)
            for (int64_t g0 = a.from; g0 < a.end; ++g0)
              for (int64_t g1 = b.from; g1 < b.end; ++g1) *to++ = {image, g0, g1, c.from, int(c.end - c.from), &kind->box};
        }
  }

 private:
  static constexpr int64_t kMostBoxes = 64;
  struct Cut { int64_t from, end, tap_from, tap_end; };  // positions of a dim from which the same taps see inside
  Cut cuts_[3][kMostBoxes];
  int64_t count_[3] = {0, 0, 0};  // may be more than are kept

  // Cuts a dim; returns how many taps see inside, over all its positions.
  int64_t cut(const ImageWindow& w, int d) {
    const int64_t next = w.next[d];  // > 0
    const auto steps = [next](int64_t way) { return next == 1 ? way : ceil_div(way, next); };
    int64_t seen = 0, from = -1, end = -1;
    for (int64_t g = 0; g < w.grid[d]; ++g) {
      const int64_t at = g * w.step[d] + w.first[d], room = w.size[d] - at;  // tap u's source is at + u next
      int64_t low = at >= 0 ? 0 : steps(-at), high = room <= 0 ? 0 : least(steps(room), w.taps[d]);
      if (low > high) low = high = 0;
      seen += high - low;
      if (low != from || high != end) {
        from = low, end = high;
        if (count_[d] < kMostBoxes) cuts_[d][count_[d]] = {g, g, low, high};
        ++count_[d];
      }
      if (count_[d] <= kMostBoxes) cuts_[d][count_[d] - 1].end = g + 1;
    }
    return seen;
  }
};

// Cuts positions into tiles of at most `most`, into at most positions / most + n of them; returns how many. A third and two thirds
// of a tile are cheaper: the last positions of a kind have a tile of their own where that costs less than taps that others see.
LAMELLA_INLINE int64_t cut_tiles(const PixelKind* kinds, int64_t n, int most, int third, int two_thirds, int32_t* to) {
  const auto rows = [&](int64_t count) -> int64_t { return count > two_thirds ? most : count > third ? two_thirds : third; };
  int64_t tiles = 0, left = kinds[0].positions;
  for (int64_t k = 0; k < n;) {
    int64_t count = least(left, most), last = k, rest = left - count;  // the kind a tile ends in, and what that has left
    if (left < most && k + 1 < n) {
      PixelBox box = kinds[k].box;
      int64_t own = 0;  // of the others, by themselves
      while (count < most && last + 1 < n) {
        const PixelKind& other = kinds[++last];
        const int64_t more = least(other.positions, most - count);
        box.join(other.box);
        own += more * other.taps, count += more, rest = other.positions - more;
      }
      if (rows(left) * kinds[k].taps <= rows(count) * box.volume() - own) count = left, last = k, rest = 0;
    }
    to[tiles++] = int32_t(count);
    k = last, left = rest;
    if (left == 0 && ++k < n) left = kinds[k].positions;
  }
  return tiles;
}

// Walks runs, some positions at a time.
struct PixelCursor {
  const PixelRun* run;
  int done = 0;
  // The runs of the next `count` positions, at most as many; returns how many.
  int next(int count, PixelRun* to) {
    int n = 0;
    while (count > 0) {
      const int length = int(least(run->length - done, count));
      to[n] = *run;
      to[n].g2 += done, to[n].length = length;
      ++n, count -= length, done += length;
      if (done == run->length) ++run, done = 0;
    }
    return n;
  }
};

}  // namespace LAMELLA_ISA
}  // namespace lamella
