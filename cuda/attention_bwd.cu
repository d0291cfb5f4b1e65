// SPDX-License-Identifier: MIT
// Attention, backward: which kernels take a call, and the one for dq in 16 bit.
#include "attention_hopper.h"

namespace lamella::cuda {
namespace attention {
namespace {

template <class T, int D, int N>  // N keys a tile
__global__ void __launch_bounds__(kBlock, 2) attention_queries_bwd(const __grid_constant__ BackwardCall f) {
  constexpr int Q = 16 * kWarps;
  const Attention& a = f.a;
  const int lane = int(threadIdx.x) & 31, own = int(threadIdx.x) / 32 * 16;
  const Job job = job_of(blockIdx.x, f.count, f.tiles, a.causal ? Order::tiles_down : Order::heads);
  int64_t at[6];
  head_offsets(a, a.ndim, job.head, {a.q.batch, a.k.batch, a.v.batch, f.dy.batch, f.dq.batch, a.mask_batch}, at);
  const int64_t i = int64_t(job.tile) * Q;
  const int rows = int(least(Q, a.l - i)), e_cols = int(a.e), ev_cols = int(a.ev);
  const T* const k = static_cast<const T*>(a.k.x) + at[1];
  const T* const v = static_cast<const T*>(a.v.x) + at[2];
  const bool dropout = a.dropout > 0, masked = a.mask;

  T* const queries = dynamic_shared<T>();
  T* const dys = queries + Q * D;
  T* const stages = dys + Q * D;       // two, each of keys and values
  float* const bias = reinterpret_cast<float*>(stages + 4 * N * D);
  uint8_t* const keep = reinterpret_cast<uint8_t*>(bias + (masked ? Q * kBiasRow : 0));
  const auto load = [&](int tile) {
    const int64_t j = int64_t(tile) * N;
    T* const stage = stages + (tile & 1) * 2 * N * D;
    load_tile<T, D, N>(stage, k + j * a.k.row, a.k.row, a.s - j, e_cols);
    load_tile<T, D, N>(stage + N * D, v + j * a.v.row, a.v.row, a.s - j, ev_cols);
    if (dropout) make_keep<Q>(keep + (tile & 1) * Q * kKeepBytes, a, job.head, i, j);
  };

  float lse2[2], delta[2];
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int r = own + lane / 4 + 8 * h;
    const int64_t n = int64_t(job.head) * a.l + i + r;
    lse2[h] = r < rows ? f.lse[n] * kLog2e : -minus_infinity<float>();
    delta[h] = r < rows ? f.delta[n] : 0.f;
  }
  float dq[1][D / 8][4] = {};
  const int tiles = int(key_tiles(i, rows, a.s, a.causal, N));
  load_tile<T, D, Q>(queries, static_cast<const T*>(a.q.x) + at[0] + i * a.q.row, a.q.row, rows, e_cols);
  load_tile<T, D, Q>(dys, static_cast<const T*>(f.dy.x) + at[3] + i * f.dy.row, f.dy.row, rows, ev_cols);
#pragma unroll 1
  for (int tile = -1; tile < tiles; ++tile) {
    const int64_t j = int64_t(tile) * N;
    T* const keys = stages + (tile & 1) * 2 * N * D;
    T* const values = keys + N * D;
    const bool diagonal = on_diagonal(i, j, N, a.causal), watched = diagonal || masked || dropout;
    bool strange = false;
    if (tile >= 0) {
      wait_async<0>();
      if (watched) strange = __syncthreads_or(loaded_strange<T, D, N>(keys));
      else __syncthreads();
    }
    if (tile + 1 < tiles) load(tile + 1);
    commit_async();
    if (tile < 0) continue;

    const MaskView mask = mask_view(a, at[5] + i * a.mask_row + j * a.mask_col);
    bool seen = true;
    if (masked) seen = fill_bias(bias, mask, rows, least(N, a.s - j));
    float s[1][N / 8][4] = {}, dp[1][N / 8][4] = {};
    product_nt<T, D, 1, N>(s, queries, own, keys);
    if (masked && !__syncthreads_or(seen)) continue;
    product_nt<T, D, 1, N>(dp, dys, own, values);

    if (masked) {
#pragma unroll
      for (int n = 0; n < N / 8; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          s[0][n][e] = add_bias(s[0][n][e] * f.scale2,
                                bias[(own + c_row(lane, e)) * bias_row(mask) + 8 * n + c_col(lane, e)]);
    } else {
#pragma unroll
      for (int n = 0; n < N / 8; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e) s[0][n][e] *= f.scale2;
    }
    if (diagonal || j + N > a.s) cut_scores<1, N>(s, own, i, j, a.s, diagonal);
    if (dropout) {
      uint32_t kept_bits = 0;
#pragma unroll
      for (int n = 0; n < N / 8; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const int r = own + c_row(lane, e);
          const uint32_t first = (job.head * uint32_t(a.l) + uint32_t(i + r)) * uint32_t(a.s) + uint32_t(j);
          const bool stays = kept(keep + ((tile & 1) * Q + r) * kKeepBytes, first, 8 * n + c_col(lane, e));
          kept_bits |= uint32_t(stays) << (4 * n + e);
        }
      drop<N>(dp[0], kept_bits, f.keep_scale);
    }
#pragma unroll
    for (int n = 0; n < N / 8; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e) weigh_back(s[0][n][e], dp[0][n][e], lse2[e / 2], delta[e / 2]);
    uint64_t bits = 0;
    if (strange) bits = clean_tile<T, D, N>(keys);
    uint32_t p[1][N / 16][4];
    pack_left<T, 1, N>(p, dp);
    product_nn<T, D, 1, N>(dq, p, keys);
    if (bits) add_strange<T, D, 1, N>(dq, p, bits, k + j * a.k.row, a.k.row, e_cols);
  }
  wait_async<0>();
  __syncthreads();
  const float scale = float(a.scale);
  store_rows<T, D>(queries, own, dq[0], scale, scale, static_cast<T*>(f.dq.x) + at[4] + i * f.dq.row, f.dq.row, rows,
                   e_cols);
}

template <class T, int D, int N> bool start(BackwardCall& f) {
  constexpr int Q = 16 * kWarps;
  const Attention& a = f.a;
  const size_t shared = (2 * Q + 4 * N) * D * sizeof(T) + (a.mask ? Q * kBiasRow * 4 : 0) +
                        (a.dropout > 0 ? 2 * Q * kKeepBytes : 0);
  if (int64_t(shared) + kOwnShared > info().shared_bytes) return false;
  f.tiles = unsigned(tiles_of(a.l, Q));
  launch("attention_bwd", attention_queries_bwd<T, D, N>, dim3(f.count * f.tiles), dim3(kBlock), shared, f);
  return true;
}

template <class T> bool start(BackwardCall& f) {
  const int64_t wide = most(f.a.e, f.a.ev);
  if (wide <= 64) return start<T, 64, 64>(f);
  if (wide <= 128) return start<T, 128, 64>(f);
  return start<T, 256, 32>(f);
}

bool tensor_takes(const AttentionBwd& f) {
  const Attention& a = f.a;
  return takes_words(a) && in_packs(a, f.dy, a.ev, a.ndim) && in_packs(a, f.dq, a.e, a.ndim) &&
         in_packs(a, f.dk, a.e, a.ndim - 1) && in_packs(a, f.dv, a.ev, a.ndim - 1);
}

}  // namespace

bool queries_bwd(BackwardCall f) {
  f.count = unsigned(head_count(f.a));
  return f.a.dtype == DType::bf16 ? start<bf16>(f) : start<f16>(f);
}

}  // namespace attention

void attention_bwd(const AttentionBwd& f) {
  using namespace attention;
  const Attention& a = f.a;
  const int64_t heads = head_count(a);
  if (heads == 0) return;
  const Temp delta(size_t(heads * a.l) * (a.dtype == DType::f64 ? 8 : 4));
  row_products(f, delta.p);
  if (tensor_takes(f)) {
    const float scale2 = float(a.scale) * kLog2e;
    const float* const lse = static_cast<const float*>(f.lse);
    const BackwardCall call{a, f.dy, f.dq, f.dk, f.dv, lse, delta.as<const float>(), 0, 0, scale2, float(keep_scale(a))};
    if ((keys_bwd_hopper(call) || keys_bwd(call)) && (queries_bwd_hopper(call) || queries_bwd(call))) return;
  }
  backward_general(f, delta.p);
}

}  // namespace lamella::cuda
