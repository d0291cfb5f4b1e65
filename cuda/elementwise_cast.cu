// SPDX-License-Identifier: MIT
// Moving data: casts and copies of any strides, transposes, fill.
#include "elementwise.cuh"

namespace lamella::cuda {
namespace {

// ---- copies of bits ------------------------------------------------------------------------------------------------------
struct alignas(16) Word16 { uint32_t v[4]; };
constexpr int kWords = 4;  // of a thread, a block's width apart

template <class W> __global__ void __launch_bounds__(kThreads) copy_words(const __grid_constant__ Walk<2> w, const W* x, W* y) {
  const uint32_t tile = kThreads * kWords;
#pragma unroll 1
  for (uint32_t base = blockIdx.x * tile + threadIdx.x; base < w.n; base += gridDim.x * tile) {
    W v[kWords];
    int64_t at[kWords][2];
#pragma unroll
    for (int j = 0; j < kWords; ++j)
      if (base + j * kThreads < w.n) {
        w.locate(base + j * kThreads, at[j]);
        v[j] = x[at[j][1]];
      }
#pragma unroll
    for (int j = 0; j < kWords; ++j)
      if (base + j * kThreads < w.n) y[at[j][0]] = v[j];
  }
}
template <class W>
__global__ void __launch_bounds__(kThreads) fill_words(const __grid_constant__ Walk<1> w, const W value, W* y) {
  const uint32_t tile = kThreads * kWords;
#pragma unroll 1
  for (uint32_t base = blockIdx.x * tile + threadIdx.x; base < w.n; base += gridDim.x * tile)
#pragma unroll
    for (int j = 0; j < kWords; ++j)
      if (base + j * kThreads < w.n) {
        int64_t at[1];
        w.locate(base + j * kThreads, at);
        y[at[0]] = value;
      }
}

template <class F> void by_word(int bytes, const F& f) {
  if (bytes == 16) f(Word16{}); else by_size(bytes, f);
}
// The loop over elements of `size` bytes as one over the widest words, 16 bytes at most, that rows, strides and pointers
// allow: their bytes.
template <int N> int widen(Loop<N>& loop, const void* const (&p)[N], int size) {
  const int last = loop.ndim - 1;
  if (last < 0) return size;
  for (int k = 0; k < N; ++k) if (loop.stride[k][last] != 1) return size;
  int many = 16 / size;
  for (; many > 1; many /= 2) {
    bool good = loop.shape[last] % many == 0;
    for (int k = 0; k < N; ++k) {
      good = good && is_aligned(p[k], many * size);
      for (int d = 0; d < last; ++d) good = good && loop.stride[k][d] % many == 0;
    }
    if (good) break;
  }
  loop.shape[last] /= many;
  for (int k = 0; k < N; ++k) for (int d = 0; d < last; ++d) loop.stride[k][d] /= many;
  return many * size;
}
// f(loop, first) for the loop, cut in two where it is one long row that is not whole words.
template <int N, class F> void in_rows(const Loop<N>& loop, const F& f) {
  in_parts(loop, kMostElements, [&](const Loop<N>& part, const int64_t (&first)[N]) {
    const int64_t rest = part.ndim == 1 && part.shape[0] > 4096 ? part.shape[0] % 16 : 0;
    if (rest == 0) return f(part, first);
    Loop<N> piece = part;
    piece.shape[0] -= rest;
    f(piece, first);
    int64_t beyond[N];
    for (int k = 0; k < N; ++k) beyond[k] = first[k] + piece.shape[0] * part.stride[k][0];
    piece.shape[0] = rest;
    f(piece, beyond);
  });
}

void copy(const Loop<2>& all, int size, const void* x, void* y) {
  in_rows(all, [&](const Loop<2>& part, const int64_t (&first)[2]) {
    Loop<2> loop = part;
    const void* const p[2] = {moved(y, first[0], size), moved(x, first[1], size)};
    by_word(widen(loop, p, size), [&](auto word) {
      using W = decltype(word);
      const Walk<2> walk(loop);
      launch("copy", copy_words<W>, dim3(blocks_for(walk.n, kThreads * kWords)), dim3(kThreads), 0, walk,
             static_cast<const W*>(p[1]), static_cast<W*>(const_cast<void*>(p[0])));
    });
  });
}

// ---- transposes ----------------------------------------------------------------------------------------------------------
// Tiles of y's adjacent columns (the dimension `col`, of stride 1 in y) and x's adjacent rows (`row`, of stride 1 in x) go
// through shared memory, so that both sides touch whole lines.
struct Transposition {
  int64_t rows, cols, x_col, y_row;  // x(row, col) at row + col * x_col, y(row, col) at row * y_row + col
  int64_t planes;
  Divisor tiles_across, tiles_down;
  int ndim;                          // of the planes
  Divisor size[kLoopDims];
  int64_t x_stride[kLoopDims], y_stride[kLoopDims];
  DType from, to;
};

// A: an unsigned type of the elements' size where bits move, else what `from` is read as.
template <class A, bool kCast>
__global__ void __launch_bounds__(kThreads) transpose(const __grid_constant__ Transposition t, const void* x, void* y) {
  constexpr int E = kTile<A>, kLanes = 32, kWarps = kThreads / kLanes;
  SHARED(A, tile, [E][kPitch<A>]);  // tile[col][row]
  const int lane = int(threadIdx.x) % kLanes, warp = int(threadIdx.x) / kLanes;
  const int64_t tiles = t.planes * t.tiles_across.d * t.tiles_down.d;
#pragma unroll 1
  for (int64_t k = blockIdx.x; k < tiles; k += gridDim.x) {
    int64_t across, down, plane = t.tiles_down.divide(t.tiles_across.divide(k, across), down);
    const int64_t row0 = down * E, col0 = across * E;
    int64_t x0 = row0 + col0 * t.x_col, y0 = row0 * t.y_row + col0;
#pragma unroll 1
    for (int d = t.ndim - 1; d >= 0; --d) {
      int64_t i;
      plane = t.size[d].divide(plane, i);
      x0 += i * t.x_stride[d];
      y0 += i * t.y_stride[d];
    }
    const int rows = int(least(E, t.rows - row0)), cols = int(least(E, t.cols - col0));
    by_storage<A, kCast>(t.from, kCast, [&](auto s) {
      const auto* p = static_cast<const decltype(s)*>(x) + x0;
#pragma unroll
      for (int c = warp; c < E; c += kWarps)
#pragma unroll
        for (int r = lane; r < E; r += kLanes)
          if (r < rows && c < cols) tile[c][r] = A(up(p[r + c * t.x_col]));
    });
    __syncthreads();
    const auto put = [&](auto s) {
      using T = decltype(s);
      T* p = static_cast<T*>(y) + y0;
#pragma unroll
      for (int r = warp; r < E; r += kWarps)
#pragma unroll
        for (int c = lane; c < E; c += kLanes)
          if (r < rows && c < cols) p[r * t.y_row + c] = narrowed<T>(tile[c][r]);
    };
    if constexpr (kCast) by_any(t.to, put); else put(A{});
    __syncthreads();
  }
}

// False where the innermost dimensions of x and y are the same, or too small to be worth a tile.
bool is_transposed(const Cast& c, Transposition& t) {
  const Loop<2>& l = c.loop;
  int row = -1, col = -1;
  for (int d = 0; d < l.ndim; ++d) {
    if (l.stride[1][d] == 1) row = d;
    if (l.stride[0][d] == 1) col = d;
  }
  if (row < 0 || col < 0 || row == col || l.shape[row] < 8 || l.shape[col] < 8 || l.stride[1][col] == 0) return false;
  t.rows = l.shape[row];
  t.cols = l.shape[col];
  t.x_col = l.stride[1][col];
  t.y_row = l.stride[0][row];
  t.planes = 1;
  t.ndim = 0;
  for (int d = 0; d < l.ndim; ++d) {
    if (d == row || d == col) continue;
    t.planes *= l.shape[d];
    t.size[t.ndim] = Divisor(l.shape[d]);
    t.x_stride[t.ndim] = l.stride[1][d];
    t.y_stride[t.ndim++] = l.stride[0][d];
  }
  t.from = c.from;
  t.to = c.to;
  return true;
}
template <class A, bool kCast> void transpose_with(Transposition& t, const Cast& c) {
  t.tiles_across = Divisor(ceil_div(t.cols, kTile<A>));
  t.tiles_down = Divisor(ceil_div(t.rows, kTile<A>));
  const unsigned blocks = blocks_for(t.planes * t.tiles_across.d * t.tiles_down.d, 1, 32);
  launch("transpose", transpose<A, kCast>, dim3(blocks), dim3(kThreads), 0, t, c.x, c.y);
}

// ---- conversions ---------------------------------------------------------------------------------------------------------
// What `from` is read as: float, double or int64_t hold every value of the types they stand for.
template <class F> void by_wide(DType from, const F& f) {
  if (from == DType::f64) f(double{}); else if (is_floating(from)) f(float{}); else f(int64_t{});
}
struct Same {
  static constexpr bool kUnroll = true;
  template <class A> GPU A operator()(A x) const { return x; }
};

// float32 from and to 16 bits, contiguous: eight elements of a thread at a time, twice.
template <class From, class To> __global__ void __launch_bounds__(kThreads) convert_flat(const From* x, To* y, int64_t n) {
  constexpr int E = 8, kFlight = 2;
  const int64_t packs = n / E, tile = kThreads * kFlight;
#pragma unroll 1
  for (int64_t base = blockIdx.x * tile + threadIdx.x; base < packs; base += gridDim.x * tile) {
    From v[kFlight][E];
    To u[E];
    const auto load = [&](int64_t i, From (&to)[E]) {
#pragma unroll
      for (int k = 0; k < E; k += kPack<From>) {
        const auto p = load_pack<From, kPack<From>>(x + i * E + k);
#pragma unroll
        for (int e = 0; e < kPack<From>; ++e) to[k + e] = p.v[e];
      }
    };
#pragma unroll
    for (int j = 0; j < kFlight; ++j) if (base + j * kThreads < packs) load(base + j * kThreads, v[j]);
#pragma unroll
    for (int j = 0; j < kFlight; ++j)
      if (base + j * kThreads < packs) {
#pragma unroll
        for (int e = 0; e < E; ++e) u[e] = down<To>(up(v[j][e]));
#pragma unroll
        for (int k = 0; k < E; k += kPack<To>) {
          Pack<To, kPack<To>> p;
#pragma unroll
          for (int e = 0; e < kPack<To>; ++e) p.v[e] = u[k + e];
          store_pack(y + (base + j * kThreads) * E + k, p);
        }
      }
  }
  const int64_t rest = packs * E + threadIdx.x;
  if (blockIdx.x == 0 && rest < n) y[rest] = down<To>(up(x[rest]));
}
template <class From, class To> void convert(const Cast& c, int64_t n) {
  launch("cast", convert_flat<From, To>, dim3(unsigned(most(1, blocks_for(n / 8, kThreads * 2)))), dim3(kThreads), 0,
         static_cast<const From*>(c.x), static_cast<To*>(c.y), n);
}
bool convert_hot(const Cast& c) {
  if (c.loop.ndim != 1 || c.loop.stride[0][0] != 1 || c.loop.stride[1][0] != 1) return false;
  if (!is_aligned(c.x) || !is_aligned(c.y)) return false;
  const int64_t n = c.loop.shape[0];
  if (c.from == DType::f32 && c.to == DType::bf16) convert<float, bf16>(c, n);
  else if (c.from == DType::f32 && c.to == DType::f16) convert<float, f16>(c, n);
  else if (c.from == DType::bf16 && c.to == DType::f32) convert<bf16, float>(c, n);
  else if (c.from == DType::f16 && c.to == DType::f32) convert<f16, float>(c, n);
  else return false;
  return true;
}

}  // namespace

void cast(const Cast& c) {
  for (int d = 0; d < c.loop.ndim; ++d) if (c.loop.shape[d] == 0) return;
  const int size = size_of(c.from);
  Transposition t;
  if (is_transposed(c, t)) {
    if (c.from == c.to) by_size(size, [&](auto zero) { transpose_with<decltype(zero), false>(t, c); });
    else by_wide(c.from, [&](auto zero) { transpose_with<decltype(zero), true>(t, c); });
  } else if (c.from == c.to) {
    copy(c.loop, size, c.x, c.y);
  } else if (!convert_hot(c)) {
    const Given given[2] = {{c.y, c.to}, {c.x, c.from}};
    by_wide(c.from, [&](auto zero) { run_loop<decltype(zero), 1, true, 4>("cast", c.loop, given, 0, Same()); });
  }
}

void fill(const Fill& f) {
  const int size = size_of(f.dtype);
  in_rows(f.loop, [&](const Loop<1>& part, const int64_t (&first)[1]) {
    Loop<1> loop = part;
    const void* const p[1] = {moved(f.y, first[0], size)};
    by_word(widen(loop, p, size), [&](auto word) {
      using W = decltype(word);
      for (int i = 0; i < int(sizeof(W)); i += size) std::memcpy(reinterpret_cast<char*>(&word) + i, f.value, size_t(size));
      const Walk<1> walk(loop);
      launch("fill", fill_words<W>, dim3(blocks_for(walk.n, kThreads * kWords)), dim3(kThreads), 0, walk, word,
             static_cast<W*>(const_cast<void*>(p[0])));
    });
  });
}

}  // namespace lamella::cuda
