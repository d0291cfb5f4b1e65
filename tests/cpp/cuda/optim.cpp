// SPDX-License-Identifier: MIT
// Optimiser steps, norms, scaling and clamping of lists on the device against the CPU's: every rule and dtype, lists of one
// and of many tensors, empty and unaligned ones.
#include <memory>
#include "cuda/device.cuh"
#include "dispatch/dispatch.h"
#include "kernels/optim_rules.h"
#include "typed.h"

using namespace lamella;

struct Rule { const char* name; int states, numbers; };
static const Rule kRules[] = {
#define R(name, Formula, states, numbers) {#name, states, numbers},
    LAMELLA_OPTIM_RULES(R)
#undef R
};
static const std::vector<double> kNumbers[] = {
    {0.1},                                        // sgd
    {0.9, 0.1, 0.02, 0.08},                       // momentum
    {0.9, 0.1, 0.99, 0.01, 0.1, 2, 1e-3},         // adam
    {0.9, 0.1, 0.99, 0.01, 0.1, 2, 1e-3},         // amsgrad
    {0.9, 0.1, 0.99, 0.01, 0.05, 0.06, 2, 1e-3},  // nadam
    {0.9, 0.1, 0.99, 0.01, 0.1, 1, 1e-3},         // radam
    {0.9, 0.1, 0.99, 1e-3, 0.1},                  // adamax
    {0.1, 1e-3},                                  // adagrad
    {0.9, 0.1, 1e-3, 1},                          // adadelta
    {0.9, 0.1, 1e-3, 0.1},                        // rmsprop
    {0.9, 0.1, 1e-3, 0.1, 0.9},                   // rmsprop_momentum
    {0.9, 0.1, 0.5, 0.1},                         // rmsprop_centered
    {0.9, 0.1, 0.5, 0.1, 0.9},                    // rmsprop_centered_momentum
    {0.5, 1.2, 1e-3, 2},                          // rprop
    {0.1, 0.3},                                   // asgd
    {0.9, 0.1, 0.99, 0.01, 0.1},                  // lion
    {0.02, 1e-2, 1e-8, 1e9, 1e-2, 0.9, 0.1, 0.02, 0.08},                     // lars
    {1, 0, 0, 10, 0.9, 0.1, 0.99, 0.01, 1.5, 2, 1e-3, 1e-2, 0.1},            // lamb
    {0.3},                                        // lerp
    {0.2},                                        // soft_threshold
};
static_assert(sizeof kNumbers / sizeof *kNumbers == sizeof kRules / sizeof *kRules);

// Tensors of some buffers: buffer 0 is p, 1 is g, the others states (positive, the first above
// the square of the second: some are mean squares).
struct Lists {
  std::vector<int64_t> size;
  std::vector<DType> dtype;
  std::vector<std::vector<std::unique_ptr<Typed>>> buffers;
  std::vector<std::vector<void*>> pointers;
  Lists(const std::vector<int64_t>& sizes, const std::vector<DType>& types, int n_buffers, int64_t offset)
      : size(sizes), dtype(types), buffers(size_t(n_buffers)), pointers(size_t(n_buffers)) {
    for (size_t b = 0; b < buffers.size(); ++b)
      for (size_t i = 0; i < size.size(); ++i) {
        buffers[b].push_back(std::make_unique<Typed>(dtype[i], size[i], i % 3 == 1 ? offset : 0));
        buffers[b][i]->fill(unsigned(17 * b + i), b < 2 ? -1 : b == 2 ? 1.1 : 0.6, b == 2 ? 1.5 : 1);
        pointers[b].push_back(buffers[b][i]->data());
      }
  }
  TensorList list() const { return {int64_t(size.size()), size.data(), dtype.data()}; }
  bool close(const Lists& o, double ulps) const {
    for (size_t b = 0; b < buffers.size(); ++b)
      for (size_t i = 0; i < size.size(); ++i) {
        const double e = ulps * epsilon(dtype[i]);
        if (buffers[b][i]->intact() && buffers[b][i]->close(*o.buffers[b][i], e, e)) continue;
        std::printf("  buffer %d of tensor %d\n", int(b), int(i));
        return false;
      }
    return true;
  }
};

