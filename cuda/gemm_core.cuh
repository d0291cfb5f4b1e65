// SPDX-License-Identifier: MIT
// The main loop of every matrix product: gemm.cu, quant.cu and the convolutions that are products in disguise.
//
// A block computes a tile of C (kM x kN) as the sum over k of A(m, k) B(k, n). In steps of 64 bytes of k, loaders fill a
// ring of kStages slots of shared memory, asynchronously; the tile's arithmetic takes fragments from there; at the end a
// writer gets the sums. A kernel of one's own is
//
//   template <class Tile> __global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks) my_product(MyArgs p) {
//     MyLoader<typename Tile::A> a(p, ...);           // knows its tile's rows of A and its part of k
//     FastMatrix<typename Tile::B, T> b(...);         // a plain matrix; AnyMatrix one of any strides
//     typename Tile::Sums sums;
//     main_loop<Tile>(a, b, steps, sums);             // steps = ceil_div(length of k, Tile::kK); 0 gives zeros
//     write_tile<Tile>(sums, first_row, first_col, MyWriter{p, ...});
//   }
//   launch("my_product", my_product<Tile>, blocks, Tile::kThreads, Tile::kSharedBytes, args);
//
// Tiles: TensorTile<T, kM, kN, kWarpM, kWarpN, kAlongA, kAlongB, kStages> of bfloat16, float16, float (TF32) and int8_t
// (both along k), SimtTile<T, kRows, kCols, kAlongA, kAlongB, kStages> of float and double (IEEE, fused multiply-adds).
// Every sum runs over k in one order, whatever the size of the tile.
//
// Shared tile of an operand (`Tile::A` and `Tile::B` are TileMaps; e is the row of A or the column of B): 16-byte chunks of
// kPer elements, adjacent along k (kAlongK: a row of chunks is one e) or along e (a row of chunks is one k).
// Loader: `void load(unsigned char* slot)`, called by all threads, once a step, in the order of k. It fills every chunk of the
// slot, with zeros outside the matrix, by copy_async or ordinary stores; without waiting, without barriers. Thread by
// thread: chunks i < Map::kEach at slot + Map::offset(i): the first element is Map::first(), adjacent elements follow in
// the chunk's direction, the row is Map::row(i). Map::first() does not depend on i and neither on the step, so
// that what it costs to find an address can be paid once (rows: along k, of e; else of k within the step).
// Writer: `template <int N> void put(int64_t row, int64_t col, Sum (&v)[N]) const` gets N neighbours of a row (N is 4
// or 8, col a multiple of N; v is its own to change) and drops what lies outside of C. Each element of the tile comes once, from one thread.
#pragma once
#include "mma.cuh"

