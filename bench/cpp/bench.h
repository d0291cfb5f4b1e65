// SPDX-License-Identifier: MIT
// What the microbenchmarks share: operands and rates (compare with measure_fma and measure_triad).
#pragma once
#include <benchmark/benchmark.h>
#include "ops/elementwise.h"

namespace lamella {

inline Array filled(const Shape& shape, double value = 0.7, DType dtype = DType::f32) {
  Array a = empty(shape, dtype);
  ops::fill_(a, value);
  return a;
}

inline void count_flops(benchmark::State& state, double each) {
  state.counters["flop/s"] = benchmark::Counter(each * double(state.iterations()), benchmark::Counter::kIsRate);
}

inline void count_bytes(benchmark::State& state, int64_t each) { state.SetBytesProcessed(int64_t(state.iterations()) * each); }

}  // namespace lamella
