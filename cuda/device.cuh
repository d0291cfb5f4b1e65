// SPDX-License-Identifier: MIT
// Included first by every kernel file: the declarations of all kernels, launches, shared memory, conversions, packed loads
// and reductions of a warp or a block. Everything here also compiles as plain C++ for the build without a GPU
// (emulate/fibres.h); kernels use launch() and SHARED, never <<< >>> or __shared__, so that they do too.
#pragma once
#include <tuple>
#include <utility>
#include "../cpp/kernels/kernels.h"
#include "runtime.h"

#define GPU __device__ __forceinline__
#define BOTH __host__ __device__ __forceinline__

namespace lamella::cuda {

#define K(name, Args) void name(const Args&);
LAMELLA_KERNELS(K)
#undef K

// ---- launches --------------------------------------------------------------------------------------------------------
constexpr int kThreads = 256;  // of a block, where nothing speaks for another number

BOTH int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }  // a >= 0, b > 0
BOTH int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
BOTH int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

// kernel<<<grid, block, shared, stream()>>>(args...); nothing is launched where the grid is empty.
template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, A&&... args) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
#ifdef LAMELLA_EMULATE
  ok(emulate::submit(stream(), grid, block, shared, false, [=] { kernel(static_cast<P>(args)...); }), name);
#else
  if (shared > 48 * 1024) ok(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared)), name);
  kernel<<<grid, block, shared, stream()>>>(static_cast<P>(args)...);
  ok(cudaPeekAtLastError(), name);
#endif
}

// The same with every block resident at once, for kernels whose blocks wait for each other.
template <class... P, class... A>
void launch_together(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, A&&... args) {
#ifdef LAMELLA_EMULATE
  ok(emulate::submit(stream(), grid, block, shared, true, [=] { kernel(static_cast<P>(args)...); }), name);
#else
  if (shared > 48 * 1024) ok(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared)), name);
  auto held = std::make_tuple(static_cast<P>(args)...);
  std::apply([&](auto&... p) {
    void* pointers[] = {const_cast<void*>(static_cast<const void*>(&p))...};
    ok(cudaLaunchCooperativeKernel(reinterpret_cast<const void*>(kernel), grid, block, pointers, shared, stream()), name);
  }, held);
#endif
}

// Blocks for a loop over n elements that strides by the grid: enough to fill the device, no more than there is work.
inline unsigned blocks_for(int64_t n, int64_t per_block, int waves = 8) {
  return unsigned(least(ceil_div(n, per_block), int64_t(info().processors) * waves));
}

// ---- shared memory ---------------------------------------------------------------------------------------------------
// SHARED(float, tile, [32][33]); declares `tile`, one for the block. dynamic_shared<T>() is what the launch asked for.
#ifdef LAMELLA_EMULATE
#define SHARED(T, name, ...)                              \
  using name##_shared_type = T __VA_ARGS__;               \
  static char name##_shared_tag;                          \
  name##_shared_type& name =                              \
      *static_cast<name##_shared_type*>(::emulate::shared_static(&name##_shared_tag, sizeof(name##_shared_type)))
template <class T> GPU T* dynamic_shared() { return static_cast<T*>(::emulate::shared_memory()); }
#else
#define SHARED(T, name, ...) __shared__ __align__(16) T name __VA_ARGS__
template <class T> GPU T* dynamic_shared() {
  extern __shared__ __align__(1024) unsigned char lamella_dynamic_shared[];
  return reinterpret_cast<T*>(lamella_dynamic_shared);
}
#endif

// ---- storage and arithmetic types --------------------------------------------------------------------------------------
template <class T> struct Acc { using type = T; };
template <> struct Acc<bf16> { using type = float; };
template <> struct Acc<f16> { using type = float; };
template <class T> using acc_t = typename Acc<T>::type;

template <class T> BOTH T up(T x) { return x; }
BOTH float up(bf16 x) { return x.to(); }
BOTH float up(f16 x) { return x.to(); }
template <class T> BOTH T down(acc_t<T> x) {
  if constexpr (std::is_same_v<T, bf16>) return bf16::from(x);
  else if constexpr (std::is_same_v<T, f16>) return f16::from(x);
  else return x;
}

