// SPDX-License-Identifier: MIT
// Gated linear units: glu, swiglu, geglu.
#pragma once
#include <string>
#include "core/array.h"

namespace lamella::ops {

// kind: glu, swiglu or geglu; the halves lie along dim, whose size must be even.
Array gate_fwd(const std::string& kind, const Array& x, int64_t dim);
Array gate_bwd(const std::string& kind, const Array& x, const Array& dy, int64_t dim);

}  // namespace lamella::ops
