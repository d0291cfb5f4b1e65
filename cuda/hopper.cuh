// SPDX-License-Identifier: MIT
// Hopper's instructions (sm_90a; PTX ISA 8): mbarriers, TMA copies of tensor tiles, wgmma, register budgets; each with its
// counterpart on the emulated device (emulate/hopper.h). Shared memory is named by its 32-bit address. Operand tiles have
// rows of 128 bytes whose 16-byte pieces are permuted by TMA's and wgmma's common 128-byte swizzle; they begin at multiples
// of 1024.
#pragma once
#include "mma.cuh"
#ifdef LAMELLA_EMULATE
#include "emulate/hopper.h"
#else
#include <cuda.h>
#endif

namespace lamella::cuda {

// ---- index arithmetic ------------------------------------------------------------------------------------------------
// Bits 4-6 of an address within swizzled memory are xor-ed with bits 7-9.
BOTH constexpr uint32_t swizzle128(uint32_t at) { return at ^ (at >> 3 & 0x70); }

// A matrix operand of wgmma, 16 (k) of 16-bit elements deep. K-major: rows of 64 k, one per m or n. MN-major: pieces of
// 64 k-rows of 64 m or n, `piece` bytes apart. The next 16 of k begin kNextK (kNextKTransposed) further.
BOTH constexpr uint64_t matrix_descriptor(uint32_t start, uint32_t leading, uint32_t stride) {
  return uint64_t(start >> 4 & 0x3fff) | uint64_t(leading >> 4 & 0x3fff) << 16 | uint64_t(stride >> 4 & 0x3fff) << 32 |
         uint64_t(1) << 62;
}
BOTH constexpr uint64_t k_major(uint32_t start) { return matrix_descriptor(start, 16, 1024); }
BOTH constexpr uint64_t mn_major(uint32_t start, uint32_t piece) { return matrix_descriptor(start, piece, 1024); }
constexpr uint64_t kNextK = 32 >> 4, kNextKTransposed = 16 * 128 >> 4;  // to be added to a descriptor

// Element i of thread's (of 128) accumulator of m64nN.
BOTH constexpr int d_row(int thread, int i) { return thread / 32 * 16 + thread % 32 / 4 + i / 2 % 2 * 8; }
BOTH constexpr int d_col(int thread, int i) { return i / 4 * 8 + thread % 4 * 2 + i % 2; }

// ---- tensor maps, on the host ----------------------------------------------------------------------------------------
// 16-bit elements, dims innermost first; strides (in elements) of dims 1 ... rank - 1; boxes are 128-byte swizzled, what lies
// outside reads as zero and is not written. False where TMA cannot do it.
inline bool tensor_map(CUtensorMap& map, const void* base, int rank, const int64_t* dims, const int64_t* strides,
                       const int* box) {
  uint64_t d[5], s[5] = {};
  uint32_t b[5], step[5] = {1, 1, 1, 1, 1};
  for (int i = 0; i < rank; ++i) {
    if (dims[i] <= 0 || (i && strides[i - 1] <= 0)) return false;
    d[i] = uint64_t(dims[i]);
    b[i] = uint32_t(box[i]);
    if (i) s[i - 1] = 2 * uint64_t(strides[i - 1]);
  }
#ifdef LAMELLA_EMULATE
  (void)step;
  return emulate::encode(map, base, 2, rank, d, s, b, 128);
#else
  using Encode = decltype(&cuTensorMapEncodeTiled);
  static const Encode encode = [] {  // asked of the driver: nothing links to it
    void* f = nullptr;
    cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
    const cudaError_t e = cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &f, 12000, cudaEnableDefault, &found);
    if (e != cudaSuccess) cudaGetLastError();
    return e == cudaSuccess && found == cudaDriverEntryPointSuccess ? reinterpret_cast<Encode>(f) : nullptr;
  }();
  const auto* wide = reinterpret_cast<const cuuint64_t*>(d);
  return encode && encode(&map, CU_TENSOR_MAP_DATA_TYPE_UINT16, cuuint32_t(rank), const_cast<void*>(base), wide,
                          reinterpret_cast<const cuuint64_t*>(s), b, step, CU_TENSOR_MAP_INTERLEAVE_NONE,
                          CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                          CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
#endif
}

// Whether a kernel's body was compiled: in a build for other architectures it is empty, and then few registers serve it.
template <auto kKernel> bool is_built() {
#ifdef LAMELLA_EMULATE
  return true;
#else
  static const bool built = [] {
    cudaFuncAttributes a;
    ok(cudaFuncGetAttributes(&a, kKernel), "cudaFuncGetAttributes");
    return a.numRegs > 64;
  }();
  return built;
#endif
}

// ---- addresses, barriers ---------------------------------------------------------------------------------------------
GPU uint32_t shared_address(const void* p) {
#ifdef LAMELLA_EMULATE
  return emulate::shared_address(p);
#else
  return uint32_t(__cvta_generic_to_shared(p));
#endif
}

// An mbarrier (8 bytes, aligned) completes a phase when `arrivals` threads have arrived and the expected bytes are there.
// Made by one thread; barrier_fence(), then __syncthreads, before another uses it.
GPU void barrier_init(uint32_t barrier, int arrivals) {
#ifdef LAMELLA_EMULATE
  emulate::barrier_init(barrier, arrivals);
#else
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
#endif
}
GPU void barrier_fence() {
#ifndef LAMELLA_EMULATE
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}
GPU void barrier_arrive(uint32_t barrier) {
#ifdef LAMELLA_EMULATE
  emulate::barrier_arrive(barrier);
#else
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
#endif
}
GPU void barrier_arrive_expect(uint32_t barrier, int bytes) {
#ifdef LAMELLA_EMULATE
  emulate::barrier_arrive_expect(barrier, bytes);
#else
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
#endif
}
// Waits until the phase of that parity is over: a fresh barrier is in phase 0, and the one before (parity 1) is over.
GPU void barrier_wait(uint32_t barrier, int parity) {
#ifdef LAMELLA_EMULATE
  while (!emulate::barrier_passed(barrier, parity)) emulate::yield();
#else
  uint32_t over;
  do {
    asm volatile(
        "{\n.reg .pred p;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
        "selp.u32 %0, 1, 0, p;\n}"
        : "=r"(over) : "r"(barrier), "r"(parity) : "memory");
  } while (!over);
#endif
}

// bar.sync among `threads` threads of the block; id 1 ... 15.
GPU void named_barrier(int id, int threads) {
#ifdef LAMELLA_EMULATE
  emulate::barrier(id, threads);
#else
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
#endif
}

// Counts at that barrier without waiting there.
GPU void named_arrive(int id, int threads) {
#ifdef LAMELLA_EMULATE
  emulate::arrive(id, threads);
#else
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
#endif
}
// bar.sync, and whether x holds in any of the threads.
GPU bool named_barrier_or(int id, int threads, bool x) {
#ifdef LAMELLA_EMULATE
  return emulate::barrier_or(id, threads, x);
#else
  uint32_t any;
  asm volatile("{\n.reg .pred p, q;\nsetp.ne.b32 p, %3, 0;\nbar.red.or.pred q, %1, %2, p;\nselp.u32 %0, 1, 0, q;\n}"
               : "=r"(any) : "r"(id), "r"(threads), "r"(int(x)) : "memory");
  return any;
#endif
}

// True in one lane of a converged warp.
GPU bool elect() {
#ifdef LAMELLA_EMULATE
  return emulate::lane() == 0;
#else
  uint32_t chosen;
  asm volatile("{\n.reg .pred p;\nelect.sync _|p, 0xffffffff;\nselp.u32 %0, 1, 0, p;\n}" : "=r"(chosen));
  return chosen;
#endif
}

// Registers of a thread from here on, for a whole warpgroup; a multiple of 8.
template <int kCount> GPU void more_registers() {
#ifndef LAMELLA_EMULATE
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kCount));
#endif
}
template <int kCount> GPU void fewer_registers() {
#ifndef LAMELLA_EMULATE
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kCount));
#endif
}

