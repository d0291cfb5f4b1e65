// SPDX-License-Identifier: MIT
// The index arithmetic of the GPU's attention: tiles, fragments, ranges and splits, each against its definition.
#include <algorithm>
#include <set>
#include <utility>
#include <vector>
#include "check.h"
#include "cuda/attention_tiles.cuh"

using namespace lamella::cuda;
using namespace lamella::cuda::attention;

namespace {

// A tile's words are a permutation, and the rows that an ldmatrix reads at once, or a quad's stores, share no bank.
void tiles() {
  for (const int chunks : {4, 8, 12, 16, 32}) {
    std::set<int> places;
    for (int r = 0; r < 64; ++r)
      for (int c = 0; c < chunks; ++c) {
        const int at = tile_chunk(r, c, chunks);
        CHECK(at >= 0 && at < 64 * chunks && at / chunks == r);
        places.insert(at);
      }
    CHECK(int(places.size()) == 64 * chunks);
    for (int r = 0; r < 64; r += 8)
      for (int c = 0; c < chunks; ++c) {
        std::set<int> banks;
        for (int i = 0; i < 8; ++i) banks.insert(tile_chunk(r + i, c, chunks) % 8);
        CHECK(banks.size() == 8);
      }
  }
}

// What ldmatrix4 gives a lane, from the rows and words that lanes name: element e of register j is (row, column) of the tile.
std::pair<int, int> loaded(int lane, int j, int e, bool transposed, bool left) {
  const int within = transposed ? 2 * (lane % 4) + e : lane / 4, column = transposed ? lane / 4 : 2 * (lane % 4) + e;
  const int named = 8 * j + within;  // the lane that names this row
  return {left ? left_row(named) : right_row(named), 8 * (left ? left_chunk(named) : right_chunk(named)) + column};
}

void fragments() {
  std::set<std::pair<int, int>> left, right, summed;
  for (int lane = 0; lane < 32; ++lane)
    for (int j = 0; j < 4; ++j)
      for (int e = 0; e < 2; ++e) {
        const auto a = loaded(lane, j, e, false, true);
        CHECK(a == std::make_pair(a_row(lane, j), a_col(lane, j, e)));
        left.insert(a);
        // Registers 0, 1 are the right operand of eight columns, 2, 3 of the next; the tile's rows are columns ...
        const auto b = loaded(lane, j, e, false, false);
        CHECK(b == std::make_pair(b_col(lane) + 8 * (j / 2), b_row(lane, j % 2, e)));
        right.insert(b);
        // ... or, transposed, what is summed over.
        const auto c = loaded(lane, j, e, true, true);
        CHECK(c == std::make_pair(b_row(lane, j % 2, e), b_col(lane) + 8 * (j / 2)));
        summed.insert(c);
        // Accumulators of two blocks of columns are a left operand, as pack_left takes them.
        CHECK(c_row(lane, 2 * (j % 2) + e) == a_row(lane, j) && 8 * (j / 2) + c_col(lane, 2 * (j % 2) + e) == a_col(lane, j, e));
      }
  CHECK(left.size() == 256 && right.size() == 256 && summed.size() == 256);
  // The weight of column k and row g or g + 8, as add_strange finds it: lane 4 g + k % 8 / 2, registers 2 (k / 8) and the next.
  for (int g = 0; g < 8; ++g)
    for (int k = 0; k < 16; ++k)
      for (int h = 0; h < 2; ++h) {
        const int lane = 4 * g + k % 8 / 2, reg = 2 * (k / 8) + h;
        CHECK(a_row(lane, reg) == g + 8 * h && a_col(lane, reg, k % 2) == k);
      }
}

void strange_words() {
  for (uint32_t x = 0; x < 65536; ++x) {
    const bool brain = (x & 0x7f80) == 0x7f80, half = (x & 0x7c00) == 0x7c00;
    for (const uint32_t other : {0x0000u, 0x3f80u, 0x7f80u, 0xffffu}) {
      const bool brain_other = (other & 0x7f80) == 0x7f80, half_other = (other & 0x7c00) == 0x7c00;
      CHECK(strange_halves<lamella::bf16>(x | other << 16) == (brain ? 0x8000u : 0) + (brain_other ? 0x80000000u : 0));
      CHECK(strange_halves<lamella::f16>(other | x << 16) == (half ? 0x80000000u : 0) + (half_other ? 0x8000u : 0));
    }
  }
}

// Tiles that are visited hold every pair that counts, and none is without one; those off the diagonal leave out no pair.
void ranges() {
  for (const int queries : {64, 128})
    for (const int keys : {32, 64})
      for (const bool causal : {false, true})
        for (const int64_t l : {1, 63, 64, 65, 127, 128, 129, 200, 257})
          for (const int64_t s : {0, 1, 31, 32, 33, 64, 65, 130, 300}) {
            const auto counts = [&](int64_t i, int64_t j) { return !causal || j <= i; };
            const auto any = [&](int64_t i0, int64_t j0) {
              for (int64_t i = i0; i < std::min(l, i0 + queries); ++i)
                for (int64_t j = j0; j < std::min(s, j0 + keys); ++j) if (counts(i, j)) return true;
              return false;
            };
            const auto all = [&](int64_t i0, int64_t j0) {
              for (int64_t i = i0; i < i0 + queries; ++i)
                for (int64_t j = j0; j < j0 + keys; ++j) if (!counts(i, j)) return false;
              return true;
            };
            for (int64_t i = 0; i < l; i += queries) {
              const int64_t end = key_tiles(i, std::min<int64_t>(queries, l - i), s, causal, keys);
              for (int64_t t = 0; t < tiles_of(s, keys); ++t) {
                CHECK((t < end) == any(i, t * keys));
                CHECK(on_diagonal(i, t * keys, keys, causal) == !all(i, t * keys));
              }
            }
            for (int64_t j = 0; j < s; j += keys) {
              const int64_t begin = first_query_tile(j, l, causal, queries);
              CHECK(begin <= tiles_of(l, queries));
              for (int64_t t = 0; t < tiles_of(l, queries); ++t) CHECK((t >= begin) == any(t * queries, j));
            }
          }
}

// Every head's every tile once, and in the order of their work.
void jobs() {
  for (const Order order : {Order::heads, Order::tiles_up, Order::tiles_down})
    for (const unsigned heads : {1u, 3u, 8u})
      for (const unsigned tiles : {1u, 2u, 7u}) {
        std::set<std::pair<unsigned, unsigned>> seen;
        unsigned last = order == Order::tiles_down ? tiles : 0;
        for (unsigned b = 0; b < heads * tiles; ++b) {
          const Job j = job_of(b, heads, tiles, order);
          CHECK(j.head < heads && j.tile < tiles && seen.insert({j.head, j.tile}).second);
          if (order == Order::tiles_up) CHECK(j.tile >= last);
          if (order == Order::tiles_down) CHECK(j.tile <= last);
          last = j.tile;
        }
      }
}

// Runs of keys cover them once, are whole warps of them, and do not become more than a merge takes well.
void splits() {
  for (const int64_t s : {1, 63, 64, 65, 2048, 8192, 8193, 65536, 65537, 1 << 20}) {
    const int size = split_size(s);
    int64_t covered = 0;
    for (int64_t part = 0; part < tiles_of(s, size); ++part) {
      const int64_t keys = std::min<int64_t>(size, s - part * size);
      CHECK(keys > 0);
      covered += keys;
    }
    CHECK(covered == s && size % 32 == 0);
  }
  CHECK(tiles_of(2048, split_size(2048)) >= 32);
}

// The nibbles that make_keep writes are those that readers look for, wherever a row begins.
void keeps_bits() {
  for (uint64_t first = 0; first < 8; ++first) {
    std::set<std::pair<int, int>> seen;
    for (int key = 0; key < kTileKeys; ++key) {
      const int byte = keep_byte(uint32_t(first), key), bit = keep_bit(uint32_t(first), key);
      CHECK(first / 4 + uint64_t(byte) == (first + uint64_t(key)) / 4 && uint64_t(bit) == (first + uint64_t(key)) % 4);
      CHECK(byte < 17 && byte < kKeepBytes && seen.insert({byte, bit}).second);
    }
  }
}

// Half a warp reads two neighbours of rows of biases at a time.
void biases() {
  for (int half = 0; half < 2; ++half) {
    std::set<int> banks;
    for (int lane = 16 * half; lane < 16 * half + 16; ++lane)
      for (int e = 0; e < 2; ++e) banks.insert((c_row(lane, 0) * kBiasRow + c_col(lane, e)) % 32);
    CHECK(banks.size() == 32);
  }
}

}  // namespace

int main() {
  tiles();
  fragments();
  strange_words();
  ranges();
  jobs();
  splits();
  keeps_bits();
  biases();
  return failures() != 0;
}
