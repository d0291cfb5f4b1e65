// SPDX-License-Identifier: MIT
#include "bincount.h"
#include <algorithm>
#include <vector>
#include "elementwise.h"
#include "parallel.h"

namespace lamella::ops {

Array bincount(const Array& x, int64_t least) {
  const Array dense = contiguous(cast(x, DType::i64));
  const int64_t n = dense.numel(), pieces = n / 65536 + 1, each = (n + pieces - 1) / pieces;
  const int64_t* const v = dense.data<int64_t>();
  struct Range { int64_t low = 0, high = -1; };
  std::vector<Range> range(static_cast<size_t>(pieces));
  const auto of_piece = [&](int64_t t, const auto& f) {
    for (int64_t i = t * each, end = std::min(i + each, n); i < end; ++i) f(v[i]);
  };
  parallel(pieces, [&](int64_t t) {
    Range r;
    of_piece(t, [&](int64_t i) { r = {std::min(r.low, i), std::max(r.high, i)}; });
    range[size_t(t)] = r;
  });
  Range all;
  for (const Range& r : range) all = {std::min(all.low, r.low), std::max(all.high, r.high)};
  check<ValueError>(all.low >= 0, "[bincount] input must not be negative, got ", all.low);

  const int64_t bins = std::max(all.high + 1, least);
  Array y = empty({bins}, DType::i64);
  fill_(y, int64_t(0));
  // Tables of their own for tasks, where that is not more to write than there is to count; numbers add in any order.
  const int64_t tables = std::min<int64_t>({8, pieces, bins ? n / bins / 2 + 1 : 1});
  std::vector<int64_t> others(size_t((tables - 1) * bins), 0);
  int64_t* const first = y.data<int64_t>();
  parallel(tables, [&](int64_t t) {
    int64_t* const table = t ? others.data() + (t - 1) * bins : first;
    for (int64_t piece = t; piece < pieces; piece += tables) of_piece(piece, [&](int64_t i) { ++table[i]; });
  });
  for (int64_t t = 0; t + 1 < tables; ++t)
    for (int64_t i = 0; i < bins; ++i) first[i] += others[size_t(t * bins + i)];
  return y;
}

}  // namespace lamella::ops
