// SPDX-License-Identifier: MIT
// Losses of single elements, reduced in the same pass.
#pragma once
#include <string>
#include "core/array.h"
#include "kernels/kernels.h"

namespace lamella::ops {

// input and target: one shape, one floating dtype (the caller has checked). reduction: none, sum or mean.
Array loss_fwd(const std::string& kind, const Array& input, const Array& target, const std::string& reduction, double p);
Array loss_bwd(const std::string& kind, const Array& input, const Array& target, const Array& dloss,
               const std::string& reduction, double p);

}  // namespace lamella::ops
