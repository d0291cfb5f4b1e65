// SPDX-License-Identifier: MIT
// Reductions over any axes (an empty list: all), running sums, and the inverse of broadcasting.
#pragma once
#include <optional>
#include "core/array.h"
#include "kernels/kernels.h"

namespace lamella::ops {

// sum and prod of integers and bool give int64, mean takes floats only; any and all give bool, argmax and argmin int64,
// the rest x's dtype. `dtype`: x is converted first. max, min, argmax, argmin of nothing are ValueErrors; argmax and
// argmin of several axes index within them, row-major.
Array reduce(ReduceOp op, const Array& x, const Dims& axes, bool keepdim, std::optional<DType> dtype = {});

struct VarMean { Array var, mean; };
// The sum of squared deviations over (count - correction), NaN where that is not positive.
VarMean var(const Array& x, const Dims& axes, double correction, bool keepdim);

// Running sum, product, extreme or log of the sum of exponentials along dim; sums and products of integers give int64.
// index: of extremes alone.
struct Scanned { Array values, index; };
Scanned scan(ScanOp op, const Array& x, int64_t dim, std::optional<DType> dtype = {});
Array sum_to(const Array& x, const Shape& shape);  // sums over what was broadcast from `shape` to x's
bool scalar_bool(const Array& x);                   // the value of a one-element bool array

}  // namespace lamella::ops
