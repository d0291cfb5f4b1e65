// SPDX-License-Identifier: MIT
// Copies by index: rows of bytes there and back, and elements along a dimension.
#include "index.cuh"

namespace lamella::cuda {
namespace {

constexpr int kEach = 4;  // copies of a thread, all loads before the stores

// Row r of y (outer, count), `units` of U a row, and its place in x at o * outer_step + index[i] * step; all in units.
struct Rows {
  Divisor units, count;
  int64_t total, outer_step, step;  // total: units in y
  const int64_t* index;
  const uint8_t* wanted;            // or null: all; of (count)
};

GPU int64_t place_in_x(const Rows& a, int64_t e, bool& wanted) {
  int64_t u, i, o = a.count.divide(a.units.divide(e, u), i);
  wanted = !a.wanted || a.wanted[i];
  return o * a.outer_step + a.index[i] * a.step + u;
}

template <class U, bool kBack> __global__ void copy_rows(Rows a, const U* from, U* to) {
  const int64_t first = int64_t(blockIdx.x) * (kThreads * kEach) + threadIdx.x;
  U v[kEach];
  int64_t at[kEach];
  bool wanted[kEach];
#pragma unroll
  for (int j = 0; j < kEach; ++j) {
    const int64_t e = first + j * kThreads;
    wanted[j] = e < a.total;
    if (wanted[j]) at[j] = place_in_x(a, e, wanted[j]);
    if (wanted[j]) v[j] = from[kBack ? e : at[j]];
  }
#pragma unroll
  for (int j = 0; j < kEach; ++j)
    if (wanted[j]) to[kBack ? at[j] : first + j * kThreads] = v[j];
}

template <bool kBack> void rows(const GatherRows& a, const void* from, void* to, const uint8_t* wanted) {
  const int64_t all = a.row_bytes | a.x_step | (a.outer > 1 ? a.x_outer : 0) | int64_t(reinterpret_cast<uintptr_t>(from)) |
                      int64_t(reinterpret_cast<uintptr_t>(to));
  const int size = int(least(16, all & -all));  // the greatest power of two that divides all
  Rows r{Divisor(a.row_bytes / size), Divisor(a.count), a.outer * a.count * (a.row_bytes / size), a.x_outer / size,
         a.x_step / size, a.index, wanted};
  const dim3 grid(unsigned(ceil_div(r.total, kThreads * kEach)));
  const auto run = [&](auto u) {
    using U = decltype(u);
    launch("copy_rows", copy_rows<U, kBack>, grid, dim3(kThreads), 0, r, static_cast<const U*>(from), static_cast<U*>(to));
  };
  if (size == 16) run(uint4{});
  else by_size(size, run);
}

template <class T> __global__ void along_gather(Slots of, int64_t total, const T* x, T* y) {
  const int64_t first = int64_t(blockIdx.x) * (kThreads * kEach) + threadIdx.x;
  T v[kEach];
#pragma unroll
  for (int j = 0; j < kEach; ++j)
    if (first + j * kThreads < total) v[j] = x[of(first + j * kThreads)];
#pragma unroll
  for (int j = 0; j < kEach; ++j)
    if (first + j * kThreads < total) y[first + j * kThreads] = v[j];
}

}  // namespace

void gather_rows(const GatherRows& a) {
  if (a.outer && a.count && a.row_bytes) rows<false>(a, a.x, a.y, nullptr);
}

// Of entries with one index the last is written, by its flag.
void scatter_rows(const ScatterRows& a) {
  if (a.outer == 0 || a.count == 0 || a.row_bytes == 0) return;
  for (int64_t i = 0; i < a.count; i += kSortEntries - 1) {
    const int64_t n = least(kSortEntries - 1, a.count - i);
    auto* from = static_cast<const char*>(a.y) + i * a.row_bytes;
    GatherRows part{1, n, a.row_bytes, 0, a.x_step, a.index + i, nullptr, nullptr};
    if (n == a.count) part.outer = a.outer, part.x_outer = a.x_outer;
    if (n == 1) { rows<true>(part, from, a.x, nullptr); continue; }
    const LastOfSlot last(row_slots(a.index), i, n);
    for (int64_t o = 0; o < a.outer; o += part.outer)
      rows<true>(part, from + o * a.count * a.row_bytes, static_cast<char*>(a.x) + o * a.x_outer, last.flag());
  }
}

void gather_along(const GatherAlong& a) {
  const int64_t total = a.outer * a.m * a.inner;
  if (total == 0) return;
  const Slots of = along_slots(a.index, a.n, a.m, a.inner);
  by_size(a.size, [&](auto t) {
    using T = decltype(t);
    launch("along_gather", along_gather<T>, dim3(unsigned(ceil_div(total, kThreads * kEach))), dim3(kThreads), 0, of, total,
           static_cast<const T*>(a.x), static_cast<T*>(a.y));
  });
}

}  // namespace lamella::cuda
