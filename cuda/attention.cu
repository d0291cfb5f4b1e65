// SPDX-License-Identifier: MIT
// Attention, forward, in 16 bits on tensor cores (Dao 2023, "FlashAttention-2"): a block of four warps has 64 or 128 queries
// of a head and goes through the keys, 64 at a time, the next ones on their way meanwhile. Scores and weights stay in
// registers; so does the output, which shrinks as a query's greatest score grows.
#include "attention_hopper.h"

namespace lamella::cuda {
namespace attention {

int64_t wide_from = 128;

namespace {

template <int D> constexpr int keys_of = D > 128 ? 32 : kTileKeys;  // a tile's, as registers have room

struct ForwardCall {
  Attention a;
  HeadsOut y;
  float* lse;
  unsigned count, tiles;
  float scale2, keep_scale;            // of scores, times log2(e): weights are powers of two
};

// kExtra: masks, dropout, a scale that is not positive; scores are scaled as they come then, else within the exponent.
template <class T, int D, int M, bool kExtra>
__global__ void __launch_bounds__(kBlock, M == 2 ? 1 : 2) attention_tiles_fwd(const __grid_constant__ ForwardCall f) {
  constexpr int Q = 16 * M * kWarps, N = keys_of<D>;
  const Attention& a = f.a;
  const int lane = int(threadIdx.x) & 31, own = int(threadIdx.x) / 32 * 16 * M;  // the warp's first row
  const Job job = job_of(blockIdx.x, f.count, f.tiles, a.causal ? Order::tiles_down : Order::heads);
  int64_t at[4], y_at[1];
  head_offsets(a, a.ndim, job.head, {a.q.batch, a.k.batch, a.v.batch, a.mask_batch}, at);
  const int64_t i = int64_t(job.tile) * Q;
  const int rows = int(least(Q, a.l - i)), e_cols = int(a.e), ev_cols = int(a.ev);
  const T* const k = static_cast<const T*>(a.k.x) + at[1];
  const T* const v = static_cast<const T*>(a.v.x) + at[2];
  T* const queries = dynamic_shared<T>();
  T* const stages = queries + Q * D;   // two, each of keys and values
  float* const bias = reinterpret_cast<float*>(stages + 4 * N * D);
  uint8_t* const keep = reinterpret_cast<uint8_t*>(bias + (kExtra && a.mask ? Q * kBiasRow : 0));
  const bool dropout = kExtra && a.dropout > 0;

  const auto load = [&](int tile) {
    const int64_t j = int64_t(tile) * N;
    T* const stage = stages + (tile & 1) * 2 * N * D;
    load_tile<T, D, N>(stage, k + j * a.k.row, a.k.row, a.s - j, e_cols);
    load_tile<T, D, N>(stage + N * D, v + j * a.v.row, a.v.row, a.s - j, ev_cols);
    if (dropout) make_keep<Q>(keep + (tile & 1) * Q * kKeepBytes, a, job.head, i, j);
  };

  float y[M][D / 8][4] = {}, top[M][2], sum[M][2] = {};
#pragma unroll
  for (int m = 0; m < M; ++m) top[m][0] = top[m][1] = minus_infinity<float>();
  const float scale2 = kExtra ? 1.f : f.scale2;

  const int tiles = int(key_tiles(i, rows, a.s, a.causal, N));
  load_tile<T, D, Q>(queries, static_cast<const T*>(a.q.x) + at[0] + i * a.q.row, a.q.row, rows, e_cols);
#pragma unroll 1
  for (int tile = -1; tile < tiles; ++tile) {
    const int64_t j = int64_t(tile) * N;
    T* const keys = stages + (tile & 1) * 2 * N * D;
    T* const values = keys + N * D;
    const bool diagonal = on_diagonal(i, j, N, a.causal), watched = diagonal || (kExtra && (a.mask || dropout));
    bool strange = false;
    if (tile >= 0) {
      wait_async<0>();
      if (watched) strange = __syncthreads_or(loaded_strange<T, D, N>(values));
      else __syncthreads();
    }
    if (tile + 1 < tiles) load(tile + 1);
    commit_async();
    if (tile < 0) continue;

    const MaskView mask = mask_view(a, at[3] + i * a.mask_row + j * a.mask_col);
    bool seen = true;
    if (kExtra && a.mask) seen = fill_bias(bias, mask, rows, least(N, a.s - j));

    float s[M][N / 8][4] = {};
    product_nt<T, D, M, N>(s, queries, own, keys);
    if constexpr (kExtra) {
#pragma unroll
      for (int m = 0; m < M; ++m)
#pragma unroll
        for (int n = 0; n < N / 8; ++n)
#pragma unroll
          for (int e = 0; e < 4; ++e) s[m][n][e] *= f.scale2;
      if (a.mask) {
        if (!__syncthreads_or(seen)) continue;
#pragma unroll
        for (int m = 0; m < M; ++m)
#pragma unroll
          for (int n = 0; n < N / 8; ++n)
#pragma unroll
            for (int e = 0; e < 4; ++e)
              s[m][n][e] = add_bias(s[m][n][e],
                                    bias[(own + 16 * m + c_row(lane, e)) * bias_row(mask) + 8 * n + c_col(lane, e)]);
      }
    }
    if (diagonal || j + N > a.s) cut_scores<M, N>(s, own, i, j, a.s, diagonal);

    float shrink[M][2];
    bool grew = false;
#pragma unroll
    for (int m = 0; m < M; ++m)
#pragma unroll
      for (int h = 0; h < 2; ++h) {    // rows g and g + 8; a NaN is lost to the maximum and shows in the sum
        float to = top[m][h];
#pragma unroll
        for (int n = 0; n < N / 8; ++n) to = fmaxf(to, fmaxf(s[m][n][2 * h], s[m][n][2 * h + 1]));
        to = fmaxf(to, __shfl_xor_sync(~0u, to, 1));
        to = fmaxf(to, __shfl_xor_sync(~0u, to, 2));
        const float base = to == minus_infinity<float>() ? 0.f : to * scale2;
        grew |= to != top[m][h];
        shrink[m][h] = to == top[m][h] ? 1.f : exp2_fast((top[m][h] - to) * scale2);
        top[m][h] = to;
        float here = 0;
#pragma unroll
        for (int n = 0; n < N / 8; ++n)
#pragma unroll
          for (int e = 2 * h; e < 2 * h + 2; ++e) here += s[m][n][e] = exp2_fast(fmaf(s[m][n][e], scale2, -base));
        sum[m][h] = sum[m][h] * shrink[m][h] + here;
      }
    if (dropout) {
#pragma unroll
      for (int m = 0; m < M; ++m)
#pragma unroll
        for (int n = 0; n < N / 8; ++n)
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            const int r = own + 16 * m + c_row(lane, e);
            const uint32_t first = (job.head * uint32_t(a.l) + uint32_t(i + r)) * uint32_t(a.s) + uint32_t(j);
            if (!kept(keep + ((tile & 1) * Q + r) * kKeepBytes, first, 8 * n + c_col(lane, e))) s[m][n][e] = 0;
          }
    }
    if (__any_sync(~0u, grew)) {
#pragma unroll
      for (int m = 0; m < M; ++m)
#pragma unroll
        for (int n = 0; n < D / 8; ++n)
#pragma unroll
          for (int e = 0; e < 4; ++e) y[m][n][e] *= shrink[m][e / 2];
    }

    uint32_t p[M][N / 16][4];
    pack_left<T, M, N>(p, s);
    uint64_t bits = 0;
    if (strange) bits = clean_tile<T, D, N>(values);
    product_nn<T, D, M, N>(y, p, values);
    if (bits) add_strange<T, D, M, N>(y, p, bits, v + j * a.v.row, a.v.row, ev_cols);
  }
  wait_async<0>();

