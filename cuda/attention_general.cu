// SPDX-License-Identifier: MIT
// Attention of any dtype and size, in float32 (float64 for float64) arithmetic: a block of 16 x 16 threads has a tile of 64
// rows (queries, or keys for dk and dv) and goes through tiles of 64 of the others. Threads have 4 x 4 scores; weights go
// through shared memory to the second product, kColumns columns of which a block makes: wider heads take several blocks.
#include "attention.cuh"

namespace lamella::cuda::attention {
namespace {

constexpr int kSide = 64, kDepth = 16, kGrid = 256, kPad = kSide + 4;
template <class A> constexpr int kColumns = sizeof(A) == 4 ? 128 : 64;
template <class A> constexpr int kOwn = kColumns<A> / 16;      // columns of a thread: 4 at 4 tx, 4 at 4 tx + 64

template <class A> struct Rows { const void* x; DType dtype; int64_t row; };  // of one head, from its first element on
template <class A> GPU Rows<A> rows_at(const void* x, DType t, int64_t offset, int64_t row) {
  return {static_cast<const char*>(x) + offset * bytes_of(t), t, row};
}

template <class A> struct Shared {
  A stage[2][kDepth][kPad];                                    // chunks of both operands, or of the second product's
  A weights[kSide][kPad];                                      // (summed over, row)
};
static_assert(2 * kPad >= kColumns<float> && 2 * kPad >= kColumns<double>);

// f(T{}) for what A may be stored as.
template <class A, class F> GPU void as_stored(DType t, const F& f) {
  if constexpr (sizeof(A) == 8) f(double{});
  else if (t == DType::f32) f(float{});
  else if (t == DType::bf16) f(bf16{});
  else f(f16{});
}

// Elements (row n / kDepth, column at + n % kDepth) for this thread's n; zero where there is none.
template <class A> GPU void fetch(A (&to)[4], const Rows<A>& x, int rows, int64_t at, int64_t cols) {
  as_stored<A>(x.dtype, [&](auto t) {
    const auto* p = static_cast<const decltype(t)*>(x.x);
#pragma unroll
    for (int u = 0; u < 4; ++u) {
      const int n = int(threadIdx.x) + u * kGrid, r = n / kDepth;
      const int64_t c = at + n % kDepth;
      to[u] = r < rows && c < cols ? A(up(p[r * x.row + c])) : A(0);
    }
  });
}

// acc += x . y^T of up to 64 rows each over `cols` columns.
template <class A>
GPU void scores_of(A (&acc)[4][4], Shared<A>& m, const Rows<A>& x, int x_rows, const Rows<A>& y, int y_rows,
                                     int64_t cols) {
  const int ty = int(threadIdx.x) / 16, tx = int(threadIdx.x) % 16;
  A a[4], b[4];
#pragma unroll 1
  for (int64_t at = -kDepth; at < cols; at += kDepth) {
    if (at >= 0) {
      __syncthreads();
#pragma unroll
      for (int u = 0; u < 4; ++u) {
        const int n = int(threadIdx.x) + u * kGrid;
        m.stage[0][n % kDepth][n / kDepth] = a[u];
        m.stage[1][n % kDepth][n / kDepth] = b[u];
      }
      __syncthreads();
    }
    if (at + kDepth < cols) fetch(a, x, x_rows, at + kDepth, cols), fetch(b, y, y_rows, at + kDepth, cols);
    if (at < 0) continue;                                      // what comes next is on its way while this is used
#pragma unroll 4
    for (int k = 0; k < kDepth; ++k) {
      const Pack<A, 4> left = load_pack<A, 4>(&m.stage[0][k][4 * ty]), right = load_pack<A, 4>(&m.stage[1][k][4 * tx]);
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) acc[i][j] += left.v[i] * right.v[j];
    }
  }
}

// Weights of this thread's rows and columns to where the second product reads them.
template <class A> GPU void put_weights(Shared<A>& m, const A (&w)[4][4]) {
  const int ty = int(threadIdx.x) / 16, tx = int(threadIdx.x) % 16;
#pragma unroll
  for (int j = 0; j < 4; ++j) store_pack(&m.weights[4 * tx + j][4 * ty], Pack<A, 4>{{w[0][j], w[1][j], w[2][j], w[3][j]}});
}

// acc += weights^T . x: rows of x below `rows`, its columns from `at` on. A weight of zero leaves out what is not finite.
template <class A>
GPU void weigh_rows(A (&acc)[4][kOwn<A>], Shared<A>& m, const Rows<A>& x, int rows, int64_t at, int64_t cols) {
  constexpr int C = kColumns<A>;
  const int ty = int(threadIdx.x) / 16, tx = int(threadIdx.x) % 16;
  A* const stage = &m.stage[0][0][0];                          // (kDepth, C)
#pragma unroll 1
  for (int k0 = 0; k0 < rows; k0 += kDepth) {
    bool strange = false;
    __syncthreads();                                           // weights are there, the stage is free
    as_stored<A>(x.dtype, [&](auto t) {
      const auto* p = static_cast<const decltype(t)*>(x.x);
#pragma unroll
      for (int u = 0; u < kDepth * C / kGrid; ++u) {
        const int n = int(threadIdx.x) + u * kGrid, r = k0 + n / C;
        const int64_t c = at + n % C;
        const A value = r < rows && c < cols ? A(up(p[r * x.row + c])) : A(0);
        strange |= !(value - value == A(0));
        stage[n] = value;
      }
    });
    const bool careful = __syncthreads_or(strange);
#pragma unroll 4
    for (int k = 0; k < kDepth; ++k) {
      const Pack<A, 4> w = load_pack<A, 4>(&m.weights[k0 + k][4 * ty]);
#pragma unroll
      for (int h = 0; h < kOwn<A> / 4; ++h) {
        const Pack<A, 4> v = load_pack<A, 4>(stage + k * C + 64 * h + 4 * tx);
#pragma unroll
        for (int i = 0; i < 4; ++i)
#pragma unroll
          for (int j = 0; j < 4; ++j)
            if (!careful || w.v[i] != A(0)) acc[i][4 * h + j] += w.v[i] * v.v[j];
      }
    }
  }
  __syncthreads();
}

// Rows of the result, times `factor` of each.
template <class A>
GPU void put_rows(void* x, DType t, int64_t offset, int64_t row, int rows, int64_t at, int64_t cols,
                  const A (&acc)[4][kOwn<A>], const A (&factor)[4]) {
  const int ty = int(threadIdx.x) / 16, tx = int(threadIdx.x) % 16;
  as_stored<A>(t, [&](auto s) {
    using T = decltype(s);
    T* const p = static_cast<T*>(x) + offset;
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int j = 0; j < kOwn<A>; ++j) {
        const int64_t c = at + j / 4 * 64 + 4 * tx + j % 4;
        if (4 * ty + i < rows && c < cols) p[(4 * ty + i) * row + c] = down<T>(acc[i][j] * factor[i]);
      }
  });
}

