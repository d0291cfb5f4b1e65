// SPDX-License-Identifier: MIT
// Recurrent layers: RNN (Elman 1990), LSTM (Hochreiter and Schmidhuber 1997, with forget gates), GRU (Cho et al. 2014, with
// the reset gate after the product). The input's share of all steps is one product outside; here is what is sequential.
#include "recurrent.h"
#include "recurrent_cell.h"

namespace lamella {
namespace LAMELLA_ISA {

constexpr int64_t kFewSteps = 2;  // packing the weights costs about as much as a product with them
constexpr int kFullSlot = 13;     // scratch slot of h before projection, both sides

static int gates_of(RecurrentCell c) { return c == RecurrentCell::lstm ? 4 : c == RecurrentCell::gru ? 3 : 1; }
static int64_t columns_of(const RecurrentShape& s) {
  return s.hidden * (s.cell == RecurrentCell::lstm || s.cell == RecurrentCell::gru ? 4 : 1);
}

// to (batch, width) = from, or zeros.
template <class A> static void begin_state(void* to, const void* from, int64_t count) {
  if (from) __builtin_memcpy(to, from, size_t(count) * sizeof(A));
  else __builtin_memset(to, 0, size_t(count) * sizeof(A));
}

// f(t, begin, end): the sequences [begin, end) that end at step t.
template <class F> static void each_end(const RecurrentShape& s, const F& f) {
  for (int64_t t = 0; t < s.steps; ++t) {
    const int64_t here = s.offset[t + 1] - s.offset[t], next = t + 1 < s.steps ? s.offset[t + 2] - s.offset[t + 1] : 0;
    if (next < here) f(t, next, here);
  }
}

// Rows [b0, b1) of one phase of one step: those with a step before, whose left operand lies at from + b * stride, and
// those that begin (`first`, null: no product).
template <class A, class Cell>
static void take_step(const StepWeights<A>& w, const Moment& m, int64_t b0, int64_t b1, int64_t p0, int64_t p1, const A* from,
                      int64_t stride, const A* first, int64_t first_stride, const Cell& cell) {
  const int64_t end = least(b1, m.count), middle = least(m.known > b0 ? m.known : b0, end);
  if (p1 < 0) {
    step_plain<A>(w, b0, middle, from, stride, cell);
    step_plain<A>(w, middle, end, first, first_stride, cell);
  } else {
    step_panels<A>(w, b0, middle, from, stride, p0, p1, cell);
    step_panels<A>(w, middle, end, first, first_stride, p0, p1, cell);
  }
}

template <class A, class Cell> static void forward(const RecurrentFwd& a) {
  const RecurrentShape& s = a.shape;
  const int64_t y_row = s.sides * s.out, columns = columns_of(s);
  const int phases = a.side[0].proj ? 2 : 1, gates = gates_of(s.cell);
  const bool plain = s.steps <= kFewSteps;
  StepWeights<A> w[2][2];
  for (int d = 0; d < s.sides; ++d) {
    w[d][0] = {static_cast<const A*>(a.side[d].r), s.out, s.hidden, 1, s.out, gates};
    w[d][1] = {static_cast<const A*>(a.side[d].proj), s.hidden, s.out, 1, s.hidden, 1};
    if (s.cell == RecurrentCell::lstm) begin_state<A>(a.side[d].cn, a.side[d].c0, s.batch * s.hidden);
  }
  if (!plain) pack_weights(w, s.sides, phases);
  A* const full = phases == 1 ? nullptr : static_cast<A*>(scratch(size_t(2 * s.batch * s.hidden) * sizeof(A), kFullSlot));
  sweep<A>(s, w, phases, plain, false, [&](int d, int64_t t, int k, int64_t b0, int64_t b1, int64_t p0, int64_t p1) {
    const RecurrentFwdSide& side = a.side[d];
    const Moment m = moment(s, t, d == 0);
    A *const y = static_cast<A*>(a.y) + d * s.out, *const h = full ? full + d * s.batch * s.hidden : y + m.first * y_row;
    if (k == 1) {
      const StoreProduct<A> cell{y + m.first * y_row, y_row};
      take_step<A>(w[d][1], m, b0, b1, p0, p1, h, s.hidden, h, s.hidden, cell);
      return;
    }
    Cell cell;
    static_cast<ForwardStep<A>&>(cell) = {
        m, s.hidden, columns, static_cast<A*>(side.gates), static_cast<A*>(side.cells), static_cast<A*>(side.cn), h,
        full ? s.hidden : y_row, y + m.before * y_row, y_row, static_cast<const A*>(side.h0),
        static_cast<const A*>(side.bias_n), a.keep};
    take_step<A>(w[d][0], m, b0, b1, p0, p1, cell.h, y_row, cell.h0, s.out, cell);
  });
  for (int d = 0; d < s.sides; ++d) {
    const A* const y = static_cast<const A*>(a.y) + d * s.out;
    A* const hn = static_cast<A*>(a.side[d].hn);
    each_end(s, [&](int64_t t, int64_t begin, int64_t end) {
      const int64_t first = d == 0 ? s.offset[t] : 0;
      for (int64_t b = begin; b < end; ++b) __builtin_memcpy(hn + b * s.out, y + (first + b) * y_row, size_t(s.out) * sizeof(A));
    });
  }
}

template <class A, class Cell> static void backward(const RecurrentBwd& a) {
  const RecurrentShape& s = a.shape;
  const int64_t y_row = s.sides * s.out, columns = columns_of(s);
  const int phases = a.side[0].proj ? 2 : 1, gates = gates_of(s.cell);
  const bool plain = s.steps <= kFewSteps, gru = s.cell == RecurrentCell::gru, lstm = s.cell == RecurrentCell::lstm;
  const int64_t skip = gru ? s.hidden : 0;  // gru: r was multiplied by h for r, z and q, columns 1 to 3 of dgates
  StepWeights<A> w[2][2];
  for (int d = 0; d < s.sides; ++d) {
    const RecurrentBwdSide& side = a.side[d];
    w[d][0] = {static_cast<const A*>(side.r), gates * s.hidden, s.out, s.out, 1, 1};
    w[d][1] = {static_cast<const A*>(side.proj), s.out, s.hidden, s.hidden, 1, 1};
    if (lstm) begin_state<A>(side.dc0, side.dcn, s.batch * s.hidden);
    if (gru) begin_state<A>(side.dh0, side.dhn, s.batch * s.hidden);
  }
  if (!plain) pack_weights(w, s.sides, phases);
  sweep<A>(s, w, phases, plain, true, [&](int d, int64_t t, int k, int64_t b0, int64_t b1, int64_t p0, int64_t p1) {
    const RecurrentBwdSide& side = a.side[d];
    const Moment m = moment(s, t, d == 1);
    const auto all = [&](auto cell) {
      static_cast<BackwardStep<A>&>(cell) = {
          m, moment(s, t, d == 0), s.hidden, columns, s.out, static_cast<const A*>(side.gates),
          static_cast<const A*>(side.cells), static_cast<const A*>(side.c0), static_cast<const A*>(side.h0),
          static_cast<const A*>(a.y) + d * s.out, a.dy ? static_cast<const A*>(a.dy) + d * s.out : nullptr, y_row,
          static_cast<const A*>(side.dhn), static_cast<A*>(side.dgates), static_cast<A*>(gru ? side.dh0 : side.dc0),
          static_cast<A*>(side.dh), static_cast<A*>(side.full)};
      return cell;
    };
    if (k == phases - 1 && phases == 2) {
      const A* const dh = static_cast<const A*>(side.dh) + m.first * s.out;
      take_step<A>(w[d][1], m, b0, b1, p0, p1, dh, s.out, dh, s.out, all(Cell{}));
      return;
    }
    const A* const after = static_cast<const A*>(side.dgates) + m.before * columns + skip;
    const A* const none = nullptr;
    if (phases == 2) take_step<A>(w[d][0], m, b0, b1, p0, p1, after, columns, none, 0, all(StoreIncoming<A>{}));
    else take_step<A>(w[d][0], m, b0, b1, p0, p1, after, columns, none, 0, all(Cell{}));
  });
  for (int d = 0; d < s.sides; ++d) {  // dh0: through the product of each sequence's first step
    const RecurrentBwdSide& side = a.side[d];
    if (!side.dh0) continue;
    const auto product = [&](int64_t t, int64_t begin, int64_t end) {
      Gemm g{};
      g.dtype = s.dtype;
      g.m = end - begin, g.n = s.out, g.k = gates * s.hidden;
      g.a = static_cast<const A*>(side.dgates) + (s.offset[t] + begin) * columns + skip;
      g.b = side.r, g.c = static_cast<A*>(side.dh0) + begin * s.out;
      g.a_row = columns, g.a_col = 1, g.b_row = s.out, g.b_col = 1, g.c_row = s.out;
      g.accumulate = gru;
      gemm(g);
    };
    if (d == 0) product(0, 0, s.batch);
    else each_end(s, product);
  }
}

template <class A> static void forward_of(const RecurrentFwd& a) {
  switch (a.shape.cell) {
    case RecurrentCell::tanh: return forward<A, PlainForward<A, RecurrentCell::tanh>>(a);
    case RecurrentCell::relu: return forward<A, PlainForward<A, RecurrentCell::relu>>(a);
    case RecurrentCell::lstm: return forward<A, LstmForward<A>>(a);
    case RecurrentCell::gru: return forward<A, GruForward<A>>(a);
  }
}

template <class A> static void backward_of(const RecurrentBwd& a) {
  switch (a.shape.cell) {
    case RecurrentCell::tanh: return backward<A, PlainBackward<A, RecurrentCell::tanh>>(a);
    case RecurrentCell::relu: return backward<A, PlainBackward<A, RecurrentCell::relu>>(a);
    case RecurrentCell::lstm: return backward<A, LstmBackward<A>>(a);
    case RecurrentCell::gru: return backward<A, GruBackward<A>>(a);
  }
}

void recurrent_fwd(const RecurrentFwd& a) {
  if (a.shape.batch == 0) return;
  if (a.shape.dtype == DType::f64) forward_of<double>(a);
  else forward_of<float>(a);
}

void recurrent_bwd(const RecurrentBwd& a) {
  if (a.shape.batch == 0) return;
  if (a.shape.dtype == DType::f64) backward_of<double>(a);
  else backward_of<float>(a);
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
