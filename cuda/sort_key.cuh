// SPDX-License-Identifier: MIT
// Sorting's common ground: elements as raw bits U with keys of the same order, stable ranks within a block, and the
// parameters of a row's order. float16 and bfloat16 differ in what infinity is, signed and unsigned in a bit: the types are
// told apart at run time, so that there is one kernel for each size.
#pragma once
#include "device.cuh"

namespace lamella::cuda {

// Equal elements have equal keys: -0 and 0 do, and all NaN, which are greatest (all ones). Descending turns keys round.
template <class U> struct SortKey {
  U flip, infinity2, turn;  // of integers; of floats, whose bits are compared without their sign; all ones: descending
  bool floating;
  SortKey(DType t, bool descending) : flip(0), infinity2(0), turn(descending ? U(~U(0)) : U(0)), floating(is_floating(t)) {
    constexpr U top = U(U(1) << (sizeof(U) * 8 - 1));
    if (t != DType::u8 && t != DType::b8) flip = top;
    if (t == DType::f64) infinity2 = U(0xffeull << 52);
    if (t == DType::f32) infinity2 = U(0xffull << 24);
    if (t == DType::f16) infinity2 = U(0x1full << 11);
    if (t == DType::bf16) infinity2 = U(0xffull << 8);
  }
  GPU U operator()(U b) const {
    constexpr U top = U(U(1) << (sizeof(U) * 8 - 1));
    U key = U(b ^ flip);
    if (floating) {
      const U size = U(b << 1);
      key = b & top ? U(~b) : key;
      key = size > infinity2 ? U(~U(0)) : size == 0 ? top : key;
    }
    return U(key ^ turn);
  }
  GPU bool is_nan(U b) const { return floating && U(b << 1) > infinity2; }
};

// ---- stable ranks ----------------------------------------------------------------------------------------------------------
constexpr int kDigits = 256;                      // of eight bits
constexpr int kSortThreads = 512;                 // at most
template <class U> constexpr int kItems = sizeof(U) == 8 ? 8 : 14;  // of a thread: what 64 registers hold
template <class U> constexpr int kTile = kSortThreads * kItems<U>;  // of a block: what is sorted in shared memory
constexpr int kNoDigit = kDigits;                 // of what is not there: counted nowhere

// The element that item i of a thread is: warps hold runs of a tile, and lanes lie side by side.
template <int N> GPU int item_at(int i) { return int(threadIdx.x / 32) * 32 * N + i * 32 + int(threadIdx.x & 31); }

// The lanes whose digit is this lane's.
GPU unsigned lanes_alike(int digit) {
  unsigned alike = ~0u;
#pragma unroll
  for (int b = 0; b < 9; ++b) {
    const unsigned set = __ballot_sync(~0u, digit >> b & 1);
    alike &= digit >> b & 1 ? set : ~set;
  }
  return alike;
}

// The sum of all earlier threads' numbers. Barriers pass on the way; sums: one for each warp.
GPU uint32_t block_sum_before(uint32_t x, uint32_t* sums) {
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) & 31;
  uint32_t run = x;
#pragma unroll
  for (int by = 1; by < 32; by *= 2) {
    const uint32_t t = __shfl_up_sync(~0u, run, unsigned(by));
    if (lane >= by) run += t;
  }
  if (lane == 31) sums[warp] = run;
  __syncthreads();
  uint32_t before = run - x;
  for (int w = 0; w < warp; ++w) before += sums[w];
  return before;
}

// Adds to the lower half of slot[i] (there 0) where item i stands in the tile sorted by digit(i), equal ones in order; of
// kNoDigit: past the tile. count: 256 for each warp; start: where each digit begins. All threads call; a barrier has passed
// since the last use of both.
template <int N, class D> GPU void rank_items(const D& digit, uint32_t (&slot)[N], uint32_t* count, uint32_t (&start)[kDigits]) {
  SHARED(uint32_t, sums, [kSortThreads / 32]);
  const int threads = int(blockDim.x), warps = threads / 32, warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) & 31;
  uint32_t* mine = count + warp * kDigits;
  for (int d = lane; d < kDigits; d += 32) mine[d] = 0;
  __syncwarp();
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const int d = digit(i);
    const unsigned alike = lanes_alike(d);
    const int before = __popc(alike & ((1u << lane) - 1));
    slot[i] += (d < kDigits ? mine[d] : 0) + uint32_t(before);
    __syncwarp();
    if (before == 0 && d < kDigits) mine[d] += uint32_t(__popc(alike));
    __syncwarp();
  }
  __syncthreads();
  // A thread takes `each` digits: over the warps, then over the block. count becomes what comes before in earlier warps.
  const int each = threads < kDigits ? kDigits / threads : 1, first = int(threadIdx.x) * each;
  uint32_t sum = 0;
  for (int d = first; d < first + each && d < kDigits; ++d) {
    start[d] = sum;
    for (int w = 0; w < warps; ++w) {
      const uint32_t here = count[w * kDigits + d];
      count[w * kDigits + d] = sum - start[d];
      sum += here;
    }
  }
  const uint32_t before = block_sum_before(sum, sums);
  for (int d = first; d < first + each && d < kDigits; ++d) start[d] += before;
  __syncthreads();
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const int d = digit(i);
    if (d < kDigits) slot[i] += start[d] + mine[d];
    else slot[i] = (slot[i] & ~0xffffu) + uint32_t(threads * N);
  }
}

// ---- jobs ------------------------------------------------------------------------------------------------------------------
// The first k of each row's order or, of a rank, one element. All results depend on x alone: any way may be taken.
struct SortJob {
  DType dtype;
  int64_t outer, n, k;
  const void* x;
  void* values;       // or null
  int64_t* indices;
  bool descending;
  int rank;           // a Rank, or -1
  template <class U> SortKey<U> key() const { return {dtype, descending}; }
};
// Which place of a row's order is wanted.
GPU int64_t wanted_place(int rank, int64_t k, int64_t n, int64_t nans) {
  if (rank == int(Rank::median)) return nans ? n - nans : (n - 1) / 2;
  if (rank == int(Rank::nanmedian)) return nans == n ? 0 : (n - nans - 1) / 2;
  return k;
}
void sort_short(const SortJob&);   // n <= sort_tile(dtype)
void sort_long(const SortJob&);    // no rank
void sort_select(const SortJob&);  // a rank, or k <= kCandidates / 2
inline int64_t sort_tile(DType t) { return size_of(t) == 8 ? kTile<uint64_t> : kTile<uint32_t>; }
constexpr int kCandidates = 4096;

}  // namespace lamella::cuda
