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

// y is `before` elements, those of x, `after` elements, n > 0. Written here: those of x in [first, last), and the borders beside
// x[0] and x[n - 1].
template <class T>
LAMELLA_INLINE void pad_row(PadMode mode, const T* x, int64_t n, int64_t before, int64_t after, int64_t first, int64_t last, T value, T* y) {
  constexpr int64_t L = kVecBytes / sizeof(T);
  T *const middle = y + before, *const end = middle + n;
  const int64_t left = first == 0 ? before : 0, right = last == n ? after : 0;
  if (mode == PadMode::constant || mode == PadMode::replicate) {
    const T a = mode == PadMode::constant ? value : x[0], b = mode == PadMode::constant ? value : x[n - 1];
    if (left + right <= 4) {
      for (int64_t i = 0; i < left; ++i) y[i] = a;
      for (int64_t i = 0; i < right; ++i) end[i] = b;
    } else if (left <= L && right <= L && last - first + right >= L) {  // what is too much, the middle covers
      if (left) store_all(y, a);
      if (right) store_all(end + right - L, b);
    } else {
      fill_row(y, left, a);
      fill_row(end, right, b);
    }
  } else if (mode == PadMode::reflect) {
    for (int64_t i = 0; i < left; ++i) y[i] = x[before - i];
    for (int64_t i = 0; i < right; ++i) end[i] = x[n - 2 - i];
  } else {
    for (int64_t i = 0; i < left; ++i) y[i] = x[n - before + i];
    for (int64_t i = 0; i < right; ++i) end[i] = x[i];
  }
  if (last - first < L) return copy_short(middle + first, x + first, (last - first) * int64_t(sizeof(T)));
  for (int64_t i = first; i < last; i += L) {
    if (i > last - L) i = last - L;  // the last vector: some elements twice
    std::memcpy(middle + i, x + i, kVecBytes);
  }
}

struct PadPart { int64_t row, rows, first, last; };  // rows of one plane of y; which elements of x's row, as in pad_row

// A part of a plane of y (whole: of whole rows), from that plane of x; null: there is none. Borders are short: as vector code
// their loops would cost more at their ends.
template <bool whole, class T> __attribute__((optimize("no-tree-vectorize")))
static void pad_plane(const Pad& a, const PadPart& part, const T* x, T value, T* y) {
  const int d = a.ndim - 1;
  const int64_t n = a.in[d], m = a.out[d], before = a.before[d], after = m - n - before;
  const int64_t above = d > 0 ? a.before[d - 1] : 0, height = d > 0 ? a.in[d - 1] : 1;
  const int64_t first = whole ? 0 : part.first, last = whole ? n : part.last;
  const int64_t begin = first == 0 ? 0 : before + first, end = last == n ? m : before + last;
  const PadMode mode = a.mode;
  y += part.row * m;
  for (int64_t i = part.row; i < part.row + part.rows; ++i, y += m) {
    const int64_t from = pad_source(mode, i - above, height);
    if (!x || from < 0 || n == 0) fill_row(y + begin, end - begin, value);
    else pad_row(mode, x + from * n, n, before, after, first, last, value, y);
  }
}

template <class T> static void pad_of(const Pad& a) {
  const int d = a.ndim - 1;
  const int64_t n = a.in[d], m = a.out[d], rows_in = d > 0 ? a.in[d - 1] : 1, rows_out = d > 0 ? a.out[d - 1] : 1;
  T value;
  std::memcpy(&value, &a.value, sizeof value);
  const T* const x = static_cast<const T*>(a.x);
  T* const y = static_cast<T*>(a.y);
  int64_t planes = 1;
  for (int k = 0; k < d - 1; ++k) planes *= a.out[k];
  const auto write = [&](auto pad_part, int64_t plane, const PadPart& part) {
    int64_t from = 0, rest = plane, stride = 1;
    for (int k = d - 2; k >= 0; rest /= a.out[k--]) {
      const int64_t i = pad_source(a.mode, rest % a.out[k] - a.before[k], a.in[k]);
      from = from < 0 || i < 0 ? -1 : from + i * stride;
      stride *= a.in[k];
    }
    pad_part(a, part, from < 0 ? nullptr : x + from * rows_in * n, value, y + plane * rows_out * m);
  };
  if (m <= 2 * kPadGrain) {
    parallel_blocks(planes * rows_out, kPadGrain / (m + 16) + 1, [&](int64_t begin, int64_t end) {
      for (int64_t rows; begin < end; begin += rows) {
        rows = least(rows_out - begin % rows_out, end - begin);
        write(pad_plane<true, T>, begin / rows_out, {begin % rows_out, rows, 0, n});
      }
    });
    return;
  }
  const int64_t cuts = n > kPadGrain ? ceil_div(n, kPadGrain) : 1;
  parallel(planes * rows_out * cuts, [&](int64_t t) {
    const int64_t row = t / cuts, first = t % cuts * kPadGrain;
    write(pad_plane<false, T>, row / rows_out, {row % rows_out, 1, first, least(first + kPadGrain, n)});
  });
}

void pad(const Pad& a) {
  by_size(a.size, [&](auto t) { pad_of<decltype(t)>(a); });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
