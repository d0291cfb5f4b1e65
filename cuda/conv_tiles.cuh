// SPDX-License-Identifier: MIT
// The convolutions' loaders, writers and kernels, for the files that say of what type (conv.cuh).
#pragma once
#include "conv.cuh"

namespace lamella::cuda {
namespace {

constexpr int kOutside = -(1 << 29);  // a coordinate that no tap brings inside

GPU bool within(int i, int size) { return unsigned(i) < unsigned(size); }

// The phase of a block: in shared memory, for registers are short.
struct PhaseAt {
  Phase d, h, w;
  int at[3];
  GPU int64_t plane() const { return d.grid.d * h.grid.d * w.grid.d; }
  GPU int taps() const { return d.count * h.count * w.count; }
  GPU int64_t split(int64_t position, int64_t (&o)[3]) const {
    return d.grid.divide(h.grid.divide(w.grid.divide(position, o[2]), o[1]), o[0]);
  }
};

// Positions along the rows of chunks, (taps, channels) along k. A thread's chunks are of one tap, which it follows from step
// to step, and of rows whose place in the image it finds once.
template <class Map, class T> struct WindowRows {
  const T* x;
  int at[Map::kEach], d[Map::kEach], h[Map::kEach], w[Map::kEach];  // at: chunks from x on, of which there are less than 2^31
  int e, td = 0, th = 0, tw = 0, padded;
  const Window& window;
  const PhaseAt& phase;

  GPU WindowRows(const Window& window_, const PhaseAt& phase_, const T* x_, int padded_, int64_t first, int64_t positions)
      : x(x_), e(Map::first()), padded(padded_), window(window_), phase(phase_) {
#pragma unroll
    for (int i = 0; i < Map::kEach; ++i) {
      const int64_t position = first + Map::row(i);
      at[i] = 0;
      d[i] = h[i] = w[i] = kOutside;
      if (position < positions) {
        int64_t o[3];
        const int64_t n = phase.split(position, o);
        d[i] = int(o[0]) * window.step[0] + phase.d.at;
        h[i] = int(o[1]) * window.step[1] + phase.h.at;
        w[i] = int(o[2]) * window.step[2] + phase.w.at;
        at[i] = int(n * window.stride[0] + d[i] * window.stride[1] + h[i] * window.stride[2] + w[i] * window.stride[3]);
      }
    }
    walk();
  }
  GPU void load(unsigned char* slot) {
    const int dd = td * phase.d.next, dh = th * phase.h.next, dw = tw * phase.w.next;
    const int offset = dd * int(window.stride[1]) + dh * int(window.stride[2]) + dw * int(window.stride[3]) + int(unsigned(e) / Map::kPer);
    const bool live = td < phase.d.count;
#pragma unroll
    for (int i = 0; i < Map::kEach; ++i) {
      const bool in = live && within(d[i] + dd, window.size[0]) && within(h[i] + dh, window.size[1]) && within(w[i] + dw, window.size[2]);
      copy_async(slot + Map::offset(i), x + int64_t(in ? at[i] + offset : 0) * Map::kPer, in ? 16 : 0);
    }
    e += Map::kK;
    walk();
  }
  GPU void walk() {  // e back into a tap's channels; the loop ends before the first step where there are no taps
#pragma unroll 1
    while (e >= padded && td < phase.d.count) {
      e -= padded;
      if (++tw < phase.w.count) continue;
      tw = 0;
      if (++th < phase.h.count) continue;
      th = 0;
      ++td;
    }
  }
};

// (taps, channels) across, positions along k: the tap of a thread's chunks is fixed, their positions are found each step.
template <class Map, class T> struct WindowColumns {
  const T* x;                  // at the tap's offset in the first image of the part
  const T* safe;
  int dd, dh, dw, from, end;   // positions of the part, counted from that image on
  const Window& window;

  GPU WindowColumns(const Window& window_, const T* x_, int padded, int64_t column, int64_t columns, int64_t first, int64_t depth)
      : safe(x_), window(window_) {
    const Phase &pd = window.phase(0, 0), &ph = window.phase(1, 0), &pw = window.phase(2, 0);
    const int64_t plane = pd.grid.d * ph.grid.d * pw.grid.d, image = depth > 0 ? first / plane : 0;
    from = int(first - image * plane);
    end = from + int(depth);
    const int64_t c = column + Map::first();
    const int e = int(c % padded);
    int t = int(c / padded);
    dw = pw.at + t % pw.count * pw.next;
    t /= pw.count;
    dh = ph.at + t % ph.count * ph.next;
    dd = pd.at + t / ph.count * pd.next;
    x = x_ + image * window.stride[0] * Map::kPer + e;
    if (c >= columns) end = from;
  }
  GPU void load(unsigned char* slot) {
#pragma unroll
    for (int i = 0; i < Map::kEach; ++i) {
      const int position = from + Map::row(i);
      const T* p = safe;
      int bytes = 0;
      if (position < end) {
        int od, oh, ow;
        const Phase* f = window.few;
        const int n = divide_block(f[0].grid, divide_block(f[1].grid, divide_block(f[2].grid, position, ow), oh), od);
        const int d = od * window.step[0] + dd, h = oh * window.step[1] + dh, w = ow * window.step[2] + dw;
        if (within(d, window.size[0]) && within(h, window.size[1]) && within(w, window.size[2])) {
          p = x + (n * window.stride[0] + d * window.stride[1] + h * window.stride[2] + w * window.stride[3]) * Map::kPer;
          bytes = 16;
        }
      }
      copy_async(slot + Map::offset(i), p, bytes);
    }
    from += Map::kK;
  }
};

// Rows are positions, columns channels of y (kPixels), or the other way round.
template <class T, bool kPixels> struct ConvOut {
  using V = acc_t<T>;
  const ConvProduct& p;
  const PhaseAt& phase;
  T* y;              // of the group
  const T* bias;     // of the group, or null
  int64_t positions;

  GPU int64_t place(int64_t n, const int64_t (&o)[3]) const {
    int64_t at = n * p.y_stride[0];
#pragma unroll
    for (int d = 0; d < 3; ++d) at += (phase.at[d] + o[d] * p.y_step[d]) * p.y_stride[2 + d];
    return at;
  }
  template <int N> GPU void put(int64_t i, int64_t j, V (&v)[N]) const {
    constexpr int kPer = N < kPack<T> ? N : kPack<T>;
    const int64_t position = kPixels ? i : j, row = kPixels ? j : i;
    if (position >= positions || row >= p.rows) return;
    const int count = int(least(N, kPixels ? p.rows - row : positions - position));
    if (bias) {
      if constexpr (kPixels) {
#pragma unroll
        for (int e = 0; e < N; ++e)
          if (e < count) v[e] += up(bias[row + e]);
      } else {
        const V b = up(bias[row]);
#pragma unroll
        for (int e = 0; e < N; ++e) v[e] += b;
      }
    }
    activate(p.act, v);
    int64_t o[3];
    int64_t n = phase.split(position, o);
    if (p.y_vector && count == N) {  // one row of channels, or positions of one plane that follow each other
      T* to = y + place(n, o) + row * p.y_stride[1];
#pragma unroll
      for (int e = 0; e < N; e += kPer) {
        Pack<T, kPer> w;
#pragma unroll
        for (int q = 0; q < kPer; ++q) w.v[q] = down<T>(v[e + q]);
        store_pack(to + e, w);
      }
    } else if constexpr (kPixels) {
      T* to = y + place(n, o) + row * p.y_stride[1];
#pragma unroll
      for (int e = 0; e < N; ++e)
        if (e < count) to[e * p.y_stride[1]] = down<T>(v[e]);
    } else {
#pragma unroll
      for (int e = 0; e < N; ++e) {
        if (e >= count) continue;
        y[place(n, o) + row * p.y_stride[1]] = down<T>(v[e]);
        if (++o[2] < phase.w.grid.d) continue;
        o[2] = 0;
        if (++o[1] < phase.h.grid.d) continue;
        o[1] = 0;
        if (++o[0] < phase.d.grid.d) continue;
        o[0] = 0;
        ++n;
      }
    }
  }
};

template <class Tile, bool kPixels>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks) conv_tiles(const __grid_constant__ ConvProduct p) {
  using T = typename Tile::T;
  int tile, pd, ph, pw;
  int rest = divide_block(p.tiles, int(blockIdx.x), tile);
  rest = divide_block(p.phases[2], rest, pw);
  rest = divide_block(p.phases[1], rest, ph);
  const int64_t group = divide_block(p.phases[0], rest, pd);
  SHARED(PhaseAt, phase, );
  if (threadIdx.x == 0) phase = {p.window.phase(0, pd), p.window.phase(1, ph), p.window.phase(2, pw), {pd, ph, pw}};
  __syncthreads();
  const int64_t positions = p.images * phase.plane();
  const TilePlace place = place_tile(tile, p.tiles_m, p.tiles_n);
  const int64_t row = int64_t(place.row) * Tile::kM, col = int64_t(place.col) * Tile::kN;
  if ((kPixels ? row : col) >= positions) return;
  const int* kernel = p.window.kernel;
  const int64_t before = int64_t(phase.d.before) * kernel[1] * kernel[2] +
                         int64_t(phase.d.count) * (phase.h.before * kernel[2] + phase.h.count * phase.w.before);
  const int64_t taps = int64_t(kernel[0]) * kernel[1] * kernel[2], depth = int64_t(phase.taps()) * p.padded;
  const T* x = static_cast<const T*>(p.x) + group * p.x_group;
  const int64_t first = kPixels ? col : row;
  const T* filter = static_cast<const T*>(p.filter) + (group * taps + before) * p.rows * p.padded + first * depth;
  const int steps = int(ceil_div(depth, Tile::kK));
  typename Tile::Sums sums;
  if constexpr (kPixels) {
    WindowRows<typename Tile::A, T> a(p.window, phase, x, p.padded, row, positions);
    FastMatrix<typename Tile::B, T> b(filter, depth, 1, p.rows - col, depth);
    main_loop<Tile>(a, b, steps, sums);
  } else {
    FastMatrix<typename Tile::A, T> a(filter, depth, 1, p.rows - row, depth);
    WindowRows<typename Tile::B, T> b(p.window, phase, x, p.padded, col, positions);
    main_loop<Tile>(a, b, steps, sums);
  }
  const T* bias = p.bias ? static_cast<const T*>(p.bias) + group * p.rows : nullptr;
  write_tile<Tile>(sums, row, col, ConvOut<T, kPixels>{p, phase, static_cast<T*>(p.y) + group * p.rows * p.y_stride[1], bias, positions});
}

template <class V> struct PartOut {
  V* to;
  int64_t rows, columns;  // columns: a multiple of what is stored at once
  template <int N> GPU void put(int64_t i, int64_t j, V (&v)[N]) const {
    if (i >= rows) return;
#pragma unroll
    for (int e = 0; e < N; e += 16 / int(sizeof(V))) {
      if (j + e >= columns) continue;
      Pack<V, kPack<V>> w;
#pragma unroll
      for (int q = 0; q < kPack<V>; ++q) w.v[q] = v[e + q];
      store_pack(to + i * columns + j + e, w);
    }
  }
};

template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks) conv_weight_tiles(const __grid_constant__ ConvWeight p) {
  using T = typename Tile::T;
  int tile, part;
  const int index = divide_block(p.tiles, int(blockIdx.x), tile), group = divide_block(p.parts, index, part);
  const TilePlace place = place_tile(tile, p.tiles_m, p.tiles_n);
  const int64_t row = int64_t(place.row) * Tile::kM, col = int64_t(place.col) * Tile::kN;
  const int64_t from = part * p.depth, depth = least(p.depth, p.positions - from);
  const T* dy = static_cast<const T*>(p.dy) + group * p.dy_group + from * p.dy_row + row;
  FastMatrix<typename Tile::A, T> a(dy, 1, p.dy_row, p.rows - row, depth);
  WindowColumns<typename Tile::B, T> b(p.window, static_cast<const T*>(p.x) + group * p.x_group, p.padded, col, p.columns, from, depth);
  typename Tile::Sums sums;
  main_loop<Tile>(a, b, int(ceil_div(depth, Tile::kK)), sums);
  using V = typename Tile::Sum;
  V* to = static_cast<V*>(p.partial) + int64_t(index) * p.rows * p.columns;
  write_tile<Tile>(sums, row, col, PartOut<V>{to, p.rows, p.columns});
}

