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
template <class P, class K> struct Candidates {
  P* out;
  const Range<K> r;  // high: the bound
  int64_t found;
  // keys: those of [begin, end).
  LAMELLA_INLINE void look(const K* keys, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i, ++keys) {
      out[found] = P(*keys - r.low, i);
      found += *keys <= r.high;
    }
  }
};

// look(Candidates) shows what may belong to a row's first k.
template <class K, class Look> static void top_of_row(const TopK& a, int64_t row, int size, Range<K> r, const Look& look) {
  int64_t* const indices = a.indices + row * a.k;
  by_pair(r, [&](auto pair) {
    using P = decltype(pair);
    P* const p = scratch_of<P>(2 * (a.n + 1), 2);
    Candidates<P, K> c{p, r, 0};
    look(c);
    const P* sorted = sort_pairs(p, p + a.n + 1, c.found, digits_of(r.high - r.low));
    for (int64_t i = 0; i < a.k; ++i) indices[i] = sorted[i].at();
  });
  take_elements(size, row_of(a.x, row, a.n, size), indices, a.k, row_of(a.values, row, a.k, size));
}

template <class K> static void top_by_groups(const TopK& a, const KeyMaker<K>& keys_of) {
  constexpr int64_t kAtOnce = 16;
  const int64_t groups = ceil_div(a.n, kGroup);
  K* best = scratch_of<K>(a.outer * groups, 3);
  parallel_blocks(a.outer * groups, kTask / kGroup, [&](int64_t begin, int64_t end) {
    K keys[kAtOnce * kGroup];
    for (int64_t t = begin, count; t < end; t += count) {
      const int64_t row = t / groups, g = t % groups, first = g * kGroup;
      count = least(kAtOnce, least(end - t, groups - g));
      const int64_t stop = least(first + count * kGroup, a.n);
      keys_of(a.x, row * a.n + first, row * a.n + stop, keys);
      for (int64_t i = stop - first; i < count * kGroup; ++i) keys[i] = K(~K(0));
      for (int64_t i = 0; i < count; ++i) {
        K low = K(~K(0));
        for (int64_t j = 0; j < kGroup; ++j) low = keys[i * kGroup + j] < low ? keys[i * kGroup + j] : low;
        best[t + i] = low;
      }
    }
  });
  parallel(a.outer, [&](int64_t row) {
    const K* mine = best + row * groups;
    K* keys = scratch_of<K>(2 * groups, 0);
    std::memcpy(keys, mine, size_t(groups) * sizeof(K));
    Range<K> r;
    r.high = select_key(keys, keys + groups, groups, a.k - 1);
    r.low = range_of(mine, groups).low;
    top_of_row(a, row, keys_of.size, r, [&](auto& c) {
      K some[kGroup];
      for (int64_t g = 0; g < groups; ++g)
        if (mine[g] <= r.high) {
          const int64_t from = g * kGroup, to = least(from + kGroup, a.n);
          keys_of(a.x, row * a.n + from, row * a.n + to, some);
          c.look(some, from, to);
        }
    });
  });
}

// Of a row of several times kGroup elements: as above, with groups that lie across it, as lanes do. Few blocks reach the bound.
constexpr int64_t kBlock = 16;
template <class K> static void top_by_lanes(const TopK& a, int64_t row, int size, const K* keys) {
  K best[kGroup], work[2 * kGroup];
  for (int64_t l = 0; l < kGroup; ++l) best[l] = K(~K(0));
  const auto across = [&](int64_t i, int64_t n) __attribute__((always_inline)) {
    for (int64_t l = 0; l < n; ++l) best[l] = keys[i + l] < best[l] ? keys[i + l] : best[l];
  };
  const int64_t whole = a.n / kGroup * kGroup;
  for (int64_t i = 0; i < whole; i += kGroup) across(i, kGroup);
  across(whole, a.n - whole);
  std::memcpy(work, best, sizeof best);
  Range<K> r;
  r.low = range_of(best, kGroup).low;
  r.high = select_key(work, work + kGroup, kGroup, a.k - 1);
  top_of_row(a, row, size, r, [&](auto& c) {
    for (int64_t i = 0; i < a.n; i += kBlock) {
      const int64_t n = least(kBlock, a.n - i);
      bool any = n < kBlock;
      if (n == kBlock)
        for (int64_t l = 0; l < kBlock; ++l) any |= keys[i + l] <= r.high;
      if (any) c.look(keys + i, i, i + n);
    }
  });
}

