// SPDX-License-Identifier: MIT
// Recurrent layers, backward, step by step against forward's order: a product of the gates' gradients of the step after,
// then the cell. With a projection the gradient of y lies between the two, and a second product.
#include "recurrent.cuh"

namespace lamella::cuda {
namespace {

template <class T> struct BackwardStep {
  Divisor width;         // units of a row: hidden, or out
  BackwardSide<T> side[2];
  Moment m[2];
  const T* product[2];   // (batch, width): with a projection of all rows, else of those b < stay
};

// f(side, moment, b, u, element of product) for this thread's elements.
template <class T, class F> GPU void each_unit(const BackwardStep<T>& p, const F& f) {
  const int d = int(blockIdx.y);
  const Moment m = p.m[d];
  const int64_t n = m.count * p.width.d;
#pragma unroll 1
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < n; i += int64_t(gridDim.x) * kThreads) {
    int64_t u;
    const int64_t b = p.width.divide(i, u);
    f(p.side[d], m, b, u, p.product[d] + i);
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads) recurrent_backward_step(const __grid_constant__ BackwardStep<T> p) {
  each_unit(p, [](const BackwardSide<T>& s, const Moment& m, int64_t b, int64_t u, const T* product) {
    backward_cell(s, m, b, u, s.full || b < m.stay ? acc_t<T>(up(*product)) : acc_t<T>(0));
  });
}

// With a projection: dh, where product is what comes from the step after.
template <class T>
__global__ void __launch_bounds__(kThreads) recurrent_incoming(const __grid_constant__ BackwardStep<T> p) {
  each_unit(p, [](const BackwardSide<T>& s, const Moment& m, int64_t b, int64_t u, const T* product) {
    acc_t<T> d = incoming(s, m, b, u);
    if (b < m.stay) d += up(*product);
    s.dh[(m.first + b) * s.out + u] = down<T>(d);
  });
}

template <class T> void backward(const RecurrentBwd& a) {
  using V = acc_t<T>;
  const RecurrentShape& s = a.shape;
  const int gates = gates_of(s.cell);
  const bool projected = a.side[0].proj != nullptr;
  const int64_t states = s.batch * s.hidden, columns = columns_of(s), depth = gates * s.hidden;
  const int64_t room = s.batch * most(s.hidden, s.out);
  const Temp products(size_t(s.sides * room) * sizeof(T)), carry(gates > 1 ? size_t(s.sides * states) * sizeof(V) : 0);
  BackwardStep<T> step{};
  for (int d = 0; d < s.sides; ++d) {
    step.side[d] = backward_side<T>(a, d, gates > 1 ? carry.as<V>() + d * states : nullptr);
    step.product[d] = products.as<T>() + d * room;
  }
  for (int64_t i = 0; i < s.steps; ++i) {
    int64_t rows = 0;
    for (int d = 0; d < s.sides; ++d) {
      const Moment m = step.m[d] = moment(s.offset, s.steps, d == 0 ? s.steps - 1 - i : i, d == 0);
      rows = most(rows, m.count);
      if (m.stay)
        times_weights(s.dtype, m.stay, step.side[d].dgates + m.after * columns + skip_of(s), columns, a.side[d].r, depth,
                      s.out, false, products.as<T>() + d * room, s.out);
    }
    if (projected) {
      step.width = Divisor(s.out);
      launch("recurrent_bwd", recurrent_incoming<T>, cell_grid(rows * s.out, s.sides), dim3(kThreads), 0, step);
      for (int d = 0; d < s.sides; ++d)
        times_weights(s.dtype, step.m[d].count, step.side[d].dh + step.m[d].first * s.out, s.out, a.side[d].proj, s.out,
                      s.hidden, false, products.as<T>() + d * room, s.hidden);
    }
    step.width = Divisor(s.hidden);
    launch("recurrent_bwd", recurrent_backward_step<T>, cell_grid(rows * s.hidden, s.sides), dim3(kThreads), 0, step);
  }
}

// dh0, through the product of each sequence's first step.
template <class T> void first_states(const RecurrentBwd& a) {
  const RecurrentShape& s = a.shape;
  const int64_t columns = columns_of(s), depth = gates_of(s.cell) * s.hidden;
  for (int d = 0; d < s.sides; ++d) {
    T* const dh0 = static_cast<T*>(a.side[d].dh0);
    const T* const dgates = static_cast<const T*>(a.side[d].dgates) + skip_of(s);
    if (!dh0) continue;
    for (int64_t t = 0; t < s.steps; ++t) {
      const Moment m = moment(s.offset, s.steps, t, d == 0);
      if (m.known < m.count)
        times_weights(s.dtype, m.count - m.known, dgates + (m.first + m.known) * columns, columns, a.side[d].r, depth, s.out,
                      false, dh0 + m.known * s.out, s.out, s.cell == RecurrentCell::gru);
    }
  }
}

}  // namespace

void recurrent_bwd_stepwise(const RecurrentBwd& a) {
  by_float(a.shape.dtype, [&](auto t) { backward<decltype(t)>(a); });
}

void recurrent_bwd(const RecurrentBwd& a) {
  if (a.shape.batch == 0 || a.shape.steps == 0) return;
  if (recurrent_persists(a.shape, a.side[0].proj != nullptr, true, info().shared_bytes))
    recurrent_bwd_persistent(a, recurrent_plan(a.shape, true, info().processors, info().shared_bytes));
  else recurrent_bwd_stepwise(a);
  by_float(a.shape.dtype, [&](auto t) { first_states<decltype(t)>(a); });
}

}  // namespace lamella::cuda
