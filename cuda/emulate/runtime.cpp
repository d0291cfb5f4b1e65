// SPDX-License-Identifier: MIT
// The emulated runtime: one device whose memory is an arena of the host. With LAMELLA_EMULATE_PROTECT=1 the arena cannot be
// touched but by kernels and copies, so that host code which reads a device pointer faults where it does. Fresh memory
// is filled with 0xff, NaN in every float format.
#include "cuda_runtime.h"
#include <sys/mman.h>
#include <chrono>
#include <cstdlib>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

static thread_local int device_now = 0;
struct EmulatedStream { bool capturing = false; EmulatedGraph* graph = nullptr; int device = device_now; };
struct EmulatedEvent { std::chrono::steady_clock::time_point at; int device = device_now; };
struct EmulatedGraph { std::vector<std::function<cudaError_t()>> work; };

namespace {

using Clock = std::chrono::steady_clock;

const size_t kArena = [] {
  const char* mb = std::getenv("LAMELLA_EMULATE_MB");
  return (mb ? size_t(std::atoll(mb)) : 2048) << 20;
}();
const bool kProtect = std::getenv("LAMELLA_EMULATE_PROTECT") != nullptr;
const int kDevices = [] {
  const char* n = std::getenv("LAMELLA_EMULATE_DEVICES");
  return n ? std::atoi(n) : 1;
}();
bool held = false;                               // events are not reached
const bool kAbsent = std::getenv("LAMELLA_EMULATE_ABSENT") != nullptr;  // as on a machine without a driver

std::recursive_mutex mutex;
char* arena = nullptr;
int open_count = 0;
std::map<size_t, size_t> holes;                  // offset -> bytes
std::map<size_t, size_t> blocks;
cudaError_t last = cudaSuccess;
std::string last_text;

void start() {
  if (arena) return;
  void* p = mmap(nullptr, kArena, kProtect ? PROT_NONE : PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  arena = static_cast<char*>(p);
  holes[0] = kArena;
}

struct Open {                                    // the arena may be touched while one lives
  std::lock_guard<std::recursive_mutex> lock{mutex};
  Open() { if (kProtect && arena && open_count++ == 0) mprotect(arena, kArena, PROT_READ | PROT_WRITE); }
  ~Open() { if (kProtect && arena && --open_count == 0) mprotect(arena, kArena, PROT_NONE); }
};

cudaError_t set(cudaError_t e) { if (e != cudaSuccess) last = e; return e; }

// As CUDA has it, a stream takes work, and records events, of its own device alone. 1 and 2 are names of default streams.
bool is_own(cudaStream_t s) { return reinterpret_cast<uintptr_t>(s) <= 2; }
bool is_here(cudaStream_t s, int device) { return (is_own(s) ? device_now : s->device) == device; }

cudaError_t enqueue(cudaStream_t s, std::function<cudaError_t()> f) {
  if (!is_here(s, device_now)) return set(cudaErrorInvalidValue);
  if (s && s->capturing) { s->graph->work.push_back(std::move(f)); return cudaSuccess; }
  return f();
}

}  // namespace

namespace emulate {
void hold_events(bool hold) { held = hold; }

cudaError_t submit(cudaStream_t stream, dim3 grid, dim3 block, size_t shared_bytes, bool cooperative, std::function<void()> body) {
  return enqueue(stream, [=, body = std::move(body)] {
    start();
    Open open;
    try {
      run(grid, block, shared_bytes, cooperative, body);
    } catch (const std::exception& e) {
      last_text = e.what();
      return set(cudaErrorLaunchFailure);
    }
    return cudaSuccess;
  });
}
}  // namespace emulate

const char* cudaGetErrorString(cudaError_t e) {
  switch (e) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorInsufficientDriver: return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorLaunchFailure: return last_text.c_str();
    default: return "unknown error";
  }
}
cudaError_t cudaGetLastError() { cudaError_t e = last; last = cudaSuccess; return e; }
cudaError_t cudaPeekAtLastError() { return last; }
cudaError_t cudaDriverGetVersion(int* v) { *v = kAbsent ? 0 : 13000; return cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* v) { *v = 13000; return cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* n) {
  *n = kAbsent ? 0 : kDevices;
  return kAbsent ? cudaErrorInsufficientDriver : cudaSuccess;
}
cudaError_t cudaSetDevice(int d) {
  if (d < 0 || d >= kDevices) return set(cudaErrorInvalidDevice);
  device_now = d;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* d) { *d = device_now; return cudaSuccess; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) {
  *p = cudaDeviceProp{"emulated device", kArena, 232448, 9, 0, 4, 1 << 20, 32, 2048};
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* v, cudaDeviceAttr a, int) {
  switch (a) {
    case cudaDevAttrMultiProcessorCount: *v = 4; break;
    case cudaDevAttrComputeCapabilityMajor: *v = std::getenv("LAMELLA_EMULATE_AMPERE") ? 8 : 9; break;
    case cudaDevAttrComputeCapabilityMinor: *v = 0; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *v = 232448; break;
    case cudaDevAttrClockRate: *v = 1000000; break;
    case cudaDevAttrL2CacheSize: *v = 1 << 20; break;
    case cudaDevAttrCooperativeLaunch: *v = 1; break;
  }
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }

