// SPDX-License-Identifier: MIT
// Attention on (batch, length, heads, features) seen as heads: flop/s of the products (compare with gemm's), bytes/s of
// keys and values where queries are few.
#include <cmath>
#include "bench.h"
#include "ops/attention.h"

using namespace lamella;

namespace {

Array heads_of(int64_t batch, int64_t length, int64_t heads, int64_t e) {
  Array x = empty({batch, length, heads, e}, DType::f32);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = float(std::sin(double(i) * 0.37));
  return x.transpose(1, 2);
}

struct Inputs {
  Array q, k, v, dy;
  ops::AttentionOptions options;
  double flops;
  Inputs(const benchmark::State& s, bool causal)  // length, features; 2 x 12 heads
      : q(heads_of(2, s.range(0), 12, s.range(1))), k(q), v(q), dy(q),
        options{1 / std::sqrt(double(s.range(1))), 0, causal, false, 0, 0},
        flops(96.0 * double(s.range(0) * s.range(0) * s.range(1)) * (causal ? 0.5 : 1)) {}
};

void attention_forward(benchmark::State& state, bool causal) {
  const Inputs i(state, causal);
  for (auto _ : state) benchmark::DoNotOptimize(ops::attention_fwd(i.q, i.k, i.v, {}, i.options));
  count_flops(state, i.flops);
}
void attention_backward(benchmark::State& state, bool causal) {
  const Inputs i(state, causal);
  const auto [y, lse] = ops::attention_fwd(i.q, i.k, i.v, {}, i.options);
  for (auto _ : state) benchmark::DoNotOptimize(ops::attention_bwd(i.q, i.k, i.v, {}, y, lse, i.dy, i.options));
  count_flops(state, 2.5 * i.flops);
}
void attention_decode(benchmark::State& state) {  // queries; 2,048 keys
  const Array q = heads_of(2, state.range(0), 12, 64), k = heads_of(2, 2048, 12, 64), v = heads_of(2, 2048, 12, 64);
  for (auto _ : state) benchmark::DoNotOptimize(ops::attention_fwd(q, k, v, {}, {0.125, 0, false, false, 0, 0}));
  count_bytes(state, (k.numel() + v.numel()) * 4);
}

void sizes(benchmark::internal::Benchmark* b) {
  for (int64_t n : {17, 64, 256, 1024}) b->Args({n, 64});
  for (int64_t e : {32, 80, 128}) b->Args({512, e});
  b->UseRealTime();
}
BENCHMARK_CAPTURE(attention_forward, full, false)->Apply(sizes);
BENCHMARK_CAPTURE(attention_forward, causal, true)->Apply(sizes);
BENCHMARK_CAPTURE(attention_backward, full, false)->Apply(sizes);
BENCHMARK_CAPTURE(attention_backward, causal, true)->Apply(sizes);
BENCHMARK(attention_decode)->Arg(1)->Arg(4)->Arg(16)->UseRealTime();

}  // namespace
