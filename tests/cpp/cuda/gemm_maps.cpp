// SPDX-License-Identifier: MIT
// The index arithmetic of gemm_core.cuh as properties: maps are one to one, whatever is accessed at once lies in different
// banks, tiles come once each.
#include "cuda/gemm_product.cuh"
#include "check.h"
#include <set>
#include <vector>

using namespace lamella;
using namespace lamella::cuda;

namespace {

// Sixteen-byte accesses made at once: those of different places must lie in different groups of four banks.
bool conflict(const std::vector<int>& offsets) {
  std::set<int> places(offsets.begin(), offsets.end()), groups;
  for (int x : places) groups.insert(x / 16 % 8);
  return groups.size() != places.size();
}

template <class Map> void map_holds() {
  std::set<int> seen;
  for (int row = 0; row < Map::kRows; ++row)
    for (int chunk = 0; chunk < Map::kRowChunks; ++chunk) seen.insert(Map::at(row, chunk));
  CHECK(int(seen.size()) == Map::kBytes / 16 && *seen.begin() == 0 && *seen.rbegin() == Map::kBytes - 16);
  constexpr int kThreads = Map::kRowStep * Map::kRowChunks;
  std::set<std::pair<int, int>> filled;      // by the loaders' share of each thread
  for (int i = 0; i < Map::kEach; ++i)
    for (int t = 0; t < kThreads; t += 8) {
      std::vector<int> at;
      for (int u = t; u < t + 8; ++u) {
        const int row = u / Map::kRowChunks + i * Map::kRowStep, chunk = u % Map::kRowChunks;
        filled.insert({row, chunk});
        at.push_back(Map::at(row, chunk));
      }
      CHECK(!conflict(at));
    }
  CHECK(int(filled.size()) == Map::kBytes / 16);
}

// Every matrix of every ldmatrix: eight rows and one chunk.
template <class Map> void matrices_hold() {
  for (int row = 0; row < Map::kRows; row += 8)
    for (int chunk = 0; chunk < Map::kRowChunks; ++chunk) {
      std::vector<int> at;
      for (int r = 0; r < 8; ++r) at.push_back(Map::at(row + r, chunk));
      CHECK(!conflict(at));
    }
  if (Map::kAlongK)  // fetch adds multiples of 8 rows behind at()
    for (int row = 0; row + 8 < Map::kRows; ++row) CHECK(Map::at(row + 8, 1) == Map::at(row, 1) + 8 * kStepBytes);
}

template <class Tile> void tensor_holds() {
  map_holds<typename Tile::A>();
  map_holds<typename Tile::B>();
  if (Tile::A::kAlongK || sizeof(typename Tile::T) == 2) matrices_hold<typename Tile::A>();
  else
    for (int k = 0; k < Tile::kK; k += 4)
      for (int e = 0; e < Tile::kM; e += 8) {
        std::set<int> banks;
        for (int lane = 0; lane < 32; ++lane)
          banks.insert((Tile::A::at(k + lane % 4, (e + lane / 4) / 4) / 4 + (e + lane / 4) % 4) % 32);
        CHECK(banks.size() == 32);
      }
}

template <class Tile> void simt_holds() {
  map_holds<typename Tile::A>();
  map_holds<typename Tile::B>();
  constexpr int kRows = Tile::kWarpM / 4, kCols = Tile::kWarpN / 8, kPer = Tile::kPer;
  std::set<std::pair<int, int>> sums;
  for (int lane = 0; lane < 32; ++lane)
    for (int i = 0; i < kRows; ++i)
      for (int j = 0; j < kCols; ++j) sums.insert({Tile::sum_row(lane, i), Tile::sum_col(lane, j)});
  CHECK(int(sums.size()) == Tile::kWarpM * Tile::kWarpN && sums.rbegin()->first == Tile::kWarpM - 1);
  for (int half = 0; half < 32; half += 16)
    for (int c = 0; c < 4; ++c)
      for (int i = 0; i < 8; ++i) {
        std::vector<int> a, b;
        for (int lane = half; lane < half + 16; ++lane) {
          if (i < kRows) a.push_back(Tile::A::kAlongK ? Tile::A::at(Tile::sum_row(lane, i), c) : Tile::A::at(c, Tile::sum_row(lane, i) / kPer));
          if (i < kCols) b.push_back(Tile::B::kAlongK ? Tile::B::at(Tile::sum_col(lane, i), c) : Tile::B::at(c, Tile::sum_col(lane, i) / kPer));
          // Either every lane shares its address with the next but one, or with the next: what lets halves go at once.
          if (i < kRows) CHECK(Tile::sum_row(lane, i) == Tile::sum_row(lane ^ 2, i));
          if (i < kCols) CHECK(Tile::sum_col(lane, i) == Tile::sum_col(lane ^ 1, i));
        }
        CHECK(!conflict(a) && !conflict(b));
      }
}

template <bool kA, bool kB> void of_forms() {
  tensor_holds<TensorTile<bf16, 128, 128, 64, 64, kA, kB>>();
  tensor_holds<TensorTile<bf16, 64, 64, 32, 32, kA, kB>>();
  tensor_holds<TensorTile<float, 128, 128, 64, 32, kA, kB>>();
  tensor_holds<TensorTile<float, 64, 64, 32, 32, kA, kB>>();
  simt_holds<SimtTile<float, 8, 8, kA, kB>>();
  simt_holds<SimtTile<float, 4, 4, kA, kB>>();
  simt_holds<SimtTile<double, 4, 4, kA, kB>>();
}

void places_hold() {
  for (int rows : {1, 7, 8, 9, 17, 64})
    for (int cols : {1, 2, 13, 40}) {
      std::set<std::pair<int, int>> seen;
      for (int i = 0; i < rows * cols; ++i) {
        const TilePlace p = place_tile(i, rows, cols);
        CHECK(p.row >= 0 && p.row < rows && p.col >= 0 && p.col < cols);
        seen.insert({p.row, p.col});
      }
      CHECK(int(seen.size()) == rows * cols);
    }
  // A wave of 128 blocks touches few rows and columns of tiles.
  std::set<int> rows, cols;
  for (int i = 0; i < 128; ++i) {
    rows.insert(place_tile(i, 64, 64).row);
    cols.insert(place_tile(i, 64, 64).col);
  }
  CHECK(rows.size() + cols.size() <= 24);
}

void division_holds() {
  for (int d : {1, 2, 3, 7, 64, 641, 65535, 1 << 20, 0x7ffffffe, 0x7fffffff})
    for (int n : {0, 1, 2, d - 1, d, 640, 65536, 0x7ffffffe, 0x7fffffff}) {
      int rest;
      CHECK(divide_block(Divisor(d), n, rest) == n / d && rest == n % d);
    }
}

}  // namespace

int main() {
  of_forms<true, true>();
  of_forms<true, false>();
  of_forms<false, true>();
  of_forms<false, false>();
  tensor_holds<TensorTile<int8_t, 128, 128, 64, 64, true, true>>();
  places_hold();
  division_holds();
  return failures() != 0;
}
