// SPDX-License-Identifier: MIT
// Vec: the one vector vocabulary of the kernels, on GCC vector extensions. One source serves SSE4.2 (16 bytes), AVX2 (32),
// AVX-512 (64) and NEON (16). `vec<float>` has kLanes<float> lanes and the usual operators; a comparison gives an integer
// vector of the same width (0 or -1) that `select` takes. Storage types narrower than float load as float lanes.
#pragma once
#include <cstring>
#include "isa.h"
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace lamella {
namespace LAMELLA_ISA {

#if defined(__AVX512F__)
constexpr int kVecBytes = 64;
#elif defined(__AVX2__)
constexpr int kVecBytes = 32;
#else
constexpr int kVecBytes = 16;
#endif

template <class T> struct VecOf { typedef T type __attribute__((vector_size(kVecBytes))); };
template <class T> using vec = typename VecOf<T>::type;
template <class T> constexpr int kLanes = kVecBytes / int(sizeof(T));

// The type arithmetic is done in.
template <class T> struct Acc { using type = T; };
template <> struct Acc<bf16> { using type = float; };
template <> struct Acc<f16> { using type = float; };
template <class T> using acc_t = typename Acc<T>::type;

template <class T> struct IntOf;
template <> struct IntOf<float> { using type = int32_t; };
template <> struct IntOf<double> { using type = int64_t; };
template <class T> using int_of = typename IntOf<T>::type;

template <class V> using elem_t = decltype(V{}[0] + V{}[0]);  // float of vec<float>, ...

// ---- scalar conversion: one element from and to its arithmetic type -------------------------------------------------
template <class T> LAMELLA_INLINE T up(T x) { return x; }
LAMELLA_INLINE float up(bf16 x) { return x.to(); }
LAMELLA_INLINE float up(f16 x) { return x.to(); }
template <class T> LAMELLA_INLINE T down(acc_t<T> x) {
  if constexpr (__is_same(T, bf16)) return bf16::from(x);
  else if constexpr (__is_same(T, f16)) return f16::from(x);
  else return x;
}

// f(T{}) with the storage type T of a floating dtype.
template <class F> LAMELLA_INLINE void by_float(DType t, const F& f) {
  switch (t) {
    case DType::f32: f(float{}); break;
    case DType::f64: f(double{}); break;
    case DType::bf16: f(bf16{}); break;
    default: f(f16{}); break;
  }
}

// ---- load and store --------------------------------------------------------------------------------------------------
template <class T> LAMELLA_INLINE vec<T> splat(T x) { return x - vec<T>{}; }  // x - 0 is x, -0 too: folds to a broadcast

#if defined(__AVX512F__)  // maskz forms: the plain ones read an undefined register, which GCC warns of (bug 105593)
template <class T> LAMELLA_INLINE vec<float> widened(__m256i half) {
  if constexpr (__is_same(T, bf16)) return (vec<float>)((vec<uint32_t>)_mm512_maskz_cvtepu16_epi32(0xffff, half) << 16);
  else return (vec<float>)_mm512_maskz_cvtph_ps(0xffff, half);
}
template <class T> LAMELLA_INLINE __m256i narrowed(vec<float> v) {
  if constexpr (__is_same(T, bf16)) {  // round to nearest even, NaN kept quiet: as bf16::from
    typedef uint32_t vu __attribute__((vector_size(kVecBytes)));
    const vu u = (vu)v, even = u + 0x7fffu + ((u >> 16) & 1);
    const vu r = (vu)_mm512_mask_or_epi32((__m512i)even, _mm512_cmp_ps_mask((__m512)v, (__m512)v, _CMP_UNORD_Q), (__m512i)u,
                                          _mm512_set1_epi32(0x400000)) >> 16;
    return _mm512_maskz_cvtepi32_epi16(0xffff, (__m512i)r);
  } else {
    return _mm512_maskz_cvtps_ph(0xffff, (__m512)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
}
#endif

template <class T> LAMELLA_INLINE vec<acc_t<T>> vload(const T* p) {
  using A = acc_t<T>;
  vec<A> v;
  if constexpr (__is_same(T, A)) { std::memcpy(&v, p, sizeof v); }
#if defined(__AVX512F__)
  else { v = widened<T>(_mm256_loadu_si256((const __m256i*)p)); }
#else
  else if constexpr (__is_same(T, bf16)) {
    typedef uint16_t half __attribute__((vector_size(kVecBytes / 2)));
    half h;
    std::memcpy(&h, p, sizeof h);
    v = (vec<A>)(__builtin_convertvector(h, vec<uint32_t>) << 16);
  } else {
#if defined(__F16C__)
    v = (vec<A>)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p));
#else
    for (int i = 0; i < kLanes<A>; ++i) v[i] = p[i].to();
#endif
  }
#endif
  return v;
}

template <class T> LAMELLA_INLINE void vstore(T* p, vec<acc_t<T>> v) {
  using A = acc_t<T>;
  if constexpr (__is_same(T, A)) { std::memcpy(p, &v, sizeof v); }
#if defined(__AVX512F__)
  else { _mm256_storeu_si256((__m256i*)p, narrowed<T>(v)); }
#else
  else if constexpr (__is_same(T, bf16)) {  // as `narrowed`
    typedef uint32_t vu __attribute__((vector_size(kVecBytes)));
    const vu u = (vu)v, even = u + 0x7fffu + ((u >> 16) & 1);
    const vu nan = (vu)(v != v), r = ((nan & (u | 0x400000)) | (~nan & even)) >> 16;
    typedef uint16_t half __attribute__((vector_size(kVecBytes / 2)));
    half h = __builtin_convertvector(r, half);
    std::memcpy(p, &h, sizeof h);
  } else {
#if defined(__F16C__)
    _mm_storeu_si128((__m128i*)p, _mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
#else
    for (int i = 0; i < kLanes<A>; ++i) p[i] = f16::from(v[i]);
#endif
  }
#endif
}

// Past the caches, without reading the line; p is aligned to a vector. stream_end() before others may read it.
template <class A> LAMELLA_INLINE void vstream(A* p, vec<A> v) {
#if defined(__AVX512F__)
  _mm512_stream_si512((__m512i*)p, (__m512i)v);
#elif defined(__AVX2__)
  _mm256_stream_si256((__m256i*)p, (__m256i)v);
#elif defined(__x86_64__)
  _mm_stream_si128((__m128i*)p, (__m128i)v);
#else
  vstore<A>(p, v);
#endif
}
LAMELLA_INLINE void stream_end() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

#if defined(__AVX2__) && !defined(__AVX512F__)
template <class A> LAMELLA_INLINE __m256i first_lanes(int64_t n) {
  if constexpr (sizeof(A) == 4) return _mm256_cmpgt_epi32(_mm256_set1_epi32(int(n)), _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0));
  else return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_set_epi64x(3, 2, 1, 0));
}
#endif
// The first n lanes (0 <= n <= lanes); the others load as zero and are not stored. Touches no byte past p + n.
template <class T> LAMELLA_INLINE vec<acc_t<T>> vload(const T* p, int64_t n) {
  using A = acc_t<T>;
#if defined(__AVX512F__)
  if constexpr (__is_same(T, float)) return (vec<A>)_mm512_maskz_loadu_ps(__mmask16((1u << n) - 1), p);
  else if constexpr (__is_same(T, double)) return (vec<A>)_mm512_maskz_loadu_pd(__mmask8((1u << n) - 1), p);
  else if constexpr (__is_same(A, float)) return widened<T>(_mm256_maskz_loadu_epi16(__mmask16((1u << n) - 1), p));
  else
#elif defined(__AVX2__)
  if constexpr (__is_same(T, float)) return (vec<A>)_mm256_maskload_ps(p, first_lanes<float>(n));
  else if constexpr (__is_same(T, double)) return (vec<A>)_mm256_maskload_pd(p, first_lanes<double>(n));
  else
#endif
  {
    T tail[kLanes<A>] = {};
    for (int64_t i = 0; i < n; ++i) tail[i] = p[i];
    return vload(tail);
  }
}

template <class T> LAMELLA_INLINE void vstore(T* p, vec<acc_t<T>> v, int64_t n) {
#if defined(__AVX512F__)
  if constexpr (__is_same(T, float)) { _mm512_mask_storeu_ps(p, __mmask16((1u << n) - 1), (__m512)v); return; }
  else if constexpr (__is_same(T, double)) { _mm512_mask_storeu_pd(p, __mmask8((1u << n) - 1), (__m512d)v); return; }
  else if constexpr (__is_same(acc_t<T>, float)) {
    _mm256_mask_storeu_epi16(p, __mmask16((1u << n) - 1), narrowed<T>(v));
    return;
  } else
#elif defined(__AVX2__)
  if constexpr (__is_same(T, float)) { _mm256_maskstore_ps(p, first_lanes<float>(n), (__m256)v); return; }
  else if constexpr (__is_same(T, double)) { _mm256_maskstore_pd(p, first_lanes<double>(n), (__m256d)v); return; }
  else
#endif
  {
    T tail[kLanes<acc_t<T>>];
    vstore(tail, v);
    for (int64_t i = 0; i < n; ++i) p[i] = tail[i];
  }
}

// Lanes whose bit is set in `mask`, to p + lane * jump; the others are not touched.
template <class T> LAMELLA_INLINE void vstore_masked(T* p, vec<acc_t<T>> v, uint32_t mask, int64_t jump) {
#if defined(__AVX512F__)
  if constexpr (__is_same(T, float)) {
    if (jump == 1) return _mm512_mask_storeu_ps(p, __mmask16(mask), (__m512)v);
    if (jump == 2) {
      const uint32_t even = _pdep_u32(mask, 0x55555555);
      const __m512i low = _mm512_set_epi32(7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0);
      const __m512i high = _mm512_set_epi32(15, 15, 14, 14, 13, 13, 12, 12, 11, 11, 10, 10, 9, 9, 8, 8);
      _mm512_mask_storeu_ps(p, __mmask16(even), _mm512_maskz_permutexvar_ps(0xffff, low, (__m512)v));
      if (even >> 16)
        _mm512_mask_storeu_ps(p + 16, __mmask16(even >> 16), _mm512_maskz_permutexvar_ps(0xffff, high, (__m512)v));
      return;
    }
  }
  if constexpr (__is_same(T, double))
    if (jump == 1) return _mm512_mask_storeu_pd(p, __mmask8(mask), (__m512d)v);
#endif
  for (; mask; mask &= mask - 1) {
    const int l = __builtin_ctz(mask);
    p[l * jump] = down<T>(v[l]);
  }
}

// Lanes whose bit is set in `mask`, from p + lane * jump; the others are zero and not touched.
template <class T> LAMELLA_INLINE vec<acc_t<T>> vload_masked(const T* p, uint32_t mask, int64_t jump) {
  using A = acc_t<T>;
#if defined(__AVX512F__)
  if constexpr (__is_same(T, float)) {
    if (jump == 1) return (vec<A>)_mm512_maskz_loadu_ps(__mmask16(mask), p);
    if (jump == 2) {
      const uint32_t even = _pdep_u32(mask, 0x55555555);
      const __m512i at = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
      return (vec<A>)_mm512_maskz_permutex2var_ps(0xffff, _mm512_maskz_loadu_ps(__mmask16(even), p), at,
                                                  _mm512_maskz_loadu_ps(__mmask16(even >> 16), p + 16));
    }
    if (uint64_t(jump) < (1u << 26)) {
      const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
      const __m512i at = _mm512_maskz_mullo_epi32(0xffff, lane, _mm512_maskz_set1_epi32(0xffff, int(jump)));
      return (vec<A>)_mm512_mask_i32gather_ps(_mm512_setzero_ps(), __mmask16(mask), at, p, 4);
    }
  }
  if constexpr (__is_same(T, double))
    if (jump == 1) return (vec<A>)_mm512_maskz_loadu_pd(__mmask8(mask), p);
#elif defined(__AVX2__)
  if constexpr (__is_same(T, float))
    if (jump == 1) {
      const __m256i bit = _mm256_set_epi32(128, 64, 32, 16, 8, 4, 2, 1);
      return (vec<A>)_mm256_maskload_ps(p, _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(int(mask)), bit), bit));
    }
