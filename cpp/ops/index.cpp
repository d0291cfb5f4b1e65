// SPDX-License-Identifier: MIT
#include "ops/index.h"
#include <algorithm>
#include <atomic>
#include "core/backend.h"
#include "core/threads.h"
#include "dispatch/dispatch.h"
#include "ops/elementwise.h"
#include "ops/index_check.h"

namespace lamella::ops {

static Array zeros(const Shape& shape, DType dtype) {
  Array y = empty(shape, dtype);
  fill_(y, int64_t(0));
  return y;
}

// (outer, n, inner) around `dim`.
struct Split {
  int64_t outer = 1, n = 1, inner = 1;
  Split(const Shape& shape, int dim) {
    for (int i = 0; i < shape.n; ++i) (i < dim ? outer : i == dim ? n : inner) *= shape[i];
  }
};

// f(a contiguous array), which is x, or a copy that is written back.
template <class F> static void on_contiguous(Array& x, const F& f) {
  if (x.is_contiguous()) return f(x);
  Array y = copy(x);
  f(y);
  copy_(x, y);
}

// ---- checks --------------------------------------------------------------------------------------------------------
static Dims position_of(int64_t flat, const Shape& shape) {
  Dims at;
  at.n = shape.n;
  for (int i = shape.n - 1; i >= 0; --i) { at[i] = flat % shape[i]; flat /= shape[i]; }
  return at;
}

// What a scan of indices finds: one out of range, one below zero.
struct Scan {
  const int64_t* p;
  int64_t n, size;
  bool wrap;
  std::atomic<bool> bad{false}, negative{false};
  static constexpr int64_t kChunk = 65536;

