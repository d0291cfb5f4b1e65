// SPDX-License-Identifier: MIT
// A Gemm as its kernels see it: tiles (gemm_tiles.cuh), matrix times vector (gemm_vector.cu), the sum of parts (gemm_parts.cu).
#pragma once
#include "../cpp/kernels/activation.h"
#include "gemm_core.cuh"

namespace lamella::cuda {

// Of a block's number: 0 <= n < 2^31, and by less.
GPU int divide_block(const Divisor& by, int n, int& rest) {
  const int q = int((__umulhi(uint32_t(n), by.magic) + uint32_t(n)) >> by.shift);  // below 2^32, both being below 2^31
  rest = n - q * int(by.d);
  return q;
}

// Operands' offsets for the batch's matrices, innermost dim last.
struct Batches {
  int ndim;
  Divisor size[6];
  int64_t a[6], b[6], c[6];
  GPU void find(int index, int64_t& at_a, int64_t& at_b, int64_t& at_c) const {
    at_a = at_b = at_c = 0;
    for (int d = ndim - 1; d >= 0; --d) {
      int i;
      index = divide_block(size[d], index, i);
      at_a += i * a[d];
      at_b += i * b[d];
      at_c += i * c[d];
    }
  }
};

// c (m, n) = act(a . b + bias) or c += a . b. With parts > 1 each block sums `depth` values of k into its own
// m x n of `partial`, (batch, part, m, n), and sum_parts finishes.
struct Product {
  const void *a, *b, *bias;
  void *c, *partial;
  int64_t m, n, k, a_row, a_col, b_row, b_col, c_row, depth, batch;
  int tiles_m, tiles_n;
  Divisor tiles, parts;      // of one part; of one matrix
  Batches batches;
  BiasAxis axis;
  Act act;
  bool accumulate, c_vector;  // rows of c are 16-byte aligned
};

template <class V, int N> GPU void activate(Act act, V (&v)[N]) {
  const auto all = [&](auto f) {
#pragma unroll
    for (int e = 0; e < N; ++e) v[e] = f(v[e]);
  };
  switch (act) {
    case Act::none: break;
    case Act::relu: all([](V x) { return apply_act(Act::relu, x); }); break;
    case Act::gelu: all([](V x) { return apply_act(Act::gelu, x); }); break;
    case Act::gelu_tanh: all([](V x) { return apply_act(Act::gelu_tanh, x); }); break;
    case Act::silu: all([](V x) { return apply_act(Act::silu, x); }); break;
    case Act::sigmoid: all([](V x) { return apply_act(Act::sigmoid, x); }); break;
    case Act::tanh: all([](V x) { return apply_act(Act::tanh, x); }); break;
  }
}

// The writer of write_tile: bias, activation, accumulation; or a part's plain sums.
template <class T> struct ProductOut {
  using V = acc_t<T>;
  const Product& p;
  T* c;                      // of this matrix
  V* partial;                // of this part, or null

  template <int N> GPU void put(int64_t i, int64_t j, V (&v)[N]) const {
    if (i >= p.m || j >= p.n) return;
    const int count = int(least(N, p.n - j));
    if (partial) {
      constexpr int kPer = N < kPack<V> ? N : kPack<V>;
      V* to = partial + i * p.n + j;
      if (count == N && p.n % kPer == 0)
#pragma unroll
        for (int e = 0; e < N; e += kPer) {
          Pack<V, kPer> w;
#pragma unroll
          for (int q = 0; q < kPer; ++q) w.v[q] = v[e + q];
          store_pack(to + e, w);
        }
      else
#pragma unroll
        for (int e = 0; e < N; ++e)
          if (e < count) to[e] = v[e];
      return;
    }
    constexpr int kPer = N < kPack<T> ? N : kPack<T>;
    T* to = c + i * p.c_row + j;
    const bool whole = count == N && p.c_vector;
    if (p.accumulate) {
#pragma unroll
      for (int e = 0; e < N; e += kPer)
        if (whole) {
          const auto w = load_pack<T, kPer>(to + e);
#pragma unroll
          for (int q = 0; q < kPer; ++q) v[e + q] += up(w.v[q]);
        } else {
#pragma unroll
          for (int q = 0; q < kPer; ++q)
            if (e + q < count) v[e + q] += up(to[e + q]);
        }
    } else {
      const T* bias = static_cast<const T*>(p.bias);
      if (p.axis == BiasAxis::row) {
        const V b = up(bias[i]);
#pragma unroll
        for (int e = 0; e < N; ++e) v[e] += b;
      } else if (p.axis == BiasAxis::column) {
#pragma unroll
        for (int e = 0; e < N; ++e)
          if (e < count) v[e] += up(bias[j + e]);
      }
      activate(p.act, v);
    }
#pragma unroll
    for (int e = 0; e < N; e += kPer)
      if (whole) {
        Pack<T, kPer> w;
#pragma unroll
        for (int q = 0; q < kPer; ++q) w.v[q] = down<T>(v[e + q]);
        store_pack(to + e, w);
      } else {
#pragma unroll
        for (int q = 0; q < kPer; ++q)
          if (e + q < count) to[e + q] = down<T>(v[e + q]);
      }
  }
};

// ---- by type, one file each -------------------------------------------------------------------------------------------
enum class Reach : int { along, across, any };  // how an operand can be loaded; `any` only together

// Tiles of a product whose sizes are not empty; `big`: of 128 (float: 64 x 128), else of 64.
void product_bf16(const Product&, Reach a, Reach b, bool big);
void product_f16(const Product&, Reach a, Reach b, bool big);
void product_float(const Product&, Reach a, Reach b, bool big);
void product_double(const Product&, Reach a, Reach b);
void product_tf32(const Product&, Reach a, Reach b, bool big);  // not `any`
void product_vector(DType, const Product&);  // n == 1 or m == 1; chooses the parts itself
void sum_parts(DType, const Product&);

// A copy of x (extent, depth), elements of `size` bytes, with rows along k `pitch` elements apart, for matrices at
// i . x_batch over `batch` (up to six dims), the copies one after the other.
struct Relayout {
  int size;
  const void* x; void* y;
  int64_t extent, depth, e_stride, k_stride, pitch;
  int ndim; int64_t batch[6], x_batch[6];
};
void relayout(const Relayout&);

}  // namespace lamella::cuda
