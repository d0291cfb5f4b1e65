// SPDX-License-Identifier: MIT
// The plug-in's one exported function, and what its table offers besides kernels (cpp/core/backend.h).
#include "../cpp/core/backend.h"
#include "device.cuh"
#include "faults.h"
#include "gemm.h"
#include "memory.h"
#include <cstring>

namespace lamella::cuda {
extern const Kernels table;
namespace {

const char* problem() {
  static std::string why;
  int count = 0, driver = 0;
  const cudaError_t e = cudaGetDeviceCount(&count);
  cudaGetLastError();
  cudaDriverGetVersion(&driver);
  if (driver == 0) why = "no NVIDIA driver was found";
  else if (e == cudaErrorInsufficientDriver)
    why = text("the NVIDIA driver supports CUDA ", driver / 1000, ".", driver % 1000 / 10, ", and CUDA ", CUDART_VERSION / 1000,
               ".", CUDART_VERSION % 1000 / 10, " is needed: install a newer driver");
  else if (e != cudaSuccess) why = cudaGetErrorString(e);
  else if (count == 0) why = "no NVIDIA GPU was found";
  else {
    int major = 0;
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0);
    if (major < 8) why = text("the GPU must have compute capability 8.0 or more (Ampere), got ", major, ".x");
  }
  return why.empty() ? nullptr : why.c_str();
}

int count() {
  static const int known = [] {
    int n = 0;
    return cudaGetDeviceCount(&n) == cudaSuccess ? int(least(n, kDevices)) : 0;
  }();
  return known;
}

void enter(int device) {
  const int n = count();
  check<RuntimeError>(device >= 0 && device < n, "[cuda] device must be one of ", n, ", got cuda:", device);
  set_device(device);
}

bool captures(cudaStream_t s) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  return cudaStreamIsCapturing(s, &status) == cudaSuccess && status == cudaStreamCaptureStatusActive;
}
bool is_capturing() { return captures(stream()); }

// What is queued on one GPU's stream from here on waits for what is queued on the other's now.
void let_wait(int device, int other) {
  const int before = device_now();
  cudaEvent_t e;
  set_device(other);
  ok(cudaEventCreateWithFlags(&e, cudaEventDisableTiming), "cudaEventCreate");
  ok(cudaEventRecord(e, stream_of(other)), "cudaEventRecord");
  set_device(device);
  ok(cudaStreamWaitEvent(stream_of(device), e, 0), "cudaStreamWaitEvent");
  cudaEventDestroy(e);
  set_device(before);
}

// Copies from the host of up to kSmall bytes travel in kernels' arguments; so do, in a captured graph, those of memory that
// may be gone at a replay.
constexpr size_t kSmall = 4096, kMostKept = size_t(1) << 20;

void copy(void* to, Device to_device, const void* from, Device from_device, size_t bytes, bool wait) {
  const bool arrives = from_device.is_cpu() && !to_device.is_cpu(), capturing = arrives && bytes > kSmall && is_capturing();
  if (arrives && (bytes <= kSmall || (capturing && !is_pinned(from)))) {
    check<RuntimeError>(bytes <= kMostKept, "[copy] a copy inside a captured graph must be of pinned memory, or of ", kMostKept,
                        " bytes at most, which the graph keeps; got ", bytes, " bytes");
    upload(to, from, bytes);
    return;
  }
  if (!to_device.is_cpu() && !from_device.is_cpu() && to_device != from_device) {
    let_wait(to_device.index, from_device.index);
    ok(cudaMemcpyPeerAsync(to, to_device.index, from, from_device.index, bytes, stream()), "copy between GPUs");
    let_wait(from_device.index, to_device.index);
  } else
    ok(cudaMemcpyAsync(to, from, bytes, to_device.is_cpu() ? cudaMemcpyDeviceToHost : from_device.is_cpu() ? cudaMemcpyHostToDevice
                                                                                                       : cudaMemcpyDeviceToDevice,
                       stream()), "copy");
  if (wait) {
    ok(cudaStreamSynchronize(stream()), "synchronize");
    raise_faults();
  } else if (arrives && !capturing) pinned_used(from);
}

void synchronize() {
  ok(cudaDeviceSynchronize(), "synchronize");
  raise_faults();
}

void properties(int device, GpuProperties* p) {
  cudaDeviceProp d;
  ok(cudaGetDeviceProperties(&d, device), "cudaGetDeviceProperties");
  std::memcpy(p->name, d.name, sizeof p->name);
  p->memory = d.totalGlobalMem;
  p->major = d.major;
  p->minor = d.minor;
  p->processors = d.multiProcessorCount;
  p->l2_bytes = size_t(d.l2CacheSize);
  ok(cudaDriverGetVersion(&p->driver), "cudaDriverGetVersion");
  ok(cudaRuntimeGetVersion(&p->runtime), "cudaRuntimeGetVersion");
}

