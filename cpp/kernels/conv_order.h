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
  void join(const PixelBox& b) {
    for (int d = 0; d < 3; ++d) from[d] = least(from[d], b.from[d]), end[d] = end[d] > b.end[d] ? end[d] : b.end[d];
  }
};

// Consecutive positions within one row of the grid, from which no tap outside of `box` sees inside the image.
struct PixelRun {
  int64_t image, g0, g1, g2;
  int length;
  const PixelBox* box;
};

// Cuts a dim of the grid where the taps that see inside change: part(i, first position, taps from, end) for each of them.
struct PixelCuts {
  int64_t count = 0, seen = 0;  // of parts; of taps that see inside, over all positions
  template <class Part> PixelCuts(const ImageWindow& w, int d, const Part& part) {
    int64_t from = -1, end = -1;
    for (int64_t g = 0; g < w.grid[d]; ++g) {
      const int64_t at = g * w.step[d] + w.first[d], next = w.next[d];  // tap u's source is at + u next, next > 0
      int64_t low = at >= 0 ? 0 : ceil_div(-at, next), high = at >= w.size[d] ? 0 : least(ceil_div(w.size[d] - at, next), w.taps[d]);
      if (low > high) low = high = 0;
      seen += high - low;
      if (low == from && high == end) continue;
      from = low, end = high;
      part(count++, g, from, end);
    }
  }
};

// The runs of some images' grid in order.
class PixelOrder {
 public:
  explicit PixelOrder(const ImageWindow& w) : w_(w) {
    int64_t all = 1, seen = 1;
    for (int d = 0; d < 3; ++d) {
      const PixelCuts cuts(w, d, [](int64_t, int64_t, int64_t, int64_t) {});
      parts_[d] = cuts.count, all *= w.grid[d] * w.taps[d], seen *= cuts.seen;
    }
    cut_ = (all - seen) * 64 >= all && boxes() <= kMostBoxes;  // worth it
    if (!cut_)
      for (int64_t& n : parts_) n = 1;
  }
  size_t bytes(int64_t images) const {
    return size_t(boxes()) * sizeof(PixelBox) + size_t(images * w_.grid[0] * w_.grid[1] * parts_[2]) * sizeof(PixelRun);
  }
  // Into memory of that many bytes.
  const PixelRun* write(int64_t images, char* memory) const {
    PixelBox* box = reinterpret_cast<PixelBox*>(memory);
    PixelRun *const runs = reinterpret_cast<PixelRun*>(box + boxes()), *to = runs;
    int64_t start[3][kMostBoxes + 1];
    Range taps[3][kMostBoxes];
    for (int d = 0; d < 3; ++d) {
      start[d][0] = 0, taps[d][0] = {0, w_.taps[d]};
      if (cut_) PixelCuts(w_, d, [&](int64_t i, int64_t g, int64_t from, int64_t end) { start[d][i] = g, taps[d][i] = {from, end}; });
      start[d][parts_[d]] = w_.grid[d];
    }
    for (int64_t a = 0; a < parts_[0]; ++a)
      for (int64_t b = 0; b < parts_[1]; ++b)
        for (int64_t c = 0; c < parts_[2]; ++c, ++box) {
          *box = {{taps[0][a].from, taps[1][b].from, taps[2][c].from}, {taps[0][a].end, taps[1][b].end, taps[2][c].end}};
          for (int64_t image = 0; image < images; ++image)
            for (int64_t g0 = start[0][a]; g0 < start[0][a + 1]; ++g0)
              for (int64_t g1 = start[1][b]; g1 < start[1][b + 1]; ++g1)
                *to++ = {image, g0, g1, start[2][c], int(start[2][c + 1] - start[2][c]), box};
        }
    return runs;
  }

 private:
  static constexpr int64_t kMostBoxes = 64;
  struct Range { int64_t from, end; };
  const ImageWindow& w_;
  int64_t parts_[3];
  bool cut_;
  int64_t boxes() const { return parts_[0] * parts_[1] * parts_[2]; }
};

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
