// SPDX-License-Identifier: MIT
// Rotary positions (Su et al. 2021): each pair of features is turned by an angle that grows with the position.
#include "rows.h"

namespace lamella {
namespace LAMELLA_ISA {

template <class T> static void rotary_of(const Rotary& a) {
  using A = acc_t<T>;
  const auto* x = static_cast<const T*>(a.x.x);
  const A sign = a.inverse ? A(-1) : A(1);
  int64_t rows = a.length;
  for (int d = 0; d < a.ndim; ++d) rows *= a.heads[d];
  parallel_blocks(rows, kTask / (a.dim + 1) + 1, [&](int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; ++r) {
      const int64_t t = r % a.length;
      int64_t head = r / a.length, at = t * a.x.row;
      for (int d = a.ndim - 1; d >= 0; --d) {
        at += head % a.heads[d] * a.x.batch[d];
        head /= a.heads[d];
      }
      const T* from = x + at;
      T* to = static_cast<T*>(a.y) + r * a.dim;
      const A *cos = static_cast<const A*>(a.cos) + t * a.pairs, *sin = static_cast<const A*>(a.sin) + t * a.pairs;
      if (a.interleaved) {
        for (int64_t i = 0; i < a.pairs; ++i) {
          const A p = up(from[2 * i]), q = up(from[2 * i + 1]), s = sign * sin[i];
          to[2 * i] = down<T>(p * cos[i] - q * s);
          to[2 * i + 1] = down<T>(q * cos[i] + p * s);
        }
      } else {
        sweep<A, 1>(a.pairs, [&](int64_t i, int, auto k) {
          const vec<A> p = ld(from + i, k), q = ld(from + a.pairs + i, k), c = ld(cos + i, k), s = sign * ld(sin + i, k);
          st(to + i, p * c - q * s, k);
          st(to + a.pairs + i, q * c + p * s, k);
        });
      }
      for (int64_t i = 2 * a.pairs; i < a.dim; ++i) to[i] = from[i];
    }
  });
}

void rotary(const Rotary& a) {
  by_float(a.dtype, [&](auto t) { rotary_of<decltype(t)>(a); });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
