// SPDX-License-Identifier: MIT
// Bags of embedding rows.
#include <algorithm>
#include <vector>
#include "dispatch/dispatch.h"
#include "ops/index.h"
#include "ops/index_check.h"
#include "ops/param.h"
#include "ops/sort.h"

namespace lamella::ops {

// What is planned on the host of index arrays: on a GPU they are fetched for it.
template <class F> static auto planned(const F& f) {
  const On host(Device{});
  return f();
}
static Array fetched(const Array& a) { return a.defined() ? on_host(contiguous(a)) : a; }

Bags bags_of(const Array& index, const Array& offsets, bool last, int64_t rows, int64_t padding_idx) {
  if (!here().is_cpu()) {
    const Device gpu = here();
    const Array i = fetched(index), o = fetched(offsets);
    Bags b = planned([&] { return bags_of(i, o, last, rows, padding_idx); });
    b.start = to_device(b.start, gpu);
    b.index = to_device(b.index, gpu);
    if (b.place) b.place = to_device(*b.place, gpu);
    return b;
  }
  const char* op = "embedding_bag";
  Array all = checked_index(op, index, rows, false);
  check(offsets.ndim() == 1, "[", op, "] offsets must be 1-D, got ", offsets.shape);
  check<TypeError>(is_integer(offsets.dtype), "[", op, "] offsets must have an integer dtype, got ", name_of(offsets.dtype));
  Array given = contiguous(cast(offsets, DType::i64));
  const int64_t count = all.numel(), bags = given.numel() - (last ? 1 : 0);
  check(bags >= 0, "[", op, "] offsets must hold one entry at least with include_last_offset");
  const int64_t *from = given.data<int64_t>(), *i = all.data<int64_t>();
  Bags b{empty({bags + 1}, DType::i64), all, std::nullopt};
  int64_t* start = b.start.data<int64_t>();
  if (bags) check(from[0] == 0, "[", op, "] offsets must begin with 0, got ", from[0]);
  for (int64_t g = 0; g < bags; ++g) {
    const int64_t end = g + 1 < given.numel() ? from[g + 1] : count;
    if (from[g] > end || end > count)  // the text is made here alone
      throw ValueError(text("[", op, "] offsets must ascend and be at most ", count, ", got ", from[g], " at ", g,
                            g + 1 < given.numel() ? text(" before ", end) : ""));
    start[g] = from[g];
  }
  start[bags] = bags ? (bags < given.numel() ? from[bags] : count) : 0;
  if (padding_idx < 0) {
    b.index = all.slice(0, 0, start[bags], 1);
    return b;
  }
  b.index = empty({count}, DType::i64);
  Array where = empty({count}, DType::i64);
  int64_t *kept = b.index.data<int64_t>(), *place = where.data<int64_t>(), n = 0, t = 0;
  for (int64_t g = 0; g < bags; ++g) {
    const int64_t end = start[g + 1];
    start[g] = n;
    for (; t < end; ++t)
      if (i[t] != padding_idx) { kept[n] = i[t]; place[n++] = t; }
  }
  start[bags] = n;
  b.index = b.index.slice(0, 0, n, 1);
  b.place = where.slice(0, 0, n, 1);
  return b;
}

Array bag_numbers(const Array& start, int64_t count) {
  if (!here().is_cpu()) {
    const Device gpu = here();
    const Array s = fetched(start);
    return to_device(planned([&] { return bag_numbers(s, count); }), gpu);
  }
  Array y = empty({count}, DType::i64);
  const int64_t* s = start.data<int64_t>();
  for (int64_t g = 0, bags = start.numel() - 1; g < bags; ++g) std::fill(y.data<int64_t>() + s[g], y.data<int64_t>() + s[g + 1], g);
  return y;
}

Array bag_sum(const Array& start, const Array& index, const std::optional<Array>& weight, const Array& x) {
  const int64_t bags = start.numel() - 1;
  Array w = parameter("embedding_bag", "per_sample_weights", weight, {index.numel()}, wide_dtype(x.dtype));
  Array from = contiguous(x), y = empty({bags, x.shape[1]}, x.dtype);
  kernels().bag_sum({x.dtype, bags, x.shape[1], start.data<int64_t>(), index.data<int64_t>(), data_of(w), from.data(), y.data()});
  return y;
}

static Array row_numbers(int64_t rows) {  // 0 .. rows
  Array y = empty({rows + 1}, DType::i64);
  for (int64_t r = 0; r <= rows; ++r) y.data<int64_t>()[r] = r;
  return y;
}

Array bag_sum_grad(const Array& index, const Array& bag, const std::optional<Array>& weight, const Array& dy, int64_t rows) {
  const int64_t n = index.numel();
  Array start = empty({rows + 1}, DType::i64), of = empty({n}, DType::i64), moved;
  std::optional<Array> w;
  const DType wide = wide_dtype(dy.dtype);
  Array given = parameter("embedding_bag", "per_sample_weights", weight, {n}, wide);
  if (given.defined()) w = empty({n}, wide);
  if (!here().is_cpu()) {  // the same by a stable sort of the rows
    const auto [values, indices] = sort(index, 0, false);
    const Array every = search_sorted(values, to_device(planned([&] { return row_numbers(rows); }), here()), false);
    if (w) w = index_select(given, 0, indices);
    return bag_sum(every, index_select(bag, 0, indices), w, dy);
  }
  int64_t *s = start.data<int64_t>(), *o = of.data<int64_t>();
  const int64_t *i = index.data<int64_t>(), *b = bag.data<int64_t>();
  std::fill_n(s, rows + 1, 0);  // a counting sort by row: bags keep their order
  for (int64_t t = 0; t < n; ++t) ++s[i[t] + 1];
  for (int64_t r = 0; r < rows; ++r) s[r + 1] += s[r];
  std::vector<int64_t> next(s, s + rows);
  for (int64_t t = 0; t < n; ++t) {
    const int64_t at = next[size_t(i[t])]++;
    o[at] = b[t];
    if (w && wide == DType::f64) w->data<double>()[at] = given.data<double>()[t];
    else if (w) w->data<float>()[at] = given.data<float>()[t];
  }
  return bag_sum(start, of, w, dy);
}

std::pair<Array, Array> bag_max(const Array& start, const Array& index, const Array& x) {
  const int64_t bags = start.numel() - 1;
  Array from = contiguous(x), y = empty({bags, x.shape[1]}, x.dtype), winner = empty({bags, x.shape[1]}, DType::i64);
  kernels().bag_max({x.dtype, bags, x.shape[1], start.data<int64_t>(), index.data<int64_t>(), from.data(), y.data(),
                     winner.data<int64_t>()});
  return {y, winner};
}

Array bag_dot(const Array& i, const Array& a, const Array& j, const Array& b) {
  Array ac = contiguous(a), bc = contiguous(b), y = empty({i.numel()}, wide_dtype(a.dtype));
  kernels().bag_dot({a.dtype, i.numel(), a.shape[1], i.data<int64_t>(), j.data<int64_t>(), ac.data(), bc.data(), y.data()});
  return y;
}

}  // namespace lamella::ops