namespace lamella::cuda {

constexpr int kStepBytes = 64;  // of k, along every row of a tile

template <class T, int kExtent, bool kAlongK_, int kThreads, bool kTensor> struct TileMap {
  static constexpr bool kAlongK = kAlongK_;
  static constexpr int kPer = kPack<T>, kK = kStepBytes / int(sizeof(T)), kBytes = kExtent * kStepBytes;
  static constexpr int kRows = kAlongK ? kExtent : kK, kRowChunks = kBytes / 16 / kRows;
  static constexpr int kEach = kBytes / 16 / kThreads, kRowStep = kThreads / kRowChunks;
  static_assert(kThreads % kRowChunks == 0 && kEach * kThreads * 16 == kBytes && kEach > 0);

  // Chunks are permuted within their row, so that whatever eight are fetched at once (the same column of eight rows, or
  // neighbours of one) lie in different banks; for single words of TF32, those of four rows.
  BOTH static constexpr int swizzle(int row) {
    return kAlongK ? row / 2 % 4 : !kTensor ? 0 : sizeof(T) == 4 ? row % 4 * 2 : row % 8;
  }
  BOTH static constexpr int at(int row, int chunk) { return (row * kRowChunks + (chunk ^ swizzle(row))) * 16; }

  GPU static int row(int i) { return int(threadIdx.x) / kRowChunks + i * kRowStep; }
  GPU static int first() { return int(threadIdx.x) % kRowChunks * kPer; }
  GPU static int offset(int i) { return at(row(i), int(threadIdx.x) % kRowChunks); }
};

// ---- arithmetic: tensor cores ----------------------------------------------------------------------------------------
template <class T_, int kM_, int kN_, int kWarpM, int kWarpN, bool kAlongA, bool kAlongB, int kStages_ = 4> struct TensorTile {
  using T = T_;
  using Sum = std::conditional_t<std::is_same_v<T, int8_t>, int, float>;
  static constexpr int kM = kM_, kN = kN_, kStages = kStages_, kK = kStepBytes / int(sizeof(T));
  static constexpr int kWarpsN = kN / kWarpN, kThreads = kM / kWarpM * kWarpsN * 32;
  static constexpr int kBlocks = kThreads == 128 ? kWarpM * kWarpN > 1024 ? 2 : 3 : 1;  // at once on a multiprocessor
  static constexpr bool kTensor = true;
  using A = TileMap<T, kM, kAlongA, kThreads, kTensor>;
  using B = TileMap<T, kN, kAlongB, kThreads, kTensor>;
  static constexpr int kSlotBytes = A::kBytes + B::kBytes, kSharedBytes = kStages * kSlotBytes;
  static constexpr int kI = kWarpM / 16, kJ = kWarpN / 8, kSpan = 8;
  struct Sums { Sum v[kI][kJ][4]; };
  struct Fragments { uint32_t a[kI][4], b[kJ][2]; };
  static constexpr int kHalves = 2;  // multiplications of 32 bytes of k in a step
  static_assert(kWarpM % 16 == 0 && kWarpN % 16 == 0 && (sizeof(T) > 1 || (kAlongA && kAlongB)));

  GPU static int warp_row() { return int(threadIdx.x) / 32 / kWarpsN * kWarpM; }
  GPU static int warp_col() { return int(threadIdx.x) / 32 % kWarpsN * kWarpN; }

  GPU static void fetch(Fragments& f, const unsigned char* slot, int half) {
    const unsigned char *a = slot, *b = slot + A::kBytes;
    const int lane = int(threadIdx.x) % 32, low = lane % 8, mid = lane / 8 % 2, high = lane / 16;
    const int row = warp_row(), col = warp_col();
#pragma unroll
    for (int i = 0; i < kI; ++i) {
      if constexpr (kAlongA) ldmatrix4(f.a[i], a + A::at(row + low + 8 * mid, 2 * half + high) + i * 16 * kStepBytes);
      else if constexpr (sizeof(T) == 2) ldmatrix4<true>(f.a[i], a + A::at(16 * half + low + 8 * high, row / 8 + 2 * i + mid));
      else
#pragma unroll
        for (int r = 0; r < 4; ++r) f.a[i][r] = word<A>(a, 8 * half + 4 * (r / 2), row + 16 * i + 8 * (r % 2));
    }
#pragma unroll
    for (int j = 0; j < kJ; j += 2) {
      uint32_t r[4];
      if constexpr (kAlongB) ldmatrix4(r, b + B::at(col + low + 8 * high, 2 * half + mid) + j * 8 * kStepBytes);
      else if constexpr (sizeof(T) == 2) ldmatrix4<true>(r, b + B::at(16 * half + low + 8 * mid, col / 8 + j + high));
      else
#pragma unroll
        for (int q = 0; q < 4; ++q) r[q] = word<B>(b, 8 * half + 4 * (q % 2), col + 8 * (j + q / 2));
      f.b[j][0] = r[0]; f.b[j][1] = r[1]; f.b[j + 1][0] = r[2]; f.b[j + 1][1] = r[3];
    }
    if constexpr (std::is_same_v<T, float>) {
#pragma unroll
      for (int i = 0; i < kI; ++i)
#pragma unroll
        for (int r = 0; r < 4; ++r) f.a[i][r] = to_tf32(__uint_as_float(f.a[i][r]));
#pragma unroll
      for (int j = 0; j < kJ; ++j)
#pragma unroll
        for (int r = 0; r < 2; ++r) f.b[j][r] = to_tf32(__uint_as_float(f.b[j][r]));
    }
  }
  // The lane's word of a tile across k: ldmatrix transposes 16-bit elements only.
  template <class Map> GPU static uint32_t word(const unsigned char* tile, int k, int e) {
    const int lane = int(threadIdx.x) % 32;
    k += lane % 4; e += lane / 4;
    return *reinterpret_cast<const uint32_t*>(tile + Map::at(k, e / 4) + e % 4 * 4);
  }

  GPU static void multiply(Sums& c, const Fragments& f) {
#pragma unroll
    for (int i = 0; i < kI; ++i)
#pragma unroll
      for (int j = 0; j < kJ; ++j) {
        if constexpr (std::is_same_v<T, int8_t>) mma_int8(c.v[i][j], f.a[i], f.b[j]);
        else if constexpr (std::is_same_v<T, float>) mma_tf32(c.v[i][j], f.a[i], f.b[j]);
        else mma16<T>(c.v[i][j], f.a[i], f.b[j]);
      }
  }
  GPU static void clear(Sums& c) {
#pragma unroll
    for (int i = 0; i < kI; ++i)
#pragma unroll
      for (int j = 0; j < kJ; ++j)
#pragma unroll
        for (int r = 0; r < 4; ++r) c.v[i][j][r] = 0;
  }

  // Slab i of the warp's tile, 16 rows, goes through shared memory; 8 words more in a row keep its halves in other banks.
  static constexpr int kSlabs = kI, kSlabRows = 16, kSlabCols = kWarpN, kPitch = kWarpN + 8;
  GPU static void stage(const Sums& c, int i, Sum* slab) {
    const int g = int(threadIdx.x) % 32 / 4, t = int(threadIdx.x) % 4;
#pragma unroll
    for (int s = 0; s < kI; ++s) {
      if (s != i) continue;
#pragma unroll
      for (int j = 0; j < kJ; ++j)
#pragma unroll
        for (int h = 0; h < 2; ++h)
          store_pack(slab + (g + 8 * h) * kPitch + 8 * j + 2 * t, Pack<Sum, 2>{{c.v[s][j][2 * h], c.v[s][j][2 * h + 1]}});
    }
  }
  GPU static int slab_row(int i, int r) { return warp_row() + 16 * i + r; }
};

// ---- arithmetic: plain fused multiply-adds ---------------------------------------------------------------------------
// Threads with kRows x kCols sums (8 x 8, or 4 x 4 for small products), a warp with 4 x 8 of them, a block with 64 rows in
// warps and two warps side by side: tiles of 64 x 128 or 64 x 64.
template <class T_, int kRows, int kCols, bool kAlongA, bool kAlongB, int kStages_ = 3> struct SimtTile {
  using T = T_;
  using Sum = T;
  static constexpr int kM = 64, kN = 16 * kCols, kStages = kStages_, kK = kStepBytes / int(sizeof(T)), kThreads = 1024 / kRows;
  static constexpr int kBlocks = sizeof(T) * kRows * kCols == 128 ? 2 : 3;
  static constexpr bool kTensor = false;
  static constexpr int kWarpM = 4 * kRows, kWarpN = 8 * kCols, kSpan = kCols, kPer = kPack<T>;
  using A = TileMap<T, kM, kAlongA, kThreads, kTensor>;
  using B = TileMap<T, kN, kAlongB, kThreads, kTensor>;
  static constexpr int kSlotBytes = A::kBytes + B::kBytes, kSharedBytes = kStages * kSlotBytes;
  struct Sums { T v[kRows][kCols]; };

  GPU static int warp_row() { return int(threadIdx.x) / 64 * kWarpM; }
  GPU static int warp_col() { return int(threadIdx.x) / 32 % 2 * kWarpN; }
  // Which neighbours share an address lets the hardware serve half a warp of 16-byte reads at once, for A and for B.
  BOTH static constexpr int lane_m(int lane) { return lane % 2 + lane / 16 * 2; }
  BOTH static constexpr int lane_n(int lane) { return lane / 2 % 8; }
  // Row (column) of a thread's sum i within the warp's tile: along k it takes whole rows, else chunks of a row.
  BOTH static constexpr int sum_row(int lane, int i) {
    return kAlongA ? lane_m(lane) * 2 + along_row(i) : (i / kPer * 4 + lane_m(lane)) * kPer + i % kPer;
  }
  BOTH static constexpr int along_row(int i) { return i % 2 + i / 2 * 8; }  // rows whose swizzle is the same
  BOTH static constexpr int sum_col(int lane, int j) {
    return kAlongB ? lane_n(lane) + 8 * j : (j / kPer * 8 + lane_n(lane)) * kPer + j % kPer;
  }

  // An operand's values of k, kPer of them from chunk column c on (or one): [k][i].
  template <class Map, int kCount>
  GPU static void fetch(T (&v)[kPer][kCount], const unsigned char* tile, int from, int step, int c) {
    if constexpr (Map::kAlongK) {
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        const auto w = load_pack<T, kPer>(reinterpret_cast<const T*>(tile + Map::at(from, c) + step * i * kStepBytes));
#pragma unroll
        for (int k = 0; k < kPer; ++k) v[k][i] = w.v[k];
      }
    } else {
#pragma unroll
      for (int k = 0; k < kPer; ++k) fetch_k<Map>(v[k], tile, from, step, c * kPer + k);
    }
  }
  template <class Map, int kCount>
  GPU static void fetch_k(T (&v)[kCount], const unsigned char* tile, int from, int step, int k) {
#pragma unroll
    for (int i = 0; i < kCount; i += kPer) {
      const auto w = load_pack<T, kPer>(reinterpret_cast<const T*>(tile + Map::at(k, from + step * (i / kPer))));
#pragma unroll
      for (int e = 0; e < kPer; ++e) v[i + e] = w.v[e];
    }
  }
  GPU static void multiply(Sums& s, const unsigned char* slot) {
    const unsigned char *a_tile = slot, *b_tile = slot + A::kBytes;
    const int lane = int(threadIdx.x) % 32;
    const int row = kAlongA ? warp_row() + 2 * lane_m(lane) : warp_row() / kPer + lane_m(lane);
    const int col = kAlongB ? warp_col() + lane_n(lane) : warp_col() / kPer + lane_n(lane);
#pragma unroll 1
    for (int c = 0; c < kK / kPer; ++c) {
      if constexpr (kAlongA) {         // one operand whole, the other (along k) row by row
        T b[kPer][kCols];
        fetch<B>(b, b_tile, col, 8, c);
#pragma unroll
        for (int i = 0; i < kRows; ++i) {
          T a[kPer][1];
          fetch<A>(a, a_tile + along_row(i) * kStepBytes, row, 0, c);
#pragma unroll
          for (int k = 0; k < kPer; ++k)
#pragma unroll
            for (int j = 0; j < kCols; ++j) s.v[i][j] = multiply_add(a[k][0], b[k][j], s.v[i][j]);
        }
      } else if constexpr (kAlongB) {
        T a[kPer][kRows];
        fetch<A>(a, a_tile, row, 4, c);
#pragma unroll
        for (int j = 0; j < kCols; ++j) {
          T b[kPer][1];
          fetch<B>(b, b_tile + 8 * j * kStepBytes, col, 8, c);
#pragma unroll
          for (int k = 0; k < kPer; ++k)
#pragma unroll
            for (int i = 0; i < kRows; ++i) s.v[i][j] = multiply_add(a[k][i], b[k][0], s.v[i][j]);
        }
      } else {
#pragma unroll
        for (int k = 0; k < kPer; ++k) {
          T a[kRows], b[kCols];
          fetch_k<A>(a, a_tile, row, 4, c * kPer + k);
          fetch_k<B>(b, b_tile, col, 8, c * kPer + k);
#pragma unroll
          for (int i = 0; i < kRows; ++i)
#pragma unroll
            for (int j = 0; j < kCols; ++j) s.v[i][j] = multiply_add(a[i], b[j], s.v[i][j]);
        }
      }
    }
  }
  GPU static float multiply_add(float a, float b, float c) { return ::fmaf(a, b, c); }
  GPU static double multiply_add(double a, double b, double c) { return ::fma(a, b, c); }
  GPU static void clear(Sums& s) {
#pragma unroll
    for (int i = 0; i < kRows; ++i)
#pragma unroll
      for (int j = 0; j < kCols; ++j) s.v[i][j] = 0;
  }

