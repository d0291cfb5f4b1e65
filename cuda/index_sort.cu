// SPDX-License-Identifier: MIT
// Entries in order of their slot: a stable radix sort, least digit first, of 8 bits a pass. Each pass counts the digits of
// every tile, sums the counts over the tiles, and moves each entry to its digit's place.
#include "index.cuh"

namespace lamella::cuda {
namespace {

constexpr int kDigits = 256, kEach = 8, kTile = kThreads * kEach;  // entries a thread, a block
static_assert(kThreads == kDigits);

struct Pass {
  const uint32_t *key, *at;  // null in the first pass: the entries as they are
  uint32_t *key_out, *at_out;
  uint32_t *counts, *totals;  // (digit, tile), (digit)
  int64_t tiles;
  int shift;
};

GPU uint32_t key_at(const Keys& keys, const Pass& p, int64_t i) { return p.key ? p.key[i] : keys(i); }

__global__ void sort_count(Keys keys, Pass p) {
  SHARED(uint32_t, count, [kDigits]);
  count[threadIdx.x] = 0;
  __syncthreads();
  const int64_t first = int64_t(blockIdx.x) * kTile;
  for (int i = int(threadIdx.x); i < kTile && first + i < keys.count; i += kThreads)
    atomicAdd(&count[key_at(keys, p, first + i) >> p.shift & (kDigits - 1)], 1u);
  __syncthreads();
  p.counts[threadIdx.x * p.tiles + blockIdx.x] = count[threadIdx.x];
}

// Warp d: the counts of digit d become those of the tiles before.
__global__ void sort_scan(Pass p) {
  const int lane = int(threadIdx.x) & 31, d = int(blockIdx.x * (kThreads / 32) + threadIdx.x / 32);
  uint32_t* row = p.counts + d * p.tiles;
  uint32_t sum = 0;
  for (int64_t t = 0; t < p.tiles; t += 32) {
    const uint32_t count = t + lane < p.tiles ? row[t + lane] : 0;
    uint32_t up_to = count;
#pragma unroll
    for (int by = 1; by < 32; by *= 2) {
      const uint32_t v = __shfl_up_sync(~0u, up_to, unsigned(by));
      if (lane >= by) up_to += v;
    }
    if (t + lane < p.tiles) row[t + lane] = sum + up_to - count;
    sum += __shfl_sync(~0u, up_to, 31);
  }
  if (lane == 0) p.totals[d] = sum;
}

// Warp w has the tile's entries [w, w + 1) * 32 kEach, lane by lane, so that ranks go by position.
__global__ void sort_move(Keys keys, Pass p) {
  SHARED(uint32_t, counts, [kThreads / 32][kDigits]);
  SHARED(uint32_t, base, [kDigits]);
  const int lane = int(threadIdx.x) & 31, warp = int(threadIdx.x) / 32;
  uint32_t total;
  const uint32_t before = block_scan(p.totals[threadIdx.x], total);
  base[threadIdx.x] = before + p.counts[threadIdx.x * p.tiles + blockIdx.x];
  for (int w = 0; w < kThreads / 32; ++w) counts[w][threadIdx.x] = 0;
  __syncthreads();
  const int64_t first = int64_t(blockIdx.x) * kTile + warp * 32 * kEach + lane;
  uint32_t key[kEach], rank[kEach];
#pragma unroll
  for (int j = 0; j < kEach; ++j) {
    const bool valid = first + j * 32 < keys.count;
    key[j] = valid ? key_at(keys, p, first + j * 32) : 0;
    const uint32_t digit = key[j] >> p.shift & (kDigits - 1);
    unsigned same = __ballot_sync(~0u, valid);
    if (!valid) same = ~same;
#pragma unroll
    for (int b = 0; b < 8; ++b) {
      const unsigned set = __ballot_sync(~0u, int(digit >> b & 1));
      same &= digit >> b & 1 ? set : ~set;
    }
    const uint32_t held = counts[warp][digit];
    rank[j] = held + uint32_t(__popc(same & ((1u << lane) - 1)));
    __syncwarp();
    if (valid && (same & ((1u << lane) - 1)) == 0) counts[warp][digit] = held + uint32_t(__popc(same));
    __syncwarp();
  }
  __syncthreads();
  uint32_t sum = base[threadIdx.x];
  for (int w = 0; w < kThreads / 32; ++w) {
    const uint32_t c = counts[w][threadIdx.x];
    counts[w][threadIdx.x] = sum;
    sum += c;
  }
  __syncthreads();
#pragma unroll
  for (int j = 0; j < kEach; ++j) {
    const int64_t i = first + j * 32;
    if (i >= keys.count) continue;
    const uint32_t to = counts[warp][key[j] >> p.shift & (kDigits - 1)] + rank[j];
    p.key_out[to] = key[j];
    p.at_out[to] = p.key ? p.at[i] : uint32_t(i);
  }
}

size_t sort_bytes(int64_t count) { return size_t(4 * count + (ceil_div(count, kTile) + 1) * kDigits) * sizeof(uint32_t); }

// ---- the last entry of each slot ---------------------------------------------------------------------------------------
__global__ void last_of_few(Slots of, int64_t first, int count, uint8_t* flag) {
  const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= count) return;
  const int64_t s = of(first + i);
  bool last = true;
  for (int j = i + 1; j < count; ++j) last &= of(first + j) != s;
  flag[i] = last;
}

// An open hash table of slots: `slot` (-1: empty) and the last entry, both (size), and each entry's place in it. Which
// place a slot gets is a matter of chance; the last entry is not.
struct Table { unsigned long long* slot; int* last; uint32_t* place; uint64_t mask; };

__global__ void last_insert(Slots of, int64_t first, int64_t count, Table t) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const auto s = static_cast<unsigned long long>(of(first + i));
  uint64_t h = s * 0x9e3779b97f4a7c15u;  // 2^64 / golden ratio
  for (h ^= h >> 32;; ++h) {
    h &= t.mask;
    const unsigned long long is = atomicCAS(&t.slot[h], ~0ull, s);
    if (is == ~0ull || is == s) break;
  }
  atomicMax(&t.last[h], int(i));
  t.place[i] = uint32_t(h);
}

