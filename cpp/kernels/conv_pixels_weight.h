// SPDX-License-Identifier: MIT
// The weight gradient of convolution of images whose channels are adjacent: a product over positions, whose operands are
// runs of channels.
#pragma once
#include "conv_pixels.h"

namespace lamella {
namespace LAMELLA_ISA {

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

// dw: sums over positions, in parts, added in order, where the result alone makes too few tasks.
template <class T> static void pixels_weight(const ConvBwdWeight& a, ImageWindow w, const ConvShape& d) {
  using A = acc_t<T>;
  const ConvGeometry& g = a.g;
  const int64_t channels = d.channels, rows = d.rows, taps = w.tap_count(), columns = taps * channels;
  const int64_t size = rows * columns, positions = g.n * w.volume();
  const int64_t cheap = (1 << 20) / size, most = cheap < 4 ? 4 : least(cheap, 32);  // parts whose sums are cheap to add
  const int64_t blocks = ceil_div(positions, kBlockDepth);
  const int64_t part = size < 524288 ? ceil_div(blocks, least(blocks, most)) * kBlockDepth : positions;
  const int64_t parts = ceil_div(positions, part);
  const int64_t step = size < 524288 ? kBlockDepth : positions;  // positions at once: they stay in L2
  A* const sums = static_cast<A*>(scratch(size_t(g.groups * parts * size) * sizeof(A), kPixelSlot));
  const bool flat = w.flatten();
  parallel(g.groups * parts, [&](int64_t t) {
    const int64_t group = t / parts, first = t % parts * part, last = least(first + part, positions);
    const T* x = static_cast<const T*>(a.x) + group * channels;
    const T* dy = static_cast<const T*>(a.dy) + group * rows;
    for (int64_t begin = first; begin < last; begin += step) {
      const int64_t count = least(step, last - begin);
      const StridedOperand<T, kTileRows<A>> left{dy + begin * g.k, 1, g.k};
      const MatrixOut<A> out{sums + t * size, columns, begin > first, {}};
      if (flat) gemm_blocked<A>(rows, columns, count, left, StridedOperand<T, kTileCols<A>>{x + begin * g.c, 1, g.c}, out);
      else gemm_blocked<A>(rows, columns, count, left, PixelTaps<T>{w, x, channels, begin}, out);
    }
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
