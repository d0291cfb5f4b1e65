// SPDX-License-Identifier: MIT
// Losses of single elements, one pass each way. Sums: each block adds a chunk that the size alone determines, then one
// block adds the chunks.
#include "../cpp/kernels/loss_formulas.h"

namespace lamella::cuda {
namespace {

// Elements that a thread takes at a time: 16 bytes, of 16-bit types 8, so that no formula is unrolled more than four times.
template <class T> constexpr int kTake = sizeof(T) == 8 ? 2 : 4;

// The switch stands around the elements of a pack, not in front of each.
template <int N, class V> GPU void values(LossOp op, const V (&x)[N], const V (&t)[N], V p, V (&y)[N]) {
#define CASE(name)                                                                                         \
  case LossOp::name:                                                                                       \
    _Pragma("unroll") for (int u = 0; u < N; ++u) y[u] = LossFormula<LossOp::name>::value(x[u], t[u], p);  \
    break;
  switch (op) { LAMELLA_LOSS_OPS(CASE) }
#undef CASE
}
template <int N, class V> GPU void slopes(LossOp op, const V (&x)[N], const V (&t)[N], V p, V (&y)[N]) {
#define CASE(name)                                                                                         \
  case LossOp::name:                                                                                       \
    _Pragma("unroll") for (int u = 0; u < N; ++u) y[u] = LossFormula<LossOp::name>::slope(x[u], t[u], p);  \
    break;
  switch (op) { LAMELLA_LOSS_OPS(CASE) }
#undef CASE
}

// Where `part` is not null, it gets the sum of each chunk; else y each element.
template <class T>
__global__ void __launch_bounds__(kThreads) loss_forward(LossOp op, const T* x, const T* t, T* y, double* part, int64_t n,
                                                         int64_t chunk, acc_t<T> p, bool packed) {
  using A = acc_t<T>;
  constexpr int N = kTake<T>;
  const int64_t begin = blockIdx.x * chunk, end = least(begin + chunk, n);
  double sum = 0;
  for (int64_t i = begin + threadIdx.x * N; i < end; i += kThreads * N) {
    A vx[N], vt[N], v[N] = {};
    load_some<N>(x + i, end - i, packed, vx);
    load_some<N>(t + i, end - i, packed, vt);
    values(op, vx, vt, p, v);
    if (!part) {
      store_some<N>(y + i, end - i, packed, v);
      continue;
    }
#pragma unroll
    for (int u = 0; u < N; ++u) v[u] = u < end - i ? v[u] : A(0);
    if constexpr (N == 4) sum += double((v[0] + v[1]) + (v[2] + v[3]));
    else sum += double(v[0] + v[1]);
  }
  if (!part) return;
  sum = block_reduce(sum, Sum(), 0.0);
  if (threadIdx.x == 0) part[blockIdx.x] = sum;
}

template <class T> __global__ void loss_total(const double* part, int64_t parts, double divisor, T* y) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < parts; i += blockDim.x) sum += part[i];
  sum = block_reduce(sum, Sum(), 0.0);
  if (threadIdx.x == 0) y[0] = down<T>(acc_t<T>(sum / divisor));
}

// dy: one for each element, or one that is to be scaled.
template <class T>
__global__ void __launch_bounds__(kThreads) loss_backward(LossOp op, const T* x, const T* t, const T* dy, T* dx, int64_t n,
                                                          int64_t chunk, acc_t<T> p, bool each, acc_t<T> scale, bool packed) {
  using A = acc_t<T>;
  constexpr int N = kTake<T>;
  const int64_t begin = blockIdx.x * chunk, end = least(begin + chunk, n);
  const A one = each ? A(0) : up(dy[0]) * scale;
  for (int64_t i = begin + threadIdx.x * N; i < end; i += kThreads * N) {
    A vx[N], vt[N], d[N] = {}, v[N] = {};
    load_some<N>(x + i, end - i, packed, vx);
    load_some<N>(t + i, end - i, packed, vt);
    if (each) load_some<N>(dy + i, end - i, packed, d);
    slopes(op, vx, vt, p, v);
#pragma unroll
    for (int u = 0; u < N; ++u) v[u] *= each ? d[u] : one;
    store_some<N>(dx + i, end - i, packed, v);
  }
}

}  // namespace

void loss_fwd(const LossFwd& a) {
  by_float(a.dtype, [&](auto type) {
    using T = decltype(type);
    constexpr int N = kTake<T>;
    constexpr int64_t step = kThreads * N * 4;
    const auto *x = static_cast<const T*>(a.x), *t = static_cast<const T*>(a.target);
    auto* y = static_cast<T*>(a.loss);
    const bool each = a.reduction == Reduction::none;
    const bool packed = is_aligned(x, sizeof(T) * N) && is_aligned(t, sizeof(T) * N) && (!each || is_aligned(y, sizeof(T) * N));
    // A sum has at most 4096 chunks.
    const int64_t chunk = each ? step : most(step, ceil_div(ceil_div(a.n, 4096), step) * step), blocks = ceil_div(a.n, chunk);
    const Temp part(each ? 0 : size_t(blocks) * sizeof(double));
    launch("loss_fwd", loss_forward<T>, dim3(unsigned(blocks)), dim3(kThreads), 0, a.op, x, t, y, part.as<double>(), a.n,
           chunk, acc_t<T>(a.p), packed);
    if (!each)
      launch("loss_fwd", loss_total<T>, dim3(1), dim3(1024), 0, part.as<double>(), blocks,
             a.reduction == Reduction::mean ? double(a.n) : 1.0, y);
  });
}

void loss_bwd(const LossBwd& a) {
  by_float(a.dtype, [&](auto type) {
    using T = decltype(type);
    constexpr int N = kTake<T>;
    constexpr int64_t chunk = kThreads * N * 4;
    const auto *x = static_cast<const T*>(a.x), *t = static_cast<const T*>(a.target), *dy = static_cast<const T*>(a.dloss);
    auto* dx = static_cast<T*>(a.dx);
    const bool each = a.reduction == Reduction::none;
    const bool packed = is_aligned(x, sizeof(T) * N) && is_aligned(t, sizeof(T) * N) && is_aligned(dx, sizeof(T) * N) &&
                        (!each || is_aligned(dy, sizeof(T) * N));
    using A = acc_t<T>;
    launch("loss_bwd", loss_backward<T>, dim3(unsigned(ceil_div(a.n, chunk))), dim3(kThreads), 0, a.op, x, t, dy, dx, a.n,
           chunk, A(a.p), each, a.reduction == Reduction::mean ? A(1 / double(a.n)) : A(1), packed);
  });
}

}  // namespace lamella::cuda