  static void chunk(void* self, int64_t c) {
    Scan& s = *static_cast<Scan*>(self);
    const int64_t end = std::min(s.n, (c + 1) * kChunk);
    uint64_t bad = 0, low = 0;
    if (s.wrap)
      for (int64_t i = c * kChunk; i < end; ++i) {
        bad |= uint64_t(s.p[i] + (s.p[i] < 0 ? s.size : 0)) >= uint64_t(s.size);
        low |= uint64_t(s.p[i]);
      }
    else
      for (int64_t i = c * kChunk; i < end; ++i) bad |= uint64_t(s.p[i]) >= uint64_t(s.size);
    if (bad) s.bad.store(true, std::memory_order_relaxed);
    if (low >> 63) s.negative.store(true, std::memory_order_relaxed);
  }
  Scan(const int64_t* p, int64_t n, int64_t size, bool wrap) : p(p), n(n), size(size), wrap(wrap) {
    const int64_t chunks = (n + kChunk - 1) / kChunk;
    if (chunks == 1) chunk(this, 0);
    else run_tasks(chunks, chunk, this);
  }
};

// On a GPU: a copy in which what is out of range is 0. The error comes when the host next waits for the GPU.
Array safe_index(const char* op, const Array& index, int64_t size, bool wrap, int64_t ignore) {
  const Array wide = contiguous(cast(to_device(contiguous(index), here()), DType::i64));
  check<IndexError>(size > 0 || wide.numel() == 0, "[", op, "] index must be in [0, 0), got ", wide.numel(), " indices");
  Array safe = empty(index.shape, DType::i64);
  backend().check_index(op, wide.data<int64_t>(), safe.data<int64_t>(), wide.numel(), size, wrap, ignore);
  return safe;
}

Array checked_index(const char* op, const Array& index, int64_t size, bool wrap, int dim) {
  check<TypeError>(is_integer(index.dtype), "[", op, "] index must have an integer dtype, got ", name_of(index.dtype));
  if (!here().is_cpu()) return safe_index(op, index, size, wrap);
  Array checked = contiguous(cast(index, DType::i64));
  const int64_t* p = checked.data<int64_t>();
  const int64_t n = checked.numel();
  const Scan scan(p, n, size, wrap);
  if (scan.bad) {
    int64_t i = 0;
    while (uint64_t(p[i] + (p[i] < 0 && wrap ? size : 0)) < uint64_t(size)) ++i;
    std::string where = dim < 0 ? "" : text(" along dimension ", dim);
    std::string at = index.ndim() ? text(" at position ", position_of(i, index.shape)) : "";
    throw IndexError(text("[", op, "] index must be in [", wrap ? -size : 0, ", ", size, ")", where, ", got ", p[i], at));
  }
  if (!scan.negative) return checked;
  Array wrapped = empty(index.shape, DType::i64);
  int64_t* w = wrapped.data<int64_t>();
  for (int64_t i = 0; i < n; ++i) w[i] = p[i] < 0 ? p[i] + size : p[i];
  return wrapped;
}

// ---- embedding -----------------------------------------------------------------------------------------------------
Array embedding_fwd(const Array& index, const Array& weight) {
  check(weight.ndim() == 2, "[embedding] weight must be 2-D (rows, width), got ", weight.shape);
  Array i = checked_index("embedding", index, weight.shape[0], false);
  Shape shape = index.shape;
  shape.push(weight.shape[1]);
  Array y = empty(shape, weight.dtype), w = contiguous(weight);
  int64_t row = weight.shape[1] * size_of(weight.dtype);
  kernels().gather_rows({1, i.numel(), row, 0, row, i.data<int64_t>(), w.data(), y.data()});
  return y;
}

Array embedding_bwd(const Array& dy, const Array& index, int64_t rows, int64_t padding_idx) {
  int64_t width = dy.size(-1);
  Array y = zeros({rows, width}, dy.dtype), d = contiguous(dy), i = checked_index("embedding", index, rows, false);
  kernels().scatter_add_rows(
      {dy.dtype, 1, i.numel(), rows, width, i.data<int64_t>(), d.data(), y.data(), padding_idx});
  return y;
}

// ---- along a dimension ---------------------------------------------------------------------------------------------
Array index_select(const Array& x, int64_t dim, const Array& index) {
  check(index.ndim() <= 1, "[index_select] index must be 1-D, got ", index.shape);
  if (x.ndim() == 0) return index_select(x.unsqueeze(0), dim, index).reshape({});
  int d = normalize_dim("index_select", dim, x.ndim());
  Array i = checked_index("index_select", index, x.shape[d], false), from = contiguous(x);
  Split s(x.shape, d);
  Shape shape = x.shape;
  shape[d] = i.numel();
  Array y = empty(shape, x.dtype);
  int64_t row = s.inner * size_of(x.dtype);
  kernels().gather_rows({s.outer, i.numel(), row, s.n * row, row, i.data<int64_t>(), from.data(), y.data()});
  return y;
}

void index_add_(Array& x, int64_t dim, const Array& index, const Array& y) {
  check(index.ndim() <= 1, "[index_add] index must be 1-D, got ", index.shape);
  int d = normalize_dim("index_add", dim, x.ndim());
  Shape expected = x.shape;
  expected[d] = index.numel();
  check(y.shape == expected, "[index_add] source must have shape ", expected, ", got ", y.shape);
  Array i = checked_index("index_add", index, x.shape[d], false), from = contiguous(cast(y, x.dtype));
  Split s(x.shape, d);
  on_contiguous(x, [&](Array& to) {
    kernels().scatter_add_rows(
        {x.dtype, s.outer, i.numel(), s.n, s.inner, i.data<int64_t>(), from.data(), to.data(), -1});
  });
}

// x[:index.shape[0], ..] in every dimension but `dim`.
static Array cut(const Array& x, const Shape& shape, int dim) {
  Array y = x;
  for (int i = 0; i < shape.n; ++i) if (i != dim && shape[i] < x.shape[i]) y = y.slice(i, 0, shape[i], 1);
  return y;
}

static void check_along(const char* op, const char* of, const Shape& index, const Shape& x, int dim) {
  bool fits = index.n == x.n;
  for (int i = 0; fits && i < x.n; ++i) fits = i == dim || index[i] <= x[i];
  check(fits, "[", op, "] index must have the dimensions of ", of, " ", x, " and be no larger than it",
        dim < 0 ? std::string() : text(" outside dimension ", dim), ", got ", index);
}

Array gather(const Array& x, int64_t dim, const Array& index) {
  if (x.ndim() == 0) return gather(x.unsqueeze(0), dim, index.reshape({1})).reshape(index.shape);
  int d = normalize_dim("gather", dim, x.ndim());
  check_along("gather", "input", index.shape, x.shape, d);
  Array from = contiguous(cut(x, index.shape, d));
  Split s(from.shape, d);
  const bool later = s.inner == 1 && index.dtype == DType::i64 && here().is_cpu();  // the kernel checks indices as it comes to them
  Array i = later ? contiguous(index) : checked_index("gather", index, x.shape[d], false);
  Array y = empty(index.shape, x.dtype);
  bool bad = false;
  kernels().gather_along({size_of(x.dtype), s.outer, s.n, index.shape[d], s.inner, i.data<int64_t>(), from.data(), y.data(),
                          later ? &bad : nullptr});
  if (bad) checked_index("gather", index, x.shape[d], false);
  return y;
}

void scatter_(Array& x, int64_t dim, const Array& index, const Array& y, ScatterOp how, bool fresh) {
  const char* op = how == ScatterOp::put ? "scatter" : how == ScatterOp::add ? "scatter_add" : "scatter_reduce";
  int d = normalize_dim(op, dim, x.ndim());
  check_along(op, "input", index.shape, x.shape, d);
  check_along(op, "src", index.shape, y.shape, -1);
  const bool later = fresh && d == x.ndim() - 1 && index.dtype == DType::i64 && here().is_cpu();
  Array i = later ? contiguous(index) : checked_index(op, index, x.shape[d], false);
  bool bad = false;
  Array from = cut(cast(y, x.dtype), index.shape, d);
  if (from.shape[d] > index.shape[d]) from = from.slice(d, 0, index.shape[d], 1);
  from = contiguous(from);
  Array part = cut(x, index.shape, d);
  Split s(part.shape, d);
  on_contiguous(part, [&](Array& to) {
    kernels().scatter_along(
        {x.dtype, how, s.outer, s.n, index.shape[d], s.inner, i.data<int64_t>(), from.data(), to.data(), later ? &bad : nullptr});
  });
  if (bad) checked_index(op, index, x.shape[d], false);
}

// ---- masks, triangles, joining -------------------------------------------------------------------------------------
Array true_positions(const Array& mask) {
  Array m = contiguous(cast(mask, DType::b8));
  int64_t found = 0;
  kernels().nonzero({m.numel(), m.data<bool>(), nullptr, &found});
  Array index = empty({found}, DType::i64);
  kernels().nonzero({m.numel(), m.data<bool>(), index.data<int64_t>(), &found});
  return index;
}

Array nonzero(const Array& x) {
  Array flat = true_positions(x);
  int64_t n = flat.numel();
  if (x.ndim() == 1) return flat.reshape({n, 1});
  int dims = x.ndim();
  Array y = empty({n, dims}, DType::i64);
  if (!here().is_cpu()) {
    Array rest = flat;
    for (int d = dims - 1; d >= 0; --d) {
      Array column = y.select(1, d);
      copy_(column, binary(BinaryOp::remainder, rest, std::max<int64_t>(x.shape[d], 1)));
      rest = binary(BinaryOp::floor_divide, rest, std::max<int64_t>(x.shape[d], 1));
    }
    return y;
  }
  const int64_t* p = flat.data<int64_t>();
  int64_t* out = y.data<int64_t>();
  int64_t cols = dims ? x.shape[dims - 1] : 1, row_begin = -cols;
  Dims at;
  for (int64_t i = 0; i < n; ++i, out += dims) {
    if (p[i] - row_begin >= cols) {  // a new row: positions ascend, so its coordinates hold for a while
      at = position_of(p[i], x.shape);
      row_begin = p[i] - (dims ? at[dims - 1] : 0);
    }
    for (int d = 0; d < dims - 1; ++d) out[d] = at[d];
    if (dims) out[dims - 1] = p[i] - row_begin;
  }
  return y;
}

Array triangle(const Array& x, int64_t diagonal, bool upper) {
  check(x.ndim() >= 2, "[", upper ? "triu" : "tril", "] input must have at least 2 dimensions, got ", x.shape);
  Array from = contiguous(x), y = empty(x.shape, x.dtype);
  int64_t rows = x.size(-2), cols = x.size(-1), outer = rows && cols ? x.numel() / (rows * cols) : 0;
  int64_t limit = rows + cols + 1;  // beyond it nothing changes
  diagonal = diagonal < -limit ? -limit : diagonal > limit ? limit : diagonal;
  kernels().triangle({size_of(x.dtype), upper, outer, rows, cols, diagonal, from.data(), y.data()});
  return y;
}

// The order of dimensions that all parts have, as the one shows it that has the fewest of one element; row-major where there is none.
static Order order_of(const std::vector<Array>& parts) {
  const auto ones = [](const Array& x) { return std::count(x.shape.begin(), x.shape.end(), 1); };
  const Array* plainest = &parts[0];
  for (const Array& part : parts)
    if (ones(part) < ones(*plainest)) plainest = &part;
  const Order order(*plainest);
  for (const Array& part : parts)
    if (!order.natural && !order.fits(part)) return {};
  return order;
}

Array cat(const std::vector<Array>& parts, int64_t dim) {
  check(!parts.empty(), "[cat] tensors must not be empty");
  const Array& first = parts[0];
  check(first.ndim() > 0, "[cat] tensors must have at least one dimension, got ", first.shape);
  int d = normalize_dim("cat", dim, first.ndim());
  Shape shape = first.shape;
  DType dtype = first.dtype;
  shape[d] = 0;
  for (size_t k = 0; k < parts.size(); ++k) {
    const Shape& s = parts[k].shape;
    bool fits = s.n == shape.n;
    for (int i = 0; fits && i < s.n; ++i) fits = i == d || s[i] == shape[i];
    check(fits, "[cat] tensors must have the same shape outside dimension ", d, ", got ", first.shape, " and ", s,
          " at position ", k);
    shape[d] += s[d];
    dtype = promote(dtype, parts[k].dtype);
  }
  Array y = order_of(parts).make(shape, dtype);
  int64_t at = 0;
  for (const Array& part : parts) {
    Array to = y.slice(d, at, at + part.shape[d], 1);
    if (part.numel()) copy_(to, part);
    at += part.shape[d];
  }
  return y;
}

}  // namespace lamella::ops
