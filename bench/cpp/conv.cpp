// SPDX-License-Identifier: MIT
// Convolutions of the usual networks at batch 16, forward and both gradients: flop/s. Arguments: input and output
// channels, size of the image and of the kernel, stride.
#include "bench.h"
#include "ops/conv.h"

using namespace lamella;

namespace {

struct Layer {
  int64_t c, k, size, kernel;
  ops::ConvOptions options;
  Array x, w, bias, y;

  explicit Layer(const benchmark::State& s) : c(s.range(0)), k(s.range(1)), size(s.range(2)), kernel(s.range(3)) {
    const int64_t pad = kernel / 2;
    options = {{s.range(4), s.range(4)}, {pad, pad}, {1, 1}, 1};
    x = filled({16, c, size, size});
    w = filled({k, c, kernel, kernel});
    bias = filled({k});
    y = ops::conv(x, w, &bias, options);
  }
  double flops() const { return 2.0 * double(y.numel() * c * kernel * kernel); }
};

void conv_forward(benchmark::State& state) {
  const Layer l(state);
  for (auto _ : state) benchmark::DoNotOptimize(ops::conv(l.x, l.w, &l.bias, l.options));
  count_flops(state, l.flops());
}
void conv_input_grad(benchmark::State& state) {
  const Layer l(state);
  for (auto _ : state) benchmark::DoNotOptimize(ops::conv_input_grad(l.y, l.w, l.x.shape, l.options));
  count_flops(state, l.flops());
}
void conv_weight_grad(benchmark::State& state) {
  const Layer l(state);
  for (auto _ : state) benchmark::DoNotOptimize(ops::conv_weight_grad(l.y, l.x, l.w.shape, l.options, true));
  count_flops(state, l.flops());
}

void layers(benchmark::internal::Benchmark* b) {
  b->Args({3, 64, 224, 7, 2})->Args({64, 64, 56, 3, 1})->Args({128, 128, 28, 3, 1})->Args({256, 256, 14, 3, 1});
  b->Args({512, 512, 7, 3, 1})->Args({64, 256, 56, 1, 1})->Args({64, 128, 56, 3, 2})->Args({1, 6, 28, 5, 1});
  b->Args({6, 16, 14, 5, 1})->UseRealTime()->Unit(benchmark::kMillisecond);
}
BENCHMARK(conv_forward)->Apply(layers);
BENCHMARK(conv_input_grad)->Apply(layers);
BENCHMARK(conv_weight_grad)->Apply(layers);

}  // namespace
