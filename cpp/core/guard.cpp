// SPDX-License-Identifier: MIT
#include "guard.h"
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <unordered_map>
#include "errors.h"

namespace lamella {
namespace {

constexpr size_t kMargin = 128;
constexpr unsigned char kMark = 0xa5;

struct Guard {
  std::mutex mutex;
  std::unordered_map<void*, size_t> blocks;
  std::string fault;
};
Guard& guard() {
  static Guard* g = new Guard;  // outlives every block
  return *g;
}
std::atomic<bool> on{false};

bool intact(const unsigned char* p, size_t n) {
  for (size_t i = 0; i < n; ++i) if (p[i] != kMark) return false;
  return true;
}

}  // namespace

std::atomic<bool> guard_used{false};

void set_allocator_guard(bool value) {
  if (value) guard_used = true;
  on = value;
}
bool allocator_guard() { return on.load(std::memory_order_relaxed); }

std::string allocator_fault() {
  std::lock_guard<std::mutex> lock(guard().mutex);
  std::string fault;
  fault.swap(guard().fault);
  return fault;
}

void* guarded_allocate(size_t bytes) {
  void* raw = nullptr;
  size_t padded = (bytes + 63) & ~size_t(63);
  if (posix_memalign(&raw, 64, padded + 2 * kMargin)) return nullptr;
  unsigned char* p = static_cast<unsigned char*>(raw);
  std::memset(p, kMark, kMargin);
  std::memset(p + kMargin, 0xff, bytes);
  std::memset(p + kMargin + bytes, kMark, padded - bytes + kMargin);
  std::lock_guard<std::mutex> lock(guard().mutex);
  guard().blocks[p + kMargin] = bytes;
  return p + kMargin;
}

bool guarded_free(void* block) noexcept {
  size_t bytes;
  {
    std::lock_guard<std::mutex> lock(guard().mutex);
    auto it = guard().blocks.find(block);
    if (it == guard().blocks.end()) return false;
    bytes = it->second;
    guard().blocks.erase(it);
    unsigned char* p = static_cast<unsigned char*>(block);
    size_t padded = (bytes + 63) & ~size_t(63);
    const char* where = !intact(p - kMargin, kMargin) ? "before the start of"
                        : !intact(p + bytes, padded - bytes + kMargin) ? "past the end of" : nullptr;
    if (where && guard().fault.empty()) guard().fault = text("[allocator] a write ", where, " a block of ", bytes, " bytes");
  }
  std::free(static_cast<unsigned char*>(block) - kMargin);
  return true;
}

}  // namespace lamella
