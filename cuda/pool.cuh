// SPDX-License-Identifier: MIT
// The geometry of pooling as threads use it: windows, and which thread has which element. Coordinates are 32-bit, offsets
// 64-bit.
#pragma once
#include "device.cuh"

namespace lamella::cuda {

// Elements begin, begin + step, .. < end of a dim, and how many count for an average.
struct Span { int begin, end, size; };

struct Pool {
  int in[3], out[3], kernel[3], stride[3], pad[3], dilation[3];
  int64_t x_stride[5], y_stride[5];
  bool adaptive, count_pad;
  int64_t divisor;           // of averages; 0: the window's size
  // Thread e of a grid over (n, c, d, h, w): w in packs, unless by_channel, where c is innermost.
  bool by_channel;
  int64_t total;
  Divisor w, h, d, c;
  Divisor step[3];           // outputs that hold an input: divisors of strides, or of `in`

  // The window of output o.
  GPU Span window(int i, int o) const {
    if (adaptive) {
      const int64_t first = int64_t(o) * in[i], last = first + in[i] + out[i] - 1;
      if (last >> 31) return cut(int(first / out[i]), int(last / out[i]));
      return cut(int(unsigned(first) / unsigned(out[i])), int(unsigned(last) / unsigned(out[i])));
    }
    int begin = o * stride[i] - pad[i], end = begin + kernel[i];
    if (end > in[i] + pad[i]) end = in[i] + pad[i];
    const int padded = end - begin;
    Span s = cut(begin < 0 ? 0 : begin, end > in[i] ? in[i] : end);
    if (count_pad) s.size = padded;
    return s;
  }
  // The taps of output o inside the input, `dilation` apart: not adaptive.
  GPU Span taps(int i, int o) const {
    if (adaptive) return window(i, o);
    int begin = o * stride[i] - pad[i], end = begin + (kernel[i] - 1) * dilation[i] + 1;
    if (begin < 0) begin += (-begin + dilation[i] - 1) / dilation[i] * dilation[i];
    return cut(begin, end > in[i] ? in[i] : end);
  }
  // The outputs whose window holds input i along dim k: an average's.
  GPU Span covering(int k, int i) const {
    int64_t rest;
    if (adaptive) return cut(int(step[k].divide(int64_t(i) * out[k], rest)),
                             int(step[k].divide(int64_t(i + 1) * out[k] + in[k] - 1, rest)));
    const int past = i + pad[k] - kernel[k], end = int(step[k].divide(i + pad[k], rest)) + 1;
    return cut(past < 0 ? 0 : int(step[k].divide(past, rest)) + 1, end > out[k] ? out[k] : end);
  }
  GPU static Span cut(int begin, int end) { return {begin, end, end - begin}; }

  struct Place { int64_t n, c; int at[3]; };
  GPU Place place(int64_t e) const {
    Place p;
    int64_t rest;
    if (by_channel) e = c.divide(e, p.c);
    e = w.divide(e, rest); p.at[2] = int(rest);
    e = h.divide(e, rest); p.at[1] = int(rest);
    e = d.divide(e, rest); p.at[0] = int(rest);
    if (!by_channel) e = c.divide(e, p.c);
    p.n = e;
    return p;
  }
  GPU static int64_t offset(const int64_t* s, int64_t n, int64_t c, int64_t d, int64_t h, int64_t w) {
    return n * s[0] + c * s[1] + d * s[2] + h * s[3] + w * s[4];
  }
};

// `size` are in or out: what the threads are over; w in packs of V.
inline void grid_over(Pool& p, const ConvGeometry& g, const int64_t* size, const int64_t* stride, int V) {
  p.by_channel = stride[1] == 1 && g.c > 1 && stride[4] != 1;
  p.w = Divisor(size[2] / V);
  p.h = Divisor(size[1]);
  p.d = Divisor(size[0]);
  p.c = Divisor(g.c);
  p.total = g.n * g.c * size[0] * size[1] * (size[2] / V);
}

inline Pool pool_of(const ConvGeometry& g, bool adaptive, bool count_pad, int64_t divisor) {
  Pool p{};
  bool even = adaptive;     // windows side by side are no different from plain ones
  for (int i = 0; i < 3; ++i) {
    const bool fits = g.in[i] < (1 << 30) && g.out[i] < (1 << 30) && (adaptive || g.kernel[i] < (1 << 30));
    check<ValueError>(fits, "[pool] a dimension must have less than 2^30 elements on a cuda device, got ", g.in[i]);
    even &= g.out[i] > 0 && g.in[i] % g.out[i] == 0;
  }
  for (int i = 0; i < 3; ++i) {
    p.in[i] = int(g.in[i]);
    p.out[i] = int(g.out[i]);
    p.kernel[i] = p.stride[i] = even ? p.in[i] / p.out[i] : adaptive ? 1 : int(g.kernel[i]);
    if (!adaptive) p.stride[i] = int(g.stride[i]);
    p.pad[i] = adaptive ? 0 : int(g.pad[i]);
    p.dilation[i] = adaptive ? 1 : int(g.dilation[i]);
    p.step[i] = Divisor(adaptive && !even ? p.in[i] : p.stride[i]);
  }
  for (int i = 0; i < 5; ++i) p.x_stride[i] = g.x_stride[i], p.y_stride[i] = g.y_stride[i];
  p.adaptive = adaptive && !even;
  p.count_pad = count_pad;
  p.divisor = divisor;
  return p;
}

// Windows one wide along w, next to each other in x and y (pixels of a channels-last array): packs of V go together.
inline bool packs_along_w(const Pool& p, int V, const void* x, const void* y) {
  bool fits = p.in[2] == p.out[2] && p.in[2] % V == 0 && p.x_stride[4] == 1 && p.y_stride[4] == 1 && is_aligned(x) &&
              is_aligned(y) && (p.adaptive || (p.kernel[2] == 1 && p.stride[2] == 1 && p.pad[2] == 0));
  for (int i = 0; i < 4; ++i) fits &= p.x_stride[i] % V == 0 && p.y_stride[i] % V == 0;
  return fits;
}

}  // namespace lamella::cuda