// f(T{}) with the storage type T of a floating dtype, or of any.
template <class F> void by_float(DType t, const F& f) {
  switch (t) {
    case DType::f32: f(float{}); break;
    case DType::f64: f(double{}); break;
    case DType::bf16: f(bf16{}); break;
    default: f(f16{}); break;
  }
}
template <class F> void by_dtype(DType t, const F& f) {
  switch (t) {
    case DType::i64: f(int64_t{}); break;
    case DType::i32: f(int32_t{}); break;
    case DType::i16: f(int16_t{}); break;
    case DType::i8: f(int8_t{}); break;
    case DType::u8: f(uint8_t{}); break;
    case DType::b8: f(bool{}); break;
    default: by_float(t, f); break;
  }
}
// f(T{}) with an unsigned type T of `size` bytes: for what only moves bits.
template <class F> void by_size(int size, const F& f) {
  switch (size) {
    case 1: f(uint8_t{}); break;
    case 2: f(uint16_t{}); break;
    case 4: f(uint32_t{}); break;
    default: f(uint64_t{}); break;
  }
}

// N elements that are loaded and stored as one word of up to 16 bytes.
template <class T, int N> struct alignas(sizeof(T) * N) Pack { T v[N]; };
template <class T> constexpr int kPack = 16 / int(sizeof(T));
template <class T, int N> GPU Pack<T, N> load_pack(const T* p) { return *reinterpret_cast<const Pack<T, N>*>(p); }
template <class T, int N> GPU void store_pack(T* p, const Pack<T, N>& v) { *reinterpret_cast<Pack<T, N>*>(p) = v; }
inline bool is_aligned(const void* p, int bytes = 16) { return reinterpret_cast<uintptr_t>(p) % uintptr_t(bytes) == 0; }
// N elements at p in the type of arithmetic, of which `left` are there; the others are zero, and not stored. `packed`: p is
// aligned to the pack.
template <int N, class T> GPU void load_some(const T* p, int64_t left, bool packed, acc_t<T> (&v)[N]) {
  if (packed && left >= N) {
    const Pack<T, N> k = load_pack<T, N>(p);
#pragma unroll
    for (int u = 0; u < N; ++u) v[u] = up(k.v[u]);
  } else {
#pragma unroll
    for (int u = 0; u < N; ++u) v[u] = u < left ? up(p[u]) : acc_t<T>(0);
  }
}
template <int N, class T> GPU void store_some(T* p, int64_t left, bool packed, const acc_t<T> (&v)[N]) {
  if (packed && left >= N) {
    Pack<T, N> k;
#pragma unroll
    for (int u = 0; u < N; ++u) k.v[u] = down<T>(v[u]);
    store_pack(p, k);
  } else {
#pragma unroll
    for (int u = 0; u < N; ++u)
      if (u < left) p[u] = down<T>(v[u]);
  }
}

// ---- division by a number known at launch ------------------------------------------------------------------------------
// n / d for 0 <= n < 2^31 by a multiplication (Granlund, Montgomery 1994); larger n by the plain instruction.
struct Divisor {
  int64_t d;
  uint32_t magic, shift;
  Divisor() = default;
  explicit Divisor(int64_t divisor) : d(divisor), magic(0), shift(0) {
    if (d <= 0 || d >= (int64_t(1) << 31)) return;
    while ((int64_t(1) << shift) < d) ++shift;
    magic = uint32_t(((uint64_t(1) << 32) * ((uint64_t(1) << shift) - uint64_t(d))) / uint64_t(d) + 1);
  }
  GPU int64_t divide(int64_t n, int64_t& rest) const {
    int64_t q;
    if (uint64_t(n) >> 31 || d >> 31) q = n / d;
    else {
      const uint32_t t = __umulhi(uint32_t(n), magic);
      q = int64_t((uint64_t(t) + uint64_t(n)) >> shift);
    }
    rest = n - q * d;
    return q;
  }
};

// ---- reductions: always in the same order ------------------------------------------------------------------------------
struct Sum { template <class T> GPU T operator()(T a, T b) const { return a + b; } };
struct Max { template <class T> GPU T operator()(T a, T b) const { return a != a || a > b ? a : b; } };  // NaN passes
struct Min { template <class T> GPU T operator()(T a, T b) const { return a != a || a < b ? a : b; } };

template <int kWidth = 32, class T, class Op> GPU T warp_reduce(T x, const Op& op) {  // every lane gets the result
#pragma unroll
  for (int by = kWidth / 2; by; by /= 2) x = op(x, __shfl_xor_sync(~0u, x, by));
  return x;
}

// Of a one-dimensional block of whole warps, for every thread; `none` is the operation's identity. Ends with a barrier
// passed by all, so calls may follow each other.
template <class T, class Op> GPU T block_reduce(T x, const Op& op, T none) {
  SHARED(T, parts, [32]);
  x = warp_reduce(x, op);
  const int warps = int(blockDim.x) / 32, lane = int(threadIdx.x) & 31;
  if (warps == 1) return x;
  __syncthreads();
  if (lane == 0) parts[threadIdx.x / 32] = x;
  __syncthreads();
  return warp_reduce(lane < warps ? parts[lane] : none, op);
}

}  // namespace lamella::cuda