// ---- TMA -------------------------------------------------------------------------------------------------------------
// One thread copies a box of the map at coordinates `at` (innermost first; any may lie outside) ...
GPU void prefetch_map([[maybe_unused]] const CUtensorMap& map) {
#ifndef LAMELLA_EMULATE
  asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
#endif
}
// ... to shared memory, signalling the box's bytes to the barrier,
template <int kRank> GPU void tensor_load(uint32_t to, const CUtensorMap& map, const int (&at)[kRank], uint32_t barrier) {
  static_assert(kRank >= 2 && kRank <= 5);
#ifdef LAMELLA_EMULATE
  emulate::tensor_load(to, map, at, barrier);
#else
#define LAMELLA_LOAD(rank, coordinates, ...)                                                                          \
  asm volatile("cp.async.bulk.tensor." #rank "d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {" \
               coordinates "}], [%2];" ::"r"(to), "l"(&map), "r"(barrier), __VA_ARGS__ : "memory")
  if constexpr (kRank == 2) LAMELLA_LOAD(2, "%3, %4", "r"(at[0]), "r"(at[1]));
  else if constexpr (kRank == 3) LAMELLA_LOAD(3, "%3, %4, %5", "r"(at[0]), "r"(at[1]), "r"(at[2]));
  else if constexpr (kRank == 4) LAMELLA_LOAD(4, "%3, %4, %5, %6", "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3]));
  else LAMELLA_LOAD(5, "%3, %4, %5, %6, %7", "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3]), "r"(at[4]));
#undef LAMELLA_LOAD
#endif
}
// ... or from it: what ordinary instructions wrote there needs proxy_fence() by the writers, then a barrier, before this.
// Stores go in groups of the thread; tensor_wait_read<n>: all but the newest n have read their shared memory.
template <int kRank> GPU void tensor_store(const CUtensorMap& map, const int (&at)[kRank], uint32_t from) {
  static_assert(kRank >= 2 && kRank <= 5);
#ifdef LAMELLA_EMULATE
  emulate::tensor_store(map, at, from);
#else
#define LAMELLA_STORE(rank, coordinates, ...)                                                            \
  asm volatile("cp.async.bulk.tensor." #rank "d.global.shared::cta.tile.bulk_group [%0, {" coordinates "}], [%1];" \
               ::"l"(&map), "r"(from), __VA_ARGS__ : "memory")
  if constexpr (kRank == 2) LAMELLA_STORE(2, "%2, %3", "r"(at[0]), "r"(at[1]));
  else if constexpr (kRank == 3) LAMELLA_STORE(3, "%2, %3, %4", "r"(at[0]), "r"(at[1]), "r"(at[2]));
  else if constexpr (kRank == 4) LAMELLA_STORE(4, "%2, %3, %4, %5", "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3]));
  else LAMELLA_STORE(5, "%2, %3, %4, %5, %6", "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3]), "r"(at[4]));
#undef LAMELLA_STORE
#endif
}
GPU void tensor_commit() {
#ifdef LAMELLA_EMULATE
  emulate::tensor_commit();
#else
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
#endif
}
template <int kGroupsLeft> GPU void tensor_wait_read() {
#ifdef LAMELLA_EMULATE
  emulate::tensor_wait(kGroupsLeft);
#else
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(kGroupsLeft) : "memory");
#endif
}
template <int kGroupsLeft> GPU void tensor_wait() {  // ... and are done
#ifdef LAMELLA_EMULATE
  emulate::tensor_wait(kGroupsLeft);
#else
  asm volatile("cp.async.bulk.wait_group %0;" ::"n"(kGroupsLeft) : "memory");
#endif
}
GPU void proxy_fence() {
#ifdef LAMELLA_EMULATE
  emulate::proxy_fence();
#else
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

// The reverse of ldmatrix4: lane i gives the address of row i % 8 of matrix i / 8.
GPU void stmatrix4(void* row, const uint32_t (&r)[4]) {
#ifdef LAMELLA_EMULATE
  struct Share { void* row; uint32_t r[4]; } mine{row, {r[0], r[1], r[2], r[3]}};
  emulate::note_write(row, 16);
  const char* all = emulate::exchange(~0u, &mine, sizeof mine, "stmatrix");
  for (int from = 0; from < 32; ++from) {  // this lane writes its own row
    const uint32_t word = reinterpret_cast<const Share*>(all + from * emulate::kMostBytes)->r[emulate::lane() / 8];
    if (from / 4 == emulate::lane() % 8) std::memcpy(static_cast<char*>(row) + from % 4 * 4, &word, 4);
  }
  emulate::exchange(~0u, nullptr, 0, "stmatrix");
#else
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1,%2,%3,%4};"
               ::"r"(shared_address(row)), "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3]) : "memory");
#endif
}

// ---- wgmma: by the 128 threads of a warpgroup --------------------------------------------------------------------------
// wgmma_fence() before the first wgmma after the accumulators were touched; then wgmma..., wgmma_commit(). Neither may the
// accumulators be touched nor the operands be overwritten until wgmma_wait<n> (all but the newest n groups are done).
GPU void wgmma_fence() {
#ifdef LAMELLA_EMULATE
  emulate::wgmma_fence();
#else
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}
GPU void wgmma_commit() {
#ifdef LAMELLA_EMULATE
  emulate::wgmma_commit();
#else
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}
template <int kGroupsLeft> GPU void wgmma_wait() {
#ifdef LAMELLA_EMULATE
  emulate::wgmma_wait(kGroupsLeft);
#else
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kGroupsLeft) : "memory");
#endif
}
// Keeps the compiler from moving uses of the accumulators across this place.
template <int kCount> GPU void hold([[maybe_unused]] float (&d)[kCount]) {
#ifndef LAMELLA_EMULATE
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(d[i])::"memory");
#endif
}

