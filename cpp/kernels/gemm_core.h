// SPDX-License-Identifier: MIT
// The packed product C = A . B, open at both ends: operands pack themselves (a strided matrix, an image seen through a
// convolution's window, ...), and the result is handed over tile by tile (bias, activation, narrowing, scattering).
// Panels hold elements of type A: float, double, or words of several narrow elements adjacent along k (gemm_words.h);
// Multiply<A> says how they are multiplied, sum_t<A> is what they sum to. k counts elements of the panels.
// After Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication".
//
// A left operand L has, for rows i of A, and a right operand R, for columns i of B:
//   void pack(A* panel, int64_t first, int count, int64_t p, int64_t depth) const;
//     panel[q * R + i] = element (first + i, p + q) for q < depth; R = kTileRows<A> (left) or kTileCols<A> (right);
//     zero for count <= i < R. Called from several threads. p is a multiple of 4 unless 0.
// An output Out has:
//   static constexpr bool kDirect;
//   S* at(int64_t i, int64_t j) const; int64_t row;    (kDirect) where C's element (i, j) is kept, S = sum_t<A>; columns
//                                                       adjacent, rows `row` apart
//   void finish(int64_t i, int64_t j, int rows, int cols, S* tile, int64_t stride) const;
//     the sums of a tile are complete: tile[r * stride + c], r < rows <= kTileRows, c < cols <= kTileCols, belongs to
//     element (i + r, j + c). If kDirect, it is that memory itself. May change tile. Called from several threads.
//   bool accumulate;                                    (kDirect) C is added to
//   const S* start(int64_t j) const;                    what the sums of column j and those after it start from, or null: zero
//
// Sums run over k in blocks of fixed size and tasks are cut by shape: the same bits on any number of threads.
#pragma once
#include "gemm_pack.h"
#include "rows.h"

namespace lamella {
namespace LAMELLA_ISA {

// ---- register tile: rows x vectors of sums; they, a row of B and one element of A must fit the registers ----------
#if defined(__AVX512F__)
constexpr int kTileVecs = 2;
template <class A> constexpr int kTileRows = 12;
#elif defined(__AVX2__)
constexpr int kTileVecs = 2;
template <class A> constexpr int kTileRows = 6;
#else
constexpr int kTileVecs = 2;
template <class A> constexpr int kTileRows = 4;
#endif
template <class A> constexpr int kTileCols = kTileVecs * kLanes<A>;

// Adjacent elements of a panel as a vector; one element in all lanes; sum + x y, x of the left operand.
template <class A> struct Multiply {
  using Sum = A;
  LAMELLA_INLINE static vec<A> load(const A* p) { return vload(p); }
  LAMELLA_INLINE static vec<A> all(A x) { return splat(x); }
  LAMELLA_INLINE static vec<A> add(vec<A> sum, vec<A> x, vec<A> y) { return fma(x, y, sum); }
};
template <class A> using sum_t = typename Multiply<A>::Sum;

constexpr int64_t kBlockDepth = 512;  // of k: a panel of A then takes about half of L1
constexpr int64_t kSharedWidth = 2048, kSharedSize = 4 << 20;  // packed at once: rows or columns, bytes
constexpr int kGemmSlot = 2, kOwnSlot = 14, kTaskSlot = 8;  // scratch slots 2, 3 and 14 belong to gemm_blocked, 8 to its tasks

// Keeps a broadcast in its register: folded into each multiply-add as a memory operand it would be loaded V times.
template <class V> LAMELLA_INLINE void pin(V& v) {
#if defined(__x86_64__)
  asm("" : "+v"(v));
#else
  asm("" : "+w"(v));
#endif
}

// What tiles that are kept by rows (gemm_direct.h, conv_pixels_tile.h) do besides the product, in registers: start from a number per
// column (or null), add to c, end in relu.
template <class A> struct TileEnds { const A* start; bool add, relu; };
// Sums at their start, of whose last vector there are `last` elements, or zero.
template <class S, int R, int V> LAMELLA_INLINE void start_tile(vec<S> (&acc)[R][V], const S* start, int last) {
  constexpr int L = kLanes<S>;
#pragma GCC unroll 4
  for (int j = 0; j < V; ++j) {
    vec<S> first{};
    if (start) first = j < V - 1 || last == L ? vload(start + j * L) : vload(start + j * L, last);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) acc[i][j] = first;
  }
}

// c (rows x cols) = start (per column, or null) + a . b for one packed panel each, or += it; computes R x V vectors, stores
// rows <= R, cols <= V vectors. `ahead`, which is multiplied next, comes into L2 meanwhile.
template <class A, int R, int V>
static void micro_tile(int64_t depth, const A* a, const A* b, sum_t<A>* c, int64_t stride, int rows, int cols, bool add,
                       const sum_t<A>* start, const A* ahead) {
  using M = Multiply<A>;
  using S = sum_t<A>;
  constexpr int L = kLanes<A>, kLine = 64 / int(sizeof(A));
  const bool whole = cols == V * L;
  const int last = cols - (V - 1) * L;  // columns in the last vector
  vec<S> acc[R][V];
  start_tile<S, R, V>(acc, start, last);
  const auto step = [&]() __attribute__((always_inline)) {
    decltype(M::load(b)) row[V];
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) row[j] = M::load(b + j * L);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      auto x = M::all(a[i]);
      pin(x);
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) acc[i][j] = M::add(acc[i][j], x, row[j]);
    }
    a += kTileRows<A>;
    b += kTileCols<A>;
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) __builtin_prefetch(b + (12 * kTileVecs + j) * L);  // panels of B stream from L2
  };
  // Copies of the body: as measured (AVX-512: float 149 GFLOP/s of 151 with one, 142 with four; double 68 with two, 63 with one).
  const auto steps = [&](int64_t count) __attribute__((always_inline)) {
    constexpr int copies = sizeof(A) == 4 ? 1 : R * V < 24 ? 4 : 2;
    int64_t q = 0;
#pragma GCC unroll 1
    for (; q + copies <= count; q += copies)
#pragma GCC unroll 4
      for (int i = 0; i < copies; ++i) step();
    if constexpr (copies > 1)
      for (; q < count; ++q) step();
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i, ahead += kLine) __builtin_prefetch(ahead, 0, 2);
  };
  // Rows of C are fetched one by one along the way: all at once they would take the line fill buffers that panels need.
  const S* row_c = c;
  const int64_t apart = least(16, depth / R);
  int64_t p = 0;
  for (int i = 0; i < rows; ++i, p += apart, row_c += stride) {
    __builtin_prefetch(row_c, 1);
    __builtin_prefetch(row_c + V * L - 1, 1);
    steps(apart);
  }
