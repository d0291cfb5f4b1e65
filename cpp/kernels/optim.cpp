// SPDX-License-Identifier: MIT
// Optimiser steps: one pass over all parameters, in fixed chunks, so that a model of a hundred small tensors costs one
// parallel call and one of a few large ones fills all threads.
#include "optim_formulas.h"
#include "optim_rules.h"

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

// While one lives, float32 numbers below the least normal one count as zero: the moments of units that no gradient reaches any
// more fade into such numbers, with which every operation takes a hundred times as long.
struct NoSubnormals {
#if defined(__x86_64__)
  unsigned kept = __builtin_ia32_stmxcsr();
  NoSubnormals() { __builtin_ia32_ldmxcsr(kept | 0x8040); }  // flush to zero, denormals are zero
  ~NoSubnormals() { __builtin_ia32_ldmxcsr(kept); }
#elif defined(__aarch64__)
  unsigned kept = __builtin_aarch64_get_fpcr();
  NoSubnormals() { __builtin_aarch64_set_fpcr(kept | 1u << 24); }
  ~NoSubnormals() { __builtin_aarch64_set_fpcr(kept); }
#endif
};

// ---- steps -----------------------------------------------------------------------------------------------------------
// The formula with its numbers in the arithmetic type.
template <class Formula, class A> LAMELLA_INLINE Formula with_numbers(const double* numbers) {
  A n[sizeof(Formula) / sizeof(A)];
  for (size_t k = 0; k < sizeof n / sizeof *n; ++k) n[k] = A(numbers[k]);
  Formula f;
  std::memcpy(&f, n, sizeof f);
  return f;
}

// body(p, d, s, offset, n) on the lanes of elements [begin, end) of tensor i. p is shrunk; what changed is stored: p where
// `moves`, the first `kept` states.
template <class T, int states, int kept, bool moves, class F>
LAMELLA_INLINE void each_lane(const OptimStep& a, int64_t i, int64_t begin, int64_t end, const F& body) {
  using A = acc_t<T>;
  using V = vec<A>;
  T *p = static_cast<T*>(a.p[i]), *state[states + 1];
  const T* g = static_cast<const T*>(a.g[i]);
  for (int k = 0; k < states; ++k) state[k] = static_cast<T*>(a.state[k][i]);
  const A sign = a.maximize ? A(-1) : A(1), decay = A(a.decay), shrink = A(a.shrink);
  for_lanes<A>(begin, end, [&](int64_t j, int64_t n) {
    V s[states + 1], x = get(p + j, n), d = fma(x, splat(decay), get(g + j, n) * sign);
    for (int k = 0; k < states; ++k) s[k] = get(state[k] + j, n);
    x *= shrink;
    body(x, d, s, n);
    for (int k = 0; k < kept; ++k) put(state[k] + j, s[k], n);
    if constexpr (moves) put(p + j, x, n);
  });
}

template <class T, class Formula, int states>
static void plain_step(const OptimStep& a, int64_t i, int64_t begin, int64_t end) {
  using V = vec<acc_t<T>>;
  const NoSubnormals while_here;
  const auto f = with_numbers<Formula, acc_t<T>>(a.numbers);
  each_lane<T, states, states, true>(a, i, begin, end, [&](V& p, V d, V* s, int64_t) { f(p, d, s); });
}

// What elements [begin, end) add to the squared norms of p (sums[0]) and of what the formula measures (sums[1]).
template <class T, class Formula, int states>
static void measure(const OptimStep& a, int64_t i, int64_t begin, int64_t end, double* sums) {
  using A = acc_t<T>;
  using V = vec<A>;
  const NoSubnormals while_here;
  const auto f = with_numbers<Formula, A>(a.numbers);
  for (int64_t b = begin; b < end; b += 4096) {
    V pp = {}, uu = {};
    each_lane<T, states, Formula::early ? states : 0, false>(a, i, b, least(b + 4096, end), [&](V& p, V d, V* s, int64_t n) {
      const V u = select(lane_numbers<A>() < int_of<A>(n), f.measure(p, d, s), V{});  // eps may be 0: 0 / 0 past the end
      pp = fma(p, p, pp);
      uu = fma(u, u, uu);
    });
    sums[0] += double(hsum(pp));
    sums[1] += double(hsum(uu));
  }
}

