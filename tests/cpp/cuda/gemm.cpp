// SPDX-License-Identifier: MIT
// gemm and gemm_int8 against plain loops in double: every path of the dispatch, layouts, edges, epilogues.
#include "cuda/gemm.h"
#include "cuda/gemm_product.cuh"
#include "check.h"
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <random>
#include <string>
#include <vector>

using namespace lamella;

namespace {

std::mt19937 dice(7);
int draw(int n) { return int(dice() % unsigned(n)); }

template <class T> T store(double x) { if constexpr (sizeof(T) == 2) return T::from(float(x)); else return T(x); }
template <class T> double value(T x) { if constexpr (sizeof(T) == 2) return x.to(); else return double(x); }

// Memory at 16 bytes plus `shift` elements, with guards whose change is an error.
template <class T> struct Memory {
  std::vector<T> raw;
  T* p;
  size_t n;
  explicit Memory(size_t count, int shift = 0) : raw(count + 64), n(count) {
    std::fill(raw.begin(), raw.end(), store<T>(77));
    p = raw.data();
    while (reinterpret_cast<uintptr_t>(p) % 16) ++p;
    p += 16 + shift;
  }
  bool intact() const {
    for (const T& x : raw)
      if ((&x < p || &x >= p + n) && value(x) != 77) return false;
    return true;
  }
};

double activated(Act act, double x) {
  switch (act) {
    case Act::relu: return x > 0 || x != x ? x : 0;
    case Act::gelu: return x * 0.5 * std::erfc(-x * std::sqrt(0.5));
    case Act::gelu_tanh: return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Act::silu: return x / (1 + std::exp(-x));
    case Act::sigmoid: return 1 / (1 + std::exp(-x));
    case Act::tanh: return std::tanh(x);
    default: return x;
  }
}

struct Case {
  int64_t m, n, k;
  char a = 'n', b = 'n';              // n: k adjacent in a, n in b; t: the other; p: rows padded to an odd pitch; s: no unit stride
  bool accumulate = false;
  BiasAxis axis = BiasAxis::none;
  Act act = Act::none;
  std::vector<int64_t> batch = {};
  std::string shared = "";            // batch dims that a or b lacks: "a0", "b0", "b1", ...
  int shift = 0, c_pad = 0;
};

template <class T> void run(const Case& t, bool integers = true) {
  int64_t count = 1;
  for (int64_t x : t.batch) count *= x;
  Gemm g{};
  g.dtype = dtype_of<T>::value;
  g.m = t.m; g.n = t.n; g.k = t.k;
  const auto layout = [](char kind, int64_t rows, int64_t cols, int64_t& row, int64_t& col) {
    const auto pad = [](int64_t x) { return (x + 15) / 16 * 16; };
    if (kind == 'n') { row = pad(cols); col = 1; }
    else if (kind == 't') { row = 1; col = pad(rows); }
    else if (kind == 'p') { row = cols | 1; col = 1; }
    else if (kind == 'q') { row = 1; col = rows | 1; }
    else { row = 2 * cols + 1; col = 2; }
    return ((rows + 15) * row + (cols + 15) * col + 15) / 16 * 16;
  };
  const int64_t a_size = layout(t.a, t.m, t.k, g.a_row, g.a_col), b_size = layout(t.b, t.k, t.n, g.b_row, g.b_col);
  g.c_row = t.n + t.c_pad;
  const int64_t c_size = t.m * g.c_row;
  Memory<T> a(size_t(a_size * count), t.shift), b(size_t(b_size * count), t.shift), c(size_t(c_size * count), t.shift),
      bias(size_t(std::max(t.m, t.n)), t.shift);
  const auto fill = [&](Memory<T>& x) {
    for (size_t i = 0; i < x.n; ++i) x.p[i] = store<T>(integers ? draw(5) - 2 : (draw(2001) - 1000) / 1000.0);
  };
  fill(a); fill(b); fill(c); fill(bias);
  g.batch_ndim = int(t.batch.size());
  int64_t at = 1;
  for (int d = g.batch_ndim - 1; d >= 0; --d) {
    const std::string digit = std::to_string(d);
    g.batch[d] = t.batch[size_t(d)];
    g.a_batch[d] = t.shared.find("a" + digit) != std::string::npos ? 0 : at * a_size;
    g.b_batch[d] = t.shared.find("b" + digit) != std::string::npos ? 0 : at * b_size;
    g.c_batch[d] = at * c_size;
    at *= g.batch[d];
  }
  g.a = a.p; g.b = b.p; g.c = c.p;
  g.accumulate = t.accumulate;
  g.bias_axis = t.axis;
  g.bias = t.axis == BiasAxis::none ? nullptr : bias.p;
  g.act = t.act;
  const std::vector<T> before(c.p, c.p + c.n);
  cuda::gemm(g);
  const std::vector<T> after(c.p, c.p + c.n);

  const double epsilon = sizeof(T) == 8 ? 1e-14 : sizeof(T) == 4 ? 1e-6 : std::is_same_v<T, bf16> ? 0.0045 : 6e-4;
  const bool exact = integers && t.act == Act::none && sizeof(T) != 2;
  int64_t wrong = 0;
  for (int64_t z = 0; z < count; ++z) {
    int64_t rest = z, at_a = 0, at_b = 0, at_c = 0;
    for (int d = g.batch_ndim - 1; d >= 0; --d) {
      const int64_t i = rest % g.batch[d];
      rest /= g.batch[d];
      at_a += i * g.a_batch[d]; at_b += i * g.b_batch[d]; at_c += i * g.c_batch[d];
    }
    for (int64_t i = 0; i < t.m; ++i)
      for (int64_t j = 0; j < g.c_row; ++j) {
        const double got = value(c.p[at_c + i * g.c_row + j]), old = value(before[size_t(at_c + i * g.c_row + j)]);
        if (j >= t.n) { wrong += got != old; continue; }
        double sum = 0, size = 1;
        for (int64_t q = 0; q < t.k; ++q) {
          const double x = value(a.p[at_a + i * g.a_row + q * g.a_col]) * value(b.p[at_b + q * g.b_row + j * g.b_col]);
          sum += x; size += std::fabs(x);
        }
        if (t.accumulate) sum += old;
        else {
          if (t.axis == BiasAxis::row) sum += value(bias.p[i]);
          if (t.axis == BiasAxis::column) sum += value(bias.p[j]);
          sum = activated(t.act, sum);
        }
        const double error = std::fabs(got - sum);
        if (!(exact ? error == 0 : error <= epsilon * (std::fabs(sum) + (sizeof(T) == 2 ? 1e-3 : 1) * size))) ++wrong;
      }
  }
  if (wrong || !c.intact()) {
    std::printf("gemm %s m %ld n %ld k %ld %c%c accumulate %d axis %d act %d batch %zu %s shift %d pad %d: %ld wrong\n",
                name_of(g.dtype), long(t.m), long(t.n), long(t.k), t.a, t.b, t.accumulate, int(t.axis), int(t.act), t.batch.size(),
                t.shared.c_str(), t.shift, t.c_pad, long(wrong));
    ++failures();
  }
  if (draw(8)) return;
  std::copy(before.begin(), before.end(), c.p);
  cuda::gemm(g);
  CHECK(std::memcmp(after.data(), c.p, c.n * sizeof(T)) == 0);
}

template <class T> void all_of(bool brief) {
  for (const char* layouts : {"nn", "nt", "tn", "tt", "pn", "nq", "ss", "tp"}) {
    const char a = layouts[0], b = layouts[1];
    for (int64_t m : {2, 63, 64, 65})
      for (int64_t n : {61, 64, 66})
        if (!brief || m == n || draw(6) == 0) run<T>({m, n, m == 65 ? 0 : m == 64 ? 64 : 37, a, b});
    run<T>({130, 140, 72, a, b, true});                                   // copied where unaligned
    run<T>({3, 5, 1100, a, b, false, BiasAxis::column, Act::relu});       // parts
    run<T>({70, 20, 529, a, b, true});
    run<T>({17, 19, 13, a, b, false, BiasAxis::row, Act::none, {2, 3}, "b0"});
    run<T>({17, 19, 13, a, b, false, BiasAxis::column, Act::none, {2, 1, 2}, "a1b2a2"});
    for (int64_t r : {1, 7, 300}) {                                       // vectors
      run<T>({r, 1, 33, a, b, false, BiasAxis::row});
      run<T>({1, r, 130, a, b, true});
      run<T>({1, r % 280, 17000, a, b, false, BiasAxis::column});
      run<T>({r % 280, 1, 1500, a, b, false, BiasAxis::column, Act::none, {2}, "b0"});
    }
    run<T>({5, 1, 0, a, b, false, BiasAxis::row});
    run<T>({9, 20, 1, a, b});
  }
  for (Act act : {Act::relu, Act::gelu, Act::gelu_tanh, Act::silu, Act::sigmoid, Act::tanh})
    for (BiasAxis axis : {BiasAxis::none, BiasAxis::row, BiasAxis::column}) run<T>({20, 24, 16, 'n', 'n', false, axis, act}, false);
  run<T>({1, 40, 24, 'n', 'n', false, BiasAxis::none, Act::none, {6}, "b0"});              // one matrix of six rows
  run<T>({8, 40, 24, 'n', 'n', false, BiasAxis::column, Act::gelu, {6}, "b0"}, false);
  if (!brief) run<T>({4100, 1, 40, 'n', 'n'});
  for (int shift : {1, 8}) run<T>({33, 40, 50, 'n', 't', true, BiasAxis::none, Act::none, {}, "", shift, 3});
  run<T>({33, 40, 50, 'n', 't', true, BiasAxis::none, Act::none, {}, "", 0, 8});
  run<T>({0, 5, 3}); run<T>({5, 0, 3}); run<T>({5, 5, 3, 'n', 'n', false, BiasAxis::none, Act::none, {0}});
  if (!brief) run<T>({1040, 1100, 24, 'n', 'n'}, false);                                  // large tiles; by all forms below
}

void special_values() {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> a(64 * 64, 1), b(64 * 64, 1), c(64 * 64);
  a[3 * 64 + 5] = inf; a[7 * 64 + 1] = nan; b[9 * 64 + 2] = -inf;
  Gemm g{};
  g.dtype = DType::f32; g.m = g.n = g.k = 60;
  g.a = a.data(); g.b = b.data(); g.c = c.data();
  g.a_row = g.b_row = g.c_row = 64; g.a_col = g.b_col = 1;
  g.act = Act::relu;
  cuda::gemm(g);
  CHECK(c[3 * 64] == inf && c[3 * 64 + 2] != c[3 * 64 + 2] && c[7 * 64] != c[7 * 64] && c[2] == 0 && c[0] == 60);
}

void int8_products() {
  const int64_t sizes[][3] = {{1, 1, 33}, {1, 129, 1100}, {2, 31, 64}, {65, 64, 257}, {140, 129, 33},
                              {65, 31, 0}, {64, 1, 1}, {20, 24, 1100}};
  for (const auto& [m, n, k] : sizes)
    for (const char* layouts : {"nt", "nn", "tt", "ss"}) {
      GemmInt8 g{};
      g.m = m; g.n = n; g.k = k;
      const int64_t wide = (std::max({m, n, k}) + 15) / 16 * 16;
      const auto set = [&](char kind, int64_t& row, int64_t& col) {
        row = kind == 'n' ? wide : kind == 't' ? 1 : 2 * wide + 1;
        col = kind == 'n' ? 1 : kind == 't' ? wide : 2;
      };
      set(layouts[0], g.a_row, g.a_col);
      set(layouts[1], g.b_row, g.b_col);
      Memory<int8_t> a(size_t((2 * wide + 1) * wide + 2 * wide)), b(a.n);
      for (size_t i = 0; i < a.n; ++i) { a.p[i] = int8_t(draw(256)); b.p[i] = int8_t(draw(256)); }
      Memory<float> sa(static_cast<size_t>(m)), sb(static_cast<size_t>(n)), bias(static_cast<size_t>(n));
      for (Memory<float>* x : {&sa, &sb, &bias})
        for (size_t i = 0; i < x->n; ++i) x->p[i] = float(draw(100) + 1) / 64;
      g.a = a.p; g.b = b.p;
      Memory<int> c(size_t(m * n));
      Memory<float> f(size_t(m * n));
      g.c = c.p;
      cuda::gemm_int8(g);
      g.c = f.p;
      g.a_scale = sa.p; g.b_scale = sb.p; g.a_scale_step = m % 2; g.b_scale_step = n % 2;
      g.bias = n == 31 ? nullptr : bias.p;
      cuda::gemm_int8(g);
      int wrong = !c.intact() + !f.intact();
      for (int64_t i = 0; i < m; ++i)
        for (int64_t j = 0; j < n; ++j) {
          int sum = 0;
          for (int64_t q = 0; q < k; ++q) sum += int(a.p[i * g.a_row + q * g.a_col]) * b.p[q * g.b_row + j * g.b_col];
          const float want = float(sum) * (sa.p[i * g.a_scale_step] * sb.p[j * g.b_scale_step]) + (g.bias ? bias.p[j] : 0);
          wrong += c.p[i * n + j] != sum || std::fabs(f.p[i * n + j] - want) > 1e-6f * std::fabs(want) + 1e-6f;
        }
      if (wrong) std::printf("gemm_int8 m %ld n %ld k %ld %s: %d wrong\n", long(m), long(n), long(k), layouts, wrong);
      failures() += wrong != 0;
    }
}

}  // namespace

