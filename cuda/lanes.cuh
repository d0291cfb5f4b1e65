// SPDX-License-Identifier: MIT
// The vocabulary of cpp/kernels/vec.h, vecmath.h and special.h on a single float or double: formulas written once for the
// CPU's vectors (activation.h, unary_formulas.h, ...) are compiled for a GPU's threads with V = float or double. A mask is a
// bool: formulas combine masks by & and |, never by ~.
#pragma once
#include <cmath>
#include <cstring>
#include <limits>
#include "../cpp/kernels/normal_tail.h"
#include "device.cuh"

namespace lamella::cuda {

template <class V> using elem_t = V;
template <class T> using vec = T;
template <class T> struct Float;
template <> struct Float<float> {
  static constexpr float infinity = __builtin_inff(), nan = __builtin_nanf("");
};
template <> struct Float<double> {
  static constexpr double infinity = __builtin_inf(), nan = __builtin_nan("");
};
constexpr double kPi = 3.14159265358979323846, kLog2e = 1.44269504088896340736, kSqrtHalf = 0.70710678118654752440;
template <class V> constexpr bool kSingle = sizeof(V) == 4;

template <class V> BOTH V constant(double c) { return V(c); }
template <class T> BOTH T splat(T x) { return x; }
template <class V> BOTH V select(bool mask, V a, V b) { return mask ? a : b; }
BOTH bool vany(bool mask) { return mask; }
template <class F, class... V> BOTH float in_double(const F& f, V... x) { return float(f(double(x)...)); }
template <class V, class F> BOTH V by_lane(V x, const F& f) { return V(f(double(x))); }
template <class V, class F> BOTH V by_lane(V a, V b, const F& f) { return V(f(double(a), double(b))); }
BOTH float fma(float a, float b, float c) { return ::fmaf(a, b, c); }
BOTH double fma(double a, double b, double c) { return ::fma(a, b, c); }
template <class V> BOTH V polynomial(V, double c) { return V(c); }
template <class V, class... C> BOTH V polynomial(V x, double c, C... rest) { return fma(x, polynomial(x, rest...), V(c)); }

// The sign's bit alone, as one more factor of x.
BOTH uint32_t sign_bit(float x) { uint32_t u; std::memcpy(&u, &x, 4); return u & 0x80000000u; }
BOTH uint64_t sign_bit(double x) { uint64_t u; std::memcpy(&u, &x, 8); return u & (uint64_t(1) << 63); }
template <class V, class U> BOTH V with_sign(V x, U sign) {
  U u;
  static_assert(sizeof u == sizeof x);
  std::memcpy(&u, &x, sizeof u);
  u ^= sign;
  std::memcpy(&x, &u, sizeof u);
  return x;
}

// One NaN of (a, b): the second operand's passes, as with the CPU's vmax and vmin; those of vmax_nan: either's.
template <class V> BOTH V vmax(V a, V b) { return a > b ? a : b; }
template <class V> BOTH V vmin(V a, V b) { return a < b ? a : b; }
template <class V> BOTH V vmax_nan(V a, V b) { return a != a ? a : vmax(a, b); }
template <class V> BOTH V vmin_nan(V a, V b) { return a != a ? a : vmin(a, b); }

#define LAMELLA_LANE1(name, single, plain)                                  \
  BOTH float name(float x) { return single(x); }                            \
  BOTH double name(double x) { return plain(x); }
#define LAMELLA_LANE2(name, single, plain)                                  \
  BOTH float name(float a, float b) { return single(a, b); }                \
  BOTH double name(double a, double b) { return plain(a, b); }
LAMELLA_LANE1(vabs, ::fabsf, ::fabs)
LAMELLA_LANE1(vsqrt, ::sqrtf, ::sqrt)
LAMELLA_LANE1(vrsqrt, ::rsqrtf, ::rsqrt)
LAMELLA_LANE1(vexp, ::expf, ::exp)
LAMELLA_LANE1(vexp_normal, ::expf, ::exp)
LAMELLA_LANE1(vexpm1, ::expm1f, ::expm1)
LAMELLA_LANE1(vexp2, ::exp2f, ::exp2)
LAMELLA_LANE1(vlog, ::logf, ::log)
LAMELLA_LANE1(vlog1p, ::log1pf, ::log1p)
LAMELLA_LANE1(vlog2, ::log2f, ::log2)
LAMELLA_LANE1(vlog10, ::log10f, ::log10)
LAMELLA_LANE1(vtanh, ::tanhf, ::tanh)
LAMELLA_LANE1(verf, ::erff, ::erf)
LAMELLA_LANE1(verfc, ::erfcf, ::erfc)
LAMELLA_LANE1(verfinv, ::erfinvf, ::erfinv)
LAMELLA_LANE1(vsin, ::sinf, ::sin)
LAMELLA_LANE1(vcos, ::cosf, ::cos)
LAMELLA_LANE1(vtan, ::tanf, ::tan)
LAMELLA_LANE1(vasin, ::asinf, ::asin)
LAMELLA_LANE1(vacos, ::acosf, ::acos)
LAMELLA_LANE1(vatan, ::atanf, ::atan)
LAMELLA_LANE1(vsinh, ::sinhf, ::sinh)
LAMELLA_LANE1(vcosh, ::coshf, ::cosh)
LAMELLA_LANE1(vasinh, ::asinhf, ::asinh)
LAMELLA_LANE1(vacosh, ::acoshf, ::acosh)
LAMELLA_LANE1(vatanh, ::atanhf, ::atanh)
LAMELLA_LANE1(vfloor, ::floorf, ::floor)
LAMELLA_LANE1(vceil, ::ceilf, ::ceil)
LAMELLA_LANE1(vround, ::rintf, ::rint)
LAMELLA_LANE1(vtrunc, ::truncf, ::trunc)
LAMELLA_LANE2(vatan2, ::atan2f, ::atan2)
LAMELLA_LANE2(vpow, ::powf, ::pow)
LAMELLA_LANE2(vhypot, ::hypotf, ::hypot)
LAMELLA_LANE2(vcopysign, ::copysignf, ::copysign)
#undef LAMELLA_LANE1
#undef LAMELLA_LANE2
BOTH double plain_lgamma(double x) { return ::lgamma(x); }

// 1 / x for x >= 1: float to one ulp by a single instruction, 0 where it would be subnormal.
BOTH float inverse_of(float x) {
#ifdef __CUDA_ARCH__
  float y; asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x)); return y;
