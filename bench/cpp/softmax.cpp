// SPDX-License-Identifier: MIT
// Softmax and cross-entropy over rows: bytes per second (compare with measure_triad).
#include "bench.h"
#include "ops/softmax.h"

using namespace lamella;

namespace {

void softmax_forward(benchmark::State& state) {
  const Array x = filled({state.range(0), state.range(1)});
  for (auto _ : state) benchmark::DoNotOptimize(ops::softmax_fwd(x, 1, false));
  count_bytes(state, x.numel() * 8);
}
void softmax_backward(benchmark::State& state) {
  const Array y = filled({state.range(0), state.range(1)});
  for (auto _ : state) benchmark::DoNotOptimize(ops::softmax_bwd(y, y, 1, false));
  count_bytes(state, y.numel() * 12);
}
void cross_entropy(benchmark::State& state) {
  const Array x = filled({state.range(0), state.range(1)}), target = filled({state.range(0)}, 3, DType::i64);
  for (auto _ : state) benchmark::DoNotOptimize(ops::cross_entropy_fwd(x, target, {}, -100, "mean", 0.0, false));
  count_bytes(state, x.numel() * 4);
}
BENCHMARK(softmax_forward)->Args({32, 10})->Args({4096, 1024})->Args({64, 50257})->UseRealTime();
BENCHMARK(softmax_backward)->Args({32, 10})->Args({4096, 1024})->Args({64, 50257})->UseRealTime();
BENCHMARK(cross_entropy)->Args({32, 10})->Args({1024, 50257})->UseRealTime();

}  // namespace
