// SPDX-License-Identifier: MIT
// Mean and sum of squared deviations.
#include "reduce.cuh"

namespace lamella::cuda {

void moments(const Moments& a) {
  by_float(a.dtype, [&](auto t) {
    reduce_with(MomentOf<decltype(t)>(), a.x, a.kept, a.over, {a.dtype, a.mean, a.m2, 0});
  });
}

}  // namespace lamella::cuda
