// SPDX-License-Identifier: MIT
// Padded planes: a copy of a band of image rows in which, under every tap of the window, the sources of consecutive
// columns are consecutive. Rows and columns are dealt out by their remainder mod the window's step; in depth every tap has
// its own copy.
#pragma once
#include "conv_copy.h"

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
        phases(least(w.taps[d], w.step[d] / gcd(w.step[d], w.next[d]))), low(shift(0)), high(low) {
    for (int64_t u = 1; u < w.taps[d]; ++u) {
      const int64_t s = shift(u);
      low = s < low ? s : low;
      high = s > high ? s : high;
    }
  }
  int64_t shift(int64_t u) const { return step == 1 ? first + u * next : floor_div(first + u * next, step); }
  // The source of row 0 (with `low` already added) of a phase's plane; row j's is j * step further.
  int64_t origin(int64_t phase) const { return low * step + first + phase * next - shift(phase) * step; }
  // Of `wide` rows of a phase from row `start` on: [begin, end) are inside the image, the first at source index `from`.
  struct Inside { int64_t begin, end, from; };
  Inside inside(int64_t phase, int64_t start, int64_t wide) const {
    const int64_t s = origin(phase) + start * step, room = size - s;
    const int64_t begin = least(s >= 0 ? 0 : step == 1 ? -s : ceil_div(-s, step), wide);
    const int64_t end = room <= 0 ? 0 : step == 1 ? room : ceil_div(room, step);
    return {begin, end < begin ? begin : least(end, wide), s + begin * step};
  }
};

// A rectangle of the grid of one slice (image, depth).
struct Band { int64_t image, slice, row, rows, column, columns; };

