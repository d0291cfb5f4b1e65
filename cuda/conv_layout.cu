// SPDX-License-Identifier: MIT
// What surrounds a convolution's products: images with adjacent channels, packed filters, the sum of dw's parts.
#include "conv.cuh"

namespace lamella::cuda {
namespace {

struct Copying {
  const void* x; void* y;
  int64_t stride[5], positions, columns;
  Divisor width, height, depth, padded, channels, tiles;
  int x_width, sub, step, first, next;
};

// Squares of 32 positions x 32 columns through shared memory; lanes read along the width, or along channels (kTurned: where
// those are adjacent in x), and write along channels.
template <class T, bool kTurned> __global__ void __launch_bounds__(kThreads) image_copy(const __grid_constant__ Copying p) {
  SHARED(T, square, [32][33]);
  int tile;
  const int64_t row = int64_t(divide_block(p.tiles, int(blockIdx.x), tile)) * 32, column = int64_t(tile) * 32;
  const int lane = int(threadIdx.x) % 32, first = int(threadIdx.x) / 32;
  const T* x = static_cast<const T*>(p.x);
  int64_t at = 0, w = 0;
  const auto place = [&](int64_t position) {
    int64_t d, h, o;
    const int64_t n = p.depth.divide(p.height.divide(p.width.divide(position, o), h), d);
    at = n * p.stride[0] + d * p.stride[2] + h * p.stride[3];
    w = o * p.step + p.first;
  };
  if (!kTurned) place(row + lane);
#pragma unroll
  for (int s = first; s < 32; s += 8) {
    const int r = kTurned ? s : lane, c = kTurned ? lane : s;
    T v{};
    if (row + r < p.positions && column + c < p.columns) {
      if (kTurned) place(row + r);
      int64_t e, channel;
      const int64_t group = p.padded.divide(column + c, e), tap = p.channels.divide(e, channel), to = w + tap * p.next;
      if (tap < p.sub && to >= 0 && to < p.x_width) v = x[at + to * p.stride[4] + (group * p.channels.d + channel) * p.stride[1]];
    }
    square[r][c] = v;
  }
  __syncthreads();
  T* y = static_cast<T*>(p.y);
#pragma unroll
  for (int s = first; s < 32; s += 8)
    if (row + s < p.positions && column + lane < p.columns) y[(row + s) * p.columns + column + lane] = square[s][lane];
}

struct Packing {
  Window window;
  int64_t stride[3], pad[3], dilation[3], channels, rows, filters, count;  // channels, filters: of a group
  Divisor padded, sub_channels, kernel[3], of_rows;
  int sub;
  bool backward;
};

template <class T> __global__ void __launch_bounds__(kThreads) filter_pack(const __grid_constant__ Packing p, const T* w, T* to) {
  const int64_t grid = int64_t(gridDim.x) * kThreads;
  const int* kernel = p.window.kernel;
  const int64_t taps = int64_t(kernel[0]) * kernel[1] * kernel[2];
#pragma unroll 1
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < p.count; i += grid) {
    int64_t e, t[3], row, tap, channel;
    int64_t rest = p.padded.divide(i, e);
    rest = p.kernel[2].divide(rest, t[2]);
    rest = p.kernel[1].divide(rest, t[1]);
    rest = p.kernel[0].divide(rest, t[0]);
    const int64_t group = p.of_rows.divide(rest, row), t_all = (t[0] * kernel[1] + t[1]) * kernel[2] + t[2];
    tap = p.sub_channels.divide(e, channel);
    T v{};
    if (tap < p.sub) {
      const int64_t filter = group * p.filters + (p.backward ? channel : row), c = p.backward ? row : channel;
      v = w[((filter * p.channels + c) * taps + t_all) * p.sub + tap];
    }
    const Phase* f[3];
    int64_t at[3];
#pragma unroll
    for (int d = 0; d < 3; ++d) {
      const int64_t phase = ((t[d] * p.dilation[d] - p.pad[d]) % p.stride[d] + p.stride[d]) % p.stride[d];
      f[d] = &p.window.phase(d, int(phase));
      at[d] = (t[d] - f[d]->first) / f[d]->first_next;
    }
    const int64_t before = int64_t(f[0]->before) * kernel[1] * kernel[2] +
                           int64_t(f[0]->count) * (f[1]->before * kernel[2] + f[1]->count * f[2]->before);
    const int64_t mine = int64_t(f[0]->count) * f[1]->count * f[2]->count;
    const int64_t index = (at[0] * f[1]->count + at[1]) * f[2]->count + at[2];
    to[((group * taps + before) * p.rows + row * mine + index) * p.padded.d + e] = v;
  }
}

template <class T> __global__ void __launch_bounds__(kThreads, 4) weight_sum(const acc_t<T>* partial, T* dw, int64_t count, int64_t parts,
    Divisor each, Divisor columns, Divisor padded, Divisor channels, int64_t taps, int sub) {
  const int64_t grid = int64_t(gridDim.x) * kThreads;
#pragma unroll 1
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < count; i += grid) {
    int64_t at, column, e, channel;
    const int64_t group = each.divide(i, at), row = columns.divide(at, column), t = padded.divide(column, e);
    const int64_t tap = channels.divide(e, channel);
    if (tap >= sub) continue;
    const acc_t<T>* x = partial + group * parts * each.d + at;
    acc_t<T> v = 0;
#pragma unroll 4
    for (int64_t s = 0; s < parts; ++s) v += x[s * each.d];
    const int64_t filter = group * (each.d / columns.d) + row;
    dw[((filter * channels.d + channel) * taps + t) * sub + tap] = down<T>(v);
  }
}

}  // namespace

