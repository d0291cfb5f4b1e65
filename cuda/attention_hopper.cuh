// SPDX-License-Identifier: MIT
// What the Hopper forms of attention share: tensor maps of heads, tiles in shared memory, the order of work, products.
#pragma once
#include "attention_hopper.h"
#include "gemm_hopper.cuh"

namespace lamella::cuda::attention {

// A tile is rows of 16-bit elements, in pieces of 64 columns: TMA boxes, swizzled. A consumer (a warpgroup) has 64 rows of
// the block's 128.
constexpr int kHopperRows = 128, kOwnRows = 64;
constexpr int kOwn = 1, kTurn = 3;     // named barriers, of a consumer each

// ---- heads in tensor maps --------------------------------------------------------------------------------------------
// Heads are (outer, inner, group) once dimensions that can be are merged; an operand that has one head for all along a
// dimension is 0 in `use`.
struct HeadAt { int group, inner, outer; };
BOTH constexpr HeadAt head_at(int head, int group, int inner) {
  return {head % group, head / group % inner, head / group / inner};
}

struct HeadsMap {
  CUtensorMap map;
  int use[3];
};
// Tile of kRows rows from `row` on, kCols / 64 pieces.
template <int kRows, int kCols>
GPU void load_heads(uint32_t to, const HeadsMap& m, int row, const HeadAt& h, uint32_t barrier) {
  const int group = h.group * m.use[0], inner = h.inner * m.use[1], outer = h.outer * m.use[2];
#pragma unroll
  for (int j = 0; j < kCols / 64; ++j)
    tensor_load<5>(to + j * kRows * 128, m.map, {64 * j, row, group, inner, outer}, barrier);
}

// size: of (group, inner, outer); stride[n]: operand n's. False where there are more dimensions than that. strides[n] are
// those of Attention::heads, for the last (the group's) too.
template <int N>
inline bool merge_heads(const Attention& a, const int64_t* const (&strides)[N], int64_t (&size)[3], int64_t (&stride)[N][3]) {
  const int last = a.ndim - 1;
  size[0] = a.heads[last], size[1] = size[2] = 1;
  for (int n = 0; n < N; ++n) stride[n][0] = strides[n][last], stride[n][1] = stride[n][2] = 0;
  int kept = 0;
  for (int d = last - 1; d >= 0; --d) {          // inner dimensions first
    if (a.heads[d] == 1) continue;
    bool merges = kept > 0;
    for (int n = 0; n < N; ++n) merges &= strides[n][d] == stride[n][kept] * size[kept];
    if (merges) size[kept] *= a.heads[d];
    else {
      if (++kept > 2) return false;
      size[kept] = a.heads[d];
      for (int n = 0; n < N; ++n) stride[n][kept] = strides[n][d];
    }
  }
  return true;
}

// For boxes of box_rows rows and 64 columns.
inline bool map_heads(HeadsMap& m, const void* x, int64_t rows, int64_t cols, int64_t row, const int64_t (&size)[3],
                      const int64_t (&stride)[3], int box_rows) {
  int64_t dims[5] = {cols, rows, 1, 1, 1}, steps[4] = {row, rows * row, rows * row, rows * row};
  for (int i = 0; i < 3; ++i) {
    m.use[i] = size[i] > 1 && stride[i] != 0;
    if (m.use[i]) dims[2 + i] = size[i], steps[1 + i] = stride[i];
  }
  const int box[5] = {64, box_rows, 1, 1, 1};
  return tensor_map(m.map, x, 5, dims, steps, box);
}

// What every kernel's call begins with. heads: what jobs are counted in; tiles: of a head; section: as in section_job.
struct HopperCall {
  int l, s, e, ev, group, inner, heads, tiles, section;
  float scale2, scale;                 // of scores, times log2(e); as given
  bool causal;