#endif
  vec<A> v = {};
  for (int i = 0; i < kLanes<A>; ++i)
    if (mask >> i & 1) v[i] = up(p[i * jump]);
  return v;
}

// ---- lanes -----------------------------------------------------------------------------------------------------------
template <class V, class M> LAMELLA_INLINE V select(M mask, V a, V b) { return mask ? a : b; }
template <class V> LAMELLA_INLINE V fma(V a, V b, V c) { return a * b + c; }  // contracted where the ISA has it

// As the x86 instruction: b where either is NaN.
template <class V> LAMELLA_INLINE V vmax(V a, V b) {
#if defined(__AVX512F__)
  if constexpr (sizeof(elem_t<V>) == 4) return (V)_mm512_maskz_max_ps(0xffff, (__m512)a, (__m512)b);
  else return (V)_mm512_maskz_max_pd(0xff, (__m512d)a, (__m512d)b);
#elif defined(__AVX2__)
  if constexpr (sizeof(elem_t<V>) == 4) return (V)_mm256_max_ps((__m256)a, (__m256)b);
  else return (V)_mm256_max_pd((__m256d)a, (__m256d)b);
#elif defined(__x86_64__)
  if constexpr (sizeof(elem_t<V>) == 4) return (V)_mm_max_ps((__m128)a, (__m128)b);
  else return (V)_mm_max_pd((__m128d)a, (__m128d)b);
#else
  return a > b ? a : b;
#endif
}
template <class V> LAMELLA_INLINE V vmin(V a, V b) {
#if defined(__AVX512F__)
  if constexpr (sizeof(elem_t<V>) == 4) return (V)_mm512_maskz_min_ps(0xffff, (__m512)a, (__m512)b);
  else return (V)_mm512_maskz_min_pd(0xff, (__m512d)a, (__m512d)b);
#elif defined(__AVX2__)
  if constexpr (sizeof(elem_t<V>) == 4) return (V)_mm256_min_ps((__m256)a, (__m256)b);
  else return (V)_mm256_min_pd((__m256d)a, (__m256d)b);
#elif defined(__x86_64__)
  if constexpr (sizeof(elem_t<V>) == 4) return (V)_mm_min_ps((__m128)a, (__m128)b);
  else return (V)_mm_min_pd((__m128d)a, (__m128d)b);
#else
  return a < b ? a : b;
#endif
}
template <class V> LAMELLA_INLINE V vmax_nan(V a, V b) { return select(a != a, a, vmax(a, b)); }  // NaN of either side
template <class V> LAMELLA_INLINE V vmin_nan(V a, V b) { return select(a != a, a, vmin(a, b)); }