  // Slab i: the threads' sums i, 4 rows of the warp's tile.
  static constexpr int kSlabs = kRows, kSlabRows = 4, kSlabCols = kWarpN, kPitch = kWarpN + kPer;
  GPU static void stage(const Sums& s, int i, T* slab) {
    const int lane = int(threadIdx.x) % 32;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      if (r != i) continue;
#pragma unroll
      for (int j = 0; j < kCols; ++j) slab[lane_m(lane) * kPitch + sum_col(lane, j)] = s.v[r][j];
    }
  }
  GPU static int slab_row(int i, int r) {  // r is the lane_m that holds it
    return warp_row() + (kAlongA ? 2 * r + along_row(i) : (i / kPer * 4 + r) * kPer + i % kPer);
  }
};

// ---- the loop --------------------------------------------------------------------------------------------------------
template <class Tile, class LoadA, class LoadB>
GPU void main_loop(LoadA& a, LoadB& b, int steps, typename Tile::Sums& sums) {
  unsigned char* ring = dynamic_shared<unsigned char>();
  constexpr int kStages = Tile::kStages;
  Tile::clear(sums);
  const auto load = [&](int step, int slot) {
    if (step < steps) {
      a.load(ring + slot * Tile::kSlotBytes);
      b.load(ring + slot * Tile::kSlotBytes + Tile::A::kBytes);
    }
    commit_async();
  };
#pragma unroll 1
  for (int s = 0; s < kStages - 1; ++s) load(s, s);
  int slot = 0, free = kStages - 1;
  if constexpr (Tile::kTensor) {
    typename Tile::Fragments f[2];
    wait_async<kStages - 2>();
    __syncthreads();
    Tile::fetch(f[0], ring, 0);
#pragma unroll 1
    for (int step = 0; step < steps; ++step) {  // fragments are fetched one multiplication ahead
      Tile::fetch(f[1], ring + slot * Tile::kSlotBytes, 1);
      load(step + kStages - 1, free);               // all have fetched what `free` held before the last barrier
      free = slot;
      slot = slot + 1 == kStages ? 0 : slot + 1;
      Tile::multiply(sums, f[0]);
      wait_async<kStages - 2>();
      __syncthreads();
      Tile::fetch(f[0], ring + slot * Tile::kSlotBytes, 0);
      Tile::multiply(sums, f[1]);
    }
  } else {
#pragma unroll 1
    for (int step = 0; step < steps; ++step) {
      wait_async<kStages - 2>();
      __syncthreads();
      load(step + kStages - 1, free);
      Tile::multiply(sums, ring + slot * Tile::kSlotBytes);
      free = slot;
      slot = slot + 1 == kStages ? 0 : slot + 1;
    }
  }
  wait_async<0>();
  __syncthreads();  // the ring is free for other use
}

