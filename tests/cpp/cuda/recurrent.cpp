// SPDX-License-Identifier: MIT
// Recurrent layers on the device against the CPU's: both forms, all cells, sides, lengths, with and without states; and how
// the persistent form cuts its work.
#include "cuda/recurrent_persistent.h"
#include "cuda/device.cuh"
#include "dispatch/dispatch.h"
#include "typed.h"

using namespace lamella;

struct Layer {
  RecurrentCell cell;
  int sides;
  int64_t hidden;
  std::vector<int64_t> sizes;  // sequences at each step
  bool states, keep;
  int64_t projected;           // width, 0: none
};

// All arrays of a layer in one dtype; those of side 1 follow those of side 0.
struct Arrays {
  const Layer& l;
  int gates;
  int64_t columns, rows, batch, out;
  std::vector<int64_t> offset;
  DType t;
  Typed r, bias, proj, h0, c0, a, y, cells, hn, cn, dy, dhn, dcn, dgates, dh, full, dh0, dc0;

  static int gates_of(const Layer& l) { return l.cell == RecurrentCell::lstm ? 4 : l.cell == RecurrentCell::gru ? 3 : 1; }
  static int64_t rows_of(const Layer& l) { int64_t n = 0; for (int64_t x : l.sizes) n += x; return n; }
  Arrays(const Layer& l, DType t, int64_t off = 0)
      : l(l), gates(gates_of(l)), columns(l.hidden * (gates == 1 ? 1 : 4)), rows(rows_of(l)), batch(l.sizes[0]),
        out(l.projected ? l.projected : l.hidden), t(t), r(t, l.sides * gates * l.hidden * out, off),
        bias(t, l.sides * l.hidden, off), proj(t, l.sides * l.hidden * out, off), h0(t, l.sides * batch * out, off),
        c0(t, l.sides * batch * l.hidden, off), a(t, l.sides * rows * columns, off), y(t, rows * l.sides * out, off),
        cells(t, l.sides * rows * l.hidden, off),
        hn(t, l.sides * batch * out, off), cn(t, l.sides * batch * l.hidden, off), dy(t, rows * l.sides * out, off),
        dhn(t, l.sides * batch * out, off), dcn(t, l.sides * batch * l.hidden, off),
        dgates(t, l.sides * rows * columns, off), dh(t, l.sides * rows * out, off),
        full(t, l.sides * rows * l.hidden, off), dh0(t, l.sides * batch * out, off),
        dc0(t, l.sides * batch * l.hidden, off) {
    offset.push_back(0);
    for (int64_t n : l.sizes) offset.push_back(offset.back() + n);
    const double w = 1.5 / std::sqrt(double(l.hidden));
    r.fill(1, -w, w), bias.fill(2, -1, 1), proj.fill(3, -w, w), h0.fill(4, -1, 1), c0.fill(5, -1, 1), a.fill(6, -1, 1);
    dy.fill(7, -1, 1), dhn.fill(8, -1, 1), dcn.fill(9, -1, 1);
    for (Typed* x : outputs()) x->fill(1, 77, 78);
  }
  std::vector<Typed*> inputs() { return {&r, &bias, &proj, &h0, &c0, &a, &dy, &dhn, &dcn}; }
  std::vector<Typed*> saved() { return {&a, &y, &cells, &hn, &cn}; }
  std::vector<Typed*> outputs() { return {&y, &cells, &hn, &cn, &dgates, &dh, &full, &dh0, &dc0}; }
  static char* part(Typed& x, int d, int sides, bool there = true) {
    return there ? static_cast<char*>(x.data()) + d * (x.n / sides) * size_of(x.dtype) : nullptr;
  }
  RecurrentShape shape() const { return {t, l.cell, l.sides, int64_t(l.sizes.size()), batch, l.hidden, out, offset.data()}; }
  RecurrentFwd fwd() {
    RecurrentFwd f{shape(), l.keep, y.data(), {}};
    const bool lstm = l.cell == RecurrentCell::lstm;
    for (int d = 0; d < l.sides; ++d) {
      const auto of = [&](Typed& x, bool there = true) { return part(x, d, l.sides, there); };
      f.side[d] = {of(r), of(bias, l.states && l.cell == RecurrentCell::gru), of(proj, l.projected > 0), of(h0, l.states),
                   of(c0, l.states && lstm), of(a), of(cells, lstm && l.keep), of(hn), of(cn, lstm)};
    }
    return f;
  }
  RecurrentBwd bwd() {
    RecurrentBwd b{shape(), y.data(), l.states || l.sides == 1 ? dy.data() : nullptr, {}};
    const bool lstm = l.cell == RecurrentCell::lstm, p = l.projected > 0;
    for (int d = 0; d < l.sides; ++d) {
      const auto of = [&](Typed& x, bool there = true) { return part(x, d, l.sides, there); };
      b.side[d] = {of(r), of(proj, p), of(h0, l.states), of(c0, l.states), of(a), of(cells),
                   of(dhn, l.states || l.sides == 2), of(dcn, l.states && lstm), of(dgates), of(dh, p), of(full, p),
                   of(dh0, l.states || l.cell == RecurrentCell::gru), of(dc0, lstm)};
    }
    return b;
  }
};

