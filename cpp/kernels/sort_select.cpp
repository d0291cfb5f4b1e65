// SPDX-License-Identifier: MIT
// The first k of a row's order, and its k-th element, without sorting the row.
#include "sort_few.h"
#include "sort_key.h"

namespace lamella {
namespace LAMELLA_ISA {

constexpr int64_t kGroup = 64;

// ---- top k --------------------------------------------------------------------------------------------------------------
// The k-th best of the groups' best bounds the row's k-th best: only groups that reach it are looked at again.
// Candidates come in the order of the row, so that of equal ones the first are taken.
template <class P, class T> struct Candidates {
  const T* x;
  P* out;
  uint64_t low;
  key_for<T> bound;
  bool descending;
  int64_t found;
  LAMELLA_INLINE void look(int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const key_for<T> key = key_of(x[i], descending);
      out[found] = P(uint64_t(key) - low, i);
      found += key <= bound;
    }
  }
};

template <class P, class T, class Look>
static void take_top(const TopK& a, int64_t row, Range<key_for<T>> r, const Look& look) {
  P* p = scratch_of<P>(2 * (a.n + 1), 2);
  const T* x = (const T*)a.x + row * a.n;
  Candidates<P, T> c{x, p, r.low, r.high, a.largest, 0};
  look(c);
  const P* sorted = sort_pairs(p, p + a.n + 1, c.found, digits_of(uint64_t(r.high - r.low)));
  for (int64_t i = 0; i < a.k; ++i) {
    const int64_t at = sorted[i].at();
    ((T*)a.values)[row * a.k + i] = x[at];
    a.indices[row * a.k + i] = at;
  }
}
template <class T, class Look> static void top_of_row(const TopK& a, int64_t row, Range<key_for<T>> r, const Look& look) {
  if (uint64_t(r.high - r.low) >> 32) take_top<WidePair, T>(a, row, r, look);
  else take_top<Narrow, T>(a, row, r, look);
}

template <class T> static void top_by_groups(const TopK& a) {
  using K = key_for<T>;
  const int64_t groups = ceil_div(a.n, kGroup);
  K* best = scratch_of<K>(a.outer * groups, 3);
  const T* x = (const T*)a.x;
  parallel_blocks(a.outer * groups, kTask / kGroup, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t row = t / groups, i = t % groups * kGroup, len = least(kGroup, a.n - i);
      const T* from = x + row * a.n + i;
      K low = K(~K(0));
      if (len == kGroup)
        for (int64_t j = 0; j < kGroup; ++j) {
          const K key = key_of(from[j], a.largest);
          low = key < low ? key : low;
        }
      else low = key_range(from, len, a.largest).low;
      best[t] = low;
    }
  });
  parallel(a.outer, [&](int64_t row) {
    const K* mine = best + row * groups;
    K* keys = scratch_of<K>(2 * groups, 0);
    std::memcpy(keys, mine, size_t(groups) * sizeof(K));
    Range<K> r;
    r.high = select_key(keys, keys + groups, groups, a.k - 1);
    for (int64_t g = 0; g < groups; ++g) r.low = mine[g] < r.low ? mine[g] : r.low;
    top_of_row<T>(a, row, r, [&](auto& c) {
      for (int64_t g = 0; g < groups; ++g)
        if (mine[g] <= r.high) c.look(g * kGroup, least((g + 1) * kGroup, a.n));
    });
  });
}