// Hands the sums to the writer, rows of them at once; the tile's first element is C(row, col).
template <class Tile, class Writer>
GPU void write_tile(const typename Tile::Sums& sums, int64_t row, int64_t col, const Writer& writer) {
  using Sum = typename Tile::Sum;
  constexpr int N = Tile::kSpan, kLanes = Tile::kSlabCols / N, kAtOnce = 32 / kLanes, kSlab = Tile::kSlabRows * Tile::kPitch;
  static_assert(kSlab * Tile::kThreads / 32 * int(sizeof(Sum)) <= Tile::kSharedBytes && Tile::kSlabRows % kAtOnce == 0);
  static_assert(Tile::kPitch * sizeof(Sum) % 16 == 0);
  Sum* slab = dynamic_shared<Sum>() + int(threadIdx.x) / 32 * kSlab;
  const int lane = int(threadIdx.x) % 32, c = lane % kLanes * N;
#pragma unroll 1
  for (int i = 0; i < Tile::kSlabs; ++i) {
    __syncwarp();
    Tile::stage(sums, i, slab);
    __syncwarp();
#pragma unroll 1
    for (int r = lane / kLanes; r < Tile::kSlabRows; r += kAtOnce) {
      Sum v[N];
#pragma unroll
      for (int e = 0; e < N; e += kPack<Sum>) {
        const auto w = load_pack<Sum, kPack<Sum>>(slab + r * Tile::kPitch + c + e);
#pragma unroll
        for (int q = 0; q < kPack<Sum>; ++q) v[e + q] = w.v[q];
      }
      writer.put(row + Tile::slab_row(i, r), col + Tile::warp_col() + c, v);
    }
  }
}

