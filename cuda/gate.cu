// SPDX-License-Identifier: MIT
// Gated linear units: one half of the input scales the other.
#include "lanes.cuh"
#include "../cpp/kernels/gate_formulas.h"

namespace lamella::cuda {
namespace {

// kOp: a GateOp, or -1 for one known at launch. L: elements of a thread at a time, that rows are whole groups of.
template <int kOp, class F> GPU void with_op(GateOp op, const F& f) {
  if constexpr (kOp >= 0) f(std::integral_constant<GateOp, GateOp(kOp)>());
  else if (op == GateOp::glu) f(std::integral_constant<GateOp, GateOp::glu>());
  else if (op == GateOp::swiglu) f(std::integral_constant<GateOp, GateOp::swiglu>());
  else f(std::integral_constant<GateOp, GateOp::geglu>());
}

template <int kOp, class T, int L>
__global__ void __launch_bounds__(kThreads) gate_forward(const T* x, T* y, int64_t groups, const Divisor row, GateOp op) {
#pragma unroll 1
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < groups; i += int64_t(gridDim.x) * kThreads) {
    int64_t c;
    const int64_t r = row.divide(i, c);
    const T* a = x + (2 * r * row.d + c) * L;
    auto u = load_pack<T, L>(a);
    const auto v = load_pack<T, L>(a + row.d * L);
    with_op<kOp>(op, [&](auto o) {
#pragma unroll
      for (int k = 0; k < L; ++k) u.v[k] = down<T>(gated<o.value>(up(u.v[k]), up(v.v[k])));
    });
    store_pack(y + i * L, u);
  }
}
template <int kOp, class T, int L>
__global__ void __launch_bounds__(kThreads)
gate_backward(const T* x, const T* dy, T* dx, int64_t groups, const Divisor row, GateOp op) {
#pragma unroll 1
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < groups; i += int64_t(gridDim.x) * kThreads) {
    int64_t c;
    const int64_t r = row.divide(i, c), at = (2 * r * row.d + c) * L;
    auto u = load_pack<T, L>(x + at), v = load_pack<T, L>(x + at + row.d * L);
    const auto g = load_pack<T, L>(dy + i * L);
    with_op<kOp>(op, [&](auto o) {
#pragma unroll
      for (int k = 0; k < L; ++k) {
        acc_t<T> da, db;
        d_gated<o.value>(up(u.v[k]), up(v.v[k]), up(g.v[k]), da, db);
        u.v[k] = down<T>(da);
        v.v[k] = down<T>(db);
      }
    });
    store_pack(dx + at, u);
    store_pack(dx + at + row.d * L, v);
  }
}

// f(T{}, op, L) as constants: 16-byte packs and an op of its own where rows are whole packs, else one element at a time.
template <class F> void by_form(GateOp op, DType dtype, int64_t n, bool aligned, const F& f) {
  by_float(dtype, [&](auto t) {
    using T = decltype(t);
    constexpr int L = kPack<T>;
    const std::integral_constant<int, L> packs;
    if constexpr (sizeof(T) < 8)
      if (aligned && n % L == 0) {
        if (op == GateOp::glu) f(t, std::integral_constant<int, int(GateOp::glu)>(), packs);
        else if (op == GateOp::swiglu) f(t, std::integral_constant<int, int(GateOp::swiglu)>(), packs);
        else f(t, std::integral_constant<int, int(GateOp::geglu)>(), packs);
        return;
      }
    f(t, std::integral_constant<int, -1>(), std::integral_constant<int, 1>());
  });
}

}  // namespace

void gate_fwd(const GateFwd& g) {
  by_form(g.op, g.dtype, g.n, is_aligned(g.x) && is_aligned(g.y), [&](auto t, auto op, auto l) {
    using T = decltype(t);
    const int64_t groups = g.outer * g.n / l.value;
    launch("gate_fwd", gate_forward<op.value, T, l.value>, dim3(blocks_for(groups, kThreads)), dim3(kThreads), 0,
           static_cast<const T*>(g.x), static_cast<T*>(g.y), groups, Divisor(g.n / l.value), g.op);
  });
}
void gate_bwd(const GateBwd& g) {
  by_form(g.op, g.dtype, g.n, is_aligned(g.x) && is_aligned(g.dy) && is_aligned(g.dx), [&](auto t, auto op, auto l) {
    using T = decltype(t);
    const int64_t groups = g.outer * g.n / l.value;
    launch("gate_bwd", gate_backward<op.value, T, l.value>, dim3(blocks_for(groups, kThreads)), dim3(kThreads), 0,
           static_cast<const T*>(g.x), static_cast<const T*>(g.dy), static_cast<T*>(g.dx), groups, Divisor(g.n / l.value), g.op);
  });
}

}  // namespace lamella::cuda