// ---- launches --------------------------------------------------------------------------------------------------------
template <class Tile, bool kPixels> void run_conv(ConvProduct& p, int64_t groups) {
  p.tiles_m = int(ceil_div(kPixels ? p.positions : p.rows, Tile::kM));
  p.tiles_n = int(ceil_div(kPixels ? p.rows : p.positions, Tile::kN));
  p.tiles = Divisor(int64_t(p.tiles_m) * p.tiles_n);
  launch("conv", conv_tiles<Tile, kPixels>, dim3(unsigned(p.tiles.d * p.phases[0].d * p.phases[1].d * p.phases[2].d * groups)),
         dim3(Tile::kThreads), Tile::kSharedBytes, p);
}
template <class Tile> void run_conv(ConvProduct& p, int64_t groups, bool pixels) {
  if (pixels) run_conv<Tile, true>(p, groups);
  else run_conv<Tile, false>(p, groups);
}

template <class Tile> void run_conv_weight(ConvWeight& p, int64_t groups) {
  p.tiles_m = int(ceil_div(p.rows, Tile::kM));
  p.tiles_n = int(ceil_div(p.columns, Tile::kN));
  p.tiles = Divisor(int64_t(p.tiles_m) * p.tiles_n);
  launch("conv", conv_weight_tiles<Tile>, dim3(unsigned(p.tiles.d * p.parts.d * groups)), dim3(Tile::kThreads), Tile::kSharedBytes, p);
}

}  // namespace
}  // namespace lamella::cuda
