// SPDX-License-Identifier: MIT
// Losses of single elements on the device against the CPU's, both ways: every op, dtype and reduction.
#include "cuda/device.cuh"
#include "dispatch/dispatch.h"
#include "typed.h"

using namespace lamella;

static const int kOps = int(LossOp::soft_margin) + 1;

static void both_ways(LossOp op, DType type, Reduction reduction, int64_t n, int64_t offset, bool special) {
  const bool each = reduction == Reduction::none;
  const double p = op == LossOp::quantile ? 0.3 : 0.7, e = epsilon(type);
  Typed x(type, n, offset), t(type, n, offset), d(type, each ? n : 1);
  x.fill(1, op == LossOp::bce ? 0.01 : -4, op == LossOp::bce ? 0.99 : 4);
  t.fill(2, op == LossOp::bce || op == LossOp::bce_logits ? 0 : -3, op == LossOp::bce || op == LossOp::bce_logits ? 1 : 3);
  d.fill(3, 0.5, 2);
  if (op == LossOp::hinge || op == LossOp::squared_hinge || op == LossOp::soft_margin)
    for (int64_t i = 0; i < n; ++i) t.set(i, t[i] > 0 ? 1 : -1);
  for (int64_t i = 0; i < n && i < 3; ++i) t.set(i, x[i]);  // no difference
  if (special && n >= 12) {
    const double odd[] = {NAN, INFINITY, -INFINITY, 0, 1};
    for (int i = 0; i < 5; ++i) x.set(4 + i, odd[i]);
    t.set(9, NAN), t.set(10, INFINITY);
  }
  Typed got(type, each ? n : 1), want(type, each ? n : 1), dx(type, n, offset), wanted(type, n);
  cuda::loss_fwd({op, type, reduction, n, x.data(), t.data(), got.data(), p});
  kernels().loss_fwd({op, type, reduction, n, x.data(), t.data(), want.data(), p});
  // A sum of n float32 terms, which cancel for some ops, keeps the rounding of its terms.
  const double terms = reduction == Reduction::sum ? 4 * double(n) : 4;
  CHECK(got.close(want, 8 * e, type == DType::f64 ? 4 * terms * e : 4 * terms * (each ? 1 : 0.05) * 0x1p-23));
  CHECK(got.intact());
  cuda::loss_bwd({op, type, reduction, n, x.data(), t.data(), d.data(), dx.data(), p});
  kernels().loss_bwd({op, type, reduction, n, x.data(), t.data(), d.data(), wanted.data(), p});
  CHECK(dx.close(wanted, 16 * e, 8 * (type == DType::f64 ? e : 0x1p-23)));
  CHECK(dx.intact());
}

// The bits of a sum are those of its order alone, whatever was there before.
static void repeats() {
  const int64_t n = 200000;
  Typed x(DType::f32, n), t(DType::f32, n), a(DType::f32, 1), b(DType::f32, 1);
  x.fill(1, -1, 1);
  t.fill(2, -1, 1);
  cuda::loss_fwd({LossOp::mse, DType::f32, Reduction::mean, n, x.data(), t.data(), a.data(), 0});
  cuda::loss_fwd({LossOp::mse, DType::f32, Reduction::mean, n, x.data(), t.data(), b.data(), 0});
  double want = 0;
  for (int64_t i = 0; i < n; ++i) want += (x[i] - t[i]) * (x[i] - t[i]);
  CHECK(a.same(b));
  CHECK(std::fabs(a[0] - want / double(n)) < 2e-7);
}

int main() {
  for (int op = 0; op < kOps; ++op)
    for (DType type : kFloats)
      for (Reduction r : {Reduction::none, Reduction::sum, Reduction::mean}) {
        for (int64_t n : {0, 1, 2, 3, 4, 5, 13, 1023, 1024, 4097, 10007}) both_ways(LossOp(op), type, r, n, 0, false);
        both_ways(LossOp(op), type, r, 1031, 1, false);
        both_ways(LossOp(op), type, r, 100, 0, true);
      }
  repeats();
  return failures() != 0;
}
