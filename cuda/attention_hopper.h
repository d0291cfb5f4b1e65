// SPDX-License-Identifier: MIT
#pragma once
#include "attention_bwd.cuh"

namespace lamella::cuda::attention {

// Attention on Hopper's own instructions where they apply: bfloat16 and float16, heads of up to 128 wide in rows of whole
// 16-byte words, no mask, no dropout, a positive scale, enough work (by shape alone). False, and nothing done, elsewhere.
bool forward_hopper(const AttentionFwd&);
bool keys_bwd_hopper(const BackwardCall&);
bool queries_bwd_hopper(const BackwardCall&);

extern int64_t hopper_from;  // taken where there are as many tiles of 128 queries; for tests to change
bool hopper_takes(const Attention&);

}  // namespace lamella::cuda::attention
