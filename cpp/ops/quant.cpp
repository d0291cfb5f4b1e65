// SPDX-License-Identifier: MIT
#include "ops/quant.h"
#include "dispatch/dispatch.h"
#include "ops/elementwise.h"

namespace lamella::ops {

static void check_int8(const char* name, const Array& x) {
  check<TypeError>(x.dtype == DType::i8, "[int_mm] ", name, " must have dtype int8, got ", describe(x));
  check(x.ndim() == 2, "[int_mm] ", name, " must have 2 dimensions, got ", x.shape);
}

// Of shape (n,) or one element; `held` keeps what the pointer shows.
static const float* scale_of(const char* name, const Array& x, int64_t n, Array& held, int64_t& step) {
  check<TypeError>(x.dtype == DType::f32, "[int_mm] ", name, " must have dtype float32, got ", describe(x));
  check(x.numel() == 1 || (x.ndim() == 1 && x.shape[0] == n), "[int_mm] ", name, " must have shape (", n,
        ",) or 1 element, got ", x.shape);
  step = x.numel() == 1 ? 0 : 1;
  held = contiguous(x);
  return held.data<float>();
}

Array int_mm(const Array& a, const Array& b, const std::optional<Array>& a_scale, const std::optional<Array>& b_scale,
             const std::optional<Array>& bias) {
  check_int8("input", a);
  check_int8("mat2", b);
  check(a.shape[1] == b.shape[0], "[int_mm] inner sizes must match, got ", a.shape, " and ", b.shape);
  check(bool(a_scale) == bool(b_scale), "[int_mm] a_scale and b_scale must come together, got one of them");
  check(!bias || a_scale, "[int_mm] bias must come with scales, got it without");
  GemmInt8 g{};
  g.m = a.shape[0], g.k = a.shape[1], g.n = b.shape[1];
  g.a = a.data<int8_t>(), g.b = b.data<int8_t>();
  g.a_row = a.strides[0], g.a_col = a.strides[1], g.b_row = b.strides[0], g.b_col = b.strides[1];
  Array held_a, held_b, held_bias;
  if (a_scale) {
    g.a_scale = scale_of("a_scale", *a_scale, g.m, held_a, g.a_scale_step);
    g.b_scale = scale_of("b_scale", *b_scale, g.n, held_b, g.b_scale_step);
  }
  if (bias) {
    check<TypeError>(bias->dtype == DType::f32, "[int_mm] bias must have dtype float32, got ", describe(*bias));
    check(bias->ndim() == 1 && bias->shape[0] == g.n, "[int_mm] bias must have shape (", g.n, ",), got ", bias->shape);
    held_bias = contiguous(*bias);
    g.bias = held_bias.data<float>();
  }
  Array c = empty({g.m, g.n}, a_scale ? DType::f32 : DType::i32);
  g.c = c.data();
  kernels().gemm_int8(g);
  return c;
}

}  // namespace lamella::ops
