// SPDX-License-Identifier: MIT
// The rarer functions of <math.h>, and those of the gamma and error functions, made of the ones in vecmath.h. Largest error
// a few ulp of the result, unless said otherwise. float runs in double precision where that is simplest. A GPU's library
// has most of them (cuda/lanes.cuh).
#pragma once
#include "lanes.h"

namespace lamella {
namespace LAMELLA_ISA {

constexpr double kLn2 = 0.69314718055994530942, kLog10e = 0.43429448190325182765;

#ifndef LAMELLA_GPU
// f(double) of every lane, for what has no vector form.
template <class V, class F> LAMELLA_INLINE V by_lane(V x, const F& f) {
  for (int i = 0; i < kLanes<elem_t<V>>; ++i) x[i] = elem_t<V>(f(double(x[i])));
  return x;
}
template <class V, class F> LAMELLA_INLINE V by_lane(V a, V b, const F& f) {
  for (int i = 0; i < kLanes<elem_t<V>>; ++i) a[i] = elem_t<V>(f(double(a[i]), double(b[i])));
  return a;
}
LAMELLA_INLINE double plain_lgamma(double a) {
  int sign;
  return __builtin_lgamma_r(a, &sign);
}

// x as it is in a register: no compiler fuses the product that it was into a sum, which would see it unrounded.
template <class V> LAMELLA_INLINE V rounded(V x) {
#if defined(__x86_64__)
  asm("" : "+x"(x));
#else
  asm("" : "+w"(x));
#endif
  return x;
}

// ---- powers and logarithms to other bases ----------------------------------------------------------------------------
template <class V> LAMELLA_INLINE V vexp2(V x) {
  using F = Float<elem_t<V>>;
  constexpr double low = kSingle<V> ? -152 : -1080;
  V y = vmin(constant<V>(F::bias + 2), vmax(constant<V>(low), x)), n = vround(y);
  y = scale2(expm1_reduced((y - n) * elem_t<V>(kLn2)) + elem_t<V>(1), n);
  return select(x != x, x, y);
}

template <class V> LAMELLA_INLINE V vlog2(V x) {  // exact for powers of two, where only k is not zero
  using F = Float<elem_t<V>>;
  const auto small = x < F::min_normal;
  LogParts<V> p = log_parts(select(small, x * elem_t<V>(int_of<elem_t<V>>(1) << F::mantissa), x), V{});
  V k = p.k + select(small, constant<V>(-F::mantissa), V{}), high = p.high - p.half;
  V low = ((p.high - high) - p.half) + p.low, e = constant<V>(kLog2e);
  return log_specials(x, fma(high, e, fma(low, e, k)));
}

template <class V> LAMELLA_INLINE V vlog10(V x) {
  if constexpr (kSingle<V>)
    return in_double([](vec<double> a) __attribute__((always_inline)) { return vlog(a) * kLog10e; }, x);
  else
    return vlog(x) * kLog10e;
}

// ---- circular and hyperbolic functions and their inverses --------------------------------------------------------------
template <class V> LAMELLA_INLINE V vtan(V x) {
  V s, c;
  auto odd = (sine_and_cosine(x, s, c) & 1) != 0;
  V y = select(odd, -c, s) / select(odd, s, c);
  y = mend_far(x, y, [](double a) __attribute__((always_inline)) { return __builtin_tan(a); });
  return select(x == elem_t<V>(0), x, y);
}
template <class V> LAMELLA_INLINE V vatan(V x) { return vatan2(x, constant<V>(1)); }
template <class V> LAMELLA_INLINE V one_minus_square(V x) {
  using T = elem_t<V>;
  return (T(1) - x) * (T(1) + x);
}
// Of |x|, or beyond 1/2 of sqrt((1 - |x|) / 2), whose arcsine is (pi/2 - asin |x|) / 2.
template <class V, class M> LAMELLA_INLINE V half_asin(V a, M far) {  // far: a > 1/2
  using T = elem_t<V>;
  V z = select(far, T(0.5) - T(0.5) * a, a * a), s = select(far, vsqrt(z), a);
  return fma(s * z, polynomial(z, 0.166667311, 0.0749566827, 0.0454657013, 0.0240570448, 0.0425535989), s);
}
constexpr float kHalfPi = float(kPi / 2), kHalfPiLow = float(kPi / 2 - double(kHalfPi));
template <class V> LAMELLA_INLINE V vasin(V x) {
  using T = elem_t<V>;
  if constexpr (!kSingle<V>) return vatan2(x, vsqrt(one_minus_square(x)));
  const auto far = vabs(x) > T(0.5);
  V p = half_asin(vabs(x), far);
  return with_sign(select(far, (T(kHalfPi) - (p + p)) + T(kHalfPiLow), p), sign_bit(x));
}
template <class V> LAMELLA_INLINE V vacos(V x) {
  using T = elem_t<V>;
  if constexpr (!kSingle<V>) return vatan2(vsqrt(one_minus_square(x)), x);
  const auto far = vabs(x) > T(0.5);
  V p = half_asin(vabs(x), far), s = with_sign(p, sign_bit(x));
  V beyond = select(x < T(0), (T(2 * kHalfPi) - (p + p)) + T(2 * kHalfPiLow), p + p);
  return select(far, beyond, (T(kHalfPi) - s) + T(kHalfPiLow));
}

// e^a / 2 for large a, without overflow before the result does.
template <class V> LAMELLA_INLINE V half_exp(V a) {
  V h = vexp(elem_t<V>(0.5) * a);
  return elem_t<V>(0.5) * h * h;
}
template <class V> constexpr double kLargeExp = kSingle<V> ? 80 : 700;

template <class V> LAMELLA_INLINE V vsinh(V x) {
  using T = elem_t<V>;
  V a = vabs(x), e = vexpm1(a), y = T(0.5) * (e + e / (e + T(1)));
  return with_sign(select(a > T(kLargeExp<V>), half_exp(a), y), sign_bit(x));
}
template <class V> LAMELLA_INLINE V vcosh(V x) {
  using T = elem_t<V>;
  V a = vabs(x), e = vexp(a), y = T(0.5) * e + T(0.5) / e;
  return select(a > T(kLargeExp<V>), half_exp(a), y);
}
template <class V> LAMELLA_INLINE V vasinh(V x) {
  using T = elem_t<V>;
  V a = vabs(x), s = a * a, y = vlog1p(a + s / (T(1) + vsqrt(s + T(1))));
  return with_sign(select(a > T(0x1p28), vlog(a) + T(kLn2), y), sign_bit(x));
}
template <class V> LAMELLA_INLINE V vacosh(V x) {
  using T = elem_t<V>;
  V t = x - T(1), y = vlog1p(t + vsqrt(t * (t + T(2))));
  return select(x > T(0x1p28), vlog(x) + T(kLn2), select(x < T(1), constant<V>(Float<T>::nan), y));
}
template <class V> LAMELLA_INLINE V vatanh(V x) {
  using T = elem_t<V>;
  V a = vabs(x);
  return with_sign(T(0.5) * vlog1p((a + a) / (T(1) - a)), sign_bit(x));
}

// ---- the error function's complement and inverse -----------------------------------------------------------------------
template <class V> LAMELLA_INLINE V verfc(V x) {
  using T = elem_t<V>;
  if constexpr (kSingle<V>) {  // e^-a^2 q(t), t = (a - 3) / (a + 3); what a^2 is rounded by counts, as a first-order term
    V a = vmin(constant<V>(10.2), vabs(x)), t = (a - T(3)) / (a + T(3)), square = rounded(a * a);
    V high = (V)((bits_of<V>)a & ~0xfff), low = a - high, error = ((high * high - square) + T(2) * high * low) + low * low;
    V q = paired(t, 0.179001151, -0.326233564, 0.245603798, -0.150115782, 7.16658642e-2, -2.43942316e-2, 4.26887598e-3,
                 7.15730926e-4, -5.94569418e-4, 2.88804606e-5, 5.59159407e-5);
    V y = vexp(-square) * (q - error * q);
    y = select(x < T(0), T(2) - y, y);
    return select(x != x, x, y);
  } else {
    return by_lane(x, [](double a) __attribute__((always_inline)) { return __builtin_erfc(a); });
  }
}

// Giles, "Approximating the erfinv function" (GPU Computing Gems 2011), tables 3 and 5: polynomials in w = -log(1 - x^2).
template <class V> LAMELLA_INLINE V erfinv_estimate(V x) {
  using T = elem_t<V>;
  V w = -vlog(one_minus_square(x)), s = w - T(2.5), l = vsqrt(w) - T(3);
  V near = polynomial(s, 1.50140941, 0.246640727, -4.17768164e-3, -1.25372503e-3, 2.18580870e-4, -4.39150654e-6,
                      -3.52338770e-6, 3.43273939e-7, 2.81022636e-8);
  V far = polynomial(l, 2.83297682, 1.00167406, 9.43887047e-3, -7.62246130e-3, 5.73950773e-3, -3.67342844e-3,
                     1.34934322e-3, 1.00950558e-4, -2.00214257e-4);
  return x * select(w < T(5), near, far);
}
template <class V> LAMELLA_INLINE V verfinv(V x) {
  using T = elem_t<V>;
  V y = erfinv_estimate(x);
  if constexpr (!kSingle<V>) {  // two steps of Newton's method on erf, near 1 on erfc
    for (int i = 0; i < kLanes<T>; ++i) {
      double a = __builtin_fabs(x[i]), r = __builtin_fabs(y[i]);
      if (!(a < 1)) continue;
      for (int k = 0; k < 2; ++k) {
        const double error = a < 0.5 ? __builtin_erf(r) - a : (1 - a) - __builtin_erfc(r);
        r -= error * (0.88622692545275801365 * __builtin_exp(r * r));
      }
      y[i] = __builtin_copysign(r, x[i]);
    }
  }
  const V a = vabs(x);
  y = select(a == T(1), with_sign(constant<V>(Float<T>::infinity), sign_bit(x)), y);
  return select(a > T(1), constant<V>(Float<T>::nan), y);
}

// ---- of two arguments ---------------------------------------------------------------------------------------------------
template <class V> LAMELLA_INLINE V vhypot(V a, V b) {
  using T = elem_t<V>;
  using F = Float<T>;
  V y;
  if constexpr (kSingle<V>) {
    y = in_double([](vec<double> a, vec<double> b) __attribute__((always_inline)) { return vsqrt(a * a + b * b); }, a, b);
  } else {
    V high = vmax(vabs(a), vabs(b)), low = vmin(vabs(a), vabs(b)), q = low / high;
    y = select(high == 0.0, V{}, high * vsqrt(q * q + 1.0));
    y = select((a != a) | (b != b), a + b, y);
  }
  return select((vabs(a) == F::infinity) | (vabs(b) == F::infinity), constant<V>(F::infinity), y);
}
template <class V> LAMELLA_INLINE V vcopysign(V a, V b) { return with_sign(vabs(a), sign_bit(b)); }
#endif

// ---- made of those ------------------------------------------------------------------------------------------------------
template <class V> LAMELLA_INLINE V vsinc(V x) {  // sin(pi x) / (pi x)
  using T = elem_t<V>;
  V y = T(kPi) * x;
  return select(x == T(0), constant<V>(1), vsin(y) / y);
}
template <class V> LAMELLA_INLINE V vlogaddexp(V a, V b) {
  V y = vmax_nan(a, b) + vlog1p(vexp(-vabs(a - b)));
  return select(a == b, a + elem_t<V>(kLn2), y);
}
template <class V> LAMELLA_INLINE V vxlogy(V a, V b) {
  return select((a == elem_t<V>(0)) & (b == b), V{}, a * vlog(b));
}
template <class V> LAMELLA_INLINE V vfmax(V a, V b) { return select(a != a, b, select(b != b, a, vmax(a, b))); }
template <class V> LAMELLA_INLINE V vfmin(V a, V b) { return select(a != a, b, select(b != b, a, vmin(a, b))); }

}  // namespace LAMELLA_ISA
}  // namespace lamella
