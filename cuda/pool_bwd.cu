// SPDX-License-Identifier: MIT
// Pooling backward. Average: each input gathers from the windows that hold it. Maximum: the contract gives positions, not
// windows, and several outputs may name one input; so a block holds a part of the input in shared memory and adds to it
// in order of the outputs. No float atomics.
#include "pool.cuh"

namespace lamella::cuda {
namespace {

// ---- average -----------------------------------------------------------------------------------------------------------
template <class T, int V> __global__ void average_covering(Pool p, const T* dy, T* dx) {
  using A = acc_t<T>;
  const int64_t e = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (e >= p.total) return;
  const Pool::Place i = p.place(e);
  const int w0 = i.at[2] * V;
  const Span d = p.covering(0, i.at[0]), h = p.covering(1, i.at[1]), w = V == 1 ? p.covering(2, w0) : Pool::cut(w0, w0 + 1);
  const T* plane = dy + i.n * p.y_stride[0] + i.c * p.y_stride[1];
  A sum[V] = {};
  for (int a = d.begin; a < d.end; ++a)
    for (int b = h.begin; b < h.end; ++b) {
      const T* row = plane + a * p.y_stride[2] + b * p.y_stride[3];
      const A size = p.divisor ? A(p.divisor) : A(p.window(0, a).size) * A(p.window(1, b).size);
      for (int c = w.begin; c < w.end; ++c) {
        const Pack<T, V> v = load_pack<T, V>(row + c * p.y_stride[4]);
        const A by = A(1) / (p.divisor || V > 1 ? size : size * A(p.window(2, c).size));
#pragma unroll
        for (int k = 0; k < V; ++k) sum[k] += up(v.v[k]) * by;
      }
    }
  Pack<T, V> out;
#pragma unroll
  for (int k = 0; k < V; ++k) out.v[k] = down<T>(sum[k]);
  store_pack(dx + Pool::offset(p.x_stride, i.n, i.c, i.at[0], i.at[1], w0), out);
}

void average(const ConvGeometry& g, Pool p, const void* dy, void* dx) {
  const int64_t size[3] = {p.in[0], p.in[1], p.in[2]};
  by_float(g.dtype, [&](auto t) {
    using T = decltype(t);
    constexpr int V = kPack<T>;
    const bool packs = packs_along_w(p, V, dy, dx);
    grid_over(p, g, size, p.x_stride, packs ? V : 1);
    const dim3 grid(unsigned(ceil_div(p.total, kThreads)));
    launch("avg_pool_bwd", packs ? average_covering<T, V> : average_covering<T, 1>, grid, dim3(kThreads), 0, p,
           static_cast<const T*>(dy), static_cast<T*>(dx));
  });
}

// ---- maximum -----------------------------------------------------------------------------------------------------------
constexpr int kEach = 4, kGroup = kThreads * kEach;  // outputs of a thread, of a block at a time

struct Planes {
  int64_t planes, inputs, outputs;  // inputs, outputs of a plane
  int64_t tile, tiles;              // inputs that a block holds of a plane, or (tiles 1) all of `held` planes
  int held;
  bool narrow, dense_x, dense_y;    // int32 indices; planes that are runs, one after another
  Divisor c, out_h, out_w, in_h, in_w, per_plane, per_input;
  int64_t x_stride[5], y_stride[5];
  const void* index;
  const int64_t* bounds;            // of each group of a plane's indices: least, greatest; where tiles > 1
  int64_t groups;                   // of a plane
};

GPU int64_t index_of(const Planes& a, int64_t i) {
  return a.narrow ? int64_t(static_cast<const int32_t*>(a.index)[i]) : static_cast<const int64_t*>(a.index)[i];
}
GPU int64_t place_of(const Divisor& c, const Divisor& h, const Divisor& w, const int64_t* s, int64_t plane, int64_t i) {
  int64_t at_c, at_h, at_w;
  const int64_t n = c.divide(plane, at_c), d = h.divide(w.divide(i, at_w), at_h);
  return Pool::offset(s, n, at_c, d, at_h, at_w);
}

__global__ void group_bounds(Planes a, int64_t* bounds) {  // block: a group of a plane
  const int64_t plane = blockIdx.x / uint64_t(a.groups), first = (blockIdx.x - plane * a.groups) * kGroup;
  int64_t low = a.inputs, high = -1;
  for (int64_t o = first + threadIdx.x; o < least(first + kGroup, a.outputs); o += kThreads) {
    const int64_t i = index_of(a, plane * a.outputs + o);
    low = least(low, i);
    high = most(high, i);
  }
  low = block_reduce(low, Min{}, a.inputs);
  high = block_reduce(high, Max{}, int64_t(-1));
  if (threadIdx.x == 0) {
    bounds[int64_t(blockIdx.x) * 2] = low;
    bounds[int64_t(blockIdx.x) * 2 + 1] = high;
  }
}

// The outputs of a group that name one input take turns, the first of those left at a time.
template <class T> __global__ void max_planes(Planes a, const T* dy, T* dx) {
  using A = acc_t<T>;
  constexpr int kNobody = 1 << 30;
  SHARED(int, left, [3]);  // whether any output waits after a turn, by turn modulo 3: reset a turn ahead, read a turn behind
  const int t = int(threadIdx.x);
  const int64_t block = int64_t(blockIdx.x) / a.tiles, begin = (int64_t(blockIdx.x) - block * a.tiles) * a.tile;
  const int64_t plane = block * a.held, planes = least(a.held, a.planes - plane);
  const int64_t room = a.tiles > 1 ? least(a.tile, a.inputs - begin) : planes * a.inputs, outputs = planes * a.outputs;
  A* sum = dynamic_shared<A>();
  int* turn = reinterpret_cast<int*>(sum + (a.tiles > 1 ? a.tile : a.held * a.inputs));
  for (int64_t i = t; i < room; i += kThreads) sum[i] = 0, turn[i] = kNobody;
  if (t < 3) left[t] = 0;
  __syncthreads();
  int round = 0;
  for (int64_t first = 0; first < outputs; first += kGroup) {
    if (a.tiles > 1) {
      const int64_t* b = a.bounds + 2 * (plane * a.groups + first / kGroup);
      if (b[1] < begin || b[0] >= begin + room) continue;
    }
    int at[kEach];
    A v[kEach];
    unsigned waiting = 0;
#pragma unroll
    for (int j = 0; j < kEach; ++j) {
      const int64_t o = first + j * kThreads + t;
      if (o >= outputs) continue;
      int64_t q = o, p = a.held > 1 ? a.per_plane.divide(o, q) : 0;
      const int64_t i = p * a.inputs + index_of(a, plane * a.outputs + o) - begin;
      if (i < 0 || i >= room) continue;
      at[j] = int(i);
      waiting |= 1u << j;
      v[j] = up(dy[a.dense_y ? plane * a.outputs + o : place_of(a.c, a.out_h, a.out_w, a.y_stride, plane + p, q)]);
    }
    for (bool more = true; more; ++round) {
      if (t == 0) left[(round + 1) % 3] = 0;
#pragma unroll
      for (int j = 0; j < kEach; ++j)
        if (waiting >> j & 1) atomicMin(&turn[at[j]], j * kThreads + t);
      __syncthreads();
#pragma unroll
      for (int j = 0; j < kEach; ++j)
        if ((waiting >> j & 1) && *static_cast<volatile int*>(&turn[at[j]]) == j * kThreads + t) {
          sum[at[j]] += v[j];
          turn[at[j]] = kNobody;
          waiting &= ~(1u << j);
        }
      if (waiting) left[round % 3] = 1;
      __syncthreads();
      more = left[round % 3] != 0;
    }
  }
  __syncthreads();
  for (int64_t i = t; i < room; i += kThreads) {
    int64_t q = begin + i, p = a.held > 1 ? a.per_input.divide(i, q) : 0;
    dx[a.dense_x ? plane * a.inputs + begin + i : place_of(a.c, a.in_h, a.in_w, a.x_stride, plane + p, q)] = down<T>(sum[i]);
  }
}

bool is_dense(const int64_t* size, const int64_t* s, int64_t c) {
  return s[4] == 1 && s[3] == size[2] && s[2] == s[3] * size[1] && s[1] == s[2] * size[0] && s[0] == s[1] * c;
}

}  // namespace

void avg_pool_bwd(const AvgPoolBwd& a) {
  average(a.g, pool_of(a.g, false, a.count_include_pad, a.divisor_override), a.dy, a.dx);
}
void adaptive_avg_pool_bwd(const AdaptiveAvgPoolBwd& a) { average(a.g, pool_of(a.g, true, false, 0), a.dy, a.dx); }

void max_pool_bwd(const MaxPoolBwd& a) {
  const ConvGeometry& g = a.g;
  Planes p{};
  p.planes = g.n * g.c;
  p.inputs = g.in[0] * g.in[1] * g.in[2];
  p.outputs = g.out[0] * g.out[1] * g.out[2];
  if (p.planes * p.inputs == 0) return;
  p.narrow = a.index_dtype == DType::i32;
  p.dense_x = is_dense(g.in, g.x_stride, g.c);
  p.dense_y = is_dense(g.out, g.y_stride, g.c);
  p.c = Divisor(g.c);
  p.out_h = Divisor(g.out[1]), p.out_w = Divisor(g.out[2]), p.in_h = Divisor(g.in[1]), p.in_w = Divisor(g.in[2]);
  p.per_plane = Divisor(p.outputs), p.per_input = Divisor(p.inputs);
  for (int i = 0; i < 5; ++i) p.x_stride[i] = g.x_stride[i], p.y_stride[i] = g.y_stride[i];
  p.index = a.index;
  p.groups = ceil_div(p.outputs, kGroup);
  by_float(g.dtype, [&](auto t) {
    using T = decltype(t);
    constexpr int64_t bytes = sizeof(acc_t<T>) + sizeof(int);
    // 98 KiB hold a plane of 112 x 112 floats twice on a processor; other devices have less
    const int64_t room = least(98 * 1024, info().shared_bytes - 1024) / bytes;
    p.tiles = p.inputs <= room ? 1 : ceil_div(p.inputs, least(room, 4096));
    p.tile = ceil_div(p.inputs, p.tiles);
    p.held = p.tiles > 1 ? 1 : int(most(1, least(2048 / p.inputs, p.planes)));
    Temp bounds(size_t(p.tiles > 1 ? p.planes * p.groups * 2 : 0) * sizeof(int64_t));
    p.bounds = bounds.as<int64_t>();
    if (p.tiles > 1)
      launch("max_pool_bwd", group_bounds, dim3(unsigned(p.planes * p.groups)), dim3(kThreads), 0, p, bounds.as<int64_t>());
    launch("max_pool_bwd", max_planes<T>, dim3(unsigned(ceil_div(p.planes, p.held) * p.tiles)), dim3(kThreads),
           size_t(p.tiles > 1 ? p.tile : p.held * p.inputs) * bytes, p, static_cast<const T*>(a.dy), static_cast<T*>(a.dx));
  });
}

}  // namespace lamella::cuda
