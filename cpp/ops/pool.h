// SPDX-License-Identifier: MIT
// Pooling over the last `dims` (1 to 3) dimensions of x (n, c, ...).
#pragma once
#include <utility>
#include "core/array.h"

namespace lamella::ops {

struct PoolOptions { Dims kernel, stride, padding, dilation; bool ceil_mode; };

enum class PoolIndex { none, small, whole };  // positions: not wanted, int32 where they fit, int64
std::pair<Array, Array> max_pool(const Array& x, const PoolOptions&, PoolIndex);  // y, positions of the winners
Array max_pool_grad(const Array& dy, const Array& index, const Shape& input);           // adaptive max pooling's too

struct AvgOptions { bool count_include_pad; int64_t divisor_override; };
Array avg_pool(const Array& x, const PoolOptions&, const AvgOptions&);
Array avg_pool_grad(const Array& dy, const Shape& input, const PoolOptions&, const AvgOptions&);

Array adaptive_avg_pool(const Array& x, const Dims& output);
Array adaptive_avg_pool_grad(const Array& dy, const Shape& input);
std::pair<Array, Array> adaptive_max_pool(const Array& x, const Dims& output);

}  // namespace lamella::ops
