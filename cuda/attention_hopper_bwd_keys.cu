// SPDX-License-Identifier: MIT
// Attention, backward on Hopper, for dk and dv: a block has 128 keys, 64 a consumer, and goes through the queries of its
// group, 64 at a time. Keys are rows, queries columns: weights and dS go from accumulators into the next products as they
// lie. The scores of a tile are under way while the former one's dk and dv are.
#include <algorithm>
#include "attention_hopper.cuh"

namespace lamella::cuda::attention {
namespace {

constexpr int kRowWarps = kStepQueries / 32;

// Shared memory: keys and values, later dk and dv; a ring of tiles of queries and dy; zeros; for every stage minus lse
// (times log2(e)), then D, of its queries, then whether any is cut (weight_of), by warp; barriers.
template <int D> struct KeysShared {
  static constexpr int kN = kStepQueries, kStages = 4, kKeys = kHopperRows * D * 2, kTile = kN * D * 2, kStage = 2 * kTile,
                       kRow = 2 * kN + kRowWarps;
  static constexpr int ring = 2 * kKeys, zeros = ring + kStages * kStage, rows = zeros + kZeros,
                       full = rows + kStages * kRow * 4, empty = full + 8 * kStages, keys_full = empty + 8 * kStages,
                       bytes = keys_full + 8;
  static_assert(bytes <= 232448);
};

struct KeysHopper : HopperCall {      // heads: of keys
  HeadsMap q, k, v, dy, dk, dv;
  const float *lse, *delta;
};

struct Task { int head, j; QueryRange range; HeadAt at; };  // a head of keys, keys from j on
[[maybe_unused]] GPU Task task_of(const KeysHopper& p, int block) {
  const Job job = section_job(block, p.heads, p.tiles, p.section, false);
  const int j = int(job.tile) * kHopperRows;
  return {int(job.head), j, query_range(j, p.l, p.causal), head_at(int(job.head) * p.group, p.group, p.inner)};
}

template <int D> GPU void fetch_tiles(const KeysHopper& p, const Task& t, uint32_t base) {
  using S = KeysShared<D>;
  barrier_arrive_expect(base + S::keys_full, 2 * S::kKeys);
  load_heads<kHopperRows, D>(base, p.k, t.j, t.at, base + S::keys_full);
  load_heads<kHopperRows, D>(base + S::kKeys, p.v, t.j, t.at, base + S::keys_full);
  RingAt at;
  each_step(t.range, p.group, [&](int group, int tile) {
    const HeadAt head{group, t.at.inner, t.at.outer};
    const uint32_t full = base + S::full + 8 * at.stage, to = base + S::ring + at.stage * S::kStage;
    barrier_wait(base + S::empty + 8 * at.stage, at.phase ^ 1);
    barrier_arrive_expect(full, S::kStage);
    load_heads<S::kN, D>(to, p.q, tile * S::kN, head, full);
    load_heads<S::kN, D>(to + S::kTile, p.dy, tile * S::kN, head, full);
    at.next(S::kStages);
  });
}
// By a warp for every 32 queries. Those that are not there get weights of zero.
template <int D> GPU void fetch_rows(const KeysHopper& p, const Task& t, char* shared, uint32_t base) {
  using S = KeysShared<D>;
  RingAt at;
  const int r = int(threadIdx.x) - 32;
  each_step(t.range, p.group, [&](int group, int tile) {
    const int i = tile * S::kN + r;
    float lse = minus_infinity<float>(), delta = 0;
    if (i < p.l) {
      const int64_t n = int64_t(t.head * p.group + group) * p.l + i;
      lse = p.lse[n] * -kLog2e;
      delta = p.delta[n];
    }
    float* const to = reinterpret_cast<float*>(shared + S::rows) + at.stage * S::kRow;
    const bool cut = __any_sync(~0u, lse != lse || i >= p.l);
    barrier_wait(base + S::empty + 8 * at.stage, at.phase ^ 1);
    to[r] = lse;
    to[S::kN + r] = delta;
    if (r % 32 == 0) to[2 * S::kN + r / 32] = cut;
    __syncwarp();
    if (r % 32 == 0) barrier_arrive(base + S::full + 8 * at.stage);
    at.next(S::kStages);
  });
}

template <class T, int D> GPU void consume(const KeysHopper& p, const Task& t, char* shared, uint32_t base) {
  using S = KeysShared<D>;
  constexpr int N = S::kN;
  const int thread = int(threadIdx.x) % 128, consumer = int(threadIdx.x) / 128 - 1, own = kOwnRows * consumer;
  const uint32_t keys = base + own * 128, values = keys + S::kKeys;
  RingAt at;
  struct Stage { uint32_t queries, dys, empty; const float *rows, *cut; };
  const auto take = [&] {
    barrier_wait(base + S::full + 8 * at.stage, at.phase);
    const uint32_t start = base + S::ring + at.stage * S::kStage;
    const float* const rows = reinterpret_cast<const float*>(shared + S::rows) + at.stage * S::kRow;
    const Stage stage{start, start + S::kTile, base + S::empty + 8 * at.stage, rows + d_col(thread, 0), rows + 2 * N};
    at.next(S::kStages);
    return stage;
  };
  const auto release = [&](uint32_t barrier) { if (thread % 32 == 0) barrier_arrive(barrier); };

  float s[N / 2], dp[N / 2], dk[D / 2], dv[D / 2];
  uint32_t weights[N / 16][4], ds[N / 16][4];
#pragma unroll
  for (int i = 0; i < D / 2; ++i) dk[i] = dv[i] = 0;
  const auto weigh = [&]<bool kCut>(const float* rows) {
#pragma unroll
    for (int i = 0; i < N / 2; i += 4) {
      const Pack<float, 2> lse = load_pack<float, 2>(rows + i * 2);
#pragma unroll
      for (int u = 0; u < 4; ++u) s[i + u] = weight_of<kCut>(s[i + u], p.scale2, lse.v[u % 2]);
    }
    pack_rows<T, N>(weights, s);
  };
  const auto weigh_dp = [&]<bool kCut>(const float* rows) {
#pragma unroll
    for (int i = 0; i < N / 2; i += 4) {
      const Pack<float, 2> delta = load_pack<float, 2>(rows + N + i * 2);
#pragma unroll
      for (int u = 0; u < 4; ++u) dp[i + u] = ds_of<kCut>(s[i + u], dp[i + u], delta.v[u % 2]);
    }
  };

  barrier_wait(base + S::keys_full, 0);
#pragma unroll 1
  for (int n = t.range.edge * p.group; n > 0; --n) {
    const Stage stage = take();
    multiply_rows<T, D, kHopperRows, N>(s, keys, stage.queries);
    multiply_rows<T, D, kHopperRows, N>(dp, values, stage.dys);
    wgmma_wait<0>();
    hold(s);
    hold(dp);
    const int i = (t.range.begin + (t.range.edge * p.group - n) % t.range.edge) * N;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int from = t.j - i + own + d_row(thread, 2 * h);  // the first column that sees the key
#pragma unroll
      for (int k = 2 * h; k < N / 2; k += k % 2 ? 3 : 1)
        if (d_col(thread, k) < from) s[k] = minus_infinity<float>();
    }
    const char *const queries = shared + (stage.queries - base), *const dys = shared + (stage.dys - base);
    const bool strange = named_barrier_or(kOwn + consumer, 128,
                                          strange_rows<T, D, N>(queries, 0) || strange_rows<T, D, N>(dys, 0));
    const Right zeros = zeros_of(base + S::zeros);
    weigh.template operator()<true>(stage.rows);
    if (strange) multiply_plain<T, D, N>(dv, weights, dys);
    multiply_left<T, D, N>(dv, weights, strange ? zeros : right_of<N>(stage.dys));
    wgmma_wait<0>();
    hold(dv);
    weigh_dp.template operator()<true>(stage.rows);
    pack_rows<T, N>(ds, dp);
    if (strange) multiply_plain<T, D, N>(dk, ds, queries);
    multiply_left<T, D, N>(dk, ds, strange ? zeros : right_of<N>(stage.queries));
    wgmma_wait<0>();
    hold(dk);
    release(stage.empty);
  }
  uint32_t before = 0;
#pragma unroll 1
  for (int n = (t.range.span - t.range.edge) * p.group; n > 0; --n) {
    const Stage stage = take();
    multiply_rows<T, D, kHopperRows, N>(s, keys, stage.queries);
    wgmma_wait<1>();                   // the former dv and dk: only now there are registers for dp
    if (before) release(before);
    multiply_rows<T, D, kHopperRows, N>(dp, values, stage.dys);
    wgmma_wait<1>();
    hold(s);
    const bool cut = stage.cut[0] + stage.cut[1] != 0;
    if (cut) weigh.template operator()<true>(stage.rows);
    else weigh.template operator()<false>(stage.rows);
    multiply_left<T, D, N>(dv, weights, right_of<N>(stage.dys));
    wgmma_wait<1>();
    hold(dp);
    if (cut) weigh_dp.template operator()<true>(stage.rows);
    else weigh_dp.template operator()<false>(stage.rows);
    pack_rows<T, N>(ds, dp);
    multiply_left<T, D, N>(dk, ds, right_of<N>(stage.queries));
    before = stage.empty;
  }
  wgmma_wait<0>();
  hold(dv);
  hold(dk);

