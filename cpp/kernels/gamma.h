// SPDX-License-Identifier: MIT
// The gamma function's logarithm and the derivatives of that. float runs in double precision: the functions have zeros,
// near which the terms cancel.
#pragma once
#include "special.h"

namespace lamella {
namespace LAMELLA_ISA {

// sin(pi u), |u| <= 1/2
LAMELLA_INLINE vec<double> half_wave(vec<double> u) {
  return u * polynomial(u * u, 3.1415926535897928, -5.1677127800497526, 2.5501640398597761, -0.59926452877570728,
                        8.2145878256533885e-2, -7.3703610716101078e-3, 4.6597761688982761e-4, -2.1122952899834298e-5);
}
LAMELLA_INLINE vec<double> off_whole(vec<double> x) { return x - vround(x); }

// Stirling's series from 8 on, the recurrence below, reflection below 1/2.
LAMELLA_INLINE vec<double> lgamma_of(vec<double> x) {
  const auto reflected = x < 0.5;
  vec<double> z = select(reflected, 1.0 - x, x);
  const auto low = z < 8.0;
  vec<double> p = ((z * (z + 7.0)) * ((z + 1.0) * (z + 6.0))) * (((z + 2.0) * (z + 5.0)) * ((z + 3.0) * (z + 4.0)));
  p = select(low, p, constant<vec<double>>(1));
  const vec<double> w = select(low, z + 8.0, z), r = 1.0 / w, t = r * r;
  vec<double> y = (w - 0.5) * vlog(w) - w + 0.91893853320467274178 +
                  r * polynomial(t, 1.0 / 12, -1.0 / 360, 1.0 / 1260, -1.0 / 1680, 1.0 / 1188);
  p = select(reflected, kPi * p / vabs(half_wave(off_whole(x))), p);
  const vec<double> q = vlog(p);  // the recurrence's, and that of the reflection
  y = select(reflected, q - y, y - q);
  const auto pole = (x <= 0.0) & (x == vfloor(x));
  return select(pole | (vabs(x) == Float<double>::infinity), constant<vec<double>>(Float<double>::infinity), y);
}
template <class V> LAMELLA_INLINE V vlgamma(V x) {
  if constexpr (kSingle<V>)
    return in_double([](vec<double> a) __attribute__((always_inline)) { return lgamma_of(a); }, x);
  else
    return by_lane(x, [](double a) __attribute__((always_inline)) { return plain_lgamma(a); });
}

LAMELLA_INLINE vec<double> digamma_of(vec<double> x) {
  const auto reflected = x < 0.5;
  vec<double> z = select(reflected, 1.0 - x, x), p = z, dp = constant<vec<double>>(1);  // z (z + 1) ..., its derivative
  const auto low = z < 8.0;
  for (int i = 1; i < 8; ++i) {
    dp = fma(dp, z + double(i), p);
    p *= z + double(i);
  }
  const vec<double> w = select(low, z + 8.0, z), t = 1.0 / (w * w);
  vec<double> y = vlog(w) - 0.5 / w - t * polynomial(t, 1.0 / 12, -1.0 / 120, 1.0 / 252, -1.0 / 240, 1.0 / 132,
                                                     -691.0 / 32760, 1.0 / 12);
  y = select(low, y - dp / p, y);
  const vec<double> u = off_whole(x);
  y = select(reflected, y - kPi * half_wave(0.5 - vabs(u)) / half_wave(u), y);
  y = select((x < 0.0) & (x == vfloor(x)), constant<vec<double>>(Float<double>::nan), y);
  return select(x == 0.0, with_sign(constant<vec<double>>(-Float<double>::infinity), sign_bit(x)), y);
}
template <class V> LAMELLA_INLINE V vdigamma(V x) {
  if constexpr (kSingle<V>)
    return in_double([](vec<double> a) __attribute__((always_inline)) { return digamma_of(a); }, x);
  else
    return digamma_of(x);
}

LAMELLA_INLINE vec<double> whole_power(vec<double> x, int n) {  // n >= 1
  vec<double> y = x;
  for (int i = 1; i < n; ++i) y *= x;
  return y;
}
// (-1)^(n+1) n! times the sum over k >= 0 of (x + k)^-(n+1), n >= 1: terms up to x + k = 10, then the Euler-Maclaurin
// formula (Abramowitz and Stegun 6.4.11). Far below zero the terms are too many: NaN, but for n = 1, which is reflected.
LAMELLA_INLINE vec<double> polygamma_of(vec<double> x, int n) {
  constexpr double least = -4096, bernoulli[] = {1.0 / 6, -1.0 / 30, 1.0 / 42, -1.0 / 30, 5.0 / 66, -691.0 / 2730};
  const auto reflected = n == 1 ? x < 0.5 : x != x;
  vec<double> z = select(reflected, 1.0 - x, x), total = {};
  z = select(z < least, constant<vec<double>>(Float<double>::nan), z);
  for (auto low = z < 10.0; vany(low); low = z < 10.0) {
    total = select(low, total + whole_power(1.0 / z, n + 1), total);
    z = select(low, z + 1.0, z);
  }
  const vec<double> r = 1.0 / z, square = r * r;
  vec<double> tail = {};
  double factorial = 1;
  for (int i = 2; i <= n; ++i) factorial *= i;
  for (int k = 6; k > 0; --k) {
    double c = bernoulli[k - 1];  // (2k + n - 1)! / ((2k)! n!)
    for (int i = 1; i <= n - 1; ++i) c *= double(2 * k + i) / i;
    tail = (tail + c / n) * square;
  }
  tail = (tail + 0.5 * r + 1.0 / n) * whole_power(r, n);
  vec<double> y = (total + tail) * (n % 2 ? factorial : -factorial);
  const vec<double> wave = half_wave(off_whole(x));
  return select(reflected, (kPi * kPi) / (wave * wave) - y, y);
}
template <class V> LAMELLA_INLINE V vpolygamma(V x, int n) {
  if constexpr (kSingle<V>)
    return in_double([n](vec<double> a) __attribute__((always_inline)) { return polygamma_of(a, n); }, x);
  else
    return polygamma_of(x, n);
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
