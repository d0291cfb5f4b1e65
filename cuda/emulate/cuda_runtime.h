// SPDX-License-Identifier: MIT
// The part of CUDA's runtime and of its device functions that lamella uses, for the build without a GPU (fibres.h).
// Streams run at once, in the order of the calls; a stream that captures keeps what it is given for its graph.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include "fibres.h"

#define __host__
#define __device__
#define __global__
#define __forceinline__ inline __attribute__((always_inline))
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) __attribute__((aligned(n)))
#define __constant__ static

#define CUDART_VERSION 13000

// ---- runtime ---------------------------------------------------------------------------------------------------------
enum cudaError_t {
  cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorMemoryAllocation = 2, cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100, cudaErrorInvalidDevice = 101, cudaErrorNotReady = 600, cudaErrorLaunchFailure = 719,
  cudaErrorStreamCaptureUnsupported = 900, cudaErrorNotSupported = 801,
};
enum cudaMemcpyKind { cudaMemcpyHostToHost, cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice, cudaMemcpyDefault };
enum cudaDeviceAttr {
  cudaDevAttrMultiProcessorCount = 16, cudaDevAttrComputeCapabilityMajor = 75, cudaDevAttrComputeCapabilityMinor = 76,
  cudaDevAttrMaxSharedMemoryPerBlockOptin = 97, cudaDevAttrClockRate = 13, cudaDevAttrL2CacheSize = 38,
  cudaDevAttrCooperativeLaunch = 95,
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8, cudaFuncAttributeNonPortableClusterSizeAllowed = 13 };
enum cudaStreamCaptureMode { cudaStreamCaptureModeGlobal, cudaStreamCaptureModeThreadLocal, cudaStreamCaptureModeRelaxed };
enum cudaStreamCaptureStatus { cudaStreamCaptureStatusNone, cudaStreamCaptureStatusActive, cudaStreamCaptureStatusInvalidated };
enum cudaMemPoolAttr { cudaMemPoolAttrReleaseThreshold = 4 };
enum { cudaStreamNonBlocking = 1, cudaEventDefault = 0, cudaEventBlockingSync = 1, cudaEventDisableTiming = 2 };

struct cudaDeviceProp {
  char name[256];
  size_t totalGlobalMem, sharedMemPerBlockOptin;
  int major, minor, multiProcessorCount, l2CacheSize, warpSize, maxThreadsPerMultiProcessor;
};
struct EmulatedStream;
struct EmulatedEvent;
struct EmulatedGraph;
using cudaStream_t = EmulatedStream*;
using cudaEvent_t = EmulatedEvent*;
using cudaGraph_t = EmulatedGraph*;
using cudaGraphExec_t = EmulatedGraph*;
using cudaMemPool_t = void*;

