// SPDX-License-Identifier: MIT
// Tasks of ops that compute on the host, without a kernel.
#pragma once
#include "core/threads.h"

namespace lamella::ops {

// f(i) for i < count; work is cut into them by shape alone (core/threads.h).
template <class F> void parallel(int64_t count, const F& f) {
  run_tasks(count, [](void* c, int64_t i) { (*static_cast<const F*>(c))(i); }, const_cast<F*>(&f));
}

}  // namespace lamella::ops
