// SPDX-License-Identifier: MIT
// Products of 16-bit matrices on Hopper: blocks that stay, each with a warpgroup that fetches tiles by TMA and two that
// multiply them by wgmma and store c through shared memory by TMA. Every element of c is the sum over k in order by one
// warpgroup, whatever the tile and the grid; few tiles with a long k are sums of parts, as many as the shape says.
#include "gemm_hopper.h"
#include "gemm_hopper.cuh"
#include "gemm_product.cuh"

namespace lamella::cuda {
namespace {

struct HopperGemm {
  CUtensorMap a, b, c;           // c only where c_mapped
  void* c_at;
  const void* bias;
  float* partial;                // (batch, part, m, n), or null
  int64_t c_row, c_batch;
  int m, n, k_blocks, part_blocks, parts, rows, cols, tiles, units, band;  // tiles of c; units: tiles of all parts
  int a_batch, b_batch;          // 0 where all batches share the operand
  bool a_turned, b_turned;       // MN-major: a's unit stride along m, b's along n
  bool c_mapped, accumulate;
  BiasAxis bias_axis;
  Act act;
};

// The blocks' work: part after part, of every part the tiles in order; its slices of k.
struct Unit : TileAt { int part, first_k, last_k; };
[[maybe_unused]] GPU Unit unit_at(const HopperGemm& p, int i) {
  const int part = i / p.tiles, first = part * p.part_blocks;
  return {tile_at(i % p.tiles, p.rows, p.cols, p.band), part, first, int(least(first + p.part_blocks, p.k_blocks))};
}

template <class T, int kN> GPU void produce(const HopperGemm& p, uint32_t ring, uint32_t full, uint32_t empty) {
  using S = HopperShared<kN>;
  RingAt at;
  for (int i = int(blockIdx.x); i < p.units; i += int(gridDim.x)) {
    const Unit tile = unit_at(p, i);
    const int m = tile.row * kTileM, n = tile.col * kN, za = tile.batch * p.a_batch, zb = tile.batch * p.b_batch;
    for (int k = tile.first_k; k < tile.last_k; ++k) {
      barrier_wait(empty + 8 * at.stage, at.phase ^ 1);
      const uint32_t arrived = full + 8 * at.stage, a = ring + at.stage * S::kStage, b = a + S::kA;
      barrier_arrive_expect(arrived, S::kStage);
      if (p.a_turned) {
#pragma unroll
        for (int j = 0; j < kTileM / 64; ++j) tensor_load<3>(a + j * S::kPiece, p.a, {m + 64 * j, k * kTileK, za}, arrived);
      } else tensor_load<3>(a, p.a, {k * kTileK, m, za}, arrived);
      if (p.b_turned) {
#pragma unroll
        for (int j = 0; j < kN / 64; ++j) tensor_load<3>(b + j * S::kPiece, p.b, {n + 64 * j, k * kTileK, zb}, arrived);
      } else tensor_load<3>(b, p.b, {k * kTileK, n, zb}, arrived);
      at.next(S::kStages);
    }
  }
}

// d = the consumer's 64 rows of A times B over all of k. One group stays in flight: a stage is released when the next
// one's products have been asked for. The first stage stands before the loop: were d undefined on entering it, ptxas would
// move registers between products and so serialise them (C7515).
template <class T, int kN, bool kTurnedA, bool kTurnedB>
GPU void multiply(float (&d)[kN / 2], RingAt& at, int k_blocks, int consumer, uint32_t ring, uint32_t full, uint32_t empty) {
  using S = HopperShared<kN>;
  const bool speaks = threadIdx.x % 32 == 0;
  const auto stage = [&](bool add) {
    barrier_wait(full + 8 * at.stage, at.phase);
    const uint32_t start = ring + at.stage * S::kStage, rows = start + consumer * S::kPiece;
    const uint64_t a = kTurnedA ? mn_major(rows, S::kPiece) : k_major(rows);
    const uint64_t b = kTurnedB ? mn_major(start + S::kA, S::kPiece) : k_major(start + S::kA);
    wgmma_fence();
#pragma unroll
    for (int j = 0; j < kTileK / 16; ++j)
      wgmma<T, kN, kTurnedA, kTurnedB>(d, a + j * (kTurnedA ? kNextKTransposed : kNextK),
                                       b + j * (kTurnedB ? kNextKTransposed : kNextK), add || j > 0);
    wgmma_commit();
    const uint32_t used = empty + 8 * at.stage;
    at.next(S::kStages);
    return used;
  };
  hold(d);
  uint32_t before = stage(false);
  for (int k = 1; k < k_blocks; ++k) {
    const uint32_t used = stage(true);
    wgmma_wait<1>();
    if (speaks) barrier_arrive(before);
    before = used;
  }
  wgmma_wait<0>();
  hold(d);
  if (speaks) barrier_arrive(before);
}

// A consumer's tile of c in shared memory, as seen by one lane of stmatrix4 and ldmatrix4: columns 16 i and on.
struct Lane {
  char* box;       // the consumer's first
  int row, piece;  // of the 16 x 16 block: this lane's row, and the half of the columns
};
template <class L> GPU char* block_at(const L& lane, int i) {
  return lane.box + i / 4 * 8192 + piece_at(lane.row, i % 4 * 2 + lane.piece);
}
template <class T> GPU void store16(const Lane& lane, int i, const float* v) {
  const uint32_t r[4] = {pack2<T>(v[0], v[1]), pack2<T>(v[2], v[3]), pack2<T>(v[4], v[5]), pack2<T>(v[6], v[7])};
  stmatrix4(block_at(lane, i), r);
}
template <class T> GPU void add16(const Lane& lane, int i, float* v) {  // adds what lies there
  uint32_t r[4];
  ldmatrix4(r, block_at(lane, i));
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    v[2 * j] += T{uint16_t(r[j])}.to();
    v[2 * j + 1] += T{uint16_t(r[j] >> 16)}.to();
  }
}

// Bias, former values and activation on 32 columns at a time. The accumulators move down instead of being indexed, so
// that this code is there once.
template <class T, int kN> GPU void finish(const HopperGemm& p, float (&d)[kN / 2], const Lane& lane, int row, int col) {
  const T* bias = static_cast<const T*>(p.bias);
  float of_row[2] = {0, 0};
  if (p.bias_axis == BiasAxis::row)
    for (int i = 0; i < 2; ++i) if (row + 8 * i < p.m) of_row[i] = bias[row + 8 * i].to();
#pragma unroll 1
  for (int s = 0; s < kN / 32; ++s) {
    float v[16];
#pragma unroll
    for (int i = 0; i < 16; ++i) v[i] = d[i] + of_row[i / 2 % 2];
    if (p.bias_axis == BiasAxis::column) {
#pragma unroll
      for (int i = 0; i < 16; i += i % 4 ? 3 : 1) {  // elements 0 and 1 of every four: two columns, in two rows
        const int at = col + 32 * s + d_col(0, i);
        const float x = at < p.n ? bias[at].to() : 0.0f;
        v[i] += x;
        v[i + 2] += x;
      }
    }
    if (p.accumulate) {
      add16<T>(lane, 2 * s, v);
      add16<T>(lane, 2 * s + 1, v + 8);
    }
    activate(p.act, v);
    store16<T>(lane, 2 * s, v);
    store16<T>(lane, 2 * s + 1, v + 8);
#pragma unroll
    for (int i = 0; i < kN / 2 - 16; ++i) d[i] = d[i + 16];
  }
}

// A part's sums, as they are.
template <int kN> GPU void put_partial(float* to, const float (&d)[kN / 2], int row, int col, int m, int n) {
  const bool pairs = n % 2 == 0;
#pragma unroll
  for (int i = 0; i < kN / 2; i += 2) {
    const int r = row + d_row(0, i), c = col + d_col(0, i);
    if (r >= m || c >= n) continue;
    float* at = to + int64_t(r) * n + c;
    if (pairs) store_pack(at, Pack<float, 2>{d[i], d[i + 1]});
    else {
      at[0] = d[i];
      if (c + 1 < n) at[1] = d[i + 1];
    }
  }
}

// A warp's 16 rows of c between global memory and the tile in shared memory, where TMA cannot.
template <class T, int kN, bool kLoad> GPU void copy_rows(const HopperGemm& p, char* box, const TileAt& tile, int first) {
  T* c = static_cast<T*>(p.c_at) + tile.batch * p.c_batch;
  const int row = tile.row * kTileM + kTileM / kConsumers * (first / 64), lane = int(threadIdx.x) % 32;
  __syncwarp();
  for (int r = first % 64; r < first % 64 + 16; ++r) {
    if (row + r >= p.m) break;
    for (int j = lane; j < kN && tile.col * kN + j < p.n; j += 32) {
      T& there = c[(row + r) * p.c_row + tile.col * kN + j];
      T& here = *reinterpret_cast<T*>(box + j / 64 * 8192 + piece_at(r, j % 64 / 8) + j % 8 * 2);
      if constexpr (kLoad) here = there;
      else there = here;
    }
  }
  __syncwarp();
}

template <class T, int kN>
GPU void consume(const HopperGemm& p, char* shared, uint32_t ring, uint32_t full, uint32_t empty, uint32_t old) {
  using S = HopperShared<kN>;
  const int thread = int(threadIdx.x) % 128, consumer = int(threadIdx.x) / 128 - 1, first = thread / 32 * 16;
  const bool leads = thread == 0;
  char* box = shared + S::c + consumer * S::kConsumerC;
  const Lane lane{box, first + thread % 16, thread % 32 / 16};
  const uint32_t boxes = ring + S::c + consumer * S::kConsumerC;
  old += 8 * consumer;
  RingAt at;
  int old_phase = 0;
  float d[kN / 2];
  for (int i = int(blockIdx.x); i < p.units; i += int(gridDim.x)) {
    const Unit tile = unit_at(p, i);
    const int m = tile.row * kTileM + 64 * consumer, n = tile.col * kN;
    const int slices = tile.last_k - tile.first_k;
    const int used = p.n - n < kN ? (p.n - n + 63) / 64 : kN / 64;  // boxes that hold any of c
    if (p.accumulate && p.c_mapped && leads) {
      tensor_wait_read<0>();
      barrier_arrive_expect(old, used * S::kPiece);
      for (int j = 0; j < used; ++j) tensor_load<3>(boxes + j * S::kPiece, p.c, {n + 64 * j, m, tile.batch}, old);
    }

    if (!p.a_turned && p.b_turned) multiply<T, kN, false, true>(d, at, slices, consumer, ring, full, empty);
    else if (!p.a_turned) multiply<T, kN, false, false>(d, at, slices, consumer, ring, full, empty);
    else if (p.b_turned) multiply<T, kN, true, true>(d, at, slices, consumer, ring, full, empty);
    else multiply<T, kN, true, false>(d, at, slices, consumer, ring, full, empty);

    const int row = m + d_row(thread, 0), col = n + d_col(thread, 0);
    if (p.partial) {
      put_partial<kN>(p.partial + (int64_t(tile.batch) * p.parts + tile.part) * p.m * p.n, d, row, col, p.m, p.n);
      continue;
    }
    if (p.accumulate && p.c_mapped) {
      barrier_wait(old, old_phase);
      old_phase ^= 1;
    } else if (p.c_mapped) {  // the former tile has been read
      if (leads) tensor_wait_read<0>();
      named_barrier(1 + consumer, 128);
    } else if (p.accumulate) copy_rows<T, kN, true>(p, box, tile, 64 * consumer + first);
    else __syncwarp();

    if (p.accumulate || p.act != Act::none || p.bias_axis != BiasAxis::none)
      finish<T, kN>(p, d, lane, row, col);
    else {
#pragma unroll
      for (int j = 0; j < kN / 16; ++j) store16<T>(lane, j, d + 8 * j);
    }

    if (p.c_mapped) {
      proxy_fence();
      named_barrier(1 + consumer, 128);
      if (leads) {
        if (m < p.m)
          for (int j = 0; j < used; ++j) tensor_store<3>(p.c, {n + 64 * j, m, tile.batch}, boxes + j * S::kPiece);
        tensor_commit();
      }
    } else copy_rows<T, kN, false>(p, box, tile, 64 * consumer + first);
  }
  if (leads) tensor_wait<0>();
}

template <class T, int kN>
__global__ void __launch_bounds__(kHopperThreads, 1) gemm_hopper_tiles(const __grid_constant__ HopperGemm p) {
#if defined(LAMELLA_EMULATE) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using S = HopperShared<kN>;
  char* shared = dynamic_shared<char>();
  const uint32_t ring = shared_address(shared), full = ring + S::full, empty = ring + S::empty, old = ring + S::old;
  if (threadIdx.x == 0) {
    prefetch_map(p.a);
    prefetch_map(p.b);
    if (p.c_mapped) prefetch_map(p.c);
    for (int s = 0; s < S::kStages; ++s) {
      barrier_init(full + 8 * s, 1);
      barrier_init(empty + 8 * s, 4 * kConsumers);  // every warp of the consumers says so
    }
    for (int i = 0; i < kConsumers; ++i) barrier_init(old + 8 * i, 1);
    barrier_fence();
  }
  __syncthreads();
  if (threadIdx.x < 128) {
    fewer_registers<kProducerRegisters>();
    if (threadIdx.x == 0) produce<T, kN>(p, ring, full, empty);
  } else {
    more_registers<kConsumerRegisters>();
    consume<T, kN>(p, shared, ring, full, empty, old);
  }
#endif
}

template <class T, int kN> void start(const HopperGemm& p) {
  const int blocks = int(least(p.units, info().processors));
  constexpr size_t shared = size_t(HopperShared<kN>::bytes);
  launch("gemm_hopper", gemm_hopper_tiles<T, kN>, dim3(unsigned(blocks)), dim3(kHopperThreads), shared, p);
}

// The map of an operand of mn x k (strides along both) over `count` batches `batch` apart (0: shared), for boxes of
// `width` rows if K-major. `turned` if MN-major.
bool map_operand(CUtensorMap& map, bool& turned, const void* p, int64_t mn, int64_t k, int64_t step_mn, int64_t step_k,
                 int64_t count, int64_t batch, int width) {
  if (step_k != 1 && step_mn != 1) return false;
  turned = step_k != 1;
  const int64_t dims[3] = {turned ? mn : k, turned ? k : mn, batch ? count : 1}, step = turned ? step_k : step_mn;
  const int64_t strides[2] = {step, batch ? batch : step * dims[1]};
  const int box[3] = {64, turned ? 64 : width, 1};
  return tensor_map(map, p, 3, dims, strides, box);
}

}  // namespace

