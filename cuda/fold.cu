// SPDX-License-Identifier: MIT
// Windows of an image laid out as columns, the sum of columns back into an image, and the shuffle of channels into pixels.
// Every element is written by one thread.
#include "device.cuh"

namespace lamella::cuda {
namespace {

struct Image {
  int64_t planes, in[3], out[3], stride[3], pad[3], dilation[3], kernel[3], taps, positions, pixels;
  Divisor w, h, d, step[3];  // of what the threads are over
};

Image image_of(const ConvGeometry& g, const int64_t* size) {
  Image a{};
  a.planes = g.n * g.c;
  for (int i = 0; i < 3; ++i) {
    a.in[i] = g.in[i], a.out[i] = g.out[i], a.stride[i] = g.stride[i], a.pad[i] = g.pad[i];
    a.dilation[i] = g.dilation[i], a.kernel[i] = g.kernel[i];
    a.step[i] = Divisor(g.stride[i]);
  }
  a.taps = g.kernel[0] * g.kernel[1] * g.kernel[2];
  a.positions = g.out[0] * g.out[1] * g.out[2];
  a.pixels = g.in[0] * g.in[1] * g.in[2];
  a.w = Divisor(size[2]), a.h = Divisor(size[1]), a.d = Divisor(size[0]);
  return a;
}

// Thread: a position o of a plane, and taps [each y, each (y + 1)) for its block's y.
template <class T> __global__ void unfold_taps(Image a, int64_t each, const T* x, T* columns) {
  const int64_t e = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (e >= a.planes * a.positions) return;
  int64_t od, oh, ow;
  const int64_t plane = a.d.divide(a.h.divide(a.w.divide(e, ow), oh), od);
  const int64_t t0 = blockIdx.y * each, t1 = least(t0 + each, a.taps);
  int64_t tw = t0 % a.kernel[2], th = t0 / a.kernel[2] % a.kernel[1], td = t0 / a.kernel[2] / a.kernel[1];
  const int64_t d0 = od * a.stride[0] - a.pad[0], h0 = oh * a.stride[1] - a.pad[1], w0 = ow * a.stride[2] - a.pad[2];
  const T* from = x + plane * a.pixels;
  T* to = columns + (plane * a.taps + t0) * a.positions + (od * a.out[1] + oh) * a.out[2] + ow;
  int64_t d = d0 + td * a.dilation[0], h = h0 + th * a.dilation[1], w = w0 + tw * a.dilation[2];
  bool inside = d >= 0 && d < a.in[0] && h >= 0 && h < a.in[1];
  for (int64_t t = t0; t < t1; ++t, to += a.positions) {
    *to = inside && w >= 0 && w < a.in[2] ? from[(d * a.in[1] + h) * a.in[2] + w] : T(0);
    w += a.dilation[2];
    if (++tw < a.kernel[2]) continue;
    tw = 0, w = w0, h += a.dilation[1];
    if (++th == a.kernel[1]) th = 0, h = h0, d += a.dilation[0];
    inside = d >= 0 && d < a.in[0] && h >= 0 && h < a.in[1];
  }
}

// The output whose tap t lies on input i along dim k, or -1.
GPU int64_t output_at(const Image& a, int k, int64_t i, int64_t t) {
  const int64_t at = i + a.pad[k] - t * a.dilation[k];
  if (at < 0) return -1;
  int64_t rest;
  const int64_t o = a.step[k].divide(at, rest);
  return rest == 0 && o < a.out[k] ? o : -1;
}

// Thread: an element of x.
template <class T> __global__ void fold_taps(Image a, const T* columns, T* x) {
  const int64_t e = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (e >= a.planes * a.pixels) return;
  int64_t d, h, w;
  const int64_t plane = a.d.divide(a.h.divide(a.w.divide(e, w), h), d);
  acc_t<T> sum = 0;
  for (int64_t td = 0; td < a.kernel[0]; ++td) {
    const int64_t od = output_at(a, 0, d, td);
    if (od < 0) continue;
    for (int64_t th = 0; th < a.kernel[1]; ++th) {
      const int64_t oh = output_at(a, 1, h, th);
      if (oh < 0) continue;
      const int64_t first = plane * a.taps + (td * a.kernel[1] + th) * a.kernel[2];
      const T* from = columns + first * a.positions + (od * a.out[1] + oh) * a.out[2];
      for (int64_t tw = 0; tw < a.kernel[2]; ++tw, from += a.positions)
        if (const int64_t ow = output_at(a, 2, w, tw); ow >= 0) sum += up(from[ow]);
    }
  }
  x[e] = down<T>(sum);
}

// A row of y (of n h r, w r long) to a row of threads; x (n, r r, h, w).
template <class T>
__global__ void shuffle_rows(Divisor r, Divisor h, int64_t rows, int64_t w, bool inverse, const T* from, T* to) {
  const int64_t row = int64_t(blockIdx.x) * blockDim.y + threadIdx.y;
  if (row >= rows) return;
  int64_t a, i;
  const int64_t n = h.divide(r.divide(row, a), i), plane = h.d * w;
  const int64_t x = ((n * r.d + a) * r.d) * plane + i * w, y = row * w * r.d;
  for (int64_t c = threadIdx.x; c < w * r.d; c += blockDim.x) {
    int64_t b;
    const int64_t j = r.divide(c, b), at = x + b * plane + j;
    if (inverse) to[at] = from[y + c];
    else to[y + c] = from[at];
  }
}

}  // namespace

void unfold(const Unfold& a) {
  const Image i = image_of(a.g, a.g.out);
  const int64_t threads = i.planes * i.positions;
  if (threads * i.taps == 0) return;
  // Few positions: taps are shared out, too.
  const int64_t parts = least(least(i.taps, 65535), most(1, ceil_div(1 << 17, threads))), each = ceil_div(i.taps, parts);
  by_size(size_of(a.g.dtype), [&](auto t) {
    using T = decltype(t);
    const dim3 grid(unsigned(ceil_div(threads, kThreads)), unsigned(ceil_div(i.taps, each)));
    launch("unfold", unfold_taps<T>, grid, dim3(kThreads), 0, i, each, static_cast<const T*>(a.x),
           static_cast<T*>(a.columns));
  });
}

void fold(const Fold& a) {
  const Image i = image_of(a.g, a.g.in);
  by_float(a.g.dtype, [&](auto t) {
    using T = decltype(t);
    launch("fold", fold_taps<T>, dim3(unsigned(ceil_div(i.planes * i.pixels, kThreads))), dim3(kThreads), 0, i,
           static_cast<const T*>(a.columns), static_cast<T*>(a.x));
  });
}

void pixel_shuffle(const PixelShuffle& a) {
  const int64_t rows = a.n * a.h * a.r, length = a.w * a.r;
  if (rows * length == 0) return;
  unsigned across = 8;
  while (across < 64 && across < length) across *= 2;
  const dim3 block(across, kThreads / across);
  by_size(a.size, [&](auto t) {
    using T = decltype(t);
    const dim3 grid(unsigned(ceil_div(rows, block.y)));
    launch("pixel_shuffle", shuffle_rows<T>, grid, block, 0, Divisor(a.r), Divisor(a.h), rows, a.w,
           a.inverse, static_cast<const T*>(a.x), static_cast<T*>(a.y));
  });
}

}  // namespace lamella::cuda