// What each of this thread's scores needs besides the product: what is added to it goes to m.weights, where put_weights will
// put its weight, minus infinity for pairs that do not take part; the result has the bits of weights that dropout keeps.
// Rows are queries from i on and columns keys from j on or, transposed, the other way round.
template <bool kTransposed, class A>
GPU uint32_t prepare(const Attention& a, Shared<A>& m, const MaskView& mask, int64_t head, int64_t i, int64_t j) {
  const int ty = int(threadIdx.x) / 16, tx = int(threadIdx.x) % 16;
  uint32_t bits = 0;
  Keep keep;
#pragma unroll 1
  for (int n = 0; n < 16; ++n) {
    const int row = 4 * ty + n / 4, col = 4 * tx + n % 4;
    const int64_t query = i + (kTransposed ? col : row), key = j + (kTransposed ? row : col);
    const bool there = query < a.l && key < a.s && !(a.causal && key > query);
    m.weights[col][row] = !there ? minus_infinity<A>() : mask.at ? mask_value<A>(mask, query, key) : A(0);
    if (there && a.dropout > 0) bits |= uint32_t(keep(a, uint64_t((head * a.l + query) * a.s + key))) << n;
  }
  return a.dropout > 0 ? bits : ~0u;
}
template <class A>
GPU A seen_score(A product, A scale, A add) { return add == minus_infinity<A>() ? add : product * scale + add; }

struct GeneralCall {
  Attention a;
  HeadsIn dy;
  HeadsOut y, dq, dk, dv;
  void* lse_out;
  const void *lse, *delta;
  unsigned count, tiles;
  double keep_scale;
};

