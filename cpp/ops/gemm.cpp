// SPDX-License-Identifier: MIT
#include "ops/gemm.h"
#include "dispatch/dispatch.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"

namespace lamella::ops {

static void check_dtypes(const char* op, const char* what, const Array& a, const Array& b) {
  check<TypeError>(a.dtype == b.dtype, "[", op, "] ", what, " must have one dtype, got ", describe(a), " and ",
                   describe(b));
  check<TypeError>(is_floating(a.dtype), "[", op, "] ", what, " must be floating, got ", describe(a), " and ",
                   describe(b));
}

// The leading dimensions of x and its second to last, seen as one: their common stride, or -1 if they have none.
static int64_t collapsed_rows(const Array& x) {
  int64_t stride = x.strides[x.ndim() - 2], next = stride * x.shape[x.ndim() - 2];
  for (int d = x.ndim() - 3; d >= 0; --d) {
    if (x.shape[d] != 1 && x.strides[d] != next) return -1;
    next *= x.shape[d];
  }
  return stride;
}

static Array run(Gemm& g, Array c) {
  g.c = c.data();
  kernels().gemm(g);
  return c;
}

// Whether y is x with its last two dimensions exchanged, the same memory, and large enough that half a product is quicker.
static bool is_transpose(const Array& x, const Array& y) {
  const int n = x.ndim();
  if (!x.device().is_cpu() || x.data() != y.data() || y.ndim() != n || x.shape[n - 2] < 512 || x.shape[n - 1] < 192) return false;
  for (int d = 0; d < n; ++d) {
    const int e = d < n - 2 ? d : 2 * n - 3 - d;
    if (x.shape[d] != y.shape[e] || x.strides[d] != y.strides[e]) return false;
  }
  return true;
}

// x x^T is symmetric: rows in parts, each from the diagonal on, and then what lies below them.
static Array run_symmetric(const Gemm& whole, Array c) {
  const int64_t n = whole.n, parts = n < 768 ? 2 : n < 2048 ? 4 : 8, size = size_of(whole.dtype);
  const int across = c.ndim() - 1, down = across - 1;
  for (int64_t i = 0; i < parts; ++i) {
    const int64_t begin = n * i / parts, end = n * (i + 1) / parts;
    Gemm g = whole;
    g.m = end - begin, g.n = n - begin;
    g.a = static_cast<const char*>(g.a) + begin * g.a_row * size;
    g.b = static_cast<const char*>(g.b) + begin * g.b_col * size;
    g.c = static_cast<char*>(c.data()) + begin * (n + 1) * size;
    kernels().gemm(g);
    if (end == n) break;
    Array below = c.slice(down, end, n, 1).slice(across, begin, end, 1);
    copy_(below, c.slice(down, begin, end, 1).slice(across, end, n, 1).transpose(down, across));
  }
  return c;
}

Array matmul(const Array& a, const Array& b) {
  check(a.ndim() > 0 && b.ndim() > 0, "[matmul] operands must have at least 1 dimension, got ", a.shape, " and ",
        b.shape);
  check_dtypes("matmul", "operands", a, b);
  const bool row = a.ndim() == 1, column = b.ndim() == 1;
  const Array &x = row ? a.unsqueeze(0) : a, &y = column ? b.unsqueeze(1) : b;
  const int xd = x.ndim(), yd = y.ndim();
  Gemm g{};
  g.dtype = a.dtype;
  g.m = x.shape[xd - 2], g.k = x.shape[xd - 1], g.n = y.shape[yd - 1];
  check(y.shape[yd - 2] == g.k, "[matmul] inner sizes must match, got ", a.shape, " and ", b.shape);
  g.a = x.data(), g.b = y.data();
  g.a_row = x.strides[xd - 2], g.a_col = x.strides[xd - 1], g.b_row = y.strides[yd - 2], g.b_col = y.strides[yd - 1];
  g.c_row = g.n;

  Shape batch;
  if (xd > 2 && yd == 2 && collapsed_rows(x) >= 0) {
    batch = Shape(x.shape.begin(), x.shape.end() - 2);
    Shape out = batch;
    if (!row) out.push(g.m);
    if (!column) out.push(g.n);
    g.a_row = collapsed_rows(x);
    g.m *= batch.product();
    return run(g, empty(out, a.dtype));
  }
  if (xd > 2 || yd > 2) {
    batch = broadcast("matmul", Shape(x.shape.begin(), x.shape.end() - 2), Shape(y.shape.begin(), y.shape.end() - 2));
    g.batch_ndim = batch.n;
    int64_t step = g.m * g.n;
    for (int d = batch.n - 1; d >= 0; --d) {
      const int i = d - batch.n + xd - 2, j = d - batch.n + yd - 2;
      g.batch[d] = batch[d];
      g.a_batch[d] = i >= 0 && x.shape[i] != 1 ? x.strides[i] : 0;
      g.b_batch[d] = j >= 0 && y.shape[j] != 1 ? y.strides[j] : 0;
      g.c_batch[d] = step;
      step *= batch[d];
    }
  }
  if (!row) batch.push(g.m);
  if (!column) batch.push(g.n);
  Array c = empty(batch, a.dtype);
  return !row && !column && is_transpose(x, y) ? run_symmetric(g, c) : run(g, c);
}

// (rows, size of the last dimension), without a copy where the leading dimensions are evenly spaced.
static Array as_rows(const Array& x) {
  if (x.ndim() == 2) return x;
  const int64_t columns = x.shape.back();
  int64_t rows = 1;
  for (int d = 0; d < x.ndim() - 1; ++d) rows *= x.shape[d];
  return (x.can_view({rows, columns}) ? x : contiguous(x)).reshape({rows, columns});
}

Array linear(const Array& x, const Array& weight, const std::optional<Array>& bias, Act act) {
  check(weight.ndim() == 2, "[linear] weight must have 2 dimensions, got ", weight.shape);
  check(x.ndim() > 0 && x.shape.back() == weight.shape[1], "[linear] input must have ", weight.shape[1],
        " features in its last dimension, got ", x.shape);
  check_dtypes("linear", "input and weight", x, weight);
  const Array rows = as_rows(x);
  Gemm g{};
  g.dtype = x.dtype;
  g.m = rows.shape[0], g.n = weight.shape[0], g.k = weight.shape[1];
  g.a = rows.data(), g.b = weight.data();
  g.a_row = rows.strides[0], g.a_col = rows.strides[1], g.b_row = weight.strides[1], g.b_col = weight.strides[0];
  g.c_row = g.n;
  g.act = act;
  Array held;
  if (bias) {
    check(bias->ndim() == 1 && bias->shape[0] == g.n, "[linear] bias must have shape (", g.n, ",), got ", bias->shape);
    check_dtypes("linear", "input and bias", x, *bias);
    held = contiguous(*bias);
    g.bias_axis = BiasAxis::column;
    g.bias = held.data();
  }
  Shape out = x.shape;
  out[out.n - 1] = g.n;
  return run(g, empty(out, x.dtype));
}

LinearGrads linear_bwd_weight(const Array& x, const Array& dy, bool bias) {
  const Array rows = as_rows(x), drows = as_rows(dy);
  LinearGrads grads;
  grads.dweight = matmul(drows.transpose(0, 1), rows);
  if (bias) grads.dbias = reduce(ReduceOp::sum, drows, {0}, false);
  return grads;
}

int64_t matmul_work(const Array& a, const Array& b) {
  return b.ndim() == 0 ? 1 : a.numel() * (b.ndim() == 1 ? 1 : b.shape.back());
}

}  // namespace lamella::ops
