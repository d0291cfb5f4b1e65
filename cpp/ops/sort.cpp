// SPDX-License-Identifier: MIT
#include "ops/sort.h"
#include "dispatch/dispatch.h"
#include "ops/elementwise.h"

namespace lamella::ops {
namespace {

// x with `dim` moved to the end, contiguous, and the way back.
struct Rows {
  Array x;
  int dim, last;
  int64_t outer = 1, n;

  Rows(const char* op, const Array& input, int64_t d)
      : dim(normalize_dim(op, d, input.ndim() ? input.ndim() : 1)), last(input.ndim() ? input.ndim() - 1 : 0) {
    x = contiguous(input.ndim() ? input.transpose(dim, last) : input.unsqueeze(0));
    n = x.shape[last];
    check(n < int64_t(1) << 32, "[", op, "] input must have fewer than 2^32 elements along dim, got ", n);
    for (int i = 0; i < last; ++i) outer *= x.shape[i];
  }
  Array result(int64_t size, DType dtype) const {
    Shape shape = x.shape;
    shape[last] = size;
    return empty(shape, dtype);
  }
  Array back(const Array& y, const Array& input) const {
    return input.ndim() ? contiguous(y.transpose(dim, last)) : y.reshape({});
  }
};

Array work_for(const Rows& rows, int64_t bytes) {
  return rows.n > kSortRow && here().is_cpu() ? empty({bytes}, DType::u8) : Array();
}
void* work_of(const Array& work) { return work.defined() ? work.data() : nullptr; }

}  // namespace

Ordered sort(const Array& input, int64_t dim, bool descending) {
  const Rows r("sort", input, dim);
  Array values = r.result(r.n, r.x.dtype), indices = r.result(r.n, DType::i64), work = work_for(r, 32 * r.n);
  if (values.numel())
    kernels().sort({r.x.dtype, r.outer, r.n, r.x.data(), values.data(), indices.data<int64_t>(), work_of(work), descending});
  return {r.back(values, input), r.back(indices, input)};
}

Ordered topk(const Array& input, int64_t k, int64_t dim, bool largest) {
  const Rows r("topk", input, dim);
  check(k >= 0 && k <= r.n, "[topk] k must be in [0, ", r.n, "], the size of dimension ", r.dim, " of input ", input.shape,
        ", got ", k);
  if (r.n > kSortRow && k > r.n / 128 && here().is_cpu()) {  // selection is for rows in cache, or for few
    auto [values, indices] = sort(input, dim, largest);
    if (input.ndim() == 0) return {values, indices};
    return {contiguous(values.slice(r.dim, 0, k, 1)), contiguous(indices.slice(r.dim, 0, k, 1))};
  }
  Array values = r.result(k, r.x.dtype), indices = r.result(k, DType::i64);
  if (values.numel())
    kernels().topk({r.x.dtype, r.outer, r.n, k, r.x.data(), values.data(), indices.data<int64_t>(), largest});
  return {r.back(values, input), r.back(indices, input)};
}

Ordered kth(const Array& input, int64_t k, int64_t dim, bool keepdim, Rank rank) {
  const char* op = rank == Rank::kth ? "kthvalue" : rank == Rank::median ? "median" : "nanmedian";
  const Rows r(op, input, dim);
  check(r.n > 0, "[", op, "] input must have elements along dimension ", r.dim, ", got shape ", input.shape);
  check(rank != Rank::kth || (k >= 1 && k <= r.n), "[kthvalue] k must be in [1, ", r.n, "], got ", k);
  Array values = r.result(1, r.x.dtype), indices = r.result(1, DType::i64), work = work_for(r, 16 * r.n * r.outer);
  if (values.numel())
    kernels().kth({r.x.dtype, r.outer, r.n, k - 1, r.x.data(), values.data(), indices.data<int64_t>(), work_of(work), rank});
  values = r.back(values, input);
  indices = r.back(indices, input);
  if (keepdim || input.ndim() == 0) return {values, indices};
  return {values.squeeze(r.dim), indices.squeeze(r.dim)};
}

Array search_sorted(const Array& sorted, const Array& input, bool right) {
  const bool shared = sorted.ndim() == 1;
  const int last = sorted.ndim() - 1;
  bool fits = sorted.ndim() >= 1 && (shared || sorted.ndim() == input.ndim());
  for (int d = 0; fits && !shared && d < last; ++d) fits = sorted.shape[d] == input.shape[d];
  check(fits, "[searchsorted] sorted_sequence must be 1-D or have the dimensions of input ", input.shape,
        " but for the last, got ", sorted.shape);
  const DType dtype = promote(sorted.dtype, input.dtype);
  const Array s = contiguous(cast(sorted, dtype)), x = contiguous(cast(input, dtype));
  Array y = empty(input.shape, DType::i64);
  const int64_t m = shared || input.ndim() == 0 ? x.numel() : x.shape[last];
  if (x.numel())
    kernels().search_sorted(
        {dtype, x.numel() / m, s.shape[last], m, s.data(), x.data(), y.data<int64_t>(), shared, right});
  return y;
}

}  // namespace lamella::ops
