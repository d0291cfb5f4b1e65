// SPDX-License-Identifier: MIT
// Batch norm (n, c, h, w) in training: bytes per second (compare with measure_triad).
#include "bench.h"
#include "ops/batch_norm.h"

using namespace lamella;

namespace {

void batch_norm(benchmark::State& state) {
  const int64_t size = state.range(2);
  const Array x = filled({state.range(0), state.range(1), size, size}), w = filled({state.range(1)});
  for (auto _ : state) benchmark::DoNotOptimize(ops::batch_norm_fwd(x, w, w, {}, {}, 0.1, 1e-5));
  count_bytes(state, x.numel() * 8);
}
void batch_norm_backward(benchmark::State& state) {
  const int64_t size = state.range(2);
  const Array x = filled({state.range(0), state.range(1), size, size}), w = filled({state.range(1)});
  for (auto _ : state) benchmark::DoNotOptimize(ops::batch_norm_bwd(x, x, w, w, w, false, true, true, true));
  count_bytes(state, x.numel() * 12);
}
BENCHMARK(batch_norm)->Args({32, 64, 28})->Args({32, 64, 56})->Args({64, 128, 1})->UseRealTime();
BENCHMARK(batch_norm_backward)->Args({32, 64, 28})->Args({32, 64, 56})->Args({64, 128, 1})->UseRealTime();

}  // namespace
