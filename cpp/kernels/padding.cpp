// SPDX-License-Identifier: MIT
// Padding row by row: each row of y takes one of x with its borders, or the value.
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
    if (before + after > 4 && before <= L && after <= L && n + after >= L) {  // what is too much, the middle covers
      if (before) store_all(y, left);
      if (after) store_all(end + after - L, right);
    } else {
      for (int64_t i = 0; i < before; ++i) y[i] = left;
      for (int64_t i = 0; i < after; ++i) end[i] = right;
    }
  } else if (mode == PadMode::reflect) {
    for (int64_t i = 0; i < before; ++i) y[i] = x[before - i];
    for (int64_t i = 0; i < after; ++i) end[i] = x[n - 2 - i];
  } else {
    for (int64_t i = 0; i < before; ++i) y[i] = x[n - before + i];
    for (int64_t i = 0; i < after; ++i) end[i] = x[i];
  }
  for (int64_t i = 0; i < n; i += L) {
    if (n < L) {
      for (; i < n; ++i) middle[i] = x[i];
      return;
    }
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
  for (int64_t i = first; i < first + count; ++i, y += m) {
    const int64_t from = pad_source(mode, i - above, height);
    if (!x || from < 0 || n == 0) fill_row(y, m, value);
    else pad_row(mode, x + from * n, n, before, after, value, y);
  }
}

template <class T> static void pad_of(const Pad& a) {
  const int last = a.ndim - 1;
  const int64_t n = a.in[last], m = a.out[last];
  const int64_t rows_in = last > 0 ? a.in[last - 1] : 1, rows_out = last > 0 ? a.out[last - 1] : 1;
  T value;
  std::memcpy(&value, &a.value, sizeof value);
  const T* const x = static_cast<const T*>(a.x);
  T* const y = static_cast<T*>(a.y);
  int64_t rows = 1;
  for (int d = 0; d < last; ++d) rows *= a.out[d];
  parallel_blocks(rows, kPadGrain / (m + 16) + 1, [&](int64_t begin, int64_t end) {
    while (begin < end) {
      int64_t plane = 0, rest = begin / rows_out, stride = 1;
      for (int d = last - 2; d >= 0; rest /= a.out[d--]) {
        const int64_t i = pad_source(a.mode, rest % a.out[d] - a.before[d], a.in[d]);
        plane = plane < 0 || i < 0 ? -1 : plane + i * stride;
        stride *= a.in[d];
      }
      const int64_t first = begin % rows_out, count = least(rows_out - first, end - begin);
      pad_plane(a, plane < 0 ? nullptr : x + plane * rows_in * n, first, count, value, y + begin * m);
      begin += count;
    }
  });
}

void pad(const Pad& a) {
  switch (a.size) {
    case 1: return pad_of<uint8_t>(a);
    case 2: return pad_of<uint16_t>(a);
    case 4: return pad_of<uint32_t>(a);
    default: return pad_of<uint64_t>(a);
  }
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
