// SPDX-License-Identifier: MIT
// x^y. Floats go in double precision by two small tables, after Tang, "Table-driven implementation of the logarithm function"
// (1990) and its companion for the exponential (1989): x = 2^k c (1 + r), log2(x) = k + log2(c) + log2(1 + r), and
// 2^z = 2^n 2^(j/16) 2^f. Doubles go in twice their precision by Dekker's sums and products (1971): log(x) = k ln 2 + log(c) +
// log(1 + r). Tables and polynomials are printed by tools/fit_vecmath.py.
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

struct alignas(64) LogTables {
  double inverse[32], high[32], low[32];  // 1 / c and log(c) = high + low of 32 intervals from 0.693 to twice that
};
constexpr LogTables kLog = {
    {0x1.6d714aa158d26p+0, 0x1.657820bdad2bbp+0, 0x1.5dd621a586e13p+0, 0x1.5685d5cffed2fp+0, 0x1.4f8238576ec0ep+0,
     0x1.48c6ab78e69f1p+0, 0x1.424eee6f2f61cp+0, 0x1.3c17147a6b895p+0, 0x1.361b7cec81224p+0, 0x1.3058cc186429dp+0,
     0x1.2acbe5074ad24p+0, 0x1.2571e3dafb81dp+0, 0x1.204818c7e28d5p+0, 0x1.1b4c039490ae9p+0, 0x1.167b4f8ec2b5ap+0,
     0x1.11d3cfe832456p+0, 0x1.0d537c6f3e580p+0, 0x1.08f86e9905d5cp+0, 0x1.04c0ded3e16b1p+0, 0x1.0000000000000p+0,
     0x1.f30160ef299f2p-1, 0x1.e441a6a17bd8fp-1, 0x1.d65ab62351b08p-1, 0x1.c93a691ff0dc4p-1, 0x1.bcd091d6e600dp-1,
     0x1.b10eb86cc8792p-1, 0x1.a5e7e2899c1abp-1, 0x1.9b5063754d3cbp-1, 0x1.913db33d92ea0p-1, 0x1.87a64bb7c94c4p-1,
     0x1.7e818a69a2b0ap-1, 0x1.75c796904aa9ep-1},
    {-0x1.6c79572283000p-2, -0x1.55e283d9d3000p-2, -0x1.3fc8823d3a000p-2, -0x1.2a260bfd6d000p-2, -0x1.14f62e9e44000p-2,
     -0x1.003444aa77000p-2, -0x1.d7b7df289a000p-3, -0x1.afd2245dee000p-3, -0x1.88af975e36000p-3, -0x1.6248e646aa000p-3,
     -0x1.3c9726aeee000p-3, -0x1.1793ce2dce000p-3, -0x1.e671571010000p-4, -0x1.9effc0ee9c000p-4, -0x1.58c7b7f3a8000p-4,
     -0x1.13beaa394c000p-4, -0x1.9fb518d200000p-5, -0x1.1a23a1e990000p-5, -0x1.2d6d8012b0000p-6, 0,
     0x1.a532107c60000p-6, 0x1.c860598ee0000p-5, 0x1.5b7f66a340000p-4, 0x1.cf6e1412e8000p-4, 0x1.2015e73b72000p-3,
     0x1.56f22de12e000p-3, 0x1.8c600a5b46000p-3, 0x1.c0721f0f04000p-3, 0x1.f339ab7bac000p-3, 0x1.1263574a85000p-2,
     0x1.2a94028783000p-2, 0x1.4235c21507000p-2},
    {0x1.4c4186fe2f640p-45, -0x1.ffc67895e7193p-44, -0x1.1f28a0aa3805dp-44, -0x1.e03eb6ffbc775p-44, 0x1.016719e6c9b3dp-44,
     0x1.abe891ee7729ep-44, 0x1.8205087447c0ep-47, -0x1.e353329d47dabp-44, -0x1.0a3d798e1872ep-44, -0x1.f46b78fc6e7a0p-44,
     -0x1.2d4e533f96568p-44, -0x1.4ce12b6f64499p-50, 0x1.664ff9107ce88p-46, 0x1.3e8993bbdf113p-44, 0x1.f8b658240ed3cp-47,
     0x1.1acce292354dfp-46, 0x1.2897ec536f9f8p-44, -0x1.6f09bb4e5d2a6p-45, -0x1.ec1633ec5fa9cp-45, 0,
     -0x1.6db20be34ce1cp-44, 0x1.5fe99770de0f5p-44, -0x1.22f81fcc905d6p-46, 0x1.9e321f1400b54p-44, -0x1.0b7e5a499b7d3p-45,
     -0x1.1bd5931188d39p-44, -0x1.c8be29e3048b2p-44, 0x1.fc1d0cc9fbb8fp-50, -0x1.0d193114052dap-45, 0x1.bc30bc484ed0ep-45,
     0x1.edd2ebcab43bfp-44, -0x1.cac7a08caaa08p-44}};

