// SPDX-License-Identifier: MIT
// Rotary positions of x (..., length, dim) with cos, sin (length, pairs).
#pragma once
#include "core/array.h"

namespace lamella::ops {

Array rotary(const Array& x, const Array& cos, const Array& sin, bool interleaved, bool inverse);

}  // namespace lamella::ops
