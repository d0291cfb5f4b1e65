// SPDX-License-Identifier: MIT
// The sweep of recurrent.cpp: a product with fixed weights at every step, whose sums a cell takes over while they are in
// L1. Weights are packed once for the whole sweep, a group of units after the other, so that a register tile holds all
// gates of its units. Every sum runs over k in one order, whatever the tile: results do not depend on how work is cut.
#pragma once
#include "activation.h"
#include "gemm_core.h"

namespace lamella {
namespace LAMELLA_ISA {

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kStepRows = 6;  // rows x 4 vectors of sums fit the registers, with a row of weights and a broadcast
#else
constexpr int kStepRows = 3;
#endif
constexpr int kStepVecs = 4;
constexpr int kWeightSlot = 10, kProductSlot = 12;  // scratch slots 10 and 11 (packed weights), 12 (a product), 13 (LSTM's h before projection)

// sums (R rows of kStepVecs vectors, V used) += a (R, depth) . panel (depth, V vectors, `step` apart).
template <class A, int R, int V>
static void step_tile(int64_t depth, const A* a, int64_t stride, const A* panel, int64_t step, A* sums) {
  constexpr int L = kLanes<A>, G = (R + 2) / 3;
  const A* base[G];
#pragma GCC unroll 2
  for (int g = 0; g < G; ++g) base[g] = a + 3 * g * stride;
  vec<A> acc[R][V];
#pragma GCC unroll 8
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) acc[i][j] = vload(sums + (i * kStepVecs + j) * L);
#pragma GCC unroll 1
  for (int64_t p = 0; p < depth; ++p) {
    vec<A> row[V];
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) row[j] = vload(panel + j * L);
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
      vec<A> x = splat(base[i / 3][i % 3 * stride + p]);
      pin(x);
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) acc[i][j] = fma(x, row[j], acc[i][j]);
    }
    panel += step;
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) __builtin_prefetch(panel + 7 * step + j * L);
  }
#pragma GCC unroll 8
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) vstore(sums + (i * kStepVecs + j) * L, acc[i][j]);
}

template <class A, int R = 1>
static void step_product(int rows, int vecs, int64_t depth, const A* a, int64_t stride, const A* panel, int64_t step, A* sums) {
  if constexpr (R < kStepRows)
    if (rows > R) return step_product<A, R + 1>(rows, vecs, depth, a, stride, panel, step, sums);
  switch (vecs) {
    case 1: return step_tile<A, R, 1>(depth, a, stride, panel, step, sums);
    case 2: return step_tile<A, R, 2>(depth, a, stride, panel, step, sums);
    case 3: return step_tile<A, R, 3>(depth, a, stride, panel, step, sums);
    default: return step_tile<A, R, 4>(depth, a, stride, panel, step, sums);
  }
}

// A product's right operand: element (k, gate, unit) is w[k * k_step + (gate * units + unit) * n_step]; one of the steps
// is 1. With several gates a panel is a vector of units of each gate; with one it is kStepVecs vectors of units.
template <class A> struct StepWeights {
  const A* w = nullptr;
  int64_t depth = 0, units = 0, k_step = 0, n_step = 0;
  int gates = 1;
  A* packed = nullptr;

  int vecs() const { return gates > 1 ? gates : kStepVecs; }
  int64_t panel_units() const { return gates > 1 ? kLanes<A> : kStepVecs * kLanes<A>; }
  int64_t panels() const { return w ? ceil_div(units, panel_units()) : 0; }
  int64_t panel_size() const { return depth * vecs() * kLanes<A>; }
  int64_t packed_size() const { return panels() * panel_size(); }
  int64_t work() const { return depth * gates * units; }

  void pack(int64_t p) const {
    constexpr int L = kLanes<A>;
    const int64_t step = vecs() * L;
    A* const panel = packed + p * panel_size();
    for (int v = 0; v < vecs(); ++v) {
      const int64_t u = p * panel_units() + (gates > 1 ? 0 : v * L), column = gates > 1 ? v * units + u : u;
      const int count = int(units - u < 0 ? 0 : least(L, units - u));
      const A* const from = w + column * n_step;
      A* const to = panel + v * L;
      if (n_step == 1) {
        for (int64_t k = 0; k < depth; ++k) vstore(to + k * step, count == L ? vload(from + k * k_step) : vload(from + k * k_step, count));
        continue;
      }
      for (int64_t k = 0; k < depth; k += L) {
        const int n = int(least(L, depth - k));
        vec<A> r[L];
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) r[i] = i >= count ? vec<A>{} : n == L ? vload(from + i * n_step + k) : vload(from + i * n_step + k, n);
        transpose_lanes<A>(r);
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i)
          if (i < n) vstore(to + (k + i) * step, r[i]);
      }
    }
  }
};

