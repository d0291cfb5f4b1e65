// SPDX-License-Identifier: MIT
#include "backend.h"
#include <dlfcn.h>
#include <unistd.h>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include "errors.h"

namespace lamella {

constinit thread_local Device current_device __attribute__((tls_model("initial-exec")));

namespace {

struct Loaded {
  const Backend* table = nullptr;
  std::string problem;
  pid_t owner = 0;                   // GPU state does not survive a fork
};
std::mutex loading;
std::atomic<const Loaded*> found{nullptr};

// What LAMELLA_CUDA_LIBRARY names, or the one beside the library that this code is in.
std::string plugin_path() {
  if (const char* given = std::getenv("LAMELLA_CUDA_LIBRARY")) return given;
  Dl_info info;
  if (!dladdr(reinterpret_cast<void*>(&plugin_path), &info) || !info.dli_fname) return "_cuda.so";
  std::string path = info.dli_fname;
  const size_t slash = path.rfind('/');
  return (slash == std::string::npos ? std::string() : path.substr(0, slash + 1)) + "_cuda.so";
}

Loaded load() {
  Loaded l;
  l.owner = getpid();
  const std::string path = plugin_path();
  if (access(path.c_str(), R_OK) != 0) {
    l.problem = "lamella was built without CUDA (no " + path.substr(path.rfind('/') + 1) + "; build it with nvcc, LAMELLA_CUDA=ON)";
    return l;
  }
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char* why = dlerror();
    l.problem = std::string("the CUDA library does not load: ") + (why ? why : "unknown");
    return l;
  }
  auto table = reinterpret_cast<const Backend* (*)()>(dlsym(library, "lamella_backend"));
  const Backend* b = table ? table() : nullptr;
  if (!b || b->version != kBackendVersion || b->bytes != sizeof(Backend)) {
    l.problem = "the CUDA library is of another build of lamella: reinstall it";
    return l;
  }
  if (const char* why = b->problem()) l.problem = why;
  else l.table = b;
  return l;
}

const Loaded& loaded() {
  const Loaded* l = found.load(std::memory_order_acquire);
  if (__builtin_expect(l != nullptr, 1)) return *l;
  std::lock_guard<std::mutex> lock(loading);
  l = found.load();
  if (!l) found.store(l = new Loaded(load()), std::memory_order_release);
  return *l;
}

}  // namespace

const Backend& backend() {
  const Loaded& l = loaded();
  check<RuntimeError>(l.table, "[cuda] device must be usable, got: ", l.problem);
  check<RuntimeError>(l.owner == getpid(), "[cuda] a GPU cannot be used in a process forked after it was first used: start workers with "
                      "multiprocessing's 'spawn', or keep the GPU out of them");
  return *l.table;
}

const Backend* loaded_backend() {
  const Loaded* l = found.load(std::memory_order_acquire);
  return l ? l->table : nullptr;
}

std::string backend_problem() { return loaded().problem; }

void enter_device(Device d) { backend().enter(d.index); }

const uint64_t* random_shift() { return here().is_cpu() ? nullptr : backend().random_shift(); }

void reenter_device(Device d) noexcept {
  try { enter_device(d); } catch (...) {}  // it worked before; should it not, the next call there says so
}

}  // namespace lamella
