// SPDX-License-Identifier: MIT
// What the forms of the recurrent layers share: which rows a step has, and the cells' formulas (kernels.h, RecurrentFwd) on
// one unit of one row. States that travel between steps are kept in the type of arithmetic, whatever the layer's dtype.
#pragma once
#include "lanes.cuh"
#include "recurrent_persistent.h"
#include "../cpp/kernels/activation.h"

namespace lamella::cuda {

inline int gates_of(RecurrentCell c) { return c == RecurrentCell::lstm ? 4 : c == RecurrentCell::gru ? 3 : 1; }
inline int64_t columns_of(const RecurrentShape& s) { return s.hidden * (gates_of(s.cell) == 1 ? 1 : 4); }

// Step t of a side in forward's order: its `count` rows from row `first` on; those b < known have a step before it, at
// row before + b; those b < stay have one after it, at row after + b. The others begin or end here.
struct Moment { int64_t first, count, before, known, after, stay; };

BOTH Moment moment(const int64_t* offset, int64_t steps, int64_t t, bool ascending) {
  Moment m{offset[t], offset[t + 1] - offset[t], 0, 0, 0, 0};
  const int64_t last = ascending ? t - 1 : t + 1, next = ascending ? t + 1 : t - 1;
  if (last >= 0 && last < steps) m.before = offset[last], m.known = least(m.count, offset[last + 1] - offset[last]);
  if (next >= 0 && next < steps) m.after = offset[next], m.stay = least(m.count, offset[next + 1] - offset[next]);
  return m;
}
// The same where all sequences have all steps.
BOTH Moment moment_of_all(int64_t batch, int64_t steps, int64_t t, bool ascending) {
  Moment m{t * batch, batch, 0, 0, 0, 0};
  const int64_t last = ascending ? t - 1 : t + 1, next = ascending ? t + 1 : t - 1;
  if (last >= 0 && last < steps) m.before = last * batch, m.known = batch;
  if (next >= 0 && next < steps) m.after = next * batch, m.stay = batch;
  return m;
}

template <class V, class T> GPU V value_or_zero(const T* p, int64_t i) { return p ? V(up(p[i])) : V(0); }

// ---- forward ---------------------------------------------------------------------------------------------------------
// y: this side's columns. With a projection new states go to full (batch, hidden) instead, and hn is not written here.
template <class T> struct ForwardSide {
  RecurrentCell cell;
  int64_t hidden, columns, y_row;
  const T *bias_n, *h0, *c0;
  T *gates, *cells, *y, *full, *hn, *cn;   // gates: read, and written where `keep`
  acc_t<T>* carry;                          // (batch, hidden), lstm: c
  bool keep;
};

// Row b, unit u. sum: what each gate's product adds to a.
template <class T>
GPU void forward_cell(const ForwardSide<T>& s, const Moment& m, int64_t b, int64_t u, const acc_t<T> (&sum)[4]) {
  using V = acc_t<T>;
  const int64_t hidden = s.hidden, at = b * hidden + u, row = m.first + b;
  T* const a = s.gates + row * s.columns + u;
  const bool ends = b >= m.stay;
  V y, keep[4];
  if (s.cell == RecurrentCell::lstm) {
    const V i = vsigmoid(up(a[0]) + sum[0]), f = vsigmoid(up(a[hidden]) + sum[1]);
    const V g = vtanh(up(a[2 * hidden]) + sum[2]), o = vsigmoid(up(a[3 * hidden]) + sum[3]);
    const V c = fma(f, b < m.known ? s.carry[at] : value_or_zero<V>(s.c0, at), i * g);
    if (ends) s.cn[at] = down<T>(c);
    else s.carry[at] = c;
    if (s.cells) s.cells[row * hidden + u] = down<T>(c);
    y = o * vtanh(c);
    keep[0] = i, keep[1] = f, keep[2] = g, keep[3] = o;
  } else if (s.cell == RecurrentCell::gru) {
    const V r = vsigmoid(up(a[0]) + sum[0]), z = vsigmoid(up(a[hidden]) + sum[1]);
    const V q = value_or_zero<V>(s.bias_n, u) + sum[2], n = vtanh(fma(r, q, V(up(a[2 * hidden]))));
    const V h = b < m.known ? V(up(s.y[(m.before + b) * s.y_row + u])) : value_or_zero<V>(s.h0, at);
    y = fma(z, h - n, n);
    keep[0] = r, keep[1] = z, keep[2] = n, keep[3] = q;
  } else {
    const V x = up(a[0]) + sum[0];
    y = s.cell == RecurrentCell::relu ? relu(x) : vtanh(x);
  }
  const T h = down<T>(y);
  if (s.full) s.full[at] = h;
  else {
    s.y[row * s.y_row + u] = h;
    if (ends) s.hn[at] = h;
  }
  if (s.keep && s.columns != hidden)
#pragma unroll
    for (int v = 0; v < 4; ++v) a[v * hidden] = down<T>(keep[v]);
}

// ---- backward --------------------------------------------------------------------------------------------------------
// y, dy: this side's columns.
template <class T> struct BackwardSide {
  RecurrentCell cell;
  int64_t hidden, columns, out, y_row;
  const T *gates, *cells, *c0, *h0, *y, *dy, *dhn, *dcn;
  T *dgates, *dh, *full, *dh0, *dc0;
  acc_t<T>* carry;                          // (batch, hidden): dc of lstm; of gru, what dh leaves for the step before
};

// The gradient of a step's y but for what the step after it adds.
template <class T> GPU acc_t<T> incoming(const BackwardSide<T>& s, const Moment& m, int64_t b, int64_t u) {
  using V = acc_t<T>;
  V d = value_or_zero<V>(s.dy, (m.first + b) * s.y_row + u);
  if (b >= m.stay) d += value_or_zero<V>(s.dhn, b * s.out + u);
  return d;
}

// sum: with a projection the whole gradient of o tanh(c'), else what comes from the step after.
template <class T> GPU void backward_cell(const BackwardSide<T>& s, const Moment& m, int64_t b, int64_t u, acc_t<T> sum) {
  using V = acc_t<T>;
  const int64_t hidden = s.hidden, at = b * hidden + u, row = m.first + b;
  const bool stays = b < m.stay, begins = b >= m.known;
  V dh = s.full ? sum : sum + incoming(s, m, b, u);
  T* const d = s.dgates + row * s.columns + u;
  if (s.cell != RecurrentCell::lstm && s.cell != RecurrentCell::gru) {
    const V y = up(s.y[row * s.y_row + u]);
    d[0] = down<T>(dh * (s.cell == RecurrentCell::relu ? d_relu(y) : d_tanh(y)));
    return;
  }
  const T* const a = s.gates + row * s.columns + u;
  V da[4], left;
  if (s.cell == RecurrentCell::lstm) {
    const V i = up(a[0]), f = up(a[hidden]), g = up(a[2 * hidden]), o = up(a[3 * hidden]);
    const V t = vtanh(V(up(s.cells[row * hidden + u])));
    const V dc = fma(dh * o, d_tanh(t), stays ? s.carry[at] : value_or_zero<V>(s.dcn, at));
    const V c = begins ? value_or_zero<V>(s.c0, at) : V(up(s.cells[(m.before + b) * hidden + u]));
    da[0] = dc * g * d_sigmoid(i);
    da[1] = dc * c * d_sigmoid(f);
    da[2] = dc * i * d_tanh(g);
    da[3] = dh * t * d_sigmoid(o);
    left = dc * f;
    if (s.full) s.full[row * hidden + u] = down<T>(o * t);
  } else {
    const V r = up(a[0]), z = up(a[hidden]), n = up(a[2 * hidden]), q = up(a[3 * hidden]);
    const V h = begins ? value_or_zero<V>(s.h0, at) : V(up(s.y[(m.before + b) * s.y_row + u]));
    if (stays) dh += s.carry[at];
    const V dn = dh * (V(1) - z) * d_tanh(n);
    da[0] = dn;
    da[1] = dn * q * d_sigmoid(r);
    da[2] = dh * (h - n) * d_sigmoid(z);
    da[3] = dn * r;
    left = dh * z;
  }
#pragma unroll
  for (int v = 0; v < 4; ++v) d[v * hidden] = down<T>(da[v]);
  T* const first = s.cell == RecurrentCell::lstm ? s.dc0 : s.dh0;
  if (!begins) s.carry[at] = left;
  else if (first) first[at] = down<T>(left);
}

// ---- host ------------------------------------------------------------------------------------------------------------
// c = a . w or, `transposed`, a . w' for w (rows, cols) with adjacent columns.
inline void times_weights(DType dtype, int64_t m, const void* a, int64_t a_row, const void* w, int64_t rows, int64_t cols,
                          bool transposed, void* c, int64_t c_row, bool accumulate = false) {
  Gemm g{};
  g.dtype = dtype;
  g.m = m, g.n = transposed ? rows : cols, g.k = transposed ? cols : rows;
  g.a = a, g.a_row = a_row, g.a_col = 1;
  g.b = w, g.b_row = transposed ? 1 : cols, g.b_col = transposed ? cols : 1;
  g.c = c, g.c_row = c_row;
  g.accumulate = accumulate;
  gemm(g);
}

template <class T> ForwardSide<T> forward_side(const RecurrentFwd& a, int d, acc_t<T>* carry) {
  const RecurrentShape& s = a.shape;
  const RecurrentFwdSide& side = a.side[d];
  const auto in = [](const void* p) { return static_cast<const T*>(p); };
  const auto out = [](void* p) { return static_cast<T*>(p); };
  return {s.cell, s.hidden, columns_of(s), s.sides * s.out, in(side.bias_n), in(side.h0), in(side.c0), out(side.gates),
          out(side.cells), out(a.y) + d * s.out, nullptr, out(side.hn), out(side.cn), carry, a.keep};
}

template <class T> BackwardSide<T> backward_side(const RecurrentBwd& a, int d, acc_t<T>* carry) {
  const RecurrentShape& s = a.shape;
  const RecurrentBwdSide& x = a.side[d];
  const auto in = [](const void* p) { return static_cast<const T*>(p); };
  const auto out = [](void* p) { return static_cast<T*>(p); };
  return {s.cell, s.hidden, columns_of(s), s.out, s.sides * s.out, in(x.gates), in(x.cells), in(x.c0), in(x.h0),
          in(a.y) + d * s.out, a.dy ? in(a.dy) + d * s.out : nullptr, in(x.dhn), in(x.dcn), out(x.dgates), out(x.dh),
          x.proj ? out(x.full) : nullptr, out(x.dh0), out(x.dc0), carry};
}

// gru: r was multiplied by h for r, z and q, columns 1 to 3 of dgates.
inline int64_t skip_of(const RecurrentShape& s) { return s.cell == RecurrentCell::gru ? s.hidden : 0; }

// One thread for a unit of a row; blockIdx.y is the side.
inline dim3 cell_grid(int64_t elements, int sides) { return dim3(blocks_for(elements, kThreads), unsigned(sides)); }

}  // namespace lamella::cuda
