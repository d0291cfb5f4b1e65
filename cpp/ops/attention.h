// SPDX-License-Identifier: MIT
// Scaled dot-product attention on Arrays: query (..., L, E), key (..., S, E), value (..., S, Ev), leading dimensions
// broadcast. They are read through their strides as long as a row's elements are adjacent; the mask through any.
#pragma once
#include <optional>
#include <tuple>
#include "core/array.h"

namespace lamella::ops {

// grouped: dimension -3 of key and value divides the query's; each of their heads serves that many of the query's.
struct AttentionOptions { double scale, dropout; bool causal, grouped; uint64_t seed, stream; };

// y (..., L, Ev), laid out (..., L, heads, Ev) so that joining the heads of each position is no copy; and lse (..., L).
std::tuple<Array, Array> attention_fwd(const Array& query, const Array& key, const Array& value,
                                       const std::optional<Array>& mask, const AttentionOptions& options);
// dquery, dkey, dvalue, laid out likewise. Leading dimensions that were broadcast are full size, but for the heads that a
// key or value of one head (or a group's head) was shared by, which are summed.
std::tuple<Array, Array, Array> attention_bwd(const Array& query, const Array& key, const Array& value,
                                              const std::optional<Array>& mask, const Array& y, const Array& lse,
                                              const Array& dy, const AttentionOptions& options);

}  // namespace lamella::ops
