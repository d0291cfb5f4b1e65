// SPDX-License-Identifier: MIT
// What the scatters share: where entry e of an index array goes, entries sorted by that place, and which entries are the
// last to go there.
#pragma once
#include "device.cuh"

namespace lamella::cuda {

constexpr int64_t kSortEntries = int64_t(1) << 31, kSortSlots = (int64_t(1) << 32) - 2;  // the most that one sort takes
constexpr int64_t kFewEntries = 512;  // up to these, every thread that asks scans all entries

// Slot of entry e: index[e], or, along the middle of (outer, n, inner) by index (outer, m, inner), the element there.
struct Slots {
  const int64_t* index;
  int64_t n;
  Divisor inner, line;  // inner, m * inner; of 0: index[e] itself
  GPU int64_t operator()(int64_t e) const {
    const int64_t i = index[e];
    if (inner.d == 0) return i;
    int64_t k, rest;
    inner.divide(e, k);
    return (line.divide(e, rest) * n + i) * inner.d + k;
  }
};
inline Slots row_slots(const int64_t* index) { return {index, 0, Divisor(0), Divisor(0)}; }
inline Slots along_slots(const int64_t* index, int64_t n, int64_t m, int64_t inner) {
  return {index, n, Divisor(inner), Divisor(m * inner)};
}

// Entries [first, first + count) as keys: the slot less `base`; `slots` where it is `skip` or not in [base, base + slots).
struct Keys {
  Slots of;
  int64_t first, count, base, slots, skip;
  GPU uint32_t operator()(int64_t i) const {
    const int64_t s = of(first + i);
    return uint32_t(s == skip || s < base || s - base >= slots ? slots : s - base);
  }
};

// The entries of `keys` sorted by key, those of one key in order; `at` counts from keys.first. count <= kSortEntries,
// slots <= kSortSlots.
struct Sorted {
  explicit Sorted(const Keys& keys);
  const uint32_t *key, *at;
 private:
  Temp memory;
};

// Of entries [first, first + count), a byte each: whether no later one of them has its slot. count < 2^31.
struct LastOfSlot {
  LastOfSlot(const Slots& of, int64_t first, int64_t count);
  const uint8_t* flag() const { return memory.as<uint8_t>(); }
 private:
  Temp memory;
};

// The sum of x in the threads before this one; total: in all of a block of whole warps. Passes two barriers.
template <class T> GPU T block_scan(T x, T& total) {
  SHARED(T, parts, [33]);
  const int lane = int(threadIdx.x) & 31, warp = int(threadIdx.x) / 32, warps = int(blockDim.x) / 32;
  T sum = x;
#pragma unroll
  for (int by = 1; by < 32; by *= 2) {
    const T v = __shfl_up_sync(~0u, sum, unsigned(by));
    if (lane >= by) sum += v;
  }
  __syncthreads();
  if (lane == 31) parts[warp] = sum;
  __syncthreads();
  T before = 0, all = 0;
  for (int w = 0; w < warps; ++w) {
    if (w == warp) before = all;
    all += parts[w];
  }
  total = all;
  return before + sum - x;
}

}  // namespace lamella::cuda
