// SPDX-License-Identifier: MIT
// Matrix times vector at the speed of memory: y(i) = the sum over k of M(i, k) x(k). Long sums are split into parts, whose
// number follows from the shape.
#include "gemm_product.cuh"

namespace lamella::cuda {
namespace {

struct VectorProduct {
  const void *matrix, *x;
  int64_t rows, row_stride, k_stride, x_stride, c_stride;
  bool fast, swapped;        // 16-byte loads of the matrix (and of x, along k); x is the Gemm's a
  Divisor blocks;            // of one part
  Product p;                 // m or n is 1; the matrix's rows are the other
  template <class T> GPU void find(int block, int& tile, int& part, const T*& m, const T*& v, T*& c, acc_t<T>*& partial) const {
    int64_t at_a, at_b, at_c;
    const int group = divide_block(blocks, block, tile), index = divide_block(p.parts, group, part);
    p.batches.find(index, at_a, at_b, at_c);
    const int64_t from = part * p.depth;
    m = static_cast<const T*>(matrix) + (swapped ? at_b : at_a) + from * k_stride;
    v = static_cast<const T*>(x) + (swapped ? at_a : at_b) + from * x_stride;
    c = static_cast<T*>(p.c) + at_c;
    partial = p.partial ? static_cast<acc_t<T>*>(p.partial) + group * rows : nullptr;
  }
  template <class T> GPU void put(int64_t i, acc_t<T> sum, T* c, acc_t<T>* partial) const {
    acc_t<T> v[1] = {sum};
    ProductOut<T>{p, c, partial}.put(swapped ? 0 : i, swapped ? i : 0, v);
  }
};

// Rows along k: a warp or a block of kLanes threads for each.
template <class T, int kLanes>
__global__ void __launch_bounds__(kThreads) rows_times_vector(const __grid_constant__ VectorProduct q) {
  using V = acc_t<T>;
  constexpr int kPer = kPack<T>;
  int tile, part;
  const T *m, *x; T* c; V* partial;
  q.find(int(blockIdx.x), tile, part, m, x, c, partial);
  const int64_t row = int64_t(tile) * (kThreads / kLanes) + threadIdx.x / kLanes;
  const int64_t depth = least(q.p.depth, q.p.k - part * q.p.depth);
  const int lane = int(threadIdx.x) % kLanes;
  if (row >= q.rows && kLanes == 32) return;
  m += row * q.row_stride;
  V sums[kPer] = {};
  int64_t k = 0;
  if (q.fast) {
#pragma unroll 4
    for (k = lane * kPer; k + kPer <= depth; k += kLanes * kPer) {
      const auto a = load_pack<T, kPer>(m + k), b = load_pack<T, kPer>(x + k);
#pragma unroll
      for (int e = 0; e < kPer; ++e) sums[e] = fma(V(up(a.v[e])), V(up(b.v[e])), sums[e]);
    }
    k = depth / kPer * kPer;
  }
#pragma unroll 4
  for (k += lane; k < depth; k += kLanes) sums[0] = fma(V(up(m[k * q.k_stride])), V(up(x[k * q.x_stride])), sums[0]);
  V sum = 0;
#pragma unroll
  for (int e = 0; e < kPer; ++e) sum += sums[e];
  if constexpr (kLanes == 32) sum = warp_reduce(sum, Sum());
  else sum = block_reduce(sum, Sum(), V(0));
  if (lane == 0) q.put(row, sum, c, partial);
}

// Rows across k: a lane for kPer of them, the block's eight warps take turns at k.
template <class T> __global__ void __launch_bounds__(kThreads) columns_times_vector(const __grid_constant__ VectorProduct q) {
  using V = acc_t<T>;
  constexpr int kPer = kPack<T>, kWarps = kThreads / 32;
  SHARED(V, sums_of, [kWarps][32 * kPer]);
  int tile, part;
  const T *m, *x; T* c; V* partial;
  q.find(int(blockIdx.x), tile, part, m, x, c, partial);
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  const int64_t first = int64_t(tile) * 32 * kPer, depth = least(q.p.depth, q.p.k - part * q.p.depth);
  V sums[kPer] = {};
  if (q.fast && first + (lane + 1) * kPer <= q.rows) {
    m += first + lane * kPer;
#pragma unroll 4
    for (int64_t k = warp; k < depth; k += kWarps) {
      const V b = up(x[k * q.x_stride]);
      const auto a = load_pack<T, kPer>(m + k * q.k_stride);
#pragma unroll
      for (int e = 0; e < kPer; ++e) sums[e] = fma(V(up(a.v[e])), b, sums[e]);
    }
  } else {
    const int step = q.fast ? 1 : 32;
    const int64_t mine = first + (q.fast ? lane * kPer : lane);
    m += mine;
    for (int64_t k = warp; k < depth; k += kWarps) {
      const V b = up(x[k * q.x_stride]);
#pragma unroll
      for (int e = 0; e < kPer; ++e)
        if (mine + e * step < q.rows) sums[e] = fma(V(up(m[k * q.k_stride + e * step])), b, sums[e]);
    }
  }
#pragma unroll
  for (int e = 0; e < kPer; ++e) sums_of[warp][q.fast ? lane * kPer + e : lane + 32 * e] = sums[e];
  __syncthreads();
  for (int i = int(threadIdx.x); i < 32 * kPer && first + i < q.rows; i += kThreads) {
    V sum = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) sum += sums_of[w][i];
    q.put(first + i, sum, c, partial);
  }
}

}  // namespace

