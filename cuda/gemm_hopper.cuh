// SPDX-License-Identifier: MIT
// The index arithmetic of gemm_hopper.cu: tiles and their order, shared memory, the choice of a tile.
#pragma once
#include "hopper.cuh"

namespace lamella::cuda {

// A block's tile of c is kTileM x kN, its slice of k kTileK: 128 bytes. One warpgroup (the producer) keeps a ring of
// stages filled, two (the consumers) multiply 64 rows each.
constexpr int kTileM = 128, kTileK = 64, kConsumers = 2;
constexpr int kHopperThreads = 128 * (1 + kConsumers);
constexpr int kProducerRegisters = 24, kConsumerRegisters = 240;
static_assert(kProducerRegisters + kConsumers * kConsumerRegisters <= (1 + kConsumers) * (65536 / kHopperThreads / 8 * 8),
              "setmaxnreg deals out what the block began with");

// Shared memory, from a multiple of 1024 on: the ring, of A then B in every stage; c's tile, of every consumer boxes of
// 64 rows and 64 columns (8 KiB); the barriers.
template <int kN> struct HopperShared {
  static constexpr int kStages = kN == 256 ? 3 : kN == 128 ? 5 : 7;
  static constexpr int kA = kTileM * 128, kB = kN * 128, kStage = kA + kB, kPiece = 64 * 128;
  static constexpr int kConsumerC = 64 * kN * 2;
  static constexpr int c = kStages * kStage, full = c + kConsumers * kConsumerC, empty = full + 8 * kStages,
                       old = empty + 8 * kStages, bytes = old + 8 * kConsumers;  // old: c's former values have come
  static_assert(bytes <= 232448 && kStage % 1024 == 0 && kConsumerC % 1024 == 0);
};

// Tiles go through c in bands of up to `band` rows of tiles, down the columns of a band, so that the blocks that run
// together read few rows of a and columns of b; batch after batch.
struct TileAt { int row, col, batch; };
BOTH constexpr TileAt tile_at(int64_t i, int rows, int cols, int band) {
  const int64_t each = int64_t(rows) * cols;
  const int batch = int(i / each), in = int(i % each), first = in / (band * cols) * band,
            height = rows - first < band ? rows - first : band, rest = in - first * cols;
  return {first + rest % height, rest / height, batch};
}

// Where 16-byte piece `piece` of row r of a 64-row box lies, from the box's start.
BOTH constexpr int piece_at(int r, int piece) { return r * 128 + ((piece ^ r) & 7) * 16; }

// The width of tile with the least expected time on so many processors: clocks of a stage by the greater of the tensor
// cores' time and the time to fetch it from L2 (kernels are alike in the rest).
constexpr int choose_width(int64_t m, int64_t n, int64_t batches, int processors) {
  int best = 256;
  int64_t least_time = INT64_MAX;
  for (int width : {256, 128, 64}) {
    const int64_t tiles = (m + kTileM - 1) / kTileM * ((n + width - 1) / width) * batches;
    const int64_t time = (tiles + processors - 1) / processors * (width == 256 ? 1056 : width == 128 ? 704 : 528);
    if (time < least_time) least_time = time, best = width;
  }
  return best;
}

// How a product is done; width 0: not here. What decides the bits (whether it is done here, the parts of k) depends on the
// shape alone: the parts fill a device of kUsual processors, and none is short.
struct HopperPlan { int width, rows, cols, parts, part_blocks; };
constexpr int64_t kUsual = 132, kShortPart = 32;
constexpr HopperPlan plan_hopper(int64_t m, int64_t n, int64_t k, int64_t batches, int processors) {
  constexpr int64_t most = INT32_MAX - 1024;  // coordinates and counts are 32-bit
  if (m <= 32 || n <= 32 || k <= 0 || batches <= 0) return {};  // thin ones waste a tile
  if (m > most || n > most || k > most || batches > most) return {};
  const int64_t k_blocks = (k + kTileK - 1) / kTileK, rows = (m + kTileM - 1) / kTileM;
  if (double(rows) * double((n + 63) / 64) * double(batches) > double(most) / 16) return {};
  const int64_t wide = rows * ((n + 255) / 256) * batches;
  int64_t parts = wide < kUsual ? kUsual / wide : 1;
  if (parts > k_blocks / kShortPart) parts = k_blocks / kShortPart;
  if (parts < 1) parts = 1;
  const int64_t part_blocks = (k_blocks + parts - 1) / parts;
  parts = (k_blocks + part_blocks - 1) / part_blocks;
  if (rows * ((n + 63) / 64) * batches * parts < kUsual / 4) return {};  // quicker in smaller tiles
  const int width = choose_width(m, n, batches * parts, processors);
  return {width, int(rows), int((n + width - 1) / width), int(parts), int(part_blocks)};
}

// The ring's position: stage and the parity of its current use.
struct RingAt {
  int stage = 0, phase = 0;
  GPU void next(int stages) {
    if (++stage == stages) stage = 0, phase ^= 1;
  }
};

}  // namespace lamella::cuda