bool gemm_hopper(const Gemm& g) {
  if ((g.dtype != DType::bf16 && g.dtype != DType::f16) || info().major != 9 || g.batch_ndim > 1 || !is_built<gemm_hopper_tiles<bf16, 256>>())
    return false;
  const int64_t count = g.batch_ndim ? g.batch[0] : 1;
  const HopperPlan plan = plan_hopper(g.m, g.n, g.k, count, info().processors);
  if (!plan.width) return false;

  HopperGemm p{};
  p.a_batch = count > 1 && g.a_batch[0] != 0;
  p.b_batch = count > 1 && g.b_batch[0] != 0;
  p.c_batch = count > 1 ? g.c_batch[0] : g.m * g.c_row;
  const int64_t a_batch = p.a_batch ? g.a_batch[0] : 0, b_batch = p.b_batch ? g.b_batch[0] : 0;
  if (!map_operand(p.a, p.a_turned, g.a, g.m, g.k, g.a_row, g.a_col, count, a_batch, kTileM)) return false;
  if (!map_operand(p.b, p.b_turned, g.b, g.n, g.k, g.b_col, g.b_row, count, b_batch, plan.width)) return false;
  const int64_t dims[3] = {g.n, g.m, count}, strides[2] = {g.c_row, p.c_batch};
  const int box[3] = {64, 64, 1};
  p.c_mapped = plan.parts == 1 && tensor_map(p.c, g.c, 3, dims, strides, box);
  p.c_at = g.c;
  p.c_row = g.c_row;
  p.accumulate = g.accumulate && plan.parts == 1;
  p.bias = g.bias;
  p.bias_axis = g.accumulate || !g.bias ? BiasAxis::none : g.bias_axis;
  p.act = g.accumulate ? Act::none : g.act;
  p.m = int(g.m);
  p.n = int(g.n);
  p.k_blocks = int(ceil_div(g.k, kTileK));
  p.part_blocks = plan.part_blocks;
  p.parts = plan.parts;
  p.rows = plan.rows;
  p.cols = plan.cols;
  p.tiles = int(plan.rows * plan.cols * count);
  p.units = p.tiles * plan.parts;
  p.band = plan.width == 256 ? 16 : 12;
  const Temp partial(plan.parts == 1 ? 0 : size_t(plan.parts * count * g.m * g.n) * sizeof(float));
  p.partial = partial.as<float>();
  const auto run = [&]<class T>(T) {
    if (plan.width == 256) start<T, 256>(p);
    else if (plan.width == 128) start<T, 128>(p);
    else start<T, 64>(p);
  };
  if (g.dtype == DType::bf16) run(bf16{});
  else run(f16{});

  if (plan.parts > 1) {
    Product sum{};
    sum.c = g.c; sum.bias = g.bias; sum.partial = partial.p;
    sum.m = g.m; sum.n = g.n; sum.k = g.k; sum.c_row = g.c_row; sum.batch = count;
    sum.parts = Divisor(plan.parts);
    sum.batches.ndim = 1;
    sum.batches.size[0] = Divisor(count);
    sum.batches.c[0] = p.c_batch;
    sum.axis = p.bias_axis;
    sum.act = p.act;
    sum.accumulate = g.accumulate;
    sum_parts(g.dtype, sum);
  }
  return true;
}

}  // namespace lamella::cuda
