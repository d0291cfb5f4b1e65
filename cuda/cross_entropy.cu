// SPDX-License-Identifier: MIT
// Cross-entropy of logits (outer, classes, inner) with class indices: one pass forward, one pass backward, no probabilities
// in memory. Rows (inner 1) of any length are read by 16 bytes from the first boundary on.
#include "rows.cuh"

namespace lamella::cuda {
namespace {

constexpr int kAtOnce = 4;    // packs of a thread
constexpr int kClasses = 32;  // of a thread, in backward of columns
constexpr int kSumOf = 4096;  // losses of a block

template <class T> struct Targets {
  using A = acc_t<T>;
  const T* x;
  const int64_t* target;
  const A *weight, *weight_sum;  // weight_sum: null where it is `classes`
  int64_t count, classes, ignore;
  Divisor inner;
  A nll, smooth;  // of a target: nll w[t] (lse - x[t]) + smooth (weight_sum lse - sum(w x))
  bool log_probs;

  template <class Args> Targets(const Args& a, const A* weight_sum)
      : x((const T*)a.logits), target(a.target), weight((const A*)a.weight), weight_sum(weight_sum),
        count(a.outer * a.inner),
        classes(a.classes), ignore(a.ignore_index), inner(a.inner), nll(A(1 - a.smoothing)),
        smooth(A(a.smoothing / double(a.classes))), log_probs(a.log_probs) {}
  GPU A of(int64_t t) const { return weight ? weight[t] : A(1); }
  GPU A total() const { return weight_sum ? *weight_sum : A(classes); }
  GPU int64_t first(int64_t i) const {  // of target i's logits, which are `inner` apart
    int64_t j;
    const int64_t o = inner.divide(i, j);
    return o * classes * inner.d + j;
  }
};

template <class A> __global__ void sum_weights(const A* weight, int64_t n, A* sum) {
  double s = 0;
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) s += double(weight[i]);
  s = group_reduce(s, Sum{}, 0.0, int(blockDim.x));
  if (threadIdx.x == 0) *sum = A(s);
}
// The memory for the sum where it is needed, and the launch.
template <class T, class Args> struct WeightSum {
  Temp held;
  explicit WeightSum(const Args& a) : held(a.weight && a.smoothing != 0 && !a.log_probs ? sizeof(acc_t<T>) : 0) {
    using A = acc_t<T>;
    if (held.p) launch("cross_entropy", sum_weights<A>, 1, 1024, 0, (const A*)a.weight, a.classes, held.as<A>());
  }
};

// A row in packs that lie on 16-byte boundaries: pack q begins at element q V - shift.
template <class T> struct Aligned {
  static constexpr int V = kPack<T>;
  const T* x;
  int64_t n;
  int shift;
  GPU Aligned(const T* x, int64_t n) : x(x), n(n), shift(int(reinterpret_cast<uintptr_t>(x) / sizeof(T) % V)) {}
  GPU int64_t packs() const { return (n + shift + V - 1) / V; }
  GPU bool whole(int64_t i) const { return i >= 0 && i + V <= n; }
  GPU Pack<T, V> load(int64_t q, T other) const {  // `other` outside the row
    const int64_t i = q * V - shift;
    if (whole(i)) return load_pack<T, V>(x + i);
    Pack<T, V> v;
#pragma unroll
    for (int e = 0; e < V; ++e) v.v[e] = i + e >= 0 && i + e < n ? x[i + e] : other;
    return v;
  }
};

template <class T> struct Losses {
  T* loss;               // of each target, or null
  acc_t<T> *held, *lse;  // held: the losses that are to be summed
  GPU void write(int64_t i, acc_t<T> value) const {
    if (loss) loss[i] = down<T>(value);
    else held[i] = value;
  }
};

// ---- forward --------------------------------------------------------------------------------------------------------
template <class T>
GPU void write_loss(const Targets<T>& p, const Losses<T>& to, int64_t i, const Lse<acc_t<T>>& lse, acc_t<T> sum) {
  using A = acc_t<T>;
  const int64_t t = p.target[i];
  if (t == p.ignore) {
    to.lse[i] = A(0);
    return to.write(i, A(0));
  }
  const A l = lse.m + vlog(lse.s), x = up(p.x[p.first(i) + t * p.inner.d]);
  A loss = p.nll * p.of(t) * (l - x);
  if (p.smooth != A(0)) loss += p.smooth * (p.total() * l - sum);
  to.lse[i] = l;
  to.write(i, loss);
}

template <class T> __global__ void __launch_bounds__(512) row_losses(Targets<T> p, Losses<T> to, int group) {
  using A = acc_t<T>;
  constexpr int V = kPack<T>;
  const Place at(group);
  const bool used = at.row < p.count && p.target[at.row] != p.ignore;
  const Aligned<T> row(p.x + at.row * p.classes, p.classes);
  const int64_t packs = used ? row.packs() : 0;
  const T low = down<T>(-Float<A>::infinity);
  Lse<A> lse = Lse<A>::none();
  A sum = 0;
  for (int64_t q = at.lane; q < packs; q += kAtOnce * group) {
    Pack<T, V> v[kAtOnce];
    if (q > at.lane && (q - at.lane + kAtOnce * group) * V - row.shift <= row.n) {
#pragma unroll
      for (int u = 0; u < kAtOnce; ++u) v[u] = load_pack<T, V>(row.x + (q + u * group) * V - row.shift);
    } else {
#pragma unroll
      for (int u = 0; u < kAtOnce; ++u) v[u] = row.load(q + u * group, low);
    }
    A all[kAtOnce * V];
#pragma unroll
    for (int i = 0; i < kAtOnce * V; ++i) all[i] = up(v[i / V].v[i % V]);
    lse.add(all);
    if (p.smooth != A(0)) {
#pragma unroll
      for (int i = 0; i < kAtOnce * V; ++i) {
        const int64_t c = (q + i / V * group) * V - row.shift + i % V;
        if (c >= 0 && c < row.n) sum += all[i] * p.of(c);
      }
    }
  }
  lse = group_reduce(lse, MergeLse{}, Lse<A>::none(), group);
  if (p.smooth != A(0)) sum = group_reduce(sum, Sum{}, A(0), group);
  if (at.lane == 0 && at.row < p.count) write_loss(p, to, at.row, lse, sum);
}

// inner > 1: a thread per target.
template <class T> __global__ void __launch_bounds__(kThreads) column_losses(Targets<T> p, Losses<T> to) {
  using A = acc_t<T>;
  constexpr int kAhead = 8;
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= p.count) return;
  Lse<A> lse = Lse<A>::none();
  A sum = 0;
  const T* x = p.x + p.first(i);
  for (int64_t c = 0; c < p.classes; c += kAhead) {
    A v[kAhead];
#pragma unroll
    for (int u = 0; u < kAhead; ++u) v[u] = c + u < p.classes ? up(x[(c + u) * p.inner.d]) : -Float<A>::infinity;
    lse.add(v);
    if (p.smooth != A(0))
      for (int u = 0; u < kAhead; ++u)
        if (c + u < p.classes) sum += v[u] * p.of(c + u);
  }
  write_loss(p, to, i, lse, sum);
}