static void steps(const std::vector<int64_t>& sizes, const std::vector<DType>& types, int64_t offset) {
  for (size_t r = 0; r < sizeof kRules / sizeof *kRules; ++r) {
    const Rule& rule = kRules[r];
    Lists got(sizes, types, 2 + rule.states, offset), want(sizes, types, 2 + rule.states, offset);
    auto step = [&](Lists& l, auto f) {
      void* const* state[3] = {};
      for (int k = 0; k < rule.states; ++k) state[k] = l.pointers[size_t(2 + k)].data();
      f(OptimStep{l.list(), l.pointers[0].data(), l.pointers[1].data(), state, kNumbers[r].data(), 0.01, 0.99, int(r),
                  offset != 0});
    };
    CHECK(int(kNumbers[r].size()) == rule.numbers);
    for (int repeat = 0; repeat < 2; ++repeat) {
      step(got, [&](OptimStep a) {
        std::vector<double> live{a.decay, a.shrink}, wrong(kNumbers[r].size(), -7);
        live.insert(live.end(), kNumbers[r].begin(), kNumbers[r].end());
        if (repeat) a.live = live.data(), a.numbers = wrong.data(), a.decay = a.shrink = 5;  // which must not count
        cuda::optim_step(a);
      });
      step(want, [](const OptimStep& a) { kernels().optim_step(a); });
    }
    const bool close = got.close(want, 16);
    if (!close) std::printf("  rule %s\n", rule.name);
    CHECK(close);
  }
}

static void norms(const std::vector<int64_t>& sizes, const std::vector<DType>& types, int64_t offset, bool nan) {
  for (NormOrder order : {NormOrder::two, NormOrder::one, NormOrder::infinity}) {
    Lists l(sizes, types, 1, offset);
    if (nan) l.buffers[0].back()->set(l.size.back() - 1, NAN);
    double got = -1, again = -1, want = 0;
    cuda::grad_norm({l.list(), l.pointers[0].data(), &got, order});
    cuda::grad_norm({l.list(), l.pointers[0].data(), &again, order});
    for (const auto& t : l.buffers[0])
      for (int64_t i = 0; i < t->n; ++i) {
        const double v = std::fabs((*t)[i]);
        if (order == NormOrder::infinity) want = v != v || v > want ? v : want;
        else want += order == NormOrder::two ? v * v : v;
      }
    if (order == NormOrder::two) want = std::sqrt(want);
    CHECK(std::memcmp(&got, &again, sizeof got) == 0);
    CHECK(nan ? got != got : std::fabs(got - want) <= 1e-6 * want);
  }
}

static void scales(const std::vector<int64_t>& sizes, const std::vector<DType>& types, int64_t offset) {
  Lists got(sizes, types, 1, offset), want(sizes, types, 1, offset);
  for (Lists* l : {&got, &want})
    if (l->size[0] > 2) l->buffers[0][0]->set(1, NAN), l->buffers[0][0]->set(2, -INFINITY);
  const double half = 0.5;
  cuda::scale_all({got.list(), got.pointers[0].data(), 0.6, &half});
  kernels().scale_all({want.list(), want.pointers[0].data(), 0.3, nullptr});
  CHECK(got.close(want, 0));
  cuda::scale_all({got.list(), got.pointers[0].data(), 0.7, nullptr});
  kernels().scale_all({want.list(), want.pointers[0].data(), 1.4, &half});
  CHECK(got.close(want, 0));
  cuda::clamp_all({got.list(), got.pointers[0].data(), -0.1, 0.2});
  kernels().clamp_all({want.list(), want.pointers[0].data(), -0.1, 0.2});
  CHECK(got.close(want, 0));
}

int main() {
  for (DType type : kFloats)
    for (int64_t offset : {0, 1}) {
      const std::vector<int64_t> sizes{1027, 5, 0, 4097, 1, 0, 8192, 3};
      const std::vector<DType> types(sizes.size(), type);
      steps(sizes, types, offset);
      norms(sizes, types, offset, false);
      norms(sizes, types, offset, true);
      scales(sizes, types, offset);
    }
  // Every dtype in one list, and more tensors than a launch carries itself.
  std::vector<int64_t> sizes;
  std::vector<DType> types;
  for (int i = 0; i < 150; ++i) {
    sizes.push_back(i * 7 % 40);
    types.push_back(i < 120 ? DType::f32 : kFloats[i % 4]);
  }
  sizes[0] = 20;
  steps(sizes, types, 1);
  norms(sizes, types, 1, false);
  scales(sizes, types, 1);
  norms({}, {}, 0, false);
  norms({0, 0}, {DType::f32, DType::f64}, 0, false);
  norms({300000, 70001}, {DType::f32, DType::bf16}, 0, false);
  return failures() != 0;
}
