// SPDX-License-Identifier: MIT
// Tiles of 16-bit rows in shared memory and products of them in a warp's registers. A tile is (rows, D), its 16-byte words
// swizzled so that the eight rows of an ldmatrix lie in different banks. Accumulators c[m][n] are m16n8 fragments of rows
// 16 m and columns 8 n (mma.cuh).
#pragma once
#include "attention.cuh"
#include "mma.cuh"

namespace lamella::cuda::attention {

constexpr float kMost = 3.402823466e38f;  // a mask of float32's least number leaves its key in, times log2(e) as well
constexpr int kWarps = 4, kBlock = 32 * kWarps, kTileKeys = 64;

// Where word `chunk` of a row of `chunks` (a multiple of 4) is, in words.
BOTH constexpr int tile_chunk(int row, int chunk, int chunks) {
  return row * chunks + (chunk ^ (chunks % 8 == 0 ? row & 7 : row >> 1 & 3));
}
// Rows and words that a lane names to ldmatrix: of a left operand (16 x 16; also of a right one whose rows are summed over)
// and of a right one, 16 rows of which become 16 columns.
BOTH constexpr int left_row(int lane) { return lane % 16; }
BOTH constexpr int left_chunk(int lane) { return lane / 16; }
BOTH constexpr int right_row(int lane) { return lane % 8 + lane / 16 * 8; }
BOTH constexpr int right_chunk(int lane) { return lane / 8 % 2; }

GPU float exp2_fast(float x) {
#ifdef LAMELLA_EMULATE
  return std::exp2(x);
#else
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#endif
}

// ---- loads and stores --------------------------------------------------------------------------------------------------
// Asks for `rows` of kRows rows, `cols` of D columns; what is not there becomes zero.
template <class T, int D, int kRows> GPU void load_tile(T* to, const T* from, int64_t stride, int64_t rows, int cols) {
  constexpr int C = D / 8;
  const int have = int(least(rows, kRows));
#pragma unroll(kRows * C / kBlock > 4 ? 4 : kRows * C / kBlock)
  for (int n = 0; n < kRows * C / kBlock; ++n) {
    const int i = int(threadIdx.x) + n * kBlock, row = i / C, chunk = i % C;
    const bool there = row < have && 8 * chunk < cols;
    copy_async(to + 8 * tile_chunk(row, chunk, C), there ? from + row * stride + 8 * chunk : from, there ? 16 : 0);
  }
}

// Rows [row, row + 16) of a warp's accumulators times factor (of its rows g and g + 8) go through `tile`, which nobody
// else touches, to memory.
template <class T, int D>
GPU void store_rows(T* tile, int row, const float (&c)[D / 8][4], float low, float high, T* to, int64_t stride,
                    int64_t rows, int cols) {
  constexpr int C = D / 8;
  const int lane = int(threadIdx.x) & 31;
  uint32_t* const words = reinterpret_cast<uint32_t*>(tile);
  __syncwarp();
#pragma unroll
  for (int n = 0; n < C; ++n) {
    words[4 * tile_chunk(row + lane / 4, n, C) + lane % 4] = pack2<T>(c[n][0] * low, c[n][1] * low);
    words[4 * tile_chunk(row + lane / 4 + 8, n, C) + lane % 4] = pack2<T>(c[n][2] * high, c[n][3] * high);
  }
  __syncwarp();
#pragma unroll
  for (int n = 0; n < 16 * C / 32; ++n) {
    const int i = lane + 32 * n, r = row + i / C, chunk = i % C;
    if (r < rows && 8 * chunk < cols)
      store_pack(to + r * stride + 8 * chunk, load_pack<T, 8>(tile + 8 * tile_chunk(r, chunk, C)));
  }
}

// ---- products ----------------------------------------------------------------------------------------------------------
// c += a . b^T: 16 M rows of tile a from `row` on, N rows of tile b.
template <class T, int D, int M, int N> GPU void product_nt(float (&c)[M][N / 8][4], const T* a, int row, const T* b) {
  constexpr int C = D / 8;
  const int lane = int(threadIdx.x) & 31;
#pragma unroll(M == 2 ? 2 : 4)
  for (int k = 0; k < D / 16; ++k) {
    uint32_t x[M][4];
#pragma unroll
    for (int m = 0; m < M; ++m)
      ldmatrix4(x[m], a + 8 * tile_chunk(row + 16 * m + left_row(lane), 2 * k + left_chunk(lane), C));
#pragma unroll
    for (int n = 0; n < N / 16; ++n) {
      uint32_t y[4];
      ldmatrix4(y, b + 8 * tile_chunk(16 * n + right_row(lane), 2 * k + right_chunk(lane), C));
      const uint32_t first[2] = {y[0], y[1]}, second[2] = {y[2], y[3]};
#pragma unroll
      for (int m = 0; m < M; ++m) {
        mma16<T>(c[m][2 * n], x[m], first);
        mma16<T>(c[m][2 * n + 1], x[m], second);
      }
    }
  }
}

// Accumulators as a left operand: the maps agree, two blocks of 8 columns make one of 16.
template <class T, int M, int N> GPU void pack_left(uint32_t (&p)[M][N / 16][4], const float (&c)[M][N / 8][4]) {
#pragma unroll
  for (int m = 0; m < M; ++m)
#pragma unroll
    for (int k = 0; k < N / 16; ++k)
#pragma unroll
      for (int r = 0; r < 4; ++r)
        p[m][k][r] = pack2<T>(c[m][2 * k + r / 2][2 * (r % 2)], c[m][2 * k + r / 2][2 * (r % 2) + 1]);
}

// c += p . b, p (16 M, N) in registers, b a tile of N rows.
template <class T, int D, int M, int N>
GPU void product_nn(float (&c)[M][D / 8][4], const uint32_t (&p)[M][N / 16][4], const T* b) {
  constexpr int C = D / 8;
  const int lane = int(threadIdx.x) & 31;
#pragma unroll
  for (int k = 0; k < N / 16; ++k)
#pragma unroll
    for (int n = 0; n < D / 16; ++n) {
      uint32_t y[4];
      ldmatrix4<true>(y, b + 8 * tile_chunk(16 * k + left_row(lane), 2 * n + left_chunk(lane), C));
      const uint32_t first[2] = {y[0], y[1]}, second[2] = {y[2], y[3]};
#pragma unroll
      for (int m = 0; m < M; ++m) {
        mma16<T>(c[m][2 * n], p[m][k], first);
        mma16<T>(c[m][2 * n + 1], p[m][k], second);
      }
    }
}

// ---- numbers that are not finite ---------------------------------------------------------------------------------------
// 0 * NaN is NaN: where weights may be zero, infinities and NaN of a tile that is summed over become zeros, and their own
// rows are added apart where the weight is not zero. Tiles without any, all but always, pay for the look alone.

// Bits 15 and 31: whether the word's halves are infinite or NaN. The exponent's carry goes to the sign's place.
template <class T> BOTH constexpr uint32_t strange_halves(uint32_t x) {
  constexpr bool brain = std::is_same_v<T, bf16>;
  return ((x & (brain ? 0x7f807f80u : 0x7c007c00u)) + (brain ? 0x00800080u : 0x04000400u)) & 0x80008000u;
}

// Of what this thread itself loaded into the tile, and has waited for.
template <class T, int D, int kRows> GPU bool loaded_strange(const T* tile) {
  constexpr int C = D / 8;
  uint32_t any = 0;
#pragma unroll
  for (int n = 0; n < kRows * C / kBlock; ++n) {
    const int i = int(threadIdx.x) + n * kBlock;
    const uint32_t* const at = reinterpret_cast<const uint32_t*>(tile) + 4 * tile_chunk(i / C, i % C, C);
    const Pack<uint32_t, 4> w = load_pack<uint32_t, 4>(at);
#pragma unroll
    for (int k = 0; k < 4; ++k) any |= strange_halves<T>(w.v[k]);
  }
  return any != 0;
}

// Called by the whole block: zeros for what is not finite. Bit r of the result: whether row r (of up to 64) had any.
template <class T, int D, int kRows> GPU uint64_t clean_tile(T* tile) {
  SHARED(unsigned, rows, [2]);
  constexpr int C = D / 8;
  __syncthreads();
  if (threadIdx.x < 2) rows[threadIdx.x] = 0;
  __syncthreads();
#pragma unroll 1
  for (int i = int(threadIdx.x); i < kRows * C; i += kBlock) {
    uint32_t* const w = reinterpret_cast<uint32_t*>(tile) + 4 * tile_chunk(i / C, i % C, C);
    for (int k = 0; k < 4; ++k) {
      const uint32_t strange = strange_halves<T>(w[k]);
      if (!strange) continue;
      w[k] &= ~((strange >> 15) * 0xffffu);
      atomicOr(&rows[i / C / 32], 1u << (i / C % 32));
    }
  }
  __syncthreads();
  return rows[0] | uint64_t(rows[1]) << 32;
}

// c += what clean_tile took out: rows `bits` of x (cols wide, in memory), with weights p that are not zero.
template <class T, int D, int M, int N>
GPU void add_strange(float (&c)[M][D / 8][4], const uint32_t (&p)[M][N / 16][4], uint64_t bits, const T* x, int64_t stride,
                     int cols) {
  const int lane = int(threadIdx.x) & 31;
#pragma unroll 1
  for (; bits; bits &= bits - 1) {
    const int j = __popcll((bits & -bits) - 1);
    const T* const from = x + j * stride;
    float w[M][2];                                // of rows g and g + 8
#pragma unroll
    for (int m = 0; m < M; ++m)
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        uint32_t word = 0;                        // from the lane of the quad that has column j
#pragma unroll
        for (int k = 0; k < N / 8; ++k) word |= p[m][k / 2][2 * (k % 2) + h] & -uint32_t(j / 8 == k);
        word = __shfl_sync(~0u, word, (lane & ~3) + j % 8 / 2);
        w[m][h] = T{uint16_t(word >> 16 * (j % 2))}.to();
      }
#pragma unroll
    for (int n = 0; n < D / 8; ++n) {
      if (8 * n >= cols) break;
      const uint32_t word = *reinterpret_cast<const uint32_t*>(from + 8 * n + 2 * (lane % 4));
      const uint32_t strange = strange_halves<T>(word);
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const float value = strange >> (16 * e + 15) & 1 ? T{uint16_t(word >> 16 * e)}.to() : 0.f;
#pragma unroll
        for (int m = 0; m < M; ++m)
#pragma unroll
          for (int h = 0; h < 2; ++h) {
            float& to = c[m][n][2 * h + e];
            to = w[m][h] != 0 ? fmaf(w[m][h], value, to) : to;
          }
      }
    }
  }
}