template <class K> static void top_by_keys(const TopK& a, const KeyMaker<K>& keys_of) {
  parallel_blocks(a.outer, row_grain(a.outer, 4 * a.n), [&](int64_t begin, int64_t end) {
    K* const keys = scratch_of<K>(3 * a.n, 0);
    for (int64_t row = begin; row < end; ++row) {
      keys_of(a.x, row * a.n, (row + 1) * a.n, keys);
      if (a.k <= kGroup / 4 && a.n >= 4 * kGroup) {
        top_by_lanes(a, row, keys_of.size, keys);
        continue;
      }
      Range<K> r;
      r.low = range_of(keys, a.n).low;
      std::memcpy(keys + a.n, keys, size_t(a.n) * sizeof(K));
      r.high = select_key(keys + a.n, keys + 2 * a.n, a.n, a.k - 1);
      top_of_row(a, row, keys_of.size, r, [&](auto& c) { c.look(keys, 0, a.n); });
    }
  });
}

void topk(const TopK& a) {
  if (a.k == 0) return;
  if (are_few(a.dtype, a.n)) return sort_few({a.dtype, a.outer, a.n, a.k, a.largest, a.x, a.values, a.indices});
  by_key(a.dtype, a.largest, [&](const auto& keys_of) {
    if (a.k <= a.n / (2 * kGroup)) top_by_groups(a, keys_of);
    else top_by_keys(a, keys_of);
  });
}

// ---- k-th ---------------------------------------------------------------------------------------------------------------
template <class K> static void kth_of_rows(const Kth& a, const KeyMaker<K>& keys_of) {
  constexpr K nan = K(~K(0));
  constexpr int64_t kPiece = 1024;
  parallel_blocks(a.outer, row_grain(a.outer, 4 * a.n), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const void* x = row_of(a.x, row, a.n, keys_of.size);
      K* keys = a.work ? (K*)a.work + row * 2 * a.n : scratch_of<K>(2 * a.n, 0);
      keys_of(x, 0, a.n, keys);
      int64_t nans = 0;
      if (is_floating(a.dtype))
        for (int64_t i = 0; i < a.n; ++i) nans += keys[i] == nan;
      int64_t k = a.k;
      if (a.rank == Rank::median) k = nans ? a.n - nans : (a.n - 1) / 2;
      if (a.rank == Rank::nanmedian) k = nans == a.n ? 0 : (a.n - nans - 1) / 2;
      const K key = select_key(keys, keys + a.n, a.n, k);
      int64_t before = 0;
      K some[kPiece];
      for (int64_t i = 0; i < a.n; i += kPiece) {
        const int64_t n = least(kPiece, a.n - i);
        keys_of(x, i, i + n, some);
        for (int64_t j = 0; j < n; ++j) before += some[j] < key;
      }
      int64_t at = -1, left = k - before;  // of equal ones, the one a stable sort would put there
      for (int64_t i = 0; at < 0; i += kPiece) {
        const int64_t n = least(kPiece, a.n - i);
        keys_of(x, i, i + n, some);
        for (int64_t j = 0; j < n && at < 0; ++j)
          if (some[j] == key && left-- == 0) at = i + j;
      }
      a.indices[row] = at;
      take_elements(keys_of.size, x, &at, 1, row_of(a.values, row, 1, keys_of.size));
    }
  });
}

void kth(const Kth& a) {
  if (are_few(a.dtype, a.n)) return sort_few({a.dtype, a.outer, a.n, a.n, false, a.x, a.values, a.indices, &a});
  by_key(a.dtype, false, [&](const auto& keys_of) { kth_of_rows(a, keys_of); });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
