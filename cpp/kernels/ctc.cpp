// SPDX-License-Identifier: MIT
// Connectionist temporal classification (Graves et al. 2006), forward and backward in log space. The states of an
// alignment are count + 1 blanks around count labels; blanks and labels are kept apart, so that a vector holds
// neighbours of one kind and every predecessor is the same place or the one before:
//   blank[k] <- blank[k], label[k - 1]        label[k] <- label[k], blank[k], label[k - 1] unless both are one class
// Each step is stored relative to the one before's maximum, and the maxima are summed in double: sums of thousands of
// steps keep float's precision where it counts.
#include "lse.h"

namespace lamella {
namespace LAMELLA_ISA {

// The log of zero: finite, so that differences need no care. A sum below half of it has no alignment.
constexpr double kDead = -1e30;

template <class A> LAMELLA_INLINE A alive(A x) { return x < A(kDead) ? A(kDead) : x; }  // NaN passes

template <class V> LAMELLA_INLINE V log_of_normal(V x) { return log_normal(x, V{}, V{}); }
template <class V> LAMELLA_INLINE V lse(V a, V b) {  // log(e^a + e^b)
  const V m = vmax_nan(a, b);
  return m + log_of_normal(vexp(vmin(a, b) - m) + elem_t<V>(1));
}
template <class V> LAMELLA_INLINE V lse(V a, V b, V c) {
  const V high = vmax_nan(a, b), m = vmax_nan(high, c);
  return m + log_of_normal(vexp(vmin(a, b) - m) + vexp(vmin(high, c) - m) + elem_t<V>(1));
}

// A row of states: blanks, then labels, `width` of each, with room for the elements before and after.
template <class A> struct States {
  A *blank, *label;
  LAMELLA_INLINE States(A* row, int64_t width) : blank(row), label(row + width + kCtcPad) {}
  LAMELLA_INLINE void close(int64_t width) { label[-1] = blank[width] = label[width] = A(kDead); }
  void clear(int64_t width) {
    for (int64_t k = 0; k < width; ++k) blank[k] = label[k] = A(kDead);
    close(width);
  }
};

template <class A> struct Sequence {
  const A* x;
  const int64_t* label;
  int64_t steps, count, width, stride, blank;
  A *skip, *emit;  // (width + 1): 0 where label[k] may follow label[k - 1], else kDead. (width): labels, kDead past them
  static constexpr int64_t pad = kCtcPad;

  Sequence(const Ctc& c, int64_t i)
      : x((const A*)c.x + i * c.x_n), label(c.labels + c.span[i].first), steps(c.span[i].steps), count(c.span[i].count),
        width(ctc_width(count)), stride(c.x_t), blank(c.blank) {
    skip = scratch_of<A>(2 * width + pad, 1);
    emit = skip + width + pad;
    for (int64_t k = 0; k <= width; ++k) skip[k] = k > 0 && k < count && label[k] != label[k - 1] ? A(0) : A(kDead);
    for (int64_t k = count; k < width; ++k) emit[k] = A(kDead);
  }
  // Log-probabilities of the labels at step t go to emit; that of the blank is returned.
  A read(int64_t t) const {
    const A* row = x + t * stride;
    for (int64_t k = 0; k < count; ++k) emit[k] = alive(row[label[k]]);
    return alive(row[blank]);
  }
};

// One step of the beginnings: to = from -> emitted, minus `top`. Returns the greatest.
template <class A> static A step_forward(const Sequence<A>& s, A blank, A top, States<A> from, States<A> to) {
  constexpr int64_t L = kLanes<A>;
  const vec<A> of_blank = splat(blank - top), vtop = splat(top);
  vec<A> high = constant<vec<A>>(kDead);
  for (int64_t k = 0; k < s.width; k += L) {
    const vec<A> b = vload(from.blank + k), l = vload(from.label + k), before = vload(from.label + k - 1);
    const vec<A> nb = lse(b, before) + of_blank;
    const vec<A> nl = lse(l, b, before + vload(s.skip + k)) + (vload(s.emit + k) - vtop);
    vstore(to.blank + k, nb);
    vstore(to.label + k, nl);
    high = vmax(nb, vmax(nl, high));
  }
  to.close(s.width);
  return hmax(high);
}

// One step of the ends, towards the beginning: `to` without this step's emission is what beginnings (`at`) are joined
// with. share gets e^(at + end + shift) of the labels; that of all blanks is returned.
template <class A>
static A step_backward(const Sequence<A>& s, A blank, A& top, A shift, States<A> at, States<A> from, States<A> to, A* share) {
  constexpr int64_t L = kLanes<A>;
  const vec<A> of_blank = splat(blank - top), vtop = splat(top), vshift = splat(shift);
  vec<A> high = constant<vec<A>>(kDead), blanks = {};
  for (int64_t k = 0; k < s.width; k += L) {
    const vec<A> b = vload(from.blank + k), l = vload(from.label + k);
    const vec<A> eb = lse(b, l);
    const vec<A> el = lse(l, vload(from.blank + k + 1), vload(from.label + k + 1) + vload(s.skip + k + 1));
    blanks += vexp(vload(at.blank + k) + eb + vshift);
    vstore(share + k, vexp(vload(at.label + k) + el + vshift));
    const vec<A> nb = eb + of_blank, nl = el + (vload(s.emit + k) - vtop);
    vstore(to.blank + k, nb);
    vstore(to.label + k, nl);
    high = vmax(nb, vmax(nl, high));
  }
  to.close(s.width);
  top = hmax(high);
  return hsum(blanks);
}

template <class A> static void forward(const CtcFwd& a, int64_t i) {
  const Sequence<A> s(a.c, i);
  const bool keep = a.alpha;
  A* rows = keep ? (A*)a.alpha + i * (a.c.t + 1) * a.c.row : scratch_of<A>(2 * a.c.row, 2);
  double* shift = keep ? a.shift + i * (a.c.t + 1) : nullptr;
  auto row = [&](int64_t t) { return States<A>(rows + (keep ? t : t & 1) * a.c.row, s.width); };
  States<A> last = row(0);
  last.clear(s.width);
  last.blank[0] = 0;
  double sum = 0;
  A top = 0;
  for (int64_t t = 0; t < s.steps; ++t) {
    const States<A> next = row(t + 1);
    const A blank = s.read(t);
    sum += double(top);
    top = step_forward(s, blank, top, last, next);
    if (keep) shift[t] = sum;
    last = next;
  }
  Lse<double> all;
  all.merge(double(last.blank[s.count]), 1);
  all.merge(double(last.label[s.count - 1]), 1);
  const double log_p = sum + all.value();
  if (keep) shift[a.c.t] = log_p;
  ((A*)a.loss)[i] = log_p < 0.5 * kDead ? A(__builtin_inf()) : A(0 - log_p);
}

template <class A> static void backward(const CtcBwd& a, int64_t i) {
  const Ctc& c = a.c;
  const A loss = ((const A*)a.loss)[i], dloss = ((const A*)a.dloss)[i];
  auto dx = [&](int64_t t) { return (A*)a.dx + (t * c.n + i) * c.classes; };
  const int64_t steps = c.span[i].steps;
  if (dloss == 0 || loss == A(__builtin_inf())) {
    for (int64_t t = 0; t < c.t; ++t)
      for (int64_t j = 0; j < c.classes; ++j) dx(t)[j] = dloss == 0 || t >= steps ? A(0) : A(__builtin_nan(""));
    return;
  }
  const Sequence<A> s(c, i);
  const double* shift = a.shift + i * (c.t + 1);
  A* alpha = (A*)const_cast<void*>(a.alpha) + i * (c.t + 1) * c.row;  // only read
  A* rows = scratch_of<A>(2 * c.row + s.width, 2);
  A* share = rows + 2 * c.row;
  States<A> from(rows, s.width), to(rows + c.row, s.width);
  from.clear(s.width);
  from.blank[s.count] = 0;
  double sum = 0;
  A top = 0;
  for (int64_t t = c.t; t-- > 0;) {
    A* d = dx(t);
    std::memset(d, 0, size_t(c.classes) * sizeof(A));
    if (t >= steps) continue;
    const A blank = s.read(t), before = top;
    const States<A> at(alpha + (t + 1) * c.row, s.width);
    const A blanks = step_backward(s, blank, top, A(shift[t] + sum - shift[c.t]), at, from, to, share);
    sum += double(before);
    d[s.blank] = -dloss * blanks;
    for (int64_t k = 0; k < s.count; ++k) d[s.label[k]] -= dloss * share[k];
    const States<A> other = from;
    from = to;
    to = other;
  }
}

template <class F> static void by_wide(DType t, const F& f) {
  if (t == DType::f64) f(double{});
  else f(float{});
}

void ctc_fwd(const CtcFwd& a) {
  by_wide(a.c.dtype, [&](auto t) { parallel(a.c.n, [&](int64_t i) { forward<decltype(t)>(a, i); }); });
}
void ctc_bwd(const CtcBwd& a) {
  by_wide(a.c.dtype, [&](auto t) { parallel(a.c.n, [&](int64_t i) { backward<decltype(t)>(a, i); }); });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
