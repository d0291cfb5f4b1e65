// SPDX-License-Identifier: MIT
#include "dispatch.h"
#include <atomic>
#include <cstdlib>
#include "../core/backend.h"
#include "../core/errors.h"
#include "isa_list.h"

namespace lamella {

#define ISA(name) namespace name { extern const Kernels table; }
LAMELLA_ISA_LIST(ISA)
#undef ISA

CpuFeatures cpu_features() {
  CpuFeatures f;
#if defined(__x86_64__)
  __builtin_cpu_init();  // asks CPUID, and XGETBV for what the system saves
  f.v2 = __builtin_cpu_supports("x86-64-v2");
  f.v3 = __builtin_cpu_supports("x86-64-v3");
  f.v4 = __builtin_cpu_supports("x86-64-v4");
  f.vnni = f.v4 && __builtin_cpu_supports("avx512vnni");
  f.dot = f.vnni && __builtin_cpu_supports("avx512bf16");
#elif defined(__aarch64__)
  f.neon = true;
#endif
  return f;
}

static bool runs(const std::string& isa, const CpuFeatures& f) {
  return (isa == "v2" && f.v2) || (isa == "v3" && f.v3) || (isa == "v4" && f.v4) || (isa == "v4vnni" && f.vnni) ||
         (isa == "v4dot" && f.dot) || (isa == "neon" && f.neon);
}

std::vector<std::string> isas_for(CpuFeatures f) {
  std::vector<std::string> names;
#define ISA(name) if (runs(#name, f)) names.push_back(#name);
  LAMELLA_ISA_LIST(ISA)
#undef ISA
  return names;
}

static const Kernels* find(const std::string& name) {
#define ISA(isa) if (name == #isa) return &isa::table;
  LAMELLA_ISA_LIST(ISA)
#undef ISA
  return nullptr;
}

static std::atomic<const Kernels*> active{nullptr};

void set_isa(const std::string& name) {
  std::vector<std::string> usable = isas_for(cpu_features());
  check<RuntimeError>(!usable.empty(), "[isa] this processor must have at least x86-64-v2 (SSE4.2)");
  if (name.empty() || name == "auto") {
    active = find(usable.back());
    return;
  }
  bool ok = false;
  std::string list;
  for (const std::string& isa : usable) {
    ok |= isa == name;
    list += (list.empty() ? "" : ", ") + isa;
  }
  check<ValueError>(ok, "[isa] LAMELLA_ISA must be one of ", list, " on this machine, got ", name);
  active = find(name);
}

const Kernels& kernels() {
  if (__builtin_expect(!here().is_cpu(), 0)) return *backend().kernels;
  const Kernels* t = active.load(std::memory_order_relaxed);
  if (__builtin_expect(!t, 0)) {
    const char* forced = std::getenv("LAMELLA_ISA");
    set_isa(forced ? forced : "");
    t = active.load();
  }
  return *t;
}

std::vector<std::string> kernel_names() {
  return {
#define K(name, Args) #name,
      LAMELLA_KERNELS(K)
#undef K
  };
}

std::vector<std::string> own_kernels(const std::string& isa) {
  const Kernels* t = find(isa);
  check<ValueError>(t, "[isa] isa must be one of those built in, got ", isa);
  std::vector<std::string> names;
  const auto shared = [&](auto member) {
#define ISA(lower) \
  if (isa == #lower) return false; \
  if (lower::table.*member == t->*member) return true;
    LAMELLA_ISA_LIST(ISA)
#undef ISA
    return false;
  };
#define K(name, Args) if (!shared(&Kernels::name)) names.push_back(#name);
  LAMELLA_KERNELS(K)
#undef K
  return names;
}

}  // namespace lamella
