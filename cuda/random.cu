// SPDX-License-Identifier: MIT
// Random fills and dropout from Philox 4x32-10: element i takes word i % per of block i / per, on the CPU as here.
#include "../cpp/core/random.h"
#include "lanes.cuh"

namespace lamella::cuda {
namespace {

GPU float unit(uint32_t w) { return float(int32_t(w >> 8)) * 0x1p-24f; }  // [0, 1)
GPU double unit(uint32_t lo, uint32_t hi) { return double(int64_t((uint64_t(hi) << 21) ^ (lo >> 11))) * 0x1p-53; }

GPU void sine_cosine(float x, float& s, float& c) { ::sincosf(x, &s, &c); }
GPU void sine_cosine(double x, double& s, double& c) { ::sincos(x, &s, &c); }
// sin(2 pi u) and cos(2 pi u), 0 <= u <= 1: quarters of a turn are exact.
template <class A> GPU void sine_cosine_of_turns(A u, A& sine, A& cosine) {
  const A n = vround(4 * u);
  const int q = int(n);
  A s, c;
  sine_cosine((4 * u - n) * A(1.5707963267948966192), s, c);
  sine = q & 1 ? c : s;
  cosine = q & 1 ? s : c;
  if (q & 2) sine = -sine;
  if ((q + 1) & 2) cosine = -cosine;
}

template <class T> GPU T whole(int64_t v) {
  if constexpr (std::is_same_v<T, bf16> || std::is_same_v<T, f16>) return T::from(float(v));
  else return T(v);
}

// What a thread fills: whole 16-byte words and whole Philox blocks of four words.
template <class T> constexpr int kFill = sizeof(T) >= 4 ? 4 : 16 / int(sizeof(T));

// Float: uniform numbers of a block, as many as kPer<A>.
template <class A> constexpr int kPer = sizeof(A) == 8 ? 2 : 4;
template <class A> GPU void uniforms(const Philox& w, A (&u)[kPer<A>]) {
  if constexpr (sizeof(A) == 8) {
    u[0] = unit(w.v[0], w.v[1]);
    u[1] = unit(w.v[2], w.v[3]);
  } else {
#pragma unroll
    for (int j = 0; j < 4; ++j) u[j] = unit(w.v[j]);
  }
}

struct Draw { RandomOp op; uint64_t seed, stream; const uint64_t* shift; double p0, p1; int64_t low; uint64_t range; };

template <class T> __global__ void __launch_bounds__(kThreads) random_fill(Draw d, T* y, int64_t n, bool packed) {
  constexpr int N = kFill<T>;
  constexpr bool floating = !std::is_integral_v<T>;
  const int64_t i = (int64_t(blockIdx.x) * kThreads + threadIdx.x) * N;
  if (i >= n) return;
  shift_draws(d.seed, d.stream, d.shift);
  T v[N];
  bool done = false;
  if constexpr (floating) {
    using A = acc_t<T>;
    constexpr int per = kPer<A>;
    if (d.op == RandomOp::uniform || d.op == RandomOp::normal) {
      done = true;
      const A low = A(d.p0), range = d.op == RandomOp::uniform ? A(d.p1 - d.p0) : A(d.p1);
#pragma unroll
      for (int b = 0; b < N; b += per) {
        A u[per];
        uniforms(philox(d.seed, uint64_t((i + b) / per), d.stream), u);
        if (d.op == RandomOp::uniform) {
#pragma unroll
          for (int j = 0; j < per; ++j) v[b + j] = down<T>(fma(range, u[j], low));
        } else {  // Box-Muller: two uniform numbers u, v give sqrt(-2 log(1 - u)) (cos, sin)(2 pi v)
#pragma unroll
          for (int j = 0; j < per; j += 2) {
            const A r = vsqrt(vlog(A(1) - u[j]) * A(-2)) * range;
            A s, c;
            sine_cosine_of_turns(u[j + 1], s, c);
            v[b + j] = down<T>(fma(r, c, low));
            v[b + j + 1] = down<T>(fma(r, s, low));
          }
        }
      }
    }
  }
  if (!done && d.op == RandomOp::integer && d.range > 0xffffffffu) {
#pragma unroll
    for (int b = 0; b < N; b += 2) {
      const Philox w = philox(d.seed, uint64_t((i + b) / 2), d.stream);
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const uint64_t x = uint64_t(w.v[2 * j + 1]) << 32 | w.v[2 * j];
        v[b + j] = whole<T>(int64_t(uint64_t(d.low) + x % d.range));
      }
    }
  } else if (!done) {
    const float p = float(d.p0);
#pragma unroll
    for (int b = 0; b < N; b += 4) {
      const Philox w = philox(d.seed, uint64_t((i + b) / 4), d.stream);
#pragma unroll
      for (int j = 0; j < 4; ++j)
        v[b + j] = d.op == RandomOp::integer ? whole<T>(d.low + int64_t((w.v[j] * d.range) >> 32))
                                             : whole<T>(int64_t(unit(w.v[j]) < p));
    }
  }
  if (packed && i + N <= n) {
    constexpr int P = kPack<T>;
#pragma unroll
    for (int b = 0; b < N; b += P) {
      Pack<T, P> k;
#pragma unroll
      for (int j = 0; j < P; ++j) k.v[j] = v[b + j];
      store_pack(y + i + b, k);
    }
  } else {
#pragma unroll
    for (int j = 0; j < N; ++j)
      if (i + j < n) y[i + j] = v[j];
  }
}

// ---- dropout ---------------------------------------------------------------------------------------------------------
// The draws are for runs of `run` elements (`single`: of one).
template <class T, bool single>
__global__ void __launch_bounds__(kThreads) drop(const T* x, T* y, int64_t n, Divisor run, uint64_t seed, uint64_t stream,
                                                 const uint64_t* shift, float p, acc_t<T> scale, bool packed) {
  constexpr int P = kPack<T>, N = kFill<T>;
  const int64_t i = (int64_t(blockIdx.x) * kThreads + threadIdx.x) * N;
  if (i >= n) return;
  shift_draws(seed, stream, shift);
  bool keep[N];
  if constexpr (single) {
#pragma unroll
    for (int b = 0; b < N; b += 4) {
      const Philox w = philox(seed, uint64_t((i + b) / 4), stream);
#pragma unroll
      for (int j = 0; j < 4; ++j) keep[b + j] = unit(w.v[j]) >= p;
    }
  } else {
    int64_t place, number = run.divide(i, place), made = -1;
    Philox w{};
#pragma unroll
    for (int j = 0; j < N; ++j) {
      if (number / 4 != made) w = philox(seed, uint64_t(made = number / 4), stream);
      const int at = int(number & 3);
      keep[j] = unit(at < 2 ? (at == 0 ? w.v[0] : w.v[1]) : (at == 2 ? w.v[2] : w.v[3])) >= p;
      if (++place == run.d) { place = 0; ++number; }
    }
  }
  if (packed && i + N <= n) {
#pragma unroll
    for (int b = 0; b < N; b += P) {
      Pack<T, P> k = load_pack<T, P>(x + i + b);
#pragma unroll
      for (int j = 0; j < P; ++j) k.v[j] = down<T>(keep[b + j] ? up(k.v[j]) * scale : acc_t<T>(0));
      store_pack(y + i + b, k);
    }
  } else {
#pragma unroll
    for (int j = 0; j < N; ++j)
      if (i + j < n) y[i + j] = down<T>(keep[j] ? up(x[i + j]) * scale : acc_t<T>(0));
  }
}

}  // namespace

