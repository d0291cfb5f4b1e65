// SPDX-License-Identifier: MIT
// Rotary positions: a thread turns the same few pairs of features at one position of several heads, so that their cosines
// and sines are read once for all of these.
#include "device.cuh"

namespace lamella::cuda {
namespace {

constexpr int kHeadsAbreast = 2;

struct Place {                     // how rows lie
  int ndim;
  Divisor heads[kHeadDims];
  int64_t batch[kHeadDims], row, count, length, dim, pairs;  // count: of all heads
  Divisor units;                   // of a row: groups of pairs, then of the features that stay
};

template <int N, class A> GPU void load_angles(const A* p, A (&v)[N]) {
  constexpr int P = N < kPack<A> ? N : kPack<A>;
#pragma unroll
  for (int b = 0; b < N; b += P) {
    const Pack<A, P> k = load_pack<A, P>(p + b);
#pragma unroll
    for (int j = 0; j < P; ++j) v[b + j] = k.v[j];
  }
}

// A unit is N adjacent elements: N / 2 pairs (at least one) where interleaved; else N pairs, whose partners lie `pairs` on.
template <class T, int N, bool interleaved>
__global__ void __launch_bounds__(kThreads)
    turn(Place g, const T* x, T* y, const acc_t<T>* cos, const acc_t<T>* sin, acc_t<T> sign) {
  using A = acc_t<T>;
  constexpr int kPairs = interleaved ? (N > 1 ? N / 2 : 1) : N, kWidth = interleaved ? 2 * kPairs : N;
  int64_t unit;
  const int64_t t = g.units.divide(int64_t(blockIdx.x) * blockDim.x + threadIdx.x, unit);
  if (t >= g.length) return;
  const int64_t first = unit * kPairs;
  const bool turns = first < g.pairs;
  A c[kPairs], s[kPairs];
  if (turns) {
    load_angles<kPairs>(cos + t * g.pairs + first, c);
    load_angles<kPairs>(sin + t * g.pairs + first, s);
#pragma unroll
    for (int i = 0; i < kPairs; ++i) s[i] *= sign;
  }
  const int64_t step = int64_t(gridDim.y) * blockDim.y * kHeadsAbreast;
  for (int64_t group = (int64_t(blockIdx.y) * blockDim.y + threadIdx.y) * kHeadsAbreast; group < g.count; group += step) {
    const T* from[kHeadsAbreast];
#pragma unroll
    for (int q = 0; q < kHeadsAbreast; ++q) {
      int64_t head = least(group + q, g.count - 1), at = t * g.row, rest;
#pragma unroll 1
      for (int d = g.ndim - 1; d >= 0; --d) {
        head = g.heads[d].divide(head, rest);
        at += rest * g.batch[d];
      }
      from[q] = x + at;
    }
    if (!turns) {
      const int64_t at = 2 * g.pairs + (unit - g.pairs / kPairs) * N;
#pragma unroll
      for (int q = 0; q < kHeadsAbreast; ++q)
        if (group + q < g.count)
          store_pack(y + ((group + q) * g.length + t) * g.dim + at, load_pack<T, N>(from[q] + at));
      continue;
    }
    const int64_t at = interleaved ? 2 * first : first, partner = interleaved ? 0 : g.pairs;
    Pack<T, kWidth> a[kHeadsAbreast], b[kHeadsAbreast];
#pragma unroll
    for (int q = 0; q < kHeadsAbreast; ++q) {
      if constexpr (N == 1) {      // no alignment is known
#pragma unroll
        for (int i = 0; i < kWidth; ++i) a[q].v[i] = from[q][at + i];
      } else {
        a[q] = load_pack<T, kWidth>(from[q] + at);
      }
      if constexpr (!interleaved) b[q] = load_pack<T, kWidth>(from[q] + at + partner);
    }
#pragma unroll
    for (int q = 0; q < kHeadsAbreast; ++q) {
      if (group + q >= g.count) break;
      T* to = y + ((group + q) * g.length + t) * g.dim + at;
#pragma unroll
      for (int i = 0; i < kPairs; ++i) {
        T& one = a[q].v[interleaved ? (2 * i) % kWidth : i];
        T& two = interleaved ? a[q].v[(2 * i + 1) % kWidth] : b[q].v[i];
        const A p = up(one), r = up(two);
        one = down<T>(p * c[i] - r * s[i]);
        two = down<T>(r * c[i] + p * s[i]);
      }
      if constexpr (N == 1) {
#pragma unroll
        for (int i = 0; i < kWidth; ++i) to[i] = a[q].v[i];
      } else {
        store_pack(to, a[q]);
      }
      if constexpr (!interleaved) store_pack(to + partner, b[q]);
    }
  }
}

template <class T, int N, bool interleaved> void run(const Rotary& a, Place g) {
  using A = acc_t<T>;
  constexpr int kPairs = interleaved ? (N > 1 ? N / 2 : 1) : N;
  const int64_t units = ceil_div(a.pairs, kPairs) + ceil_div(a.dim - 2 * a.pairs, N);
  if (units == 0 || a.length == 0 || g.count == 0) return;
  g.units = Divisor(units);
  unsigned across = 1;             // threads of a block along a row of all positions; the others take other heads
  while (across < kThreads && across < a.length * units) across *= 2;
  const unsigned down = kThreads / across;
  const dim3 grid(unsigned(ceil_div(a.length * units, across)), 
                  unsigned(least(ceil_div(g.count, down * kHeadsAbreast), 65535)));
  launch("rotary", turn<T, N, interleaved>, grid, dim3(across, down), 0, g, static_cast<const T*>(a.x.x), static_cast<T*>(a.y),
         static_cast<const A*>(a.cos), static_cast<const A*>(a.sin), a.inverse ? A(-1) : A(1));
}

}  // namespace

void rotary(const Rotary& a) {
  by_float(a.dtype, [&](auto type) {
    using T = decltype(type);
    constexpr int N = kPack<T>;
    Place g{};
    g.ndim = a.ndim;
    g.row = a.x.row;
    g.count = 1;
    g.length = a.length;
    g.dim = a.dim;
    g.pairs = a.pairs;
    const int64_t pairs = a.interleaved ? N / 2 : N;  // of a unit
    bool packed = is_aligned(a.x.x) && is_aligned(a.y) && is_aligned(a.cos) && is_aligned(a.sin) && a.pairs % pairs == 0 &&
                  a.dim % N == 0 && a.x.row % N == 0;
    for (int d = 0; d < a.ndim; ++d) {
      g.heads[d] = Divisor(a.heads[d]);
      g.batch[d] = a.x.batch[d];
      g.count *= a.heads[d];
      packed = packed && a.x.batch[d] % N == 0;
    }
    if (packed) a.interleaved ? run<T, N, true>(a, g) : run<T, N, false>(a, g);
    else a.interleaved ? run<T, 1, true>(a, g) : run<T, 1, false>(a, g);
  });
}

}  // namespace lamella::cuda
