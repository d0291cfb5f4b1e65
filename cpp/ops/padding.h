// SPDX-License-Identifier: MIT
// Dimensions of x widened on both sides: by a value, or by elements from beside the border.
#pragma once
#include <vector>
#include "core/array.h"
#include "kernels/kernels.h"

namespace lamella::ops {

struct PadSide { int dim; int64_t before, after; };  // each dimension once; widths that the mode can take from x

Array pad(const Array& x, const std::vector<PadSide>&, PadMode, double value);

}  // namespace lamella::ops
