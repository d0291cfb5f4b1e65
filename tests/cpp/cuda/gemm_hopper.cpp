// SPDX-License-Identifier: MIT
// The Hopper product on the emulated device against a plain sum: every layout, tile, edge and epilogue. Operands are small
// integers, so that sums are exact and results must agree in every bit; activations are compared with a tolerance.
#include "cuda/gemm_hopper.h"
#include <cmath>
#include <cstdlib>
#include <set>
#include <vector>
#include "check.h"
#include "cuda/gemm_hopper.cuh"

using namespace lamella;
using namespace lamella::cuda;

namespace {

void tiles() {
  for (int rows : {1, 2, 7, 16, 17, 40}) for (int cols : {1, 3, 16}) for (int batches : {1, 3}) for (int band : {1, 12, 16}) {
    std::set<int64_t> seen;
    for (int i = 0; i < rows * cols * batches; ++i) {
      const TileAt t = tile_at(i, rows, cols, band);
      CHECK(t.row >= 0 && t.row < rows && t.col >= 0 && t.col < cols && t.batch == i / (rows * cols));
      seen.insert((int64_t(t.batch) * rows + t.row) * cols + t.col);
    }
    CHECK(int(seen.size()) == rows * cols * batches);
  }
  std::set<int> near;  // 128 tiles that run together touch 16 rows and 8 columns
  for (int i = 0; i < 128; ++i) near.insert(tile_at(i, 64, 64, 16).row * 1000 + tile_at(i, 64, 64, 16).col / 8);
  CHECK(near.size() == 16);
  for (int r = 0; r < 64; ++r) for (int piece = 0; piece < 8; ++piece)
    CHECK(uint32_t(piece_at(r, piece)) == swizzle128(uint32_t(r * 128 + piece * 16)));
  static_assert(choose_width(8192, 8192, 1, 132) == 256 && choose_width(2048, 2048, 1, 132) == 256);
  static_assert(choose_width(1024, 1024, 1, 132) == 64 && choose_width(1024, 2048, 1, 132) == 128);
  static_assert(HopperShared<256>::bytes <= 232448 && HopperShared<256>::kStages >= 3);
  static_assert(plan_hopper(8192, 8192, 8192, 1, 132).parts == 1 && plan_hopper(768, 768, 16384, 1, 132).parts == 7);
  static_assert(plan_hopper(256, 256, 256, 1, 132).width == 0 && plan_hopper(4096, 4096, 0, 1, 132).width == 0);
  for (int64_t m : {33, 100, 768, 5000}) for (int64_t n : {64, 1000, 4097}) for (int64_t k : {1, 64, 5000, 70000}) {
    const HopperPlan one = plan_hopper(m, n, k, 2, 132);
    for (int processors : {1, 4, 78, 264}) {  // of these nothing that decides the bits may depend on the processors
      const HopperPlan p = plan_hopper(m, n, k, 2, processors);
      CHECK((p.width == 0) == (one.width == 0) && p.parts == one.parts && p.part_blocks == one.part_blocks);
      if (p.width) CHECK(int64_t(p.parts) * p.part_blocks * 64 >= k && int64_t(p.parts - 1) * p.part_blocks * 64 < k);
    }
  }
}

struct Case {
  int64_t m, n, k, batch = 1;
  bool a_by_columns = false, b_by_columns = false;
  BiasAxis axis = BiasAxis::none;
  Act act = Act::none;
  bool accumulate = false, shared_a = false, shared_b = false;
  int64_t spare_c = 0;  // elements added to c's row
  int at_c = 0;         // elements c begins after an aligned address
  int width = 0;        // the tile expected, or 0
};

double exact(Act act, double x) {
  switch (act) {
    case Act::relu: return x > 0 || x != x ? x : 0;
    case Act::gelu: return x * 0.5 * std::erfc(-x * std::sqrt(0.5));
    case Act::gelu_tanh: return x / (1 + std::exp(-2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Act::silu: return x / (1 + std::exp(-x));
    case Act::sigmoid: return 1 / (1 + std::exp(-x));
    case Act::tanh: return std::tanh(x);
    case Act::none: break;
  }
  return x;
}

int64_t pitch(int64_t n) { return (n + 7) / 8 * 8 + 8; }
template <class T> std::vector<T> numbers(int64_t count, uint32_t state, double scale = 1) {
  std::vector<T> v(size_t(count), T{});
  for (T& x : v) {
    state = state * 1664525u + 1013904223u;
    x = T::from(float(int(state >> 16) % 7 - 3) * float(scale));
  }
  return v;
}

__attribute__((optimize("O3"))) void add(std::vector<float>& to, float x, const float* from) {
  float* y = to.data();
  for (size_t j = 0; j < to.size(); ++j) y[j] += x * from[j];
}

template <class T> bool run(const Case& t, std::vector<T>* keep = nullptr) {
  const int64_t a_pitch = t.a_by_columns ? pitch(t.m) : pitch(t.k), b_pitch = t.b_by_columns ? pitch(t.k) : pitch(t.n);
  const int64_t a_size = a_pitch * (t.a_by_columns ? t.k : t.m), b_size = b_pitch * (t.b_by_columns ? t.n : t.k);
  const int64_t c_row = t.n + t.spare_c, c_size = c_row * t.m;
  const Act act = t.accumulate ? Act::none : t.act;  // as the contract says
  const double scale = t.act == Act::none || t.act == Act::relu ? 1 : 0.125;
  auto a = numbers<T>(a_size * t.batch, 1, scale), b = numbers<T>(b_size * t.batch, 2, scale);
  const auto bias = numbers<T>(std::max(t.m, t.n), 3), before = numbers<T>(c_size * t.batch + 8, 4);
  std::vector<T> c(before);
  if (t.act == Act::none) a[0] = T::from(NAN);
  Gemm g{};
  g.dtype = std::is_same_v<T, bf16> ? DType::bf16 : DType::f16;
  g.m = t.m; g.n = t.n; g.k = t.k;
  g.a = a.data(); g.b = b.data(); g.c = c.data() + t.at_c;
  g.a_row = t.a_by_columns ? 1 : a_pitch; g.a_col = t.a_by_columns ? a_pitch : 1;
  g.b_row = t.b_by_columns ? 1 : b_pitch; g.b_col = t.b_by_columns ? b_pitch : 1;
  g.c_row = c_row;
  g.batch_ndim = t.batch > 1;
  g.batch[0] = t.batch;
  g.a_batch[0] = t.shared_a ? 0 : a_size; g.b_batch[0] = t.shared_b ? 0 : b_size; g.c_batch[0] = c_size;
  g.accumulate = t.accumulate; g.bias_axis = t.axis; g.bias = bias.data(); g.act = t.act;
  if (t.width) CHECK(plan_hopper(t.m, t.n, t.k, t.batch, info().processors).width == t.width);
  if (!gemm_hopper(g)) return false;
  CHECK(emulate::unfinished() == 0);
  std::vector<float> row(size_t(t.n)), straight(size_t(t.k * t.n));  // b of a batch by rows; its sums are exact in float
  int64_t wrong = 0;
  std::vector<bool> written(c.size());
  for (int64_t z = 0; z < t.batch; ++z) {
    for (int64_t l = 0; l < t.k; ++l) for (int64_t j = 0; j < t.n; ++j)
      straight[size_t(l * t.n + j)] = b[size_t(z * g.b_batch[0] + l * g.b_row + j * g.b_col)].to();
    for (int64_t i = 0; i < t.m; ++i) {
      std::fill(row.begin(), row.end(), 0.0f);
      for (int64_t l = 0; l < t.k; ++l)
        add(row, a[size_t(z * g.a_batch[0] + i * g.a_row + l * g.a_col)].to(), straight.data() + l * t.n);
      for (int64_t j = 0; j < t.n; ++j) {
        const size_t at = size_t(t.at_c + z * c_size + i * c_row + j);
        double want = row[size_t(j)];
        if (!t.accumulate && t.axis == BiasAxis::column) want += double(bias[size_t(j)].to());
        if (!t.accumulate && t.axis == BiasAxis::row) want += double(bias[size_t(i)].to());
        if (t.accumulate) want += double(before[at].to());
        const T rounded = T::from(float(exact(act, want)));
        const double got = c[at].to();
        if (scale == 1) wrong += std::isnan(want) ? !std::isnan(got) : c[at].bits != rounded.bits;
        else wrong += !(std::fabs(got - exact(act, want)) <= 1e-5 + std::fabs(got) * (std::is_same_v<T, bf16> ? 0x1p-8 : 0x1p-10));
        written[at] = true;
      }
    }
  }
  for (size_t i = 0; i < c.size(); ++i) wrong += !written[i] && c[i].bits != before[i].bits;
  if (wrong) std::printf("%ld of (%ld, %ld, %ld) x %ld\n", long(wrong), long(t.m), long(t.n), long(t.k), long(t.batch));
  CHECK(wrong == 0);
  if (keep) *keep = c;
  return true;
}

void refused() {
  std::vector<bf16> p(640 * 640, bf16{});
  Gemm g{};
  g.dtype = DType::bf16;
  g.m = 640; g.n = 512; g.k = 64;
  g.a = g.b = p.data(); g.c = p.data();
  g.a_row = g.b_row = g.c_row = 512;
  g.a_col = g.b_col = 1;
  CHECK(gemm_hopper(g));
  const auto no = [&](auto change) { Gemm other = g; change(other); CHECK(!gemm_hopper(other)); };
  no([](Gemm& x) { x.dtype = DType::f32; });
  no([](Gemm& x) { x.k = 0; });
  no([](Gemm& x) { x.m = 0; });
  no([](Gemm& x) { x.n = 16; });
  no([](Gemm& x) { x.m = x.n = 256; });
  no([](Gemm& x) { x.a_row = 513; });
  no([](Gemm& x) { x.b_row = 516; });
  no([](Gemm& x) { x.a_col = 2; });
  no([](Gemm& x) { x.b_col = x.b_row = 0; });
  no([](Gemm& x) { x.a = static_cast<const char*>(x.a) + 2; });
  no([](Gemm& x) { x.batch_ndim = 1; x.batch[0] = 0; });
  no([](Gemm& x) { x.batch_ndim = 1; x.batch[0] = 2; x.a_batch[0] = 65540; x.b_batch[0] = x.c_batch[0] = 65536; });
  no([](Gemm& x) { x.batch_ndim = 2; x.batch[0] = x.batch[1] = 1; });
}

template <class T> void all() {
  for (bool ta : {false, true}) for (bool tb : {false, true}) {
    if (std::is_same_v<T, f16> && ta == tb) continue;
    CHECK((run<T>({.m = 130, .n = 1100, .k = 136, .a_by_columns = ta, .b_by_columns = tb, .spare_c = 4, .width = 256})));
    CHECK((run<T>({.m = 2177, .n = 100, .k = 65, .a_by_columns = ta, .b_by_columns = tb, .spare_c = 4, .width = 128})));
    CHECK((run<T>({.m = 4200, .n = 58, .k = 72, .a_by_columns = ta, .b_by_columns = tb, .spare_c = 6, .width = 64})));
  }
}

}  // namespace

int main() {
  tiles();
  refused();
  all<bf16>();
  all<f16>();
  // Whole tiles; one row or column over; thin.
  CHECK((run<bf16>({.m = 640, .n = 1024, .k = 64})));
  CHECK((run<bf16>({.m = 385, .n = 520, .k = 136})));
  CHECK((run<f16>({.m = 513, .n = 449, .k = 65})));
  CHECK((run<bf16>({.m = 33, .n = 2120, .k = 128})));
  // Where TMA cannot write c: odd rows, an odd start.
  CHECK((run<bf16>({.m = 550, .n = 421, .k = 96, .axis = BiasAxis::column})));
  CHECK((run<bf16>({.m = 550, .n = 421, .k = 96, .accumulate = true})));
  CHECK((run<f16>({.m = 530, .n = 512, .k = 100, .at_c = 3})));
  // Epilogues.
  for (BiasAxis axis : {BiasAxis::none, BiasAxis::column, BiasAxis::row}) {
    CHECK((run<bf16>({.m = 513, .n = 424, .k = 96, .axis = axis, .act = Act::relu})));
    CHECK((run<f16>({.m = 550, .n = 520, .k = 40, .axis = axis})));
  }
  for (Act act : {Act::gelu, Act::gelu_tanh, Act::silu, Act::sigmoid, Act::tanh})
    CHECK((run<bf16>({.m = 515, .n = 424, .k = 128, .axis = BiasAxis::column, .act = act})));
  CHECK((run<f16>({.m = 515, .n = 424, .k = 128, .act = Act::gelu})));
  CHECK((run<bf16>({.m = 520, .n = 600, .k = 96, .b_by_columns = true, .accumulate = true})));
  CHECK((run<f16>({.m = 513, .n = 504, .k = 128, .a_by_columns = true, .axis = BiasAxis::row, .act = Act::relu,
                  .accumulate = true})));
  // Batches, shared operands.
  CHECK((run<bf16>({.m = 130, .n = 136, .k = 72, .batch = 7})));
  CHECK((run<bf16>({.m = 130, .n = 136, .k = 72, .batch = 6, .a_by_columns = true, .axis = BiasAxis::row,
                   .shared_a = true})));
  CHECK((run<f16>({.m = 130, .n = 132, .k = 72, .batch = 6, .b_by_columns = true, .accumulate = true, .shared_b = true,
                  .spare_c = 4})));
  // k in parts.
  CHECK((run<bf16>({.m = 400, .n = 258, .k = 4200, .a_by_columns = true, .axis = BiasAxis::column})));
  CHECK((run<f16>({.m = 129, .n = 131, .k = 4100, .batch = 3, .accumulate = true})));
  // The same bits whatever the tile: the first columns of wider products.
  std::vector<bf16> wide, narrow;
  CHECK((run<bf16>({.m = 2180, .n = 120, .k = 128, .b_by_columns = true, .act = Act::silu, .width = 128}, &wide)));
  CHECK((run<bf16>({.m = 4230, .n = 64, .k = 128, .b_by_columns = true, .act = Act::silu, .width = 64}, &narrow)));
  int64_t unlike = 0;
  for (int i = 0; i < 2180; ++i) for (int j = 0; j < 64; ++j)
    unlike += wide[size_t(i * 120 + j)].bits != narrow[size_t(i * 64 + j)].bits;
  CHECK(unlike == 0);
  return failures() != 0;
}
