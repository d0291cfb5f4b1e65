// SPDX-License-Identifier: MIT
// Attention, forward, on Hopper (Shah et al. 2024, "FlashAttention-3"): blocks that stay, each with a warpgroup that fetches
// tiles by TMA and two that have 64 queries each and go through the keys, 128 at a time, from the last tile to the first.
// The scores of a tile are under way while the weights of the former one are made, and while one warpgroup makes weights the
// other has the tensor cores.
#include "attention_hopper.cuh"

namespace lamella::cuda::attention {

int64_t hopper_from = 32;

namespace {

constexpr int kKeys = 128;             // of a tile

// Shared memory: queries, results, a ring of tiles of keys and values, zeros, barriers.
template <int D> struct ForwardShared {
  static constexpr int kSlots = D == 64 ? 6 : 5, kSlot = kKeys * D * 2, kQueries = kHopperRows * D * 2;
  static constexpr int y = kQueries, ring = y + kQueries, zeros = ring + kSlots * kSlot, full = zeros + kZeros,
                       empty = full + 8 * kSlots, q_full = empty + 8 * kSlots, q_empty = q_full + 8, bytes = q_empty + 8;
  static_assert(bytes <= 232448);
};

struct ForwardHopper : HopperCall {
  HeadsMap q, k, v, y;
  float* lse;
  int jobs;
};

struct Task { int head, i, tiles; HeadAt at; };  // queries from i on, tiles of keys
[[maybe_unused]] GPU bool next_task(const ForwardHopper& p, int round, Task& t) {
  const int n = in_round(round, int(blockIdx.x), int(gridDim.x));
  if (n >= p.jobs) return false;
  const Job job = section_job(n, p.heads, p.tiles, p.section, p.causal);
  t.head = int(job.head);
  t.i = int(job.tile) * kHopperRows;
  t.tiles = int(key_tiles(t.i, kHopperRows, p.s, p.causal, kKeys));
  t.at = head_at(t.head, p.group, p.inner);
  return true;
}

// Keys of the last tile; keys of the tile before, values of the last; ...; values of the first: as consumers take them.
template <int D> GPU void produce(const ForwardHopper& p, uint32_t base) {
  using S = ForwardShared<D>;
  RingAt at;
  const auto fetch = [&](const HeadsMap& m, int tile, const HeadAt& head) {
    barrier_wait(base + S::empty + 8 * at.stage, at.phase ^ 1);
    const uint32_t full = base + S::full + 8 * at.stage;
    barrier_arrive_expect(full, S::kSlot);
    load_heads<kKeys, D>(base + S::ring + at.stage * S::kSlot, m, tile * kKeys, head, full);
    at.next(S::kSlots);
  };
  Task t;
  for (int round = 0; next_task(p, round, t); ++round) {
    barrier_wait(base + S::q_empty, round % 2 ^ 1);
    barrier_arrive_expect(base + S::q_full, S::kQueries);
    load_heads<kHopperRows, D>(base, p.q, t.i, t.at, base + S::q_full);
    fetch(p.k, t.tiles - 1, t.at);
    for (int tile = t.tiles - 1; tile > 0; --tile) {
      fetch(p.k, tile - 1, t.at);
      fetch(p.v, tile, t.at);
    }
    fetch(p.v, 0, t.at);
  }
}

// Scores become weights, relative to the greatest score so far; shrink: of what was made relative to a former one.
[[maybe_unused]] GPU void soften(float (&s)[kKeys / 2], float (&top)[2], float (&sum)[2], float (&shrink)[2], float scale2) {
#pragma unroll
  for (int h = 0; h < 2; ++h) {        // rows g and g + 8; a NaN is lost to the maximum and shows in the sum
    float to = top[h];
#pragma unroll
    for (int i = 2 * h; i < kKeys / 2; i += 4) to = fmaxf(to, fmaxf(s[i], s[i + 1]));
    to = fmaxf(to, __shfl_xor_sync(~0u, to, 1));
    to = fmaxf(to, __shfl_xor_sync(~0u, to, 2));
    const float base = to == minus_infinity<float>() ? 0.f : to * scale2;
    shrink[h] = to == top[h] ? 1.f : exp2_fast((top[h] - to) * scale2);
    top[h] = to;
    float here = 0;
#pragma unroll
    for (int i = 2 * h; i < kKeys / 2; i += 4) {
      s[i] = exp2_fast(fmaf(s[i], scale2, -base));
      s[i + 1] = exp2_fast(fmaf(s[i + 1], scale2, -base));
      here += s[i] + s[i + 1];
    }
    sum[h] = sum[h] * shrink[h] + here;
  }
}

template <class T, int D> GPU void consume(const ForwardHopper& p, char* shared, uint32_t base) {
  using S = ForwardShared<D>;
  const int thread = int(threadIdx.x) % 128, consumer = int(threadIdx.x) / 128 - 1, own = kOwnRows * consumer;
  const bool speaks = thread % 32 == 0, leads = thread == 0;
  const uint32_t queries = base + own * 128, result = base + S::y + own * 128;
  RingAt at;
  struct Slot { uint32_t at, empty; };
  const auto take = [&] {
    barrier_wait(base + S::full + 8 * at.stage, at.phase);
    const Slot slot{base + S::ring + at.stage * S::kSlot, base + S::empty + 8 * at.stage};
    at.next(S::kSlots);
    return slot;
  };
  const auto release = [&](uint32_t barrier) { if (speaks) barrier_arrive(barrier); };
  if (consumer == 1) named_arrive(kTurn, 256);  // the first's turn

  float y[D / 2], s[kKeys / 2];
  uint32_t weights[kKeys / 16][4];
  Task t;
  for (int round = 0; next_task(p, round, t); ++round) {
    float top[2] = {minus_infinity<float>(), minus_infinity<float>()}, sum[2] = {}, shrink[2];
#pragma unroll
    for (int i = 0; i < D / 2; ++i) y[i] = 0;
    int tile = t.tiles - 1;
    const int j = tile * kKeys;
    const bool diagonal = on_diagonal(t.i, j, kKeys, p.causal);

    barrier_wait(base + S::q_full, round % 2);
    Slot keys = take();
    multiply_rows<T, D, kHopperRows, kKeys>(s, queries, keys.at);
    wgmma_wait<0>();
    hold(s);
    release(keys.empty);
    if (tile == 0) release(base + S::q_empty);
    if (diagonal || j + kKeys > p.s) {  // the last tile alone: queries see keys up to `limit`
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const int row = t.i - j + own + d_row(thread, 2 * h), last = p.s - 1 - j, limit = diagonal && row < last ? row : last;
#pragma unroll
        for (int i = 2 * h; i < kKeys / 2; i += i % 2 ? 3 : 1)
          if (d_col(thread, i) > limit) s[i] = minus_infinity<float>();
      }
    }
    soften(s, top, sum, shrink, p.scale2);
    pack_rows<T, kKeys>(weights, s);

    // Where the values to come are strange, adds them to y and leaves zeros to add.
    const auto strange_values = [&] {
      barrier_wait(base + S::full + 8 * at.stage, at.phase);
      const char* const rows = shared + S::ring + at.stage * S::kSlot;
      const bool strange = named_barrier_or(kOwn + consumer, 128, strange_rows<T, D, kKeys>(rows, own));
      if (strange) multiply_plain<T, D, kKeys>(y, weights, rows);
      return strange;
    };
    bool watched = diagonal;
#pragma unroll 1
    for (; tile > 0; --tile) {
      keys = take();
      const bool strange = watched && strange_values();
      watched = false;
      named_barrier(kTurn + consumer, 256);
      multiply_rows<T, D, kHopperRows, kKeys>(s, queries, keys.at);
      const Slot values = take();
      multiply_left<T, D, kKeys>(y, weights, strange ? zeros_of(base + S::zeros) : right_of<kKeys>(values.at));
      named_arrive(kTurn + 1 - consumer, 256);
      wgmma_wait<1>();
      hold(s);
      release(keys.empty);
      if (tile == 1) release(base + S::q_empty);
      soften(s, top, sum, shrink, p.scale2);
      const bool grew = __any_sync(~0u, shrink[0] != 1 || shrink[1] != 1);
      wgmma_wait<0>();
      hold(y);
      release(values.empty);
      if (grew) {
#pragma unroll
        for (int i = 0; i < D / 2; ++i) y[i] *= shrink[i / 2 % 2];
      }
      pack_rows<T, kKeys>(weights, s);
    }
    const bool strange = watched && strange_values();
    const Slot values = take();
    multiply_left<T, D, kKeys>(y, weights, strange ? zeros_of(base + S::zeros) : right_of<kKeys>(values.at));
    wgmma_wait<0>();
    hold(y);
    release(values.empty);

    float factor[2];
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float all = sum[h];
      all += __shfl_xor_sync(~0u, all, 1);
      all += __shfl_xor_sync(~0u, all, 2);
      factor[h] = all == 0 ? 0.f : 1 / all;
      const int row = t.i + own + d_row(thread, 2 * h);
      if (thread % 4 == 0 && row < p.l)
        p.lse[int64_t(t.head) * p.l + row] = all == 0 ? -minus_infinity<float>() : top[h] * p.scale2 * kLn2 + logf(all);
    }
    if (leads) tensor_wait_read<0>();
    named_barrier(kOwn + consumer, 128);
    put_rows<T, D>(shared + (result - base), y, factor[0], factor[1]);
    proxy_fence();
    named_barrier(kOwn + consumer, 128);
    if (leads) store_heads<D>(p.y, result, p.ev, t.i + own, p.l, t.at);
  }
  if (consumer == 0) named_barrier(kTurn, 256);  // the last turn that was given
  if (leads) tensor_wait<0>();
}

