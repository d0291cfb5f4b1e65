// SPDX-License-Identifier: MIT
// Attention, backward on Hopper, for dq: a block has 128 queries, 64 a consumer, and goes through the keys from the last
// tile to the first. dS goes from accumulators into the product with the keys as it lies; the scores of a tile are under way
// while the former one's dq is.
#include "attention_hopper.cuh"

namespace lamella::cuda::attention {
namespace {

// Shared memory: queries, later dq; dy; a ring of tiles of keys and values; zeros; barriers.
template <int D> struct QueriesShared {
  static constexpr int kN = 128, kSlots = D == 64 ? 6 : 5, kQueries = kHopperRows * D * 2, kSlot = kN * D * 2;
  static constexpr int ring = 2 * kQueries, zeros = ring + kSlots * kSlot, full = zeros + kZeros, empty = full + 8 * kSlots,
                       queries_full = empty + 8 * kSlots, bytes = queries_full + 8;
  static_assert(bytes <= 232448);
};

struct QueriesHopper : HopperCall {
  HeadsMap q, k, v, dy, dq;
  const float *lse, *delta;
};

struct Task { int head, i, tiles; HeadAt at; };  // queries from i on, tiles of keys
template <int N> GPU Task task_of(const QueriesHopper& p, int block) {
  const Job job = section_job(block, p.heads, p.tiles, p.section, p.causal);
  const int i = int(job.tile) * kHopperRows;
  return {int(job.head), i, int(key_tiles(i, kHopperRows, p.s, p.causal, N)), head_at(int(job.head), p.group, p.inner)};
}

template <int D> GPU void fetch_tiles(const QueriesHopper& p, const Task& t, uint32_t base) {
  using S = QueriesShared<D>;
  barrier_arrive_expect(base + S::queries_full, 2 * S::kQueries);
  load_heads<kHopperRows, D>(base, p.q, t.i, t.at, base + S::queries_full);
  load_heads<kHopperRows, D>(base + S::kQueries, p.dy, t.i, t.at, base + S::queries_full);
  RingAt at;
  for (int n = 2 * t.tiles - 1; n >= 0; --n) {  // keys, values, keys, ...
    const uint32_t full = base + S::full + 8 * at.stage;
    barrier_wait(base + S::empty + 8 * at.stage, at.phase ^ 1);
    barrier_arrive_expect(full, S::kSlot);
    load_heads<S::kN, D>(base + S::ring + at.stage * S::kSlot, n % 2 ? p.k : p.v, n / 2 * S::kN, t.at, full);
    at.next(S::kSlots);
  }
}

template <class T, int D> GPU void consume(const QueriesHopper& p, const Task& t, char* shared, uint32_t base) {
  using S = QueriesShared<D>;
  constexpr int N = S::kN;
  const int thread = int(threadIdx.x) % 128, consumer = int(threadIdx.x) / 128 - 1, own = kOwnRows * consumer;
  const uint32_t queries = base + own * 128, dys = queries + S::kQueries;
  RingAt at;
  struct Slot { uint32_t at, empty; };
  const auto take = [&] {
    barrier_wait(base + S::full + 8 * at.stage, at.phase);
    const Slot slot{base + S::ring + at.stage * S::kSlot, base + S::empty + 8 * at.stage};
    at.next(S::kSlots);
    return slot;
  };
  const auto release = [&](uint32_t barrier) { if (thread % 32 == 0) barrier_arrive(barrier); };

  float lse2[2], delta[2];             // lse: minus it, times log2(e); queries that are not there get weights of zero
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int row = t.i + own + d_row(thread, 2 * h);
    const int64_t n = int64_t(t.head) * p.l + row;
    lse2[h] = row < p.l ? p.lse[n] * -kLog2e : minus_infinity<float>();
    delta[h] = row < p.l ? p.delta[n] : 0.f;
  }
  float s[N / 2], dp[N / 2], dq[D / 2];
  uint32_t ds[N / 16][4];
#pragma unroll
  for (int i = 0; i < D / 2; ++i) dq[i] = 0;
  const auto weigh = [&]<bool kCut>() {
#pragma unroll
    for (int i = 0; i < N / 2; ++i) s[i] = weight_of<kCut>(s[i], p.scale2, lse2[i / 2 % 2]);
  };
  const bool cut = __any_sync(~0u, lse2[0] != lse2[0] || lse2[1] != lse2[1]);
  const auto weigh_dp = [&]<bool kCut>() {
#pragma unroll
    for (int i = 0; i < N / 2; ++i) dp[i] = ds_of<kCut>(s[i], dp[i], delta[i / 2 % 2]);
  };