cudaError_t cudaMalloc(void** p, size_t bytes) {
  start();
  Open open;
  const size_t want = ((bytes ? bytes : 1) + 255) / 256 * 256;
  for (auto it = holes.begin(); it != holes.end(); ++it) {
    if (it->second < want) continue;
    const size_t at = it->first, rest = it->second - want;
    holes.erase(it);
    if (rest) holes[at + want] = rest;
    blocks[at] = want;
    *p = arena + at;
    std::memset(*p, 0xff, want);
    return cudaSuccess;
  }
  return set(cudaErrorMemoryAllocation);
}
cudaError_t cudaFree(void* p) {
  if (!p) return cudaSuccess;
  Open open;
  auto it = blocks.find(size_t(static_cast<char*>(p) - arena));
  if (it == blocks.end()) return set(cudaErrorInvalidValue);
  size_t at = it->first, bytes = it->second;
  blocks.erase(it);
  auto next = holes.lower_bound(at);
  if (next != holes.end() && next->first == at + bytes) { bytes += next->second; next = holes.erase(next); }
  if (next != holes.begin()) {
    auto before = std::prev(next);
    if (before->first + before->second == at) { before->second += bytes; return cudaSuccess; }
  }
  holes[at] = bytes;
  return cudaSuccess;
}
cudaError_t cudaMallocAsync(void** p, size_t bytes, cudaStream_t) { return cudaMalloc(p, bytes); }
cudaError_t cudaFreeAsync(void* p, cudaStream_t) { return cudaFree(p); }
cudaError_t cudaMallocHost(void** p, size_t bytes) { *p = std::malloc(bytes ? bytes : 1); return *p ? cudaSuccess : cudaErrorMemoryAllocation; }
cudaError_t cudaFreeHost(void* p) { std::free(p); return cudaSuccess; }
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* p, int) { *p = nullptr; return cudaSuccess; }
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) { return cudaSuccess; }
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, size_t) { return cudaSuccess; }
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  start();
  Open open;
  *total = kArena;
  *free = 0;
  for (auto& [at, bytes] : holes) *free += bytes;
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t s) {
  // A captured copy from the host reads what stands there when the graph runs, as the real one does.
  (void)kind;
  return enqueue(s, [=] { Open open; std::memmove(to, from, bytes); return cudaSuccess; });
}
cudaError_t cudaMemcpyPeerAsync(void* to, int, const void* from, int, size_t bytes, cudaStream_t s) {
  return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, s);
}
cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t s) {
  return enqueue(s, [=] { Open open; std::memset(p, value, bytes); return cudaSuccess; });
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* s, unsigned) { *s = new EmulatedStream; return cudaSuccess; }
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* s, unsigned flags, int) { return cudaStreamCreateWithFlags(s, flags); }
cudaError_t cudaStreamDestroy(cudaStream_t s) { delete s; return cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t s) { return s && s->capturing ? set(cudaErrorStreamCaptureUnsupported) : cudaSuccess; }
cudaError_t cudaStreamQuery(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaSuccess; }
cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode) {
  if (is_own(s) || !is_here(s, device_now) || s->capturing) return set(cudaErrorStreamCaptureUnsupported);
  s->capturing = true;
  s->graph = new EmulatedGraph;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t* g) {
  if (!s->capturing) return set(cudaErrorInvalidValue);
  s->capturing = false;
  *g = s->graph;
  s->graph = nullptr;
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t s, cudaStreamCaptureStatus* status) {
  *status = s && s->capturing ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* e, cudaGraph_t g, unsigned long long) { *e = new EmulatedGraph(*g); return cudaSuccess; }
cudaError_t cudaGraphLaunch(cudaGraphExec_t e, cudaStream_t) {
  for (auto& f : e->work) if (cudaError_t error = f(); error != cudaSuccess) return error;
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t g) { delete g; return cudaSuccess; }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t e) { delete e; return cudaSuccess; }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* e, unsigned) { *e = new EmulatedEvent; return cudaSuccess; }
cudaError_t cudaEventDestroy(cudaEvent_t e) { delete e; return cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s) {
  if (!is_here(s, e->device)) return set(cudaErrorInvalidValue);
  e->at = Clock::now();
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t) { return held ? cudaErrorNotReady : cudaSuccess; }
cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t a, cudaEvent_t b) {
  *ms = std::chrono::duration<float, std::milli>(b->at - a->at).count();
  return cudaSuccess;
}
