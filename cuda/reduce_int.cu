// SPDX-License-Identifier: MIT
// Reductions of integers and bools; any and all of anything.
#include "reduce.cuh"

namespace lamella::cuda {
namespace {

// y (rows, m) = x as int32.
template <class T> __global__ void reduce_widen(const T* x, int32_t* y, const Map kept, const Map over, Quotient m, int64_t n) {
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < n; i += int64_t(gridDim.x) * kThreads) {
    int64_t j;
    const int64_t row = m.divide(i, j);
    y[i] = int32_t(x[kept.at(row) + over.at(j)]);
  }
}

// Of the smaller integers only sums of uint8 and bool (they count) have kernels of their own.
template <class T> void reduce_small(const Reduce& a, ReduceOut out) {
  const int64_t rows = count_of(a.kept), m = count_of(a.over), n = rows * m;
  const Temp wide(size_t(n) * 4);
  launch("reduce", reduce_widen<T>, dim3(blocks_for(n, kThreads)), dim3(kThreads), 0, static_cast<const T*>(a.x), wide.as<int32_t>(),
         Map(a.kept), Map(a.over), Quotient(m), n);
  Reduce b = a;
  b.x = wide.p;
  b.kept = Loop<2>{1, {rows}, {{}, {m}}};
  b.over = Loop<2>{1, {m}, {{}, {1}}};
  reduce_type<int32_t>(b, out);
}

}  // namespace

void reduce_integers(const Reduce& a, ReduceOut out) {
  if (a.op == ReduceOp::any || a.op == ReduceOp::all) {
    const int bits = size_of(a.from) * 8;
    const uint64_t ones = ~uint64_t(0) >> (64 - bits), mask = is_floating(a.from) ? ones >> 1 : ones;
    by_size(size_of(a.from), [&](auto u) {
      reduce_with(LogicOf<decltype(u)>(mask, a.op == ReduceOp::all), a.x, a.kept, a.over, out);
    });
    return;
  }
  switch (a.from) {
    case DType::i64: return reduce_type<int64_t>(a, out);
    case DType::i32: return reduce_type<int32_t>(a, out);
    case DType::i16: return reduce_small<int16_t>(a, out);
    case DType::i8: return reduce_small<int8_t>(a, out);
    default: break;
  }
  if (a.op != ReduceOp::sum) return reduce_small<uint8_t>(a, out);
  reduce_with(TotalOf<uint8_t, false>(), a.x, a.kept, a.over, out);
}

}  // namespace lamella::cuda
