// SPDX-License-Identifier: MIT
// Recurrent layers, backward, all steps in one launch: a unit's gradient is one sum over all gates of all units of the step
// after, so that its weights are a column of r.
#include "recurrent_steps.cuh"

namespace lamella::cuda {
namespace {

template <class T> struct BackwardWork {
  static constexpr bool kAcross = true;
  int64_t width, skip;
  const T* r[2];
  BackwardSide<T> side[2];
  GPU bool forward(int d) const { return d == 1; }
  GPU const T* weight(int d, int64_t, int64_t u, int64_t k) const { return r[d] + k * side[d].hidden + u; }
  GPU const T* row(int d, const Moment& m, int64_t b) const {
    return b < m.stay ? side[d].dgates + (m.after + b) * side[d].columns + skip : nullptr;
  }
  GPU void cell(int d, const Moment& m, int64_t b, int64_t u, const acc_t<T> (&sum)[4]) const {
    backward_cell(side[d], m, b, u, sum[0]);
  }
  GPU void ahead(int d, const Moment& m, int64_t b, int64_t u) const {
    const BackwardSide<T>& s = side[d];
    const int64_t row = m.first + b;
    if (s.dy) prefetch(s.dy + row * s.y_row + u);
    if (s.columns == s.hidden) return;
    for (int v = 0; v < 4; ++v) prefetch(s.gates + row * s.columns + v * s.hidden + u);
    if (s.cell == RecurrentCell::lstm) prefetch(s.cells + row * s.hidden + u);
  }
};

template <class T> void backward(const RecurrentBwd& a, const RecurrentPlan& plan) {
  const RecurrentShape& s = a.shape;
  const int gates = gates_of(s.cell);
  const Temp carry(gates > 1 ? size_t(s.sides * s.batch * s.hidden) * sizeof(acc_t<T>) : 0);
  BackwardWork<T> w{};
  w.width = gates * s.hidden;
  w.skip = skip_of(s);
  bool packed = s.hidden % kPack<T> == 0;
  for (int d = 0; d < s.sides; ++d) {
    w.side[d] = backward_side<T>(a, d, gates > 1 ? carry.as<acc_t<T>>() + d * s.batch * s.hidden : nullptr);
    w.r[d] = static_cast<const T*>(a.side[d].r);
    packed = packed && is_aligned(a.side[d].dgates);
  }
  launch_all_steps<T>("recurrent_bwd", s, plan, w, packed);
}

}  // namespace

void recurrent_bwd_persistent(const RecurrentBwd& a, const RecurrentPlan& plan) {
  by_float(a.shape.dtype, [&](auto t) { backward<decltype(t)>(a, plan); });
}

}  // namespace lamella::cuda
