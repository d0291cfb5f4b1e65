// SPDX-License-Identifier: MIT
// Interpolation over the last dimensions of x (n, c, ...): a linear map along each, and its adjoint.
#pragma once
#include <string>
#include <vector>
#include "core/array.h"

namespace lamella::ops {

struct ResizeOptions {
  std::string mode;            // nearest, nearest-exact, linear, cubic
  bool align_corners;
  std::vector<double> scales;  // outputs per input, one a dimension; 0 or missing: the ratio of the sizes
  bool antialias;              // linear and cubic: the filter is as wide as what it leaves out
};

Array resize(const Array& x, const Dims& size, const ResizeOptions&);
Array resize_grad(const Array& dy, const Shape& input, const ResizeOptions&);  // the adjoint: (n, c, ...) of `input`

}  // namespace lamella::ops
