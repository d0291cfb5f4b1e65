// SPDX-License-Identifier: MIT
#pragma once
#include "../cpp/kernels/kernels.h"

namespace lamella::cuda {

// The product on Hopper's own instructions where they apply: bfloat16 and float16, each operand with one unit stride and
// the others multiples of 16 bytes, at most one batch dim once those that can be are merged, big enough to be worth it.
// False, and nothing done, elsewhere.
bool gemm_hopper(const Gemm&);

}  // namespace lamella::cuda
