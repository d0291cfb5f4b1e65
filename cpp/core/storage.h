// SPDX-License-Identifier: MIT
// Memory: a caching allocator for the CPU (a GPU's is its plug-in's) and the ref-counted buffer that every Array views.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include "device.h"

namespace lamella {

// --- allocator -----------------------------------------------------------------------------------------------------
// Size classes in steps of 1/8 of a power of two; freed blocks are kept, last freed first, and handed out again still
// mapped, so a steady training step touches no fresh page. 64-byte aligned; blocks from 4 MiB on are 2 MiB aligned and
// ask for huge pages. Throws MemoryError (after giving the cache back to the system once) and never aborts.
void* allocate(size_t bytes);
void deallocate(void* p, size_t bytes) noexcept;

struct MemoryStats { int64_t allocated, peak_allocated, cached, limit, requests, system_requests; };
MemoryStats memory_stats();
void reset_peak_memory();
void empty_cache();
void set_memory_limit(int64_t bytes);  // 0: none

// Per-thread scratch for kernels (packing buffers, partial sums): grows, is reused, 64-byte aligned. A `slot` is one
// live buffer; a second call with the same slot invalidates the first.
void* scratch(size_t bytes, int slot = 0);

// --- storage -------------------------------------------------------------------------------------------------------
struct Storage {
  std::atomic<int64_t> refs{1};
  void* data = nullptr;
  size_t bytes = 0;
  Device device;
  bool readonly = false;
  bool pinned = false;                      // of pinned_storage
  uint32_t version = 0;                     // counts in-place writes; shared by every view
  bool recorded_view = false;               // a view of it takes part in a recorded graph
  void (*release)(void* owner) = nullptr;   // set for memory we do not own (NumPy, DLPack); called once at the end
  void* owner = nullptr;
};

class StoragePtr {
 public:
  StoragePtr() = default;
  explicit StoragePtr(Storage* s) : s_(s) {}  // takes over one reference
  StoragePtr(const StoragePtr& o) : s_(o.s_) { if (s_) s_->refs.fetch_add(1, std::memory_order_relaxed); }
  StoragePtr(StoragePtr&& o) noexcept : s_(o.s_) { o.s_ = nullptr; }
  StoragePtr& operator=(StoragePtr o) noexcept { Storage* t = s_; s_ = o.s_; o.s_ = t; return *this; }
  ~StoragePtr() { if (s_ && s_->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy(s_); }
  Storage* operator->() const { return s_; }
  Storage* get() const { return s_; }
  explicit operator bool() const { return s_ != nullptr; }
 private:
  static void destroy(Storage*) noexcept;
  Storage* s_ = nullptr;
};

StoragePtr new_storage(size_t bytes);  // on this thread's device, uninitialised
StoragePtr pinned_storage(size_t bytes);  // on the CPU, in memory that a GPU copies from at full speed, and without waiting
StoragePtr wrap_storage(void* data, size_t bytes, void (*release)(void*), void* owner, bool readonly);

}  // namespace lamella
