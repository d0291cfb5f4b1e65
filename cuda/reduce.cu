// SPDX-License-Identifier: MIT
// Reductions: the entry, and those of floats.
#include "reduce.cuh"

namespace lamella::cuda {

void reduce(const Reduce& a) {
  const ReduceOut out{a.to, a.y, nullptr, double(count_of(a.over))};
  if (!is_floating(a.from) || a.op == ReduceOp::any || a.op == ReduceOp::all) return reduce_integers(a, out);
  by_float(a.from, [&](auto t) { reduce_type<decltype(t)>(a, out); });
}

}  // namespace lamella::cuda
