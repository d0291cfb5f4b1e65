// SPDX-License-Identifier: MIT
// Gathers, scatters, masks and bags on the device give the CPU's results, whatever path they take and however often
// indices repeat.
#include <algorithm>
#include <vector>
#include "cuda/index.cuh"
#include "dispatch/dispatch.h"
#include "typed.h"

using namespace lamella;
using Indices = std::vector<int64_t>;

static unsigned seed = 1;
static int64_t below(int64_t n) {
  seed = seed * 1664525u + 1013904223u;
  return int64_t(seed >> 4) % n;
}
static Indices some(int64_t count, int64_t n) {
  Indices i(static_cast<size_t>(count));
  for (auto& v : i) v = below(n);
  return i;
}
// Places in order of their key, those of one key in order; the entries left out come last, under key `slots`.
static void sorts() {
  for (int64_t count : {1, 255, 2047, 2048, 2049, 9001})
    for (int64_t slots : {1, 2, 255, 256, 257, 70001}) {
      const Indices index = some(count, slots + 5);
      const cuda::Sorted s({cuda::row_slots(index.data()), 0, count, 3, slots, 5});
      std::vector<std::pair<int64_t, int64_t>> want;
      for (int64_t i = 0; i < count; ++i) {
        const int64_t k = index[size_t(i)];
        want.push_back({k == 5 || k < 3 || k - 3 >= slots ? slots : k - 3, i});
      }
      std::stable_sort(want.begin(), want.end(), [](auto& a, auto& b) { return a.first < b.first; });
      std::vector<uint32_t> key(static_cast<size_t>(count)), at = key;
      cuda::download(key.data(), s.key, key.size() * sizeof(uint32_t));
      cuda::download(at.data(), s.at, at.size() * sizeof(uint32_t));
      bool right = true;
      for (size_t i = 0; i < at.size(); ++i) right &= key[i] == want[i].first && at[i] == want[i].second;
      CHECK(right);
    }
}

static void rows() {
  const int64_t lengths[] = {1, 2, 3, 4, 8, 12, 16, 31, 48, 160};
  for (int64_t bytes : lengths)
    for (int64_t count : {0, 1, 5, 33, 600})
      for (int64_t outer : {1, 3})
        for (int64_t offset : {0, 1, 8}) {
          if (count == 600 && bytes > 16) continue;
          const int64_t n = 41, x_outer = n * bytes + (offset ? bytes : 0);
          const Indices index = some(count, n);
          Typed x(DType::u8, outer * x_outer, offset), y(DType::u8, outer * count * bytes, offset), want = y;
          x.fill(7, 0, 256);
          cuda::gather_rows({outer, count, bytes, x_outer, bytes, index.data(), x.data(), y.data()});
          kernels().gather_rows({outer, count, bytes, x_outer, bytes, index.data(), x.data(), want.data()});
          CHECK(y.same(want) && y.intact());
          // Repeated indices: the last wins.
          y.fill(9, 0, 256);
          Typed to = x;
          cuda::scatter_rows({outer, count, bytes, x_outer, bytes, index.data(), y.data(), x.data()});
          kernels().scatter_rows({outer, count, bytes, x_outer, bytes, index.data(), y.data(), to.data()});
          CHECK(x.same(to) && x.intact());
        }
  // Offsets that are no multiples of a row, all over a wide range.
  Indices at = some(3000, 100000);
  for (auto& v : at) v = v * 7 + 1;
  Typed y(DType::f32, 3000), x(DType::f32, 800000), want = x;
  y.fill(3, -1, 1);
  cuda::scatter_rows({1, 3000, 4, 0, 4, at.data(), y.data(), x.data()});
  kernels().scatter_rows({1, 3000, 4, 0, 4, at.data(), y.data(), want.data()});
  CHECK(x.same(want));
}

