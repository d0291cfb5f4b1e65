// SPDX-License-Identifier: MIT
// Activations and their derivatives on the lanes of V, one formula for each: elementwise ops, GEMM and convolution
// epilogues and backward kernels all use these. `d_x` is the derivative at the function's input; for relu, tanh and
// sigmoid it is in terms of the output y.
#pragma once
#include "lanes.h"

namespace lamella {
namespace LAMELLA_ISA {

template <class V> LAMELLA_INLINE V relu(V x) { return vmax(V{}, x); }  // NaN passes
template <class V> LAMELLA_INLINE V d_relu(V y) { return select(y <= elem_t<V>(0), V{}, constant<V>(1)); }
template <class V> LAMELLA_INLINE V d_tanh(V y) { return elem_t<V>(1) - y * y; }
template <class V> LAMELLA_INLINE V d_sigmoid(V y) { return y * (elem_t<V>(1) - y); }

constexpr double kGeluEnd = 40;  // where h is 0
// gelu(x) = x Phi(x), Phi the normal distribution: of its tail h, max(x, 0) - |x| h, so that the left tail keeps its relative
// accuracy; 0 at -infinity.
template <class V> LAMELLA_INLINE V gelu(V x) {
  V bell, h = normal_tail(x, bell);
  return fma(-vmin(constant<V>(kGeluEnd), vabs(x)), h, relu(x));
}
template <class V> LAMELLA_INLINE V d_gelu(V x) {  // Phi(x) + x phi(x)
  using T = elem_t<V>;
  V bell, h = normal_tail(x, bell);
  return fma(x, T(0.39894228040143267794) * bell, select(x < T(0), h, T(1) - h));
}

// gelu_tanh(x) = x (1 + tanh u) / 2 = x sigmoid(2u), u = sqrt(2 / pi) (x + 0.044715 x^3)
constexpr double kGeluTanh = 2 * 0.79788456080286535588, kGeluCube = 0.044715;
template <class V> LAMELLA_INLINE V gelu_tanh_gate(V x) {
  using T = elem_t<V>;
  return vsigmoid(T(kGeluTanh) * x * fma(T(kGeluCube) * x, x, constant<V>(1)));
}
template <class V> LAMELLA_INLINE V gelu_tanh(V x) { return x * gelu_tanh_gate(x); }
template <class V> LAMELLA_INLINE V d_gelu_tanh(V x) {
  using T = elem_t<V>;
  V s = gelu_tanh_gate(x), slope = T(kGeluTanh) * fma(T(3 * kGeluCube) * x, x, constant<V>(1));
  return s + s * (T(1) - s) * x * slope;
}

template <class V> LAMELLA_INLINE V silu(V x) { return x * vsigmoid(x); }
template <class V> LAMELLA_INLINE V d_silu(V x) {
  V s = vsigmoid(x);
  return s * fma(x, elem_t<V>(1) - s, constant<V>(1));
}

template <class V> LAMELLA_INLINE V logsigmoid(V x) { return vmin(V{}, x) - vlog1p(vexp(-vabs(x))); }
template <class V> LAMELLA_INLINE V d_logsigmoid(V x) { return vsigmoid(-x); }

// log(1 + e^(beta x)) / beta, x itself where beta x > threshold
template <class V> LAMELLA_INLINE V softplus(V x, elem_t<V> beta, elem_t<V> threshold) {
  V z = beta * x;
  return select(z > threshold, x, -logsigmoid(-z) / beta);
}
template <class V> LAMELLA_INLINE V d_softplus(V x, elem_t<V> beta, elem_t<V> threshold) {
  V z = beta * x;
  return select(z > threshold, constant<V>(1), vsigmoid(z));
}

template <class V> LAMELLA_INLINE V elu(V x, elem_t<V> alpha) {
  return select(x > elem_t<V>(0), x, alpha * vexpm1(x));
}
template <class V> LAMELLA_INLINE V d_elu(V x, elem_t<V> alpha) {
  return select(x > elem_t<V>(0), constant<V>(1), alpha * vexp(x));
}

template <class V> LAMELLA_INLINE V leaky_relu(V x, elem_t<V> slope) { return select(x > elem_t<V>(0), x, slope * x); }
template <class V> LAMELLA_INLINE V d_leaky_relu(V x, elem_t<V> slope) {
  return select(x > elem_t<V>(0), constant<V>(1), V{} + slope);
}

// alpha (e^(x / alpha) - 1) below 0
template <class V> LAMELLA_INLINE V celu(V x, elem_t<V> alpha) {
  return select(x > elem_t<V>(0), x, alpha * vexpm1(x / alpha));
}
template <class V> LAMELLA_INLINE V d_celu(V x, elem_t<V> alpha) {
  return select(x > elem_t<V>(0), constant<V>(1), vexp(x / alpha));
}

// The fixed point of mean 0 and variance 1 (Klambauer et al. 2017, equation 14).
constexpr double kSeluAlpha = 1.6732632423543772848170429916717, kSeluScale = 1.0507009873554804934193349852946;
template <class V> LAMELLA_INLINE V selu(V x) { return elem_t<V>(kSeluScale) * elu(x, elem_t<V>(kSeluAlpha)); }
template <class V> LAMELLA_INLINE V d_selu(V x) { return elem_t<V>(kSeluScale) * d_elu(x, elem_t<V>(kSeluAlpha)); }

// mish(x) = x tanh(log(1 + e)), e = e^x: tanh of it is n / (n + 2), n = e (e + 2); beyond 40 it is 1
template <class V> LAMELLA_INLINE V mish(V x) {
  using T = elem_t<V>;
  const V e = vexp(vmin(constant<V>(40), x)), n = e * (e + T(2));
  return x * (n / (n + T(2)));
}
template <class V> LAMELLA_INLINE V d_mish(V x) {
  using T = elem_t<V>;
  x = vmin(constant<V>(40), x);
  const V e = vexp(x), n = e * (e + T(2)), rest = T(2) / (n + T(2)), w = n / (n + T(2));
  return w + x * rest * (T(1) + w) * (e / (e + T(1)));
}

template <class V> LAMELLA_INLINE V hardtanh(V x, elem_t<V> low, elem_t<V> high) {  // NaN passes
  return vmin(V{} + high, vmax(V{} + low, x));
}
template <class V> LAMELLA_INLINE V hardsigmoid(V x) {
  using T = elem_t<V>;
  return hardtanh(x + T(3), T(0), T(6)) / T(6);
}
template <class V> LAMELLA_INLINE V d_hardsigmoid(V x) {
  using T = elem_t<V>;
  return select((x > T(-3)) & (x < T(3)), constant<V>(1.0 / 6), V{});
}
template <class V> LAMELLA_INLINE V d_hardswish(V x) {
  using T = elem_t<V>;
  const V inside = fma(x, constant<V>(1.0 / 3), constant<V>(0.5));
  return select(x <= T(-3), V{}, select(x < T(3), inside, constant<V>(1)));
}

// An epilogue's activation; the switch is to be hoisted by the caller or left to the branch predictor.
template <class V> LAMELLA_INLINE V apply_act(Act act, V x) {
  switch (act) {
    case Act::relu: return relu(x);
    case Act::gelu: return gelu(x);
    case Act::gelu_tanh: return gelu_tanh(x);
    case Act::silu: return silu(x);
    case Act::sigmoid: return vsigmoid(x);
    case Act::tanh: return vtanh(x);
    case Act::none: break;
  }
  return x;
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
