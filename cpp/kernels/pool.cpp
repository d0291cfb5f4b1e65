// SPDX-License-Identifier: MIT
// Max, average and adaptive pooling, forward and backward. Work is cut into rows along the width: of the output going
// forward, of the input going back, so that every element is written once, by one task. Max pool's backward scatters by
// index and is cut into whole (n, c) planes instead.
#include "pool_rows.h"

namespace lamella {
namespace LAMELLA_ISA {

constexpr int64_t kPoolGrain = 32768;  // elements read or written by one task

static int64_t rows_per_task(int64_t row_cost) { return row_cost < kPoolGrain ? kPoolGrain / (row_cost + 1) + 1 : 1; }
static int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// Positions count in the lanes' own width: int32 for float (a plane holds less than 2^31 elements), int64 for double.
template <class A> using pos_t = int_of<A>;

// best, where: the largest so far of each of n windows and its position; `row` is a padded input row, `at` the position
// of row[0]. Taps in order, the first of equals stays, NaN wins.
template <int Step, class A>
static void max_taps(const A* row, int64_t at, A* best, pos_t<A>* where, int64_t n, int64_t kernel, int64_t step, int64_t dilation) {
  constexpr int L = kLanes<A>;
  using I = vec<pos_t<A>>;
  const I lane = lane_numbers<A>() * pos_t<A>(step);
  for (int64_t o = 0; o < n; o += L) {
    vec<A> b = vload(best + o);
    I w{}, pos = lane + pos_t<A>(at + o * step);
    if (where) std::memcpy(&w, where + o, sizeof w);
    for (int64_t s = 0; s < kernel; ++s) {
      vec<A> v = load_every<Step>(row + o * step + s * dilation, step);
      auto take = (v > b) | (v != v);
      b = select(take, v, b);
      if (where) { w = select(take, pos, w); pos += pos_t<A>(dilation); }
    }
    vstore(best + o, b);
    if (where) std::memcpy(where + o, &w, sizeof w);
  }
}

template <class T> static void max_rows(const MaxPoolFwd& a, int64_t begin, int64_t end) {
  using A = acc_t<T>;
  constexpr int L = kLanes<A>;
  const ConvGeometry& g = a.g;
  int64_t H = g.in[1], W = g.in[2], Q = g.out[2], q = round_up(Q, L), step = g.stride[2], pad = g.pad[2];
  int64_t reach = (q - 1) * step + (g.kernel[2] - 1) * g.dilation[2] + 1 + L;  // what max_taps reads of a row
  int64_t width = reach > pad + W ? reach : pad + W;
  width = round_up(width, 16);
  A* row = static_cast<A*>(scratch((width + q) * sizeof(A) + 2 * q * sizeof(pos_t<A>)));
  A* best = row + width;
  auto where = reinterpret_cast<pos_t<A>*>(best + q), first = where + q;
  const A lowest = -__builtin_inf();
  for (int64_t i = 0; i < width; ++i) row[i] = lowest;
  auto first_tap = [&](int i, int64_t o) {  // the first inside the input
    int64_t at = o * g.stride[i] - g.pad[i];
    return at < 0 ? ceil_div(-at, g.dilation[i]) : 0;
  };
  for (int64_t o = 0; o < Q; ++o) first[o] = pos_t<A>(o * step - pad + first_tap(2, o) * g.dilation[2]);
  bool direct = __is_same(T, A) && g.x_stride[4] == 1 && pad == 0 && (Q - 1) * step + (g.kernel[2] - 1) * g.dilation[2] < W;
  int64_t extent = 1;  // elements from the input's first to its last
  const int64_t sizes[5] = {g.n, g.c, g.in[0], H, W};
  for (int i = 0; i < 5; ++i) {
    direct &= g.x_stride[i] >= 0;
    extent += (sizes[i] - 1) * g.x_stride[i];
  }

  each_row(begin, end, g.c, g.out[0], g.out[1], [&](int64_t n, int64_t c, int64_t od, int64_t oh) {
    int64_t d0 = od * g.stride[0] - g.pad[0], h0 = oh * g.stride[1] - g.pad[1];
    int64_t td = first_tap(0, od), th0 = first_tap(1, oh);
    pos_t<A> base = pos_t<A>(((d0 + td * g.dilation[0]) * H + h0 + th0 * g.dilation[1]) * W);
    for (int64_t o = 0; o < q; ++o) best[o] = lowest;
    if (a.index) for (int64_t o = 0; o < Q; ++o) where[o] = base + first[o];
    const T* plane = static_cast<const T*>(a.x) + n * g.x_stride[0] + c * g.x_stride[1];
    for (; td < g.kernel[0] && d0 + td * g.dilation[0] < g.in[0]; ++td) {
      for (int64_t th = th0; th < g.kernel[1] && h0 + th * g.dilation[1] < H; ++th) {
        int64_t d = d0 + td * g.dilation[0], h = h0 + th * g.dilation[1];
        const T* x = plane + d * g.x_stride[2] + h * g.x_stride[3];
        const A* from = row;
        if (direct && x - static_cast<const T*>(a.x) + reach <= extent) from = reinterpret_cast<const A*>(x);
        else load_row<false>(row + pad, x, W, g.x_stride[4]);
        auto taps = step == 1 ? max_taps<1, A> : step == 2 ? max_taps<2, A> : max_taps<0, A>;
        taps(from, (d * H + h) * W - pad, best, a.index ? where : nullptr, Q, g.kernel[2], step, g.dilation[2]);
      }
    }
    store_row(static_cast<T*>(a.y) + n * g.y_stride[0] + c * g.y_stride[1] + od * g.y_stride[2] + oh * g.y_stride[3],
              best, Q, g.y_stride[4]);
    const int64_t at = (((n * g.c + c) * g.out[0] + od) * g.out[1] + oh) * Q;
    if (a.index && a.index_dtype == DType::i32)
      for (int64_t o = 0; o < Q; ++o) static_cast<int32_t*>(a.index)[at + o] = int32_t(where[o]);
    else if (a.index)
      for (int64_t o = 0; o < Q; ++o) static_cast<int64_t*>(a.index)[at + o] = where[o];
  });
}

// Forward of adaptive max: the greatest of each column of a row of windows, where columns are adjacent as vectors, then of
// each window. Of equal elements the first in row-major order wins, of several NaN the last.
template <class T> static void adaptive_max_rows(const AdaptiveMaxPoolFwd& a, int64_t begin, int64_t end) {
  using A = acc_t<T>;
  using I = int_of<A>;
  constexpr int64_t L = kLanes<A>;
  const ConvGeometry& g = a.g;
  const int64_t *xs = g.x_stride, *ys = g.y_stride, W = g.in[2], padded = ceil_div(W, L) * L;
  A* const best = static_cast<A*>(scratch(size_t(padded) * (sizeof(A) + sizeof(I))));
  I* const row_of = reinterpret_cast<I*>(best + padded);  // d * height + h
  each_row(begin, end, g.c, g.out[0], g.out[1], [&](int64_t n, int64_t c, int64_t od, int64_t oh) {
    const T* x = static_cast<const T*>(a.x) + n * xs[0] + c * xs[1];
    T* y = static_cast<T*>(a.y) + n * ys[0] + c * ys[1] + od * ys[2] + oh * ys[3];
    const Window wd = window(g, 0, od, true, false), wh = window(g, 1, oh, true, false);
    bool first = true;
    for (int64_t d = wd.begin; d < wd.end; ++d)
      for (int64_t h = wh.begin; h < wh.end; ++h, first = false) {
        const T* row = x + d * xs[2] + h * xs[3];
        const I at = I(d * g.in[1] + h);
        if (xs[4] == 1)
          for (int64_t i = 0; i < W; i += L) {
            const vec<A> v = i + L <= W ? vload(row + i) : vload(row + i, W - i), old = vload(best + i);
            const auto wins = (v > old) | (v != v);
            vec<I> place;
            std::memcpy(&place, row_of + i, sizeof place);
            place = first ? vec<I>{} + at : select(wins, vec<I>{} + at, place);
            vstore(best + i, first ? v : select(wins, v, old));
            std::memcpy(row_of + i, &place, sizeof place);
          }
        else
          for (int64_t i = 0; i < W; ++i) {
            const A v = up(row[i * xs[4]]);
            if (first || v > best[i] || v != v) best[i] = v, row_of[i] = at;
          }
      }
    for (int64_t o = 0; o < g.out[2]; ++o) {
      const Window w = window(g, 2, o, true, false);
      A most = best[w.begin], total = most;
      for (int64_t i = w.begin + 1; i < w.end; ++i) most = best[i] > most ? best[i] : most, total += best[i];
      const bool nan = total != total;  // or infinities of both signs
      int64_t where = -1, last_nan = -1;
      for (int64_t i = w.begin; i < w.end; ++i) {
        const int64_t at = int64_t(row_of[i]) * W + i;
        where = best[i] == most && uint64_t(at) < uint64_t(where) ? at : where;
        if (nan && best[i] != best[i] && at > last_nan) last_nan = at;
      }
      if (last_nan >= 0) where = last_nan, most = __builtin_nan("");
      y[o * ys[4]] = down<T>(most);
      if (a.index) a.index[(((n * g.c + c) * g.out[0] + od) * g.out[1] + oh) * g.out[2] + o] = where;
    }
  });
}

template <class T, class Index> static void max_planes_bwd(const MaxPoolBwd& a, int64_t begin, int64_t end) {
  using A = acc_t<T>;
  const ConvGeometry& g = a.g;
  const int64_t *xs = g.x_stride, *ys = g.y_stride;
  int64_t D = g.in[0], H = g.in[1], W = g.in[2], Q = g.out[2];
  bool direct = __is_same(T, A) && xs[4] == 1 && xs[3] == W && xs[2] == H * W;
  for (int64_t p = begin; p < end; ++p) {
    T* dx = static_cast<T*>(a.dx) + p / g.c * xs[0] + p % g.c * xs[1];
    const T* dy = static_cast<const T*>(a.dy) + p / g.c * ys[0] + p % g.c * ys[1];
    const Index* index = static_cast<const Index*>(a.index) + p * g.out[0] * g.out[1] * Q;
    A* sum = direct ? reinterpret_cast<A*>(dx) : static_cast<A*>(scratch(D * H * W * sizeof(A)));
    std::memset(sum, 0, D * H * W * sizeof(A));
    for (int64_t od = 0; od < g.out[0]; ++od)
      for (int64_t oh = 0; oh < g.out[1]; ++oh, index += Q) {
        const T* row = dy + od * ys[2] + oh * ys[3];
        for (int64_t o = 0; o < Q; ++o) sum[index[o]] += up(row[o * ys[4]]);
      }
    if (direct) continue;
    for (int64_t r = 0; r < D * H; ++r) store_row(dx + r / H * xs[2] + r % H * xs[3], sum + r * W, W, xs[4]);
  }
}

// ---- average ---------------------------------------------------------------------------------------------------------
struct Average { ConvGeometry g; bool adaptive, count_pad; int64_t divisor; };

// The divisor is size(d) * size(h) * size(w), or given: the part of a row, and of each column.
static int64_t divisor(const Average& a, const Window& d, const Window& h) { return a.divisor ? a.divisor : d.size * h.size; }
static int64_t divisor(const Average& a, const Window& w) { return a.divisor ? 1 : w.size; }

template <class A> static A sum_row(const A* p, int64_t n) {
  constexpr int L = kLanes<A>;
  A s = 0;
  int64_t i = 0;
  if (n >= L) {
    vec<A> v = {}, w = {};
    for (; i + 2 * L <= n; i += 2 * L) {
      v += vload(p + i);
      w += vload(p + i + L);
    }
    for (; i + L <= n; i += L) v += vload(p + i);
    s = hsum(v + w);
  }
  for (; i < n; ++i) s += p[i];
  return s;
}

// sum[o] = sum of `kernel` elements of the padded row from o * step on.
template <int Step, class A> static void sum_taps(const A* row, A* sum, int64_t n, int64_t kernel) {
  for (int64_t o = 0; o < n; o += kLanes<A>) {
    vec<A> v = load_every<Step>(row + o * Step, Step);
    for (int64_t s = 1; s < kernel; ++s) v += load_every<Step>(row + o * Step + s, Step);
    vstore(sum + o, v);
  }
}

// Rows of a window are added first (whole rows, in vectors), then its columns.
template <class T> static void average_rows(const Average& a, const void* x, void* y, int64_t begin, int64_t end) {
  using A = acc_t<T>;
  constexpr int L = kLanes<A>;
  const ConvGeometry& g = a.g;
  const int64_t *xs = g.x_stride, *ys = g.y_stride;
  int64_t W = g.in[2], Q = g.out[2], q = round_up(Q, L), pad = a.adaptive ? 0 : g.pad[2], step = g.stride[2];
  bool regular = !a.adaptive && step <= 2 && Q > 1, direct = !regular && __is_same(T, A) && xs[4] == 1;
  int64_t reach = regular ? (q - 1) * step + g.kernel[2] + L : 0;
  int64_t width = round_up((reach > pad + W ? reach : pad + W) + 1, 16);
  A* row = static_cast<A*>(scratch((width + 2 * q) * sizeof(A) + Q * sizeof(Window)));
  A *sum = row + width, *size = sum + q;
  auto columns = reinterpret_cast<Window*>(size + q);
  std::memset(row, 0, width * sizeof(A));
  for (int64_t o = 0; o < q; ++o) size[o] = 1;
  for (int64_t o = 0; o < Q; ++o) {
    columns[o] = window(g, 2, o, a.adaptive, a.count_pad);
    size[o] = A(divisor(a, columns[o]));
  }
  each_row(begin, end, g.c, g.out[0], g.out[1], [&](int64_t n, int64_t c, int64_t od, int64_t oh) {
    const T* plane = static_cast<const T*>(x) + n * xs[0] + c * xs[1];
    Window d = window(g, 0, od, a.adaptive, a.count_pad), h = window(g, 1, oh, a.adaptive, a.count_pad);
    bool first = true;
    const A* sums = row + pad;
    if (direct && (d.end - d.begin) * (h.end - h.begin) == 1) {
      sums = reinterpret_cast<const A*>(plane + d.begin * xs[2] + h.begin * xs[3]);
    } else for (int64_t id = d.begin; id < d.end; ++id)
      for (int64_t ih = h.begin; ih < h.end; ++ih, first = false) {
        const T* from = plane + id * xs[2] + ih * xs[3];
        if (first) load_row<false>(row + pad, from, W, xs[4]);
        else load_row<true>(row + pad, from, W, xs[4]);
      }
    if (first && sums == row + pad) std::memset(row + pad, 0, W * sizeof(A));
    if (!regular) for (int64_t o = 0; o < Q; ++o) sum[o] = sum_row(sums + columns[o].begin, columns[o].end - columns[o].begin);
    else if (step == 1) sum_taps<1>(row, sum, Q, g.kernel[2]);
    else sum_taps<2>(row, sum, Q, g.kernel[2]);
    A rows = A(divisor(a, d, h));
    for (int64_t o = 0; o < Q; o += L) vstore(sum + o, vload(sum + o) / (vload(size + o) * rows));
    store_row(static_cast<T*>(y) + n * ys[0] + c * ys[1] + od * ys[2] + oh * ys[3], sum, Q, ys[4]);
  });
}

// row[i] = sum of v[o] over the windows that hold i: o step - pad <= i < o step - pad + kernel. v has zeros for `margin`
// elements before it and for a vector and more behind it; row has room for whole vectors.
template <class A> static void spread_taps(const A* v, A* row, int64_t n, int64_t kernel, int64_t step, int64_t pad) {
  constexpr int64_t L = kLanes<A>;
  // i + pad = step q + phase is held by the windows q - j, step j + phase < kernel
  auto taps = [&](int64_t q, int64_t phase) {
    vec<A> s = {};
    for (int64_t t = phase, j = 0; t < kernel; t += step, ++j) s += vload(v + q - j);
    return s;
  };
  if (step == 1) {
    for (int64_t i = 0; i < n; i += L) vstore(row + i, taps(i + pad, 0));
    return;
  }
  for (int64_t i = -(pad & 1), q = pad / 2; i < n; i += 2 * L, q += L) {  // row has room for one before it, too
    const vec<A> even = taps(q, 0), odd = taps(q, 1);
    vec<A> low, high;
    if constexpr (L == 16) {
      low = __builtin_shufflevector(even, odd, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      high = __builtin_shufflevector(even, odd, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    } else if constexpr (L == 8) {
      low = __builtin_shufflevector(even, odd, 0, 8, 1, 9, 2, 10, 3, 11);
      high = __builtin_shufflevector(even, odd, 4, 12, 5, 13, 6, 14, 7, 15);
    } else if constexpr (L == 4) {
      low = __builtin_shufflevector(even, odd, 0, 4, 1, 5);
      high = __builtin_shufflevector(even, odd, 2, 6, 3, 7);
    } else {
      low = __builtin_shufflevector(even, odd, 0, 2);
      high = __builtin_shufflevector(even, odd, 1, 3);
    }
    vstore(row + i, low);
    vstore(row + i + L, high);
  }
}

// The adjoint, by rows of the input: the output rows above it are added, then spread over their windows' columns. A row
// under the same windows as the one before is the same.
template <class T> static void average_rows_bwd(const Average& a, const void* dy, void* dx, int64_t begin, int64_t end) {
  using A = acc_t<T>;
  constexpr int64_t L = kLanes<A>;
  const ConvGeometry& g = a.g;
  const int64_t *xs = g.x_stride, *ys = g.y_stride;
  const int64_t W = g.in[2], Q = g.out[2], q = round_up(Q, L), step = g.stride[2], kernel = g.kernel[2];
  const bool regular = !a.adaptive && step <= 2 && Q > 1;
  const int64_t margin = regular ? round_up(kernel, L) : 0, behind = regular ? round_up(kernel + W, L) + 2 * L : 0;
  const int64_t room = round_up(W, 2 * L) + 4 * L, sums = margin + q + behind;
  A* sum = static_cast<A*>(scratch((sums + q + room) * sizeof(A) + 2 * Q * sizeof(Window))) + margin;
  A *scale = sum + q + behind, *row = scale + q + L;
  auto columns = reinterpret_cast<Window*>(scale + q + room);
  std::memset(sum - margin, 0, size_t(sums) * sizeof(A));
  for (int64_t o = 0; o < q; ++o) scale[o] = 0;
  for (int64_t o = 0; o < Q; ++o) {
    columns[o] = window(g, 2, o, a.adaptive, a.count_pad);
    scale[o] = A(1) / A(divisor(a, columns[o]));
  }
  Window last_d{-1, -1, 0}, last_h{-1, -1, 0};
  int64_t last_plane = -1;
  each_row(begin, end, g.c, g.in[0], g.in[1], [&](int64_t n, int64_t c, int64_t id, int64_t ih) {
    T* const to = static_cast<T*>(dx) + n * xs[0] + c * xs[1] + id * xs[2] + ih * xs[3];
    const Window od = covering(g, 0, id, a.adaptive), oh = covering(g, 1, ih, a.adaptive);
    if (n * g.c + c == last_plane && od.begin == last_d.begin && od.end == last_d.end && oh.begin == last_h.begin &&
        oh.end == last_h.end)
      return store_row(to, row, W, xs[4]);
    last_plane = n * g.c + c;
    last_d = od;
    last_h = oh;
    const T* plane = static_cast<const T*>(dy) + n * ys[0] + c * ys[1];
    bool first = true;
    for (int64_t d = od.begin; d < od.end; ++d)
      for (int64_t h = oh.begin; h < oh.end; ++h, first = false) {
        const T* from = plane + d * ys[2] + h * ys[3];
        const vec<A> weight = splat(
            A(1) / A(divisor(a, window(g, 0, d, a.adaptive, a.count_pad), window(g, 1, h, a.adaptive, a.count_pad))));
        int64_t o = 0;
        if (ys[4] == 1) {
          for (; o + L <= Q; o += L) vstore(sum + o, fma(vload(from + o), weight, first ? vec<A>{} : vload(sum + o)));
          if (o < Q) vstore(sum + o, fma(vload(from + o, Q - o), weight, first ? vec<A>{} : vload(sum + o)));
        } else {
          for (; o < Q; ++o) sum[o] = (first ? A(0) : sum[o]) + up(from[o * ys[4]]) * weight[0];
        }
      }
    if (first) std::memset(sum, 0, size_t(q) * sizeof(A));
    for (int64_t o = 0; o < q; o += L) vstore(sum + o, vload(sum + o) * vload(scale + o));
    if (regular) {
      spread_taps(sum, row, W, kernel, step, g.pad[2]);
    } else {
      for (int64_t i = 0; i < W; ++i) row[i] = 0;
      for (int64_t o = 0; o < Q; ++o)
        for (int64_t i = columns[o].begin; i < columns[o].end; ++i) row[i] += sum[o];
    }
    store_row(to, row, W, xs[4]);
  });
}

// A window that is the whole of the last dims (global pooling) over adjacent memory is one long row.
static Average flatten_global(Average a) {
  ConvGeometry& g = a.g;
  bool even = a.adaptive;
  for (int i = 0; i < 3; ++i) even &= g.in[i] % g.out[i] == 0;
  if (even) {  // windows side by side are no different from plain ones
    a.adaptive = false;
    for (int i = 0; i < 3; ++i) {
      g.kernel[i] = g.stride[i] = g.in[i] / g.out[i];
      g.pad[i] = 0;
    }
  }
  auto whole = [&](int i) { return g.out[i] == 1 && g.kernel[i] == g.in[i] && g.pad[i] == 0; };
  if (a.adaptive || a.divisor) return a;
  for (int i = 1; i >= 0; --i) {
    if (!whole(2) || !whole(i) || g.x_stride[2 + i] != g.in[2] * g.x_stride[4]) return a;
    g.in[2] *= g.in[i];
    g.kernel[2] = g.in[2];
    g.in[i] = g.kernel[i] = 1;
  }
  return a;
}

template <class F> static void for_float(DType t, const F& f) {
  switch (t) {
    case DType::f64: f(double{}); break;
    case DType::f32: f(float{}); break;
    case DType::f16: f(f16{}); break;
    case DType::bf16: f(bf16{}); break;
    default: break;
  }
}

static int64_t output_rows(const ConvGeometry& g) { return g.n * g.c * g.out[0] * g.out[1] * (g.out[2] > 0); }
static int64_t input_rows(const ConvGeometry& g) { return g.n * g.c * g.in[0] * g.in[1] * (g.in[2] > 0); }
static int64_t row_cost(const ConvGeometry& g, int64_t rows) { return g.in[2] * rows + g.out[2] + 64; }

static void average(const Average& given, const void* x, void* y) {
  Average a = flatten_global(given);
  const ConvGeometry& g = a.g;
  int64_t depth = a.adaptive ? ceil_div(g.in[0], g.out[0]) * ceil_div(g.in[1], g.out[1]) : g.kernel[0] * g.kernel[1];
  for_float(g.dtype, [&](auto t) {
    parallel_blocks(output_rows(g), rows_per_task(row_cost(g, depth)),
                    [&](int64_t b, int64_t e) { average_rows<decltype(t)>(a, x, y, b, e); });
  });
}

static void average_bwd(const Average& given, const void* dy, void* dx) {
  const Average a = flatten_global(given);
  for_float(a.g.dtype, [&](auto t) {
    parallel_blocks(input_rows(a.g), rows_per_task(row_cost(a.g, 1)),
                    [&](int64_t b, int64_t e) { average_rows_bwd<decltype(t)>(a, dy, dx, b, e); });
  });
}

void max_pool_fwd(const MaxPoolFwd& a) {
  for_float(a.g.dtype, [&](auto t) {
    parallel_blocks(output_rows(a.g), rows_per_task(row_cost(a.g, a.g.kernel[0] * a.g.kernel[1])),
                    [&](int64_t b, int64_t e) { max_rows<decltype(t)>(a, b, e); });
  });
}

void max_pool_bwd(const MaxPoolBwd& a) {
  int64_t plane = a.g.in[0] * a.g.in[1] * a.g.in[2] + 2 * a.g.out[0] * a.g.out[1] * a.g.out[2];
  for_float(a.g.dtype, [&](auto t) {
    parallel_blocks(a.g.n * a.g.c, rows_per_task(plane), [&](int64_t b, int64_t e) {
      if (a.index_dtype == DType::i32) max_planes_bwd<decltype(t), int32_t>(a, b, e);
      else max_planes_bwd<decltype(t), int64_t>(a, b, e);
    });
  });
}

void avg_pool_fwd(const AvgPoolFwd& a) { average({a.g, false, a.count_include_pad, a.divisor_override}, a.x, a.y); }
void avg_pool_bwd(const AvgPoolBwd& a) { average_bwd({a.g, false, a.count_include_pad, a.divisor_override}, a.dy, a.dx); }
void adaptive_avg_pool_fwd(const AdaptiveAvgPoolFwd& a) { average({a.g, true, false, 0}, a.x, a.y); }
void adaptive_avg_pool_bwd(const AdaptiveAvgPoolBwd& a) { average_bwd({a.g, true, false, 0}, a.dy, a.dx); }

void adaptive_max_pool_fwd(const AdaptiveMaxPoolFwd& a) {
  int64_t depth = ceil_div(a.g.in[0], a.g.out[0]) * ceil_div(a.g.in[1], a.g.out[1]);
  for_float(a.g.dtype, [&](auto t) {
    parallel_blocks(output_rows(a.g), rows_per_task(row_cost(a.g, 8 * depth)),
                    [&](int64_t b, int64_t e) { adaptive_max_rows<decltype(t)>(a, b, e); });
  });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