template <class A> __global__ void __launch_bounds__(kGrid) attention_general_fwd(const __grid_constant__ GeneralCall f) {
  const Attention& a = f.a;
  Shared<A>& m = *dynamic_shared<Shared<A>>();
  const int ty = int(threadIdx.x) / 16, tx = int(threadIdx.x) % 16;
  const Job job = job_of(blockIdx.x, f.count, f.tiles, a.causal ? Order::tiles_down : Order::heads);
  int64_t at[5];
  head_offsets(a, a.ndim, job.head, {a.q.batch, a.k.batch, a.v.batch, f.y.batch, a.mask_batch}, at);
  const int64_t i = int64_t(job.tile) * kSide, column = int64_t(blockIdx.y) * kColumns<A>;
  const int rows = int(least(kSide, a.l - i));
  const MaskView mask = mask_view(a, at[4]);
  const Rows<A> q = rows_at<A>(a.q.x, a.dtype, at[0] + i * a.q.row, a.q.row);

  A y[4][kOwn<A>] = {}, top[4], sum[4] = {};
#pragma unroll
  for (int r = 0; r < 4; ++r) top[r] = minus_infinity<A>();
  const int64_t tiles = key_tiles(i, rows, a.s, a.causal, kSide);
#pragma unroll 1
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t j = tile * kSide;
    const int keys = int(least(kSide, a.s - j));
    A s[4][4] = {};
    scores_of(s, m, q, rows, rows_at<A>(a.k.x, a.dtype, at[1] + j * a.k.row, a.k.row), keys, a.e);
    const uint32_t bits = prepare<false>(a, m, mask, job.head, i, j);
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      A to = top[r], here = 0;
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        s[r][c] = seen_score(s[r][c], A(a.scale), m.weights[4 * tx + c][4 * ty + r]);
        to = s[r][c] > to ? s[r][c] : to;                      // a NaN shows in the sum
      }
#pragma unroll
      for (int by = 8; by; by /= 2) {
        const A other = __shfl_xor_sync(~0u, to, by);
        to = other > to ? other : to;
      }
      const A base = to == minus_infinity<A>() ? A(0) : to, shrink = to == top[r] ? A(1) : exp_of(top[r] - to);
      top[r] = to;
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        const A p = exp_of(s[r][c] - base);
        here += p;
        s[r][c] = bits >> (4 * r + c) & 1 ? p : A(0);
      }
      sum[r] = sum[r] * shrink + here;
#pragma unroll
      for (int c = 0; c < kOwn<A>; ++c) y[r][c] *= shrink;
    }
    put_weights(m, s);
    weigh_rows(y, m, rows_at<A>(a.v.x, a.dtype, at[2] + j * a.v.row, a.v.row), keys, column, a.ev);
  }
  A factor[4];
#pragma unroll
  for (int r = 0; r < 4; ++r) {
    const A all = warp_reduce<16>(sum[r], Sum());
    factor[r] = all == A(0) ? A(0) : A(f.keep_scale) / all;
    if (blockIdx.y == 0 && tx == 0 && 4 * ty + r < rows)
      static_cast<A*>(f.lse_out)[job.head * a.l + i + 4 * ty + r] =
          all == A(0) ? -minus_infinity<A>() : top[r] + log_of(all);
  }
  put_rows(f.y.x, a.dtype, at[3] + i * f.y.row, f.y.row, rows, column, a.ev, y, factor);
}

// Scores become kept weights and dp (dy v^T) becomes dS.
template <bool kTransposed, class A>
GPU void weigh_back(const GeneralCall& f, Shared<A>& m, const MaskView& mask, A (&s)[4][4], A (&dp)[4][4], int64_t head,
                    int64_t i, int64_t j) {
  const int ty = int(threadIdx.x) / 16, tx = int(threadIdx.x) % 16;
  const uint32_t bits = prepare<kTransposed>(f.a, m, mask, head, i, j);
  const A* const lse = static_cast<const A*>(f.lse) + head * f.a.l + i;
  const A* const delta = static_cast<const A*>(f.delta) + head * f.a.l + i;
#pragma unroll
  for (int r = 0; r < 4; ++r)
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      const int query = kTransposed ? 4 * tx + c : 4 * ty + r;
      const A x = seen_score(s[r][c], A(f.a.scale), m.weights[4 * tx + c][4 * ty + r]);
      if (x == minus_infinity<A>()) { s[r][c] = dp[r][c] = 0; continue; }
      const A over = x - lse[query], p = exp_of(over > A(0) && mask.at ? A(0) : over);
      const bool kept = bits >> (4 * r + c) & 1;
      const A factor = kept ? A(f.keep_scale) : A(0);
      s[r][c] = kept ? p * factor : A(0);
      dp[r][c] = p == A(0) ? A(0) : p * (dp[r][c] * factor - delta[query]);
    }
}

