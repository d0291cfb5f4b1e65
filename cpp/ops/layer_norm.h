// SPDX-License-Identifier: MIT
// Layer, RMS and group normalisation. Parameters may have any floating dtype; statistics are float32 (float64).
#pragma once
#include <optional>
#include <tuple>
#include "core/array.h"

namespace lamella::ops {

// Over the last dimensions, whose sizes are `shape`. Returns y, mean (undefined for rms), rstd.
std::tuple<Array, Array, Array> layer_norm_fwd(const Array& x, const Shape& shape, const std::optional<Array>& weight,
                                               const std::optional<Array>& bias, double eps, bool rms);
// dx, dweight, dbias; undefined where not asked for.
std::tuple<Array, Array, Array> layer_norm_bwd(const Array& x, const Array& dy, const Shape& shape,
                                               const std::optional<Array>& weight, const std::optional<Array>& mean,
                                               const Array& rstd, bool rms, bool need_x, bool need_weight, bool need_bias);

// x (n, c, ...), over groups of channels and all that follows. Returns y, mean, rstd.
std::tuple<Array, Array, Array> group_norm_fwd(const Array& x, int64_t groups, const std::optional<Array>& weight,
                                               const std::optional<Array>& bias, double eps);
std::tuple<Array, Array, Array> group_norm_bwd(const Array& x, const Array& dy, int64_t groups,
                                               const std::optional<Array>& weight, const Array& mean, const Array& rstd,
                                               bool need_x, bool need_weight, bool need_bias);

}  // namespace lamella::ops
