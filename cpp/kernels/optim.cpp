// SPDX-License-Identifier: MIT
// Optimiser steps: one pass over all parameters, in fixed chunks, so that a model of a hundred small tensors costs one
// parallel call and one of a few large ones fills all threads.
#include "vec.h"

namespace lamella {
namespace LAMELLA_ISA {

constexpr int64_t kGroup = 65536;  // elements of a task, of as many tensors as that takes

static int64_t total_of(const TensorList& list) {
  int64_t total = 0;
  for (int64_t i = 0; i < list.count; ++i) total += list.size[i];
  return total;
}
static int64_t tasks_of(const TensorList& list) { return ceil_div(total_of(list), kGroup); }

// f(task, tensor, begin, end) over all of every tensor, cut into tasks by the sizes alone.
template <class F> static void for_chunks(const TensorList& list, const F& f) {
  const int64_t total = total_of(list), tasks = tasks_of(list);
  if (tasks == 0) return;
  parallel(tasks, [&](int64_t task) {
    // Elements [task * kGroup, (task + 1) * kGroup) of all tensors laid end to end.
    int64_t from = task * kGroup, to = from + kGroup < total ? from + kGroup : total, start = 0;
    for (int64_t i = 0; i < list.count && start < to; start += list.size[i], ++i) {
      int64_t begin = from > start ? from - start : 0;
      int64_t end = to - start < list.size[i] ? to - start : list.size[i];
      if (begin < end) f(task, i, begin, end);
    }
  });
}

// One vector at a time, full or partial: body(offset, n) with n lanes (n == lanes for all but the last).
template <class A, class F> LAMELLA_INLINE void for_lanes(int64_t begin, int64_t end, const F& body) {
  int64_t i = begin;
  for (; i + kLanes<A> <= end; i += kLanes<A>) body(i, int64_t(kLanes<A>));
  if (i < end) body(i, end - i);
}

template <class T> LAMELLA_INLINE vec<acc_t<T>> get(const T* p, int64_t n) {
  return n == kLanes<acc_t<T>> ? vload(p) : vload(p, n);
}
template <class T> LAMELLA_INLINE void put(T* p, vec<acc_t<T>> v, int64_t n) {
  if (n == kLanes<acc_t<T>>) vstore(p, v);
  else vstore(p, v, n);
}

template <class T> static void sgd(const SgdStep& s, int64_t i, int64_t begin, int64_t end) {
  using A = acc_t<T>;
  using V = vec<A>;
  T* p = static_cast<T*>(s.p[i]);
  const T* g = static_cast<const T*>(s.g[i]);
  T* buffer = s.v ? static_cast<T*>(s.v[i]) : nullptr;
  A lr = A(s.lr), momentum = A(s.momentum), keep = A(1 - s.dampening), decay = A(s.weight_decay);
  A sign = s.maximize ? A(-1) : A(1);
  for_lanes<A>(begin, end, [&](int64_t j, int64_t n) {
    V x = get(p + j, n), d = get(g + j, n) * sign;
    d = fma(x, splat(decay), d);
    if (buffer) {
      V m = s.first ? d : fma(get(buffer + j, n), splat(momentum), d * keep);
      put(buffer + j, m, n);
      d = s.nesterov ? fma(m, splat(momentum), d) : m;
    }
    put(p + j, x - d * lr, n);
  });
}

template <class T> static void adam(const AdamStep& s, int64_t i, int64_t begin, int64_t end) {
  using A = acc_t<T>;
  using V = vec<A>;
  T *p = static_cast<T*>(s.p[i]), *m = static_cast<T*>(s.m[i]), *v = static_cast<T*>(s.v[i]);
  T* vmax = s.vmax ? static_cast<T*>(s.vmax[i]) : nullptr;
  const T* g = static_cast<const T*>(s.g[i]);
  // bias corrections in double, once: 1 - beta^step
  double c1 = 1, c2 = 1, b1 = s.beta1, b2 = s.beta2;
  for (int64_t k = s.step; k; k >>= 1) {
    if (k & 1) { c1 *= b1; c2 *= b2; }
    b1 *= b1;
    b2 *= b2;
  }
  c1 = 1 - c1;
  c2 = 1 - c2;
  A step_size = A(s.lr / c1), root = A(1 / __builtin_sqrt(c2)), eps = A(s.eps);
  A beta1 = A(s.beta1), beta2 = A(s.beta2), one1 = A(1 - s.beta1), one2 = A(1 - s.beta2);
  A shrink = s.decoupled ? A(1 - s.lr * s.weight_decay) : A(1), decay = s.decoupled ? A(0) : A(s.weight_decay);
  A sign = s.maximize ? A(-1) : A(1);
  for_lanes<A>(begin, end, [&](int64_t j, int64_t n) {
    V x = get(p + j, n), d = get(g + j, n) * sign;
    d = fma(x, splat(decay), d);
    V first = fma(get(m + j, n), splat(beta1), d * one1);
    V second = fma(get(v + j, n), splat(beta2), d * d * one2);
    put(m + j, first, n);
    put(v + j, second, n);
    if (vmax) {
      second = vmax_nan(get(vmax + j, n), second);
      put(vmax + j, second, n);
    }
    put(p + j, x * shrink - step_size * first / fma(vsqrt(second), splat(root), splat(eps)), n);
  });
}

template <class T> static void scale(void* const* g, double by, int64_t i, int64_t begin, int64_t end) {
  using A = acc_t<T>;
  T* x = static_cast<T*>(g[i]);
  for_lanes<A>(begin, end, [&](int64_t j, int64_t n) { put(x + j, get(x + j, n) * A(by), n); });
}

template <class T> static void clamp(void* const* g, double low, double high, int64_t i, int64_t begin, int64_t end) {
  using A = acc_t<T>;
  T* x = static_cast<T*>(g[i]);
  for_lanes<A>(begin, end, [&](int64_t j, int64_t n) {
    put(x + j, vmin(splat(A(high)), vmax(splat(A(low)), get(x + j, n))), n);  // NaN stays
  });
}

// What elements [begin, end) of one tensor add to a norm: vectors in the arithmetic type, folded into double.
template <NormOrder order, class T> static void add_to_norm(double& norm, const void* g, int64_t begin, int64_t end) {
  using A = acc_t<T>;
  const T* x = static_cast<const T*>(g);
  for (int64_t b = begin; b < end; b += 4096) {
    vec<A> part[4] = {};
    const int64_t stop = least(b + 4096, end);
    auto take = [&](vec<A>& p, vec<A> v) {
      if constexpr (order == NormOrder::two) p = fma(v, v, p);
      else if constexpr (order == NormOrder::one) p += vabs(v);
      else p = vmax_nan(p, vabs(v));
    };
    int64_t i = b;
    for (; i + 4 * kLanes<A> <= stop; i += 4 * kLanes<A>)
      for (int u = 0; u < 4; ++u) take(part[u], vload(x + i + u * kLanes<A>));
    for_lanes<A>(i, stop, [&](int64_t j, int64_t n) { take(part[0], get(x + j, n)); });
    if constexpr (order == NormOrder::infinity) {
      const double top = double(hmax(vmax_nan(vmax_nan(part[0], part[1]), vmax_nan(part[2], part[3]))));
      norm = norm != norm || norm > top ? norm : top;
    } else {
      norm += double(hsum((part[0] + part[1]) + (part[2] + part[3])));
    }
  }
}

// Calls f with a null pointer of the element type: the one switch of this file.
template <class F> LAMELLA_INLINE void by_dtype(DType t, const F& f) {
  switch (t) {
    case DType::f64: f(static_cast<double*>(nullptr)); break;
    case DType::f32: f(static_cast<float*>(nullptr)); break;
    case DType::bf16: f(static_cast<bf16*>(nullptr)); break;
    case DType::f16: f(static_cast<f16*>(nullptr)); break;
    default: break;
  }
}
#define ELEMENT(pointer) __typeof__(*pointer)

void sgd_step(const SgdStep& s) {
  for_chunks(s.list, [&](int64_t, int64_t i, int64_t begin, int64_t end) {
    by_dtype(s.list.dtype[i], [&](auto* t) { sgd<ELEMENT(t)>(s, i, begin, end); });
  });
}

void adam_step(const AdamStep& s) {
  for_chunks(s.list, [&](int64_t, int64_t i, int64_t begin, int64_t end) {
    by_dtype(s.list.dtype[i], [&](auto* t) { adam<ELEMENT(t)>(s, i, begin, end); });
  });
}

void scale_all(const ScaleAll& s) {
  for_chunks(s.list, [&](int64_t, int64_t i, int64_t begin, int64_t end) {
    by_dtype(s.list.dtype[i], [&](auto* t) { scale<ELEMENT(t)>(s.g, s.scale, i, begin, end); });
  });
}

void clamp_all(const ClampAll& s) {
  for_chunks(s.list, [&](int64_t, int64_t i, int64_t begin, int64_t end) {
    by_dtype(s.list.dtype[i], [&](auto* t) { clamp<ELEMENT(t)>(s.g, s.low, s.high, i, begin, end); });
  });
}

template <NormOrder order> static double norm_of(const GradNorm& s) {
  const int64_t tasks = tasks_of(s.list);
  double* partial = static_cast<double*>(scratch(size_t(tasks + 1) * sizeof(double), 0));
  for (int64_t t = 0; t < tasks; ++t) partial[t] = 0;
  for_chunks(s.list, [&](int64_t task, int64_t i, int64_t begin, int64_t end) {
    by_dtype(s.list.dtype[i], [&](auto* t) { add_to_norm<order, ELEMENT(t)>(partial[task], s.g[i], begin, end); });
  });
  double all = 0;
  for (int64_t t = 0; t < tasks; ++t) {
    if (order != NormOrder::infinity) all += partial[t];
    else all = all != all || all > partial[t] ? all : partial[t];
  }
  return order == NormOrder::two ? __builtin_sqrt(all) : all;
}

void grad_norm(const GradNorm& s) {
  *s.norm = s.order == NormOrder::two   ? norm_of<NormOrder::two>(s)
            : s.order == NormOrder::one ? norm_of<NormOrder::one>(s)
                                        : norm_of<NormOrder::infinity>(s);
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
