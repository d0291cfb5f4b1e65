// SPDX-License-Identifier: MIT
// What attention's forward and backward share. Both go through blocks of scores, some queries by some keys, that are made, used and forgotten (Dao et al. 2022, "FlashAttention"; the online softmax of Milakov and Gimelshein
// 2018). Products are gemm_direct.h's: the left operand is read where it lies, in either direction, so that weights need
// no transposing; the right one is either a block's rows or, transposed once for all, panels of kTileCols keys.
#pragma once
#include "gemm_direct.h"
#include "lse.h"
#include "philox.h"

namespace lamella {
namespace LAMELLA_ISA {

// Sizes of a block of scores: multiples of every kTileRows and kTileCols, measured best on a Xeon with 1 MiB of L2.
constexpr int64_t kForwardQueries = 48, kForwardKeys = 256, kBackwardQueries = 96, kBackwardKeys = 128;
constexpr int64_t kMostKeys = kForwardKeys;
constexpr int kAttentionSlot = 10;                    // scratch: 10 a task's, 11 and 12 the caller's

// Elements between rows of a copy of n columns: whole vectors, and one more so that rows do not share sets of L1.
template <class A> LAMELLA_INLINE int64_t row_stride(int64_t n) { return (ceil_div(n, kLanes<A>) + 1) * kLanes<A>; }
template <class A> constexpr int64_t kScoreStride = kMostKeys + kLanes<A>;

// One scratch buffer handed out in aligned pieces: with `at` null it only counts.
template <class A> struct Pieces {
  A* at = nullptr;
  int64_t used = 0;
  A* take(int64_t n) {
    A* piece = at ? at + used : nullptr;
    used += ceil_div(n, 64) * 64;
    return piece;
  }
};

// ---- where things lie ------------------------------------------------------------------------------------------------
LAMELLA_INLINE int64_t head_offset(const Attention& a, const int64_t* stride, int64_t head, int ndim) {
  int64_t at = 0;
  for (int d = ndim - 1; d >= 0; --d) {
    const Division by(head, a.heads[d]);
    at += by.rest * stride[d];
    head = by.quotient;
  }
  return at;
}
template <class T> LAMELLA_INLINE const T* head_of(const Attention& a, const HeadsIn& x, int64_t head) {
  return static_cast<const T*>(x.x) + head_offset(a, x.batch, head, a.ndim);
}
LAMELLA_INLINE int64_t head_count(const Attention& a) {
  int64_t n = 1;
  for (int d = 0; d < a.ndim; ++d) n *= a.heads[d];
  return n;
}

// ---- copies: rows may lie pages apart, where hardware does not see the next one coming ---------------------------------
template <class T> constexpr int64_t kLine = 64 / int64_t(sizeof(T));

template <class T> LAMELLA_INLINE void prefetch_rows(const T* x, int64_t row, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < n; i += kLine<T>) __builtin_prefetch(x + r * row + i);
}

template <class T>
static void copy_rows(acc_t<T>* to, int64_t stride, const T* x, int64_t row, int64_t rows, int64_t n, acc_t<T> scale) {
  using A = acc_t<T>;
  for (int64_t r = 0; r < rows; ++r, to += stride, x += row) {
    prefetch_rows(x + 8 * row, row, 1, n);
    sweep<A, 4>(n, [&](int64_t i, int, auto k) { st(to + i, ld(x + i, k) * scale, k); });
  }
}

// Panels of x's rows as columns: panel p holds element (row p * kTileCols + i, column q) at [q * kTileCols + i].
template <class T> static void pack_columns(acc_t<T>* panels, const T* x, int64_t row, int64_t rows, int64_t n) {
  constexpr int TC = kTileCols<acc_t<T>>;
  for (int64_t p = 0; p < rows; p += TC, panels += TC * n) {
    prefetch_rows(x + (p + TC) * row, row, least(TC, rows - p - TC), n);
    pack_transposed<T, TC>(panels, x + p * row, row, int(least(TC, rows - p)), n);
  }
}

// ---- products --------------------------------------------------------------------------------------------------------
template <class A> struct LeftOperand { const A* x; int64_t row, col; };

// c (rows, cols) = or += a (rows, depth) . b (depth, cols), b's and c's columns adjacent.
template <class A>
static void block_product(int64_t rows, int64_t cols, int64_t depth, LeftOperand<A> a, const A* b, int64_t b_row, A* c,
                          int64_t c_row, bool add) {
  constexpr int TC = kTileCols<A>;
  const MatrixOut<A> out{c, c_row, add, {}};
  for (int64_t j = 0; j < cols; j += TC) {
    const int wide = int(least(TC, cols - j));
    if (wide > kLanes<A>) direct_panel<A, 2>(0, rows, depth, a.x, a.row, a.col, b + j, b_row, out, j, wide, true, true);
    else direct_panel<A, 1>(0, rows, depth, a.x, a.row, a.col, b + j, b_row, out, j, wide, true, true);
  }
}

// scores (rows, keys) = a (rows, n) . keys^T, whose panels pack_columns made. Causal: `ahead` is the first key's position
// minus the first row's, and what lies past the diagonal may be left out.
template <class A>
static void score_product(int64_t rows, int64_t keys, int64_t n, const A* a, int64_t a_row, const A* panels, A* scores,
                          bool causal, int64_t ahead) {
  constexpr int64_t TC = kTileCols<A>, S = kScoreStride<A>;
  for (int64_t j = 0; j < keys; j += TC) {
    const int64_t skip = causal && ahead + j > 0 ? ahead + j : 0;
    if (skip >= rows) return;
    block_product<A>(rows - skip, least(TC, keys - j), n, {a + skip * a_row, a_row, 1}, panels + j * n, TC,
                     scores + skip * S + j, S, false);
  }
}

// y (rows, n) += weights (rows, keys) . x (keys, n). Causal: as above, weights past the diagonal are zero.
template <class A>
static void weighted_rows(int64_t rows, int64_t keys, int64_t n, const A* weights, const A* x, int64_t x_row, A* y,
                          int64_t y_row, bool causal, int64_t ahead) {
  constexpr int64_t S = kScoreStride<A>, TR = kTileRows<A>;
  const int64_t step = causal && ahead + keys > 1 ? TR : rows;
  for (int64_t r = 0; r < rows; r += step) {
    const int64_t some = least(step, rows - r), depth = causal ? least(keys, r + some - ahead) : keys;
    if (depth > 0) block_product<A>(some, n, depth, {weights + r * S, S, 1}, x, x_row, y + r * y_row, y_row, true);
  }
}

// y (keys, n) += weights (rows, keys)^T . x (rows, n).
template <class A>
static void weighted_columns(int64_t rows, int64_t keys, int64_t n, const A* weights, const A* x, int64_t x_row, A* y,
                             int64_t y_row, bool causal, int64_t ahead) {
  constexpr int64_t S = kScoreStride<A>, TR = kTileRows<A>;
  const int64_t step = causal && ahead + keys > 1 ? TR : keys;
  for (int64_t j = 0; j < keys; j += step) {
    const int64_t skip = causal && ahead + j > 0 ? ahead + j : 0;
    if (skip >= rows) return;
    block_product<A>(least(step, keys - j), n, rows - skip, {weights + skip * S + j, 1, S}, x + skip * x_row, x_row,
                     y + j * y_row, y_row, true);
  }
}

// ---- rows that are not finite ------------------------------------------------------------------------------------------
// 0 * NaN is NaN: a row of a product's right operand that holds NaN or infinity is taken out of it (set to zero) and
// added apart, where its weight is not zero.
struct Strangers { int count; int16_t row[kMostKeys]; };

template <class A> static bool all_finite(const A* x, int64_t n) {
  Four<A> s;
  sweep<A, 4>(n, [&](int64_t i, int u, auto k) { s.v[u] += ld(x + i, k) * A(0); });
  return s.sum() == A(0);
}
template <class A> static void take_out(A* x, int64_t row, int64_t rows, int64_t n, Strangers& out) {
  out.count = 0;
  for (int64_t r = 0; r < rows; ++r) {
    if (all_finite(x + r * row, n)) continue;
    out.row[out.count++] = int16_t(r);
    for (int64_t i = 0; i < n; ++i) x[r * row + i] = A(0);
  }
}
// y (count, n) += weights (count, known) . x (known, n) * scale for those rows of x: beyond `known` there are no weights.
template <class T>
static void add_strangers(const Strangers& out, const T* x, int64_t row, int64_t n, acc_t<T> scale, int64_t count,
                          LeftOperand<acc_t<T>> weights, int64_t known, acc_t<T>* y, int64_t y_row) {
  using A = acc_t<T>;
  for (int s = 0; s < out.count && out.row[s] < known; ++s)
    for (int64_t i = 0; i < count; ++i) {
      const int64_t r = out.row[s];
      const A w = weights.x[i * weights.row + r * weights.col];
      if (w == A(0)) continue;
      for (int64_t c = 0; c < n; ++c) y[i * y_row + c] += w * (up(x[r * row + c]) * scale);
    }
}

// ---- masks -------------------------------------------------------------------------------------------------------------
template <class A> constexpr A kMinusInfinity = A(-__builtin_inf());

// bias[j] = what a row of the mask adds to n scores. True if any is not minus infinity.
template <class M, class A> static bool bias_of(const M* mask, int64_t col, int64_t n, A* bias) {
  vec<A> top = constant<vec<A>>(kMinusInfinity<A>);
  if constexpr (__is_same(M, bool)) {
    for (int64_t j = 0; j < n; ++j) bias[j] = mask[j * col] ? A(0) : kMinusInfinity<A>;
  } else {
    for (int64_t j = 0; j < n; ++j) bias[j] = A(up(mask[j * col]));
  }
  const vec<A> low = top;
  sweep<A, 1>(n, [&](int64_t i, int, auto k) { top = vmax_nan(top, only(ld(bias + i, k), low, k)); });
  return !(hmax(top) == kMinusInfinity<A>);
}

// The mask of one head.
struct MaskRows {
  const char* at = nullptr;
  DType dtype = DType::b8;
  int64_t row = 0, col = 0;

