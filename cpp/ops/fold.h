// SPDX-License-Identifier: MIT
// Sliding windows of x (n, c, ...) as columns (n, c * taps, positions), and columns summed back.
#pragma once
#include "core/array.h"

namespace lamella::ops {

struct FoldOptions { Dims kernel, dilation, padding, stride; };

Array unfold(const Array& x, const FoldOptions&);
Array fold(const Array& columns, const Dims& output, const FoldOptions&);

}  // namespace lamella::ops
