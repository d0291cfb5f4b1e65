// SPDX-License-Identifier: MIT
// Bags of table rows: weighted sums, greatest elements, and the products that are the gradient of the weights. A thread has
// some adjacent columns of one bag, in registers from its first row to its last.
#include "device.cuh"

namespace lamella::cuda {
namespace {

constexpr int kAhead = 4;  // rows asked for at once

template <class T, int V>
__global__ void bag_sums(Divisor units, int64_t bags, const int64_t* start, const int64_t* index, const acc_t<T>* weight,
                         const T* x, T* y) {
  using A = acc_t<T>;
  int64_t u, b = units.divide(int64_t(blockIdx.x) * kThreads + threadIdx.x, u);
  if (b >= bags) return;
  const int64_t width = units.d * V, end = start[b + 1];
  A sum[V] = {};
  int64_t t = start[b];
  for (; t + kAhead <= end; t += kAhead) {
    Pack<T, V> row[kAhead];
    A by[kAhead];
#pragma unroll
    for (int k = 0; k < kAhead; ++k) {
      row[k] = load_pack<T, V>(x + index[t + k] * width + u * V);
      by[k] = weight ? weight[t + k] : A(1);
    }
#pragma unroll
    for (int k = 0; k < kAhead; ++k)
#pragma unroll
      for (int v = 0; v < V; ++v) sum[v] += by[k] * up(row[k].v[v]);
  }
  for (; t < end; ++t) {
    const Pack<T, V> row = load_pack<T, V>(x + index[t] * width + u * V);
    const A by = weight ? weight[t] : A(1);
#pragma unroll
    for (int v = 0; v < V; ++v) sum[v] += by * up(row.v[v]);
  }
  Pack<T, V> out;
#pragma unroll
  for (int v = 0; v < V; ++v) out.v[v] = down<T>(sum[v]);
  store_pack(y + b * width + u * V, out);
}

template <class T, int V>
__global__ void bag_maxima(Divisor units, int64_t bags, const int64_t* start, const int64_t* index, const T* x, T* y,
                           int64_t* winner) {
  using A = acc_t<T>;
  int64_t u, b = units.divide(int64_t(blockIdx.x) * kThreads + threadIdx.x, u);
  if (b >= bags) return;
  const int64_t width = units.d * V, end = start[b + 1];
  A best[V] = {};
  int64_t at[V];
#pragma unroll
  for (int v = 0; v < V; ++v) at[v] = -1;
  for (int64_t t = start[b]; t < end; ++t) {
    const int64_t i = index[t];
    const Pack<T, V> row = load_pack<T, V>(x + i * width + u * V);
#pragma unroll
    for (int v = 0; v < V; ++v) {
      const A value = up(row.v[v]);
      if (at[v] >= 0 && !(value > best[v] || (value != value && best[v] == best[v]))) continue;
      best[v] = value;
      at[v] = i;
    }
  }
  Pack<T, V> out;
#pragma unroll
  for (int v = 0; v < V; ++v) {
    out.v[v] = down<T>(best[v]);
    winner[b * width + u * V + v] = at[v];
  }
  store_pack(y + b * width + u * V, out);
}

// `lanes`, a power of two up to 32, to each product.
template <class T, int V>
__global__ void bag_dots(int lanes, int64_t units, int64_t count, const int64_t* i, const int64_t* j, const T* a, const T* b,
                         acc_t<T>* y) {
  using A = acc_t<T>;
  const int64_t e = int64_t(blockIdx.x) * kThreads + threadIdx.x, t = e / unsigned(lanes);
  const int lane = int(threadIdx.x) & (lanes - 1);
  A sum[V] = {};
  if (t < count) {
    const T *p = a + i[t] * units * V, *q = b + j[t] * units * V;
    for (int64_t u = lane; u < units; u += lanes) {
      const Pack<T, V> v = load_pack<T, V>(p + u * V), w = load_pack<T, V>(q + u * V);
#pragma unroll
      for (int k = 0; k < V; ++k) sum[k] += up(v.v[k]) * up(w.v[k]);
    }
  }
#pragma unroll
  for (int by = V / 2; by; by /= 2)
#pragma unroll
    for (int k = 0; k < V / 2; ++k)
      if (k < by) sum[k] += sum[k + by];
  A s = sum[0];
  for (int by = lanes / 2; by; by /= 2) s += __shfl_xor_sync(~0u, s, by);
  if (t < count && lane == 0) y[t] = s;
}

// f(T{}, kernel's V as a type) by dtype and by whether rows can be read in packs.
template <int V> struct Width { static constexpr int value = V; };
template <class F> void by_rows(DType t, int64_t width, bool aligned, const F& f) {
  by_float(t, [&](auto e) {
    constexpr int V = kPack<decltype(e)>;
    if (width % V == 0 && aligned) f(e, Width<V>{});
    else f(e, Width<1>{});
  });
}

}  // namespace

void bag_sum(const BagSum& a) {
  if (a.bags == 0 || a.width == 0) return;
  by_rows(a.dtype, a.width, is_aligned(a.x) && is_aligned(a.y), [&](auto t, auto w) {
    using T = decltype(t);
    constexpr int V = decltype(w)::value;
    const int64_t units = a.width / V;
    const dim3 grid(unsigned(ceil_div(a.bags * units, kThreads)));
    launch("bag_sum", bag_sums<T, V>, grid, dim3(kThreads), 0, Divisor(units), a.bags, a.start, a.index,
           static_cast<const acc_t<T>*>(a.weight), static_cast<const T*>(a.x), static_cast<T*>(a.y));
  });
}

void bag_max(const BagMax& a) {
  if (a.bags == 0 || a.width == 0) return;
  by_rows(a.dtype, a.width, is_aligned(a.x) && is_aligned(a.y), [&](auto t, auto w) {
    using T = decltype(t);
    constexpr int V = decltype(w)::value;
    const int64_t units = a.width / V;
    const dim3 grid(unsigned(ceil_div(a.bags * units, kThreads)));
    launch("bag_max", bag_maxima<T, V>, grid, dim3(kThreads), 0, Divisor(units), a.bags, a.start, a.index,
           static_cast<const T*>(a.x), static_cast<T*>(a.y), a.winner);
  });
}

void bag_dot(const BagDot& a) {
  if (a.count == 0) return;
  by_rows(a.dtype, a.width, is_aligned(a.a) && is_aligned(a.b), [&](auto t, auto w) {
    using T = decltype(t);
    constexpr int V = decltype(w)::value;
    const int64_t units = a.width / V;
    int lanes = 1;
    while (lanes < 32 && lanes < units) lanes *= 2;
    launch("bag_dot", bag_dots<T, V>, dim3(unsigned(ceil_div(a.count * lanes, kThreads))), dim3(kThreads), 0, lanes, units,
           a.count, a.i, a.j, static_cast<const T*>(a.a), static_cast<const T*>(a.b), static_cast<acc_t<T>*>(a.y));
  });
}

}  // namespace lamella::cuda
