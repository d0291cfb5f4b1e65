// SPDX-License-Identifier: MIT
// Moving data: casts and copies of any strides, fill, where.
#include "elementwise.h"
#include "turn.h"

namespace lamella {
namespace LAMELLA_ISA {

template <class A, class B> static void convert_run(void* y, const void* const* x, int64_t n, const double*, bool) {
  each1<A, B>(y, x, n, [](A v) __attribute__((always_inline)) { return B(v); });
}

static constexpr Run kConvert[wide_count][wide_count] = {
    {nullptr, convert_run<float, double>, convert_run<float, int32_t>, convert_run<float, int64_t>},
    {convert_run<double, float>, nullptr, convert_run<double, int32_t>, convert_run<double, int64_t>},
    {convert_run<int32_t, float>, convert_run<int32_t, double>, nullptr, convert_run<int32_t, int64_t>},
    {convert_run<int64_t, float>, convert_run<int64_t, double>, convert_run<int64_t, int32_t>, nullptr}};

// ---- transposition --------------------------------------------------------------------------------------------------
constexpr int64_t kTurnedStreamBytes = int64_t(8) << 20;  // from here on transposed copies go past the caches

// y (in, jn) from tile, whose row b holds column b of y; squares of 32-bit elements turn in registers. stream: past the
// caches, which saves reading the lines of y; its rows are aligned.
template <class T, int kTile, int kPitch>
LAMELLA_INLINE void turn(const T (*tile)[kPitch], T* y, int64_t y_row, int64_t in, int64_t jn, bool stream) {
  if constexpr (sizeof(T) == 4) {
    constexpr int L = kLanes<float>;
    if (in >= L && jn >= L) {
      for (int64_t i = 0; i < in; i += L)
        for (int64_t j = 0; j < jn; j += L) {
          const int64_t a = least(i, in - L), b = least(j, jn - L);  // the last square overlaps the one before it
          vec<float> r[L];
          load_square(reinterpret_cast<const float*>(&tile[b][a]), kPitch, r);
          float* to = reinterpret_cast<float*>(y + a * y_row + b);
          if (stream && b == j) {
#pragma GCC unroll 16
            for (int k = 0; k < L; ++k) vstream(to + k * y_row, r[k]);
          } else {
#pragma GCC unroll 16
            for (int k = 0; k < L; ++k) vstore(to + k * y_row, r[k]);
          }
        }
      return;
    }
  }
  for (int64_t a = 0; a < in; ++a) for (int64_t b = 0; b < jn; ++b) y[a * y_row + b] = tile[b][a];
}

// y (rows, cols), row i at i * y_row, from x whose element (i, j) is at i + j * x_col: tiles through a buffer, so that
// both sides touch whole cache lines once, whatever power of two lies between them; the next tile is fetched meanwhile.
template <class T> static void transpose(const T* x, int64_t x_col, T* y, int64_t y_row, int64_t rows, int64_t cols,
                                           bool large) {
  constexpr int kTile = sizeof(T) == 8 ? 32 : 64, kLine = 64 / int(sizeof(T));
  constexpr int kPitch = kTile + kLine;  // rows in different sets of L1
  alignas(64) T tile[kTile][kPitch];
  const bool stream = large && (reinterpret_cast<uintptr_t>(y) | size_t(y_row) * sizeof(T)) % kVecBytes == 0;
  for (int64_t j = 0; j < cols; j += kTile) {
    const int64_t jn = cols - j < kTile ? cols - j : kTile;
    for (int64_t i = 0; i < rows; i += kTile) {
      const int64_t in = rows - i < kTile ? rows - i : kTile;
      for (int64_t b = 0; b < jn; ++b) {
        const T* from = x + i + (j + b) * x_col;
        if (in == kTile) std::memcpy(tile[b], from, sizeof(T) * kTile);
        else for (int64_t a = 0; a < in; ++a) tile[b][a] = from[a];
        if (j + b + kTile < cols)
          for (int64_t a = 0; a < in; a += kLine) __builtin_prefetch(from + kTile * x_col + a);
      }
      turn<T, kTile, kPitch>(tile, y + i * y_row + j, y_row, in, jn, stream);
    }
  }
  if (stream) stream_end();
}

// The same of a small plane; G: elements that are side by side in y (`rows` runs of them), or in x (of `cols`). 0: any number.
template <int G, class T> LAMELLA_INLINE void interleave(const T* x, int64_t x_col, T* y, int64_t rows, int64_t g) {
  const int64_t n = G ? G : g;
#pragma GCC ivdep
  for (int64_t i = 0; i < rows; ++i)
#pragma GCC unroll 4
    for (int64_t j = 0; j < n; ++j) y[i * n + j] = x[i + j * x_col];
}
template <int G, class T> LAMELLA_INLINE void part(const T* x, T* y, int64_t y_row, int64_t cols, int64_t g) {
  const int64_t n = G ? G : g;
#pragma GCC ivdep
  for (int64_t j = 0; j < cols; ++j)
#pragma GCC unroll 4
    for (int64_t i = 0; i < n; ++i) y[i * y_row + j] = x[i + j * n];
}
template <class T> static void transpose_small(const T* x, int64_t x_col, T* y, int64_t y_row, int64_t rows, int64_t cols) {
  if constexpr (sizeof(T) == 4) {
    if (y_row == cols && cols == 2) return interleave<2>(x, x_col, y, rows, 2);
    if (y_row == cols && cols == 3) return interleave<3>(x, x_col, y, rows, 3);
    if (y_row == cols && cols == 4) return interleave<4>(x, x_col, y, rows, 4);
    if (x_col == rows && rows == 2) return part<2>(x, y, y_row, cols, 2);
    if (x_col == rows && rows == 3) return part<3>(x, y, y_row, cols, 3);
    if (x_col == rows && rows == 4) return part<4>(x, y, y_row, cols, 4);
  }
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; ++j) y[i * y_row + j] = x[i + j * x_col];
}

// Copies where y is contiguous along the last dimension and x along another one; false where that is not so.
template <class T> static bool copy_transposed(const Cast& c) {
  const auto& l = c.loop;
  const int last = l.ndim - 1;
  int dim = -1;
  if (last < 1 || l.stride[0][last] != 1 || l.stride[1][last] == 1 || l.stride[1][last] == 0) return false;
  for (int d = 0; d < last; ++d) if (l.stride[1][d] == 1) dim = d;
  if (dim < 0) return false;
  const int64_t plane_size = l.shape[dim] * l.shape[last];
  const bool thin = l.shape[dim] < 4 || l.shape[last] < 4, small = plane_size <= (thin ? 4096 : sizeof(T) == 1 ? 64 : 512);
  const bool dense = l.stride[0][dim] == l.shape[last] || l.stride[1][last] == l.shape[dim];
  if (thin && !(small && dense && plane_size >= 16 && (sizeof(T) == 2 || sizeof(T) == 4))) return false;
  int64_t total = 1, outer[kLoopDims];
  for (int d = 0; d < l.ndim; ++d) {
    total *= l.shape[d];
    outer[d] = d == dim || d == last ? 1 : l.shape[d];
  }
  // tasks: for each index of the outer dimensions, bands of rows of about kGrain elements
  int64_t band = kGrain / l.shape[last] / 64 * 64;
  if (band < 64) band = 64;
  const int64_t bands = (l.shape[dim] + band - 1) / band, planes = total / plane_size;
  const auto turn_one = [&](int64_t task) __attribute__((always_inline)) {
    int64_t i = task % bands * band, plane = task / bands, x = i, y = i * l.stride[0][dim];
    for (int d = l.ndim - 1; d >= 0; --d) {
      const int64_t at = plane % outer[d];
      plane /= outer[d];
      x += at * l.stride[1][d];
      y += at * l.stride[0][d];
    }
    const int64_t rows = l.shape[dim] - i < band ? l.shape[dim] - i : band;
    const T* from = static_cast<const T*>(c.x) + x;
    T* to = static_cast<T*>(c.y) + y;
    if (small) transpose_small(from, l.stride[1][last], to, l.stride[0][dim], rows, l.shape[last]);
    else transpose(from, l.stride[1][last], to, l.stride[0][dim], rows, l.shape[last], total * int64_t(sizeof(T)) >= kTurnedStreamBytes);
  };
  parallel_blocks(planes * bands, 1 + kGrain / (least(band, l.shape[dim]) * l.shape[last]), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) turn_one(task);
  });
  return true;
}

