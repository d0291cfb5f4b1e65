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
  m.def("cuda_synchronize", [](int d) { const On device(gpu(d)); backend().synchronize(); }, nogil());
  m.def("cuda_properties", [](int d) {
    GpuProperties p;
    backend().properties(d, &p);
    using namespace py::literals;
    return py::dict("name"_a = std::string(p.name), "total_memory"_a = p.memory, "major"_a = p.major, "minor"_a = p.minor,
                    "multi_processor_count"_a = p.processors, "L2_cache_size"_a = p.l2_bytes, "driver"_a = p.driver,
                    "runtime"_a = p.runtime);
  });
  m.def("cuda_memory", [](int d) {
    const On device(gpu(d));
    GpuMemory u;
    backend().memory(d, &u);
    using namespace py::literals;
    return py::dict("allocated"_a = u.allocated, "peak_allocated"_a = u.peak_allocated, "reserved"_a = u.reserved,
                    "peak_reserved"_a = u.peak_reserved, "requests"_a = u.requests, "device_requests"_a = u.device_requests,
                    "free"_a = u.free, "total"_a = u.total);
  });
  m.def("cuda_reset_peak", [](int d) { backend().reset_peak(d); });
  m.def("cuda_empty_cache", [](int d) { const On device(gpu(d)); backend().empty_cache(d); }, nogil());
  m.def("cuda_make_stream", [](int d, int priority) { const On device(gpu(d)); return as_number(backend().make_stream(priority)); });
  m.def("cuda_free_stream", [](uintptr_t s) { backend().free_stream(as_pointer(s)); });
  m.def("cuda_stream", [](int d) { return as_number(backend().stream(d)); });
  m.def("cuda_set_stream", [](int d, uintptr_t s) { backend().set_stream(d, as_pointer(s)); });
  m.def("cuda_wait_stream", [](int d, uintptr_t s) { const On device(gpu(d)); backend().wait_stream(as_pointer(s)); }, nogil());
  m.def("cuda_stream_is_idle", [](int d, uintptr_t s) { const On device(gpu(d)); return backend().stream_is_idle(as_pointer(s)); });
  m.def("cuda_make_event", [](int d, bool timing, bool blocking) {
    const On device(gpu(d));
    return as_number(backend().make_event(timing, blocking));
  });
  m.def("cuda_free_event", [](uintptr_t e) { backend().free_event(as_pointer(e)); });
  m.def("cuda_record_event", [](uintptr_t e, int d, uintptr_t s) {
    const On device(gpu(d));
    backend().record_event(as_pointer(e), as_pointer(s));
  });
  m.def("cuda_wait_event", [](uintptr_t e) { backend().wait_event(as_pointer(e)); }, nogil());
  m.def("cuda_stream_waits", [](int d, uintptr_t s, uintptr_t e) {
    const On device(gpu(d));
    backend().stream_waits(as_pointer(s), as_pointer(e));
  });
  m.def("cuda_let_wait", [](int d, uintptr_t s) {  // a stream of the GPU for this thread's
    const On device(gpu(d));
    void* const mine = backend().stream(d);
    if (mine == as_pointer(s) || (!mine && s == 1)) return;  // 1: the default stream, by CUDA's other name
    void* const e = backend().make_event(false, false);
    backend().record_event(e, mine);
    backend().stream_waits(as_pointer(s), e);
    backend().free_event(e);
  });
  m.def("cuda_used_by", [](const Array& x, uintptr_t s) {
    check<RuntimeError>(!x.device().is_cpu(), "[record_stream] tensor must lie on a GPU, got one on the CPU");
    const On device(x.device());
    backend().used_by(x.storage->data, x.device().index, as_pointer(s));
  });
  m.def("cuda_event_is_done", [](uintptr_t e) { return backend().event_is_done(as_pointer(e)); });
  m.def("cuda_milliseconds", [](uintptr_t a, uintptr_t b) { return backend().milliseconds(as_pointer(a), as_pointer(b)); });
  m.def("cuda_begin_capture", [](int d, int64_t pool) { const On device(gpu(d)); backend().begin_capture(pool); });
  m.def("cuda_end_capture", [](int d) { const On device(gpu(d)); return as_number(backend().end_capture()); });
  m.def("cuda_launch_graph", [](int d, uintptr_t g, uint64_t seed_bits, uint64_t streams) {
    const On device(gpu(d));
    backend().launch_graph(as_pointer(g), seed_bits, streams);
  }, nogil());
  m.def("cuda_free_graph", [](uintptr_t g) { backend().free_graph(as_pointer(g)); });
  m.def("cuda_free_graph_pool", [](int d, int64_t pool) { const On device(gpu(d)); backend().free_graph_pool(pool, d); });
  m.def("cuda_is_capturing", [](int d) { const On device(gpu(d)); return backend().is_capturing(); });
  m.def("cuda_allow_tf32", [](int value) { return backend().allow_tf32(value); }, py::arg("value") = -1);
}

}  // namespace lamella
