// SPDX-License-Identifier: MIT
#include "gemm_tiles.cuh"

namespace lamella::cuda {
namespace {
template <bool kAlongA, bool kAlongB> struct Big { using Tile = TensorTile<float, 128, 128, 64, 32, kAlongA, kAlongB>; };
template <bool kAlongA, bool kAlongB> struct Small { using Tile = TensorTile<float, 64, 64, 32, 32, kAlongA, kAlongB>; };
}  // namespace

void product_tf32(const Product& p, Reach a, Reach b, bool big) {
  if (big) run_forms<Big>(p, a, b);
  else run_forms<Small>(p, a, b);
}

}  // namespace lamella::cuda
