// SPDX-License-Identifier: MIT
// Softmax, log-softmax and cross-entropy.
#pragma once
#include <optional>
#include <string>
#include <tuple>
#include "core/array.h"

namespace lamella::ops {

Array softmax_fwd(const Array& x, int64_t dim, bool log);
Array softmax_bwd(const Array& y, const Array& dy, int64_t dim, bool log);

// input (C,), (N, C) or (N, C, d1, ...); target: integers (), (N,) or (N, d1, ...); weight (C,). reduction: none, sum or
// mean. log_probs: input holds log-probabilities (nll_loss). Every target is checked. Returns the loss, and for the
// backward lse, the mean's denominator and the targets as int64.
std::tuple<Array, Array, Array, Array> cross_entropy_fwd(const Array& input, const Array& target,
                                                         const std::optional<Array>& weight, int64_t ignore_index,
                                                         const std::string& reduction, double smoothing, bool log_probs);
Array cross_entropy_bwd(const Array& input, const Array& target, const std::optional<Array>& weight,
                        const std::optional<Array>& lse, const Array& denominator, const Array& dloss,
                        int64_t ignore_index, const std::string& reduction, double smoothing, bool log_probs);

}  // namespace lamella::ops
