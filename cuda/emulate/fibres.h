// SPDX-License-Identifier: MIT
// A GPU that is not there: kernels compiled as plain C++ run here, every thread of a block a fibre on its own small
// stack. A fibre runs until it waits (barrier, warp exchange, spin); the scheduler then goes on with the next. Blocks run
// one after another, those of a cooperative launch together. What cannot proceed is an error that says who waits.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

struct uint3 { unsigned x, y, z; };
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

namespace emulate {

struct Block;

struct Copy { void* to; const void* from; int bytes, size; };  // `bytes` of from, then zeros up to `size`

struct Thread {
  uint3 index;
  int number;                       // within the block, x fastest
  Block* block;
  void* stack_pointer = nullptr;
  char* stack = nullptr;
  const uint64_t* waits_for = nullptr;  // runnable once *waits_for != waited
  uint64_t waited = 0;
  const char* doing = "";           // what it waits in
  bool done = false;
  std::vector<std::vector<Copy>> copies;  // asynchronous ones by group, oldest first; the last group is open
};

extern Thread* current;             // the fibre that runs; launches are serialised, so plain globals serve
extern dim3 grid_size, block_size;
extern uint3 block_index;

// Runs body once as every thread of every block. `cooperative`: all blocks are alive at once.
void run(dim3 grid, dim3 block, size_t shared_bytes, bool cooperative, const std::function<void()>& body);

[[noreturn]] void fail(const char* text);  // ends the kernel with an error that names block and thread

// ---- what a kernel may call ------------------------------------------------------------------------------------------
void barrier(int id = 0, int threads = 0);  // threads 0: all of the block that have not exited
void arrive(int id, int threads);           // counts at the barrier without waiting
bool barrier_or(int id, int threads, bool x);  // whether x holds in any of them
void yield();                               // inside a spin: lets the others go on
void* shared_memory();                      // the dynamic part, 1024-byte aligned
size_t shared_size();
void* shared_static(const void* tag, size_t bytes);  // the block's own instance of a static shared variable

constexpr int kMostBytes = 64;      // of one lane's share of an exchange
// Every lane of mask brings `bytes` of `in`; all get everyone's: a pointer to 32 shares of kMostBytes each, valid until
// the lane's next exchange.
const char* exchange(unsigned mask, const void* in, size_t bytes, const char* what);
// The same of the 128 threads of a warpgroup: only that all have arrived.
void warpgroup_barrier();
// cp.async: what was asked for arrives when it is waited for, and not before.
void copy_later(void* to, const void* from, int bytes, int size);
void commit_copies();
void wait_copies(int groups_left);
inline int lane() { return current->number & 31; }
inline int warp() { return current->number >> 5; }

}  // namespace emulate
