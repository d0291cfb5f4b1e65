// SPDX-License-Identifier: MIT
#include "recurrent.h"
#include <algorithm>
#include <cstring>
#include "core/threads.h"
#include "dispatch/dispatch.h"
#include "elementwise.h"
#include "param.h"
#include "reduce.h"

namespace lamella::ops {
namespace {

struct Side { Array w_ih, w_hh, b_ih, b_hh, w_hr; };

// A checked layer: contiguous operands and sizes. `columns`: of the gates array (kernels.h).
struct Plan {
  std::vector<int64_t> offset;
  RecurrentShape shape;
  int64_t rows, in, gates, columns;
  Array x, h0, c0;
  Side side[2];
};

Array state(const char* name, const std::optional<Array>& a, const Shape& shape, DType dtype) {
  if (!a) return {};
  check<ValueError>(a->shape == shape, "[recurrent] ", name, " must have shape ", shape, ", got ", a->shape);
  check<TypeError>(a->dtype == dtype, "[recurrent] ", name, " must have input's dtype ", name_of(dtype), ", got ",
                   name_of(a->dtype));
  return contiguous(*a);
}

void set_offsets(Plan& p, const RecurrentLayer& l) {
  p.offset.assign(1, 0);
  if (!l.sizes) {
    check<ValueError>(l.x.ndim() == 3, "[recurrent] input must be (steps, batch, in), got ", l.x.shape);
    for (int64_t t = 0; t < l.x.shape[0]; ++t) p.offset.push_back(p.offset.back() + l.x.shape[1]);
    p.shape.batch = l.x.shape[1];
  } else {
    check<ValueError>(l.x.ndim() == 2, "[recurrent] packed input must be (rows, in), got ", l.x.shape);
    check<TypeError>(l.sizes->dtype == DType::i64 && l.sizes->ndim() == 1, "[recurrent] batch_sizes must be int64 (steps), got ",
                     describe(*l.sizes));
    const Array sizes = on_host(contiguous(*l.sizes));
    const int64_t* n = sizes.data<int64_t>();
    for (int64_t t = 0; t < sizes.shape[0]; ++t) {
      check<ValueError>(n[t] > 0 && (t == 0 || n[t] <= n[t - 1]),
                        "[recurrent] batch_sizes must be positive and not grow, got ", n[t], " at step ", t);
      p.offset.push_back(p.offset.back() + n[t]);
    }
    p.shape.batch = sizes.shape[0] ? n[0] : 0;
    check<ValueError>(p.offset.back() == l.x.shape[0], "[recurrent] batch_sizes must sum to input's ", l.x.shape[0],
                      " rows, got ", p.offset.back());
  }
  p.shape.steps = int64_t(p.offset.size()) - 1;
  check<ValueError>(p.shape.steps > 0, "[recurrent] input must have at least one step, got ", l.x.shape);
}

Plan plan(const RecurrentLayer& l) {
  Plan p;
  const bool lstm = l.cell == RecurrentCell::lstm, gru = l.cell == RecurrentCell::gru;
  check<TypeError>(l.x.dtype == DType::f32 || l.x.dtype == DType::f64 || (is_floating(l.x.dtype) && !here().is_cpu()),
                   "[recurrent] input must be float32 or float64, got ", name_of(l.x.dtype));
  set_offsets(p, l);
  const int each = 2 + 2 * l.bias + l.projected;
  check<ValueError>(int(l.weights.size()) == each * l.sides, "[recurrent] weights must be ", each * l.sides, ", got ",
                    l.weights.size());
  check<ValueError>(!l.projected || lstm, "[recurrent] a projection must be lstm's");
  p.gates = lstm ? 4 : gru ? 3 : 1;
  const Array& r = l.weights[1];
  check<ValueError>(r.ndim() == 2 && r.shape[0] % p.gates == 0, "[recurrent] weight_hh must be (", p.gates,
                    " hidden, out), got ", r.shape);
  const int64_t hidden = r.shape[0] / p.gates, out = r.shape[1];
  p.in = l.x.shape.back();
  p.columns = hidden * (lstm || gru ? 4 : 1);
  p.rows = p.offset.back();
  p.x = contiguous(l.x);
  p.shape.dtype = l.x.dtype, p.shape.cell = l.cell, p.shape.sides = l.sides;
  p.shape.hidden = hidden, p.shape.out = out;
  for (int d = 0; d < l.sides; ++d) {
    const Array* w = &l.weights[d * each];
    const auto take = [&](const char* name, const Array& a, const Shape& shape) { return state(name, a, shape, l.x.dtype); };
    p.side[d].w_ih = take("weight_ih", w[0], {p.gates * hidden, p.in});
    p.side[d].w_hh = take("weight_hh", w[1], {p.gates * hidden, out});
    if (l.bias) {
      p.side[d].b_ih = take("bias_ih", w[2], {p.gates * hidden});
      p.side[d].b_hh = take("bias_hh", w[3], {p.gates * hidden});
    }
    if (l.projected) p.side[d].w_hr = take("weight_hr", w[each - 1], {out, hidden});
  }
  check<ValueError>(l.projected || hidden == out, "[recurrent] weight_hh must be (", p.gates * hidden, ", ", hidden, "), got ",
                    r.shape);
  p.h0 = state("h_0", l.h0, {l.sides, p.shape.batch, out}, l.x.dtype);
  p.c0 = state("c_0", l.c0, {l.sides, p.shape.batch, hidden}, l.x.dtype);
  return p;
}

// The part of a stacked (sides, ...) array that is side d's; null where the array is.
char* side_of(const Array& a, int d) {
  return a.defined() ? a.bytes() + d * (a.numel() / a.shape[0]) * size_of(a.dtype) : nullptr;
}
char* at(char* p, int64_t elements, DType t) { return p + elements * size_of(t); }

struct Matrix { const void* p; int64_t row, col; };
void multiply(DType dtype, int64_t m, int64_t n, int64_t k, Matrix a, Matrix b, void* c, int64_t c_row, bool accumulate,
              const void* bias = nullptr) {
  Gemm g{};
  g.dtype = dtype;
  g.m = m, g.n = n, g.k = k;
  g.a = a.p, g.a_row = a.row, g.a_col = a.col;
  g.b = b.p, g.b_row = b.row, g.b_col = b.col;
  g.c = c, g.c_row = c_row;
  g.accumulate = accumulate;
  if (bias) g.bias_axis = BiasAxis::column, g.bias = bias;
  kernels().gemm(g);
}

// The biases that the input's share takes: both, except gru's b_hh of n, which the reset gate multiplies.
Array input_bias(const Plan& p, const Side& s) {
  if (!s.b_ih.defined()) return {};
  if (p.shape.cell != RecurrentCell::gru) return binary(BinaryOp::add, s.b_ih, s.b_hh);
  Array b = copy(s.b_ih), head = b.slice(0, 0, 2 * p.shape.hidden, 1);
  binary_out(BinaryOp::add, head, head, s.b_hh.slice(0, 0, 2 * p.shape.hidden, 1));
  return b;
}

// The state before each step, where all sequences have all steps: y moved by a step, after (or before) h0 or zeros.
void shift_states(const Plan& p, const Array& y, int d, Array& before) {
  const RecurrentShape& s = p.shape;
  const int64_t step = p.offset[1], rest = p.rows - step;
  const Array all = y.reshape({p.rows, s.sides * s.out}).slice(1, d * s.out, (d + 1) * s.out, 1);
  const auto rows = [](const Array& a, int64_t from, int64_t to) { return a.slice(0, from, to, 1); };
  Array moved = d == 0 ? rows(before, step, p.rows) : rows(before, 0, rest);
  Array edge = d == 0 ? rows(before, 0, step) : rows(before, rest, p.rows);
  if (rest) copy_(moved, d == 0 ? rows(all, 0, rest) : rows(all, step, p.rows));
  if (p.h0.defined()) copy_(edge, p.h0.select(0, d));
  else fill_(edge, int64_t(0));
}

// Elsewhere, by two gathers of rows: from y, then (or zeros) from h0.
void gather_states(const Plan& p, const Array& y, int d, Array& before) {
  const RecurrentShape& s = p.shape;
  std::vector<int64_t> source, target, first, begin;  // rows of y and where they go; rows of h0 and where they go
  const int64_t* o = p.offset.data();
  for (int64_t t = 0; t < s.steps; ++t) {
    const int64_t last = d == 0 ? t - 1 : t + 1, count = o[t + 1] - o[t];
    const int64_t known = last < 0 || last >= s.steps ? 0 : std::min(count, o[last + 1] - o[last]);
    for (int64_t b = 0; b < count; ++b) {
      (b < known ? source : first).push_back(b < known ? o[last] + b : b);
      (b < known ? target : begin).push_back(o[t] + b);
    }
  }
  const int64_t width = s.out * size_of(y.dtype), y_row = s.sides * width;
  const auto sent = [](const std::vector<int64_t>& v) {
    Array a;
    {
      const On host(Device{});
      a = empty({int64_t(v.size())}, DType::i64);
      std::memcpy(a.data(), v.data(), v.size() * sizeof(int64_t));
    }
    return to_device(a, here());
  };
  if (!p.h0.defined() && !first.empty()) fill_(before, int64_t(0));
  const auto move = [&](const std::vector<int64_t>& from, const std::vector<int64_t>& to, const char* x, int64_t step) {
    if (from.empty()) return;
    const Array f = sent(from), at = sent(to), rows = empty({int64_t(from.size()), s.out}, y.dtype);
    kernels().gather_rows({1, f.numel(), width, 0, step, f.data<int64_t>(), x, rows.data()});
    kernels().scatter_rows({1, f.numel(), width, 0, width, at.data<int64_t>(), rows.data(), before.data()});
  };
  move(source, target, at(y.bytes(), d * s.out, y.dtype), y_row);
  if (p.h0.defined()) move(first, begin, side_of(p.h0, d), width);
}

// (rows, out): the state before each step.
Array states_before(const Plan& p, const Array& y, int d) {
  const RecurrentShape& s = p.shape;
  Array before = empty({p.rows, s.out}, y.dtype);
  if (!here().is_cpu()) {
    const bool alike = p.rows == s.steps * p.offset[1];  // sequences come longest first
    (alike ? shift_states : gather_states)(p, y, d, before);
    return before;
  }
  struct Copy { const Plan& p; const char *y, *h0; char* to; int d; size_t width, y_row; };
  Copy copy{p, at(y.bytes(), d * s.out, y.dtype), side_of(p.h0, d), before.bytes(), d, size_t(s.out * size_of(y.dtype)),
            size_t(s.sides * s.out * size_of(y.dtype))};
  run_tasks(s.steps, [](void* c, int64_t t) {
    const auto& [p, y, h0, to, d, width, y_row] = *static_cast<const Copy*>(c);
    const int64_t* o = p.offset.data();
    const int64_t last = d == 0 ? t - 1 : t + 1, count = o[t + 1] - o[t];
    const int64_t known = last < 0 || last >= p.shape.steps ? 0 : std::min(count, o[last + 1] - o[last]);
    for (int64_t b = 0; b < count; ++b) {
      char* row = to + size_t(o[t] + b) * width;
      if (b < known) std::memcpy(row, y + size_t(o[last] + b) * y_row, width);
      else if (h0) std::memcpy(row, h0 + size_t(b) * width, width);
      else std::memset(row, 0, width);
    }
  }, &copy);
  return before;
}

}  // namespace

RecurrentCell recurrent_cell(const std::string& name) {
  const char* const names[] = {"tanh", "relu", "lstm", "gru"};
  for (int i = 0; i < 4; ++i)
    if (name == names[i]) return RecurrentCell(i);
  throw ValueError(text("[recurrent] cell must be 'tanh', 'relu', 'lstm' or 'gru', got '", name, "'"));
}

RecurrentOutput recurrent_fwd(const RecurrentLayer& l, bool keep) {
  Plan p = plan(l);
  RecurrentShape& s = p.shape;
  s.offset = p.offset.data();
  const bool lstm = s.cell == RecurrentCell::lstm;
  Shape y_shape = l.x.shape;
  y_shape[y_shape.n - 1] = s.sides * s.out;
  RecurrentOutput o;
  o.y = empty(y_shape, s.dtype);
  o.hn = empty({s.sides, s.batch, s.out}, s.dtype);
  o.gates = empty({s.sides, p.rows, p.columns}, s.dtype);
  if (lstm) o.cn = empty({s.sides, s.batch, s.hidden}, s.dtype);
  if (lstm && keep) o.cells = empty({s.sides, p.rows, s.hidden}, s.dtype);
  RecurrentFwd a{s, keep, o.y.data(), {}};
  for (int d = 0; d < s.sides; ++d) {
    const Side& w = p.side[d];
    const Array bias = input_bias(p, w);
    multiply(s.dtype, p.rows, p.gates * s.hidden, p.in, {p.x.data(), p.in, 1}, {w.w_ih.data(), 1, p.in}, side_of(o.gates, d),
             p.columns, false, data_of(bias));
    const bool bias_n = s.cell == RecurrentCell::gru && l.bias;
    a.side[d] = {w.w_hh.data(), bias_n ? at(w.b_hh.bytes(), 2 * s.hidden, s.dtype) : nullptr, data_of(w.w_hr),
                 side_of(p.h0, d), side_of(p.c0, d), side_of(o.gates, d), side_of(o.cells, d), side_of(o.hn, d), side_of(o.cn, d)};
  }
  kernels().recurrent_fwd(a);
  if (!keep || s.cell == RecurrentCell::tanh || s.cell == RecurrentCell::relu) o.gates = {};  // y says it all
  return o;
}

RecurrentGrads recurrent_bwd(const RecurrentLayer& l, const RecurrentOutput& saved, const std::optional<Array>& dy,
                             const std::optional<Array>& dhn, const std::optional<Array>& dcn, bool need_x, bool need_h0,
                             bool need_weights) {
  Plan p = plan(l);
  RecurrentShape& s = p.shape;
  s.offset = p.offset.data();
  const bool lstm = s.cell == RecurrentCell::lstm, gru = s.cell == RecurrentCell::gru;
  const DType dtype = s.dtype;
  const auto whole = [](const std::optional<Array>& a) { return a ? contiguous(*a) : Array(); };
  const Array y = contiguous(saved.y), gy = whole(dy), ghn = whole(dhn), gcn = whole(dcn);
  RecurrentGrads g;
  Array dgates = empty({s.sides, p.rows, p.columns}, dtype), dh, full;
  if (need_h0 || gru) g.dh0 = empty({s.sides, s.batch, s.out}, dtype);
  if (lstm) g.dc0 = empty({s.sides, s.batch, s.hidden}, dtype);
  if (l.projected) dh = empty({s.sides, p.rows, s.out}, dtype), full = empty({s.sides, p.rows, s.hidden}, dtype);
  RecurrentBwd a{s, y.data(), data_of(gy), {}};
  for (int d = 0; d < s.sides; ++d)
    a.side[d] = {p.side[d].w_hh.data(), data_of(p.side[d].w_hr), side_of(p.h0, d), side_of(p.c0, d), side_of(saved.gates, d),
                 side_of(saved.cells, d), side_of(ghn, d), side_of(gcn, d), side_of(dgates, d), side_of(dh, d),
                 side_of(full, d), side_of(g.dh0, d), side_of(g.dc0, d)};
  kernels().recurrent_bwd(a);

  // The rest are products over all rows. gru's columns are n r z q: those of the input r z and n, of the state r z q.
  const int64_t H = s.hidden, split = gru ? 2 * H : p.gates * H, skip = gru ? H : 0;
  if (need_x) g.dx = empty(l.x.shape, dtype);
  for (int d = 0; d < s.sides; ++d) {
    const Side& w = p.side[d];
    char* const da = side_of(dgates, d);
    if (need_x) {
      multiply(dtype, p.rows, p.in, split, {at(da, skip, dtype), p.columns, 1}, {w.w_ih.data(), p.in, 1}, g.dx.data(), p.in, d > 0);
      if (gru)
        multiply(dtype, p.rows, p.in, H, {da, p.columns, 1}, {at(w.w_ih.bytes(), split * p.in, dtype), p.in, 1}, g.dx.data(),
                 p.in, true);
    }
    if (!need_weights) continue;
    Array dw_ih = empty(w.w_ih.shape, dtype), dw_hh = empty(w.w_hh.shape, dtype);
    multiply(dtype, split, p.in, p.rows, {at(da, skip, dtype), 1, p.columns}, {p.x.data(), p.in, 1}, dw_ih.data(), p.in, false);
    if (gru)
      multiply(dtype, H, p.in, p.rows, {da, 1, p.columns}, {p.x.data(), p.in, 1}, at(dw_ih.bytes(), split * p.in, dtype), p.in, false);
    const Array before = states_before(p, y, d);
    multiply(dtype, p.gates * H, s.out, p.rows, {at(da, skip, dtype), 1, p.columns}, {before.data(), s.out, 1}, dw_hh.data(),
             s.out, false);
    g.dweights.push_back(dw_ih);
    g.dweights.push_back(dw_hh);
    if (l.bias) {
      const Array sums = reduce(ReduceOp::sum, dgates.select(0, d), {0}, false);
      Array db_ih = copy(sums.slice(0, skip, skip + p.gates * H, 1));
      g.dweights.push_back(db_ih);
      g.dweights.push_back(copy(db_ih));
      if (gru) {  // of the input: n in q's place
        Array tail = db_ih.slice(0, split, 3 * H, 1);
        copy_(tail, sums.slice(0, 0, H, 1));
      }
    }
    if (l.projected) {
      Array dw_hr = empty(w.w_hr.shape, dtype);
      multiply(dtype, s.out, H, p.rows, {side_of(dh, d), 1, s.out}, {side_of(full, d), H, 1}, dw_hr.data(), H, false);
      g.dweights.push_back(dw_hr);
    }
  }
  return g;
}

}  // namespace lamella::ops
