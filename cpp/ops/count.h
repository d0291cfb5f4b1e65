// SPDX-License-Identifier: MIT
// Numbers of occurrences: counted, and drawn. On the CPU.
#pragma once
#include "core/array.h"
#include "core/random.h"

namespace lamella::ops {

// How often each of 0, 1, ... occurs among x (1-D integers, none negative): int64, at least `least` of them.
Array bincount(const Array& x, int64_t least);

// For each element of x a Poisson number of that rate, float64.
Array poisson(const Array& x, Generator& g);

}  // namespace lamella::ops