// ---- a plain matrix as an operand --------------------------------------------------------------------------------------
// x(e, k) at x[e * e_stride + k * k_stride], for e in [0, extent) and k in [0, depth), x at the tile's first e and the
// block's first k. Fast: elements are adjacent in the chunk's direction and every row of chunks is 16-byte aligned
// (fits_fast of the whole matrix, for tiles and parts of k that are multiples of 16 bytes). Else: any strides.
template <class T> bool fits_fast(bool along_k, const T* x, int64_t e_stride, int64_t k_stride) {
  return (along_k ? k_stride : e_stride) == 1 && (along_k ? e_stride : k_stride) % kPack<T> == 0 && is_aligned(x);
}

template <class Map, class T> struct FastMatrix {
  const T* p;                     // of this thread's chunk 0
  int64_t stride;                 // to its next one
  int left, edge;                 // along k: elements of k from p on; rows from p's on. Across: rows of k; elements of e

  GPU FastMatrix(const T* x, int64_t e_stride, int64_t k_stride, int64_t extent, int64_t depth) {
    constexpr bool along = Map::kAlongK;
    const int row = Map::row(0), first = Map::first();
    const int64_t row_stride = along ? e_stride : k_stride;
    p = x + row * row_stride + first;
    stride = Map::kRowStep * row_stride;
    left = int(least(depth, 1 << 30)) - (along ? first : row);
    edge = int(least(extent, 1 << 30)) - (along ? row : first);
  }
  GPU void load(unsigned char* slot) {
    constexpr int kPer = Map::kPer, kSize = int(sizeof(T));
    const int bytes = kSize * max_int(0, min_int(Map::kAlongK ? left : edge, kPer));
    const int rows = Map::kAlongK ? edge : left;
#pragma unroll
    for (int i = 0; i < Map::kEach; ++i) {
      copy_async(slot + Map::offset(i), p + i * stride, i * Map::kRowStep < rows ? bytes : 0);  // of 0 bytes nothing is read
    }
    left -= Map::kK;
    p += Map::kAlongK ? Map::kK : Map::kEach * stride;
  }
  GPU static int min_int(int a, int b) { return a < b ? a : b; }
  GPU static int max_int(int a, int b) { return a > b ? a : b; }
};

