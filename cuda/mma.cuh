// SPDX-License-Identifier: MIT
// Tensor cores from sm_80 on: mma.sync, ldmatrix and cp.async, each with what it computes written out for the build without
// a GPU. Fragment maps (PTX ISA, "Matrix Fragments for mma.m16n8k16" and its neighbours), with g = lane / 4, t = lane % 4:
//   A (16 x K) register r: row g + 8 (r % 2), columns of quarter r / 2;  B (K x 8) register r: column g, rows of half r;
//   C (16 x 8): c[0], c[1] at row g, columns 2 t and 2 t + 1; c[2], c[3] at row g + 8.
#pragma once
#include "device.cuh"

namespace lamella::cuda {

// Where fragments' elements lie, for loads, stores and tests. 16-bit operands; i is the element of the register.
BOTH constexpr int a_row(int lane, int reg) { return lane / 4 + 8 * (reg % 2); }
BOTH constexpr int a_col(int lane, int reg, int i) { return 2 * (lane % 4) + 8 * (reg / 2) + i; }
BOTH constexpr int b_row(int lane, int reg, int i) { return 2 * (lane % 4) + 8 * reg + i; }
BOTH constexpr int b_col(int lane) { return lane / 4; }
BOTH constexpr int c_row(int lane, int i) { return lane / 4 + 8 * (i / 2); }
BOTH constexpr int c_col(int lane, int i) { return 2 * (lane % 4) + i % 2; }

#ifdef LAMELLA_EMULATE
namespace detail {
struct Fragments { uint32_t a[4], b[2]; };
// c(i) += the sum over k of A(row, k) B(k, col), by `at_a(registers of a lane, lane, row, k)` ...
template <int kDepth, class C, class Value> void multiply(C (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const Value& value) {
  Fragments mine;
  for (int r = 0; r < 4; ++r) mine.a[r] = a[r];
  for (int r = 0; r < 2; ++r) mine.b[r] = b[r];
  const char* all = emulate::exchange(~0u, &mine, sizeof mine, "mma");
  const auto of = [&](int lane) { return reinterpret_cast<const Fragments*>(all + lane * emulate::kMostBytes); };
  constexpr int kEach = kDepth / 8;  // elements of a register
  const int lane = emulate::lane();
  for (int i = 0; i < 4; ++i) {
    const int row = c_row(lane, i), col = c_col(lane, i);
    C sum = 0;
    for (int k = 0; k < kDepth; ++k) {
      const int half = k / (kDepth / 2), t = k % (kDepth / 2) / kEach, e = k % kEach;
      sum += value(of(row % 8 * 4 + t)->a[row / 8 + 2 * half], e) * value(of(col * 4 + t)->b[half], e);
    }
    c[i] += sum;
  }
}
}  // namespace detail
#endif

// c += a . b with operands of T (bf16 or f16): 16 x 8 x 16.
template <class T> GPU void mma16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#ifdef LAMELLA_EMULATE
  detail::multiply<16>(c, a, b, [](uint32_t word, int e) { return T{uint16_t(word >> 16 * e)}.to(); });
#else
  if constexpr (std::is_same_v<T, bf16>)
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  else
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// The same of float32 rounded to TF32 (to_tf32): 16 x 8 x 8; register r of A holds row g + 8 (r % 2), column t + 4 (r / 2).
GPU uint32_t to_tf32(float x) {
#ifdef LAMELLA_EMULATE
  const uint32_t u = __float_as_uint(x);
  if ((u & 0x7f800000u) == 0x7f800000u) return u;
  return (u + 0x1000u) & 0xffffe000u;  // cvt.rna: to nearest, ties away from zero
#else
  uint32_t y;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(x));
  return y;
#endif
}
GPU void mma_tf32(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#ifdef LAMELLA_EMULATE
  detail::multiply<8>(c, a, b, [](uint32_t word, int) { return __uint_as_float(word & 0xffffe000u); });
#else
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// Of int8, into int32: 16 x 8 x 32; a register holds four neighbours along k, from 4 t + 16 (r / 2) on (B: 4 t + 16 r).
GPU void mma_int8(int (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#ifdef LAMELLA_EMULATE
  detail::multiply<32>(c, a, b, [](uint32_t word, int e) { return int(int8_t(word >> 8 * e)); });
#else
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// Four 8 x 8 matrices of 16-bit elements from shared memory: lane i gives the address of row i % 8 of matrix i / 8 (16-byte
// aligned); register j holds elements (g, 2 t) and (g, 2 t + 1) of matrix j, or with kTransposed (2 t, g) and (2 t + 1, g).
template <bool kTransposed = false> GPU void ldmatrix4(uint32_t (&r)[4], const void* row) {
#ifdef LAMELLA_EMULATE
  if (reinterpret_cast<uintptr_t>(row) % 16) emulate::fail("ldmatrix of an unaligned row");
  const char* all = emulate::exchange(~0u, &row, sizeof row, "ldmatrix");
  const int g = emulate::lane() / 4, t = emulate::lane() % 4;
  for (int j = 0; j < 4; ++j) {
    uint16_t half[2];
    for (int e = 0; e < 2; ++e) {
      const int at = kTransposed ? 2 * t + e : g, col = kTransposed ? g : 2 * t + e;
      const uint16_t* p;
      std::memcpy(&p, all + (8 * j + at) * emulate::kMostBytes, sizeof p);
      half[e] = p[col];
    }
    r[j] = half[0] | uint32_t(half[1]) << 16;
  }
  emulate::exchange(~0u, nullptr, 0, "ldmatrix");  // nobody writes before all have read
#else
  const uint32_t at = uint32_t(__cvta_generic_to_shared(row));
  if constexpr (kTransposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at) : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at) : "memory");
#endif
}

// Two floats as one register of T, the first in the low half.
template <class T> GPU uint32_t pack2(float low, float high) {
#ifdef LAMELLA_EMULATE
  return T::from(low).bits | uint32_t(T::from(high).bits) << 16;
#else
  uint32_t y;
  if constexpr (std::is_same_v<T, bf16>) asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
  else asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
  return y;
#endif
}

// cp.async: 16 (4, 8) bytes from global to shared memory; of them the first `bytes`, then zeros. Copies go in groups.
template <int kSize = 16> GPU void copy_async(void* to, const void* from, int bytes = kSize) {
#ifdef LAMELLA_EMULATE
  emulate::copy_later(to, from, bytes, kSize);
#else
  const uint32_t at = uint32_t(__cvta_generic_to_shared(to));
  if constexpr (kSize == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from), "r"(bytes) : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(at), "l"(from), "n"(kSize), "r"(bytes) : "memory");
#endif
}
GPU void commit_async() {
#ifdef LAMELLA_EMULATE
  emulate::commit_copies();
#else
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
template <int kGroupsLeft> GPU void wait_async() {  // of this thread; a barrier makes the others' visible
#ifdef LAMELLA_EMULATE
  emulate::wait_copies(kGroupsLeft);
#else
  asm volatile("cp.async.wait_group %0;" ::"n"(kGroupsLeft) : "memory");
#endif
}

}  // namespace lamella::cuda
