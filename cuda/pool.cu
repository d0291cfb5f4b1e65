// SPDX-License-Identifier: MIT
// Pooling forward. A thread has one output, or a pack of them where windows are one wide; large windows are shared out to
// several threads, whose parts are joined in a fixed order that depends on shapes alone.
#include "pool.cuh"

namespace lamella::cuda {
namespace {

// A window's greatest element so far and its position in the plane (of less than 2^31 elements); of equal ones the first, of
// several NaN the last, in whatever order they come.
template <class A> struct Greatest {
  A v;
  int at;
  GPU static Greatest none() { return {A(-__builtin_inff()), 0x7fffffff}; }
  GPU void take(A x, int i) {
    if (x > v || (x == v && i < at) || (x != x && (v == v || i > at))) v = x, at = i;
  }
};

struct Out { void *y, *index; bool narrow; };  // index may be null; narrow: int32

GPU void put_index(const Out& o, int64_t i, int at) {
  if (o.narrow) static_cast<int32_t*>(o.index)[i] = at;
  else static_cast<int64_t*>(o.index)[i] = at;
}
GPU int64_t index_at(const Pool& p, const Pool::Place& o, int64_t w) {
  return (((o.n * p.c.d + o.c) * p.out[0] + o.at[0]) * p.out[1] + o.at[1]) * p.out[2] + w;
}

// f(pack, position) for a window's packs: a block of taps is asked for before the first is used.
template <class T, int V, class F>
GPU void each_tap(const Pool& p, const T* plane, const Span& d, const Span& h, const Span& w, const int (&step)[3],
                  const F& f) {
  constexpr int R = 3, C = V == 1 ? 3 : 1;
  const int64_t down_h = step[1] * p.x_stride[3], right = step[2] * p.x_stride[4];
  for (int i = d.begin; i < d.end; i += step[0])
    for (int j = h.begin; j < h.end; j += R * step[1])
      for (int l = w.begin; l < w.end; l += C * step[2]) {
        const T* from = plane + i * p.x_stride[2] + j * p.x_stride[3] + l * p.x_stride[4];
        const int at = (i * p.in[1] + j) * p.in[2] + l;
        Pack<T, V> v[R][C];
#pragma unroll
        for (int r = 0; r < R; ++r)
#pragma unroll
          for (int c = 0; c < C; ++c)
            if (j + r * step[1] < h.end && l + c * step[2] < w.end) v[r][c] = load_pack<T, V>(from + r * down_h + c * right);
#pragma unroll
        for (int r = 0; r < R; ++r)
#pragma unroll
          for (int c = 0; c < C; ++c)
            if (j + r * step[1] < h.end && l + c * step[2] < w.end) f(v[r][c], at + r * step[1] * p.in[2] + c * step[2]);
      }
}

template <class T, int V> __global__ void max_windows(Pool p, const T* x, Out out) {
  using A = acc_t<T>;
  const int64_t e = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (e >= p.total) return;
  const Pool::Place o = p.place(e);
  const int w0 = o.at[2] * V;
  const Span d = p.taps(0, o.at[0]), h = p.taps(1, o.at[1]), w = V == 1 ? p.taps(2, w0) : Pool::cut(w0, w0 + 1);
  Greatest<A> best[V];
#pragma unroll
  for (int k = 0; k < V; ++k) best[k] = Greatest<A>::none();
  each_tap<T, V>(p, x + o.n * p.x_stride[0] + o.c * p.x_stride[1], d, h, w, p.dilation, [&](const Pack<T, V>& v, int at) {
#pragma unroll
    for (int k = 0; k < V; ++k) best[k].take(up(v.v[k]), at + k);
  });
  Pack<T, V> y;
#pragma unroll
  for (int k = 0; k < V; ++k) y.v[k] = down<T>(best[k].v);
  store_pack(static_cast<T*>(out.y) + Pool::offset(p.y_stride, o.n, o.c, o.at[0], o.at[1], w0), y);
  if (!out.index) return;
#pragma unroll
  for (int k = 0; k < V; ++k) put_index(out, index_at(p, o, w0 + k), best[k].at);
}

template <class A> GPU A divided(const Pool& p, A sum, const Span& d, const Span& h, const Span& w) {
  return sum / (p.divisor ? A(p.divisor) : A(d.size) * A(h.size) * A(w.size));
}

template <class T, int V> __global__ void average_windows(Pool p, const T* x, T* y) {
  using A = acc_t<T>;
  const int64_t e = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (e >= p.total) return;
  const Pool::Place o = p.place(e);
  const int w0 = o.at[2] * V, one[3] = {1, 1, 1};
  const Span d = p.window(0, o.at[0]), h = p.window(1, o.at[1]), w = V == 1 ? p.window(2, w0) : Pool::cut(w0, w0 + 1);
  A sum[V] = {};
  each_tap<T, V>(p, x + o.n * p.x_stride[0] + o.c * p.x_stride[1], d, h, w, one, [&](const Pack<T, V>& v, int) {
#pragma unroll
    for (int k = 0; k < V; ++k) sum[k] += up(v.v[k]);
  });
  Pack<T, V> out;
#pragma unroll
  for (int k = 0; k < V; ++k) out.v[k] = down<T>(divided(p, sum[k], d, h, w));
  store_pack(y + Pool::offset(p.y_stride, o.n, o.c, o.at[0], o.at[1], w0), out);
}

// ---- large windows -----------------------------------------------------------------------------------------------------
// `share` threads to a window, each every share-th element of it. across: neighbours in a warp have neighbouring outputs
// (windows one wide); else neighbouring elements of a window.
struct Shared { int share; bool across; };

template <class T, bool kMax> __global__ void large_windows(Pool p, Shared s, const T* x, Out out) {
  using A = acc_t<T>;
  SHARED(A, values, [kThreads]);
  SHARED(int, places, [kThreads]);
  const int t = int(threadIdx.x), outputs = kThreads / s.share;
  const int part = s.across ? t / outputs : t % s.share, mine = s.across ? t % outputs : t / s.share;
  const int step = s.across ? outputs : 1;  // between the threads of a window
  const int64_t e = int64_t(blockIdx.x) * outputs + mine;
  const bool valid = e < p.total;
  const Pool::Place o = p.place(valid ? e : 0);
  Span d, h, w;
  int skip[3] = {1, 1, 1};
  if constexpr (kMax) {
    d = p.taps(0, o.at[0]), h = p.taps(1, o.at[1]), w = p.taps(2, o.at[2]);
    for (int i = 0; i < 3; ++i) skip[i] = p.dilation[i];
  } else {
    d = p.window(0, o.at[0]), h = p.window(1, o.at[1]), w = p.window(2, o.at[2]);
  }
  const auto taps = [](const Span& s, int by) { return unsigned((s.end - s.begin + by - 1) / by); };
  const unsigned wide = taps(w, skip[2]), high = taps(h, skip[1]);
  const uint64_t all = uint64_t(taps(d, skip[0])) * high * wide;
  const T* plane = x + o.n * p.x_stride[0] + o.c * p.x_stride[1];
  Greatest<A> best = Greatest<A>::none();
  if constexpr (!kMax) best.v = 0;
  if (valid)
    for (uint64_t i = unsigned(part); i < all; i += unsigned(s.share)) {
      const uint64_t q = all >> 32 ? i / wide : unsigned(i) / wide, r = all >> 32 ? q / high : unsigned(q) / high;
      const int64_t at_d = d.begin + int64_t(r) * skip[0], at_h = h.begin + int64_t(q - r * high) * skip[1];
      const int64_t at_w = w.begin + int64_t(i - q * wide) * skip[2];
      const A v = up(plane[at_d * p.x_stride[2] + at_h * p.x_stride[3] + at_w * p.x_stride[4]]);
      if constexpr (kMax) best.take(v, int((at_d * p.in[1] + at_h) * p.in[2] + at_w));
      else best.v += v;
    }
  values[t] = best.v;
  if constexpr (kMax) places[t] = best.at;
  for (int half = s.share / 2; half; half /= 2) {
    __syncthreads();
    if (part >= half) continue;
    if constexpr (kMax) {
      best.take(values[t + half * step], places[t + half * step]);
      places[t] = best.at;
    } else best.v += values[t + half * step];
    values[t] = best.v;
  }
  if (!valid || part) return;
  T* y = static_cast<T*>(out.y) + Pool::offset(p.y_stride, o.n, o.c, o.at[0], o.at[1], o.at[2]);
  if constexpr (kMax) {
    *y = down<T>(best.v);
    if (out.index) put_index(out, index_at(p, o, o.at[2]), best.at);
  } else *y = down<T>(divided(p, best.v, d, h, w));
}

// A window that is the whole of the last dims over adjacent memory is one long row: positions stay what they are.
void flatten(Pool& p) {
  if (p.adaptive) return;
  const auto whole = [&](int i) { return p.out[i] == 1 && p.kernel[i] == p.in[i] && p.pad[i] == 0 && p.dilation[i] == 1; };
  for (int i = 1; i >= 0; --i) {
    const int64_t n = int64_t(p.in[2]) * p.in[i];
    if (!whole(2) || !whole(i) || p.x_stride[2 + i] != p.in[2] * p.x_stride[4] || n >> 30) return;
    p.in[2] = p.kernel[2] = int(n);
    p.in[i] = p.kernel[i] = 1;
  }
}

template <bool kMax> void pool(const ConvGeometry& g, Pool p, const void* x, const Out& out) {
  if constexpr (kMax) {
    const bool fits = double(p.in[0]) * p.in[1] * p.in[2] < 0x1p31;
    check<ValueError>(fits, "[max_pool] the spatial dimensions must have less than 2^31 elements on a cuda device, got (",
                      p.in[0], ", ", p.in[1], ", ", p.in[2], ")");
  }
  flatten(p);
  const int64_t size[3] = {p.out[0], p.out[1], p.out[2]};
  int64_t volume = 1;       // of a window, about
  for (int i = 0; i < 3; ++i) volume *= p.adaptive ? ceil_div(p.in[i], p.out[i]) : least(p.kernel[i], p.in[i]);
  by_float(g.dtype, [&](auto t) {
    using T = decltype(t);
    constexpr int V = kPack<T>;
    auto* from = static_cast<const T*>(x);
    const bool packs = packs_along_w(p, V, x, out.y);
    grid_over(p, g, size, p.y_stride, 1);
    const bool pixels = p.by_channel || (p.in[2] > 1 && p.in[2] == p.out[2] && p.kernel[2] == 1);
    if (volume >= 32 && (!pixels || p.total / V < 65536)) {
      const Shared s{pixels ? 8 : volume >= 1024 ? kThreads : volume >= 128 ? 32 : 8, pixels};
      const dim3 grid(unsigned(ceil_div(p.total, kThreads / s.share)));
      launch("pool", large_windows<T, kMax>, grid, dim3(kThreads), 0, p, s, from, out);
      return;
    }
    if (packs) grid_over(p, g, size, p.y_stride, V);
    const dim3 grid(unsigned(ceil_div(p.total, kThreads)));
    if constexpr (kMax) {
      launch("max_pool", packs ? max_windows<T, V> : max_windows<T, 1>, grid, dim3(kThreads), 0, p, from, out);
    } else {
      auto* to = static_cast<T*>(out.y);
      launch("avg_pool", packs ? average_windows<T, V> : average_windows<T, 1>, grid, dim3(kThreads), 0, p, from, to);
    }
  });
}

}  // namespace

void max_pool_fwd(const MaxPoolFwd& a) {
  pool<true>(a.g, pool_of(a.g, false, false, 0), a.x, {a.y, a.index, a.index_dtype == DType::i32});
}
void adaptive_max_pool_fwd(const AdaptiveMaxPoolFwd& a) {
  pool<true>(a.g, pool_of(a.g, true, false, 0), a.x, {a.y, a.index, false});
}
void avg_pool_fwd(const AvgPoolFwd& a) {
  pool<false>(a.g, pool_of(a.g, false, a.count_include_pad, a.divisor_override), a.x, {a.y, nullptr, false});
}
void adaptive_avg_pool_fwd(const AdaptiveAvgPoolFwd& a) {
  pool<false>(a.g, pool_of(a.g, true, false, 0), a.x, {a.y, nullptr, false});
}

}  // namespace lamella::cuda
