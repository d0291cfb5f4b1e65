// SPDX-License-Identifier: MIT
// Sums down the columns of (rows, width): groups of rows write partial sums, a second kernel adds them in order. The groups
// depend on the shape only.
#pragma once
#include "rows.cuh"

namespace lamella::cuda {
namespace {

constexpr int kAcross = 32, kDown = 8;  // threads of a block: along columns, along rows
constexpr int kFold = 16;               // along the partial sums of 32 columns
constexpr int kSumBlocks = 528;         // four for each processor of an H200

// A thread has V columns: a pack (P), or one.
template <class T, bool P> struct ColumnGrid {
  static constexpr int V = P ? kPack<T> : 1, tile = kAcross * V;
  using Values = Pack<T, V>;
  int64_t rows, width, per;  // rows of a group
  int groups;
  ColumnGrid(int64_t rows, int64_t width, int blocks = kSumBlocks) : rows(rows), width(width) {
    const int64_t most_groups = ceil_div(blocks, most(ceil_div(width, tile), 1));
    per = most(ceil_div(rows, most(least(most_groups, ceil_div(rows, 4 * kDown)), 1)), 1);
    groups = int(ceil_div(rows, per));
  }
  dim3 blocks() const { return dim3(unsigned(ceil_div(width, tile)), unsigned(groups)); }
  GPU int64_t column() const { return int64_t(blockIdx.x) * tile + int(threadIdx.x) % kAcross * V; }
  GPU Values load(const T* p, int64_t row) const {
    const int64_t c = column();
    Values r{};
    if (c < width) r = load_pack<T, V>(p + row * width + c);
    return r;
  }
  GPU void store(T* p, int64_t row, const Values& v) const {
    const int64_t c = column();
    if (c < width) store_pack<T, V>(p + row * width + c, v);
  }
  // f(e, column / size) for the thread's columns; those past the end get the last one's.
  template <class F> GPU void each(const Divisor& size, const F& f) const {
    int64_t rest, i = size.divide(least(column(), width - 1), rest);
#pragma unroll
    for (int e = 0; e < V; ++e) {
      f(e, i);
      if (++rest == size.d && column() + e + 1 < width) { rest = 0; ++i; }
    }
  }
};

// ---- sums of dy and of dy h -----------------------------------------------------------------------------------------
// h = (x - mean) rstd with statistics of each row, or of each of its `groups` parts; or h = x - mean of each column's
// channel.
template <class A> struct CentreOfRow { const A *mean, *rstd; int64_t groups; Divisor part; };
template <class A> struct CentreOfColumn { const A* mean; Divisor inner; };

template <class T, bool P> struct RowCentres {
  using A = acc_t<T>;
  static constexpr int V = ColumnGrid<T, P>::V;
  const CentreOfRow<A>& a;
  int part[V];
  GPU RowCentres(const CentreOfRow<A>& a, const ColumnGrid<T, P>& g) : a(a) {
    g.each(a.part, [&](int e, int64_t i) { part[e] = int(i); });
  }
  GPU void row(int64_t r, A (&m)[V], A (&rs)[V]) const {
    const A m0 = a.mean ? a.mean[r * a.groups + part[0]] : A(0), rs0 = a.rstd[r * a.groups + part[0]];
#pragma unroll
    for (int e = 0; e < V; ++e) { m[e] = m0; rs[e] = rs0; }
    if (part[V - 1] == part[0]) return;
#pragma unroll
    for (int e = 1; e < V; ++e) { m[e] = a.mean[r * a.groups + part[e]]; rs[e] = a.rstd[r * a.groups + part[e]]; }
  }
};
template <class T, bool P> struct ColumnCentres {
  using A = acc_t<T>;
  static constexpr int V = ColumnGrid<T, P>::V;
  A mean[V];
  GPU ColumnCentres(const CentreOfColumn<A>& a, const ColumnGrid<T, P>& g) {
    g.each(a.inner, [&](int e, int64_t i) { mean[e] = a.mean[i]; });
  }
  GPU void row(int64_t, A (&m)[V], A (&rs)[V]) const {
#pragma unroll
    for (int e = 0; e < V; ++e) { m[e] = mean[e]; rs[e] = A(1); }
  }
};
template <class T, bool P> ColumnCentres<T, P> centres_of(const CentreOfColumn<acc_t<T>>&);
template <class T, bool P> RowCentres<T, P> centres_of(const CentreOfRow<acc_t<T>>&);

// part (groups, 2, width)
template <class T, bool P, class Centre>
__global__ void __launch_bounds__(kThreads) column_sums(ColumnGrid<T, P> g, const T* x, const T* dy, Centre centre,
                                                        acc_t<T>* part) {
  using A = acc_t<T>;
  constexpr int V = ColumnGrid<T, P>::V, tile = ColumnGrid<T, P>::tile;
  const decltype(centres_of<T, P>(centre)) centres(centre, g);
  const int lane = int(threadIdx.x) % kAcross, down = int(threadIdx.x) / kAcross;
  const int64_t begin = int64_t(blockIdx.y) * g.per, end = least(begin + g.per, g.rows);
  A s[V] = {}, sh[V] = {};
#pragma unroll (P ? 2 : 8)
  for (int64_t r = begin + down; r < end; r += kDown) {
    const Pack<T, V> px = g.load(x, r), pd = g.load(dy, r);
    A m[V], rs[V];
    centres.row(r, m, rs);
#pragma unroll
    for (int e = 0; e < V; ++e) {
      const A d = up(pd.v[e]);
      s[e] += d;
      sh[e] += d * ((up(px.v[e]) - m[e]) * rs[e]);
    }
  }
  SHARED(A, held, [kDown][2][tile]);
#pragma unroll
  for (int e = 0; e < V; ++e) {
    held[down][0][e * kAcross + lane] = s[e];
    held[down][1][e * kAcross + lane] = sh[e];
  }
  __syncthreads();
  for (int i = int(threadIdx.x); i < 2 * tile; i += kThreads) {
    const int which = i / tile, at = i % tile, e = at / kAcross, of = at % kAcross;
    A sum = 0;
#pragma unroll
    for (int j = 0; j < kDown; ++j) sum += held[j][which][at];
    const int64_t c = int64_t(blockIdx.x) * tile + of * V + e;
    if (c < g.width) part[(int64_t(blockIdx.y) * 2 + which) * g.width + c] = sum;
  }
}

// finish(channel, sum of dy, sum of dy h) of part (groups, 2, channels * inner): 32 channels to a block.
template <class A, class Finish>
__global__ void __launch_bounds__(kAcross * kFold) fold_sums(const A* part, int64_t groups, int64_t channels,
                                                             int64_t inner, Finish finish) {
  const int lane = int(threadIdx.x) % kAcross, down = int(threadIdx.x) / kAcross;
  const int64_t ch = int64_t(blockIdx.x) * kAcross + lane, width = channels * inner;
  double s = 0, sh = 0;
  if (ch < channels)
    for (int64_t i = 0; i < inner; ++i) {
      const A* p = part + ch * inner + i;
#pragma unroll 8
      for (int64_t g = down; g < groups; g += kFold) {
        s += double(p[g * 2 * width]);
        sh += double(p[g * 2 * width + width]);
      }
    }
  SHARED(double, held, [2][kFold][kAcross]);
  held[0][down][lane] = s;
  held[1][down][lane] = sh;
  __syncthreads();
  if (down || ch >= channels) return;
#pragma unroll 1
  for (int j = 1; j < kFold; ++j) { s += held[0][j][lane]; sh += held[1][j][lane]; }
  finish(ch, s, sh);
}

template <class T> struct WriteParameters {  // dweight, dbias: either may be null
  T *dweight, *dbias;
  GPU void operator()(int64_t ch, double s, double sh) const {
    if (dbias) dbias[ch] = down<T>(acc_t<T>(s));
    if (dweight) dweight[ch] = down<T>(acc_t<T>(sh));
  }
};
template <class A, class Finish>
void fold(const A* part, int64_t groups, int64_t channels, int64_t inner, const Finish& finish) {
  launch("norm_bwd", fold_sums<A, Finish>, unsigned(ceil_div(channels, kAcross)), kAcross * kFold, 0, part, groups,
         channels, inner, finish);
}

// Both sums of every column of (rows, channels * inner), folded over inner, given to finish.
template <class T, class Centre, class Finish>
void sum_columns(int64_t rows, int64_t channels, int64_t inner, const T* x, const T* dy, const Centre& centre,
                 const Finish& finish) {
  using A = acc_t<T>;
  const int64_t width = channels * inner;
  by_packing<T>(width % kPack<T> == 0 && is_aligned(x) && is_aligned(dy), [&](auto p) {
    constexpr bool P = decltype(p)::value;
    const ColumnGrid<T, P> g(rows, width);
    const Temp part(size_t(2 * g.groups * width) * sizeof(A));
    launch("norm_bwd", column_sums<T, P, Centre>, g.blocks(), kThreads, 0, g, x, dy, centre, part.template as<A>());
    fold(part.template as<A>(), g.groups, channels, inner, finish);
  });
}

}  // namespace
}  // namespace lamella::cuda
