// SPDX-License-Identifier: MIT
// The pool: every task once, nested and concurrent calls, exceptions, fork.
#include "core/threads.h"
#include <sys/wait.h>
#include <unistd.h>
#include <atomic>
#include <thread>
#include <vector>
#include "check.h"
#include "core/errors.h"
#include "core/storage.h"

using namespace lamella;

template <class F> static void run(int64_t n, const F& f) {
  run_tasks(n, [](void* c, int64_t i) { (*static_cast<const F*>(c))(i); }, const_cast<F*>(&f));
}

static void once_each(int rounds) {
  for (int r = 0; r < rounds; ++r) {
    std::vector<int> seen(size_t(2 + r % 9));
    run(int64_t(seen.size()), [&](int64_t i) { ++seen[size_t(i)]; });
    for (int n : seen) CHECK(n == 1);
  }
}

static bool child_works() {
  pid_t pid = fork();
  if (pid == 0) {
    std::atomic<int> sum{0};
    run(100, [&](int64_t i) { sum += int(i); });
    void* p = allocate(1 << 20);
    deallocate(p, 1 << 20);
    _exit(sum == 4950 ? 0 : 1);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main() {
  CHECK(pool_wakeups() == 0);  // nothing starts by itself
  set_num_threads(4);
  once_each(20000);
  std::atomic<int> inner{0};
  run(8, [&](int64_t) { run(5, [&](int64_t) { ++inner; }); });
  CHECK(inner == 40);
  CHECK_THROWS(ValueError, run(10, [](int64_t i) { if (i == 3) throw ValueError("task"); }));
  once_each(10);
  std::vector<std::thread> callers;
  for (int t = 0; t < 3; ++t) callers.emplace_back([] { once_each(2000); });
  for (auto& t : callers) t.join();
  for (int i = 0; i < 20; ++i) CHECK(child_works());
  bool from_thread = false;
  std::thread([&] { from_thread = child_works(); }).join();
  CHECK(from_thread);
  once_each(100);
  CHECK_THROWS(ValueError, (set_num_threads(0), 0));
  return failures() != 0;
}