template <class T> __global__ void picked_losses(Targets<T> p, Losses<T> to) {  // of log-probabilities
  using A = acc_t<T>;
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= p.count) return;
  const int64_t t = p.target[i];
  to.write(i, t == p.ignore ? A(0) : -p.of(t) * up(p.x[p.first(i) + t * p.inner.d]));
}

template <class T>
__global__ void __launch_bounds__(kThreads) sum_losses(Targets<T> p, const acc_t<T>* loss, Pair<double>* part) {
  const int64_t begin = int64_t(blockIdx.x) * kSumOf, end = least(begin + kSumOf, p.count);
  Pair<double> s{0, 0};  // losses, weights
  for (int64_t i = begin + int(threadIdx.x); i < end; i += kThreads) {
    s.a += double(loss[i]);
    if (p.target[i] != p.ignore) s.b += double(p.of(p.target[i]));
  }
  s = group_reduce(s, AddPair{}, Pair<double>{0, 0}, kThreads);
  if (threadIdx.x == 0) part[blockIdx.x] = s;
}
template <class T>
__global__ void __launch_bounds__(kThreads) finish_losses(const Pair<double>* part, int64_t parts, bool mean, T* loss,
                                                          acc_t<T>* denominator) {
  Pair<double> s{0, 0};
  for (int64_t i = threadIdx.x; i < parts; i += kThreads) s = AddPair{}(s, part[i]);
  s = group_reduce(s, AddPair{}, Pair<double>{0, 0}, kThreads);
  if (threadIdx.x) return;
  if (mean) *denominator = acc_t<T>(s.b);
  *loss = down<T>(acc_t<T>(mean ? s.a / s.b : s.a));
}

