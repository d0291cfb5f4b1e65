// SPDX-License-Identifier: MIT
// All steps of a recurrent layer in one launch (Diamos et al. 2016), forward or backward: each block keeps its units'
// weights in shared memory, and the blocks of a group exchange what a step is multiplied with through the layer's arrays,
// with a barrier among them after each step. Sums run over k in one order, whatever the plan: bfloat16 and float16 by tensor
// cores in four chains, float32 and float64 by the lanes of a warp.
#pragma once
#include "mma.cuh"
#include "recurrent.cuh"

namespace lamella::cuda {
namespace {

template <class T> constexpr bool kHalf = sizeof(T) == 2;
constexpr int kSumPad = 4;        // the sums of a row lie this much further apart: no bank conflicts between rows

// Work is one direction:
//   width                      elements of a row of the left operand, and of the weights of a sum
//   weight(d, l, u, k)         points to element k of the weights that give unit u its sum l < plan.sums
//   kAcross                    neighbours in memory are those along u, not along k
//   row(d, m, b)               row b of the left operand at this step, or null: zeros
//   cell(d, m, b, u, sum)      the sums are complete; zero where row is null
//   ahead(d, m, b, u)          asks for what cell will read from unit u on
//   forward(d)                 steps are taken from the first on
template <class T, class Work> struct Persistent {
  RecurrentPlan plan;
  int64_t steps, batch, hidden;
  const int64_t* offset;          // null: all sequences have all steps
  unsigned* counters;             // of a group each, 32 bytes apart
  Divisor words, units;           // 16-byte words of a row in shared memory, units of a pass
  bool packed;                    // rows of the left operand (and of weights, unless across) are whole aligned words
  Work work;
};

// `count` rows go to shared memory, zeros in the place of null rows and after their ends. Passed by the whole block, arrived
// after wait_async and a barrier.
template <class T, class F>
GPU void stage(T* to, int pitch, int count, const Divisor& words, int64_t width, bool packed, const F& row) {
  constexpr int N = kPack<T>;
  const int all = count * int(words.d);
  for (int i = int(threadIdx.x); i < all; i += kThreads) {
    int64_t c;
    const int r = int(words.divide(i, c));
    const T* const from = row(r);
    T* const at = to + r * pitch + c * N;
    const int64_t left = from ? width - c * N : 0;
    if (packed && left > 0) {
      copy_async(at, from + c * N);
      continue;
    }
    Pack<T, N> k;
#pragma unroll
    for (int e = 0; e < N; ++e) k.v[e] = e < left ? from[c * N + e] : T{};
    store_pack(at, k);
  }
  commit_async();
}

// sums[col * sum_pitch + row] = w[row] . h[col] for 4 x 4 of them: lanes take turns at words of k.
template <class T> GPU void multiply_tile(const T* w, const T* h, int pitch, int depth, acc_t<T>* sums, int sum_pitch) {
  constexpr int N = kPack<T>;
  const int lane = int(threadIdx.x) % 32;
  T v[16] = {};
#pragma unroll 1
  for (int k = lane * N; k < depth; k += 32 * N) {
    Pack<T, N> a[4], b[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) a[i] = load_pack<T, N>(w + i * pitch + k), b[i] = load_pack<T, N>(h + i * pitch + k);
#pragma unroll
    for (int e = 0; e < N; ++e)
#pragma unroll
      for (int i = 0; i < 16; ++i) v[i] = fma(a[i / 4].v[e], b[i % 4].v[e], v[i]);
  }
#pragma unroll
  for (int by = 16, left = 8; left; by /= 2, left /= 2) {  // lanes 2 i and 2 i + 1 end with the sum of v[i]
    const bool upper = lane & by;
#pragma unroll
    for (int i = 0; i < 8; ++i)
      if (i < left) {
        const T mine = upper ? v[i + left] : v[i], other = upper ? v[i] : v[i + left];
        v[i] = mine + __shfl_xor_sync(~0u, other, by);
      }
  }
  v[0] += __shfl_xor_sync(~0u, v[0], 1);
  if (lane % 2 == 0) sums[lane / 2 % 4 * sum_pitch + lane / 8] = v[0];
}

// The same for 16 x 8 by tensor cores; depth is a multiple of 32.
template <class T> GPU void multiply_tile_half(const T* w, const T* h, int pitch, int depth, float* sums, int sum_pitch) {
  const int lane = int(threadIdx.x) % 32;
  w += (lane % 16) * pitch + lane / 16 * 8;
  h += (lane % 8) * pitch + lane / 8 * 8;
  float c[4][4] = {};
  const auto two = [&](int k, float (&even)[4], float (&odd)[4]) {
    uint32_t a[4], next[4], b[4];
    ldmatrix4(a, w + k);
    ldmatrix4(b, h + k);
    ldmatrix4(next, w + k + 16);
    const uint32_t low[2] = {b[0], b[1]}, high[2] = {b[2], b[3]};
    mma16<T>(even, a, low);
    mma16<T>(odd, next, high);
  };
#pragma unroll 2
  for (int k = 0; k < depth; k += 64) {
    two(k, c[0], c[1]);
    if (k + 32 < depth) two(k + 32, c[2], c[3]);
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) sums[c_col(lane, i) * sum_pitch + c_row(lane, i)] = (c[0][i] + c[1][i]) + (c[2][i] + c[3][i]);
}

template <class T> GPU void multiply(const RecurrentPlan& plan, const T* w, const T* h, int cols, acc_t<T>* sums) {
  constexpr int kM = kHalf<T> ? 16 : 4, kN = kHalf<T> ? 8 : 4;
  const int tiles_n = (cols + kN - 1) / kN, tiles = plan.tile_rows / kM * tiles_n, sum_pitch = plan.tile_rows + kSumPad;
#pragma unroll 1
  for (int tile = int(threadIdx.x) / 32; tile < tiles; tile += kThreads / 32) {
    const int row = tile / tiles_n * kM, col = tile % tiles_n * kN;
    const T *a = w + row * plan.pitch, *b = h + col * plan.pitch;
    acc_t<T>* const to = sums + col * sum_pitch + row;
    if constexpr (kHalf<T>) multiply_tile_half(a, b, plan.pitch, plan.pitch - kPack<T>, to, sum_pitch);
    else multiply_tile(a, b, plan.pitch, plan.pitch, to, sum_pitch);
  }
}

GPU unsigned load_acquire(const unsigned* p) {
#ifdef LAMELLA_EMULATE
  return *static_cast<const volatile unsigned*>(p);
#else
  unsigned y;
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(y) : "l"(p) : "memory");
  return y;
#endif
}
GPU void prefetch(const void* p) {
#ifndef LAMELLA_EMULATE
  asm volatile("prefetch.global.L2 [%0];" ::"l"(p));
#else
  (void)p;
#endif
}

// What the blocks of a group wrote before it, all of them see after it. `arrived`: at all barriers up to this one.
GPU void group_barrier(unsigned* counter, unsigned arrived) {
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    atomicAdd(counter, 1u);
    while (int(load_acquire(counter) - arrived) < 0) __nanosleep(20);
    __threadfence();
  }
  __syncthreads();
}

