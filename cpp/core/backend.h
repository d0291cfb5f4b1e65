// SPDX-License-Identifier: MIT
// What the plug-in of a GPU offers: a library beside the extension, lamella/_cuda.so, that exports one function which
// returns this table. It is loaded when a GPU is first asked for; without it, a driver or a GPU everything else works.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include "device.h"

namespace lamella {

struct Kernels;  // kernels/kernels.h

struct GpuProperties { char name[256]; size_t memory; int major, minor, processors, l2_bytes, driver, runtime; };
struct GpuMemory { int64_t allocated, peak_allocated, reserved, peak_reserved, requests, device_requests, free, total; };

constexpr uint32_t kBackendVersion = 2;
struct Backend {
  uint32_t version, bytes;           // of this struct: another build's plug-in is refused
  const char* (*problem)();          // why no GPU can be used; null where one can
  int (*count)();
  void (*enter)(int device);         // this thread's GPU from here on
  void* (*allocate)(size_t bytes);   // on it, in the order of this thread's stream
  void (*deallocate)(void* p, int device) noexcept;
  void* (*allocate_pinned)(size_t bytes);
  void (*deallocate_pinned)(void* p) noexcept;
  // In the order of this thread's stream; `wait`: until it is done. Without, memory of the host may be written again at once,
  // but for pinned memory, which is kept from being handed out again until then.
  void (*copy)(void* to, Device to_device, const void* from, Device from_device, size_t bytes, bool wait);
  void (*synchronize)();             // everything queued on the current GPU
  // out[i] = index[i], or with `wrap` index[i] + size where it is negative. One outside [0, size) that is not `ignore` becomes
  // 0 and is remembered: the next wait for this GPU raises it as an IndexError of `op` (a text that is never freed).
  void (*check_index)(const char* op, const int64_t* index, int64_t* out, int64_t n, int64_t size, bool wrap, int64_t ignore);
  void (*properties)(int device, GpuProperties*);
  void (*memory)(int device, GpuMemory*);
  void (*reset_peak)(int device);
  void (*empty_cache)(int device);
  void* (*make_stream)(int priority);
  void (*free_stream)(void*);
  // Streams and events are used while their GPU is the current one.
  void* (*stream)(int device);       // this thread's there; null: the GPU's default one
  void (*set_stream)(int device, void*);
  void (*wait_stream)(void*);        // the host, for everything queued on it
  bool (*stream_is_idle)(void*);
  void* (*make_event)(bool timing, bool blocking);  // blocking: the host sleeps while it waits
  void (*free_event)(void*);
  void (*record_event)(void* event, void* stream);
  void (*wait_event)(void* event);   // the host
  void (*stream_waits)(void* stream, void* event);
  bool (*event_is_done)(void* event);
  float (*milliseconds)(void* from, void* to);
  void (*begin_capture)(int64_t pool);    // of this thread's stream; its allocations come from a pool of that number, not 0
  void* (*end_capture)();            // an executable graph
  const uint64_t* (*random_shift)(); // of the graph that this thread captures (kernels.h: Random); null: none
  void (*launch_graph)(void* graph, uint64_t seed_bits, uint64_t streams);  // sets them
  void (*free_graph)(void* graph);
  void (*free_graph_pool)(int64_t pool, int device);
  bool (*is_capturing)();
  void (*used_by)(void* p, int device, void* stream);  // allocated memory stays as it is until what is queued there is done
  bool (*allow_tf32)(int value);     // -1: asks
  const Kernels* kernels;
};

const Backend& backend();            // loads it on first use; RuntimeError that says why there is none
const Backend* loaded_backend();     // null until then
const uint64_t* random_shift();      // of this thread's device
std::string backend_problem();       // "" where a GPU can be used

}  // namespace lamella
