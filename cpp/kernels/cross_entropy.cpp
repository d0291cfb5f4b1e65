// SPDX-License-Identifier: MIT
// Cross-entropy of logits (outer, classes, inner) with class indices: one pass forward, one pass backward, no
// probabilities in memory.
#include "lse.h"
#include "turn.h"

namespace lamella {
namespace LAMELLA_ISA {

template <class T> struct Targets {
  using A = acc_t<T>;
  const T* x;
  const int64_t* target;
  const A* weight;
  int64_t outer, classes, inner, ignore;
  A nll, smooth, weight_sum;  // of a target: nll w[t] (lse - x[t]) + smooth (weight_sum lse - sum(w x))

  template <class Args> LAMELLA_INLINE explicit Targets(const Args& a)
      : x((const T*)a.logits), target(a.target), weight((const A*)a.weight), outer(a.outer), classes(a.classes),
        inner(a.inner), ignore(a.ignore_index), nll(A(1 - a.smoothing)), smooth(A(a.smoothing / double(a.classes))) {
    double sum = double(a.classes);
    if (weight && smooth != 0) {
      sum = 0;
      for (int64_t c = 0; c < classes; ++c) sum += double(weight[c]);
    }
    weight_sum = A(sum);
  }
  LAMELLA_INLINE A of(int64_t t) const { return weight ? weight[t] : A(1); }
};

// sum over the classes of weight x (or of x), for one row.
template <class T> static acc_t<T> weighted_sum(const T* x, const acc_t<T>* weight, int64_t n) {
  using A = acc_t<T>;
  Four<A> s;
  sweep<A, 4>(n, [&](int64_t i, int u, auto k) { s.v[u] += weight ? ld(x + i, k) * ld(weight + i, k) : ld(x + i, k); });
  return s.sum();
}

LAMELLA_INLINE int64_t lanes_of(Whole, int64_t all) { return all; }
LAMELLA_INLINE int64_t lanes_of(Part k, int64_t) { return k.n; }

// ---- forward ------------------------------------------------------------------------------------------------------------
// loss and lse of every target.
template <class T> static void losses(const Targets<T>& p, acc_t<T>* loss, acc_t<T>* lse, bool log_probs) {
  using A = acc_t<T>;
  constexpr int64_t L = kLanes<A>;
  const int64_t count = p.outer * p.inner;
  if (log_probs) {
    parallel_blocks(count, kTask, [&](int64_t begin, int64_t end) {
      int64_t o = begin / p.inner, j = begin % p.inner;  // counted on: a division takes longer than all the rest
      for (int64_t i = begin; i < end; ++i) {
        const int64_t t = p.target[i];
        loss[i] = t == p.ignore ? A(0) : -p.of(t) * up(p.x[(o * p.classes + t) * p.inner + j]);
        if (++j == p.inner) j = 0, ++o;
      }
    });
    return;
  }
  if (p.inner == 1) {
    parallel_blocks(p.outer, row_grain(p.outer, p.classes), [&](int64_t begin, int64_t end) {
      if (p.classes <= kShort)
        for (int64_t r = begin, step = short_rows<A>(p.classes); r < end; r += step) {
          const int64_t rows = least(step, end - r);
          const T* x = p.x + r * p.classes;
          vec<A> m, s;
          if (p.classes < L) {
            vec<A> t[L];
            turn_in(x, p.classes, rows, p.classes, t);
            column_lse<1>(reinterpret_cast<const A*>(t), p.classes, L, Whole{}, &m, &s, [](int64_t, int, vec<A>, vec<A>) {});
          } else {
            short_lse(x, p.classes, rows, m, s, [](int64_t, int64_t, vec<A>, auto) {});
          }
          vstore<A>(lse + r, m + vlog(s), rows);
        }
      for (int64_t r = begin; r < end; ++r) {
        const T* x = p.x + r * p.classes;
        const int64_t t = p.target[r];
        if (t == p.ignore) { loss[r] = lse[r] = A(0); continue; }
        if (p.classes > kShort) lse[r] = run_lse(x, p.classes).value();
        loss[r] = p.nll * p.of(t) * (lse[r] - up(x[t]));
        if (p.smooth != 0) loss[r] += p.smooth * (p.weight_sum * lse[r] - weighted_sum(x, p.weight, p.classes));
      }
    });
    return;
  }
  tiles<A>(p.outer, p.classes, p.inner, [&](int64_t c, int64_t o, auto n, auto k) {
    constexpr int V = decltype(n)::value;
    const T* x = p.x + o * p.classes * p.inner + c;
    vec<A> m[V], s[V], sum[V] = {};
    column_lse<V>(x, p.classes, p.inner, k, m, s, [&](int64_t i, int v, vec<A>, vec<A> xi) { sum[v] += xi * p.of(i); });
    for (int v = 0; v < V; ++v) {
      const vec<A> l = m[v] + vlog(s[v]), smoothed = p.smooth != 0 ? p.smooth * (p.weight_sum * l - sum[v]) : vec<A>{};
      for (int64_t j = 0; j < lanes_of(k, L); ++j) {
        const int64_t i = o * p.inner + c + v * L + j, t = p.target[i];
        lse[i] = t == p.ignore ? A(0) : l[j];
        loss[i] = t == p.ignore ? A(0) : p.nll * p.of(t) * (l[j] - up(x[t * p.inner + v * L + j])) + smoothed[j];
      }
    }
  });
}

template <class T> static void fwd(const CrossEntropyFwd& a) {
  using A = acc_t<T>;
  const Targets<T> p(a);
  const int64_t count = a.outer * a.inner;
  constexpr bool direct = __is_same(T, A);
  A* loss = direct && a.reduction == Reduction::none ? (A*)a.loss : scratch_of<A>(count, 0);
  losses(p, loss, (A*)a.lse, a.log_probs);
  if (a.reduction == Reduction::none) {
    if constexpr (!direct) for (int64_t i = 0; i < count; ++i) ((T*)a.loss)[i] = down<T>(loss[i]);
    return;
  }
  double sum[4] = {}, weight = 0;
  for (int64_t i = 0; i < count; ++i) {
    sum[i % 4] += double(loss[i]);
    if (p.target[i] != p.ignore) weight += double(p.of(p.target[i]));
  }
  double total = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  if (a.reduction == Reduction::mean) {
    *(A*)a.denominator = A(weight);
    total /= weight;
  }
  *(T*)a.loss = down<T>(A(total));
}

// ---- backward -----------------------------------------------------------------------------------------------------------
// dlogits = dloss (nll w[t] (p - [c == t]) + smooth (weight_sum p - w[c])), p = exp(x - lse).
template <class T> struct Grad {
  using A = acc_t<T>;
  A p, uniform, target;  // factors of p, of w[c], and what target t itself loses
  LAMELLA_INLINE Grad(const Targets<T>& q, int64_t t, A dloss) {
    const bool used = t != q.ignore;
    target = used ? dloss * q.nll * q.of(t) : A(0);
    uniform = used ? dloss * q.smooth : A(0);
    p = target + uniform * q.weight_sum;
  }
};

template <class T> static void bwd(const CrossEntropyBwd& a) {
  using A = acc_t<T>;
  constexpr int64_t L = kLanes<A>;
  const Targets<T> p(a);
  const A* lse = (const A*)a.lse;
  const T* dloss = (const T*)a.dloss;
  T* dx = (T*)a.dlogits;
  const int64_t stride = a.reduction == Reduction::none;
  const A scale = a.reduction == Reduction::mean ? A(1) / *(const A*)a.denominator : A(1);
  auto grad = [&](int64_t i) { return Grad<T>(p, p.target[i], up(dloss[i * stride]) * scale); };
  if (a.log_probs) {
    __builtin_memset(dx, 0, size_t(a.outer * a.classes * a.inner) * sizeof(T));
    for (int64_t o = 0, i = 0; o < a.outer; ++o)
      for (int64_t j = 0; j < a.inner; ++j, ++i) {
        const int64_t t = p.target[i];
        if (t != p.ignore) dx[(o * p.classes + t) * p.inner + j] = down<T>(-grad(i).target);
      }
    return;
  }
  if (p.inner == 1) {
    parallel_blocks(p.outer, row_grain(p.outer, p.classes), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const T* x = p.x + r * p.classes;
        T* d = dx + r * p.classes;
        const int64_t t = p.target[r];
        if (t == p.ignore) { __builtin_memset(d, 0, size_t(p.classes) * sizeof(T)); continue; }
        const Grad<T> g = grad(r);
        const vec<A> l = splat(lse[r]), gp = splat(g.p), gu = splat(g.uniform);
        if (p.smooth == 0) {
          sweep<A, 4>(p.classes, [&](int64_t i, int, auto k) { st(d + i, vexp(ld(x + i, k) - l) * gp, k); });
        } else {
          sweep<A, 4>(p.classes, [&](int64_t i, int, auto k) {
            st(d + i, vexp(ld(x + i, k) - l) * gp - (p.weight ? gu * ld(p.weight + i, k) : gu), k);
          });
        }
        d[t] = down<T>((exp1(up(x[t]) - lse[r]) * g.p - g.uniform * p.of(t)) - g.target);
      }
    });
    return;
  }
  tiles<A>(p.outer, p.classes, p.inner, [&](int64_t c, int64_t o, auto n, auto k) {
    constexpr int V = decltype(n)::value;
    const int64_t base = o * p.classes * p.inner + c;
    vec<A> l[V], gp[V] = {}, gu[V] = {}, used[V] = {};
    for (int v = 0; v < V; ++v) {
      const int64_t i = o * p.inner + c + v * L;
      l[v] = ld(lse + i, k);
      for (int64_t j = 0; j < lanes_of(k, L); ++j) {
        const Grad<T> g = grad(i + j);
        used[v][j] = A(p.target[i + j] != p.ignore);
        gp[v][j] = g.p;
        gu[v][j] = g.uniform;
      }
    }
    for (int64_t i = 0; i < p.classes; ++i)
      for (int v = 0; v < V; ++v) {
        const int64_t at = base + i * p.inner + v * L;
        vec<A> r = vexp(ld(p.x + at, k) - l[v]) * gp[v] - gu[v] * p.of(i);
        st(dx + at, select(used[v] != A(0), r, vec<A>{}), k);  // a NaN in an ignored slot does not leak
      }
    for (int v = 0; v < V; ++v)
      for (int64_t j = 0; j < lanes_of(k, L); ++j) {
        const int64_t i = o * p.inner + c + v * L + j, t = p.target[i];
        if (t == p.ignore) continue;
        const Grad<T> g = grad(i);
        const int64_t at = base + t * p.inner + v * L + j;
        dx[at] = down<T>((exp1(up(p.x[at]) - lse[i]) * g.p - g.uniform * p.of(t)) - g.target);
      }
  });
}

void cross_entropy_fwd(const CrossEntropyFwd& a) {
  by_float(a.dtype, [&](auto t) { fwd<decltype(t)>(a); });
}
void cross_entropy_bwd(const CrossEntropyBwd& a) {
  by_float(a.dtype, [&](auto t) { bwd<decltype(t)>(a); });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
