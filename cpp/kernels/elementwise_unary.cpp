// SPDX-License-Identifier: MIT
// y = op(x): one loop for each op and arithmetic type.
#include "elementwise.h"
#include "unary_formulas.h"

namespace lamella {
namespace LAMELLA_ISA {

using namespace unary_formulas;

template <UnaryOp op, class T> static void float_run(void* y, const void* const* x, int64_t n, const double* p, bool past) {
  using A = acc_t<T>;
  const A p0 = A(p[0]), p1 = A(p[1]);
  map1<T>(y, x, n, past, [=](vec<A> v) __attribute__((always_inline)) { return Of<op>::on(v, p0, p1); });
}
template <UnaryOp op, class A> static void integer_run(void* y, const void* const* x, int64_t n, const double* p, bool) {
  const A p0 = integer_bound<A>(p[0]), p1 = integer_bound<A>(p[1]);
  each1<A, A>(y, x, n, [=](A v) __attribute__((always_inline)) { return OfInt<op>::on(v, p0, p1); });
}
template <UnaryOp op, class A> static void predicate_run(void* y, const void* const* x, int64_t n, const double*, bool) {
  each1<A, bool>(y, x, n, [](A v) __attribute__((always_inline)) { return Predicate<op>::on(v); });
}
static void not_run(void* y, const void* const* x, int64_t n, const double*, bool) {
  each1<uint8_t, uint8_t>(y, x, n, [](uint8_t v) __attribute__((always_inline)) { return uint8_t(v ^ 1); });
}

template <UnaryOp op, class A> constexpr Run run_for() {
  if constexpr (op == UnaryOp::logical_not) return not_run;
  else if constexpr (requires { Predicate<op>::none; } == false) {
    if constexpr (A(0.5) != 0) return predicate_run<op, A>; else return nullptr;
  } else if constexpr (A(0.5) != 0) {
    if constexpr (requires { Of<op>::none; }) return nullptr; else return float_run<op, A>;
  } else {
    if constexpr (requires { OfInt<op>::none; }) return nullptr; else return integer_run<op, A>;
  }
}

static constexpr Run kRuns[int(UnaryOp::count)][wide_count] = {
#define ROW(name)                                                                                             \
  {run_for<UnaryOp::name, float>(), run_for<UnaryOp::name, double>(), run_for<UnaryOp::name, int32_t>(),      \
   run_for<UnaryOp::name, int64_t>()},
    LAMELLA_UNARY_OPS(ROW)
#undef ROW
};

// bfloat16 as it lies, without a buffer of floats on either side; null: not one of these ops. (Longer ops gain nothing.)
template <UnaryOp op> static void sign_run(void* y, const void* const* x, int64_t n, const double*, bool) {
  each1<uint16_t, uint16_t>(y, x, n, [](uint16_t v) __attribute__((always_inline)) {
    return uint16_t(op == UnaryOp::neg ? v ^ 0x8000 : v & 0x7fff);
  });
}
static Run bf16_run(UnaryOp op) {
  switch (op) {
    case UnaryOp::neg: return sign_run<UnaryOp::neg>;
    case UnaryOp::abs: return sign_run<UnaryOp::abs>;
    case UnaryOp::square: return float_run<UnaryOp::square, bf16>;
    case UnaryOp::relu: return float_run<UnaryOp::relu, bf16>;
    default: return nullptr;
  }
}

void unary(const Unary& a) {
  const Run narrow = a.dtype == DType::bf16 ? bf16_run(a.op) : nullptr, run = narrow ? narrow : kRuns[int(a.op)][wide_of(a.dtype)];
  const double p[2] = {a.p0, a.p1};
  const bool to_bool = a.op >= UnaryOp::isnan;
  const Port in = a.op == UnaryOp::logical_not ? port_bool(a.dtype, a.x) : narrow ? port_raw(2, a.x) : port(a.dtype, a.x);
  int64_t n;
  if (in.native && is_small_run(a.loop, n)) { run(a.y, &a.x, n, p, false); return; }
  drive(a.loop, {to_bool ? port_raw(1, a.y) : narrow ? port_raw(2, a.y) : port(a.dtype, a.y), in}, run, p,
        to_bool ? Large::cached : large_of(a.dtype));
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
