// SPDX-License-Identifier: MIT
// The caching allocator. Central bins (one list per size class) under a spinlock; in front of them a few small blocks per
// thread, without a lock. Locks are re-made in a forked child.
#include "storage.h"
#include <pthread.h>
#include <sys/mman.h>
#include <cstdlib>
#include <new>
#include "backend.h"
#include "errors.h"
#include "guard.h"

namespace lamella {
namespace {

constexpr size_t kSmallest = 64;
constexpr int kClasses = 8 * 42;              // eight steps per power of two, from 64 bytes up
constexpr size_t kHuge = size_t(4) << 20;     // from here on: 2 MiB aligned, huge pages
constexpr size_t kHugePage = size_t(2) << 20;
constexpr int kLocalClasses = 8 * 6;          // thread caches hold blocks up to 4 KiB
constexpr int kLocalDepth = 16;

struct Free { Free* next; };                  // a free block's first bytes

struct SpinLock {
  std::atomic_flag flag = ATOMIC_FLAG_INIT;
  void lock() { while (flag.test_and_set(std::memory_order_acquire)) relax(); }
  void unlock() { flag.clear(std::memory_order_release); }
  static void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    asm volatile("yield");
#endif
  }
};

struct Guard {
  explicit Guard(SpinLock& l) : lock(l) { lock.lock(); }
  ~Guard() { lock.unlock(); }
  SpinLock& lock;
};

// Classes 0..7 are 64, 72, 80 .. 120, then 128, 144 .. : size = (8 + i % 8) << (i / 8 + 3).
int class_of(size_t bytes) {
  if (bytes <= kSmallest) return 0;
  size_t b = bytes - 1;
  int top = 63 - __builtin_clzll(b);
  int step = int((b >> (top - 3)) & 7);
  return (top - 6) * 8 + step + 1;
}
size_t class_size(int c) { return size_t(8 + c % 8) << (c / 8 + 3); }

struct Central {
  SpinLock lock;
  Free* bins[kClasses] = {};
  uint64_t used[kClasses] = {}, clock = 0;     // when a bin was last put to or taken from
  int64_t cached = 0;                          // bytes in the bins
  std::atomic<int64_t> allocated{0}, peak{0}, limit{0}, requests{0}, system_requests{0};
};

Central& central() {
  static Central* c = [] {
    auto* p = new Central;
    pthread_atfork([] { central().lock.lock(); }, [] { central().lock.unlock(); }, [] { central().lock.unlock(); });
    return p;
  }();
  return *c;
}

void* system_allocate(size_t bytes) {
  void* p = nullptr;
  if (bytes >= kHuge) {
    if (posix_memalign(&p, kHugePage, bytes)) return nullptr;
    madvise(p, bytes, MADV_HUGEPAGE);
  } else if (posix_memalign(&p, 64, (bytes + 63) & ~size_t(63))) {
    return nullptr;
  }
  return p;
}

void free_list(Free* f) {
  while (f) { Free* n = f->next; std::free(f); f = n; }
}

// Gives every cached block of the central bins back to the system.
void flush(Central& c) {
  Free* lists[kClasses];
  {
    Guard g(c.lock);
    for (int i = 0; i < kClasses; ++i) { lists[i] = c.bins[i]; c.bins[i] = nullptr; }
    c.cached = 0;
  }
  for (Free* f : lists) free_list(f);
}

// What is kept beyond what is in use is bounded, so that varying shapes do not make memory creep: cached blocks may hold
// as much as the peak of live memory (and at least 64 MiB). Unlinks blocks of the bins longest unused until that holds;
// the caller has the lock, and frees the list after it.
Free* evict(Central& c) {
  const int64_t least = int64_t(64) << 20, peak = c.peak.load(std::memory_order_relaxed), room = peak > least ? peak : least;
  Free* out = nullptr;
  while (c.cached > room) {
    int oldest = -1;
    for (int i = 0; i < kClasses; ++i)
      if (c.bins[i] && (oldest < 0 || c.used[i] < c.used[oldest])) oldest = i;
    while (c.cached > room && c.bins[oldest]) {
      Free* f = c.bins[oldest];
      c.bins[oldest] = f->next;
      c.cached -= int64_t(class_size(oldest));
      f->next = out;
      out = f;
    }
  }
  return out;
}

void put_central(Central& c, int cls, Free* f) {
  Free* evicted;
  {
    Guard g(c.lock);
    f->next = c.bins[cls];
    c.bins[cls] = f;
    c.used[cls] = ++c.clock;
    c.cached += int64_t(class_size(cls));
    evicted = evict(c);
  }
  free_list(evicted);
}

struct Local {                                  // of one thread
  Free* bins[kLocalClasses] = {};
  int depth[kLocalClasses] = {};
  ~Local() {
    dead = true;
    for (int i = 0; i < kLocalClasses; ++i)
      while (Free* f = bins[i]) { bins[i] = f->next; put_central(central(), i, f); }
  }
  static thread_local bool dead;                // blocks freed after this go to the centre
};
thread_local bool Local::dead = false;
thread_local Local local;

void add(std::atomic<int64_t>& a, int64_t n) { a.fetch_add(n, std::memory_order_relaxed); }

}  // namespace

