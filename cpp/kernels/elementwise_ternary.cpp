// SPDX-License-Identifier: MIT
// y = op(a, b, c), floating: one pass where two or three ops would be as many.
#include "elementwise.h"
#include "ternary_formulas.h"

namespace lamella {
namespace LAMELLA_ISA {

template <TernaryOp op, class A> static void ternary_run(void* y, const void* const* x, int64_t n, const double* p, bool past) {
  const A p0 = A(*p);
  map3<A>(y, x, n, past, [=](vec<A> a, vec<A> b, vec<A> c) __attribute__((always_inline)) {
    return ternary_of<op>(a, b, c, p0);
  });
}

void ternary(const Ternary& t) {
  static constexpr Run runs[3][2] = {{ternary_run<TernaryOp::lerp, float>, ternary_run<TernaryOp::lerp, double>},
                                     {ternary_run<TernaryOp::addcmul, float>, ternary_run<TernaryOp::addcmul, double>},
                                     {ternary_run<TernaryOp::addcdiv, float>, ternary_run<TernaryOp::addcdiv, double>}};
  const Run run = runs[int(t.op)][t.dtype == DType::f64];
  const Port a = port(t.dtype, t.a);
  int64_t n;
  if (a.native && is_small_run(t.loop, n)) {
    const void* x[3] = {t.a, t.b, t.c};
    run(t.y, x, n, &t.p, false);
    return;
  }
  drive(t.loop, {port(t.dtype, t.y), a, port(t.dtype, t.b), port(t.dtype, t.c)}, run, &t.p, large_of(t.dtype));
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
