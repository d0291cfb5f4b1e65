// SPDX-License-Identifier: MIT
// The pool's other side: what the plug-in offers of it (plugin.cu).
#pragma once
#include "runtime.h"

namespace lamella::cuda {

struct MemoryUse { int64_t allocated, peak_allocated, reserved, peak_reserved, requests, device_requests; };
MemoryUse memory_use(int device);
void reset_peak(int device);
void release_cached(int device);
void deallocate_on(void* block, int device) noexcept;

void set_stream(cudaStream_t);              // of this thread
void set_graph_pool(int64_t graph);         // allocations of this thread come from this graph's pool; 0: from the common one
void release_graph_pool(int64_t graph, int device);

}  // namespace lamella::cuda
