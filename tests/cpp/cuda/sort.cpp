// SPDX-License-Identifier: MIT
// Sort, top k, ranks and search of the CUDA backend on the emulated device, against std::stable_sort.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>
#include "check.h"
#include "cuda/sort_key.cuh"

using namespace lamella;
using I = int64_t;

uint64_t state = 7;
uint64_t draw() { state = state * 6364136223846793005u + 1442695040888963407u; return state >> 33; }

// Few values (many equal), the whole range, or one; among floats NaN of either sign, zeros of either sign, infinities.
enum class Kind { few, wide, one };
template <class T> std::vector<T> numbers(I n, Kind kind) {
  std::vector<T> x(size_t(n), T{});
  for (T& v : x) {
    uint64_t bits = draw() << 33 ^ draw() << 10 ^ draw();
    if constexpr (std::is_same_v<T, bool>) v = bits & 1;
    else if (kind == Kind::wide) std::memcpy(&v, &bits, sizeof v);
    else {
      const int small = kind == Kind::one ? 0 : int(bits % 40) - 20;
      if constexpr (std::is_integral_v<T>) v = T(small);
      else
        v = cuda::down<T>(cuda::acc_t<T>(small == 19 ? std::nan("") : small == 3 ? -0.0 : small == 4 ? 1.0 / 0.0 : small == -5 ? -1.0 / 0.0 : small / 2));
    }
  }
  return x;
}
template <class T> bool less(T a, T b) {  // NaN is the greatest
  const auto x = cuda::up(a), y = cuda::up(b);
  return x < y || (x == x && y != y);
}
template <class T> std::vector<I> order(const T* x, I n, bool descending) {
  std::vector<I> at(size_t(n), 0);
  std::iota(at.begin(), at.end(), 0);
  std::stable_sort(at.begin(), at.end(), [&](I a, I b) { return descending ? less(x[b], x[a]) : less(x[a], x[b]); });
  return at;
}
template <class T> bool same(T a, T b) { return std::memcmp(&a, &b, sizeof a) == 0; }

// values is an array: vector<bool> is none
template <class T> struct Out {
  std::vector<char> bytes;
  std::vector<I> at;
  explicit Out(I n) : bytes(size_t(n) * sizeof(T) + 1, char(0x55)), at(size_t(n), -9) {}
  T* values() { return reinterpret_cast<T*>(bytes.data()); }
  bool holds(const T* x, const I* want, I n, I from) const {
    for (I i = 0; i < n; ++i)
      if (at[size_t(from + i)] != want[i] || !same(reinterpret_cast<const T*>(bytes.data())[from + i], x[want[i]])) return false;
    return true;
  }
};

template <class T> void rows_case(I outer, I n, Kind kind, std::vector<I> ks, bool sorts = true, bool ranks = true) {
  constexpr DType t = dtype_of<T>::value;
  const auto drawn = numbers<std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>>(outer * n, kind);
  std::vector<char> bytes(drawn.size() * sizeof(T) + 1);
  T* x = reinterpret_cast<T*>(bytes.data());
  for (size_t i = 0; i < drawn.size(); ++i) {
    if constexpr (std::is_same_v<T, bool>) x[i] = drawn[i] & 1; else x[i] = drawn[i];
  }
  std::vector<std::vector<I>> up, down;
  for (I r = 0; r < outer; ++r) { up.push_back(order(x + r * n, n, false)); down.push_back(order(x + r * n, n, true)); }
  bool good = true;
  for (bool descending : {false, true}) {
    if (!sorts) break;
    Out<T> y(outer * n), only(outer * n);
    cuda::sort({t, outer, n, x, y.values(), y.at.data(), nullptr, descending});
    cuda::sort({t, outer, n, x, nullptr, only.at.data(), nullptr, descending});
    good = good && y.at == only.at;
    for (I r = 0; r < outer; ++r) good = good && y.holds(x + r * n, (descending ? down : up)[size_t(r)].data(), n, r * n);
  }
  if (!good) std::printf("sort %s (%lld, %lld) kind %d\n", name_of(t), (long long)outer, (long long)n, int(kind));
  CHECK(good);
  for (I k : ks) {
    bool top = true, rank = true;
    for (bool largest : {false, true}) {
      Out<T> y(outer * k);
      cuda::topk({t, outer, n, k, x, y.values(), y.at.data(), largest});
      for (I r = 0; r < outer; ++r) top = top && y.holds(x + r * n, (largest ? down : up)[size_t(r)].data(), k, r * k);
    }
    for (Rank kind_of : {Rank::kth, Rank::median, Rank::nanmedian}) {
      if (!ranks || n == 0 || (k != ks[0] && kind_of != Rank::kth)) continue;
      Out<T> y(outer);
      cuda::kth({t, outer, n, k ? k - 1 : 0, x, y.values(), y.at.data(), nullptr, kind_of});
      for (I r = 0; r < outer; ++r) {
        const I nans = std::count_if(x + r * n, x + r * n + n, [](T v) { return cuda::up(v) != cuda::up(v); });
        const I place = kind_of == Rank::kth ? (k ? k - 1 : 0) : kind_of == Rank::median ? (nans ? n - nans : (n - 1) / 2)
                        : nans == n ? 0 : (n - nans - 1) / 2;
        rank = rank && y.holds(x + r * n, &up[size_t(r)][size_t(place)], 1, r);
      }
    }
    if (!top || !rank)
      std::printf("%s %s (%lld, %lld) k %lld kind %d\n", top ? "kth" : "topk", name_of(t), (long long)outer,
                  (long long)n, (long long)k, int(kind));
    CHECK(top && rank);
  }
}