  const int again = thread_again(), who = again / 128 - 1, at_own = kOwnRows * who * 128;
  named_barrier(kOwn + who, 128);      // nobody reads these keys and values any more
  put_rows<T, D>(shared + at_own, dk, p.scale, p.scale);
  put_rows<T, D>(shared + at_own + S::kKeys, dv, 1.f, 1.f);
  proxy_fence();
  named_barrier(kOwn + who, 128);
  if (again % 128 == 0) {
    const Task same = task_of(p, block_again());
    const int row = same.j + kOwnRows * who;
    store_heads<D>(p.dk, base + at_own, p.e, row, p.s, same.at);
    store_heads<D>(p.dv, base + at_own + S::kKeys, p.ev, row, p.s, same.at);
    tensor_wait<0>();
  }
}

template <class T, int D>
__global__ void __launch_bounds__(kHopperThreads, 1) attention_hopper_keys(const __grid_constant__ KeysHopper p) {
#if defined(LAMELLA_EMULATE) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using S = KeysShared<D>;
  char* shared = dynamic_shared<char>();
  const uint32_t base = shared_address(shared);
  if (threadIdx.x == 0) {
    for (const HeadsMap* m : {&p.q, &p.k, &p.v, &p.dy, &p.dk, &p.dv}) prefetch_map(m->map);
    for (int i = 0; i < S::kStages; ++i) {
      barrier_init(base + S::full + 8 * i, 1 + kRowWarps);    // the tiles' thread and the rows' warps
      barrier_init(base + S::empty + 8 * i, 4 * kConsumers);  // every warp of the consumers says so
    }
    barrier_init(base + S::keys_full, 1);
    barrier_fence();
  }
  make_zeros(shared + S::zeros);
  __syncthreads();
  const Task t = task_of(p, int(blockIdx.x));
  if (threadIdx.x < 128) {
    fewer_registers<kProducerRegisters>();
    if (threadIdx.x == 0) fetch_tiles<D>(p, t, base);
    if (threadIdx.x / 32 - 1 < kRowWarps) fetch_rows<D>(p, t, shared, base);
  } else {
    more_registers<kConsumerRegisters>();
    consume<T, D>(p, t, shared, base);
  }
#endif
}

}  // namespace

