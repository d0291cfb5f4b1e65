// SPDX-License-Identifier: MIT
// Convolution as products whose rows are positions, with k over (tap, channel): where channels are adjacent, what one tap
// sees of a row is a run of channels, read where it lies. Filters are the packed operand: their vectors run across the
// result's channels. Channels-last images are read and written in place; of others a task transposes the part it reads,
// and its results.
#pragma once
#include "conv_copy.h"
#include "conv_order.h"
#include "activation.h"

namespace lamella {
namespace LAMELLA_ISA {

constexpr int kPixelSlot = 10;  // scratch slots 10 (packed weights, copies, sums of weight gradients), 11 (zeros, tables), 12 (a task's)
constexpr int64_t kLeastPixelChannels = 8;  // fewer do not fill vectors

// Whether (image, channel, depth, height, width) strides are those of dense images with adjacent channels.
LAMELLA_INLINE bool pixels_dense(const int64_t* stride, int64_t channels, const int64_t* size) {
  return channels > 1 && stride[1] == 1 && stride[4] == channels && stride[3] == size[2] * stride[4] &&
         stride[2] == size[1] * stride[3] && stride[0] == size[0] * stride[2];
}
LAMELLA_INLINE bool pixels_dense(const ConvGeometry& g) {
  return pixels_dense(g.x_stride, g.c, g.in) && pixels_dense(g.y_stride, g.k, g.out);
}

// Whether images (n, groups * channels) under window w and results (n, groups * rows) go this way. Transposing results costs
// about as much as 18 steps of k, packing columns instead (conv_columns.h) as much as 16 filters.
LAMELLA_INLINE bool pixels_apt(const ImageWindow& w, const ConvShape& d, bool channels_last) {
  if (d.channels < kLeastPixelChannels || d.rows < kLeastPixelChannels) return false;
  return channels_last || (w.tap_count() > 1 && d.channels * w.tap_count() > d.rows);
}

// Whether the taps of a row make one segment: side by side, of few channels. Of planes better than conv_direct.h, as measured,
// where filters fill vectors and strides are long, as of frames of sound, or long enough for rows of the grid that do not fill them;
// more filters share packed columns (conv_columns.h), but of patches side by side.
template <class A> LAMELLA_INLINE bool pixels_merge(const ImageWindow& w, const ConvShape& d, bool channels_last) {
  if (d.channels >= kLeastPixelChannels || w.next[2] != 1 || d.channels * w.taps[2] < kLeastPixelChannels) return false;
  if (channels_last || (w.step[2] >= w.taps[2] && w.taps[2] >= 8)) return d.rows >= kLeastPixelChannels;
  return d.rows <= 128 && ceil_div(d.rows, 16) * 12 <= d.rows && w.step[2] >= (fills_vectors<A>(w.grid[2]) ? 32 : 4);
}

// ---- the left operand: positions of a window's grid ------------------------------------------------------------------------
// A row's k is cut into segments, one for each tap, of as many elements as there are channels.
struct Segment { int64_t shift; int64_t reach[3], u[3]; };  // what a tap adds to the source: elements, and along each dim; the tap
static void segments_of(const ImageWindow& w, Segment* to) {
  Tap tap = Tap::of(w, 0);
  do {
    to->shift = 0;
    for (int d = 0; d < 3; ++d) {
      to->u[d] = tap.u[d];
      to->reach[d] = tap.u[d] * w.next[d];
      to->shift += to->reach[d] * w.stride[2 + d];
    }
    ++to;
  } while (tap.next(w));
}

// Segments of a block side by side that a tile reads as one.
struct SegmentRun { int32_t first, count; };

template <class A> struct PixelRows {
  ImageWindow w;
  const A *x, *zeros;  // zeros: as many as a segment has elements
  const Segment* segments;

  // Of a tile's rows, the `used` segments from s0 on, without those outside of the box: where they lie, in order of seen, at
  // to[i * kTileRows + row]. joins: adjacent taps of a row are adjacent in memory, one segment where all rows see them. Returns how many.
  int find(const PixelRun* runs, int n, const PixelBox& box, bool joins, int64_t s0, int64_t used, const A** to, SegmentRun* seen) const {
    constexpr int R = kTileRows<A>;
    bool inside = true;  // are all sources
    for (int r = 0; inside && r < n; ++r) {
      const int64_t g[3] = {runs[r].g0, runs[r].g1, runs[r].g2};
      for (int d = 0; d < 3; ++d) {
        const int64_t at = g[d] * w.step[d] + w.first[d], length = d == 2 ? runs[r].length : 1;
        inside &= at + box.from[d] * w.next[d] >= 0 && at + (length - 1) * w.step[d] + (box.end[d] - 1) * w.next[d] < w.size[d];
      }
    }
    int some = 0;
    const Segment* const first = segments + s0;
    for (int64_t s = 0; s < used; ++s) {
      if (!box.has(first[s].u)) continue;
      if (joins && inside && some > 0 && first[s].u[2] > 0 && seen[some - 1].first + seen[some - 1].count == s) ++seen[some - 1].count;
      else seen[some++] = {int32_t(s), 1};
    }
    int i = 0;
    const A* sources[R];  // of rows under a tap that adds nothing
    for (int r = 0; r < n; ++r) {
      const int64_t at0 = runs[r].g0 * w.step[0] + w.first[0], at1 = runs[r].g1 * w.step[1] + w.first[1];
      int64_t at2 = runs[r].g2 * w.step[2] + w.first[2];
      const A* from = x + runs[r].image * w.stride[0] + at0 * w.stride[2] + at1 * w.stride[3] + at2 * w.stride[4];
      for (int l = 0; l < runs[r].length; ++l, ++i, at2 += w.step[2], from += w.step[2] * w.stride[4]) {
        sources[i] = from;
        for (int s = 0; !inside && s < some; ++s) {
          const Segment& segment = first[seen[s].first];
          const int64_t* reach = segment.reach;
          to[s * R + i] = uint64_t(at0 + reach[0]) < uint64_t(w.size[0]) && uint64_t(at1 + reach[1]) < uint64_t(w.size[1]) &&
                          uint64_t(at2 + reach[2]) < uint64_t(w.size[2]) ? from + segment.shift : zeros;
        }
      }
    }
    for (int rest = i; rest < R; ++rest) {
      sources[rest] = sources[0];
      for (int s = 0; !inside && s < some; ++s) to[s * R + rest] = to[s * R];
    }
    for (int s = 0; inside && s < some; ++s, to += R)
      for (int r = 0; r < R; ++r) to[r] = sources[r] + first[seen[s].first].shift;
    return some;
  }
};

// The part of some images that a window sees, as rows of A's channels: where it lies, or a copy.
template <class T> struct PixelSource {
  using A = acc_t<T>;
  bool in_place;                    // else: planes, or pixels that far apart that they share the sets of L1
  int64_t low[3], count[3], pitch;  // of the copy: the part of each dim; from pixel to pixel
  int64_t size;                     // of one image's copy
  bool merges;                      // a row's taps are one segment: the copy has rows' padding, and nothing between pixels
  PixelSource(const ImageWindow& w, int64_t channels, bool merged)
      : in_place(!merged && w.stride[1] == 1 && w.step[2] * w.stride[4] * int64_t(sizeof(A)) % 2048 != 0),
        pitch(channels), merges(merged) {
    if (!merges && pitch * w.step[2] * int64_t(sizeof(A)) % 2048 == 0) pitch += kLanes<A>;
    for (int d = 0; d < 3; ++d) {
      const int64_t from = w.first[d], to = from + (w.grid[d] - 1) * w.step[d] + (w.taps[d] - 1) * w.next[d] + 1;
      const bool padded = merges && d == 2;
      low[d] = from < 0 && !padded ? 0 : from;
      count[d] = (padded ? to : least(to, w.size[d])) - low[d];
      if (count[d] < 0) count[d] = 0;
    }
    size = in_place ? 0 : count[0] * count[1] * count[2] * pitch;
  }
  // Images from x on; w then addresses what is returned.
  const A* open(ImageWindow& w, const T* x, int64_t images, int64_t channels, A* room) const {
    if (in_place) return x;
    copy(w, x, images, channels, room);
    return address(w, room);
  }
  void copy(const ImageWindow& w, const T* x, int64_t images, int64_t channels, A* room) const {
    const bool whole = low[2] == 0 && count[2] == w.size[2];  // rows are
    const bool joined = whole && w.stride[1] != 1 && w.stride[3] == w.size[2] && w.stride[4] == 1;
    const int64_t rows = joined ? 1 : count[1], columns = joined ? count[1] * count[2] : count[2];
    const int64_t begin = merges && low[2] < 0 ? least(-low[2], columns) : 0;  // of a row: what lies inside the image
    const int64_t inside = merges && !whole ? least(columns, w.size[2] - low[2]) : columns, end = inside < begin ? begin : inside;
    for (int64_t i = 0; i < images; ++i)
      for (int64_t d = 0; d < count[0]; ++d)
        for (int64_t h = 0; h < rows; ++h, room += columns * pitch) {
          const T* from = x + i * w.stride[0] + (low[0] + d) * w.stride[2] + (low[1] + h) * w.stride[3] + low[2] * w.stride[4];
          if (merges) {
            __builtin_memset(room, 0, size_t(begin * pitch) * sizeof(A));
            __builtin_memset(room + end * pitch, 0, size_t((columns - end) * pitch) * sizeof(A));
          }
          if (channels == 1) copy_run(from + begin * w.stride[4], w.stride[4], end - begin, room + begin);
          else if (w.stride[1] == 1 && w.stride[4] == channels && pitch == channels)
            copy_run(from + begin * pitch, 1, (end - begin) * pitch, room + begin * pitch);
          else if (w.stride[4] == 1) transpose_pixels(from + begin, w.stride[1], end - begin, channels, room + begin * pitch, pitch);
          else
            for (int64_t p = begin; p < end; ++p) copy_run(from + p * w.stride[4], w.stride[1], channels, room + p * pitch);
        }
  }
  // The window on the copy: where taps merge, a row's are one, always inside.
  void shape(ImageWindow& w) const {
    if (merges) w.size[2] = count[2], w.first[2] = 0, w.taps[2] = w.next[2] = 1;
  }
  const A* address(ImageWindow& w, const A* room) const {
    w.stride[4] = pitch, w.stride[3] = count[2] * pitch, w.stride[2] = count[1] * w.stride[3], w.stride[1] = 1;
    w.stride[0] = size;
    return room - low[0] * w.stride[2] - low[1] * w.stride[3] - (merges ? 0 : low[2] * pitch);
  }

 private:
  static void copy_run(const T* from, int64_t jump, int64_t n, A* to) {
    constexpr int L = kLanes<A>;
    for (int64_t i = 0; i < n; i += L) {
      const int64_t m = least(L, n - i);
      if (jump != 1) vstore(to + i, vload_masked(from + i * jump, lanes_between(0, m), jump), m);
      else if (m == L) vstore(to + i, vload(from + i));
      else vstore(to + i, vload(from + i, m), m);
    }
  }
};

// ---- the result ------------------------------------------------------------------------------------------------------------
template <class T> struct PixelsOut {
  using A = acc_t<T>;
  T* y;
  int64_t stride[5];  // image, channel, and per grid step along each dim
  const T* bias;      // per channel, or null
  Act act;
  PixelsOut() = default;
  PixelsOut(const ImageOut<T>& o, const T* per_channel)
      : y(o.y), stride{o.stride[0], o.stride[1], o.stride[2], o.stride[3], o.stride[4]}, bias(per_channel), act(o.act) {}

  // The same, `offset` elements on.
  PixelsOut from(int64_t offset) const {
    PixelsOut o = *this;
    o.y += offset;
    return o;
  }
  T* at(const PixelRun& r) const { return y + r.image * stride[0] + r.g0 * stride[2] + r.g1 * stride[3] + r.g2 * stride[4]; }

  bool in_registers() const { return act == Act::none || act == Act::relu; }  // tiles can do what follows the sums
  // Sums of some channels from `channel` on to results, in place: row i at to[i] + offset.
  void end_rows(A* const* to, int64_t offset, int rows, int64_t channel, int cols) const {
    for (int r = 0; r < rows; ++r) end_row(to[r] + offset, channel, cols);
  }
  // Results (images, grid, kTileCols) of channels from `channel` on, to planes.
  void write_planes(const A* results, int64_t images, const int64_t* grid, int64_t channel, int cols) const {
    constexpr int64_t TC = kTileCols<A>;
    const bool joined = stride[3] == grid[2] * stride[4];  // rows of a slice
    const int64_t rows = joined ? 1 : grid[1], n = joined ? grid[1] * grid[2] : grid[2];
    for (int64_t i = 0; i < images; ++i)
      for (int64_t d = 0; d < grid[0]; ++d)
        for (int64_t h = 0; h < rows; ++h, results += n * TC)
          split_pixels(results, TC, n, cols, y + i * stride[0] + channel * stride[1] + d * stride[2] + h * stride[3], stride[1], stride[4]);
  }

 private:
  void end_row(A* row, int64_t channel, int cols) const {
    constexpr int L = kLanes<A>;
    for (int c = 0; c < cols; c += L) {
      const int n = cols - c < L ? cols - c : L;
      vec<A> v = n == L ? vload(row + c) : vload(row + c, n);
      if (bias) v += n == L ? vload(bias + channel + c) : vload(bias + channel + c, n);
      v = apply_act(act, v);
      if (n == L) vstore(row + c, v);
      else vstore(row + c, v, n);
    }
  }
};

}  // namespace LAMELLA_ISA
}  // namespace lamella