void memory(int device, GpuMemory* m) {
  const MemoryUse u = memory_use(device);
  *m = {u.allocated, u.peak_allocated, u.reserved, u.peak_reserved, u.requests, u.device_requests, 0, 0};
  size_t free = 0, total = 0;
  ok(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  m->free = int64_t(free);
  m->total = int64_t(total);
}

void empty_cache(int device) {
  release_cached(device);
  release_pinned();
}

// ---- streams, events, graphs -----------------------------------------------------------------------------------------
cudaStream_t as_stream(void* s) { return static_cast<cudaStream_t>(s); }
cudaEvent_t as_event(void* e) { return static_cast<cudaEvent_t>(e); }

void* make_stream(int priority) {
  cudaStream_t s;
  ok(cudaStreamCreateWithPriority(&s, cudaStreamNonBlocking, priority), "cudaStreamCreate");
  return s;
}
void free_stream(void* s) { cudaStreamDestroy(as_stream(s)); }
void* stream_at(int device) { return stream_of(device); }
void set_stream_at(int device, void* s) { set_stream(device, as_stream(s)); }
void used_by_stream(void* p, int device, void* s) {
  if (!captures(as_stream(s))) used_by(p, device, as_stream(s));  // a graph's memory stays as long as the graph
}
void wait_stream(void* s) {
  ok(cudaStreamSynchronize(as_stream(s)), "synchronize");
  raise_faults();
}
bool stream_is_idle(void* s) {
  const cudaError_t e = cudaStreamQuery(as_stream(s));
  if (e == cudaErrorNotReady) { cudaGetLastError(); return false; }
  ok(e, "cudaStreamQuery");
  return true;
}
void* make_event(bool timing, bool blocking) {
  cudaEvent_t e;
  ok(cudaEventCreateWithFlags(&e, (timing ? cudaEventDefault : cudaEventDisableTiming) | (blocking ? cudaEventBlockingSync : 0)),
     "cudaEventCreate");
  return e;
}
void free_event(void* e) { cudaEventDestroy(as_event(e)); }
void record_event(void* e, void* s) { ok(cudaEventRecord(as_event(e), as_stream(s)), "cudaEventRecord"); }
void wait_event(void* e) { ok(cudaEventSynchronize(as_event(e)), "cudaEventSynchronize"); }
void stream_waits(void* s, void* e) { ok(cudaStreamWaitEvent(as_stream(s), as_event(e), 0), "cudaStreamWaitEvent"); }
bool event_is_done(void* e) {
  const cudaError_t error = cudaEventQuery(as_event(e));
  if (error == cudaErrorNotReady) { cudaGetLastError(); return false; }
  ok(error, "cudaEventQuery");
  return true;
}
float milliseconds(void* from, void* to) {
  float ms = 0;
  ok(cudaEventElapsedTime(&ms, as_event(from), as_event(to)), "cudaEventElapsedTime");
  return ms;
}

// A graph, and where its random ops find how far to go on (kernels.h: Random).
struct Graph {
  cudaGraphExec_t run;
  uint64_t* shift;
  int device;
};
thread_local uint64_t* capture_shift = nullptr;

void begin_capture(int64_t pool) {
  prepare_faults();
  uint64_t* const shift = static_cast<uint64_t*>(allocate(2 * sizeof(uint64_t)));
  const cudaError_t e = cudaStreamBeginCapture(stream(), cudaStreamCaptureModeRelaxed);
  if (e != cudaSuccess) {
    deallocate_on(shift, device_now());
    ok(e, "begin of a graph's capture");
  }
  capture_shift = shift;
  set_graph_pool(pool);
}
void* end_capture() {
  set_graph_pool(0);
  Graph made{nullptr, std::exchange(capture_shift, nullptr), device_now()};
  cudaGraph_t g = nullptr;
  cudaError_t e = cudaStreamEndCapture(stream(), &g);
  if (e == cudaSuccess) {
    e = cudaGraphInstantiate(&made.run, g, 0);
    cudaGraphDestroy(g);
  }
  if (e != cudaSuccess) {
    deallocate_on(made.shift, made.device);
    ok(e, "end of a graph's capture");
  }
  return new Graph(made);
}
const uint64_t* random_shift() { return capture_shift; }
void launch_graph(void* graph, uint64_t seed_bits, uint64_t streams) {
  const Graph& g = *static_cast<Graph*>(graph);
  const uint64_t shift[2] = {seed_bits, streams};
  upload(g.shift, shift, sizeof shift);
  ok(cudaGraphLaunch(g.run, stream()), "cudaGraphLaunch");
}
void free_graph(void* graph) {
  Graph* const g = static_cast<Graph*>(graph);
  cudaGraphExecDestroy(g->run);
  deallocate_on(g->shift, g->device);
  delete g;
}

bool tf32(int value) {
  if (value >= 0) allow_tf32(value != 0);
  return tf32_allowed();
}

}  // namespace
}  // namespace lamella::cuda

extern "C" __attribute__((visibility("default"))) const lamella::Backend* lamella_backend() {
  using namespace lamella::cuda;
  static const lamella::Backend b = {
      lamella::kBackendVersion, sizeof(lamella::Backend), problem, count, enter, allocate, deallocate_on, allocate_pinned,
      deallocate_pinned, copy, synchronize, check_index, properties, memory, reset_peak, empty_cache, make_stream,
      free_stream, stream_at, set_stream_at, wait_stream, stream_is_idle, make_event, free_event, record_event, wait_event,
      stream_waits, event_is_done, milliseconds, begin_capture, end_capture, random_shift, launch_graph, free_graph, release_graph_pool,
      is_capturing, used_by_stream, tf32, &table};
  return &b;
}
