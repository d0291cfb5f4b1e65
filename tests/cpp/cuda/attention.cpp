// SPDX-License-Identifier: MIT
// The GPU's attention kernels against the CPU's in float64 on the same rounded numbers.
#include "attention_cases.h"

namespace {

void tensor_cores(DType t) {
  const bool brain = t == DType::bf16;   // the other one's conversions take long here, and differ in nothing else
  for (const int64_t e : {8, 64, 72, 128, 136})
    for (const bool causal : {false, true}) if (brain || (e == 72 && causal)) check({t, 1, 1, 1, 65, 70, e, e, causal});
  check({t, 1, 1, 3, 40, 70, 40, 40, true});
  check({t, 1, 1, 1, 130, 129, 128, 64, true});
  check({t, 2, 1, 2, 5, 3, 16, 48, false});
  check({t, 1, 1, 1, 63, 64, 256, 8, false, Mask::boolean});
  check({t, 1, 2, 1, 66, 65, 32, 64, true, Mask::padding, 0.3});
  check({t, 1, 1, 2, 64, 100, 128, 128, false, Mask::added, 0.2, -0.2});
  check({t, 2, 1, 1, 20, 65, 64, 64, false, Mask::added_wide, 0, 0.2});
  check({t, 1, 1, 1, 67, 67, 16, 16, false, Mask::half, 0, 0.2, 8});
  check({t, 1, 1, 1, 70, 131, 24, 24, false, Mask::none, 0.5, -0.1});
  const double strange = brain ? kNan : kInfinity;
  check({t, 1, 1, 1, 80, 90, 64, 64, true, Mask::none, 0, 0.3, 0, strange});
  check({t, 1, 1, 1, 70, 40, 136, 24, true, Mask::boolean, 0, 0.3, 0, strange});
  check({t, 1, 1, 1, 70, 70, 128, 128, false, Mask::padding, 0, 0.3, 0, strange});
}

void any_size(DType t) {
  for (const int slack : {0, 1}) {
    check({t, 1, 1, 1, 65, 66, 7, 9, true, Mask::none, 0, 0.3, slack});
    check({t, 1, 2, 2, 17, 70, 33, 130, false, Mask::boolean, 0.25, 0.3, slack});
    check({t, 2, 1, 1, 64, 64, 300, 65, true, Mask::added, 0, 0.05, slack});
    check({t, 1, 1, 1, 66, 5, 1, 1, false, Mask::padding, 0, 0.3, slack});
  }
  check({t, 1, 1, 2, 30, 70, 19, 21, false, Mask::boolean, 0, 0.3, 1, kNan});
  check({t, 1, 1, 1, 70, 70, 19, 21, true, Mask::none, 0, 0.3, 1, kInfinity});
  check({t, 1, 2, 1, 9, 0, 8, 8});
  check({t, 1, 2, 1, 0, 9, 8, 8});
  check({t, 0, 2, 1, 3, 9, 8, 8});
  check({t, 1, 1, 1, 9, 9, 0, 8, false});
  check({t, 1, 1, 1, 9, 9, 8, 0, false});
}

void decode(DType t) {
  check({t, 1, 2, 1, 1, 300, 64, 64});
  check({t, 1, 1, 7, 1, 257, 128, 72, false, Mask::padding});
  check({t, 2, 1, 3, 4, 256, 16, 40, false, Mask::added, 0.3});
  check({t, 1, 1, 2, 3, 321, 33, 35, false, Mask::boolean, 0, 0.3, 1, kNan});
  check({t, 1, 1, 1, 2, 500, 8, 512, false, Mask::none, 0.4});
  if (t == DType::f32) check({t, 1, 1, 1, 1, 8200, 8, 8});
  check({t, 1, 1, 1, 2, 300, 8, 0});
  check({t, 1, 1, 1, 1, 1, 8, 8});
}

// A row all of whose keys have float32's least number added weighs them alike; gradients stay finite.
void least_number() {
  std::vector<bf16> q(64 * 8, bf16::from(1)), k = q, v = q, y(64 * 8), dy = q, dq = q, dk = q, dv = q;
  for (int i = 0; i < 64 * 8; ++i) v[size_t(i)] = bf16::from(float(i / 8));
  const float low = -3.402823466e38f;
  std::vector<float> lse(64);
  Attention a{};
  a.dtype = DType::bf16, a.ndim = 1, a.heads[0] = 1, a.l = a.s = 64, a.e = a.ev = 8, a.scale = 1;
  a.q = {q.data(), {}, 8}, a.k = {k.data(), {}, 8}, a.v = {v.data(), {}, 8}, a.mask = &low, a.mask_dtype = DType::f32;
  cuda::attention_fwd({a, {y.data(), {}, 8}, lse.data()});
  for (const bf16& x : y) CHECK(std::fabs(x.to() - 31.5f) < 0.2f);
  cuda::attention_bwd({a, {y.data(), {}, 8}, {dy.data(), {}, 8}, lse.data(), {dq.data(), {}, 8}, {dk.data(), {}, 8},
                       {dv.data(), {}, 8}});
  for (const auto* g : {&dq, &dk, &dv}) for (const bf16& x : *g) CHECK(std::isfinite(x.to()));
}

}  // namespace

int main() {
  for (const DType t : {DType::bf16, DType::f16}) {
    tensor_cores(t);
    cuda::attention::wide_from = 0;      // blocks of 128 queries
    for (const int64_t e : {40, 128}) check({t, 1, 1, 1, 131, 65, e, e, true});
    check({t, 1, 1, 1, 100, 130, 64, 128});
    check({t, 1, 1, 1, 100, 100, 64, 64, true, Mask::none, 0, 0.3, 0, kNan});
    cuda::attention::wide_from = 128;
  }
  for (const DType t : {DType::f32, DType::f64, DType::bf16}) any_size(t);
  for (const DType t : {DType::f32, DType::f64, DType::bf16, DType::f16}) decode(t);
  least_number();
  std::printf("%d cases\n", cases);
  return failures() != 0;
}
