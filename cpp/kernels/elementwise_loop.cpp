// SPDX-License-Identifier: MIT
// The walk shared by all elementwise kernels: operands, buffers, tasks.
#include "elementwise.h"
#include "gather_rows.h"

namespace lamella {
namespace LAMELLA_ISA {

// ---- between storage and arithmetic types ---------------------------------------------------------------------------
template <class A, class T> LAMELLA_INLINE A widened(T x) { return A(up(x)); }
template <class T, class A> LAMELLA_INLINE T narrowed(A x) {
  if constexpr (__is_same(T, bool)) return x != 0;
  else if constexpr (__is_same(acc_t<T>, T)) return T(x);
  else return down<T>(x);
}

template <class T, class A> static void gather(const void* x, int64_t stride, void* buffer, int64_t n) {
  const T* s = static_cast<const T*>(x);
  A* d = static_cast<A*>(buffer);
  if (stride == 0) {
    A value = widened<A>(*s);
    for (int64_t i = 0; i < n; ++i) d[i] = value;
  } else if (stride == 1) {
    if constexpr (__is_same(T, A)) copy_bytes(d, s, n * int64_t(sizeof(T)));
    else if constexpr (!__is_same(acc_t<T>, T)) {
      int64_t i = 0;
      for (; i + kLanes<A> <= n; i += kLanes<A>) vstore<A>(d + i, vload(s + i));
      if (i < n) vstore<A>(d + i, vload(s + i, n - i), n - i);
    } else {
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) d[i] = widened<A>(s[i]);
    }
  } else if (stride == -1) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) d[i] = widened<A>(s[-i]);
  } else {
    for (int64_t i = 0; i < n; ++i) d[i] = widened<A>(s[i * stride]);
  }
}

template <class T, class A> static void scatter(const void* buffer, void* y, int64_t stride, int64_t n) {
  const A* s = static_cast<const A*>(buffer);
  T* d = static_cast<T*>(y);
  if (stride == 1) {
    if constexpr (__is_same(T, A)) copy_bytes(d, s, n * int64_t(sizeof(T)));
    else if constexpr (!__is_same(acc_t<T>, T)) {
      int64_t i = 0;
      for (; i + kLanes<A> <= n; i += kLanes<A>) vstore<T>(d + i, vload(s + i));
      if (i < n) vstore<T>(d + i, vload(s + i, n - i), n - i);
    } else {
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) d[i] = narrowed<T>(s[i]);
    }
  } else {
    for (int64_t i = 0; i < n; ++i) d[i * stride] = narrowed<T>(s[i]);
  }
}

template <class T, class A> static Port make_port(const void* data) {
  return {static_cast<char*>(const_cast<void*>(data)), sizeof(T), sizeof(A), __is_same(T, A), gather<T, A>,
          scatter<T, A>};
}

Port port(DType t, const void* data) {
  switch (t) {
    case DType::f64: return make_port<double, double>(data);
    case DType::f32: return make_port<float, float>(data);
    case DType::f16: return make_port<f16, float>(data);
    case DType::bf16: return make_port<bf16, float>(data);
    case DType::i64: return make_port<int64_t, int64_t>(data);
    case DType::i32: return make_port<int32_t, int32_t>(data);
    case DType::i16: return make_port<int16_t, int32_t>(data);
    case DType::i8: return make_port<int8_t, int32_t>(data);
    case DType::u8: return make_port<uint8_t, int32_t>(data);
    case DType::b8: break;
  }
  return {static_cast<char*>(const_cast<void*>(data)), sizeof(bool), sizeof(int32_t), false, gather<uint8_t, int32_t>,
          scatter<bool, int32_t>};  // read as 0 and 1: compilers do not vectorise loops over bool
}

Port port_raw(int size, const void* data) {
  return by_size(size, [&](auto t) { return make_port<decltype(t), decltype(t)>(data); });
}