#else
  return 1 / x;
#endif
}
BOTH double inverse_of(double x) { return 1 / x; }
template <class V> BOTH V vsigmoid(V x) { return inverse_of(V(1) + vexp(-x)); }

// 2^x, and 0 where that would be subnormal: by a single instruction, to 2 ulp.
BOTH float power_of_two(float x) {
#ifdef __CUDA_ARCH__
  float y; asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x)); return y;
#else
  return ::exp2f(x);
#endif
}
// Phi(-|x|), and bell = e^(-x^2 / 2); 0 beyond 13.
BOTH float normal_tail(float x, float& bell) {
  const float b = vabs(x), a = vmin(13.0f, b), u = inverse_of(fma(a, float(kNormalTailSlope), 1.0f));
  bell = select(b > 13.0f, 0.0f, power_of_two(a * a * float(-0.5 * kLog2e)));
  return bell * (u * polynomial(u, LAMELLA_NORMAL_TAIL));
}
BOTH double normal_tail(double x, double& bell) {  // what rounding takes off the argument z of erfc counts 2z-fold
  bell = vexp_normal(-0.5 * x * x);
  const double a = vmin(40.0, vabs(x)), z = a * kSqrtHalf, y = 0.5 * verfc(z);
  const double dz = fma(a, -4.83364665672645672553e-17, fma(a, kSqrtHalf, -z));
  return fma(-2 * z * dz, y, y);
}

}  // namespace lamella::cuda
