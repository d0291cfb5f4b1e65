// SPDX-License-Identifier: MIT
// Recurrent layers, forward, step by step: one product and one launch of the cell for each. The input's share of all steps
// is one product outside. Small layers take the form of recurrent_persistent.cu instead.
#include "recurrent.cuh"

namespace lamella::cuda {
namespace {

// The cell of one step, for both sides. product: (batch, gates * hidden), for rows b < multiplied.
template <class T> struct ForwardStep {
  Divisor hidden;
  int gates;
  ForwardSide<T> side[2];
  Moment m[2];
  const T* product[2];
  int64_t multiplied[2];
};

template <class T>
__global__ void __launch_bounds__(kThreads) recurrent_forward_step(const __grid_constant__ ForwardStep<T> p) {
  const int d = int(blockIdx.y);
  const Moment m = p.m[d];
  const int64_t n = m.count * p.hidden.d;
#pragma unroll 1
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < n; i += int64_t(gridDim.x) * kThreads) {
    int64_t u;
    const int64_t b = p.hidden.divide(i, u);
    acc_t<T> sum[4] = {};
    const T* const from = p.product[d] + b * p.gates * p.hidden.d + u;
#pragma unroll
    for (int v = 0; v < 4; ++v)
      if (b < p.multiplied[d] && v < p.gates) sum[v] = up(from[v * p.hidden.d]);
    forward_cell(p.side[d], m, b, u, sum);
  }
}

// Rows [begin, end) of hn, from y.
template <class T>
__global__ void __launch_bounds__(kThreads)
recurrent_last(const T* y, int64_t y_row, T* hn, int64_t begin, int64_t end, const Divisor out) {
  const int64_t n = (end - begin) * out.d;
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < n; i += int64_t(gridDim.x) * kThreads) {
    int64_t u;
    const int64_t b = begin + out.divide(i, u);
    hn[b * out.d + u] = y[b * y_row + u];
  }
}

template <class T> void forward(const RecurrentFwd& a) {
  using V = acc_t<T>;
  const RecurrentShape& s = a.shape;
  const int gates = gates_of(s.cell);
  const bool projected = a.side[0].proj != nullptr, lstm = s.cell == RecurrentCell::lstm;
  const int64_t width = gates * s.hidden, states = s.batch * s.hidden, y_row = s.sides * s.out;
  const Temp products(size_t(s.sides * s.batch * width) * sizeof(T)), carry(lstm ? size_t(s.sides * states) * sizeof(V) : 0);
  const Temp full(projected ? size_t(s.sides * states) * sizeof(T) : 0);
  ForwardStep<T> step{};
  step.hidden = Divisor(s.hidden);
  step.gates = gates;
  for (int d = 0; d < s.sides; ++d) {
    step.side[d] = forward_side<T>(a, d, lstm ? carry.as<V>() + d * states : nullptr);
    if (projected) step.side[d].full = full.as<T>() + d * states;
    step.product[d] = products.as<T>() + d * s.batch * width;
  }
  for (int64_t i = 0; i < s.steps; ++i) {
    int64_t most_rows = 0;
    for (int d = 0; d < s.sides; ++d) {
      const RecurrentFwdSide& side = a.side[d];
      const Moment m = step.m[d] = moment(s.offset, s.steps, d == 0 ? i : s.steps - 1 - i, d == 0);
      T* const product = const_cast<T*>(step.product[d]);
      most_rows = most(most_rows, m.count);
      step.multiplied[d] = side.h0 ? m.count : m.known;
      const auto multiply = [&](int64_t begin, int64_t end, const T* h, int64_t h_row) {
        if (begin >= end) return;
        times_weights(s.dtype, end - begin, h, h_row, side.r, width, s.out, true, product + begin * width, width);
      };
      multiply(0, m.known, step.side[d].y + m.before * y_row, y_row);
      if (side.h0) multiply(m.known, m.count, static_cast<const T*>(side.h0) + m.known * s.out, s.out);
    }
    launch("recurrent_fwd", recurrent_forward_step<T>, cell_grid(most_rows * s.hidden, s.sides), dim3(kThreads), 0, step);
    if (!projected) continue;
    for (int d = 0; d < s.sides; ++d) {
      const Moment& m = step.m[d];
      T* const y = step.side[d].y + m.first * y_row;
      times_weights(s.dtype, m.count, step.side[d].full, s.hidden, a.side[d].proj, s.out, s.hidden, true, y, y_row);
      if (m.stay < m.count)
        launch("recurrent_fwd", recurrent_last<T>, cell_grid((m.count - m.stay) * s.out, 1), dim3(kThreads), 0, y, y_row,
               static_cast<T*>(a.side[d].hn), m.stay, m.count, Divisor(s.out));
    }
  }
}

}  // namespace

void recurrent_fwd_stepwise(const RecurrentFwd& a) {
  by_float(a.shape.dtype, [&](auto t) { forward<decltype(t)>(a); });
}

void recurrent_fwd(const RecurrentFwd& a) {
  if (a.shape.batch == 0 || a.shape.steps == 0) return;
  if (recurrent_persists(a.shape, a.side[0].proj != nullptr, false, info().shared_bytes))
    recurrent_fwd_persistent(a, recurrent_plan(a.shape, false, info().processors, info().shared_bytes));
  else recurrent_fwd_stepwise(a);
}

}  // namespace lamella::cuda
