// SPDX-License-Identifier: MIT
// Gather, scatter, and the positions of true elements. Where outputs may collide, tasks own disjoint parts of the output
// and each walks all indices in order: no atomics, and every element sees its additions in the same order always.
#include "copy.h"

namespace lamella {
namespace LAMELLA_ISA {

constexpr int64_t kTaskBytes = 256 << 10;  // output of one task: some tens of microseconds of copying
constexpr int64_t kColumns = 256;          // column block of a scatter, in elements

static int64_t at_least_one(int64_t x) { return x < 1 ? 1 : x; }

// ---- rows ----------------------------------------------------------------------------------------------------------
// Row i of y from the row of index[i] in x, or (`put`) to it. A row of N bytes is a few moves; longer ones are vector
// copies that ask for the row after next ahead of time, as no prefetcher guesses it.
template <int N>
static void copy_fixed(const int64_t* index, int64_t count, int64_t step, const char* x, char* y, bool put) {
  if (put) for (int64_t i = 0; i < count; ++i) std::memcpy(const_cast<char*>(x) + index[i] * step, y + i * N, N);
  else for (int64_t i = 0; i < count; ++i) std::memcpy(y + i * N, x + index[i] * step, N);
}

// Columns [0, bytes) of `count` rows; rows of y are `pitch` bytes apart.
static void copy_rows(const int64_t* index, int64_t count, int64_t step, int64_t pitch, int64_t bytes, const char* x,
                      char* y, bool put) {
  if (bytes == pitch) switch (bytes) {
    case 1: return copy_fixed<1>(index, count, step, x, y, put);
    case 2: return copy_fixed<2>(index, count, step, x, y, put);
    case 4: return copy_fixed<4>(index, count, step, x, y, put);
    case 8: return copy_fixed<8>(index, count, step, x, y, put);
    case 16: return copy_fixed<16>(index, count, step, x, y, put);
    case 32: return copy_fixed<32>(index, count, step, x, y, put);
    case 64: return copy_fixed<64>(index, count, step, x, y, put);
    case 128: return copy_fixed<128>(index, count, step, x, y, put);
  }
  for (int64_t i = 0; i < count; ++i) {
    const char* row = x + index[i] * step;
    if (i + 2 < count) {
      const char* next = x + index[i + 2] * step;
      for (int64_t b = 0; b < bytes && b < 1024; b += 64) __builtin_prefetch(next + b);
    }
    if (put) copy_bytes(const_cast<char*>(row), y + i * pitch, bytes);
    else copy_bytes(y + i * pitch, row, bytes);
  }
}

void gather_rows(const GatherRows& a) {
  int64_t bytes = a.row_bytes, grain = at_least_one(kTaskBytes / at_least_one(bytes));
  auto* x = static_cast<const char*>(a.x);
  auto* y = static_cast<char*>(a.y);
  if (a.row_bytes == 0 || a.count == 0) return;
  if (a.count * 2 <= grain) {  // few rows: several of `outer` to a task
    parallel_blocks(a.outer, grain / a.count, [&](int64_t o0, int64_t o1) {
      for (int64_t o = o0; o < o1; ++o)
        copy_rows(a.index, a.count, a.x_step, bytes, bytes, x + o * a.x_outer, y + o * a.count * bytes, false);
    });
    return;
  }
  int64_t blocks = (a.count + grain - 1) / grain;
  parallel(a.outer * blocks, [&](int64_t t) {
    int64_t o = t / blocks, i = t % blocks * grain, n = a.count - i < grain ? a.count - i : grain;
    copy_rows(a.index + i, n, a.x_step, bytes, bytes, x + o * a.x_outer, y + (o * a.count + i) * bytes, false);
  });
}

void scatter_rows(const ScatterRows& a) {
  auto* x = static_cast<char*>(a.x);
  auto* y = static_cast<char*>(const_cast<void*>(a.y));
  if (a.row_bytes == 0 || a.count == 0) return;
  int64_t bytes = a.count * a.row_bytes;
  if (bytes * 2 <= kTaskBytes) {
    parallel_blocks(a.outer, kTaskBytes / bytes, [&](int64_t o0, int64_t o1) {
      for (int64_t o = o0; o < o1; ++o)
        copy_rows(a.index, a.count, a.x_step, a.row_bytes, a.row_bytes, x + o * a.x_outer, y + o * bytes, true);
    });
    return;
  }
  int64_t cols = a.row_bytes >= 2 * kColumns * 4 ? kColumns * 4 : a.row_bytes;
  int64_t blocks = (a.row_bytes + cols - 1) / cols;
  parallel(a.outer * blocks, [&](int64_t t) {
    int64_t o = t / blocks, c = t % blocks * cols, n = a.row_bytes - c < cols ? a.row_bytes - c : cols;
    copy_rows(a.index, a.count, a.x_step, a.row_bytes, n, x + o * a.x_outer + c, y + o * bytes + c, true);
  });
}

// ---- scatter_add_rows ----------------------------------------------------------------------------------------------
struct Hit { int64_t row, at; };

// The hits in order of row, those of one row in order of i (radix sort by 11 bits, least digit first).
static Hit* sort_hits(const int64_t* index, int64_t count, int64_t rows, int64_t skip, int64_t* kept) {
  constexpr int kBits = 11;
  Hit* from = static_cast<Hit*>(scratch(size_t(2 * count) * sizeof(Hit)));
  Hit* to = from + count;
  int64_t n = 0;
  for (int64_t i = 0; i < count; ++i) if (index[i] != skip) from[n++] = {index[i], i};
  for (int shift = 0; shift == 0 || (rows - 1) >> shift; shift += kBits) {
    int64_t start[1 << kBits] = {};
    for (int64_t i = 0; i < n; ++i) ++start[from[i].row >> shift & ((1 << kBits) - 1)];
    for (int64_t d = 0, sum = 0; d < 1 << kBits; ++d) { int64_t c = start[d]; start[d] = sum; sum += c; }
    for (int64_t i = 0; i < n; ++i) to[start[from[i].row >> shift & ((1 << kBits) - 1)]++] = from[i];
    Hit* t = from; from = to; to = t;
  }
  *kept = n;
  return from;
}

// Columns [0, n), n <= kColumns, of a 16-bit y: each row is summed in float32 and rounded once.
template <class T> static void add_sorted(const Hit* hits, int64_t count, int64_t width, int64_t n, const T* dy, T* y) {
  constexpr int L = kLanes<float>;
  float sum[kColumns];
  for (int64_t i = 0; i < count;) {
    int64_t row = hits[i].row;
    T* out = y + row * width;
    int64_t whole = n / L * L;
    for (int64_t k = 0; k < whole; k += L) vstore(sum + k, vload(out + k));
    if (whole < n) vstore(sum + whole, vload(out + whole, n - whole));
    for (; i < count && hits[i].row == row; ++i) {
      const T* in = dy + hits[i].at * width;
      const Hit& next = hits[i + 2 < count ? i + 2 : count - 1];
      for (int64_t k = 0; k < n; k += 64 / int64_t(sizeof(T))) {
        __builtin_prefetch(dy + next.at * width + k);
        __builtin_prefetch(y + next.row * width + k, 1);
      }
      for (int64_t k = 0; k < whole; k += L) vstore(sum + k, vload(sum + k) + vload(in + k));
      if (whole < n) vstore(sum + whole, vload(sum + whole) + vload(in + whole, n - whole));
    }
    for (int64_t k = 0; k < whole; k += L) vstore(out + k, vload(sum + k));
    if (whole < n) vstore(out + whole, vload(sum + whole), n - whole);
  }
}

// Columns [0, n) of the rows in [row0, row1). The hits of a stretch are listed first: no branch to guess per index, and
// the rows to come are known ahead.
template <class T>
static void add_rows(const ScatterAddRows& a, int64_t row0, int64_t row1, int64_t n, const T* dy, T* y) {
  if (a.width == 1 && row0 == 0 && row1 >= a.rows && a.skip < 0) {
    for (int64_t i = 0; i < a.count; ++i) y[a.index[i]] = T(y[a.index[i]] + dy[i]);
    return;
  }
  constexpr int64_t kStretch = 256;
  int64_t list[kStretch + 2];
  for (int64_t i0 = 0; i0 < a.count; i0 += kStretch) {
    int64_t hits = 0, end = a.count - i0 < kStretch ? a.count : i0 + kStretch;
    for (int64_t i = i0; i < end; ++i) {
      int64_t row = a.index[i];
      list[hits] = i;
      hits += (row >= row0) & (row < row1) & (row != a.skip);
    }
    list[hits] = list[hits + 1] = hits ? list[hits - 1] : i0;
    for (int64_t h = 0; h < hits; ++h) {
      T* __restrict out = y + a.index[list[h]] * a.width;
      const T* __restrict in = dy + list[h] * a.width;
      const char* next = reinterpret_cast<const char*>(y + a.index[list[h + 2]] * a.width);
      for (int64_t b = 0; b < n * int64_t(sizeof(T)); b += 64) __builtin_prefetch(next + b, 1);
      for (int64_t k = 0; k < n; ++k) out[k] = T(out[k] + in[k]);
    }
  }
}

template <class T> static void scatter_add_rows_of(const ScatterAddRows& a) {
  auto* dy = static_cast<const T*>(a.dy);
  auto* y = static_cast<T*>(a.y);
  constexpr bool narrow = sizeof(T) < sizeof(acc_t<T>);  // 16-bit floats
  int64_t bytes = a.count * a.width * int64_t(sizeof(T)), kept = 0;
  Hit* hits = nullptr;
  if constexpr (narrow) hits = sort_hits(a.index, a.count, a.rows, a.skip, &kept);
  // Cut into ranges of rows, whose tasks each read all indices; wide rows into columns where they are few.
  int64_t cols = a.width, ranges = 1;
  if (narrow || (a.width >= 2 * kColumns && a.rows < 64)) cols = kColumns;
  else if (a.width >= 2 * kColumns && bytes > 2 * kTaskBytes) ranges = 8;
  else if ((a.width >= 16 || a.outer < 4) && bytes > 2 * kTaskBytes) ranges = 4;
  int64_t blocks = at_least_one((a.width + cols - 1) / at_least_one(cols)), span = (a.rows + ranges - 1) / ranges;
  auto work = [&](int64_t t) {
    int64_t r = t % ranges, c = t / ranges % blocks * cols, o = t / ranges / blocks;
    int64_t n = a.width - c < cols ? a.width - c : cols;
    const T* from = dy + o * a.count * a.width + c;
    T* to = y + o * a.rows * a.width + c;
    if constexpr (narrow) add_sorted(hits, kept, a.width, n, from, to);
    else add_rows(a, r * span, (r + 1) * span, n, from, to);
  };
  int64_t tasks = a.outer * blocks * ranges;
  parallel_blocks(tasks, at_least_one(kTaskBytes * tasks / at_least_one(bytes * a.outer)), [&](int64_t t0, int64_t t1) {
    for (int64_t t = t0; t < t1; ++t) work(t);
  });
}

void scatter_add_rows(const ScatterAddRows& a) {
  if (a.count == 0 || a.width == 0) return;
  switch (a.dtype) {
    case DType::f64: return scatter_add_rows_of<double>(a);
    case DType::f32: return scatter_add_rows_of<float>(a);
    case DType::f16: return scatter_add_rows_of<f16>(a);
    case DType::bf16: return scatter_add_rows_of<bf16>(a);
    case DType::i64: return scatter_add_rows_of<uint64_t>(a);  // unsigned: overflow wraps
    case DType::i32: return scatter_add_rows_of<uint32_t>(a);
    case DType::i16: return scatter_add_rows_of<uint16_t>(a);
    case DType::i8: case DType::u8: return scatter_add_rows_of<uint8_t>(a);
    case DType::b8: return scatter_add_rows_of<bool>(a);
  }
}

// ---- along a dimension ---------------------------------------------------------------------------------------------
constexpr int64_t kStripBytes = 1 << 20;  // of x, around one index: what a core's cache holds

// False, and *bad set, if bad is not null and one of `count` indices lies outside [0, n).
static bool all_within(const int64_t* index, int64_t count, int64_t n, bool* bad) {
  if (!bad) return true;
  uint64_t any = 0;  // the sign bit of i | (n - 1 - i) is set unless 0 <= i < n
  for (int64_t k = 0; k < count; ++k) any |= uint64_t(index[k]) | (uint64_t(n) - 1 - uint64_t(index[k]));
  if (any >> 63) __atomic_store_n(bad, true, __ATOMIC_RELAXED);
  return !(any >> 63);
}

// Asks for a row that is about to be touched in an order that no prefetcher guesses.
template <class T> static void fetch_row(const T* row, int64_t n) {
  if (n * int64_t(sizeof(T)) > 16 << 10) return;
  for (int64_t i = 0; i < n; i += 64 / int64_t(sizeof(T))) __builtin_prefetch(row + i);
}

template <class T> static void gather_along_of(const GatherAlong& a) {
  auto* x = static_cast<const T*>(a.x);
  auto* y = static_cast<T*>(a.y);
  int64_t rows = a.outer * a.m;  // of `inner` elements
  constexpr int64_t kStrip = 128 / int64_t(sizeof(T)), width = kStrip * int64_t(sizeof(T));
  if (a.inner >= 2 * kStrip && a.n * width <= kStripBytes && a.n * a.inner * int64_t(sizeof(T)) > kStripBytes &&
      a.m >= a.n / 2) {
    // An index of a column may point anywhere in it: strips of columns are brought together where a cache holds them.
    const int64_t strips = ceil_div(a.inner, kStrip);
    parallel(a.outer * strips, [&](int64_t t) {
      const int64_t o = t / strips, c = t % strips * kStrip, n = least(kStrip, a.inner - c);
      T* strip = static_cast<T*>(scratch(size_t(a.n * width)));
      for (int64_t i = 0; i < a.n; ++i)
        copy_bytes(strip + i * kStrip, x + (o * a.n + i) * a.inner + c, n * int64_t(sizeof(T)));
      for (int64_t j = 0; j < a.m; ++j) {
        const int64_t at = (o * a.m + j) * a.inner + c;
        for (int64_t k = 0; k < n; ++k) y[at + k] = strip[a.index[at + k] * kStrip + k];
      }
    });
    return;
  }
  parallel_blocks(rows, at_least_one(kTaskBytes / 8 / at_least_one(a.inner)), [&](int64_t r0, int64_t r1) {
    if (a.inner == 1) {
      for (int64_t r = r0; r < r1;) {  // the rest of one x row at a time, as many indices as L1 holds
        const int64_t o = r / a.m, end = least(least((o + 1) * a.m, r1), r + 2048);
        if (!all_within(a.index + r, end - r, a.n, a.bad)) return;
        const T* row = x + o * a.n;
        if (o + 1 < a.outer && r == o * a.m && a.m * 4 >= a.n) fetch_row(row + a.n, a.n);
        for (; r < end; ++r) y[r] = row[a.index[r]];
      }
      return;
    }
    for (int64_t r = r0; r < r1; ++r) {
      const T* block = x + r / a.m * a.n * a.inner;
      const int64_t* __restrict index = a.index + r * a.inner;
      T* __restrict out = y + r * a.inner;
      for (int64_t k = 0; k < a.inner; ++k) out[k] = block[index[k] * a.inner + k];
    }
  });
}

void gather_along(const GatherAlong& a) {
  if (a.m == 0 || a.inner == 0) return;
  by_size(a.size, [&](auto t) { gather_along_of<decltype(t)>(a); });
}

template <ScatterOp op, class A> LAMELLA_INLINE A joined(A a, A b) {
  if constexpr (op == ScatterOp::add) return A(a + b);
  else if constexpr (op == ScatterOp::prod) return A(a * b);
  else if constexpr (op == ScatterOp::max) return a > b || a != a ? a : b;
  else return a < b || a != a ? a : b;
}

template <class T, ScatterOp op> static void scatter_along_of(const ScatterAlong& a) {
  auto* y = static_cast<const T*>(a.y);
  auto* x = static_cast<T*>(a.x);
  int64_t cols = a.inner < 2 * kColumns ? a.inner : kColumns, blocks = (a.inner + cols - 1) / cols;
  parallel_blocks(a.outer * blocks, at_least_one(kTaskBytes / 8 / (a.m * cols)), [&](int64_t t0, int64_t t1) {
    for (int64_t t = t0; t < t1; ++t) {
      int64_t o = t / blocks, c = t % blocks * cols, end = c + cols < a.inner ? c + cols : a.inner;
      T* block = x + o * a.n * a.inner;
      auto write = [](T& to, T v) __attribute__((always_inline)) {
        if constexpr (op == ScatterOp::put) to = v;
        else to = down<T>(joined<op>(acc_t<T>(up(to)), acc_t<T>(up(v))));
      };
      if (a.inner == 1) {
        if (!all_within(a.index + o * a.m, a.m, a.n, a.bad)) return;
        if (o + 1 < a.outer && a.m * 4 >= a.n) fetch_row(block + a.n, a.n);
        for (int64_t j = o * a.m; j < (o + 1) * a.m; ++j) write(block[a.index[j]], y[j]);
        continue;
      }
      for (int64_t j = 0; j < a.m; ++j) {
        const int64_t* index = a.index + (o * a.m + j) * a.inner;
        const T* in = y + (o * a.m + j) * a.inner;
        for (int64_t k = c; k < end; ++k) write(block[index[k] * a.inner + k], in[k]);
      }
    }
  });
}

// Sums and products of integers are unsigned: overflow wraps.
template <ScatterOp op> static void scatter_along_as(const ScatterAlong& a) {
  constexpr bool ordered = op == ScatterOp::max || op == ScatterOp::min;
  switch (a.dtype) {
    case DType::f64: return scatter_along_of<double, op>(a);
    case DType::f32: return scatter_along_of<float, op>(a);
    case DType::f16: return scatter_along_of<f16, op>(a);
    case DType::bf16: return scatter_along_of<bf16, op>(a);
    case DType::i64: if constexpr (ordered) return scatter_along_of<int64_t, op>(a); else return scatter_along_of<uint64_t, op>(a);
    case DType::i32: if constexpr (ordered) return scatter_along_of<int32_t, op>(a); else return scatter_along_of<uint32_t, op>(a);
    case DType::i16: if constexpr (ordered) return scatter_along_of<int16_t, op>(a); else return scatter_along_of<uint16_t, op>(a);
    case DType::i8: if constexpr (ordered) return scatter_along_of<int8_t, op>(a); [[fallthrough]];
    case DType::u8: return scatter_along_of<uint8_t, op>(a);
    case DType::b8: return scatter_along_of<bool, op>(a);
  }
}

void scatter_along(const ScatterAlong& a) {
  if (a.m == 0 || a.inner == 0) return;
  switch (a.op) {
    case ScatterOp::put:
      switch (size_of(a.dtype)) {
        case 1: return scatter_along_of<uint8_t, ScatterOp::put>(a);
        case 2: return scatter_along_of<uint16_t, ScatterOp::put>(a);
        case 4: return scatter_along_of<uint32_t, ScatterOp::put>(a);
        default: return scatter_along_of<uint64_t, ScatterOp::put>(a);
      }
    case ScatterOp::add: return scatter_along_as<ScatterOp::add>(a);
    case ScatterOp::prod: return scatter_along_as<ScatterOp::prod>(a);
    case ScatterOp::max: return scatter_along_as<ScatterOp::max>(a);
    case ScatterOp::min: return scatter_along_as<ScatterOp::min>(a);
  }
}

// ---- masks ---------------------------------------------------------------------------------------------------------
constexpr int64_t kMaskBlock = 64 << 10;

static uint64_t word_at(const bool* mask) { uint64_t w; std::memcpy(&w, mask, 8); return w; }

static int64_t count_true(const bool* mask, int64_t n) {
  int64_t sum = 0, i = 0;
  for (; i + 8 <= n; i += 8) sum += __builtin_popcountll(word_at(mask + i));
  for (; i < n; ++i) sum += mask[i];
  return sum;
}

// Every position is written, and the next one over it unless its element was true. This may not run past the last true
// one, so that no write falls behind the end of `index`.
static void write_true(const bool* mask, int64_t begin, int64_t end, int64_t* index) {
  while (end > begin && !mask[end - 1]) --end;
  int64_t i = begin;
  for (; i + 8 < end; i += 8) {
    if (!word_at(mask + i)) continue;
    for (int64_t k = i; k < i + 8; ++k) { *index = k; index += mask[k]; }
  }
  for (; i < end; ++i) if (mask[i]) *index++ = i;
}

void nonzero(const NonZero& a) {
  int64_t blocks = (a.n + kMaskBlock - 1) / kMaskBlock;
  int64_t* start = static_cast<int64_t*>(scratch(size_t(blocks + 1) * sizeof(int64_t)));
  parallel_blocks(a.n, kMaskBlock, [&](int64_t i0, int64_t i1) {
    start[i0 / kMaskBlock] = count_true(a.mask + i0, i1 - i0);
  });
  int64_t sum = 0;
  for (int64_t b = 0; b < blocks; ++b) { int64_t c = start[b]; start[b] = sum; sum += c; }
  *a.found = sum;
  if (!a.index || sum == 0) return;
  parallel_blocks(a.n, kMaskBlock, [&](int64_t i0, int64_t i1) {
    write_true(a.mask, i0, i1, a.index + start[i0 / kMaskBlock]);
  });
}

void triangle(const Triangle& a) {
  auto* x = static_cast<const char*>(a.x);
  auto* y = static_cast<char*>(a.y);
  int64_t pitch = a.cols * a.size;
  parallel_blocks(a.outer * a.rows, at_least_one(kTaskBytes / at_least_one(pitch)), [&](int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; ++r) {
      int64_t edge = r % a.rows + a.diagonal + (a.upper ? 0 : 1);  // first column of the upper part
      edge = (edge < 0 ? 0 : edge > a.cols ? a.cols : edge) * a.size;
      const char* from = x + r * pitch;
      char* to = y + r * pitch;
      int64_t keep0 = a.upper ? edge : 0, keep1 = a.upper ? pitch : edge;
      copy_bytes(to + keep0, from + keep0, keep1 - keep0);
      if (a.upper) std::memset(to, 0, size_t(edge)); else std::memset(to + edge, 0, size_t(pitch - edge));
    }
  });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
