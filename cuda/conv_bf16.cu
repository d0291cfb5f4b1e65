// SPDX-License-Identifier: MIT
#include "conv_tiles.cuh"

namespace lamella::cuda {
namespace {
template <bool kAlong> using Big = TensorTile<bf16, 128, 128, 64, 64, kAlong, kAlong>;
template <bool kAlong> using Small = TensorTile<bf16, 64, 64, 32, 32, kAlong, kAlong>;
template <bool kAlong> using Tall = TensorTile<bf16, 128, 64, 64, 32, kAlong, kAlong>;
template <bool kAlong> using Wide = TensorTile<bf16, 64, 128, 32, 64, kAlong, kAlong>;
}  // namespace

void conv_product_bf16(ConvProduct& p, int64_t groups, bool pixels, Tiles tiles) {
  if (tiles == Tiles::big) run_conv<Big<true>>(p, groups, pixels);
  else if (tiles == Tiles::small) run_conv<Small<true>>(p, groups, pixels);
  else if (pixels) run_conv<Tall<true>, true>(p, groups);
  else run_conv<Wide<true>, false>(p, groups);
}
void conv_weight_bf16(ConvWeight& p, int64_t groups, Tiles tiles) {
  if (tiles == Tiles::big) run_conv_weight<Big<false>>(p, groups);
  else if (tiles == Tiles::narrow) run_conv_weight<Wide<false>>(p, groups);
  else run_conv_weight<Small<false>>(p, groups);
}

}  // namespace lamella::cuda