template <class A> struct Planes {
  const ImageWindow w;
  const PlaneAxis down, across;
  int64_t channels, images, per_channel;
  int64_t rows, columns;        // of a band: whole rows of the grid, but for those too long for the cache or the threads
  int64_t bands, cuts;          // of a slice: down, and across
  int64_t wide, pitch;          // cells of a row; from a row to the next: padding between whole rows is shared
  int64_t plane, size;          // cells of a plane; of all, and `slack` more that tiles may read

  // slack: cells that tiles may read past the end; bands cut across are no narrower. A band's planes fit in `cache` bytes, with
  // `beside` more rows of the grid's length.
  Planes(const ImageWindow& window, int64_t c, int64_t n, int64_t slack, int64_t beside, int64_t cache)
      : w(window), down(w, 1), across(w, 2), channels(c), images(n), per_channel(w.taps[0] * down.phases * across.phases) {
    const int64_t reach = across.high - across.low, halo = down.high - down.low, count = channels * per_channel;
    const int64_t cells = cache / int64_t(sizeof(A)), slices = images * w.grid[0];
    columns = across.grid;
    wide = pitch = columns + reach;
    if (across.step == 1) {
      const int64_t left = -across.low, right = wide - left - across.size;
      if (left > 0 && right > 0) pitch -= least(least(left, right), reach);
    }
    const int64_t fit = (cells - halo * count * pitch) / ((count + beside) * pitch);
    const int64_t shared = ceil_div(down.grid, ceil_div(16, slices));  // few slices are cut further, for the threads
    const int64_t few = halo * 2 + ceil_div(2 * slack, pitch);
    rows = least(fit, shared);
    rows = least(rows > few ? rows : few, down.grid);
    bands = ceil_div(down.grid, rows);
    rows = ceil_div(down.grid, bands);

    const int64_t fit_across = cells / ((rows + halo) * count + rows * beside), least_across = 4 * (slack + reach);
    cuts = ceil_div(16, slices * bands);
    if (columns > cuts * fit_across) cuts = fit_across > 0 ? ceil_div(columns, fit_across) : columns;
    cuts = columns < 2 * least_across ? 1 : least(cuts, columns / least_across);
    if (cuts > 1) {
      columns = ceil_div(columns, cuts);
      cuts = ceil_div(across.grid, columns);
      wide = pitch = columns + reach;
    }
    plane = ((rows + halo) * pitch + reach + kLanes<A> + 15) / 16 * 16;  // what whole vectors of positions see under a tap
    if (plane % 32 == 0) plane += 16;                                    // planes in different sets of L1
    size = count * plane + slack + kLanes<A>;
  }

  int64_t tasks() const { return images * w.grid[0] * bands * cuts; }
  int64_t grain(int64_t work) const { return 1 + 100000 / (work * rows * pitch + 1); }  // work: products per position
  Band band(int64_t task) const {
    const int64_t k = task % cuts, b = task / cuts % bands, s = task / cuts / bands, from = across.grid * k / cuts;
    return {s / w.grid[0], s % w.grid[0], b * rows, least(rows, down.grid - b * rows), from, across.grid * (k + 1) / cuts - from};
  }
  int64_t positions(const Band& b) const { return (b.rows - 1) * pitch + b.columns; }

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

  // The planes of a band, every cell of them. A row's stores may run past its end, into what is written after it: a plane's last
  // cells, at least a vector, are exact.
  template <class T> void load(const T* x, const Band& b, A* to) const {
    const bool together = sizeof(A) == 4 && w.stride[1] == 1 && channels >= kLanes<A> / 2;  // adjacent channels are transposed
    const int64_t jump = across.step * w.stride[4];
    const bool masked = kVecBytes == 64 && !together && (jump == 1 || (jump == 2 && wide <= 64));  // rows and the zeros beside them at once
    const int64_t used = b.rows + down.high - down.low, at_once = together ? channels : 1;
    for (int64_t c = 0; c < channels; c += at_once)
      for (int64_t u0 = 0; u0 < w.taps[0]; ++u0) {
        const int64_t s0 = b.slice * w.step[0] + w.first[0] + u0 * w.next[0];
        const T* slice = x + b.image * w.stride[0] + c * w.stride[1] + s0 * w.stride[2];
        const bool inside = uint64_t(s0) < uint64_t(w.size[0]);
        for (int64_t i1 = 0; i1 < down.phases; ++i1)
          for (int64_t i2 = 0; i2 < across.phases; ++i2, to += plane) {
            const PlaneAxis::Inside cut = across.inside(i2, b.column, wide);
            const auto each = [&](A* first, const auto& f) {
              for (int64_t i = 0; i < at_once; ++i) f(first + i * per_channel * plane);
            };
            int64_t s1 = b.row * down.step + down.origin(i1);
            for (int64_t j = 0; j < used; ++j, s1 += down.step) {
              A* const row = to + j * pitch;
              if (!inside || uint64_t(s1) >= uint64_t(down.size)) { each(row, [&](A* r) { zero_row(r, wide); }); continue; }
              const T* const from = slice + s1 * w.stride[3] + cut.from * w.stride[4];
              if (masked) {
                for (int64_t i = 0; i < wide; i += kLanes<A>)
                  vstore(row + i, vload_masked(from + (i - cut.begin) * jump, lanes_between(cut.begin - i, cut.end - i), jump));
                continue;
              }
              each(row, [&](A* r) { zero_row(r, cut.begin); });
              if (together) split_pixels(from, across.step * w.stride[4], cut.end - cut.begin, channels, row + cut.begin, per_channel * plane);
              else copy_row(from, across.step * w.stride[4], cut.end - cut.begin, row + cut.begin);
              each(row, [&](A* r) { zero_row(r + cut.end, wide - cut.end); });
            }
            const int64_t rest = (used - 1) * pitch + wide;
            each(to + rest, [&](A* r) { __builtin_memset(r, 0, size_t(plane - rest) * sizeof(A)); });
          }
      }
  }
};

// Where the positions of a band's tiles go in the result: the runs of consecutive valid columns of each tile in turn.
struct PlaneRuns {
  struct Piece { int64_t to; int32_t from, length; };
  Piece piece[8 * kLanes<float>];
  int count = 0;
  const int64_t width;
  int64_t row = 0, column = 0;  // of the next tile

  explicit PlaneRuns(int64_t tile_width) : width(tile_width) {}

  template <class A, class T> void next(const Planes<A>& p, const ImageOut<T>& out, const Band& b) {
    const int64_t base = b.image * out.stride[0] + b.slice * out.stride[2] + b.column * out.stride[4];
    count = 0;
    for (int64_t i = 0;; ++row) {
      const int64_t n = least(b.columns - column, width - i);
      if (n > 0 && row < b.rows)
        piece[count++] = {base + (b.row + row) * out.stride[3] + column * out.stride[4], int32_t(i), int32_t(n)};
      if (i + p.pitch - column > width) { column += width - i; return; }
      i += p.pitch - column;
      column = 0;
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
