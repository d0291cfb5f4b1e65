// SPDX-License-Identifier: MIT
// Padding row by row: each row of y takes one of x with its borders, or the value. Long rows are cut.
#include "copy.h"

namespace lamella {
namespace LAMELLA_ISA {

constexpr int64_t kPadGrain = 32768;  // elements written by one task

template <class T> __attribute__((noinline)) static void fill_row(T* y, int64_t n, T value) {
  for (int64_t i = 0; i < n; ++i) y[i] = value;
}

template <class T> LAMELLA_INLINE void store_all(T* y, T value) {  // a vector of it
  typedef T V __attribute__((vector_size(kVecBytes)));
  const V v = V{} + value;
  std::memcpy(y, &v, sizeof v);
}

// y: `before` elements, those of x, `after` elements; n > 0.
template <class T> LAMELLA_INLINE void pad_row(PadMode mode, const T* x, int64_t n, int64_t before, int64_t after, T value, T* y) {
  constexpr int64_t L = kVecBytes / sizeof(T);
  T *const middle = y + before, *const end = middle + n;
  if (mode == PadMode::constant || mode == PadMode::replicate) {
    const T left = mode == PadMode::constant ? value : x[0], right = mode == PadMode::constant ? value : x[n - 1];
    if (before + after <= 4) {
      for (int64_t i = 0; i < before; ++i) y[i] = left;
      for (int64_t i = 0; i < after; ++i) end[i] = right;
    } else if (before <= L && after <= L && n + after >= L) {  // what is too much, the middle covers
      if (before) store_all(y, left);
      if (after) store_all(end + after - L, right);
    } else {
      fill_row(y, before, left);
      fill_row(end, after, right);
    }
  } else if (mode == PadMode::reflect) {
    for (int64_t i = 0; i < before; ++i) y[i] = x[before - i];
    for (int64_t i = 0; i < after; ++i) end[i] = x[n - 2 - i];
  } else {
    for (int64_t i = 0; i < before; ++i) y[i] = x[n - before + i];
    for (int64_t i = 0; i < after; ++i) end[i] = x[i];
  }
  if (n < L) return copy_short(middle, x, n * int64_t(sizeof(T)));
  for (int64_t i = 0; i < n; i += L) {
    if (i > n - L) i = n - L;  // the last vector: some elements twice
    std::memcpy(middle + i, x + i, kVecBytes);
  }
}

// Rows [first, first + count) of a plane of y, from that plane of x; null: there is none. Borders are short: as vector code their
// loops would cost more at their ends.
template <class T> __attribute__((optimize("no-tree-vectorize")))
static void pad_plane(const Pad& a, const T* x, int64_t first, int64_t count, T value, T* y) {
  const int last = a.ndim - 1;
  const int64_t n = a.in[last], m = a.out[last], before = a.before[last], after = m - n - before;
  const int64_t above = last > 0 ? a.before[last - 1] : 0, height = last > 0 ? a.in[last - 1] : 1;
  const PadMode mode = a.mode;
  y += first * m;
  for (int64_t i = first; i < first + count; ++i, y += m) {
    const int64_t from = pad_source(mode, i - above, height);
    if (!x || from < 0 || n == 0) fill_row(y, m, value);
    else pad_row(mode, x + from * n, n, before, after, value, y);
  }
}
// Elements [begin, end) of row `row` of such a plane.
template <class T> __attribute__((optimize("no-tree-vectorize")))
static void pad_part(const Pad& a, const T* x, int64_t row, int64_t begin, int64_t end, T value, T* y) {
  const int last = a.ndim - 1;
  const int64_t n = a.in[last], before = a.before[last];
  const int64_t from = last > 0 ? pad_source(a.mode, row - a.before[last - 1], a.in[last - 1]) : 0;
  y += row * a.out[last];
  if (!x || from < 0) return fill_row(y + begin, end - begin, value);
  x += from * n;
  const auto inside = [&](int64_t i) { return i < begin ? begin : least(i, end); };
  const int64_t first = inside(before), past = inside(before + n);
  const auto border = [&](int64_t i, int64_t stop) {
    if (a.mode == PadMode::constant) return fill_row(y + i, stop - i, value);
    for (; i < stop; ++i) y[i] = x[pad_source(a.mode, i - before, n)];
  };
  border(begin, first);
  copy_bytes(y + first, x + first - before, (past - first) * int64_t(sizeof(T)));
  border(past, end);
}

template <class T> static void pad_of(const Pad& a) {
  const int last = a.ndim - 1;
  const int64_t n = a.in[last], m = a.out[last], rows_in = last > 0 ? a.in[last - 1] : 1, rows_out = last > 0 ? a.out[last - 1] : 1;
  T value;
  std::memcpy(&value, &a.value, sizeof value);
  const T* const x = static_cast<const T*>(a.x);
  T* const y = static_cast<T*>(a.y);
  const auto source = [&](int64_t plane) -> const T* {
    int64_t from = 0, stride = 1;
    for (int d = last - 2; d >= 0; plane /= a.out[d--]) {
      const int64_t i = pad_source(a.mode, plane % a.out[d] - a.before[d], a.in[d]);
      from = from < 0 || i < 0 ? -1 : from + i * stride;
      stride *= a.in[d];
    }
    return from < 0 ? nullptr : x + from * rows_in * n;
  };
  int64_t rows = 1;
  for (int d = 0; d < last; ++d) rows *= a.out[d];
  if (m > 2 * kPadGrain && n > 0) {
    const int64_t parts = ceil_div(m, kPadGrain);
    parallel(rows * parts, [&](int64_t t) {
      const int64_t row = t / parts, plane = row / rows_out, begin = t % parts * kPadGrain;
      pad_part(a, source(plane), row % rows_out, begin, least(begin + kPadGrain, m), value, y + plane * rows_out * m);
    });
    return;
  }
  parallel_blocks(rows, kPadGrain / (m + 16) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t count; begin < end; begin += count) {
      const int64_t plane = begin / rows_out, first = begin % rows_out;
      count = least(rows_out - first, end - begin);
      pad_plane(a, source(plane), first, count, value, y + plane * rows_out * m);
    }
  });
}

void pad(const Pad& a) {
  by_size(a.size, [&](auto t) { pad_of<decltype(t)>(a); });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
