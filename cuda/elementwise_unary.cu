// SPDX-License-Identifier: MIT
// y = op(x).
#include "elementwise.cuh"
#include "../cpp/kernels/unary_formulas.h"

namespace lamella::cuda {
namespace {

using namespace unary_formulas;

// The op on one element, in any arithmetic type; predicates give 1 and 0.
template <UnaryOp op, class A> GPU A unary_of(A x, A p0, A p1) {
  if constexpr (op == UnaryOp::logical_not) return A(x == A(0));
  else if constexpr (A(0.5) != A(0)) {
    if constexpr (requires { Predicate<op>::none; } == false) return A(Predicate<op>::on(x));
    else return Of<op>::on(x, p0, p1);
  } else {
    if constexpr (requires { OfInt<op>::none; }) return x; else return OfInt<op>::on(x, p0, p1);
  }
}
template <class A> struct AnyUnary {
  static constexpr bool kUnroll = false;
  UnaryOp op;
  A p0, p1;
  GPU A operator()(A x) const {
    switch (op) {
#define CASE(name) case UnaryOp::name: return unary_of<UnaryOp::name, A>(x, p0, p1);
      LAMELLA_UNARY_OPS(CASE)
#undef CASE
      case UnaryOp::count: break;
    }
    return x;
  }
};

// Contiguous, aligned x and y: four packs of a thread in flight. Cheap ops are unrolled over them; of the others one pack
// at a time is in the registers that the op works on.
constexpr int kFlight = 4;
constexpr bool is_cheap(UnaryOp op) { return op <= UnaryOp::square || op == UnaryOp::relu; }

template <UnaryOp op, class T> GPU void apply(Pack<T, kPack<T>>& v) {
#pragma unroll
  for (int i = 0; i < kPack<T>; ++i) v.v[i] = down<T>(unary_of<op, acc_t<T>>(up(v.v[i]), 0, 0));
}
template <UnaryOp op, class T>
__global__ void __launch_bounds__(kThreads) unary_flat(const T* x, T* y, int64_t n) {
  using Word = Pack<T, kPack<T>>;
  const int64_t packs = n / kPack<T>, tile = kThreads * kFlight;
#pragma unroll 1
  for (int64_t base = blockIdx.x * tile + threadIdx.x; base < packs; base += gridDim.x * tile) {
    Word v[kFlight];
#pragma unroll
    for (int j = 0; j < kFlight; ++j)
      if (base + j * kThreads < packs) v[j] = load_pack<T, kPack<T>>(x + (base + j * kThreads) * kPack<T>);
    if constexpr (is_cheap(op)) {
#pragma unroll
      for (int j = 0; j < kFlight; ++j)
        if (base + j * kThreads < packs) {
          apply<op, T>(v[j]);
          store_pack(y + (base + j * kThreads) * kPack<T>, v[j]);
        }
    } else {
#pragma unroll 1
      for (int64_t at = base; at < packs && at < base + tile; at += kThreads) {
        apply<op, T>(v[0]);
        store_pack(y + at * kPack<T>, v[0]);
#pragma unroll
        for (int j = 0; j + 1 < kFlight; ++j) v[j] = v[j + 1];
      }
    }
  }
  const int64_t rest = packs * kPack<T> + threadIdx.x;
  if (blockIdx.x == 0 && rest < n) y[rest] = down<T>(unary_of<op, acc_t<T>>(up(x[rest]), 0, 0));
}

#define HOT_OPS(U)                                                                                              \
  U(neg) U(square) U(exp) U(log) U(sqrt) U(rsqrt) U(reciprocal) U(tanh) U(sigmoid) U(relu) U(silu) U(gelu) U(gelu_tanh)
template <class T> bool unary_hot(const Unary& a, int64_t n) {
  const auto run = [&](auto kernel) {
    launch("unary", kernel, dim3(unsigned(most(1, blocks_for(n / kPack<T>, kThreads * kFlight)))), dim3(kThreads), 0,
           static_cast<const T*>(a.x), static_cast<T*>(a.y), n);
    return true;
  };
  switch (a.op) {
#define CASE(name) case UnaryOp::name: return run(unary_flat<UnaryOp::name, T>);
    HOT_OPS(CASE)
#undef CASE
    default: return false;
  }
}

}  // namespace

void unary(const Unary& a) {
  const bool flat = a.loop.ndim == 0 || (a.loop.ndim == 1 && a.loop.stride[0][0] == 1 && a.loop.stride[1][0] == 1);
  const int64_t n = a.loop.ndim ? a.loop.shape[0] : 1;
  if (flat && n == 0) return;
  if (flat && is_aligned(a.x) && is_aligned(a.y)) {
    if (a.dtype == DType::f32 && unary_hot<float>(a, n)) return;
    if (a.dtype == DType::bf16 && unary_hot<bf16>(a, n)) return;
    if (a.dtype == DType::f16 && unary_hot<f16>(a, n)) return;
  }
  const bool predicate = a.op >= UnaryOp::isnan;
  const Given given[2] = {{a.y, predicate ? DType::b8 : a.dtype}, {a.x, a.dtype}};
  const auto run = [&](auto p0, auto p1) {
    using A = decltype(p0);
    run_loop<A, 1>("unary", a.loop, given, 0, AnyUnary<A>{a.op, p0, p1});
  };
  if (a.dtype == DType::f64) run(a.p0, a.p1);
  else if (is_floating(a.dtype)) run(float(a.p0), float(a.p1));
  else if (a.dtype == DType::i64) run(integer_bound<int64_t>(a.p0), integer_bound<int64_t>(a.p1));
  else run(integer_bound<int32_t>(a.p0), integer_bound<int32_t>(a.p1));
}

}  // namespace lamella::cuda
