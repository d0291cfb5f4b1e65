// SPDX-License-Identifier: MIT
// The machine: ISA, threads, memory.
#include "core/guard.h"
#include "core/storage.h"
#include "core/threads.h"
#include "dispatch/dispatch.h"
#include "families.h"

namespace lamella {

void bind_runtime(py::module_& m) {
  m.def("kernel_names", &kernel_names);
  m.def("own_kernels", &own_kernels, py::arg("isa"));
  m.def("active_isa", [] { return std::string(kernels().isa); });
  m.def("set_isa", &set_isa, py::arg("name"));
  m.def("isas", [] { return isas_for(cpu_features()); });
  m.def("num_threads", &num_threads);
  m.def("set_num_threads", &set_num_threads, py::arg("n"));
  m.def("available_cpus", &available_cpus);
  m.def("pool_wakeups", &pool_wakeups);
  m.def("empty_cache", &empty_cache);
  m.def("set_memory_limit", &set_memory_limit, py::arg("bytes"));
  m.def("reset_peak_memory", &reset_peak_memory);
  m.def("set_allocator_guard", &set_allocator_guard, py::arg("on"));
  m.def("check_allocator_guard", [] {
    std::string fault = allocator_fault();
    if (!fault.empty()) throw RuntimeError(fault);
  });
  m.def("test_overrun", [](int64_t bytes) {  // writes one byte too many, to test the guard
    static_cast<char*>(new_storage(size_t(bytes))->data)[bytes] = 0;
  });
  m.def("memory_stats", [] {
    MemoryStats s = memory_stats();
    py::dict d;
    d["allocated"] = s.allocated;
    d["peak_allocated"] = s.peak_allocated;
    d["cached"] = s.cached;
    d["limit"] = s.limit;
    d["requests"] = s.requests;
    d["system_requests"] = s.system_requests;
    return d;
  });
}

}  // namespace lamella
