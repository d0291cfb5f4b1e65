// SPDX-License-Identifier: MIT
// The binary ops, one formula for each, for lanes of a CPU's vectors and for threads of a GPU.
#pragma once
#include "activation.h"
#include "special.h"

namespace lamella {
namespace LAMELLA_ISA {

namespace binary_formulas {

// Of<op>::on(a, b, p0, p1): a V of float or double lanes. OfInt<op>::on(a, b): int32_t or int64_t. Compare<op>::on(a, b):
// any of the four arithmetic types, gives bool. Logic<op>::on(a, b): bool.
template <BinaryOp> struct Of { static constexpr bool none = true; };
template <BinaryOp> struct OfInt { static constexpr bool none = true; };
template <BinaryOp> struct Compare { static constexpr bool none = true; };
template <BinaryOp> struct Logic { static constexpr bool none = true; };

#define FLOATS(name, ...)                                                                                             \
  template <> struct Of<BinaryOp::name> {                                                                             \
    template <class V>                                                                                                \
    LAMELLA_INLINE static V on(V a, V b, [[maybe_unused]] elem_t<V> p0, [[maybe_unused]] elem_t<V> p1) {              \
      using T [[maybe_unused]] = elem_t<V>;                                                                           \
      return __VA_ARGS__;                                                                                             \
    }                                                                                                                 \
  };
#define SCALARS(Kind, name, Result, ...)                                                                              \
  template <> struct Kind<BinaryOp::name> {                                                                           \
    template <class T> LAMELLA_INLINE static Result on(T a, T b) { return __VA_ARGS__; }                              \
  };

// ---- division as Python's: towards minus infinity, remainder with the divisor's sign --------------------------------
LAMELLA_INLINE double mod_of(double a, double b) {
  double m = __builtin_fmod(a, b);
  return m != 0 && (b < 0) != (m < 0) ? m + b : m;
}
LAMELLA_INLINE double floor_div_of(double a, double b) {
  if (b == 0) return a / b;
  double m = __builtin_fmod(a, b), d = (a - m) / b;
  if (m != 0 && (b < 0) != (m < 0)) d -= 1;
  double f = __builtin_floor(d);
  return d == 0 ? __builtin_copysign(0.0, a / b) : d - f > 0.5 ? f + 1 : f;
}
// Quotients of floats below 2^28 are floored right in double precision; the rest take fmod, element by element.
template <bool kRemainder, class V> LAMELLA_INLINE V divided(V a, V b) {
  using T = elem_t<V>;
  if constexpr (kSingle<V>) {
    const auto easy = (vabs(a / b) < T(0x1p28f)) & (vabs(b) != Float<T>::infinity);
    if (__builtin_expect(!vany(easy == 0), 1))
      return in_double([](vec<double> a, vec<double> b) __attribute__((always_inline)) {
        vec<double> q = vfloor(a / b);
        return kRemainder ? a - q * b : q;
      }, a, b);
  }
  return by_lane(a, b, [](double a, double b) __attribute__((always_inline)) {
    return kRemainder ? mod_of(a, b) : floor_div_of(a, b);
  });
}

template <class V> LAMELLA_INLINE V truncated_mod(V a, V b) {  // C's fmod
  using T = elem_t<V>;
  if constexpr (kSingle<V>) {
    const auto easy = (vabs(a / b) < T(0x1p28f)) & (vabs(b) != Float<T>::infinity);
    if (__builtin_expect(!vany(easy == 0), 1))
      return vcopysign(in_double([](vec<double> a, vec<double> b) __attribute__((always_inline)) {
        return a - vtrunc(a / b) * b;
      }, a, b), a);
  }
  return by_lane(a, b, [](double a, double b) __attribute__((always_inline)) { return __builtin_fmod(a, b); });
}

// a / b, b neither 0 nor -1; CPUs divide 32 bits several times as fast as 64.
template <class T> LAMELLA_INLINE T quotient(T a, T b) {
  if constexpr (sizeof(T) == 8)
    if (((uint64_t(a) | uint64_t(b)) >> 32) == 0) return T(uint32_t(a) / uint32_t(b));
  return T(a / b);
}
template <class T> LAMELLA_INLINE T integer_floor_div(T a, T b) {  // 0 where b is 0: the caller has refused it
  if (b == 0) return 0;
  if (b == -1) return T(0 - a);
  const T q = quotient(a, b);
  return T(q - ((a - q * b != 0) && ((a < 0) != (b < 0))));
}
template <class T> LAMELLA_INLINE T integer_mod(T a, T b) {
  if (b == 0 || b == -1) return 0;
  const T m = T(a - quotient(a, b) * b);
  return m != 0 && (m < 0) != (b < 0) ? T(m + b) : m;
}
template <class T> LAMELLA_INLINE T integer_pow(T a, T b) {  // wraps; 1 / a^-b, truncated, for negative b
  if (b < 0) return a == 1 ? T(1) : a == -1 ? T(b & 1 ? -1 : 1) : T(0);
  uint64_t base = uint64_t(a), y = 1;
  for (; b; b >>= 1, base *= base) if (b & 1) y *= base;
  return T(y);
}
template <class T> LAMELLA_INLINE T integer_fmod(T a, T b) {
  return b == 0 || b == -1 ? T(0) : T(a - quotient(a, b) * b);
}
template <class T> LAMELLA_INLINE T integer_gcd(T a, T b) {
  while (b != 0) { T t = integer_fmod(a, b); a = b; b = t; }
  return a < 0 ? T(0 - a) : a;
}
// Past the width: 0, and the sign.
template <class T> LAMELLA_INLINE T shifted_left(T a, T b) {
  return uint64_t(b) < sizeof(T) * 8 ? T(uint64_t(a) << b) : T(0);
}
template <class T> LAMELLA_INLINE T shifted_right(T a, T b) {
  constexpr T last = sizeof(T) * 8 - 1;
  return T(a >> (uint64_t(b) < uint64_t(last) ? b : last));
}
template <class T> LAMELLA_INLINE T wrapped(uint64_t x) { return T(x); }

FLOATS(add, a + b)
FLOATS(sub, a - b)
FLOATS(mul, a * b)
FLOATS(div, a / b)
FLOATS(floor_divide, divided<false>(a, b))
FLOATS(remainder, divided<true>(a, b))
FLOATS(pow, vpow(a, b))
FLOATS(maximum, vmax_nan(a, b))
FLOATS(minimum, vmin_nan(a, b))
FLOATS(atan2, vatan2(a, b))
FLOATS(fmod, truncated_mod(a, b))
FLOATS(hypot, vhypot(a, b))
FLOATS(copysign, vcopysign(a, b))
FLOATS(logaddexp, vlogaddexp(a, b))
FLOATS(xlogy, vxlogy(a, b))
FLOATS(fmax, vfmax(a, b))
FLOATS(fmin, vfmin(a, b))
FLOATS(relu_bwd, select(a <= T(0), V{}, b))
FLOATS(tanh_bwd, b * d_tanh(a))
FLOATS(sigmoid_bwd, b * d_sigmoid(a))
FLOATS(logsigmoid_bwd, b * d_logsigmoid(a))
FLOATS(softplus_bwd, b * d_softplus(a, p0, p1))
FLOATS(silu_bwd, b * d_silu(a))
FLOATS(gelu_bwd, b * d_gelu(a))
FLOATS(gelu_tanh_bwd, b * d_gelu_tanh(a))
FLOATS(leaky_relu_bwd, select(a > T(0), b, p0 * b))
FLOATS(elu_bwd, b * d_elu(a, p0))
FLOATS(celu_bwd, b * d_celu(a, p0))
FLOATS(selu_bwd, b * d_selu(a))
FLOATS(mish_bwd, b * d_mish(a))
FLOATS(hardtanh_bwd, select((a <= p0) | (a >= p1), V{}, b))
FLOATS(hardsigmoid_bwd, b * d_hardsigmoid(a))
FLOATS(hardswish_bwd, b * d_hardswish(a))
FLOATS(softsign_bwd, b / ((vabs(a) + T(1)) * (vabs(a) + T(1))))
FLOATS(tanhshrink_bwd, b * vtanh(a) * vtanh(a))
FLOATS(shrink_bwd, select((a >= -p0) & (a <= p0), V{}, b))
FLOATS(threshold_bwd, select(a <= p0, V{}, b))
FLOATS(clamp_bwd, select((a >= p0) & (a <= p1), b, V{}))
FLOATS(logit_bwd, b / (a * (T(1) - a)))
FLOATS(prelu, select(a > T(0), a, a * b))

SCALARS(OfInt, add, T, wrapped<T>(uint64_t(a) + uint64_t(b)))
SCALARS(OfInt, sub, T, wrapped<T>(uint64_t(a) - uint64_t(b)))
SCALARS(OfInt, mul, T, wrapped<T>(uint64_t(a) * uint64_t(b)))
SCALARS(OfInt, floor_divide, T, integer_floor_div(a, b))
SCALARS(OfInt, remainder, T, integer_mod(a, b))
SCALARS(OfInt, pow, T, integer_pow(a, b))
SCALARS(OfInt, maximum, T, a > b ? a : b)
SCALARS(OfInt, minimum, T, a < b ? a : b)
SCALARS(OfInt, bitwise_and, T, a & b)
SCALARS(OfInt, bitwise_or, T, a | b)
SCALARS(OfInt, bitwise_xor, T, a ^ b)
SCALARS(OfInt, bitwise_left_shift, T, shifted_left(a, b))
SCALARS(OfInt, bitwise_right_shift, T, shifted_right(a, b))
SCALARS(OfInt, gcd, T, integer_gcd(a, b))
SCALARS(OfInt, fmod, T, integer_fmod(a, b))
SCALARS(OfInt, fmax, T, a > b ? a : b)
SCALARS(OfInt, fmin, T, a < b ? a : b)

SCALARS(Compare, eq, bool, a == b)
SCALARS(Compare, ne, bool, a != b)
SCALARS(Compare, lt, bool, a < b)
SCALARS(Compare, le, bool, a <= b)
SCALARS(Compare, gt, bool, a > b)
SCALARS(Compare, ge, bool, a >= b)

SCALARS(Logic, logical_and, bool, a & b)
SCALARS(Logic, logical_or, bool, a | b)
SCALARS(Logic, logical_xor, bool, a ^ b)

#undef FLOATS
#undef SCALARS

}  // namespace binary_formulas

}  // namespace LAMELLA_ISA
}  // namespace lamella
