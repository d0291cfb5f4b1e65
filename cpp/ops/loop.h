// SPDX-License-Identifier: MIT
// From shapes and strides to a kernel's Loop: sizes of 1 dropped, dimensions in the order of operand 0's strides (so
// that the innermost is the output's contiguous one), neighbours merged where all operands allow it.
#pragma once
#include <cstdlib>
#include "core/array.h"
#include "kernels/kernels.h"

namespace lamella::ops {

// Strides of x as seen from `shape`, which x broadcasts to: 0 along stretched and added dimensions.
inline Dims broadcast_strides(const Array& x, const Shape& shape) {
  Dims s;
  s.n = shape.n;
  const int lead = shape.n - x.shape.n;
  for (int d = 0; d < shape.n; ++d)
    s.v[d] = d < lead || (x.shape.v[d - lead] == 1 && shape.v[d] != 1) ? 0 : x.strides.v[d - lead];
  return s;
}

// The loop over dims [0, ndim) of `shape`, operand k's strides being strides[k].
template <int N> Loop<N> make_loop(int ndim, const int64_t* shape, const int64_t* const (&strides)[N]) {
  int order[kMaxDims], n = 0;
  for (int d = 0; d < ndim; ++d) {
    if (shape[d] == 1) continue;
    int at = n++;  // insertion by operand 0's stride, falling; stable
    for (; at > 0 && std::abs(strides[0][order[at - 1]]) < std::abs(strides[0][d]); --at) order[at] = order[at - 1];
    order[at] = d;
  }
  Loop<N> loop;
  loop.ndim = 0;
  for (int i = 0; i < n; ++i) {
    const int d = order[i], last = loop.ndim - 1;
    bool merges = last >= 0;
    for (int k = 0; k < N && merges; ++k) merges = loop.stride[k][last] == strides[k][d] * shape[d];
    const int to = merges ? last : loop.ndim++;
    loop.shape[to] = merges ? loop.shape[to] * shape[d] : shape[d];
    for (int k = 0; k < N; ++k) loop.stride[k][to] = strides[k][d];
  }
  return loop;
}

template <int N> Loop<N> flat_loop(int64_t n) {  // all operands contiguous
  Loop<N> loop;
  loop.ndim = 1;
  loop.shape[0] = n;
  for (int k = 0; k < N; ++k) loop.stride[k][0] = 1;
  return loop;
}

}  // namespace lamella::ops
