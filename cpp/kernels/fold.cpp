// SPDX-License-Identifier: MIT
// Windows of an image laid out as columns, and the sum of columns back into an image. Every element is written by one
// task: rows of columns going there, rows of the image coming back.
#include "copy.h"
#include "rows.h"

namespace lamella {
namespace LAMELLA_ISA {

constexpr int64_t kFoldGrain = 16384;  // elements written by one task

// Outputs [begin, end) along dim i whose tap t lies within the input.
struct Inside { int64_t begin, end; };
static Inside inside(const ConvGeometry& g, int i, int64_t t) {
  const int64_t s = g.stride[i], at = t * g.dilation[i] - g.pad[i];  // input of output o: o s + at
  int64_t begin = at < 0 ? (-at + s - 1) / s : 0, end = at < g.in[i] ? (g.in[i] - 1 - at) / s + 1 : 0;
  if (end > g.out[i]) end = g.out[i];
  return {begin, begin < end ? end : begin};
}

// One tap of one plane: columns (out...).
template <class T> static void unfold_tap(const ConvGeometry& g, const T* x, int64_t td, int64_t th, int64_t tw, T* to) {
  const int64_t *out = g.out, *in = g.in, *s = g.stride;
  const Inside w = inside(g, 2, tw);
  const int64_t n = w.end - w.begin, first = w.begin * s[2] + tw * g.dilation[2] - g.pad[2];
  for (int64_t od = 0; od < out[0]; ++od)
    for (int64_t oh = 0; oh < out[1]; ++oh, to += out[2]) {
      const int64_t d = od * s[0] + td * g.dilation[0] - g.pad[0], h = oh * s[1] + th * g.dilation[1] - g.pad[1];
      if (n == 0 || d < 0 || d >= in[0] || h < 0 || h >= in[1]) {
        std::memset(to, 0, size_t(out[2]) * sizeof(T));
        continue;
      }
      const T* from = x + (d * in[1] + h) * in[2] + first;
      for (int64_t i = 0; i < w.begin; ++i) to[i] = 0;
      if (s[2] == 1) copy_bytes(to + w.begin, from, n * int64_t(sizeof(T)));
      else for (int64_t i = 0; i < n; ++i) to[w.begin + i] = from[i * s[2]];
      for (int64_t i = w.end; i < out[2]; ++i) to[i] = 0;
    }
}

template <class T> static void unfold_of(const Unfold& a) {
  const ConvGeometry& g = a.g;
  const int64_t* k = g.kernel;
  const int64_t taps = k[0] * k[1] * k[2], positions = g.out[0] * g.out[1] * g.out[2], plane = g.in[0] * g.in[1] * g.in[2];
  parallel_blocks(g.n * g.c * taps, kFoldGrain / positions + 1, [&](int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; ++r) {
      const int64_t t = r % taps;
      unfold_tap(g, static_cast<const T*>(a.x) + r / taps * plane, t / (k[1] * k[2]), t / k[2] % k[1], t % k[2],
                 static_cast<T*>(a.columns) + r * positions);
    }
  });
}

void unfold(const Unfold& a) {
  switch (size_of(a.g.dtype)) {
    case 1: return unfold_of<uint8_t>(a);
    case 2: return unfold_of<uint16_t>(a);
    case 4: return unfold_of<uint32_t>(a);
    default: return unfold_of<uint64_t>(a);
  }
}

// The output whose tap t lies on input i along dim d, or -1.
static int64_t output_at(const ConvGeometry& g, int d, int64_t i, int64_t t) {
  const int64_t at = i + g.pad[d] - t * g.dilation[d];
  if (at < 0) return -1;
  const Division o(at, g.stride[d]);
  return o.rest == 0 && o.quotient < g.out[d] ? o.quotient : -1;
}

template <class T> static void fold_of(const Fold& a) {
  using A = acc_t<T>;
  const ConvGeometry& g = a.g;
  const int64_t *k = g.kernel, *out = g.out, *in = g.in, step = g.stride[2];
  const int64_t taps = k[0] * k[1] * k[2], positions = out[0] * out[1] * out[2];
  const auto* y = static_cast<const T*>(a.columns);
  auto* x = static_cast<T*>(a.x);
  Inside* const within = scratch_of<Inside>(k[2], 1);
  for (int64_t tw = 0; tw < k[2]; ++tw) within[tw] = inside(g, 2, tw);
  parallel_blocks(g.n * g.c * in[0] * in[1], kFoldGrain / (in[2] * 4 + 1) + 1, [&](int64_t r0, int64_t r1) {
    A* sum = scratch_of<A>(in[2], 0);
    for (int64_t r = r0; r < r1; ++r) {
      const int64_t h = r % in[1], d = r / in[1] % in[0], plane = r / (in[0] * in[1]);
      std::memset(sum, 0, size_t(in[2]) * sizeof(A));
      for (int64_t td = 0; td < k[0]; ++td) {
        const int64_t od = output_at(g, 0, d, td);
        if (od < 0) continue;
        for (int64_t th = 0; th < k[1]; ++th) {
          const int64_t oh = output_at(g, 1, h, th);
          if (oh < 0) continue;
          for (int64_t tw = 0; tw < k[2]; ++tw) {
            const Inside w = within[tw];
            const int64_t t = (td * k[1] + th) * k[2] + tw;
            const int64_t n = w.end - w.begin;
            if (n == 0) continue;
            const T* from = y + (plane * taps + t) * positions + (od * out[1] + oh) * out[2] + w.begin;
            __builtin_prefetch(from + 2 * out[2]);  // rows of columns lie far apart: no stream for the hardware to see
            A* to = sum + w.begin * step + tw * g.dilation[2] - g.pad[2];
            if (step == 1)
              sweep<A, 1>(n, [&](int64_t i, int, auto part) { st(to + i, ld(to + i, part) + ld(from + i, part), part); });
            else for (int64_t i = 0; i < n; ++i) to[i * step] += up(from[i]);
          }
        }
      }
      sweep<A, 1>(in[2], [&](int64_t i, int, auto part) { st(x + r * in[2] + i, ld(sum + i, part), part); });
    }
  });
}

void fold(const Fold& a) {
  by_float(a.g.dtype, [&](auto t) { fold_of<decltype(t)>(a); });
}

// ---- pixel_shuffle -------------------------------------------------------------------------------------------------
// Columns [0, w) of R rows of x, `plane` apart, and one row of y, where they alternate. R 0: any number, `r`.
template <int R, class T> static void alternate(T* x, int64_t plane, int64_t w, int64_t r, T* y, bool inverse) {
  const int64_t n = R ? R : r;
  for (int64_t j = 0; j < w; ++j)
    for (int64_t b = 0; b < n; ++b) {
      if (inverse) x[b * plane + j] = y[j * n + b];
      else y[j * n + b] = x[b * plane + j];
    }
}

template <class T> static void pixel_shuffle_of(const PixelShuffle& a) {
  const int64_t r = a.r, plane = a.h * a.w, row = a.w * r;
  auto* x = static_cast<T*>(const_cast<void*>(a.inverse ? a.y : a.x));
  auto* y = static_cast<T*>(const_cast<void*>(a.inverse ? a.x : a.y));
  parallel_blocks(a.n * a.h, kFoldGrain / (row * r + 1) + 1, [&](int64_t t0, int64_t t1) {
    for (int64_t t = t0; t < t1; ++t)
      for (int64_t i = 0; i < r; ++i) {
        T* from = x + (t / a.h * r + i) * r * plane + t % a.h * a.w;
        T* to = y + (t * r + i) * row;
        if (r == 2) alternate<2>(from, plane, a.w, r, to, a.inverse);
        else if (r == 3) alternate<3>(from, plane, a.w, r, to, a.inverse);
        else if (r == 4) alternate<4>(from, plane, a.w, r, to, a.inverse);
        else alternate<0>(from, plane, a.w, r, to, a.inverse);
      }
  });
}

// A pixel of x (c, r, r), and r pixels of y (c) in each of r rows, `row` apart. place: of y's elements in x, or null.
template <bool inverse, class T> static void shuffle_pixel(T* x, T* y, int64_t row, int64_t c, int64_t r, const int32_t* place) {
  const auto move = [](T& small, T& large) {
    if (inverse) small = large;
    else large = small;
  };
  if (place) {
    for (int64_t i = 0; i < r; ++i, y += row, place += r * c)
      for (int64_t j = 0; j < r * c; ++j) move(x[place[j]], y[j]);
    return;
  }
  if (r == 2) {
    T *const y0 = y, *const y1 = y + c, *const y2 = y + row, *const y3 = y2 + c;
#pragma GCC ivdep
    for (int64_t k = 0; k < c; ++k) move(x[4 * k], y0[k]), move(x[4 * k + 1], y1[k]), move(x[4 * k + 2], y2[k]), move(x[4 * k + 3], y3[k]);
    return;
  }
  for (int64_t i = 0; i < r; ++i, y += row)
    for (int64_t j = 0; j < r; ++j, ++x)
      for (int64_t k = 0; k < c; ++k) move(x[k * r * r], y[j * c + k]);
}

template <class T> static void shuffle_pixels(const PixelShuffle& a) {
  const int64_t c = a.channels, r = a.r, row = a.w * r * c;
  auto* x = static_cast<T*>(const_cast<void*>(a.inverse ? a.y : a.x));
  auto* y = static_cast<T*>(const_cast<void*>(a.inverse ? a.x : a.y));
  int32_t places[1024];  // of few channels: loops over them would be all beginnings and ends
  const bool few = c < 16 && c * r * r <= 1024;
  for (int64_t i = 0, n = 0; few && i < r; ++i)
    for (int64_t j = 0; j < r; ++j)
      for (int64_t k = 0; k < c; ++k) places[n++] = int32_t(k * r * r + i * r + j);
  const int32_t* const place = few ? places : nullptr;
  parallel_blocks(a.n * a.h, kFoldGrain / (row * r + 1) + 1, [&](int64_t t0, int64_t t1) {
    for (int64_t t = t0; t < t1; ++t)
      for (int64_t i = 0; i < a.w; ++i) {
        T *const small = x + (t * a.w + i) * c * r * r, *const large = y + t * r * row + i * r * c;
        if (a.inverse) shuffle_pixel<true>(small, large, row, c, r, place);
        else shuffle_pixel<false>(small, large, row, c, r, place);
      }
  });
}

void pixel_shuffle(const PixelShuffle& a) {
  by_size(a.size, [&](auto t) {
    if (a.channels) shuffle_pixels<decltype(t)>(a);
    else pixel_shuffle_of<decltype(t)>(a);
  });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
