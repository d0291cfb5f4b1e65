// SPDX-License-Identifier: MIT
// Sliding windows of x (n, c, ...) as columns (n, c * taps, positions), and columns summed back.
#pragma once
#include "core/array.h"

namespace lamella::ops {

struct FoldOptions { Dims kernel, dilation, padding, stride; };

Array unfold(const Array& x, const FoldOptions&);
Array fold(const Array& columns, const Dims& output, const FoldOptions&);

// (..., c r^2, h, w) -> (..., c, h r, w r), and back where `inverse`; sizes that r does not divide are a ValueError.
Array pixel_shuffle(const Array& x, int64_t r, bool inverse);

}  // namespace lamella::ops