template <class A> __global__ void __launch_bounds__(kGrid) attention_general_keys(const __grid_constant__ GeneralCall f) {
  const Attention& a = f.a;
  Shared<A>& m = *dynamic_shared<Shared<A>>();
  const int last = a.ndim - 1;
  const Job job = job_of(blockIdx.x, f.count, f.tiles, a.causal ? Order::tiles_up : Order::heads);
  int64_t at[7];
  head_offsets(a, last, job.head, {a.q.batch, a.k.batch, a.v.batch, f.dy.batch, f.dk.batch, f.dv.batch, a.mask_batch}, at);
  const int64_t j = int64_t(job.tile) * kSide, column = int64_t(blockIdx.y) * kColumns<A>;
  const int keys = int(least(kSide, a.s - j));
  const Rows<A> k = rows_at<A>(a.k.x, a.dtype, at[1] + j * a.k.row, a.k.row),
      v = rows_at<A>(a.v.x, a.dtype, at[2] + j * a.v.row, a.v.row);
  A dk[4][kOwn<A>] = {}, dv[4][kOwn<A>] = {};
  const int64_t group = a.heads[last], tiles = tiles_of(a.l, kSide);
#pragma unroll 1
  for (int64_t g = 0; g < group; ++g)
#pragma unroll 1
    for (int64_t tile = first_query_tile(j, a.l, a.causal, kSide); tile < tiles; ++tile) {
      const int64_t i = tile * kSide;
      const int rows = int(least(kSide, a.l - i));
      const Rows<A> q = rows_at<A>(a.q.x, a.dtype, at[0] + g * a.q.batch[last] + i * a.q.row, a.q.row);
      const Rows<A> dy = rows_at<A>(f.dy.x, a.dtype, at[3] + g * f.dy.batch[last] + i * f.dy.row, f.dy.row);
      const MaskView mask = mask_view(a, at[6] + g * a.mask_batch[last]);
      A s[4][4] = {}, dp[4][4] = {};
      scores_of(s, m, k, keys, q, rows, a.e);
      scores_of(dp, m, v, keys, dy, rows, a.ev);
      weigh_back<true>(f, m, mask, s, dp, job.head * group + g, i, j);
      if (column < a.ev) {
        put_weights(m, s);
        weigh_rows(dv, m, dy, rows, column, a.ev);
      }
      if (column < a.e) {
        put_weights(m, dp);
        weigh_rows(dk, m, q, rows, column, a.e);
      }
    }
  const A one[4] = {1, 1, 1, 1}, scale[4] = {A(a.scale), A(a.scale), A(a.scale), A(a.scale)};
  put_rows(f.dk.x, a.dtype, at[4] + j * f.dk.row, f.dk.row, keys, column, a.e, dk, scale);
  put_rows(f.dv.x, a.dtype, at[5] + j * f.dv.row, f.dv.row, keys, column, a.ev, dv, one);
}

template <class A>
__global__ void __launch_bounds__(kGrid) attention_general_queries(const __grid_constant__ GeneralCall f) {
  const Attention& a = f.a;
  Shared<A>& m = *dynamic_shared<Shared<A>>();
  const Job job = job_of(blockIdx.x, f.count, f.tiles, a.causal ? Order::tiles_down : Order::heads);
  int64_t at[6];
  head_offsets(a, a.ndim, job.head, {a.q.batch, a.k.batch, a.v.batch, f.dy.batch, f.dq.batch, a.mask_batch}, at);
  const int64_t i = int64_t(job.tile) * kSide, column = int64_t(blockIdx.y) * kColumns<A>;
  const int rows = int(least(kSide, a.l - i));
  const MaskView mask = mask_view(a, at[5]);
  const Rows<A> q = rows_at<A>(a.q.x, a.dtype, at[0] + i * a.q.row, a.q.row),
      dy = rows_at<A>(f.dy.x, a.dtype, at[3] + i * f.dy.row, f.dy.row);
  A dq[4][kOwn<A>] = {};
  const int64_t tiles = key_tiles(i, rows, a.s, a.causal, kSide);
#pragma unroll 1
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t j = tile * kSide;
    const int keys = int(least(kSide, a.s - j));
    const Rows<A> k = rows_at<A>(a.k.x, a.dtype, at[1] + j * a.k.row, a.k.row);
    A s[4][4] = {}, dp[4][4] = {};
    scores_of(s, m, q, rows, k, keys, a.e);
    scores_of(dp, m, dy, rows, rows_at<A>(a.v.x, a.dtype, at[2] + j * a.v.row, a.v.row), keys, a.ev);
    weigh_back<false>(f, m, mask, s, dp, job.head, i, j);
    put_weights(m, dp);
    weigh_rows(dq, m, k, keys, column, a.e);
  }
  const A scale[4] = {A(a.scale), A(a.scale), A(a.scale), A(a.scale)};
  put_rows(f.dq.x, a.dtype, at[4] + i * f.dq.row, f.dq.row, rows, column, a.e, dq, scale);
}

