// SPDX-License-Identifier: MIT
// Stable sort of rows longer than a block's tile: least-significant-digit radix sort (Knuth, TAOCP 3, 5.2.5) of pairs of an
// element's bits and its position. A pass counts the digits of each tile, sums the counts over tiles, and scatters each tile,
// sorted in shared memory first so that what goes to one place goes together. Passes over a digit in which no two keys
// differ are left out; the device knows which, the host does not ask.
#include "sort_key.cuh"

namespace lamella::cuda {
namespace {

constexpr int64_t kGroup = int64_t(1) << 27;  // elements sorted at a time: what bounds the memory

template <class U> struct Pass {
  SortKey<U> key;
  const U* x;
  U *bits0, *bits1;   // (rows, n) each, as at
  uint32_t *at0, *at1;
  U* values;          // or null
  int64_t* indices;
  int64_t n, k, tiles;
  const unsigned long long* vary;
  uint32_t *count, *total;  // (rows, 256, tiles), (rows, 256)
  int digit;

  // Whether this pass takes place and, if so, how many have before it, and whether it is the last.
  GPU bool active(int& before, bool& last) const {
    unsigned digits = 0;
#pragma unroll
    for (int d = 0; d < int(sizeof(U)); ++d) digits |= unsigned((*vary >> (8 * d) & 255) != 0) << d;
    if (digits == 0) digits = 1;
    before = __popc(digits & ((1u << digit) - 1));
    last = digits >> digit == 1;
    return digits >> digit & 1;
  }
  GPU U* bits(int before, int64_t row) const { return (before & 1 ? bits1 : bits0) + row * n; }
  GPU uint32_t* at(int before, int64_t row) const { return (before & 1 ? at1 : at0) + row * n; }
  GPU const U* source(int before, int64_t row) const { return before == 0 ? x + row * n : bits(before, row); }
  GPU int digit_of(U b) const { return int(uint64_t(key(b)) >> (8 * digit) & 255); }
};

// The bits in which keys differ.
template <class U>
__global__ void __launch_bounds__(kThreads) sort_vary(SortKey<U> key, const U* x, int64_t n, unsigned long long* vary) {
  const U first = key(x[0]);
  U differs = 0;
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < n; i += int64_t(gridDim.x) * kThreads)
    differs |= key(x[i]) ^ first;
  unsigned long long all = differs;
#pragma unroll
  for (int by = 16; by; by /= 2) all |= __shfl_xor_sync(~0u, all, by);
  if ((threadIdx.x & 31) == 0 && all) atomicOr(vary, all);
}

// A block takes tile blockIdx.x of row blockIdx.y, here and below.
template <class U> __global__ void __launch_bounds__(kSortThreads) sort_count(Pass<U> p) {
  SHARED(uint32_t, count, [4][kDigits]);  // several, lest equal digits wait for one another
  int before;
  bool last;
  if (!p.active(before, last)) return;
  for (int d = int(threadIdx.x); d < 4 * kDigits; d += kSortThreads) count[d / kDigits][d % kDigits] = 0;
  __syncthreads();
  const int64_t row = blockIdx.y, begin = int64_t(blockIdx.x) * kTile<U>, end = least(begin + kTile<U>, p.n);
  const U* from = p.source(before, row);
#pragma unroll
  for (int i = 0; i < kItems<U>; ++i) {
    const int64_t j = begin + i * kSortThreads + threadIdx.x;
    if (j < end) atomicAdd(&count[threadIdx.x / 32 & 3][p.digit_of(from[j])], 1u);
  }
  __syncthreads();
  const int d = int(threadIdx.x);
  if (d < kDigits) p.count[(row * kDigits + d) * p.tiles + blockIdx.x] = count[0][d] + count[1][d] + count[2][d] + count[3][d];
}

// The counts of digit blockIdx.x of row blockIdx.y become what comes before each tile.
template <class U> __global__ void __launch_bounds__(kThreads) sort_sum(Pass<U> p) {
  constexpr int kEach = 4;
  SHARED(uint32_t, sums, [kThreads / 32]);
  SHARED(uint32_t, all, [1]);
  int before;
  bool last;
  if (!p.active(before, last)) return;
  const int64_t digit = int64_t(blockIdx.y) * kDigits + blockIdx.x;
  uint32_t* count = p.count + digit * p.tiles;
  uint32_t run = 0;
  for (int64_t tile = 0; tile < p.tiles; tile += kThreads * kEach) {
    const int64_t j = tile + int64_t(threadIdx.x) * kEach;
    uint32_t v[kEach], sum = 0;
#pragma unroll
    for (int e = 0; e < kEach; ++e) sum += v[e] = j + e < p.tiles ? count[j + e] : 0;
    uint32_t earlier = run + block_sum_before(sum, sums);
    if (threadIdx.x == kThreads - 1) all[0] = earlier + sum;
#pragma unroll
    for (int e = 0; e < kEach; ++e) {
      if (j + e < p.tiles) count[j + e] = earlier;
      earlier += v[e];
    }
    __syncthreads();
    run = all[0];
  }
  if (threadIdx.x == 0) p.total[digit] = run;
}

template <class U> __global__ void __launch_bounds__(kSortThreads, 2) sort_scatter(Pass<U> p) {
  constexpr int N = kItems<U>;
  SHARED(uint32_t, start, [kDigits]);
  SHARED(uint32_t, to, [kDigits]);  // where the row's elements of a digit go, less where they stand in the tile
  SHARED(uint32_t, sums, [kSortThreads / 32]);
  int before;
  bool last;
  if (!p.active(before, last)) return;
  U* const bits = dynamic_shared<U>();
  uint32_t* const at = reinterpret_cast<uint32_t*>(bits + kTile<U>);
  const int64_t row = blockIdx.y, begin = int64_t(blockIdx.x) * kTile<U>;
  const int n = int(least(kTile<U>, p.n - begin));
  const U* from = p.source(before, row) + begin;
  const uint32_t* from_at = p.at(before, row) + begin;
  U mine[N];
  uint32_t place[N];
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const int j = item_at<N>(i);
    mine[i] = j < n ? from[j] : U(0);
    place[i] = 0;
  }
  const int d = int(threadIdx.x);
  const uint32_t total = d < kDigits ? p.total[row * kDigits + d] : 0, first = block_sum_before(total, sums);
  rank_items<N>([&](int i) { return item_at<N>(i) < n ? p.digit_of(mine[i]) : kNoDigit; }, place, at + kTile<U>, start);
  if (d < kDigits) to[d] = first + p.count[(row * kDigits + d) * p.tiles + blockIdx.x] - start[d];
#pragma unroll
  for (int i = 0; i < N; ++i) {
    if (int(place[i]) >= kTile<U>) continue;
    const int j = item_at<N>(i);
    bits[place[i]] = mine[i];
    at[place[i]] = before == 0 ? uint32_t(begin + j) : from_at[j];
  }
  __syncthreads();
  U* out = last ? p.values + row * p.k : p.bits(before + 1, row);
  uint32_t* out_at = p.at(before + 1, row);
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const int j = i * kSortThreads + int(threadIdx.x);
    if (j >= n) break;
    const U b = bits[j];
    const uint32_t where = to[p.digit_of(b)] + uint32_t(j);
    if (!last) { out[where] = b; out_at[where] = at[j]; }
    else if (where < p.k) {
      if (p.values) out[where] = b;
      p.indices[row * p.k + where] = at[j];
    }
  }
}

}  // namespace

