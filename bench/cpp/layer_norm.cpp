// SPDX-License-Identifier: MIT
// Layer norm (rows, width): bytes per second (compare with measure_triad).
#include "bench.h"
#include "ops/layer_norm.h"

using namespace lamella;

namespace {

void layer_norm(benchmark::State& state) {
  const Array x = filled({state.range(0), state.range(1)}), w = filled({state.range(1)});
  for (auto _ : state) benchmark::DoNotOptimize(ops::layer_norm_fwd(x, {state.range(1)}, w, w, 1e-5, false));
  count_bytes(state, x.numel() * 8);
}
void layer_norm_backward(benchmark::State& state) {
  const Array x = filled({state.range(0), state.range(1)}), w = filled({state.range(1)}), s = filled({state.range(0)});
  for (auto _ : state)
    benchmark::DoNotOptimize(ops::layer_norm_bwd(x, x, {state.range(1)}, w, s, s, false, true, true, true));
  count_bytes(state, x.numel() * 12);
}
BENCHMARK(layer_norm)->Args({32, 128})->Args({4096, 768})->UseRealTime();
BENCHMARK(layer_norm_backward)->Args({32, 128})->Args({4096, 768})->UseRealTime();

}  // namespace
