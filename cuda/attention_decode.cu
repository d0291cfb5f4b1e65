// SPDX-License-Identifier: MIT
// Attention of a few queries at the speed of the memory that keys and values come from: blocks have runs of keys (Dao et al.
// 2023, "Flash-Decoding"), whose (greatest score, sum, output) are merged in their order. Up to 8 queries, those of the
// heads that share k and v among them, take a key at a time.
#include "attention.cuh"

namespace lamella::cuda::attention {
namespace {

constexpr int kDecodeThreads = 128, kDecodeQueries = 4, kDecodeWidth = 512, kAtOnce = 4;

// `states` (heads, l, splits, 2 + ev): per query and run of keys the maximum, the sum and the sum of weighted values.
struct DecodeCall {
  Attention a;
  HeadsOut y;
  void *lse, *states;
  unsigned splits;
  int split;
  double keep_scale;
};

// V elements a load, R queries (of all heads of a group) a block.
template <class T, int V, int R> 
__global__ void __launch_bounds__(kDecodeThreads, R == 1 ? 6 : 3)
    attention_decode_runs(const __grid_constant__ DecodeCall f) {
  using A = acc_t<T>;
  const Attention& a = f.a;
  const int lane = int(threadIdx.x) & 31, warp = int(threadIdx.x) / 32, last = a.ndim - 1, e = int(a.e), ev = int(a.ev);
  const int group = int(a.heads[last]), l = int(a.l), first = int(blockIdx.y) * R,
      queries = int(least(R, int64_t(group) * l - first));
  const unsigned part = blockIdx.x % f.splits;
  const unsigned head = blockIdx.x / f.splits;
  const int64_t j = int64_t(part) * f.split;
  const int keys = int(least(f.split, a.s - j));
  int64_t at[4];
  head_offsets(a, last, head, {a.q.batch, a.k.batch, a.v.batch, a.mask_batch}, at);
  const int e_pad = int(ceil_div(e, V)) * V;
  A* const q = dynamic_shared<A>();                            // (R, e_pad)
  A* const scores = q + R * e_pad;                             // (R, split)
  A* const sums = scores + R * f.split;                        // (threads, V)
  // Query r of the block is query (first + r) % l of head (first + r) / l of the group.
#pragma unroll 1
  for (int n = int(threadIdx.x); n < R * e_pad; n += kDecodeThreads) {
    const int r = n / e_pad, c = n % e_pad, u = first + r;
    const T* const row = static_cast<const T*>(a.q.x) + at[0] + u / l * a.q.batch[last] + u % l * a.q.row;
    q[n] = r < queries && c < e ? A(up(row[c])) * A(a.scale) : A(0);
  }
  __syncthreads();

  int lanes = 1;                                               // that share a key
  while (lanes < 32 && lanes * V < e) lanes *= 2;
  const int together = kDecodeThreads / lanes, own = int(threadIdx.x) / lanes, sub = lane % lanes;
  const T* const k = static_cast<const T*>(a.k.x) + at[1] + j * a.k.row;
#pragma unroll 1
  for (int n0 = 0; n0 < keys; n0 += together * kAtOnce) {
    A dot[kAtOnce][R] = {};
#pragma unroll 1
    for (int c = sub * V; c < e; c += lanes * V) {
      Pack<T, V> x[kAtOnce];
#pragma unroll
      for (int u = 0; u < kAtOnce; ++u) {
        const int n = n0 + u * together + own;
        x[u] = load_pack<T, V>(k + (n < keys ? n : 0) * a.k.row + c);
      }
#pragma unroll
      for (int r = 0; r < R; ++r)
#pragma unroll
        for (int i = 0; i < V; ++i) {
          const A factor = q[r * e_pad + c + i];
#pragma unroll
          for (int u = 0; u < kAtOnce; ++u) dot[u][r] += A(up(x[u].v[i])) * factor;
        }
    }
#pragma unroll 1
    for (int by = lanes / 2; by; by /= 2)
#pragma unroll
      for (int u = 0; u < kAtOnce; ++u)
#pragma unroll
        for (int r = 0; r < R; ++r) dot[u][r] += __shfl_xor_sync(~0u, dot[u][r], by);
#pragma unroll
    for (int u = 0; u < kAtOnce; ++u) {
      const int n = n0 + u * together + own;
      if (sub == 0 && n < keys)
#pragma unroll
        for (int r = 0; r < R; ++r) scores[r * f.split + n] = dot[u][r];
    }
  }
  __syncthreads();

  const auto state_of = [&](int r) {
    const int64_t query = (int64_t(head) * group + (first + r) / l) * l + (first + r) % l;
    return static_cast<A*>(f.states) + (query * f.splits + part) * (ev + 2);
  };
#pragma unroll 1
  for (int r = warp; r < queries; r += kDecodeThreads / 32) {  // a warp for each query
    const int g = (first + r) / l, i = (first + r) % l;
    const MaskView mask = mask_view(a, at[3] + g * a.mask_batch[last]);
    A* const row = scores + r * f.split;
    A top = minus_infinity<A>(), sum = 0;
#pragma unroll 1
    for (int n = lane; n < keys; n += 32) {
      A x = row[n];
      if (mask.at) {
        const A add = mask_value<A>(mask, i, j + n);
        x = add == minus_infinity<A>() ? add : x + add;
      }
      row[n] = x;
      top = x > top ? x : top;
    }
#pragma unroll
    for (int by = 16; by; by /= 2) {
      const A other = __shfl_xor_sync(~0u, top, by);
      top = other > top ? other : top;
    }
    const A base = top == minus_infinity<A>() ? A(0) : top;
#pragma unroll 1
    for (int n = lane; n < keys; n += 32) {
      const A p = exp_of(row[n] - base);
      sum += p;
      const bool stays = !(a.dropout > 0) || Keep()(a, uint64_t(((int64_t(head) * group + g) * a.l + i) * a.s + j + n));
      row[n] = stays ? p : A(0);
    }
    sum = warp_reduce(sum, Sum());
    if (lane == 0) state_of(r)[0] = top, state_of(r)[1] = sum;
  }
  __syncthreads();

  const int wide = int(most(1, ceil_div(ev, V))), groups = wide < kDecodeThreads ? kDecodeThreads / wide : 1;
  const int mine = int(threadIdx.x) / wide;                    // of the groups that share the keys
  const T* const v = static_cast<const T*>(a.v.x) + at[2] + j * a.v.row;
#pragma unroll 1
  for (int c0 = 0; c0 < wide; c0 += kDecodeThreads) {
    const int c = (groups > 1 ? int(threadIdx.x) % wide : c0 + int(threadIdx.x)) * V;
    A y[R][V] = {};
    if (mine < groups && c < ev) {
#pragma unroll 1
      for (int n0 = groups > 1 ? mine : 0; n0 < keys; n0 += groups * kAtOnce) {
        Pack<T, V> x[kAtOnce];
#pragma unroll
        for (int u = 0; u < kAtOnce; ++u) {
          const int n = n0 + u * groups;
          x[u] = load_pack<T, V>(v + (n < keys ? n : 0) * a.v.row + c);
        }
#pragma unroll
        for (int u = 0; u < kAtOnce; ++u) {
          const int n = n0 + u * groups;
#pragma unroll
          for (int r = 0; r < R; ++r) {
            const A w = n < keys && r < queries ? scores[r * f.split + n] : A(0);
            if (w != A(0))                                     // else its NaN stays its own
#pragma unroll
              for (int i = 0; i < V; ++i) y[r][i] += w * A(up(x[u].v[i]));
          }
        }
      }
    }
#pragma unroll
    for (int r = 0; r < R; ++r) {                              // the groups' sums, in their order
      if (r >= queries) break;
      __syncthreads();
      store_pack(sums + int(threadIdx.x) * V, *reinterpret_cast<const Pack<A, V>*>(y[r]));
      __syncthreads();
      const int columns = groups > 1 ? wide * V : kDecodeThreads * V;
#pragma unroll 1
      for (int n = int(threadIdx.x); n < columns && c0 * V + n < ev; n += kDecodeThreads) {
        A all = 0;
#pragma unroll 4
        for (int g = 0; g < groups; ++g) all += sums[g * wide * V + n];
        state_of(r)[2 + c0 * V + n] = all;
      }
    }
  }
}

// A block for each query: the runs' results shrink to the greatest maximum and add up in order.
template <class T>
__global__ void __launch_bounds__(kDecodeThreads) attention_decode_merge(const __grid_constant__ DecodeCall f) {
  using A = acc_t<T>;
  SHARED(A, factor, [kDecodeThreads]);
  const Attention& a = f.a;
  const int64_t query = blockIdx.x;
  const unsigned head = unsigned(query / a.l);
  const int splits = int(f.splits), size = int(a.ev) + 2;
  const A* const states = static_cast<const A*>(f.states) + query * splits * size;
  int64_t at[1];
  head_offsets(a, a.ndim, head, {f.y.batch}, at);
  A top = minus_infinity<A>(), sum = 0, y[kDecodeWidth / kDecodeThreads] = {};
#pragma unroll 1
  for (int c = int(threadIdx.x); c < splits; c += kDecodeThreads) {
    const A here = states[int64_t(c) * size];
    top = here > top ? here : top;
  }
  top = block_reduce(top, Max(), minus_infinity<A>());
  const A base = top == minus_infinity<A>() ? A(0) : top;
#pragma unroll 1
  for (int c0 = 0; c0 < splits; c0 += kDecodeThreads) {
    const int c = c0 + int(threadIdx.x), some = int(least(kDecodeThreads, splits - c0));
    __syncthreads();
    factor[threadIdx.x] = c < splits ? exp_of(states[int64_t(c) * size] - base) : A(0);
    if (c < splits) sum += factor[threadIdx.x] * states[int64_t(c) * size + 1];
    __syncthreads();
#pragma unroll
    for (int u = 0; u < kDecodeWidth / kDecodeThreads; ++u) {
      const int column = int(threadIdx.x) + u * kDecodeThreads;
      if (column >= a.ev) break;
#pragma unroll 4
      for (int n = 0; n < some; ++n) y[u] += factor[n] * states[int64_t(c0 + n) * size + 2 + column];
    }
  }
  sum = block_reduce(sum, Sum(), A(0));
  if (threadIdx.x == 0) static_cast<A*>(f.lse)[query] = sum == A(0) ? -minus_infinity<A>() : top + log_of(sum);
  const A scale = sum == A(0) ? A(0) : A(f.keep_scale) / sum;
  T* const to = static_cast<T*>(f.y.x) + at[0] + query % a.l * f.y.row;
#pragma unroll
  for (int u = 0; u < kDecodeWidth / kDecodeThreads; ++u) {
    const int column = int(threadIdx.x) + u * kDecodeThreads;
    if (column < a.ev) to[column] = down<T>(y[u] * scale);
  }
}

template <class T, int V, int R> void start(const DecodeCall& f) {
  const Attention& a = f.a;
  const int64_t shared_heads = head_count(a) / group_of(a);
  const size_t shared = (R * (ceil_div(a.e, V) * V + f.split) + kDecodeThreads * V) * sizeof(acc_t<T>);
  launch("attention_fwd", attention_decode_runs<T, V, R>,
         dim3(unsigned(shared_heads * f.splits), unsigned(ceil_div(group_of(a) * a.l, R))),
         dim3(kDecodeThreads), shared, f);
}

}  // namespace

bool forward_decode(const AttentionFwd& f) {
  const Attention& a = f.a;
  const bool tensor = a.dtype == DType::bf16 || a.dtype == DType::f16;
  if (a.l > kDecodeQueries || a.causal || a.s < (tensor ? 256 : 1) || a.e > kDecodeWidth || a.ev > kDecodeWidth ||
      ceil_div(group_of(a) * a.l, 8) > 65535)
    return false;
  const int split = split_size(a.s);
  const int64_t splits = tiles_of(a.s, split), queries = head_count(a) * a.l;
  const Temp states(size_t(queries * splits * (a.ev + 2)) * (a.dtype == DType::f64 ? 8 : 4));
  const DecodeCall call{a, f.y, f.lse, states.p, unsigned(splits), split, keep_scale(a)};
  const bool packs = in_packs(a, a.k, a.e, a.ndim - 1) && in_packs(a, a.v, a.ev, a.ndim - 1);
  const bool single = group_of(a) * a.l == 1;
  by_float(a.dtype, [&](auto t) {
    using T = decltype(t);
    if (!packs) start<T, 1, 8>(call);
    else if (single) start<T, kPack<T>, 1>(call);
    else start<T, kPack<T>, 8>(call);
    launch("attention_fwd", attention_decode_merge<T>, dim3(unsigned(queries)), dim3(kDecodeThreads), 0, call);
  });
  return true;
}

}  // namespace lamella::cuda::attention
