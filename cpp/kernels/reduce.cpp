// SPDX-License-Identifier: MIT
// Reductions. The tree is a function of the shape alone: blocks of kBlock elements (or kRows rows, where columns are
// reduced), joined pairwise within a part, parts joined pairwise. Tasks are parts, so one long sum uses every core and
// gives the same bits on any number of them.
#include "elementwise.h"

namespace lamella {
namespace LAMELLA_ISA {
namespace {

constexpr int64_t kBlock = 2048, kPart = 65536;              // elements of a row: 32 blocks a part
constexpr int64_t kRows = 128, kPartRows = 512, kCols = 1024;  // columns: 4 blocks a part, kCols columns at a time

// What a reduction is to the walk: arrays of states, made from elements and joined.
struct Reducer {
  int size;                                               // bytes of a state
  void (*block)(const void* x, int64_t n, int64_t first, void* state);  // of n contiguous elements from position first
  void (*rows)(void* states, const void* x, int64_t n);   // states[i] takes in x[i]; null: columns are not reduced
  void (*clear)(void* states, int64_t n);                 // states of nothing
  void (*join)(void* states, const void* with, int64_t n);  // states[i] = states[i] joined with with[i]
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

template <class Op, class A> LAMELLA_INLINE A fold(vec<A> v) {
  return fold_lanes(v, [](vec<A> a, vec<A> b) __attribute__((always_inline)) { return Op::join(a, b); });
}

template <class Op, class A> LAMELLA_INLINE A float_block(const A* x, int64_t n) {
  constexpr int L = kLanes<A>;
  vec<A> zero = splat<A>(Op::zero), a = zero, b = zero, c = zero, d = zero;
  int64_t i = 0;
  for (; i + 4 * L <= n; i += 4 * L) {
    a = Op::join(a, Op::map(vload(x + i)));
    b = Op::join(b, Op::map(vload(x + i + L)));
    c = Op::join(c, Op::map(vload(x + i + 2 * L)));
    d = Op::join(d, Op::map(vload(x + i + 3 * L)));
  }
  for (; i + L <= n; i += L) a = Op::join(a, Op::map(vload(x + i)));
  if (i < n) {
    vec<int_of<A>> lane;
    for (int l = 0; l < L; ++l) lane[l] = l;
    b = Op::join(b, select(lane < int_of<A>(n - i), Op::map(vload(x + i, n - i)), zero));
  }
  return fold<Op, A>(Op::join(Op::join(a, b), Op::join(c, d)));
}

// A: element, S: state.
template <class Op, class A, class S> void block(const void* x, int64_t n, int64_t, void* state) {
  const A* p = static_cast<const A*>(x);
  S s;
  if constexpr (is_float<A>) {
    s = float_block<Op, A>(p, n);
  } else {
    s = Op::zero;
    for (int64_t i = 0; i < n; ++i) s = Op::join(s, S(Op::map(S(p[i]))));
  }
  *static_cast<S*>(state) = s;
}
template <class Op, class A, class S> void rows(void* states, const void* x, int64_t n) {
  const A* p = static_cast<const A*>(x);
  S* s = static_cast<S*>(states);
  if constexpr (is_float<A>) {
    int64_t i = 0;
    for (; i + kLanes<A> <= n; i += kLanes<A>) vstore<A>(s + i, Op::join(vload<A>(s + i), Op::map(vload(p + i))));
    for (; i < n; ++i) s[i] = Op::join(s[i], Op::map(p[i]));
  } else {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) s[i] = Op::join(s[i], S(Op::map(S(p[i]))));
  }
}
template <class Op, class S> void clear(void* states, int64_t n) {
  for (int64_t i = 0; i < n; ++i) static_cast<S*>(states)[i] = Op::zero;
}
template <class Op, class S> void join(void* states, const void* with, int64_t n) {
  S* s = static_cast<S*>(states);
  const S* t = static_cast<const S*>(with);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) s[i] = Op::join(s[i], t[i]);
}
template <template <class> class Op, class A, class S = A> constexpr Reducer reducer() {
  return {int(sizeof(S)), block<Op<S>, A, S>, rows<Op<S>, A, S>, clear<Op<S>, S>, join<Op<S>, S>};
}
// Bytes of 0 and 1, in whole words: a chain of logic on bool would not become vectors.
template <class Op> void bool_block(const void* x, int64_t n, int64_t, void* state) {
  const uint8_t* p = static_cast<const uint8_t*>(x);
  uint8_t all = Op::zero;
  if constexpr (Op::zero) for (int64_t i = 0; i < n; ++i) all &= p[i];
  else for (int64_t i = 0; i < n; ++i) all |= p[i];
  *static_cast<bool*>(state) = all;
}
template <> constexpr Reducer reducer<Any, bool, bool>() {
  return {1, bool_block<Any<bool>>, rows<Any<bool>, bool, bool>, clear<Any<bool>, bool>, join<Any<bool>, bool>};
}
template <> constexpr Reducer reducer<All, bool, bool>() {
  return {1, bool_block<All<bool>>, rows<All<bool>, bool, bool>, clear<All<bool>, bool>, join<All<bool>, bool>};
}

// ---- argmax and argmin: the extreme value of a block, then its first place ------------------------------------------
template <class A> struct Best { A value; int64_t index; };

template <class Op, class A> void arg_block(const void* x, int64_t n, int64_t first, void* state) {
  const A* p = static_cast<const A*>(x);
  A best;
  block<Op, A, A>(x, n, first, &best);
  int64_t i = 0;
  if constexpr (is_float<A>)
    for (constexpr int L = kLanes<A>; i + L <= n; i += L) {  // skip vectors without it
      vec<A> v = vload(p + i);
      auto hit = best != best ? v != v : v == best;
      uint64_t word[sizeof(hit) / 8], any = 0;
      std::memcpy(word, &hit, sizeof hit);
      for (uint64_t w : word) any |= w;
      if (any) break;
    }
  while (i < n - 1 && !(p[i] == best || (best != best && p[i] != p[i]))) ++i;
  *static_cast<Best<A>*>(state) = {best, first + i};
}
template <class Op, class A> void arg_join(void* states, const void* with, int64_t) {  // `with` comes later
  Best<A>& s = *static_cast<Best<A>*>(states);
  const Best<A>& t = *static_cast<const Best<A>*>(with);
  if (s.value == s.value && !(s.value == t.value) && !(Op::join(s.value, t.value) == s.value)) s = t;
}
template <template <class> class Op, class A> constexpr Reducer arg_reducer() {
  return {int(sizeof(Best<A>)), arg_block<Op<A>, A>, nullptr, nullptr, arg_join<Op<A>, A>};
}

// ---- moments: Chan, Golub and LeVeque 1979 --------------------------------------------------------------------------
template <class A> struct Moment { A n, mean, m2; };

template <class A> void moment_block(const void* x, int64_t n, int64_t, void* state) {
  const A* p = static_cast<const A*>(x);
  const A mean = float_block<Sum<A>, A>(p, n) / A(n);
  vec<A> a{}, b{};
  int64_t i = 0;
  for (; i + 2 * kLanes<A> <= n; i += 2 * kLanes<A>) {
    vec<A> d = vload(p + i) - mean, e = vload(p + i + kLanes<A>) - mean;
    a = fma(d, d, a);
    b = fma(e, e, b);
  }
  A m2 = hsum(a + b);
  for (; i < n; ++i) m2 += (p[i] - mean) * (p[i] - mean);
  *static_cast<Moment<A>*>(state) = {A(n), mean, m2};
}
template <class A> void moment_join(void* states, const void* with, int64_t) {
  Moment<A>& s = *static_cast<Moment<A>*>(states);
  const Moment<A>& t = *static_cast<const Moment<A>*>(with);
  const A n = s.n + t.n, d = t.mean - s.mean;
  s = {n, s.mean + d * (t.n / n), s.m2 + t.m2 + d * d * (s.n * t.n / n)};
}

// ---- the walk -------------------------------------------------------------------------------------------------------
int64_t count_of(const Loop<2>& l) {
  int64_t n = 1;
  for (int d = 0; d < l.ndim; ++d) n *= l.shape[d];
  return n;
}
int64_t offset_of(const Loop<2>& l, int64_t i, int row = 1) {
  int64_t at = 0;
  for (int d = l.ndim - 1; d >= 0; --d) { at += i % l.shape[d] * l.stride[row][d]; i /= l.shape[d]; }
  return at;
}
// Joins states[0], states[step], ... states[(count - 1) step], each `n` states wide, into the first.
void join_tree(const Reducer& r, char* states, int64_t count, int64_t step, int64_t n) {
  for (int64_t h = 1; h < count; h *= 2)
    for (int64_t i = 0; i + h < count; i += 2 * h)
      r.join(states + i * step * r.size, states + (i + h) * step * r.size, n);
}

// Elements [begin, end) of `over`, as contiguous arithmetic elements: in place where they lie so, else in the buffer.
const char* elements(const Port& x, const Loop<2>& over, int64_t base, int64_t begin, int64_t end, char* buffer) {
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

// states[k * parts + part] for every kept element k: each the tree over one part of `over`. finish(k, n, states) takes
// n joined states of kept elements k .. k + n - 1.
template <class F>
void reduce_rows(const Reducer& r, const Port& x, const Loop<2>& kept, const Loop<2>& over, const F& finish) {
  const int64_t rows = count_of(kept), m = count_of(over), parts = (m + kPart - 1) / kPart;
  auto part_state = [&](int64_t row, int64_t part, char* state) {
    alignas(64) char buffer[kBlock * 8], states[kPart / kBlock * 24];
    const int64_t base = offset_of(kept, row), begin = part * kPart, end = begin + kPart < m ? begin + kPart : m;
    int64_t count = 0;
    for (int64_t b = begin; b < end; b += kBlock) {
      const int64_t e = b + kBlock < end ? b + kBlock : end;
      r.block(elements(x, over, base, b, e, buffer), e - b, b, states + count++ * r.size);
    }
    join_tree(r, states, count, 1, 1);
    std::memcpy(state, states, r.size);
  };
  if (parts > 1) {
    char* states = static_cast<char*>(scratch(size_t(rows * parts) * r.size));
    parallel(rows * parts, [&](int64_t t) { part_state(t / parts, t % parts, states + t * r.size); });
    for (int64_t k = 0; k < rows; ++k) {
      join_tree(r, states + k * parts * r.size, parts, 1, 1);
      finish(k, 1, states + k * parts * r.size);
    }
    return;
  }
  int64_t grain = kGrain / (m + 16) + 1;
  if (m <= kBlock && x.native && kept.ndim == 1 && over.ndim == 1 && over.stride[1][0] == 1) {  // rows as they lie
    const int64_t pitch = kept.stride[1][0] * x.size;
    parallel_blocks(rows, grain, [&](int64_t begin, int64_t end) {
      alignas(64) char states[64 * 24];
      for (; begin < end; begin += 64) {
        const int64_t n = end - begin < 64 ? end - begin : 64;
        for (int64_t i = 0; i < n; ++i) r.block(x.data + (begin + i) * pitch, m, 0, states + i * r.size);
        finish(begin, n, states);
      }
    });
    return;
  }
  parallel_blocks(rows, grain, [&](int64_t begin, int64_t end) {
    alignas(64) char states[64 * 24];
    for (; begin < end; begin += 64) {
      const int64_t n = end - begin < 64 ? end - begin : 64;
      for (int64_t i = 0; i < n; ++i) part_state(begin + i, 0, states + i * r.size);
      finish(begin, n, states);
    }
  });
}

// to[j][i] = x[i * row + j] for i < n, j < m: short rows of 32-bit elements, turned by squares in registers.
constexpr int64_t kShort = 32, kTurned = 128;  // columns at a time, less than twice as many at the end
void turn_rows(const float* x, int64_t row, int64_t n, int64_t m, float (*to)[2 * kTurned]) {
  constexpr int64_t L = kLanes<float>;
  for (int64_t at = 0; at < n; at += L) {
    const int64_t i = least(at, n - L);  // the last square overlaps the one before it
    for (int64_t j = 0; j < m; j += L) {
      vec<float> r[L];
#pragma GCC unroll 16
      for (int64_t l = 0; l < L; ++l) r[l] = m - j >= L ? vload(x + (i + l) * row + j) : vload(x + (i + l) * row + j, m - j);
      transpose_lanes<float>(r);
#pragma GCC unroll 16
      for (int64_t l = 0; l < L; ++l)
        if (l < m - j) vstore(to[j + l] + i, r[l]);
    }
  }
}

// Whole rows of the innermost kept dimension are taken into a row of states: where that dimension is contiguous in x,
// or the reduced ones are short.
template <class F>
void reduce_columns(const Reducer& r, const Port& x, const Loop<2>& kept, const Loop<2>& over, const F& finish) {
  const int last = kept.ndim - 1;
  const int64_t cols = kept.shape[last], step = kept.stride[1][last];
  const int64_t planes = count_of(kept) / cols, m = count_of(over);
  const int64_t strips = (cols + kCols - 1) / kCols, parts = (m + kPartRows - 1) / kPartRows;
  const bool turn = x.native && x.size == 4 && m <= kShort && over.ndim == 1 && over.stride[1][0] == 1 && step != 1;
  auto part_states = [&](int64_t plane, int64_t strip, int64_t part, char* states) {  // states: the first block's
    alignas(64) char buffer[kCols * 8], blocks[kPartRows / kRows * kCols * 8];
    const int64_t begin = strip * kCols, n = cols - begin < kCols ? cols - begin : kCols;
    const int64_t base = offset_of(kept, plane * cols) + begin * step;
    const int64_t first = part * kPartRows, end = first + kPartRows < m ? first + kPartRows : m;
    if (turn && n >= kLanes<float>) {
      alignas(64) float turned[kShort][2 * kTurned];
      r.clear(states, n);
      for (int64_t c = 0, w; c < n; c += w) {
        w = n - c < 2 * kTurned ? n - c : kTurned;
        turn_rows(reinterpret_cast<const float*>(x.data) + base + c * step, step, w, m, turned);
        for (int64_t j = 0; j < m; ++j) r.rows(states + c * r.size, turned[j], w);
      }
      return;
    }
    int64_t count = 0, inner = over.ndim ? over.shape[over.ndim - 1] : 1, left = 0, at = 0;
    for (int64_t b = first; b < end; b += kRows, ++count) {
      char* s = blocks + count * n * r.size;
      r.clear(s, n);
      for (int64_t j = b; j < b + kRows && j < end; ++j, --left) {
        if (left == 0) { at = offset_of(over, j); left = inner - j % inner; }
        else at += over.stride[1][over.ndim - 1];
        const char* row = x.data + (base + at) * x.size;
        if (!x.native || step != 1) { x.gather(row, step, buffer, n); row = buffer; }
        r.rows(s, row, n);
      }
    }
    join_tree(r, blocks, count, n, n);
    std::memcpy(states, blocks, n * r.size);
  };
  char* partial = parts > 1 ? static_cast<char*>(scratch(size_t(parts * planes * cols) * r.size)) : nullptr;
  const int64_t part_rows = m < kPartRows ? m : kPartRows, strip_cols = cols < kCols ? cols : kCols;
  parallel_blocks(planes * strips * parts, kGrain / (part_rows * strip_cols + 64) + 1, [&](int64_t t, int64_t end) {
    alignas(64) char states[kCols * 8];
    for (; t < end; ++t) {
      const int64_t part = t % parts, strip = t / parts % strips, plane = t / parts / strips;
      const int64_t k = plane * cols + strip * kCols, n = cols - strip * kCols < kCols ? cols - strip * kCols : kCols;
      if (parts > 1) part_states(plane, strip, part, partial + (part * planes * cols + k) * r.size);
      else { part_states(plane, strip, part, states); finish(k, n, states); }
    }
  });
  if (parts > 1) {
    join_tree(r, partial, parts, planes * cols, planes * cols);
    finish(0, planes * cols, partial);
  }
}

constexpr Reducer kReducers[6][wide_count] = {
    {reducer<Sum, float>(), reducer<Sum, double>(), reducer<Sum, int32_t, int64_t>(), reducer<Sum, int64_t>()},
    {reducer<Prod, float>(), reducer<Prod, double>(), reducer<Prod, int32_t, int64_t>(), reducer<Prod, int64_t>()},
    {reducer<Max, float>(), reducer<Max, double>(), reducer<Max, int32_t>(), reducer<Max, int64_t>()},
    {reducer<Min, float>(), reducer<Min, double>(), reducer<Min, int32_t>(), reducer<Min, int64_t>()},
    {reducer<SumSquares, float>(), reducer<SumSquares, double>(), reducer<SumSquares, int32_t, int64_t>(),
     reducer<SumSquares, int64_t>()},
    {reducer<SumAbs, float>(), reducer<SumAbs, double>(), reducer<SumAbs, int32_t, int64_t>(),
     reducer<SumAbs, int64_t>()}};
constexpr Reducer kArg[2][wide_count] = {
    {arg_reducer<Max, float>(), arg_reducer<Max, double>(), arg_reducer<Max, int32_t>(), arg_reducer<Max, int64_t>()},
    {arg_reducer<Min, float>(), arg_reducer<Min, double>(), arg_reducer<Min, int32_t>(), arg_reducer<Min, int64_t>()}};
constexpr Reducer kAny = reducer<Any, bool>(), kAll = reducer<All, bool>();

const Reducer& reducer_of(ReduceOp op, Wide w) {
  switch (op) {
    case ReduceOp::any: return kAny;
    case ReduceOp::all: return kAll;
    case ReduceOp::argmax: return kArg[0][w];
    case ReduceOp::argmin: return kArg[1][w];
    case ReduceOp::prod: return kReducers[1][w];
    case ReduceOp::max: return kReducers[2][w];
    case ReduceOp::min: return kReducers[3][w];
    case ReduceOp::sum_squares: return kReducers[4][w];
    case ReduceOp::sum_abs: return kReducers[5][w];
    default: return kReducers[0][w];  // sum, mean
  }
}
}  // namespace

void reduce(const Reduce& a) {
  const bool logic = a.op == ReduceOp::any || a.op == ReduceOp::all;
  const bool arg = a.op == ReduceOp::argmax || a.op == ReduceOp::argmin;
  const Port x = logic ? port_bool(a.from, a.x) : port(a.from, a.x);
  const Port y = logic ? port_raw(1, a.y) : port(a.to, a.y);
  const Reducer& r = reducer_of(a.op, wide_of(a.from));
  const int64_t m = count_of(a.over), count = count_of(a.kept);
  if (count == 0) return;
  auto finish = [&](int64_t k, int64_t n, char* states) {
    if (arg) {  // the index follows the value, both in states of 16 bytes
      for (int64_t i = 0; i < n; ++i) std::memcpy(static_cast<int64_t*>(a.y) + k + i, states + i * r.size + 8, 8);
      return;
    }
    if (a.op == ReduceOp::mean) {
      double* d = reinterpret_cast<double*>(states);
      float* f = reinterpret_cast<float*>(states);
      if (wide_of(a.from) == wide_f64) for (int64_t i = 0; i < n; ++i) d[i] /= double(m);
      else for (int64_t i = 0; i < n; ++i) f[i] /= float(m);
    }
    y.scatter(states, y.data + k * y.size, 1, n);
  };
  if (m == 0) {
    alignas(64) char states[kCols * 8];
    for (int64_t k = 0; k < count; k += kCols) {
      const int64_t n = count - k < kCols ? count - k : kCols;
      r.clear(states, n);
      finish(k, n, states);
    }
    return;
  }
  const int last = a.kept.ndim - 1;
  const bool inner = a.over.ndim && a.over.stride[1][a.over.ndim - 1] == 1 && a.over.shape[a.over.ndim - 1] > 1;
  const bool across = r.rows && last >= 0 && a.kept.shape[last] > 1 &&
                      ((a.kept.stride[1][last] == 1 && !inner) || (m <= 32 && a.kept.shape[last] >= 64));
  // A few columns, all contiguous: several rows side by side are one long row, whose states are joined at the end.
  const int64_t cols = last >= 0 ? a.kept.shape[last] : 0, side = cols ? 512 / cols : 0;
  if (across && cols <= 64 && a.kept.ndim == 1 && a.kept.stride[1][0] == 1 && a.over.ndim == 1 &&
      a.over.stride[1][0] == cols && m >= 4 * side) {
    Loop<2> wide_kept = a.kept, wide_over = a.over;
    wide_kept.shape[0] = side * cols;
    wide_over.shape[0] = m / side;
    wide_over.stride[1][0] = side * cols;
    reduce_columns(r, x, wide_kept, wide_over, [&](int64_t, int64_t, char* states) {
      alignas(64) char buffer[64 * 8];
      join_tree(r, states, side, cols, cols);
      for (int64_t j = m / side * side; j < m; ++j) {
        x.gather(x.data + j * cols * x.size, 1, buffer, cols);
        r.rows(states, buffer, cols);
      }
      finish(0, cols, states);
    });
    return;
  }
  if (across) reduce_columns(r, x, a.kept, a.over, finish);
  else reduce_rows(r, x, a.kept, a.over, finish);
}

template <class A> static void write_moments(const Moments& a) {
  static constexpr Reducer r = {sizeof(Moment<A>), moment_block<A>, nullptr, nullptr, moment_join<A>};
  reduce_rows(r, port(a.dtype, a.x), a.kept, a.over, [&](int64_t k, int64_t n, const char* states) {
    const Moment<A>* s = reinterpret_cast<const Moment<A>*>(states);
    for (int64_t i = 0; i < n; ++i) {
      if (a.mean) static_cast<A*>(a.mean)[k + i] = s[i].mean;
      if (a.m2) static_cast<A*>(a.m2)[k + i] = s[i].m2;
    }
  });
}

void moments(const Moments& a) { a.dtype == DType::f64 ? write_moments<double>(a) : write_moments<float>(a); }

}  // namespace LAMELLA_ISA
}  // namespace lamella
