// SPDX-License-Identifier: MIT
// float32 and float64 in IEEE arithmetic.
#include "conv_tiles.cuh"

namespace lamella::cuda {
namespace {
template <bool kAlong> using Big = SimtTile<float, 8, 8, kAlong, kAlong>;
template <bool kAlong> using Small = SimtTile<float, 4, 4, kAlong, kAlong>;
template <bool kAlong> using Double = SimtTile<double, 4, 4, kAlong, kAlong>;
}  // namespace

void conv_product_float(ConvProduct& p, int64_t groups, bool pixels, Tiles tiles) {
  if (tiles == Tiles::big) run_conv<Big<true>>(p, groups, pixels);
  else run_conv<Small<true>>(p, groups, pixels);
}
void conv_weight_float(ConvWeight& p, int64_t groups, Tiles tiles) {
  if (tiles == Tiles::big) run_conv_weight<Big<false>>(p, groups);
  else run_conv_weight<Small<false>>(p, groups);
}
void conv_product_double(ConvProduct& p, int64_t groups, bool pixels, Tiles) { run_conv<Double<true>>(p, groups, pixels); }
void conv_weight_double(ConvWeight& p, int64_t groups, Tiles) { run_conv_weight<Double<false>>(p, groups); }

}  // namespace lamella::cuda