void copy_image(const ImageCopy& a) {
  Copying p{};
  p.x = a.x, p.y = a.y;
  for (int d = 0; d < 5; ++d) p.stride[d] = a.stride[d];
  p.positions = a.n * a.size[0] * a.size[1] * a.width;
  p.columns = a.groups * a.channels.padded;
  p.width = Divisor(a.width), p.height = Divisor(a.size[1]), p.depth = Divisor(a.size[0]);
  p.padded = Divisor(a.channels.padded), p.channels = Divisor(a.channels.channels);
  p.tiles = Divisor(ceil_div(p.columns, 32));
  p.x_width = int(a.size[2]);
  p.sub = a.channels.channels ? a.channels.sub : 0;
  p.step = a.step, p.first = a.first, p.next = a.next;
  const dim3 grid(unsigned(ceil_div(p.positions, 32) * p.tiles.d));
  by_size(size_of(a.dtype), [&](auto t) {
    using T = decltype(t);
    if constexpr (sizeof(T) > 1) {
      if (a.stride[1] == 1 && a.channels.channels > 1) launch("conv", image_copy<T, true>, grid, dim3(kThreads), 0, p);
      else launch("conv", image_copy<T, false>, grid, dim3(kThreads), 0, p);
    }
  });
}

void pack_filters(DType dtype, const Window& window, const void* w, void* to, int64_t groups, int64_t filters, int64_t channels,
                  bool backward, const Channels& k, const int64_t* stride, const int64_t* pad, const int64_t* dilation) {
  Packing p{};
  p.window = window;
  int64_t taps = 1;
  for (int d = 0; d < 3; ++d) {
    p.stride[d] = backward ? stride[d] : 1;
    p.pad[d] = backward ? pad[d] : 0;
    p.dilation[d] = backward ? dilation[d] : 0;
    p.kernel[d] = Divisor(window.kernel[d]);
    taps *= window.kernel[d];
  }
  p.channels = channels, p.filters = filters;
  p.rows = backward ? channels : filters;
  p.of_rows = Divisor(p.rows), p.padded = Divisor(k.padded), p.sub_channels = Divisor(k.channels);
  p.sub = k.channels ? k.sub : 0;
  p.backward = backward;
  p.count = groups * p.rows * taps * k.padded;
  by_size(size_of(dtype), [&](auto t) {
    using T = decltype(t);
    if constexpr (sizeof(T) > 1)
      launch("conv", filter_pack<T>, dim3(blocks_for(p.count, kThreads)), dim3(kThreads), 0, p, static_cast<const T*>(w), static_cast<T*>(to));
  });
}

void sum_weights(DType dtype, const void* partial, void* dw, int64_t groups, int64_t parts, int64_t rows, int64_t taps, const Channels& k) {
  if (k.channels == 0) return;
  const int64_t columns = taps * k.padded, each = rows * columns, count = groups * each;
  by_float(dtype, [&](auto t) {
    using T = decltype(t);
    launch("conv", weight_sum<T>, dim3(blocks_for(count, kThreads)), dim3(kThreads), 0, static_cast<const acc_t<T>*>(partial),
           static_cast<T*>(dw), count, parts, Divisor(each), Divisor(columns), Divisor(k.padded), Divisor(k.channels), taps, k.sub);
  });
}

}  // namespace lamella::cuda