// table[the low bits of each lane]
template <int n> LAMELLA_INLINE vec<double> looked_up(const double (&table)[n], vec<int64_t> at) {
#if defined(__AVX512F__)
  const auto of_16 = [&](const double* t) __attribute__((always_inline)) {
    return (vec<double>)_mm512_permutex2var_pd(_mm512_load_pd(t), (__m512i)at, _mm512_load_pd(t + 8));
  };
  if constexpr (n == 16) return of_16(table);
  else return select((at & 16) != 0, of_16(table + 16), of_16(table));
#else
  vec<double> v;
  for (int i = 0; i < kLanes<double>; ++i) v[i] = table[at[i] & (n - 1)];
  return v;
#endif
}
LAMELLA_INLINE vec<double> as_double(vec<int64_t> k) {  // |k| < 2^51
  const vec<double> magic = constant<vec<double>>(Float<double>::magic);
  return (vec<double>)(k + (vec<int64_t>)magic) - magic;
}

// x^y of floats x in (0, infinity) and y, as doubles.
LAMELLA_INLINE vec<double> power_of_positive(vec<double> x, vec<double> y) {
  using V = vec<double>;
  using I = vec<int64_t>;
  const I t = (I)x - 0x3FE6600000000000, k = t >> 52;
  const V r = fma((V)((I)x - (k << 52)), looked_up(kPower.inverse, t >> 48), constant<V>(-1));
  const V l = looked_up(kPower.log2, t >> 48) + as_double(k);
  const V p = paired(r, 1.4426950408941027, -0.72134752044863976, 0.48089824720089195, -0.36067368873529961,
                     0.28882586859768082, -0.24067416580396149);
  const V z = vmin(constant<V>(200), vmax(constant<V>(-200), y * fma(r, p, l)));  // NaN stays; 2^200 is no float
  constexpr double magic = 0x1.8p48;  // z + magic holds round(16 z) in its low bits
  const V shifted = z + magic, f = z - (shifted - magic);
  const I n = (I)shifted - (I)constant<V>(magic);
  const V s = (V)((I)looked_up(kPower.exp2, n) + ((n >> 4) << 52));
  return fma(s * f, polynomial(f, 0.69314717978862629, 0.24023429600708806, 5.5506553275531676e-2), s);
}

// The same of doubles x.
#if defined(__FMA__)
LAMELLA_INLINE vec<double> exact_fma(vec<double> a, vec<double> b, vec<double> c) {  // rounded once, whatever is contracted
#if defined(__AVX512F__)
  return (vec<double>)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#else
  return (vec<double>)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#endif
}
LAMELLA_INLINE vec<double> power_of_positive_double(vec<double> x, vec<double> y) {
  using V = vec<double>;
  using I = vec<int64_t>;
  using F = Float<double>;
  const auto subnormal = x < F::min_normal;
  const I bits = (I)select(subnormal, x * 0x1p52, x), t = bits - 0x3FE62AAA00000000, k = t >> 52;
  const V m = (V)(bits - (k << 52)), one = constant<V>(1), c = looked_up(kLog.inverse, t >> 47);
  const V exponent = as_double(k) - select(subnormal, constant<V>(52), V{});
  // r + r_low = m / c - 1
  const V product = m * c, product_low = exact_fma(m, c, -product), above = exact_fma(product, one, -one);
  const V r = above + product_low, r_low = (above - r) + product_low;
  // log(x) = l + l_low: the sums k ln 2 + log(c) (exact), + r, - r^2 / 2, and all that they lose
  const V sum = exact_fma(exponent, constant<V>(F::ln2_hi), looked_up(kLog.high, t >> 47)), with_r = sum + r;
  const V half = r * -0.5, square = half * r, high = with_r + square;
  const V p = paired(r, 0.33333333333333332, -0.25, 0.20000000000078265, -0.16666666666706674, 0.1428571324386422,
                     -0.12499999286172848, 0.11116389659801923, -0.10004284631005828);
  V low = fma(exponent, constant<V>(F::ln2_lo), looked_up(kLog.low, t >> 47)) + fma(-r, r_low, r_low);
  low = low + (sum - with_r + r) + (with_r - high + square) + exact_fma(half, r, -square);
  low = fma(r * (r * r), p, low);
  const V l = high + low, l_low = high - l + low;
  const V whole = y * l;
  const V z = vmin(constant<V>(F::exp_high), vmax(constant<V>(F::exp_low), whole));  // NaN stays
  const V z_low = select(z == whole, fma(y, l_low, exact_fma(y, l, -whole)), V{});
  // e^(z + z_low) = 2^n e^(f + f_low), and 1 + f = s + s_low
  const V n = fma(z, constant<V>(kLog2e), constant<V>(F::magic)) - F::magic;
  const V f = exact_fma(n, constant<V>(-F::ln2_hi), z), f_low = fma(n, constant<V>(-F::ln2_lo), z_low), g = f + f_low;
  const V s = one + f, s_low = f - (s - one);
  return scale2(s + fma(g * g, exp_quotient(g), f_low + s_low), n);
}
#else
LAMELLA_INLINE vec<double> power_of_positive_double(vec<double> x, vec<double> y) {
  for (int i = 0; i < kLanes<double>; ++i) x[i] = __builtin_pow(x[i], y[i]);
  return x;
}
#endif

template <class V> LAMELLA_INLINE V vpow(V x, V y) {
  using T = elem_t<V>;
  const V a = vabs(x), none{}, infinity = constant<V>(Float<T>::infinity);
  V r;
  if constexpr (kSingle<V>)
    r = in_double([](vec<double> a, vec<double> y) __attribute__((always_inline)) { return power_of_positive(a, y); }, a, y);
  else r = power_of_positive_double(a, y);
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
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
