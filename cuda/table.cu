// SPDX-License-Identifier: MIT
// The device's table, derived from the list.
#include "device.cuh"

namespace lamella::cuda {

extern const Kernels table;
const Kernels table = {
    "cuda",
#define K(name, Args) name,
    LAMELLA_KERNELS(K)
#undef K
};

}  // namespace lamella::cuda
