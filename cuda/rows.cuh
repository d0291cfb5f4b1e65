// SPDX-License-Identifier: MIT
// Rows dealt to groups of threads that keep them in registers, and reductions of a group: for norms and softmax.
#pragma once
#include "lanes.cuh"

namespace lamella::cuda {

// ---- what is reduced ---------------------------------------------------------------------------------------------------
template <class A> struct Pair { A a, b; };
struct AddPair {
  template <class A> GPU Pair<A> operator()(const Pair<A>& x, const Pair<A>& y) const { return {x.a + y.a, x.b + y.b}; }
};

// Of n values: the mean as hi + lo, so that nothing is lost where it is far from zero, and the sum of squared deviations.
// Merged by Chan, Golub and LeVeque (1979).
template <class A> struct Stats {
  A hi, lo, m2, n;
  GPU void merge(const Stats& b) {
    if (b.n == 0) return;
    if (n == 0) { *this = b; return; }
    const A total = n + b.n;
    merge(b, total, b.n / total);
  }
  GPU void merge(const Stats& b, A total, A share) {  // share = b.n / total
    const A d = (b.hi - hi) + (b.lo - lo), step = d * share, to = hi + step;
    lo += step - (to - hi);
    hi = to;
    m2 += b.m2 + d * step * n;
    n = total;
  }
  template <class B> GPU Stats<B> as() const { return {B(hi), B(lo), B(m2), B(n)}; }
};
struct MergeStats {
  template <class A> GPU Stats<A> operator()(Stats<A> x, const Stats<A>& y) const { x.merge(y); return x; }
};

// log sum exp as the maximum and s = sum of exp(x - m). Only -inf so far: m = -inf, s = 0. NaN and +inf give NaN.
template <class A> struct Lse {
  A m, s;
  GPU static Lse none() { return {-Float<A>::infinity, A(0)}; }
  GPU void merge(const Lse& b) {
    const A to = Max{}(m, b.m);
    if (to == -Float<A>::infinity) return;
    s = s * vexp(m - to) + b.s * vexp(b.m - to);
    m = to;
  }
  // What v[0..N) adds; -inf adds nothing.
  template <int N> GPU void add(const A (&v)[N]) {
    A to = m;
#pragma unroll
    for (int i = 0; i < N; ++i) to = Max{}(to, v[i]);
    if (to == -Float<A>::infinity) return;
    s *= vexp(m - to);
#pragma unroll
    for (int i = 0; i < N; ++i) s += vexp(v[i] - to);
    m = to;
  }
};
struct MergeLse {
  template <class A> GPU Lse<A> operator()(Lse<A> x, const Lse<A>& y) const { x.merge(y); return x; }
};

template <class A> GPU A across(A x, int by) { return __shfl_xor_sync(~0u, x, by); }
template <class A> GPU Pair<A> across(const Pair<A>& x, int by) { return {across(x.a, by), across(x.b, by)}; }
template <class A> GPU Lse<A> across(const Lse<A>& x, int by) { return {across(x.m, by), across(x.s, by)}; }
template <class A> GPU Stats<A> across(const Stats<A>& x, int by) {
  return {across(x.hi, by), across(x.lo, by), across(x.m2, by), across(x.n, by)};
}

// Over the `group` threads of a row: a power of two up to 32, or the whole block. Where op is exactly commutative all get
// the same bits; else thread 0's are the result. All threads of the block call it.
template <class X, class Op> GPU X group_reduce(X x, const Op& op, const X& none, int group) {
  for (int by = (group < 32 ? group : 32) / 2; by; by /= 2) x = op(x, across(x, by));
  if (group <= 32) return x;
  SHARED(X, parts, [32]);
  const int lane = int(threadIdx.x) & 31;
  __syncthreads();
  if (lane == 0) parts[threadIdx.x / 32] = x;
  __syncthreads();
  x = lane < group / 32 ? parts[lane] : none;
#pragma unroll
  for (int by = 16; by; by /= 2) x = op(x, across(x, by));
  return x;
}

// ---- who has which row -------------------------------------------------------------------------------------------------
// Packs of a tensor that a thread holds; single elements (P false) cost more registers and instructions.
template <class T, bool P> constexpr int kHeld = !P && sizeof(T) == 2 ? 2 : 4;

// `group` threads for each row, `threads` in a block. group 0: a row is more than a block can hold.
struct Deal {
  int group, threads;
  unsigned blocks(int64_t rows) const { return unsigned(group > 32 ? rows : ceil_div(rows, threads / group)); }
};
inline Deal deal_rows(int64_t rows, int64_t n, int pack, int held, int most_threads) {
  const int64_t packs = ceil_div(n, pack), need = ceil_div(packs, held);
  if (need > most_threads) return {0, 0};
  if (need > 32) return {int(ceil_div(need, 32) * 32), int(ceil_div(need, 32) * 32)};
  int group = 1;
  while (group < need || (group < 4 && group < packs)) group *= 2;              // pieces of 64 bytes
  while (group < 32 && group < packs && rows * group < (1 << 16)) group *= 2;  // few rows: more threads
  return {group, kThreads};
}

struct Place {  // of a thread
  int64_t row;
  int lane;
  GPU explicit Place(int group) : row(blockIdx.x), lane(int(threadIdx.x)) {
    if (group > 32) return;
    const int shift = __ffs(group) - 1;
    row = row * (int(blockDim.x) >> shift) + (lane >> shift);
    lane &= group - 1;
  }
};

// What one of `group` threads holds of a row of n elements: K packs, `group` packs apart; or, where packs do not lie on
// 16-byte boundaries (kPacked false), K times V single elements `group` apart. Element j = k V + e is there if j < held.
template <class T, bool kPacked, int K = kHeld<T, kPacked>> struct Share {
  static constexpr int V = kPack<T>;
  static constexpr bool kIsPacked = kPacked;
  using P = Pack<T, V>;
  int lane, group, held;
  GPU Share(int64_t n, int lane, int group) : lane(lane), group(group), held(0) {
    if constexpr (kPacked) {
#pragma unroll
      for (int k = 0; k < K; ++k) held += (k * group + lane) * V < n ? V : 0;
    } else {
#pragma unroll
      for (int j = 0; j < K * V; ++j) held += j * group + lane < n;
    }
  }
  GPU int index(int k, int e) const { return kPacked ? (k * group + lane) * V + e : (k * V + e) * group + lane; }
  GPU P get(const T* p, int k) const {
    P r{};
    if constexpr (kPacked) {
      if (k * V < held) r = load_pack<T, V>(p + index(k, 0));
    } else {
#pragma unroll
      for (int e = 0; e < V; ++e)
        if (k * V + e < held) r.v[e] = p[index(k, e)];
    }
    return r;
  }
  GPU void load(const T* p, P (&v)[K]) const {
#pragma unroll
    for (int k = 0; k < K; ++k) v[k] = get(p, k);
  }
  GPU void put(T* p, int k, const P& v) const {
    if constexpr (kPacked) {
      if (k * V < held) store_pack<T, V>(p + index(k, 0), v);
    } else {
#pragma unroll
      for (int e = 0; e < V; ++e)
        if (k * V + e < held) p[index(k, e)] = v.v[e];
    }
  }
};

// What was loaded stays as it is up to here: else the compiler keeps the numbers converted to float, in twice the registers.
template <class T, int N, int K> GPU void stay_packed([[maybe_unused]] Pack<T, N> (&v)[K]) {
#ifdef __CUDA_ARCH__
  if constexpr (sizeof(T) == 2) {
#pragma unroll
    for (int k = 0; k < K; ++k) {
      uint32_t w[N / 2];
      memcpy(w, &v[k], sizeof w);
#pragma unroll
      for (int i = 0; i < N / 2; ++i) asm volatile("" : "+r"(w[i]));
      memcpy(&v[k], w, sizeof w);
    }
  }
#endif
}

// Loads after this are not moved up before it, where they would wait in registers.
GPU void no_earlier() {
#ifdef __CUDA_ARCH__
  asm volatile("" ::: "memory");
#endif
}

// f(std::bool_constant<packed>): float64 is always read by single elements, which are wide enough.
template <class T, class F> void by_packing(bool packed, const F& f) {
  if constexpr (sizeof(T) < 8) {
    if (packed) return f(std::true_type{});
  }
  f(std::false_type{});
}

// Longer rows are cut in pieces of what a block of kPieceThreads holds.
constexpr int kPieceThreads = 512;
template <class T, bool P> constexpr int64_t kPiece = int64_t(kPieceThreads) * kHeld<T, P> * kPack<T>;
struct Pieces {
  Divisor pieces;
  int64_t n, piece;
  Pieces(int64_t n, int64_t piece) : pieces(ceil_div(n, piece)), n(n), piece(piece) {}
  unsigned blocks(int64_t rows) const { return unsigned(rows * pieces.d); }
  // of this block: its row, the first element within the row, how many
  GPU void place(int64_t& row, int64_t& first, int64_t& count) const {
    int64_t i;
    row = pieces.divide(int64_t(blockIdx.x), i);
    first = i * piece;
    count = least(piece, n - first);
  }
};

}  // namespace lamella::cuda
