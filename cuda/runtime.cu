// SPDX-License-Identifier: MIT
// The device as kernels see it: properties, the current stream, transfers of small arrays.
#include "device.cuh"
#include <cstring>
#include <mutex>
#include <string>

namespace lamella::cuda {

void ok(cudaError_t e, const char* what) {
  if (e == cudaSuccess) return;
  cudaGetLastError();
  if (e == cudaErrorMemoryAllocation)
    throw MemoryError(text("[cuda] the device must have memory left for ", what, ", got: ", cudaGetErrorString(e)));
  throw RuntimeError(text("[cuda] ", what, " failed: ", cudaGetErrorString(e)));
}

const DeviceInfo& info() {
  static DeviceInfo known[kDevices];
  static std::once_flag asked[kDevices];
  const int d = device_now();
  std::call_once(asked[d], [&] {
    DeviceInfo& i = known[d];
    ok(cudaDeviceGetAttribute(&i.processors, cudaDevAttrMultiProcessorCount, d), "cudaDeviceGetAttribute");
    ok(cudaDeviceGetAttribute(&i.major, cudaDevAttrComputeCapabilityMajor, d), "cudaDeviceGetAttribute");
    ok(cudaDeviceGetAttribute(&i.minor, cudaDevAttrComputeCapabilityMinor, d), "cudaDeviceGetAttribute");
    ok(cudaDeviceGetAttribute(&i.shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, d), "cudaDeviceGetAttribute");
  });
  return known[d];
}

namespace {
struct Chunk { static constexpr int size = 3072; alignas(16) unsigned char bytes[size]; };
}

__global__ void upload_chunk(char* to, Chunk chunk, int bytes) {
  for (int i = int(threadIdx.x); i < bytes; i += int(blockDim.x)) to[i] = char(chunk.bytes[i]);
}

void upload(void* to, const void* from, size_t bytes) {
  for (size_t at = 0; at < bytes; at += Chunk::size) {
    Chunk c;
    const size_t n = bytes - at < size_t(Chunk::size) ? bytes - at : size_t(Chunk::size);
    std::memcpy(c.bytes, static_cast<const char*>(from) + at, n);
    launch("upload", upload_chunk, dim3(1), dim3(128), 0, static_cast<char*>(to) + at, c, int(n));
  }
}

void download(void* to, const void* from, size_t bytes) {
  ok(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream()), "copy to the host");
  ok(cudaStreamSynchronize(stream()), "synchronize");
}

}  // namespace lamella::cuda
