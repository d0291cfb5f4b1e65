// SPDX-License-Identifier: MIT
// CTC on the device against the CPU's, both ways: lengths, repeated labels, strides, impossible alignments, long targets.
#include "cuda/device.cuh"
#include "dispatch/dispatch.h"
#include "typed.h"

using namespace lamella;

struct Spec { int64_t steps, count; };

// x (t, n, classes) with rows `gap` longer; labels among `used` classes, so that they repeat.
static void both_ways(DType type, int64_t t, int64_t classes, int64_t used, const std::vector<Spec>& specs, int64_t gap = 0,
                      double spread = 3) {
  const int64_t n = int64_t(specs.size()), x_n = classes + gap, x_t = n * x_n, blank = classes / 2;
  Typed x(type, t * x_t);
  x.fill(5, -spread, spread);
  for (int64_t r = 0; r < t * n; ++r) {          // log-probabilities
    double sum = 0;
    for (int64_t c = 0; c < classes; ++c) sum += std::exp(x[r * x_n + c]);
    for (int64_t c = 0; c < classes; ++c) x.set(r * x_n + c, x[r * x_n + c] - std::log(sum));
  }
  std::vector<int64_t> labels;
  std::vector<CtcSpan> spans;
  int64_t most = 0;
  unsigned seed = 3;
  for (const Spec& s : specs) {
    labels.push_back(-1);                        // a gap between the sequences' labels
    spans.push_back({s.steps, int64_t(labels.size()), s.count});
    for (int64_t k = 0; k < s.count; ++k) {
      seed = seed * 1664525u + 1013904223u;
      int64_t label = int64_t(seed >> 8) % used;
      if (label >= blank) ++label;
      labels.push_back(label);
    }
    most = s.count > most ? s.count : most;
  }
  if (t > 2 && specs[0].steps > 2) x.set(1 * x_t + (labels[1] >= 0 ? labels[1] : 0), -INFINITY);
  const Ctc c{type, t, n, classes, x_t, x_n, x.data(), labels.data(), spans.data(), blank, ctc_row(most)};
  Typed loss(type, n), want(type, n), bare(type, n), alpha(type, n * (t + 1) * c.row), shift(DType::f64, n * (t + 1));
  Typed alpha_cpu(alpha), shift_cpu(shift), dloss(type, n), dx(type, t * n * classes), again(dx), wanted(dx);
  dloss.fill(9, 0.5, 2);
  if (n > 2) dloss.set(1, 0);
  cuda::ctc_fwd({c, loss.data(), alpha.data(), static_cast<double*>(shift.data())});
  cuda::ctc_fwd({c, bare.data(), nullptr, nullptr});
  kernels().ctc_fwd({c, want.data(), alpha_cpu.data(), static_cast<double*>(shift_cpu.data())});
  const double e = 64 * epsilon(type);
  CHECK(loss.close(want, e, e));
  CHECK(loss.same(bare));
  CHECK(alpha.intact() && shift.intact());
  for (Typed* d : {&dx, &again})
    cuda::ctc_bwd({c, loss.data(), dloss.data(), alpha.data(), static_cast<const double*>(shift.data()), d->data()});
  kernels().ctc_bwd({c, want.data(), dloss.data(), alpha_cpu.data(), static_cast<const double*>(shift_cpu.data()),
                     wanted.data()});
  const double g = epsilon(type) * (64 + 20 * double(t));  // the errors of all steps add up, on the CPU as here
  CHECK(dx.close(wanted, g, g));
  CHECK(dx.intact() && dx.same(again));
}

int main() {
  for (DType type : {DType::f32, DType::f64}) {
    both_ways(type, 50, 10, 9, {{50, 10}, {50, 10}, {37, 5}, {50, 0}, {3, 5}, {0, 0}, {0, 3}, {1, 1}, {20, 20}});
    both_ways(type, 30, 5, 1, {{30, 10}, {30, 15}, {30, 16}, {29, 1}});           // one label, repeated
    both_ways(type, 75, 40, 39, {{75, 31}, {74, 32}, {75, 33}, {73, 70}}, 3);     // about a warp
    both_ways(type, 7, 3, 2, {{7, 2}});
    both_ways(type, 5, 2, 1, {{5, 2}, {4, 2}, {3, 2}, {2, 2}});
    both_ways(type, 400, 20, 4, {{400, 60}, {399, 100}}, 1, 8);
    both_ways(type, 2, 1, 1, {{2, 0}});                                          // nothing but blanks
    both_ways(type, 0, 4, 3, {{0, 0}, {0, 2}});
  }
  both_ways(DType::f32, 560, 50, 49, {{560, 515}, {300, 2}});                     // places several to a thread
  both_ways(DType::f64, 4, 8, 7, {{4, 8000}, {4, 2}});                            // states outside of shared memory
  cuda::ctc_fwd({{DType::f32, 0, 0, 1, 0, 0, nullptr, nullptr, nullptr, 0, ctc_row(0)}, nullptr, nullptr, nullptr});
  return failures() != 0;
}
