// SPDX-License-Identifier: MIT
// Bags of table rows: their weighted sum (the gradient is the same with the bags and the rows exchanged), their greatest
// elements, and the products that are the gradient of the weights.
#include "rows.h"

namespace lamella {
namespace LAMELLA_ISA {

constexpr int64_t kBagGrain = 8192;  // elements written by one task
constexpr int64_t kBagAhead = 8;     // rows ahead that are asked for: no prefetcher guesses them

template <class T> LAMELLA_INLINE void fetch_row(const T* row, int64_t n) {
  const char* p = reinterpret_cast<const char*>(row);
  for (int64_t b = 0; b < n * int64_t(sizeof(T)) && b < 1024; b += 64) __builtin_prefetch(p + b, 0, 1);
}

template <class T> static void sum_of(const BagSum& a) {
  using A = acc_t<T>;
  const auto* x = static_cast<const T*>(a.x);
  const auto* weight = static_cast<const A*>(a.weight);
  auto* y = static_cast<T*>(a.y);
  const int64_t total = a.start[a.bags];
  parallel_blocks(a.bags, kBagGrain / a.width + 1, [&](int64_t b0, int64_t b1) {
    for (int64_t b = b0; b < b1; ++b) {
      const int64_t begin = a.start[b], end = a.start[b + 1];
      column_tiles<A>(0, a.width, [&](int64_t c, auto count, auto k) {
        constexpr int V = decltype(count)::value;
        vec<A> sum[V] = {};
        for (int64_t t = begin; t < end; ++t) {
          const T* row = x + a.index[t] * a.width + c;
          if (c == 0 && t + kBagAhead < total) fetch_row(x + a.index[t + kBagAhead] * a.width, a.width);
          const vec<A> by = splat(weight ? weight[t] : A(1));
#pragma GCC unroll 4
          for (int v = 0; v < V; ++v) sum[v] += by * ld(row + v * kLanes<A>, k);
        }
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) st(y + b * a.width + c + v * kLanes<A>, sum[v], k);
      });
    }
  });
}

void bag_sum(const BagSum& a) {
  if (a.width) by_float(a.dtype, [&](auto t) { sum_of<decltype(t)>(a); });
}

template <class T> static void max_of(const BagMax& a) {
  using A = acc_t<T>;
  using I = int_of<A>;
  constexpr int64_t L = kLanes<A>;
  const auto* x = static_cast<const T*>(a.x);
  const int64_t total = a.start[a.bags];
  parallel_blocks(a.bags, kBagGrain / a.width + 1, [&](int64_t b0, int64_t b1) {
    for (int64_t b = b0; b < b1; ++b) {
      const int64_t begin = a.start[b], count = a.start[b + 1] - begin, *index = a.index + begin;
      T* y = static_cast<T*>(a.y) + b * a.width;
      int64_t* winner = a.winner + b * a.width;
      column_tiles<A>(0, a.width, [&](int64_t c, auto vectors, auto k) {
        constexpr int V = decltype(vectors)::value;
        vec<A> best[V] = {};
        vec<I> at[V] = {};  // the place in the bag
        for (int64_t t = 0; t < count; ++t) {
          const T* row = x + index[t] * a.width + c;
          if (c == 0 && begin + t + kBagAhead < total) fetch_row(x + index[t + kBagAhead] * a.width, a.width);
#pragma GCC unroll 4
          for (int v = 0; v < V; ++v) {
            const vec<A> value = ld(row + v * L, k);
            const auto wins = (value > best[v]) | ((value != value) & (best[v] == best[v]));
            best[v] = t ? select(wins, value, best[v]) : value;
            at[v] = t ? select(wins, vec<I>{} + I(t), at[v]) : at[v];
          }
        }
        for (int v = 0; v < V; ++v) {
          st(y + c + v * L, best[v], k);
          for (int64_t i = c + v * L; i < least(c + v * L + L, a.width); ++i)
            winner[i] = count ? index[at[v][i - c - v * L]] : -1;
        }
      });
    }
  });
}

void bag_max(const BagMax& a) {
  if (a.width) by_float(a.dtype, [&](auto t) { max_of<decltype(t)>(a); });
}

template <class T> static void dot_of(const BagDot& d) {
  using A = acc_t<T>;
  const T *a = static_cast<const T*>(d.a), *b = static_cast<const T*>(d.b);
  parallel_blocks(d.count, kBagGrain / (d.width + 1) + 1, [&](int64_t t0, int64_t t1) {
    for (int64_t t = t0; t < t1; ++t) {
      const T *p = a + d.i[t] * d.width, *q = b + d.j[t] * d.width;
      Four<A> sum;
      sweep<A, 4>(d.width, [&](int64_t c, int u, auto k) { sum.v[u] += ld(p + c, k) * ld(q + c, k); });
      static_cast<A*>(d.y)[t] = sum.sum();
    }
  });
}

void bag_dot(const BagDot& a) {
  by_float(a.dtype, [&](auto t) { dot_of<decltype(t)>(a); });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