  barrier_wait(base + S::queries_full, 0);
  int tile = t.tiles - 1;
  const bool diagonal = on_diagonal(t.i, tile * N, N, p.causal);
  const int edge = diagonal || t.tiles * N > p.s ? tile : t.tiles;
#pragma unroll 1
  for (; tile >= edge; --tile) {       // once at most
    const Slot keys = take(), values = take();
    multiply_rows<T, D, kHopperRows, N>(s, queries, keys.at);
    multiply_rows<T, D, kHopperRows, N>(dp, dys, values.at);
    wgmma_wait<0>();
    hold(s);
    hold(dp);
    release(values.empty);
    const int j = tile * N;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int row = t.i - j + own + d_row(thread, 2 * h), last = p.s - 1 - j, limit = diagonal && row < last ? row : last;
#pragma unroll
      for (int i = 2 * h; i < N / 2; i += i % 2 ? 3 : 1)
        if (d_col(thread, i) > limit) s[i] = minus_infinity<float>();
    }
    weigh.template operator()<true>();
    weigh_dp.template operator()<true>();
    pack_rows<T, N>(ds, dp);
    const char* const rows = shared + (keys.at - base);
    const bool strange = named_barrier_or(kOwn + consumer, 128, diagonal && strange_rows<T, D, N>(rows, own));
    if (strange) multiply_plain<T, D, N>(dq, ds, rows);
    multiply_left<T, D, N>(dq, ds, strange ? zeros_of(base + S::zeros) : right_of<N>(keys.at));
    wgmma_wait<0>();
    hold(dq);
    release(keys.empty);
  }
  uint32_t before = 0;
#pragma unroll 1
  for (; tile >= 0; --tile) {
    const Slot keys = take();
    multiply_rows<T, D, kHopperRows, N>(s, queries, keys.at);
    const Slot values = take();
    wgmma_wait<1>();                   // the former dq: only now there are registers for dp
    if (before) release(before);
    multiply_rows<T, D, kHopperRows, N>(dp, dys, values.at);
    wgmma_wait<1>();
    hold(s);
    if (cut) weigh.template operator()<true>();
    else weigh.template operator()<false>();
    wgmma_wait<0>();
    hold(dp);
    release(values.empty);
    if (cut) weigh_dp.template operator()<true>();
    else weigh_dp.template operator()<false>();
    pack_rows<T, N>(ds, dp);
    multiply_left<T, D, N>(dq, ds, right_of<N>(keys.at));
    before = keys.empty;
  }
  wgmma_wait<0>();
  hold(dq);

  const int again = thread_again(), who = again / 128 - 1, at_own = kOwnRows * who * 128;
  named_barrier(kOwn + who, 128);      // nobody reads these queries any more
  put_rows<T, D>(shared + at_own, dq, p.scale, p.scale);
  proxy_fence();
  named_barrier(kOwn + who, 128);
  if (again % 128 == 0) {
    const Task same = task_of<N>(p, block_again());
    store_heads<D>(p.dq, base + at_own, p.e, same.i + kOwnRows * who, p.l, same.at);
    tensor_wait<0>();
  }
}

template <class T, int D>
__global__ void __launch_bounds__(kHopperThreads, 1) attention_hopper_queries(const __grid_constant__ QueriesHopper p) {
#if defined(LAMELLA_EMULATE) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using S = QueriesShared<D>;
  char* shared = dynamic_shared<char>();
  const uint32_t base = shared_address(shared);
  if (threadIdx.x == 0) {
    for (const HeadsMap* m : {&p.q, &p.k, &p.v, &p.dy, &p.dq}) prefetch_map(m->map);
    for (int i = 0; i < S::kSlots; ++i) {
      barrier_init(base + S::full + 8 * i, 1);
      barrier_init(base + S::empty + 8 * i, 4 * kConsumers);  // every warp of the consumers says so
    }
    barrier_init(base + S::queries_full, 1);
    barrier_fence();
  }
  make_zeros(shared + S::zeros);
  __syncthreads();
  const Task t = task_of<S::kN>(p, int(blockIdx.x));
  if (threadIdx.x < 128) {
    fewer_registers<kProducerRegisters>();
    if (threadIdx.x == 0) fetch_tiles<D>(p, t, base);
  } else {
    more_registers<kConsumerRegisters>();
    consume<T, D>(p, t, shared, base);
  }
#endif
}

}  // namespace

bool queries_bwd_hopper(const BackwardCall& f) {
  const Attention& a = f.a;
  if (!hopper_takes(a)) return false;
  QueriesHopper p{};
  int64_t size[3], stride[5][3];
  if (!merge_heads<5>(a, {a.q.batch, a.k.batch, a.v.batch, f.dy.batch, f.dq.batch}, size, stride)) return false;
  if (!map_heads(p.q, a.q.x, a.l, a.e, a.q.row, size, stride[0], kHopperRows) ||
      !map_heads(p.k, a.k.x, a.s, a.e, a.k.row, size, stride[1], 128) ||
      !map_heads(p.v, a.v.x, a.s, a.ev, a.v.row, size, stride[2], 128) ||
      !map_heads(p.dy, f.dy.x, a.l, a.ev, f.dy.row, size, stride[3], kHopperRows) ||
      !map_heads(p.dq, f.dq.x, a.l, a.e, f.dq.row, size, stride[4], kOwnRows))
    return false;
  p.lse = f.lse;
  p.delta = f.delta;
  p.set(a, size);
  p.heads = int(head_count(a));
  p.tiles = int(tiles_of(a.l, kHopperRows));
  p.section = section_of(p.heads, p.group, a.s * (a.e + a.ev) * 2);
  by_width(a, [&]<class T, int D>() {
    launch("attention_bwd", attention_hopper_queries<T, D>, dim3(unsigned(p.heads * p.tiles)), dim3(kHopperThreads),
           size_t(QueriesShared<D>::bytes), p);
  });
  return true;
}

}  // namespace lamella::cuda::attention
