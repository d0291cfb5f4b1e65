// SPDX-License-Identifier: MIT
// Layer and RMS normalisation (Ba, Kiros and Hinton 2016; Zhang and Sennrich 2019): forward.
#include "norm_rows.cuh"

namespace lamella::cuda {

void layer_norm_fwd(const LayerNormFwd& a) {
  by_float(a.dtype, [&](auto t) {
    using T = decltype(t);
    using A = acc_t<T>;
    bool packed = a.cols % kPack<T> == 0;
    for (const void* p : {a.x, a.weight, a.bias, (const void*)a.y}) packed = packed && is_aligned(p);
    const NormFwd<T> rows{a.rows, a.cols, (const T*)a.x, (T*)a.y, (A*)a.mean, (A*)a.rstd, A(a.eps), a.rms, 0};
    const ByColumn<T> affine{(const T*)a.weight, (const T*)a.bias};
    by_packing<T>(packed, [&](auto p) { norm_rows_fwd<T, decltype(p)::value>(rows, affine); });
  });
}

}  // namespace lamella::cuda
