// SPDX-License-Identifier: MIT
#include "uses.h"
#include <mutex>

namespace lamella::cuda {
namespace {

struct Spare { std::mutex mutex; std::vector<cudaEvent_t> events[kDevices]; };  // events to be used again
Spare& spare() {
  static Spare* s = new Spare;        // outlives every tensor
  return *s;
}

cudaEvent_t new_event(int device) {
  {
    std::lock_guard<std::mutex> lock(spare().mutex);
    auto& events = spare().events[device];
    if (!events.empty()) {
      const cudaEvent_t e = events.back();
      events.pop_back();
      return e;
    }
  }
  cudaEvent_t e;
  ok(cudaEventCreateWithFlags(&e, cudaEventDisableTiming), "cudaEventCreate");
  return e;
}

}  // namespace

void Uses::add(cudaStream_t s) {
  const int device = device_now();
  for (Mark& m : marks_)
    if (m.device == device && m.stream == s) return ok(cudaEventRecord(m.event, s), "cudaEventRecord");
  marks_.reserve(marks_.size() + 1);
  const cudaEvent_t e = new_event(device);
  marks_.push_back({device, s, e});
  ok(cudaEventRecord(e, s), "cudaEventRecord");
}

bool Uses::over() noexcept {
  while (!marks_.empty()) {
    const Mark m = marks_.back();
    if (cudaEventQuery(m.event) != cudaSuccess) {
      cudaGetLastError();
      return false;
    }
    std::lock_guard<std::mutex> lock(spare().mutex);
    spare().events[m.device].push_back(m.event);
    marks_.pop_back();
  }
  return true;
}

}  // namespace lamella::cuda
