// SPDX-License-Identifier: MIT
// What surrounds the tiles: sums of a split k, and copies of operands that no loader takes fast.
#include "gemm_product.cuh"

namespace lamella::cuda {
namespace {

template <class T>
__global__ void __launch_bounds__(kThreads) sum_parts_of(const __grid_constant__ Product p, int64_t count, Divisor each, Divisor row) {
  using V = acc_t<T>;
  const int64_t stride = int64_t(gridDim.x) * kThreads;
  for (int64_t index = int64_t(blockIdx.x) * kThreads + threadIdx.x; index < count; index += stride) {
    int64_t at, i, j, at_a, at_b, at_c;
    const int64_t matrix = each.divide(index, at);
    const V* x = static_cast<const V*>(p.partial) + matrix * p.parts.d * each.d + at;
    V v[1] = {0};
#pragma unroll 4
    for (int64_t s = 0; s < p.parts.d; ++s) v[0] += x[s * each.d];
    i = row.divide(at, j);
    p.batches.find(int(matrix), at_a, at_b, at_c);
    ProductOut<T>{p, static_cast<T*>(p.c) + at_c, nullptr}.put(i, j, v);
  }
}

// Squares of 32 x 32 through shared memory: lanes go along whichever of the two directions is the shorter step.
template <class T>
__global__ void __launch_bounds__(kThreads) relayout_of(const __grid_constant__ Relayout r, bool turn, Divisor squares_k,
                                                        Divisor squares_e, const __grid_constant__ Batches batches) {
  SHARED(T, square, [32][33]);
  int at_k, at_e;
  int64_t from, none, to;
  const int rest = divide_block(squares_k, int(blockIdx.x), at_k), index = divide_block(squares_e, rest, at_e);
  batches.find(index, from, none, to);
  const T* x = static_cast<const T*>(r.x) + from;
  T* y = static_cast<T*>(r.y) + index * r.extent * r.pitch;
  const int lane = int(threadIdx.x) % 32, first = int(threadIdx.x) / 32;
#pragma unroll
  for (int s = first; s < 32; s += 8) {
    const int se = turn ? lane : s, sk = turn ? s : lane;
    const int64_t e = int64_t(at_e) * 32 + se, k = int64_t(at_k) * 32 + sk;
    if (e < r.extent && k < r.depth) square[se][sk] = x[e * r.e_stride + k * r.k_stride];
  }
  __syncthreads();
#pragma unroll
  for (int s = first; s < 32; s += 8) {
    const int64_t e = int64_t(at_e) * 32 + s, k = int64_t(at_k) * 32 + lane;
    if (e < r.extent && k < r.depth) y[e * r.pitch + k] = square[s][lane];
  }
}

}  // namespace

void sum_parts(DType dtype, const Product& p) {
  const int64_t each = p.m * p.n, count = p.batch * each;
  by_float(dtype, [&]<class T>(T) {
    launch("gemm", sum_parts_of<T>, dim3(blocks_for(count, kThreads)), dim3(kThreads), 0, p, count, Divisor(each), Divisor(p.n));
  });
}

void relayout(const Relayout& r) {
  Batches batches{};
  batches.ndim = r.ndim;
  int64_t count = 1;
  for (int d = 0; d < r.ndim; ++d) {
    batches.size[d] = Divisor(r.batch[d]);
    batches.a[d] = r.x_batch[d];
    count *= r.batch[d];
  }
  const auto distance = [](int64_t s) { return s < 0 ? -s : s; };
  const bool turn = distance(r.e_stride) < distance(r.k_stride);
  const int64_t squares_k = ceil_div(r.depth, 32), squares_e = ceil_div(r.extent, 32);
  by_size(r.size, [&]<class T>(T) {
    launch("gemm", relayout_of<T>, dim3(unsigned(squares_k * squares_e * count)), dim3(kThreads), 0, r, turn, Divisor(squares_k),
           Divisor(squares_e), batches);
  });
}

}  // namespace lamella::cuda
