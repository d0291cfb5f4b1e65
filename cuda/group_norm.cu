// SPDX-License-Identifier: MIT
// Group normalisation (Wu and He 2018) of x (n, c, inner); groups == c is instance normalisation. A group of a sample is a
// row of c / groups * inner elements.
#include "norm_rows.cuh"

namespace lamella::cuda {

void group_norm_fwd(const GroupNormFwd& a) {
  if (a.n * a.c * a.inner == 0) return;
  by_float(a.dtype, [&](auto t) {
    using T = decltype(t);
    using A = acc_t<T>;
    const int64_t channels = a.c / a.groups, cols = channels * a.inner;
    const NormFwd<T> rows{a.n * a.groups, cols, (const T*)a.x, (T*)a.y, (A*)a.mean, (A*)a.rstd, A(a.eps), false, 0};
    const ByChannel<T> affine{(const T*)a.weight, (const T*)a.bias, Divisor(a.groups), Divisor(a.inner), channels};
    by_packing<T>(cols % kPack<T> == 0 && is_aligned(a.x) && is_aligned(a.y),
                  [&](auto p) { norm_rows_fwd<T, decltype(p)::value>(rows, affine); });
  });
}

}  // namespace lamella::cuda
