// SPDX-License-Identifier: MIT
// Convolutions with one input channel per group: every output channel sees one image, so all is bound by memory, and
// threads compute outputs directly. Channels come V at once where they are adjacent.
#include "conv.cuh"

namespace lamella::cuda {
namespace {

constexpr int kOut = 4;  // outputs of a thread, one below the other, under one fetch of each weight
constexpr int kTaps = 9;  // sums of a thread in the gradient of the weight

struct Depthwise {
  const void *from, *w, *bias;
  void* to;
  int64_t from_stride[5], to_stride[5], w_channel, w_tap, count;
  int from_size[3], kernel[3], pad[3], dilation[3], stride[3], height, multiplier;
  Divisor channels, grid_d, grid_h, grid_w, per, by[3];  // channels: vectors of them; grid_h: of kOut
  bool channels_first;   // threads go along positions, else along channels
  Act act;
};

// The coordinate of `from` under tap t of coordinate o of `to`, or -1: forward an input of an output, backward an output
// that reads an input.
template <bool kBackward> GPU int locate(const Depthwise& p, int dim, int o, int t) {
  if (!kBackward) {
    const int i = o * p.stride[dim] - p.pad[dim] + t * p.dilation[dim];
    return unsigned(i) < unsigned(p.from_size[dim]) ? i : -1;
  }
  const int i = o + p.pad[dim] - t * p.dilation[dim];
  if (i < 0) return -1;
  int rest;
  const int q = divide_block(p.by[dim], i, rest);
  return rest == 0 && q < p.from_size[dim] ? q : -1;
}

// relu is common; of the others the code is there once, not for each element.
template <class A, int V> GPU void activate_all(Act act, A (&v)[kOut][V]) {
  if (act == Act::none) return;
  if (act == Act::relu) {
#pragma unroll
    for (int i = 0; i < kOut; ++i) activate(Act::relu, v[i]);
    return;
  }
#pragma unroll 1
  for (int e = 0; e < kOut * V; ++e) {
    A one[1] = {0};
#pragma unroll
    for (int i = 0; i < kOut * V; ++i) one[0] = i == e ? v[i / V][i % V] : one[0];
    activate(act, one);
#pragma unroll
    for (int i = 0; i < kOut * V; ++i) v[i / V][i % V] = i == e ? one[0] : v[i / V][i % V];
  }
}

template <class T, int V, bool kBackward> __global__ void __launch_bounds__(kThreads, 2) depthwise(const __grid_constant__ Depthwise p) {
  using A = acc_t<T>;
  const int64_t index = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (index >= p.count) return;
  int64_t c, n, d, h, x;
  if (p.channels_first) n = p.channels.divide(p.grid_d.divide(p.grid_h.divide(p.grid_w.divide(index, x), h), d), c);
  else n = p.grid_d.divide(p.grid_h.divide(p.grid_w.divide(p.channels.divide(index, c), x), h), d);
  c *= V;
  h *= kOut;
  const int height = int(least(kOut, p.height - h));
  A v[kOut][V] = {};
  const int each = kBackward ? p.multiplier : 1;
#pragma unroll 1
  for (int j = 0; j < each; ++j) {
    int64_t image = c, none;
    if (p.multiplier > 1) image = kBackward ? c * p.multiplier + j : p.per.divide(c, none);
    const T* from = static_cast<const T*>(p.from) + n * p.from_stride[0] + image * p.from_stride[1];
    const T* w = static_cast<const T*>(p.w) + (kBackward ? image : c) * p.w_channel;
#pragma unroll 1
    for (int td = 0; td < p.kernel[0]; ++td) {
      const int id = locate<kBackward>(p, 0, int(d), td);
      if (id < 0) continue;
#pragma unroll 1
      for (int th = 0; th < p.kernel[1]; ++th) {
        int64_t row[kOut];
        bool in[kOut], any = false;
#pragma unroll
        for (int i = 0; i < kOut; ++i) {
          const int ih = i < height ? locate<kBackward>(p, 1, int(h) + i, th) : -1;
          in[i] = ih >= 0;
          any |= in[i];
          row[i] = id * p.from_stride[2] + ih * p.from_stride[3];
        }
        if (!any) continue;
        const T* weights = w + int64_t((td * p.kernel[1] + th) * p.kernel[2]) * p.w_tap;
#pragma unroll 1
        for (int tw = 0; tw < p.kernel[2]; ++tw) {
          const int iw = locate<kBackward>(p, 2, int(x), tw);
          if (iw < 0) continue;
          const Pack<T, V> f = load_pack<T, V>(weights + tw * p.w_tap);
#pragma unroll
          for (int i = 0; i < kOut; ++i)
            if (in[i]) {
              const Pack<T, V> s = load_pack<T, V>(from + row[i] + iw * p.from_stride[4]);
#pragma unroll
              for (int u = 0; u < V; ++u) v[i][u] += up(s.v[u]) * up(f.v[u]);
            }
        }
      }
    }
  }
  T* to = static_cast<T*>(p.to) + n * p.to_stride[0] + c * p.to_stride[1] + d * p.to_stride[2] + h * p.to_stride[3] + x * p.to_stride[4];
  A bias[V] = {};
  if (p.bias)
#pragma unroll
    for (int u = 0; u < V; ++u) bias[u] = up(static_cast<const T*>(p.bias)[c + u]);
#pragma unroll
  for (int i = 0; i < kOut; ++i)
#pragma unroll
    for (int u = 0; u < V; ++u) v[i][u] += bias[u];
  if (!kBackward) activate_all(p.act, v);
#pragma unroll
  for (int i = 0; i < kOut; ++i) {
    if (i >= height) continue;
    Pack<T, V> y;
#pragma unroll
    for (int u = 0; u < V; ++u) y.v[u] = down<T>(v[i][u]);
    store_pack(to + i * p.to_stride[3], y);
  }
}

bool whole(const int64_t* stride, int64_t v) {
  for (int d = 0; d < 5; ++d)
    if (d == 1 ? stride[d] != 1 : stride[d] % v) return false;
  return true;
}

// `to` over its grid of `size` from `from`, `w` (k, taps).
template <bool kBackward>
void direct(const ConvGeometry& g, const void* from, const void* w, const void* bias, void* to, Act act) {
  const int64_t* size = kBackward ? g.in : g.out;
  const int64_t* to_stride = kBackward ? g.x_stride : g.y_stride;
  const int64_t* from_stride = kBackward ? g.y_stride : g.x_stride;
  const int64_t taps = g.kernel[0] * g.kernel[1] * g.kernel[2], channels = kBackward ? g.c : g.k;
  Depthwise p{};
  p.from = from, p.w = w, p.bias = bias, p.to = to, p.act = act;
  for (int d = 0; d < 5; ++d) p.from_stride[d] = from_stride[d], p.to_stride[d] = to_stride[d];
  for (int d = 0; d < 3; ++d) {
    p.from_size[d] = int(kBackward ? g.out[d] : g.in[d]);
    p.kernel[d] = int(g.kernel[d]), p.pad[d] = int(g.pad[d]), p.dilation[d] = int(g.dilation[d]), p.stride[d] = int(g.stride[d]);
    p.by[d] = Divisor(g.stride[d]);
  }
  p.multiplier = int(g.k / g.c);
  p.per = Divisor(p.multiplier);
  p.height = int(size[1]);
  p.grid_d = Divisor(size[0]), p.grid_h = Divisor(ceil_div(size[1], kOut)), p.grid_w = Divisor(size[2]);
  p.channels_first = to_stride[1] != 1;
  const int64_t per = 16 / size_of(g.dtype);
  const bool packs = g.k == g.c && g.c % per == 0 && whole(from_stride, per) && whole(to_stride, per) && is_aligned(from) && is_aligned(to);
  const Temp turned(packs ? size_t(g.k * taps * size_of(g.dtype)) : 0);
  p.w_channel = taps, p.w_tap = 1;
  if (packs) {  // filters, too, with adjacent channels
    Relayout r{};
    r.size = size_of(g.dtype), r.x = w, r.y = turned.p;
    r.extent = taps, r.depth = g.k, r.e_stride = 1, r.k_stride = taps, r.pitch = g.k;
    relayout(r);
    p.w = turned.p;
    p.w_channel = 1, p.w_tap = g.k;
  }
  by_float(g.dtype, [&](auto t) {
    using T = decltype(t);
    const int64_t v = packs ? kPack<T> : 1;
    p.channels = Divisor(channels / v);
    p.count = g.n * p.grid_d.d * p.grid_h.d * p.grid_w.d * p.channels.d;
    const dim3 grid(unsigned(ceil_div(p.count, kThreads)));
    if (packs) launch("conv", depthwise<T, kPack<T>, kBackward>, grid, dim3(kThreads), 0, p);
    else launch("conv", depthwise<T, 1, kBackward>, grid, dim3(kThreads), 0, p);
  });
}

// ---- the gradient of the weight ----------------------------------------------------------------------------------------
struct DepthwiseWeight {
  const void *x, *dy;
  void* partial;         // (part, k, taps)
  int64_t x_stride[5], y_stride[5], k, positions, depth;
  int size[3], kernel[3], pad[3], dilation[3], stride[3], taps, lanes;  // lanes: threads along channels, 1 or 32
  Divisor grid[3], per, pieces, blocks;  // pieces of kTaps taps; blocks of channels
};

// A block: `lanes` vectors of channels, kTaps taps, one part of the positions.
template <class T, int V> __global__ void __launch_bounds__(kThreads, 2) depthwise_weight(const __grid_constant__ DepthwiseWeight p) {
  using A = acc_t<T>;
  SHARED(A, sums, [kThreads]);
  int piece, block;
  const int part = divide_block(p.blocks, divide_block(p.pieces, int(blockIdx.x), piece), block);
  const int lane = int(threadIdx.x) % p.lanes, first = int(threadIdx.x) / p.lanes, step = kThreads / p.lanes;
  const int64_t filter = (int64_t(block) * p.lanes + lane) * V;
  A v[kTaps][V] = {};
  if (filter < p.k) {
    int64_t none;
    const int64_t channel = p.per.d > 1 ? p.per.divide(filter, none) : filter;
    const T* x = static_cast<const T*>(p.x) + channel * p.x_stride[1];
    const T* dy = static_cast<const T*>(p.dy) + filter * p.y_stride[1];
    const int from = piece * kTaps, w0 = from % p.kernel[2];
    const int h0 = from / p.kernel[2] % p.kernel[1], d0 = from / p.kernel[2] / p.kernel[1];
    const int64_t end = least(p.positions, (part + 1) * p.depth);
#pragma unroll 1
    for (int64_t i = part * p.depth + first; i < end; i += step) {
      int64_t od, oh, ow;
      const int64_t n = p.grid[0].divide(p.grid[1].divide(p.grid[2].divide(i, ow), oh), od);
      const auto g = load_pack<T, V>(dy + n * p.y_stride[0] + od * p.y_stride[2] + oh * p.y_stride[3] + ow * p.y_stride[4]);
      const int d = int(od) * p.stride[0] - p.pad[0], h = int(oh) * p.stride[1] - p.pad[1], w = int(ow) * p.stride[2] - p.pad[2];
      const T* image = x + n * p.x_stride[0];
      int td = d0, th = h0, tw = w0;
#pragma unroll
      for (int t = 0; t < kTaps; ++t) {
        const int id = d + td * p.dilation[0], ih = h + th * p.dilation[1], iw = w + tw * p.dilation[2];
        if (td < p.kernel[0] && unsigned(id) < unsigned(p.size[0]) && unsigned(ih) < unsigned(p.size[1]) &&
            unsigned(iw) < unsigned(p.size[2])) {
          const auto s = load_pack<T, V>(image + id * p.x_stride[2] + ih * p.x_stride[3] + iw * p.x_stride[4]);
#pragma unroll
          for (int u = 0; u < V; ++u) v[t][u] += up(s.v[u]) * up(g.v[u]);
        }
        if (++tw < p.kernel[2]) continue;
        tw = 0;
        if (++th < p.kernel[1]) continue;
        th = 0;
        ++td;
      }
    }
  }
#pragma unroll
  for (int t = 0; t < kTaps; ++t)
#pragma unroll
    for (int u = 0; u < V; ++u) {
      const int tap = piece * kTaps + t;
      __syncthreads();
      sums[threadIdx.x] = v[t][u];
#pragma unroll 1
      for (int half = kThreads / 2; half >= p.lanes; half /= 2) {
        __syncthreads();
        if (int(threadIdx.x) < half) sums[threadIdx.x] += sums[threadIdx.x + half];
      }
      if (int(threadIdx.x) < p.lanes && filter < p.k && tap < p.taps)
        static_cast<A*>(p.partial)[(int64_t(part) * p.k + filter + u) * p.taps + tap] = sums[threadIdx.x];
    }
}

}  // namespace

void depthwise_fwd(const ConvFwd& a) { direct<false>(a.g, a.x, a.w, a.bias, a.y, a.act); }
void depthwise_bwd_input(const ConvBwdInput& a) { direct<true>(a.g, a.dy, a.w, nullptr, a.dx, Act::none); }

void depthwise_bwd_weight(const ConvBwdWeight& a) {
  const ConvGeometry& g = a.g;
  DepthwiseWeight p{};
  p.x = a.x, p.dy = a.dy;
  p.k = g.k;
  p.positions = g.n * g.out[0] * g.out[1] * g.out[2];
  p.taps = 1;
  for (int d = 0; d < 5; ++d) p.x_stride[d] = g.x_stride[d], p.y_stride[d] = g.y_stride[d];
  for (int d = 0; d < 3; ++d) {
    p.size[d] = int(g.in[d]), p.kernel[d] = int(g.kernel[d]), p.pad[d] = int(g.pad[d]);
    p.dilation[d] = int(g.dilation[d]), p.stride[d] = int(g.stride[d]);
    p.grid[d] = Divisor(g.out[d]);
    p.taps *= p.kernel[d];
  }
  p.per = Divisor(g.k / g.c);
  const bool last = g.y_stride[1] == 1 && g.k > 1;
  constexpr int kV = 4;
  const int bytes = kV * size_of(g.dtype);
  const bool packs = last && g.k == g.c && g.k % kV == 0 && size_of(g.dtype) <= 4 && whole(g.x_stride, kV) && whole(g.y_stride, kV) &&
                     is_aligned(a.x, bytes) && is_aligned(a.dy, bytes);
  p.lanes = last ? 32 : 1;
  p.pieces = Divisor(ceil_div(p.taps, kTaps));
  p.blocks = Divisor(ceil_div(g.k, p.lanes * (packs ? kV : 1)));
  const int64_t blocks = p.pieces.d * p.blocks.d, few = last ? 128 : 2048;
  int64_t parts = most(1, least(ceil_div(1024, blocks), p.positions / few));
  p.depth = ceil_div(p.positions, parts);
  if (p.depth) parts = ceil_div(p.positions, p.depth);
  const Temp partial(size_t(parts * g.k * p.taps * most(4, size_of(g.dtype))));
  p.partial = partial.p;
  const dim3 grid(unsigned(blocks * parts));
  by_float(g.dtype, [&](auto t) {
    using T = decltype(t);
    if constexpr (sizeof(T) <= 4)
      if (packs) return launch("conv", depthwise_weight<T, kV>, grid, dim3(kThreads), 0, p);
    launch("conv", depthwise_weight<T, 1>, grid, dim3(kThreads), 0, p);
  });
  sum_weights(g.dtype, partial.p, a.dw, 1, parts, g.k, p.taps, {1, 1, 1});
}

}  // namespace lamella::cuda