#pragma GCC unroll 1
  for (; p < depth; p += 16) steps(least(16, depth - p));
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
    if (i < rows) {
      S* to = c + i * stride;
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) {
        if (j < V - 1 || whole) vstore(to + j * L, add ? vload(to + j * L) + acc[i][j] : acc[i][j]);
        else vstore(to + j * L, add ? vload(to + j * L, last) + acc[i][j] : acc[i][j], last);
      }
    }
  }
}

template <class A> constexpr int kThird = (kTileRows<A> + 2) / 3;
template <class A> constexpr int kTwoThirds = (2 * kTileRows<A> + 2) / 3;

// f(rows, vectors) with the tile to compute, as Counts: edges take a third or two thirds of the rows and half of the columns where
// that is enough.
template <class A, class F> LAMELLA_INLINE void at_edges(int64_t rows, int64_t cols, const F& f) {
  const auto by_rows = [&](auto vecs) __attribute__((always_inline)) {
    if (rows > kTwoThirds<A>) f(Count<kTileRows<A>>{}, vecs);
    else if (rows > kThird<A>) f(Count<kTwoThirds<A>>{}, vecs);
    else f(Count<kThird<A>>{}, vecs);
  };
  if (cols > kLanes<A>) by_rows(Count<2>{});
  else by_rows(Count<1>{});
}

// f(i) for i < count: on the caller alone where the whole is not worth waking anyone.
template <class F> static void parallel_if(bool worth, int64_t count, const F& f) {
  if (worth) parallel(count, f);
  else for (int64_t i = 0; i < count; ++i) f(i);
}

