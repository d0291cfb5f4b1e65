// SPDX-License-Identifier: MIT
// Matrix products on Arrays. Operands share one floating dtype and may have any strides: transposed and broadcast ones
// are read in place. Results are contiguous.
#pragma once
#include <optional>
#include "core/array.h"
#include "kernels/kernels.h"

namespace lamella::ops {

// PyTorch's rule: 1-D operands are a row on the left and a column on the right, leading dimensions broadcast.
Array matmul(const Array& a, const Array& b);
// act(x (..., in) . weight (out, in)^T + bias (out)).
Array linear(const Array& x, const Array& weight, const std::optional<Array>& bias, Act act = Act::none);

struct LinearGrads { Array dweight, dbias; };  // dbias undefined unless asked for
// dweight (out, in) = dy^T . x and dbias (out) = the column sums of dy, over all leading dimensions.
LinearGrads linear_bwd_weight(const Array& x, const Array& dy, bool bias);

// How many multiply-adds the product takes (1 where the shapes do not fit): whether letting go of a lock pays.
int64_t matmul_work(const Array& a, const Array& b);

}  // namespace lamella::ops
