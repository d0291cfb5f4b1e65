// SPDX-License-Identifier: MIT
// Squares of lanes turned in registers: panels of packed matrices, transposing copies, and short rows taken as columns, a
// row a lane, so that what would fold a row's lanes runs down whole vectors.
#pragma once
#include "vec.h"

namespace lamella {
namespace LAMELLA_ISA {

// A square of lanes, whose rows lie `row` apart, transposed: in registers.
template <class T> LAMELLA_INLINE void load_square(const T* x, int64_t row, vec<acc_t<T>>* r) {
#pragma GCC unroll 16
  for (int i = 0; i < kLanes<acc_t<T>>; ++i) r[i] = vload(x + i * row);
  transpose_lanes<acc_t<T>>(r);
}
template <class A> __attribute__((noinline)) static void transpose_square(A* square) {  // in its place
  constexpr int L = kLanes<A>;
  vec<A> r[L];
  load_square(square, L, r);
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) vstore(square + i * L, r[i]);
}
// One at an edge, of `count` rows of n elements, row i from row(i), zero past them: in memory, as in registers its cases are many.
template <class A, class Row> LAMELLA_INLINE void load_edge(A* square, const Row& row, int64_t count, int64_t n) {
  constexpr int L = kLanes<A>;
#pragma GCC unroll 1
  for (int i = 0; i < L; ++i) vstore(square + i * L, i < count ? vload(row(i), n) : vec<A>{});
  transpose_square(square);
}

template <int bytes> struct OfSize { using real = float; using whole = int32_t; };
template <> struct OfSize<8> { using real = double; using whole = int64_t; };
template <class A> using moved_t = typename OfSize<sizeof(A)>::real;   // integers of four or eight bytes are turned as such
template <class A> using place_t = typename OfSize<sizeof(A)>::whole;  // a lane's place: as wide as A
template <class A> using place_of = vec<place_t<A>>;

// Rows of at most kTurned elements are worth turning: a task of kLanes<A> of them stays in L1.
constexpr int64_t kTurned = 32;

// to(j)[l]: element j of row l, from x + l * pitch. `rows` of them (1 to kLanes), lanes past them repeat the last.
template <class T, class To>
LAMELLA_INLINE void turn_in_to(const T* x, int64_t pitch, int64_t rows, int64_t m, const To& to) {
  using A = acc_t<T>;
  constexpr int64_t L = kLanes<A>;
  for (int64_t j = 0; j < m; j += L) {
    vec<A> r[L];
    const int64_t n = least(L, m - j);
    if (n == L && rows == L) {
      load_square(x + j, pitch, r);
    } else {
#pragma GCC unroll 16
      for (int64_t l = 0; l < L; ++l) r[l] = vload(x + least(l, rows - 1) * pitch + j, n);
      transpose_lanes<A>(r);
    }
#pragma GCC unroll 16
    for (int64_t l = 0; l < L; ++l)
      if (l < n) vstore(to(j + l), r[l]);
  }
}
template <class T>
LAMELLA_INLINE void turn_in(const T* x, int64_t pitch, int64_t rows, int64_t m, acc_t<T>* to, int64_t apart) {
  turn_in_to(x, pitch, rows, m, [=](int64_t j) { return to + j * apart; });
}
template <class T> LAMELLA_INLINE void turn_in(const T* x, int64_t pitch, int64_t rows, int64_t m, vec<acc_t<T>>* to) {
  turn_in(x, pitch, rows, m, reinterpret_cast<acc_t<T>*>(to), kLanes<acc_t<T>>);
}
// And back: y + l * pitch takes lane l of from[0 .. m).
template <class T> LAMELLA_INLINE void turn_out(const vec<acc_t<T>>* from, T* y, int64_t pitch, int64_t rows, int64_t m) {
  using A = acc_t<T>;
  constexpr int64_t L = kLanes<A>;
  for (int64_t j = 0; j < m; j += L) {
    vec<A> r[L];
#pragma GCC unroll 16
    for (int64_t l = 0; l < L; ++l) r[l] = from[j + l];
    transpose_lanes<A>(r);
    const int64_t n = least(L, m - j);
    if (n == L && rows == L) {
#pragma GCC unroll 16
      for (int64_t l = 0; l < L; ++l) vstore(y + l * pitch + j, r[l]);
    } else {
#pragma GCC unroll 16
      for (int64_t l = 0; l < L; ++l)
        if (l < rows) vstore(y + l * pitch + j, r[l], n);
    }
  }
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
