// SPDX-License-Identifier: MIT
// lamella._core.cuda_*: the GPU's own things, for lamella.cuda. Streams, events and graphs are addresses here.
#include "core/backend.h"
#include "families.h"

namespace lamella {
namespace {

void* as_pointer(uintptr_t p) { return reinterpret_cast<void*>(p); }
uintptr_t as_number(void* p) { return reinterpret_cast<uintptr_t>(p); }
Device gpu(int index) { return {DeviceType::cuda, int8_t(index)}; }

}  // namespace

void bind_cuda(py::module_& m) {
  m.def("cuda_problem", &backend_problem, "Why no GPU can be used; '' where one can.");
  m.def("cuda_count", [] { return backend_problem().empty() ? backend().count() : 0; });
  m.def("cuda_device", [](const Array& x) { return x.device().is_cpu() ? -1 : int(x.device().index); });
  m.def("cuda_enter", [](int d) { backend().enter(d); });
  m.def("cuda_synchronize", [](int d) { const On device(gpu(d)); backend().synchronize(); }, nogil());
  m.def("cuda_properties", [](int d) {
    GpuProperties p;
    backend().properties(d, &p);
    py::dict r;
    r["name"] = std::string(p.name);
    r["total_memory"] = p.memory;
    r["major"] = p.major;
    r["minor"] = p.minor;
    r["multi_processor_count"] = p.processors;
    r["L2_cache_size"] = p.l2_bytes;
    r["driver"] = p.driver;
    r["runtime"] = p.runtime;
    return r;
  });
  m.def("cuda_memory", [](int d) {
    const On device(gpu(d));
    GpuMemory u;
    backend().memory(d, &u);
    py::dict r;
    r["allocated"] = u.allocated;
    r["peak_allocated"] = u.peak_allocated;
    r["reserved"] = u.reserved;
    r["peak_reserved"] = u.peak_reserved;
    r["requests"] = u.requests;
    r["device_requests"] = u.device_requests;
    r["free"] = u.free;
    r["total"] = u.total;
    return r;
  });
  m.def("cuda_reset_peak", [](int d) { backend().reset_peak(d); });
  m.def("cuda_empty_cache", [](int d) { const On device(gpu(d)); backend().empty_cache(d); }, nogil());
  m.def("cuda_make_stream", [](int d, int priority) { const On device(gpu(d)); return as_number(backend().make_stream(priority)); });
  m.def("cuda_free_stream", [](uintptr_t s) { backend().free_stream(as_pointer(s)); });
  m.def("cuda_stream", [] { return as_number(backend().stream()); });
  m.def("cuda_set_stream", [](uintptr_t s) { backend().set_stream(as_pointer(s)); });
  m.def("cuda_wait_stream", [](uintptr_t s) { backend().wait_stream(as_pointer(s)); }, nogil());
  m.def("cuda_stream_is_idle", [](uintptr_t s) { return backend().stream_is_idle(as_pointer(s)); });
  m.def("cuda_make_event", [](int d, bool timing) { const On device(gpu(d)); return as_number(backend().make_event(timing)); });
  m.def("cuda_free_event", [](uintptr_t e) { backend().free_event(as_pointer(e)); });
  m.def("cuda_record_event", [](uintptr_t e, uintptr_t s) { backend().record_event(as_pointer(e), as_pointer(s)); });
  m.def("cuda_wait_event", [](uintptr_t e) { backend().wait_event(as_pointer(e)); }, nogil());
  m.def("cuda_stream_waits", [](uintptr_t s, uintptr_t e) { backend().stream_waits(as_pointer(s), as_pointer(e)); });
  m.def("cuda_event_is_done", [](uintptr_t e) { return backend().event_is_done(as_pointer(e)); });
  m.def("cuda_milliseconds", [](uintptr_t a, uintptr_t b) { return backend().milliseconds(as_pointer(a), as_pointer(b)); });
  m.def("cuda_begin_capture", [](int64_t id) { backend().begin_capture(id); });
  m.def("cuda_end_capture", [] { return as_number(backend().end_capture()); });
  m.def("cuda_launch_graph", [](uintptr_t g) { backend().launch_graph(as_pointer(g)); }, nogil());
  m.def("cuda_free_graph", [](uintptr_t g, int64_t id, int d) { backend().free_graph(as_pointer(g), id, d); });
  m.def("cuda_is_capturing", [] { return loaded_backend() && backend().is_capturing(); });
  m.def("cuda_allow_tf32", [](int value) { return backend().allow_tf32(value); }, py::arg("value") = -1);
}

}  // namespace lamella
