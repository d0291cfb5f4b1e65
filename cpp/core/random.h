// SPDX-License-Identifier: MIT
// Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): the number at position i of a
// stream is a function of (seed, i) alone, so any thread, and a GPU, may make it.
#pragma once
#include <cstdint>
#include "dtype.h"

namespace lamella {

struct Philox { uint32_t v[4]; };

// Four random words for counter (lo = block index, hi = stream) under `seed`.
LAMELLA_INLINE Philox philox(uint64_t seed, uint64_t block, uint64_t stream) {
  uint32_t c0 = uint32_t(block), c1 = uint32_t(block >> 32), c2 = uint32_t(stream), c3 = uint32_t(stream >> 32);
  uint32_t k0 = uint32_t(seed), k1 = uint32_t(seed >> 32);
  for (int r = 0; r < 10; ++r) {
    uint64_t p0 = uint64_t(0xD2511F53u) * c0, p1 = uint64_t(0xCD9E8D57u) * c2;
    uint32_t n0 = uint32_t(p1 >> 32) ^ c1 ^ k0, n2 = uint32_t(p0 >> 32) ^ c3 ^ k1;
    c1 = uint32_t(p1); c3 = uint32_t(p0); c0 = n0; c2 = n2;
    k0 += 0x9E3779B9u; k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// A call's seed and stream, moved by two numbers where there are any (kernels.h: Random).
LAMELLA_INLINE void shift_draws(uint64_t& seed, uint64_t& stream, const uint64_t* shift) {
  if (!shift) return;
  seed ^= shift[0];
  stream += shift[1];
}

// A generator is a seed and the number of the next stream: every random op takes one stream.
struct Generator { uint64_t seed = 0x6c616d656c6c61; uint64_t stream = 0; };
Generator& default_generator();

}  // namespace lamella
