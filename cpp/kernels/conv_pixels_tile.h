// SPDX-License-Identifier: MIT
// The register tile of products whose rows are pixels, and their packed operand.
#pragma once
#include "conv_pixels.h"

namespace lamella {
namespace LAMELLA_ISA {

// ---- the tile: rows (positions) x vectors (channels) --------------------------------------------------------------------
// Row i, at c[i] + offset (R rows, of which `count` are stored, by cols <= V vectors) = or += sum over s of rows[s][i] . the part of
// the panel that belongs to seen[s], whose segments have `run` elements each.
template <class A, int R, int V>
__attribute__((noinline)) static void pixel_tile(const A* const* rows, const SegmentRun* seen, int64_t segments, int64_t run,
                                                 const A* panel, A* const* c, int64_t offset, int count, int cols, TileEnds<A> ends) {
  constexpr int L = kLanes<A>;
  const int last = cols - (V - 1) * L;
  vec<A> acc[R][V];
  start_tile<A, R, V>(acc, ends.start, last);
  for (int i = 0; i < count; ++i) {  // what the end will write
    __builtin_prefetch(c[i] + offset, 1);
    __builtin_prefetch(c[i] + offset + L, 1);
  }
  for (int64_t s = 0; s < segments; ++s, rows += kTileRows<A>) {
    const A* a[R];  // ends of rows: with the one index that runs to 0 they fit the registers
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) a[i] = rows[i] + seen[s].count * run;
    const A* b = panel + seen[s].first * run * kTileCols<A>;
#pragma GCC unroll 1
    for (int64_t q = -seen[s].count * run; q != 0; ++q) {  // as in gemm_core.h, copies of the body are slower
      vec<A> row[V];
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) row[j] = vload(b + j * L);
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) __builtin_prefetch(b + (12 * kTileVecs + j) * L);  // panels stream from L2
      b += kTileCols<A>;
#pragma GCC unroll 16
      for (int i = 0; i < R; ++i) {
        vec<A> x = splat(a[i][q]);
        pin(x);
#pragma GCC unroll 4
        for (int j = 0; j < V; ++j) acc[i][j] = fma(x, row[j], acc[i][j]);
      }
    }
  }
  const bool whole = kVecBytes < 64 && last == L;  // else a mask costs nothing, and code that does without it would double this
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i)
    if (i < count) {
      A* to = c[i] + offset;
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) {
        const bool full = j < V - 1 || whole;
        vec<A> v = acc[i][j];
        if (ends.add) v += full ? vload(to + j * L) : vload(to + j * L, last);
        if (ends.relu) v = relu(v);
        if (full) vstore(to + j * L, v);
        else vstore(to + j * L, v, last);
      }
    }
}

// ---- the packed operand -----------------------------------------------------------------------------------------------------
// A function (panel, group, h) that packs panel h of a group's weights, for all parts. Refers to what it is made of.
template <class A> struct PanelPacker {
  const void* function;
  void (*call)(const void*, A*, int64_t, int64_t);
  template <class F> PanelPacker(const F& f)
      : function(&f), call([](const void* g, A* panel, int64_t group, int64_t h) { (*static_cast<const F*>(g))(panel, group, h); }) {}
  void operator()(A* panel, int64_t group, int64_t h) const { call(function, panel, group, h); }
};

}  // namespace LAMELLA_ISA
}  // namespace lamella
