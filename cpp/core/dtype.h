// SPDX-License-Identifier: MIT
// Element types: sizes, names, promotion, and the two 16-bit floats as plain structs.
#pragma once
#include <cstdint>
#include <cstring>

#ifdef __CUDACC__  // the same formulas for a GPU's threads
#define LAMELLA_INLINE __host__ __device__ __forceinline__
#else
#define LAMELLA_INLINE inline __attribute__((always_inline))
#endif

namespace lamella {

enum class DType : uint8_t { f64, f32, f16, bf16, i64, i32, i16, i8, u8, b8 };
constexpr int kDTypes = 10;

struct DTypeInfo { const char* name; int size; bool floating; };
constexpr DTypeInfo kDTypeInfo[kDTypes] = {
    {"float64", 8, true}, {"float32", 4, true}, {"float16", 2, true}, {"bfloat16", 2, true}, {"int64", 8, false},
    {"int32", 4, false},  {"int16", 2, false},  {"int8", 1, false},   {"uint8", 1, false},   {"bool", 1, false}};

constexpr int size_of(DType t) { return kDTypeInfo[int(t)].size; }
constexpr const char* name_of(DType t) { return kDTypeInfo[int(t)].name; }
constexpr bool is_floating(DType t) { return kDTypeInfo[int(t)].floating; }
constexpr bool is_integer(DType t) { return !is_floating(t) && t != DType::b8; }

// Storage formats only: arithmetic converts to float first. always_inline, so that a kernel object never emits them
// outside its own ISA namespace.
struct bf16 {
  uint16_t bits;
  static LAMELLA_INLINE bf16 from(float f) {  // round to nearest even; NaN stays a (quiet) NaN
#ifdef __CUDA_ARCH__
    uint16_t b; asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(b) : "f"(f)); return {b};
#else
    uint32_t u; std::memcpy(&u, &f, 4);
    if ((u & 0x7fffffffu) > 0x7f800000u) return {uint16_t((u >> 16) | 0x40)};
    return {uint16_t((u + 0x7fffu + ((u >> 16) & 1)) >> 16)};
#endif
  }
  LAMELLA_INLINE float to() const { uint32_t u = uint32_t(bits) << 16; float f; std::memcpy(&f, &u, 4); return f; }
};

struct f16 {
  uint16_t bits;
  static LAMELLA_INLINE f16 from(float f) {  // round to nearest even, with subnormals, infinity and NaN
#ifdef __CUDA_ARCH__
    uint16_t b; asm("cvt.rn.f16.f32 %0, %1;" : "=h"(b) : "f"(f)); return {b};
#else
    uint32_t u; std::memcpy(&u, &f, 4);
    uint32_t sign = (u >> 16) & 0x8000u, a = u & 0x7fffffffu;
    if (a > 0x7f800000u) return {uint16_t(sign | 0x7e00)};
    if (a >= 0x477ff000u) return {uint16_t(sign | 0x7c00)};
    if (a < 0x38800000u) {  // subnormal or zero: add 0.5 so that the float adder does the rounding
      float m; std::memcpy(&m, &a, 4); m += 0.5f; uint32_t b; std::memcpy(&b, &m, 4);
      return {uint16_t(sign | (b - 0x3f000000u))};
    }
    uint32_t r = a + 0xfffu + ((a >> 13) & 1);
    return {uint16_t(sign | ((r - 0x38000000u) >> 13))};
#endif
  }
  LAMELLA_INLINE float to() const {
#ifdef __CUDA_ARCH__
    float y; asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(bits)); return y;
#else
    uint32_t sign = uint32_t(bits & 0x8000u) << 16, e = (bits >> 10) & 31, m = bits & 0x3ffu, u;
    if (e == 31) u = sign | 0x7f800000u | (m << 13);
    else if (e) u = sign | ((e + 112) << 23) | (m << 13);
    else { float f = float(m) * 0x1p-24f; std::memcpy(&u, &f, 4); u |= sign; }
    float f; std::memcpy(&f, &u, 4); return f;
#endif
  }
};

template <class T> struct dtype_of;
template <> struct dtype_of<double>   { static constexpr DType value = DType::f64; };
template <> struct dtype_of<float>    { static constexpr DType value = DType::f32; };
template <> struct dtype_of<f16>      { static constexpr DType value = DType::f16; };
template <> struct dtype_of<bf16>     { static constexpr DType value = DType::bf16; };
template <> struct dtype_of<int64_t>  { static constexpr DType value = DType::i64; };
template <> struct dtype_of<int32_t>  { static constexpr DType value = DType::i32; };
template <> struct dtype_of<int16_t>  { static constexpr DType value = DType::i16; };
template <> struct dtype_of<int8_t>   { static constexpr DType value = DType::i8; };
template <> struct dtype_of<uint8_t>  { static constexpr DType value = DType::u8; };
template <> struct dtype_of<bool>     { static constexpr DType value = DType::b8; };

// What integers become where a function has no integer values, and Python floats among integers.
extern DType default_dtype;

// PyTorch's lattice: bool < uint8, int8 < int16 < int32 < int64 < float16, bfloat16 < float32 < float64;
// uint8 with int8 gives int16, float16 with bfloat16 gives float32.
DType promote(DType a, DType b);
// As promote, where `b` is a Python number or a 0-d tensor: only a higher category (bool < integer < float) counts.
DType promote_weak(DType a, DType b);

}  // namespace lamella
