// SPDX-License-Identifier: MIT
// One recurrent layer, width to width: flop/s of its products (compare with measure_fma). Arguments: steps, batch, width.
#include "bench.h"
#include "ops/recurrent.h"

using namespace lamella;

namespace {

ops::RecurrentLayer layer(const benchmark::State& state, RecurrentCell cell, int64_t gates) {
  const int64_t width = state.range(2);
  const Array w = filled({gates * width, width}, 0.01), b = filled({gates * width}, 0.1);
  return {cell, 1, true, false, filled({state.range(0), state.range(1), width}), {}, {}, {}, {w, w, b, b}};
}
double flops(const benchmark::State& state, int64_t gates) {
  return 4.0 * double(gates * state.range(0) * state.range(1) * state.range(2) * state.range(2));
}

void forward(benchmark::State& state, RecurrentCell cell, int64_t gates) {
  const ops::RecurrentLayer l = layer(state, cell, gates);
  for (auto _ : state) benchmark::DoNotOptimize(ops::recurrent_fwd(l, true));
  count_flops(state, flops(state, gates));
}
void backward(benchmark::State& state, RecurrentCell cell, int64_t gates) {
  const ops::RecurrentLayer l = layer(state, cell, gates);
  const ops::RecurrentOutput saved = ops::recurrent_fwd(l, true);
  for (auto _ : state) benchmark::DoNotOptimize(ops::recurrent_bwd(l, saved, saved.y, {}, {}, true, false, true));
  count_flops(state, 2 * flops(state, gates));
}

void shapes(benchmark::internal::Benchmark* b) {
  b->Args({64, 32, 256})->Args({64, 1, 256})->Args({16, 32, 1024})->Args({64, 32, 17})->Args({1, 32, 256})->UseRealTime();
}
BENCHMARK_CAPTURE(forward, lstm, RecurrentCell::lstm, 4)->Apply(shapes);
BENCHMARK_CAPTURE(backward, lstm, RecurrentCell::lstm, 4)->Apply(shapes);
BENCHMARK_CAPTURE(forward, gru, RecurrentCell::gru, 3)->Apply(shapes);
BENCHMARK_CAPTURE(backward, gru, RecurrentCell::gru, 3)->Apply(shapes);
BENCHMARK_CAPTURE(forward, tanh, RecurrentCell::tanh, 1)->Apply(shapes);
BENCHMARK_CAPTURE(backward, tanh, RecurrentCell::tanh, 1)->Apply(shapes);

}  // namespace
