// SPDX-License-Identifier: MIT
// Arrays, dtypes, random words, the allocator, the processor count.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include "check.h"
#include "core/array.h"
#include "core/cpus.h"
#include "core/guard.h"
#include "core/random.h"
#include "dispatch/dispatch.h"

using namespace lamella;

static void views() {
  Array a = empty({2, 3, 4}, DType::f32);
  CHECK(a.is_contiguous() && a.numel() == 24 && a.strides == (Dims{12, 4, 1}));
  Array t = a.transpose(0, 2);
  CHECK(t.shape == (Shape{4, 3, 2}) && !t.is_contiguous() && t.storage.get() == a.storage.get());
  CHECK(a.can_view({6, 4}) && a.reshape({4, 6}).strides == (Dims{6, 1}));
  CHECK(!t.can_view({12, 2}) && t.can_view({4, 3, 1, 2}));
  CHECK_THROWS(ValueError, t.reshape({24}));
  CHECK_THROWS(ValueError, a.reshape({5, 5}));
  Array s = a.slice(2, 3, -1, -2);  // elements 3 and 1
  CHECK(s.shape == (Shape{2, 3, 2}) && s.strides[2] == -2 && s.offset == 3);
  Array e = empty({3, 1}, DType::f64).expand({2, 3, 5});
  CHECK(e.strides == (Dims{0, 1, 0}));
  CHECK_THROWS(ValueError, a.expand({2, 3, 5}));
  CHECK(a.select(1, 2).offset == 8 && a.unsqueeze(3).shape == (Shape{2, 3, 4, 1}));
  CHECK(a.slice(0, 0, 2, 2).transpose(0, 1).can_view({3, 1, 4}));
  CHECK(broadcast("op", {3, 1}, {2, 1, 4}) == (Shape{2, 3, 4}));
  CHECK_THROWS(ValueError, broadcast("op", {3}, {4}));
  CHECK_THROWS(IndexError, normalize_dim("op", 2, 2));
  CHECK_THROWS(MemoryError, empty({int64_t(1) << 40, int64_t(1) << 40}, DType::f32));
}

static void dtypes() {
  CHECK(promote(DType::u8, DType::i8) == DType::i16 && promote(DType::f16, DType::bf16) == DType::f32);
  CHECK(promote(DType::i64, DType::f16) == DType::f16 && promote(DType::b8, DType::u8) == DType::u8);
  CHECK(promote_weak(DType::f32, DType::f64) == DType::f32 && promote_weak(DType::i32, DType::f32) == DType::f32);
  for (uint32_t b = 0; b < 65536; ++b) {  // every 16-bit value survives the way to float and back
    f16 h{uint16_t(b)};
    bf16 g{uint16_t(b)};
    float fh = h.to(), fg = g.to();
    CHECK(std::isnan(fh) ? std::isnan(f16::from(fh).to()) : f16::from(fh).bits == b);
    CHECK(std::isnan(fg) ? std::isnan(bf16::from(fg).to()) : bf16::from(fg).bits == b);
  }
  CHECK(bf16::from(1.00390625f).to() == 1.0f && bf16::from(1.01171875f).to() == 1.015625f);  // ties go to even
  CHECK(f16::from(65520.0f).to() == INFINITY && f16::from(65519.0f).to() == 65504.0f && f16::from(1e-8f).to() == 0.0f);
}

static void random_words() {  // the known answers of Random123 for philox4x32-10
  Philox zero = philox(0, 0, 0), ones = philox(~0ull, ~0ull, ~0ull);
  CHECK(zero.v[0] == 0x6627e8d5 && zero.v[1] == 0xe169c58d && zero.v[2] == 0xbc57ac4c && zero.v[3] == 0x9b00dbd8);
  CHECK(ones.v[0] == 0x408f276d && ones.v[1] == 0x41c83b0e && ones.v[2] == 0xa20bc7c6 && ones.v[3] == 0x6d5451fd);
}

static void allocator() {
  void* p = allocate(1000);
  CHECK(reinterpret_cast<uintptr_t>(p) % 64 == 0);
  deallocate(p, 1000);
  CHECK(allocate(1000) == p);  // last freed, first reused
  deallocate(p, 1000);
  for (size_t n : {size_t(1), size_t(64), size_t(65), size_t(4097), size_t(5) << 20}) {
    char* q = static_cast<char*>(allocate(n));
    q[0] = q[n - 1] = 1;
    CHECK(n < (size_t(4) << 20) || reinterpret_cast<uintptr_t>(q) % (size_t(2) << 20) == 0);
    deallocate(q, n);
  }
  int64_t live = memory_stats().allocated;
  set_memory_limit(live + 100000);
  CHECK_THROWS(MemoryError, allocate(200000));
  set_memory_limit(0);
  CHECK(memory_stats().allocated == live);
  empty_cache();
  CHECK(memory_stats().cached == 0);
  set_allocator_guard(true);
  char* g = static_cast<char*>(allocate(12));
  CHECK(static_cast<unsigned char>(g[0]) == 0xff);
  g[12] = 0;
  deallocate(g, 12);
  set_allocator_guard(false);
  CHECK(allocator_fault().find("past the end of a block of 12 bytes") != std::string::npos);
  CHECK(allocator_fault().empty());
}

static void processors() {
  namespace fs = std::filesystem;
  fs::path root = fs::temp_directory_path() / ("lamella-cpus-" + std::to_string(std::rand()));
  const auto write = [&](const char* path, const char* text) {
    fs::create_directories((root / path).parent_path());
    std::ofstream(root / path) << text;
  };
  CHECK(cgroup_cpus(root.string()) == 0);
  write("sys/fs/cgroup/cpu.max", "max 100000\n");
  CHECK(cgroup_cpus(root.string()) == 0);
  write("sys/fs/cgroup/cpu.max", "350000 100000\n");
  CHECK(cgroup_cpus(root.string()) == 3);
  write("proc/self/cgroup", "0::/a/b\n");
  write("sys/fs/cgroup/a/cpu.max", "150000 100000\n");
  CHECK(cgroup_cpus(root.string()) == 1);
  write("sys/fs/cgroup/a/b/cpu.max", "50000 100000\n");
  CHECK(cgroup_cpus(root.string()) == 1);
  fs::remove_all(root);
  write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "250000");
  write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000");
  CHECK(cgroup_cpus(root.string()) == 2);
  fs::remove_all(root);
  CHECK(available_cpus() >= 1);
}

static void isas() {
  CpuFeatures none;
  CHECK(isas_for(none).empty());
  CHECK_THROWS(ValueError, set_isa("no-such-isa"));
  for (const std::string& name : isas_for(cpu_features())) {
    set_isa(name);
    CHECK(name == kernels().isa);
  }
  set_isa("");
  CHECK(isas_for(cpu_features()).back() == kernels().isa);
}

int main() {
  views();
  dtypes();
  random_words();
  allocator();
  processors();
  isas();
  return failures() != 0;
}
