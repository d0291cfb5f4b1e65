// SPDX-License-Identifier: MIT
// The unary ops, one formula for each, for lanes of a CPU's vectors and for threads of a GPU.
#pragma once
#include "activation.h"
#include "gamma.h"

namespace lamella {
namespace LAMELLA_ISA {

namespace unary_formulas {

// Of<op>::on(x, p0, p1): x is a V of float or double lanes. OfInt<op>::on(x, p0, p1): x is int32_t or int64_t.
// Predicate<op>::on(x): x is a float or double, gives bool.
template <UnaryOp> struct Of { static constexpr bool none = true; };
template <UnaryOp> struct OfInt { static constexpr bool none = true; };
template <UnaryOp> struct Predicate { static constexpr bool none = true; };

#define FLOATS(name, ...)                                                                                  \
  template <> struct Of<UnaryOp::name> {                                                                   \
    template <class V> LAMELLA_INLINE static V on(V x, [[maybe_unused]] elem_t<V> p0, [[maybe_unused]] elem_t<V> p1) { \
      using T [[maybe_unused]] = elem_t<V>;                                                                \
      return __VA_ARGS__;                                                                                  \
    }                                                                                                      \
  };
#define INTEGERS(name, ...)                                                                                \
  template <> struct OfInt<UnaryOp::name> {                                                                \
    template <class T>                                                                                     \
    LAMELLA_INLINE static T on(T x, [[maybe_unused]] T p0, [[maybe_unused]] T p1) { return __VA_ARGS__; }  \
  };
#define PREDICATE(name, ...)                                                                               \
  template <> struct Predicate<UnaryOp::name> {                                                            \
    template <class T> LAMELLA_INLINE static bool on(T x) { return __VA_ARGS__; }                          \
  };

FLOATS(neg, -x)
FLOATS(abs, vabs(x))
FLOATS(sign, select(x > T(0), constant<V>(1), select(x < T(0), constant<V>(-1), x)))
FLOATS(square, x * x)
FLOATS(cube, x * x * x)
FLOATS(exp, vexp(x))
FLOATS(expm1, vexpm1(x))
FLOATS(log, vlog(x))
FLOATS(log1p, vlog1p(x))
FLOATS(sqrt, vsqrt(x))
FLOATS(rsqrt, vrsqrt(x))
FLOATS(reciprocal, T(1) / x)
FLOATS(sin, vsin(x))
FLOATS(cos, vcos(x))
FLOATS(tanh, vtanh(x))
FLOATS(erf, verf(x))
FLOATS(tan, vtan(x))
FLOATS(asin, vasin(x))
FLOATS(acos, vacos(x))
FLOATS(atan, vatan(x))
FLOATS(sinh, vsinh(x))
FLOATS(cosh, vcosh(x))
FLOATS(asinh, vasinh(x))
FLOATS(acosh, vacosh(x))
FLOATS(atanh, vatanh(x))
FLOATS(sinc, vsinc(x))
FLOATS(exp2, vexp2(x))
FLOATS(log2, vlog2(x))
FLOATS(log10, vlog10(x))
FLOATS(erfc, verfc(x))
FLOATS(erfinv, verfinv(x))
FLOATS(lgamma, vlgamma(x))
FLOATS(digamma, vdigamma(x))
FLOATS(polygamma, vpolygamma(x, int(p0)))
FLOATS(logit, vlog(x / (T(1) - x)))
FLOATS(floor, vfloor(x))
FLOATS(ceil, vceil(x))
FLOATS(round, vround(x))
FLOATS(trunc, vtrunc(x))
FLOATS(sigmoid, vsigmoid(x))
FLOATS(logsigmoid, logsigmoid(x))
FLOATS(softplus, softplus(x, p0, p1))
FLOATS(relu, relu(x))
FLOATS(silu, silu(x))
FLOATS(gelu, gelu(x))
FLOATS(gelu_tanh, gelu_tanh(x))
FLOATS(leaky_relu, leaky_relu(x, p0))
FLOATS(elu, elu(x, p0))
FLOATS(celu, celu(x, p0))
FLOATS(selu, selu(x))
FLOATS(mish, mish(x))
FLOATS(hardtanh, hardtanh(x, p0, p1))
FLOATS(hardsigmoid, hardsigmoid(x))
FLOATS(hardswish, x * hardsigmoid(x))
FLOATS(softsign, x / (vabs(x) + T(1)))
FLOATS(tanhshrink, x - vtanh(x))
FLOATS(softshrink, select(x > p0, x - p0, select(x < -p0, x + p0, x * T(0))))
FLOATS(hardshrink, select((x >= -p0) & (x <= p0), V{}, x))
FLOATS(threshold, select(x <= p0, V{} + p1, x))
FLOATS(nan_to_num, select(x == x, vmin(vmax(x, constant<V>(-p1)), constant<V>(p1)), constant<V>(p0)))
FLOATS(clamp, vmin(V{} + p1, vmax(V{} + p0, x)))  // NaN passes

INTEGERS(neg, T(0 - x))
INTEGERS(abs, x < 0 ? T(0 - x) : x)
INTEGERS(sign, T((x > 0) - (x < 0)))
INTEGERS(square, T(x * x))
INTEGERS(relu, x > 0 ? x : T(0))
INTEGERS(clamp, x < p0 ? p0 : x > p1 ? p1 : x)

PREDICATE(isnan, x != x)
PREDICATE(isinf, __builtin_fabs(x) == __builtin_inf())
PREDICATE(isfinite, __builtin_fabs(x) < __builtin_inf())
PREDICATE(signbit, __builtin_signbit(x) != 0)

#undef FLOATS
#undef INTEGERS
#undef PREDICATE

template <class T> LAMELLA_INLINE T integer_bound(double p) {  // a constant of clamp, infinity meaning none
  constexpr T low = T(1) << (sizeof(T) * 8 - 1), high = ~low;
  return p >= double(high) ? high : p <= double(low) ? low : T(p);
}

}  // namespace unary_formulas

}  // namespace LAMELLA_ISA
}  // namespace lamella
