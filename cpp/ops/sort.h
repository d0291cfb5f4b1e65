// SPDX-License-Identifier: MIT
// Order along a dimension: NaN is the greatest, equal elements keep their order, indices are int64.
#pragma once
#include <tuple>
#include "core/array.h"
#include "kernels/kernels.h"

namespace lamella::ops {

using Ordered = std::tuple<Array, Array>;  // values, indices

Ordered sort(const Array& x, int64_t dim, bool descending);
Ordered topk(const Array& x, int64_t k, int64_t dim, bool largest);       // in order, too
Ordered kth(const Array& x, int64_t k, int64_t dim, bool keepdim, Rank rank);  // k from 1; unused by medians

// For each of x how many elements of `sorted` along its last dimension are less (`right`: less or equal). sorted is 1-D, or
// has x's shape but for the last size.
Array search_sorted(const Array& sorted, const Array& x, bool right);

}  // namespace lamella::ops
