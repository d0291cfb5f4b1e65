// SPDX-License-Identifier: MIT
// Products through the C++ API: flop/s (compare with measure_fma).
#include "bench.h"
#include "ops/gemm.h"

using namespace lamella;

static void matmul(benchmark::State& state, DType dtype) {
  const int64_t n = state.range(0);
  const Array a = filled({n, n}, 0.7, dtype), b = filled({n, n}, 0.7, dtype);
  for (auto _ : state) benchmark::DoNotOptimize(ops::matmul(a, b));
  count_flops(state, 2.0 * double(n * n * n));
}
BENCHMARK_CAPTURE(matmul, f32, DType::f32)->RangeMultiplier(2)->Range(16, 2048)->UseRealTime();
BENCHMARK_CAPTURE(matmul, f64, DType::f64)->Arg(64)->Arg(256)->Arg(1024)->UseRealTime();
BENCHMARK_CAPTURE(matmul, bf16, DType::bf16)->Arg(64)->Arg(256)->Arg(1024)->UseRealTime();

static void matmul_batched(benchmark::State& state) {  // attention's scores: (batch, heads, tokens, 64)
  const int64_t n = state.range(0);
  const Array a = filled({8, 8, n, 64}), b = filled({8, 8, n, 64});
  for (auto _ : state) benchmark::DoNotOptimize(ops::matmul(a, b.transpose(2, 3)));
  count_flops(state, 2.0 * 64 * 64 * double(n * n));
}
BENCHMARK(matmul_batched)->Arg(32)->Arg(128)->Arg(512)->UseRealTime();

static void matrix_vector(benchmark::State& state, bool rows) {
  const Array m = filled({4096, 4096}), v = filled({4096});
  const Array a = rows ? m : m.transpose(0, 1);
  for (auto _ : state) benchmark::DoNotOptimize(ops::matmul(a, v));
  count_bytes(state, 4096 * 4096 * 4);
}
BENCHMARK_CAPTURE(matrix_vector, rows, true)->UseRealTime();
BENCHMARK_CAPTURE(matrix_vector, columns, false)->UseRealTime();

static void linear(benchmark::State& state) {  // batch, in, out
  const int64_t m = state.range(0), k = state.range(1), n = state.range(2);
  const Array x = filled({m, k}), w = filled({n, k}), b = filled({n});
  for (auto _ : state) benchmark::DoNotOptimize(ops::linear(x, w, b, Act::relu));
  count_flops(state, 2.0 * double(m * n * k));
}
BENCHMARK(linear)->Args({32, 64, 128})->Args({32, 128, 10})->Args({32, 1024, 1024})->Args({1, 1024, 1024})->UseRealTime();

static void linear_bwd_weight(benchmark::State& state) {
  const int64_t m = state.range(0), k = state.range(1), n = state.range(2);
  const Array x = filled({m, k}), dy = filled({m, n});
  for (auto _ : state) benchmark::DoNotOptimize(ops::linear_bwd_weight(x, dy, true));
  count_flops(state, 2.0 * double(m * n * k));
}
BENCHMARK(linear_bwd_weight)->Args({32, 64, 128})->Args({4096, 256, 256})->UseRealTime();