// A warp for each query of each head, V elements a load.
struct DeltaCall { Attention a; HeadsIn y, dy; void* delta; Divisor l; int64_t n; };
template <class T, int V>
__global__ void __launch_bounds__(kGrid) attention_row_products(const __grid_constant__ DeltaCall f) {
  const int lane = int(threadIdx.x) & 31;
  const int64_t n = int64_t(blockIdx.x) * (kGrid / 32) + threadIdx.x / 32;
  if (n >= f.n) return;
  int64_t i, at[2];
  const int64_t head = f.l.divide(n, i);
  head_offsets(f.a, f.a.ndim, unsigned(head), {f.y.batch, f.dy.batch}, at);
  const T* const y = static_cast<const T*>(f.y.x) + at[0] + i * f.y.row;
  const T* const dy = static_cast<const T*>(f.dy.x) + at[1] + i * f.dy.row;
  acc_t<T> sum = 0;
#pragma unroll 1
  for (int64_t c = lane * V; c < f.a.ev; c += 32 * V) {
    const Pack<T, V> left = load_pack<T, V>(dy + c), right = load_pack<T, V>(y + c);
#pragma unroll
    for (int u = 0; u < V; ++u) sum += acc_t<T>(up(left.v[u])) * acc_t<T>(up(right.v[u]));
  }
  sum = warp_reduce(sum, Sum());
  if (lane == 0) static_cast<acc_t<T>*>(f.delta)[n] = sum;
}

template <class F> void start(GeneralCall& f, int64_t rows, int64_t heads, int64_t cols, const F& kernels) {
  f.count = unsigned(heads), f.tiles = unsigned(tiles_of(rows, kSide));
  const auto go = [&](auto acc, auto kernel) {
    using A = decltype(acc);
    launch("attention", kernel, dim3(f.count * f.tiles, unsigned(most(1, tiles_of(cols, kColumns<A>)))), dim3(kGrid),
           sizeof(Shared<A>), f);
  };
  if (f.a.dtype == DType::f64) go(double{}, kernels(double{}));
  else go(float{}, kernels(float{}));
}

}  // namespace

void forward_general(const AttentionFwd& f) {
  const Attention& a = f.a;
  GeneralCall call{a, {}, f.y, {}, {}, {}, f.lse, nullptr, nullptr, 0, 0, keep_scale(a)};
  start(call, a.l, head_count(a), a.ev, [](auto t) { return attention_general_fwd<decltype(t)>; });
}

void backward_general(const AttentionBwd& f, const void* delta) {
  const Attention& a = f.a;
  GeneralCall call{a, f.dy, {}, f.dq, f.dk, f.dv, nullptr, f.lse, delta, 0, 0, keep_scale(a)};
  start(call, a.s, head_count(a) / group_of(a), most(a.e, a.ev), [](auto t) { return attention_general_keys<decltype(t)>; });
  start(call, a.l, head_count(a), a.e, [](auto t) { return attention_general_queries<decltype(t)>; });
}

void row_products(const AttentionBwd& f, void* delta) {
  const int64_t n = head_count(f.a) * f.a.l;
  const DeltaCall call{f.a, f.y, f.dy, delta, Divisor(f.a.l), n};
  const bool packs = in_packs(f.a, f.y, f.a.ev, f.a.ndim) && in_packs(f.a, f.dy, f.a.ev, f.a.ndim);
  const dim3 grid(unsigned(ceil_div(n, kGrid / 32)));
  by_float(f.a.dtype, [&](auto t) {
    using T = decltype(t);
    if (packs) launch("attention_bwd", attention_row_products<T, kPack<T>>, grid, dim3(kGrid), 0, call);
    else launch("attention_bwd", attention_row_products<T, 1>, grid, dim3(kGrid), 0, call);
  });
}

}  // namespace lamella::cuda::attention