bool keys_bwd_hopper(const BackwardCall& f) {
  const Attention& a = f.a;
  const int last = a.ndim - 1;
  if (!hopper_takes(a)) return false;
  KeysHopper p{};
  int64_t size[3], stride[6][3];
  int64_t dk[kHeadDims], dv[kHeadDims];
  std::copy(f.dk.batch, f.dk.batch + kHeadDims, dk);
  std::copy(f.dv.batch, f.dv.batch + kHeadDims, dv);
  dk[last] = dv[last] = 0;             // of a group there is one
  if (!merge_heads<6>(a, {a.q.batch, a.k.batch, a.v.batch, f.dy.batch, dk, dv}, size, stride)) return false;
  if (!map_heads(p.q, a.q.x, a.l, a.e, a.q.row, size, stride[0], kStepQueries) ||
      !map_heads(p.k, a.k.x, a.s, a.e, a.k.row, size, stride[1], kHopperRows) ||
      !map_heads(p.v, a.v.x, a.s, a.ev, a.v.row, size, stride[2], kHopperRows) ||
      !map_heads(p.dy, f.dy.x, a.l, a.ev, f.dy.row, size, stride[3], kStepQueries) ||
      !map_heads(p.dk, f.dk.x, a.s, a.e, f.dk.row, size, stride[4], kOwnRows) ||
      !map_heads(p.dv, f.dv.x, a.s, a.ev, f.dv.row, size, stride[5], kOwnRows))
    return false;
  p.lse = f.lse;
  p.delta = f.delta;
  p.set(a, size);
  p.heads = int(head_count(a)) / p.group;
  p.tiles = int(tiles_of(a.s, kHopperRows));
  p.section = section_of(p.heads, 1, p.group * a.l * (a.e + a.ev) * 2);
  by_width(a, [&]<class T, int D>() {
    launch("attention_bwd", attention_hopper_keys<T, D>, dim3(unsigned(p.heads * p.tiles)), dim3(kHopperThreads),
           size_t(KeysShared<D>::bytes), p);
  });
  return true;
}

}  // namespace lamella::cuda::attention