void random(const Random& a) {
  Draw d{a.op, a.seed, a.stream, a.shift, a.p0, a.p1, 0, 0};
  if (a.op == RandomOp::integer) {
    d.low = int64_t(a.p0);
    d.range = uint64_t(int64_t(a.p1) - d.low);
  }
  auto fill = [&](auto type) {
    using T = decltype(type);
    launch("random", random_fill<T>, dim3(unsigned(ceil_div(a.n, int64_t(kThreads) * kFill<T>))), dim3(kThreads), 0, d,
           static_cast<T*>(a.y), a.n, is_aligned(a.y));
  };
  if (is_floating(a.dtype)) by_float(a.dtype, fill);
  else if (a.dtype == DType::b8) fill(bool{});
  else by_size(size_of(a.dtype), fill);  // integers are cut to their low bits, signed or not
}

void dropout(const Dropout& a) {
  by_float(a.dtype, [&](auto type) {
    using T = decltype(type);
    using A = acc_t<T>;
    const auto kernel = a.block == 1 ? drop<T, true> : drop<T, false>;
    const int64_t blocks = ceil_div(a.n, int64_t(kThreads) * kFill<T>);
    launch("dropout", kernel, dim3(unsigned(blocks)), dim3(kThreads), 0, static_cast<const T*>(a.x), static_cast<T*>(a.y), a.n,
           Divisor(a.block), a.seed, a.stream, a.shift, float(a.p), a.p < 1 ? A(1 / (1 - a.p)) : A(0), is_aligned(a.x) && is_aligned(a.y));
  });
}

}  // namespace lamella::cuda
