// SPDX-License-Identifier: MIT
// Norm, scaling and clamping of all tensors of a list.
#include "optim.cuh"

namespace lamella::cuda {
namespace {

struct ScaleBy {
  double by;
  const double* factor;              // may be null
  GPU ScaleBy ready() const { return {factor ? by * *factor : by, nullptr}; }
  template <class A> GPU A operator()(A x) const { return x * A(by); }
};
struct ClampTo {                     // NaN stays
  double low, high;
  GPU ClampTo ready() const { return *this; }
  template <class A> GPU A operator()(A x) const { return vmin(A(high), vmax(A(low), x)); }
};

template <class T, class F>
__global__ void __launch_bounds__(kThreads) update_all(const __grid_constant__ Table table, F given) {
  const F f = given.ready();
  constexpr int N = kPack<T>;
  const Piece piece = find_piece(table);
  T* x = buffer_of<T>(table, piece, 0);
  const bool packed = packs(x);
  for (int64_t i = piece.begin + threadIdx.x * N; i < piece.end; i += kThreads * N) {
    acc_t<T> v[N];
    load_some<N>(x + i, piece.end - i, packed, v);
#pragma unroll
    for (int u = 0; u < N; ++u) v[u] = f(v[u]);
    store_some<N>(x + i, piece.end - i, packed, v);
  }
}

template <class F> void update(const char* name, const TensorList& list, void* const* g, const F& f) {
  const void* const* columns[] = {g};
  for_tables(list, columns, 1, [&](auto type, const Table& table, int64_t blocks) {
    launch(name, update_all<decltype(type), F>, dim3(unsigned(blocks)), dim3(kThreads), 0, table, f);
  });
}

// part[block] = the sum of squares or magnitudes, or the greatest magnitude, of a chunk: a pack's in the type of
// arithmetic, all further in double.
template <class T>
__global__ void __launch_bounds__(kThreads)
    norm_of_chunks(const __grid_constant__ Table table, NormOrder order, double* part) {
  using A = acc_t<T>;
  constexpr int N = kPack<T>;
  const Piece piece = find_piece(table);
  const T* x = buffer_of<const T>(table, piece, 0);
  const bool packed = packs(x);
  double sum = 0;
  A top = 0;
  for (int64_t i = piece.begin + threadIdx.x * N; i < piece.end; i += kThreads * N) {
    A v[N], s = 0;
    load_some<N>(x + i, piece.end - i, packed, v);
    if (order == NormOrder::infinity) {
#pragma unroll
      for (int u = 0; u < N; ++u) top = vmax_nan(top, vabs(v[u]));
    } else {
#pragma unroll
      for (int u = 0; u < N; ++u) s = order == NormOrder::two ? fma(v[u], v[u], s) : s + vabs(v[u]);
      sum += double(s);
    }
  }
  sum = order == NormOrder::infinity ? block_reduce(double(top), Max(), 0.0) : block_reduce(sum, Sum(), 0.0);
  if (threadIdx.x == 0) part[blockIdx.x] = sum;
}

__global__ void norm_total(const double* part, int64_t parts, NormOrder order, double* norm) {
  double all = 0;
  for (int64_t i = threadIdx.x; i < parts; i += blockDim.x)
    all = order == NormOrder::infinity ? vmax_nan(all, part[i]) : all + part[i];
  all = order == NormOrder::infinity ? block_reduce(all, Max(), 0.0) : block_reduce(all, Sum(), 0.0);
  if (threadIdx.x == 0) *norm = order == NormOrder::two ? vsqrt(all) : all;
}

}  // namespace

void scale_all(const ScaleAll& s) { update("scale_all", s.list, s.g, ScaleBy{s.scale, s.factor}); }
void clamp_all(const ClampAll& s) { update("clamp_all", s.list, s.g, ClampTo{s.low, s.high}); }

void grad_norm(const GradNorm& s) {
  const int64_t all = blocks_of(s.list, chunk_of(s.list));
  const Temp part(size_t(all) * sizeof(double));
  const void* const* columns[] = {s.g};
  int64_t done = 0;
  for_tables(s.list, columns, 1, [&](auto type, const Table& table, int64_t blocks) {
    launch("grad_norm", norm_of_chunks<decltype(type)>, dim3(unsigned(blocks)), dim3(kThreads), 0, table, s.order,
           part.as<double>() + done);
    done += blocks;
  });
  launch("grad_norm", norm_total, dim3(1), dim3(1024), 0, part.as<double>(), all, s.order, s.norm);
}

}  // namespace lamella::cuda
