// SPDX-License-Identifier: MIT
// Linear maps along rows and columns of planes: interpolation of any kind, and (with the map transposed) its gradient.
// Small maps in one pass, both sums nested; where outputs have many taps, one dimension after the other, that first which
// leaves less between them.
#include <cstring>
#include <vector>
#include "device.cuh"

namespace lamella::cuda {
namespace {

// On the device: start (m + 1), index, weight of a map; start null: none.
template <class A> struct Map {
  int64_t n, m;
  const int *start, *index;
  const A* weight;
};

// A map's arrays in one upload, with 32-bit numbers.
template <class A> struct HeldMap {
  std::vector<unsigned char> bytes;
  static std::vector<unsigned char> packed(const Taps& t) {
    if (!t.start) return {};
    const int64_t count = t.start[t.m], words = most(1, t.m + 1 + count);
    const bool fits = t.n < int64_t(1) << 31 && words < int64_t(1) << 31;
    check<ValueError>(fits, "[resize] maps must have less than 2^31 taps, got ", count);
    std::vector<unsigned char> b(size_t(count) * sizeof(A) + size_t(words) * sizeof(int));
    if (count) std::memcpy(b.data(), t.weight, size_t(count) * sizeof(A));
    const auto put = [&](int64_t i, int64_t v) {
      const int word = int(v);
      std::memcpy(b.data() + size_t(count) * sizeof(A) + size_t(i) * sizeof(int), &word, sizeof word);
    };
    for (int64_t i = 0; i <= t.m; ++i) put(i, t.start[i]);
    for (int64_t i = 0; i < count; ++i) put(t.m + 1 + i, t.index[i]);
    return b;
  }
  Uploaded device;
  Map<A> map;
  explicit HeldMap(const Taps& t)
      : bytes(packed(t)), device(bytes.data(), bytes.size()), map{t.n, t.m, nullptr, nullptr, nullptr} {
    if (!t.start) return;
    map.weight = device.template as<A>();
    map.start = reinterpret_cast<const int*>(map.weight + t.start[t.m]);
    map.index = map.start + t.m + 1;
  }
};

// Thread: an output (row, column, pack of V of inner) of P planes of (outer). The taps of a map that is none: o itself.
template <class A, class T, class U, int V, int P>
__global__ void map_planes(Map<A> rows, Map<A> cols, Divisor inner, Divisor m, Divisor group, int64_t outer, const T* x,
                           U* y) {
  int64_t k, c, r;
  const int64_t g = group.divide(m.divide(inner.divide(int64_t(blockIdx.x) * kThreads + threadIdx.x, k), c), r);
  if (g * P >= outer) return;
  const int64_t width = inner.d * V, in = rows.n * cols.n * width, out = rows.m * cols.m * width;
  const int r0 = rows.start ? rows.start[r] : 0, r1 = rows.start ? rows.start[r + 1] : 1;
  const int c0 = cols.start ? cols.start[c] : 0, c1 = cols.start ? cols.start[c + 1] : 1;
  A sum[P][V] = {};
  bool any = false;
  for (int i = r0; i < r1; ++i) {
    const A by_row = rows.start ? rows.weight[i] : A(1);
    if (by_row == 0) continue;
    A row[P][V] = {};
    bool first = true;
    const T* from = x + g * P * in + (rows.start ? int64_t(rows.index[i]) : r) * cols.n * width + k * V;
    for (int j = c0; j < c1; ++j) {
      const A by = cols.start ? cols.weight[j] : A(1);
      if (by == 0) continue;
      const T* at = from + (cols.start ? int64_t(cols.index[j]) : c) * width;
#pragma unroll
      for (int p = 0; p < P; ++p) {
        if (P > 1 && g * P + p >= outer) continue;
        const Pack<T, V> v = load_pack<T, V>(at + p * in);
#pragma unroll
        for (int l = 0; l < V; ++l) row[p][l] = first ? by * up(v.v[l]) : row[p][l] + by * up(v.v[l]);
      }
      first = false;
    }
#pragma unroll
    for (int p = 0; p < P; ++p)
#pragma unroll
      for (int l = 0; l < V; ++l) sum[p][l] = any ? sum[p][l] + by_row * row[p][l] : by_row * row[p][l];
    any = true;
  }
#pragma unroll
  for (int p = 0; p < P; ++p) {
    if (P > 1 && g * P + p >= outer) continue;
    Pack<U, V> v;
#pragma unroll
    for (int l = 0; l < V; ++l) v.v[l] = down<U>(sum[p][l]);
    store_pack(y + (g * P + p) * out + (r * cols.m + c) * width + k * V, v);
  }
}

template <class A, class T, class U>
void map(const Map<A>& rows, const Map<A>& cols, int64_t outer, int64_t inner, const T* x, U* y) {
  constexpr int V = 16 / int(sizeof(T) > sizeof(U) ? sizeof(T) : sizeof(U));
  const auto run = [&](auto kernel, int64_t pack, int64_t planes) {
    const int64_t units = inner / pack, groups = ceil_div(outer, planes);
    const dim3 grid(unsigned(ceil_div(groups * rows.m * cols.m * units, kThreads)));
    launch("resize", kernel, grid, dim3(kThreads), 0, rows, cols, Divisor(units), Divisor(cols.m),
           Divisor(rows.m), outer, x, y);
  };
  if (inner % V == 0 && is_aligned(x) && is_aligned(y)) run(map_planes<A, T, U, V, 1>, V, 1);
  else run(map_planes<A, T, U, 1, 4>, 1, 4);
}

template <class T> void resize_as(const Resize& a) {
  using A = acc_t<T>;
  const HeldMap<A> rows(a.rows), cols(a.cols);
  auto* x = static_cast<const T*>(a.x);
  auto* y = static_cast<T*>(a.y);
  const auto taps = [](const Taps& t) { return t.start ? ceil_div(t.start[t.m], t.m) : 1; };  // of an output, on average
  if (!a.rows.start || !a.cols.start || taps(a.rows) * taps(a.cols) <= 16)
    return map<A, T, T>(rows.map, cols.map, a.outer, a.inner, x, y);
  const int64_t rows_first = a.rows.m * a.cols.n, cols_first = a.rows.n * a.cols.m;
  const int64_t between = least(rows_first, cols_first);
  if (between == 0) return map<A, T, T>(rows.map, cols.map, a.outer, a.inner, x, y);
  Temp half(size_t(a.outer * between * a.inner) * sizeof(A));
  const auto same = [](int64_t n) { return Map<A>{n, n, nullptr, nullptr, nullptr}; };
  if (rows_first <= cols_first) {
    map<A, T, A>(rows.map, same(a.cols.n), a.outer, a.inner, x, half.as<A>());
    map<A, A, T>(same(a.rows.m), cols.map, a.outer, a.inner, half.as<A>(), y);
  } else {
    map<A, T, A>(same(a.rows.n), cols.map, a.outer, a.inner, x, half.as<A>());
    map<A, A, T>(rows.map, same(a.cols.m), a.outer, a.inner, half.as<A>(), y);
  }
}

}  // namespace

void resize(const Resize& a) {
  if (a.outer * a.inner * a.rows.m * a.cols.m == 0) return;
  by_float(a.dtype, [&](auto t) { resize_as<decltype(t)>(a); });
}

}  // namespace lamella::cuda