// Of a row of several times kGroup elements: as above, with groups that lie across it, as lanes do. Few blocks reach the bound.
constexpr int64_t kBlock = 16;
template <class T> static void top_by_lanes(const TopK& a, int64_t row, key_for<T>* keys) {
  using K = key_for<T>;
  const T* x = (const T*)a.x + row * a.n;
  K best[kGroup], work[2 * kGroup];
  for (int64_t l = 0; l < kGroup; ++l) best[l] = K(~K(0));
  const auto across = [&](int64_t i, int64_t n) __attribute__((always_inline)) {
    for (int64_t l = 0; l < n; ++l) {
      const K key = keys[i + l] = key_of(x[i + l], a.largest);
      best[l] = key < best[l] ? key : best[l];
    }
  };
  const int64_t whole = a.n / kGroup * kGroup;
  for (int64_t i = 0; i < whole; i += kGroup) across(i, kGroup);
  across(whole, a.n - whole);
  Range<K> r;
  for (int64_t l = 0; l < kGroup; ++l) {
    work[l] = best[l];
    r.low = best[l] < r.low ? best[l] : r.low;
  }
  r.high = select_key(work, work + kGroup, kGroup, a.k - 1);
  top_of_row<T>(a, row, r, [&](auto& c) {
    for (int64_t i = 0; i < a.n; i += kBlock) {
      const int64_t n = least(kBlock, a.n - i);
      bool any = n < kBlock;
      if (n == kBlock)
        for (int64_t l = 0; l < kBlock; ++l) any |= keys[i + l] <= r.high;
      if (any) c.look(i, i + n);
    }
  });
}

template <class T> static void top_by_keys(const TopK& a) {
  using K = key_for<T>;
  parallel_blocks(a.outer, row_grain(a.outer, 4 * a.n), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const T* x = (const T*)a.x + row * a.n;
      K* keys = scratch_of<K>(2 * a.n, 0);
      if (a.k <= kGroup / 4 && a.n >= 4 * kGroup) {
        top_by_lanes<T>(a, row, keys);
        continue;
      }
      Range<K> r;
      for (int64_t i = 0; i < a.n; ++i) {
        keys[i] = key_of(x[i], a.largest);
        r.low = keys[i] < r.low ? keys[i] : r.low;
      }
      r.high = select_key(keys, keys + a.n, a.n, a.k - 1);
      top_of_row<T>(a, row, r, [&](auto& c) { c.look(0, a.n); });
    }
  });
}

void topk(const TopK& a) {
  if (a.k == 0) return;
  if (are_few(a.dtype, a.n)) return sort_few({a.dtype, a.outer, a.n, a.k, a.largest, a.x, a.values, a.indices});
  by_dtype(a.dtype, [&](auto t) {
    using T = decltype(t);
    if (a.k <= a.n / (2 * kGroup)) top_by_groups<T>(a);
    else top_by_keys<T>(a);
  });
}

// ---- k-th ---------------------------------------------------------------------------------------------------------------
void kth(const Kth& a) {
  if (are_few(a.dtype, a.n)) return sort_few({a.dtype, a.outer, a.n, a.n, false, a.x, a.values, a.indices, &a});
  by_dtype(a.dtype, [&](auto t) {
    using T = decltype(t);
    using K = key_for<T>;
    constexpr K nan = K(~K(0));
    parallel_blocks(a.outer, row_grain(a.outer, 4 * a.n), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const T* x = (const T*)a.x + row * a.n;
        K* keys = a.work ? (K*)a.work + row * 2 * a.n : scratch_of<K>(2 * a.n, 0);
        int64_t nans = 0;
        for (int64_t i = 0; i < a.n; ++i) keys[i] = key_of(x[i], false);
        if (is_floating(a.dtype))
          for (int64_t i = 0; i < a.n; ++i) nans += keys[i] == nan;
        int64_t k = a.k;
        if (a.rank == Rank::median) k = nans ? a.n - nans : (a.n - 1) / 2;
        if (a.rank == Rank::nanmedian) k = nans == a.n ? 0 : (a.n - nans - 1) / 2;
        const K key = select_key(keys, keys + a.n, a.n, k);
        int64_t before = 0, at = 0;  // of equal ones, the one a stable sort would put there
        for (int64_t i = 0; i < a.n; ++i) before += key_of(x[i], false) < key;
        for (int64_t left = k - before;; ++at)
          if (key_of(x[at], false) == key && left-- == 0) break;
        ((T*)a.values)[row] = x[at];
        a.indices[row] = at;
      }
    });
  });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
