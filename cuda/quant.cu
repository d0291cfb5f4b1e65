// SPDX-License-Identifier: MIT
// int8 products on tensor cores, both operands along k; others are copied so first.
#include "gemm_product.cuh"

namespace lamella::cuda {
namespace {

struct Int8Product {
  GemmInt8 g;
  int* partial;              // (part, m, n), or null
  int64_t depth;
  int tiles_m, tiles_n;
  Divisor tiles;
  GPU void put(int64_t i, int64_t j, int sum) const {
    if (!g.a_scale) { static_cast<int*>(g.c)[i * g.n + j] = sum; return; }
    float y = g.k ? float(sum) * (g.a_scale[i * g.a_scale_step] * g.b_scale[j * g.b_scale_step]) : 0;
    if (g.bias) y += g.bias[j];
    static_cast<float*>(g.c)[i * g.n + j] = y;
  }
};

struct Int8Out {
  const Int8Product& p;
  int* partial;
  template <int N> GPU void put(int64_t i, int64_t j, int (&v)[N]) const {
    if (i >= p.g.m) return;
    int* c = p.partial ? partial : p.g.a_scale ? nullptr : static_cast<int*>(p.g.c);
    if (c && j + N <= p.g.n && p.g.n % 4 == 0 && reinterpret_cast<uintptr_t>(c) % 16 == 0) {
#pragma unroll
      for (int e = 0; e < N; e += 4) store_pack(c + i * p.g.n + j + e, Pack<int, 4>{{v[e], v[e + 1], v[e + 2], v[e + 3]}});
      return;
    }
#pragma unroll
    for (int e = 0; e < N; ++e)
      if (j + e < p.g.n) {
        if (p.partial) partial[i * p.g.n + j + e] = v[e];
        else p.put(i, j + e, v[e]);
      }
  }
};

template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks) int8_tiles(const __grid_constant__ Int8Product p) {
  int tile;
  const int part = divide_block(p.tiles, int(blockIdx.x), tile);
  const TilePlace place = place_tile(tile, p.tiles_m, p.tiles_n);
  const int64_t row = int64_t(place.row) * Tile::kM, col = int64_t(place.col) * Tile::kN, from = int64_t(part) * p.depth;
  const int64_t depth = least(p.depth, p.g.k - from);
  FastMatrix<typename Tile::A, int8_t> a(p.g.a + row * p.g.a_row + from, p.g.a_row, 1, p.g.m - row, depth);
  FastMatrix<typename Tile::B, int8_t> b(p.g.b + col * p.g.b_col + from, p.g.b_col, 1, p.g.n - col, depth);
  typename Tile::Sums sums;
  main_loop<Tile>(a, b, int(ceil_div(depth, Tile::kK)), sums);
  write_tile<Tile>(sums, row, col, Int8Out{p, p.partial + int64_t(part) * p.g.m * p.g.n});
}

__global__ void __launch_bounds__(kThreads) int8_parts(const __grid_constant__ Int8Product p, int64_t parts, Divisor n) {
  const int64_t count = p.g.m * p.g.n, stride = int64_t(gridDim.x) * kThreads;
  for (int64_t at = int64_t(blockIdx.x) * kThreads + threadIdx.x; at < count; at += stride) {
    unsigned sum = 0;
    for (int64_t s = 0; s < parts; ++s) sum += unsigned(p.partial[s * count + at]);
    int64_t j;
    const int64_t i = n.divide(at, j);
    p.put(i, j, int(sum));
  }
}

template <class Tile> void run_int8(Int8Product p, int64_t parts) {
  p.tiles_m = int(ceil_div(p.g.m, Tile::kM));
  p.tiles_n = int(ceil_div(p.g.n, Tile::kN));
  p.tiles = Divisor(int64_t(p.tiles_m) * p.tiles_n);
  launch("gemm_int8", int8_tiles<Tile>, dim3(unsigned(p.tiles.d * parts)), dim3(Tile::kThreads), Tile::kSharedBytes, p);
}

// Along k in aligned rows: where the operand is not, in `space`.
int64_t pitch_of(int64_t k) { return ceil_div(k, 16) * 16; }
void along_k(const int8_t*& x, int64_t extent, int64_t k, int64_t& e_stride, int64_t& k_stride, void* space) {
  if (!space) return;
  Relayout r{};
  r.size = 1;
  r.x = x; r.y = space;
  r.extent = extent; r.depth = k; r.e_stride = e_stride; r.k_stride = k_stride; r.pitch = pitch_of(k);
  relayout(r);
  x = static_cast<const int8_t*>(space);
  e_stride = r.pitch;
  k_stride = 1;
}

}  // namespace

void gemm_int8(const GemmInt8& args) {
  if (args.m == 0 || args.n == 0) return;
  Int8Product p{};
  p.g = args;
  GemmInt8& g = p.g;
  const bool copy_a = !fits_fast(true, g.a, g.m == 1 ? 0 : g.a_row, g.a_col);
  const bool copy_b = !fits_fast(true, g.b, g.n == 1 ? 0 : g.b_col, g.b_row);
  const Temp space_a(copy_a ? size_t(g.m * pitch_of(g.k)) : 0), space_b(copy_b ? size_t(g.n * pitch_of(g.k)) : 0);
  along_k(g.a, g.m, g.k, g.a_row, g.a_col, space_a.p);
  along_k(g.b, g.n, g.k, g.b_col, g.b_row, space_b.p);

  const int64_t tiles = ceil_div(g.m, 64) * ceil_div(g.n, 64);  // and parts of k, as in gemm.cu
  int64_t parts = tiles >= 256 ? 1 : most(1, least(ceil_div(512, tiles), g.k / 512));
  p.depth = parts == 1 ? g.k : ceil_div(ceil_div(g.k, parts), 64) * 64;
  if (parts > 1) parts = ceil_div(g.k, p.depth);
  const Temp partial(parts == 1 ? 0 : size_t(parts * g.m * g.n) * sizeof(int));
  p.partial = partial.as<int>();
  if (ceil_div(g.m, 128) * ceil_div(g.n, 128) * parts >= 128 && g.m > 64 && g.n > 64)
    run_int8<TensorTile<int8_t, 128, 128, 64, 64, true, true>>(p, parts);
  else run_int8<TensorTile<int8_t, 64, 64, 32, 32, true, true>>(p, parts);
  if (parts > 1)
    launch("gemm_int8", int8_parts, dim3(blocks_for(g.m * g.n, kThreads)), dim3(kThreads), 0, p, parts, Divisor(g.n));
}

}  // namespace lamella::cuda
