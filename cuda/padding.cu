// SPDX-License-Identifier: MIT
// Padding (cpp/kernels/padding.cpp): a row of y to a row of threads.
#include <cstring>
#include "device.cuh"

namespace lamella::cuda {
namespace {

struct PaddedRows {
  PadMode mode;
  int ndim;
  int64_t rows, in[kLoopDims], before[kLoopDims];
  Divisor out[kLoopDims];
};

template <class T> __global__ void pad_rows(PaddedRows p, T value, const T* x, T* y) {
  const int64_t row = int64_t(blockIdx.x) * blockDim.y + threadIdx.y;
  if (row >= p.rows) return;
  const int last = p.ndim - 1;
  const int64_t n = p.in[last], m = p.out[last].d;
  int64_t from = 0, stride = 1, rest = row;
  for (int d = last - 1; d >= 0; --d) {
    int64_t i;
    rest = p.out[d].divide(rest, i);
    const int64_t source = pad_source(p.mode, i - p.before[d], p.in[d]);
    from = from < 0 || source < 0 ? -1 : from + source * stride;
    stride *= p.in[d];
  }
  for (int64_t j = threadIdx.x; j < m; j += blockDim.x) {
    const int64_t source = from < 0 ? -1 : pad_source(p.mode, j - p.before[last], n);
    y[row * m + j] = source < 0 ? value : x[from * n + source];
  }
}

}  // namespace

void pad(const Pad& a) {
  PaddedRows p{};
  p.mode = a.mode, p.ndim = a.ndim, p.rows = 1;
  for (int d = 0; d < a.ndim; ++d) {
    p.in[d] = a.in[d], p.before[d] = a.before[d], p.out[d] = Divisor(a.out[d]);
    if (d < a.ndim - 1) p.rows *= a.out[d];
  }
  const int64_t m = a.out[a.ndim - 1];
  if (p.rows * m == 0) return;
  unsigned across = 8;
  while (across < 64 && across < m) across *= 2;
  const dim3 block(across, kThreads / across);
  by_size(a.size, [&](auto t) {
    using T = decltype(t);
    T value;
    std::memcpy(static_cast<void*>(&value), &a.value, sizeof value);
    launch("pad", pad_rows<T>, dim3(unsigned(ceil_div(p.rows, block.y))), block, 0, p, value, static_cast<const T*>(a.x),
           static_cast<T*>(a.y));
  });
}

}  // namespace lamella::cuda
