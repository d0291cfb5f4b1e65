// SPDX-License-Identifier: MIT
// y = op(a, b, c), and y = cond ? a : b.
#include "elementwise.cuh"
#include "../cpp/kernels/ternary_formulas.h"

namespace lamella::cuda {
namespace {

template <class A> struct AnyTernary {
  static constexpr bool kUnroll = true;
  TernaryOp op;
  A p;
  GPU A operator()(A a, A b, A c) const {
    if (op == TernaryOp::lerp) return ternary_of<TernaryOp::lerp>(a, b, c, p);
    if (op == TernaryOp::addcmul) return ternary_of<TernaryOp::addcmul>(a, b, c, p);
    return ternary_of<TernaryOp::addcdiv>(a, b, c, p);
  }
};

// U: an unsigned type of the size of a, b and y.
template <class U>
__global__ void __launch_bounds__(kThreads)
where_loop(const __grid_constant__ Walk<4> w, const Operand<uint8_t> cond, const Operand<U> a, const Operand<U> b,
           const Output y) {
  constexpr int G = kGroup<U>;
  const uint32_t tile = kThreads * G;
#pragma unroll 1
  for (uint32_t base = blockIdx.x * tile; base < w.n; base += gridDim.x * tile) {
    int64_t at[4][G];
    const int count = find_group(w, base, at);
    if (count == 0) continue;
    uint8_t c[G];
    U u[G], v[G];
    read(cond, at[1], count, c);
    read(a, at[2], count, u);
    read(b, at[3], count, v);
#pragma unroll
    for (int j = 0; j < G; ++j) u[j] = c[j] ? u[j] : v[j];
    write(y, at[0], count, u);
  }
}

}  // namespace

void ternary(const Ternary& t) {
  const Given given[4] = {{t.y, t.dtype}, {t.a, t.dtype}, {t.b, t.dtype}, {t.c, t.dtype}};
  if (t.dtype == DType::f64) run_loop<double, 3>("ternary", t.loop, given, t.numbers, AnyTernary<double>{t.op, t.p});
  else run_loop<float, 3>("ternary", t.loop, given, t.numbers, AnyTernary<float>{t.op, float(t.p)});
}

void where(const Where& s) {
  const int size = size_of(s.dtype);
  const unsigned numbers = unsigned(s.numbers) << 1;  // those of a and b; cond is an array
  in_parts(s.loop, kMostElements, [&](const Loop<4>& part, const int64_t (&first)[4]) {
    const Given given[4] = {{moved(s.y, first[0], size), s.dtype}, {moved(s.cond, first[1], 1), DType::b8},
                            {moved(s.a, first[2], size), s.dtype}, {moved(s.b, first[3], size), s.dtype}};
    Walk<4> walk(part);
    by_size(size, [&](auto zero) {
      using U = decltype(zero);
      plan_words<kGroup<U>>(walk, given, numbers);
      const Output y{const_cast<void*>(given[0].p), s.dtype, walk.whole && walk.inner(0) == 1};
      launch("where", where_loop<U>, dim3(blocks_for(walk.n, kThreads * kGroup<U>)), dim3(kThreads), 0, walk,
             operand<uint8_t>(walk, 1, given[1], numbers), operand<U>(walk, 2, given[2], numbers),
             operand<U>(walk, 3, given[3], numbers), y);
    });
  });
}

}  // namespace lamella::cuda
