// SPDX-License-Identifier: MIT
// Elementary functions on the lanes of V = vec<float> or vec<double>. Largest error in ulp, the larger of float32 and float64,
// on the ISA where it is worst (tests/test_vecmath.py holds them to it):
//   vexp 1.1  vexpm1 1.8  vlog 0.8  vlog1p 0.8  vtanh 2.6  vsigmoid 2.2  verf 5  vsin 1.5  vcos 1.5  vatan2 1.8
//   vrsqrt 1.5  vpow (power.h) 0.8  vround, vfloor, vceil, vtrunc exact
// NaN, infinities, signed zeros and subnormals come out as in C's <math.h>. Polynomials are minimax fits, printed by
// tools/fit_vecmath.py; ranges are reduced as in Muller, "Elementary Functions".
#pragma once
#include "normal_tail.h"
#include "vec.h"

namespace lamella {
namespace LAMELLA_ISA {

template <class T> struct Float;
template <> struct Float<float> {
  static constexpr int mantissa = 23, bias = 127;
  static constexpr float magic = 0x1.8p23f;  // x + magic holds round(x) in its low bits
  static constexpr float min_normal = 0x1p-126f, infinity = __builtin_inff(), nan = __builtin_nanf("");
  static constexpr float ln2_hi = 0x1.62ep-1f, ln2_lo = 0x1.0bfbe8p-15f;  // n ln2_hi is exact
  static constexpr float exp_low = -104, exp_high = 89;                   // beyond: 0 and infinity
  static constexpr float expm1_low = -20, tanh_high = 10, erf_high = 3.92f;// beyond: -1, 1, 1
  static constexpr float pi_lo = -0x1.777a5cp-24f;                        // pi - float(pi)
};
template <> struct Float<double> {
  static constexpr int mantissa = 52, bias = 1023;
  static constexpr double magic = 0x1.8p52;
  static constexpr double min_normal = 0x1p-1022, infinity = __builtin_inf(), nan = __builtin_nan("");
  static constexpr double ln2_hi = 0x1.62e42fef00000p-1, ln2_lo = 0x1.473de6af278ecp-34;
  static constexpr double exp_low = -746, exp_high = 710;
  static constexpr double expm1_low = -40, tanh_high = 20, erf_high = 6;
  static constexpr double pi_lo = 0x1.1a62633145c07p-53;
};
constexpr double kPi = 3.14159265358979323846, kLog2e = 1.44269504088896340736, kSqrtHalf = 0.70710678118654752440;

template <class V> using bits_of = vec<int_of<elem_t<V>>>;
template <class V> constexpr bool kSingle = sizeof(elem_t<V>) == 4;
template <class V> LAMELLA_INLINE V constant(double c) { return V{} + elem_t<V>(c); }  // c != -0.0

// c0 + c1 x + c2 x^2 + ...
template <class V> LAMELLA_INLINE V polynomial(V, double c) { return constant<V>(c); }
template <class V, class... C> LAMELLA_INLINE V polynomial(V x, double c, C... rest) {
  return fma(x, polynomial(x, rest...), constant<V>(c));
}

// The same, terms paired: twice the multiplications for half the latency, for where a function waits for its polynomial.
template <class V, class... C> LAMELLA_INLINE V paired(V x, double c0, double c1, C... rest) {
  V low = fma(x, constant<V>(c1), constant<V>(c0));
  if constexpr (sizeof...(rest) == 0) return low;
  else if constexpr (sizeof...(rest) == 1) return fma(x * x, constant<V>(rest...), low);
  else return fma(x * x, paired(x, rest...), low);
}

// The same for 2^k terms, halved again and again: the shortest chain (Estrin's scheme). power[i] = x^(2^i).
template <int N, class V> LAMELLA_INLINE V halved(const V* power, const double* c) {
  if constexpr (N == 1) return constant<V>(c[0]);
  else return fma(power[__builtin_ctz(N) - 1], halved<N / 2>(power, c + N / 2), halved<N / 2>(power, c));
}

template <class V> LAMELLA_INLINE bits_of<V> sign_bit(V x) {
  return (bits_of<V>)x & (bits_of<V>{} + (int_of<elem_t<V>>(1) << (sizeof(elem_t<V>) * 8 - 1)));
}
template <class V> LAMELLA_INLINE V with_sign(V x, bits_of<V> sign) { return (V)((bits_of<V>)x ^ sign); }

// ---- rounding to integers -------------------------------------------------------------------------------------------
#if defined(__AVX512F__)
#define LAMELLA_ROUND(name, mode, neon)                                                               \
  template <class V> LAMELLA_INLINE V name(V x) {                                                     \
    if constexpr (kSingle<V>) return (V)_mm512_roundscale_ps((__m512)x, mode | _MM_FROUND_NO_EXC);    \
    else return (V)_mm512_roundscale_pd((__m512d)x, mode | _MM_FROUND_NO_EXC);                        \
  }
#elif defined(__AVX2__)
#define LAMELLA_ROUND(name, mode, neon)                                                               \
  template <class V> LAMELLA_INLINE V name(V x) {                                                     \
    if constexpr (kSingle<V>) return (V)_mm256_round_ps((__m256)x, mode | _MM_FROUND_NO_EXC);         \
    else return (V)_mm256_round_pd((__m256d)x, mode | _MM_FROUND_NO_EXC);                             \
  }
#elif defined(__x86_64__)
#define LAMELLA_ROUND(name, mode, neon)                                                               \
  template <class V> LAMELLA_INLINE V name(V x) {                                                     \
    if constexpr (kSingle<V>) return (V)_mm_round_ps((__m128)x, mode | _MM_FROUND_NO_EXC);            \
    else return (V)_mm_round_pd((__m128d)x, mode | _MM_FROUND_NO_EXC);                                \
  }
#else
#define LAMELLA_ROUND(name, mode, neon)                                                               \
  template <class V> LAMELLA_INLINE V name(V x) {                                                     \
    if constexpr (kSingle<V>) return (V)neon##q_f32((float32x4_t)x);                                  \
    else return (V)neon##q_f64((float64x2_t)x);                                                       \
  }
#endif
LAMELLA_ROUND(vround, _MM_FROUND_TO_NEAREST_INT, vrndn)  // halves to even
LAMELLA_ROUND(vfloor, _MM_FROUND_TO_NEG_INF, vrndm)
LAMELLA_ROUND(vceil, _MM_FROUND_TO_POS_INF, vrndp)
LAMELLA_ROUND(vtrunc, _MM_FROUND_TO_ZERO, vrnd)
#undef LAMELLA_ROUND

// n / d to 0.6 ulp (a subnormal result to two), for d from 1/2 to 2^100 and finite n, in half the time of a division.
template <class V> LAMELLA_INLINE V ratio(V n, V d) {
#if defined(__AVX512F__)
  if constexpr (kSingle<V>) {
    const V r = (V)_mm512_rcp14_ps((__m512)d), q = n * r;
    return fma(fma(-q, d, n), r, q);
  }
#endif
  return n / d;
}

template <class V> LAMELLA_INLINE V vrsqrt(V x) { return elem_t<V>(1) / vsqrt(x); }

template <class M> LAMELLA_INLINE bool vany(M mask) {
  uint64_t word[sizeof(M) / 8], any = 0;
  std::memcpy(word, &mask, sizeof mask);
  for (uint64_t w : word) any |= w;
  return any != 0;
}

// f on both halves of single-precision lanes, in double precision.
template <class F, class... V> LAMELLA_INLINE vec<float> in_double(const F& f, V... x) {
  typedef float half __attribute__((vector_size(kVecBytes / 2)));
  vec<float> y;
  for (int i = 0; i < 2; ++i) {
    auto widen = [i](const vec<float>& v) __attribute__((always_inline)) {
      half h;
      std::memcpy(&h, (const char*)&v + i * sizeof h, sizeof h);
      return __builtin_convertvector(h, vec<double>);
    };
    half h = __builtin_convertvector(f(widen(x)...), half);
    std::memcpy((char*)&y + i * sizeof h, &h, sizeof h);
  }
  return y;
}

// ---- exponentials ---------------------------------------------------------------------------------------------------
// x = n ln 2 + r, |r| <= ln 2 / 2
template <class V> LAMELLA_INLINE V reduce_ln2(V x, V& n) {
  using F = Float<elem_t<V>>;
  n = fma(x, constant<V>(kLog2e), constant<V>(F::magic)) - F::magic;
  return fma(n, constant<V>(-F::ln2_lo), fma(n, constant<V>(-F::ln2_hi), x));
}

template <class V> LAMELLA_INLINE V exp_quotient(V r) {  // (e^r - 1 - r) / r^2, |r| <= ln 2 / 2
  if constexpr (kSingle<V>) return polynomial(r, 0.499999935, 0.166665206, 4.16683827e-2, 8.36872586e-3, 1.38150587e-3);
  else return paired(r, 0.50000000000000102, 0.16666666666666676, 4.1666666666521872e-2, 8.3333333333213806e-3,
                         1.3888888947857196e-3, 1.9841269888699297e-4, 2.4801487284952096e-5, 2.7557240214457124e-6,
                         2.76326712332442e-7, 2.5110786738846435e-8);
}
template <class V> LAMELLA_INLINE V expm1_reduced(V r) { return fma(r * r, exp_quotient(r), r); }  // e^r - 1

// 2^n for integral n with -bias < n <= bias
template <class V> LAMELLA_INLINE V pow2(V n) {
  using F = Float<elem_t<V>>;
  return (V)((bits_of<V>)(n + (F::magic + F::bias)) << F::mantissa);
}

// p 2^n for integral n of twice the exponent's range, rounded once
template <class V> LAMELLA_INLINE V scale2(V p, V n) {
#if defined(__AVX512F__)
  if constexpr (kSingle<V>) return (V)_mm512_scalef_ps((__m512)p, (__m512)n);
  else return (V)_mm512_scalef_pd((__m512d)p, (__m512d)n);
#else
  using F = Float<elem_t<V>>;
  auto k = (bits_of<V>)(n + (F::magic + 2 * F::bias));
  auto half = k >> 1;
  return p * (V)(half << F::mantissa) * (V)((k - half) << F::mantissa);
#endif
}

template <class V> LAMELLA_INLINE V vexp(V x) {
  using F = Float<elem_t<V>>;
  const auto zero = x < F::exp_low;  // underflow to zero is slow: it is not let happen
  V n, r = reduce_ln2(vmin(constant<V>(F::exp_high), select(zero, V{}, x)), n);
  return select(zero, V{}, scale2(expm1_reduced(r) + elem_t<V>(1), n));
}

// e^x for x <= 0, and zero where half of it would be subnormal: for factors, since CPUs multiply subnormal numbers a
// hundred times slower than others.
template <class V> LAMELLA_INLINE V vexp_normal(V x) {
  using T = elem_t<V>;
  constexpr T low = sizeof(T) == 4 ? T(-86.5) : T(-707.5);
  V n, r = reduce_ln2(vmax(constant<V>(low), x), n);
  return select(x < low, V{}, (expm1_reduced(r) + T(1)) * pow2(n));
}

template <class V> LAMELLA_INLINE V vexpm1(V x) {  // 2 (s p + s - 1/2), s = 2^(n-1): no overflow before the end
  using F = Float<elem_t<V>>;
  using T = elem_t<V>;
  V n, r = reduce_ln2(vmin(constant<V>(F::exp_high), vmax(constant<V>(F::expm1_low), x)), n);
  V s = pow2(n - T(1));
  V y = fma(s, expm1_reduced(r), s - T(0.5));
  return select(x == T(0), x, y + y);
}

template <class V> LAMELLA_INLINE V vsigmoid(V x) {
  using T = elem_t<V>;
  V e = vexp(-vabs(x));
  return ratio(select(x < T(0), e, constant<V>(1)), e + T(1));
}

template <class V> LAMELLA_INLINE V vtanh(V x) {
  V t = vexpm1(elem_t<V>(2) * vmin(constant<V>(Float<elem_t<V>>::tanh_high), vabs(x)));
  return with_sign(ratio(t, t + elem_t<V>(2)), sign_bit(x));
}

// ---- logarithms -----------------------------------------------------------------------------------------------------
// log(u) + tail = k ln 2 + high - (half - low) for normal u > 0: u = 2^k m, sqrt(1/2) <= m < sqrt(2), f = m - 1,
// s = f / (2 + f), log(1 + f) = f - (f^2/2 - s (f^2/2 + R(s^2))).
template <class V> struct LogParts { V k, high, half, low; };
template <class V> LAMELLA_INLINE LogParts<V> log_parts(V u, V tail) {
  using F = Float<elem_t<V>>;
  using T = elem_t<V>;
  using I = int_of<T>;
  using B = bits_of<V>;
  const B root = (B)constant<V>(kSqrtHalf), one = (B)constant<V>(1);
  const B two_m = (B)constant<V>(double(I(1) << F::mantissa));
  B shifted = (B)u + (one - root);
  V k = (V)(((shifted >> F::mantissa) & ((I(1) << (sizeof(T) * 8 - F::mantissa - 1)) - 1)) | two_m) -
        T((I(1) << F::mantissa) + F::bias);
  V f = (V)((shifted & ((I(1) << F::mantissa) - 1)) + root) - T(1);
  V s = ratio(f, f + T(2)), z = s * s, h = T(0.5) * f * f, r;
  if constexpr (kSingle<V>) r = polynomial(z, 0.666666658, 0.400003388, 0.285360594, 0.236172711);
  else r = polynomial(z, 0.66666666666666663, 0.40000000000004776, 0.28571428569371528, 0.22222222623584881,
                      0.18181776371430521, 0.15387097124657431, 0.13249344864581329, 0.13262702643868508);
  return {k, f, h, fma(s, fma(z, r, h), tail)};
}

template <class V> LAMELLA_INLINE V log_normal(V u, V tail, V k_offset) {  // k_offset is added to k
  using F = Float<elem_t<V>>;
  LogParts<V> p = log_parts(u, tail);
  V k = p.k + k_offset;
  return fma(k, constant<V>(F::ln2_hi), p.high - (p.half - fma(k, constant<V>(F::ln2_lo), p.low)));
}

template <class V> LAMELLA_INLINE V log_specials(V x, V y) {  // y, mended where x is not in (0, infinity)
  using F = Float<elem_t<V>>;
  using T = elem_t<V>;
  y = select(x > T(0), y, select(x == T(0), constant<V>(-F::infinity), constant<V>(F::nan)));
  return select(x == F::infinity, x, y);
}

template <class V> LAMELLA_INLINE V vlog(V x) {
  using F = Float<elem_t<V>>;
  auto small = x < F::min_normal;
  V u = select(small, x * elem_t<V>(int_of<elem_t<V>>(1) << F::mantissa), x);
  return log_specials(x, log_normal(u, V{}, select(small, constant<V>(-F::mantissa), V{})));
}

template <class V> LAMELLA_INLINE V vlog1p(V x) {  // log(u) + c / u, where u + c is 1 + x exactly (Knuth's two-sum)
  using T = elem_t<V>;
  V u = x + T(1), v = u - T(1), c = (T(1) - (u - v)) + (x - v);
  V y = log_specials(u, log_normal(u, c / u, V{}));
  return select(x == T(0), x, y);
}

// ---- error function -------------------------------------------------------------------------------------------------
// -log(erfc(a)), a >= 0: a (a + 3) p(t) with t = (a - 3) / (a + 3), fitted up to a = 9.5.
template <class V> LAMELLA_INLINE V minus_log_erfc(V a) {
  using T = elem_t<V>;
  V b = vmin(constant<V>(9.5), a), t = (b - T(3)) / (b + T(3)), p;
  if constexpr (kSingle<V>)
    p = paired(t, 0.595575725, 0.31452406, 9.45887911e-2, -5.64641632e-3, -2.84792453e-3, 3.05846e-3,
               3.13622655e-4, -3.37338136e-4, 2.93070911e-4, 2.38095687e-4, 3.99647122e-5);
  else
    p = paired(t, 0.59557572455450623, 0.31452405600422599, 9.4588876485026782e-2, -5.6461749381988903e-3,
                   -2.8494750535237647e-3, 3.0544753294691865e-3, 3.221743476462957e-4, -3.1116298033882546e-4,
                   2.8386204234479669e-4, 1.7016557167380104e-4, 3.5565278832383496e-6, 4.3187683205067048e-5,
                   5.349250093573986e-5, 2.5188162660087002e-5, 1.8685168132160566e-5, 2.0574364114876086e-5,
                   1.636911104594396e-5, 1.0532262528548681e-5, 7.0329533322409816e-6, 8.0213355952440459e-6,
                   1.1667583631170548e-5, 1.1879804036676923e-5, 7.2405748714983543e-6, 2.4191469655685332e-6,
                   3.439819425311047e-7);
  return a * (a + T(3)) * p;
}

template <class V> LAMELLA_INLINE V verf(V x) {
  V a = vmin(constant<V>(Float<elem_t<V>>::erf_high), vabs(x)), y;
  if constexpr (kSingle<V>) {  // a / 2 + a p(t), t = a^2 / 7.6832 - 1: erf(a) / a is nearly a polynomial in a^2
    constexpr double c[] = {-0.139263183, -0.180108562, 0.13408342, -0.109181531, 9.06219035e-2, -7.39936754e-2,
                            5.81893139e-2, -4.35670093e-2, 3.05349436e-2, -1.96647737e-2, 1.23750875e-2, -8.1068594e-3,
                            4.1398257e-3, -1.08870957e-3, 7.04227248e-4, -9.27449903e-4, 3.55064898e-4};
    V t = fma(a, a * elem_t<V>(1 / 7.6832), constant<V>(-1)), power[4] = {t, t * t};
    power[2] = power[1] * power[1];
    power[3] = power[2] * power[2];
    V p = fma(power[3] * power[3], constant<V>(c[16]), halved<16>(power, c));
    y = vmin(constant<V>(1), fma(a, p, elem_t<V>(0.5) * a));
  } else {
    y = vabs(vexpm1(-minus_log_erfc(a)));
  }
  return with_sign(y, sign_bit(x));
}

// Half of erfc(|x| / sqrt 2), what the normal distribution has beyond |x|, and bell = e^(-x^2 / 2); zero where that is hardly a
// normal number.
template <class V> LAMELLA_INLINE V normal_tail(V x, V& bell) {
  using T = elem_t<V>;
  if constexpr (kSingle<V>) {
    using F = Float<T>;
    constexpr double scale = -0.5 * kLog2e;  // bell = 2^(n + f)
    V b = vabs(x), a = vmin(constant<V>(13), b), u = T(1) / fma(a, constant<V>(kNormalTailSlope), constant<V>(1));
    V s = a * a, n = fma(s, constant<V>(scale), splat(F::magic));
    V f = fma(s, constant<V>(scale), F::magic - n);
    V p = polynomial(f, 1.0, 0.693146978, 0.240222421, 5.55073374e-2, 9.6715126e-3, 1.32647281e-3);
    bell = select(b > T(13), V{}, (V)((bits_of<V>)p + ((bits_of<V>)n << F::mantissa)));
    return bell * (u * paired(u, LAMELLA_NORMAL_TAIL));
  } else {
    bell = vexp_normal(T(-0.5) * x * x);
    return T(0.5) * vexp_normal(-minus_log_erfc(vabs(x) * T(kSqrtHalf)));
  }
}

// ---- circular functions ---------------------------------------------------------------------------------------------
// x = n pi/2 + r, |r| <= pi/4, for |x| < 10^6: pi/2 in parts of 33 bits, so that n times a part is exact.
constexpr double kPio2[3] = {0x1.921fb54400000p+0, 0x1.0b4611a600000p-34, 0x1.3198a2e037073p-69};
constexpr double kTrigLimit = 1e6;

template <class V> LAMELLA_INLINE V reduce_pio2(V x, V& n) {
  if constexpr (kSingle<V>) {
    n = vround(x * elem_t<V>(2 / kPi));
    return in_double([](vec<double> x, vec<double> n) __attribute__((always_inline)) {
      return fma(n, splat(-kPio2[1]), fma(n, splat(-kPio2[0]), x));
    }, x, n);
  } else {
    n = vround(x * (2 / kPi));
    V a = fma(n, splat(-kPio2[0]), x), w = n * kPio2[1], b = a - w, e = (a - b) - w;
    return b + fma(n, splat(-kPio2[2]), e);
  }
}

// sin(r) and cos(r), |r| <= pi/4.
template <class V> LAMELLA_INLINE void sine_and_cosine_near_0(V r, V& s, V& c) {
  const V t = r * r;
  if constexpr (kSingle<V>) {
    s = polynomial(t, -0.166666547, 8.33210095e-3, -1.95039631e-4);
    c = polynomial(t, 4.16666547e-2, -1.38876544e-3, 2.44638374e-5);
  } else {
    s = polynomial(t, -0.16666666666666667, 8.3333333333333247e-3, -1.9841269841256206e-4, 2.7557319214415475e-6,
                   -2.5052104902183849e-8, 1.6058359102785602e-10, -7.578092101608709e-13);
    c = polynomial(t, 4.1666666666666667e-2, -1.3888888888888884e-3, 2.4801587301579721e-5, -2.7557319218665376e-7,
                   2.0876755051483624e-9, -1.1470364972071441e-11, 4.7410876694987104e-14);
  }
  s = fma(r * t, s, r);
  V h = elem_t<V>(0.5) * t, w = elem_t<V>(1) - h;  // 1 - h + t^2 c, with the rounding of 1 - h put back
  c = w + fma(t * t, c, (elem_t<V>(1) - w) - h);
}
// sin(r) and cos(r) where x = n pi/2 + r; n's low two bits.
template <class V> LAMELLA_INLINE bits_of<V> sine_and_cosine(V x, V& s, V& c) {
  V n, r = reduce_pio2(x, n);
  sine_and_cosine_near_0(r, s, c);
  return (bits_of<V>)(n + Float<elem_t<V>>::magic);
}
// sin(2 pi u) and cos(2 pi u), 0 <= u <= 1: quarters of a turn are exact.
template <class V> LAMELLA_INLINE void sine_and_cosine_of_turns(V u, V& sine, V& cosine) {
  using T = elem_t<V>;
  V n = T(4) * u + Float<T>::magic, s, c;
  const bits_of<V> q = (bits_of<V>)n;
  sine_and_cosine_near_0((T(4) * u - (n - Float<T>::magic)) * T(kPi / 2), s, c);
  sine = with_sign(select((q & 1) != 0, c, s), (q & 2) << (sizeof(T) * 8 - 2));
  cosine = with_sign(select((q & 1) != 0, s, c), ((q + 1) & 2) << (sizeof(T) * 8 - 2));
}

// y, and libm's f(x) where x is beyond the reduction.
template <class V, class F> LAMELLA_INLINE V mend_far(V x, V y, const F& f) {
  auto far = vabs(x) > elem_t<V>(kTrigLimit);
  if (__builtin_expect(vany(far), 0))
    for (int i = 0; i < kLanes<elem_t<V>>; ++i)
      if (far[i]) y[i] = elem_t<V>(f(double(x[i])));
  return y;
}

template <class V> LAMELLA_INLINE V sine_of_quadrant(V x, int quadrant) {  // sin(x + quadrant pi/2)
  V s, c;
  bits_of<V> q = sine_and_cosine(x, s, c) + quadrant;
  V y = with_sign(select((q & 1) != 0, c, s), (q & 2) << (sizeof(elem_t<V>) * 8 - 2));
  return mend_far(x, y, [=](double a) __attribute__((always_inline)) { return quadrant ? __builtin_cos(a) : __builtin_sin(a); });
}

template <class V> LAMELLA_INLINE V vsin(V x) { return select(x == elem_t<V>(0), x, sine_of_quadrant(x, 0)); }
template <class V> LAMELLA_INLINE V vcos(V x) { return sine_of_quadrant(x, 1); }

template <class V> LAMELLA_INLINE V vatan2(V y, V x) {
  using T = elem_t<V>;
  using F = Float<T>;
  const T pi = T(kPi);
  V ax = vabs(x), ay = vabs(y), high = vmax(ax, ay), low = vmin(ax, ay);
  V a = select(low == high, select(high == T(0), V{}, constant<V>(1)), low / high), t = a * a, p;
  if constexpr (kSingle<V>)
    p = polynomial(t, -0.333333124, 0.199988422, -0.142663464, 0.109585824, -8.41065457e-2, 5.79135417e-2,
                   -3.09912903e-2, 1.07485002e-2, -1.74370114e-3);
  else
    p = polynomial(t, -0.33333333333333318, 0.19999999999995497, -0.1428571428531463, 0.1111111109425902,
                   -9.090908679165004e-2, 7.6923011793801027e-2, -6.6665951210665461e-2, 5.8817803515109039e-2,
                   -5.2597026841442878e-2, 4.745776824599245e-2, -4.2884383138200204e-2, 3.8247478672961439e-2,
                   -3.2836610138040625e-2, 2.6202141510534096e-2, -1.8646566615619566e-2, 1.1325810608123615e-2,
                   -5.6053430068920386e-3, 2.1425404266387133e-3, -5.8810790982452915e-4, 1.0254652527529327e-4,
                   -8.4970047177215984e-6);
  V r = fma(a * t, p, a);
  r = select(ay > ax, T(0.5) * pi - (r - T(0.5) * F::pi_lo), r);
  r = select(sign_bit(x) != 0, pi - (r - F::pi_lo), r);
  r = select((x != x) | (y != y), x + y, r);
  return with_sign(r, sign_bit(y));
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
