// SPDX-License-Identifier: MIT
// Products of vectors that are no matrix product.
#pragma once
#include "core/array.h"

namespace lamella::ops {

// The vector product along dim; a and b have one shape, with size 3 there, and one floating dtype.
Array cross(const Array& a, const Array& b, int64_t dim);

}  // namespace lamella::ops