#ifndef LAMELLA_EMULATE
#define LAMELLA_D4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define LAMELLA_D16(i) LAMELLA_D4(i), LAMELLA_D4(i + 4), LAMELLA_D4(i + 8), LAMELLA_D4(i + 12)
#define LAMELLA_D32(i) LAMELLA_D16(i), LAMELLA_D16(i + 16)
#define LAMELLA_D64(i) LAMELLA_D32(i), LAMELLA_D32(i + 32)
#define LAMELLA_D128 LAMELLA_D64(0), LAMELLA_D64(64)
#define LAMELLA_R32 \
  "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
  "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define LAMELLA_R64 \
  "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
  "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31," \
  "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47," \
  "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define LAMELLA_R128 \
  "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
  "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31," \
  "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47," \
  "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63," \
  "%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79," \
  "%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95," \
  "%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111," \
  "%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"
// Operands after the accumulators: descriptors of A and B (or A's registers, B's descriptor), whether to add, and the
// transposition bits.
#define LAMELLA_WGMMA(n, type, registers, outputs, a_at, b_at, add_at, ta_at, tb_at)                             \
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, " add_at ", 0;\n"                                               \
               "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32." type "." type " {" registers "}, " a_at ", " b_at \
               ", p, 1, 1, " ta_at ", " tb_at ";\n}"                                                             \
               : outputs : "l"(a), "l"(b), "r"(int(add)), "n"(int(kTransposedA)), "n"(int(kTransposedB)))
