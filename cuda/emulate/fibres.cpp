// SPDX-License-Identifier: MIT
#include "fibres.h"
#include <sys/mman.h>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#if defined(__x86_64__)
// Saves what a call must keep, exchanges stacks, and returns on the other one.
extern "C" void lamella_emulate_switch(void** save, void* load);
asm(R"(
.text
.globl lamella_emulate_switch
.hidden lamella_emulate_switch
.type lamella_emulate_switch, @function
lamella_emulate_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size lamella_emulate_switch, .-lamella_emulate_switch
)");
#else
#error "the emulated device runs on x86-64"
#endif

namespace emulate {

Thread* current = nullptr;
dim3 grid_size, block_size;
uint3 block_index;

namespace {
constexpr size_t kStack = 128 << 10;
constexpr int kBarriers = 16;

struct Exchange {                  // lanes of one warp that meet under one mask
  unsigned mask = 0, arrived = 0;
  uint64_t generation = 0;
  alignas(64) char share[2][32 * kMostBytes];
};
struct Warp {
  std::vector<std::unique_ptr<Exchange>> exchanges;
};
struct Barrier {
  int arrived = 0;
  uint64_t generation = 0;
};
}  // namespace

struct Block {
  uint3 index;
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  Barrier barriers[kBarriers];
  std::vector<Barrier> groups;     // of warpgroups
  int alive = 0;
  char* shared = nullptr;
  size_t shared_bytes = 0;
  std::map<const void*, std::unique_ptr<char, void (*)(void*)>> statics;

  explicit Block(dim3 size, size_t bytes) : shared_bytes(bytes) {
    const int n = int(size.x * size.y * size.z);
    threads.resize(size_t(n));
    warps.resize(size_t((n + 31) / 32));
    groups.resize(size_t((n + 127) / 128));
    shared = static_cast<char*>(std::aligned_alloc(1024, (bytes + 1024) / 1024 * 1024));
  }
  ~Block() { std::free(shared); }
  Block(const Block&) = delete;