  void set(const Attention& a, const int64_t (&size)[3]) {  // all but heads, tiles and section
    l = int(a.l), s = int(a.s), e = int(a.e), ev = int(a.ev);
    group = int(size[0]), inner = int(size[1]);
    scale = float(a.scale), scale2 = scale * kLog2e;
    causal = a.causal;
  }
};
// f.operator()<T, D>() with the narrowest tile that holds the heads' columns.
template <class F> void by_width(const Attention& a, const F& f) {
  const bool wide = most(a.e, a.ev) > 64;
  if (a.dtype == DType::bf16) {
    if (wide) f.template operator()<bf16, 128>();
    else f.template operator()<bf16, 64>();
  } else {
    if (wide) f.template operator()<f16, 128>();
    else f.template operator()<f16, 64>();
  }
}

// ---- the order of work -----------------------------------------------------------------------------------------------
// Heads go in sections whose keys and values (or queries) stay in L2; in a section all heads' first tiles (last, if
// `down`), then all their next ones.
BOTH constexpr Job section_job(int i, int heads, int tiles, int section, bool down) {
  const int first = i / (section * tiles) * section, size = heads - first < section ? heads - first : section,
            rest = i - first * tiles, tile = rest / size;
  return {unsigned(first + rest % size), unsigned(down ? tiles - 1 - tile : tile)};
}
constexpr int section_of(int64_t heads, int64_t group, int64_t bytes) {  // bytes: of a group
  const int64_t fit = (int64_t(24) << 20) / (bytes > 0 ? bytes : 1), all = heads / group;
  return int((fit < 1 ? 1 : fit > all ? all : fit) * group);
}
// What block b of so many does in a round: up and down by turns, as work falls along the order.
BOTH constexpr int in_round(int round, int block, int blocks) {
  return round * blocks + (round % 2 ? blocks - 1 - block : block);
}

// Steps of a block of 128 keys through tiles of kStepQueries queries: of every head of the group the `edge` tiles in which
// some query does not see some key, then of every head the others, from the first that sees any.
constexpr int kStepQueries = 64;
struct QueryRange { int begin, edge, span; };  // tiles [begin, begin + span)
BOTH constexpr QueryRange query_range(int j, int l, bool causal) {
  const int begin = int(first_query_tile(j, l, causal, kStepQueries)), span = int(tiles_of(l, kStepQueries)) - begin,
            most_edge = causal ? kHopperRows / kStepQueries : 0;
  return {begin, most_edge < span ? most_edge : span, span};
}
template <class F> BOTH void each_step(const QueryRange& r, int group, const F& f) {  // f(head of the group, tile), in order
  int from = r.begin, to = r.begin + r.edge;
  for (int part = 0; part < 2; ++part, from = to, to = r.begin + r.span)
    for (int g = 0; g < group; ++g)
      for (int tile = from; tile < to; ++tile) f(g, tile);
}

// blockIdx.x and threadIdx.x, read where that stands: what follows from them is then worked out again, instead of keeping
// registers throughout a loop.
GPU int block_again() {
#ifdef LAMELLA_EMULATE
  return int(blockIdx.x);
#else
  int i;
  asm volatile("mov.u32 %0, %%ctaid.x;" : "=r"(i));
  return i;
#endif
}
GPU int thread_again() {
#ifdef LAMELLA_EMULATE
  return int(threadIdx.x);
#else
  int i;
  asm volatile("mov.u32 %0, %%tid.x;" : "=r"(i));
  return i;
#endif
}

// ---- products --------------------------------------------------------------------------------------------------------
// Step j of 16 along k, to be added to a K-major descriptor of pieces of kRows rows.
template <int kRows> BOTH constexpr uint64_t k_step(int j) {
  return uint64_t(j / 4 * (kRows * 128 >> 4)) + uint64_t(j % 4) * kNextK;
}

// d = a . b^T in a group of its own: the consumer's 64 rows of a tile of kRows, and all rows of a tile of N; D deep.
template <class T, int D, int kRows, int N> GPU void multiply_rows(float (&d)[N / 2], uint32_t a, uint32_t b) {
  const uint64_t left = k_major(a), right = k_major(b);
  wgmma_fence();
#pragma unroll
  for (int j = 0; j < D / 16; ++j) wgmma<T, N, false, false>(d, left + k_step<kRows>(j), right + k_step<N>(j), j > 0);
  wgmma_commit();
}
// d += p . b in a group of its own, b a tile of N rows.
struct Right { uint64_t descriptor, step; };
template <int N> GPU Right right_of(uint32_t b) { return {mn_major(b, N * 128), kNextKTransposed}; }
template <class T, int D, int N> GPU void multiply_left(float (&d)[D / 2], const uint32_t (&p)[N / 16][4], const Right& b) {
  wgmma_fence();
#pragma unroll
  for (int j = 0; j < N / 16; ++j) wgmma_left<T, D, true>(d, p[j], b.descriptor + j * b.step);
  wgmma_commit();
}
// Accumulators as a left operand: the maps agree.
template <class T, int N> GPU void pack_rows(uint32_t (&p)[N / 16][4], const float (&s)[N / 2]) {
#pragma unroll
  for (int j = 0; j < N / 16; ++j)
#pragma unroll
    for (int r = 0; r < 4; ++r) p[j][r] = pack2<T>(s[8 * j + 2 * r], s[8 * j + 2 * r + 1]);
}

// A weight from its score and minus its query's lse times log2(e); never above 1, as lse of vast scores has no digits left.
// kCut: for tiles with pairs that do not count (their score or that minus lse is minus infinity) or with an lse that is NaN:
// what does not count weighs nothing, whatever else is NaN. Without such, arithmetic alone says so.
template <bool kCut> GPU float weight_of(float s, float scale2, float minus_lse2) {
  const float x = fmaf(s, scale2, minus_lse2), p = exp2_fast(x > 0 ? 0.f : x), out = minus_infinity<float>();
  return kCut && (s == out || minus_lse2 == out) ? 0.f : p;
}
template <bool kCut> GPU float ds_of(float p, float dp, float delta) { return kCut && p == 0 ? 0.f : p * (dp - delta); }

// ---- numbers that are not finite -------------------------------------------------------------------------------------
// 0 * NaN is NaN: a tile part of whose weights are zero by causality is looked through, and one with infinities or NaN is
// multiplied in plain arithmetic, where the weight is not zero. The tensor cores then multiply zeros by zeros: ptxas lets no
// wgmma depend on a branch.
constexpr int kZeros = 1024;           // of shared memory: eight rows, which stand for all
GPU Right zeros_of(uint32_t at) { return {matrix_descriptor(at, 0, 0), 0}; }
GPU void make_zeros(char* at) {        // by the block, before a barrier
  if (threadIdx.x < kZeros / 16) store_pack(reinterpret_cast<uint32_t*>(at) + threadIdx.x * 4, Pack<uint32_t, 4>{});
  proxy_fence();
}

// Whether rows from `first` on of a tile of N have any, in this thread's share (of 128).
template <class T, int D, int N> GPU bool strange_rows(const char* tile, int first) {
  uint32_t any = 0;
#pragma unroll 1
  for (int j = 0; j < D / 64; ++j)
#pragma unroll 4
    for (int i = first * 8 + int(threadIdx.x) % 128; i < N * 8; i += 128) {
      const Pack<uint32_t, 4> w = load_pack<uint32_t, 4>(reinterpret_cast<const uint32_t*>(tile + j * N * 128 + i * 16));
#pragma unroll
      for (int k = 0; k < 4; ++k) any |= strange_halves<T>(w.v[k]);
    }
  return any != 0;
}
// d += p . b, and p becomes zeros.
template <class T, int D, int N> GPU void multiply_plain(float (&d)[D / 2], uint32_t (&p)[N / 16][4], const char* b) {
  const int lane = int(threadIdx.x) % 32;
#pragma unroll 1
  for (int j = 0; j < N; ++j) {
    float w[2];                                   // of rows g and g + 8, from the lane of the quad that has column j
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      uint32_t word = 0;
#pragma unroll
      for (int k = 0; k < N / 8; ++k) word |= p[k / 2][2 * (k % 2) + h] & -uint32_t(j / 8 == k);
      word = __shfl_sync(~0u, word, (lane & ~3) + j % 8 / 2);
      w[h] = T{uint16_t(word >> 16 * (j % 2))}.to();
    }
#pragma unroll
    for (int n = 0; n < D / 8; ++n) {
      const uint32_t word = *reinterpret_cast<const uint32_t*>(b + n / 8 * N * 128 + piece_at(j, n % 8) + lane % 4 * 4);
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const float value = T{uint16_t(word >> 16 * e)}.to();
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          float& to = d[4 * n + 2 * h + e];
          to = w[h] != 0 ? fmaf(w[h], value, to) : to;
        }
      }
    }
  }
