// SPDX-License-Identifier: MIT
// Products through the C++ API: flop/s (compare with measure_fma).
#include <benchmark/benchmark.h>
#include "ops/elementwise.h"
#include "ops/gemm.h"

using namespace lamella;

static Array filled(const Shape& shape, DType dtype) {
  Array a = empty(shape, dtype);
  ops::fill_(a, 0.7);
  return a;
}

static void count_flops(benchmark::State& state, double each) {
  state.counters["flop/s"] = benchmark::Counter(each * double(state.iterations()), benchmark::Counter::kIsRate);
}

static void matmul(benchmark::State& state, DType dtype) {
  const int64_t n = state.range(0);
  const Array a = filled({n, n}, dtype), b = filled({n, n}, dtype);
  for (auto _ : state) benchmark::DoNotOptimize(ops::matmul(a, b));
  count_flops(state, 2.0 * double(n * n * n));
}
BENCHMARK_CAPTURE(matmul, f32, DType::f32)->RangeMultiplier(2)->Range(16, 2048)->UseRealTime();
BENCHMARK_CAPTURE(matmul, f64, DType::f64)->Arg(64)->Arg(256)->Arg(1024)->UseRealTime();
BENCHMARK_CAPTURE(matmul, bf16, DType::bf16)->Arg(64)->Arg(256)->Arg(1024)->UseRealTime();

static void matmul_batched(benchmark::State& state) {  // attention's scores: (batch, heads, tokens, 64)
  const int64_t n = state.range(0);
  const Array a = filled({8, 8, n, 64}, DType::f32), b = filled({8, 8, n, 64}, DType::f32);
  for (auto _ : state) benchmark::DoNotOptimize(ops::matmul(a, b.transpose(2, 3)));
  count_flops(state, 2.0 * 64 * 64 * double(n * n));
}
BENCHMARK(matmul_batched)->Arg(32)->Arg(128)->Arg(512)->UseRealTime();

static void matrix_vector(benchmark::State& state, bool rows) {
  const Array m = filled({4096, 4096}, DType::f32), v = filled({4096}, DType::f32);
  const Array a = rows ? m : m.transpose(0, 1);
  for (auto _ : state) benchmark::DoNotOptimize(ops::matmul(a, v));
  state.SetBytesProcessed(state.iterations() * 4096 * 4096 * 4);
}
BENCHMARK_CAPTURE(matrix_vector, rows, true)->UseRealTime();
BENCHMARK_CAPTURE(matrix_vector, columns, false)->UseRealTime();

static void linear(benchmark::State& state) {  // batch, in, out
  const int64_t m = state.range(0), k = state.range(1), n = state.range(2);
  const Array x = filled({m, k}, DType::f32), w = filled({n, k}, DType::f32), b = filled({n}, DType::f32);
  for (auto _ : state) benchmark::DoNotOptimize(ops::linear(x, w, b, Act::relu));
  count_flops(state, 2.0 * double(m * n * k));
}
BENCHMARK(linear)->Args({32, 64, 128})->Args({32, 128, 10})->Args({32, 1024, 1024})->Args({1, 1024, 1024})->UseRealTime();

static void linear_bwd_weight(benchmark::State& state) {
  const int64_t m = state.range(0), k = state.range(1), n = state.range(2);
  const Array x = filled({m, k}, DType::f32), dy = filled({m, n}, DType::f32);
  for (auto _ : state) benchmark::DoNotOptimize(ops::linear_bwd_weight(x, dy, true));
  count_flops(state, 2.0 * double(m * n * k));
}
BENCHMARK(linear_bwd_weight)->Args({32, 64, 128})->Args({4096, 256, 256})->UseRealTime();