// Both sizes of tile, whatever gemm would choose.
template <class T, class F> void tiles(const F& product) {
  using cuda::Reach;
  for (Reach x : {Reach::along, Reach::across})
    for (Reach y : {Reach::along, Reach::across}) {
      const int64_t m = 130, n = 72, k = 53;
      cuda::Product p{};
      p.m = m; p.n = n; p.k = p.depth = k; p.batch = 1; p.parts = cuda::Divisor(1);
      p.a_row = x == Reach::along ? 64 : 1; p.a_col = x == Reach::along ? 1 : 144;
      p.b_row = y == Reach::along ? 1 : 80; p.b_col = y == Reach::along ? 64 : 1;
      p.c_row = n;
      Memory<T> a(144 * 64), b(80 * 64), c(m * n);
      for (size_t i = 0; i < a.n; ++i) a.p[i] = store<T>(draw(5) - 2);
      for (size_t i = 0; i < b.n; ++i) b.p[i] = store<T>(draw(5) - 2);
      p.a = a.p; p.b = b.p; p.c = c.p; p.c_vector = true;
      product(p, x, y);
      int wrong = !c.intact();
      for (int64_t i = 0; i < m; ++i)
        for (int64_t j = 0; j < n; ++j) {
          double sum = 0;
          for (int64_t q = 0; q < k; ++q) sum += value(a.p[i * p.a_row + q * p.a_col]) * value(b.p[q * p.b_row + j * p.b_col]);
          wrong += value(c.p[i * n + j]) != sum;
        }
      CHECK(wrong == 0);
    }
}

int main() {
  all_of<float>(false);
  all_of<bf16>(false);
  all_of<double>(true);
  all_of<f16>(true);
  special_values();
  tiles<bf16>([](const auto& p, auto a, auto b) { cuda::product_bf16(p, a, b, true); });
  tiles<f16>([](const auto& p, auto a, auto b) { cuda::product_f16(p, a, b, true); });
  tiles<float>([](const auto& p, auto a, auto b) { cuda::product_float(p, a, b, true); });
  tiles<float>([](const auto& p, auto a, auto b) { cuda::product_tf32(p, a, b, true); });
  cuda::allow_tf32(true);
  for (const char* layouts : {"nn", "nt", "tn", "tt", "pn", "ss"}) {
    run<float>({65, 70, 37, layouts[0], layouts[1]});  // small integers are exact in TF32
    run<float>({150, 140, 64, layouts[0], layouts[1]});
    run<float>({20, 40, 600, layouts[0], layouts[1], true});
  }
  cuda::allow_tf32(false);
  int8_products();
  return failures() != 0;
}