#pragma unroll
  for (int j = 0; j < N / 16; ++j)
#pragma unroll
    for (int r = 0; r < 4; ++r) p[j][r] = 0;
}

// ---- results ---------------------------------------------------------------------------------------------------------
// The consumer's 64 rows of accumulators times factors (of the thread's two rows) into those of a tile, for TMA.
template <class T, int D> GPU void put_rows(char* own, const float (&d)[D / 2], float low, float high) {
  const int thread = thread_again() % 128, row = thread / 32 * 16 + thread % 16, half = thread % 32 / 16;
#pragma unroll
  for (int j = 0; j < D / 16; ++j) {
    const float* v = d + 8 * j;
    const uint32_t r[4] = {pack2<T>(v[0] * low, v[1] * low), pack2<T>(v[2] * high, v[3] * high),
                           pack2<T>(v[4] * low, v[5] * low), pack2<T>(v[6] * high, v[7] * high)};
    stmatrix4(own + j / 4 * kHopperRows * 128 + piece_at(row, j % 4 * 2 + half), r);
  }
}
// Called by one thread after the fence and barrier.
template <int D> GPU void store_heads(const HeadsMap& m, uint32_t own, int cols, int row, int rows, const HeadAt& h) {
  const int group = h.group * m.use[0], inner = h.inner * m.use[1], outer = h.outer * m.use[2];
  if (row < rows)
    for (int j = 0; j < D / 64 && 64 * j < cols; ++j)
      tensor_store<5>(m.map, {64 * j, row, group, inner, outer}, own + j * kHopperRows * 128);
  tensor_commit();
}

}  // namespace lamella::cuda::attention