template <class V> LAMELLA_INLINE V vabs(V a) {  // clears the sign bit
  using I = int_of<elem_t<V>>;
  return (V)((vec<I>)a & ~(I(1) << (sizeof(I) * 8 - 1)));
}

template <class V> LAMELLA_INLINE V vsqrt(V a) {
#if defined(__AVX512F__)
  if constexpr (sizeof(elem_t<V>) == 4) return (V)_mm512_maskz_sqrt_ps(0xffff, (__m512)a);
  else return (V)_mm512_maskz_sqrt_pd(0xff, (__m512d)a);
#elif defined(__AVX2__)
  if constexpr (sizeof(elem_t<V>) == 4) return (V)_mm256_sqrt_ps((__m256)a);
  else return (V)_mm256_sqrt_pd((__m256d)a);
#elif defined(__x86_64__)
  if constexpr (sizeof(elem_t<V>) == 4) return (V)_mm_sqrt_ps((__m128)a);
  else return (V)_mm_sqrt_pd((__m128d)a);
#else
  if constexpr (sizeof(elem_t<V>) == 4) return (V)vsqrtq_f32((float32x4_t)a);
  else return (V)vsqrtq_f64((float64x2_t)a);
#endif
}

// Index vectors are written as pack expansions, which are constants; filled in a loop they are built anew at run time.
template <int... l> struct Lanes {};
template <class A> using AllLanes = Lanes<__integer_pack(kLanes<A>)...>;
template <class A, int... l> LAMELLA_INLINE vec<int_of<A>> lane_numbers(Lanes<l...>) { return vec<int_of<A>>{l...}; }
template <class A> LAMELLA_INLINE vec<int_of<A>> lane_numbers() { return lane_numbers<A>(AllLanes<A>{}); }  // 0, 1, 2 ...
// Lanes of a and b in turn, from lane `first` of both on: a, b, a, b ...
template <int first, class A, int... l> LAMELLA_INLINE vec<A> in_turn(vec<A> a, vec<A> b, Lanes<l...>) {
  return __builtin_shuffle(a, b, vec<int_of<A>>{(first + l / 2 + l % 2 * kLanes<A>)...});
}
template <int first, class A> LAMELLA_INLINE vec<A> in_turn(vec<A> a, vec<A> b) { return in_turn<first, A>(a, b, AllLanes<A>{}); }
// And back: every second lane of both, from lane `first` on.
template <int first, class A, int... l> LAMELLA_INLINE vec<A> every_second(vec<A> a, vec<A> b, Lanes<l...>) {
  return __builtin_shuffle(a, b, vec<int_of<A>>{(first + 2 * l)...});
}
template <int first, class A> LAMELLA_INLINE vec<A> every_second(vec<A> a, vec<A> b) { return every_second<first, A>(a, b, AllLanes<A>{}); }

