// SPDX-License-Identifier: MIT
// The formula of each update rule, on lanes: p, d (the gradient, with sign and decay in it: OptimStep) and states s, all
// but d to be replaced. The members are the rule's numbers, in order, which the Python class of the optimiser computes in
// double: keep is 1 - beta, rate a step size with its bias correction, root 1 / sqrt(1 - beta2^t).
#pragma once
#include "lanes.h"

namespace lamella {
namespace LAMELLA_ISA {

struct Plain { static constexpr bool trusts = false; };
#define FORMULA template <class V> LAMELLA_INLINE void operator()([[maybe_unused]] V& p, V d, [[maybe_unused]] V* s) const

template <class V> LAMELLA_INLINE V sign_of(V x) {  // -1, 0 or 1; 0 of NaN
  const V one = splat(elem_t<V>(1)), none = {};
  return select(x > none, one, select(x < none, -one, none));
}

template <class A> struct Sgd : Plain {
  A rate;
  FORMULA { p -= d * rate; }
};

// A buffer and what p moves by: of_d d + of_v v (Nesterov: rate, rate momentum; else 0, rate).
template <class A> struct Momentum : Plain {
  A momentum, keep, of_d, of_v;
  FORMULA {
    s[0] = s[0] * momentum + d * keep;
    p -= d * of_d + s[0] * of_v;
  }
};

template <class A> struct Moments : Plain {  // running means of d and d^2
  A beta1, keep1, beta2, keep2;
  template <class V> LAMELLA_INLINE void moments(V d, V* s) const {
    s[0] = s[0] * beta1 + d * keep1;
    s[1] = s[1] * beta2 + d * d * keep2;
  }
};

template <class A> struct Adam : Moments<A> {
  A rate, root, eps;
  FORMULA {
    this->moments(d, s);
    p -= rate * s[0] / (vsqrt(s[1]) * root + eps);
  }
};

template <class A> struct Amsgrad : Moments<A> {
  A rate, root, eps;
  FORMULA {
    this->moments(d, s);
    s[2] = vmax_nan(s[2], s[1]);
    p -= rate * s[0] / (vsqrt(s[2]) * root + eps);
  }
};

template <class A> struct NAdam : Moments<A> {
  A of_d, of_m, root, eps;
  FORMULA {
    this->moments(d, s);
    p -= (d * of_d + s[0] * of_m) / (vsqrt(s[1]) * root + eps);
  }
};

template <class A> struct RAdam : Moments<A> {  // adaptive 1; 0 while the variance is not tractable, with eps 1
  A rate, adaptive, eps;
  FORMULA {
    this->moments(d, s);
    p -= rate * s[0] / (vsqrt(s[1]) * adaptive + eps);
  }
};

template <class A> struct Adamax : Plain {
  A beta1, keep1, beta2, eps, rate;
  FORMULA {
    s[0] = s[0] * beta1 + d * keep1;
    s[1] = vmax_nan(s[1] * beta2, vabs(d) + eps);
    p -= rate * s[0] / s[1];
  }
};

template <class A> struct Adagrad : Plain {
  A rate, eps;
  FORMULA {
    s[0] += d * d;
    p -= rate * d / (vsqrt(s[0]) + eps);
  }
};

template <class A> struct Adadelta : Plain {
  A rho, keep, eps, rate;
  FORMULA {
    s[0] = s[0] * rho + d * d * keep;
    const V step = vsqrt((s[1] + eps) / (s[0] + eps)) * d;
    s[1] = s[1] * rho + step * step * keep;
    p -= step * rate;
  }
};

// States: the mean square; the mean, where centered; the buffer, where there is momentum.
template <class A> struct RMSprop : Plain {
  A alpha, keep, eps, rate;
  FORMULA {
    s[0] = s[0] * alpha + d * d * keep;
    p -= rate * d / (vsqrt(s[0]) + eps);
  }
};
template <class A> struct RMSpropMomentum : Plain {
  A alpha, keep, eps, rate, momentum;
  FORMULA {
    s[0] = s[0] * alpha + d * d * keep;
    s[1] = s[1] * momentum + d / (vsqrt(s[0]) + eps);
    p -= s[1] * rate;
  }
};
template <class A> struct RMSpropCentered : Plain {
  A alpha, keep, eps, rate;
  FORMULA {
    s[0] = s[0] * alpha + d * d * keep;
    s[1] += (d - s[1]) * keep;
    p -= rate * d / (vsqrt(s[0] - s[1] * s[1]) + eps);
  }
};
template <class A> struct RMSpropCenteredMomentum : Plain {
  A alpha, keep, eps, rate, momentum;
  FORMULA {
    s[0] = s[0] * alpha + d * d * keep;
    s[1] += (d - s[1]) * keep;
    s[2] = s[2] * momentum + d / (vsqrt(s[0] - s[1] * s[1]) + eps);
    p -= s[2] * rate;
  }
};

template <class A> struct Rprop : Plain {  // states: the gradient before, the step size
  A fewer, more, low, high;
  FORMULA {
    const V turn = d * s[0], none = {};
    const V by = select(turn > none, splat(more), select(turn < none, splat(fewer), splat(A(1))));
    s[1] = vmin(splat(high), vmax(splat(low), s[1] * by));
    s[0] = select(turn < none, none, d);
    p -= sign_of(s[0]) * s[1];
  }
};

template <class A> struct ASGD : Plain {
  A eta, mu;
  FORMULA {
    p -= d * eta;
    s[0] = select(splat(mu) == splat(A(1)), p, s[0] + (p - s[0]) * mu);
  }
};

template <class A> struct Lion : Plain {
  A beta1, keep1, beta2, keep2, rate;
  FORMULA {
    p -= sign_of(s[0] * beta1 + d * keep1) * rate;
    s[0] = s[0] * beta2 + d * keep2;
  }
};

// ---- rules with a trust ratio per tensor -------------------------------------------------------------------------------
// measure() gives the vector whose norm is held against p's; then apply() moves all of the tensor, with trust =
// min(limit, coefficient |p| / (|measured| + decay |p| + eps)), 1 for the ratio where either norm is 0. States are
// replaced by measure() where `early`, else by apply().
template <class A> struct Trusting { static constexpr bool trusts = true; A coefficient, decay, norm_eps, limit; };

template <class A> struct Lars : Trusting<A> {
  static constexpr bool early = false;
  A weight_decay, momentum, keep, of_d, of_v;
  template <class V> LAMELLA_INLINE V measure(V, V d, V*) const { return d; }
  template <class V> LAMELLA_INLINE void apply(V& p, V d, V* s, A trust) const {
    const V scaled = (d + p * weight_decay) * trust;
    s[0] = s[0] * momentum + scaled * keep;
    p -= scaled * of_d + s[0] * of_v;
  }
};

template <class A> struct Lamb : Trusting<A> {  // root1 is 1 / (1 - beta1^t)
  static constexpr bool early = true;
  A beta1, keep1, beta2, keep2, root1, root, eps, weight_decay, rate;
  template <class V> LAMELLA_INLINE V move(V p, const V* s) const {
    return root1 * s[0] / (vsqrt(s[1]) * root + eps) + p * weight_decay;
  }
  template <class V> LAMELLA_INLINE V measure(V p, V d, V* s) const {
    s[0] = s[0] * beta1 + d * keep1;
    s[1] = s[1] * beta2 + d * d * keep2;
    return move(p, s);
  }
  template <class V> LAMELLA_INLINE void apply(V& p, V, V* s, A trust) const { p -= move(p, s) * (rate * trust); }
};

// ---- not of gradients ----------------------------------------------------------------------------------------------------
template <class A> struct Lerp : Plain {  // towards d
  A weight;
  FORMULA { p += (d - p) * weight; }
};
template <class A> struct SoftThreshold : Plain {  // sign(p) max(|p| - amount, 0); NaN stays
  A amount;
  template <class V> LAMELLA_INLINE void operator()(V& p, V, V*) const {
    p -= vmin(splat(amount), vmax(splat(-amount), p));
  }
};
#undef FORMULA

}  // namespace LAMELLA_ISA
}  // namespace lamella
