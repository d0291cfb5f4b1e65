// SPDX-License-Identifier: MIT
// Kernels over all tensors of a list at once: a block takes a chunk of one tensor, which it finds in a table that comes with
// the launch. Each dtype of the list has a launch of its own.
#pragma once
#include <vector>
#include "lanes.cuh"

namespace lamella::cuda {

// first[count + 1]: number of the tensors' first blocks; size[count]; then pointers, a column of `count` for each buffer.
struct Table {
  static constexpr int kNear = 384;
  const int64_t* far;              // in device memory, or null: all is in `near`
  int64_t count, chunk;
  int64_t near[kNear];
  GPU int64_t word(int64_t i) const { return far ? far[i] : near[i]; }
};

struct Piece { int64_t tensor, begin, end; };  // elements [begin, end) of a tensor

GPU Piece find_piece(const Table& t) {
  const int64_t block = blockIdx.x;
  int64_t low = 0, high = t.count;
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    if (t.word(middle) <= block) low = middle;
    else high = middle;
  }
  const int64_t begin = (block - t.word(low)) * t.chunk;
  return {low, begin, least(begin + t.chunk, t.word(t.count + 1 + low))};
}
template <class T> GPU T* buffer_of(const Table& t, const Piece& piece, int column) {
  return reinterpret_cast<T*>(t.word((column + 2) * t.count + 1 + piece.tensor));
}
GPU bool packs(const void* p) { return (reinterpret_cast<uintptr_t>(p) & 15) == 0; }

// Elements of a chunk, by the sizes alone: sums over chunks are the same on every device.
inline int64_t chunk_of(const TensorList& list) {
  int64_t total = 0, chunk = 4096;
  for (int64_t i = 0; i < list.count; ++i) total += list.size[i];
  while (chunk < 65536 && total > chunk * 8192) chunk *= 2;
  return chunk;
}
inline int64_t blocks_of(const TensorList& list, int64_t chunk) {
  int64_t blocks = 0;
  for (int64_t i = 0; i < list.count; ++i) blocks += ceil_div(list.size[i], chunk);
  return blocks;
}

// f(T{}, table, blocks) for each dtype of the list that has elements; columns: the buffers of each tensor.
template <class F>
void for_tables(const TensorList& list, const void* const* const* columns, int n_columns, const F& f) {
  const int64_t chunk = chunk_of(list);
  for (DType type : {DType::f32, DType::bf16, DType::f16, DType::f64}) {
    std::vector<int64_t> members;
    for (int64_t i = 0; i < list.count; ++i)
      if (list.dtype[i] == type && list.size[i] > 0) members.push_back(i);
    if (members.empty()) continue;
    std::vector<int64_t> words;
    words.reserve(members.size() * size_t(n_columns + 2) + 1);
    int64_t blocks = 0;
    for (int64_t i : members) {
      words.push_back(blocks);
      blocks += ceil_div(list.size[i], chunk);
    }
    words.push_back(blocks);
    for (int64_t i : members) words.push_back(list.size[i]);
    for (int c = 0; c < n_columns; ++c)
      for (int64_t i : members) words.push_back(int64_t(reinterpret_cast<intptr_t>(columns[c][i])));
    Table table;
    const bool near = words.size() <= size_t(Table::kNear);
    const size_t bytes = words.size() * sizeof(int64_t);
    const Uploaded far(words.data(), near ? 0 : bytes);
    table.far = far.as<const int64_t>();
    table.count = int64_t(members.size());
    table.chunk = chunk;
    if (near) std::memcpy(table.near, words.data(), bytes);
    by_float(type, [&](auto t) { f(t, static_cast<const Table&>(table), blocks); });
  }
}

}  // namespace lamella::cuda
