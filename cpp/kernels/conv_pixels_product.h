// SPDX-License-Identifier: MIT
// The product of conv_pixels.h: how it is cut, and convolution and its input gradient made of it.
#pragma once
#include "conv_winograd_product.h"

namespace lamella {
namespace LAMELLA_ISA {

// ---- tasks -----------------------------------------------------------------------------------------------------------------
// Tasks: a part of the grid (some whole images, or a rectangle of one slice), whose source stays in L2, by some panels of a
// group's filters.
struct PixelChunks {
  static constexpr int64_t kFewColumns = 48;
  int64_t images, depth, rows, columns;  // of a chunk
  int64_t n[4];                          // chunks along each of them
  int64_t panels, panel_tasks;           // per task
  // bytes: of an element; tile_work: multiply-adds of a tile.
  PixelChunks(const ImageWindow& w, const ConvShape& d, int64_t all_panels, int64_t bytes, int64_t tile_work) {
    const int64_t steps = w.step[0] * w.step[1] * w.step[2], many = 832 * 1024 / (d.channels * bytes);
    const int64_t room = least(320 * 1024 / (d.channels * bytes), 1024 * steps);  // pixels of the source, under some 1024 positions
    const int64_t source = w.size[0] * w.size[1] * w.size[2], halo = (w.taps[1] - 1) * w.next[1];
    images = 1, depth = 1, rows = w.grid[1], columns = w.grid[2];
    const bool small = source <= room;  // images: as many as L2 holds beside weights, for few edges; they are copied before the tasks
    if (small) {
      images = least(many / source, d.images), depth = w.grid[0];
    } else {
      const int64_t row = w.taps[0] * w.size[2], fit = (room / row - halo) / w.step[1];
      if (fit >= 2) {
        rows = least(rows, fit);
      } else {
        rows = least(rows, 2);
        const int64_t across = room / (w.taps[0] * (halo + rows * w.step[1])) / w.step[2];
        columns = least(columns, across < kFewColumns ? kFewColumns : across);
      }
    }
    panels = all_panels;
    const auto worth = [&](int64_t positions, int64_t p) { return positions / 12 * p * tile_work > 400000; };
    const auto tasks = [&] { count(w, d); return n[0] * n[1] * n[2] * n[3] * d.groups * ceil_div(all_panels, panels); };
    while (tasks() < 32) {  // a cut of positions reads weights again, one of panels pixels
      const int64_t positions = images * depth * rows * columns;
      int64_t& cut = images > 1 ? images : rows > 1 ? rows : columns;
      const bool fewer = cut > (&cut == &columns ? kFewColumns : 1) && worth(positions / 2, panels);
      const bool narrower = panels > 1 && worth(positions, panels / 2);
      if (narrower && (!fewer || small || panels * kTileCols<float> * w.tap_count() > positions)) panels = (panels + 1) / 2;
      else if (fewer) cut = (cut + 1) / 2;
      else break;
    }
    // Even parts.
    images = ceil_div(d.images, n[0]), rows = ceil_div(w.grid[1], n[2]), columns = ceil_div(w.grid[2], n[3]);
    count(w, d);
    if (count() == 1) panels = 1;  // which are packed where they are used
    panel_tasks = ceil_div(all_panels, panels);
  }
  int64_t count() const { return n[0] * n[1] * n[2] * n[3]; }
  bool whole_images() const { return n[1] * n[2] * n[3] == 1; }

  // Of chunk i: the window cut to it, where its grid begins, its first image; returns how many.
  int64_t cut(int64_t i, const ConvShape& d, ImageWindow& w, int64_t* start, int64_t& image) const {
    start[0] = i / (n[2] * n[3]) % n[1] * depth, start[1] = i / n[3] % n[2] * rows, start[2] = i % n[3] * columns;
    const int64_t length[3] = {depth, rows, columns};
    for (int k = 0; k < 3; ++k) {
      w.grid[k] = least(length[k], w.grid[k] - start[k]);
      w.first[k] += start[k] * w.step[k];
    }
    image = i / (n[1] * n[2] * n[3]) * images;
    return least(images, d.images - image);
  }

