// SPDX-License-Identifier: MIT
// Recurrent layers in one launch for all steps: how the work is cut among blocks that are all resident at once.
#pragma once
#include "../cpp/kernels/kernels.h"

namespace lamella::cuda {

// Block x has slice x % slices of group x / slices % groups of side x / (slices * groups). A slice is `units` hidden units,
// with all their gates; a group is `rows` sequences, in chunks of `chunk`. Groups and sides never wait for each other.
// Weights are kept in shared memory, or fetched again in each step where a slice's do not fit: then `passes` > 1, of
// `pass_units` each. Sums do not depend on any of this.
struct RecurrentPlan {
  int slices, groups, units, passes, pass_units, rows, chunk;
  int sums;             // of a unit: its gates forward, one backward
  int tile_rows;        // sums * pass_units, in whole tiles
  int pitch;            // elements from row to row in shared memory
  int64_t shared_bytes;
  int64_t blocks(int sides) const { return int64_t(sides) * groups * slices; }
};

// Whether a layer takes this form: a matter of its size (and of whether one unit fits into a block's shared memory at all).
bool recurrent_persists(const RecurrentShape&, bool projected, bool backward, int64_t shared_bytes);
RecurrentPlan recurrent_plan(const RecurrentShape&, bool backward, int processors, int64_t shared_bytes);
void recurrent_fwd_persistent(const RecurrentFwd&, const RecurrentPlan&);
void recurrent_bwd_persistent(const RecurrentBwd&, const RecurrentPlan&);  // but for dh0's product
void recurrent_fwd_stepwise(const RecurrentFwd&);
void recurrent_bwd_stepwise(const RecurrentBwd&);                          // the same

}  // namespace lamella::cuda