__global__ void last_find(int64_t count, Table t, uint8_t* flag) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < count) flag[i] = t.last[t.place[i]] == i;
}

}  // namespace

Sorted::Sorted(const Keys& keys) : memory(sort_bytes(keys.count)) {
  const int64_t n = keys.count;
  auto* words = memory.as<uint32_t>();
  uint32_t* key_of[2] = {words, words + n};
  uint32_t* at_of[2] = {words + 2 * n, words + 3 * n};
  Pass p{nullptr, nullptr, nullptr, nullptr, words + 4 * n, nullptr, ceil_div(n, kTile), 0};
  p.totals = p.counts + p.tiles * kDigits;
  int out = 0;
  for (p.shift = 0; p.shift == 0 || (p.shift < 32 && keys.slots >> p.shift); p.shift += 8, out ^= 1) {
    p.key_out = key_of[out];
    p.at_out = at_of[out];
    launch("sort_count", sort_count, dim3(unsigned(p.tiles)), dim3(kThreads), 0, keys, p);
    launch("sort_scan", sort_scan, dim3(p.tiles ? kDigits * 32 / kThreads : 0), dim3(kThreads), 0, p);
    launch("sort_move", sort_move, dim3(unsigned(p.tiles)), dim3(kThreads), 0, keys, p);
    p.key = p.key_out;
    p.at = p.at_out;
  }
  key = p.key;
  at = p.at;
}

LastOfSlot::LastOfSlot(const Slots& of, int64_t first, int64_t count) : memory(size_t(count)) {
  auto* flag = memory.as<uint8_t>();
  if (count <= kFewEntries) {
    launch("last_of_few", last_of_few, dim3(unsigned(ceil_div(count, 64))), dim3(64), 0, of, first, int(count), flag);
    return;
  }
  uint64_t size = 1024;
  while (size < uint64_t(count) * 2) size *= 2;
  Temp table(size * (sizeof(unsigned long long) + sizeof(int))), places(size_t(count) * sizeof(uint32_t));
  ok(cudaMemsetAsync(table.p, 0xff, table.bytes, stream()), "memset");
  const Table t{table.as<unsigned long long>(), reinterpret_cast<int*>(table.as<unsigned long long>() + size),
                places.as<uint32_t>(), size - 1};
  const dim3 grid(unsigned(ceil_div(count, kThreads)));
  launch("last_insert", last_insert, grid, dim3(kThreads), 0, of, first, count, t);
  launch("last_find", last_find, grid, dim3(kThreads), 0, count, t, flag);
}

}  // namespace lamella::cuda
