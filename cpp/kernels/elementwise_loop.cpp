// SPDX-License-Identifier: MIT
// The walk shared by all elementwise kernels: operands, buffers, tasks.
#include "elementwise.h"

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
  switch (size) {
    case 1: return make_port<uint8_t, uint8_t>(data);
    case 2: return make_port<uint16_t, uint16_t>(data);
    case 4: return make_port<uint32_t, uint32_t>(data);
    default: return make_port<uint64_t, uint64_t>(data);
  }
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
constexpr int64_t kStreamBytes = 32 << 20;  // a result of that size is not in the caches by the time it is read;
constexpr int64_t kStreamTraffic = 64 << 20;  // nor is half of it where operands take their place

struct Plan {
  int operands, ndim;
  int64_t shape[kLoopDims], stride[kOperands][kLoopDims];
  Port port[kOperands];
  bool flat[kOperands];      // one contiguous array over the whole loop
  bool constant[kOperands];  // one element for the whole loop
  Run run;
  const Run* ones;           // where an operand is one element of the row, or null
  const double* p;
  bool stream;               // results go past the caches
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

struct Buffers { alignas(64) char of[kOperands][kChunk * 8]; };
}  // namespace

// Bytes from a buffer to `to`, whole lines past the caches.
static void stream_out(const char* from, char* to, int64_t bytes) {
  constexpr int64_t step = kLanes<float> * 4;
  const int64_t before = -reinterpret_cast<intptr_t>(to) & (step - 1), head = before < bytes ? before : bytes;
  if (head) std::memcpy(to, from, size_t(head));
  int64_t i = head;
  for (; i + step <= bytes; i += step) vstream(reinterpret_cast<float*>(to + i), vload(reinterpret_cast<const float*>(from + i)));
  if (i < bytes) std::memcpy(to + i, from + i, size_t(bytes - i));
}

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

// A stretch of one row: elements [at, at + n) of the row at `pos`.
static void run_row(const Plan& plan, Buffers& buffers, const Position& pos, int64_t at, int64_t n) {
  const int last = plan.ndim - 1;
  if (!plan.run && plan.port[0].native && plan.port[1].native && plan.stride[0][last] == 1 && plan.stride[1][last] == 0)  // copies of one value
    return plan.port[1].gather(element(plan, 1, pos.offset[1]), 0, element(plan, 0, pos.offset[0] + at), n);
  bool direct[kOperands], whole = true;
  Run run = plan.run;
  for (int k = 0; k < plan.operands; ++k) {
    direct[k] = plan.port[k].native && plan.stride[k][last] == 1;
    if (k && plan.stride[k][last] == 0 && plan.ones && plan.port[k].native && run == plan.run) {
      run = plan.ones[k - 1];
      direct[k] = true;
    }
    whole &= direct[k];
    if (k && plan.stride[k][last] == 0 && !direct[k]) {  // one value for the row
      const Port& q = plan.port[k];
      q.gather(element(plan, k, pos.offset[k]), 0, buffers.of[k], n < kChunk ? n : kChunk);
    }
  }
  const int64_t chunk = whole && !plan.stream ? n : kChunk;
  for (int64_t end = at + n; at < end; at += chunk) {
    const int64_t m = end - at < chunk ? end - at : chunk;
    const void* x[kOperands];
    char* y = element(plan, 0, pos.offset[0] + at * plan.stride[0][last]);
    for (int k = 1; k < plan.operands; ++k) {
      const int64_t s = plan.stride[k][last];
      char* p = element(plan, k, pos.offset[k] + at * s);
      x[k - 1] = direct[k] ? p : buffers.of[k];
      if (!direct[k] && s != 0) {
        if (!plan.run && direct[0]) { plan.port[k].gather(p, s, y, m); x[0] = y; }
        else plan.port[k].gather(p, s, buffers.of[k], m);
      }
    }
    if (run) run(direct[0] && !plan.stream ? y : buffers.of[0], x, m, plan.p);
    if (plan.stream) {
      stream_out(buffers.of[0], y, m * plan.port[0].size);
    } else if (!plan.run) {
      if (!direct[0]) plan.port[0].scatter(x[0], y, plan.stride[0][last], m);
      else if (x[0] != y) copy_bytes(y, x[0], m * plan.port[0].size);
    } else if (!direct[0]) {
      plan.port[0].scatter(buffers.of[0], y, plan.stride[0][last], m);
    }
  }
}