// Rows b of [begin, end): sums = cell.start + (row b of `from`) . weights, then cell.finish. from may be null: no product.
//   start(b, u, n, v, sums): the first value of gate v of units [u, u + n), one vector
//   finish(b, u, n, sums, gate_step): all gates of these units are complete
//   ahead(b, u): (may be missing) asks for what units from u on will need, while the units before them are multiplied
template <class A, class Cell>
static void step_panels(const StepWeights<A>& w, int64_t begin, int64_t end, const A* from, int64_t stride, int64_t p0,
                        int64_t p1, const Cell& cell) {
  constexpr int L = kLanes<A>, row = kStepVecs * L;
  alignas(64) A sums[kStepRows * row];
  for (int64_t p = p0; p < p1; ++p) {
    const int64_t u = p * w.panel_units(), here = least(w.panel_units(), w.units - u);
    const int vecs = w.gates > 1 ? w.gates : int(ceil_div(here, L));
    for (int64_t b = begin; b < end;) {
      const int rows = int(ceil_div(end - b, ceil_div(end - b, kStepRows)));
      for (int i = 0; i < rows; ++i)
        for (int v = 0; v < vecs; ++v) {
          const int64_t at = w.gates > 1 ? u : u + v * L;
          cell.start(b + i, at, least(L, w.units - at), w.gates > 1 ? v : 0, sums + i * row + v * L);
        }
      if constexpr (requires { cell.ahead(b, u); })
        if (p + 1 < w.panels())
          for (int i = 0; i < rows; ++i) cell.ahead(b + i, u + w.panel_units());
      if (from)
        step_product<A>(rows, vecs, w.depth, from + b * stride, stride, w.packed + p * w.panel_size(), w.vecs() * L, sums);
      for (int i = 0; i < rows; ++i) {
        if (w.gates > 1) cell.finish(b + i, u, here, sums + i * row, L);
        else for (int v = 0; v < vecs; ++v) cell.finish(b + i, u + v * L, least(L, here - v * L), sums + i * row + v * L, L);
      }
      b += rows;
    }
  }
}

// The same with weights as they lie, through gemm: for sweeps too short to repay packing.
template <class A, class Cell>
static void step_plain(const StepWeights<A>& w, int64_t begin, int64_t end, const A* from, int64_t stride, const Cell& cell) {
  constexpr int L = kLanes<A>;
  if (begin >= end) return;
  const int64_t n = w.gates * w.units;
  A* product = nullptr;
  if (from) {
    product = static_cast<A*>(scratch(size_t((end - begin) * n) * sizeof(A), kProductSlot));
    Gemm g{};
    g.dtype = sizeof(A) == 4 ? DType::f32 : DType::f64;
    g.m = end - begin, g.n = n, g.k = w.depth;
    g.a = from + begin * stride, g.b = w.w, g.c = product;
    g.a_row = stride, g.a_col = 1, g.b_row = w.k_step, g.b_col = w.n_step, g.c_row = n;
    gemm(g);
  }
  const auto rows = [&](int64_t b0, int64_t b1) {
    alignas(64) A sums[kStepVecs * L];
    for (int64_t b = b0; b < b1; ++b)
      for (int64_t u = 0; u < w.units; u += L) {
        const int64_t count = least(L, w.units - u);
        for (int v = 0; v < w.gates; ++v) {
          cell.start(b, u, count, v, sums + v * L);
          if (!product) continue;
          const A* add = product + (b - begin) * n + v * w.units + u;
          vstore(sums + v * L, vload(sums + v * L) + (count == L ? vload(add) : vload(add, count)));
        }
        cell.finish(b, u, count, sums, L);
      }
  };
  const int64_t grain = 1 + 8192 / n;
  if ((end - begin) * n < 16384) rows(begin, end);
  else parallel_blocks(end - begin, grain, [&](int64_t b0, int64_t b1) { rows(begin + b0, begin + b1); });
}

