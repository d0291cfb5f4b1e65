// SPDX-License-Identifier: MIT
// Stable sort of rows, and binary search in sorted ones. Rows of a few elements are sorted side by side, a lane each. Another row
// is turned into pairs of key and position; rows up to kSortRow are sorted by one task each, in cache; longer ones by all, chunk
// by chunk in every pass.
#include "sort_few.h"
#include "sort_key.h"

namespace lamella {
namespace LAMELLA_ISA {

template <class P, class K> static void write_pairs(const K* keys, int64_t n, K low, int64_t first, P* to) {
  for (int64_t i = 0; i < n; ++i) to[i] = P(keys[i] - low, first + i);
}
template <class P> static void write_positions(const P* pairs, int64_t n, int64_t* to) {
  for (int64_t i = 0; i < n; ++i) to[i] = pairs[i].at();
}

template <class K> static void sort_rows(const Sort& a, const KeyMaker<K>& keys_of) {
  parallel_blocks(a.outer, row_grain(a.outer, a.n * 8), [&](int64_t begin, int64_t end) {
    WidePair* const pairs = scratch_of<WidePair>(2 * a.n, 0);
    K* const keys = scratch_of<K>(a.n, 1);
    for (int64_t row = begin; row < end; ++row) {
      const void* x = row_of(a.x, row, a.n, keys_of.size);
      int64_t* const indices = a.indices + row * a.n;
      keys_of(x, 0, a.n, keys);
      const Range<K> r = range_of(keys, a.n);
      by_pair(r, [&](auto pair) {
        using P = decltype(pair);
        P* const p = (P*)(void*)pairs;
        write_pairs(keys, a.n, r.low, 0, p);
        write_positions(sort_pairs(p, p + a.n, a.n, digits_of(r.high - r.low)), a.n, indices);
      });
      if (a.values) take_elements(keys_of.size, x, indices, a.n, row_of(a.values, row, a.n, keys_of.size));
    }
  });
}

// ---- one long row -------------------------------------------------------------------------------------------------------
// One pass by digit d over chunks of kRow: counts of each chunk, where each chunk's share of each digit goes, then out.
template <class P> static void radix_pass(const P* p, int64_t n, int d, uint64_t* place, P* q) {
  const int64_t chunks = ceil_div(n, kRow);
  parallel(chunks, [&](int64_t c) {
    uint32_t count[4][256] = {};
    const int64_t begin = c * kRow, end = least(begin + kRow, n);
    int64_t i = begin;
    for (; i + 4 <= end; i += 4)
      for (int u = 0; u < 4; ++u) ++count[u][p[i + u].digit(d)];
    for (; i < end; ++i) ++count[0][p[i].digit(d)];
    for (int b = 0; b < 256; ++b) place[c * 256 + b] = uint64_t(count[0][b]) + count[1][b] + count[2][b] + count[3][b];
  });
  uint64_t sum = 0;
  for (int b = 0; b < 256; ++b)
    for (int64_t c = 0; c < chunks; ++c) {
      const uint64_t here = place[c * 256 + b];
      place[c * 256 + b] = sum;
      sum += here;
    }
  parallel(chunks, [&](int64_t c) {
    uint64_t to[256];
    std::memcpy(to, place + c * 256, sizeof to);
    const int64_t end = least((c + 1) * kRow, n);
    for (int64_t i = c * kRow; i < end; ++i) q[to[p[i].digit(d)]++] = p[i];
  });
}

template <class P, class K> static void sort_long_row(const Sort& a, int64_t row, const KeyMaker<K>& keys_of, Range<K> r) {
  const void* x = row_of(a.x, row, a.n, keys_of.size);
  int64_t* const indices = a.indices + row * a.n;
  P *p = (P*)a.work, *q = p + a.n;
  uint64_t* place = scratch_of<uint64_t>(ceil_div(a.n, kRow) * 256, 1);
  parallel_blocks(a.n, kRow, [&](int64_t begin, int64_t end) {
    K* const keys = scratch_of<K>(kRow, 2);
    keys_of(x, begin, end, keys);
    write_pairs(keys, end - begin, r.low, begin, p + begin);
  });
  for (int d = 0, digits = digits_of(r.high - r.low); d < digits; ++d) {
    radix_pass(p, a.n, d, place, q);
    P* const t = p;
    p = q;
    q = t;
  }
  parallel_blocks(a.n, kRow, [&](int64_t begin, int64_t end) {
    write_positions(p + begin, end - begin, indices + begin);
    if (a.values)
      take_elements(keys_of.size, x, indices + begin, end - begin, row_of(row_of(a.values, row, a.n, keys_of.size), 1, begin, keys_of.size));
  });
}

template <class K> static void sort_long(const Sort& a, int64_t row, const KeyMaker<K>& keys_of) {
  const int64_t chunks = ceil_div(a.n, kRow);
  Range<K>* part = scratch_of<Range<K>>(chunks, 0);
  parallel_blocks(a.n, kRow, [&](int64_t begin, int64_t end) {
    K* const keys = scratch_of<K>(kRow, 2);
    keys_of(row_of(a.x, row, a.n, keys_of.size), begin, end, keys);
    part[begin / kRow] = range_of(keys, end - begin);
  });
  Range<K> r = part[0];
  for (int64_t c = 1; c < chunks; ++c) r.add(part[c]);
  by_pair(r, [&](auto pair) { sort_long_row<decltype(pair)>(a, row, keys_of, r); });
}

void sort(const Sort& a) {
  if (are_few(a.dtype, a.n)) return sort_few({a.dtype, a.outer, a.n, a.n, a.descending, a.x, a.values, a.indices});
  by_key(a.dtype, a.descending, [&](const auto& keys_of) {
    if (a.n <= kSortRow) return sort_rows(a, keys_of);
    for (int64_t row = 0; row < a.outer; ++row) sort_long(a, row, keys_of);
  });
}

// ---- search -------------------------------------------------------------------------------------------------------------
// N searches keep step, so that their loads overlap. `right`: the first element above v, else the first not below it.
template <bool right, int N, class T> LAMELLA_INLINE void search_together(const T* row, int64_t n, const T* v, int64_t* y) {
  acc_t<T> want[N];
  const T* at[N];
  for (int u = 0; u < N; ++u) { want[u] = up(v[u]); at[u] = row; }
  for (int64_t left = n; left > 0;) {
    const int64_t half = left >> 1;
#pragma GCC unroll 8
    for (int u = 0; u < N; ++u) {
      const auto x = up(at[u][half]);
      const bool stays = right ? x > want[u] : x >= want[u];
      at[u] += int64_t(!stays) * (left - half);
    }
    left = half;
  }
  for (int u = 0; u < N; ++u) y[u] = at[u] - row;
}
template <bool right, class T> static void search_all(const T* row, int64_t n, const T* v, int64_t* y, int64_t m) {
  int64_t i = 0;
  for (; i + 8 <= m; i += 8) search_together<right, 8>(row, n, v + i, y + i);
  for (; i < m; ++i) search_together<right, 1>(row, n, v + i, y + i);
}

void search_sorted(const SearchSorted& a) {
  by_dtype(a.dtype, [&](auto t) {
    using T = decltype(t);
    const T *sorted = (const T*)a.sorted, *x = (const T*)a.x;
    parallel_blocks(a.outer * a.m, 8192, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end;) {
        const int64_t row = i / a.m, stop = least(end, (row + 1) * a.m);
        const T* from = sorted + (a.shared ? 0 : row * a.n);
        if (a.right) search_all<true>(from, a.n, x + i, a.y + i, stop - i);
        else search_all<false>(from, a.n, x + i, a.y + i, stop - i);
        i = stop;
      }
    });
  });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