void sort_long(const SortJob& a) {
  by_size(size_of(a.dtype), [&](auto u) {
    using U = decltype(u);
    const int64_t tiles = ceil_div(a.n, kTile<U>), most_rows = least(most(kGroup / a.n, 1), least(a.outer, 65535));
    const size_t each = size_t(most_rows * a.n), counts = size_t(most_rows * kDigits);
    const Temp bits(2 * each * sizeof(U)), at(2 * each * 4), count(counts * size_t(tiles + 1) * 4), vary(8);
    for (int64_t row = 0; row < a.outer; row += most_rows) {
      const int64_t rows = least(most_rows, a.outer - row);
      U* const values = static_cast<U*>(a.values);
      Pass<U> p{a.key<U>(), static_cast<const U*>(a.x) + row * a.n, bits.as<U>(), bits.as<U>() + each,
                at.as<uint32_t>(), at.as<uint32_t>() + each, values ? values + row * a.k : nullptr, a.indices + row * a.k,
                a.n, a.k, tiles, vary.as<unsigned long long>(), count.as<uint32_t>(),
                count.as<uint32_t>() + counts * size_t(tiles), 0};
      ok(cudaMemsetAsync(vary.p, 0, 8, stream()), "sort");
      launch("sort", sort_vary<U>, dim3(blocks_for(rows * a.n, kThreads * 8)), dim3(kThreads), 0, p.key, p.x, rows * a.n,
             vary.as<unsigned long long>());
      const dim3 grid{unsigned(tiles), unsigned(rows)};
      const size_t shared = size_t(kTile<U>) * (sizeof(U) + 4) + kSortThreads / 32 * kDigits * 4;
      for (; p.digit < int(sizeof(U)); ++p.digit) {
        launch("sort", sort_count<U>, grid, dim3(kSortThreads), 0, p);
        launch("sort", sort_sum<U>, dim3(kDigits, unsigned(rows)), dim3(kThreads), 0, p);
        launch("sort", sort_scatter<U>, grid, dim3(kSortThreads), shared, p);
      }
    }
  });
}

}  // namespace lamella::cuda
