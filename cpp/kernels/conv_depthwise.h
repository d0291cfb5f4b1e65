// SPDX-License-Identifier: MIT
// Depthwise convolution: one input channel per group, so there is nothing for a matrix product to share. A padded copy of
// each plane, its columns dealt out by their remainder mod the stride, makes every tap a contiguous vector of a row.
#pragma once
#include "activation.h"
#include "vec.h"

namespace lamella {
namespace LAMELLA_ISA {

static bool is_depthwise(const ConvGeometry& g) { return g.groups > 1 && g.c == g.groups; }

constexpr int kPlaneSlot = 6;  // scratch slots 6 and 7

// The padded plane: for dims d, rows [0, rows_d) stand for source index - pad; column s of it lies at
// (s % stride) * split + s / stride.
struct Plane {
  int64_t depth, rows, split, width;  // width: elements per row, split * stride
  int64_t size() const { return depth * rows * width; }
};

template <class A> static Plane plane_of(const ConvGeometry& g) {
  Plane p;
  const auto reach = [&](int d) { return (g.out[d] - 1) * g.stride[d] + (g.kernel[d] - 1) * g.dilation[d] + 1; };
  p.depth = reach(0);
  p.rows = reach(1);
  p.split = (reach(2) + g.stride[2] - 1) / g.stride[2] + kLanes<A>;  // room for whole vectors
  p.width = p.split * g.stride[2];
  return p;
}

// Where tap t of output (d, h, 0) starts in the plane; outputs along the row follow one by one.
LAMELLA_INLINE int64_t tap_start(const ConvGeometry& g, const Plane& p, int64_t d, int64_t h, int64_t t) {
  const int64_t t2 = t % g.kernel[2], t1 = t / g.kernel[2] % g.kernel[1], t0 = t / g.kernel[2] / g.kernel[1];
  const int64_t s = t2 * g.dilation[2];
  return ((d * g.stride[0] + t0 * g.dilation[0]) * p.rows + h * g.stride[1] + t1 * g.dilation[1]) * p.width +
         s % g.stride[2] * p.split + s / g.stride[2];
}

// f(source row or null, plane row) for every row of the plane.
template <class T, class F> LAMELLA_INLINE void for_rows(const ConvGeometry& g, const Plane& p, T* x, const F& f) {
  for (int64_t d = 0; d < p.depth; ++d)
    for (int64_t h = 0; h < p.rows; ++h) {
      const int64_t sd = d - g.pad[0], sh = h - g.pad[1];
      const bool inside = uint64_t(sd) < uint64_t(g.in[0]) && uint64_t(sh) < uint64_t(g.in[1]);
      f(inside ? x + sd * g.x_stride[2] + sh * g.x_stride[3] : nullptr, (d * p.rows + h) * p.width);
    }
}

template <class T> static void load_plane(const ConvGeometry& g, const Plane& p, const T* x, acc_t<T>* plane) {
  __builtin_memset(plane, 0, size_t(p.size()) * sizeof(acc_t<T>));
  const int64_t step = g.x_stride[4], last = (p.split - kLanes<acc_t<T>>) * g.stride[2] - g.pad[2];
  const int64_t n = g.in[2] < last ? g.in[2] : last;
  for_rows(g, p, x, [&](const T* row, int64_t at) {
    if (!row) return;
    acc_t<T>* to = plane + at;
    if (g.stride[2] == 1 && step == 1) {
      for (int64_t i = 0; i < n; ++i) to[g.pad[2] + i] = up(row[i]);
    } else {
      for (int64_t i = 0; i < n; ++i) {
        const int64_t s = i + g.pad[2];
        to[s % g.stride[2] * p.split + s / g.stride[2]] = up(row[i * step]);
      }
    }
  });
}

// dx's plane from the padded one; what no output reaches is zero.
template <class T> static void store_plane(const ConvGeometry& g, const Plane& p, const acc_t<T>* plane, T* x) {
  using A = acc_t<T>;
  const int64_t last = (p.split - kLanes<A>) * g.stride[2] - g.pad[2];
  for (int64_t d = 0; d < g.in[0]; ++d)
    for (int64_t h = 0; h < g.in[1]; ++h) {
      T* to = x + d * g.x_stride[2] + h * g.x_stride[3];
      const bool inside = d + g.pad[0] < p.depth && h + g.pad[1] < p.rows;
      const A* from = plane + ((d + g.pad[0]) * p.rows + h + g.pad[1]) * p.width;
      for (int64_t i = 0; i < g.in[2]; ++i) {
        const int64_t s = i + g.pad[2];
        to[i * g.x_stride[4]] = down<T>(inside && i < last ? from[s % g.stride[2] * p.split + s / g.stride[2]] : A(0));
      }
    }
}

// One output row = sum over taps of weight * plane row, four vectors at a time.
template <class A> LAMELLA_INLINE void filter_row(const A* plane, const int64_t* starts, const A* w, int64_t taps,
                                                  int64_t i, vec<A>* acc, int vectors) {
  for (int64_t t = 0; t < taps; ++t) {
    const A* p = plane + starts[t] + i;
    const vec<A> x = splat(w[t]);
    for (int v = 0; v < vectors; ++v) acc[v] = fma(vload(p + v * kLanes<A>), x, acc[v]);
  }
}

template <class A> struct DepthwiseScratch {
  A *plane, *weights;
  int64_t* starts;
  DepthwiseScratch(const Plane& p, int64_t taps) {
    plane = static_cast<A*>(scratch(size_t(p.size()) * sizeof(A), kPlaneSlot));
    weights = static_cast<A*>(scratch(size_t(taps) * (sizeof(A) + sizeof(int64_t)) + 64, kPlaneSlot + 1));
    starts = reinterpret_cast<int64_t*>(weights + (taps + 1) / 2 * 2);
  }
};

template <class T> static void depthwise_forward(const ConvFwd& a) {
  using A = acc_t<T>;
  constexpr int L = kLanes<A>;
  const ConvGeometry& g = a.g;
  const int64_t taps = g.kernel[0] * g.kernel[1] * g.kernel[2], per = g.k / g.groups;
  const Plane p = plane_of<A>(g);
  const int64_t grain = 1 + 20000 / (p.size() * taps + 1);
  parallel_blocks(g.n * g.c, grain, [&](int64_t begin, int64_t end) {
    DepthwiseScratch<A> s(p, taps);
    for (int64_t nc = begin; nc < end; ++nc) {
      const int64_t n = nc / g.c, c = nc % g.c;
      load_plane(g, p, static_cast<const T*>(a.x) + n * g.x_stride[0] + c * g.x_stride[1], s.plane);
      for (int64_t k = c * per; k < (c + 1) * per; ++k) {
        for (int64_t t = 0; t < taps; ++t) s.weights[t] = up(static_cast<const T*>(a.w)[k * taps + t]);
        const vec<A> bias = splat(a.bias ? up(static_cast<const T*>(a.bias)[k]) : A(0));
        T* y = static_cast<T*>(a.y) + n * g.y_stride[0] + k * g.y_stride[1];
        for (int64_t d = 0; d < g.out[0]; ++d)
          for (int64_t h = 0; h < g.out[1]; ++h) {
            for (int64_t t = 0; t < taps; ++t) s.starts[t] = tap_start(g, p, d, h, t);
            T* row = y + d * g.y_stride[2] + h * g.y_stride[3];
            const auto store = [&](int64_t i, vec<A> v) {
              if (a.act != Act::none) v = apply_act(a.act, v);
              const int64_t m = g.out[2] - i < L ? g.out[2] - i : L;
              if (g.y_stride[4] != 1) for (int64_t l = 0; l < m; ++l) row[(i + l) * g.y_stride[4]] = down<T>(v[l]);
              else if (m == L) vstore(row + i, v);
              else vstore(row + i, v, m);
            };
            int64_t i = 0;
            for (; i + 4 * L <= g.out[2]; i += 4 * L) {
              vec<A> acc[4] = {bias, bias, bias, bias};
              filter_row(s.plane, s.starts, s.weights, taps, i, acc, 4);
              for (int v = 0; v < 4; ++v) store(i + v * L, acc[v]);
            }
            for (; i < g.out[2]; i += L) {
              vec<A> acc[1] = {bias};
              filter_row(s.plane, s.starts, s.weights, taps, i, acc, 1);
              store(i, acc[0]);
            }
          }
      }
    }
  });
}

// f(row of dy as arithmetic values, padded with zeros to whole vectors, d, h) over one output plane.
template <class T, class F>
static void for_output_rows(const ConvGeometry& g, const T* dy, acc_t<T>* row, const F& f) {
  constexpr int L = kLanes<acc_t<T>>;
  const int64_t padded = (g.out[2] + L - 1) / L * L;
  for (int64_t d = 0; d < g.out[0]; ++d)
    for (int64_t h = 0; h < g.out[1]; ++h) {
      const T* from = dy + d * g.y_stride[2] + h * g.y_stride[3];
      for (int64_t i = 0; i < g.out[2]; ++i) row[i] = up(from[i * g.y_stride[4]]);
      for (int64_t i = g.out[2]; i < padded; ++i) row[i] = acc_t<T>(0);
      f(d, h);
    }
}

template <class T> static void depthwise_backward_input(const ConvBwdInput& a) {
  using A = acc_t<T>;
  constexpr int L = kLanes<A>;
  const ConvGeometry& g = a.g;
  const int64_t taps = g.kernel[0] * g.kernel[1] * g.kernel[2], per = g.k / g.groups;
  const Plane p = plane_of<A>(g);
  parallel_blocks(g.n * g.c, 1 + 20000 / (p.size() * taps + 1), [&](int64_t begin, int64_t end) {
    DepthwiseScratch<A> s(p, taps);
    A* row = static_cast<A*>(scratch(size_t(g.out[2] + L) * sizeof(A), 5));
    for (int64_t nc = begin; nc < end; ++nc) {
      const int64_t n = nc / g.c, c = nc % g.c;
      __builtin_memset(s.plane, 0, size_t(p.size()) * sizeof(A));
      for (int64_t k = c * per; k < (c + 1) * per; ++k) {
        for (int64_t t = 0; t < taps; ++t) s.weights[t] = up(static_cast<const T*>(a.w)[k * taps + t]);
        const T* dy = static_cast<const T*>(a.dy) + n * g.y_stride[0] + k * g.y_stride[1];
        for_output_rows(g, dy, row, [&](int64_t d, int64_t h) {
          for (int64_t t = 0; t < taps; ++t) {
            A* to = s.plane + tap_start(g, p, d, h, t);
            const vec<A> w = splat(s.weights[t]);
            for (int64_t i = 0; i < g.out[2]; i += L) vstore(to + i, fma(vload(row + i), w, vload(to + i)));
          }
        });
      }
      store_plane(g, p, s.plane, static_cast<T*>(a.dx) + n * g.x_stride[0] + c * g.x_stride[1]);
    }
  });
}

template <class T> static void depthwise_backward_weight(const ConvBwdWeight& a) {
  using A = acc_t<T>;
  constexpr int L = kLanes<A>;
  const ConvGeometry& g = a.g;
  const int64_t taps = g.kernel[0] * g.kernel[1] * g.kernel[2], per = g.k / g.groups;
  const Plane p = plane_of<A>(g);
  parallel_blocks(g.c, 1 + 20000 / (g.n * p.size() * taps + 1), [&](int64_t begin, int64_t end) {
    DepthwiseScratch<A> s(p, taps);
    A* row = static_cast<A*>(scratch(size_t(g.out[2] + L + per * taps) * sizeof(A), 5));
    A* total = row + g.out[2] + L;
    for (int64_t c = begin; c < end; ++c) {
      for (int64_t t = 0; t < per * taps; ++t) total[t] = A(0);
      for (int64_t n = 0; n < g.n; ++n) {
        load_plane(g, p, static_cast<const T*>(a.x) + n * g.x_stride[0] + c * g.x_stride[1], s.plane);
        for (int64_t k = 0; k < per; ++k) {
          const T* dy = static_cast<const T*>(a.dy) + n * g.y_stride[0] + (c * per + k) * g.y_stride[1];
          for_output_rows(g, dy, row, [&](int64_t d, int64_t h) {
            for (int64_t t = 0; t < taps; ++t) {
              const A* from = s.plane + tap_start(g, p, d, h, t);
              vec<A> sum = {};
              for (int64_t i = 0; i < g.out[2]; i += L) sum = fma(vload(row + i), vload(from + i), sum);
              total[k * taps + t] += hsum(sum);
            }
          });
        }
      }
      for (int64_t t = 0; t < per * taps; ++t) static_cast<T*>(a.dw)[c * per * taps + t] = down<T>(total[t]);
    }
  });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
