// SPDX-License-Identifier: MIT
// A caching pool over the device's memory, streams, and copies. A freed block goes to the list of its size class and
// stream; work of that stream which was queued before ends before any that is queued later, so it is handed out again at
// once. Blocks of other streams are used only after a synchronisation. While a graph is captured, blocks come from a
// pool of its own, which lives as long as the graph: replays find the same addresses.
#include "device.cuh"
#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>
#include "memory.h"

namespace lamella::cuda {
namespace {

constexpr int kDevices = 16;
struct Block { size_t bytes; cudaStream_t stream; int64_t pool; };
struct Pool {                                   // of one device
  std::mutex mutex;
  std::map<std::tuple<int64_t, cudaStream_t, size_t>, std::vector<void*>> free;  // by graph (0: none), stream, size
  std::unordered_map<void*, Block> live;
  MemoryUse use{};
  bool prepared = false;
};
Pool& pool_of(int device) {
  static Pool* pools = new Pool[kDevices];      // outlive every tensor
  return pools[device];
}
thread_local cudaStream_t current_stream = nullptr;
thread_local int64_t current_graph = 0;         // whose pool allocations come from

size_t rounded(size_t bytes) {                  // steps of an eighth of a power of two, at least 512
  if (bytes <= 512) return 512;
  const int top = 63 - __builtin_clzll((unsigned long long)(bytes - 1));
  const size_t step = size_t(1) << (top > 9 ? top - 3 : 6);
  return (bytes + step - 1) / step * step;
}

int device_now() {
  int d = 0;
  ok(cudaGetDevice(&d), "cudaGetDevice");
  return d;
}

void prepare(Pool& p, int device) {             // what the driver's pool frees, it keeps
  if (p.prepared) return;
  cudaMemPool_t pool;
  uint64_t all = ~uint64_t(0);
  ok(cudaDeviceGetDefaultMemPool(&pool, device), "cudaDeviceGetDefaultMemPool");
  ok(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &all), "cudaMemPoolSetAttribute");
  p.prepared = true;
}

void release(Pool& p, int64_t graph, bool all) {  // gives cached blocks back; the caller has the lock
  for (auto it = p.free.begin(); it != p.free.end();) {
    if (!all && std::get<0>(it->first) != graph) { ++it; continue; }
    for (void* block : it->second) {
      cudaFree(block);
      p.use.reserved -= int64_t(std::get<2>(it->first));
    }
    it = p.free.erase(it);
  }
}

}  // namespace

cudaStream_t stream() { return current_stream; }
void set_stream(cudaStream_t s) { current_stream = s; }
void set_graph_pool(int64_t graph) { current_graph = graph; }

void* allocate(size_t bytes) {
  const int device = device_now();
  Pool& p = pool_of(device);
  const size_t size = rounded(bytes);
  std::lock_guard<std::mutex> lock(p.mutex);
  void* block = nullptr;
  auto it = p.free.find({current_graph, current_stream, size});
  if (it != p.free.end() && !it->second.empty()) {
    block = it->second.back();
    it->second.pop_back();
  } else {
    prepare(p, device);
    // cudaMalloc, not a node of the graph: the graph's pool outlives its replays
    cudaError_t e = current_graph ? cudaMalloc(&block, size) : cudaMallocAsync(&block, size, current_stream);
    if (e == cudaErrorMemoryAllocation && !current_graph) {  // once more, with what is cached given back
      cudaGetLastError();
      ok(cudaDeviceSynchronize(), "synchronize");
      release(p, 0, false);
      cudaMemPool_t pool;
      ok(cudaDeviceGetDefaultMemPool(&pool, device), "cudaDeviceGetDefaultMemPool");
      ok(cudaMemPoolTrimTo(pool, 0), "cudaMemPoolTrimTo");
      e = cudaMallocAsync(&block, size, current_stream);
    }
    if (e == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      throw MemoryError(text("[cuda] cuda:", device, " must have ", bytes, " bytes left, got none with ", p.use.allocated,
                             " bytes in use: smaller batches or lamella.cuda.empty_cache() may help"));
    }
    ok(e, "cudaMallocAsync");
    p.use.reserved += int64_t(size);
    ++p.use.device_requests;
  }
  p.live[block] = {size, current_stream, current_graph};
  p.use.allocated += int64_t(size);
  ++p.use.requests;
  if (p.use.allocated > p.use.peak_allocated) p.use.peak_allocated = p.use.allocated;
  if (p.use.reserved > p.use.peak_reserved) p.use.peak_reserved = p.use.reserved;
  return block;
}

void deallocate_on(void* block, int device) noexcept {
  Pool& p = pool_of(device);
  std::lock_guard<std::mutex> lock(p.mutex);
  auto it = p.live.find(block);
  if (it == p.live.end()) return;
  const Block b = it->second;
  p.live.erase(it);
  p.use.allocated -= int64_t(b.bytes);
  p.free[{b.pool, b.stream, b.bytes}].push_back(block);
}
void deallocate(void* block, size_t) noexcept {
  int device = 0;
  if (cudaGetDevice(&device) == cudaSuccess) deallocate_on(block, device);
}

MemoryUse memory_use(int device) {
  Pool& p = pool_of(device);
  std::lock_guard<std::mutex> lock(p.mutex);
  return p.use;
}
void reset_peak(int device) {
  Pool& p = pool_of(device);
  std::lock_guard<std::mutex> lock(p.mutex);
  p.use.peak_allocated = p.use.allocated;
  p.use.peak_reserved = p.use.reserved;
}
void release_cached(int device) {
  Pool& p = pool_of(device);
  ok(cudaDeviceSynchronize(), "synchronize");
  std::lock_guard<std::mutex> lock(p.mutex);
  release(p, 0, false);
  cudaMemPool_t pool;
  ok(cudaDeviceGetDefaultMemPool(&pool, device), "cudaDeviceGetDefaultMemPool");
  ok(cudaMemPoolTrimTo(pool, 0), "cudaMemPoolTrimTo");
}
void release_graph_pool(int64_t graph, int device) {
  Pool& p = pool_of(device);
  std::lock_guard<std::mutex> lock(p.mutex);
  release(p, graph, false);
}

}  // namespace lamella::cuda