template <class T> static void gather_bool(const void* x, int64_t stride, void* buffer, int64_t n) {
  const T* s = static_cast<const T*>(x);
  bool* d = static_cast<bool*>(buffer);
  if (stride == 1)
    for (int64_t i = 0; i < n; ++i) d[i] = up(s[i]) != 0;
  else
    for (int64_t i = 0; i < n; ++i) d[i] = up(s[i * stride]) != 0;
}

Port port_bool(DType t, const void* data) {
  Port p = port_raw(1, data);
  if (t == DType::b8) return p;
  p.native = false;
  p.size = size_of(t);
  switch (t) {
    case DType::f64: p.gather = gather_bool<double>; break;
    case DType::f32: p.gather = gather_bool<float>; break;
    case DType::f16: p.gather = gather_bool<f16>; break;
    case DType::bf16: p.gather = gather_bool<bf16>; break;
    case DType::i64: p.gather = gather_bool<int64_t>; break;
    case DType::i32: p.gather = gather_bool<int32_t>; break;
    case DType::i16: p.gather = gather_bool<int16_t>; break;
    default: p.gather = gather_bool<uint8_t>; break;
  }
  return p;
}

// ---- the walk -------------------------------------------------------------------------------------------------------
namespace {
constexpr int kOperands = 4;
constexpr int64_t kShortRow = 128;  // elements of a row from which on rows are run one by one
constexpr int64_t kStreamTraffic = 64 << 20;  // nor is half of kStreamBytes in the caches where operands take its place

struct Plan {
  int operands, ndim;
  int64_t shape[kLoopDims], stride[kOperands][kLoopDims];
  Port port[kOperands];
  bool flat[kOperands];      // one contiguous array over the whole loop
  bool constant[kOperands];  // one element for the whole loop
  bool same_row[kOperands];  // one row for the whole loop, of more than one element
  Run run;
  const double* p;
  bool past, buffered;       // results go past the caches: the run sees to it; from a buffer
};

struct Position {  // a row of the loop, and each operand's element offset at its start
  int64_t index[kLoopDims], offset[kOperands];

  void seek(const Plan& plan, int64_t row) {
    for (int k = 0; k < plan.operands; ++k) offset[k] = 0;
    for (int d = plan.ndim - 2; d >= 0; --d) {
      index[d] = row % plan.shape[d];
      row /= plan.shape[d];
      for (int k = 0; k < plan.operands; ++k) offset[k] += index[d] * plan.stride[k][d];
    }
  }
  void skip(const Plan& plan, int64_t rows) {  // as many calls of next(), no more than are left in their dimension
    const int d = plan.ndim - 2;
    for (int k = 0; k < plan.operands; ++k) offset[k] += (rows - 1) * plan.stride[k][d];
    index[d] += rows - 1;
    next(plan);
  }
  void next(const Plan& plan) {
    for (int d = plan.ndim - 2; d >= 0; --d) {
      for (int k = 0; k < plan.operands; ++k) offset[k] += plan.stride[k][d];
      if (++index[d] < plan.shape[d]) return;
      for (int k = 0; k < plan.operands; ++k) offset[k] -= plan.shape[d] * plan.stride[k][d];
      index[d] = 0;
    }
  }
};

struct Buffers { alignas(64) char of[kOperands][kChunk * 8 + 64]; };
}  // namespace

static LAMELLA_INLINE char* element(const Plan& plan, int k, int64_t offset) {
  return plan.port[k].data + offset * plan.port[k].size;
}

// Gathers of a few elements each: vector code would spend more on its own start than on them.
__attribute__((optimize("no-tree-vectorize")))
static void gather_piece(const Port& port, const char* x, int64_t stride, char* buffer, int64_t n) {
  if (!port.native || port.size != 4 || (n >= 16 && (stride == 1 || stride == 0))) return port.gather(x, stride, buffer, n);
  uint32_t* to = reinterpret_cast<uint32_t*>(buffer);
  const uint32_t* from = reinterpret_cast<const uint32_t*>(x);
  for (int64_t i = 0; i < n; ++i) to[i] = from[i * stride];
}

