// SPDX-License-Identifier: MIT
// float32 rounded to TF32, on tensor cores.
#include "conv_tiles.cuh"

namespace lamella::cuda {
namespace {
template <bool kAlong> using Big = TensorTile<float, 128, 128, 64, 32, kAlong, kAlong>;
template <bool kAlong> using Small = TensorTile<float, 64, 64, 32, 32, kAlong, kAlong>;
}  // namespace

void conv_product_tf32(ConvProduct& p, int64_t groups, bool pixels, Tiles tiles) {
  if (tiles == Tiles::big) run_conv<Big<true>>(p, groups, pixels);
  else run_conv<Small<true>>(p, groups, pixels);
}
void conv_weight_tf32(ConvWeight& p, int64_t groups, Tiles tiles) {
  if (tiles == Tiles::big) run_conv_weight<Big<false>>(p, groups);
  else run_conv_weight<Small<false>>(p, groups);
}

}  // namespace lamella::cuda
