// SPDX-License-Identifier: MIT
// float32 and float64 in IEEE arithmetic.
#include "gemm_tiles.cuh"

namespace lamella::cuda {
namespace {
template <bool kAlongA, bool kAlongB> struct Big { using Tile = SimtTile<float, 8, 8, kAlongA, kAlongB>; };
template <bool kAlongA, bool kAlongB> struct Small { using Tile = SimtTile<float, 4, 4, kAlongA, kAlongB>; };
template <bool kAlongA, bool kAlongB> struct Double { using Tile = SimtTile<double, 4, 4, kAlongA, kAlongB>; };
}  // namespace

void product_float(const Product& p, Reach a, Reach b, bool big) {
  if (a == Reach::any || b == Reach::any) run_tiles<Small<true, true>::Tile, false>(p);
  else if (big) run_forms<Big>(p, a, b);
  else run_forms<Small>(p, a, b);
}

void product_double(const Product& p, Reach a, Reach b) {
  if (a == Reach::any || b == Reach::any) run_tiles<Double<true, true>::Tile, false>(p);
  else run_forms<Double>(p, a, b);
}

}  // namespace lamella::cuda
