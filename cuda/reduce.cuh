// SPDX-License-Identifier: MIT
// The walk of a reduction. Rows: lanes along what is reduced, packs of it at a time, four in flight. Columns: threads along
// what is kept. A long row or column is cut into parts, whose states a second kernel joins. Who takes what depends on the
// sizes alone, not on the device and not on how x is aligned: bits are the same.
#pragma once
#include "reduce_op.cuh"

namespace lamella::cuda {

constexpr int kDeep = 4;                                // loads in flight of a thread
constexpr int64_t kRowPart = 16384, kMostParts = 4096;  // elements of a row that a block takes

// n / d for 0 <= n < 2^63 without a division (Granlund, Montgomery 1994): with 2^(l-1) < d <= 2^l and
// magic = ceil(2^(63+l) / d), n / d = (n magic) / 2^(63+l).
struct Quotient {
  int64_t d;
  uint64_t magic;  // 0: d is 1
  int shift;
  Quotient() = default;
  explicit Quotient(int64_t divisor) : d(divisor), magic(0), shift(0) {
    if (d < 2) return;
    int l = 1;
    while (l < 62 && int64_t(1) << l < d) ++l;
    magic = uint64_t(((static_cast<unsigned __int128>(1) << (63 + l)) + uint64_t(d) - 1) / uint64_t(d));
    shift = l - 1;
  }
  GPU int64_t divide(int64_t n, int64_t& rest) const {
    const int64_t q = magic ? int64_t(__umul64hi(magic, uint64_t(n)) >> shift) : n;
    rest = n - q * d;
    return q;
  }
};

// From an index of a loop to x's offset.
struct Map {
  int ndim;
  Quotient shape[kLoopDims];
  int64_t stride[kLoopDims];
  explicit Map(const Loop<2>& l) : ndim(l.ndim) {
    for (int d = 0; d < ndim; ++d) { shape[d] = Quotient(l.shape[d]); stride[d] = l.stride[1][d]; }
  }
  GPU int64_t at(int64_t i) const {
    int64_t to = 0, rest;
#pragma unroll 1
    for (int d = ndim - 1; d > 0; --d) {
      i = shape[d].divide(i, rest);
      to += rest * stride[d];
    }
    return ndim ? to + i * stride[0] : 0;
  }
};
// Offsets of first, first + apart, ...: in registers for a single stride; else one after another, for the code's size.
template <int N> GPU void offsets(const Map& map, int64_t first, int64_t apart, int64_t end, int64_t (&to)[N]) {
  if (map.ndim <= 1) {
    const int64_t stride = map.ndim ? map.stride[0] : 0;
#pragma unroll
    for (int i = 0; i < N; ++i) to[i] = (first + i * apart) * stride;
  } else {
    int64_t slow[N];
#pragma unroll 1
    for (int i = 0; i < N; ++i) slow[i] = first + i * apart < end ? map.at(first + i * apart) : 0;
#pragma unroll
    for (int i = 0; i < N; ++i) to[i] = slow[i];
  }
}

inline int64_t count_of(const Loop<2>& l) {
  int64_t n = 1;
  for (int d = 0; d < l.ndim; ++d) n *= l.shape[d];
  return n;
}
inline int64_t power_up(int64_t n) {  // the least power of two >= n
  int64_t p = 1;
  while (p < n) p *= 2;
  return p;
}

template <class S> GPU S lane_xor(const S& s, int by) {
  if constexpr (sizeof(S) <= 8) return __shfl_xor_sync(~0u, s, by);
  else {
    constexpr int kWords = int(sizeof(S) / 4);
    uint32_t word[kWords];
    memcpy(word, &s, sizeof s);
#pragma unroll
    for (int i = 0; i < kWords; ++i) word[i] = __shfl_xor_sync(~0u, word[i], by);
    S t;
    memcpy(&t, word, sizeof t);
    return t;
  }
}

// ---- rows ----------------------------------------------------------------------------------------------------------------
struct RowsPlan { int64_t rows, m, part, parts; int width; bool packs; };  // width: lanes of a row, or kThreads

template <class Op>
__global__ void __launch_bounds__(kThreads) reduce_rows(Op op, const typename Op::T* x, const Map kept, const Map over,
                                                        RowsPlan plan, ReduceOut out, typename Op::State* partial) {
  using T = typename Op::T;
  using S = typename Op::State;
  constexpr int P = kPack<T>;
  const int width = plan.width, lane = int(threadIdx.x) & (width - 1), group = int(threadIdx.x) / width;
  const int64_t part = blockIdx.y, step = int64_t(width) * P;
  const int groups = kThreads / width;
  // All of a warp go round together: they exchange states.
  for (int64_t first = int64_t(blockIdx.x) * groups; first < plan.rows; first += int64_t(gridDim.x) * groups) {
    const int64_t row = first + group;
    const bool live = row < plan.rows;
    const int64_t end = live ? least((part + 1) * plan.part, plan.m) : 0;
    const T* from = live ? x + kept.at(row) : x;
    S s = op.none();
    const auto take = [&](const Pack<T, P>& v, int64_t j) {
      op.template take<P>(s, [&](int e) { return v.v[e]; }, [&](int e) { return j + e; }, [&](int e) { return j + e < end; });
    };
    int64_t j = part * plan.part + lane * P;
    if (plan.packs && over.ndim == 1)
      for (; j + (kDeep - 1) * step + P <= end; j += kDeep * step) {
        Pack<T, P> v[kDeep];
#pragma unroll
        for (int u = 0; u < kDeep; ++u) v[u] = load_pack<T, P>(from + j + u * step);
#pragma unroll
        for (int u = 0; u < kDeep; ++u) take(v[u], j + u * step);
      }
#pragma unroll 1
    for (; j < end; j += step) {
      Pack<T, P> v;
      if (plan.packs && j + P <= end) {
        v = load_pack<T, P>(from + over.at(j));
      } else {
        int64_t to[P];
        offsets(over, j, 1, end, to);
#pragma unroll
        for (int e = 0; e < P; ++e) v.v[e] = j + e < end ? from[to[e]] : op.fill();
      }
      take(v, j);
    }
#pragma unroll 1
    for (int by = width < 32 ? width / 2 : 16; by; by /= 2) s = op.join(s, lane_xor(s, by));
    if (width > 32) {
      SHARED(S, share, [kThreads / 32]);
      __syncthreads();
      if ((threadIdx.x & 31) == 0) share[threadIdx.x / 32] = s;
      __syncthreads();
      if (threadIdx.x < 32) {
        s = share[threadIdx.x & 7];
#pragma unroll 1
        for (int by = 4; by; by /= 2) s = op.join(s, lane_xor(s, by));
      }
    }
    if (lane != 0 || !live) continue;
    if (plan.parts > 1) partial[part * plan.rows + row] = s;
    else op.write(out, row, s);
  }
}

// ---- columns ---------------------------------------------------------------------------------------------------------------
// Threads (x, y) of a block: x takes kCols columns, y every blockDim.y-th row of its part.
template <class Op> constexpr int kCols = kPack<typename Op::T> * int(sizeof(typename Op::State)) <= 64
                                              ? kPack<typename Op::T>
                                              : sizeof(typename Op::State) > 16 ? 2 : sizeof(typename Op::State) > 8 ? 4 : 8;
struct ColsPlan { int64_t columns, m, part, parts; bool packs, packs_out; };

// share (n, blockDim.y, blockDim.x), written by its threads: joined over y, to y == 0.
template <class Op, class S> GPU void join_down(const Op& op, int n, S* share) {
  for (int half = int(blockDim.y) / 2; half; half /= 2) {
    __syncthreads();
    if (int(threadIdx.y) >= half) continue;
    S* mine = share + threadIdx.y * blockDim.x + threadIdx.x;
#pragma unroll 1
    for (int i = 0; i < n; ++i, mine += kThreads) *mine = op.join(*mine, mine[half * int(blockDim.x)]);
  }
}

template <class Op>
__global__ void __launch_bounds__(kThreads) reduce_cols(Op op, const typename Op::T* x, const Map kept, const Map over,
                                                        ColsPlan plan, ReduceOut out, typename Op::State* partial) {
  using T = typename Op::T;
  using S = typename Op::State;
  constexpr int C = kCols<Op>;
  const int64_t tile = int64_t(blockIdx.x) * blockDim.x * C;
  // In packs a thread's columns are neighbours, else they lie a block's width apart.
  const int64_t k0 = tile + (plan.packs ? int64_t(threadIdx.x) * C : threadIdx.x), apart = plan.packs ? 1 : blockDim.x;
  int64_t from[C];
  S s[C];
  offsets(kept, k0, apart, plan.columns, from);
#pragma unroll
  for (int e = 0; e < C; ++e) s[e] = op.none();
  const int64_t end = k0 < plan.columns ? least((blockIdx.y + 1) * plan.part, plan.m) : 0;
  const int64_t step = blockDim.y;
#pragma unroll 1
  for (int64_t j = blockIdx.y * plan.part + threadIdx.y; j < end; j += kDeep * step) {
    Pack<T, C> v[kDeep];
    int64_t to[kDeep];
    offsets(over, j, step, end, to);
#pragma unroll
    for (int u = 0; u < kDeep; ++u) {
      const bool has = j + u * step < end;
      if (has && plan.packs) v[u] = load_pack<T, C>(x + from[0] + to[u]);
      else
#pragma unroll
        for (int e = 0; e < C; ++e) v[u].v[e] = has && k0 + e * apart < plan.columns ? x[from[e] + to[u]] : op.fill();
    }
    const auto at = [&](int u) { return j + u * step; };
#pragma unroll
    for (int e = 0; e < C; ++e)
      op.template take<kDeep>(s[e], [&](int u) { return v[u].v[e]; }, at, [&](int u) { return at(u) < end; });
  }
  S* share = dynamic_shared<S>();
#pragma unroll
  for (int e = 0; e < C; ++e) share[e * kThreads + threadIdx.y * blockDim.x + threadIdx.x] = s[e];
  join_down(op, C, share);
  if (threadIdx.y || k0 >= plan.columns) return;
  share += threadIdx.x;
  if constexpr (Op::kSame)
    if (plan.packs_out && plan.parts == 1) {
      Pack<T, C> y;
#pragma unroll
      for (int e = 0; e < C; ++e) y.v[e] = down<T>(acc_t<T>(op.value(share[e * kThreads], out)));
      store_pack(static_cast<T*>(out.y) + k0, y);
      return;
    }
#pragma unroll 1
  for (int e = 0; e < C; ++e) {
    const int64_t k = k0 + e * apart;
    if (k >= plan.columns) break;
    if (plan.parts > 1) partial[blockIdx.y * plan.columns + k] = share[e * kThreads];
    else op.write(out, k, share[e * kThreads]);
  }
}

// Result k of partial (parts, count).
template <class Op>
__global__ void __launch_bounds__(kThreads) reduce_parts(Op op, const typename Op::State* partial, int64_t parts,
                                                         int64_t count, ReduceOut out) {
  using S = typename Op::State;
  const int64_t k = int64_t(blockIdx.x) * blockDim.x + threadIdx.x, step = blockDim.y;
  S s = op.none();
  for (int64_t j = threadIdx.y; j < parts && k < count; j += kDeep * step) {
    S v[kDeep];
#pragma unroll
    for (int u = 0; u < kDeep; ++u) v[u] = j + u * step < parts ? partial[(j + u * step) * count + k] : op.none();
    s = op.join(s, op.join(op.join(v[0], v[1]), op.join(v[2], v[3])));
  }
  SHARED(S, share, [kThreads]);
  share[threadIdx.y * blockDim.x + threadIdx.x] = s;
  join_down(op, 1, share);
  if (threadIdx.y == 0 && k < count) op.write(out, k, share[threadIdx.x]);
}

// ---- who goes which way ----------------------------------------------------------------------------------------------------
// A loop's strides but for its last are all whole packs.
inline bool whole_packs(const Loop<2>& l, int dims, int pack) {
  for (int d = 0; d < dims; ++d) if (l.stride[1][d] % pack) return false;
  return true;
}

template <class Op> void reduce_with(const Op& op, const void* from, const Loop<2>& kept, const Loop<2>& over, ReduceOut out) {
  using T = typename Op::T;
  using S = typename Op::State;
  const typename Op::Base base = op;
  const T* x = static_cast<const T*>(from);
  const int64_t count = count_of(kept), m = count_of(over);
  const auto distance = [](const Loop<2>& l) {  // of neighbours; what does not move is no help to coalesce
    if (l.ndim == 0) return kNowhere;
    const int64_t s = l.stride[1][l.ndim - 1];
    return s == 0 ? kNowhere : s < 0 ? -s : s;
  };
  const auto join = [&](const Temp& partial, int64_t parts) {
    if (parts == 1) return;
    const unsigned down = unsigned(least(power_up(ceil_div(parts, kDeep)), kThreads)), across = kThreads / down;
    launch("reduce", reduce_parts<typename Op::Base>, dim3(unsigned(ceil_div(count, across))), dim3(across, down), 0, base,
           partial.as<S>(), parts, count, out);
  };
  if (kept.ndim && distance(kept) < distance(over)) {
    constexpr int C = kCols<Op>;
    const int last = kept.ndim - 1;
    const int64_t packs = ceil_div(count, C);
    const int64_t most_down = kThreads / least(power_up(packs), 32);
    const int64_t down = least(power_up(ceil_div(m, kDeep)), most_down), across = kThreads / down;
    ColsPlan p{count, m, 0, 0, false, false};
    p.part = most(down * kDeep * 8, ceil_div(ceil_div(m, kMostParts), down * kDeep) * down * kDeep);
    p.parts = m ? ceil_div(m, p.part) : 1;
    p.packs = kept.stride[1][last] == 1 && kept.shape[last] % C == 0 && whole_packs(kept, last, C) &&
              whole_packs(over, over.ndim, C) && is_aligned(x, C * int(sizeof(T)));
    if constexpr (Op::kSame) p.packs_out = p.packs && out.to == dtype_of<T>::value && is_aligned(out.y, C * int(sizeof(T)));
    const Temp partial(p.parts > 1 ? size_t(p.parts * count) * sizeof(S) : 0);
    launch("reduce", reduce_cols<Op>, dim3(unsigned(ceil_div(count, across * C)), unsigned(p.parts)),
           dim3(unsigned(across), unsigned(down)), C * kThreads * sizeof(S), op, x, Map(kept), Map(over), p, out,
           partial.as<S>());
    join(partial, p.parts);
    return;
  }
  constexpr int P = kPack<T>;
  const int last = over.ndim - 1;
  const int64_t packs = ceil_div(m, P);
  RowsPlan p{count, m, most(m, 1), 1, 0, false};
  p.packs = over.ndim && over.stride[1][last] == 1 && (over.ndim == 1 || over.shape[last] % P == 0) &&
            whole_packs(over, last, P) && whole_packs(kept, kept.ndim, P) && is_aligned(x);
  if (packs <= 32 * 2 * kDeep) {  // lanes of a warp, each with up to kDeep packs before there are more lanes
    p.width = int(least(most(least(4, power_up(packs)), power_up(ceil_div(packs, kDeep))), 32));
  } else {
    p.width = kThreads;
    const int64_t whole = int64_t(kThreads) * kDeep * P;
    p.part = most(kRowPart, ceil_div(ceil_div(m, kMostParts), whole) * whole);
    p.parts = ceil_div(m, p.part);
  }
  const Temp partial(p.parts > 1 ? size_t(p.parts * count) * sizeof(S) : 0);
  const unsigned blocks = p.width == kThreads ? unsigned(least(count, 1 << 30)) : blocks_for(count, kThreads / p.width, 32);
  launch("reduce", reduce_rows<Op>, dim3(blocks, unsigned(p.parts)), dim3(kThreads), 0, op, x, Map(kept), Map(over), p, out,
         partial.as<S>());
  join(partial, p.parts);
}

void reduce_integers(const Reduce&, ReduceOut);  // and logic: reduce_int.cu

// max, min, argmax, argmin, sums and products of one type.
template <class T> void reduce_type(const Reduce& a, ReduceOut out) {
  const auto with = [&](const auto& op) { reduce_with(op, a.x, a.kept, a.over, out); };
  switch (a.op) {
    case ReduceOp::prod: return with(TotalOf<T, true>());
    case ReduceOp::max: case ReduceOp::min: return with(ExtremeOf<T>(a.op == ReduceOp::min));
    case ReduceOp::argmax: case ReduceOp::argmin: return with(ArgOf<T>(a.op == ReduceOp::argmin));
    case ReduceOp::sum_squares: return with(TotalOf<T, false>(ReduceMap::square));
    case ReduceOp::sum_abs: return with(TotalOf<T, false>(ReduceMap::magnitude));
    default: return with(TotalOf<T, false>(ReduceMap::plain, a.op == ReduceOp::mean));
  }
}

}  // namespace lamella::cuda
