// SPDX-License-Identifier: MIT
// Indices are made safe by one pass before a kernel uses them: negative ones wrapped, one out of range made 0 and written
// down in memory that the host sees. The host reads that record whenever it waits for the device anyway.
#include "faults.h"
#include <mutex>
#include "device.cuh"

namespace lamella::cuda {
namespace {

struct Fault { int raised; const char* op; int64_t value, size, position; bool wrap; };
Fault* faults[kDevices];
std::mutex mutex;

Fault* fault_of_device() {
  const int d = device_now();
  std::lock_guard<std::mutex> lock(mutex);
  if (!faults[d]) {
    void* p = nullptr;
    ok(cudaMallocHost(&p, sizeof(Fault)), "cudaMallocHost");
    faults[d] = new (p) Fault{};
  }
  return faults[d];
}

__global__ void make_safe(const char* op, const int64_t* index, int64_t* out, int64_t n, int64_t size, bool wrap, int64_t ignore,
                          Fault* fault) {
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += int64_t(gridDim.x) * blockDim.x) {
    const int64_t v = index[i], at = wrap && v < 0 ? v + size : v;
    const bool inside = at >= 0 && at < size, allowed = inside || v == ignore;
    out[i] = allowed ? at : 0;
    if (!allowed && !fault->raised) {  // of several any one: who comes last
      fault->op = op;
      fault->value = v;
      fault->size = size;
      fault->position = i;
      fault->wrap = wrap;
      __threadfence_system();
      fault->raised = 1;
    }
  }
}

}  // namespace

void check_index(const char* op, const int64_t* index, int64_t* out, int64_t n, int64_t size, bool wrap, int64_t ignore) {
  launch("check_index", make_safe, dim3(blocks_for(n, kThreads)), dim3(kThreads), 0, op, index, out, n, size, wrap, ignore,
         fault_of_device());
}

void prepare_faults() { fault_of_device(); }

void raise_faults() {
  const int d = device_now();
  if (!faults[d] || !faults[d]->raised) return;
  const Fault f = *faults[d];
  *faults[d] = {};
  throw IndexError(text("[", f.op, "] index must be in [", f.wrap ? -f.size : 0, ", ", f.size, "), got ", f.value,
                        " at flat position ", f.position));
}

}  // namespace lamella::cuda
