// SPDX-License-Identifier: MIT
// Batch normalisation: moments and outputs of training, outputs of evaluation.
#include "batch_norm.cuh"

namespace lamella::cuda {
namespace {

// ---- moments --------------------------------------------------------------------------------------------------------
template <class T, bool P>
__global__ void __launch_bounds__(kThreads) plane_moments(PlaneGrid<T, P> g, const T* x, Stats<acc_t<T>>* part) {
  using A = acc_t<T>;
  constexpr int V = PlaneGrid<T, P>::V, K = PlaneGrid<T, P>::K;
  const Place at(g.group);
  int64_t piece;
  const int64_t ch = g.pieces.divide(at.row, piece), begin = piece * g.per;
  const int64_t end = ch < g.c ? least(begin + g.per, g.units) : 0;
  Stats<A> mine{0, 0, 0, 0};
  PlaneWalk<T, P> walk(g, ch, begin + at.lane);
  for (int64_t base = begin + at.lane; base < end; base += int64_t(K) * g.group) {
    Pack<T, V> v[K];
    int have = 0;
#pragma unroll
    for (int k = 0; k < K; ++k) {
      const int64_t u = base + k * g.group;
      v[k] = Pack<T, V>{};
      if (u >= end) continue;
      v[k] = load_pack<T, V>(x + walk.next());
      ++have;
    }
    const A n = A(have * V);
    A sum = 0;
#pragma unroll
    for (int k = 0; k < K; ++k)
#pragma unroll
      for (int e = 0; e < V; ++e) sum += up(v[k].v[e]);
    const A each = A(1) / n, mean = sum * each;
    A d = 0, q = 0;
#pragma unroll
    for (int k = 0; k < K; ++k)
#pragma unroll
      for (int e = 0; e < V; ++e) {
        const A c = k < have ? up(v[k].v[e]) - mean : A(0);
        d += c;
        q += c * c;
      }
    const A lo = d * each;
    mine.merge({mean, lo, q - d * lo, n});
  }
  mine = group_reduce(mine, MergeStats{}, Stats<A>{0, 0, 0, 0}, g.group);
  if (at.lane == 0 && ch < g.c) part[at.row] = mine;
}

// part (groups, 3, width): hi, lo, m2 of the group's rows
constexpr int kRows = 8;  // of a thread at a time
template <class T, bool P>
__global__ void __launch_bounds__(kThreads) column_moments(ColumnGrid<T, P> g, const T* x, acc_t<T>* part) {
  using A = acc_t<T>;
  constexpr int V = ColumnGrid<T, P>::V, tile = ColumnGrid<T, P>::tile;
  const int lane = int(threadIdx.x) % kAcross, down = int(threadIdx.x) / kAcross;
  const int64_t begin = int64_t(blockIdx.y) * g.per, end = least(begin + g.per, g.rows);
  Stats<A> mine[V];
#pragma unroll
  for (int e = 0; e < V; ++e) mine[e] = {0, 0, 0, 0};
  for (int64_t r = begin + down; r < end; r += kRows * kDown) {
    Pack<T, V> v[kRows];
    int have = 0;
#pragma unroll
    for (int j = 0; j < kRows; ++j) {
      v[j] = Pack<T, V>{};
      if (r + j * kDown >= end) continue;
      v[j] = g.load(x, r + j * kDown);
      ++have;
    }
    const A n = A(have), each = A(1) / n, total = mine[0].n + n, share = n / total;
#pragma unroll
    for (int e = 0; e < V; ++e) {
      A sum = 0, d = 0, q = 0;
#pragma unroll
      for (int j = 0; j < kRows; ++j) sum += up(v[j].v[e]);
      const A mean = sum * each;
#pragma unroll
      for (int j = 0; j < kRows; ++j) {
        const A c = j < have ? up(v[j].v[e]) - mean : A(0);
        d += c;
        q += c * c;
      }
      const A lo = d * each;
      if (mine[e].n == A(0)) mine[e] = {mean, lo, q - d * lo, n};
      else mine[e].merge({mean, lo, q - d * lo, n}, total, share);
    }
  }
  SHARED(A, held, [kDown][3][tile]);
#pragma unroll
  for (int e = 0; e < V; ++e) {
    held[down][0][e * kAcross + lane] = mine[e].hi;
    held[down][1][e * kAcross + lane] = mine[e].lo;
    held[down][2][e * kAcross + lane] = mine[e].m2;
  }
  __syncthreads();
  for (int i = int(threadIdx.x); i < tile; i += kThreads) {
    const int64_t c = int64_t(blockIdx.x) * tile + i % kAcross * V + i / kAcross;
    if (c >= g.width) continue;
    Stats<A> s{0, 0, 0, 0};
    for (int j = 0; j < kDown; ++j)
      s.merge({held[j][0][i], held[j][1][i], held[j][2][i], A(most((end - begin - j + kDown - 1) / kDown, 0))});
    A* to = part + int64_t(blockIdx.y) * 3 * g.width + c;
    to[0] = s.hi;
    to[g.width] = s.lo;
    to[2 * g.width] = s.m2;
  }
}

// ---- what follows from a channel's moments --------------------------------------------------------------------------
template <class A> struct FinishFwd {
  const A *weight, *bias;
  A *mean, *rstd, *running_mean, *running_var;
  A *m, *a, *b;  // coefficients
  double eps, momentum;
  GPU void operator()(int64_t ch, const Stats<double>& s) const {
    const double hi = s.hi + s.lo;
    const A rs = A(1.0 / ::sqrt(s.m2 / s.n + eps));
    mean[ch] = A(hi);
    rstd[ch] = rs;
    if (running_mean) {
      running_mean[ch] = A((1 - momentum) * double(running_mean[ch]) + momentum * hi);
      running_var[ch] = A((1 - momentum) * double(running_var[ch]) + momentum * (s.m2 / (s.n - 1)));
    }
    m[ch] = A(hi);
    a[ch] = weight ? rs * weight[ch] : rs;
    b[ch] = A((bias ? double(bias[ch]) : 0.0) - (hi - double(A(hi))) * double(a[ch]));
  }
};

// A warp per channel.
template <class A> __global__ void finish_planes(const Stats<A>* part, int64_t c, int64_t pieces, FinishFwd<A> finish) {
  const int64_t ch = int64_t(blockIdx.x) * (kThreads / 32) + threadIdx.x / 32;
  const int lane = int(threadIdx.x) % 32;
  Stats<double> s{0, 0, 0, 0};
  if (ch < c)
    for (int64_t i = lane; i < pieces; i += 32) s.merge(part[ch * pieces + i].template as<double>());
  s = group_reduce(s, MergeStats{}, s, 32);
  if (lane == 0 && ch < c) finish(ch, s);
}
// 32 channels to a block; n rows in groups of `per`.
template <class A>
__global__ void __launch_bounds__(kAcross * kFold) finish_columns(const A* part, int64_t n, int64_t per, int64_t groups,
                                                                  int64_t c, int64_t inner, FinishFwd<A> finish) {
  const int lane = int(threadIdx.x) % kAcross, down = int(threadIdx.x) / kAcross;
  const int64_t ch = int64_t(blockIdx.x) * kAcross + lane, width = c * inner;
  Stats<double> s{0, 0, 0, 0};
  if (ch < c)
    for (int64_t g = down; g < groups; g += kFold)
      for (int64_t i = 0; i < inner; ++i) {
        const A* p = part + g * 3 * width + ch * inner + i;
        s.merge({double(p[0]), double(p[width]), double(p[2 * width]), double(least(per, n - g * per))});
      }
  SHARED(Stats<double>, held, [kFold][kAcross]);
  held[down][lane] = s;
  __syncthreads();
  if (down || ch >= c) return;
  for (int j = 1; j < kFold; ++j) s.merge(held[j][lane]);
  finish(ch, s);
}

template <class T> void fwd(const BatchNormFwd& a) {
  using A = acc_t<T>;
  const T* x = (const T*)a.x;
  const Temp held(size_t(3 * a.c) * sizeof(A));
  A *m = held.as<A>(), *scale = m + a.c, *b = scale + a.c;
  const FinishFwd<A> finish{(const A*)a.weight, (const A*)a.bias, (A*)a.mean, (A*)a.rstd, (A*)a.running_mean,
                            (A*)a.running_var,
                            m, scale, b, a.eps, a.momentum};
  if (a.inner >= kPlane) {
    by_packing<T>(a.inner % kPack<T> == 0 && is_aligned(x), [&](auto p) {
      const PlaneGrid<T, decltype(p)::value> g(a.n, a.c, a.inner);
      const Temp part(size_t(g.parts()) * sizeof(Stats<A>));
      launch("batch_norm_fwd", plane_moments<T, decltype(p)::value>, g.blocks(), kThreads, 0, g, x,
             part.template as<Stats<A>>());
      launch("batch_norm_fwd", finish_planes<A>, unsigned(ceil_div(a.c, kThreads / 32)), kThreads, 0,
             part.template as<Stats<A>>(), a.c,
             g.pieces.d, finish);
    });
  } else {
    by_packing<T>(a.c * a.inner % kPack<T> == 0 && is_aligned(x), [&](auto p) {
      const ColumnGrid<T, decltype(p)::value> g(a.n, a.c * a.inner);
      const Temp part(size_t(3 * g.groups * g.width) * sizeof(A));
      launch("batch_norm_fwd", column_moments<T, decltype(p)::value>, g.blocks(), kThreads, 0, g, x, part.template as<A>());
      launch("batch_norm_fwd", finish_columns<A>, unsigned(ceil_div(a.c, kAcross)), kAcross * kFold, 0,
             part.template as<A>(), a.n,
             g.per, int64_t(g.groups), a.c, a.inner, finish);
    });
  }
  apply_channels<T, false>(a.n, a.c, a.inner, x, nullptr, (T*)a.y, {m, scale, nullptr, b, nullptr}, a.act == Act::relu);
}

}  // namespace

void batch_norm_fwd(const BatchNormFwd& a) {
  if (a.n * a.c * a.inner == 0) return;
  by_float(a.dtype, [&](auto t) { fwd<decltype(t)>(a); });
}
void batch_norm_apply(const BatchNormApply& a) {
  by_float(a.dtype, [&](auto t) {
    using T = decltype(t);
    using A = acc_t<T>;
    apply_channels<T, false>(a.n, a.c, a.inner, (const T*)a.x, nullptr, (T*)a.y,
                             {(const A*)a.mean, (const A*)a.rstd, (const A*)a.weight, (const A*)a.bias, nullptr},
                             a.act == Act::relu);
  });
}
}  // namespace lamella::cuda