template <class T> void fwd(const CrossEntropyFwd& a) {
  using A = acc_t<T>;
  const WeightSum<T, CrossEntropyFwd> weight_sum(a);
  const Targets<T> p(a, weight_sum.held.template as<A>());
  const bool none = a.reduction == Reduction::none;
  const Temp held(size_t(none ? 0 : p.count) * sizeof(A));
  const Losses<T> to{none ? (T*)a.loss : nullptr, held.as<A>(), (A*)a.lse};
  const unsigned blocks = unsigned(ceil_div(p.count, kThreads));
  if (a.log_probs) launch("cross_entropy_fwd", picked_losses<T>, blocks, kThreads, 0, p, to);
  else if (a.inner != 1) launch("cross_entropy_fwd", column_losses<T>, blocks, kThreads, 0, p, to);
  else {
    const int most_threads = a.outer >= 1024 ? 256 : 512;  // many rows: small blocks, which overlap
    Deal deal = deal_rows(a.outer, a.classes + kPack<T> - 1, kPack<T>, kAtOnce, most_threads);
    if (!deal.group) deal = {most_threads, most_threads};
    launch("cross_entropy_fwd", row_losses<T>, deal.blocks(a.outer), deal.threads, 0, p, to, deal.group);
  }
  if (none) return;
  const int64_t parts = ceil_div(p.count, kSumOf);
  const Temp part(size_t(parts) * sizeof(Pair<double>));
  launch("cross_entropy_fwd", sum_losses<T>, unsigned(parts), kThreads, 0, p, held.as<A>(), part.as<Pair<double>>());
  launch("cross_entropy_fwd", finish_losses<T>, 1, kThreads, 0, part.as<Pair<double>>(), parts,
         a.reduction == Reduction::mean,
         (T*)a.loss, (A*)a.denominator);
}

// ---- backward -------------------------------------------------------------------------------------------------------
// dlogits = dloss (nll w[t] (p - [c == t]) + smooth (weight_sum p - w[c])), p = exp(x - lse).
template <class T> struct Slope {
  using A = acc_t<T>;
  const T* dloss;
  const A *lse, *denominator;
  T* dx;
  bool each, mean;  // dloss for each target; divided by denominator
};
template <class T> struct Grad {
  using A = acc_t<T>;
  A p, uniform, at_target, lse;  // factors of p and of w[c], and what target t itself loses
  int64_t t;
  bool used, log_probs;
  GPU Grad(const Targets<T>& q, const Slope<T>& s, int64_t i)
      : t(q.target[i]), used(t != q.ignore), log_probs(q.log_probs) {
    const A dloss = up(s.dloss[s.each ? i : 0]) * (s.mean ? A(1) / *s.denominator : A(1));
    at_target = used ? dloss * q.nll * q.of(t) : A(0);
    uniform = used ? dloss * q.smooth : A(0);
    p = at_target + (uniform != A(0) ? uniform * q.total() : A(0));
    lse = log_probs ? A(0) : s.lse[i];
  }
  GPU bool reads() const { return used && !log_probs; }
  GPU A operator()(const Targets<T>& q, A x, int64_t c) const {
    if (!used) return A(0);  // a NaN in an ignored row does not leak
    A d = 0;
    if (!log_probs) {
      d = vexp(x - lse) * p;
      if (q.smooth != A(0)) d -= uniform * q.of(c);
    }
    return c == t ? d - at_target : d;
  }
};