  MaskRows(const Attention& a, int64_t head) {
    if (!a.mask) return;
    dtype = a.mask_dtype;
    at = static_cast<const char*>(a.mask) + head_offset(a, a.mask_batch, head, a.ndim) * size_of(dtype);
    row = a.mask_row, col = a.mask_col;
  }
  template <class A> bool bias(int64_t i, int64_t j, int64_t n, A* to) const {
    const char* from = at + (i * row + j * col) * size_of(dtype);
    if (dtype == DType::b8) return bias_of((const bool*)from, col, n, to);
    bool any = false;
    by_float(dtype, [&](auto t) { any = bias_of((const decltype(t)*)from, col, n, to); });
    return any;
  }
  // The same of a block of rows, `*stride` apart in bias: 0 where all rows are one.
  template <class A> bool block(int64_t i, int64_t rows, int64_t j, int64_t n, A* to, int64_t* stride) const {
    *stride = row ? kMostKeys : 0;
    bool any = false;
    for (int64_t r = 0; r < (row ? rows : 1); ++r) any |= bias(i + r, j, n, to + r * kMostKeys);
    return any;
  }
  // Keys up to the last that any query may see, where one row stands for all (padding); else all of them.
  template <class A> int64_t keys(int64_t s, A* bias_row) const {
    if (!at || row) return s;
    for (int64_t end = s; end > 0; end = (end - 1) / kMostKeys * kMostKeys) {
      const int64_t begin = (end - 1) / kMostKeys * kMostKeys;
      if (!bias(0, begin, end - begin, bias_row)) continue;
      while (bias_row[end - begin - 1] == kMinusInfinity<A>) --end;
      return end;
    }
    return 0;
  }
};

// A masked score is minus infinity even where it was NaN.
template <class A> static void add_bias(A* scores, const A* bias, int64_t n) {
  const vec<A> low = constant<vec<A>>(kMinusInfinity<A>);
  sweep<A, 2>(n, [&](int64_t i, int, auto k) {
    const vec<A> b = ld(bias + i, k);
    st(scores + i, select(b == low, low, ld(scores + i, k) + b), k);
  });
}

// ---- dropout -----------------------------------------------------------------------------------------------------------
// keep[j] = 0 or 1 / (1 - p) for the n <= kMostKeys weights from element `first` of (heads, l, s) on.
template <class A> static void keep_of(const Attention& a, uint64_t first, int64_t n, A* keep) {
  alignas(64) uint32_t words[4 * (kMostKeys / 4 + 1 + kBlocks)];
  const int64_t skip = int64_t(first % 4), blocks = ceil_div(skip + n, 4);
  make_words(a.seed, a.stream, first / 4, ceil_div(blocks, kBlocks) * kBlocks, words);
  const float p = float(a.dropout);
  const A scale = a.dropout < 1 ? A(1 / (1 - a.dropout)) : A(0);
  for (int64_t j = 0; j < n; ++j) keep[j] = unit(words[skip + j]) >= p ? scale : A(0);
}

// ---- results -----------------------------------------------------------------------------------------------------------
// Outputs of `count` queries from y (count, n), `stride` apart: sums of values with weights exp(score - m) that add up to
// l, which is used up; zero where l is.
template <class T>
static void finish_queries(int64_t count, const acc_t<T>* y, int64_t stride, const acc_t<T>* m, acc_t<T>* l, int64_t n,
                           T* out, int64_t row, acc_t<T>* lse) {
  using A = acc_t<T>;
  sweep<A, 1>(count, [&](int64_t r, int, auto k) {
    const vec<A> sum = ld(l + r, k), zero{};
    st(lse + r, select(sum == zero, constant<vec<A>>(__builtin_inf()), ld(m + r, k) + vlog(sum)), k);
    st(l + r, select(sum == zero, zero, A(1) / sum), k);
  });
  for (int64_t r = 0; r < count; ++r, y += stride, out += row)
    sweep<A, 4>(n, [&](int64_t i, int, auto k) { st(out + i, ld(y + i, k) * l[r], k); });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
