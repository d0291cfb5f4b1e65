// SPDX-License-Identifier: MIT
// Positions of true elements, and triangles.
#include "index.cuh"

namespace lamella::cuda {
namespace {

constexpr int kEach = 16, kTile = kThreads * kEach, kTiles = 4;  // elements of a thread; of a block's tile; tiles of a block

// Bit b: whether mask[i + b] is true, of up to kEach elements. wide: the mask is aligned.
GPU unsigned trues(const bool* mask, int64_t i, int64_t n, bool wide) {
  unsigned bits = 0;
  if (wide && i + kEach <= n) {
    const uint4 w = *reinterpret_cast<const uint4*>(mask + i);
    const unsigned words[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
    for (int k = 0; k < 4; ++k)  // bit 0 of each byte to the top four
      bits |= ((words[k] & 0x01010101u) * 0x10204080u >> 28) << 4 * k;
    return bits;
  }
  for (int b = 0; b < kEach && i + b < n; ++b) bits |= unsigned(mask[i + b]) << b;
  return bits;
}

__global__ void mask_count(const bool* mask, int64_t n, bool wide, int64_t* counts) {
  const int64_t first = int64_t(blockIdx.x) * (kTile * kTiles) + threadIdx.x * kEach;
  int count = 0;
  for (int t = 0; t < kTiles; ++t) count += __popc(trues(mask, first + t * kTile, n, wide));
  count = block_reduce(count, Sum{}, 0);
  if (threadIdx.x == 0) counts[blockIdx.x] = count;
}

// counts (n) become the sums before them; counts[n] that of all.
__global__ void mask_scan(int64_t* counts, int64_t n) {
  int64_t sum = 0, total;
  for (int64_t t = 0; t < n; t += blockDim.x) {
    const int64_t i = t + threadIdx.x, before = block_scan(i < n ? counts[i] : int64_t(0), total);
    if (i < n) counts[i] = sum + before;
    sum += total;
  }
  if (threadIdx.x == 0) counts[n] = sum;
}

__global__ void mask_write(const bool* mask, int64_t n, bool wide, const int64_t* counts, int64_t* index) {
  SHARED(uint16_t, at, [kTile]);
  int64_t to = counts[blockIdx.x];
  for (int t = 0; t < kTiles; ++t) {
    const int64_t tile = (int64_t(blockIdx.x) * kTiles + t) * kTile;
    unsigned bits = trues(mask, tile + threadIdx.x * kEach, n, wide);
    int total, place = block_scan(__popc(bits), total);
    for (; bits; bits &= bits - 1) at[place++] = uint16_t(threadIdx.x * kEach + unsigned(__ffs(int(bits))) - 1);
    __syncthreads();
    for (int i = int(threadIdx.x); i < total; i += kThreads) index[to + i] = tile + at[i];
    to += total;
    __syncthreads();
  }
}

// ---- triangle ----------------------------------------------------------------------------------------------------------
template <class T, int V>
__global__ void triangle_of(Divisor units, Divisor rows, int64_t total, int64_t diagonal, bool upper, const T* x, T* y) {
  int64_t u, r, e = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (e >= total) return;
  rows.divide(units.divide(e, u), r);
  const int64_t first = u * V - r - diagonal;  // upper: kept from 0 on; else up to 0
  Pack<T, V> v{};
  if (upper ? first + V > 0 : first <= 0) v = load_pack<T, V>(x + e * V);
#pragma unroll
  for (int k = 0; k < V; ++k)
    if (upper ? first + k < 0 : first + k > 0) v.v[k] = 0;
  store_pack(y + e * V, v);
}

}  // namespace

void nonzero(const NonZero& a) {
  const int64_t blocks = ceil_div(a.n, kTile * kTiles);
  *a.found = 0;
  if (blocks == 0) return;
  const bool wide = is_aligned(a.mask);
  Temp counts(size_t(blocks + 1) * sizeof(int64_t));
  auto* sums = counts.as<int64_t>();
  const dim3 grid{unsigned(blocks)};
  launch("mask_count", mask_count, grid, dim3(kThreads), 0, a.mask, a.n, wide, sums);
  launch("mask_scan", mask_scan, dim3(1), dim3(1024), 0, sums, blocks);
  if (a.index) launch("mask_write", mask_write, grid, dim3(kThreads), 0, a.mask, a.n, wide, sums, a.index);
  download(a.found, sums + blocks, sizeof(int64_t));
}

void triangle(const Triangle& a) {
  if (a.outer * a.rows * a.cols == 0) return;
  const int64_t far = a.rows + a.cols, diagonal = a.diagonal < -far ? -far : a.diagonal > far ? far : a.diagonal;
  by_size(a.size, [&](auto t) {
    using T = decltype(t);
    const auto run = [&](auto kernel, int64_t pack) {
      const int64_t units = a.cols / pack, total = a.outer * a.rows * units;
      const dim3 grid(unsigned(ceil_div(total, kThreads)));
      launch("triangle", kernel, grid, dim3(kThreads), 0, Divisor(units), Divisor(a.rows), total,
             diagonal, a.upper, static_cast<const T*>(a.x), static_cast<T*>(a.y));
    };
    if (a.cols % kPack<T> == 0 && is_aligned(a.x) && is_aligned(a.y)) run(triangle_of<T, kPack<T>>, kPack<T>);
    else run(triangle_of<T, 1>, 1);
  });
}

}  // namespace lamella::cuda
