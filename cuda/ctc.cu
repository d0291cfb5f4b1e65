// SPDX-License-Identifier: MIT
// Connectionist temporal classification (Graves et al. 2006) in log space, a block for each sequence. A thread has the
// blank and the label at a place k of the alignment, or several such places:
//   blank[k] <- blank[k], label[k - 1]        label[k] <- label[k], blank[k], label[k - 1] unless both are one class
// A step is one barrier; what it reads of x was asked for four steps before. Every fourth step is stored relative to the
// greatest of the step before, and these are summed in double: sums of thousands of steps keep float's precision where it
// counts. The gradient is not of the recursion, so that it runs over all steps at once.
#include <vector>
#include "lanes.cuh"

namespace lamella::cuda {
namespace {

// The log of zero: finite, so that differences need no care. A sum below half of it has no alignment.
constexpr double kDead = -1e30;
constexpr int kAhead = 4;
template <class A> constexpr int kMost = sizeof(A) == 8 ? 256 : 512;  // threads of a block

template <class A> GPU A alive(A x) { return x < A(kDead) ? A(kDead) : x; }  // NaN passes
template <class A> GPU A lse(A a, A b) {  // log(e^a + e^b)
  const A m = vmax_nan(a, b);
  return m + vlog(vexp(vmin(a, b) - m) + A(1));
}
template <class A> GPU A lse(A a, A b, A c) {
  const A high = vmax_nan(a, b), m = vmax_nan(high, c);
  return m + vlog(vexp(vmin(a, b) - m) + vexp(vmin(high, c) - m) + A(1));
}

template <class A> struct Batch {
  const A* x;
  int64_t t, n, x_t, x_n, row;     // rows of alpha and of beta: blanks, from row / 2 on labels
  int blank, width;                // width: places of a row of states, more than the greatest count
  const int *span, *labels;        // (n, 3): steps, count, first label
  A* far;                          // (n, 4, width), where the states do not fit in shared memory
};

template <class A> struct Sequence {
  const A* x;
  const int* label;
  int64_t x_t;
  int steps, count, blank;
  GPU Sequence(const Batch<A>& b, int64_t i)
      : x(b.x + i * b.x_n), label(b.labels + b.span[3 * i + 2]), x_t(b.x_t), steps(b.span[3 * i]), count(b.span[3 * i + 1]),
        blank(b.blank) {}
  GPU bool skips(int k) const { return k > 0 && k < count && label[k] != label[k - 1]; }
  GPU A of_label(int64_t t, int k) const {  // dead past the last
    return k < count ? alive(x[t * x_t + label[k]]) : A(kDead);
  }
};

// Two rows of states in turn, and the greatest of the last of four steps.
template <class A> struct States {
  A *rows, *parts;
  int width;
  GPU A* blank(int64_t step) const { return rows + (step & 1) * 2 * width; }
  GPU A* label(int64_t step) const { return blank(step) + width; }
  GPU void clear(int count, int start) const {
    for (int k = int(threadIdx.x); k <= count; k += int(blockDim.x)) {
      blank(0)[k] = k == start ? A(0) : A(kDead);
      label(0)[k] = A(kDead);
    }
  }
  GPU void keep(A high) const {
    high = warp_reduce(high, Greatest());
    if ((threadIdx.x & 31) == 0) parts[threadIdx.x / 32] = high;
  }
  GPU A greatest() const {
    A high = parts[0];
    for (int w = 1; w < int(blockDim.x) / 32; ++w) high = Greatest()(high, parts[w]);
    return high;
  }
  struct Greatest { GPU A operator()(A a, A b) const { return a > b ? a : b; } };  // of numbers: NaN is never given to it
};

// f(r, u, e, b) for r in [0, steps): u is r % kAhead, e and b the log-probabilities at step t = `last` - r or (last < 0) r of
// the thread's first label and of the blank. Passes a barrier after each.
template <class A, class F> GPU void each_step(const Sequence<A>& s, int64_t last, F& f) {
  const int k = int(threadIdx.x);
  const A *of_label = k < s.count ? s.x + s.label[k] : nullptr, *of_blank = s.x + s.blank;
  A e[kAhead], b[kAhead], next_e[kAhead], next_b[kAhead];
  auto ask = [&](int64_t r) {
#pragma unroll
    for (int u = 0; u < kAhead; ++u) {
      const int64_t at = (last < 0 ? r + u : last - r - u) * s.x_t;
      next_e[u] = r + u < s.steps && of_label ? of_label[at] : A(kDead);
      next_b[u] = r + u < s.steps ? of_blank[at] : A(kDead);
    }
  };
  ask(0);
  for (int64_t r = 0; r < s.steps; r += kAhead) {
#pragma unroll
    for (int u = 0; u < kAhead; ++u) {
      e[u] = alive(next_e[u]);
      b[u] = alive(next_b[u]);
    }
    ask(r + kAhead);
#pragma unroll 1
    for (int u = 0; u < kAhead && r + u < s.steps; ++u) {
      f(r + u, u, e[0], b[0]);
#pragma unroll
      for (int v = 1; v < kAhead; ++v) {           // registers have no index
        e[v - 1] = e[v];
        b[v - 1] = b[v];
      }
      __syncthreads();
    }
  }
}

template <class A> struct Forward {
  const Sequence<A>& s;
  const States<A>& states;
  A* alpha;                        // rows of all steps, or null
  double* shift;
  int64_t row;
  bool skips;                      // of the thread's first place
  double sum = 0;
  GPU void operator()(int64_t t, int u, A e, A b) {
    const A *blank = states.blank(t), *label = states.label(t);
    A *to_blank = states.blank(t + 1), *to_label = states.label(t + 1), high = A(kDead);
    A top = 0;
    if (u == 0 && t > 0) top = states.greatest();
    sum += double(top);
    const A of_blank = b - top;
    for (int k = int(threadIdx.x); k <= s.count; k += int(blockDim.x)) {
      const bool first = k == int(threadIdx.x);
      const A before = k > 0 ? label[k - 1] : A(kDead), of_label = (first ? e : s.of_label(t, k)) - top;
      const A nb = lse(blank[k], before) + of_blank;
      const A over = (first ? skips : s.skips(k)) ? before : A(kDead);
      const A nl = k < s.count ? lse(label[k], blank[k], over) + of_label : A(kDead);
      to_blank[k] = nb;
      to_label[k] = nl;
      if (nb > high) high = nb;
      if (nl > high) high = nl;
      if (alpha) {
        alpha[(t + 1) * row + k] = nb;
        alpha[(t + 1) * row + row / 2 + k] = nl;
      }
    }
    if (u == kAhead - 1) states.keep(high);
    if (alpha && threadIdx.x == 0) shift[t] = sum;
  }
};

// Step t = steps - 1 - r. The ends of alignments without this step's emission, which beginnings are joined with, go to beta;
// what is to be added to them, to `ends`.
template <class A> struct Backward {
  const Sequence<A>& s;
  const States<A>& states;
  A* beta;
  double* ends;
  int64_t row;
  bool skips;                      // of the place after the thread's first
  double sum = 0;
  GPU void operator()(int64_t r, int u, A e, A b) {
    const int64_t t = s.steps - 1 - r;
    const A *blank = states.blank(r), *label = states.label(r);
    A *to_blank = states.blank(r + 1), *to_label = states.label(r + 1), high = A(kDead);
    A top = 0;
    if (u == 0 && r > 0) top = states.greatest();
    if (threadIdx.x == 0) ends[t] = sum;
    sum += double(top);
    for (int k = int(threadIdx.x); k <= s.count; k += int(blockDim.x)) {
      const bool first = k == int(threadIdx.x);
      const A of_label = (first ? e : s.of_label(t, k)) - top;
      const A eb = lse(blank[k], label[k]);
      A el = A(kDead);
      if (k < s.count) el = lse(label[k], blank[k + 1], (first ? skips : s.skips(k + 1)) ? label[k + 1] : A(kDead));
      const A nb = eb + (b - top), nl = k < s.count ? el + of_label : A(kDead);
      beta[t * row + k] = eb;
      beta[t * row + row / 2 + k] = el;
      to_blank[k] = nb;
      to_label[k] = nl;
      if (nb > high) high = nb;
      if (nl > high) high = nl;
    }
    if (u == kAhead - 1) states.keep(high);
  }
};

template <class A, bool far>
__global__ void __launch_bounds__(kMost<A>) ctc_beginnings(Batch<A> batch, A* loss, A* alpha, double* shift) {
  SHARED(A, parts, [32]);
  const int64_t i = blockIdx.x;
  const Sequence<A> s(batch, i);
  const States<A> states{far ? batch.far + i * 4 * batch.width : dynamic_shared<A>(), parts, batch.width};
  states.clear(s.count, 0);
  __syncthreads();
  if (alpha) {
    alpha += i * (batch.t + 1) * batch.row;
    shift += i * (batch.t + 1);
  }
  Forward<A> f{s, states, alpha, shift, batch.row, s.skips(int(threadIdx.x))};
  each_step(s, -1, f);
  if (threadIdx.x != 0) return;
  const double a = double(states.blank(s.steps)[s.count]);
  const double b = s.count > 0 ? double(states.label(s.steps)[s.count - 1]) : kDead;
  const double log_p = f.sum + lse(a, b);
  if (alpha) shift[batch.t] = log_p;
  loss[i] = log_p < 0.5 * kDead ? Float<A>::infinity : A(0 - log_p);
}

template <class A, bool far>
__global__ void __launch_bounds__(kMost<A>)
    ctc_ends(Batch<A> batch, const A* loss, const A* dloss, A* beta, double* ends) {
  SHARED(A, parts, [32]);
  const int64_t i = blockIdx.x;
  if (dloss[i] == 0 || loss[i] == Float<A>::infinity) return;
  const Sequence<A> s(batch, i);
  const States<A> states{far ? batch.far + i * 4 * batch.width : dynamic_shared<A>(), parts, batch.width};
  states.clear(s.count, s.count);
  __syncthreads();
  Backward<A> f{s, states, beta + i * batch.t * batch.row, ends + i * batch.t, batch.row, s.skips(int(threadIdx.x) + 1)};
  each_step(s, int64_t(s.steps) - 1, f);
}

// order (n, width): the places of each sequence's labels, those of equal labels together, in order.
__global__ void __launch_bounds__(kThreads) ctc_order(const int* span, const int* labels, int width, int* order) {
  const int64_t i = blockIdx.x;
  const int count = span[3 * i + 1], *label = labels + span[3 * i + 2];
  for (int k = int(threadIdx.x); k < count; k += kThreads) {
    const int own = label[k];
    int rank = 0;
    for (int j = 0; j < count; ++j) rank += int(label[j] < own || (label[j] == own && j < k));
    order[i * width + rank] = k;
  }
}

// A row of dx, which holds zeros, for each step and sequence. beta becomes the share of the alignments through each label.
template <class A>
__global__ void __launch_bounds__(128, 8)
    ctc_gradient(Batch<A> batch, int64_t classes, const A* loss, const A* dloss, const A* alpha, const double* shift, A* beta,
                 const double* ends, const int* order, A* dx) {
  const int64_t t = blockIdx.x / unsigned(batch.n), i = blockIdx.x % unsigned(batch.n);
  const Sequence<A> s(batch, i);
  const A d = dloss[i];
  if (d == 0 || t >= s.steps) return;
  dx += int64_t(blockIdx.x) * classes;
  if (loss[i] == Float<A>::infinity) {
    for (int64_t j = threadIdx.x; j < classes; j += blockDim.x) dx[j] = Float<A>::nan;
    return;
  }
  alpha += (i * (batch.t + 1) + t + 1) * batch.row;
  beta += (i * batch.t + t) * batch.row;
  order += i * batch.width;
  shift += i * (batch.t + 1);
  const A by = A(shift[t] + ends[i * batch.t + t] - shift[batch.t]), *alpha_label = alpha + batch.row / 2;
  A *share = beta + batch.row / 2, blanks = 0;
  for (int k = int(threadIdx.x); k <= s.count; k += int(blockDim.x)) {
    blanks += vexp(alpha[k] + beta[k] + by);
    if (k < s.count) share[k] = vexp(alpha_label[k] + share[k] + by);
  }
  blanks = block_reduce(blanks, Sum(), A(0));
  if (threadIdx.x == 0) dx[s.blank] = -d * blanks;
  __syncthreads();
  for (int q = int(threadIdx.x); q < s.count; q += int(blockDim.x)) {
    const int label = s.label[order[q]];
    if (q > 0 && s.label[order[q - 1]] == label) continue;
    A sum = 0;
    for (int p = q; p < s.count && s.label[order[p]] == label; ++p) sum += share[order[p]];
    dx[label] = -d * sum;
  }
}

// f(A{}, batch, block, shared bytes, far): what both ways have in common. Labels and spans go to the device as int.
template <class F> void with_batch(const Ctc& c, const F& f) {
  if (c.n == 0) return;
  std::vector<int> meta(size_t(3 * c.n));
  int most = 0;
  for (int64_t i = 0; i < c.n; ++i) {
    const CtcSpan& s = c.span[i];
    meta[size_t(3 * i)] = int(s.steps);
    meta[size_t(3 * i + 1)] = int(s.count);
    meta[size_t(3 * i + 2)] = int(int64_t(meta.size()) - 3 * c.n);
    for (int64_t k = 0; k < s.count; ++k) meta.push_back(int(c.labels[s.first + k]));
    most = int(s.count) > most ? int(s.count) : most;
  }
  const Uploaded there(meta.data(), meta.size() * sizeof(int));
  auto go = [&](auto zero) {
    using A = decltype(zero);
    const int width = most + 1;
    const int64_t bytes = 4 * int64_t(width) * int64_t(sizeof(A));
    const bool far = bytes > info().shared_bytes - 2048;
    const Temp states(far ? size_t(c.n * bytes) : 0);
    const Batch<A> batch{static_cast<const A*>(c.x), c.t, c.n, c.x_t, c.x_n, c.row, int(c.blank), width,
                         there.as<const int>(), there.as<const int>() + 3 * c.n, states.as<A>()};
    f(zero, batch, dim3(unsigned(least(kMost<A>, ceil_div(width, 32) * 32))), far ? size_t(0) : size_t(bytes), far);
  };
  if (c.dtype == DType::f64) go(double{});
  else go(float{});
}

}  // namespace

void ctc_fwd(const CtcFwd& a) {
  with_batch(a.c, [&](auto zero, const auto& batch, dim3 block, size_t shared, bool far) {
    using A = decltype(zero);
    launch("ctc_fwd", far ? ctc_beginnings<A, true> : ctc_beginnings<A, false>, dim3(unsigned(a.c.n)), block, shared, batch,
           static_cast<A*>(a.loss), static_cast<A*>(a.alpha), a.shift);
  });
}

void ctc_bwd(const CtcBwd& a) {
  const Ctc& c = a.c;
  if (c.t * c.n * c.classes == 0) return;
  ok(cudaMemsetAsync(a.dx, 0, size_t(c.t * c.n * c.classes * size_of(c.dtype)), stream()), "ctc_bwd");
  with_batch(c, [&](auto zero, const auto& batch, dim3 block, size_t shared, bool far) {
    using A = decltype(zero);
    const auto *loss = static_cast<const A*>(a.loss), *dloss = static_cast<const A*>(a.dloss);
    const Temp beta(size_t(c.n * c.t * c.row) * sizeof(A)), ends(size_t(c.n * c.t) * sizeof(double));
    const Temp order(size_t(c.n * batch.width) * sizeof(int));
    launch("ctc_bwd", far ? ctc_ends<A, true> : ctc_ends<A, false>, dim3(unsigned(c.n)), block, shared, batch, loss, dloss,
           beta.as<A>(), ends.as<double>());
    launch("ctc_bwd", ctc_order, dim3(unsigned(c.n)), dim3(kThreads), 0, batch.span, batch.labels, batch.width,
           order.as<int>());
    launch("ctc_bwd", ctc_gradient<A>, dim3(unsigned(c.t * c.n)), dim3(128), 0, batch, c.classes, loss, dloss,
           static_cast<const A*>(a.alpha), a.shift, beta.as<A>(), ends.as<double>(), order.as<int>(), static_cast<A*>(a.dx));
  });
}

}  // namespace lamella::cuda