// Elements [begin, end) of a copy whose rows are contiguous on both sides.
static void copy_rows(const Plan& plan, int64_t begin, int64_t end) {
  const int64_t inner = plan.shape[plan.ndim - 1];
  Position pos;
  pos.seek(plan, begin / inner);
  for (int64_t at = begin % inner; begin < end; at = 0, pos.next(plan)) {
    const int64_t n = inner - at < end - begin ? inner - at : end - begin;
    copy_bytes(element(plan, 0, pos.offset[0] + at), element(plan, 1, pos.offset[1] + at), n * plan.port[0].size);
    begin += n;
  }
}

// Rows of a few words each: `rows` of them, `inner` long, of one side of the loop, column by column into the buffer.
static void gather_columns(const Plan& plan, int k, const Position& pos, int64_t rows, int64_t inner, char* buffer) {
  const int last = plan.ndim - 1;
  const int64_t across = plan.stride[k][last], down = plan.stride[k][last - 1];
  uint32_t* to = reinterpret_cast<uint32_t*>(buffer);
  for (int64_t j = 0; j < inner; ++j) {
    const uint32_t* from = reinterpret_cast<const uint32_t*>(element(plan, k, pos.offset[k] + j * across));
    if (down == 1) {
      for (int64_t i = 0; i < rows; ++i) to[i * inner + j] = from[i];
    } else {
      for (int64_t i = 0; i < rows; ++i) to[i * inner + j] = from[i * down];
    }
  }
}

// Rows too short to be run one by one: chunks of elements in row-major order, across rows.
static void run_across(const Plan& plan, Buffers& buffers, int64_t begin, int64_t end) {
  const int last = plan.ndim - 1;
  const int64_t inner = plan.shape[last];
  Position pos;
  pos.seek(plan, begin / inner);
  int64_t at = begin % inner;
  for (int k = 1; k < plan.operands; ++k)
    if (plan.constant[k]) plan.port[k].gather(plan.port[k].data, 0, buffers.of[k], kChunk);
  bool columns = inner <= 8;
  for (int k = 1; k < plan.operands; ++k) columns &= plan.flat[k] || plan.constant[k] || (plan.port[k].native && plan.port[k].size == 4);
  for (; begin < end; begin += kChunk) {
    const int64_t n = end - begin < kChunk ? end - begin : kChunk;
    const void* x[kOperands];
    bool pieces = !plan.flat[0];
    for (int k = 1; k < plan.operands; ++k) {
      const bool direct = plan.flat[k] && plan.port[k].native;
      x[k - 1] = direct ? element(plan, k, begin) : buffers.of[k];
      if (plan.flat[k] && !direct) plan.port[k].gather(element(plan, k, begin), 1, buffers.of[k], n);
      pieces |= !plan.flat[k] && !plan.constant[k];
    }
    const Position start = pos;
    const int64_t start_at = at;
    if (pieces)
      for (int64_t done = 0; done < n;) {
        if (columns && at == 0 && n - done >= 4 * inner) {
          int64_t rows = plan.shape[last - 1] - pos.index[last - 1];
          if (rows > (n - done) / inner) rows = (n - done) / inner;
          for (int k = 1; k < plan.operands; ++k)
            if (!plan.flat[k] && !plan.constant[k]) gather_columns(plan, k, pos, rows, inner, buffers.of[k] + done * 4);
          done += rows * inner;
          pos.skip(plan, rows);
          continue;
        }
        const int64_t m = inner - at < n - done ? inner - at : n - done;
        for (int k = 1; k < plan.operands; ++k) {
          if (plan.flat[k] || plan.constant[k]) continue;
          const int64_t s = plan.stride[k][last];
          const Port& in = plan.port[k];
          gather_piece(in, element(plan, k, pos.offset[k] + at * s), s, buffers.of[k] + done * in.wide, m);
        }
        done += m;
        at += m;
        if (at == inner) { at = 0; pos.next(plan); }
      }
    const Port& out = plan.port[0];
    const bool direct = plan.flat[0] && out.native;
    void* y = direct ? element(plan, 0, begin) : buffers.of[0];
    if (plan.run) plan.run(y, x, n, plan.p);
    else if (direct) copy_bytes(y, x[0], n * out.size);
    const char* from = plan.run ? buffers.of[0] : static_cast<const char*>(x[0]);
    if (plan.flat[0] && !direct) out.scatter(from, element(plan, 0, begin), 1, n);
    if (!plan.flat[0]) {
      Position to = start;
      int64_t to_at = start_at;
      for (int64_t done = 0; done < n;) {
        const int64_t m = inner - to_at < n - done ? inner - to_at : n - done, s = plan.stride[0][last];
        out.scatter(from + done * out.wide, element(plan, 0, to.offset[0] + to_at * s), s, m);
        done += m;
        to_at += m;
        if (to_at == inner) { to_at = 0; to.next(plan); }
      }
    }
  }
}