// Runs stretches of rows; what all rows have in common is found once.
class RowRunner {
 public:
  RowRunner(const Plan& plan, Buffers& buffers) : plan_(plan), buffers_(buffers), last_(plan.ndim - 1) {
    one_value_ = !plan.run && plan.port[0].native && plan.port[1].native && plan.stride[0][last_] == 1 && plan.stride[1][last_] == 0;
    for (int k = 0; k < plan.operands; ++k) {
      direct_[k] = plan.port[k].native && plan.stride[k][last_] == 1;
      whole_ &= direct_[k];
    }
  }
  bool in_place() const { return whole_ && plan_.run && !plan_.buffered; }  // operands are read, and results written, where they lie
  // Elements [at, at + n) of the row at `pos`.
  LAMELLA_INLINE void operator()(const Position& pos, int64_t at, int64_t n) const {
    if (!in_place()) return in_chunks(pos, at, n);
    const void* x[kOperands];
    for (int k = 1; k < plan_.operands; ++k) x[k - 1] = element(plan_, k, pos.offset[k] + at);
    plan_.run(element(plan_, 0, pos.offset[0] + at), x, n, plan_.p, plan_.past);
  }

 private:
  const Plan& plan_;
  Buffers& buffers_;
  const int last_;
  bool one_value_, direct_[kOperands], whole_ = true;

  // Zeros go past the caches at 2.6 times the rate of other values, which gain nothing there (EPYC, Zen 5).
  void fill_row(const Position& pos, int64_t at, int64_t n) const {
    const Port& in = plan_.port[1];
    const char* value = element(plan_, 1, pos.offset[1]);
    char* y = element(plan_, 0, pos.offset[0] + at);
    bool zero = true;
    for (int i = 0; i < in.size; ++i) zero &= value[i] == 0;
    if (!plan_.buffered || !zero) return in.gather(value, 0, y, n);
    in.gather(value, 0, buffers_.of[1], kChunk);
    for (int64_t i = 0; i < n; i += kChunk) stream_out(buffers_.of[1], y + i * in.size, least(kChunk, n - i) * in.size);
  }
  void in_chunks(const Position& pos, int64_t at, int64_t n) const {
    const Plan& plan = plan_;
    if (one_value_) return fill_row(pos, at, n);
    for (int k = 1; k < plan.operands; ++k)
      if (plan.stride[k][last_] == 0 && !direct_[k])  // one value for the row
        plan.port[k].gather(element(plan, k, pos.offset[k]), 0, buffers_.of[k], n < kChunk ? n : kChunk);
    const int64_t chunk = plan.buffered ? kStreamChunk : whole_ ? n : kChunk;
    for (int64_t end = at + n; at < end; at += chunk) {
      const int64_t m = end - at < chunk ? end - at : chunk;
      const void* x[kOperands];
      char* y = element(plan, 0, pos.offset[0] + at * plan.stride[0][last_]);
      char* to = direct_[0] && !plan.buffered ? y : buffers_.of[0];
      for (int k = 1; k < plan.operands; ++k) {
        const int64_t s = plan.stride[k][last_];
        char* p = element(plan, k, pos.offset[k] + at * s);
        x[k - 1] = direct_[k] ? p : buffers_.of[k];
        if (!direct_[k] && s != 0) {
          if (!plan.run && direct_[0]) { plan.port[k].gather(p, s, to, m); x[0] = to; }
          else plan.port[k].gather(p, s, buffers_.of[k], m);
        }
      }
      if (plan.run) plan.run(to, x, m, plan.p, plan.past);
      if (plan.buffered) {
        stream_out(plan.run ? to : static_cast<const char*>(x[0]), y, m * plan.port[0].size);
      } else if (!plan.run) {
        if (!direct_[0]) plan.port[0].scatter(x[0], y, plan.stride[0][last_], m);
        else if (x[0] != y) copy_bytes(y, x[0], m * plan.port[0].size);
      } else if (!direct_[0]) {
        plan.port[0].scatter(to, y, plan.stride[0][last_], m);
      }
    }
  }
};