static void add_rows() {
  for (int t = 0; t < kDTypes; ++t)
    for (int64_t width : {1, 3, 16})
      for (int64_t count : {0, 1, 7, 100, 513, 2100})
        for (int64_t rows : {1, 9, 1000})
          for (int64_t outer : {1, 2}) {
            if (count > 512 && (rows == 9 || width == 3) && t % 4 != 1) continue;
            if (outer == 2 && (count != 513 && count != 7)) continue;
            if (count > 512 && width == 16 && t % 3 == 2) continue;
            const DType type = DType(t);
            const bool real = is_floating(type), bit = type == DType::b8;
            const Indices index = some(count, rows);
            Typed y(type, outer * rows * width, rows == 9), dy(type, outer * count * width);
            y.fill(1, bit ? 0 : -5, bit ? 1.1 : 5);
            dy.fill(2, bit ? 0 : -5, bit ? 1.1 : 5);
            Typed want = y, again = y;
            const int64_t skip = rows == 9 ? 4 : -1;
            cuda::scatter_add_rows({type, outer, count, rows, width, index.data(), dy.data(), y.data(), skip});
            cuda::scatter_add_rows({type, outer, count, rows, width, index.data(), dy.data(), again.data(), skip});
            kernels().scatter_add_rows({type, outer, count, rows, width, index.data(), dy.data(), want.data(), skip});
            CHECK(y.intact() && y.same(again));
            const bool pieces = count > 512 && count / rows > 100;  // sums of other roundings
            CHECK(pieces && real ? y.close(want, epsilon(type), 1e-3 * (type == DType::f64 ? 1e-9 : 1)) : y.same(want));
          }
  // A not-a-number of one row stays there.
  Typed y(DType::f32, 40), dy(DType::f32, 4 * 600);
  y.fill(1, 0, 1);
  dy.fill(1, 0, 1);
  Indices index(600, 3);
  index[5] = 7;
  dy.set(20, NAN);
  cuda::scatter_add_rows({DType::f32, 1, 600, 10, 4, index.data(), dy.data(), y.data(), -1});
  for (int64_t i = 0; i < 40; ++i) CHECK((y[i] != y[i]) == (i == 28));
}

static void along() {
  struct Shape { int64_t outer, n, m, inner; };
  const Shape shapes[] = {{1, 5, 0, 3}, {1, 1, 1, 1}, {3, 7, 5, 1}, {2, 50, 300, 3}, {2, 4, 900, 1}, {3280, 2, 17, 5},
                          {5, 33, 17, 40}, {1, 3000, 2500, 1}};
  for (const Shape& s : shapes)
    for (int t = 0; t < kDTypes; ++t) {
      if (s.outer > 1000 && t % 4 != 1) continue;
      const DType type = DType(t);
      const bool bit = type == DType::b8, real = is_floating(type);
      const int64_t count = s.outer * s.m * s.inner;
      const Indices index = some(count, s.n);
      Typed x(type, s.outer * s.n * s.inner, 1), y(type, count), want = y;
      x.fill(1, bit ? 0 : -3, bit ? 1.1 : 3);
      cuda::gather_along({size_of(type), s.outer, s.n, s.m, s.inner, index.data(), x.data(), y.data(), nullptr});
      kernels().gather_along({size_of(type), s.outer, s.n, s.m, s.inner, index.data(), x.data(), want.data(), nullptr});
      CHECK(y.same(want) && y.intact());
      for (ScatterOp op : {ScatterOp::put, ScatterOp::add, ScatterOp::prod, ScatterOp::max, ScatterOp::min}) {
        y.fill(2, bit ? 0 : op == ScatterOp::prod ? 0.9 : -3, bit ? 1.1 : op == ScatterOp::prod ? 1.1 : 3);
        if (real && count > 4 && op != ScatterOp::prod) y.set(count / 2, NAN);
        Typed to = x, reference = x;
        cuda::scatter_along({type, op, s.outer, s.n, s.m, s.inner, index.data(), y.data(), to.data(), nullptr});
        kernels().scatter_along({type, op, s.outer, s.n, s.m, s.inner, index.data(), y.data(), reference.data(), nullptr});
        CHECK(to.intact());
        const bool rounds = real && (op == ScatterOp::add || op == ScatterOp::prod);
        CHECK(rounds ? to.close(reference, 60 * epsilon(type), 60 * epsilon(type)) : to.same(reference));
      }
    }
}

