// SPDX-License-Identifier: MIT
// Where arrays lie. A thread has a device on which its new arrays are made and its kernels run: the CPU, but within an On.
#pragma once
#include <cstdint>
#include <string>

namespace lamella {

enum class DeviceType : uint8_t { cpu, cuda };

struct Device {
  DeviceType type = DeviceType::cpu;
  int8_t index = 0;
  bool is_cpu() const { return type == DeviceType::cpu; }
  bool operator==(const Device& o) const { return type == o.type && index == o.index; }
  bool operator!=(const Device& o) const { return !(*this == o); }
  std::string str() const { return type == DeviceType::cpu ? "cpu" : "cuda:" + std::to_string(index); }
};

extern constinit thread_local Device current_device __attribute__((tls_model("initial-exec")));
inline Device here() { return current_device; }

void enter_device(Device);             // makes a GPU this thread's current one (backend.cpp)
void reenter_device(Device) noexcept;  // ... once more

// This device for the time of a block.
class On {
 public:
  explicit On(Device d) : before_(current_device) {
    if (d == before_) return;
    if (!d.is_cpu()) enter_device(d);
    current_device = d;
  }
  ~On() {
    if (current_device == before_) return;
    current_device = before_;
    if (!before_.is_cpu()) reenter_device(before_);
  }
  On(const On&) = delete;

 private:
  Device before_;
};

}  // namespace lamella
