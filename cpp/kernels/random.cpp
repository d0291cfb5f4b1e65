// SPDX-License-Identifier: MIT
// Random fills and dropout from Philox 4x32-10 (philox.h). Which word an element takes is fixed by its index, so the
// numbers do not depend on threads or ISA.
#include "past.h"
#include "philox.h"
#include "rows.h"
#include "vecmath.h"

namespace lamella {
namespace LAMELLA_ISA {

constexpr int64_t kPhiloxTask = 4096;  // Philox blocks per task
constexpr int64_t kBatch = 64;         // blocks made at a time: 256 words
constexpr int64_t kDropSlab = 65536;   // of dropout of whole blocks: numbers made at a time,
constexpr int64_t kDropGrain = 32768;  // and elements per task

// f(begin, count, words) for batches of elements that take `per` elements from each block, over [0, n); blocks from `first` on.
template <class F> static void for_words(uint64_t seed, uint64_t stream, int64_t n, int per, const F& f, int64_t first = 0) {
  parallel_blocks((n + per - 1) / per, kPhiloxTask, [&](int64_t from, int64_t to) {
    alignas(64) uint32_t words[4 * kBatch];
    for (int64_t b = from; b < to; b += kBatch) {
      int64_t begin = b * per, end = (b + kBatch < to ? b + kBatch : to) * per;
      make_words(seed, stream, uint64_t(first + b), kBatch, words);
      f(begin, (end < n ? end : n) - begin, words);
    }
    stream_end();
  });
}

template <class T> static void uniform(const Random& a) {
  using A = acc_t<T>;
  constexpr int64_t L = kLanes<A>;
  constexpr int per = 16 / sizeof(A);
  T* const y = static_cast<T*>(a.y);
  const vec<A> low = splat(A(a.p0)), range = splat(A(a.p1 - a.p0));
  const bool past = goes_past(y, a.n * int64_t(sizeof(T)));
  for_words(a.seed, a.stream, a.n, per, [&](int64_t begin, int64_t count, const uint32_t* w) {
    for (int64_t i = 0; i < count; i += L) {
      const vec<A> v = fma(range, units<A>(w + i * 4 / per), low);
      if (i + L <= count) vput<T>(y + begin + i, v, past);
      else vstore<T>(y + begin + i, v, count - i);
    }
  });
}

// Box-Muller: two uniform numbers u, v give sqrt(-2 log(1 - u)) (cos, sin)(2 pi v).
template <class T> static void normal(const Random& a) {
  using A = acc_t<T>;
  using V = vec<A>;
  constexpr int64_t L = kLanes<A>;
  constexpr int per = 16 / sizeof(A);
  T* const y = static_cast<T*>(a.y);
  const V mean = splat(A(a.p0)), deviation = splat(A(a.p1));
  const bool past = goes_past(y, a.n * int64_t(sizeof(T)));
  for_words(a.seed, a.stream, a.n, per, [&](int64_t begin, int64_t count, const uint32_t* w) {
    for (int64_t i = 0; i < count; i += 2 * L) {
      const V even = units<A>(w + i * 4 / per), odd = units<A>(w + (i + L) * 4 / per);
      const V u = every_second<0, A>(even, odd), v = every_second<1, A>(even, odd);
      V s, c;
      sine_and_cosine_of_turns(v, s, c);
      const V r = vsqrt(vlog(A(1) - u) * A(-2)) * deviation;
      c = fma(r, c, mean), s = fma(r, s, mean);
      const V first = in_turn<0, A>(c, s), second = in_turn<L / 2, A>(c, s);
      T* const to = y + begin + i;
      if (i + 2 * L <= count) {
        vput<T>(to, first, past);
        vput<T>(to + L, second, past);
      } else {
        vstore<T>(to, first, least(L, count - i));
        if (count - i > L) vstore<T>(to + L, second, count - i - L);
      }
    }
  });
}

template <class T> LAMELLA_INLINE T whole(int64_t v) {
  if constexpr (__is_same(T, bf16) || __is_same(T, f16)) return T::from(float(v));
  else return T(v);
}

template <class T> static void integer(const Random& a) {
  T* y = static_cast<T*>(a.y);
  int64_t low = int64_t(a.p0);
  uint64_t range = uint64_t(int64_t(a.p1) - low);
  if (range <= 0xffffffffu) {  // a 32-bit fraction of the range
    for_words(a.seed, a.stream, a.n, 4, [&](int64_t begin, int64_t count, const uint32_t* w) {
      for (int64_t i = 0; i < count; ++i) y[begin + i] = whole<T>(low + int64_t((w[i] * range) >> 32));
    });
  } else {
    for_words(a.seed, a.stream, a.n, 2, [&](int64_t begin, int64_t count, const uint32_t* w) {
      for (int64_t i = 0; i < count; ++i) {
        const uint64_t x = (uint64_t(w[2 * i + 1]) << 32) | w[2 * i];
        y[begin + i] = whole<T>(int64_t(uint64_t(low) + x % range));
      }
    });
  }
}

template <class T> static void bernoulli(const Random& a) {
  T* y = static_cast<T*>(a.y);
  float p = float(a.p0);
  for_words(a.seed, a.stream, a.n, 4, [&](int64_t begin, int64_t count, const uint32_t* w) {
    for (int64_t i = 0; i < count; ++i) y[begin + i] = whole<T>(unit(w[i]) < p);
  });
}

template <class T> static void fill_random(const Random& a) {
  constexpr bool floating = __is_same(T, double) || __is_same(T, float) || __is_same(T, bf16) || __is_same(T, f16);
  if constexpr (floating) {
    if (a.op == RandomOp::uniform) return uniform<T>(a);
    if (a.op == RandomOp::normal) return normal<T>(a);
  }
  if (a.op == RandomOp::integer) return integer<T>(a);
  if (a.op == RandomOp::bernoulli) return bernoulli<T>(a);
}

void random(const Random& a) {
  switch (a.dtype) {
    case DType::f64: return fill_random<double>(a);
    case DType::f32: return fill_random<float>(a);
    case DType::f16: return fill_random<f16>(a);
    case DType::bf16: return fill_random<bf16>(a);
    case DType::i64: return fill_random<int64_t>(a);
    case DType::i32: return fill_random<int32_t>(a);
    case DType::i16: return fill_random<int16_t>(a);
    case DType::i8: return fill_random<int8_t>(a);
    case DType::u8: return fill_random<uint8_t>(a);
    case DType::b8: return fill_random<bool>(a);
  }
}

template <class T> static void drop(const Dropout& a) {
  using A = acc_t<T>;
  const T* x = static_cast<const T*>(a.x);
  T* y = static_cast<T*>(a.y);
  float p = float(a.p);
  A scale = a.p < 1 ? A(1 / (1 - a.p)) : A(0);
  const int64_t draws = (a.n + a.block - 1) / a.block;
  if (a.block == 1) {
    const bool past = x != y && goes_past(y, a.n * int64_t(sizeof(T)));
    return for_words(a.seed, a.stream, draws, 4, [&](int64_t begin, int64_t count, const uint32_t* w) {
      if constexpr (sizeof(A) == 8) {
        for (int64_t i = 0; i < count; ++i) y[begin + i] = unit(w[i]) >= p ? x[begin + i] * scale : A(0);
      } else {
        sweep<A, 1>(count, [&](int64_t i, int, auto part) __attribute__((always_inline)) {
          const vec<A> v = select(units<A>(w + i) >= p, ld(x + begin + i, part) * scale, vec<A>{});
          if constexpr (__is_same(decltype(part), Whole)) vput<T>(y + begin + i, v, past);
          else st(y + begin + i, v, part);
        });
      }
    });
  }
  // Blocks' numbers are made in slabs, each before its elements.
  uint32_t* const words = static_cast<uint32_t*>(scratch(size_t(kDropSlab) * sizeof(uint32_t)));
  for (int64_t first = 0; first < draws; first += kDropSlab) {
    const int64_t count = draws - first < kDropSlab ? draws - first : kDropSlab;
    for_words(a.seed, a.stream, count, 4, [&](int64_t begin, int64_t n, const uint32_t* w) {
      std::memcpy(words + begin, w, size_t(n) * sizeof(uint32_t));
    }, first / 4);
    const int64_t from = first * a.block, elements = (first + count) * a.block < a.n ? count * a.block : a.n - from;
    parallel_blocks(elements, kDropGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin / a.block; begin < end; ++i) {
        const int64_t to = (i + 1) * a.block < end ? (i + 1) * a.block : end, n = to - begin;
        const T* const in = x + from + begin;
        T* const out = y + from + begin;
        if (unit(words[i]) >= p) sweep<A, 1>(n, [&](int64_t j, int, auto part) { st(out + j, ld(in + j, part) * scale, part); });
        else std::memset(static_cast<void*>(out), 0, size_t(n) * sizeof(T));
        begin = to;
      }
    });
  }
}

void dropout(const Dropout& a) {
  switch (a.dtype) {
    case DType::f64: return drop<double>(a);
    case DType::f32: return drop<float>(a);
    case DType::f16: return drop<f16>(a);
    case DType::bf16: return drop<bf16>(a);
    default: return;
  }
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