 private:
  void count(const ImageWindow& w, const ConvShape& d) {
    n[0] = ceil_div(d.images, images), n[1] = ceil_div(w.grid[0], depth);
    n[2] = ceil_div(w.grid[1], rows), n[3] = ceil_div(w.grid[2], columns);
  }
};

// Zeros in place of a pixel outside, and room for a table of n numbers.
template <class A> static const A* zeros_and_table(int64_t channels, int64_t n, int32_t*& table) {
  A* const zeros = static_cast<A*>(scratch(size_t(channels) * sizeof(A) + size_t(n) * sizeof(int32_t), kPixelSlot + 1));
  __builtin_memset(zeros, 0, size_t(channels) * sizeof(A));
  table = reinterpret_cast<int32_t*>(zeros + channels);
  return zeros;
}

// Windows on the same images, each with results of its own: the phases of an input gradient, or one. Its taps count from
// `first_tap` on in the packed weights.
template <class T> struct PixelPart {
  ImageWindow w;
  PixelsOut<T> out;
  int64_t first_tap;
};
constexpr int kMostPixelParts = 16;

// A window whose grid and whose sources hold those of all parts.
template <class T> static ImageWindow hull_of(const PixelPart<T>* parts, int count) {
  ImageWindow hull = parts[0].w;
  for (int d = 0; count > 1 && d < 3; ++d) {
    int64_t low = hull.first[d], high = low;
    for (int i = 0; i < count; ++i) {
      const ImageWindow& w = parts[i].w;
      const int64_t last = w.first[d] + (w.taps[d] - 1) * w.next[d];
      hull.grid[d] = w.grid[d] > hull.grid[d] ? w.grid[d] : hull.grid[d];
      low = least(low, w.first[d]), high = last > high ? last : high;
    }
    hull.first[d] = low, hull.next[d] = 1, hull.taps[d] = high - low + 1;
  }
  return hull;
}

// One part of a task: some images' positions in tiles, in order, with k in blocks of segments. Its tables lie in `memory`.
template <class T> class PixelTiles {
  using A = acc_t<T>;
  static_assert(__is_same(T, A));  // narrower images are widened before
  static constexpr int TR = kTileRows<A>, TC = kTileCols<A>;

 public:
  // run: elements of a segment.
  PixelTiles(const PixelPart<T>& part, const ImageWindow& cut, int64_t images, int64_t run)
      : part_(part), order_(cut), grid_{cut.grid[0], cut.grid[1], cut.grid[2]}, images_(images), run_(run), taps_(cut.tap_count()),
        in_place_(part.out.stride[1] == 1), in_registers_(part.out.in_registers()),
        positions_(images * cut.volume()), most_tiles_(positions_ / TR + order_.kinds() + 1),
        blocks_(ceil_div(taps_, least(taps_, run_ >= 4 * kBlockDepth ? 1 : 4 * kBlockDepth / run_))), block_(ceil_div(taps_, blocks_)) {}

  size_t bytes(int64_t panels) const { return tables() + size_t(sums(panels)) * sizeof(A); }

  // Panels [h0, h1) of a group: panel h is at panels + (h - h0) * apart. source, x: the window on the images, and the first of
  // them; to: from where results would begin to where they do.
  void multiply(const A* x, const ImageWindow& source, const A* zeros, const A* panels, int64_t apart, int64_t h0, int64_t h1,
                const ConvShape& d, int64_t group, int64_t to, char* memory) const {
    // Per tile: its rows' segments of a block, where its results go, which segments, how many rows and segments. Then sums that are
    // not kept in the result.
    PixelRun* const runs = reinterpret_cast<PixelRun*>(memory);
    PixelKind* const kinds = reinterpret_cast<PixelKind*>(runs + order_.runs(images_));
    const A** const sources = reinterpret_cast<const A**>(kinds + order_.kinds());
    A** const results = const_cast<A**>(sources + most_tiles_ * TR * block_);
    Segment* const segments = reinterpret_cast<Segment*>(results + most_tiles_ * TR);
    SegmentRun* const seen = reinterpret_cast<SegmentRun*>(segments + taps_);
    int32_t *const counts = reinterpret_cast<int32_t*>(seen + most_tiles_ * block_), *const many = counts + most_tiles_;
    A* const kept = reinterpret_cast<A*>(memory + tables());
    order_.write(images_, kinds, runs);
    segments_of(source, segments);
    const int64_t tiles = cut_tiles(kinds, order_.kinds(), TR, kThird<A>, kTwoThirds<A>, counts);
    const PixelRows<A> rows{source, x, zeros, segments};
    const PixelsOut<T> out = part_.out.from(to);
    const bool joins = source.next[2] == 1 && source.stride[4] == run_;  // adjacent taps of a row are
    const auto each_tile = [&](const auto& f) {
      PixelCursor cursor{runs};
      PixelRun some[TR];
      for (int64_t t = 0; t < tiles; ++t) f(t, some, cursor.next(counts[t], some));
    };
    each_tile([&](int64_t t, const PixelRun* some, int n) {
      A** end = results + t * TR;
      for (int r = 0; r < n; ++r) {
        A* row = in_place_ ? out.at(some[r]) : kept + natural(some[r]) * TC;
        for (int l = 0; l < some[r].length; ++l, row += in_place_ ? out.stride[4] : TC) *end++ = row;
      }
    });
    for (int64_t s = 0; s < taps_; s += block_) {
      const int64_t used = least(block_, taps_ - s);
      const bool first = s == 0, last = s + used == taps_;
      each_tile([&](int64_t t, const PixelRun* some, int n) {
        PixelBox box = *some->box;
        for (int r = 1; r < n; ++r) box.join(*some[r].box);
        many[t] = rows.find(some, n, box, joins, s, used, sources + t * TR * block_, seen + t * block_);
      });
      for (int64_t h = h0; h < h1; ++h) {
        const A* const panel = panels + (h - h0) * apart + (part_.first_tap + s) * run_ * TC;
        const int cols = int(least(TC, d.rows - h * TC));
        const int64_t column = group * d.rows + h * TC, offset = in_place_ ? column : blocks_ == 1 ? 0 : (h - h0) * positions_ * TC;
        const TileEnds<A> ends{in_registers_ && first && out.bias ? out.bias + column : nullptr, !first,
                               in_registers_ && last && out.act == Act::relu};
        for (int64_t t = 0; t < tiles; ++t) {
          const int count = counts[t];
          at_edges<A>(count, cols, [&](auto rows_of, auto vecs) {
            pixel_tile<A, rows_of.value, vecs.value>(sources + t * TR * block_, seen + t * block_, many[t], run_, panel, results + t * TR,
                                                     offset, count, cols, ends);
          });
          if (last && !in_registers_) out.end_rows(results + t * TR, offset, count, column, cols);
        }
        if (last && !in_place_) out.write_planes(kept + offset, images_, grid_, column, cols);
      }
    }
  }

 private:
  const PixelPart<T>& part_;
  const PixelOrder order_;
  const int64_t grid_[3], images_, run_, taps_;
  const bool in_place_, in_registers_;
  const int64_t positions_, most_tiles_, blocks_, block_;  // blocks of k: segments
  int64_t natural(const PixelRun& r) const { return ((r.image * grid_[0] + r.g0) * grid_[1] + r.g1) * grid_[2] + r.g2; }
  size_t tables() const {
    const size_t order = size_t(order_.runs(images_)) * sizeof(PixelRun) + size_t(order_.kinds()) * sizeof(PixelKind);
    const size_t pointers = size_t(most_tiles_ * TR * (block_ + 1)) * sizeof(void*), numbers = size_t(most_tiles_) * 2 * sizeof(int32_t);
    return (order + pointers + size_t(taps_) * sizeof(Segment) + size_t(most_tiles_ * block_) * sizeof(SegmentRun) + numbers + 63) / 64 * 64;
  }
  int64_t sums(int64_t panels) const { return in_place_ ? 0 : (blocks_ == 1 ? 1 : panels) * positions_ * TC; }
};

// For each group and part: out = image under the window . weights. One part may merge the taps of a row (pixels_merge).
template <class T>
static void pixels_product(const PixelPart<T>* parts, int count, const T* x, const ConvShape& d, const acc_t<T>* zeros,
                           const PanelPacker<acc_t<T>>& pack, bool merge = false) {
  using A = acc_t<T>;
  constexpr int TC = kTileCols<A>;
  const ImageWindow hull = hull_of(parts, count);
  const int64_t taps = parts[count - 1].first_tap + parts[count - 1].w.tap_count(), panels = ceil_div(d.rows, TC);
  const int64_t depth = taps * d.channels, panel_size = depth * TC;
  const int64_t run = merge ? d.channels * hull.taps[2] : d.channels;  // of a segment
  const PixelChunks chunks(hull, d, panels, sizeof(A), depth * kTileRows<A> * TC);
  const bool worth = d.images * hull.volume() * d.rows * depth * d.groups > 1000000;
  const bool shared = chunks.count() > 1;  // packed weights are
  const PixelSource<T> all(hull, d.channels, merge);
  const bool copied = !all.in_place && chunks.whole_images() && chunks.panel_tasks > 1;  // images are, before the tasks
  const int64_t packs = shared ? d.groups * panels : 0, copies = copied ? d.groups * d.images : 0;
  A* const packed = static_cast<A*>(scratch(size_t(packs * panel_size + copies * all.size) * sizeof(A), kPixelSlot));
  A* const copy = packed + packs * panel_size;
  const auto image_of = [&](int64_t group, int64_t image) { return x + image * hull.stride[0] + group * d.channels * hull.stride[1]; };
  parallel_if(worth, packs + copies, [&](int64_t i) {
    if (i < packs) return pack(packed + i * panel_size, i / panels, i % panels);
    i -= packs;
    all.copy(hull, image_of(i / d.images, i % d.images), 1, d.channels, copy + i * all.size);
  });
  // Neighbouring tasks have the same pixels, or the same weights if these are more: a thread's share finds them in its cache.
  const int64_t group_panels = d.groups * chunks.panel_tasks;
  const bool by_pixels = taps * d.rows < d.images * hull.size[0] * hull.size[1] * hull.size[2];
  parallel_if(worth, chunks.count() * group_panels, [&](int64_t task) {
    const Division at(task, by_pixels ? group_panels : chunks.count());
    const int64_t chunk = by_pixels ? at.quotient : at.rest;
    const Division which(by_pixels ? at.rest : at.quotient, chunks.panel_tasks);
    const int64_t group = which.quotient, h0 = which.rest * chunks.panels, h1 = least(h0 + chunks.panels, panels);
    int64_t image, start[3];
    ImageWindow w = hull;
    const int64_t images = chunks.cut(chunk, d, w, start, image);
    const PixelSource<T> source(w, d.channels, merge);
    const auto each_part = [&](const auto& f) {
      for (int i = 0; i < count; ++i) {
        ImageWindow own = parts[i].w;
        chunks.cut(chunk, d, own, start, image);
        source.shape(own);
        if (own.grid[0] > 0 && own.grid[1] > 0 && own.grid[2] > 0) f(parts[i], own, PixelTiles<T>(parts[i], own, images, run));
      }
    };
    size_t tables = 0;
    each_part([&](const PixelPart<T>&, const ImageWindow&, const PixelTiles<T>& tiles) {
      const size_t bytes = tiles.bytes(h1 - h0);
      tables = bytes > tables ? bytes : tables;
    });

    // Scratch: tables and sums of a part, pixels, weights.
    const int64_t pixels = copied ? 0 : ceil_div(images * source.size, 16) * 16;
    char* const memory = static_cast<char*>(scratch(tables + size_t(pixels + (shared ? 0 : panel_size)) * sizeof(A), kPixelSlot + 2));
    A *const room = reinterpret_cast<A*>(memory + tables), *const panel_room = room + pixels;
    if (!shared) pack(panel_room, group, h0);
    const A* const from = copied ? all.address(w, copy + (group * d.images + image) * all.size)
                                 : source.open(w, image_of(group, image), images, d.channels, room);
    each_part([&](const PixelPart<T>& part, ImageWindow& own, const PixelTiles<T>& tiles) {
      int64_t to = image * part.out.stride[0];
      for (int k = 0; k < 3; ++k) to += start[k] * part.out.stride[2 + k];
      for (int k = 0; k < 5; ++k) own.stride[k] = w.stride[k];
      tiles.multiply(from, own, zeros, shared ? packed + (group * panels + h0) * panel_size : panel_room, panel_size, h0, h1, d, group, to,
                     memory);
    });
  });
}

template <class T>
static void pixels_forward(const ConvFwd& a, const ImageWindow& w, const ConvShape& d, const PixelsOut<T>& out, bool merge, bool winograd) {
  using A = acc_t<T>;
  constexpr int TC = kTileCols<A>;
  const int64_t taps = w.tap_count(), depth = taps * d.channels;
  int32_t* place;
  const A* const zeros = zeros_and_table<A>(merge ? d.channels * w.taps[2] : d.channels, depth, place);
  for (int64_t c = 0; c < d.channels; ++c)
    for (int64_t t = 0; t < taps; ++t) place[c * taps + t] = int32_t(t * d.channels + c);
  const auto pack = [&](A* panel, int64_t group, int64_t h) {
    const T* from = static_cast<const T*>(a.w) + (group * d.rows + h * TC) * depth;
    const int count = int(least(TC, d.rows - h * TC));
    if (a.w_last) pack_transposed<T, TC>(panel, from, depth, count, depth);
    else transpose_placed(from, depth, depth, count, panel, TC, place);
  };
  const T* const x = static_cast<const T*>(a.x);
  if (winograd && winograd_product<T>(w, d, out, x, zeros, pack)) return;
  const PixelPart<T> part{w, out, 0};
  pixels_product<T>(&part, 1, x, d, zeros, pack, merge);
}

// Phases of the input gradient together: parts[i] has the window and the results of phases[i], which says what its taps are.
template <class T>
static void pixels_backward_input(const ConvBwdInput& a, const PixelPart<T>* parts, const PhaseWeights<T>* phases, int count,
                                  const ConvShape& d, bool winograd = false) {
  using A = acc_t<T>;
  constexpr int TC = kTileCols<A>;
  const PhaseWeights<T>& all = phases[0];
  const int64_t volume = all.kernel[0] * all.kernel[1] * all.kernel[2];
  int32_t* place;
  const A* const zeros = zeros_and_table<A>(d.channels, volume, place);
  for (int64_t t = 0; t < volume; ++t) place[t] = -1;
  for (int i = 0; i < count; ++i)
    for (int64_t t = 0; t < parts[i].w.tap_count(); ++t) place[phases[i].tap(t)] = int32_t((parts[i].first_tap + t) * d.channels);
  const auto pack = [&](A* panel, int64_t group, int64_t h) {
    const int rows = int(least(TC, d.rows - h * TC));
    const int64_t apart = a.w_last ? 1 : all.apart, per_tap = a.w_last ? all.channels : 1;  // from row to row, from tap to tap
    for (int64_t k = 0; k < d.channels; ++k) {
      const T* from = all.w + (group * d.channels + k) * all.channels * volume + h * TC * apart;
      if (apart == 1) {
        for (int64_t t = 0; t < volume; ++t)
          if (place[t] >= 0) pack_adjacent<T, TC>(panel + (place[t] + k) * TC, from + t * per_tap, 0, rows, 1);
      } else {
        transpose_placed(from, apart, volume, rows, panel + k * TC, TC, place);
      }
    }
  };
  const T* const dy = static_cast<const T*>(a.dy);
  if (winograd && winograd_product<T>(parts[0].w, d, parts[0].out, dy, zeros, pack)) return;
  pixels_product<T>(parts, count, dy, d, zeros, pack);
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
