// SPDX-License-Identifier: MIT
// Rows of a few elements, sorted side by side, a lane each.
#include "sort_few.h"
#include <type_traits>
#include "rows.h"
#include "turn.h"

namespace lamella {
namespace LAMELLA_ISA {
namespace {

constexpr int64_t kFew = 16, kFewWide = 12;  // of four bytes or fewer; of eight

// Neighbours, swapped where the first must follow the second; not where they are equal. NaN is greatest.
template <bool descending, class A> LAMELLA_INLINE void in_order(vec<A>& a, vec<A>& b, place_of<A>& at_a, place_of<A>& at_b) {
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
template <bool descending, class A> __attribute__((noinline)) void sort_lanes(vec<A>* x, place_of<A>* at, int64_t n, int64_t k) {
  for (int64_t j = 0; j < n; ++j) at[j] = splat(place_t<A>(j));
  if (2 * k <= n)
    for (int64_t i = 0; i < k; ++i)
      for (int64_t j = n - 2; j >= i; --j) in_order<descending, A>(x[j], x[j + 1], at[j], at[j + 1]);
  else
    for (int64_t pass = 0; pass < n; ++pass)
      for (int64_t j = pass & 1; j + 1 < n; j += 2) in_order<descending, A>(x[j], x[j + 1], at[j], at[j + 1]);
}

// The element at its row's rank comes to the front.
template <class A> void choose(const Kth& a, vec<A>* x, place_of<A>* at) {
  using At = place_of<A>;
  At k = splat(place_t<A>(a.k)), numbers{};  // sorted, numbers are before NaN
  for (int64_t j = 0; j < a.n; ++j) numbers -= x[j] == x[j];
  const At of_numbers = select(numbers == 0, At{}, (numbers - 1) >> 1);
  if (a.rank == Rank::median) k = select(numbers == place_t<A>(a.n), of_numbers, numbers);
  if (a.rank == Rank::nanmedian) k = of_numbers;
  vec<A> value = x[0];
  At place = at[0];
  for (int64_t j = 1; j < a.n; ++j) {
    const auto here = k == place_t<A>(j);
    value = select(here, x[j], value);
    place = select(here, at[j], place);
  }
  x[0] = value;
  at[0] = place;
}

template <class E> __attribute__((noinline)) void turn_few_in(const E* x, int64_t n, int64_t rows, void* to) {
  turn_in(x, n, rows, n, static_cast<acc_t<E>*>(to), kLanes<acc_t<E>>);
}
template <class E> __attribute__((noinline)) void turn_few_out(const void* from, E* y, int64_t n, int64_t rows) {
  vec<acc_t<E>> v[kFew] = {};
  std::memcpy(v, from, size_t(n) * sizeof v[0]);
  turn_out(v, y, n, rows, n);
}

template <class T> void sort_few_of(const SortFew& a) {
  using A = acc_t<T>;
  using E = std::conditional_t<sizeof(T) == sizeof(A), moved_t<A>, T>;
  constexpr int64_t L = kLanes<A>;
  const E* const from = static_cast<const E*>(a.x);
  E* const values = static_cast<E*>(a.values);
  const int64_t put = a.rank ? 1 : a.k;
  parallel_blocks(a.outer, ceil_div(row_grain(a.outer, a.n * 8), L) * L, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row += L) {
      const int64_t rows = least(L, end - row);
      vec<A> x[kFew];
      place_of<A> at[kFew];
      alignas(64) place_t<A> places[kFew * L];
      turn_few_in(from + row * a.n, a.n, rows, x);
      if (a.descending) sort_lanes<true, A>(x, at, a.n, a.k);
      else sort_lanes<false, A>(x, at, a.n, a.k);
      if (a.rank) choose<A>(*a.rank, x, at);
      if (values) turn_few_out(x, values + row * put, put, rows);
      turn_few_out(at, reinterpret_cast<moved_t<A>*>(places), put, rows);
      for (int64_t i = 0; i < rows * put; ++i) a.indices[row * put + i] = places[i];
    }
  });
}
}  // namespace

bool are_few(DType dtype, int64_t n) {
  switch (dtype) {
    case DType::i32: return n <= kFew;
    case DType::i64: case DType::f64: return n <= kFewWide;
    default: return is_floating(dtype) && n <= kFew;
  }
}
void sort_few(const SortFew& a) {
  if (a.dtype == DType::i32) return sort_few_of<int32_t>(a);
  if (a.dtype == DType::i64) return sort_few_of<int64_t>(a);
  by_float(a.dtype, [&](auto t) { sort_few_of<decltype(t)>(a); });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
