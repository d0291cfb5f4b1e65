// SPDX-License-Identifier: MIT
// Reductions: of rows by the walk of reduce.h, of columns here.
#include "reduce.h"
#include "turn.h"

namespace lamella {
namespace LAMELLA_ISA {
using namespace reduction;
namespace {

// T: element, S: state.
template <class Op, class T, class S> void block(const void* x, int64_t n, int64_t, void* state) {
  const T* p = static_cast<const T*>(x);
  S s;
  if constexpr (is_float<acc_t<T>>) {
    s = float_block<Op>(p, n);
  } else {
    s = Op::zero;
    for (int64_t i = 0; i < n; ++i) s = Op::join(s, S(Op::map(S(p[i]))));
  }
  *static_cast<S*>(state) = s;
}
template <class Op, class T, class S> void rows(void* states, const void* x, int64_t n) {
  const T* p = static_cast<const T*>(x);
  S* s = static_cast<S*>(states);
  if constexpr (is_float<acc_t<T>>) {
    int64_t i = 0;
    for (; i + kLanes<S> <= n; i += kLanes<S>) vstore<S>(s + i, Op::join(vload<S>(s + i), Op::map(vload(p + i))));
    for (; i < n; ++i) s[i] = Op::join(s[i], Op::map(up(p[i])));
  } else {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) s[i] = Op::join(s[i], S(Op::map(S(p[i]))));
  }
}
template <class Op, class T, class S> void four_rows(void* states, const void* x, int64_t pitch, int64_t n) {
  const T *a = static_cast<const T*>(x), *b = a + pitch, *c = b + pitch, *d = c + pitch;
  S* s = static_cast<S*>(states);
  const auto into = [](auto v, auto... more) __attribute__((always_inline)) { ((v = Op::join(v, Op::map(more))), ...); return v; };
  int64_t i = 0;
  if constexpr (is_float<acc_t<T>>) {
    for (; i + kLanes<S> <= n; i += kLanes<S>)
      vstore<S>(s + i, into(vload<S>(s + i), vload(a + i), vload(b + i), vload(c + i), vload(d + i)));
    for (; i < n; ++i) s[i] = into(s[i], up(a[i]), up(b[i]), up(c[i]), up(d[i]));
  } else {
#pragma GCC ivdep
    for (; i < n; ++i) s[i] = into(s[i], S(a[i]), S(b[i]), S(c[i]), S(d[i]));
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
template <template <class> class Op, class T, class S = acc_t<T>> constexpr Reducer reducer() {
  Reducer r{int(sizeof(S)), block<Op<S>, T, S>, rows<Op<S>, T, S>, four_rows<Op<S>, T, S>, clear<Op<S>, S>, join<Op<S>, S>, nullptr};
  if constexpr (is_float<acc_t<T>>) r.many = float_blocks<Op<S>, T>;
  return r;
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
  return {1, bool_block<Any<bool>>, rows<Any<bool>, bool, bool>, four_rows<Any<bool>, bool, bool>, clear<Any<bool>, bool>,
          join<Any<bool>, bool>, nullptr};
}
template <> constexpr Reducer reducer<All, bool, bool>() {
  return {1, bool_block<All<bool>>, rows<All<bool>, bool, bool>, four_rows<All<bool>, bool, bool>, clear<All<bool>, bool>,
          join<All<bool>, bool>, nullptr};
}

// ---- moments: Chan, Golub and LeVeque 1979 --------------------------------------------------------------------------
template <class A> struct Moment { A n, mean, m2; };

template <class A> void moment_block(const void* x, int64_t n, int64_t, void* state) {
  const A* p = static_cast<const A*>(x);
  const A mean = float_block<Sum<A>>(p, n) / A(n);
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
template <class A> void moment_join(void* states, const void* with, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    Moment<A>& s = static_cast<Moment<A>*>(states)[i];
    const Moment<A>& t = static_cast<const Moment<A>*>(with)[i];
    const A n = s.n + t.n, d = t.mean - s.mean;
    s = {n, s.mean + d * (t.n / n), s.m2 + t.m2 + d * d * (s.n * t.n / n)};
  }
}

// ---- columns ----------------------------------------------------------------------------------------------------------
// to[j * 2 * kStrip + i] = x[i * row + j] for i < n, j < m: short rows, turned. A is float or double, for its size.
constexpr int64_t kStrip = 128;  // rows at a time, less than twice as many at the end
template <class A> void turn_rows(const A* x, int64_t row, int64_t n, int64_t m, A* to) {
  constexpr int64_t L = kLanes<A>;
  for (int64_t at = 0; at < n; at += L) {
    const int64_t i = least(at, n - L);  // the last square overlaps the one before it
    turn_in(x + i * row, row, L, m, to + i, 2 * kStrip);
  }
}

// Whole rows of the innermost kept dimension are taken into a row of states: where that dimension is contiguous in x,
// or the reduced ones are short.
template <class F>
void reduce_columns(const Reducer& r, const Port& x, const Loop<2>& kept, const Loop<2>& over, const F& finish) {
  const int last = kept.ndim - 1;
  const int64_t cols = kept.shape[last], step = kept.stride[1][last];
  const int64_t planes = count_of(kept) / cols, m = count_of(over);
  // A few columns, all contiguous: several rows side by side are one long row, four of which are taken at a time, and whose states
  // are joined at the end.
  const bool narrow = cols <= kCols / 4 && step == 1 && over.ndim == 1 && over.stride[1][0] == cols;
  const int64_t part_rows = narrow ? kPart / cols : kPartRows;
  const int64_t side = narrow && m >= 8 ? least(kCols / 2 / cols, m / 16 + 1) : 1;
  const int64_t strips = (cols + kCols - 1) / kCols, parts = (m + part_rows - 1) / part_rows;
  const bool turn = x.native && x.size >= 4 && m <= kTurned && over.ndim == 1 && over.stride[1][0] == 1 && step != 1;
  auto part_states = [&](int64_t plane, int64_t strip, int64_t part, char* states) {  // states: the first block's
    alignas(64) char buffer[kCols * 8], blocks[kPartRows / kRows * kCols * 8];
    const int64_t begin = strip * kCols, n = cols - begin < kCols ? cols - begin : kCols;
    const int64_t base = offset_of(kept, plane * cols) + begin * step;
    const int64_t first = part * part_rows, end = least(m, first + part_rows);
    if (turn && n >= kLanes<float>) {
      alignas(64) char turned[kTurned * 2 * kStrip * 8];
      r.clear(states, n);
      for (int64_t c = 0, w; c < n; c += w) {
        w = n - c < 2 * kStrip ? n - c : kStrip;
        const char* from = x.data + (base + c * step) * x.size;
        if (x.size == 4) turn_rows(reinterpret_cast<const float*>(from), step, w, m, reinterpret_cast<float*>(turned));
        else turn_rows(reinterpret_cast<const double*>(from), step, w, m, reinterpret_cast<double*>(turned));
        for (int64_t j = 0; j < m; ++j) r.rows(states + c * r.size, turned + j * 2 * kStrip * x.size, w);
      }
      return;
    }
    if (narrow) {
      r.clear(blocks, side * n);
      for (int64_t j = first, w; j < end; j += w) {
        const char* row = x.data + (base + j * n) * x.size;
        w = 4 * side;
        if (x.native && end - j >= w) {
          r.four(blocks, row, side * n, side * n);
          continue;
        }
        w = least(side, end - j);
        if (!x.native) { x.gather(row, 1, buffer, w * n); row = buffer; }
        r.rows(blocks, row, w * n);
      }
      join_tree(r, blocks, side, n, n);
      std::memcpy(states, blocks, n * r.size);
      return;
    }
    const int64_t inner = over.ndim ? over.shape[over.ndim - 1] : 1, down = over.ndim ? over.stride[1][over.ndim - 1] : 0;
    int64_t count = 0, left = 0, at = 0;
    char* const to = end - first <= kRows ? states : blocks;
    for (int64_t b = first; b < end; b += kRows, ++count) {
      char* s = to + count * n * r.size;
      r.clear(s, n);
      for (int64_t j = b, stop = least(b + kRows, end), w; j < stop; j += w, left -= w) {
        if (left == 0) { at = offset_of(over, j); left = inner - j % inner; }
        const char* row = x.data + (base + at) * x.size;
        const bool lies = x.native && step == 1;
        w = lies && least(left, stop - j) >= 4 ? 4 : 1;
        if (!lies) { x.gather(row, step, buffer, n); row = buffer; }
        if (w == 4) r.four(s, row, down, n);
        else r.rows(s, row, n);
        at += w * down;
      }
    }
    if (to == states) return;
    join_tree(r, blocks, count, n, n);
    std::memcpy(states, blocks, n * r.size);
  };
  char* partial = parts > 1 ? static_cast<char*>(scratch(size_t(parts * planes * cols) * r.size)) : nullptr;
  const int64_t task = least(m, part_rows) * least(cols, kCols);
  parallel_blocks(planes * strips * parts, kGrain / (task + 64) + 1, [&](int64_t t, int64_t end) {
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
constexpr Reducer kHalfSum[2] = {reducer<Sum, f16>(), reducer<Sum, bf16>()};
constexpr Reducer kAny = reducer<Any, bool>(), kAll = reducer<All, bool>();

const Reducer& reducer_of(ReduceOp op, Wide w) {
  switch (op) {
    case ReduceOp::any: return kAny;
    case ReduceOp::all: return kAll;
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
  if (a.op == ReduceOp::argmax || a.op == ReduceOp::argmin) return reduce_arg(a);
  const bool half = (a.from == DType::f16 || a.from == DType::bf16) && (a.op == ReduceOp::sum || a.op == ReduceOp::mean);
  const Port x = logic ? port_bool(a.from, a.x) : half ? port_raw(2, a.x) : port(a.from, a.x);
  const Port y = logic ? port_raw(1, a.y) : port(a.to, a.y);
  const Reducer& r = half ? kHalfSum[a.from == DType::bf16] : reducer_of(a.op, wide_of(a.from));
  const int64_t m = count_of(a.over), count = count_of(a.kept);
  if (count == 0) return;
  auto finish = [&](int64_t k, int64_t n, char* states) {
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
  const bool lie = r.many && m <= kBlock && a.kept.ndim == 1 && a.over.ndim == 1 && inner;  // rows, as they are best taken
  const bool across = last >= 0 && a.kept.shape[last] > 1 && !lie &&
                      ((a.kept.stride[1][last] == 1 && !inner) || (m <= kTurned && a.kept.shape[last] >= 64));
  if (across) reduce_columns(r, x, a.kept, a.over, finish);
  else reduce_rows(r, x, a.kept, a.over, finish);
}

template <class A> static void write_moments(const Moments& a) {
  static constexpr Reducer r = {sizeof(Moment<A>), moment_block<A>, nullptr, nullptr, nullptr, moment_join<A>, nullptr};
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
