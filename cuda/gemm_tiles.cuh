// SPDX-License-Identifier: MIT
// The product in tiles, for the files that say of what.
#pragma once
#include "gemm_product.cuh"

namespace lamella::cuda {
namespace {

template <class Tile, bool kFast>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks) product_tiles(const __grid_constant__ Product p) {
  using T = typename Tile::T;
  int tile, part;
  int64_t at_a, at_b, at_c;
  const int group = divide_block(p.tiles, int(blockIdx.x), tile), index = divide_block(p.parts, group, part);
  p.batches.find(index, at_a, at_b, at_c);
  const TilePlace place = place_tile(tile, p.tiles_m, p.tiles_n);
  const int64_t row = int64_t(place.row) * Tile::kM, col = int64_t(place.col) * Tile::kN;
  const int64_t from = part * p.depth, depth = least(p.depth, p.k - from);
  const T* a = static_cast<const T*>(p.a) + at_a + row * p.a_row + from * p.a_col;
  const T* b = static_cast<const T*>(p.b) + at_b + col * p.b_col + from * p.b_row;
  using LoadA = std::conditional_t<kFast, FastMatrix<typename Tile::A, T>, AnyMatrix<typename Tile::A, T>>;
  using LoadB = std::conditional_t<kFast, FastMatrix<typename Tile::B, T>, AnyMatrix<typename Tile::B, T>>;
  LoadA load_a(a, p.a_row, p.a_col, p.m - row, depth);
  LoadB load_b(b, p.b_col, p.b_row, p.n - col, depth);
  typename Tile::Sums sums;
  main_loop<Tile>(load_a, load_b, int(ceil_div(depth, Tile::kK)), sums);
  using V = typename Tile::Sum;
  V* partial = p.partial ? static_cast<V*>(p.partial) + group * p.m * p.n : nullptr;
  write_tile<Tile>(sums, row, col, ProductOut<T>{p, static_cast<T*>(p.c) + at_c, partial});
}

template <class Tile, bool kFast> void run_tiles(Product p) {
  p.tiles_m = int(ceil_div(p.m, Tile::kM));
  p.tiles_n = int(ceil_div(p.n, Tile::kN));
  p.tiles = Divisor(int64_t(p.tiles_m) * p.tiles_n);
  launch("gemm", product_tiles<Tile, kFast>, dim3(unsigned(p.tiles.d * p.parts.d * p.batch)), dim3(Tile::kThreads),
         Tile::kSharedBytes, p);
}

// `Form<kAlongA, kAlongB>::Tile` by how the operands lie.
template <template <bool, bool> class Form> void run_forms(const Product& p, Reach a, Reach b) {
  if (a == Reach::along) {
    if (b == Reach::along) run_tiles<typename Form<true, true>::Tile, true>(p);
    else run_tiles<typename Form<true, false>::Tile, true>(p);
  } else {
    if (b == Reach::along) run_tiles<typename Form<false, true>::Tile, true>(p);
    else run_tiles<typename Form<false, false>::Tile, true>(p);
  }
}

}  // namespace
}  // namespace lamella::cuda
