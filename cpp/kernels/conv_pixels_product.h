// SPDX-License-Identifier: MIT
// The product of conv_pixels.h: its tile, how it is cut, and convolution and its input gradient made of it.
#pragma once
#include "conv_pixels.h"

namespace lamella {
namespace LAMELLA_ISA {

// ---- the tile: rows (positions) x vectors (channels) --------------------------------------------------------------------
// What a tile does besides the product, in registers: starts from a bias per column (or null), adds to c, ends in relu.
template <class A> struct PixelEnds { const A* bias; bool add, relu; };

// Row i of c (R rows, of which `count` are stored, by cols <= V vectors) = or += sum over segments s of rows[s][i] (`run`
// elements) . the which[s]-th part of the panel.
template <class A, int R, int V>
static void pixel_tile(const A* const* rows, const int32_t* which, int64_t segments, int64_t run, const A* panel, A* const* c,
                       int count, int cols, PixelEnds<A> ends) {
  constexpr int L = kLanes<A>;
  const int last = cols - (V - 1) * L;
  vec<A> acc[R][V];
#pragma GCC unroll 4
  for (int j = 0; j < V; ++j) {
    vec<A> first{};
    if (ends.bias) first = j < V - 1 || last == L ? vload(ends.bias + j * L) : vload(ends.bias + j * L, last);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) acc[i][j] = first;
  }
  for (int64_t s = 0; s < segments; ++s, rows += kTileRows<A>) {
    const A* a[R];
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) a[i] = rows[i];
    const A* b = panel + which[s] * run * kTileCols<A>;
    const auto step = [&](int64_t q) __attribute__((always_inline)) {
      vec<A> row[V];
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) row[j] = vload(b + j * L);
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) __builtin_prefetch(b + (12 * kTileVecs + j) * L);  // panels stream from L2
      b += kTileCols<A>;
#pragma GCC unroll 16
      for (int i = 0; i < R; ++i) {
        vec<A> x = splat(a[i][q]);
        pin(x);
#pragma GCC unroll 4
        for (int j = 0; j < V; ++j) acc[i][j] = fma(x, row[j], acc[i][j]);
      }
    };
#pragma GCC unroll 1
    for (int64_t q = 0; q < run; ++q) step(q);  // as in gemm_core.h, copies of the body are slower
  }
  const bool whole = last == L;
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i)
    if (i < count) {
      A* to = c[i];
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) {
        const bool full = j < V - 1 || whole;
        vec<A> v = acc[i][j];
        if (ends.add) v += full ? vload(to + j * L) : vload(to + j * L, last);
        if (ends.relu) v = relu(v);
        if (full) vstore(to + j * L, v);
        else vstore(to + j * L, v, last);
      }
    }
}
// Edges compute a third or two thirds of the rows and half of the columns where that is enough.
template <class A, class... Args> static void pixel_tile_of(int count, int cols, const Args&... args) {
  constexpr int R = kTileRows<A>, R1 = (R + 2) / 3, R2 = (2 * R + 2) / 3;
  if (cols > kLanes<A>) {
    if (count > R2) pixel_tile<A, R, 2>(args...);
    else if (count > R1) pixel_tile<A, R2, 2>(args...);
    else pixel_tile<A, R1, 2>(args...);
  } else {
    if (count > R2) pixel_tile<A, R, 1>(args...);
    else if (count > R1) pixel_tile<A, R2, 1>(args...);
    else pixel_tile<A, R1, 1>(args...);
  }
}