const char* cudaGetErrorString(cudaError_t);
cudaError_t cudaGetLastError();
cudaError_t cudaPeekAtLastError();
cudaError_t cudaDriverGetVersion(int*);
cudaError_t cudaRuntimeGetVersion(int*);
cudaError_t cudaGetDeviceCount(int*);
cudaError_t cudaSetDevice(int);
cudaError_t cudaGetDevice(int*);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp*, int);
cudaError_t cudaDeviceGetAttribute(int*, cudaDeviceAttr, int);
cudaError_t cudaDeviceSynchronize();
cudaError_t cudaMemGetInfo(size_t* free, size_t* total);
cudaError_t cudaMalloc(void**, size_t);
cudaError_t cudaFree(void*);
cudaError_t cudaMallocAsync(void**, size_t, cudaStream_t);
cudaError_t cudaFreeAsync(void*, cudaStream_t);
cudaError_t cudaMallocHost(void**, size_t);
cudaError_t cudaFreeHost(void*);
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t*, int);
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*);
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, size_t);
cudaError_t cudaMemcpyAsync(void*, const void*, size_t, cudaMemcpyKind, cudaStream_t);
cudaError_t cudaMemcpyPeerAsync(void*, int, const void*, int, size_t, cudaStream_t);
cudaError_t cudaMemsetAsync(void*, int, size_t, cudaStream_t);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t*, unsigned);
cudaError_t cudaStreamCreateWithPriority(cudaStream_t*, unsigned, int);
cudaError_t cudaStreamDestroy(cudaStream_t);
cudaError_t cudaStreamSynchronize(cudaStream_t);
cudaError_t cudaStreamQuery(cudaStream_t);
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned = 0);
cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode);
cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t*);
cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus*);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t*, cudaGraph_t, unsigned long long = 0);
cudaError_t cudaGraphLaunch(cudaGraphExec_t, cudaStream_t);
cudaError_t cudaGraphDestroy(cudaGraph_t);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t*, unsigned);
cudaError_t cudaEventDestroy(cudaEvent_t);
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t);
cudaError_t cudaEventQuery(cudaEvent_t);
cudaError_t cudaEventSynchronize(cudaEvent_t);
cudaError_t cudaEventElapsedTime(float*, cudaEvent_t, cudaEvent_t);
template <class F> cudaError_t cudaFuncSetAttribute(F*, cudaFuncAttribute, int) { return cudaSuccess; }
template <class F> cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* n, F*, int, size_t) { *n = 1; return cudaSuccess; }

namespace emulate {
void hold_events(bool hold);  // cudaEventQuery finds none reached
// Runs `body` as a kernel on `stream`, or keeps it where the stream captures.
cudaError_t submit(cudaStream_t stream, dim3 grid, dim3 block, size_t shared_bytes, bool cooperative, std::function<void()> body);
}

// ---- types and variables of a thread -----------------------------------------------------------------------------------
#define threadIdx (::emulate::current->index)
#define blockIdx (::emulate::block_index)
#define blockDim (::emulate::block_size)
#define gridDim (::emulate::grid_size)
constexpr int warpSize = 32;

struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(16) double2 { double x, y; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

// ---- device functions --------------------------------------------------------------------------------------------------
inline void __syncthreads() { emulate::barrier(); }
inline int __syncthreads_or(int p) {
  static const char tag = 0;
  int& any = *static_cast<int*>(emulate::shared_static(&tag, sizeof(int)));
  emulate::barrier();
  any = 0;
  emulate::barrier();
  if (p) any = 1;
  emulate::barrier();
  const int y = any;
  emulate::barrier();
  return y;
}
inline void __syncwarp(unsigned mask = ~0u) { emulate::exchange(mask, nullptr, 0, "__syncwarp"); }
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}
inline void __nanosleep(unsigned) { emulate::yield(); }
inline long long clock64() { static long long t = 0; return t += 100; }

