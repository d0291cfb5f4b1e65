// SPDX-License-Identifier: MIT
// Attention, backward: with weights P = exp(score - lse), kept weights Pd = dropout(P) and D = the row sums of dy * y,
//   dv = Pd^T dy,  dS = P * (dropout(dy v^T) - D),  dq = scale dS k,  dk = scale dS^T q.
// In 16 bit on tensor cores: one kernel has blocks of 64 keys that go through the queries of their group, for dk and dv, one
// blocks of 64 queries that go through the keys, for dq. Scores are made twice, so that no sum is shared between blocks.
#pragma once
#include "attention_tiles.cuh"

namespace lamella::cuda::attention {

struct BackwardCall {
  Attention a;
  HeadsIn dy;
  HeadsOut dq, dk, dv;
  const float *lse, *delta;
  unsigned count, tiles;
  float scale2, keep_scale;
};

// Weights p and dS of a pair from its score (times log2(e)), its dp and its query's lse (likewise) and D.
GPU void weigh_back(float& s, float& dp, float lse2, float delta) {
  float x = s - lse2;
  if (x > 0) x = 0;                    // lse of scores near float32's least number has no digits left
  const float p = s == minus_infinity<float>() ? 0.f : exp2_fast(x);
  s = p;
  dp = p == 0 ? 0.f : p * (dp - delta);
}

// x of the pairs whose bits (element e of block n: 4 n + e) are set times scale, zero for the others.
template <int N> GPU void drop(float (&x)[N / 8][4], uint32_t bits, float scale) {
#pragma unroll
  for (int n = 0; n < N / 8; ++n)
#pragma unroll
    for (int e = 0; e < 4; ++e) x[n][e] = bits >> (4 * n + e) & 1 ? x[n][e] * scale : 0.f;
}

// false: the device has not the shared memory. `count` and `tiles` are theirs to set.
bool keys_bwd(BackwardCall);
bool queries_bwd(BackwardCall);

}  // namespace lamella::cuda::attention
