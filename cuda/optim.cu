// SPDX-License-Identifier: MIT
// Optimiser steps: one launch for all tensors of a dtype; rules with trust ratios take two more, for the norms.
#include "../cpp/kernels/optim_formulas.h"
#include "../cpp/kernels/optim_rules.h"
#include "optim.cuh"

namespace lamella::cuda {
namespace {

// What a step needs besides tensors, in the type of arithmetic: decay, shrink, then the numbers of the formula, which is
// these and nothing else.
constexpr int kConstants = 2 + 14;
template <class A> struct Constants {
  A sign, v[kConstants];
  int count;
  const double* live;                // counts instead of v, where there is one
  explicit Constants(const OptimStep& a, int numbers) : sign(a.maximize ? A(-1) : A(1)), v{}, count(2 + numbers), live(a.live) {
    v[0] = A(a.decay);
    v[1] = A(a.shrink);
    for (int k = 0; k < numbers; ++k) v[2 + k] = A(a.numbers[k]);
  }
};

// The block's own, in shared memory.
template <class A> struct Common {
  A sign, decay, shrink;
  const A* numbers;
  template <class Formula> GPU Formula as() const {
    static_assert(sizeof(Formula) <= (kConstants - 2) * sizeof(A));
    Formula f;
    std::memcpy(&f, numbers, sizeof f);
    return f;
  }
};
template <class A> GPU Common<A> common_of(const Constants<A>& c) {
  SHARED(A, now, [kConstants]);
  if (int(threadIdx.x) < c.count) now[threadIdx.x] = c.live ? A(c.live[threadIdx.x]) : c.v[threadIdx.x];
  __syncthreads();
  return {c.sign, now[0], now[1], now + 2};
}

// Elements that a thread takes at a time: 16 bytes, of 16-bit types 8, for the sake of registers.
template <class T> constexpr int kTake = sizeof(T) == 8 ? 2 : 4;

// body(p, d, s, left) of each pack of the block's piece, of whose elements `left` are there. p is shrunk; what changed is
// stored: p where `moves`, the first `kept` states. Columns of the table: p, g, states.
template <class T, int states, int kept, bool moves, class F>
GPU void each_pack(const Table& table, const Piece& piece, const Common<acc_t<T>>& c, const F& body) {
  using A = acc_t<T>;
  constexpr int N = kTake<T>;
  T *p = buffer_of<T>(table, piece, 0), *state[states + 1];
  const T* g = buffer_of<const T>(table, piece, 1);
  bool packed = packs(p) && packs(g);
#pragma unroll
  for (int k = 0; k < states; ++k) {
    state[k] = buffer_of<T>(table, piece, 2 + k);
    packed = packed && packs(state[k]);
  }
  for (int64_t i = piece.begin + threadIdx.x * N; i < piece.end; i += kThreads * N) {
    const int64_t left = piece.end - i;
    A x[N], d[N], s[states + 1][N];
    load_some<N>(p + i, left, packed, x);
    load_some<N>(g + i, left, packed, d);
#pragma unroll
    for (int k = 0; k < states; ++k) load_some<N>(state[k] + i, left, packed, s[k]);
#pragma unroll
    for (int u = 0; u < N; ++u) {
      d[u] = fma(x[u], c.decay, d[u] * c.sign);
      x[u] *= c.shrink;
    }
    body(x, d, s, left);
#pragma unroll
    for (int k = 0; k < kept; ++k) store_some<N>(state[k] + i, left, packed, s[k]);
    if constexpr (moves) store_some<N>(p + i, left, packed, x);
  }
}

// f(p, d, s) of each element u of a pack, s one after another.
template <int states, int N, class A, class F>
GPU void each_element(A (&x)[N], A (&d)[N], A (&s)[states + 1][N], const F& f) {
#pragma unroll
  for (int u = 0; u < N; ++u) {
    A own[states + 1] = {};
#pragma unroll
    for (int k = 0; k < states; ++k) own[k] = s[k][u];
    f(u, x[u], d[u], own);
#pragma unroll
    for (int k = 0; k < states; ++k) s[k][u] = own[k];
  }
}

// ---- rules without trust ratios: one kernel for those of as many states ------------------------------------------------
template <class Formula> struct Plainly {
  const Formula& f;
  template <class A> GPU void operator()(int, A& p, A d, A* s) const { f(p, d, s); }
};

template <class A, int states> struct Update {
  OptimRule rule;
  const Common<A>& c;
  template <int N> GPU void operator()(A (&x)[N], A (&d)[N], A (&s)[states + 1][N], int64_t) const {
    switch (rule) {
#define R(name, Formula, n_states, n_numbers)                                           \
  case OptimRule::name:                                                                 \
    if constexpr (n_states == states && !Formula<A>::trusts) {                          \
      const auto f = c.template as<Formula<A>>();                                       \
      each_element<states>(x, d, s, Plainly<Formula<A>>{f});                            \
    }                                                                                   \
    break;
      LAMELLA_OPTIM_RULES(R)
#undef R
    }
  }
};

template <class T, int states>
__global__ void __launch_bounds__(kThreads)
    step_plain(const __grid_constant__ Table table, OptimRule rule, const __grid_constant__ Constants<acc_t<T>> constants) {
  const Common<acc_t<T>> c = common_of(constants);
  each_pack<T, states, states, true>(table, find_piece(table), c, Update<acc_t<T>, states>{rule, c});
}

// ---- rules with ----------------------------------------------------------------------------------------------------------
template <class A, class Formula, int states> struct Measure {
  const Formula& f;
  A &pp, &uu;
  template <int N> GPU void operator()(A (&x)[N], A (&d)[N], A (&s)[states + 1][N], int64_t left) const {
    each_element<states>(x, d, s, One{f, pp, uu, left});
  }
  struct One {
    const Formula& f;
    A &pp, &uu;
    int64_t left;
    GPU void operator()(int u, A& p, A d, A* s) const {
      const A m = f.measure(p, d, s);
      if (u >= left) return;         // there m may be 0 / 0
      pp = fma(p, p, pp);
      uu = fma(m, m, uu);
    }
  };
};
template <class A, class Formula, int states> struct Apply {
  const Formula& f;
  A trust;
  template <int N> GPU void operator()(A (&x)[N], A (&d)[N], A (&s)[states + 1][N], int64_t) const {
    each_element<states>(x, d, s, One{f, trust});
  }
  struct One {
    const Formula& f;
    A trust;
    GPU void operator()(int, A& p, A d, A* s) const { f.apply(p, d, s, trust); }
  };
};

// part[2 block], part[2 block + 1]: squares of p, and of what the formula measures, of a chunk. A thread adds at most 256 of
// them in the type of arithmetic.
template <class T, class Formula, int states>
__global__ void __launch_bounds__(kThreads)
    step_measure(const __grid_constant__ Table table, const __grid_constant__ Constants<acc_t<T>> constants, double* part) {
  using A = acc_t<T>;
  const Common<A> c = common_of(constants);
  const auto f = c.template as<Formula>();
  A pp = 0, uu = 0;
  const Measure<A, Formula, states> body{f, pp, uu};
  each_pack<T, states, Formula::early ? states : 0, false>(table, find_piece(table), c, body);
  const double p = block_reduce(double(pp), Sum(), 0.0), u = block_reduce(double(uu), Sum(), 0.0);
  if (threadIdx.x == 0) {
    part[2 * int64_t(blockIdx.x)] = p;
    part[2 * int64_t(blockIdx.x) + 1] = u;
  }
}

struct TrustNumbers { double coefficient, decay, eps, limit; };  // a formula's first

__global__ void __launch_bounds__(128)
    step_trust(const __grid_constant__ Table table, const double* part, TrustNumbers n, const double* live, double* trust) {
  if (live) n = {live[2], live[3], live[4], live[5]};
  double p = 0, measured = 0;
  for (int64_t b = table.word(blockIdx.x) + threadIdx.x; b < table.word(blockIdx.x + 1); b += blockDim.x) {
    p += part[2 * b];
    measured += part[2 * b + 1];
  }
  p = vsqrt(block_reduce(p, Sum(), 0.0));
  measured = vsqrt(block_reduce(measured, Sum(), 0.0));
  if (threadIdx.x != 0) return;
  const double ratio = p > 0 && measured > 0 ? n.coefficient * p / (measured + n.decay * p + n.eps) : 1;
  trust[blockIdx.x] = ratio < n.limit ? ratio : n.limit;
}

template <class T, class Formula, int states>
__global__ void __launch_bounds__(kThreads)
    step_apply(const __grid_constant__ Table table, const __grid_constant__ Constants<acc_t<T>> constants,
               const double* trust) {
  using A = acc_t<T>;
  const Common<A> c = common_of(constants);
  const auto f = c.template as<Formula>();
  const Piece piece = find_piece(table);
  const Apply<A, Formula, states> body{f, A(trust[piece.tensor])};
  each_pack<T, states, Formula::early ? 0 : states, true>(table, piece, c, body);
}

template <template <class> class Formula, int states> void run(const OptimStep& a) {
  const void* const* columns[2 + kMaxOptimStates] = {a.p, a.g};
  for (int k = 0; k < states; ++k) columns[2 + k] = a.state[k];
  for_tables(a.list, columns, 2 + states, [&](auto type, const Table& table, int64_t blocks) {
    using T = decltype(type);
    using A = acc_t<T>;
    using F = Formula<A>;
    const Constants<A> c(a, int(sizeof(F) / sizeof(A)));
    const dim3 grid(unsigned(blocks), 1, 1), block(kThreads, 1, 1);
    if constexpr (F::trusts) {
      const Temp part(size_t(2 * blocks) * sizeof(double)), trust(size_t(table.count) * sizeof(double));
      launch("optim_step", step_measure<T, F, states>, grid, block, 0, table, c, part.as<double>());
      launch("optim_step", step_trust, dim3(unsigned(table.count)), dim3(128), 0, table, part.as<double>(),
             TrustNumbers{a.numbers[0], a.numbers[1], a.numbers[2], a.numbers[3]}, a.live, trust.as<double>());
      launch("optim_step", step_apply<T, F, states>, grid, block, 0, table, c, trust.as<double>());
    } else {
      launch("optim_step", step_plain<T, states>, grid, block, 0, table, OptimRule(a.rule), c);
    }
  });
}

}  // namespace

void optim_step(const OptimStep& a) {
  switch (OptimRule(a.rule)) {
#define R(name, Formula, states, numbers)                                                                    \
  static_assert(states <= kMaxOptimStates && 2 + numbers <= kConstants, #name);                               \
  static_assert(sizeof(Formula<double>) == numbers * sizeof(double), #name);                                 \
  case OptimRule::name: return run<Formula, states>(a);
    LAMELLA_OPTIM_RULES(R)
#undef R
  }
}

}  // namespace lamella::cuda
