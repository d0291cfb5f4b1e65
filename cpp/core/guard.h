// SPDX-License-Identifier: MIT
// A debug mode of the allocator: margins of known bytes before and after every block, looked at when it is freed; the
// block itself starts as 0xff (NaN in every float format), so that reading what was never written shows.
#pragma once
#include <atomic>
#include <cstddef>
#include <string>

namespace lamella {

extern std::atomic<bool> guard_used;           // ever switched on: deallocate must then ask guarded_free
void set_allocator_guard(bool on);
bool allocator_guard();
std::string allocator_fault();                 // the first fault since the last call, "" if none

void* guarded_allocate(size_t bytes);          // null where the system has no memory
bool guarded_free(void* p) noexcept;           // true if p was a guarded block

}  // namespace lamella