// Exchanges the off-diagonal halves of each square of 2 H rows, H rows apart.
template <class A, int H, int... l> LAMELLA_INLINE void exchange_halves(vec<A>* r, Lanes<l...> lanes) {
  constexpr int L = kLanes<A>;
  using I = vec<int_of<A>>;
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i)
    if (!(i & H)) {
      const vec<A> a = r[i], b = r[i + H];
      r[i] = __builtin_shuffle(a, b, I{(l & H ? L + l - H : l)...});
      r[i + H] = __builtin_shuffle(a, b, I{(l & H ? L + l : l + H)...});
    }
  if constexpr (H > 1) exchange_halves<A, H / 2>(r, lanes);
}

// Transposes a square of lanes in registers.
template <class A> LAMELLA_INLINE void transpose_lanes(vec<A>* r) {
  exchange_halves<A, kLanes<A> / 2>(r, AllLanes<A>{});
}

// Fold the lanes by halves: a fixed tree, the same for every call.
template <int H, class V, class F, int... l> LAMELLA_INLINE elem_t<V> fold_halves(V v, const F& f, Lanes<l...> lanes) {
  using A = elem_t<V>;
  v = f(v, __builtin_shuffle(v, vec<int_of<A>>{((l + H) % kLanes<A>)...}));
  if constexpr (H > 1) return fold_halves<H / 2>(v, f, lanes);
  else return v[0];
}
template <class V, class F> LAMELLA_INLINE elem_t<V> fold_lanes(V v, const F& f) {
  return fold_halves<kLanes<elem_t<V>> / 2>(v, f, AllLanes<elem_t<V>>{});
}
// Lane l of the result is fold_lanes(r[l], f), by the same tree: a square of lanes folded as it is turned.
template <int H, class A, class F, int... l> LAMELLA_INLINE void fold_square(vec<A>* r, const F& f, Lanes<l...> lanes) {
  constexpr int L = kLanes<A>;
  using I = vec<int_of<A>>;
#pragma GCC unroll 16
  for (int i = 0; i < H; ++i)
    r[i] = f(__builtin_shuffle(r[i], r[i + H], I{(l & H ? L + l - H : l)...}),
             __builtin_shuffle(r[i], r[i + H], I{(l & H ? L + l : l + H)...}));
  if constexpr (H > 1) fold_square<H / 2, A>(r, f, lanes);
}
template <class A, class F> LAMELLA_INLINE vec<A> fold_square(vec<A>* r, const F& f) {
  fold_square<kLanes<A> / 2, A>(r, f, AllLanes<A>{});
  return r[0];
}
template <class V> LAMELLA_INLINE elem_t<V> hsum(V v) { return fold_lanes(v, [](V a, V b) { return a + b; }); }
template <class V> LAMELLA_INLINE elem_t<V> hmax(V v) {  // NaN passes
  return fold_lanes(v, [](V a, V b) { return vmax_nan(a, b); });
}
template <class V> LAMELLA_INLINE elem_t<V> hmin(V v) { return fold_lanes(v, [](V a, V b) { return vmin_nan(a, b); }); }

}  // namespace LAMELLA_ISA
}  // namespace lamella
