// SPDX-License-Identifier: MIT
// One job at a time. Each thread that takes part has a share of its tasks, side by side, and takes them in order; one that has
// none left goes on with the others' shares. So the same thread meets the same part of an array in one op after the other, and
// finds it in its own core's cache. A share's state is one 64-bit word (job number, tasks left to claim): a worker that comes
// late finds none left, or another number, and a claim that succeeds proves that the job is still open.
#include "threads.h"
#include <pthread.h>
#include <sched.h>
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include "cpus.h"
#include "errors.h"

namespace lamella {
namespace {

constexpr int kMaxThreads = 256;
constexpr int kSpins = 2000;                   // about 30 to 50 microseconds of pause
thread_local bool inside_task = false;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  asm volatile("yield");
#endif
}

struct Pool {
  std::mutex caller;                           // held by the thread whose job runs
  std::mutex mutex;                            // guards sleeping
  std::condition_variable wake;
  int workers = 0;                             // started, under `caller`: threads 1, 2, ...; the caller is thread 0
  std::atomic<int> sleeping{0};

  // The job. Tasks count * i / shares up to count * (i + 1) / shares are those of share i.
  std::atomic<uint32_t> number{0};
  std::atomic<int> shares{0};
  struct alignas(64) Share { std::atomic<uint64_t> left{0}; };  // job number in the high half, tasks left to claim in the low half
  Share share[kMaxThreads];
  int64_t count = 0;
  std::atomic<int64_t> done{0};
  void (*task)(void*, int64_t) = nullptr;
  void* ctx = nullptr;
  std::exception_ptr error;
  std::atomic<bool> failed{false};

  std::atomic<int64_t> wakeups{0};
};

Pool* pool = nullptr;
std::mutex* pool_mutex = new std::mutex;
std::atomic<int> chosen{0};                    // number of threads; 0: not decided yet

// Claims and runs tasks of share `i` of job `number` until none is left. Returns how many.
int64_t take(Pool& p, uint32_t number, int i) {
  std::atomic<uint64_t>& share = p.share[i].left;
  int64_t taken = 0;
  for (uint64_t t = share.load(std::memory_order_acquire); uint32_t(t >> 32) == number && uint32_t(t) != 0;) {
    if (!share.compare_exchange_weak(t, t - 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
    // From here the job cannot end before `done` counts this task.
    if (!p.failed.load(std::memory_order_relaxed)) {
      try {
        p.task(p.ctx, p.count * (i + 1) / p.shares.load(std::memory_order_relaxed) - int64_t(uint32_t(t)));
      } catch (...) {
        if (!p.failed.exchange(true)) p.error = std::current_exception();
      }
    }
    ++taken;
    t = share.load(std::memory_order_acquire);
  }
  return taken;
}

// As thread `own`: its share, then the others'.
void work(Pool& p, uint32_t number, int own) {
  inside_task = true;
  int64_t taken = take(p, number, own);
  for (int i = 0, n = p.shares.load(std::memory_order_relaxed); i < n; ++i) taken += take(p, number, i);
  if (taken) p.done.fetch_add(taken, std::memory_order_release);
  inside_task = false;
}

void worker(Pool* p, int index) {
  uint32_t seen = 0;
  for (;;) {
    uint32_t now = p->number.load(std::memory_order_acquire);
    for (int i = 0; now == seen && i < kSpins; ++i) {
      relax();
      now = p->number.load(std::memory_order_acquire);
    }
    if (now == seen) {
      std::unique_lock<std::mutex> lock(p->mutex);
      p->sleeping.fetch_add(1);
      p->wake.wait(lock, [&] { return p->number.load() != seen; });
      p->sleeping.fetch_sub(1);
      continue;
    }
    seen = now;
    if (index < p->shares.load(std::memory_order_relaxed)) {
      p->wakeups.fetch_add(1, std::memory_order_relaxed);
      work(*p, now, index);
    }
  }
}

// A forked child has none of the parent's threads: it forgets the pool (leaking it) and makes its own when needed.
void in_child() {
  pool = nullptr;
  pool_mutex = new std::mutex;
  inside_task = false;
}

Pool& the_pool() {
  std::lock_guard<std::mutex> lock(*pool_mutex);
  if (!pool) {
    static bool registered = (pthread_atfork(nullptr, nullptr, in_child), true);
    (void)registered;
    pool = new Pool;  // never freed: workers may outlive static destruction
  }
  return *pool;
}

void start_workers(Pool& p, int wanted) {
  while (p.workers < wanted) {
    try {
      std::thread(worker, &p, p.workers + 1).detach();
    } catch (const std::system_error&) {
      return;  // the system allows no more threads: the caller does the work
    }
    ++p.workers;
  }
}

void run_inline(int64_t count, void (*task)(void*, int64_t), void* ctx) {
  for (int64_t i = 0; i < count; ++i) task(ctx, i);
}

}  // namespace

void run_tasks(int64_t count, void (*task)(void*, int64_t), void* ctx) {
  int threads = num_threads();
  if (count < 2 || threads < 2 || inside_task) return run_inline(count, task, ctx);
  Pool& p = the_pool();
  std::unique_lock<std::mutex> caller(p.caller, std::try_to_lock);
  if (!caller.owns_lock()) return run_inline(count, task, ctx);  // another thread's job has the workers
  check<ValueError>(count < (int64_t(1) << 31), "[run_tasks] count must be below 2^31, got ", count);
  const int shares = int(std::min<int64_t>(threads, count));
  start_workers(p, shares - 1);
  p.task = task;
  p.ctx = ctx;
  p.failed.store(false, std::memory_order_relaxed);
  p.error = nullptr;
  p.done.store(0, std::memory_order_relaxed);
  p.count = count;
  p.shares.store(shares, std::memory_order_relaxed);
  const uint32_t number = p.number.load(std::memory_order_relaxed) + 1;
  for (int i = 0; i < shares; ++i)
    p.share[i].left.store(uint64_t(number) << 32 | uint64_t(count * (i + 1) / shares - count * i / shares), std::memory_order_release);
  p.number.store(number);  // sequentially consistent with `sleeping`
  if (p.sleeping.load()) {
    std::lock_guard<std::mutex> lock(p.mutex);
    p.wake.notify_all();
  }
  work(p, number, 0);
  // Only tasks that a worker has already claimed are waited for.
  for (int spins = 0; p.done.load(std::memory_order_acquire) < count; ++spins) {
    if (spins < kSpins) relax();
    else sched_yield();
  }
  if (p.failed.load(std::memory_order_relaxed)) {
    std::exception_ptr error = p.error;
    p.error = nullptr;
    caller.unlock();
    std::rethrow_exception(error);
  }
}

int num_threads() {
  int n = chosen.load(std::memory_order_relaxed);
  if (n) return n;
  const char* env = std::getenv("LAMELLA_NUM_THREADS");
  n = env ? std::atoi(env) : 0;
  if (n < 1) n = available_cpus();
  chosen.store(n = std::min(n, kMaxThreads));
  return n;
}

void set_num_threads(int n) {
  check<ValueError>(n >= 1 && n <= kMaxThreads, "[set_num_threads] n must be in [1, ", kMaxThreads, "], got ", n);
  chosen.store(n);
}

int64_t pool_wakeups() {
  std::lock_guard<std::mutex> lock(*pool_mutex);
  return pool ? pool->wakeups.load() : 0;
}

}  // namespace lamella