void drive(int operands, int ndim, const int64_t* shape, const int64_t (*stride)[kLoopDims], const Port* port, Run run,
           const double* p, bool cheap, const Run* ones) {
  Plan plan;
  plan.operands = operands;
  plan.ndim = ndim ? ndim : 1;
  plan.run = run;
  plan.ones = ones;
  plan.p = p;
  int64_t total = 1;
  for (int d = 0; d < plan.ndim; ++d) total *= plan.shape[d] = ndim ? shape[d] : 1;
  if (total == 0) return;
  for (int k = 0; k < operands; ++k) {
    plan.port[k] = port[k];
    plan.flat[k] = plan.constant[k] = true;
    int64_t expected = 1;
    for (int d = plan.ndim - 1; d >= 0; --d) {
      const int64_t s = plan.stride[k][d] = ndim ? stride[k][d] : 1;
      plan.flat[k] &= s == expected;
      plan.constant[k] &= s == 0;
      expected *= plan.shape[d];
    }
  }
  const int64_t result = total * port[0].size;
  int64_t traffic = result;
  plan.stream = cheap && run && plan.flat[0] && port[0].native;
  for (int k = 1; k < operands; ++k) {
    plan.stream &= port[k].data != port[0].data;  // in place, its lines are there already
    if (plan.flat[k]) traffic += total * port[k].size;
  }
  plan.stream &= result >= kStreamBytes || (result >= kStreamBytes / 2 && traffic >= kStreamTraffic);
  const int last = plan.ndim - 1;
  const int64_t inner = plan.shape[last];
  if (!run && inner > 1 && plan.stride[0][last] == 1 && plan.stride[1][last] == 1 && port[0].native && port[1].native &&
      port[0].size == port[1].size) {
    parallel_blocks(total, kGrain, [&](int64_t begin, int64_t end) { copy_rows(plan, begin, end); });
    return;
  }
  parallel_blocks(total, kGrain, [&](int64_t begin, int64_t end) {
    Buffers buffers;
    if (plan.ndim > 1 && inner < 128) return run_across(plan, buffers, begin, end);
    Position pos;
    pos.seek(plan, begin / inner);
    for (int64_t at = begin % inner; begin < end; at = 0, pos.next(plan)) {
      const int64_t n = inner - at < end - begin ? inner - at : end - begin;
      run_row(plan, buffers, pos, at, n);
      begin += n;
    }
    if (plan.stream) stream_end();
  });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
