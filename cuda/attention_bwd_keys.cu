// SPDX-License-Identifier: MIT
// Attention, backward in 16 bit, for dk and dv: the heads of a group are summed within the loop over queries.
#include "attention_bwd.cuh"

namespace lamella::cuda::attention {
namespace {

constexpr int kDk = 1, kDv = 2;        // what a block makes: wide heads have registers for one at a time

// Keys are rows, queries columns: what comes out of the products goes into the next as left operands, as it lies.
template <class T, int D, int N, int kParts>
__global__ void __launch_bounds__(kBlock) attention_keys_bwd(const __grid_constant__ BackwardCall f) {
  constexpr int K = kTileKeys;
  const Attention& a = f.a;
  const int lane = int(threadIdx.x) & 31, own = int(threadIdx.x) / 32 * 16, last = a.ndim - 1, group = int(a.heads[last]);
  const Job job = job_of(blockIdx.x, f.count, f.tiles, a.causal ? Order::tiles_up : Order::heads);
  const int64_t first_head = int64_t(job.head) * group, j = int64_t(job.tile) * K;
  int64_t at[7];
  head_offsets(a, last, job.head, {a.q.batch, a.k.batch, a.v.batch, f.dy.batch, f.dk.batch, f.dv.batch, a.mask_batch}, at);
  const int e_cols = int(a.e), ev_cols = int(a.ev), have = int(least(K, a.s - j));
  const bool dropout = a.dropout > 0, masked = a.mask;

  T* const keys = dynamic_shared<T>();
  T* const values = keys + K * D;
  T* const stages = values + K * D;    // two, each of queries and dy
  float* const rows_of = reinterpret_cast<float*>(stages + 4 * N * D);  // two times lse and D
  float* const bias = rows_of + 4 * N;
  uint8_t* const keep = reinterpret_cast<uint8_t*>(bias + (masked ? N * kBiasRow : 0));

  const int begin = int(first_query_tile(j, a.l, a.causal, N)), span = int(tiles_of(a.l, N)) - begin, steps = span * group;
  const auto load = [&](int step) {
    const int g = step / span;
    const int64_t i = int64_t(begin + step % span) * N;
    T* const stage = stages + (step & 1) * 2 * N * D;
    const T* const q = static_cast<const T*>(a.q.x) + at[0] + g * a.q.batch[last] + i * a.q.row;
    const T* const dy = static_cast<const T*>(f.dy.x) + at[3] + g * f.dy.batch[last] + i * f.dy.row;
    load_tile<T, D, N>(stage, q, a.q.row, a.l - i, e_cols);
    load_tile<T, D, N>(stage + N * D, dy, f.dy.row, a.l - i, ev_cols);
    if (dropout) make_keep<N>(keep + (step & 1) * N * kKeepBytes, a, first_head + g, i, j);
  };
  // A query's lse (times log2(e)) or D for threads below 2 N; queries that are not there get weights of zero.
  const auto row_value = [&](int step) {
    const int64_t i = int64_t(begin + step % span) * N + int(threadIdx.x) % N, n = (first_head + step / span) * a.l + i;
    if (int(threadIdx.x) < N) return i < a.l ? f.lse[n] * kLog2e : -minus_infinity<float>();
    return i < a.l && int(threadIdx.x) < 2 * N ? f.delta[n] : 0.f;
  };

  float dk[1][kParts & kDk ? D / 8 : 1][4] = {}, dv[1][kParts & kDv ? D / 8 : 1][4] = {};
  load_tile<T, D, K>(keys, static_cast<const T*>(a.k.x) + at[1] + j * a.k.row, a.k.row, a.s - j, e_cols);
  load_tile<T, D, K>(values, static_cast<const T*>(a.v.x) + at[2] + j * a.v.row, a.v.row, a.s - j, ev_cols);
#pragma unroll 1
  for (int step = -1; step < steps; ++step) {
    const int g = step < 0 ? 0 : step / span;
    const int64_t i = int64_t(begin + (step < 0 ? 0 : step % span)) * N;
    T* const queries = stages + (step & 1) * 2 * N * D;
    T* const dys = queries + N * D;
    const bool diagonal = on_diagonal(i, j, K, a.causal), watched = diagonal || masked || dropout;
    bool strange = false;
    if (step >= 0) {
      wait_async<0>();
      if (watched) strange = __syncthreads_or(loaded_strange<T, D, N>(queries) | loaded_strange<T, D, N>(dys));
      else __syncthreads();
    }
    if (step + 1 < steps) load(step + 1);
    commit_async();
    const float next = step + 1 < steps ? row_value(step + 1) : 0.f;
    const auto store_next = [&] {
      if (int(threadIdx.x) < 2 * N) rows_of[((step + 1) & 1) * 2 * N + int(threadIdx.x)] = next;
    };
    if (step < 0) { store_next(); continue; }
    const float* const lse2 = rows_of + (step & 1) * 2 * N;

    const MaskView mask = mask_view(a, at[6] + g * a.mask_batch[last] + i * a.mask_row + j * a.mask_col);
    bool seen = true;
    if (masked) seen = fill_bias(bias, mask, int(least(N, a.l - i)), a.s - j);
    float s[1][N / 8][4] = {}, dp[1][N / 8][4] = {};
    product_nt<T, D, 1, N>(s, keys, own, queries);
    if (masked && !__syncthreads_or(seen)) { store_next(); continue; }
    if (kParts & kDk) product_nt<T, D, 1, N>(dp, values, own, dys);

    uint32_t kept_bits = 0;
    if (masked) {
#pragma unroll
      for (int n = 0; n < N / 8; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          s[0][n][e] = add_bias(s[0][n][e] * f.scale2,
                                bias[(8 * n + c_col(lane, e)) * bias_row(mask) + own + c_row(lane, e)]);
    } else {
#pragma unroll
      for (int n = 0; n < N / 8; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e) s[0][n][e] *= f.scale2;
    }
    if (diagonal || have < K || i + N > a.l) {
      const int ahead = diagonal ? int(least(most(j - i, -K), N)) : -K;  // key r meets queries from r + ahead on
      const int rows = int(least(N, a.l - i));
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int r = own + c_row(lane, e), from = r < have ? r + ahead : N;
#pragma unroll
        for (int n = 0; n < N / 8; ++n) {
          const int c = 8 * n + c_col(lane, e);
          if (c < from || c >= rows) s[0][n][e] = minus_infinity<float>();
        }
      }
    }
    if (dropout) {
#pragma unroll
      for (int n = 0; n < N / 8; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const int r = own + c_row(lane, e), c = 8 * n + c_col(lane, e);
          const uint32_t first = (uint32_t(first_head + g) * uint32_t(a.l) + uint32_t(i + c)) * uint32_t(a.s) + uint32_t(j);
          kept_bits |= uint32_t(kept(keep + ((step & 1) * N + c) * kKeepBytes, first, r)) << (4 * n + e);
        }
      drop<N>(dp[0], kept_bits, f.keep_scale);
    }
#pragma unroll
    for (int n = 0; n < N / 8; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int c = 8 * n + c_col(lane, e);
        weigh_back(s[0][n][e], dp[0][n][e], lse2[c], lse2[N + c]);
      }
    if (dropout) drop<N>(s[0], kept_bits, f.keep_scale);

    uint64_t bits[2] = {};
    if (strange) bits[0] = clean_tile<T, D, N>(queries), bits[1] = clean_tile<T, D, N>(dys);
    uint32_t p[1][N / 16][4];
    if constexpr (kParts & kDv) {
      pack_left<T, 1, N>(p, s);
      product_nn<T, D, 1, N>(dv, p, dys);
      if (bits[1]) {
        const T* const dy = static_cast<const T*>(f.dy.x) + at[3] + g * f.dy.batch[last] + i * f.dy.row;
        add_strange<T, D, 1, N>(dv, p, bits[1], dy, f.dy.row, ev_cols);
      }
    }
    if constexpr (kParts & kDk) {
      pack_left<T, 1, N>(p, dp);
      product_nn<T, D, 1, N>(dk, p, queries);
      if (bits[0]) {
        const T* const q = static_cast<const T*>(a.q.x) + at[0] + g * a.q.batch[last] + i * a.q.row;
        add_strange<T, D, 1, N>(dk, p, bits[0], q, a.q.row, e_cols);
      }
    }
    store_next();
  }
  wait_async<0>();
  __syncthreads();                     // keys and values are whole where there was no query
  const float scale = float(a.scale);
  if constexpr (kParts & kDk)
    store_rows<T, D>(keys, own, dk[0], scale, scale, static_cast<T*>(f.dk.x) + at[4] + j * f.dk.row, f.dk.row, have, e_cols);
  if constexpr (kParts & kDv)
    store_rows<T, D>(values, own, dv[0], 1.f, 1.f, static_cast<T*>(f.dv.x) + at[5] + j * f.dv.row, f.dv.row, have, ev_cols);
}

template <class T, int D, int N, int kParts> bool start(BackwardCall& f) {
  constexpr int K = kTileKeys;
  const Attention& a = f.a;
  const size_t shared = (2 * K + 4 * N) * D * sizeof(T) + 4 * N * 4 + (a.mask ? N * kBiasRow * 4 : 0) +
                        (a.dropout > 0 ? 2 * N * kKeepBytes : 0);
  if (int64_t(shared) + kOwnShared > info().shared_bytes) return false;
  f.tiles = unsigned(tiles_of(a.s, K));
  launch("attention_bwd", attention_keys_bwd<T, D, N, kParts>, dim3(f.count * f.tiles), dim3(kBlock), shared, f);
  return true;
}

template <class T> bool start(BackwardCall& f) {
  const int64_t wide = most(f.a.e, f.a.ev);
  if (wide <= 64) return start<T, 64, 64, kDk | kDv>(f);
  if (wide <= 128) return start<T, 128, 32, kDk | kDv>(f);
  return start<T, 256, 32, kDk>(f) && start<T, 256, 32, kDv>(f);
}

}  // namespace

bool keys_bwd(BackwardCall f) {
  f.count = unsigned(head_count(f.a) / group_of(f.a));
  return f.a.dtype == DType::bf16 ? start<bf16>(f) : start<f16>(f);
}

}  // namespace lamella::cuda::attention
