// SPDX-License-Identifier: MIT
// Convolution of images whose channels are adjacent (channels-last), one group: products whose rows are positions, with k
// over (tap, channel), so that a panel is made of whole runs of channels. Weights are laid out anew as (tap, channel).
#pragma once
#include "conv_columns.h"
#include "gemm_out.h"

namespace lamella {
namespace LAMELLA_ISA {

constexpr int kLaidSlot = 10;  // scratch slots 10 and 11: weights laid out anew; sums of weight gradients

// Fewer channels or filters do not fill vectors: such images are better copied to the other layout (ops/conv.cpp).
constexpr int64_t kLeastPixelChannels = 8;

// Whether (image, channel, depth, height, width) strides are those of dense images with adjacent channels.
LAMELLA_INLINE bool pixels_dense(const int64_t* stride, int64_t channels, const int64_t* size) {
  return stride[1] == 1 && stride[4] == channels && stride[3] == size[2] * stride[4] && stride[2] == size[1] * stride[3] &&
         stride[0] == size[0] * stride[2];
}

LAMELLA_INLINE bool pixels_apt(const ConvGeometry& g) {
  return g.groups == 1 && g.c >= kLeastPixelChannels && g.k >= kLeastPixelChannels &&
         pixels_dense(g.x_stride, g.c, g.in) && pixels_dense(g.y_stride, g.k, g.out);
}

// Left operand: rows are positions of the window's grid, k is tap * channels + channel.
template <class T> struct PixelRows {
  using A = acc_t<T>;
  ImageWindow w;
  const T* x;
  int64_t channels;
  const T* zeros;  // `channels` of them, and a vector more
  void pack(A* panel, int64_t first, int count, int64_t p, int64_t depth) const {
    constexpr int R = kTileRows<A>;
    int64_t base[R], at[R][3];
    for (int i = 0; i < count; ++i) {
      const Division row(first + i, w.grid[2]), slice(row.quotient, w.grid[1]), image(slice.quotient, w.grid[0]);
      const int64_t g[3] = {image.rest, slice.rest, row.rest};
      base[i] = image.quotient * w.stride[0];
      for (int d = 0; d < 3; ++d) at[i][d] = g[d] * w.step[d] + w.first[d];
    }
    Tap tap = Tap::of(w, p / channels);
    for (int64_t q = 0, c = p % channels; q < depth; c = 0, tap.next(w)) {
      const int64_t n = least(channels - c, depth - q);
      const T* row[R];
      for (int i = 0; i < count; ++i) {
        int64_t s[3];
        bool inside = true;
        for (int d = 0; d < 3; ++d) {
          s[d] = at[i][d] + tap.u[d] * w.next[d];
          inside &= uint64_t(s[d]) < uint64_t(w.size[d]);
        }
        row[i] = inside ? x + base[i] + s[0] * w.stride[2] + s[1] * w.stride[3] + s[2] * w.stride[4] + c : zeros;
      }
      for (int i = count; i < R; ++i) row[i] = zeros;
      pack_rows<T, R>(panel + q * R, [&](int i) { return row[i]; }, R, n);
      q += n;
    }
  }
};

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

// Rows of the product written where positions of a grid lie; columns are channels, adjacent.
template <class T> struct PixelsOut {
  using A = acc_t<T>;
  static constexpr bool kDirect = false;
  T* y;
  int64_t grid[3], stride[4];  // per image, and per grid step along each dim
  int64_t row = 0;
  bool accumulate = false;
  A* at(int64_t, int64_t) const { return nullptr; }
  void finish(int64_t i, int64_t j, int rows, int cols, A* tile, int64_t tile_stride) const {
    constexpr int L = kLanes<A>;
    for (int r = 0; r < rows; ++r, tile += tile_stride) {
      const Division line(i + r, grid[2]), slice(line.quotient, grid[1]), image(slice.quotient, grid[0]);
      T* to = y + image.quotient * stride[0] + image.rest * stride[1] + slice.rest * stride[2] + line.rest * stride[3] + j;
      for (int s = 0; s < cols; s += L) {
        const int n = cols - s < L ? cols - s : L;
        if (n == L) vstore(to + s, vload(tile + s));
        else vstore(to + s, vload(tile + s, n), n);
      }
    }
  }
};

template <class T> static const T* zeros_of(int64_t n) {
  const size_t bytes = size_t(n + kLanes<acc_t<T>>) * sizeof(T);
  T* zeros = static_cast<T*>(scratch(bytes, kLaidSlot + 1));
  __builtin_memset(zeros, 0, bytes);
  return zeros;
}

template <class T> static void pixels_forward(const ConvFwd& a, ImageWindow w) {
  using A = acc_t<T>;
  const ConvGeometry& g = a.g;
  const int64_t taps = w.tap_count(), depth = taps * g.c;
  const T* weights = static_cast<const T*>(a.w);
  if (taps > 1) {  // (filter, tap, channel)
    T* laid = static_cast<T*>(scratch(size_t(g.k * depth) * sizeof(T), kLaidSlot));
    parallel_blocks(g.k, 1 + 16384 / depth, [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k)
        for (int64_t t = 0; t < taps; ++t)
          for (int64_t c = 0; c < g.c; ++c) laid[(k * taps + t) * g.c + c] = weights[(k * g.c + c) * taps + t];
    });
    weights = laid;
  }
  const T *x = static_cast<const T*>(a.x), *bias = static_cast<const T*>(a.bias);
  const StridedOperand<T, kTileCols<A>> right{weights, depth, 1};
  const MatrixOut<T> out{static_cast<T*>(a.y), g.k, false, {bias ? BiasAxis::column : BiasAxis::none, bias, a.act}};
  const int64_t rows = g.n * w.volume();
  if (w.flatten()) gemm_blocked<A>(rows, g.k, depth, StridedOperand<T, kTileRows<A>>{x, g.c, 1}, right, out);
  else gemm_blocked<A>(rows, g.k, depth, PixelRows<T>{w, x, g.c, zeros_of<T>(g.c)}, right, out);
}

// One phase of the input gradient: `weight.source(channel, filter * taps + tap)` as conv_columns.h has it.
template <class T>
static void pixels_backward_input(const ConvBwdInput& a, const ImageWindow& w, const PhaseWeights<T>& weight,
                                  const ImageOut<T>& to) {
  using A = acc_t<T>;
  const ConvGeometry& g = a.g;
  const int64_t taps = w.tap_count(), depth = taps * g.k;
  T* laid = static_cast<T*>(scratch(size_t(g.c * depth) * sizeof(T), kLaidSlot));  // (tap, filter, channel)
  parallel_blocks(g.k, 1 + 16384 / (g.c * taps), [&](int64_t begin, int64_t end) {
    const int64_t volume = g.kernel[0] * g.kernel[1] * g.kernel[2];
    for (int64_t k = begin; k < end; ++k)
      for (int64_t t = 0; t < taps; ++t) {
        const T* from = weight.source(0, k * taps + t);
        for (int64_t c = 0; c < g.c; ++c) laid[(t * g.k + k) * g.c + c] = from[c * volume];
      }
  });
  const PixelRows<T> left{w, static_cast<const T*>(a.dy), g.k, zeros_of<T>(g.k)};
  const StridedOperand<T, kTileCols<A>> right{laid, 1, g.c};
  const int64_t rows = g.n * w.volume();
  const bool dense = to.stride[4] == g.c && to.stride[3] == to.grid[2] * to.stride[4] &&
                     to.stride[2] == to.grid[1] * to.stride[3] && to.stride[0] == to.grid[0] * to.stride[2];
  if (dense) return gemm_blocked<A>(rows, g.c, depth, left, right, MatrixOut<T>{to.y, g.c, false, {}});
  PixelsOut<T> out{to.y, {to.grid[0], to.grid[1], to.grid[2]}, {to.stride[0], to.stride[2], to.stride[3], to.stride[4]}};
  gemm_blocked<A>(rows, g.c, depth, left, right, out);
}

// dw: sums over positions, in parts where the result alone makes too few tasks.
template <class T> static void pixels_weight(const ConvBwdWeight& a, ImageWindow w) {
  using A = acc_t<T>;
  const ConvGeometry& g = a.g;
  const int64_t taps = w.tap_count(), columns = taps * g.c, size = g.k * columns, positions = g.n * w.volume();
  const int64_t part = least(positions, size < 32768 ? 2048 : size < 524288 ? ceil_div(positions, 4) : positions);
  const int64_t parts = ceil_div(positions, part);
  A* const sums = static_cast<A*>(scratch(size_t(parts * size) * sizeof(A), kLaidSlot));
  const T *x = static_cast<const T*>(a.x), *dy = static_cast<const T*>(a.dy);
  const bool flat = w.flatten();
  parallel(parts, [&](int64_t t) {
    const int64_t begin = t * part, count = least(part, positions - begin);
    const StridedOperand<T, kTileRows<A>> left{dy + begin * g.k, 1, g.k};
    const MatrixOut<A> out{sums + t * size, columns, false, {}};
    if (flat) gemm_blocked<A>(g.k, columns, count, left, StridedOperand<T, kTileCols<A>>{x + begin * g.c, 1, g.c}, out);
    else gemm_blocked<A>(g.k, columns, count, left, PixelTaps<T>{w, x, g.c, begin}, out);
  });
  T* dw = static_cast<T*>(a.dw);
  parallel_blocks(g.k, 1 + 16384 / (columns * parts), [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      A* row = sums + k * columns;
      for (int64_t t = 1; t < parts; ++t)
        for (int64_t i = 0; i < columns; ++i) row[i] += row[t * size + i];
      for (int64_t c = 0; c < g.c; ++c)
        for (int64_t t = 0; t < taps; ++t) dw[k * columns + c * taps + t] = down<T>(row[t * g.c + c]);
    }
  });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
