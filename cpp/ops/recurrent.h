// SPDX-License-Identifier: MIT
// One recurrent layer, one or both directions, over whole sequences. float32 and float64.
#pragma once
#include <optional>
#include <string>
#include <vector>
#include "core/array.h"
#include "kernels/kernels.h"

namespace lamella::ops {

// What a layer is given. Weights side by side, each side: w_ih (gates hidden, in), w_hh (gates hidden, out), with `bias` b_ih
// and b_hh (gates hidden), with `projected` w_hr (out, hidden). x is (steps, batch, in), or packed: (rows, in) with
// `sizes`, int64 (steps), how many sequences each step has, longest first. h0 (sides, batch, out), c0 (sides, batch, hidden).
struct RecurrentLayer {
  RecurrentCell cell;
  int sides;
  bool bias, projected;
  Array x;
  std::optional<Array> sizes, h0, c0;
  std::vector<Array> weights;
};
RecurrentCell recurrent_cell(const std::string& name);  // tanh, relu, lstm, gru; ValueError where there is none

// y (x's leading sizes, sides * out), hn, cn (lstm) as h0, c0; where `keep`, what the backward needs: gates, cells (lstm).
struct RecurrentOutput { Array y, hn, cn, gates, cells; };
RecurrentOutput recurrent_fwd(const RecurrentLayer& layer, bool keep);

// Undefined: what was not asked for. dweights in the order of weights.
struct RecurrentGrads { Array dx, dh0, dc0; std::vector<Array> dweights; };
RecurrentGrads recurrent_bwd(const RecurrentLayer& layer, const RecurrentOutput& saved, const std::optional<Array>& dy,
                             const std::optional<Array>& dhn, const std::optional<Array>& dcn, bool need_x, bool need_h0,
                             bool need_weights);

}  // namespace lamella::ops
