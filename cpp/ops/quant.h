// SPDX-License-Identifier: MIT
// Products of int8 matrices. Operands may have any strides.
#pragma once
#include <optional>
#include "core/array.h"

namespace lamella::ops {

// a (m, k) . b (k, n): int32, exact; with scales float32: the product times a_scale ((m,) or one) and b_scale ((n,) or
// one), and bias (n,) added.
Array int_mm(const Array& a, const Array& b, const std::optional<Array>& a_scale, const std::optional<Array>& b_scale,
             const std::optional<Array>& bias);

}  // namespace lamella::ops
