// SPDX-License-Identifier: MIT
// Depthwise convolution (a filter per channel) of images whose channels are adjacent: vectors run across channels, and
// images are read and written where they lie.
#pragma once
#include "conv_pixels.h"

namespace lamella {
namespace LAMELLA_ISA {

LAMELLA_INLINE bool depthwise_apt(const ConvGeometry& g) {
  return g.groups == g.c && g.groups == g.k && pixels_dense(g);
}

// Taps of one dim under which position g lies inside the image. next > 0.
struct TapRange {
  int64_t begin, end, at;  // at: the source under tap 0
  TapRange(const ImageWindow& w, int d, int64_t g) : at(g * w.step[d] + w.first[d]) {
    const int64_t next = w.next[d];
    begin = at >= 0 ? 0 : (-at + next - 1) / next;
    end = least(w.taps[d], w.size[d] <= at ? 0 : (w.size[d] - at + next - 1) / next);
  }
};

// Positions of a row of the grid that tap u2 sees inside: [begin, end).
struct ColumnRange {
  int64_t begin, end;
  ColumnRange(const ImageWindow& w, int64_t u) {
    const int64_t step = w.step[2], at = w.first[2] + u * w.next[2];
    begin = least(at >= 0 ? 0 : (-at + step - 1) / step, w.grid[2]);
    end = least(at >= w.size[2] ? 0 : (w.size[2] - at + step - 1) / step, w.grid[2]);
    end = end < begin ? begin : end;
  }
};

// A row of the grid, and the taps along depth and height that lie inside the image for it.
struct GridRow {
  int64_t image, g0, g1;
  TapRange down0, down1;
  GridRow(const ImageWindow& w, int64_t row)
      : image(row / (w.grid[0] * w.grid[1])), g0(row / w.grid[1] % w.grid[0]), g1(row % w.grid[1]), down0(w, 0, g0), down1(w, 1, g1) {}
  // The source of column 0 of the image under taps u0, u1.
  template <class T> const T* source(const ImageWindow& w, const T* x, int64_t u0, int64_t u1) const {
    return x + image * w.stride[0] + (down0.at + u0 * w.next[0]) * w.stride[2] + (down1.at + u1 * w.next[1]) * w.stride[3];
  }
};

// U adjacent positions of a row, all of which see the taps `across` inside. weights: (tap, channel).
template <class T, int U>
static void depthwise_tile(const ImageWindow& w, const T* x, const GridRow& row, const TapRange& across, int64_t channels,
                           const acc_t<T>* weights, const PixelsOut<T>& out, T* to) {
  using A = acc_t<T>;
  constexpr int L = kLanes<A>;
  const int64_t jump = w.step[2] * w.stride[4], next = w.next[2] * w.stride[4];
  const auto some = [&](int64_t c, auto load, auto store) __attribute__((always_inline)) {
    vec<A> acc[U];
    const vec<A> bias = out.bias ? load(out.bias + c) : vec<A>{};
#pragma GCC unroll 8
    for (int i = 0; i < U; ++i) acc[i] = bias;
    for (int64_t u0 = row.down0.begin; u0 < row.down0.end; ++u0)
      for (int64_t u1 = row.down1.begin; u1 < row.down1.end; ++u1) {
        const T* from = row.source(w, x, u0, u1) + across.at * w.stride[4] + across.begin * next + c;
        const A* weight = weights + ((u0 * w.taps[1] + u1) * w.taps[2] + across.begin) * channels + c;
        for (int64_t u2 = across.begin; u2 < across.end; ++u2, from += next, weight += channels) {
          const vec<A> f = load(weight);
#pragma GCC unroll 8
          for (int i = 0; i < U; ++i) acc[i] = fma(f, load(from + i * jump), acc[i]);
        }
      }
    if (out.act == Act::none) {
#pragma GCC unroll 8
      for (int i = 0; i < U; ++i) store(to + i * out.stride[4] + c, acc[i]);
    } else {  // through memory, so that the function's code stands here once
      A ended[U * L];
#pragma GCC unroll 8
      for (int i = 0; i < U; ++i) vstore(ended + i * L, acc[i]);
#pragma GCC unroll 1
      for (int i = 0; i < U; ++i) store(to + i * out.stride[4] + c, apply_act(out.act, vload(ended + i * L)));
    }
  };
  int64_t c = 0;
  for (; c + L <= channels; c += L)
    some(c, [](auto* p) { return vload(p); }, [](T* p, vec<A> v) { vstore(p, v); });
  if (const int64_t n = channels - c)
    some(c, [n](auto* p) { return vload(p, n); }, [n](T* p, vec<A> v) { vstore(p, v, n); });
}

// out = image under the window, tap by tap; weight(channel, tap).
template <class T, class W>
static void depthwise_product(const ImageWindow& w, const T* x, int64_t images, int64_t channels, const W& weight,
                              const PixelsOut<T>& out) {
  using A = acc_t<T>;
  constexpr int U = 6;
  const int64_t taps = w.tap_count(), rows = images * w.grid[0] * w.grid[1];
  A* const laid = static_cast<A*>(scratch(size_t(taps * channels) * sizeof(A), kPixelSlot));
  for (int64_t t = 0; t < taps; ++t)
    for (int64_t c = 0; c < channels; ++c) laid[t * channels + c] = weight(c, t);
  const int64_t begin = ColumnRange(w, 0).begin, end = ColumnRange(w, w.taps[2] - 1).end;  // where all taps are inside
  parallel_blocks(rows, 1 + 100000 / (w.grid[2] * channels * taps), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const GridRow row(w, r);
      T* const to = out.y + row.image * out.stride[0] + row.g0 * out.stride[2] + row.g1 * out.stride[3];
      for (int64_t i = 0; i < w.grid[2];) {
        const TapRange across(w, 2, i);
        if (i >= begin && i + U <= end) {
          depthwise_tile<T, U>(w, x, row, across, channels, laid, out, to + i * out.stride[4]);
          i += U;
        } else {
          depthwise_tile<T, 1>(w, x, row, across, channels, laid, out, to + i * out.stride[4]);
          ++i;
        }
      }
    }
  });
}

