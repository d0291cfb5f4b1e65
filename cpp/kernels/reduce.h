// SPDX-License-Identifier: MIT
// What every reduction is made of: ops, blocks of elements, and the walk over rows. The tree is a function of the shape
// and the layout alone: blocks of up to kBlock elements (or kRows rows, where columns are reduced), joined pairwise within a
// part, parts joined pairwise. Tasks are parts, so one long sum uses every core and gives the same bits on any number of them.
#pragma once
#include "elementwise.h"

namespace lamella {
namespace LAMELLA_ISA {

void reduce_arg(const Reduce&);  // argmax and argmin

namespace reduction {

constexpr int64_t kBlock = 4096, kPart = 65536;              // elements of a row: 16 blocks a part
constexpr int64_t kRows = 128, kPartRows = 512, kCols = 1024;  // columns: 4 blocks a part, kCols columns at a time
constexpr int64_t kStates = 64;                              // states of short rows, finished together
constexpr int64_t kMostBlocks = 1024;                        // of one part

// What a reduction is to the walk: arrays of states, made from elements and joined.
struct Reducer {
  int size;                                               // bytes of a state
  void (*block)(const void* x, int64_t n, int64_t first, void* state);  // of n contiguous elements from position first
  void (*rows)(void* states, const void* x, int64_t n);   // states[i] takes in x[i]; null: columns are not reduced
  void (*four)(void* states, const void* x, int64_t pitch, int64_t n);  // and those of three more rows, pitch elements apart
  void (*clear)(void* states, int64_t n);                 // states of nothing
  void (*join)(void* states, const void* with, int64_t n);  // states[i] = states[i] joined with with[i]
  void (*many)(const void* x, int64_t pitch, int64_t n, int64_t m, void* states);  // a block of each of n rows of m; or null
};

// ---- ops: `map` of an element, `join` of two states, `zero` of nothing ----------------------------------------------
template <class A> struct Sum {
  template <class V> LAMELLA_INLINE static V map(V x) { return x; }
  template <class V> LAMELLA_INLINE static V join(V a, V b) { return a + b; }
  static constexpr A zero = 0;
};
template <class A> struct SumSquares : Sum<A> {
  template <class V> LAMELLA_INLINE static V map(V x) { return x * x; }
};
template <class A> struct SumAbs : Sum<A> {
  template <class V> LAMELLA_INLINE static V map(V x) {
    if constexpr (sizeof(V) > 8) return vabs(x); else return x < 0 ? -x : x;
  }
};
template <class A> struct Prod {
  template <class V> LAMELLA_INLINE static V map(V x) { return x; }
  template <class V> LAMELLA_INLINE static V join(V a, V b) { return a * b; }
  static constexpr A zero = 1;
};
template <class A> constexpr bool is_float = __is_same(A, float) || __is_same(A, double);
template <class A> constexpr A lowest = is_float<A> ? A(-__builtin_inf()) : A(A(1) << (sizeof(A) * 8 - 1));
template <> constexpr float lowest<float> = -__builtin_inff();
template <> constexpr double lowest<double> = -__builtin_inf();
template <class A> struct Max {
  template <class V> LAMELLA_INLINE static V map(V x) { return x; }
  template <class V> LAMELLA_INLINE static V join(V a, V b) {
    if constexpr (sizeof(V) > 8) return vmax_nan(a, b);
    else return a > b || a != a ? a : b;
  }
  static constexpr A zero = lowest<A>;
};
template <class A> struct Min {
  template <class V> LAMELLA_INLINE static V map(V x) { return x; }
  template <class V> LAMELLA_INLINE static V join(V a, V b) {
    if constexpr (sizeof(V) > 8) return vmin_nan(a, b);
    else return a < b || a != a ? a : b;
  }
  static constexpr A zero = is_float<A> ? -lowest<A> : A(~lowest<int64_t> >> (64 - 8 * sizeof(A)));
};
template <class A> struct Any {
  LAMELLA_INLINE static bool map(bool x) { return x; }
  LAMELLA_INLINE static bool join(bool a, bool b) { return a | b; }
  static constexpr bool zero = false;
};
template <class A> struct All : Any<A> {
  LAMELLA_INLINE static bool join(bool a, bool b) { return a & b; }
  static constexpr bool zero = true;
};

// The lanes of a run of n elements, to be folded.
template <class Op, class T> LAMELLA_INLINE vec<acc_t<T>> run_lanes(const T* x, int64_t n) {
  using A = acc_t<T>;
  constexpr int L = kLanes<A>;
  const vec<A> zero = splat<A>(Op::zero);
  vec<A> a = zero, b = zero, c = zero, d = zero;
  int64_t i = 0;
  for (; i + 4 * L <= n; i += 4 * L) {
    a = Op::join(a, Op::map(vload(x + i)));
    b = Op::join(b, Op::map(vload(x + i + L)));
    c = Op::join(c, Op::map(vload(x + i + 2 * L)));
    d = Op::join(d, Op::map(vload(x + i + 3 * L)));
  }
  for (; i + L <= n; i += L) a = Op::join(a, Op::map(vload(x + i)));
  if (i < n) b = Op::join(b, select(lane_numbers<A>() < int_of<A>(n - i), Op::map(vload(x + i, n - i)), zero));
  return Op::join(Op::join(a, b), Op::join(c, d));
}
template <class Op, class V> LAMELLA_INLINE auto joined() {
  return [](V a, V b) __attribute__((always_inline)) { return Op::join(a, b); };
}
template <class Op, class T> LAMELLA_INLINE acc_t<T> float_block(const T* x, int64_t n) {
  return fold_lanes(run_lanes<Op>(x, n), joined<Op, vec<acc_t<T>>>());
}
// float_block of each of n rows, `pitch` apart, to the bit: a square of their lanes folds at once.
template <class Op, class T> void float_blocks(const void* x, int64_t pitch, int64_t n, int64_t m, void* states) {
  using A = acc_t<T>;
  constexpr int64_t L = kLanes<A>;
  const T* p = static_cast<const T*>(x);
  const vec<A> zero = splat<A>(Op::zero);
  for (int64_t at = 0; at < n; at += L) {
    const int64_t rows = least(L, n - at);
    vec<A> r[L];
#pragma GCC unroll 1
    for (int64_t l = 0; l < L; ++l, p += pitch) {
      if (l >= rows) r[l] = zero;
      else if (m <= L) r[l] = Op::join(zero, select(lane_numbers<A>() < int_of<A>(m), Op::map(vload(p, m)), zero));
      else r[l] = run_lanes<Op>(p, m);
    }
    vstore<A>(static_cast<A*>(states) + at, fold_square<A>(r, joined<Op, vec<A>>()), rows);
  }
}

// ---- the walk over rows -----------------------------------------------------------------------------------------------
inline int64_t count_of(const Loop<2>& l) {
  int64_t n = 1;
  for (int d = 0; d < l.ndim; ++d) n *= l.shape[d];
  return n;
}
inline int64_t offset_of(const Loop<2>& l, int64_t i, int row = 1) {
  int64_t at = 0;
  for (int d = l.ndim - 1; d >= 0; --d) { at += i % l.shape[d] * l.stride[row][d]; i /= l.shape[d]; }
  return at;
}
// Joins states[0], states[step], ... states[(count - 1) step], each `n` states wide, into the first.
inline void join_tree(const Reducer& r, char* states, int64_t count, int64_t step, int64_t n) {
  for (int64_t h = 1; h < count; h *= 2)
    for (int64_t i = 0; i + h < count; i += 2 * h)
      r.join(states + i * step * r.size, states + (i + h) * step * r.size, n);
}
// Joins count states into the first.
inline void join_all(const Reducer& r, char* states, int64_t count) {
  for (; count > 1; count -= count / 2) r.join(states, states + (count - count / 2) * r.size, count / 2);
}

// Elements [begin, end) of `over`, as contiguous arithmetic elements: in place where they lie so, else in the buffer.
inline const char* elements(const Port& x, const Loop<2>& over, int64_t base, int64_t begin, int64_t end, char* buffer) {
  const int last = over.ndim - 1;
  if (over.ndim <= 1) {
    const int64_t s = over.ndim ? over.stride[1][0] : 1;
    const char* from = x.data + (base + begin * s) * x.size;
    if (x.native && s == 1) return from;
    x.gather(from, s, buffer, end - begin);
    return buffer;
  }
  const int64_t inner = over.shape[last], s = over.stride[1][last];
  for (char* to = buffer; begin < end;) {
    const int64_t at = begin % inner, n = inner - at < end - begin ? inner - at : end - begin;
    const char* from = x.data + (base + offset_of(over, begin)) * x.size;
    if (x.native && s == 1 && n == end - begin && to == buffer) return from;
    x.gather(from, s, to, n);
    to += n * x.wide;
    begin += n;
  }
  return buffer;
}

// What one part of a row takes: blocks of kBlock of its elements, or, where those lie in runs, each a run or an even share of it.
struct Blocks {
  Blocks(const Reducer& r, const Port& x, const Loop<2>& over, int64_t m) {
    const int last = over.ndim - 1;
    run = last >= 0 ? over.shape[last] : 1;
    runs = x.native && last > 0 && over.stride[1][last] == 1 && run >= (r.many ? 8 : 256);
    shares = runs ? ceil_div(run, kBlock) : 1;
    length = runs ? ceil_div(run, shares) : kBlock;
    count = runs ? m / run * shares : ceil_div(m, kBlock);
    part = least(kMostBlocks, kPart / length);
  }
  bool runs;
  int64_t run, shares, length;  // of a run; of a run's blocks; of a block
  int64_t count, part;          // of blocks; of those of a part
};

// states[b - begin] of blocks [begin, end), which lie in runs.
inline void run_states(const Reducer& r, const char* x, int size, const Loop<2>& over, const Blocks& blocks, int64_t begin, int64_t end,
                       char* states) {
  const int down = over.ndim - 2;
  for (int64_t n; begin < end; begin += n, states += n * r.size) {
    const int64_t run = begin / blocks.shares, first = begin % blocks.shares * blocks.length;
    const char* from = x + (offset_of(over, run * blocks.run) + first) * size;
    n = 1;
    if (r.many && blocks.shares == 1) {
      n = least(over.shape[down] - run % over.shape[down], end - begin);
      r.many(from, over.stride[1][down], n, blocks.run, states);
    } else {
      r.block(from, least(blocks.length, blocks.run - first), run * blocks.run + first, states);
    }
  }
}

// states[k * parts + part] for every kept element k: each the tree over one part of `over`. finish(k, n, states) takes
// n joined states of kept elements k .. k + n - 1.
template <class F>
void reduce_rows(const Reducer& r, const Port& x, const Loop<2>& kept, const Loop<2>& over, const F& finish) {
  const int64_t rows = count_of(kept), m = count_of(over);
  const Blocks blocks(r, x, over, m);
  const int64_t parts = ceil_div(blocks.count, blocks.part);
  auto part_state = [&](int64_t row, int64_t part, char* state) {
    alignas(64) char buffer[kBlock * 8], states[kMostBlocks * 24];
    const int64_t base = offset_of(kept, row), begin = part * blocks.part, end = least(blocks.count, begin + blocks.part);
    if (blocks.runs) run_states(r, x.data + base * x.size, x.size, over, blocks, begin, end, states);
    else
      for (int64_t b = begin; b < end; ++b) {
        const int64_t first = b * kBlock, last = least(first + kBlock, m);
        r.block(elements(x, over, base, first, last, buffer), last - first, first, states + (b - begin) * r.size);
      }
    join_all(r, states, end - begin);
    std::memcpy(state, states, r.size);
  };
  if (parts > 1) {
    char* states = static_cast<char*>(scratch(size_t(rows * parts) * r.size));
    parallel(rows * parts, [&](int64_t t) { part_state(t / parts, t % parts, states + t * r.size); });
    for (int64_t k = 0; k < rows; ++k) {
      join_all(r, states + k * parts * r.size, parts);
      finish(k, 1, states + k * parts * r.size);
    }
    return;
  }
  const int64_t grain = kGrain / (m + 16) + 1;
  if (m <= kBlock && kept.ndim == 1 && over.ndim == 1 && over.stride[1][0] == 1) {  // rows as they lie
    const int64_t pitch = kept.stride[1][0];
    parallel_blocks(rows, grain, [&](int64_t begin, int64_t end) {
      alignas(64) char states[kStates * 24], buffer[kBlock * 8];
      const int64_t most = x.native ? kStates : least(kStates, kBlock / m);
      for (int64_t n; begin < end; begin += n) {
        n = least(most, end - begin);
        const char* from = x.data + begin * pitch * x.size;
        if (!x.native) {
          if (pitch == m) x.gather(from, 1, buffer, n * m);
          else for (int64_t i = 0; i < n; ++i) x.gather(from + i * pitch * x.size, 1, buffer + i * m * x.wide, m);
        }
        const char* lie = x.native ? from : buffer;
        const int64_t apart = x.native ? pitch : m;
        if (r.many) r.many(lie, apart, n, m, states);
        else for (int64_t i = 0; i < n; ++i) r.block(lie + i * apart * x.wide, m, 0, states + i * r.size);
        finish(begin, n, states);
      }
    });
    return;
  }
  parallel_blocks(rows, grain, [&](int64_t begin, int64_t end) {
    alignas(64) char states[kStates * 24];
    for (; begin < end; begin += kStates) {
      const int64_t n = least(kStates, end - begin);
      for (int64_t i = 0; i < n; ++i) part_state(begin + i, 0, states + i * r.size);
      finish(begin, n, states);
    }
  });
}

}  // namespace reduction
}  // namespace LAMELLA_ISA
}  // namespace lamella