// The weights of units [first, first + pass_units), row l of unit u at l * pass_units + u; zeros where there are none.
template <class T, class Work>
GPU void stage_weights(const Persistent<T, Work>& p, T* w, int d, int64_t first, int64_t unit1) {
  const RecurrentPlan& plan = p.plan;
  const int64_t width = p.work.width;
  if constexpr (!Work::kAcross) {
    stage(w, plan.pitch, plan.tile_rows, p.words, width, p.packed, [&](int r) -> const T* {
      int64_t u;
      const int64_t l = p.units.divide(r, u);
      return l < plan.sums && first + u < unit1 ? p.work.weight(d, l, first + u, 0) : nullptr;
    });
  } else {
    for (int64_t k = int64_t(threadIdx.x) / 8; k < plan.pitch; k += kThreads / 8)  // eight threads for neighbours along u
      for (int r = int(threadIdx.x) % 8; r < plan.tile_rows; r += 8) {
        int64_t u;
        const int64_t l = p.units.divide(r, u);
        w[r * plan.pitch + k] = l < plan.sums && first + u < unit1 && k < width ? *p.work.weight(d, l, first + u, k) : T{};
      }
  }
}

template <class T, class Work>
__global__ void __launch_bounds__(kThreads) recurrent_all_steps(const __grid_constant__ Persistent<T, Work> p) {
  using V = acc_t<T>;
  const RecurrentPlan& plan = p.plan;
  const int slice = int(blockIdx.x) % plan.slices, group = int(blockIdx.x) / plan.slices % plan.groups;
  const int d = int(blockIdx.x) / (plan.slices * plan.groups);
  const int64_t unit0 = int64_t(slice) * plan.units, unit1 = least(unit0 + plan.units, p.hidden);
  const int64_t row0 = int64_t(group) * plan.rows, row1 = least(row0 + plan.rows, p.batch);
  unsigned* const counter = p.counters + (d * plan.groups + group) * 8;
  T* const w = dynamic_shared<T>();
  T* const h = w + plan.tile_rows * plan.pitch;
  V* const sums = reinterpret_cast<V*>(h + plan.chunk * plan.pitch);
  const int sum_pitch = plan.tile_rows + kSumPad;
  const auto moment_at = [&](int64_t i) {
    const int64_t t = p.work.forward(d) ? i : p.steps - 1 - i;
    return p.offset ? moment(p.offset, p.steps, t, d == 0) : moment_of_all(p.batch, p.steps, t, d == 0);
  };
  if (plan.passes == 1) stage_weights(p, w, d, unit0, unit1);
  bool wait = false;
  unsigned arrived = 0;
#pragma unroll 1
  for (int64_t i = 0; i < p.steps; ++i) {
    const Moment m = moment_at(i);
    const int64_t end = least(row1, m.count);
    if (row0 >= end) continue;
    if (wait && plan.slices == 1) __syncthreads();
    else if (wait) group_barrier(counter, arrived += unsigned(plan.slices));
    wait = true;
#pragma unroll 1
    for (int64_t first = unit0; first < unit1; first += plan.pass_units) {
      const int64_t units = least(plan.pass_units, unit1 - first);
      if (plan.passes > 1) stage_weights(p, w, d, first, unit1);
#pragma unroll 1
      for (int64_t b0 = row0; b0 < end; b0 += plan.chunk) {
        const int rows = int(least(plan.chunk, end - b0));
        const bool any = p.work.row(d, m, b0) != nullptr;  // those that have none come last
        if (any)
          stage(h, plan.pitch, rows, p.words, p.work.width, p.packed, [&](int b) { return p.work.row(d, m, b0 + b); });
        wait_async<0>();
        __syncthreads();
        if (any) multiply(plan, w, h, rows, sums);
        __syncthreads();
#pragma unroll 1
        for (int j = int(threadIdx.x); j < rows * plan.pass_units; j += kThreads) {
          int64_t u;
          const int64_t b = p.units.divide(j, u);
          if (u >= units) continue;
          V sum[4] = {};
          const bool known = p.work.row(d, m, b0 + b) != nullptr;
#pragma unroll
          for (int l = 0; l < 4; ++l)
            if (known && l < plan.sums) sum[l] = sums[b * sum_pitch + l * plan.pass_units + u];
          p.work.cell(d, m, b0 + b, first + u, sum);
        }
      }
    }
    if (i + 1 == p.steps) return;
    const Moment next = moment_at(i + 1);  // what its cells read is on the way while this block waits
    const int rows = int(most(0, least(row1, next.count) - row0));
    for (int j = int(threadIdx.x); j < rows; j += kThreads) p.work.ahead(d, next, row0 + j, unit0);
  }
}

template <class T, class Work>
void launch_all_steps(const char* name, const RecurrentShape& s, const RecurrentPlan& plan, const Work& work, bool packed) {
  bool all = true;
  for (int64_t t = 0; t < s.steps; ++t) all = all && s.offset[t + 1] - s.offset[t] == s.batch;
  const std::vector<unsigned> zeros(size_t(s.sides) * plan.groups * 8, 0u);
  const Uploaded counters(zeros.data(), zeros.size() * sizeof(unsigned));
  const Uploaded offset(s.offset, all ? 0 : size_t(s.steps + 1) * sizeof(int64_t));
  const Persistent<T, Work> p{plan, s.steps, s.batch, s.hidden, offset.as<int64_t>(), counters.as<unsigned>(),
                              Divisor(plan.pitch / kPack<T>), Divisor(plan.pass_units), packed, work};
  launch_together(name, recurrent_all_steps<T, Work>, dim3(unsigned(plan.blocks(s.sides))), dim3(kThreads),
                  size_t(plan.shared_bytes), p);
}

}  // namespace
}  // namespace lamella::cuda
