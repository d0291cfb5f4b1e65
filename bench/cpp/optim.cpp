// SPDX-License-Identifier: MIT
// One step over all parameters: bytes per second (compare with measure_triad). Arguments: tensors, elements of each.
#include "bench.h"
#include "ops/optim.h"

using namespace lamella;

namespace {

std::vector<Array> tensors(const benchmark::State& state) {
  std::vector<Array> all;
  for (int64_t i = 0; i < state.range(0); ++i) all.push_back(filled({state.range(1)}, 0.01));
  return all;
}

void adamw(benchmark::State& state) {
  const std::vector<Array> p = tensors(state), g = tensors(state), m = tensors(state), v = tensors(state);
  const ops::OptimOptions options{"AdamW", "adam", {"m", "v"}, {0.9, 0.1, 0.999, 1e-3, 1e-4, 1, 1e-8}, 0, 1 - 1e-6, false};
  for (auto _ : state) ops::optim_step(p, g, {m, v}, options);
  count_bytes(state, state.range(0) * state.range(1) * 28);
}
void grad_norm(benchmark::State& state) {
  const std::vector<Array> g = tensors(state);
  for (auto _ : state) benchmark::DoNotOptimize(ops::grad_norm(g, 2));
  count_bytes(state, state.range(0) * state.range(1) * 4);
}
BENCHMARK(adamw)->Args({200, 1000})->Args({10, 1000000})->UseRealTime();
BENCHMARK(grad_norm)->Args({200, 1000})->Args({10, 1000000})->UseRealTime();

}  // namespace
