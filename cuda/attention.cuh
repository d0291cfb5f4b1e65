// SPDX-License-Identifier: MIT
// What attention's kernels share: where heads lie, which queries and keys meet, masks and dropout.
#pragma once
#include "../cpp/core/random.h"
#include "device.cuh"

namespace lamella::cuda::attention {

constexpr float kLog2e = 1.44269504088896340736f, kLn2 = 0.69314718055994530942f;
GPU float exp_of(float x) { return ::expf(x); }
GPU double exp_of(double x) { return ::exp(x); }
GPU float log_of(float x) { return ::logf(x); }
GPU double log_of(double x) { return ::log(x); }
template <class A> GPU A minus_infinity() { return A(-__builtin_inf()); }

// ---- which queries meet which keys -------------------------------------------------------------------------------------
BOTH constexpr int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
BOTH constexpr int64_t tiles_of(int64_t n, int tile) { return (n + tile - 1) / tile; }

// Tiles of keys for queries [first, first + count): [0, this).
BOTH constexpr int64_t key_tiles(int64_t first, int64_t count, int64_t s, bool causal, int tile) {
  return tiles_of(causal ? smaller(s, first + count) : s, tile);
}
// Tiles of queries for keys from `first` on: [begin, tiles_of(l, tile)).
BOTH constexpr int64_t first_query_tile(int64_t first, int64_t l, bool causal, int tile) {
  return !causal ? 0 : first < l ? first / tile : tiles_of(l, tile);
}
// Whether causality leaves out any pair of queries [i, ..) and keys [j, j + keys).
BOTH constexpr bool on_diagonal(int64_t i, int64_t j, int keys, bool causal) { return causal && j + keys - 1 > i; }

// The head and tile of a block. Tiles of unequal work go longest first, so that the last blocks to start are short.
enum class Order : int { heads, tiles_up, tiles_down };
struct Job { unsigned head, tile; };
BOTH constexpr Job job_of(unsigned block, unsigned heads, unsigned tiles, Order order) {
  if (order == Order::heads) return {block / tiles, block % tiles};
  const unsigned tile = block / heads;
  return {block % heads, order == Order::tiles_up ? tile : tiles - 1 - tile};
}

// Keys that a block of `decode` takes: from s alone, so that sums have one order on every device.
BOTH constexpr int split_size(int64_t s) { return s <= 8192 ? 64 : s <= 65536 ? 128 : 256; }

// ---- where heads lie ---------------------------------------------------------------------------------------------------
inline int64_t head_count(const Attention& a) {
  int64_t n = 1;
  for (int d = 0; d < a.ndim; ++d) n *= a.heads[d];
  return n;
}
inline int64_t group_of(const Attention& a) { return a.heads[a.ndim - 1]; }

// at[n] = offset of a head under strides stride[n]; `dims` of the dimensions count (ndim - 1: heads of k and v). Heads are
// fewer than blocks can be, 2^31.
template <int N>
GPU void head_offsets(const Attention& a, int dims, unsigned head, const int64_t* const (&stride)[N], int64_t (&at)[N]) {
#pragma unroll
  for (int n = 0; n < N; ++n) at[n] = 0;
#pragma unroll 1
  for (int d = dims - 1; d >= 0; --d) {
    const unsigned size = unsigned(a.heads[d]), rest = head % size;
    head /= size;
#pragma unroll
    for (int n = 0; n < N; ++n) at[n] += int64_t(rest) * stride[n][d];
  }
}

// size_of() for a device: its table lies in the host's memory.
BOTH constexpr int64_t bytes_of(DType t) {
  return t == DType::f64 ? 8 : t == DType::f32 ? 4 : t == DType::bf16 || t == DType::f16 ? 2 : 1;
}

// Whether rows of `cols` elements are whole 16-byte words.
template <class H> bool in_packs(const Attention& a, const H& x, int64_t cols, int dims) {
  const int64_t pack = 16 / size_of(a.dtype);
  bool whole = is_aligned(x.x) && x.row % pack == 0 && cols % pack == 0;
  for (int d = 0; d < dims; ++d) whole &= a.heads[d] == 1 || x.batch[d] % pack == 0;
  return whole;
}

// ---- masks -------------------------------------------------------------------------------------------------------------
struct MaskView { const char* at; DType dtype; int64_t row, col; };  // of one head; `at` may be null

GPU MaskView mask_view(const Attention& a, int64_t offset) {
  const char* const at = static_cast<const char*>(a.mask);
  return {at ? at + offset * bytes_of(a.mask_dtype) : nullptr, a.mask_dtype, a.mask_row, a.mask_col};
}

template <class M> GPU float mask_term(M x) {
  if constexpr (std::is_same_v<M, bool>) return x ? 0.f : minus_infinity<float>();
  else return float(up(x));
}
// What the mask adds to a score.
template <class A> GPU A mask_value(const MaskView& m, int64_t i, int64_t j) {
  const int64_t at = i * m.row + j * m.col;
  switch (m.dtype) {
    case DType::b8: return A(mask_term(reinterpret_cast<const bool*>(m.at)[at]));
    case DType::f32: return A(reinterpret_cast<const float*>(m.at)[at]);
    case DType::f64: return A(reinterpret_cast<const double*>(m.at)[at]);
    case DType::bf16: return A(reinterpret_cast<const bf16*>(m.at)[at].to());
    default: return A(reinterpret_cast<const f16*>(m.at)[at].to());
  }
}

// ---- dropout -----------------------------------------------------------------------------------------------------------
// Element n of (heads, l, s) takes word n % 4 of Philox block n / 4, as kernel `dropout` has it.
GPU bool keeps(uint32_t word, float p) { return float(int32_t(word >> 8)) * 0x1p-24f >= p; }
inline double keep_scale(const Attention& a) { return a.dropout > 0 ? (a.dropout < 1 ? 1 / (1 - a.dropout) : 0) : 1; }

GPU Philox words_of(const Attention& a, uint64_t block) {
  uint64_t seed = a.seed, stream = a.stream;
  shift_draws(seed, stream, a.shift);
  return philox(seed, block, stream);
}

// Element n on its own; the last Philox block is kept for its neighbours.
struct Keep {
  uint64_t block = ~uint64_t(0);
  Philox words{};
  GPU bool operator()(const Attention& a, uint64_t n) {
    if (n / 4 != block) block = n / 4, words = words_of(a, block);
    const int w = int(n % 4);
    return keeps(w == 0 ? words.v[0] : w == 1 ? words.v[1] : w == 2 ? words.v[2] : words.v[3], float(a.dropout));
  }
};

// Bits of a tile in shared memory: byte b of a row holds those of the row's Philox block b.
constexpr int kKeepBytes = 20;        // of a row: 64 keys touch up to 17 blocks
template <int kRows> GPU void make_keep(uint8_t* keep, const Attention& a, int64_t head, int64_t i, int64_t j) {
  for (int n = int(threadIdx.x); n < kRows * 17; n += int(blockDim.x)) {
    const int row = n / 17, b = n % 17;
    const Philox w = words_of(a, uint64_t((head * a.l + i + row) * a.s + j) / 4 + uint64_t(b));
    uint32_t bits = 0;
#pragma unroll
    for (int k = 0; k < 4; ++k) bits |= uint32_t(keeps(w.v[k], float(a.dropout))) << k;
    keep[row * kKeepBytes + b] = uint8_t(bits);
  }
}
// Where the bit of a row's key is, whose first element has the number `first` (of which two bits matter).
BOTH constexpr int keep_byte(uint32_t first, int key) { return (int(first % 4) + key) / 4; }
BOTH constexpr int keep_bit(uint32_t first, int key) { return (int(first % 4) + key) % 4; }
GPU bool kept(const uint8_t* row, uint32_t first, int key) { return row[keep_byte(first, key)] >> keep_bit(first, key) & 1; }

extern int64_t wide_from;  // blocks of 128 queries are taken where there are as many; for tests to change

// ---- the kernels' host sides -------------------------------------------------------------------------------------------
// The first two: whether they took the call.
bool forward_decode(const AttentionFwd&);        // few queries: attention_decode.cu
bool forward_tensor(const AttentionFwd&);        // 16-bit, rows of whole 16-byte words: attention.cu
void forward_general(const AttentionFwd&);       // attention_general.cu
void row_products(const AttentionBwd&, void* delta);  // delta (heads, l) = the row sums of dy * y, in the type of lse
void backward_general(const AttentionBwd&, const void* delta);

}  // namespace lamella::cuda::attention
