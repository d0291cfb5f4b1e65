// SPDX-License-Identifier: MIT
// Connectionist temporal classification.
#pragma once
#include <tuple>
#include "core/array.h"

namespace lamella::ops {

// log_probs (T, N, C); targets (N, S), or (sum of target_lengths,) one after another; input_lengths, target_lengths (N),
// integers, all checked. Returns the loss of each sequence (N,) and, for the backward (undefined unless `keep`), what
// the kernel keeps: alpha, shift; then the targets and spans as it reads them.
std::tuple<Array, Array, Array, Array, Array> ctc_fwd(const Array& log_probs, const Array& targets, const Array& input_lengths,
                                                      const Array& target_lengths, int64_t blank, bool keep);
Array ctc_bwd(const Array& log_probs, const Array& targets, const Array& spans, int64_t blank, const Array& loss,
              const Array& alpha, const Array& shift, const Array& dloss);

}  // namespace lamella::ops