void product_vector(DType dtype, const Product& product) {
  VectorProduct q{};
  q.p = product;
  q.swapped = product.n != 1;
  const Product& p = product;
  const int64_t k = p.k, batch = p.batch;
  if (q.swapped) {
    q.matrix = p.b; q.x = p.a; q.rows = p.n; q.row_stride = p.b_col; q.k_stride = p.b_row; q.x_stride = p.a_col;
  } else {
    q.matrix = p.a; q.x = p.b; q.rows = p.m; q.row_stride = p.a_row; q.k_stride = p.a_col; q.x_stride = p.b_row;
  }
  const int64_t size = size_of(dtype), per = 16 / size;
  bool aligned = is_aligned(q.matrix), x_aligned = is_aligned(q.x) && q.x_stride == 1;
  for (int d = 0; d < p.batches.ndim; ++d) {
    aligned &= (q.swapped ? p.batches.b : p.batches.a)[d] % per == 0;
    x_aligned &= (q.swapped ? p.batches.a : p.batches.b)[d] % per == 0;
  }
  const bool across = q.rows > 1 && q.row_stride == 1 && q.k_stride != 1;
  int64_t blocks, parts;
  bool by_warp = false;
  if (across) {
    q.fast = aligned && q.k_stride % per == 0;
    blocks = ceil_div(q.rows, 32 * per);
    parts = least(ceil_div(1024, blocks * batch), ceil_div(k, 64));
  } else {
    q.fast = aligned && x_aligned && q.k_stride == 1 && (q.row_stride % per == 0 || q.rows == 1);
    by_warp = k <= 1024 || q.rows * batch >= 4096;
    blocks = by_warp ? ceil_div(q.rows, kThreads / 32) : q.rows;
    parts = by_warp ? 1 : least(ceil_div(1024, blocks * batch), ceil_div(k, 8192));
  }
  parts = most(1, parts);
  q.p.depth = parts == 1 ? k : ceil_div(ceil_div(k, parts), 64) * 64;
  if (parts > 1) parts = ceil_div(k, q.p.depth);
  q.p.parts = Divisor(parts);
  q.blocks = Divisor(blocks);
  const Temp partial(parts == 1 ? 0 : size_t(parts * batch * q.rows * most(4, size)));
  q.p.partial = partial.p;
  const dim3 grid(unsigned(blocks * parts * batch));
  by_float(dtype, [&]<class T>(T) {
    if (across) launch("gemm", columns_times_vector<T>, grid, dim3(kThreads), 0, q);
    else if (by_warp) launch("gemm", rows_times_vector<T, 32>, grid, dim3(kThreads), 0, q);
    else launch("gemm", rows_times_vector<T, kThreads>, grid, dim3(kThreads), 0, q);
  });
  if (parts > 1) sum_parts(dtype, q.p);
}

}  // namespace lamella::cuda