#define LAMELLA_WGMMA_LEFT(n, type, registers, outputs, a_at, b_at, tb_at)                                        \
  asm volatile("{\n.reg .pred p;\nsetp.eq.b32 p, 0, 0;\n"                                                         \
               "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32." type "." type " {" registers "}, {" a_at "}, " b_at \
               ", p, 1, 1, " tb_at ";\n}"                                                                         \
               : outputs : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(int(kTransposedB)))
#endif

// d (64, kN) = A (64, 16) B (16, kN), or += where `add`; operands of T (bf16 or f16) by descriptor, MN-major if transposed.
template <class T, int kN, bool kTransposedA, bool kTransposedB>
GPU void wgmma(float (&d)[kN / 2], uint64_t a, uint64_t b, bool add) {
  static_assert(kN == 64 || kN == 128 || kN == 256);
#ifdef LAMELLA_EMULATE
  emulate::wgmma(d, kN, a, b, add, kTransposedA, kTransposedB, [](uint16_t bits) { return T{bits}.to(); });
#else
  constexpr bool kBf16 = std::is_same_v<T, bf16>;
  if constexpr (kN == 64 && kBf16)
    LAMELLA_WGMMA(64, "bf16", LAMELLA_R32, LAMELLA_D32(0), "%32", "%33", "%34", "%35", "%36");
  else if constexpr (kN == 64 && !kBf16)
    LAMELLA_WGMMA(64, "f16", LAMELLA_R32, LAMELLA_D32(0), "%32", "%33", "%34", "%35", "%36");
  else if constexpr (kN == 128 && kBf16)
    LAMELLA_WGMMA(128, "bf16", LAMELLA_R64, LAMELLA_D64(0), "%64", "%65", "%66", "%67", "%68");
  else if constexpr (kN == 128 && !kBf16)
    LAMELLA_WGMMA(128, "f16", LAMELLA_R64, LAMELLA_D64(0), "%64", "%65", "%66", "%67", "%68");
  else if constexpr (kN == 256 && kBf16)
    LAMELLA_WGMMA(256, "bf16", LAMELLA_R128, LAMELLA_D128, "%128", "%129", "%130", "%131", "%132");
  else if constexpr (kN == 256 && !kBf16)
    LAMELLA_WGMMA(256, "f16", LAMELLA_R128, LAMELLA_D128, "%128", "%129", "%130", "%131", "%132");
#endif
}

