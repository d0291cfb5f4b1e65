// SPDX-License-Identifier: MIT
// y = op(a, b): one loop for each op and arithmetic type.
#include "binary_formulas.h"
#include "elementwise.h"

namespace lamella {
namespace LAMELLA_ISA {

using namespace binary_formulas;

template <BinaryOp op, class T> static void float_run(void* y, const void* const* x, int64_t n, const double* p, bool past) {
  using A = acc_t<T>;
  const A p0 = A(p[0]), p1 = A(p[1]);
  map2<T>(y, x, n, past, [=](vec<A> a, vec<A> b) __attribute__((always_inline)) { return Of<op>::on(a, b, p0, p1); });
}
// Integer division by lanes of double, whose quotient of numbers below 2^51 lies on the right side of every integer: a / b is at
// least 1 / |b| away from those that it is not. A vector with other numbers, or a divisor of 0, goes element by element.
constexpr int kDivided = kLanes<double>;
template <class A> struct DividedLanes { typedef A type __attribute__((vector_size(kDivided * 4))); };
template <> struct DividedLanes<int64_t> { using type = vec<int64_t>; };
template <class A> using divided_lanes = typename DividedLanes<A>::type;
LAMELLA_INLINE vec<double> to_double(divided_lanes<int32_t> v) { return __builtin_convertvector(v, vec<double>); }
LAMELLA_INLINE vec<double> to_double(divided_lanes<int64_t> v) {  // by the bits of v + 1.5 2^52
  return (vec<double>)(v + 0x4338000000000000) - 0x1.8p52;
}
template <class A> LAMELLA_INLINE divided_lanes<A> from_double(vec<double> v) {
  if constexpr (sizeof(A) == 4) return __builtin_convertvector(v, divided_lanes<A>);
  else return (divided_lanes<A>)(v + 0x1.8p52) - 0x4338000000000000;
}
template <BinaryOp op, class A> static void division_run(void* y, const void* const* x, int64_t n, const double*, bool) {
  constexpr int L = kDivided;
  const A *a = static_cast<const A*>(x[0]), *b = static_cast<const A*>(x[1]);
  A* o = static_cast<A*>(y);
  constexpr A most = sizeof(A) == 4 ? A(0x7fffffff) : A(int64_t(1) << 51);
  int64_t i = 0;
  for (; i + L <= n; i += L) {
    divided_lanes<A> u, v;
    std::memcpy(&u, a + i, sizeof u);
    std::memcpy(&v, b + i, sizeof v);
    if (__builtin_expect(vany((u < -most) | (u > most) | (v < -most) | (v > most) | (v == 0)), 0)) {
      for (int64_t l = i; l < i + L; ++l) o[l] = OfInt<op>::on(a[l], b[l]);
      continue;
    }
    const vec<double> c = to_double(u), d = to_double(v), exact = c / d;
    const vec<double> q = op == BinaryOp::fmod ? vtrunc(exact) : vfloor(exact);
    const divided_lanes<A> result = from_double<A>(op == BinaryOp::floor_divide ? q : fma(-q, d, c));
    std::memcpy(o + i, &result, sizeof result);
  }
  for (; i < n; ++i) o[i] = OfInt<op>::on(a[i], b[i]);
}
template <class Op, class A, class O> static void each_run(void* y, const void* const* x, int64_t n, const double*, bool) {
  each2<A, O>(y, x, n, [](A a, A b) __attribute__((always_inline)) { return Op::on(a, b); });
}

template <BinaryOp op, class A> constexpr Run run_for() {
  if constexpr (requires { Compare<op>::none; } == false) return each_run<Compare<op>, A, bool>;
  else if constexpr (requires { Logic<op>::none; } == false) return each_run<Logic<op>, bool, bool>;
  else if constexpr (A(0.5) != 0) {
    if constexpr (requires { Of<op>::none; }) return nullptr; else return float_run<op, A>;
  } else {
    if constexpr (requires { OfInt<op>::none; }) return nullptr;
    else if constexpr (op == BinaryOp::floor_divide || op == BinaryOp::remainder || op == BinaryOp::fmod) return division_run<op, A>;
    else return each_run<OfInt<op>, A, A>;
  }
}

static constexpr Run kRuns[int(BinaryOp::count)][wide_count] = {
#define ROW(name)                                                                                             \
  {run_for<BinaryOp::name, float>(), run_for<BinaryOp::name, double>(), run_for<BinaryOp::name, int32_t>(),   \
   run_for<BinaryOp::name, int64_t>()},
    LAMELLA_BINARY_OPS(ROW)
#undef ROW
};

// Rows of broadcast operands, and numbers, of the ops that are met there often. Operand `one` has one element a row; -1: none.
template <BinaryOp op, class T, int one>
static void rows_run(void* y, const void* const* x, const int64_t* down, int64_t rows, int64_t n, const double* p) {
  using A = acc_t<T>;
  constexpr int64_t L = kLanes<A>;
  const A p0 = A(p[0]), p1 = A(p[1]);
  const T *a = static_cast<const T*>(x[0]), *b = static_cast<const T*>(x[1]);
  T* o = static_cast<T*>(y);
  for (; rows > 0; --rows, o += down[0], a += down[1], b += down[2]) {
    const vec<A> single = one < 0 ? vec<A>{} : splat<A>(up(*(one == 0 ? a : b)));
    int64_t i = 0;
    for (; i + L <= n; i += L) vstore<T>(o + i, Of<op>::on(one == 0 ? single : vload(a + i), one == 1 ? single : vload(b + i), p0, p1));
    if (i < n) {
      const vec<A> u = one == 0 ? single : vload(a + i, n - i), v = one == 1 ? single : vload(b + i, n - i);
      vstore<T>(o + i, Of<op>::on(u, v, p0, p1), n - i);
    }
  }
}
template <BinaryOp op, class T, int one>
static void integer_rows_run(void* y, const void* const* x, const int64_t* down, int64_t rows, int64_t n, const double*) {
  const T *a = static_cast<const T*>(x[0]), *b = static_cast<const T*>(x[1]);
  T* o = static_cast<T*>(y);
  for (; rows > 0; --rows, o += down[0], a += down[1], b += down[2]) {
    const T single = one < 0 ? T(0) : *(one == 0 ? a : b);
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) o[i] = OfInt<op>::on(one == 0 ? single : a[i], one == 1 ? single : b[i]);
  }
}
template <BinaryOp op, class T> constexpr RowsRun kRowsRuns[3] = {rows_run<op, T, -1>, rows_run<op, T, 0>, rows_run<op, T, 1>};
template <BinaryOp op, class T>
constexpr RowsRun kIntegerRowsRuns[3] = {integer_rows_run<op, T, -1>, integer_rows_run<op, T, 0>, integer_rows_run<op, T, 1>};
static const RowsRun* rows_of(BinaryOp op, DType t) {
#define ROWS(name, T) case BinaryOp::name: return kRowsRuns<BinaryOp::name, T>;
#define ARITHMETIC(T) ROWS(add, T) ROWS(sub, T) ROWS(mul, T) ROWS(div, T)
  if (t == DType::f32) switch (op) {
    ARITHMETIC(float) ROWS(maximum, float) ROWS(minimum, float) ROWS(prelu, float)
    default: return nullptr;
  }
  if (t == DType::f64) switch (op) { ARITHMETIC(double) default: return nullptr; }
  if (t == DType::bf16) switch (op) { ARITHMETIC(bf16) default: return nullptr; }
#define INTEGERS(name, T) case BinaryOp::name: return kIntegerRowsRuns<BinaryOp::name, T>;
  if (t == DType::i32) switch (op) { INTEGERS(add, int32_t) INTEGERS(sub, int32_t) INTEGERS(mul, int32_t) default: return nullptr; }
  if (t == DType::i64) switch (op) { INTEGERS(add, int64_t) INTEGERS(sub, int64_t) INTEGERS(mul, int64_t) default: return nullptr; }
#undef INTEGERS
  return nullptr;
#undef ARITHMETIC
#undef ROWS
}

// bfloat16 as it lies, without buffers of floats; null: not one of these ops.
static Run bf16_run(BinaryOp op) {
#define RUN(name) case BinaryOp::name: return float_run<BinaryOp::name, bf16>;
  switch (op) {
    RUN(add) RUN(sub) RUN(mul) RUN(div) RUN(relu_bwd)
    default: return nullptr;
  }
#undef RUN
}

void binary(const Binary& s) {
  const Run narrow = s.dtype == DType::bf16 ? bf16_run(s.op) : nullptr, run = narrow ? narrow : kRuns[int(s.op)][wide_of(s.dtype)];
  const double p[2] = {s.p0, s.p1};
  const bool logic = s.op >= BinaryOp::logical_and && s.op <= BinaryOp::logical_xor;
  const bool to_bool = s.op >= BinaryOp::eq && s.op <= BinaryOp::logical_xor;
  const auto port_of = [&](const void* data) {
    return logic ? port_bool(s.dtype, data) : narrow ? port_raw(2, data) : port(s.dtype, data);
  };
  const Port a = port_of(s.a);
  int64_t n;
  if (a.native && is_small_run(s.loop, n)) {
    const void* x[2] = {s.a, s.b};
    run(s.y, x, n, p, false);
    return;
  }
  if (a.native && s.loop.ndim == 1 && s.loop.shape[0] <= kChunk && s.loop.stride[0][0] == 1) {  // one operand a number
    alignas(64) char buffers[2][kChunk * 8];
    const void* x[2] = {s.a, s.b};
    bool simple = true;
    for (int k = 0; k < 2; ++k) {
      if (s.loop.stride[k + 1][0] == 0) { a.gather(x[k], 0, buffers[k], s.loop.shape[0]); x[k] = buffers[k]; }
      else simple &= s.loop.stride[k + 1][0] == 1;
    }
    if (simple) { run(s.y, x, s.loop.shape[0], p, false); return; }
  }
  drive(s.loop, {to_bool ? port_raw(1, s.y) : port_of(s.y), a, port_of(s.b)}, run, p,
        to_bool ? Large::cached : large_of(s.dtype), rows_of(s.op, s.dtype));
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
