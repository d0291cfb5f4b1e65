// SPDX-License-Identifier: MIT
// Elementwise ops through the C++ API: bytes per second (compare with measure_triad), and the cost of a small call.
#include "bench.h"
#include "ops/reduce.h"

using namespace lamella;

static void unary(benchmark::State& state, UnaryOp op) {
  const Array x = filled({state.range(0)}, 0.7);
  for (auto _ : state) benchmark::DoNotOptimize(ops::unary(op, x));
  count_bytes(state, state.range(0) * 8);
}
BENCHMARK_CAPTURE(unary, relu, UnaryOp::relu)->Arg(16)->Arg(16 << 10)->Arg(16 << 20)->UseRealTime();
BENCHMARK_CAPTURE(unary, exp, UnaryOp::exp)->Arg(16 << 10)->Arg(16 << 20)->UseRealTime();
BENCHMARK_CAPTURE(unary, tanh, UnaryOp::tanh)->Arg(16 << 10)->Arg(16 << 20)->UseRealTime();
BENCHMARK_CAPTURE(unary, gelu, UnaryOp::gelu)->Arg(16 << 10)->Arg(16 << 20)->UseRealTime();

static void add(benchmark::State& state) {
  const Array x = filled({state.range(0)}, 0.7), y = filled({state.range(0)}, 0.3);
  for (auto _ : state) benchmark::DoNotOptimize(ops::binary(BinaryOp::add, x, y));
  count_bytes(state, state.range(0) * 12);
}
BENCHMARK(add)->Arg(16)->Arg(16 << 10)->Arg(16 << 20)->UseRealTime();

static void add_row(benchmark::State& state) {
  const Array x = filled({state.range(0), 1024}, 0.7), y = filled({1024}, 0.3);
  for (auto _ : state) benchmark::DoNotOptimize(ops::binary(BinaryOp::add, x, y));
  count_bytes(state, state.range(0) * 8192);
}
BENCHMARK(add_row)->Arg(4096)->UseRealTime();

static void transpose(benchmark::State& state) {
  const Array x = filled({state.range(0), state.range(0)}, 0.7).transpose(0, 1);
  for (auto _ : state) benchmark::DoNotOptimize(ops::contiguous(x));
  count_bytes(state, state.range(0) * state.range(0) * 8);
}
BENCHMARK(transpose)->Arg(1000)->Arg(4096)->UseRealTime();

static void sum(benchmark::State& state, Dims axes) {
  const Array x = filled({4096, 4096}, 0.7);
  for (auto _ : state) benchmark::DoNotOptimize(ops::reduce(ReduceOp::sum, x, axes, false));
  count_bytes(state, 4096 * 4096 * 4);
}
BENCHMARK_CAPTURE(sum, all, Dims{})->UseRealTime();
BENCHMARK_CAPTURE(sum, rows, Dims{1})->UseRealTime();
BENCHMARK_CAPTURE(sum, columns, Dims{0})->UseRealTime();

BENCHMARK_MAIN();
