// SPDX-License-Identifier: MIT
// An image seen as the right operand of a product: one column per output position, one row per (channel, tap). Nothing
// is materialised: panels are gathered while gemm_core packs them.
#pragma once
#include "activation.h"
#include "gemm_core.h"

namespace lamella {
namespace LAMELLA_ISA {

// Column j is position (g0, g1, g2) of image j / (grid volume); row (c * taps + tap) is channel c under tap (u0, u1, u2).
// Along each dim the source index is g * step + first + u * next; outside [0, size) it reads zero.
struct ImageWindow {
  int64_t grid[3], size[3], taps[3], step[3], first[3], next[3];
  int64_t stride[5];  // of the source: image, channel, depth, height, width
  int64_t volume() const { return grid[0] * grid[1] * grid[2]; }
  int64_t tap_count() const { return taps[0] * taps[1] * taps[2]; }

  // Where every position is its own source (1x1, stride 1, no padding) and rows lie end to end: one long row.
  void flatten() {
    if (tap_count() != 1 || stride[3] != size[2] * stride[4] || stride[2] != size[1] * stride[3]) return;
    for (int d = 0; d < 3; ++d)
      if (grid[d] != size[d] || step[d] != 1 || first[d] != 0) return;
    grid[2] = size[2] = volume();
    grid[0] = grid[1] = size[0] = size[1] = 1;
  }
};

struct Tap { int64_t channel, at[3]; };  // at: offset along each dim

LAMELLA_INLINE Tap tap_of(const ImageWindow& w, int64_t row) {
  Tap t;
  int64_t u2 = row % w.taps[2]; row /= w.taps[2];
  int64_t u1 = row % w.taps[1]; row /= w.taps[1];
  int64_t u0 = row % w.taps[0]; row /= w.taps[0];
  t.channel = row;
  t.at[0] = w.first[0] + u0 * w.next[0];
  t.at[1] = w.first[1] + u1 * w.next[1];
  t.at[2] = w.first[2] + u2 * w.next[2];
  return t;
}

// Consecutive columns within one row of the grid.
struct Run { int64_t base, g0, g1, g2; int length; };

// The runs of columns [first, first + count); at most `count` of them. Returns how many.
static int runs_of(const ImageWindow& w, int64_t first, int count, Run* runs) {
  int n = 0;
  int64_t g2 = first % w.grid[2], rest = first / w.grid[2];
  int64_t g1 = rest % w.grid[1]; rest /= w.grid[1];
  int64_t g0 = rest % w.grid[0], image = rest / w.grid[0];
  while (count > 0) {
    int length = w.grid[2] - g2 < count ? int(w.grid[2] - g2) : count;
    runs[n++] = {image * w.stride[0], g0, g1, g2, length};
    count -= length;
    g2 = 0;
    if (++g1 == w.grid[1]) {
      g1 = 0;
      if (++g0 == w.grid[0]) { g0 = 0; ++image; }
    }
  }
  return n;
}

// One row of a run: out[i] = source of column i under the tap, i < length.
template <class T> LAMELLA_INLINE void gather_run(const ImageWindow& w, const T* x, const Run& r, const Tap& t, acc_t<T>* out) {
  using A = acc_t<T>;
  const int64_t s0 = r.g0 * w.step[0] + t.at[0], s1 = r.g1 * w.step[1] + t.at[1];
  if (uint64_t(s0) >= uint64_t(w.size[0]) || uint64_t(s1) >= uint64_t(w.size[1])) {
    for (int i = 0; i < r.length; ++i) out[i] = A(0);
    return;
  }
  const T* row = x + r.base + t.channel * w.stride[1] + s0 * w.stride[2] + s1 * w.stride[3];
  const int64_t s2 = r.g2 * w.step[2] + t.at[2], step = w.step[2];
  int from = s2 >= 0 ? 0 : int((-s2 + step - 1) / step);              // first column whose source is inside
  int64_t inside = s2 < w.size[2] ? (w.size[2] - s2 + step - 1) / step : 0;
  int to = inside < r.length ? int(inside) : r.length;
  if (from > to) from = to;
  for (int i = 0; i < from; ++i) out[i] = A(0);
  const int64_t jump = step * w.stride[4];
  const T* p = row + s2 * w.stride[4];
  if (jump == 1) {
    int i = from;
    for (; i + kLanes<A> <= to; i += kLanes<A>) vstore(out + i, vload(p + i));
    if (i < to) vstore(out + i, vload(p + i, to - i), to - i);
  } else {
    for (int i = from; i < to; ++i) out[i] = up(p[i * jump]);
  }
  for (int i = to; i < r.length; ++i) out[i] = A(0);
}

// Right operand with one column per position: rows of the product's k are (channel, tap).
template <class T> struct ColumnsOperand {
  using A = acc_t<T>;
  ImageWindow w;
  const T* x;
  void pack(A* panel, int64_t first, int count, int64_t p, int64_t depth) const {
    constexpr int R = kTileCols<A>;
    Run runs[R];
    const int n = runs_of(w, first, count, runs);
    for (int64_t q = 0; q < depth; ++q, panel += R) {
      const Tap t = tap_of(w, p + q);
      A* out = panel;
      for (int r = 0; r < n; ++r) {
        gather_run(w, x, runs[r], t, out);
        out += runs[r].length;
      }
      for (int i = count; i < R; ++i) panel[i] = A(0);
    }
  }
};

// The same image transposed: one column per (channel, tap), k runs over positions from `begin` on.
template <class T> struct TapsOperand {
  using A = acc_t<T>;
  ImageWindow w;
  const T* x;
  int64_t begin;
  void pack(A* panel, int64_t first, int count, int64_t p, int64_t depth) const {
    constexpr int R = kTileCols<A>;
    alignas(64) A rows[R * kBlockDepth];
    Run runs[kBlockDepth];
    const int n = runs_of(w, begin + p, int(depth), runs);
    for (int i = 0; i < count; ++i) {
      const Tap t = tap_of(w, first + i);
      A* out = rows + i * kBlockDepth;
      for (int r = 0; r < n; ++r) {
        gather_run(w, x, runs[r], t, out);
        out += runs[r].length;
      }
    }
    pack_transposed<A, R>(panel, rows, kBlockDepth, count, depth);
  }
};

// Left operand: rows are channels of dy, k runs over positions from `begin` on. stride: image, channel; positions of an
// image lie `step` apart.
template <class T> struct ChannelsOperand {
  using A = acc_t<T>;
  const T* dy;
  int64_t image, channel, step, volume, begin;
  void pack(A* panel, int64_t first, int count, int64_t p, int64_t depth) const {
    constexpr int R = kTileRows<A>;
    for (int64_t q = 0; q < depth;) {
      const int64_t at = begin + p + q, pos = at % volume;
      const int64_t n = volume - pos < depth - q ? volume - pos : depth - q;
      const T* from = dy + at / volume * image + first * channel + pos * step;
      if (step == 1) pack_transposed<T, R>(panel + q * R, from, channel, count, n);
      else
        for (int64_t i = 0; i < n; ++i)
          for (int r = 0; r < R; ++r) panel[(q + i) * R + r] = r < count ? up(from[r * channel + i * step]) : A(0);
      q += n;
    }
  }
};

// Left operand of the input gradient: rows are input channels, k is (output channel, tap of the phase).
template <class T> struct PhaseWeights {
  using A = acc_t<T>;
  const T* w;                                  // of the group
  int64_t channels, taps[3], first[3], next[3], kernel[3];
  void pack(A* panel, int64_t row, int count, int64_t p, int64_t depth) const {
    constexpr int R = kTileRows<A>;
    const int64_t volume = kernel[0] * kernel[1] * kernel[2];
    for (int64_t q = 0; q < depth; ++q) {
      int64_t r = p + q;
      const int64_t u2 = r % taps[2]; r /= taps[2];
      const int64_t u1 = r % taps[1]; r /= taps[1];
      const int64_t u0 = r % taps[0]; r /= taps[0];
      const int64_t tap = ((first[0] + u0 * next[0]) * kernel[1] + first[1] + u1 * next[1]) * kernel[2] + first[2] +
                          u2 * next[2];
      const T* from = w + (r * channels + row) * volume + tap;
      for (int i = 0; i < R; ++i) panel[q * R + i] = i < count ? up(from[i * volume]) : A(0);
    }
  }
};

// The result: column j of channel i belongs to position j % volume of image j / volume, at `step` per grid position.
template <class T> struct ImageOut {
  using A = acc_t<T>;
  static constexpr bool kDirect = false;
  T* y;
  const T* bias;                               // per channel, or null
  Act act;
  int64_t grid[3], stride[5];                  // image, channel, and per grid step along each dim
  A* at(int64_t, int64_t) const { return nullptr; }
  int64_t row = 0;
  bool accumulate = false;

  void finish(int64_t i, int64_t j, int rows, int cols, A* tile, int64_t tile_stride) const {
    const int64_t inner = grid[2];
    const bool rows_join = stride[3] == inner * stride[4], planes_join = stride[2] == grid[1] * stride[3];
    const int64_t length = !rows_join ? inner : !planes_join ? inner * grid[1] : inner * grid[1] * grid[0];
    for (int done = 0; done < cols;) {
      int64_t at = j + done;
      const int64_t g = at % length;
      int64_t rest = at / length, offset = g * stride[4];
      if (!rows_join) { offset += rest % grid[1] * stride[3]; rest /= grid[1]; }
      if (!rows_join || !planes_join) { offset += rest % grid[0] * stride[2]; rest /= grid[0]; }
      offset += rest * stride[0];
      const int n = length - g < cols - done ? int(length - g) : cols - done;
      for (int r = 0; r < rows; ++r)
        write(y + offset + (i + r) * stride[1], tile + r * tile_stride + done, n, bias ? up(bias[i + r]) : A(0));
      done += n;
    }
  }

  void write(T* to, const A* from, int n, A b) const {
    constexpr int L = kLanes<A>;
    for (int s = 0; s < n; s += L) {
      const int m = n - s < L ? n - s : L;
      vec<A> v = (m == L ? vload(from + s) : vload(from + s, m)) + b;
      if (act != Act::none) v = apply_act(act, v);
      if (stride[4] != 1) {
        for (int l = 0; l < m; ++l) to[(s + l) * stride[4]] = down<T>(v[l]);
      } else if (m == L) {
        vstore(to + s, v);
      } else {
        vstore(to + s, v, m);
      }
    }
  }
};

}  // namespace LAMELLA_ISA
}  // namespace lamella
