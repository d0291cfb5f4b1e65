// SPDX-License-Identifier: MIT
#pragma once
#include "../cpp/kernels/kernels.h"

namespace lamella::cuda {

// Whether float32 products may round their operands to TF32 (10 bits of fraction) and run on tensor cores: of the process,
// off at first.
bool tf32_allowed();
void allow_tf32(bool);

bool gemm_hopper(const Gemm&);  // gemm_hopper.h

}  // namespace lamella::cuda
