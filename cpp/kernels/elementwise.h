// SPDX-License-Identifier: MIT
// How every elementwise kernel walks memory. An op is a Run: a loop over contiguous arrays of four arithmetic types
// (float, double, int32_t, int64_t; bool for logic). Strided, broadcast and narrow operands pass through small buffers
// that stay in L1, so one loop an op and type serves every layout and dtype.
#pragma once
#include "copy.h"
#include "past.h"

namespace lamella {
namespace LAMELLA_ISA {

// y[i] = f(x[0][i], x[1][i], ...) for i in [0, n); p: the op's constants. y may be one of the x. past: y is aligned to a vector
// and none of the x, and its whole vectors go past the caches; asked of runs of float and double alone.
using Run = void (*)(void* y, const void* const* x, int64_t n, const double* p, bool past);
// The same over rows of n elements, row i of y at y + i * down[0], of x[k] at x[k] + i * down[k + 1] elements.
using RowsRun = void (*)(void* y, const void* const* x, const int64_t* down, int64_t rows, int64_t n, const double* p);
using Gather = void (*)(const void* x, int64_t stride, void* buffer, int64_t n);   // storage to arithmetic type
using Scatter = void (*)(const void* buffer, void* y, int64_t stride, int64_t n);  // and back

constexpr int64_t kGrain = 32768;     // elements of a task
constexpr int64_t kChunk = 512;       // elements of a buffer
constexpr int64_t kStreamChunk = 64;  // of one that goes past the caches: long bursts of stores hold up the loads

struct Port {  // one operand
  char* data;
  int size, wide;  // bytes of an element in memory, and in the arithmetic type
  bool native;     // these are the same type
  Gather gather;
  Scatter scatter;
};
Port port(DType, const void*);        // as arithmetic type
Port port_raw(int size, const void*);  // as bits
Port port_bool(DType, const void*);    // as bool: x != 0

enum Wide : int { wide_f32, wide_f64, wide_i32, wide_i64, wide_count };
inline __attribute__((always_inline)) Wide wide_of(DType t) {
  return t == DType::f64 ? wide_f64 : t == DType::i64 ? wide_i64 : is_floating(t) ? wide_f32 : wide_i32;
}

// How a result that the caches do not hold is written: by the run, which takes `past`, or by way of a buffer.
enum class Large { cached, past, past_from_buffer };
inline __attribute__((always_inline)) Large large_of(DType t) {
  return kPastRuns && (t == DType::f32 || t == DType::f64) ? Large::past : Large::past_from_buffer;
}
// Calls run over the loop; port[0] is the output. A null run copies operand 1.
// rows: of binary ops, or null: RowsRuns for broadcast operands as they lie; [1 + k] takes one element a row of operand k.
void drive(int operands, int ndim, const int64_t* shape, const int64_t (*stride)[kLoopDims], const Port* port, Run run,
           const double* p, Large large, const RowsRun* rows);

template <int N>
LAMELLA_INLINE void drive(const Loop<N>& loop, const Port (&port)[N], Run run, const double* p, Large large = Large::cached,
                          const RowsRun* rows = nullptr) {
  drive(N, loop.ndim, loop.shape, loop.stride, port, run, p, large, rows);
}

// True where all operands are plain arrays, and few enough elements for one task: the Run is called at once.
template <int N> LAMELLA_INLINE bool is_small_run(const Loop<N>& loop, int64_t& n) {
  n = loop.ndim ? loop.shape[0] : 1;
  if (loop.ndim > 1 || n > kGrain) return false;
  if (loop.ndim == 1)
    for (int k = 0; k < N; ++k) if (loop.stride[k][0] != 1) return false;
  return true;
}

// The loops of most Runs: f on whole vectors, then on the tail. T: what lies in memory.
template <class T, class F> LAMELLA_INLINE void map1(void* y, const void* const* x, int64_t n, bool past, const F& f) {
  constexpr int64_t L = kLanes<acc_t<T>>;
  const T* a = static_cast<const T*>(x[0]);
  T* o = static_cast<T*>(y);
  int64_t i = 0;
  for (; i + L <= n; i += L) vput<T>(o + i, f(vload(a + i)), past);
  if (i < n) vstore<T>(o + i, f(vload(a + i, n - i)), n - i);
}
template <class T, class F> LAMELLA_INLINE void map2(void* y, const void* const* x, int64_t n, bool past, const F& f) {
  constexpr int64_t L = kLanes<acc_t<T>>;
  const T *a = static_cast<const T*>(x[0]), *b = static_cast<const T*>(x[1]);
  T* o = static_cast<T*>(y);
  int64_t i = 0;
  for (; i + L <= n; i += L) vput<T>(o + i, f(vload(a + i), vload(b + i)), past);
  if (i < n) vstore<T>(o + i, f(vload(a + i, n - i), vload(b + i, n - i)), n - i);
}
template <class T, class F> LAMELLA_INLINE void map3(void* y, const void* const* x, int64_t n, bool past, const F& f) {
  constexpr int64_t L = kLanes<acc_t<T>>;
  const T *a = static_cast<const T*>(x[0]), *b = static_cast<const T*>(x[1]), *c = static_cast<const T*>(x[2]);
  T* o = static_cast<T*>(y);
  int64_t i = 0;
  for (; i + L <= n; i += L) vput<T>(o + i, f(vload(a + i), vload(b + i), vload(c + i)), past);
  if (i < n) vstore<T>(o + i, f(vload(a + i, n - i), vload(b + i, n - i), vload(c + i, n - i)), n - i);
}
// Element by element, vectorised by the compiler: integers and predicates. y is an x or overlaps none (ivdep).
template <class A, class O, class F> LAMELLA_INLINE void each1(void* y, const void* const* x, int64_t n, const F& f) {
  const A* a = static_cast<const A*>(x[0]);
  O* o = static_cast<O*>(y);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) o[i] = f(a[i]);
}
template <class A, class O, class F> LAMELLA_INLINE void each2(void* y, const void* const* x, int64_t n, const F& f) {
  const A *a = static_cast<const A*>(x[0]), *b = static_cast<const A*>(x[1]);
  O* o = static_cast<O*>(y);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) o[i] = f(a[i], b[i]);
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
