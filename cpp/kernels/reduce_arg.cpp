// SPDX-License-Identifier: MIT
// argmax and argmin: the first place of the extreme value, of the first NaN where there is one. Short rows are turned and,
// as columns are, taken a row of lanes at a time; of a long row the extreme is found first, then its place.
#include "reduce.h"
#include "turn.h"
#include "vecmath.h"

namespace lamella {
namespace LAMELLA_ISA {
using namespace reduction;
namespace {

template <class A> struct Best { A value; int64_t index; };
template <bool kMax, class A> struct Extreme { using Op = Max<A>; };
template <class A> struct Extreme<false, A> { using Op = Min<A>; };
template <bool kMax, class A> using Op = typename Extreme<kMax, A>::Op;

template <class O, class A> LAMELLA_INLINE void join_best(Best<A>& s, const Best<A>& t) {
  const bool same = s.value == t.value || (s.value != s.value && t.value != t.value);
  if (same ? t.index < s.index : s.value == s.value && !(O::join(s.value, t.value) == s.value)) s = t;
}

// ---- rows -----------------------------------------------------------------------------------------------------------
template <class O, class A> void block(const void* x, int64_t n, int64_t first, void* state) {
  const A* p = static_cast<const A*>(x);
  A best = O::zero;
  int64_t i = 0;
  if constexpr (is_float<A>) {
    best = float_block<O>(p, n);
    for (constexpr int L = kLanes<A>; i + L <= n; i += L) {  // skip vectors without it
      const vec<A> v = vload(p + i);
      if (vany(best != best ? v != v : v == best)) break;
    }
  } else {
    for (int64_t k = 0; k < n; ++k) best = O::join(best, p[k]);
  }
  while (i < n - 1 && !(p[i] == best || (best != best && p[i] != p[i]))) ++i;
  *static_cast<Best<A>*>(state) = {best, first + i};
}
template <class O, class A> void join(void* states, const void* with, int64_t n) {
  for (int64_t i = 0; i < n; ++i) join_best<O>(static_cast<Best<A>*>(states)[i], static_cast<const Best<A>*>(with)[i]);
}

// ---- lanes ----------------------------------------------------------------------------------------------------------
// Lanes of x, all at `place`, against the best so far.
template <bool kMax, class A> LAMELLA_INLINE void take(vec<A>& best, place_of<A>& at, vec<A> x, int64_t place) {
  __typeof__(x < best) wins;
  if constexpr (is_float<A>) wins = ~(kMax ? x <= best : x >= best) & (best == best);  // greater, or the first NaN
  else wins = kMax ? x > best : x < best;
  best = select(wins, x, best);
  at = select(wins, splat(place_t<A>(place)), at);
}
template <class A> LAMELLA_INLINE void put_places(place_of<A> at, int64_t* y, int64_t n) {
  for (int64_t l = 0; l < n; ++l) y[l] = at[l];
}

template <class A> constexpr int64_t few = 4 * kLanes<A>;
// Rows of a few elements, `pitch` apart, kTurned of them at a time.
template <bool kMax, class A> void few_elements(const A* x, int64_t pitch, int64_t rows, int64_t m, int64_t* y) {
  using F = moved_t<A>;
  constexpr int64_t L = kLanes<A>;
  for (int64_t i = 0; i < rows; i += L) {
    const int64_t n = least(L, rows - i);
    vec<A> best = splat(Op<kMax, A>::zero);
    place_of<A> at = splat(place_t<A>(0));
    for (int64_t first = 0; first < m; first += kTurned) {
      vec<F> t[kTurned];
      const int64_t count = least(kTurned, m - first);
      turn_in(reinterpret_cast<const F*>(x) + i * pitch + first, pitch, n, count, t);
      for (int64_t j = 0; j < count; ++j) take<kMax, A>(best, at, (vec<A>)t[j], first + j);
    }
    put_places<A>(at, y + i, n);
  }
}

// n <= kCols adjacent columns over [begin, end) of `over`, from x on: best[i] and at[i], counted from begin. Both have room
// for whole vectors.
template <bool kMax, class A>
void columns(const Port& port, const char* x, const Loop<2>& over, int64_t begin, int64_t end, int64_t n, A* best,
             place_t<A>* at) {
  constexpr int64_t L = kLanes<A>;
  constexpr int kAtOnce = 4;  // rows against one best in registers
  alignas(64) A buffer[kAtOnce][kCols + L];
  for (int64_t i = 0; i < n; i += L) {
    const vec<A> none = splat(Op<kMax, A>::zero);
    const place_of<A> zero = splat(place_t<A>(0));
    std::memcpy(best + i, &none, sizeof none);
    std::memcpy(at + i, &zero, sizeof zero);
  }
  for (int64_t j = begin; j < end; j += kAtOnce) {
    const A* row[kAtOnce];
    for (int64_t q = 0; q < kAtOnce; ++q) {  // past the last row, the last again: it takes no place from itself
      const char* from = x + offset_of(over, least(j + q, end - 1)) * port.size;
      row[q] = reinterpret_cast<const A*>(from);
      if (!port.native) { port.gather(from, 1, buffer[q], n); row[q] = buffer[q]; }
      else if (n < L) { std::memcpy(buffer[q], from, n * sizeof(A)); row[q] = buffer[q]; }
    }
    const auto at_once = [&](int64_t i) __attribute__((always_inline)) {
      vec<A> b, v;
      place_of<A> p;
      std::memcpy(&b, best + i, sizeof b);
      std::memcpy(&p, at + i, sizeof p);
#pragma GCC unroll 4
      for (int64_t q = 0; q < kAtOnce; ++q) {
        std::memcpy(&v, row[q] + i, sizeof v);
        take<kMax, A>(b, p, v, j - begin + q);
      }
      std::memcpy(best + i, &b, sizeof b);
      std::memcpy(at + i, &p, sizeof p);
    };
    for (int64_t i = 0; i + L <= n; i += L) at_once(i);
    if (n % L) at_once(n < L ? 0 : n - L);  // some of them again
  }
}

template <bool kMax, class A> void across(const Port& x, const Loop<2>& kept, const Loop<2>& over, int64_t* y) {
  const int last = kept.ndim - 1;
  const int64_t cols = kept.shape[last], planes = count_of(kept) / cols, m = count_of(over);
  // Few columns, all contiguous: `side` rows are taken as one, of which each has its own best.
  const bool narrow = cols <= 64 && over.ndim == 1 && over.stride[1][0] == cols;
  const int64_t part_rows = narrow ? kPart / cols : kPartRows, strips = ceil_div(cols, kCols), parts = ceil_div(m, part_rows);
  Best<A>* partial = parts > 1 ? static_cast<Best<A>*>(scratch(size_t(parts * planes * cols) * sizeof(Best<A>))) : nullptr;
  const int64_t task = least(m, part_rows) * least(cols, kCols);
  parallel_blocks(planes * strips * parts, kGrain / (task + 64) + 1, [&](int64_t t, int64_t end) {
    alignas(64) A best[kCols + kLanes<A>];
    alignas(64) place_t<A> at[kCols + kLanes<A>];
    for (; t < end; ++t) {
      const int64_t part = t % parts, strip = t / parts % strips, plane = t / parts / strips;
      const int64_t k = plane * cols + strip * kCols, n = least(kCols, cols - strip * kCols), first = part * part_rows;
      const int64_t rows = least(part_rows, m - first);
      const char* from = x.data + (offset_of(kept, plane * cols) + strip * kCols) * x.size;
      const int64_t side = narrow ? least(512 / cols, rows) : 1;
      if (side > 1) {
        Loop<2> wide = over;
        wide.stride[1][0] = side * cols;
        columns<kMax, A>(x, from + first * cols * x.size, wide, 0, rows / side, side * cols, best, at);
      } else {
        columns<kMax, A>(x, from, over, first, first + rows, n, best, at);
      }
      for (int64_t i = 0; i < n; ++i) {
        Best<A> b{best[i], first + at[i] * side};
        for (int64_t q = 1; q < side; ++q) join_best<Op<kMax, A>>(b, {best[q * cols + i], first + at[q * cols + i] * side + q});
        for (int64_t j = rows / side * side; j < rows; ++j) {  // rows left
          A value;
          x.gather(from + ((first + j) * cols + i) * x.size, 1, &value, 1);
          join_best<Op<kMax, A>>(b, {value, first + j});
        }
        if (parts == 1) y[k + i] = b.index;
        else partial[part * planes * cols + k + i] = b;
      }
    }
  });
  if (parts == 1) return;
  for (int64_t k = 0; k < planes * cols; ++k) {
    Best<A> b = partial[k];
    for (int64_t part = 1; part < parts; ++part) join_best<Op<kMax, A>>(b, partial[part * planes * cols + k]);
    y[k] = b.index;
  }
}

template <bool kMax, class A> void arg(const Reduce& a, const Port& x) {
  static constexpr Reducer r{int(sizeof(Best<A>)), block<Op<kMax, A>, A>, nullptr, nullptr, nullptr, join<Op<kMax, A>, A>, nullptr};
  const auto &kept = a.kept, &over = a.over;
  const int64_t m = count_of(over), pitch = kept.ndim == 1 ? kept.stride[1][0] : 0;
  const int last = kept.ndim - 1;
  int64_t* y = static_cast<int64_t*>(a.y);
  const bool inner = over.ndim && over.stride[1][over.ndim - 1] == 1;
  if (m <= few<A> && kept.ndim == 1 && over.ndim == 1 && inner && (x.native || pitch == m)) {
    parallel_blocks(kept.shape[0], kGrain / (m + 16) + 1, [&](int64_t begin, int64_t end) {
      A buffer[kBlock];
      for (int64_t n; begin < end; begin += n) {
        n = x.native ? end - begin : least(kBlock / m, end - begin);
        const char* from = x.data + begin * pitch * x.size;
        if (!x.native) x.gather(from, 1, buffer, n * m);
        few_elements<kMax, A>(x.native ? reinterpret_cast<const A*>(from) : buffer, pitch, n, m, y + begin);
      }
    });
  } else if (last >= 0 && kept.shape[last] > 1 && kept.stride[1][last] == 1 && !inner) {
    across<kMax, A>(x, kept, over, y);
  } else {
    reduce_rows(r, x, kept, over, [&](int64_t k, int64_t n, const char* states) {
      for (int64_t i = 0; i < n; ++i) y[k + i] = reinterpret_cast<const Best<A>*>(states)[i].index;
    });
  }
}
}  // namespace

void reduce_arg(const Reduce& a) {
  const Port x = port(a.from, a.x);
  const auto by_op = [&](auto zero) {
    using A = decltype(zero);
    a.op == ReduceOp::argmax ? arg<true, A>(a, x) : arg<false, A>(a, x);
  };
  switch (wide_of(a.from)) {
    case wide_f32: return by_op(float{});
    case wide_f64: return by_op(double{});
    case wide_i32: return by_op(int32_t{});
    default: return by_op(int64_t{});
  }
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
