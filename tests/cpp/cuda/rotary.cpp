// SPDX-License-Identifier: MIT
// Rotary positions on the device against the CPU's: strides, odd sizes, features that stay, both layouts.
#include "cuda/device.cuh"
#include "dispatch/dispatch.h"
#include "typed.h"

using namespace lamella;

// x lies as (heads[0], length, heads[1], dim + gap), heads in any number.
static void turn(DType type, int64_t b, int64_t h, int64_t length, int64_t dim, int64_t pairs, int64_t gap, int64_t offset) {
  const DType angle = type == DType::f64 ? DType::f64 : DType::f32;
  Typed x(type, b * length * h * (dim + gap), offset), cos(angle, length * pairs), sin(angle, length * pairs);
  x.fill(1, -2, 2);
  cos.fill(2, -1, 1);
  sin.fill(3, -1, 1);
  for (bool interleaved : {false, true})
    for (bool inverse : {false, true}) {
      Typed got(type, b * h * length * dim), want(type, b * h * length * dim);
      Rotary a{};
      a.dtype = type;
      a.ndim = 2;
      a.heads[0] = b; a.heads[1] = h;
      a.length = length; a.dim = dim; a.pairs = pairs;
      a.x = {x.data(), {length * h * (dim + gap), dim + gap}, h * (dim + gap)};
      a.y = got.data();
      a.cos = cos.data(); a.sin = sin.data();
      a.interleaved = interleaved; a.inverse = inverse;
      cuda::rotary(a);
      a.y = want.data();
      kernels().rotary(a);
      CHECK(got.intact());
      CHECK(got.close(want, 2 * epsilon(type), 4 * epsilon(angle)));
    }
}

int main() {
  for (DType type : kFloats) {
    turn(type, 2, 3, 5, 64, 32, 0, 0);
    turn(type, 2, 3, 5, 64, 16, 0, 0);   // features that stay
    turn(type, 1, 1, 130, 16, 8, 8, 0);
    turn(type, 2, 5, 7, 24, 8, 3, 0);    // rows off alignment
    turn(type, 2, 3, 5, 64, 32, 0, 1);   // all off alignment
    turn(type, 3, 2, 9, 7, 3, 0, 0);
    turn(type, 1, 7, 300, 2, 1, 0, 0);
    turn(type, 1, 2, 3, 8, 0, 0, 0);     // no pairs
    turn(type, 0, 2, 3, 8, 4, 0, 0);
    turn(type, 2, 2, 0, 8, 4, 0, 0);
    turn(type, 2, 2, 3, 0, 0, 0, 0);
  }
  turn(DType::f32, 1, 140000, 1, 4, 2, 0, 0);  // more heads than the grid has rows
  return failures() != 0;
}
