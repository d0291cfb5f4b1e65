// SPDX-License-Identifier: MIT
// The cells of recurrent.cpp: what happens to the sums of a step, forward and backward, on one vector of units of one
// row. Formulas stand at RecurrentFwd in kernels.h; hats below are gradients.
#pragma once
#include "recurrent.h"

namespace lamella {
namespace LAMELLA_ISA {

template <class A> LAMELLA_INLINE vec<A> part(const A* p, int64_t n) { return n == kLanes<A> ? vload(p) : vload(p, n); }
template <class A> LAMELLA_INLINE void put(A* p, vec<A> v, int64_t n) {
  if (n == kLanes<A>) vstore(p, v);
  else vstore(p, v, n);
}

// ---- forward -------------------------------------------------------------------------------------------------------
// What all forward cells see of their side at one step.
template <class A> struct ForwardStep {
  Moment m;
  int64_t hidden, columns;
  A *gates, *cells;       // whole arrays; cells may be null
  A* cell;                // (batch, hidden): c, updated in place
  A* out; int64_t out_row;      // where row b's new h goes: out + b * out_row
  const A* h; int64_t h_row;    // row b's h before, for b < m.known; h0 (batch, hidden) or null for the others
  const A *h0, *bias_n;
  bool keep;
  LAMELLA_INLINE A* gate(int64_t b, int v, int64_t u) const { return gates + (m.first + b) * columns + v * hidden + u; }
};

template <class A, RecurrentCell kind> struct PlainForward : ForwardStep<A> {
  LAMELLA_INLINE void start(int64_t b, int64_t u, int64_t n, int, A* sums) const { vstore(sums, part(this->gate(b, 0, u), n)); }
  LAMELLA_INLINE void finish(int64_t b, int64_t u, int64_t n, const A* sums, int64_t) const {
    const vec<A> s = vload(sums);
    put(this->out + b * this->out_row + u, kind == RecurrentCell::relu ? relu(s) : vtanh(s), n);
  }
};

template <class A> struct LstmForward : ForwardStep<A> {
  LAMELLA_INLINE void ahead(int64_t b, int64_t u) const {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) __builtin_prefetch(this->gate(b, v, u));
  }
  LAMELLA_INLINE void start(int64_t b, int64_t u, int64_t n, int v, A* sums) const { vstore(sums, part(this->gate(b, v, u), n)); }
  LAMELLA_INLINE void finish(int64_t b, int64_t u, int64_t n, const A* sums, int64_t step) const {
    const vec<A> i = vsigmoid(vload(sums)), f = vsigmoid(vload(sums + step));
    const vec<A> g = vtanh(vload(sums + 2 * step)), o = vsigmoid(vload(sums + 3 * step));
    A* const cell = this->cell + b * this->hidden + u;
    const vec<A> c = fma(f, part(cell, n), i * g);
    put(cell, c, n);
    put(this->out + b * this->out_row + u, o * vtanh(c), n);
    if (!this->keep) return;
    put(this->gate(b, 0, u), i, n);
    put(this->gate(b, 1, u), f, n);
    put(this->gate(b, 2, u), g, n);
    put(this->gate(b, 3, u), o, n);
    put(this->cells + (this->m.first + b) * this->hidden + u, c, n);
  }
};

template <class A> struct GruForward : ForwardStep<A> {
  LAMELLA_INLINE void ahead(int64_t b, int64_t u) const {
#pragma GCC unroll 3
    for (int v = 0; v < 3; ++v) __builtin_prefetch(this->gate(b, v, u));
  }
  LAMELLA_INLINE void start(int64_t b, int64_t u, int64_t n, int v, A* sums) const {
    vstore(sums, v < 2 ? part(this->gate(b, v, u), n) : this->bias_n ? part(this->bias_n + u, n) : vec<A>{});
  }
  LAMELLA_INLINE void finish(int64_t b, int64_t u, int64_t n, const A* sums, int64_t step) const {
    const vec<A> r = vsigmoid(vload(sums)), z = vsigmoid(vload(sums + step)), q = vload(sums + 2 * step);
    const vec<A> w = vtanh(fma(r, q, part(this->gate(b, 2, u), n)));
    vec<A> h{};
    if (b < this->m.known) h = part(this->h + b * this->h_row + u, n);
    else if (this->h0) h = part(this->h0 + b * this->hidden + u, n);
    put(this->out + b * this->out_row + u, fma(z, h - w, w), n);
    if (!this->keep) return;
    put(this->gate(b, 0, u), r, n);
    put(this->gate(b, 1, u), z, n);
    put(this->gate(b, 2, u), w, n);
    put(this->gate(b, 3, u), q, n);
  }
};

// The product alone, stored: LSTM's projection.
template <class A> struct StoreProduct {
  A* out; int64_t out_row;
  LAMELLA_INLINE void start(int64_t, int64_t, int64_t, int, A* sums) const { vstore(sums, vec<A>{}); }
  LAMELLA_INLINE void finish(int64_t b, int64_t u, int64_t n, const A* sums, int64_t) const {
    put(out + b * out_row + u, vload(sums), n);
  }
};

// ---- backward ------------------------------------------------------------------------------------------------------
// m: the step in backward's order (known: sequences with a step after this one). at: the same step in forward's.
template <class A> struct BackwardStep {
  Moment m, at;
  int64_t hidden, columns, out;
  const A *gates, *cells, *c0, *h0;
  const A *y, *dy; int64_t y_row;  // of this side, whole arrays; dy may be null
  const A* dhn;                    // (batch, out): of sequences that end here; may be null
  A *dgates, *carry;               // carry (batch, hidden): dc of lstm, what gru's dh leaves for the step before; updated in place
  A *dh, *full;                    // with projection: whole arrays
  LAMELLA_INLINE int64_t row(int64_t b) const { return m.first + b; }
  LAMELLA_INLINE const A* gate(int64_t b, int v, int64_t u) const { return gates + row(b) * columns + v * hidden + u; }
  LAMELLA_INLINE A* dgate(int64_t b, int v, int64_t u) const { return dgates + row(b) * columns + v * hidden + u; }
  // A state (rows, ...; row stride s) as it was before this step.
  LAMELLA_INLINE vec<A> before(const A* states, int64_t s, const A* first, int64_t b, int64_t u, int64_t n) const {
    if (b < at.known) return part(states + (at.before + b) * s + u, n);
    return first ? part(first + b * hidden + u, n) : vec<A>{};
  }
  LAMELLA_INLINE vec<A> incoming(int64_t b, int64_t u, int64_t n) const {
    vec<A> v = dy ? part(dy + row(b) * y_row + u, n) : vec<A>{};
    if (dhn && b >= m.known) v += part(dhn + b * out + u, n);
    return v;
  }
};

template <class A, RecurrentCell kind> struct PlainBackward : BackwardStep<A> {
  LAMELLA_INLINE void start(int64_t b, int64_t u, int64_t n, int, A* sums) const { vstore(sums, this->incoming(b, u, n)); }
  LAMELLA_INLINE void finish(int64_t b, int64_t u, int64_t n, const A* sums, int64_t) const {
    const vec<A> y = part(this->y + this->row(b) * this->y_row + u, n);
    put(this->dgate(b, 0, u), vload(sums) * (kind == RecurrentCell::relu ? d_relu(y) : d_tanh(y)), n);
  }
};

template <class A> struct LstmBackward : BackwardStep<A> {
  LAMELLA_INLINE void start(int64_t b, int64_t u, int64_t n, int, A* sums) const {
    vstore(sums, this->full ? vec<A>{} : this->incoming(b, u, n));
  }
  LAMELLA_INLINE void finish(int64_t b, int64_t u, int64_t n, const A* sums, int64_t) const {
    const vec<A> i = part(this->gate(b, 0, u), n), f = part(this->gate(b, 1, u), n);
    const vec<A> g = part(this->gate(b, 2, u), n), o = part(this->gate(b, 3, u), n);
    const vec<A> dh = vload(sums), t = vtanh(part(this->cells + this->row(b) * this->hidden + u, n));
    A* const carry = this->carry + b * this->hidden + u;
    const vec<A> dc = fma(dh * o, d_tanh(t), part(carry, n));
    put(carry, dc * f, n);
    put(this->dgate(b, 0, u), dc * g * d_sigmoid(i), n);
    put(this->dgate(b, 1, u), dc * this->before(this->cells, this->hidden, this->c0, b, u, n) * d_sigmoid(f), n);
    put(this->dgate(b, 2, u), dc * i * d_tanh(g), n);
    put(this->dgate(b, 3, u), dh * t * d_sigmoid(o), n);
    if (this->full) put(this->full + this->row(b) * this->hidden + u, o * t, n);
  }
};

template <class A> struct GruBackward : BackwardStep<A> {
  LAMELLA_INLINE void start(int64_t b, int64_t u, int64_t n, int, A* sums) const {  // carry began as dhn
    vec<A> v = part(this->carry + b * this->hidden + u, n);
    if (this->dy) v += part(this->dy + this->row(b) * this->y_row + u, n);
    vstore(sums, v);
  }
  LAMELLA_INLINE void finish(int64_t b, int64_t u, int64_t n, const A* sums, int64_t) const {
    const vec<A> r = part(this->gate(b, 0, u), n), z = part(this->gate(b, 1, u), n);
    const vec<A> w = part(this->gate(b, 2, u), n), q = part(this->gate(b, 3, u), n);
    const vec<A> dh = vload(sums), h = this->before(this->y, this->y_row, this->h0, b, u, n);
    const vec<A> dw = dh * (A(1) - z) * d_tanh(w);
    put(this->dgate(b, 0, u), dw, n);
    put(this->dgate(b, 1, u), dw * q * d_sigmoid(r), n);
    put(this->dgate(b, 2, u), dh * (h - w) * d_sigmoid(z), n);
    put(this->dgate(b, 3, u), dw * r, n);
    put(this->carry + b * this->hidden + u, dh * z, n);
  }
};

// With projection: the whole gradient of the step's output.
template <class A> struct StoreIncoming : BackwardStep<A> {
  LAMELLA_INLINE void start(int64_t b, int64_t u, int64_t n, int, A* sums) const { vstore(sums, this->incoming(b, u, n)); }
  LAMELLA_INLINE void finish(int64_t b, int64_t u, int64_t n, const A* sums, int64_t) const {
    put(this->dh + this->row(b) * this->out + u, vload(sums), n);
  }
};

}  // namespace LAMELLA_ISA
}  // namespace lamella
