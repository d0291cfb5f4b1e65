// SPDX-License-Identifier: MIT
#include "resize.h"
#include <algorithm>
#include <cmath>
#include "dispatch/dispatch.h"
#include "param.h"

namespace lamella::ops {
namespace {

// ---- maps along one dimension --------------------------------------------------------------------------------------
struct Map {
  int64_t n, m;
  std::vector<int64_t> start, index;
  std::vector<double> weight;

  Map(int64_t n, int64_t m) : n(n), m(m) { start.push_back(0); }
  void add(int64_t i, double w) {
    index.push_back(i);
    weight.push_back(w);
  }
  void end_output() { start.push_back(int64_t(index.size())); }

  Map transposed() const {
    Map t(m, n);
    t.start.assign(size_t(n + 1), 0);
    for (int64_t i : index) ++t.start[size_t(i + 1)];
    for (int64_t i = 0; i < n; ++i) t.start[size_t(i + 1)] += t.start[size_t(i)];
    std::vector<int64_t> next(t.start);
    t.index.resize(index.size());
    t.weight.resize(index.size());
    for (int64_t o = 0; o < m; ++o)
      for (int64_t k = start[size_t(o)]; k < start[size_t(o + 1)]; ++k) {
        const auto at = size_t(next[size_t(index[size_t(k)])]++);
        t.index[at] = o;
        t.weight[at] = weight[size_t(k)];
      }
    return t;
  }
};

double linear_filter(double x) { return std::max(0.0, 1 - std::abs(x)); }

// Keys (1981); `a` is the slope at distance 1.
double cubic_filter(double x, double a) {
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((x - 5) * x + 8) * x * a - 4 * a : 0;
}

// Pillow's: the filter is stretched where outputs are fewer, and cut and scaled to a sum of one at the edges.
void antialiased(Map& map, double step, bool cubic) {
  const double stretch = std::max(step, 1.0), support = (cubic ? 2.0 : 1.0) * stretch;
  for (int64_t o = 0; o < map.m; ++o) {
    const double centre = step * (double(o) + 0.5);
    const int64_t begin = std::max<int64_t>(int64_t(centre - support + 0.5), 0);
    const int64_t end = std::min<int64_t>(int64_t(centre + support + 0.5), map.n);
    double sum = 0;
    std::vector<double> w;
    for (int64_t i = begin; i < end; ++i) {
      const double x = (double(i) - centre + 0.5) / stretch;
      w.push_back(cubic ? cubic_filter(x, -0.5) : linear_filter(x));
      sum += w.back();
    }
    for (int64_t i = begin; i < end; ++i) map.add(i, w[size_t(i - begin)] / sum);
    map.end_output();
  }
}

// Output o reads around its place in the input: o step, (o + 0.5) step - 0.5, or with corners aligned o (n - 1) / (m - 1).
Map map_of(int64_t n, int64_t m, const ResizeOptions& o, double scale) {
  Map map(n, m);
  const bool cubic = o.mode == "cubic";
  const double step = o.align_corners ? (m > 1 ? double(n - 1) / double(m - 1) : 0) : scale > 0 ? 1 / scale : double(n) / double(m);
  if (o.antialias) {
    antialiased(map, step, cubic);
    return map;
  }
  for (int64_t i = 0; i < m; ++i, map.end_output()) {
    if (n == m && !cubic) {  // a copy, whatever the scale
      map.add(i, 1);
      continue;
    }
    if (o.mode == "nearest" || o.mode == "nearest-exact") {
      // As PyTorch in float32, whose rounding decides between neighbours
      const float at = (float(i) + (o.mode == "nearest" ? 0.0f : 0.5f)) * float(step);
      map.add(std::min(int64_t(std::floor(at)), n - 1), 1);
      continue;
    }
    double at = o.align_corners ? double(i) * step : (double(i) + 0.5) * step - 0.5;
    if (!cubic) at = std::min(std::max(at, 0.0), double(n - 1));
    const double low = std::floor(at), part = at - low;
    const auto clamped = [&](int64_t k) { return std::min(std::max<int64_t>(int64_t(low) + k, 0), n - 1); };
    if (cubic)
      for (int64_t k = -1; k <= 2; ++k) map.add(clamped(k), cubic_filter(double(k) - part, -0.75));
    else {
      map.add(clamped(0), 1 - part);
      if (part > 0) map.add(clamped(1), part);
    }
  }
  return map;
}

// ---- one call of the kernel ----------------------------------------------------------------------------------------
// A map as the kernel takes it, with weights in `wide`; an identity where there is none.
struct Held {
  std::vector<float> narrow;
  Taps taps;
  Held(const Map& map, DType wide) : taps{map.n, map.m, map.start.data(), map.index.data(), map.weight.data()} {
    if (wide == DType::f64) return;
    narrow.assign(map.weight.begin(), map.weight.end());
    taps.weight = narrow.data();
  }
  explicit Held(int64_t n) : taps{n, n, nullptr, nullptr, nullptr} {}
};

void call(const Array& x, Array& y, int64_t outer, const Held& rows, const Held& cols, int64_t inner = 1) {
  kernels().resize({x.dtype, outer, inner, rows.taps, cols.taps, x.data(), y.data()});
}

// x (n, c, ...) mapped along each of its last dimensions.
Array apply(const Array& x, const std::vector<Map>& maps) {
  const DType wide = wide_dtype(x.dtype);
  std::vector<Held> held;
  for (const Map& map : maps) held.emplace_back(map, wide);
  Shape shape{x.shape[0], x.shape[1]};
  for (const Map& map : maps) shape.push(map.m);
  const int64_t planes = x.shape[0] * x.shape[1];
  if (maps.size() == 2 && x.is_channels_last()) {
    Array y = empty_channels_last(shape, x.dtype);
    call(x, y, x.shape[0], held[0], held[1], x.shape[1]);
    return y;
  }
  const Array from = contiguous(x);
  Array y = empty(shape, x.dtype);
  if (maps.size() == 1) call(from, y, planes, Held(1), held[0]);
  else if (maps.size() == 2) call(from, y, planes, held[0], held[1]);
  else {
    const bool first = maps[0].m < maps[0].n;  // depth first where it becomes less
    Shape between = first ? x.shape : shape;
    between[2] = first ? maps[0].m : maps[0].n;
    Array half = empty(between, x.dtype);
    if (first) call(from, half, planes, held[0], Held(maps[1].n * maps[2].n));
    call(first ? half : from, first ? y : half, planes * between[2], held[1], held[2]);
    if (!first) call(half, y, planes, held[0], Held(maps[1].m * maps[2].m));
  }
  return y;
}

std::vector<Map> maps_of(const Shape& input, const Dims& size, const ResizeOptions& o) {
  std::vector<Map> maps;
  for (int i = 0; i < size.n; ++i)
    maps.push_back(map_of(input[2 + i], size[i], o, size_t(i) < o.scales.size() ? o.scales[size_t(i)] : 0));
  return maps;
}

}  // namespace

Array resize(const Array& x, const Dims& size, const ResizeOptions& o) {
  check_floating("interpolate", x);
  for (int i = 0; i < size.n; ++i)
    check<ValueError>(size[i] > 0 && x.shape[2 + i] > 0, "[interpolate] size must be positive for a non-empty input, got ",
                      size, " and ", x.shape);
  return apply(x, maps_of(x.shape, size, o));
}

Array resize_grad(const Array& dy, const Shape& input, const ResizeOptions& o) {
  Dims size;
  for (int i = 2; i < dy.ndim(); ++i) size.push(dy.shape[i]);
  std::vector<Map> maps;
  for (const Map& map : maps_of(input, size, o)) maps.push_back(map.transposed());
  return apply(dy, maps);
}

}  // namespace lamella::ops
