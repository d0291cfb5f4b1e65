// SPDX-License-Identifier: MIT
// Padded planes: a copy of a band of image rows in which, under every tap of the window, the sources of consecutive
// columns are consecutive. Rows and columns are dealt out by their remainder mod the window's step; in depth every tap has
// its own copy.
#pragma once
#include "conv_columns.h"

namespace lamella {
namespace LAMELLA_ISA {

constexpr int kPlanesSlot = 6;  // scratch slots 6 (the caller's tables) and 7 (a task's planes)

LAMELLA_INLINE int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }
LAMELLA_INLINE int64_t gcd(int64_t a, int64_t b) {
  while (b) { int64_t t = a % b; a = b; b = t; }
  return a < 0 ? -a : a;
}

// One dim of a window: tap u of grid position g reads row g + shift(u) of the source rows with remainder phase(u % phases).
struct PlaneAxis {
  int64_t grid, size, step, first, next, phases, low, high;  // low, high: the range of shifts
  PlaneAxis(const ImageWindow& w, int d)
      : grid(w.grid[d]), size(w.size[d]), step(w.step[d]), first(w.first[d]), next(w.next[d]),
        phases(lesser(w.taps[d], w.step[d] / gcd(w.step[d], w.next[d]))), low(shift(0)), high(low) {
    for (int64_t u = 1; u < w.taps[d]; ++u) {
      const int64_t s = shift(u);
      low = s < low ? s : low;
      high = s > high ? s : high;
    }
  }
  int64_t shift(int64_t u) const { return floor_div(first + u * next, step); }
  // The source of row 0 (with `low` already added) of a phase's plane; row j's is j * step further.
  int64_t origin(int64_t phase) const { return low * step + first + phase * next - shift(phase) * step; }
};

// Consecutive rows of the grid of one slice (image, depth).
struct Band { int64_t image, slice, row, rows; };

template <class A> struct Planes {
  const ImageWindow w;
  const PlaneAxis down, across;
  int64_t channels, images, per_channel;
  int64_t wide, pitch;          // cells of a row; from a row to the next: padding between rows is shared
  int64_t rows, bands;          // rows of the grid in a band; bands of a slice
  int64_t plane, size;          // cells of a plane; of all, and `slack` more that tiles may read

  Planes(const ImageWindow& window, int64_t c, int64_t n, int64_t slack)
      : w(window), down(w, 1), across(w, 2), channels(c), images(n), per_channel(w.taps[0] * down.phases * across.phases) {
    wide = pitch = across.grid + across.high - across.low;
    if (across.step == 1) {
      const int64_t left = -across.low, right = wide - left - across.size;
      if (left > 0 && right > 0) pitch -= lesser(lesser(left, right), across.high - across.low);
    }
    // A band fits in half of a small L2; slices of few images are cut further, for the threads.
    const int64_t halo = down.high - down.low, row_cells = channels * per_channel * pitch;
    const int64_t fit = int64_t(160 << 10) / (row_cells * int64_t(sizeof(A))) - halo;
    const int64_t shared = div_up(down.grid, div_up(16, images * w.grid[0]));
    const int64_t least = halo * 2 + div_up(2 * slack, pitch);
    rows = lesser(fit, shared);
    rows = lesser(rows > least ? rows : least, down.grid);
    bands = div_up(down.grid, rows);
    rows = div_up(down.grid, bands);
    plane = ((rows + halo) * pitch + wide - pitch + 15) / 16 * 16;
    if (plane % 32 == 0) plane += 16;  // planes in different sets of L1
    size = channels * per_channel * plane + slack + kLanes<A>;
  }

  int64_t tasks() const { return images * w.grid[0] * bands; }
  int64_t grain(int64_t work) const { return 1 + 100000 / (work * rows * pitch + 1); }  // work: products per position
  Band band(int64_t task) const {
    const int64_t b = task % bands, s = task / bands;
    return {s / w.grid[0], s % w.grid[0], b * rows, lesser(rows, down.grid - b * rows)};
  }
  int64_t positions(const Band& b) const { return (b.rows - 1) * pitch + across.grid; }

  // Of every (channel, tap): from a position's place to its source's.
  void offsets(int32_t* to) const {
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t u0 = 0; u0 < w.taps[0]; ++u0)
        for (int64_t u1 = 0; u1 < w.taps[1]; ++u1)
          for (int64_t u2 = 0; u2 < w.taps[2]; ++u2) {
            const int64_t at = ((c * w.taps[0] + u0) * down.phases + u1 % down.phases) * across.phases + u2 % across.phases;
            *to++ = int32_t(at * plane + (down.shift(u1) - down.low) * pitch + across.shift(u2) - across.low);
          }
  }

