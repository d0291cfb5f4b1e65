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
  int64_t reach(int d) const { return (taps[d] - 1) * next[d] + 1; }  // from the first tap's source to the last one's, both counted

  // Where every position is its own source (1x1, stride 1, no padding) and rows lie end to end: one long row.
  bool flatten() {
    if (tap_count() != 1 || stride[3] != size[2] * stride[4] || stride[2] != size[1] * stride[3]) return false;
    for (int d = 0; d < 3; ++d)
      if (grid[d] != size[d] || step[d] != 1 || first[d] != 0) return false;
    grid[2] = size[2] = volume();
    grid[0] = grid[1] = size[0] = size[1] = 1;
    return true;
  }
};

// Whether most lanes of the vectors that n positions of a row take are theirs.
template <class A> LAMELLA_INLINE bool fills_vectors(int64_t n) { return n * 10 >= ceil_div(n, kLanes<A>) * kLanes<A> * 7; }

// Images (n, groups * channels) under a window, and results (n, groups * rows).
struct ConvShape { int64_t images, groups, channels, rows; };

// The taps of one channel in order; the product's row (channel, tap) is taps.count() * channel + tap.
struct Tap {
  int64_t u[3];
  static Tap of(const ImageWindow& w, int64_t tap) {
    return {{tap / (w.taps[1] * w.taps[2]), tap / w.taps[2] % w.taps[1], tap % w.taps[2]}};
  }
  bool next(const ImageWindow& w) {  // false: past the last, back at the first
    if (++u[2] < w.taps[2]) return true;
    u[2] = 0;
    if (++u[1] < w.taps[1]) return true;
    u[1] = 0;
    if (++u[0] < w.taps[0]) return true;
    u[0] = 0;
    return false;
  }
};

// Consecutive columns within one row of the grid.
struct Run { int64_t base, g0, g1, g2; int length; };

