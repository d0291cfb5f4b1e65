// SPDX-License-Identifier: MIT
// Arrays of any dtype for the tests of kernels: values go in and out as doubles, the first may lie off alignment, and what
// follows the last is watched.
#pragma once
#include <cmath>
#include <vector>
#include "check.h"
#include "core/dtype.h"

template <class F> void with_type(lamella::DType t, const F& f) {
  using namespace lamella;
  switch (t) {
    case DType::f64: f(double{}); break;
    case DType::f32: f(float{}); break;
    case DType::f16: f(f16{}); break;
    case DType::bf16: f(bf16{}); break;
    case DType::i64: f(int64_t{}); break;
    case DType::i32: f(int32_t{}); break;
    case DType::i16: f(int16_t{}); break;
    case DType::i8: f(int8_t{}); break;
    case DType::u8: f(uint8_t{}); break;
    case DType::b8: f(bool{}); break;
  }
}

class Typed {
 public:
  lamella::DType dtype;
  int64_t n;
  Typed(lamella::DType t, int64_t n, int64_t offset = 0)
      : dtype(t), n(n), size_(lamella::size_of(t)), offset_(offset), bytes_(size_t((n + offset) * size_ + 64 + 16), kGuard) {
    at_ = 16 - reinterpret_cast<uintptr_t>(bytes_.data()) % 16;
  }
  Typed(const Typed& o) : Typed(o.dtype, o.n, o.offset_) { std::memcpy(data(), o.data(), size_t(n * size_)); }
  Typed& operator=(const Typed&) = delete;

  void* data() { return bytes_.data() + at_ + offset_ * size_; }
  const void* data() const { return const_cast<Typed*>(this)->data(); }
  double operator[](int64_t i) const {
    double y = 0;
    with_type(dtype, [&](auto v) {
      using T = decltype(v);
      const T x = static_cast<const T*>(data())[i];
      if constexpr (std::is_same_v<T, lamella::bf16> || std::is_same_v<T, lamella::f16>) y = double(x.to());
      else y = double(x);
    });
    return y;
  }
  void set(int64_t i, double x) {
    with_type(dtype, [&](auto v) {
      using T = decltype(v);
      T* p = static_cast<T*>(data()) + i;
      if constexpr (std::is_same_v<T, lamella::bf16> || std::is_same_v<T, lamella::f16>) *p = T::from(float(x));
      else *p = T(x);
    });
  }
  Typed& fill(unsigned seed, double low, double high) {  // n numbers in [low, high)
    for (int64_t i = 0; i < n; ++i) {
      seed = seed * 1664525u + 1013904223u;
      set(i, low + (high - low) * double(seed >> 8) * 0x1p-24);
    }
    return *this;
  }
  bool intact() const {                           // nothing was written past the end
    for (size_t i = at_ + size_t((n + offset_) * size_); i < bytes_.size(); ++i)
      if (bytes_[i] != kGuard) return false;
    return true;
  }
  bool same(const Typed& o) const { return std::memcmp(data(), o.data(), size_t(n * size_)) == 0; }
  bool close(const Typed& o, double relative, double absolute) const {
    for (int64_t i = 0; i < n; ++i) {
      const double a = (*this)[i], b = o[i];
      if (a == b || (a != a && b != b)) continue;
      if (!(std::fabs(a - b) <= relative * std::fabs(b) + absolute)) {
        std::printf("  at %lld: %.9g, want %.9g\n", (long long)i, a, b);
        return false;
      }
    }
    return true;
  }

 private:
  static constexpr unsigned char kGuard = 0xa5;
  int64_t size_, offset_;
  std::vector<unsigned char> bytes_;
  size_t at_ = 0;
};

inline double epsilon(lamella::DType t) {  // the distance of 1 to the next number
  using lamella::DType;
  return t == DType::f64 ? 0x1p-52 : t == DType::f32 ? 0x1p-23 : t == DType::f16 ? 0x1p-10 : 0x1p-7;
}
constexpr lamella::DType kFloats[] = {lamella::DType::f32, lamella::DType::f64, lamella::DType::bf16, lamella::DType::f16};