// Whether a copy's rows are reversed, as a flipped image's, and worth a loop of their own.
static bool reverses(const Plan& plan) {
  const int last = plan.ndim - 1, size = plan.port[0].size;
  return !plan.buffered && plan.stride[1][last] == -1 && size >= 4 && plan.shape[last] >= kVecBytes / size && plan.shape[last] <= kChunk;
}

// Elements [begin, end) of a copy whose rows are contiguous on both sides, or reversed, or of a fill of short ones.
static void copy_part(const Plan& plan, int64_t begin, int64_t end) {
  alignas(64) char value[kChunk * 8];
  const int last = plan.ndim - 1, size = plan.port[0].size;
  const int64_t inner = plan.shape[last];
  int64_t at = begin % inner, down[2] = {};
  for (int k = 0; last > 0 && k < 2; ++k) down[k] = plan.stride[k][last - 1] * size;
  if (plan.constant[1]) plan.port[1].gather(plan.port[1].data, 0, value, inner);
  const bool reversed = reverses(plan);
  if (reversed) begin = ceil_div(begin, inner) * inner, end = ceil_div(end, inner) * inner, at = 0;  // whole rows
  Position pos;
  pos.seek(plan, begin / inner);
  while (begin < end) {
    char* to = element(plan, 0, pos.offset[0] + at);
    const char* from = plan.constant[1] ? value : element(plan, 1, pos.offset[1] + at);
    const bool whole = at == 0 && end - begin >= inner && !plan.buffered;
    const int64_t rows = whole && last > 0 ? least((end - begin) / inner, plan.shape[last - 1] - pos.index[last - 1]) : 1;
    const int64_t n = whole ? inner : least(inner - at, end - begin);
    if (plan.buffered) stream_out(from, to, n * size);
    else if (reversed) (size == 4 ? reverse_strided<float> : reverse_strided<double>)(to, down[0], from, down[1], rows, n);
    else copy_strided(to, down[0], from, down[1], rows, n * size);
    begin += rows * n, at = 0;
    if (last > 0) pos.skip(plan, rows);
  }
  if (plan.buffered) stream_end();
}

// The same of any operand, in its arithmetic type; of narrow ones where rows have one element each.
static bool blocks_apt(const Port& in, int64_t across) { return in.native ? in.size != 2 : in.wide == 4 && across == 0; }
static void gather_block_of(const Port& in, const char* x, int64_t across, int64_t down, int64_t rows, int64_t inner, char* to) {
  const auto as = [&](auto t) __attribute__((always_inline)) {
    gather_block(reinterpret_cast<const decltype(t)*>(x), across, down, rows, inner, reinterpret_cast<decltype(t)*>(to));
  };
  if (!in.native) {
    alignas(64) float column[kChunk];
    in.gather(x, down, column, rows);
    gather_block(column, 0, 1, rows, inner, reinterpret_cast<float*>(to));
  } else if (in.size == 1) {
    gather_bytes(reinterpret_cast<const uint8_t*>(x), across, down, rows, inner, reinterpret_cast<uint8_t*>(to));
  } else if (in.size == 4) {
    as(float());
  } else {
    as(double());
  }
}

