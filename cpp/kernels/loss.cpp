// SPDX-License-Identifier: MIT
// Losses of single elements, one pass each way: no intermediate is stored.
#include "loss_formulas.h"
#include "rows.h"

namespace lamella {
namespace LAMELLA_ISA {

template <LossOp op, class T> static void forward(const LossFwd& a) {
  using A = acc_t<T>;
  const T *x = (const T*)a.x, *t = (const T*)a.target;
  T* y = (T*)a.loss;
  const A p = A(a.p);
  if (a.reduction == Reduction::none) {
    parallel_blocks(a.n, kTask, [&](int64_t begin, int64_t end) {
      sweep<A, 2>(end - begin, [&](int64_t i, int, auto k) {
        st(y + begin + i, LossFormula<op>::value(ld(x + begin + i, k), ld(t + begin + i, k), p), k);
      });
    });
    return;
  }
  const int64_t blocks = ceil_div(a.n, kTask);
  double* part = scratch_of<double>(blocks + 1, 0);
  parallel_blocks(a.n, kTask, [&](int64_t begin, int64_t end) {
    double sum = 0;
    for (int64_t b = begin; b < end; b += kRun) {
      Four<A> s;
      sweep<A, 4>(least(kRun, end - b), [&](int64_t i, int u, auto k) {
        s.v[u] += only(LossFormula<op>::value(ld(x + b + i, k), ld(t + b + i, k), p), vec<A>{}, k);
      });
      sum += double(s.sum());
    }
    part[begin / kTask] = sum;
  });
  double sum = 0;
  for (int64_t b = 0; b < blocks; ++b) sum += part[b];
  y[0] = down<T>(A(a.reduction == Reduction::mean ? sum / double(a.n) : sum));
}

template <LossOp op, class T> static void backward(const LossBwd& a) {
  using A = acc_t<T>;
  const T *x = (const T*)a.x, *t = (const T*)a.target, *dy = (const T*)a.dloss;
  T* dx = (T*)a.dx;
  const A p = A(a.p);
  const bool each = a.reduction == Reduction::none;
  const A scale = a.reduction == Reduction::mean ? A(1 / double(a.n)) : A(1);
  const vec<A> d = splat(each ? A(0) : up(dy[0]) * scale);
  parallel_blocks(a.n, kTask, [&](int64_t begin, int64_t end) {
    sweep<A, 2>(end - begin, [&](int64_t i, int, auto k) {
      const int64_t at = begin + i;
      st(dx + at, (each ? ld(dy + at, k) : d) * LossFormula<op>::slope(ld(x + at, k), ld(t + at, k), p), k);
    });
  });
}

#define CASE(name) case LossOp::name: forward<LossOp::name, T>(a); break;
void loss_fwd(const LossFwd& a) {
  by_float(a.dtype, [&](auto type) {
    using T = decltype(type);
    switch (a.op) { LAMELLA_LOSS_OPS(CASE) }
  });
}
#undef CASE
#define CASE(name) case LossOp::name: backward<LossOp::name, T>(a); break;
void loss_bwd(const LossBwd& a) {
  by_float(a.dtype, [&](auto type) {
    using T = decltype(type);
    switch (a.op) { LAMELLA_LOSS_OPS(CASE) }
  });
}
#undef CASE

}  // namespace LAMELLA_ISA
}  // namespace lamella