template <class T, int D>
__global__ void __launch_bounds__(kHopperThreads, 1) attention_hopper_fwd(const __grid_constant__ ForwardHopper p) {
#if defined(LAMELLA_EMULATE) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using S = ForwardShared<D>;
  char* shared = dynamic_shared<char>();
  const uint32_t base = shared_address(shared);
  if (threadIdx.x == 0) {
    prefetch_map(p.q.map);
    prefetch_map(p.k.map);
    prefetch_map(p.v.map);
    prefetch_map(p.y.map);
    for (int i = 0; i < S::kSlots; ++i) {
      barrier_init(base + S::full + 8 * i, 1);
      barrier_init(base + S::empty + 8 * i, 4 * kConsumers);  // every warp of the consumers says so
    }
    barrier_init(base + S::q_full, 1);
    barrier_init(base + S::q_empty, 4 * kConsumers);
    barrier_fence();
  }
  make_zeros(shared + S::zeros);
  __syncthreads();
  if (threadIdx.x < 128) {
    fewer_registers<kProducerRegisters>();
    if (threadIdx.x == 0) produce<D>(p, base);
  } else {
    more_registers<kConsumerRegisters>();
    consume<T, D>(p, shared, base);
  }
#endif
}

}  // namespace

bool hopper_takes(const Attention& a) {
  const int64_t heads = head_count(a), tiles = tiles_of(a.l, kHopperRows), most_count = INT32_MAX / 2;
  if (a.mask || a.dropout > 0 || !(float(a.scale) > 0) || a.e > 128 || a.ev > 128 || a.l <= 64 || a.s <= 64) return false;
  if (a.l > most_count || a.s > most_count || heads > most_count / 2 || heads > most_count / tiles ||
      heads > most_count / tiles_of(a.s, kHopperRows))
    return false;
  return tiles * heads >= hopper_from && takes_words(a) && info().major == 9 && is_built<attention_hopper_fwd<bf16, 128>>();
}

