// SPDX-License-Identifier: MIT
// Convolution of images whose channels are adjacent (channels-last): products whose rows are positions, with k over (tap,
// channel), so that what one tap sees of a row is a run of channels, read where it lies. Filters are the packed operand:
// their vectors run across the result's channels.
#pragma once
#include "conv_columns.h"
#include "gemm_out.h"

namespace lamella {
namespace LAMELLA_ISA {

constexpr int kPixelSlot = 10;  // scratch slots 10 (packed weights, sums of weight gradients), 11 (zeros, tables), 12 (a task's)

// Fewer channels or filters do not fill vectors: such images are better copied to the other layout (ops/conv.cpp).
constexpr int64_t kLeastPixelChannels = 8;

// Whether (image, channel, depth, height, width) strides are those of dense images with adjacent channels.
LAMELLA_INLINE bool pixels_dense(const int64_t* stride, int64_t channels, const int64_t* size) {
  return stride[1] == 1 && stride[4] == channels && stride[3] == size[2] * stride[4] && stride[2] == size[1] * stride[3] &&
         stride[0] == size[0] * stride[2];
}
LAMELLA_INLINE bool pixels_dense(const ConvGeometry& g) {
  return g.c > 1 && g.k > 1 && pixels_dense(g.x_stride, g.c, g.in) && pixels_dense(g.y_stride, g.k, g.out);
}
LAMELLA_INLINE bool pixels_apt(const ConvGeometry& g) {
  return pixels_dense(g) && g.c >= g.groups * kLeastPixelChannels && g.k >= g.groups * kLeastPixelChannels;
}

// ---- the left operand: positions of a window's grid ------------------------------------------------------------------------
// A row's k is cut into segments, one for each tap, of as many elements as there are channels.
template <class T> struct PixelRows {
  using A = acc_t<T>;
  ImageWindow w;
  const T* x;
  int64_t channels;
  const A* zeros;  // `channels` of them
  // Elements narrower than A are widened; rows that many bytes apart share the sets of L1 and would not stay there.
  bool copied() const { return !__is_same(T, A) || w.step[2] * w.stride[4] * int64_t(sizeof(A)) % 4096 == 0; }

  // Segments [begin, end) of rows [first, first + count): at to[(segment - begin) * kTileRows + row]. Copies lie in `room`, row by
  // row `pitch` apart.
  void find(int64_t first, int count, int64_t begin, int64_t end, const A** to, A* room, int64_t pitch) const {
    constexpr int R = kTileRows<A>;
    Run runs[R];
    const int n = runs_of(w, first, count, runs);
    const bool copy = copied();
    int i = 0;
    for (int r = 0; r < n; ++r)
      for (int l = 0; l < runs[r].length; ++l, ++i) {
        const int64_t g[3] = {runs[r].g0, runs[r].g1, runs[r].g2 + l};
        int64_t at[3], offset = runs[r].base;
        bool inside = true;  // under every tap; next > 0
        for (int d = 0; d < 3; ++d) {
          at[d] = g[d] * w.step[d] + w.first[d];
          offset += at[d] * w.stride[2 + d];
          inside &= at[d] >= 0 && at[d] + (w.taps[d] - 1) * w.next[d] < w.size[d];
        }
        Tap tap = Tap::of(w, begin);
        for (int64_t s = begin; s < end; ++s, tap.next(w)) {
          int64_t from = offset;
          bool seen = true;
          for (int d = 0; d < 3; ++d) {
            from += tap.u[d] * w.next[d] * w.stride[2 + d];
            seen &= inside || uint64_t(at[d] + tap.u[d] * w.next[d]) < uint64_t(w.size[d]);
          }
          const A*& p = to[(s - begin) * R + i];
          if (!seen) p = zeros;
          else if (copy) p = widened(x + from, room + i * pitch + (s - begin) * channels);
          else if constexpr (__is_same(T, A)) p = x + from;
        }
      }
    for (; i < R; ++i)
      for (int64_t s = begin; s < end; ++s) to[(s - begin) * R + i] = zeros;
  }

 private:
  const A* widened(const T* from, A* to) const {
    constexpr int L = kLanes<A>;
    int64_t c = 0;
    for (; c + L <= channels; c += L) vstore(to + c, vload(from + c));
    if (c < channels) vstore(to + c, vload(from + c, channels - c), channels - c);
    return to;
  }
};

// ---- the right operand: packed weights ----------------------------------------------------------------------------------
// Panel element (place[q], i) = element q of row(i), for q < n with place[q] >= 0; zero for count <= i.
template <class T, class Row>
static void pack_placed(acc_t<T>* panel, const Row& row, int count, int64_t n, const int32_t* place) {
  using A = acc_t<T>;
  constexpr int R = kTileCols<A>, L = kLanes<A>;
  for (int i = 0; i < R; i += L)
    for (int64_t q = 0; q < n; q += L) {
      const int m = int(least(L, n - q)), rows = count - i;
      vec<A> r[L];
#pragma GCC unroll 16
      for (int l = 0; l < L; ++l) r[l] = l >= rows ? vec<A>{} : m == L ? vload(row(i + l) + q) : vload(row(i + l) + q, m);
      transpose_lanes<A>(r);
#pragma GCC unroll 16
      for (int l = 0; l < L; ++l)
        if (l < m && place[q + l] >= 0) vstore(panel + place[q + l] * R + i, r[l]);
    }
}

// ---- the result ------------------------------------------------------------------------------------------------------------
template <class T> struct PixelsOut {
  T* y;
  int64_t grid[3], stride[4];  // per image, and per grid step along each dim
  const T* bias;               // per channel, or null
  Act act;
  PixelsOut(const ImageOut<T>& o, const T* per_channel)
      : y(o.y), grid{o.grid[0], o.grid[1], o.grid[2]}, stride{o.stride[0], o.stride[2], o.stride[3], o.stride[4]},
        bias(per_channel), act(o.act) {}
  // Positions [first, first + count).
  void find(int64_t first, int count, T** to) const {
    ImageWindow w;
    for (int d = 0; d < 3; ++d) w.grid[d] = grid[d];
    w.stride[0] = stride[0];
    Run runs[kTileRows<acc_t<T>>];
    const int n = runs_of(w, first, count, runs);
    for (int r = 0; r < n; ++r) {
      T* row = y + runs[r].base + runs[r].g0 * stride[1] + runs[r].g1 * stride[2] + runs[r].g2 * stride[3];
      for (int l = 0; l < runs[r].length; ++l) *to++ = row + l * stride[3];
    }
  }
};

// ---- the tile: rows (positions) x vectors (channels) --------------------------------------------------------------------
// What a tile does besides the product, in registers: starts from a bias per column (or null), adds to c, ends in relu.
template <class A> struct PixelEnds { const A* bias; bool add, relu; };

// Row i of c (R rows, of which `count` are stored, by cols <= V vectors) = or += sum over segments s of rows[s][i] (`run`
// elements) . b.
template <class A, int R, int V>
static void pixel_tile(const A* const* rows, int64_t segments, int64_t run, const A* b, A* const* c, int count, int cols,
                       PixelEnds<A> ends) {
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
    int64_t q = 0;
    for (; q + 4 <= run; q += 4) { step(q); step(q + 1); step(q + 2); step(q + 3); }
    for (; q < run; ++q) step(q);
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

// For each group: out (positions, cols) = rows . weights; group g's channels lie g * left.channels, and g * cols, on. packed:
// of every group, panels of whole depth.
template <class T>
static void pixels_product(const PixelRows<T>& left, int64_t positions, int64_t groups, int64_t cols, const acc_t<T>* packed,
                           const PixelsOut<T>& out) {
  using A = acc_t<T>;
  constexpr int TR = kTileRows<A>, TC = kTileCols<A>;
  constexpr bool narrow = !__is_same(T, A);
  const int64_t segments = left.w.tap_count(), run = left.channels, depth = segments * run;
  const int64_t panels = ceil_div(cols, TC), tiles = ceil_div(positions, TR);
  const int64_t at_once = least(segments, run >= 2 * kBlockDepth ? 1 : 2 * kBlockDepth / run);
  const int64_t block = ceil_div(segments, ceil_div(segments, at_once));  // segments
  const int64_t pitch = left.copied() ? block * run + kLanes<A> : 0;
  const TaskGrid grid = task_grid<A>(tiles, TR, panels, run, depth);
  const bool in_registers = !narrow && (out.act == Act::none || out.act == Act::relu);
  parallel_if(positions * cols * depth * groups > 1000000, groups * grid.own_tasks * grid.shared_tasks, [&](int64_t task) {
    const Division at(task, groups), cut(at.quotient, grid.own_tasks);
    const int64_t group = at.rest;
    const int64_t t0 = cut.rest * grid.own, t1 = least(t0 + grid.own, tiles);
    const int64_t h0 = cut.quotient * grid.shared, h1 = least(h0 + grid.shared, panels);
    const size_t pointers = size_t(grid.own * TR * (block + 1)) * sizeof(void*), sums = size_t(narrow ? grid.own * grid.shared * TR * TC : 0);
    char* const memory = static_cast<char*>(scratch(pointers + (sums + size_t(grid.own * TR * pitch)) * sizeof(A), kPixelSlot + 2));
    const A** const rows = reinterpret_cast<const A**>(memory);
    T** const results = reinterpret_cast<T**>(memory) + grid.own * TR * block;
    A* const kept = reinterpret_cast<A*>(memory + pointers);
    PixelRows<T> mine = left;
    mine.x += group * left.channels;
    for (int64_t t = t0; t < t1; ++t)
      out.find(t * TR, int(least(TR, positions - t * TR)), results + (t - t0) * TR);
    for (int64_t s = 0; s < segments; s += block) {
      const int64_t used = least(block, segments - s);
      const bool first = s == 0, last = s + used == segments;
      for (int64_t t = t0; t < t1; ++t)
        mine.find(t * TR, int(least(TR, positions - t * TR)), s, s + used, rows + (t - t0) * TR * block,
                  kept + sums + (t - t0) * TR * pitch, pitch);
      for (int64_t h = h0; h < h1; ++h) {
        const A* const panel = packed + ((group * panels + h) * depth + s * run) * TC;
        const int c = int(least(TC, cols - h * TC));
        const int64_t column = group * cols + h * TC;
        const T* const bias = out.bias ? out.bias + column : nullptr;
        for (int64_t t = t0; t < t1; ++t) {
          const int r = int(least(TR, positions - t * TR));
          T* const* to = results + (t - t0) * TR;
          A* c_rows[TR];
          PixelEnds<A> ends{nullptr, !first, in_registers && last && out.act == Act::relu};
          for (int i = 0; i < r; ++i) {
            if constexpr (narrow) c_rows[i] = kept + (((t - t0) * (h1 - h0) + h - h0) * TR + i) * TC;
            else c_rows[i] = to[i] + column;
          }
          if constexpr (!narrow)
            if (first && in_registers) ends.bias = bias;
          pixel_tile_of<A>(r, c, rows + (t - t0) * TR * block, used, run, panel, c_rows, r, c, ends);
          if (last && !in_registers) {
            const MatrixOut<T> matrix{nullptr, 0, false, {bias ? BiasAxis::column : BiasAxis::none, bias, out.act}};
            for (int i = 0; i < r; ++i) {
              MatrixOut<T> row = matrix;
              row.c = to[i] + column;
              row.write(0, 0, c, c_rows[i]);
            }
          }
        }
      }
    }
  });
}

// Zeros, and room for a table of n numbers.
template <class T> static const acc_t<T>* zeros_and_table(int64_t channels, int64_t n, int32_t*& table) {
  using A = acc_t<T>;
  A* zeros = static_cast<A*>(scratch(size_t(channels) * sizeof(A) + size_t(n) * sizeof(int32_t), kPixelSlot + 1));
  __builtin_memset(zeros, 0, size_t(channels) * sizeof(A));
  table = reinterpret_cast<int32_t*>(zeros + channels);
  return zeros;
}

template <class T> static void pixels_forward(const ConvFwd& a, const ImageWindow& w, const PixelsOut<T>& out) {
  using A = acc_t<T>;
  constexpr int TC = kTileCols<A>;
  const ConvGeometry& g = a.g;
  const int64_t channels = g.c / g.groups, cols = g.k / g.groups, taps = w.tap_count(), depth = taps * channels;
  const int64_t panels = ceil_div(cols, TC);
  int32_t* place;
  const A* zeros = zeros_and_table<T>(channels, depth, place);
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t t = 0; t < taps; ++t) place[c * taps + t] = int32_t(t * channels + c);
  A* const packed = static_cast<A*>(scratch(size_t(g.groups * panels * depth * TC) * sizeof(A), kPixelSlot));
  parallel_blocks(g.groups * panels, 1 + 20000 / (depth * TC), [&](int64_t begin, int64_t end) {
    for (int64_t h = begin; h < end; ++h) {
      const int64_t j = h % panels * TC;
      const T* from = static_cast<const T*>(a.w) + (h / panels * cols + j) * depth;
      pack_placed<T>(packed + h * depth * TC, [&](int i) { return from + i * depth; }, int(least(TC, cols - j)), depth, place);
    }
  });
  pixels_product<T>({w, static_cast<const T*>(a.x), channels, zeros}, g.n * w.volume(), g.groups, cols, packed, out);
}

// One phase of the input gradient, as conv_columns.h has it.
template <class T>
static void pixels_backward_input(const ConvBwdInput& a, const ImageWindow& w, const PhaseWeights<T>& weight,
                                  const PixelsOut<T>& out) {
  using A = acc_t<T>;
  constexpr int TC = kTileCols<A>;
  const ConvGeometry& g = a.g;
  const int64_t channels = g.k / g.groups, cols = g.c / g.groups, depth = w.tap_count() * channels;
  const int64_t panels = ceil_div(cols, TC), volume = weight.kernel[0] * weight.kernel[1] * weight.kernel[2];
  int32_t* place;
  const A* zeros = zeros_and_table<T>(channels, volume, place);
  for (int64_t t = 0; t < volume; ++t) place[t] = -1;
  for (int64_t t = 0; t < w.tap_count(); ++t) place[weight.tap(t)] = int32_t(t * channels);
  A* const packed = static_cast<A*>(scratch(size_t(g.groups * panels * depth * TC) * sizeof(A), kPixelSlot));
  const int64_t grain = 1 + 20000 / (volume * TC), blocks = ceil_div(channels, grain);
  parallel(g.groups * panels * blocks, [&](int64_t task) {
    const int64_t h = task / blocks, j = h % panels * TC;
    for (int64_t k = task % blocks * grain, end = least(k + grain, channels); k < end; ++k) {
      const T* from = static_cast<const T*>(a.w) + ((h / panels * channels + k) * cols + j) * volume;
      pack_placed<T>(packed + (h * depth + k) * TC, [&](int i) { return from + i * volume; }, int(least(TC, cols - j)), volume, place);
    }
  });
  pixels_product<T>({w, static_cast<const T*>(a.dy), channels, zeros}, g.n * w.volume(), g.groups, cols, packed, out);
}

// ---- the weight gradient -------------------------------------------------------------------------------------------------
// Right operand of the weight gradient: k is positions from `begin` on, columns are tap * channels + channel.
template <class T> struct PixelTaps {
  using A = acc_t<T>;
  ImageWindow w;
  const T* x;
  int64_t channels, begin;
  void pack(A* panel, int64_t first, int count, int64_t p, int64_t depth) const {
    constexpr int R = kTileCols<A>, L = kLanes<A>;
    Run runs[kBlockDepth];
    const int n = runs_of(w, begin + p, int(depth), runs);
    const int64_t jump = w.step[2] * w.stride[4];
    if (count < R) __builtin_memset(panel, 0, size_t(depth * R) * sizeof(A));
    for (int done = 0; done < count;) {  // columns of one tap
      const Division at(first + done, channels);
      const int width = int(least(channels - at.rest, count - done));
      const Sight sight(w, Tap::of(w, at.quotient));
      A* to = panel + done;
      for (int r = 0; r < n; ++r) {
        int64_t from, end;
        const T* source = x + at.rest + sight.look(w, runs[r], from, end);
        for (int64_t i = 0; i < runs[r].length; ++i, to += R) {
          const bool inside = from <= i && i < end;
          for (int s = 0; s < width; s += L) {
            const int m = width - s < L ? width - s : L;
            if (m == L) vstore(to + s, inside ? vload(source + i * jump + s) : vec<A>{});
            else vstore(to + s, inside ? vload(source + i * jump + s, m) : vec<A>{}, m);
          }
        }
      }
      done += width;
    }
  }
};

// dw: sums over positions, in parts where the result alone makes too few tasks.
template <class T> static void pixels_weight(const ConvBwdWeight& a, ImageWindow w) {
  using A = acc_t<T>;
  const ConvGeometry& g = a.g;
  const int64_t channels = g.c / g.groups, rows = g.k / g.groups, taps = w.tap_count(), columns = taps * channels;
  const int64_t size = rows * columns, positions = g.n * w.volume();
  const int64_t part = least(positions, size < 32768 ? 2048 : size < 524288 ? ceil_div(positions, 4) : positions);
  const int64_t parts = ceil_div(positions, part);
  A* const sums = static_cast<A*>(scratch(size_t(g.groups * parts * size) * sizeof(A), kPixelSlot));
  const bool flat = w.flatten();
  parallel(g.groups * parts, [&](int64_t t) {
    const int64_t group = t / parts, begin = t % parts * part, count = least(part, positions - begin);
    const T* x = static_cast<const T*>(a.x) + group * channels;
    const StridedOperand<T, kTileRows<A>> left{static_cast<const T*>(a.dy) + begin * g.k + group * rows, 1, g.k};
    const MatrixOut<A> out{sums + t * size, columns, false, {}};
    if (flat) gemm_blocked<A>(rows, columns, count, left, StridedOperand<T, kTileCols<A>>{x + begin * g.c, 1, g.c}, out);
    else gemm_blocked<A>(rows, columns, count, left, PixelTaps<T>{w, x, channels, begin}, out);
  });
  T* dw = static_cast<T*>(a.dw);
  parallel_blocks(g.k, 1 + 16384 / (columns * parts), [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      A* row = sums + (k / rows * parts * rows + k % rows) * columns;
      for (int64_t t = 1; t < parts; ++t)
        for (int64_t i = 0; i < columns; ++i) row[i] += row[t * size + i];
      for (int64_t c = 0; c < channels; ++c)
        for (int64_t t = 0; t < taps; ++t) dw[k * columns + c * taps + t] = down<T>(row[t * channels + c]);
    }
  });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