  void begin(uint3 at, dim3 size) {
    index = at;
    alive = int(threads.size());
    std::memset(shared, 0xcd, shared_bytes);  // what nobody wrote is no number one would expect
    statics.clear();
    for (Barrier& b : barriers) b = {};
    for (Barrier& b : groups) b = {};
    for (Warp& w : warps) w.exchanges.clear();
    for (int i = 0; i < alive; ++i) {
      Thread& t = threads[size_t(i)];
      t = Thread{};
      t.number = i;
      t.block = this;
      t.index = {unsigned(i) % size.x, unsigned(i) / size.x % size.y, unsigned(i) / (size.x * size.y)};
    }
  }
};

namespace {

std::mutex launching;
const std::function<void()>* body_now = nullptr;
void* scheduler = nullptr;          // its stack pointer while a fibre runs
std::string failure;
std::vector<char*> stacks;          // free ones, last used first

char* take_stack() {
  if (!stacks.empty()) {
    char* s = stacks.back();
    stacks.pop_back();
    return s;
  }
  void* p = mmap(nullptr, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  mprotect(p, 4096, PROT_NONE);     // an overflow is a fault, not a neighbour's data
  return static_cast<char*>(p);
}

void leave() { lamella_emulate_switch(&current->stack_pointer, scheduler); }

extern "C" void lamella_emulate_enter() {
  (*body_now)();
  Thread* t = current;
  t->done = true;
  --t->block->alive;
  Barrier& b = t->block->barriers[0];  // whoever waits for all waits for one less
  if (b.arrived && b.arrived >= t->block->alive) { b.arrived = 0; ++b.generation; }
  leave();
  std::abort();
}

bool runnable(const Thread& t) { return !t.done && (!t.waits_for || *t.waits_for != t.waited); }

void resume(Thread& t) {
  if (!t.stack) {
    t.stack = take_stack();
    void** top = reinterpret_cast<void**>(t.stack + kStack - 64);
    *--top = nullptr;                                             // keeps the entry's stack aligned as a call would
    *--top = reinterpret_cast<void*>(&lamella_emulate_enter);     // where the first switch returns to
    for (int i = 0; i < 6; ++i) *--top = nullptr;
    t.stack_pointer = top;
  }
  t.waits_for = nullptr;
  current = &t;
  block_index = t.block->index;
  lamella_emulate_switch(&scheduler, t.stack_pointer);
  current = nullptr;
  if (t.done) {
    stacks.push_back(t.stack);
    t.stack = nullptr;
  }
}

std::string place(const Thread& t) {
  char line[200];
  std::snprintf(line, sizeof line, "block (%u, %u, %u) thread (%u, %u, %u) waits in %s", t.block->index.x, t.block->index.y,
                t.block->index.z, t.index.x, t.index.y, t.index.z, t.doing);
  return line;
}

void give_up(std::vector<std::unique_ptr<Block>>& blocks) {
  for (auto& b : blocks)
    for (Thread& t : b->threads)
      if (t.stack) { stacks.push_back(t.stack); t.stack = nullptr; }
}

// Warp after warp, each until none of its lanes can go on: exchanges of a warp need no round through the block.
void run_blocks(std::vector<std::unique_ptr<Block>>& blocks) {
  uint64_t idle_yields = 0;
  for (;;) {
    bool moved = false, waiting = false, spun = false;
    for (auto& block : blocks) {
      if (!block->alive) continue;
      const size_t n = block->threads.size();
      for (size_t w = 0; w < n; w += 32)
        for (bool again = true; again;) {
          again = false;
          for (size_t i = w; i < std::min(n, w + 32); ++i) {
            Thread& t = block->threads[i];
            if (!runnable(t)) continue;
            resume(t);
            if (!failure.empty()) return;
            if (t.waits_for || t.done) again = moved = true; else spun = true;
          }
        }
      waiting |= block->alive > 0;
    }
    if (!waiting) return;
    if (moved) { idle_yields = 0; continue; }
    if (spun && ++idle_yields < 100000) continue;
    failure = spun ? "threads spin forever" : "no thread can go on";
    for (auto& block : blocks)
      for (Thread& t : block->threads)
        if (!t.done) { failure += ": " + place(t); return; }
  }
}

void wait_while(const uint64_t* value, uint64_t is, const char* doing) {
  current->waits_for = value;
  current->waited = is;
  current->doing = doing;
  leave();
}

}  // namespace

void fail(const char* text) {
  current->doing = text;
  failure = text;
  failure += ": " + place(*current);
  leave();
  std::abort();
}

void run(dim3 grid, dim3 block, size_t shared_bytes, bool cooperative, const std::function<void()>& body) {
  std::lock_guard<std::mutex> lock(launching);
  const uint64_t threads = uint64_t(block.x) * block.y * block.z, count = uint64_t(grid.x) * grid.y * grid.z;
  if (threads == 0 || threads > 1024 || count == 0 || grid.y > 65535 || grid.z > 65535 || grid.x > 0x7fffffffu ||
      shared_bytes > 232448)
    throw std::runtime_error("invalid launch: grid (" + std::to_string(grid.x) + ", " + std::to_string(grid.y) + ", " +
                             std::to_string(grid.z) + "), block of " + std::to_string(threads) + ", shared " +
                             std::to_string(shared_bytes));
  grid_size = grid;
  block_size = block;
  body_now = &body;
  failure.clear();
  std::vector<std::unique_ptr<Block>> blocks;
  const size_t together = cooperative ? size_t(count) : 1;
  for (size_t i = 0; i < together; ++i) blocks.push_back(std::make_unique<Block>(block, shared_bytes));
  for (uint64_t first = 0; first < count && failure.empty(); first += together) {
    for (size_t i = 0; i < together; ++i) {
      const uint64_t at = first + i;
      blocks[i]->begin({unsigned(at % grid.x), unsigned(at / grid.x % grid.y), unsigned(at / (uint64_t(grid.x) * grid.y))}, block);
    }
    run_blocks(blocks);
  }
  give_up(blocks);
  if (!failure.empty()) throw std::runtime_error("[emulated device] " + failure);
}

void barrier(int id, int threads) {
  Block& block = *current->block;
  Barrier& b = block.barriers[id];
  const int wanted = threads ? threads : block.alive;
  const uint64_t before = b.generation;
  if (++b.arrived >= wanted) { b.arrived = 0; ++b.generation; return; }
  wait_while(&b.generation, before, "a barrier");
}

void arrive(int id, int threads) {
  Barrier& b = current->block->barriers[id];
  if (++b.arrived >= threads) { b.arrived = 0; ++b.generation; }
}

bool barrier_or(int id, int threads, bool x) {
  static const char tags[kBarriers] = {};
  bool& any = *static_cast<bool*>(shared_static(&tags[id], sizeof(bool)));
  barrier(id, threads);
  any = false;
  barrier(id, threads);
  if (x) any = true;
  barrier(id, threads);
  const bool y = any;
  barrier(id, threads);
  return y;
}

void warpgroup_barrier() {
  Barrier& b = current->block->groups[size_t(current->number / 128)];
  const uint64_t before = b.generation;
  if (++b.arrived == 128) { b.arrived = 0; ++b.generation; return; }
  wait_while(&b.generation, before, "a warpgroup's instruction");
}

void yield() {
  current->doing = "a spin";
  leave();
}

void* shared_memory() { return current->block->shared; }
size_t shared_size() { return current->block->shared_bytes; }

void* shared_static(const void* tag, size_t bytes) {
  auto& statics = current->block->statics;
  auto it = statics.find(tag);
  if (it == statics.end()) {
    char* p = static_cast<char*>(std::aligned_alloc(128, (bytes + 127) / 128 * 128));
    std::memset(p, 0xcd, bytes);
    it = statics.emplace(tag, std::unique_ptr<char, void (*)(void*)>(p, std::free)).first;
  }
  return it->second.get();
}

const char* exchange(unsigned mask, const void* in, size_t bytes, const char* what) {
  Block& block = *current->block;
  auto& list = block.warps[size_t(warp())].exchanges;
  Exchange* e = nullptr;
  for (auto& x : list) if (x->mask == mask) e = x.get();
  if (!e) {
    list.push_back(std::make_unique<Exchange>());
    e = list.back().get();
    e->mask = mask;
  }
  if (!(mask >> lane() & 1)) fail("an exchange whose mask leaves its caller out");
  const size_t first = size_t(warp()) * 32;
  unsigned present = mask;          // a full mask stands for the lanes that exist
  if (block.threads.size() - first < 32) present &= (1u << (block.threads.size() - first)) - 1;
  const uint64_t g = e->generation;
  char* share = e->share[g & 1];
  if (bytes) std::memcpy(share + lane() * kMostBytes, in, bytes);
  e->arrived |= 1u << lane();
  if (e->arrived == present) { e->arrived = 0; ++e->generation; }
  else wait_while(&e->generation, g, what);
  return share;
}

void copy_later(void* to, const void* from, int bytes, int size) {
  if (reinterpret_cast<uintptr_t>(to) % size_t(size) || (bytes && reinterpret_cast<uintptr_t>(from) % size_t(size)))
    fail("an asynchronous copy of unaligned data");
  auto& c = current->copies;
  if (c.empty()) c.emplace_back();
  c.back().push_back({to, from, bytes, size});
}
void commit_copies() {
  if (current->copies.empty()) current->copies.emplace_back();
  current->copies.emplace_back();
}
void wait_copies(int groups_left) {
  auto& c = current->copies;  // the last is open: not waited for
  while (int(c.size()) - 1 > groups_left) {
    for (const Copy& x : c.front()) {
      std::memset(x.to, 0, size_t(x.size));
      if (x.bytes) std::memcpy(x.to, x.from, size_t(x.bytes));
    }
    c.erase(c.begin());
  }
}

}  // namespace emulate