// ---- masks -------------------------------------------------------------------------------------------------------------
// A tile's part of the mask in shared memory, as what it adds to scores times log2(e): kRows queries, or one row where all
// are one (bias_row), by 64 keys. True where this thread saw a key that takes part.
constexpr int kBiasRow = kTileKeys + 8;           // fragments' float2 lie in different banks
GPU int bias_row(const MaskView& mask) { return mask.row ? kBiasRow : 0; }

template <class Mask> GPU bool fill_bias_of(float* bias, const MaskView& mask, int rows, int64_t cols) {
  constexpr int kStep = kBlock / kTileKeys, kEach = sizeof(Mask) > 4 ? 1 : 8;  // loads on their way at a time
  const int c = int(threadIdx.x) % kTileKeys;
  const Mask* const at = reinterpret_cast<const Mask*>(mask.at) + c * mask.col;
  bool any = false;
  if (c >= cols) return any;
#pragma unroll 1
  for (int first = int(threadIdx.x) / kTileKeys; first < rows; first += kEach * kStep) {
    Mask x[kEach];
#pragma unroll
    for (int u = 0; u < kEach; ++u) x[u] = at[(first + u * kStep < rows ? first + u * kStep : first) * mask.row];
#pragma unroll
    for (int u = 0; u < kEach; ++u) {
      float term;
      if constexpr (std::is_same_v<Mask, uint16_t>) term = mask.dtype == DType::bf16 ? bf16{x[u]}.to() : f16{x[u]}.to();
      else term = mask_term(x[u]);
      const float add = term * kLog2e;
      const bool out = term == minus_infinity<float>();
      if (first + u * kStep < rows) bias[(first + u * kStep) * kBiasRow + c] = out ? term : add < -kMost ? -kMost : add;
      any |= !out;
    }
  }
  return any;
}
GPU bool fill_bias(float* bias, const MaskView& mask, int rows, int64_t cols) {
  if (!mask.row) rows = 1;
  switch (mask.dtype) {
    case DType::b8: return fill_bias_of<bool>(bias, mask, rows, cols);
    case DType::f32: return fill_bias_of<float>(bias, mask, rows, cols);
    case DType::f64: return fill_bias_of<double>(bias, mask, rows, cols);
    default: return fill_bias_of<uint16_t>(bias, mask, rows, cols);
  }
}
GPU float add_bias(float score, float bias) { return bias == minus_infinity<float>() ? bias : score + bias; }