static void copy(std::vector<Typed*> from, std::vector<Typed*> to) {
  for (size_t k = 0; k < from.size(); ++k)
    for (int64_t i = 0; i < from[k]->n; ++i) to[k]->set(i, (*from[k])[i]);
}
static DType wide(DType t) { return size_of(t) == 2 ? DType::f64 : t; }

static void compare(const char* what, const Layer& l, Arrays& got, Arrays& want, double e, bool forward) {
  const char* const names[] = {"gates", "y", "cells", "hn", "cn", "dgates", "dh", "full", "dh0", "dc0"};
  Typed* const g[] = {&got.a, &got.y, &got.cells, &got.hn, &got.cn, &got.dgates, &got.dh, &got.full, &got.dh0, &got.dc0};
  Typed* const w[] = {&want.a, &want.y, &want.cells, &want.hn, &want.cn, &want.dgates, &want.dh, &want.full, &want.dh0,
                      &want.dc0};
  const bool plain = got.gates == 1;
  for (int k = forward ? 0 : 5; k < (forward ? 5 : 10); ++k) {
    if (k == 0 && (!l.keep || plain)) continue;
    const bool close = g[k]->close(*w[k], e, e) && g[k]->intact();
    if (!close)
      std::printf("%s %s: cell %d sides %d hidden %lld steps %zu batch %lld states %d proj %lld dtype %d\n", what, names[k],
                  int(l.cell), l.sides, (long long)l.hidden, l.sizes.size(), (long long)l.sizes[0], l.states,
                  (long long)l.projected, int(got.t));
    CHECK(close);
  }
}

static void both_ways(const Layer& l, DType t, int64_t off = 0) {
  Arrays x(l, t, off), want(l, wide(t));
  copy(x.inputs(), want.inputs());
  copy(x.outputs(), want.outputs());
  kernels().recurrent_fwd(want.fwd());
  const double e = epsilon(t) * (size_of(t) == 2 ? 6 : 64), steps = double(l.sizes.size());
  const auto run = [&](const char* what, const auto& f) {
    Arrays got(l, t, off);
    f(got.fwd());
    compare(what, l, got, want, e * (1 + steps / 4), true);
    return got;
  };
  run("stepwise", [](const RecurrentFwd& f) { cuda::recurrent_fwd_stepwise(f); });
  Arrays first = run("chosen", [](const RecurrentFwd& f) { cuda::recurrent_fwd(f); });
  const bool one = l.projected == 0;
  for (bool backward : {false, true}) CHECK(cuda::recurrent_persists(x.shape(), !one, backward, 232448) == one);
  const auto each_plan = [&](const auto& f) {  // many blocks; and room for next to nothing: weights come again in each step
    const int64_t few = (x.gates + 2) * 8 * l.hidden * size_of(t);
    if (l.hidden % 3 == 1) f(20, 9000 + few);
    if (l.hidden % 3 == 2) f(2, 2000);
  };
  if (one) {
    each_plan([&](int processors, int64_t shared) {
      Arrays again = run("persistent", [&](const RecurrentFwd& f) {
        cuda::recurrent_fwd_persistent(f, cuda::recurrent_plan(f.shape, false, processors, shared));
      });
      CHECK(first.y.same(again.y) && first.hn.same(again.hn) && first.cn.same(again.cn) && first.cells.same(again.cells));
    });
  }
  if (!l.keep) return;
  copy(want.saved(), x.saved());   // the same rounded states for both
  copy(x.saved(), want.saved());
  kernels().recurrent_bwd(want.bwd());
  const auto back = [&](const char* what, const auto& f) {
    Arrays got(l, t, off);
    copy(x.saved(), got.saved());
    if (*what == '(') copy({&want.dh0}, {&got.dh0});  // a form alone leaves dh0, and writes what gru's product is added to
    f(got.bwd());
    if (*what == '(') copy({&want.dh0}, {&got.dh0});
    compare(what, l, got, want, e * (1 + steps / 2), false);
    return got;
  };
  Arrays chosen = back("backward", [](const RecurrentBwd& b) { cuda::recurrent_bwd(b); });
  back("(stepwise)", [](const RecurrentBwd& b) { cuda::recurrent_bwd_stepwise(b); });
  if (!one) return;
  each_plan([&](int processors, int64_t shared) {
    Arrays again = back("(persistent)", [&](const RecurrentBwd& b) {
      cuda::recurrent_bwd_persistent(b, cuda::recurrent_plan(b.shape, true, processors, shared));
    });
    CHECK(chosen.dgates.same(again.dgates) && chosen.dc0.same(again.dc0));
  });
}