// `group` threads for each piece of a row.
template <class T>
__global__ void __launch_bounds__(kThreads) row_grads(Targets<T> p, Slope<T> s, int group, Divisor pieces) {
  using A = acc_t<T>;
  constexpr int V = kPack<T>;
  const Place at(group);
  int64_t piece;
  const int64_t r = pieces.divide(at.row, piece);
  if (r >= p.count) return;
  const Grad<T> g(p, s, r);
  const Aligned<T> row(p.x + r * p.classes, p.classes);
  T* dx = s.dx + r * p.classes;
  const int64_t first = piece * kAtOnce * group + at.lane;
  const bool even = (reinterpret_cast<uintptr_t>(dx) - uintptr_t(row.shift) * sizeof(T)) % 16 == 0;
  Pack<T, V> v[kAtOnce];
#pragma unroll
  for (int u = 0; u < kAtOnce; ++u) v[u] = g.reads() ? row.load(first + u * group, T{}) : Pack<T, V>{};
#pragma unroll
  for (int u = 0; u < kAtOnce; ++u) {
    const int64_t i = (first + u * group) * V - row.shift;
    if (i >= row.n) break;
    Pack<T, V> out;
#pragma unroll
    for (int e = 0; e < V; ++e) {
      const bool there = i + e >= 0 && i + e < row.n;
      out.v[e] = down<T>(there ? g(p, up(v[u].v[e]), i + e) : A(0));
    }
    if (even && row.whole(i)) store_pack<T, V>(dx + i, out);
    else {
#pragma unroll
      for (int e = 0; e < V; ++e)
        if (i + e >= 0 && i + e < row.n) dx[i + e] = out.v[e];
    }
  }
}

// inner > 1: a thread for `per` classes of a target.
template <class T> __global__ void __launch_bounds__(kThreads) column_grads(Targets<T> p, Slope<T> s, int64_t per) {
  using A = acc_t<T>;
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x, begin = int64_t(blockIdx.y) * per,
      end = least(begin + per, p.classes);
  if (i >= p.count) return;
  const Grad<T> g(p, s, i);
  const int64_t at = p.first(i);
#pragma unroll 4
  for (int64_t c = begin; c < end; ++c) {
    const A x = g.reads() ? up(p.x[at + c * p.inner.d]) : A(0);
    s.dx[at + c * p.inner.d] = down<T>(g(p, x, c));
  }
}

template <class T> void bwd(const CrossEntropyBwd& a) {
  using A = acc_t<T>;
  const WeightSum<T, CrossEntropyBwd> weight_sum(a);
  const Targets<T> p(a, weight_sum.held.template as<A>());
  const Slope<T> s{(const T*)a.dloss, (const A*)a.lse, (const A*)a.denominator, (T*)a.dlogits,
                   a.reduction == Reduction::none, a.reduction == Reduction::mean};
  if (a.inner != 1) {
    const int64_t per = most(kClasses, ceil_div(a.classes, 65535));
    const dim3 grid(unsigned(ceil_div(p.count, kThreads)), unsigned(ceil_div(a.classes, per)));
    return launch("cross_entropy_bwd", column_grads<T>, grid, kThreads, 0, p, s, per);
  }
  const int64_t n = a.classes + kPack<T> - 1;  // with what an unaligned row adds
  Deal deal = deal_rows(a.outer, n, kPack<T>, kAtOnce, 32);
  if (!deal.group) deal = {kThreads, kThreads};
  const Divisor pieces(ceil_div(n, int64_t(deal.group) * kAtOnce * kPack<T>));
  launch("cross_entropy_bwd", row_grads<T>, deal.blocks(a.outer * pieces.d), deal.threads, 0, p, s, deal.group, pieces);
}

}  // namespace

void cross_entropy_fwd(const CrossEntropyFwd& a) {
  by_float(a.dtype, [&](auto t) { fwd<decltype(t)>(a); });
}
void cross_entropy_bwd(const CrossEntropyBwd& a) {
  if (a.outer * a.inner * a.classes == 0) return;
  by_float(a.dtype, [&](auto t) { bwd<decltype(t)>(a); });
}

}  // namespace lamella::cuda
