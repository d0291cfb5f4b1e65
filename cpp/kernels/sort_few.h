// SPDX-License-Identifier: MIT
// Rows of a few elements, sorted side by side, a lane each.
#pragma once
#include <type_traits>
#include "rows.h"
#include "turn.h"

namespace lamella {
namespace LAMELLA_ISA {

template <class T> constexpr bool kSortsFew = sizeof(acc_t<T>) >= 4;
template <class T> constexpr int64_t kFew = sizeof(acc_t<T>) == 4 ? 16 : 12;
constexpr int64_t kMostFew = 16;

// Neighbours, swapped where the first must follow the second; not where they are equal. NaN is greatest.
template <class A> LAMELLA_INLINE void in_order(vec<A>& a, vec<A>& b, place_of<A>& at_a, place_of<A>& at_b, bool descending) {
  const vec<A> more = descending ? b : a, less = descending ? a : b;
  auto swap = more > less;
  if constexpr (__is_same(A, float) || __is_same(A, double)) swap = ~(more <= less) & (less == less);
  const vec<A> first = select(swap, b, a);
  const place_of<A> at_first = select(swap, at_b, at_a);
  b = select(swap, a, b);
  at_b = select(swap, at_a, at_b);
  a = first;
  at_a = at_first;
}

// The first k of n come to the front: by k bubbles, or all by n passes over every second pair (Knuth, TAOCP 3, 5.3.4). As only
// neighbours are swapped, equal ones keep their order.
template <class A> LAMELLA_INLINE void sort_lanes(vec<A>* x, place_of<A>* at, int64_t n, int64_t k, bool descending) {
  if (2 * k <= n)
    for (int64_t i = 0; i < k; ++i)
      for (int64_t j = n - 2; j >= i; --j) in_order<A>(x[j], x[j + 1], at[j], at[j + 1], descending);
  else
    for (int64_t pass = 0; pass < n; ++pass)
      for (int64_t j = pass & 1; j + 1 < n; j += 2) in_order<A>(x[j], x[j + 1], at[j], at[j + 1], descending);
}

// How elements are turned: four or eight bytes of an integer as a float's.
template <class T> using turned_t = std::conditional_t<sizeof(T) == sizeof(acc_t<T>), moved_t<T>, T>;

// take(row, rows, x, at) for every kLanes rows of n elements: x[j] those at place j of the first k in order, at[j] where they were.
template <class T, class Take>
static void sort_few(const T* data, int64_t outer, int64_t n, int64_t k, bool descending, const Take& take) {
  using A = acc_t<T>;
  constexpr int64_t L = kLanes<A>;
  parallel_blocks(outer, ceil_div(row_grain(outer, n * 8), L) * L, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row += L) {
      const int64_t rows = least(L, end - row);
      vec<A> x[kMostFew] = {};
      place_of<A> at[kMostFew] = {};
      turn_in(reinterpret_cast<const turned_t<T>*>(data) + row * n, n, rows, n, reinterpret_cast<moved_t<A>*>(x), L);
      for (int64_t j = 0; j < n; ++j) at[j] = splat(place_t<A>(j));
      if (descending) sort_lanes<A>(x, at, n, k, true);
      else sort_lanes<A>(x, at, n, k, false);
      take(row, rows, x, at);
    }
  });
}

// values (null: not wanted), indices (rows, k)
template <class T, class A = acc_t<T>>
static void put_few(const vec<A>* x, const place_of<A>* at, int64_t rows, int64_t k, T* values, int64_t* indices) {
  vec<moved_t<A>> moved[kMostFew] = {};
  alignas(64) place_t<A> places[kMostFew * kLanes<A>];
  if (values) {
    std::memcpy(moved, x, size_t(k) * sizeof *x);
    turn_out(moved, reinterpret_cast<turned_t<T>*>(values), k, rows, k);
  }
  std::memcpy(moved, at, size_t(k) * sizeof *at);
  turn_out(moved, reinterpret_cast<moved_t<A>*>(places), k, rows, k);
  for (int64_t i = 0; i < rows * k; ++i) indices[i] = places[i];
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