// The runs of columns [first, first + count); at most `count` of them. Returns how many.
static int runs_of(const ImageWindow& w, int64_t first, int count, Run* runs) {
  int n = 0;
  const Division row(first, w.grid[2]), slice(row.quotient, w.grid[1]), image_slice(slice.quotient, w.grid[0]);
  int64_t g2 = row.rest, g1 = slice.rest, g0 = image_slice.rest, image = image_slice.quotient;
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

// Lanes i with a <= i < b.
LAMELLA_INLINE uint32_t lanes_between(int64_t a, int64_t b) {
  a = a < 0 ? 0 : a > 32 ? 32 : a;
  b = b < a ? a : b > 32 ? 32 : b;
  return uint32_t((uint64_t(1) << b) - (uint64_t(1) << a));
}

// What one tap sees: columns g2 in [begin, end) of a grid row have their source inside the image.
struct Sight {
  int64_t at[3], begin, end;
  Sight(const ImageWindow& w, const Tap& t) {
    for (int d = 0; d < 3; ++d) at[d] = w.first[d] + t.u[d] * w.next[d];
    const int64_t step = w.step[2], after = w.size[2] - at[2];
    begin = at[2] >= 0 ? 0 : step == 1 ? -at[2] : (-at[2] + step - 1) / step;
    end = after <= 0 ? 0 : step == 1 ? after : (after + step - 1) / step;
  }
  LAMELLA_INLINE bool row_inside(const ImageWindow& w, const Run& r) const {
    return uint64_t(r.g0 * w.step[0] + at[0]) < uint64_t(w.size[0]) && uint64_t(r.g1 * w.step[1] + at[1]) < uint64_t(w.size[1]);
  }
  // The part [from, to) of a run that is inside, and where its column 0 would be read: offset from the channel.
  LAMELLA_INLINE int64_t look(const ImageWindow& w, const Run& r, int64_t& from, int64_t& to) const {
    const int64_t s0 = r.g0 * w.step[0] + at[0], s1 = r.g1 * w.step[1] + at[1], s2 = r.g2 * w.step[2] + at[2];
    from = begin - r.g2 < 0 ? 0 : begin - r.g2;
    to = end - r.g2 < r.length ? end - r.g2 : r.length;
    if (!row_inside(w, r) || to < from) from = to = 0;
    return r.base + s0 * w.stride[2] + s1 * w.stride[3] + s2 * w.stride[4];
  }
};

// Right operand with one column per position: rows of the product's k are (channel, tap).
template <class T> struct ColumnsOperand {
  using A = acc_t<T>;
  ImageWindow w;
  const T* x;

  // At most a vector of columns of one run, as one tap sees them: lanes of `mask` are inside the image.
  struct Piece { int64_t offset; uint32_t mask; int32_t at; };

  void pack(A* panel, int64_t first, int count, int64_t p, int64_t depth) const {
    constexpr int R = kTileCols<A>, L = kLanes<A>;
    Run runs[R];
    const int n = runs_of(w, first, count, runs);
    const int64_t taps = w.tap_count(), used = least(taps, depth), jump = w.step[2] * w.stride[4];
    Piece shape[R + 1];                        // under a tap at offset 0; mask: lanes there are
    int owner[R + 1], per_tap = 0, at = 0;     // the run each belongs to
    int64_t column[R + 1];                     // and where in the grid's row it starts
    for (int r = 0; r < n; ++r) {
      const int64_t from = runs[r].base + runs[r].g0 * w.step[0] * w.stride[2] + runs[r].g1 * w.step[1] * w.stride[3];
      for (int s = 0; s < runs[r].length; s += L, ++per_tap) {
        const int lanes = runs[r].length - s < L ? runs[r].length - s : L;
        shape[per_tap] = {from + (runs[r].g2 + s) * jump, uint32_t((uint64_t(1) << lanes) - 1), at + s};
        owner[per_tap] = r, column[per_tap] = runs[r].g2 + s;
      }
      at += runs[r].length;
    }
    for (; at < R; at += L, ++per_tap) shape[per_tap] = {0, 0, at}, owner[per_tap] = 0, column[per_tap] = 0;  // past the end

    // Of all taps, or of those this block has: Sight's range of columns, cut to each piece.
    Piece* const pieces = static_cast<Piece*>(scratch(size_t(taps * per_tap) * sizeof(Piece), kPieceSlot));
    Tap tap = Tap::of(w, p % taps);
    uint32_t seen[R];                          // runs whose row is inside the image under (u0, u1)
    for (int64_t i = 0, t = p % taps; i < used; ++i) {
      const Sight sight(w, tap);
      if (i == 0 || tap.u[2] == 0)
        for (int r = 0; r < n; ++r) seen[r] = sight.row_inside(w, runs[r]) ? ~0u : 0;
      const int64_t shift = sight.at[0] * w.stride[2] + sight.at[1] * w.stride[3] + sight.at[2] * w.stride[4];
      Piece* e = pieces + t * per_tap;
      for (int k = 0; k < per_tap; ++k) {
        const uint32_t inside = lanes_between(sight.begin - column[k], sight.end - column[k]);
        e[k] = {shape[k].offset + shift, shape[k].mask & seen[owner[k]] & inside, shape[k].at};
      }
      if (tap.next(w)) ++t;
      else t = 0;
    }
    if (jump == 1) fill<true>(panel, pieces, per_tap, taps, p, depth, 1);
    else fill<false>(panel, pieces, per_tap, taps, p, depth, jump);
  }

 private:
  static constexpr int kPieceSlot = 9;
  template <bool adjacent>
  void fill(A* panel, const Piece* pieces, int per_tap, int64_t taps, int64_t p, int64_t depth, int64_t jump) const {
    constexpr int R = kTileCols<A>, L = kLanes<A>;
    const T* channel = x + p / taps * w.stride[1];
    for (int64_t q = 0, t = p % taps; q < depth; ++q, panel += R) {
      const Piece* e = pieces + t * per_tap;
      for (int i = 0; i < per_tap; ++i) {  // in order: a piece shorter than a vector is overwritten by the next
        const vec<A> v = vload_masked(channel + e[i].offset, e[i].mask, adjacent ? 1 : jump);
        if (e[i].at + L <= R) vstore(panel + e[i].at, v);
        else vstore(panel + e[i].at, v, R - e[i].at);
      }
      if (++t == taps) t = 0, channel += w.stride[1];
    }
  }
};

// Left operand of the input gradient: rows are input channels, k is (output channel, tap of the phase).
template <class T> struct PhaseWeights {
  using A = acc_t<T>;
  const T* w;                                  // of the group
  int64_t channels, apart;                     // apart: from a row's weights to the next one's
  int64_t taps[3], first[3], next[3], kernel[3];
  // Tap t of the phase, as the kernel counts it.
  LAMELLA_INLINE int64_t tap(int64_t t) const {
    const int64_t u2 = t % taps[2], u1 = t / taps[2] % taps[1], u0 = t / (taps[1] * taps[2]);
    return ((first[0] + u0 * next[0]) * kernel[1] + first[1] + u1 * next[1]) * kernel[2] + first[2] + u2 * next[2];
  }
  // Of input channel `row`, and where in k.
  LAMELLA_INLINE const T* source(int64_t row, int64_t k) const {
    const int64_t count = taps[0] * taps[1] * taps[2], volume = kernel[0] * kernel[1] * kernel[2];
    return w + (k / count * channels + row) * volume + tap(k % count);
  }
  void pack(A* panel, int64_t row, int count, int64_t p, int64_t depth) const {
    constexpr int R = kTileRows<A>;
    const int64_t volume = kernel[0] * kernel[1] * kernel[2];
    for (int64_t q = 0; q < depth; ++q) {
      const T* from = source(row, p + q);
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
  const A* start(int64_t) const { return nullptr; }

  void finish(int64_t i, int64_t j, int rows, int cols, A* tile, int64_t tile_stride) const {
    const int64_t inner = grid[2];
    const bool rows_join = stride[3] == inner * stride[4], planes_join = stride[2] == grid[1] * stride[3];
    const int64_t length = !rows_join ? inner : !planes_join ? inner * grid[1] : inner * grid[1] * grid[0];
    for (int done = 0; done < cols;) {
      const Division at(j + done, length);
      int64_t rest = at.quotient, offset = at.rest * stride[4];
      if (!rows_join) { const Division d(rest, grid[1]); offset += d.rest * stride[3]; rest = d.quotient; }
      if (grid[0] > 1 && !(rows_join && planes_join)) { const Division d(rest, grid[0]); offset += d.rest * stride[2]; rest = d.quotient; }
      offset += rest * stride[0];
      const int n = int(least(length - at.rest, cols - done));
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