template <class Map, class T> struct AnyMatrix {
  const T* p;                     // at the step's first k
  int64_t e_stride, k_stride, extent, left;

  GPU AnyMatrix(const T* x, int64_t e_stride_, int64_t k_stride_, int64_t extent_, int64_t depth)
      : p(x), e_stride(e_stride_), k_stride(k_stride_), extent(extent_), left(depth) {}
  GPU void load(unsigned char* slot) {
    constexpr int kPer = Map::kPer, kSize = int(sizeof(T));
#pragma unroll 1
    for (int i = 0; i < Map::kEach; ++i) {
      const int row = Map::row(i), first = Map::first(), e = Map::kAlongK ? row : first, k = Map::kAlongK ? first : row;
      const T* from = p + e * e_stride + k * k_stride;
      const int64_t side = Map::kAlongK ? k_stride : e_stride;
      const bool inside = Map::kAlongK ? e < extent : k < left;
      const int count = inside ? int(most(0, least(Map::kAlongK ? left - k : extent - e, kPer))) : 0;
      T* to = reinterpret_cast<T*>(slot + Map::offset(i));
      if constexpr (kSize >= 4) {
#pragma unroll
        for (int q = 0; q < kPer; ++q) copy_async<kSize>(to + q, q < count ? from + q * side : p, q < count ? kSize : 0);
      } else {
        Pack<T, kPer> w;
#pragma unroll
        for (int q = 0; q < kPer; ++q) w.v[q] = q < count ? from[q * side] : T{};
        store_pack(to, w);
      }
    }
    left -= Map::kK;
    p += Map::kK * k_stride;
  }
};

// ---- order of tiles --------------------------------------------------------------------------------------------------
// Blocks that run at the same time share rows of A and columns of B: tiles go down groups of 8 rows of tiles.
struct TilePlace { int row, col; };
BOTH TilePlace place_tile(int block, int rows, int cols) {
  constexpr int kGroup = 8;
  const int group = block / (kGroup * cols), first = group * kGroup, height = int(least(kGroup, rows - first));
  const int rest = block - first * cols;
  return {first + rest % height, rest / height};
}

}  // namespace lamella::cuda