// d (64, kN) += A (64, 16) B (16, kN), A in registers: of each warp its 16 rows, as mma16's (mma.cuh). They are operands in
// shared memory's sense: wgmma_fence() after they were written, and no write until the group is done.
template <class T, int kN, bool kTransposedB> GPU void wgmma_left(float (&d)[kN / 2], const uint32_t (&a)[4], uint64_t b) {
  static_assert(kN == 64 || kN == 128);
#ifdef LAMELLA_EMULATE
  emulate::wgmma_left(d, kN, a, b, kTransposedB, [](uint16_t bits) { return T{bits}.to(); });
#else
  constexpr bool kBf16 = std::is_same_v<T, bf16>;
  if constexpr (kN == 64 && kBf16)
    LAMELLA_WGMMA_LEFT(64, "bf16", LAMELLA_R32, LAMELLA_D32(0), "%32, %33, %34, %35", "%36", "%37");
  else if constexpr (kN == 64 && !kBf16)
    LAMELLA_WGMMA_LEFT(64, "f16", LAMELLA_R32, LAMELLA_D32(0), "%32, %33, %34, %35", "%36", "%37");
  else if constexpr (kN == 128 && kBf16)
    LAMELLA_WGMMA_LEFT(128, "bf16", LAMELLA_R64, LAMELLA_D64(0), "%64, %65, %66, %67", "%68", "%69");
  else if constexpr (kN == 128 && !kBf16)
    LAMELLA_WGMMA_LEFT(128, "f16", LAMELLA_R64, LAMELLA_D64(0), "%64, %65, %66, %67", "%68", "%69");
#endif
}

}  // namespace lamella::cuda