// Step t of a side: its rows, and those of the step taken before it. Sequences b >= known come in at this step.
struct Moment { int64_t first, count, before, known; };
static inline Moment moment(const RecurrentShape& s, int64_t t, bool ascending) {
  const int64_t *o = s.offset, last = ascending ? t - 1 : t + 1;
  Moment m{o[t], o[t + 1] - o[t], 0, 0};
  if (last >= 0 && last < s.steps) m.before = o[last], m.known = least(m.count, o[last + 1] - o[last]);
  return m;
}

// The sweep: phase(side, t, k, b0, b1, p0, p1) for both sides, all steps in each side's order, phases k < phases, rows
// [b0, b1) and panels [p0, p1) of that phase's weights; with p1 < 0, all of them through step_plain.
// Rows never meet, so that blocks of them run all their steps without waiting; where there is but one block, or weights
// that two cores should share out, a step's panels are cut instead.
template <class A, class Phase>
static void sweep(const RecurrentShape& s, const StepWeights<A> (*w)[2], int phases, bool plain, bool opposite, const Phase& phase) {
  const auto time = [&](int side, int64_t step) { return (side == 1) != opposite ? s.steps - 1 - step : step; };
  if (plain) {
    for (int64_t i = 0; i < s.steps; ++i)
      for (int side = 0; side < s.sides; ++side)
        for (int k = 0; k < phases; ++k) phase(side, time(side, i), k, 0, s.batch, 0, -1);
    return;
  }
  constexpr int64_t block_rows = 16, shared_bytes = 3 << 20, enough = 100000;
  const int64_t blocks = ceil_div(s.batch, block_rows), rows = ceil_div(s.batch, blocks);
  const int64_t bytes = w[0][0].packed_size() * int64_t(sizeof(A)), work = w[0][0].work() * s.batch;
  if (s.sides * blocks > 1 && (bytes <= shared_bytes || work <= enough)) {
    parallel_if(work * s.steps > enough, s.sides * blocks, [&](int64_t t) {
      const int side = int(t % s.sides);
      const int64_t b0 = t / s.sides * rows, b1 = least(b0 + rows, s.batch);
      for (int64_t i = 0; i < s.steps; ++i)
        for (int k = 0; k < phases; ++k) phase(side, time(side, i), k, b0, b1, 0, w[side][k].panels());
    });
    return;
  }
  const int64_t chunks = ceil_div(s.batch, 96), chunk = ceil_div(s.batch, chunks);
  for (int64_t i = 0; i < s.steps; ++i)
    for (int k = 0; k < phases; ++k) {
      const int64_t panels = w[0][k].panels(), least_group = 1 + enough / 2 / (1 + w[0][k].work() / panels * chunk);
      const int64_t groups = ceil_div(panels, least_group), group = ceil_div(panels, groups);
      parallel_if(s.sides * work > enough, s.sides * chunks * groups, [&](int64_t t) {
        const int side = int(t % s.sides);
        const int64_t c = t / s.sides / groups * chunk, p = t / s.sides % groups * group;
        phase(side, time(side, i), k, c, least(c + chunk, s.batch), p, least(p + group, panels));
      });
    }
}

// Packs both sides' weights into scratch memory.
template <class A> static void pack_weights(StepWeights<A> (*w)[2], int sides, int phases) {
  for (int k = 0; k < phases; ++k) {
    const int64_t size = w[0][k].packed_size(), panels = w[0][k].panels();
    A* const memory = static_cast<A*>(scratch(size_t(size * sides) * sizeof(A), kWeightSlot + k));
    for (int side = 0; side < sides; ++side) w[side][k].packed = memory + side * size;
    parallel_if(size * sides > 32768, sides * panels, [&](int64_t t) { w[t / panels][k].pack(t % panels); });
  }
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
