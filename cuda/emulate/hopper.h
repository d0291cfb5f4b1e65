// SPDX-License-Identifier: MIT
// What Hopper's asynchronous instructions do on the emulated device. Whatever may happen late happens as late as the
// program lets it: a TMA load lands when its barrier is waited for, a TMA store reads when it is waited for, wgmma reads its
// operands when its group is waited for; until then destinations hold NaN. Overlaps that are races on a GPU are errors here.
// Shared memory has addresses from kSharedStart on, as on a GPU.
#pragma once
#include <cstddef>
#include <cstdint>

struct alignas(64) CUtensorMap {
  const void* base;
  uint64_t dims[5], strides[5];  // strides in bytes; of dim 0: the size of an element
  uint32_t box[5];
  int rank, swizzle;             // swizzle: bytes of its span, 0 or 128
};
static_assert(sizeof(CUtensorMap) == 128);

namespace emulate {

constexpr uint32_t kSharedStart = 1024;
uint32_t shared_address(const void*);
char* shared_at(uint32_t address, size_t bytes);

// False as cuTensorMapEncodeTiled refuses. strides: of dims 1 ... rank - 1, in bytes.
bool encode(CUtensorMap& map, const void* base, int element, int rank, const uint64_t* dims, const uint64_t* strides,
            const uint32_t* box, int swizzle);

void barrier_init(uint32_t barrier, int arrivals);
void barrier_arrive_expect(uint32_t barrier, int bytes);
void barrier_arrive(uint32_t barrier);
bool barrier_passed(uint32_t barrier, int parity);  // the phase of that parity is complete

void tensor_load(uint32_t to, const CUtensorMap&, const int* at, uint32_t barrier);
void tensor_store(const CUtensorMap&, const int* at, uint32_t from);
void tensor_commit();
void tensor_wait(int groups_left);
void note_write(const void* p, int bytes);  // an ordinary write: no TMA store may read it before the writer's proxy_fence
void proxy_fence();

void wgmma_fence();
// d (64, n) += or = A (64, 16) B (16, n), n / 2 of the elements in this thread's d. `value`: the operands' number format.
void wgmma(float* d, int n, uint64_t a, uint64_t b, bool add, bool transposed_a, bool transposed_b, float (*value)(uint16_t));
// d += A B with A in the threads' registers, which must stay as they are until the group is waited for.
void wgmma_left(float* d, int n, const uint32_t* a, uint64_t b, bool transposed_b, float (*value)(uint16_t));
void wgmma_commit();
void wgmma_wait(int groups_left);

int unfinished();  // asynchronous operations that no thread waited for since the last call; 0 is right after any launch

}  // namespace emulate
