// SPDX-License-Identifier: MIT
// The pools: what is freed is handed out again, but not while a stream still uses it; graphs have memory of their own.
#include "cuda/memory.h"
#include "check.h"

using namespace lamella::cuda;

int main() {
  cudaStream_t other;
  cudaStreamCreateWithPriority(&other, cudaStreamNonBlocking, 0);
  CHECK(rounded(1) == 512 && rounded(513) == 576 && rounded(1025) == 1152 && rounded(1 << 20) == 1 << 20);

  // of one stream at once, of another stream or size not
  void* a = allocate(1000);
  CHECK(memory_use(0).allocated == int64_t(rounded(1000)) && memory_use(0).requests == 1);
  deallocate(a, 1000);
  CHECK(allocate(999) == a && memory_use(0).device_requests == 1);
  deallocate(a, 999);
  set_stream(0, other);
  void* b = allocate(1000);
  CHECK(b != a);
  deallocate(b, 1000);
  set_stream(0, nullptr);
  CHECK(memory_use(0).allocated == 0 && memory_use(0).reserved == 2 * int64_t(rounded(1000)));

  // used by another stream: not before that is done
  CHECK(allocate(1000) == a);
  used_by(a, 0, other);
  used_by(a, 0, other);
  used_by(a, 0, nullptr);  // its own
  emulate::hold_events(true);
  deallocate(a, 1000);
  void* c = allocate(1000);
  CHECK(c != a && c != b);
  emulate::hold_events(false);
  CHECK(allocate(1000) == a);
  deallocate(a, 1000);
  deallocate(c, 1000);
  used_by(&a, 0, other);   // not of the pool

  release_cached(0);
  CHECK(memory_use(0).reserved == 0);

  // a graph's pool keeps its blocks until it goes; what is freed after that goes at once
  set_graph_pool(7);
  void* d = allocate(2000);
  void* e = allocate(2000);
  deallocate(d, 2000);
  CHECK(allocate(2000) == d);
  set_graph_pool(0);
  deallocate(d, 2000);
  void* f = allocate(2000);
  CHECK(f != d);
  deallocate(f, 2000);
  release_cached(0);
  CHECK(memory_use(0).reserved == 2 * int64_t(rounded(2000)));
  release_graph_pool(7, 0);
  CHECK(memory_use(0).reserved == int64_t(rounded(2000)));
  deallocate(e, 2000);
  CHECK(memory_use(0).reserved == 0 && memory_use(0).allocated == 0);

  // pinned: while a copy reads it, it is not handed out again
  char* p = static_cast<char*>(allocate_pinned(5000));
  pinned_used(p + 4999);
  emulate::hold_events(true);
  deallocate_pinned(p);
  void* q = allocate_pinned(5000);
  CHECK(q != p);
  deallocate_pinned(q);
  CHECK(allocate_pinned(4900) == q);
  emulate::hold_events(false);
  CHECK(allocate_pinned(5000) == p);
  deallocate_pinned(p);
  deallocate_pinned(q);
  pinned_used(&p);         // not pinned
  emulate::hold_events(true);
  CHECK(allocate_pinned(5000) == q && allocate_pinned(5000) == p);  // no use of theirs is left to be asked for
  emulate::hold_events(false);
  deallocate_pinned(p);
  deallocate_pinned(q);
  release_pinned();
  return failures() != 0;
}
