// SPDX-License-Identifier: MIT
// Our own small thread pool. The caller takes part; workers spin briefly, then sleep; a forked child gets a fresh pool;
// nothing starts before the first parallel call. Work is cut by shape into tasks, never by the number of threads, and
// each task writes what is its own: results do not depend on who runs it.
#pragma once
#include <cstdint>

namespace lamella {

// Runs task(ctx, i) for every i in [0, count); returns when all are done. A call from inside a task runs inline. The
// first exception of a task is rethrown here once all have stopped.
void run_tasks(int64_t count, void (*task)(void* ctx, int64_t i), void* ctx);

int num_threads();            // default: min(affinity, cgroup quota rounded down), at least 1; LAMELLA_NUM_THREADS sets it
void set_num_threads(int n);  // ValueError below 1
int available_cpus();         // what the default is computed from (cpus.h)
int64_t pool_wakeups();       // how often a worker was asked to work (for tests)

}  // namespace lamella
