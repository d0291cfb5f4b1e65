// SPDX-License-Identifier: MIT
// Sorting's common ground: elements as unsigned keys of the same order, pairs of a key and its position, and what is done
// with them: least-significant-digit radix sort (Knuth, TAOCP 3, 5.2.5), sort by counting ranks, selection by digits.
#pragma once
#include "rows.h"

namespace lamella {
namespace LAMELLA_ISA {

// ---- keys ---------------------------------------------------------------------------------------------------------------
// Equal elements have equal keys: -0 and 0 do, and all NaN, which are greatest (all ones).
template <class T> LAMELLA_INLINE auto key_of(T x) {
  if constexpr (__is_same(T, double)) {
    uint64_t b;
    std::memcpy(&b, &x, 8);
    const uint64_t top = uint64_t(1) << 63, key = b ^ (uint64_t(int64_t(b) >> 63) | top), size = b << 1;
    return size > 0xffeull << 52 ? ~uint64_t(0) : size == 0 ? top : key;
  } else if constexpr (__is_same(T, float)) {
    uint32_t b;
    std::memcpy(&b, &x, 4);
    const uint32_t key = b ^ (uint32_t(int32_t(b) >> 31) | 1u << 31), size = b << 1;
    return size > 0xffu << 24 ? ~0u : size == 0 ? 1u << 31 : key;
  } else if constexpr (__is_same(T, bf16) || __is_same(T, f16)) {
    return key_of(up(x));
  } else if constexpr (sizeof(T) == 8) {
    return uint64_t(x) ^ uint64_t(1) << 63;
  } else {
    return uint32_t(int32_t(x)) ^ 1u << 31;
  }
}
template <class T> using key_for = decltype(key_of(T{}));

template <class F> LAMELLA_INLINE void by_dtype(DType t, const F& f) {
  switch (t) {
    case DType::i64: f(int64_t{}); break;
    case DType::i32: f(int32_t{}); break;
    case DType::i16: f(int16_t{}); break;
    case DType::i8: f(int8_t{}); break;
    case DType::u8:
    case DType::b8: f(uint8_t{}); break;
    default: by_float(t, f);
  }
}

// How elements of a dtype become keys, turned round where the greatest is to come first: sorting is written in keys alone, for their
// two sizes. Function calls are for many elements.
template <class K> struct KeyMaker {
  void (*write)(const void* x, int64_t n, bool descending, K* to);
  int size;  // of an element
  bool descending;
  // Those of elements [begin, end) of x.
  void operator()(const void* x, int64_t begin, int64_t end, K* to) const {
    write(static_cast<const char*>(x) + begin * size, end - begin, descending, to);
  }
};
template <class T> static void write_keys(const void* x, int64_t n, bool descending, key_for<T>* to) {
  const key_for<T> turn = key_for<T>(0) - key_for<T>(descending);
  for (int64_t i = 0; i < n; ++i) to[i] = key_of(static_cast<const T*>(x)[i]) ^ turn;
}
// f(KeyMaker) of a dtype.
template <class F> LAMELLA_INLINE void by_key(DType t, bool descending, const F& f) {
  KeyMaker<uint32_t> narrow{nullptr, size_of(t), descending};
  KeyMaker<uint64_t> wide{nullptr, size_of(t), descending};
  by_dtype(t, [&](auto v) {
    using T = decltype(v);
    if constexpr (sizeof(T) == 8) wide.write = write_keys<T>;
    else narrow.write = write_keys<T>;
  });
  if (wide.write) f(wide);
  else f(narrow);
}

// y[i] = x[indices[i]], of elements of `size` bytes.
static void take_elements(int size, const void* x, const int64_t* indices, int64_t n, void* y) {
  by_size(size, [&](auto v) {
    using T = decltype(v);
    for (int64_t i = 0; i < n; ++i) static_cast<T*>(y)[i] = static_cast<const T*>(x)[indices[i]];
  });
}
// Row `row` of n elements, of `size` bytes each.
LAMELLA_INLINE const void* row_of(const void* x, int64_t row, int64_t n, int size) { return static_cast<const char*>(x) + row * n * size; }
LAMELLA_INLINE void* row_of(void* x, int64_t row, int64_t n, int size) { return static_cast<char*>(x) + row * n * size; }

// ---- pairs --------------------------------------------------------------------------------------------------------------
// All pairs of a row differ, so that any sort of them is stable. The key of a Narrow one is below 2^32.
struct Narrow {
  uint64_t bits;
  LAMELLA_INLINE Narrow() {}
  LAMELLA_INLINE Narrow(uint64_t key, int64_t at) : bits(key << 32 | uint64_t(at)) {}
  LAMELLA_INLINE int64_t at() const { return int64_t(uint32_t(bits)); }
  LAMELLA_INLINE unsigned digit(int d) const { return uint8_t(bits >> (32 + 8 * d)); }
  LAMELLA_INLINE bool operator<(const Narrow& o) const { return bits < o.bits; }
};
struct WidePair {
  uint64_t key;
  int64_t position;
  LAMELLA_INLINE WidePair() {}
  LAMELLA_INLINE WidePair(uint64_t key, int64_t at) : key(key), position(at) {}
  LAMELLA_INLINE int64_t at() const { return position; }
  LAMELLA_INLINE unsigned digit(int d) const { return uint8_t(key >> (8 * d)); }
  LAMELLA_INLINE bool operator<(const WidePair& o) const { return key < o.key || (key == o.key && position < o.position); }
};

// Digits of eight bits that numbers up to `range` have.
LAMELLA_INLINE int digits_of(uint64_t range) { return range ? (71 - __builtin_clzll(range)) / 8 : 0; }

template <class K> struct Range {
  K low = K(~K(0)), high = 0;
  LAMELLA_INLINE void add(Range o) {
    low = low < o.low ? low : o.low;
    high = high > o.high ? high : o.high;
  }
};
template <class K> static Range<K> range_of(const K* keys, int64_t n) {
  Range<K> r;
  for (int64_t i = 0; i < n; ++i) {
    r.low = keys[i] < r.low ? keys[i] : r.low;
    r.high = keys[i] > r.high ? keys[i] : r.high;
  }
  return r;
}
// f(Narrow or WidePair) for keys of that range, from its lower end on.
template <class K, class F> LAMELLA_INLINE void by_pair(Range<K> r, const F& f) {
  if (sizeof(K) == 8 && uint64_t(r.high - r.low) >> 32) f(WidePair());
  else f(Narrow());
}

// ---- sorting what is in cache -------------------------------------------------------------------------------------------
constexpr int64_t kRanked = 128;  // up to so many, counting smaller ones is the quickest

static void rank_sort(Narrow* p, int64_t n) {
  constexpr int64_t L = kLanes<int64_t>;
  alignas(64) int64_t key[kRanked], rank[kRanked];
  Narrow sorted[kRanked];
  const int64_t all = ceil_div(n, L) * L;
  for (int64_t i = 0; i < n; ++i) key[i] = int64_t(p[i].bits ^ 1ull << 63);
  for (int64_t i = n; i < all; ++i) key[i] = int64_t(~0ull >> 1);
  for (int64_t i = 0; i < all; i += L) {
    vec<int64_t> mine, r = {};
    std::memcpy(&mine, key + i, sizeof mine);
    for (int64_t j = 0; j < n; ++j) r -= vec<int64_t>(key[j] - vec<int64_t>{} < mine);
    std::memcpy(rank + i, &r, sizeof r);
  }
  for (int64_t i = 0; i < n; ++i) sorted[rank[i]] = p[i];
  std::memcpy(p, sorted, size_t(n) * sizeof(Narrow));
}
static void rank_sort(WidePair* p, int64_t n) {
  for (int64_t i = 1; i < n; ++i) {  // by insertion
    const WidePair x = p[i];
    int64_t j = i;
    for (; j > 0 && x < p[j - 1]; --j) p[j] = p[j - 1];
    p[j] = x;
  }
}

// Keys have `digits` digits; the result is in the one of p and q that is returned.
template <class P> static P* sort_pairs(P* p, P* q, int64_t n, int digits) {
  if (n <= (sizeof(P) == 8 ? kRanked : 32)) {
    rank_sort(p, n);
    return p;
  }
  uint32_t count[8][256];
  std::memset(count, 0, size_t(digits) * sizeof count[0]);
  for (int64_t i = 0; i < n; ++i)
    for (int d = 0; d < digits; ++d) ++count[d][p[i].digit(d)];
  for (int d = 0; d < digits; ++d) {
    uint32_t* c = count[d];
    if (c[p[0].digit(d)] == n) continue;
    uint32_t sum = 0;
    for (int b = 0; b < 256; ++b) {
      const uint32_t here = c[b];
      c[b] = sum;
      sum += here;
    }
    for (int64_t i = 0; i < n; ++i) q[c[p[i].digit(d)]++] = p[i];
    P* const t = p;
    p = q;
    q = t;
  }
  return p;
}

// ---- selection ----------------------------------------------------------------------------------------------------------
// The k-th smallest key (k from 0) of n; the keys are overwritten.
template <class K> static K select_key(K* keys, K* other, int64_t n, int64_t k) {
  const Range<K> r = range_of(keys, n);
  int shift = r.high == r.low ? -1 : 64 - __builtin_clzll(uint64_t(K(r.high - r.low))) - 8;
  if (shift < 0 && r.high != r.low) shift = 0;
  K base = r.low;
  for (; shift >= 0; shift = shift == 0 ? -1 : shift < 8 ? 0 : shift - 8) {
    if (n <= 32) break;
    uint32_t count[4][256] = {};  // four, lest equal digits wait for one another
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
      for (int u = 0; u < 4; ++u) ++count[u][uint8_t(K(keys[i + u] - base) >> shift)];
    for (; i < n; ++i) ++count[0][uint8_t(K(keys[i] - base) >> shift)];
    unsigned digit = 0;
    for (;; ++digit) {
      const int64_t here = int64_t(count[0][digit]) + count[1][digit] + count[2][digit] + count[3][digit];
      if (k < here) break;
      k -= here;
    }
    int64_t kept = 0;
    for (i = 0; i < n; ++i) {
      other[kept] = keys[i];
      kept += uint8_t(K(keys[i] - base) >> shift) == digit;
    }
    // what is kept shares all bits from `shift` on: the next digit is read below them
    n = kept;
    K* const t = keys;
    keys = other;
    other = t;
    base += K(digit) << shift;
  }
  for (int64_t i = 1; i < n && n <= 32; ++i) {
    const K x = keys[i];
    int64_t j = i;
    for (; j > 0 && x < keys[j - 1]; --j) keys[j] = keys[j - 1];
    keys[j] = x;
  }
  return keys[n <= 32 ? k : 0];
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
