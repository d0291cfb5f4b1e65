// SPDX-License-Identifier: MIT
// A few kernels of every ISA of this machine on odd shapes, against plain loops: what the sanitizers run.
#include <cmath>
#include <vector>
#include "check.h"
#include "core/threads.h"
#include "dispatch/dispatch.h"

using namespace lamella;
using Floats = std::vector<float>;

static Floats numbers(size_t n, unsigned seed) {
  Floats v(n);
  for (float& x : v) {
    seed = seed * 1664525u + 1013904223u;
    x = float(int(seed >> 9) % 2001 - 1000) / 500.0f;
  }
  return v;
}

// To the largest of b, or 1.
static bool close(const Floats& a, const Floats& b, float tolerance = 1e-5f) {
  float size = 1;
  for (float v : b) size = std::fmax(size, std::fabs(v));
  for (size_t i = 0; i < a.size(); ++i)
    if (!(std::fabs(a[i] - b[i]) <= tolerance * size)) return false;
  return a.size() == b.size();
}

static void gemm(int64_t m, int64_t n, int64_t k, bool transposed) {
  Floats a = numbers(size_t(m * k), 1), b = numbers(size_t(k * n), 2), c(size_t(m * n)), bias = numbers(size_t(n), 3), want(c);
  Gemm g{};
  g.dtype = DType::f32;
  g.m = m; g.n = n; g.k = k;
  g.a = a.data(); g.b = b.data(); g.c = c.data();
  g.a_row = transposed ? 1 : k; g.a_col = transposed ? m : 1;
  g.b_row = transposed ? 1 : n; g.b_col = transposed ? k : 1;
  g.c_row = n;
  g.bias_axis = BiasAxis::column;
  g.bias = bias.data();
  g.act = Act::relu;
  kernels().gemm(g);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double s = bias[size_t(j)];
      for (int64_t p = 0; p < k; ++p) s += double(a[size_t(i * g.a_row + p * g.a_col)]) * b[size_t(p * g.b_row + j * g.b_col)];
      want[size_t(i * n + j)] = s > 0 ? float(s) : 0.0f;
    }
  CHECK(close(c, want));
}

// last: the result's channels are adjacent, and so are the image's.
static void convolution(int64_t groups, int64_t stride, int64_t c, int64_t k, int64_t h, int64_t w, bool last = false) {
  const int64_t n = 3, r = 3, oh = (h + 2 - r) / stride + 1, ow = (w + 2 - r) / stride + 1;
  Floats x = numbers(size_t(n * c * h * w), 4), f = numbers(size_t(k * c / groups * r * r), 5), y(size_t(n * k * oh * ow)), want(y);
  ConvGeometry g{};
  g.dtype = DType::f32;
  g.n = n; g.c = c; g.k = k; g.groups = groups;
  const int64_t in[3] = {1, h, w}, out[3] = {1, oh, ow};
  for (int d = 0; d < 3; ++d) {
    g.in[d] = in[d]; g.out[d] = out[d];
    g.kernel[d] = d ? r : 1; g.stride[d] = d ? stride : 1; g.pad[d] = d ? 1 : 0; g.dilation[d] = 1;
  }
  const int64_t xs[5] = {c * h * w, last ? 1 : h * w, h * w * (last ? c : 1), w * (last ? c : 1), last ? c : 1};
  const int64_t ys[5] = {k * oh * ow, last ? 1 : oh * ow, oh * ow * (last ? k : 1), ow * (last ? k : 1), last ? k : 1};
  for (int d = 0; d < 5; ++d) g.x_stride[d] = xs[d], g.y_stride[d] = ys[d];
  kernels().conv_fwd({g, x.data(), f.data(), nullptr, y.data(), Act::none});
  Floats dx(x.size()), dw(f.size()), want_dx(x.size());
  std::vector<double> sum_dw(f.size());  // long sums: over all positions
  const int64_t cg = c / groups, kg = k / groups;
  for (int64_t b = 0; b < n; ++b)
    for (int64_t o = 0; o < k; ++o)
      for (int64_t p = 0; p < oh; ++p)
        for (int64_t q = 0; q < ow; ++q) {
          const size_t at = size_t(b * ys[0] + o * ys[1] + p * ys[3] + q * ys[4]);
          for (int64_t i = 0; i < cg * r * r; ++i) {
            const int64_t ch = i / (r * r) + o / kg * cg, u = p * stride + i / r % r - 1, v = q * stride + i % r - 1;
            if (u < 0 || u >= h || v < 0 || v >= w) continue;
            const size_t from = size_t(b * xs[0] + ch * xs[1] + u * xs[3] + v * xs[4]), tap = size_t(o * cg * r * r + i);
            want[at] += x[from] * f[tap];
            want_dx[from] += y[at] * f[tap];
            sum_dw[tap] += double(y[at]) * x[from];
          }
        }
  kernels().conv_bwd_input({g, f.data(), y.data(), dx.data()});
  kernels().conv_bwd_weight({g, x.data(), y.data(), dw.data(), nullptr});
  CHECK(close(y, want));
  CHECK(close(dx, want_dx));
  CHECK(close(dw, Floats(sum_dw.begin(), sum_dw.end())));

  const Floats bias = numbers(size_t(k), 6);
  for (Act act : {Act::relu, Act::gelu}) {
    kernels().conv_fwd({g, x.data(), f.data(), bias.data(), y.data(), act});
    Floats ended(want);
    for (size_t i = 0; i < ended.size(); ++i) {
      const float v = ended[i] + bias[i / size_t(ys[1]) % size_t(k)];
      ended[i] = act == Act::relu ? (v > 0 ? v : 0) : v * 0.5f * (1 + std::erf(v * 0.70710678f));
    }
    CHECK(close(y, ended));
  }
}