// Rows too short to be run one by one: chunks of elements in row-major order, whole rows but at the ends.
static void run_across(const Plan& plan, Buffers& buffers, int64_t begin, int64_t end) {
  const int last = plan.ndim - 1;
  const int64_t inner = plan.shape[last], chunk = kChunk / inner * inner;
  Position pos;
  pos.seek(plan, begin / inner);
  int64_t at = begin % inner;
  bool blocks = true, pieces = !plan.flat[0];  // some operands come row by row; all of these in blocks of rows
  for (int k = 1; k < plan.operands; ++k) {
    const Port& in = plan.port[k];
    if (plan.constant[k]) in.gather(in.data, 0, buffers.of[k], kChunk);
    if (plan.same_row[k])
      for (int64_t i = 0; i < chunk; i += inner) in.gather(in.data, plan.stride[k][last], buffers.of[k] + i * in.wide, inner);
    if (plan.flat[k] || plan.constant[k] || plan.same_row[k]) continue;
    pieces = true;
    blocks &= blocks_apt(in, plan.stride[k][last]);
  }
  while (begin < end) {
    const int64_t most = at ? inner - at : chunk, n = end - begin < most ? end - begin : most;
    const void* x[kOperands];
    for (int k = 1; k < plan.operands; ++k) {
      const bool direct = plan.flat[k] && plan.port[k].native;
      x[k - 1] = direct ? element(plan, k, begin) : buffers.of[k] + (plan.same_row[k] ? at * plan.port[k].wide : 0);
      if (plan.flat[k] && !direct) plan.port[k].gather(element(plan, k, begin), 1, buffers.of[k], n);
    }
    const Position start = pos;
    const int64_t start_at = at;
    for (int64_t done = 0; pieces && done < n;) {
      const bool block = blocks && at == 0 && n - done >= inner;
      const int64_t rows = block ? least((n - done) / inner, plan.shape[last - 1] - pos.index[last - 1]) : 1;
      const int64_t m = block ? rows * inner : least(inner - at, n - done);
      for (int k = 1; k < plan.operands; ++k) {
        if (plan.flat[k] || plan.constant[k] || plan.same_row[k]) continue;
        const int64_t s = plan.stride[k][last], down = plan.stride[k][last - 1];
        const Port& in = plan.port[k];
        const char* from = element(plan, k, pos.offset[k] + at * s);
        char* to = buffers.of[k] + done * in.wide;
        if (block) gather_block_of(in, from, s, down, rows, inner, to);
        else gather_piece(in, from, s, to, m);
      }
      done += m;
      at += m;
      if (block) { at = 0; pos.skip(plan, rows); }
      else if (at == inner) { at = 0; pos.next(plan); }
    }
    if (!pieces) at = (at + n) % inner;
    const Port& out = plan.port[0];
    const bool direct = plan.flat[0] && out.native;
    void* y = direct ? element(plan, 0, begin) : buffers.of[0];
    if (plan.run) plan.run(y, x, n, plan.p, false);
    else if (direct) copy_bytes(y, x[0], n * out.size);
    const char* from = plan.run ? buffers.of[0] : static_cast<const char*>(x[0]);
    if (plan.flat[0] && !direct) out.scatter(from, element(plan, 0, begin), 1, n);
    if (!plan.flat[0]) {
      Position to = start;
      int64_t to_at = start_at;
      for (int64_t done = 0; done < n;) {
        const int64_t m = least(inner - to_at, n - done), s = plan.stride[0][last];
        out.scatter(from + done * out.wide, element(plan, 0, to.offset[0] + to_at * s), s, m);
        done += m;
        to_at += m;
        if (to_at == inner) { to_at = 0; to.next(plan); }
      }
    }
    begin += n;
  }
}

// Whether rows of a binary op are run as they lie: those that fill vectors, or leave parts where these cost nothing; one row with
// a number too.
static bool rows_apt(const Plan& plan) {
  const int last = plan.ndim - 1;
  const int64_t inner = plan.shape[last], a = plan.stride[1][last], b = plan.stride[2][last];
  const bool adjacent = plan.stride[0][last] == 1 && (a == 1 || a == 0) && (b == 1 || b == 0) && a + b > 0;
  const bool fills = inner >= kLanes<float> && (kVecBytes == 64 || inner % kLanes<float> == 0 || inner >= 64);
  return !plan.past && !plan.buffered && adjacent && fills && (last > 0 || a != b);
}
static void run_rows(const Plan& plan, RowsRun run, int64_t begin, int64_t end) {
  const int last = plan.ndim - 1;
  const int64_t inner = plan.shape[last];
  int64_t down[3] = {}, at = begin % inner;
  for (int k = 0; last > 0 && k < 3; ++k) down[k] = plan.stride[k][last - 1];
  Position pos;
  pos.seek(plan, begin / inner);
  while (begin < end) {
    const bool whole = at == 0 && end - begin >= inner;
    const int64_t rows = whole && last > 0 ? least((end - begin) / inner, plan.shape[last - 1] - pos.index[last - 1]) : 1;
    const int64_t n = whole ? inner : least(inner - at, end - begin);
    const void* const x[2] = {element(plan, 1, pos.offset[1] + at * plan.stride[1][last]),
                              element(plan, 2, pos.offset[2] + at * plan.stride[2][last])};
    run(element(plan, 0, pos.offset[0] + at), x, down, rows, n, plan.p);
    begin += rows * n, at = 0;
    if (last > 0) pos.skip(plan, rows);
  }
}

