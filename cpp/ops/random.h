// SPDX-License-Identifier: MIT
// Random fills and dropout. Each call takes the next stream of its generator, or is given one to repeat.
#pragma once
#include "core/array.h"
#include "core/random.h"
#include "kernels/kernels.h"

namespace lamella::ops {

void random_(Array& y, RandomOp op, double p0, double p1, Generator& g);

// One draw per `block` consecutive elements of x in row-major order, block being 1 or an image's elements. last: x is taken with
// adjacent channels; single elements are then drawn in that order.
Array dropout(const Array& x, double p, int64_t block, uint64_t seed, uint64_t stream, bool last);

// A random order of 0 .. n-1 (Fisher-Yates).
Array randperm(int64_t n, Generator& g);

// count indices per row of weights (rows, n) or (n), drawn in proportion to the weights.
Array multinomial(const Array& weights, int64_t count, bool replacement, Generator& g);

// For each element of x, on the CPU, a Poisson number of that rate, float64.
Array poisson(const Array& x, Generator& g);

}  // namespace lamella::ops