static void masks() {
  for (int64_t n : {0, 1, 15, 16, 17, 4095, 4096, 4097, 16384, 16385, 70001})
    for (int offset : {0, 1})
      for (int every : {1, 3, 100000}) {
        Typed mask(DType::b8, n, offset), index(DType::i64, n), want(DType::i64, n);
        for (int64_t i = 0; i < n; ++i) mask.set(i, below(every) == 0);
        int64_t found = -1, count = -1, expected = -1;
        auto* m = static_cast<const bool*>(mask.data());
        cuda::nonzero({n, m, nullptr, &count});
        kernels().nonzero({n, m, static_cast<int64_t*>(want.data()), &expected});
        cuda::nonzero({n, m, static_cast<int64_t*>(index.data()), &found});
        CHECK(found == expected && count == expected && index.intact());
        CHECK(std::memcmp(index.data(), want.data(), size_t(expected) * 8) == 0);
      }
  for (DType type : {DType::u8, DType::bf16, DType::f32, DType::f64})
    for (int64_t rows : {1, 7})
      for (int64_t cols : {1, 5, 16, 48})
        for (int64_t diagonal : {-100, -7, -1, 0, 1, 6, 100})
          for (bool upper : {false, true})
            for (int offset : {0, 1}) {
              Typed x(type, 2 * rows * cols), y(type, 2 * rows * cols, offset), want = y;
              x.fill(5, 1, 9);
              cuda::triangle({size_of(type), upper, 2, rows, cols, diagonal, x.data(), y.data()});
              kernels().triangle({size_of(type), upper, 2, rows, cols, diagonal, x.data(), want.data()});
              CHECK(y.same(want) && y.intact());
            }
}

static void bags() {
  for (DType type : kFloats)
    for (int64_t width : {1, 3, 8, 40, 129, 256})
      for (int64_t bags : {0, 1, 37}) {
        Indices start{0};
        for (int64_t b = 0; b < bags; ++b) start.push_back(start.back() + (b % 5 == 3 ? 0 : below(12)));
        const int64_t count = start.back(), n = 23;
        const Indices index = some(count, n), other = some(count, n);
        const DType wide = type == DType::f64 ? DType::f64 : DType::f32;
        Typed x(type, n * width, width == 40), z(type, n * width), weight(wide, count), y(type, bags * width), want = y;
        x.fill(1, -1, 1);
        z.fill(2, -1, 1);
        weight.fill(3, -1, 1);
        for (const void* w : {static_cast<const void*>(nullptr), static_cast<const void*>(weight.data())}) {
          cuda::bag_sum({type, bags, width, start.data(), index.data(), w, x.data(), y.data()});
          kernels().bag_sum({type, bags, width, start.data(), index.data(), w, x.data(), want.data()});
          CHECK(y.close(want, 2 * epsilon(type), 4 * epsilon(wide)) && y.intact());
        }
        Typed dots(wide, count), products = dots;
        cuda::bag_dot({type, count, width, index.data(), other.data(), x.data(), z.data(), dots.data()});
        kernels().bag_dot({type, count, width, index.data(), other.data(), x.data(), z.data(), products.data()});
        CHECK(dots.close(products, 0, 300 * epsilon(wide)) && dots.intact());
        for (int64_t i = 0; i < n * width; ++i) x.set(i, below(20) ? double(below(6)) : NAN);
        Typed winner(DType::i64, bags * width), winners = winner;
        auto* w = static_cast<int64_t*>(winner.data());
        cuda::bag_max({type, bags, width, start.data(), index.data(), x.data(), y.data(), w});
        w = static_cast<int64_t*>(winners.data());
        kernels().bag_max({type, bags, width, start.data(), index.data(), x.data(), want.data(), w});
        CHECK(y.close(want, 0, 0) && winner.same(winners) && y.intact() && winner.intact());
      }
}

int main() {
  sorts();
  rows();
  add_rows();
  along();
  masks();
  bags();
  return failures() != 0;
}