// How a product is cut into tasks of own x shared panels. The own block of a task stays in L2 while each shared panel,
// in L1, passes over it. Where there are blocks enough, a task packs its own and takes every shared panel; else all
// operands are packed first, `together`, and tasks are cut both ways, the longer side first.
struct TaskGrid {
  int64_t own, shared;                // panels per task
  int64_t own_tasks, shared_tasks;
  bool together;
};
template <class A>
static TaskGrid task_grid(int64_t own_panels, int64_t own_width, int64_t shared_panels, int64_t shared_width, int64_t kc,
                          int64_t depth) {
  constexpr int64_t in_l2 = 512 << 10, few = 400000, enough = 32;  // bytes; multiply-adds of a task; tasks
  const int64_t panel = kc * own_width * int64_t(sizeof(A)), tile_work = depth * kTileRows<A> * kTileCols<A>;
  TaskGrid g{least(in_l2 < panel ? 1 : in_l2 / panel, own_panels), shared_panels, 0, 0, false};
  const auto tasks = [&] { return ceil_div(own_panels, g.own) * ceil_div(shared_panels, g.shared); };
  const auto halve = [](int64_t& panels) { panels = (panels + 1) / 2; };
  // Own panels under one shared panel: with fewer it would come from L3 faster than 2 bytes a cycle, unless all are in L2.
  const int64_t shared_panel = shared_width * kc * int64_t(sizeof(A));
  const int64_t least_own = shared_panels * shared_panel <= in_l2 + in_l2 / 4 ? 1 : ceil_div(shared_panel / kc, kTileRows<A> * kTileVecs);
  g.together = ceil_div(own_panels, least_own) < 20;
  while (tasks() < enough && g.own * g.shared * tile_work > 2 * few) {
    const bool own = !g.together || (g.own > 1 && g.own * own_width > g.shared * shared_width);
    if (own ? g.own < 2 * least_own : g.shared == 1) break;
    halve(own ? g.own : g.shared);
  }
  g.own_tasks = ceil_div(own_panels, g.own), g.shared_tasks = ceil_div(shared_panels, g.shared);
  return g;
}

// Panels of an operand, block of kc by block of kc, from element (first, p0) on, `count` by `depth` of them: those of one
// task, `group` panels of a block.
template <class A, int width, class Operand>
static void pack_blocks(const Operand& operand, A* packed, int64_t first, int64_t count, int64_t p0, int64_t depth,
                        int64_t kc, int64_t group, int64_t task) {
  const int64_t panels = ceil_div(count, width), groups = ceil_div(panels, group);
  const int64_t p = task / groups * kc, d = least(kc, depth - p);
  const int64_t begin = task % groups * group, end = least(begin + group, panels);
  for (int64_t g = begin; g < end; ++g)
    operand.pack(packed + (p * panels + g * d) * width, first + g * width, int(least(width, count - g * width)), p0 + p, d);
}