  head_offsets(a, a.ndim, job.head, {f.y.batch}, y_at);
  T* const to = static_cast<T*>(f.y.x) + y_at[0] + i * f.y.row;
#pragma unroll
  for (int m = 0; m < M; ++m) {
    float factor[2];
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float all = sum[m][h];
      all += __shfl_xor_sync(~0u, all, 1);
      all += __shfl_xor_sync(~0u, all, 2);
      factor[h] = all == 0 ? 0.f : f.keep_scale / all;
      const int r = own + 16 * m + lane / 4 + 8 * h;
      if (lane % 4 == 0 && r < rows)
        f.lse[int64_t(job.head) * a.l + i + r] = all == 0 ? -minus_infinity<float>() : top[m][h] * scale2 * kLn2 + logf(all);
    }
    store_rows<T, D>(queries, own + 16 * m, y[m], factor[0], factor[1], to, f.y.row, rows, ev_cols);
  }
}

template <class T, int D, int M, bool kExtra> bool start(ForwardCall& f) {
  constexpr int Q = 16 * M * kWarps;
  const size_t shared = size_t(Q + 4 * keys_of<D>) * D * sizeof(T) + (kExtra && f.a.mask ? Q * kBiasRow * 4 : 0) +
                        (kExtra && f.a.dropout > 0 ? 2 * Q * kKeepBytes : 0);
  if (int64_t(shared) + kOwnShared > info().shared_bytes) return false;
  f.tiles = unsigned(tiles_of(f.a.l, Q));
  launch("attention_fwd", attention_tiles_fwd<T, D, M, kExtra>, dim3(f.count * f.tiles), dim3(kBlock), shared, f);
  return true;
}

template <class T> bool start(ForwardCall& f) {
  const Attention& a = f.a;
  const int64_t wide = most(a.e, a.ev);
  // 128 queries a block read keys from shared memory half as often as 64, but there must be blocks for all
  // processors; the number is fixed, as results' bits are.
  const bool extra = a.mask || a.dropout > 0 || !(f.scale2 > 0) || tiles_of(a.l, 128) * f.count < wide_from;
  if (!extra && wide <= 128) return wide <= 64 ? start<T, 64, 2, false>(f) : start<T, 128, 2, false>(f);
  if (wide <= 64) return start<T, 64, 1, true>(f);
  if (wide <= 128) return start<T, 128, 1, true>(f);
  return start<T, 256, 1, true>(f);
}

}  // namespace

bool forward_tensor(const AttentionFwd& f) {
  const Attention& a = f.a;
  if (!takes_words(a) || !in_packs(a, f.y, a.ev, a.ndim)) return false;
  const float scale2 = float(a.scale) * kLog2e;
  ForwardCall call{a, f.y, static_cast<float*>(f.lse), unsigned(head_count(a)), 0, scale2, float(keep_scale(a))};
  return a.dtype == DType::bf16 ? start<bf16>(call) : start<f16>(call);
}

}  // namespace attention

void attention_fwd(const AttentionFwd& f) {
  using namespace attention;
  if (head_count(f.a) == 0 || f.a.l == 0) return;
  if (!forward_decode(f) && !forward_hopper(f) && !forward_tensor(f)) forward_general(f);
}

}  // namespace lamella::cuda