static void rows(int64_t n, int64_t cols) {
  Floats x = numbers(size_t(n * cols), 6), y(x.size()), want(x.size()), sum(static_cast<size_t>(n)), want_sum(sum);
  kernels().softmax_fwd({DType::f32, false, n, cols, 1, x.data(), y.data()});
  for (int64_t i = 0; i < n; ++i) {
    double total = 0;
    for (int64_t j = 0; j < cols; ++j) total += std::exp(double(x[size_t(i * cols + j)]));
    for (int64_t j = 0; j < cols; ++j) {
      want[size_t(i * cols + j)] = float(std::exp(double(x[size_t(i * cols + j)])) / total);
      want_sum[size_t(i)] += x[size_t(i * cols + j)];
    }
  }
  CHECK(close(y, want));
  Reduce r{ReduceOp::sum, DType::f32, DType::f32, x.data(), sum.data(), {1, {n}, {{1}, {cols}}}, {1, {cols}, {{0}, {1}}}};
  kernels().reduce(r);
  CHECK(close(sum, want_sum));
  kernels().unary({UnaryOp::tanh, DType::f32, x.data(), y.data(), 0, 0, {1, {n * cols}, {{1}, {1}}}});
  for (size_t i = 0; i < x.size(); ++i) want[i] = float(std::tanh(double(x[i])));
  CHECK(close(y, want, 1e-5f));
}

int main() {
  for (const std::string& isa : isas_for(cpu_features())) {
    set_isa(isa);
    for (int threads : {1, 3}) {
      set_num_threads(threads);
      for (int64_t m : {1, 5, 13, 67})
        for (int64_t n : {1, 16, 33, 130})
          for (int64_t k : {1, 17, 300}) gemm(m, n, k, (m + n + k) % 2);
      gemm(200, 310, 520, false);
      for (int64_t groups : {1, 2, 4})
        for (int64_t stride : {1, 2}) convolution(groups, stride, 4, 8, 9, 7);
      for (int64_t stride : {1, 2}) {
        convolution(1, stride, 3, 9, 40, 67);
        convolution(1, stride, 26, 28, 9, 7);  // many filters
        convolution(1, stride, 26, 80, 15, 29);
        convolution(1, stride, 3, 40, 7, 29, true);  // few channels, adjacent
        convolution(1, stride, 9, 16, 7, 10);        // short rows
        convolution(1, stride, 9, 40, 7, 10, true);
        convolution(1, stride, 16, 48, 13, 18);  // Winograd's way, unless strided
        convolution(2, stride, 64, 96, 14, 11, true);
      }
      for (int64_t cols : {1, 3, 16, 17, 1000}) rows(7, cols);
    }
  }
  return failures() != 0;
}