// C (m, n) = left (m, k) . right (k, n). k >= 1. own_rows: tasks own rows of C, the right operand is shared.
template <class A, bool own_rows, class L, class R, class Out>
static void gemm_blocked(int64_t m, int64_t n, int64_t k, const L& left, const R& right, const Out& out) {
  using S = sum_t<A>;
  constexpr int TR = kTileRows<A>, TC = kTileCols<A>, Own = own_rows ? TR : TC, Shared = own_rows ? TC : TR;
  const int64_t own_size = own_rows ? m : n, shared_size = own_rows ? n : m;
  const int64_t k_blocks = ceil_div(k, kBlockDepth), kc = ceil_div(ceil_div(k, k_blocks), 4) * 4;
  const int64_t shared_block = ceil_div(ceil_div(shared_size, ceil_div(shared_size, kSharedWidth)), Shared) * Shared;
  const int64_t blocks_at_once = kSharedSize / int64_t(sizeof(A)) / (shared_block * kc);  // of k
  const int64_t ks = blocks_at_once < 1 ? kc : least(blocks_at_once, k_blocks) * kc;
  const bool keep = !Out::kDirect && k > ks;  // sums that outlive a task
  const int64_t own_block = keep ? least(own_size, ceil_div(kSharedSize / int64_t(sizeof(A)), shared_block * Own) * Own) : own_size;
  A* const packed = static_cast<A*>(scratch(size_t(shared_block * ks) * sizeof(A), kGemmSlot));
  S* const kept = keep ? static_cast<S*>(scratch(size_t(shared_block * ceil_div(own_block, Own) * Own) * sizeof(S), kGemmSlot + 1)) : nullptr;

  for (int64_t s0 = 0; s0 < shared_size; s0 += shared_block)
    for (int64_t o0 = 0; o0 < own_size; o0 += own_block)
      for (int64_t p0 = 0; p0 < k; p0 += ks) {
        const int64_t shared_count = least(shared_block, shared_size - s0), own_count = least(own_block, own_size - o0);
        const int64_t depth = least(ks, k - p0), shared_panels = ceil_div(shared_count, Shared);
        const int64_t own_panels = ceil_div(own_count, Own);
        const bool worth = shared_count * own_count * depth > 1000000;
        const TaskGrid grid = task_grid<A>(own_panels, Own, shared_panels, Shared, kc, depth);

        const int64_t k_here = ceil_div(depth, kc), group = ceil_div(16384, kc * Shared), own_group = ceil_div(16384, kc * Own);
        const int64_t shared_packs = o0 == 0 || ks < k ? ceil_div(shared_panels, group) * k_here : 0;
        const int64_t own_packs = grid.together ? ceil_div(own_panels, own_group) * k_here : 0;
        A* const packed_own = grid.together ? static_cast<A*>(scratch(size_t(own_panels * Own * depth) * sizeof(A), kOwnSlot)) : nullptr;
        const auto pack_own = [&](A* to, int64_t first, int64_t count, int64_t p, int64_t d, int64_t of, int64_t t) {
          if constexpr (own_rows) pack_blocks<A, Own>(left, to, o0 + first, count, p0 + p, d, kc, of, t);
          else pack_blocks<A, Own>(right, to, o0 + first, count, p0 + p, d, kc, of, t);
        };
        parallel_if(worth, shared_packs + own_packs, [&](int64_t t) {
          if (t >= shared_packs) pack_own(packed_own, 0, own_count, 0, depth, own_group, t - shared_packs);
          else if constexpr (own_rows) pack_blocks<A, Shared>(right, packed, s0, shared_count, p0, depth, kc, group, t);
          else pack_blocks<A, Shared>(left, packed, s0, shared_count, p0, depth, kc, group, t);
        });

        parallel_if(worth, grid.own_tasks * grid.shared_tasks, [&](int64_t t) {
          const int64_t g0 = t / grid.shared_tasks * grid.own, g1 = least(g0 + grid.own, own_panels);
          const int64_t h0 = t % grid.shared_tasks * grid.shared, h1 = least(h0 + grid.shared, shared_panels);
          const bool sums_here = !Out::kDirect && !keep;
          const int64_t tiles = sums_here && depth > kc ? (g1 - g0) * (h1 - h0) : 1;
          const size_t here = grid.together ? 0 : size_t(grid.own * Own * kc) * sizeof(A);
          S* const sums = static_cast<S*>(scratch(size_t(tiles * TR * TC) * sizeof(S) + here, kTaskSlot));
          A* const packed_here = reinterpret_cast<A*>(sums + tiles * TR * TC);
          for (int64_t p = 0; p < depth; p += kc) {
            const int64_t d = least(kc, depth - p);
            const bool last = p0 + p + d == k;
            const A* own = packed_here;
            if (grid.together) own = packed_own + (p * own_panels + g0 * d) * Own;
            else pack_own(packed_here, g0 * Own, least(grid.own * Own, own_count - g0 * Own), p, d, g1 - g0, 0);
            for (int64_t h = h0; h < h1; ++h) {
              const A* const theirs = packed + p * shared_panels * Shared + h * Shared * d;
              for (int64_t g = g0; g < g1; ++g) {
                const A* const mine = own + (g - g0) * Own * d;
                const int64_t i = own_rows ? o0 + g * TR : s0 + h * TR, j = own_rows ? s0 + h * TC : o0 + g * TC;
                const int r = int(least(TR, m - i)), c = int(least(TC, n - j));
                S* to = sums;
                int64_t stride = TC;
                bool add = p0 + p > 0;
                if constexpr (Out::kDirect) to = out.at(i, j), stride = out.row, add |= out.accumulate;
                else if (keep) to = kept + (g * shared_panels + h) * TR * TC;
                else if (tiles > 1) to = sums + ((g - g0) * (h1 - h0) + h - h0) * TR * TC;
                const A* const ahead = theirs + Shared * d + (g - g0) * (Shared * d / (g1 - g0));  // part of the next panel
                at_edges<A>(r, c, [&](auto rows, auto vecs) {
                  micro_tile<A, rows.value, vecs.value>(d, own_rows ? mine : theirs, own_rows ? theirs : mine, to, stride, r, c, add,
                                                           add ? nullptr : out.start(j), ahead);
                });
                if (last) out.finish(i, j, r, c, to, stride);
              }
            }
          }
        });
      }
}

// The larger operand is the one that tasks own. Of two that fit L2 the left one, if its panels are enough for tasks of their own
// (task_grid): packing is a good part of such a product, and what a task packs for itself stays with its core.
template <class A, class L, class R, class Out>
static void gemm_blocked(int64_t m, int64_t n, int64_t k, const L& left, const R& right, const Out& out) {
  const bool alone = (m + n) * k * int64_t(sizeof(A)) <= 512 << 10 && m > 19 * kTileRows<A> && n <= kSharedWidth;
  if (alone || m > n) gemm_blocked<A, true>(m, n, k, left, right, out);
  else gemm_blocked<A, false>(m, n, k, left, right, out);
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
