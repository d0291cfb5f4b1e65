// SPDX-License-Identifier: MIT
// Backward of layer and RMS normalisation. With g = dy w and h = (x - mean) rstd: dx = rstd (g - mean(g) - h mean(g h)),
// without mean(g) for rms; dweight = sum over rows of dy h, dbias = sum over rows of dy. Rows of up to 8192 columns
// are read once for all three: a block goes through a group of rows, and its threads keep the sums of their own columns.
#include "norm_columns.cuh"
#include "norm_rows.cuh"

namespace lamella::cuda {
namespace {

template <class T> constexpr int kOwn = sizeof(T) == 2 ? 2 : 4;  // packs of a row that a thread has
constexpr int kFusedThreads = 512;

template <class T> struct Fused {
  NormBwd<T> a;
  const T* weight;
  int64_t per;      // rows of a block
  acc_t<T>* part;   // (blocks, 2, cols)
};

// Sums over the warps of a block and the rows a warp has abreast, in shared memory laid out as (warps, group, C).
template <class T, int C>
GPU void write_part(const Share<T, true, kOwn<T>>& s, const acc_t<T> (&dw)[C], const acc_t<T> (&db)[C], acc_t<T>* part,
                    int64_t cols) {
  using A = acc_t<T>;
  constexpr int V = kPack<T>;
  if (s.group > 32) {  // every thread has columns of its own
#pragma unroll
    for (int j = 0; j < C; ++j)
      if (j < s.held) {
        part[s.index(j / V, j % V)] = db[j];
        part[cols + s.index(j / V, j % V)] = dw[j];
      }
    return;
  }
  SHARED(A, held, [kThreads / 32][32]);
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
#pragma unroll
  for (int j = 0; j < 2 * C; ++j) {
    A sum = j < C ? db[j % C] : dw[j % C];
    for (int by = 16; by >= s.group; by /= 2) sum += across(sum, by);
    __syncthreads();
    held[warp][lane] = sum;
    __syncthreads();
    const int k = j % C / V, e = j % V;
    if (int(threadIdx.x) < s.group && s.index(k, e) < cols) {
#pragma unroll
      for (int i = 1; i < kThreads / 32; ++i) sum += held[i][lane];
      part[(j / C) * cols + s.index(k, e)] = sum;
    }
  }
}

template <class T> __global__ void __launch_bounds__(kFusedThreads) layer_norm_bwd_fused(Fused<T> f) {
  using A = acc_t<T>;
  constexpr int V = kPack<T>, K = kOwn<T>, C = K * V;
  const NormBwd<T>& a = f.a;
  const bool single = a.group <= 32;
  const int abreast = single ? int(blockDim.x) / a.group : 1;  // rows at a time
  const Place in(a.group);
  const int own = single ? int(threadIdx.x) / a.group : 0;
  const int64_t begin = int64_t(blockIdx.x) * f.per, end = least(begin + f.per, a.rows);
  const Share<T, true, K> s(a.cols, in.lane, a.group);
  const A n = A(a.cols);
  Pack<T, V> x[K], dy[K], next_x[K], next_dy[K];
  A dw[C] = {}, db[C] = {}, next_mean = 0, next_rstd = 0;
  const auto fetch = [&](int64_t r) {
    if (r >= end) return;
    s.load(a.x + r * a.cols, next_x);
    s.load(a.dy + r * a.cols, next_dy);
    next_mean = a.rms ? A(0) : a.mean[r];
    next_rstd = a.rstd[r];
  };
  fetch(begin + own);
  for (int64_t first = begin; first < end; first += abreast) {
    const int64_t r = first + own;
    const A mean = next_mean, rstd = next_rstd;
#pragma unroll
    for (int k = 0; k < K; ++k) { x[k] = next_x[k]; dy[k] = next_dy[k]; }
    fetch(r + abreast);  // the next row is on its way while this one's sums are
    Pair<A> c{0, 0};
    if (r < end) {
#pragma unroll
      for (int k = 0; k < K; ++k) {
        no_earlier();
        const Pack<T, V> w = f.weight ? s.get(f.weight, k) : Pack<T, V>{};
#pragma unroll
        for (int e = 0; e < V; ++e) {
          const int j = k * V + e;
          if (j >= s.held) break;
          const A d = up(dy[k].v[e]), h = (up(x[k].v[e]) - mean) * rstd, g = f.weight ? d * up(w.v[e]) : d;
          dw[j] += d * h;
          db[j] += d;
          c.a += g;
          c.b += g * h;
        }
      }
    }
    if (!a.dx) continue;
    c = group_reduce(c, AddPair{}, Pair<A>{0, 0}, a.group);
    c = {a.rms ? A(0) : c.a / n, c.b / n};
    stay_packed(x);
    stay_packed(dy);
    if (r < end) write_dx(s, x, dy, a.dx + r * a.cols, ByColumn<T>{f.weight, nullptr}, mean, rstd, c);
  }
  write_part(s, dw, db, f.part + int64_t(blockIdx.x) * 2 * a.cols, a.cols);
}

template <class T, bool P> void bwd(const LayerNormBwd& a) {
  using A = acc_t<T>;
  const T *x = (const T*)a.x, *dy = (const T*)a.dy, *weight = (const T*)a.weight;
  const WriteParameters<T> write{(T*)a.dweight, (T*)a.dbias};
  const bool parameters = a.dweight || a.dbias;
  NormBwd<T> rows{a.rows, a.cols, x, dy, (T*)a.dx, (const A*)a.mean, (const A*)a.rstd, a.rms, 0};
  const Deal deal = P && parameters ? deal_rows(a.rows, a.cols, kPack<T>, kOwn<T>, kFusedThreads) : Deal{0, 0};
  if (!deal.group) {
    norm_rows_dx<T, P>(rows, ByColumn<T>{weight, nullptr});
    if (parameters)
      sum_columns<T>(a.rows, a.cols, 1, x, dy, CentreOfRow<A>{a.rms ? nullptr : rows.mean, rows.rstd, 1, Divisor(a.cols)},
                     write);
    return;
  }
  // Enough blocks to fill an H200, of at least two rows for each group of threads.
  const int64_t abreast = deal.group > 32 ? 1 : deal.threads / deal.group, blocks = 132 * 512 / deal.threads;
  const int64_t per = most(ceil_div(ceil_div(a.rows, blocks), abreast), 2) * abreast, groups = ceil_div(a.rows, per);
  const Temp part(size_t(2 * groups * a.cols) * sizeof(A));
  rows.group = deal.group;
  if constexpr (P)
    launch("layer_norm_bwd", layer_norm_bwd_fused<T>, unsigned(groups), deal.threads, 0,
           Fused<T>{rows, weight, per, part.as<A>()});
  fold(part.as<A>(), groups, a.cols, 1, write);
}

}  // namespace

void layer_norm_bwd(const LayerNormBwd& a) {
  if (a.cols == 0) return;
  by_float(a.dtype, [&](auto t) {
    using T = decltype(t);
    bool packed = a.cols % kPack<T> == 0;
    for (const void* p : {a.x, a.dy, a.weight, (const void*)a.dx}) packed = packed && is_aligned(p);
    by_packing<T>(packed, [&](auto p) { bwd<T, decltype(p)::value>(a); });
  });
}

}  // namespace lamella::cuda