  // The planes of a band. In order of address: a store may run past its row's end into what comes next.
  template <class T> void load(const T* x, const Band& b, A* to) const {
    const int64_t halo = down.high - down.low;
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t u0 = 0; u0 < w.taps[0]; ++u0) {
        const int64_t s0 = b.slice * w.step[0] + w.first[0] + u0 * w.next[0];
        const T* slice = x + b.image * w.stride[0] + c * w.stride[1] + s0 * w.stride[2];
        const bool inside = uint64_t(s0) < uint64_t(w.size[0]);
        for (int64_t i1 = 0; i1 < down.phases; ++i1)
          for (int64_t i2 = 0; i2 < across.phases; ++i2, to += plane) {
            int64_t s1 = b.row * down.step + down.origin(i1);
            const int64_t used = b.rows + halo;
            for (int64_t j = 0; j < used; ++j, s1 += down.step)
              load_row(inside && uint64_t(s1) < uint64_t(down.size) ? slice + s1 * w.stride[3] : nullptr, i2, to + j * pitch);
            zero(to + (used - 1) * pitch + wide, plane - (used - 1) * pitch - wide);
          }
      }
  }

 private:
  static void zero(A* to, int64_t n) {
    for (int64_t i = 0; i < n; i += kLanes<A>) vstore(to + i, vec<A>{});
  }
  template <class T> void load_row(const T* row, int64_t phase, A* to) const {
    if (!row) return zero(to, wide);
    constexpr int L = kLanes<A>;
    const int64_t s = across.origin(phase), jump = across.step * w.stride[4];
    const int64_t begin = s >= 0 ? 0 : lesser(div_up(-s, across.step), wide);
    const int64_t end = s >= across.size ? begin : lesser(div_up(across.size - s, across.step), wide);
    zero(to, begin);
    const T* from = row + s * w.stride[4];
    if (jump == 1) {
      for (int64_t i = begin; i < end; i += L) vstore(to + i, end - i < L ? vload(from + i, end - i) : vload(from + i));
    } else {
      for (int64_t i = begin; i < end; i += L)
        vstore(to + i, vload_masked(from + i * jump, lanes_between(0, end - i < L ? end - i : L), jump));
    }
    zero(to + end, wide - end);
  }
};

// Where a tile's positions go in the result: its runs of consecutive valid columns.
struct PlaneRuns {
  struct Piece { int64_t to; int32_t from, length; };
  static constexpr int kMost = 8 * kLanes<float>;
  Piece piece[kMost];
  int count = 0, width;

  template <class A, class T>
  PlaneRuns(const Planes<A>& p, const ImageOut<T>& out, const Band& b, int64_t at, int tile_width) : width(tile_width) {
    int64_t row = at / p.pitch, column = at % p.pitch;
    const int64_t base = b.image * out.stride[0] + b.slice * out.stride[2];
    for (int64_t i = 0; i < width && row < b.rows; i += p.pitch - column, ++row, column = 0) {
      const int64_t n = lesser(p.across.grid - column, width - i);
      if (n > 0) piece[count++] = {base + (b.row + row) * out.stride[3] + column * out.stride[4], int32_t(i), int32_t(n)};
    }
  }
  template <class T> void write(const ImageOut<T>& out, int64_t first, int rows, const acc_t<T>* tile) const {
    using A = acc_t<T>;
    for (int r = 0; r < rows; ++r) {
      T* y = out.y + (first + r) * out.stride[1];
      const A bias = out.bias ? up(out.bias[first + r]) : A(0);
      for (int i = 0; i < count; ++i) out.write(y + piece[i].to, tile + r * width + piece[i].from, piece[i].length, bias);
    }
  }
};

}  // namespace LAMELLA_ISA
}  // namespace lamella
