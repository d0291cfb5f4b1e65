// SPDX-License-Identifier: MIT
#include "gemm_tiles.cuh"

namespace lamella::cuda {
namespace {
template <bool kAlongA, bool kAlongB> struct Big { using Tile = TensorTile<bf16, 128, 128, 64, 64, kAlongA, kAlongB>; };
template <bool kAlongA, bool kAlongB> struct Small { using Tile = TensorTile<bf16, 64, 64, 32, 32, kAlongA, kAlongB>; };
}  // namespace

void product_bf16(const Product& p, Reach a, Reach b, bool big) {
  if (a == Reach::any || b == Reach::any) run_tiles<Small<true, true>::Tile, false>(p);
  else if (big) run_forms<Big>(p, a, b);
  else run_forms<Small>(p, a, b);
}

}  // namespace lamella::cuda
