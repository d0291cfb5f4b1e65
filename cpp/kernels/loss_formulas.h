// SPDX-License-Identifier: MIT
// Losses of single elements and their derivatives, on lanes: one formula for each.
#pragma once
#include "activation.h"

namespace lamella {
namespace LAMELLA_ISA {

// value(x, t, p) and slope(x, t, p), its derivative at x, on the lanes of V.
template <LossOp> struct LossFormula;
#define LOSS(name, f, df)                                                                        \
  template <> struct LossFormula<LossOp::name> {                                                 \
    template <class V> LAMELLA_INLINE static V value(V x, V t, [[maybe_unused]] elem_t<V> p) {   \
      using T [[maybe_unused]] = elem_t<V>;                                                      \
      return f;                                                                                  \
    }                                                                                            \
    template <class V> LAMELLA_INLINE static V slope(V x, V t, [[maybe_unused]] elem_t<V> p) {   \
      using T [[maybe_unused]] = elem_t<V>;                                                      \
      return df;                                                                                 \
    }                                                                                            \
  };

template <class V> LAMELLA_INLINE V square_of(V x) { return x * x; }
template <class V> LAMELLA_INLINE V sign_of(V x) {  // NaN passes
  return select(x > elem_t<V>(0), constant<V>(1), select(x < elem_t<V>(0), constant<V>(-1), x));
}
template <class V> LAMELLA_INLINE V positive(V x) { return vmax(V{}, x); }  // NaN passes
template <class V> LAMELLA_INLINE V log_floor(V log) { return vmax(constant<V>(-100), log); }
template <class V> LAMELLA_INLINE V softplus_of(V x) { return -logsigmoid(-x); }

// p^2 / 2 within p, p (|d| - p / 2) beyond: q (|d| - q / 2) with q = min(|d|, p)
template <class V> LAMELLA_INLINE V huber_of(V d, elem_t<V> p) {
  const V a = vabs(d), q = vmin(V{} + p, a);
  return q * (a - elem_t<V>(0.5) * q);
}
// log cosh d = |d| - log 2 + log(1 + e^-2|d|), as log(1 + h) with h = cosh d - 1 = (1 - e^-a)^2 e^a / 2 where a = |d| is small
template <class V> LAMELLA_INLINE V log_cosh_of(V d) {
  using T = elem_t<V>;
  const V a = vabs(d), e = vexp(-a), m = vexpm1(-a);
  const V small = vlog1p(T(0.5) * m * m / e), large = a - T(0.69314718055994530942) + vlog1p(e * e);
  return select(a < T(1), small, large);
}

LOSS(mse, square_of(x - t), T(2) * (x - t))
LOSS(l1, vabs(x - t), sign_of(x - t))
LOSS(huber, huber_of(x - t, p), vmin(V{} + p, vmax(V{} - p, x - t)))
LOSS(log_cosh, log_cosh_of(x - t), vtanh(x - t))
LOSS(quantile, select(t >= x, p * (t - x), (T(1) - p) * (x - t)),
     select(t > x, V{} - p, select(t < x, V{} + (T(1) - p), (x - t) * T(0))))
LOSS(poisson_nll, vexp(x) - t * x, vexp(x) - t)
LOSS(bce, -(t * log_floor(vlog(x)) + (T(1) - t) * log_floor(vlog1p(-x))),
     (x - t) / vmax(constant<V>(1e-12), x * (T(1) - x)))
LOSS(bce_logits, softplus_of(x) - t * x, vsigmoid(x) - t)
LOSS(hinge, positive(T(1) - t * x), select(T(1) - t * x > T(0), -t, V{}))
LOSS(squared_hinge, square_of(positive(T(1) - t * x)), T(-2) * t * positive(T(1) - t * x))
LOSS(soft_margin, softplus_of(-t * x), -t * vsigmoid(-t * x))
#undef LOSS

}  // namespace LAMELLA_ISA
}  // namespace lamella
