// SPDX-License-Identifier: MIT
// Pinned memory of the host. Pinning takes milliseconds and stops the device, so freed blocks are kept and handed out again
// once the copies that were queued from them are done.
#include <map>
#include <mutex>
#include "memory.h"
#include "uses.h"

namespace lamella::cuda {
namespace {

struct Block { char* p; size_t bytes; Uses uses; };
struct Pool {
  std::mutex mutex;
  std::map<const char*, Block> live;               // by first byte
  std::map<size_t, std::vector<char*>> free;       // by size
  std::vector<Block> waiting;                      // freed, and still copied from

  Block* find(const void* at) {                    // the caller has the lock
    auto it = live.upper_bound(static_cast<const char*>(at));
    if (it == live.begin()) return nullptr;
    --it;
    return static_cast<const char*>(at) < it->first + it->second.bytes ? &it->second : nullptr;
  }
  void collect() noexcept {                        // those that are copied from no more; the caller has the lock
    for (size_t i = 0; i < waiting.size();) {
      if (!waiting[i].uses.over()) { ++i; continue; }
      free[waiting[i].bytes].push_back(waiting[i].p);
      if (i + 1 < waiting.size()) waiting[i] = std::move(waiting.back());
      waiting.pop_back();
    }
  }
  void release() noexcept {
    for (auto& [size, blocks] : free)
      for (char* p : blocks) cudaFreeHost(p);
    free.clear();
  }
};
Pool& pool() {
  static Pool* p = new Pool;                       // outlives every tensor
  return *p;
}

}  // namespace

void* allocate_pinned(size_t bytes) {
  const size_t size = rounded(bytes);
  Pool& p = pool();
  std::lock_guard<std::mutex> lock(p.mutex);
  p.collect();
  void* block = nullptr;
  auto kept = p.free.find(size);
  if (kept != p.free.end() && !kept->second.empty()) {
    block = kept->second.back();
    kept->second.pop_back();
  } else {
    cudaError_t e = cudaMallocHost(&block, size);
    if (e == cudaErrorMemoryAllocation) {          // once more, with what is kept given back
      cudaGetLastError();
      p.release();
      e = cudaMallocHost(&block, size);
    }
    if (e == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      throw MemoryError(text("[pin_memory] the system must have ", bytes, " bytes of pinned memory left"));
    }
    ok(e, "cudaMallocHost");
  }
  char* const at = static_cast<char*>(block);
  p.live[at] = {at, size, {}};
  return block;
}

void deallocate_pinned(void* block) noexcept {
  Pool& p = pool();
  std::lock_guard<std::mutex> lock(p.mutex);
  auto it = p.live.find(static_cast<char*>(block));
  if (it == p.live.end()) return;
  Block b = std::move(it->second);
  p.live.erase(it);
  if (b.uses.over()) p.free[b.bytes].push_back(b.p);
  else p.waiting.push_back(std::move(b));
}

bool is_pinned(const void* at) {
  Pool& p = pool();
  std::lock_guard<std::mutex> lock(p.mutex);
  return p.find(at) != nullptr;
}
void pinned_used(const void* at) {
  Pool& p = pool();
  std::lock_guard<std::mutex> lock(p.mutex);
  if (Block* b = p.find(at)) b->uses.add(stream());
}

void release_pinned() {
  Pool& p = pool();
  std::lock_guard<std::mutex> lock(p.mutex);
  p.collect();
  p.release();
}

}  // namespace lamella::cuda
