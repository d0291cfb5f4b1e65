// SPDX-License-Identifier: MIT
// Stable sort of rows that fit a block: up to 128 elements by counting who comes before whom, more by radix in shared
// memory. Binary search.
#include "sort_key.cuh"

namespace lamella::cuda {
namespace {

template <class U> struct Rows {  // a job as the kernels see it
  SortKey<U> key;
  const U* x;
  U* values;
  int64_t* indices;
  int64_t outer, n, k;
  int rank;
  GPU void put(int64_t row, int64_t place, int64_t wanted, U bits, int64_t at) const {
    if (rank < 0 ? place >= k : place != wanted) return;
    const int64_t to = rank < 0 ? row * k + place : row;
    if (values) values[to] = bits;
    indices[to] = at;
  }
};

constexpr int kCounted = 128;

// A warp takes a row.
template <class U> __global__ void __launch_bounds__(kThreads) sort_counting(Rows<U> a) {
  SHARED(U, keys, [kThreads / 32][kCounted]);
  const int64_t row = int64_t(blockIdx.x) * (kThreads / 32) + threadIdx.x / 32;
  if (row >= a.outer) return;
  const int n = int(a.n), lane = int(threadIdx.x) & 31;
  U* mine = keys[threadIdx.x / 32];
  U bits[kCounted / 32], key[kCounted / 32];
  int place[kCounted / 32], nans = 0;
#pragma unroll
  for (int i = 0; i < kCounted / 32; ++i) {
    const int at = i * 32 + lane;
    bits[i] = at < n ? a.x[row * n + at] : U(0);
    key[i] = a.key(bits[i]);
    if (at < n) mine[at] = key[i];
    nans += __popc(__ballot_sync(~0u, at < n && a.key.is_nan(bits[i])));
    place[i] = 0;
  }
  __syncwarp();
  for (int j = 0; j < n; ++j) {
    const U other = mine[j];
#pragma unroll
    for (int i = 0; i < kCounted / 32; ++i)
      place[i] += other < key[i] || (other == key[i] && j < i * 32 + lane);
  }
  const int64_t wanted = wanted_place(a.rank, a.k, n, nans);
#pragma unroll
  for (int i = 0; i < kCounted / 32; ++i)
    if (i * 32 + lane < n) a.put(row, place[i], wanted, bits[i], i * 32 + lane);
}

// A block takes a row of up to blockDim.x * kItems elements. Digits that are the same everywhere are passed over.
template <class U> __global__ void __launch_bounds__(kSortThreads, 2) sort_block(Rows<U> a) {
  constexpr int N = kItems<U>;
  SHARED(uint32_t, start, [kDigits]);
  SHARED(unsigned long long, vary, [1]);
  SHARED(int, nans, [1]);
  const int n = int(a.n), tile = int(blockDim.x) * N;
  U* const bits = dynamic_shared<U>();
  uint16_t* const at = reinterpret_cast<uint16_t*>(bits + tile);
  uint32_t* const count = reinterpret_cast<uint32_t*>(at + tile);
  const int64_t row = blockIdx.x;
  const U* x = a.x + row * n;
  if (threadIdx.x == 0) { vary[0] = 0; nans[0] = 0; }
  __syncthreads();
  U mine[N];
  uint32_t slot[N];  // upper half: where in the row; lower: where in this pass
  const U first = a.key(x[0]);
  U differs = 0;
  int nan = 0;
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const int j = item_at<N>(i);
    slot[i] = uint32_t(j) << 16;
    mine[i] = j < n ? x[j] : U(0);
    if (j >= n) continue;
    differs |= a.key(mine[i]) ^ first;
    nan += a.key.is_nan(mine[i]);
  }
  if (differs) atomicOr(&vary[0], static_cast<unsigned long long>(differs));
  if (nan) atomicAdd(&nans[0], nan);
  __syncthreads();
#pragma unroll 1
  for (int shift = 0; shift < int(sizeof(U)) * 8; shift += 8) {
    if ((vary[0] >> shift & 255) == 0) continue;
    const auto digit = [&](int i) { return item_at<N>(i) < n ? int(uint64_t(a.key(mine[i])) >> shift & 255) : kNoDigit; };
    rank_items<N>(digit, slot, count, start);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const int place = int(slot[i] & 0xffff);
      if (place < tile) { bits[place] = mine[i]; at[place] = uint16_t(slot[i] >> 16); }
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < N; ++i)
      if (item_at<N>(i) < n) { mine[i] = bits[item_at<N>(i)]; slot[i] = uint32_t(at[item_at<N>(i)]) << 16; }
  }
  const int64_t wanted = wanted_place(a.rank, a.k, n, nans[0]);
#pragma unroll
  for (int i = 0; i < N; ++i)
    if (item_at<N>(i) < n) a.put(row, item_at<N>(i), wanted, mine[i], slot[i] >> 16);
}

template <class T> GPU bool comes_first(T x, T want, bool right) {  // as floats compare: NaN comes first of everything
  const auto a = up(x), b = up(want);
  return right ? !(a > b) : !(a >= b);
}
template <class T>
__global__ void search_rows(const T* sorted, const T* x, int64_t* y, int64_t total, int64_t n, Divisor m, bool shared, bool right) {
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < total; i += int64_t(gridDim.x) * kThreads) {
    int64_t rest;
    const T* from = sorted + (shared ? 0 : m.divide(i, rest) * n);
    const T want = x[i];
    int64_t at = 0;
    for (int64_t left = n; left > 0;) {
      const int64_t half = left >> 1;
      if (comes_first(from[at + half], want, right)) at += left - half;
      left = half;
    }
    y[i] = at;
  }
}

}  // namespace

void sort_short(const SortJob& a) {
  if (a.outer == 0 || a.n == 0) return;
  by_size(size_of(a.dtype), [&](auto u) {
    using U = decltype(u);
    const Rows<U> rows{a.key<U>(), static_cast<const U*>(a.x), static_cast<U*>(a.values), a.indices, a.outer, a.n, a.k, a.rank};
    if (a.n <= kCounted) {
      launch("sort", sort_counting<U>, dim3(unsigned(ceil_div(a.outer, kThreads / 32))), dim3(kThreads), 0, rows);
      return;
    }
    int threads = 32;
    while (threads * kItems<U> < a.n) threads *= 2;
    const size_t tile = size_t(threads) * kItems<U>;
    launch("sort", sort_block<U>, dim3(unsigned(a.outer)), dim3(unsigned(threads)),
           tile * (sizeof(U) + 2) + size_t(threads) / 32 * kDigits * 4, rows);
  });
}

void sort(const Sort& a) {
  const SortJob job{a.dtype, a.outer, a.n, a.n, a.x, a.values, a.indices, a.descending, -1};
  a.n <= sort_tile(a.dtype) ? sort_short(job) : sort_long(job);
}

void search_sorted(const SearchSorted& a) {
  const int64_t total = a.outer * a.m;
  by_dtype(a.dtype, [&](auto t) {
    using T = decltype(t);
    launch("search_sorted", search_rows<T>, dim3(blocks_for(total, kThreads)), dim3(kThreads), 0, static_cast<const T*>(a.sorted),
           static_cast<const T*>(a.x), a.y, total, a.n, Divisor(a.m), a.shared, a.right);
  });
}

}  // namespace lamella::cuda