template <class T, class Formula, int states>
static void trusted_step(const OptimStep& a, int64_t i, int64_t begin, int64_t end, double trust) {
  using A = acc_t<T>;
  using V = vec<A>;
  const NoSubnormals while_here;
  const auto f = with_numbers<Formula, A>(a.numbers);
  each_lane<T, states, Formula::early ? 0 : states, true>(
      a, i, begin, end, [&](V& p, V d, V* s, int64_t) { f.apply(p, d, s, A(trust)); });
}

static double trust_of(double coefficient, double decay, double eps, double limit, double p, double measured) {
  const double ratio = p > 0 && measured > 0 ? coefficient * p / (measured + decay * p + eps) : 1;
  return ratio < limit ? ratio : limit;
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

// Of a rule without trust ratios.
template <template <class> class Formula, int states, bool trusts> struct Step {
  static void run(const OptimStep& a) {
    for_chunks(a.list, [&](int64_t, int64_t i, int64_t begin, int64_t end) {
      by_dtype(a.list.dtype[i], [&](auto* t) {
        using T = ELEMENT(t);
        plain_step<T, Formula<acc_t<T>>, states>(a, i, begin, end);
      });
    });
  }
};

// Of one with: norms by pieces (a task's part of a tensor), added in order, then the update.
template <template <class> class Formula, int states> struct Step<Formula, states, true> {
  static void run(const OptimStep& a) {
    const TensorList& list = a.list;
    const int64_t pieces = tasks_of(list) + list.count;  // piece (task, i) is number task + i: either moves on by one
    double* sums = static_cast<double*>(scratch(size_t(2 * pieces + list.count + 1) * sizeof(double), 0));
    double* trust = sums + 2 * pieces;
    for (int64_t k = 0; k < 2 * pieces; ++k) sums[k] = 0;
    for_chunks(list, [&](int64_t task, int64_t i, int64_t begin, int64_t end) {
      by_dtype(list.dtype[i], [&](auto* t) {
        using T = ELEMENT(t);
        measure<T, Formula<acc_t<T>>, states>(a, i, begin, end, sums + 2 * (task + i));
      });
    });
    for (int64_t i = 0, start = 0; i < list.count; start += list.size[i], ++i) {
      double p = 0, measured = 0;
      for (int64_t task = start / kGroup; task * kGroup < start + list.size[i]; ++task) {
        p += sums[2 * (task + i)];
        measured += sums[2 * (task + i) + 1];
      }
      const double* n = a.numbers;
      trust[i] = trust_of(n[0], n[1], n[2], n[3], __builtin_sqrt(p), __builtin_sqrt(measured));
    }
    for_chunks(list, [&](int64_t, int64_t i, int64_t begin, int64_t end) {
      by_dtype(list.dtype[i], [&](auto* t) {
        using T = ELEMENT(t);
        trusted_step<T, Formula<acc_t<T>>, states>(a, i, begin, end, trust[i]);
      });
    });
  }
};

void optim_step(const OptimStep& a) {
  switch (OptimRule(a.rule)) {
#define R(name, Formula, states, numbers)                                                                    \
  static_assert(states <= kMaxOptimStates && sizeof(Formula<double>) == numbers * sizeof(double), #name);    \
  case OptimRule::name: return Step<Formula, states, Formula<double>::trusts>::run(a);
    LAMELLA_OPTIM_RULES(R)
#undef R
  }
}

void scale_all(const ScaleAll& s) {
  const double by = s.factor ? s.scale * *s.factor : s.scale;
  for_chunks(s.list, [&](int64_t, int64_t i, int64_t begin, int64_t end) {
    by_dtype(s.list.dtype[i], [&](auto* t) { scale<ELEMENT(t)>(s.g, by, i, begin, end); });
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
