// SPDX-License-Identifier: MIT
#pragma once
#include "core/array.h"

namespace lamella::ops {

// How often each of 0, 1, ... occurs among x (integers of the CPU, none negative): int64, at least `least` of them.
Array bincount(const Array& x, int64_t least);

}  // namespace lamella::ops