// ---- tasks -----------------------------------------------------------------------------------------------------------------
// Tasks: a part of the grid (some whole images, or a rectangle of one slice), whose source stays in L2, by some panels of a
// group's filters.
struct PixelChunks {
  int64_t images, depth, rows, columns;  // of a chunk
  int64_t n[4];                          // chunks along each of them
  int64_t panels, panel_tasks;           // per task
  // bytes: of an element; tile_work: multiply-adds of a tile.
  PixelChunks(const ImageWindow& w, const ConvShape& d, int64_t all_panels, int64_t bytes, int64_t tile_work) {
    const int64_t room = least(320 * 1024 / (d.channels * bytes), 1024);  // pixels of the source
    const int64_t source = w.size[0] * w.size[1] * w.size[2], halo = (w.taps[1] - 1) * w.next[1];
    images = 1, depth = 1, rows = w.grid[1], columns = w.grid[2];
    if (source <= room) {
      images = least(832 * 1024 / (d.channels * bytes) / source, d.images), depth = w.grid[0];
    } else {
      const int64_t row = w.taps[0] * w.size[2], fit = (room / row - halo) / w.step[1];
      if (fit >= 2) {
        rows = least(rows, fit);
      } else {
        rows = least(rows, 2);
        const int64_t across = room / (w.taps[0] * (halo + rows * w.step[1])) / w.step[2];
        columns = least(columns, across < 48 ? 48 : across);
      }
    }
    panels = all_panels;
    const auto worth = [&](int64_t positions, int64_t p) { return positions / 12 * p * tile_work > 400000; };
    const auto tasks = [&] { count(w, d); return n[0] * n[1] * n[2] * n[3] * d.groups * ceil_div(all_panels, panels); };
    while (tasks() < 32) {  // a cut of positions reads weights again, one of panels pixels
      const int64_t positions = images * depth * rows * columns;
      const bool fewer = (images > 1 || rows > 1) && worth(positions / 2, panels), narrower = panels > 1 && worth(positions, panels / 2);
      if (narrower && (!fewer || source <= room || panels * kTileCols<float> * w.tap_count() > positions)) panels = (panels + 1) / 2;
      else if (fewer) (images > 1 ? images : rows) = ((images > 1 ? images : rows) + 1) / 2;
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

// For each group: out = image under the window . weights; pack(panel, group, h) packs panel h of the group's weights.
template <class T, class Pack>
static void pixels_product(const ImageWindow& w, const T* x, const ConvShape& d, const acc_t<T>* zeros, const Pack& pack,
                           const PixelsOut<T>& out) {
  using A = acc_t<T>;
  constexpr int TR = kTileRows<A>, TC = kTileCols<A>;
  const int64_t taps = w.tap_count(), run = d.channels, depth = taps * run, panels = ceil_div(d.rows, TC);
  const int64_t at_once = least(taps, run >= 4 * kBlockDepth ? 1 : 4 * kBlockDepth / run);
  const int64_t blocks = ceil_div(taps, at_once), block = ceil_div(taps, blocks);  // of k: segments
  const PixelChunks chunks(w, d, panels, sizeof(A), depth * TR * TC);
  const bool in_place = __is_same(T, A) && out.stride[1] == 1;
  const bool in_registers = in_place && (out.act == Act::none || out.act == Act::relu);
  const bool worth = d.images * w.volume() * d.rows * depth * d.groups > 1000000;
  const bool shared = chunks.count() > 1;  // packed weights are
  const int64_t panel_size = depth * TC;
  const PixelSource<T> all(w, run);
  const bool copied = !all.in_place && chunks.whole_images() && chunks.panel_tasks > 1;  // images are, before the tasks
  const int64_t packs = shared ? d.groups * panels : 0, copies = copied ? d.groups * d.images : 0;
  A* const packed = static_cast<A*>(scratch(size_t(packs * panel_size + copies * all.size) * sizeof(A), kPixelSlot));
  A* const copy = packed + packs * panel_size;
  const auto image_of = [&](int64_t group, int64_t image) { return x + image * w.stride[0] + group * run * w.stride[1]; };
  parallel_if(worth, packs + copies, [&](int64_t i) {
    if (i < packs) return pack(packed + i * panel_size, i / panels, i % panels);
    i -= packs;
    all.copy(w, image_of(i / d.images, i % d.images), 1, run, copy + i * all.size);
  });
  parallel_if(worth, chunks.count() * d.groups * chunks.panel_tasks, [&](int64_t task) {
    const Division at(task, d.groups * chunks.panel_tasks), which(at.rest, chunks.panel_tasks);
    const int64_t group = which.quotient, h0 = which.rest * chunks.panels, h1 = least(h0 + chunks.panels, panels);
    PixelRows<A> rows{w, nullptr, zeros, nullptr};
    int64_t image, start[3];
    const int64_t images = chunks.cut(at.quotient, d, rows.w, start, image);
    PixelsOut<T> to = out;
    to.y += image * out.stride[0];
    for (int k = 0; k < 3; ++k) to.y += start[k] * out.stride[2 + k];
    const int64_t positions = images * rows.w.volume(), tiles = ceil_div(positions, TR);
    const PixelOrder order(rows.w);

    // Scratch: per tile, its rows' segments of a block, which they are, how many, and its results; the order; sums that cannot
    // be kept in the result; pixels; weights.
    const PixelSource<T> source(rows.w, run);
    const size_t runs_size = order.bytes(images), tables = size_t(tiles * TR * (block + 1)) * sizeof(void*) + size_t(taps) * sizeof(Segment);
    const size_t pointers = (runs_size + tables + size_t(tiles * (block + 1)) * sizeof(int32_t) + 63) / 64 * 64;
    const int64_t sums = in_place ? 0 : blocks == 1 ? TR * TC : tiles * (h1 - h0) * TR * TC;
    const int64_t pixels = copied ? 0 : ceil_div(images * source.size, 16) * 16;
    char* const memory = static_cast<char*>(scratch(pointers + size_t(sums + pixels + (shared ? 0 : panel_size)) * sizeof(A), kPixelSlot + 2));
    const PixelRun* const runs = order.write(images, memory);
    const A** const sources = reinterpret_cast<const A**>(memory + runs_size);
    T** const results = reinterpret_cast<T**>(memory + runs_size) + tiles * TR * block;
    Segment* const segments = reinterpret_cast<Segment*>(results + tiles * TR);
    int32_t *const seen = reinterpret_cast<int32_t*>(segments + taps), *const many = seen + tiles * block;
    A *const kept = reinterpret_cast<A*>(memory + pointers), *const room = kept + sums, *const panel_room = room + pixels;

    if (!shared) pack(panel_room, group, h0);
    rows.x = copied ? all.address(rows.w, copy + (group * d.images + image) * all.size)
                    : source.open(rows.w, image_of(group, image), images, run, room);
    rows.segments = segments;
    segments_of(rows.w, segments);
    const auto rows_of = [&](int64_t t) { return int(least(TR, positions - t * TR)); };
    const auto each_tile = [&](const auto& f) {
      PixelCursor cursor{runs};
      PixelRun part[TR];
      for (int64_t t = 0; t < tiles; ++t) f(t, part, cursor.next(rows_of(t), part));
    };
    each_tile([&](int64_t t, const PixelRun* part, int n) { to.find(part, n, results + t * TR); });
    for (int64_t s = 0; s < taps; s += block) {
      const int64_t used = least(block, taps - s);
      const bool first = s == 0, last = s + used == taps;
      each_tile([&](int64_t t, const PixelRun* part, int n) {
        PixelBox box = *part->box;
        for (int r = 1; r < n; ++r) box.join(*part[r].box);
        many[t] = rows.find(part, n, box, s, used, sources + t * TR * block, seen + t * block);
      });
      for (int64_t h = h0; h < h1; ++h) {
        const A* const panel = (shared ? packed + (group * panels + h) * panel_size : panel_room) + s * run * TC;
        const int cols = int(least(TC, d.rows - h * TC));
        const int64_t column = group * d.rows + h * TC;
        for (int64_t t = 0; t < tiles; ++t) {
          const int count = rows_of(t);
          A* c[TR];
          PixelEnds<A> ends{nullptr, !first, in_registers && last && out.act == Act::relu};
          if constexpr (__is_same(T, A)) {
            if (in_place)
              for (int i = 0; i < count; ++i) c[i] = results[t * TR + i] + column;
            if (in_registers && first && out.bias) ends.bias = out.bias + column;
          }
          if (!in_place)
            for (int i = 0; i < count; ++i) c[i] = kept + ((blocks == 1 ? 0 : t * (h1 - h0) + h - h0) * TR + i) * TC;
          pixel_tile_of<A>(count, cols, sources + t * TR * block, seen + t * block, many[t], run, panel, c, count, cols, ends);
          if (last && !in_registers) to.finish(results + t * TR, count, column, cols, c);
        }
      }
    }
  });
}

template <class T> static void pixels_forward(const ConvFwd& a, const ImageWindow& w, const ConvShape& d, const PixelsOut<T>& out) {
  using A = acc_t<T>;
  constexpr int TC = kTileCols<A>;
  const int64_t taps = w.tap_count(), depth = taps * d.channels;
  int32_t* place;
  const A* const zeros = zeros_and_table<A>(d.channels, depth, place);
  for (int64_t c = 0; c < d.channels; ++c)
    for (int64_t t = 0; t < taps; ++t) place[c * taps + t] = int32_t(t * d.channels + c);
  const auto pack = [&](A* panel, int64_t group, int64_t h) {
    const T* from = static_cast<const T*>(a.w) + (group * d.rows + h * TC) * depth;
    const int count = int(least(TC, d.rows - h * TC));
    if (a.w_last) pack_transposed<T, TC>(panel, from, depth, count, depth);
    else pack_placed<T>(panel, [&](int i) { return from + i * depth; }, count, depth, place);
  };
  pixels_product<T>(w, static_cast<const T*>(a.x), d, zeros, pack, out);
}

// One phase of the input gradient, as conv_columns.h has it.
template <class T>
static void pixels_backward_input(const ConvBwdInput& a, const ImageWindow& w, const ConvShape& d, const PhaseWeights<T>& phase,
                                  const PixelsOut<T>& out) {
  using A = acc_t<T>;
  constexpr int TC = kTileCols<A>;
  const int64_t volume = phase.kernel[0] * phase.kernel[1] * phase.kernel[2];
  int32_t* place;
  const A* const zeros = zeros_and_table<A>(d.channels, volume, place);
  for (int64_t t = 0; t < volume; ++t) place[t] = -1;
  for (int64_t t = 0; t < w.tap_count(); ++t) place[phase.tap(t)] = int32_t(t * d.channels);
  const auto pack = [&](A* panel, int64_t group, int64_t h) {
    const int count = int(least(TC, d.rows - h * TC));
    const int64_t apart = a.w_last ? 1 : phase.apart, per_tap = a.w_last ? phase.channels : 1;  // from row to row, from tap to tap
    for (int64_t k = 0; k < d.channels; ++k) {
      const T* from = phase.w + (group * d.channels + k) * phase.channels * volume + h * TC * apart;
      if (apart == 1)
        for (int64_t t = 0; t < w.tap_count(); ++t)
          pack_adjacent<T, TC>(panel + (t * d.channels + k) * TC, from + phase.tap(t) * per_tap, 0, count, 1);
      else
        pack_placed<T>(panel + k * TC, [&](int i) { return from + i * apart; }, count, volume, place);
    }
  };
  pixels_product<T>(w, static_cast<const T*>(a.dy), d, zeros, pack, out);
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
