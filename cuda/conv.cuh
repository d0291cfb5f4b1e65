// SPDX-License-Identifier: MIT
// Convolution as a product that reads its image where it lies. Both the output and the gradient of the input are
//   y(position, row) = sum over taps t and channels e of image(window(position, t), e) . filter(row, t, e)
// with images whose channels are adjacent and padded to 16 bytes (layouts that are not, are copied: conv_layout.cu).
// For the gradient of the input under a stride, the input positions of one phase (i mod stride, along each dim) form a grid
// of their own that sees a fixed set of taps and steps by 1: nothing is multiplied by zero, nothing scattered.
#pragma once
#include "gemm_product.cuh"

namespace lamella::cuda {

// One phase of one dim. Position j, tap i (0 <= i < count): image coordinate j * step + at + i * next; the tap's number is
// first + i * first_next. `before`: taps of earlier phases.
struct Phase { Divisor grid; int count, first, first_next, at, next, before; };

constexpr int kFewPhases = 8;
struct Window {
  Phase few[kFewPhases];
  const Phase* many;          // or null: the table of phases of all dims
  int start[3], phases[3];    // a dim's part of the table
  int size[3], step[3], kernel[3];
  int64_t stride[4];          // of the image: n, d, h, w, in chunks of 16 bytes
  GPU const Phase& phase(int dim, int i) const { return (many ? many : few)[start[dim] + i]; }
};

// What a product's k (or n) axis holds for each tap: `padded` elements (tw, c), tw of `sub` taps along the width that became
// channels (1 where none did), c of `channels`; zeros behind.
struct Channels { int64_t channels; int sub, padded; };

struct ConvProduct {
  Window window;
  const void *x, *filter, *bias;  // filter (group, phase, row, taps of the phase, padded)
  void* y;
  int64_t images, positions, rows, x_group, y_stride[5];  // positions: of the largest phase; rows: of a group
  int padded, y_step[3];          // position of y: phase + y_step * j
  int tiles_m, tiles_n;
  Divisor tiles, phases[3];
  Act act;
  bool y_vector;                  // neighbours of a row of tiles are so in y, 16-byte aligned
};

// partial (group, part, row, taps * padded) = sums over each part's `depth` positions of dy(position, row) image(window).
struct ConvWeight {
  Window window;
  const void *x, *dy;
  void* partial;
  int64_t rows, columns, positions, depth, x_group, dy_group, dy_row;
  int padded, tiles_m, tiles_n;
  Divisor tiles, parts;
};

// ---- by type, one file each -------------------------------------------------------------------------------------------
// `pixels`: y's channels are adjacent, else its positions. Tiles: of 64; of 64 rows and 128 positions (columns of dw), of
// 16-bit floats alone; of 128 (float: 64 x 128).
enum class Tiles : int { small, narrow, big };
#define LAMELLA_CONV(type)                                                             \
  void conv_product_##type(ConvProduct&, int64_t groups, bool pixels, Tiles);       \
  void conv_weight_##type(ConvWeight&, int64_t groups, Tiles);
LAMELLA_CONV(bf16) LAMELLA_CONV(f16) LAMELLA_CONV(float) LAMELLA_CONV(tf32) LAMELLA_CONV(double)
#undef LAMELLA_CONV

// ---- layouts (conv_layout.cu) -----------------------------------------------------------------------------------------
// y (n, d, h, w, group, padded), dense, from x of any strides: element (tw, c) of output position w is the input at
// w * step + first + tw * next along the width.
struct ImageCopy {
  DType dtype;
  const void* x; void* y;
  int64_t stride[5];
  int64_t n, size[3], width, groups;  // size: of x; width: of y
  int step, first, next;
  Channels channels;
};
void copy_image(const ImageCopy&);

// The packed filters of a product from w (k, c / groups, kernel...); `backward`: rows are channels, elements are filters.
void pack_filters(DType, const Window&, const void* w, void* to, int64_t groups, int64_t filters, int64_t channels, bool backward,
                  const Channels&, const int64_t* stride, const int64_t* pad, const int64_t* dilation);

// dw from partial (group, part, row, taps * padded) of the type of sums: parts are added in order.
void sum_weights(DType, const void* partial, void* dw, int64_t groups, int64_t parts, int64_t rows, int64_t taps, const Channels&);

// ---- depthwise (conv_depthwise.cu) -------------------------------------------------------------------------------------
void depthwise_fwd(const ConvFwd&);
void depthwise_bwd_input(const ConvBwdInput&);
void depthwise_bwd_weight(const ConvBwdWeight&);  // dw alone

}  // namespace lamella::cuda
