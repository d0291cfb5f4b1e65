// SPDX-License-Identifier: MIT
// The packed product C = A . B, open at both ends: operands pack themselves (a strided matrix, an image seen through a
// convolution's window, ...), and the result is handed over tile by tile (bias, activation, narrowing, scattering).
// After Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication".
//
// A left operand L has, for rows i of A, and a right operand R, for columns i of B:
//   void pack(A* panel, int64_t first, int count, int64_t p, int64_t depth) const;
//     panel[q * R + i] = element (first + i, p + q) for q < depth; R = kTileRows<A> (left) or kTileCols<A> (right);
//     zero for count <= i < R. Called from several threads. p is a multiple of 4 unless 0.
// An output Out has:
//   static constexpr bool kDirect;
//   A* at(int64_t i, int64_t j) const; int64_t row;    (kDirect) where C's element (i, j) of type A is kept; columns
//                                                       adjacent, rows `row` apart
//   void finish(int64_t i, int64_t j, int rows, int cols, A* tile, int64_t stride) const;
//     the sums of a tile are complete: tile[r * stride + c], r < rows <= kTileRows, c < cols <= kTileCols, belongs to
//     element (i + r, j + c). If kDirect, it is that memory itself. May change tile. Called from several threads.
//   bool accumulate;                                    (kDirect) C is added to
//
// Sums run over k in blocks of fixed size and tasks are cut by shape: the same bits on any number of threads.
#pragma once
#include "gemm_pack.h"

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

constexpr int64_t kBlockDepth = 384;  // of k: a panel of A then takes about half of L1
constexpr int64_t kBlockRows = 1536, kBlockCols = 2048;  // packed at once; bounds the scratch memory
constexpr int kGemmSlot = 2;          // scratch slots 2 and 3 belong to gemm_blocked

// Keeps a broadcast in its register: folded into each multiply-add as a memory operand it would be loaded V times.
template <class V> LAMELLA_INLINE void pin(V& v) {
#if defined(__x86_64__)
  asm("" : "+v"(v));
#else
  asm("" : "+w"(v));
#endif
}

// c (rows x cols) = or += a . b for one packed panel each; computes R x V vectors, stores rows <= R, cols <= V vectors.
template <class A, int R, int V>
static void micro_tile(int64_t depth, const A* a, const A* b, A* c, int64_t stride, int rows, int cols, bool add) {
  constexpr int L = kLanes<A>;
  vec<A> acc[R][V];
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) acc[i][j] = vec<A>{};
  for (int i = 0; i < rows; ++i) {
    __builtin_prefetch(c + i * stride, 1);
    __builtin_prefetch(c + i * stride + V * L - 1, 1);
  }
#pragma GCC unroll 4
  for (int64_t p = 0; p < depth; ++p) {
    vec<A> row[V];
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) row[j] = vload(b + j * L);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      vec<A> x = splat(a[i]);
      pin(x);
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) acc[i][j] = fma(x, row[j], acc[i][j]);
    }
    a += kTileRows<A>;
    b += kTileCols<A>;
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) __builtin_prefetch(b + (8 * kTileVecs + j) * L);  // panels of B stream from L2
  }
  const bool whole = cols == V * L;
  const int last = cols - (V - 1) * L;  // columns in the last vector
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
    if (i < rows) {
      A* to = c + i * stride;
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) {
        if (j < V - 1 || whole) vstore(to + j * L, add ? vload(to + j * L) + acc[i][j] : acc[i][j]);
        else vstore(to + j * L, add ? vload(to + j * L, last) + acc[i][j] : acc[i][j], last);
      }
    }
  }
}

// Edges compute a third or two thirds of the rows and half of the columns where that is enough.
template <class A>
static void tile(int64_t depth, const A* a, const A* b, A* c, int64_t stride, int rows, int cols, bool add) {
  constexpr int R = kTileRows<A>, R1 = (R + 2) / 3, R2 = (2 * R + 2) / 3;
  if (cols > kLanes<A>) {
    if (rows > R2) micro_tile<A, R, 2>(depth, a, b, c, stride, rows, cols, add);
    else if (rows > R1) micro_tile<A, R2, 2>(depth, a, b, c, stride, rows, cols, add);
    else micro_tile<A, R1, 2>(depth, a, b, c, stride, rows, cols, add);
  } else {
    if (rows > R2) micro_tile<A, R, 1>(depth, a, b, c, stride, rows, cols, add);
    else if (rows > R1) micro_tile<A, R2, 1>(depth, a, b, c, stride, rows, cols, add);
    else micro_tile<A, R1, 1>(depth, a, b, c, stride, rows, cols, add);
  }
}

LAMELLA_INLINE int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
LAMELLA_INLINE int64_t lesser(int64_t a, int64_t b) { return a < b ? a : b; }

// f(i) for i < count: on the caller alone where the whole is not worth waking anyone.
template <class F> static void parallel_if(bool worth, int64_t count, const F& f) {
  if (worth) parallel(count, f);
  else for (int64_t i = 0; i < count; ++i) f(i);
}