void cast(const Cast& c) {
  const double p[2] = {};
  if (c.from == c.to) {
    const int size = size_of(c.from);
    const bool done = by_size(size, [&](auto t) { return copy_transposed<decltype(t)>(c); });
    if (!done) drive(c.loop, {port_raw(size, c.y), port_raw(size, c.x)}, nullptr, p, Large::past_from_buffer);
  } else if (c.to == DType::b8) {
    drive(c.loop, {port_raw(1, c.y), port_bool(c.from, c.x)}, nullptr, p);
  } else {
    drive(c.loop, {port(c.to, c.y), port(c.from, c.x)}, kConvert[wide_of(c.from)][wide_of(c.to)], p,
          Large::past_from_buffer);
  }
}

void fill(const Fill& f) {  // a copy of an operand with strides of zero
  Loop<2> loop;
  loop.ndim = f.loop.ndim;
  for (int d = 0; d < loop.ndim; ++d) {
    loop.shape[d] = f.loop.shape[d];
    loop.stride[0][d] = f.loop.stride[0][d];
    loop.stride[1][d] = 0;
  }
  const int size = size_of(f.dtype);
  const double p[2] = {};
  drive(loop, {port_raw(size, f.y), port_raw(size, f.value)}, nullptr, p, Large::past_from_buffer);
}

template <class T> static void where_run(void* y, const void* const* x, int64_t n, const double*, bool) {
  const uint8_t* c = static_cast<const uint8_t*>(x[0]);
  const T *a = static_cast<const T*>(x[1]), *b = static_cast<const T*>(x[2]);
  T* o = static_cast<T*>(y);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {  // both are read: a choice of loads would be a branch
    const T mask = T(0) - T(c[i]);
    o[i] = T((a[i] & mask) | (b[i] & T(~mask)));
  }
}

void where(const Where& w) {
  const int size = size_of(w.dtype);
  const Run run = by_size(size, [](auto t) -> Run { return where_run<decltype(t)>; });
  const double p[2] = {};
  drive(w.loop, {port_raw(size, w.y), port_raw(1, w.cond), port_raw(size, w.a), port_raw(size, w.b)}, run, p,
        Large::past_from_buffer);
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