// Every unit and every sequence lies in one block's share, and all fits the device.
static void plans() {
  for (DType t : kFloats)
    for (RecurrentCell cell : {RecurrentCell::tanh, RecurrentCell::lstm, RecurrentCell::gru})
      for (int sides : {1, 2})
        for (int64_t hidden : {1, 7, 64, 100, 256, 500, 512, 1000, 1024, 1500, 2048})
          for (int64_t batch : {1, 2, 8, 13, 64, 129, 1000}) {
            const RecurrentShape s{t, cell, sides, 9, batch, hidden, hidden, nullptr};
            for (auto [processors, shared] :
                 {std::pair<int, int64_t>(132, 232448), {108, 166912}, {84, 101376}, {20, 101376}})
              for (bool backward : {false, true}) {
                if (!cuda::recurrent_persists(s, false, backward, shared)) continue;
                const cuda::RecurrentPlan p = cuda::recurrent_plan(s, backward, processors, shared);
                const int gates = cell == RecurrentCell::lstm ? 4 : cell == RecurrentCell::gru ? 3 : 1;
                const int m = size_of(t) == 2 ? 16 : 4, n = size_of(t) == 2 ? 8 : 4;
                CHECK(p.blocks(sides) <= processors && p.shared_bytes <= shared);
                CHECK(int64_t(p.slices) * p.units >= hidden && int64_t(p.slices - 1) * p.units < hidden);
                CHECK(int64_t(p.groups) * p.rows >= batch && int64_t(p.groups - 1) * p.rows < batch);
                CHECK(p.passes * p.pass_units >= p.units && p.pass_units >= 1 && p.sums == (backward ? 1 : gates));
                CHECK(p.tile_rows % m == 0 && p.tile_rows >= p.sums * p.pass_units && p.chunk % n == 0 && p.chunk >= n);
                CHECK(p.pitch * size_of(t) % 16 == 0 && p.pitch >= hidden * (backward ? gates : 1));
                CHECK(p.passes == 1 || processors < 132);  // on the device it is made for, weights stay
              }
          }
}

int main() {
  plans();
  const RecurrentCell cells[] = {RecurrentCell::tanh, RecurrentCell::relu, RecurrentCell::lstm, RecurrentCell::gru};
  const std::vector<std::vector<int64_t>> lengths = {{1}, {3, 3}, {9, 9, 6, 6, 2, 1, 1}, {3, 1}, {9, 9, 9, 9}};
  int k = 0;
  for (DType t : kFloats)
    for (RecurrentCell cell : cells)
      for (int sides : {1, 2})
        for (int64_t hidden : {1, 5, 16, 33, 64})
          if (const auto& sizes = lengths[size_t(k++) % lengths.size()]; hidden < 64 || sizes.size() < 7 || size_of(t) != 8)
            both_ways({cell, sides, hidden, sizes, k % 3 != 0, true, 0}, t, k % 2);
  for (DType t : kFloats)
    for (RecurrentCell cell : cells) both_ways({cell, 2, 24, lengths[2], false, false, 0}, t);
  for (DType t : kFloats)
    for (int sides : {1, 2})
      for (int64_t projected : {1, 7, 20})
        both_ways({RecurrentCell::lstm, sides, 12, lengths[size_t(k++) % lengths.size()], k % 2 == 0, true, projected}, t);
  both_ways({RecurrentCell::lstm, 1, 20, {70, 70, 41}, true, true, 0}, DType::f16);   // several chunks of rows
  both_ways({RecurrentCell::gru, 2, 20, {70, 70, 41}, true, true, 0}, DType::f32);
  const Layer empty{RecurrentCell::gru, 1, 4, {0}, false, false, 0};
  Arrays none(empty, DType::f32);
  cuda::recurrent_fwd(none.fwd());
  cuda::recurrent_bwd(none.bwd());
  return failures() != 0;
}