// sums[t][c] += dy . x under taps t, t + 1, ... (Q of them, in one row of the kernel) over a row of the grid. x: under the first.
template <class T, int Q>
static void depthwise_dot(const ImageWindow& w, const T* x, const T* dy, int64_t dy_step, int64_t u, int64_t channels,
                          acc_t<T>* sums) {
  using A = acc_t<T>;
  constexpr int L = kLanes<A>;
  const int64_t jump = w.step[2] * w.stride[4], next = w.next[2] * w.stride[4];
  const int64_t begin = ColumnRange(w, u).begin, end = ColumnRange(w, u + Q - 1).end;  // inside under all
  for (int64_t c = 0; c < channels; c += L) {
    const int64_t n = least(L, channels - c);
    const auto load = [&](const T* p) __attribute__((always_inline)) { return n == L ? vload(p) : vload(p, n); };
    vec<A> acc[Q];
#pragma GCC unroll 4
    for (int q = 0; q < Q; ++q) acc[q] = n == L ? vload(sums + q * channels + c) : vload(sums + q * channels + c, n);
    for (int64_t i = begin; i < end; ++i) {
      const vec<A> g = load(dy + i * dy_step + c);
#pragma GCC unroll 4
      for (int q = 0; q < Q; ++q) acc[q] = fma(g, load(x + i * jump + q * next + c), acc[q]);
    }
#pragma GCC unroll 4
    for (int q = 0; q < Q; ++q) {
      const ColumnRange seen(w, u + q);  // the ends, tap by tap
      const auto one = [&](int64_t i) { acc[q] = fma(load(dy + i * dy_step + c), load(x + i * jump + q * next + c), acc[q]); };
      for (int64_t i = seen.begin; i < least(begin, seen.end); ++i) one(i);
      for (int64_t i = end > begin ? end : begin; i < seen.end; ++i) one(i);
      if (n == L) vstore(sums + q * channels + c, acc[q]);
      else vstore(sums + q * channels + c, acc[q], n);
    }
  }
}
template <class T, int Q = 4, class... Args> static void depthwise_dot_of(int64_t taps, const Args&... args) {
  if constexpr (Q > 1)
    if (taps < Q) return depthwise_dot_of<T, Q - 1>(taps, args...);
  depthwise_dot<T, Q>(args...);
}

// dw: rows of the grid in parts, whose sums are added in order.
template <class T> static void depthwise_weight(const ConvBwdWeight& a, const ImageWindow& w) {
  using A = acc_t<T>;
  const ConvGeometry& g = a.g;
  const int64_t channels = g.c, taps = w.tap_count(), size = taps * channels, rows = g.n * w.grid[0] * w.grid[1];
  const int64_t part = ceil_div(rows, least(32, ceil_div(rows * w.grid[2] * size, 100000))), parts = ceil_div(rows, part);
  A* const sums = static_cast<A*>(scratch(size_t(parts * size) * sizeof(A), kPixelSlot));
  const T* x = static_cast<const T*>(a.x);
  parallel(parts, [&](int64_t p) {
    A* const own = sums + p * size;
    __builtin_memset(own, 0, size_t(size) * sizeof(A));
    for (int64_t r = p * part, end = least(r + part, rows); r < end; ++r) {
      const GridRow row(w, r);
      const T* dy = static_cast<const T*>(a.dy) + row.image * g.y_stride[0] + row.g0 * g.y_stride[2] + row.g1 * g.y_stride[3];
      for (int64_t u0 = row.down0.begin; u0 < row.down0.end; ++u0)
        for (int64_t u1 = row.down1.begin; u1 < row.down1.end; ++u1)
          for (int64_t u = 0; u < w.taps[2]; u += 4)
            depthwise_dot_of<T>(w.taps[2] - u, w, row.source(w, x, u0, u1) + (w.first[2] + u * w.next[2]) * w.stride[4], dy, g.y_stride[4], u,
                                channels, own + ((u0 * w.taps[1] + u1) * w.taps[2] + u) * channels);
    }
  });
  T* const dw = static_cast<T*>(a.dw);
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t t = 0; t < taps; ++t) {
      A total = sums[t * channels + c];
      for (int64_t p = 1; p < parts; ++p) total += sums[p * size + t * channels + c];
      dw[c * taps + t] = down<T>(total);
    }
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