void* allocate(size_t bytes) {
  Central& c = central();
  int cls = class_of(bytes);
  check<MemoryError>(cls < kClasses, "[allocate] size must fit into memory, got ", bytes, " bytes");
  size_t size = class_size(cls);
  int64_t live = c.allocated.fetch_add(int64_t(size), std::memory_order_relaxed) + int64_t(size);
  int64_t limit = c.limit.load(std::memory_order_relaxed);
  if (limit && live > limit) {
    add(c.allocated, -int64_t(size));
    throw MemoryError(text("[allocate] memory must stay below the limit of ", limit, " bytes, got a request for ", bytes,
                           " with ", live - int64_t(size), " in use"));
  }
  int64_t peak = c.peak.load(std::memory_order_relaxed);
  while (live > peak && !c.peak.compare_exchange_weak(peak, live, std::memory_order_relaxed)) {}
  add(c.requests, 1);
  if (allocator_guard())
    if (void* p = guarded_allocate(bytes)) return p;
  if (cls < kLocalClasses && !Local::dead) {
    Local& l = local;
    if (Free* f = l.bins[cls]) { l.bins[cls] = f->next; --l.depth[cls]; return f; }
  }
  {
    Guard g(c.lock);
    if (Free* f = c.bins[cls]) { c.bins[cls] = f->next; c.used[cls] = ++c.clock; c.cached -= int64_t(size); return f; }
  }
  add(c.system_requests, 1);
  void* p = system_allocate(size);
  if (!p) { flush(c); p = system_allocate(size); }
  if (!p) {
    add(c.allocated, -int64_t(size));
    throw MemoryError(text("[allocate] the system must have ", bytes, " bytes left, got none with ",
                           live - int64_t(size), " bytes in use: smaller batches or empty_cache() may help"));
  }
  return p;
}

void deallocate(void* p, size_t bytes) noexcept {
  if (!p) return;
  Central& c = central();
  int cls = class_of(bytes);
  size_t size = class_size(cls);
  add(c.allocated, -int64_t(size));
  if (guard_used.load(std::memory_order_relaxed) && guarded_free(p)) return;
  Free* f = static_cast<Free*>(p);
  if (cls < kLocalClasses && !Local::dead && local.depth[cls] < kLocalDepth) {
    f->next = local.bins[cls];
    local.bins[cls] = f;
    ++local.depth[cls];
    return;
  }
  put_central(c, cls, f);
}

MemoryStats memory_stats() {
  Central& c = central();
  Guard g(c.lock);
  return {c.allocated.load(), c.peak.load(), c.cached, c.limit.load(), c.requests.load(), c.system_requests.load()};
}
void reset_peak_memory() {
  Central& c = central();
  c.peak.store(c.allocated.load());
  Free* evicted;
  {
    Guard g(c.lock);
    evicted = evict(c);
  }
  free_list(evicted);
}
void empty_cache() { flush(central()); }
void set_memory_limit(int64_t bytes) {
  check<ValueError>(bytes >= 0, "[set_memory_limit] bytes must not be negative, got ", bytes);
  central().limit.store(bytes);
}

// ---- scratch ---------------------------------------------------------------------------------------------------------
namespace {
constexpr int kSlots = 16;
struct Scratch {
  void* p[kSlots] = {};
  size_t size[kSlots] = {};
  ~Scratch() { for (int i = 0; i < kSlots; ++i) deallocate(p[i], size[i]); }
};
thread_local Scratch scratch_buffers;
}  // namespace

void* scratch(size_t bytes, int slot) {
  Scratch& s = scratch_buffers;
  if (bytes > s.size[slot]) {
    size_t grown = bytes + bytes / 4;
    deallocate(s.p[slot], s.size[slot]);
    s.p[slot] = nullptr;
    s.size[slot] = 0;
    s.p[slot] = allocate(grown);
    s.size[slot] = grown;
  }
  return s.p[slot];
}

// ---- storage -----------------------------------------------------------------------------------------------------------
static StoragePtr storage_on(Device device, void* data, size_t bytes) {
  Storage* s;
  try {
    s = new (allocate(sizeof(Storage))) Storage;
  } catch (...) {
    if (device.is_cpu()) deallocate(data, bytes);
    else backend().deallocate(data, device.index);
    throw;
  }
  s->data = data;
  s->bytes = bytes;
  s->device = device;
  return StoragePtr(s);
}

StoragePtr new_storage(size_t bytes) {
  const Device device = here();
  return storage_on(device, device.is_cpu() ? allocate(bytes) : backend().allocate(bytes), bytes);
}

StoragePtr pinned_storage(size_t bytes) {
  void* data = backend().allocate_pinned(bytes);
  StoragePtr s = wrap_storage(data, bytes, [](void* p) { loaded_backend()->deallocate_pinned(p); }, data, false);
  s->pinned = true;
  return s;
}

StoragePtr wrap_storage(void* data, size_t bytes, void (*release)(void*), void* owner, bool readonly) {
  Storage* s = new (allocate(sizeof(Storage))) Storage;
  s->data = data;
  s->bytes = bytes;
  s->release = release;
  s->owner = owner;
  s->readonly = readonly;
  return StoragePtr(s);
}

void StoragePtr::destroy(Storage* s) noexcept {
  if (s->release) s->release(s->owner);
  else if (s->device.is_cpu()) deallocate(s->data, s->bytes);
  else loaded_backend()->deallocate(s->data, s->device.index);
  s->~Storage();
  deallocate(s, sizeof(Storage));
}

}  // namespace lamella
