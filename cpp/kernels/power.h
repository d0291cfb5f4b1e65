// SPDX-License-Identifier: MIT
// x^y. Floats go in double precision by two small tables, after Tang, "Table-driven implementation of the logarithm function"
// (1990) and its companion for the exponential (1989): x = 2^k c (1 + r), log2(x) = k + log2(c) + log2(1 + r), and
// 2^z = 2^n 2^(j/16) 2^f. Tables and polynomials are printed by tools/fit_vecmath.py.
#pragma once
#include "vecmath.h"

namespace lamella {
namespace LAMELLA_ISA {

struct alignas(64) PowerTables {
  double inverse[16], log2[16], exp2[16];  // 1 / c and log2(c) of 16 intervals from 0.699 to twice that; 2^(j/16)
};
constexpr PowerTables kPower = {
    {0x1.661ec6a5122f9p+0, 0x1.571ed3c506b3ap+0, 0x1.49539e3b2d067p+0, 0x1.3c995a47babe7p+0, 0x1.30d190130d190p+0,
     0x1.25e22708092f1p+0, 0x1.1bb4a4046ed29p+0, 0x1.12358e75d3033p+0, 0x1.0953f39010954p+0, 0x1.0000000000000p+0,
     0x1.e573ac901e574p-1, 0x1.ca4b3055ee191p-1, 0x1.b2036406c80d9p-1, 0x1.9c2d14ee4a102p-1, 0x1.886e5f0abb04ap-1,
     0x1.767dce434a9b1p-1},
    {-0x1.efec61b011f85p-2, -0x1.b0b67f4f46812p-2, -0x1.7418acebbf18fp-2, -0x1.39de8e1559f6ep-2, -0x1.01d9bbcfa61d4p-2,
     -0x1.97c1cb13c7ec0p-3, -0x1.2f9e32d5bfdd1p-3, -0x1.960caf9abb7c1p-4, -0x1.a6f9c377dd31dp-5, 0.0,
     0x1.3aa2fdd27f1bfp-4, 0x1.476a9f983f74dp-3, 0x1.e840be74e6a4dp-3, 0x1.406463b1b0448p-2, 0x1.88e9c72e0b224p-2,
     0x1.ce0a4923a587dp-2},
    {0x1.0000000000000p+0, 0x1.0b5586cf9890fp+0, 0x1.172b83c7d517bp+0, 0x1.2387a6e756238p+0, 0x1.306fe0a31b715p+0,
     0x1.3dea64c123422p+0, 0x1.4bfdad5362a27p+0, 0x1.5ab07dd485429p+0, 0x1.6a09e667f3bcdp+0, 0x1.7a11473eb0187p+0,
     0x1.8ace5422aa0dbp+0, 0x1.9c49182a3f090p+0, 0x1.ae89f995ad3adp+0, 0x1.c199bdd85529cp+0, 0x1.d5818dcfba487p+0,
     0x1.ea4afa2a490dap+0}};

// table[the low four bits of each lane]
LAMELLA_INLINE vec<double> looked_up(const double* table, vec<int64_t> at) {
#if defined(__AVX512F__)
  return (vec<double>)_mm512_permutex2var_pd(_mm512_load_pd(table), (__m512i)at, _mm512_load_pd(table + 8));
#else
  vec<double> v;
  for (int i = 0; i < kLanes<double>; ++i) v[i] = table[at[i] & 15];
  return v;
#endif
}

// x^y of floats x in (0, infinity) and y, as doubles.
LAMELLA_INLINE vec<double> power_of_positive(vec<double> x, vec<double> y) {
  using V = vec<double>;
  using I = vec<int64_t>;
  const I t = (I)x - 0x3FE6600000000000, k = t >> 52;
  const V r = fma((V)((I)x - (k << 52)), looked_up(kPower.inverse, t >> 48), constant<V>(-1));
  const V l = looked_up(kPower.log2, t >> 48) + __builtin_convertvector(k, V);
  const V p = paired(r, 1.4426950408941027, -0.72134752044863976, 0.48089824720089195, -0.36067368873529961,
                     0.28882586859768082, -0.24067416580396149);
  const V z = vmin(constant<V>(200), vmax(constant<V>(-200), y * fma(r, p, l)));  // NaN stays; 2^200 is no float
  constexpr double magic = 0x1.8p48;  // z + magic holds round(16 z) in its low bits
  const V shifted = z + magic, f = z - (shifted - magic);
  const I n = (I)shifted - (I)constant<V>(magic);
  const V s = (V)((I)looked_up(kPower.exp2, n) + ((n >> 4) << 52));
  return fma(s * f, polynomial(f, 0.69314717978862629, 0.24023429600708806, 5.5506553275531676e-2), s);
}

template <class V> LAMELLA_INLINE V vpow(V x, V y) {
  using T = elem_t<V>;
  if constexpr (kSingle<V>) {
    const V a = vabs(x), none{}, infinity = constant<V>(Float<T>::infinity);
    V r = in_double([](vec<double> a, vec<double> y) __attribute__((always_inline)) { return power_of_positive(a, y); }, a, y);
    const auto easy = (x > none) & (x < infinity);
    if (__builtin_expect(!vany(easy == 0), 1)) return select((y == T(0)) | (x == T(1)), constant<V>(1), r);
    r = select(a == none, select(y < none, infinity, none), r);
    r = select(a == infinity, select(y < none, none, infinity), r);
    r = select((x != x) | (y != y), x + y, r);
    const auto integral = vtrunc(y) == y;
    const V half = T(0.5) * y;
    const auto odd = integral & (vtrunc(half) != half), negative = sign_bit(x) != 0;
    r = with_sign(r, sign_bit((V)(odd & negative)));
    r = select((x < none) & ~integral & (a != infinity), constant<V>(Float<T>::nan), r);
    return select((y == none) | (x == T(1)) | ((x == T(-1)) & (vabs(y) == infinity)), constant<V>(1), r);
  } else {  // an exact enough logarithm would need twice the precision: libm has it
    for (int i = 0; i < kLanes<T>; ++i) x[i] = __builtin_pow(x[i], y[i]);
    return x;
  }
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
