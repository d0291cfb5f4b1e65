// SPDX-License-Identifier: MIT
// x[indices]: every result row (the dimensions after the indices that lie densely) is a run of elements of x; the plan
// is where each begins.
#include <algorithm>
#include <cstring>
#include "core/threads.h"
#include "dispatch/dispatch.h"
#include "ops/elementwise.h"
#include "ops/index.h"
#include "ops/index_check.h"

namespace lamella::ops {

struct Plan {
  Array position;            // int64 (count): where each run begins, in units of `step` elements of x
  int64_t step = 1, run = 1; // elements
  Shape result;
};

// f(begin, end) over blocks of [0, n), in parallel.
template <class F> static void in_blocks(int64_t n, int64_t block, F f) {
  struct Call { F& f; int64_t n, block; } call{f, n, block};
  run_tasks((n + block - 1) / block, [](void* ctx, int64_t t) {
    auto& c = *static_cast<Call*>(ctx);
    c.f(t * c.block, std::min(c.n, (t + 1) * c.block));
  }, &call);
}
constexpr int64_t kBlock = 32768;

// sum = weight * index, or that is added (sum has the shape that index broadcasts to).
static void accumulate(Array& sum, const Array& index, int64_t weight, bool first) {
  if (!here().is_cpu()) {
    const Array part = binary(BinaryOp::mul, index.expand(sum.shape), weight);
    if (first) copy_(sum, part); else binary_out(BinaryOp::add, sum, sum, part);
    return;
  }
  Array wide = contiguous(index.expand(sum.shape));
  const int64_t* p = wide.data<int64_t>();
  int64_t* s = sum.data<int64_t>();
  in_blocks(sum.numel(), kBlock, [=](int64_t i, int64_t end) {
    if (first) for (; i < end; ++i) s[i] = p[i] * weight;
    else for (; i < end; ++i) s[i] += p[i] * weight;
  });
}

// The offsets (found) of the true elements of a mask over dims [dim, dim + mask.ndim()) of x.
static Array mask_offsets(const Array& x, int dim, const Array& mask) {
  Array flat = true_positions(mask);
  int64_t* p = flat.data<int64_t>();
  int last = dim + mask.ndim() - 1;
  bool dense = true;
  for (int i = dim; i < last; ++i) dense &= x.strides[i] == x.strides[i + 1] * x.shape[i + 1];
  if (!here().is_cpu()) {
    if (dense) return binary(BinaryOp::mul, flat, x.strides[last]);
    Array offset = binary(BinaryOp::mul, flat, 0);
    for (int i = last; i >= dim; --i) {
      const int64_t n = std::max<int64_t>(x.shape[i], 1);
      binary_out(BinaryOp::add, offset, offset, binary(BinaryOp::mul, binary(BinaryOp::remainder, flat, n), x.strides[i]));
      flat = binary(BinaryOp::floor_divide, flat, n);
    }
    return offset;
  }
  for (int64_t k = 0, n = flat.numel(); k < n; ++k) {
    if (dense) { p[k] *= x.strides[last]; continue; }
    int64_t rest = p[k], offset = 0;
    for (int i = last; i >= dim; --i) { offset += rest % x.shape[i] * x.strides[i]; rest /= x.shape[i]; }
    p[k] = offset;
  }
  return flat;
}

static void point_offsets(int64_t* to, const Dims& sizes, const Dims& strides) {
  for (int64_t i = 0, n = sizes.product(); i < n; ++i) {
    int64_t offset = 0, rest = i;
    for (int d = sizes.n - 1; d >= 0; --d) { offset += rest % sizes[d] * strides[d]; rest /= sizes[d]; }
    to[i] = offset;
  }
}

// Offsets of all points of dims (sizes, strides), row-major, added to each of `base`.
static Array spread(const Array& base, const Dims& sizes, const Dims& strides, bool outside) {
  int64_t n = sizes.product(), m = base.numel();
  if (n == 1) return base;
  if (!here().is_cpu()) {  // the points are laid out on the host
    Array points;
    {
      const On host(Device{});
      points = empty({n}, DType::i64);
      point_offsets(points.data<int64_t>(), sizes, strides);
    }
    points = to_device(points, here());
    const Array b = base.reshape(outside ? Shape{1, m} : Shape{m, 1}), o = points.reshape(outside ? Shape{n, 1} : Shape{1, n});
    return binary(BinaryOp::add, b, o).reshape({n * m});
  }
  Array y = empty({n * m}, DType::i64);
  const int64_t* b = base.data<int64_t>();
  int64_t* out = y.data<int64_t>();
  for (int64_t i = 0; i < n; ++i) {
    int64_t offset = 0, rest = i;
    for (int d = sizes.n - 1; d >= 0; --d) { offset += rest % sizes[d] * strides[d]; rest /= sizes[d]; }
    if (outside) for (int64_t k = 0; k < m; ++k) out[i * m + k] = offset + b[k];
    else for (int64_t k = 0; k < m; ++k) out[k * n + i] = offset + b[k];
  }
  return y;
}

static Plan plan(const Array& x, const Indices& indices) {
  struct Entry { Array index; int64_t weight; };
  std::vector<Entry> entries;
  Shape shape;                       // of the indices together
  Dims before, after, before_strides, after_strides;
  int dim = 0, first = -1, end = 0;  // dims [first, end) hold the indices, and perhaps whole dims between
  bool adjacent = true;
  for (const auto& entry : indices) {
    if (!entry) { ++dim; continue; }
    const Array at = to_device(contiguous(*entry), here());  // indices of the CPU may stand beside a GPU's tensor
    bool mask = entry->dtype == DType::b8;
    int taken = mask ? entry->ndim() : 1;
    check<IndexError>(dim + taken <= x.ndim(), "[index] too many indices for a tensor of shape ", x.shape);
    if (mask) {
      for (int i = 0; i < taken; ++i)
        check<IndexError>(entry->shape[i] == x.shape[dim + i], "[index] mask must have the shape of the dimensions it "
                          "selects from, got ", entry->shape, " for a tensor of shape ", x.shape);
      entries.push_back({mask_offsets(x, dim, at), 1});
    } else {
      entries.push_back({checked_index("index", at, x.shape[dim], true, dim), x.strides[dim]});
    }
    adjacent &= first < 0 || dim == end;
    if (first < 0) first = dim;
    shape = entries.size() == 1 ? entries.back().index.shape : broadcast("index", shape, entries.back().index.shape);
    dim += taken;
    end = dim;
  }
  dim = 0;
  auto whole = [&](int d) {
    bool front = adjacent && d < first;
    (front ? before : after).push(x.shape[d]);
    (front ? before_strides : after_strides).push(x.strides[d]);
  };
  for (const auto& entry : indices) {
    if (!entry) whole(dim);
    dim += entry && entry->dtype == DType::b8 ? entry->ndim() : 1;
  }
  for (; dim < x.ndim(); ++dim) whole(dim);

  Plan p;
  for (int64_t n : before) p.result.push(n);
  for (int64_t n : shape) p.result.push(n);
  for (int64_t n : after) p.result.push(n);
  while (after.n && (after_strides.back() == p.run || after.back() == 1)) {  // the dense tail is one run
    p.run *= after.back();
    after.erase(after.n - 1);
    after_strides.erase(after_strides.n - 1);
  }
  if (entries.size() == 1 && before.n == 0 && after.n == 0) {
    p.position = entries[0].index.reshape({shape.product()});
    p.step = entries[0].weight;
    return p;
  }
  Array sum = empty(shape, DType::i64);
  if (entries.empty()) fill_(sum, int64_t(0));
  for (const Entry& e : entries) accumulate(sum, e.index, e.weight, &e == &entries[0]);
  p.position = spread(spread(sum, after, after_strides, false), before, before_strides, true);
  return p;
}

Array index_get(const Array& x, const Indices& indices) {
  Plan p = plan(x, indices);
  Array y = empty(p.result, x.dtype);
  int64_t size = size_of(x.dtype);
  kernels().gather_rows(
      {1, p.position.numel(), p.run * size, 0, p.step * size, p.position.data<int64_t>(), x.data(), y.data()});
  return y;
}

void index_put_(Array& x, const Indices& indices, const Array& y, bool accumulate) {
  if (accumulate && !x.is_contiguous()) {
    Array dense = copy(x);
    index_put_(dense, indices, y, true);
    copy_(x, dense);
    return;
  }
  Plan p = plan(x, indices);
  Shape shape = broadcast("index_put", y.shape, p.result);
  check(shape == p.result, "[index_put] value must broadcast to the indexed shape ", p.result, ", got ", y.shape);
  const int64_t length = p.run * size_of(x.dtype);  // bytes of a run
  if (!accumulate && y.numel() == 1 && length >= 64 && here().is_cpu()) {  // one value: a run of it is enough to copy from
    const Array run = contiguous(cast(y, x.dtype).reshape({1}).expand({p.run}));
    const int64_t *at = p.position.data<int64_t>(), step = p.step * size_of(x.dtype);
    char* const to = x.bytes();
    const int64_t rows = p.position.numel();
    in_blocks(length, rows * length < 65536 ? length : 1024, [&](int64_t c, int64_t end) {  // columns: rows may be named twice
      for (int64_t i = 0; i < rows; ++i) std::memcpy(to + at[i] * step + c, run.bytes() + c, size_t(end - c));
    });
    return;
  }
  Array from = contiguous(cast(y, x.dtype).expand(p.result));
  if (from.storage.get() == x.storage.get()) from = copy(from);
  int64_t size = size_of(x.dtype), count = p.position.numel();
  if (!accumulate) {
    kernels().scatter_rows(
        {1, count, p.run * size, 0, p.step * size, p.position.data<int64_t>(), from.data(), x.data()});
    return;
  }
  if (p.run == 0 || count == 0) return;
  Array rows = p.position;  // x is contiguous: every run begins at a multiple of its length
  if (p.step != p.run && !here().is_cpu()) {
    rows = binary(BinaryOp::floor_divide, binary(BinaryOp::mul, p.position, p.step), p.run);
  } else if (p.step != p.run) {
    rows = empty({count}, DType::i64);
    const int64_t *at = p.position.data<int64_t>(), step = p.step, run = p.run;
    int64_t* row = rows.data<int64_t>();
    in_blocks(count, kBlock, [=](int64_t i, int64_t end) {
      if (step % run == 0) for (const int64_t rows_a_step = step / run; i < end; ++i) row[i] = at[i] * rows_a_step;
      else for (; i < end; ++i) row[i] = at[i] * step / run;
    });
  }
  kernels().scatter_add_rows(
      {x.dtype, 1, count, x.numel() / p.run, p.run, rows.data<int64_t>(), from.data(), x.data(), -1});
}

}  // namespace lamella::ops
