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
void used_by(void* block, int device, cudaStream_t);  // not handed out again before what is queued there is done
size_t rounded(size_t bytes);               // the size of the block that a request gets

void set_device(int device);                // of this thread
void set_stream(int device, cudaStream_t);  // of this thread
cudaStream_t stream_of(int device);
void set_graph_pool(int64_t pool);          // allocations of this thread come from this pool of graphs; 0: from the common one
void release_graph_pool(int64_t pool, int device);

// Memory of the host that the device copies from on its own.
void* allocate_pinned(size_t bytes);
void deallocate_pinned(void* p) noexcept;
bool is_pinned(const void* p);
void pinned_used(const void* p);            // by what is queued on the stream now; nothing where p lies in no such memory
void release_pinned();                      // what is kept for later requests

}  // namespace lamella::cuda
