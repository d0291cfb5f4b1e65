// SPDX-License-Identifier: MIT
// What kernels' host code asks of the device: its properties, the stream that work goes to, memory in that stream's order.
#pragma once
#include <cuda_runtime.h>
#include <cstddef>
#include <cstdint>
#include <vector>
#include "../cpp/core/errors.h"

namespace lamella::cuda {

void ok(cudaError_t, const char* what);     // MemoryError or RuntimeError "[cuda] what failed: ..."

struct DeviceInfo { int processors, major, minor, shared_bytes; };  // shared_bytes: the most a block may ask for
const DeviceInfo& info();                   // of the current device; asked once

constexpr int kDevices = 16;                // the most there may be
int device_now();                           // of this thread
cudaStream_t stream();                      // of this thread on that device: work goes there

// Memory whose use ends before any later work of the stream begins; throws MemoryError.
void* allocate(size_t bytes);
void deallocate(void* p, size_t bytes) noexcept;

// A buffer of the device for the time of a call.
struct Temp {
  void* p;
  size_t bytes;
  explicit Temp(size_t n) : p(n ? allocate(n) : nullptr), bytes(n) {}
  ~Temp() { if (p) deallocate(p, bytes); }
  Temp(const Temp&) = delete;
  template <class T> T* as() const { return static_cast<T*>(p); }
};

// A host array in device memory for the time of a call. It travels in kernel arguments: the host does not wait, and a
// captured graph keeps the values.
void upload(void* to, const void* from, size_t bytes);
struct Uploaded : Temp {
  Uploaded(const void* from, size_t n) : Temp(n) { if (n) upload(p, from, n); }
};

// Bytes of the device for the host: waits for the stream.
void download(void* to, const void* from, size_t bytes);

}  // namespace lamella::cuda