// Scores of queries from i on (the warp's from `own`) and keys from j on that do not count become minus infinity: keys past
// s and, on the diagonal, those ahead of their query.
template <int M, int N>
GPU void cut_scores(float (&s)[M][N / 8][4], int own, int64_t i, int64_t j, int64_t keys, bool diagonal) {
  const int lane = int(threadIdx.x) & 31;
  const int last = int(least(N, keys - j)) - 1, ahead = diagonal ? int(least(most(i - j, -N * 4), N)) : N;
#pragma unroll
  for (int m = 0; m < M; ++m)
#pragma unroll
    for (int e = 0; e < 4; e += 2) {
      const int r = own + 16 * m + c_row(lane, e), limit = r + ahead < last ? r + ahead : last;  // sees columns up to there
#pragma unroll
      for (int n = 0; n < N / 8; ++n)
#pragma unroll
        for (int h = 0; h < 2; ++h)
          if (8 * n + c_col(lane, h) > limit) s[m][n][e + h] = minus_infinity<float>();
    }
}

// ---- host --------------------------------------------------------------------------------------------------------------
constexpr int64_t kOwnShared = 1024;              // what clean_tile's and the alignment of tiles take besides tiles
inline bool takes_words(const Attention& a) {
  return (a.dtype == DType::bf16 || a.dtype == DType::f16) && a.e > 0 && a.ev > 0 && a.e <= 256 && a.ev <= 256 &&
         in_packs(a, a.q, a.e, a.ndim) && in_packs(a, a.k, a.e, a.ndim - 1) && in_packs(a, a.v, a.ev, a.ndim - 1);
}

}  // namespace lamella::cuda::attention