bool forward_hopper(const AttentionFwd& f) {
  const Attention& a = f.a;
  if (!hopper_takes(a) || !in_packs(a, f.y, a.ev, a.ndim)) return false;
  ForwardHopper p{};
  int64_t size[3], stride[4][3];
  if (!merge_heads<4>(a, {a.q.batch, a.k.batch, a.v.batch, f.y.batch}, size, stride)) return false;
  if (!map_heads(p.q, a.q.x, a.l, a.e, a.q.row, size, stride[0], kHopperRows) ||
      !map_heads(p.k, a.k.x, a.s, a.e, a.k.row, size, stride[1], kKeys) ||
      !map_heads(p.v, a.v.x, a.s, a.ev, a.v.row, size, stride[2], kKeys) ||
      !map_heads(p.y, f.y.x, a.l, a.ev, f.y.row, size, stride[3], kOwnRows))
    return false;
  p.lse = static_cast<float*>(f.lse);
  p.set(a, size);
  p.heads = int(head_count(a));
  p.tiles = int(tiles_of(a.l, kHopperRows));
  p.section = section_of(p.heads, p.group, a.s * (a.e + a.ev) * 2);
  p.jobs = p.heads * p.tiles;
  by_width(a, [&]<class T, int D>() {
    launch("attention_fwd", attention_hopper_fwd<T, D>, dim3(unsigned(least(p.jobs, info().processors))), dim3(kHopperThreads),
           size_t(ForwardShared<D>::bytes), p);
  });
  return true;
}

}  // namespace lamella::cuda::attention
