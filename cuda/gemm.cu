// SPDX-License-Identifier: MIT
// Matrix products: which path for which shape. How k is split depends on the shape alone, and every path sums in a fixed
// order.
#include "gemm.h"
#include "gemm_product.cuh"

namespace lamella::cuda {

__attribute__((weak)) bool gemm_hopper(const Gemm&);

namespace {

bool tf32 = false;

void drop_batch(Gemm& g, int d) {
  for (int e = d; e + 1 < g.batch_ndim; ++e) {
    g.batch[e] = g.batch[e + 1];
    g.a_batch[e] = g.a_batch[e + 1];
    g.b_batch[e] = g.b_batch[e + 1];
    g.c_batch[e] = g.c_batch[e + 1];
  }
  --g.batch_ndim;
}

// The same product with as few batch dims as can be: neighbours become one where all strides allow it, and matrices under
// one b whose rows follow each other become one matrix.
void simplify(Gemm& g) {
  for (int d = g.batch_ndim - 1; d >= 0; --d) {
    const int64_t n = g.batch[d];
    if (n == 1) { drop_batch(g, d); continue; }
    const int e = d + 1;
    if (e < g.batch_ndim && g.a_batch[d] == g.a_batch[e] * g.batch[e] && g.b_batch[d] == g.b_batch[e] * g.batch[e] &&
        g.c_batch[d] == g.c_batch[e] * g.batch[e]) {
      g.batch[e] *= n;
      drop_batch(g, d);
    }
  }
  const int d = g.batch_ndim - 1;
  if (d < 0 || g.b_batch[d] != 0 || g.bias_axis == BiasAxis::row) return;
  if (g.m == 1) {
    g.a_row = g.a_batch[d];
    g.c_row = g.c_batch[d];
  } else if (g.a_batch[d] != g.m * g.a_row || g.c_batch[d] != g.m * g.c_row) return;
  g.m *= g.batch[d];
  --g.batch_ndim;
}

template <class T> Reach reach_of(const void* x, int64_t e_stride, int64_t k_stride, int ndim, const int64_t* batch) {
  for (int d = 0; d < ndim; ++d)
    if (batch[d] % kPack<T>) return Reach::any;
  if (fits_fast(true, static_cast<const T*>(x), e_stride, k_stride)) return Reach::along;
  return fits_fast(false, static_cast<const T*>(x), e_stride, k_stride) ? Reach::across : Reach::any;
}
Reach reach_of(DType t, const void* x, int64_t e_stride, int64_t k_stride, int ndim, const int64_t* batch) {
  switch (size_of(t)) {
    case 2: return reach_of<bf16>(x, e_stride, k_stride, ndim, batch);
    case 4: return reach_of<float>(x, e_stride, k_stride, ndim, batch);
    default: return reach_of<double>(x, e_stride, k_stride, ndim, batch);
  }
}

// An operand's copy with aligned rows along k: the other extent uses each of its elements often enough to pay for it.
struct Copy {
  int64_t bytes = 0;
  Relayout r{};
  Copy(DType t, const void* x, int64_t extent, int64_t depth, int64_t e_stride, int64_t k_stride, const Gemm& g,
       const int64_t* batch) {
    r.size = size_of(t);
    r.x = x;
    r.extent = extent;
    r.depth = depth;
    r.e_stride = e_stride;
    r.k_stride = k_stride;
    r.pitch = ceil_div(depth * r.size, 16) * 16 / r.size;
    int64_t count = 1;
    for (int d = 0; d < g.batch_ndim; ++d) {
      if (batch[d] == 0) continue;
      r.batch[r.ndim] = g.batch[d];
      r.x_batch[r.ndim++] = batch[d];
      count *= g.batch[d];
    }
    bytes = count * extent * r.pitch * r.size;
  }
  void run(void* to, const Gemm& g, const void*& x, int64_t& e_stride, int64_t& k_stride, int64_t* batch) {
    r.y = to;
    relayout(r);
    int64_t step = r.extent * r.pitch;
    for (int d = g.batch_ndim - 1; d >= 0; --d)
      if (batch[d]) { batch[d] = step; step *= g.batch[d]; }
    x = to;
    e_stride = r.pitch;
    k_stride = 1;
  }
};

// Parts of k, so that few tiles with long sums fill a device: about 512 blocks of 64 x 64, none of them short.
int64_t choose_parts(const Gemm& g, int64_t batch) {
  const int64_t tiles = ceil_div(g.m, 64) * ceil_div(g.n, 64) * batch;
  return tiles >= 256 ? 1 : most(1, least(ceil_div(512, tiles), g.k / 256));
}

void run(const Gemm& g, Reach a, Reach b) {
  Product p{};
  p.a = g.a; p.b = g.b; p.c = g.c; p.bias = g.bias;
  p.m = g.m; p.n = g.n; p.k = g.k;
  p.a_row = g.a_row; p.a_col = g.a_col; p.b_row = g.b_row; p.b_col = g.b_col; p.c_row = g.c_row;
  p.axis = g.accumulate || !g.bias ? BiasAxis::none : g.bias_axis;
  p.act = g.accumulate ? Act::none : g.act;
  p.accumulate = g.accumulate;
  p.batch = 1;
  p.batches.ndim = g.batch_ndim;
  const int64_t size = size_of(g.dtype);
  p.c_vector = is_aligned(g.c) && g.c_row * size % 16 == 0;
  for (int d = 0; d < g.batch_ndim; ++d) {
    p.batch *= g.batch[d];
    p.batches.size[d] = Divisor(g.batch[d]);
    p.batches.a[d] = g.a_batch[d];
    p.batches.b[d] = g.b_batch[d];
    p.batches.c[d] = g.c_batch[d];
    p.c_vector &= g.c_batch[d] * size % 16 == 0;
  }
  if (g.m == 1 || g.n == 1) { product_vector(g.dtype, p); return; }

  int64_t parts = choose_parts(g, p.batch);
  p.depth = parts == 1 ? g.k : ceil_div(ceil_div(g.k, parts), 64) * 64;
  if (parts > 1) parts = ceil_div(g.k, p.depth);
  p.parts = Divisor(parts);
  const Temp partial(parts == 1 ? 0 : size_t(parts * p.batch * g.m * g.n * most(4, size)));
  p.partial = partial.p;
  const bool wide = g.dtype == DType::f32 && !(tf32 && a != Reach::any && b != Reach::any);
  const int64_t tiles = ceil_div(g.m, wide ? 64 : 128) * ceil_div(g.n, 128);
  const bool big = tiles * p.batch * parts >= 128 && g.m > 64 && g.n > 64;
  switch (g.dtype) {
    case DType::f64: product_double(p, a, b); break;
    case DType::bf16: product_bf16(p, a, b, big); break;
    case DType::f16: product_f16(p, a, b, big); break;
    default:
      if (wide) product_float(p, a, b, big);
      else product_tf32(p, a, b, big);
  }
  if (parts > 1) sum_parts(g.dtype, p);
}

}  // namespace

bool tf32_allowed() { return tf32; }
void allow_tf32(bool on) { tf32 = on; }

void gemm(const Gemm& args) {
  Gemm g = args;
  int64_t batch = 1;
  for (int d = 0; d < g.batch_ndim; ++d) batch *= g.batch[d];
  if (g.m == 0 || g.n == 0 || batch == 0) return;
  simplify(g);
  if (g.m == 1 || g.n == 1) { run(g, Reach::any, Reach::any); return; }
  if (g.k == 1) {  // strides along k that nothing needs
    g.a_col = g.a_row == 1 ? 0 : 1;
    g.b_row = g.b_col == 1 ? 0 : 1;
  }
  const auto reach = [&](bool of_a) {
    return of_a ? reach_of(g.dtype, g.a, g.a_row, g.a_col, g.batch_ndim, g.a_batch)
                : reach_of(g.dtype, g.b, g.b_col, g.b_row, g.batch_ndim, g.b_batch);
  };
  Reach a = reach(true), b = reach(false);
  Copy copy_a(g.dtype, g.a, g.m, g.k, g.a_row, g.a_col, g, g.a_batch);
  Copy copy_b(g.dtype, g.b, g.n, g.k, g.b_col, g.b_row, g, g.b_batch);
  const bool worth = g.m >= 128 && g.n >= 128 && g.k >= 64 && g.dtype != DType::f64;
  const Temp space_a(worth && a == Reach::any ? size_t(copy_a.bytes) : 0);
  const Temp space_b(worth && b == Reach::any ? size_t(copy_b.bytes) : 0);
  if (space_a.p) copy_a.run(space_a.p, g, g.a, g.a_row, g.a_col, g.a_batch);
  if (space_b.p) copy_b.run(space_b.p, g, g.b, g.b_col, g.b_row, g.b_batch);
  if (worth) { a = reach(true); b = reach(false); }
  if (size_of(g.dtype) == 2 && g.k > 1 && info().major == 9 && gemm_hopper && gemm_hopper(g)) return;
  run(g, a, b);
}

}  // namespace lamella::cuda
