// SPDX-License-Identifier: MIT
// A caching pool over the device's memory, streams, and copies. A freed block goes to the list of its size class and
// stream; work of that stream which was queued before ends before any that is queued later, so it is handed out again at
// once; a block that another stream uses as well waits for that first (used_by). While a graph is captured, blocks come from
// a pool of its own, which lives as long as the graph: replays find the same addresses.
#include "memory.h"
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>
#include "uses.h"

namespace lamella::cuda {
namespace {

struct Block { void* p; size_t bytes; cudaStream_t stream; int64_t pool; Uses uses; };
struct Pool {                                   // of one device
  std::mutex mutex;
  std::map<std::tuple<int64_t, cudaStream_t, size_t>, std::vector<void*>> free;  // by graph (0: none), stream, size
  std::unordered_map<void*, Block> live;
  std::vector<Block> waiting;                   // freed, and used by other streams yet
  std::set<int64_t> graphs;                     // whose pools there are
  MemoryUse use{};
  bool prepared = false;

  void keep(const Block& b) {
    if (b.pool == 0 || graphs.count(b.pool)) { free[{b.pool, b.stream, b.bytes}].push_back(b.p); return; }
    cudaFree(b.p);                              // its graphs are gone
    use.reserved -= int64_t(b.bytes);
  }
  void collect() {                              // blocks that no other stream uses any more; the caller has the lock
    for (size_t i = 0; i < waiting.size();) {
      if (!waiting[i].uses.over()) { ++i; continue; }
      keep(waiting[i]);
      if (i + 1 < waiting.size()) waiting[i] = std::move(waiting.back());
      waiting.pop_back();
    }
  }
};
Pool& pool_of(int device) {
  static Pool* pools = new Pool[kDevices];      // outlive every tensor
  return pools[device];
}
thread_local int current_device = 0;
thread_local cudaStream_t streams[kDevices];
thread_local int64_t current_graph = 0;         // whose pool allocations come from

}  // namespace

size_t rounded(size_t bytes) {                  // steps of an eighth of a power of two, at least 512
  if (bytes <= 512) return 512;
  const int top = 63 - __builtin_clzll((unsigned long long)(bytes - 1));
  const size_t step = size_t(1) << (top > 9 ? top - 3 : 6);
  return (bytes + step - 1) / step * step;
}

namespace {

void prepare(Pool& p, int device) {             // what the driver's pool frees, it keeps
  if (p.prepared) return;
  cudaMemPool_t pool;
  uint64_t all = ~uint64_t(0);
  ok(cudaDeviceGetDefaultMemPool(&pool, device), "cudaDeviceGetDefaultMemPool");
  ok(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &all), "cudaMemPoolSetAttribute");
  p.prepared = true;
}

void release(Pool& p, int64_t graph) {          // gives cached blocks back; the caller has the lock
  for (auto it = p.free.begin(); it != p.free.end();) {
    if (std::get<0>(it->first) != graph) { ++it; continue; }
    for (void* block : it->second) {
      cudaFree(block);
      p.use.reserved -= int64_t(std::get<2>(it->first));
    }
    it = p.free.erase(it);
  }
}

}  // namespace

int device_now() { return current_device; }
void set_device(int device) {
  ok(cudaSetDevice(device), "cudaSetDevice");
  current_device = device;
}
cudaStream_t stream() { return streams[current_device]; }
cudaStream_t stream_of(int device) { return streams[device]; }
void set_stream(int device, cudaStream_t s) { streams[device] = s; }
void set_graph_pool(int64_t pool) {
  current_graph = pool;
  if (!pool) return;
  Pool& p = pool_of(current_device);
  std::lock_guard<std::mutex> lock(p.mutex);
  p.graphs.insert(pool);
}

void* allocate(size_t bytes) {
  const int device = current_device;
  const cudaStream_t current_stream = streams[device];
  Pool& p = pool_of(device);
  const size_t size = rounded(bytes);
  std::lock_guard<std::mutex> lock(p.mutex);
  if (!p.waiting.empty()) p.collect();
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
      p.collect();
      release(p, 0);
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
  p.live[block] = {block, size, current_stream, current_graph, {}};
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
  Block b = std::move(it->second);
  p.live.erase(it);
  p.use.allocated -= int64_t(b.bytes);
  if (b.uses.over()) p.keep(b);
  else p.waiting.push_back(std::move(b));
}
void deallocate(void* block, size_t) noexcept { deallocate_on(block, current_device); }

void used_by(void* block, int device, cudaStream_t s) {
  Pool& p = pool_of(device);
  std::lock_guard<std::mutex> lock(p.mutex);
  auto it = p.live.find(block);
  if (it != p.live.end() && it->second.stream != s) it->second.uses.add(s);
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
  p.collect();
  release(p, 0);
  cudaMemPool_t pool;
  ok(cudaDeviceGetDefaultMemPool(&pool, device), "cudaDeviceGetDefaultMemPool");
  ok(cudaMemPoolTrimTo(pool, 0), "cudaMemPoolTrimTo");
}
void release_graph_pool(int64_t pool, int device) {
  Pool& p = pool_of(device);
  std::lock_guard<std::mutex> lock(p.mutex);
  p.graphs.erase(pool);
  release(p, pool);
}

}  // namespace lamella::cuda