namespace emulate {
template <class T> T shuffle(unsigned mask, T value, int from) {
  const char* all = exchange(mask, &value, sizeof value, "a shuffle");
  T y;
  std::memcpy(&y, all + from * kMostBytes, sizeof y);
  return y;
}
// As in CUDA: lanes are taken in segments of `width`, and a source outside the segment is the lane itself.
inline int segment(int width) { return lane() & ~(width - 1); }
}  // namespace emulate
template <class T> T __shfl_sync(unsigned mask, T v, int from, int width = 32) {
  return emulate::shuffle(mask, v, emulate::segment(width) + (from & (width - 1)));
}
template <class T> T __shfl_xor_sync(unsigned mask, T v, int bits, int width = 32) {
  const int from = emulate::lane() ^ bits;
  return emulate::shuffle(mask, v, from >= emulate::segment(width) + width ? emulate::lane() : from);
}
template <class T> T __shfl_up_sync(unsigned mask, T v, unsigned by, int width = 32) {
  const int from = emulate::lane() - int(by);
  return emulate::shuffle(mask, v, from < emulate::segment(width) ? emulate::lane() : from);
}
template <class T> T __shfl_down_sync(unsigned mask, T v, unsigned by, int width = 32) {
  const int from = emulate::lane() + int(by);
  return emulate::shuffle(mask, v, from >= emulate::segment(width) + width ? emulate::lane() : from);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  const int p = predicate != 0;
  const char* all = emulate::exchange(mask, &p, sizeof p, "a vote");
  unsigned votes = 0;
  const int first = emulate::warp() * 32, threads = int(blockDim.x * blockDim.y * blockDim.z);
  for (int i = 0; i < 32; ++i) {
    int vote = 0;
    if ((mask >> i & 1) && first + i < threads) std::memcpy(&vote, all + i * emulate::kMostBytes, sizeof vote);
    votes |= unsigned(vote) << i;
  }
  return votes;
}
inline int __any_sync(unsigned mask, int p) { return __ballot_sync(mask, p) != 0; }
inline int __all_sync(unsigned mask, int p) {
  const int first = emulate::warp() * 32, threads = int(blockDim.x * blockDim.y * blockDim.z);
  const unsigned present = threads - first < 32 ? (1u << (threads - first)) - 1 : ~0u;
  return __ballot_sync(mask, p) == (mask & present);
}
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned(uint64_t(a) * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) { return (unsigned long long)((unsigned __int128)a * b >> 64); }
inline int __float_as_int(float x) { int y; std::memcpy(&y, &x, 4); return y; }
inline unsigned __float_as_uint(float x) { unsigned y; std::memcpy(&y, &x, 4); return y; }
inline float __int_as_float(int x) { float y; std::memcpy(&y, &x, 4); return y; }
inline float __uint_as_float(unsigned x) { float y; std::memcpy(&y, &x, 4); return y; }
inline long long __double_as_longlong(double x) { long long y; std::memcpy(&y, &x, 8); return y; }
inline double __longlong_as_double(long long x) { double y; std::memcpy(&y, &x, 8); return y; }
inline float rsqrtf(float x) { return 1 / std::sqrt(x); }
inline double rsqrt(double x) { return 1 / std::sqrt(x); }
inline double erfinv(double x) {  // Winitzki's estimate, then Newton's method on erf, near 1 on erfc
  const double a = std::fabs(x), l = std::log((1 - a) * (1 + a)), b = 4.3307467508 + l / 2;
  if (!(a < 1) || a == 0) return a == 1 ? std::copysign(INFINITY, x) : a == 0 ? x : NAN;
  double r = std::sqrt(std::sqrt(b * b - l / 0.147) - b);
  for (int i = 0; i < 5; ++i) r -= (a < 0.5 ? std::erf(r) - a : (1 - a) - std::erfc(r)) * 0.88622692545275801 * std::exp(r * r);
  return std::copysign(r, x);
}
inline float erfinvf(float x) { return float(erfinv(double(x))); }
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __frcp_rn(float x) { return 1 / x; }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
template <class T> T __ldg(const T* p) { return *p; }
template <class T> T __ldcs(const T* p) { return *p; }
template <class T> void __stcs(T* p, T v) { *p = v; }

// Fibres of one OS thread: an ordinary read and write is atomic among them.
template <class T, class U> T atomicAdd(T* p, U v) { T old = *p; *p = T(old + v); return old; }
template <class T, class U> T atomicExch(T* p, U v) { T old = *p; *p = T(v); return old; }
template <class T, class U> T atomicMax(T* p, U v) { T old = *p; if (T(v) > old) *p = T(v); return old; }
template <class T, class U> T atomicMin(T* p, U v) { T old = *p; if (T(v) < old) *p = T(v); return old; }
template <class T, class U> T atomicOr(T* p, U v) { T old = *p; *p = T(old | v); return old; }
template <class T, class U> T atomicAnd(T* p, U v) { T old = *p; *p = T(old & v); return old; }
template <class T, class U, class W> T atomicCAS(T* p, U is, W then) { T old = *p; if (old == T(is)) *p = T(then); return old; }