template <class T> void search_case() {
  for (I n : {0, 1, 2, 63, 64, 257})
    for (bool shared : {false, true})
      for (bool right : {false, true}) {
        const I outer = 3, m = 50;
        auto sorted = numbers<T>((shared ? 1 : outer) * n, Kind::few);
        const auto x = numbers<T>(outer * m, Kind::few);
        for (T& v : sorted) if (cuda::up(v) != cuda::up(v)) v = T{};
        for (I r = 0; r < (shared ? 1 : outer); ++r) std::stable_sort(sorted.begin() + r * n, sorted.begin() + r * n + n, less<T>);
        std::vector<I> y(size_t(outer * m), -1);
        cuda::search_sorted({dtype_of<T>::value, outer, n, m, sorted.data(), x.data(), y.data(), shared, right});
        bool good = true;
        for (I i = 0; i < outer * m; ++i) {
          const T* row = sorted.data() + (shared ? 0 : i / m * n);
          const I want = std::count_if(row, row + n, [&](T v) { return less(v, x[size_t(i)]) || (right && !less(x[size_t(i)], v)); });
          good = good && y[size_t(i)] == want;
        }
        CHECK(good);
      }
}

void keys() {  // of all 16-bit floats: the order of their values
  for (DType t : {DType::f16, DType::bf16})
    for (bool turned : {false, true}) {
      const cuda::SortKey<uint16_t> key(t, turned);
      std::vector<std::pair<float, uint16_t>> all;
      bool good = true;
      for (unsigned b = 0; b < 65536; ++b) {
        const float v = t == DType::f16 ? f16{uint16_t(b)}.to() : bf16{uint16_t(b)}.to();
        good = good && key.is_nan(uint16_t(b)) == (v != v);
        if (v == v) all.push_back({v, key(uint16_t(b))});
        else good = good && key(uint16_t(b)) == (turned ? 0 : 0xffff);
      }
      std::sort(all.begin(), all.end(), [](auto& a, auto& b) { return a.first < b.first; });
      for (size_t i = 1; i < all.size(); ++i) {
        const bool equal = all[i].first == all[i - 1].first;
        const bool less = turned ? all[i].second < all[i - 1].second : all[i].second > all[i - 1].second;
        good = good && (equal ? all[i].second == all[i - 1].second : less);
      }
      CHECK(good);
    }
}

template <class T> void family(bool thorough) {
  for (Kind kind : {Kind::few, Kind::wide}) {
    for (I n : {0, 1, 2, 31, 33, 128}) rows_case<T>(9, n, kind, {std::min<I>(n, 3), n});
    rows_case<T>(2, 129, kind, {7, 129});
  }
  rows_case<T>(2, 513, Kind::few, {100});
  rows_case<T>(1, 1000, Kind::wide, {9});
  const I tile = cuda::sort_tile(dtype_of<T>::value);
  if (thorough) {
    rows_case<T>(1, tile, Kind::wide, {5}, true, false);
    rows_case<T>(1, tile + 1, Kind::few, {1, 3000}, true, false);
    rows_case<T>(2, tile + 977, Kind::wide, {40}, false);
    rows_case<T>(1, tile + 300, Kind::one, {1, 60}, false);
  } else {
    rows_case<T>(1, tile + 20, Kind::few, {50}, false);
  }
  if constexpr (!std::is_same_v<T, bool>) search_case<T>();
}

int main() {
  keys();
  family<float>(true);
  family<double>(true);
  family<bf16>(false);
  family<f16>(false);
  rows_case<float>(256, 2049, Kind::few, {2}, false, false);  // many rows that would fit a block
  rows_case<f16>(1, 40000, Kind::few, {3}, false);  // a row of several stretches
  family<int64_t>(false);
  family<int32_t>(false);
  family<int16_t>(false);
  family<int8_t>(false);
  family<uint8_t>(false);
  family<bool>(false);
  if (!failures()) std::puts("sort, topk, kth, search_sorted: ok");
  return failures() != 0;
}
