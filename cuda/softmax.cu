// SPDX-License-Identifier: MIT
// Softmax and log-softmax along the middle of x (outer, n, inner). inner 1: rows that a block can hold are read once; longer
// ones are cut in pieces, with the pieces' sums merged in between. Else threads lie along inner, and each goes down.
#include "rows.cuh"

namespace lamella::cuda {
namespace {

constexpr int kDown = 8;  // rows of threads in a block that share long columns

template <class T> struct Rows {
  int64_t rows, n;
  const T *x, *dy;  // x: the input, or backward's y
  T* y;             // the output, or dx
  bool log;
  int group;
};

// ---- forward: y = exp(x - m) / s, or x - m - log s ------------------------------------------------------------------
template <class T, bool P, int K> GPU Lse<acc_t<T>> held_lse(const Share<T, P, K>& s, Pack<T, kPack<T>> (&x)[K]) {
  using A = acc_t<T>;
  constexpr int V = kPack<T>;
  Lse<A> all = Lse<A>::none();
#pragma unroll
  for (int k = 0; k < K; ++k)
#pragma unroll
    for (int e = 0; e < V; ++e)
      if (k * V + e < s.held) all.m = Max{}(all.m, up(x[k].v[e]));
  all.m = group_reduce(all.m, Max{}, -Float<A>::infinity, s.group);
  stay_packed(x);
#pragma unroll
  for (int k = 0; k < K; ++k)
#pragma unroll
    for (int e = 0; e < V; ++e)
      if (k * V + e < s.held) all.s += vexp(up(x[k].v[e]) - all.m);
  all.s = group_reduce(all.s, Sum{}, A(0), s.group);
  stay_packed(x);
  return all;
}

template <class T, bool P, int K>
GPU void write_softmax(const Share<T, P, K>& s, const Pack<T, kPack<T>> (&x)[K], T* y, const Lse<acc_t<T>>& lse, bool log) {
  using A = acc_t<T>;
  constexpr int V = kPack<T>;
  const A c = log ? vlog(lse.s) : A(1) / lse.s;
#pragma unroll
  for (int k = 0; k < K; ++k) {
    if (k * V >= s.held) break;
    Pack<T, V> out;
#pragma unroll
    for (int e = 0; e < V; ++e) {
      const A d = up(x[k].v[e]) - lse.m;
      out.v[e] = down<T>(log ? d - c : vexp(d) * c);
    }
    s.put(y, k, out);
  }
}

template <class T, bool P> __global__ void __launch_bounds__(P ? 1024 : 512) softmax_held(Rows<T> a) {
  const Place at(a.group);
  const bool used = at.row < a.rows;
  const Share<T, P> s(used ? a.n : 0, at.lane, a.group);
  Pack<T, kPack<T>> x[kHeld<T, P>];
  s.load(a.x + at.row * a.n, x);
  const Lse<acc_t<T>> lse = held_lse(s, x);
  if (used) write_softmax(s, x, a.y + at.row * a.n, lse, a.log);
}

// lse null: each piece's is written to part; else y is.
template <class T, bool P>
__global__ void __launch_bounds__(kPieceThreads) softmax_piece(Rows<T> a, Pieces cut, Lse<acc_t<T>>* part,
                                                               const Lse<acc_t<T>>* lse) {
  using A = acc_t<T>;
  int64_t row, first, n;
  cut.place(row, first, n);
  const Share<T, P> s(n, int(threadIdx.x), kPieceThreads);
  Pack<T, kPack<T>> x[kHeld<T, P>];
  s.load(a.x + row * a.n + first, x);
  if (lse) return write_softmax(s, x, a.y + row * a.n + first, lse[row], a.log);
  const Lse<A> mine = held_lse(s, x);
  if (threadIdx.x == 0) part[blockIdx.x] = mine.m == -Float<A>::infinity ? Lse<A>::none() : mine;
}

// ---- backward: dx = y (dy - sum(dy y)), or dy - exp(y) sum(dy) ------------------------------------------------------
template <class T, bool P, int K>
GPU acc_t<T> held_sum(const Share<T, P, K>& s, const Pack<T, kPack<T>> (&y)[K], const Pack<T, kPack<T>> (&dy)[K],
                      bool log) {
  using A = acc_t<T>;
  constexpr int V = kPack<T>;
  A sum = 0;
#pragma unroll
  for (int k = 0; k < K; ++k)
#pragma unroll
    for (int e = 0; e < V; ++e) sum += up(dy[k].v[e]) * (log ? A(1) : up(y[k].v[e]));  // zero outside the share
  return group_reduce(sum, Sum{}, A(0), s.group);
}

template <class A> GPU A dx_of(A y, A dy, A sum, bool log) { return log ? dy - vexp(y) * sum : y * (dy - sum); }

template <class T, bool P, int K>
GPU void write_dx(const Share<T, P, K>& s, const Pack<T, kPack<T>> (&y)[K], const Pack<T, kPack<T>> (&dy)[K], T* dx,
                  acc_t<T> sum, bool log) {
  constexpr int V = kPack<T>;
#pragma unroll
  for (int k = 0; k < K; ++k) {
    if (k * V >= s.held) break;
    Pack<T, V> out;
#pragma unroll
    for (int e = 0; e < V; ++e) out.v[e] = down<T>(dx_of(up(y[k].v[e]), up(dy[k].v[e]), sum, log));
    s.put(dx, k, out);
  }
}

constexpr int kMostBwdThreads = 768;
template <class T, bool P> __global__ void __launch_bounds__(P ? kMostBwdThreads : 512) softmax_bwd_held(Rows<T> a) {
  const Place at(a.group);
  const bool used = at.row < a.rows;
  const Share<T, P> s(used ? a.n : 0, at.lane, a.group);
  Pack<T, kPack<T>> y[kHeld<T, P>], dy[kHeld<T, P>];
  s.load(a.x + at.row * a.n, y);
  s.load(a.dy + at.row * a.n, dy);
  const acc_t<T> sum = held_sum(s, y, dy, a.log);
  stay_packed(y);
  stay_packed(dy);
  if (used) write_dx(s, y, dy, a.y + at.row * a.n, sum, a.log);
}

template <class T, bool P>
__global__ void __launch_bounds__(kPieceThreads) softmax_bwd_piece(Rows<T> a, Pieces cut, acc_t<T>* part,
                                                                   const acc_t<T>* sums) {
  int64_t row, first, n;
  cut.place(row, first, n);
  const Share<T, P> s(n, int(threadIdx.x), kPieceThreads);
  Pack<T, kPack<T>> y[kHeld<T, P>], dy[kHeld<T, P>];
  s.load(a.x + row * a.n + first, y);
  s.load(a.dy + row * a.n + first, dy);
  if (sums) return write_dx(s, y, dy, a.y + row * a.n + first, sums[row], a.log);
  const acc_t<T> sum = held_sum(s, y, dy, a.log);
  if (threadIdx.x == 0) part[blockIdx.x] = sum;
}

// A block per row merges the row's pieces.
template <class X, class Op> __global__ void merge_pieces(const X* part, X* to, int64_t pieces, Op op, X none) {
  X x = none;
  for (int64_t i = threadIdx.x; i < pieces; i += blockDim.x) x = op(x, part[int64_t(blockIdx.x) * pieces + i]);
  x = group_reduce(x, op, none, int(blockDim.x));
  if (threadIdx.x == 0) to[blockIdx.x] = x;
}

template <class T, bool P> void rows_fwd(Rows<T> a) {
  using L = Lse<acc_t<T>>;
  const Deal deal = deal_rows(a.rows, a.n, kPack<T>, kHeld<T, P>, P ? 1024 : 512);
  if (deal.group) {
    a.group = deal.group;
    return launch("softmax", softmax_held<T, P>, deal.blocks(a.rows), deal.threads, 0, a);
  }
  const Pieces cut(a.n, kPiece<T, P>);
  const Temp part(size_t(a.rows * cut.pieces.d) * sizeof(L)), lse(size_t(a.rows) * sizeof(L));
  launch("softmax", softmax_piece<T, P>, cut.blocks(a.rows), kPieceThreads, 0, a, cut, part.as<L>(), nullptr);
  launch("softmax", merge_pieces<L, MergeLse>, unsigned(a.rows), 128, 0, part.as<L>(), lse.as<L>(), cut.pieces.d,
         MergeLse{},
         L{-__builtin_inff(), 0});
  launch("softmax", softmax_piece<T, P>, cut.blocks(a.rows), kPieceThreads, 0, a, cut, nullptr, lse.as<L>());
}

template <class T, bool P> void rows_bwd(Rows<T> a) {
  using A = acc_t<T>;
  const Deal deal = deal_rows(a.rows, a.n, kPack<T>, kHeld<T, P>, P ? kMostBwdThreads : 512);
  if (deal.group) {
    a.group = deal.group;
    return launch("softmax_bwd", softmax_bwd_held<T, P>, deal.blocks(a.rows), deal.threads, 0, a);
  }
  const Pieces cut(a.n, kPiece<T, P>);
  const Temp part(size_t(a.rows * cut.pieces.d) * sizeof(A)), sums(size_t(a.rows) * sizeof(A));
  launch("softmax_bwd", softmax_bwd_piece<T, P>, cut.blocks(a.rows), kPieceThreads, 0, a, cut, part.as<A>(), nullptr);
  launch("softmax_bwd", merge_pieces<A, Sum>, unsigned(a.rows), 128, 0, part.as<A>(), sums.as<A>(), cut.pieces.d, Sum{},
         A(0));
  launch("softmax_bwd", softmax_bwd_piece<T, P>, cut.blocks(a.rows), kPieceThreads, 0, a, cut, nullptr, sums.as<A>());
}

// ---- columns of (outer, n, inner): `down` (1 or kDown) threads to each ----------------------------------------------
template <class T> struct Columns {
  int64_t columns, n;
  Divisor inner;
  const T *x, *dy;
  T* y;
  bool log;
  int down;
};

template <class T, bool kBwd> __global__ void __launch_bounds__(kThreads, 2) softmax_columns(Columns<T> a) {
  using A = acc_t<T>;
  constexpr int kAtOnce = sizeof(T) == 8 ? 4 : 8;
  const int across = kThreads / a.down, of = int(threadIdx.x) % across, first = int(threadIdx.x) / across;
  const int64_t column = int64_t(blockIdx.x) * across + of;
  int64_t j;
  const int64_t o = a.inner.divide(column, j), base = o * a.n * a.inner.d + j, n = column < a.columns ? a.n : 0;
  Lse<A> lse = Lse<A>::none();  // backward: the sum in s
  if constexpr (kBwd) lse.s = 0;
  for (int64_t i = first; i < n; i += kAtOnce * a.down) {
    A v[kAtOnce], d[kAtOnce];
#pragma unroll
    for (int u = 0; u < kAtOnce; ++u) {
      const int64_t at = i + u * a.down;
      v[u] = kBwd ? A(0) : -Float<A>::infinity;
      d[u] = 0;
      if (at >= n) continue;
      if (!kBwd || !a.log) v[u] = up(a.x[base + at * a.inner.d]);
      if constexpr (kBwd) d[u] = up(a.dy[base + at * a.inner.d]);
    }
    if constexpr (kBwd) {
#pragma unroll
      for (int u = 0; u < kAtOnce; ++u) lse.s += a.log ? d[u] : d[u] * v[u];
    } else {
      lse.add(v);
    }
  }
  if (a.down > 1) {
    SHARED(Lse<A>, held, [kThreads]);
    held[threadIdx.x] = lse;
    __syncthreads();
    lse = held[of];
    for (int i = 1; i < kDown; ++i) {
      if constexpr (kBwd) lse.s += held[i * across + of].s;
      else lse.merge(held[i * across + of]);
    }
  }
  const A c = kBwd ? lse.s : a.log ? vlog(lse.s) : A(1) / lse.s;
#pragma unroll 4
  for (int64_t i = first; i < n; i += a.down) {
    const int64_t at = base + i * a.inner.d;
    const A x = up(a.x[at]);
    if constexpr (kBwd) a.y[at] = down<T>(dx_of(x, up(a.dy[at]), c, a.log));
    else a.y[at] = down<T>(a.log ? x - lse.m - c : vexp(x - lse.m) * c);
  }
}

template <class T, bool kBwd>
void softmax_along(bool log, int64_t outer, int64_t n, int64_t inner, const T* x, const T* dy, T* y) {
  if (outer * n * inner == 0) return;
  if (inner == 1) {
    const bool packed = n % kPack<T> == 0 && is_aligned(x) && is_aligned(dy) && is_aligned(y);
    const Rows<T> rows{outer, n, x, dy, y, log, 0};
    return by_packing<T>(packed, [&](auto p) {
      if constexpr (kBwd) rows_bwd<T, decltype(p)::value>(rows);
      else rows_fwd<T, decltype(p)::value>(rows);
    });
  }
  const int64_t columns = outer * inner;
  const int down = n >= 4 * kDown && columns < (1 << 18) ? kDown : 1;
  const Columns<T> a{columns, n, Divisor(inner), x, dy, y, log, down};
  launch("softmax", softmax_columns<T, kBwd>, unsigned(ceil_div(columns, kThreads / down)), kThreads, 0, a);
}

}  // namespace

void softmax_fwd(const SoftmaxFwd& a) {
  by_float(a.dtype, [&](auto t) {
    using T = decltype(t);
    softmax_along<T, false>(a.log, a.outer, a.n, a.inner, (const T*)a.x, nullptr, (T*)a.y);
  });
}
void softmax_bwd(const SoftmaxBwd& a) {
  by_float(a.dtype, [&](auto t) {
    using T = decltype(t);
    softmax_along<T, true>(a.log, a.outer, a.n, a.inner, (const T*)a.y, (const T*)a.dy, (T*)a.dx);
  });
}

}  // namespace lamella::cuda
