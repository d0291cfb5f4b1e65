// SPDX-License-Identifier: MIT
// Batch normalisation of x (n, c, ...), contiguous or channels-last (the result then is, too). Parameters and running
// buffers may have any floating dtype; statistics are float32 (float64).
#pragma once
#include <optional>
#include <tuple>
#include "core/array.h"

namespace lamella::ops {

// With the batch's statistics; running buffers, if given, are updated. Returns y, mean, rstd.
std::tuple<Array, Array, Array> batch_norm_fwd(const Array& x, const std::optional<Array>& weight,
                                               const std::optional<Array>& bias, std::optional<Array> running_mean,
                                               std::optional<Array> running_var, double momentum, double eps);
// With given statistics. Returns y, mean, rstd.
std::tuple<Array, Array, Array> batch_norm_apply(const Array& x, const std::optional<Array>& weight,
                                                 const std::optional<Array>& bias, const Array& running_mean,
                                                 const Array& running_var, double eps);
// dx, dweight, dbias; undefined where not asked for. frozen: mean and rstd were given.
std::tuple<Array, Array, Array> batch_norm_bwd(const Array& x, const Array& dy, const std::optional<Array>& weight,
                                               const Array& mean, const Array& rstd, bool frozen, bool need_x,
                                               bool need_weight, bool need_bias);

}  // namespace lamella::ops