void drive(int operands, int ndim, const int64_t* shape, const int64_t (*stride)[kLoopDims], const Port* port, Run run,
           const double* p, Large large, const RowsRun* rows) {
  Plan plan;
  plan.operands = operands;
  plan.ndim = ndim ? ndim : 1;
  plan.run = run;
  plan.p = p;
  int64_t total = 1;
  for (int d = 0; d < plan.ndim; ++d) total *= plan.shape[d] = ndim ? shape[d] : 1;
  if (total == 0) return;
  for (int k = 0; k < operands; ++k) {
    plan.port[k] = port[k];
    plan.flat[k] = plan.constant[k] = plan.same_row[k] = true;
    int64_t expected = 1;
    for (int d = plan.ndim - 1; d >= 0; --d) {
      const int64_t s = plan.stride[k][d] = ndim ? stride[k][d] : 1;
      plan.flat[k] &= s == expected;
      plan.constant[k] &= s == 0;
      plan.same_row[k] &= (s == 0) == (d < plan.ndim - 1);
      expected *= plan.shape[d];
    }
  }
  const int64_t result = total * port[0].size;
  int64_t traffic = result;
  bool stream = large != Large::cached && plan.flat[0] && port[0].native, plain = true;
  for (int k = 1; k < operands; ++k) {
    stream &= port[k].data != port[0].data;  // in place, its lines are there already
    plain &= plan.flat[k] || plan.constant[k];
    if (plan.flat[k]) traffic += total * port[k].size;
  }
  stream &= result >= kStreamBytes || (result >= kStreamBytes / 2 && traffic >= kStreamTraffic);
  plan.past = stream && large == Large::past && plain && reinterpret_cast<uintptr_t>(port[0].data) % kVecBytes == 0;
  plan.buffered = stream && !plan.past;
  const int last = plan.ndim - 1;
  const int64_t inner = plan.shape[last];
  const bool filled = !run && plan.constant[1] && last > 0 && inner <= kChunk;  // rows of one value
  if (!run && inner > 1 && plan.stride[0][last] == 1 && (plan.stride[1][last] == 1 || filled || reverses(plan)) && port[0].native && port[1].native &&
      port[0].size == port[1].size) {
    parallel_blocks(total, kGrain, [&](int64_t begin, int64_t end) { copy_part(plan, begin, end); });
    return;
  }
  if (rows && rows_apt(plan)) {
    const RowsRun of_rows = rows[plan.stride[1][last] == 0 ? 1 : plan.stride[2][last] == 0 ? 2 : 0];
    parallel_blocks(total, kGrain, [&](int64_t begin, int64_t end) { run_rows(plan, of_rows, begin, end); });
    return;
  }
  parallel_blocks(total, kGrain, [&](int64_t begin, int64_t end) {
    Buffers buffers;
    const RowRunner run_row(plan, buffers);
    if (plan.ndim > 1 && inner < (run_row.in_place() ? kShortRow / 2 : kShortRow)) return run_across(plan, buffers, begin, end);
    Position pos;
    pos.seek(plan, begin / inner);
    for (int64_t at = begin % inner; begin < end; at = 0, pos.next(plan)) {
      const int64_t n = inner - at < end - begin ? inner - at : end - begin;
      run_row(pos, at, n);
      begin += n;
    }
    if (stream) stream_end();
  });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