// How the tiles of a block (row panels x column panels) are grouped into tasks: a group's panels of B stay in L2, and
// there are enough groups that an idle thread finds one.
struct TaskGrid { int64_t rows, cols; };  // panels per task
template <class A> static TaskGrid task_grid(int64_t row_panels, int64_t col_panels, int64_t depth) {
  const int64_t l2 = 256 * 1024 / int64_t(sizeof(A)) / (depth * kTileCols<A>);
  TaskGrid g{16, l2 < 1 ? 1 : l2};
  const int64_t tile_work = depth * kTileRows<A> * kTileCols<A>;
  while (div_up(row_panels, g.rows) * div_up(col_panels, g.cols) < 24 && g.rows * g.cols * tile_work > 400000) {
    if (g.rows >= g.cols) g.rows = (g.rows + 1) / 2;
    else g.cols = (g.cols + 1) / 2;
  }
  return g;
}

// C (m, n) = left (m, k) . right (k, n). k >= 1.
template <class A, class L, class R, class Out>
static void gemm_blocked(int64_t m, int64_t n, int64_t k, const L& left, const R& right, const Out& out) {
  constexpr int TR = kTileRows<A>, TC = kTileCols<A>;
  const int64_t k_blocks = div_up(k, kBlockDepth);
  const int64_t kc = div_up(div_up(k, k_blocks), 4) * 4;
  const int64_t m_blocks = div_up(m, kBlockRows), mc = div_up(div_up(m, m_blocks), TR) * TR;
  const int64_t n_blocks = div_up(n, kBlockCols), nc = div_up(div_up(n, n_blocks), TC) * TC;
  A* const packed = static_cast<A*>(scratch(size_t((mc + nc) * kc) * sizeof(A), kGemmSlot));
  A* sums = nullptr;  // partial sums of the block, where C cannot hold them
  if constexpr (!Out::kDirect)
    if (k > kc) sums = static_cast<A*>(scratch(size_t(mc * nc) * sizeof(A), kGemmSlot + 1));

  for (int64_t j0 = 0; j0 < n; j0 += nc)
    for (int64_t i0 = 0; i0 < m; i0 += mc)
      for (int64_t p0 = 0; p0 < k; p0 += kc) {
        const int64_t rows = lesser(mc, m - i0), cols = lesser(nc, n - j0), depth = lesser(kc, k - p0);
        const int64_t row_panels = div_up(rows, TR), col_panels = div_up(cols, TC);
        A *const a = packed, *const b = packed + mc * kc;
        const bool worth = rows * cols * depth > 1000000, last = p0 + depth == k;

        // Pack both operands.
        const int64_t a_group = div_up(16384, depth * TR), b_group = div_up(16384, depth * TC);
        const int64_t a_tasks = div_up(row_panels, a_group), b_tasks = div_up(col_panels, b_group);
        parallel_if(worth, a_tasks + b_tasks, [&](int64_t t) {
          if (t < a_tasks)
            for (int64_t g = t * a_group, end = lesser(g + a_group, row_panels); g < end; ++g)
              left.pack(a + g * TR * depth, i0 + g * TR, int(lesser(TR, rows - g * TR)), p0, depth);
          else
            for (int64_t g = (t - a_tasks) * b_group, end = lesser(g + b_group, col_panels); g < end; ++g)
              right.pack(b + g * TC * depth, j0 + g * TC, int(lesser(TC, cols - g * TC)), p0, depth);
        });

        // Multiply: for each panel of A, which stays in L1, the task's panels of B, which stay in L2.
        const TaskGrid grid = task_grid<A>(row_panels, col_panels, depth);
        const int64_t down = div_up(row_panels, grid.rows);
        parallel_if(worth, down * div_up(col_panels, grid.cols), [&](int64_t t) {
          const int64_t g0 = t % down * grid.rows, g1 = lesser(g0 + grid.rows, row_panels);
          const int64_t h0 = t / down * grid.cols, h1 = lesser(h0 + grid.cols, col_panels);
          A own[Out::kDirect ? 1 : TR * TC] __attribute__((aligned(64)));
          for (int64_t g = g0; g < g1; ++g)
            for (int64_t h = h0; h < h1; ++h) {
              const int64_t i = i0 + g * TR, j = j0 + h * TC;
              const int r = int(lesser(TR, m - i)), c = int(lesser(TC, n - j));
              A* to = own;
              int64_t stride = TC;
              bool add = p0 > 0;
              if constexpr (Out::kDirect) to = out.at(i, j), stride = out.row, add |= out.accumulate;
              else if (sums) to = sums + (g * col_panels + h) * TR * TC;
              tile(depth, a + g * TR * depth, b + h * TC * depth, to, stride, r, c, add);
              if (last) out.finish(i, j, r, c, to, stride);
            }
        });
      }
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
