// SPDX-License-Identifier: MIT
// Running sums, products, extremes and log-sums of exponentials along the middle of (outer, n, inner). Rows (inner is 1): a
// group of lanes takes a tile of packs at a time and carries its state on. Columns: a thread each. Where rows are long, or
// columns few, n is cut into parts: their totals first, then a scan of those, then each part from its own start.
// How it is cut depends on the sizes alone.
#include "lanes.cuh"

namespace lamella::cuda {
namespace {

template <class T> constexpr bool kFloat = std::is_same_v<acc_t<T>, float> || std::is_same_v<acc_t<T>, double>;

// ---- what runs: a state of nothing, of an element, joined with a later one; what is written -----------------------------
template <class S> struct LinearState {  // sums and products; integers wrap
  using State = S;
  bool product;
  GPU State none() const { return State(product); }
  GPU State join(State a, State b) const { return product ? a * b : a + b; }
};
template <class T_> struct Linear : LinearState<std::conditional_t<kFloat<T_>, double, uint64_t>> {
  using T = T_;
  using State = std::conditional_t<kFloat<T>, double, uint64_t>;
  using Base = LinearState<State>;
  static constexpr int kWide = kPack<T>;  // elements of a lane
  explicit Linear(bool product) : Base{product} {}
  GPU State element(T x, int64_t) const {
    if constexpr (kFloat<T>) return double(up(x));
    else return State(int64_t(x));
  }
  GPU T value(State s) const {
    if constexpr (kFloat<T>) return down<T>(acc_t<T>(s));
    else return T(s);
  }
};

template <class A> struct Best { int64_t at; A value; };  // at < 0: of nothing
template <class A> struct ExtremeState {
  using State = Best<A>;
  bool least;
  GPU State none() const { return {-1, 0}; }
  GPU State join(const State& a, const State& b) const {  // b is later: of equal ones it wins; the first NaN stays
    const bool wins = least ? b.value <= a.value : b.value >= a.value;
    const bool take = a.at < 0 || (b.at >= 0 && a.value == a.value && (wins || b.value != b.value));
    return {take ? b.at : a.at, take ? b.value : a.value};
  }
};
template <class T_> struct Extreme : ExtremeState<acc_t<T_>> {
  using T = T_;
  using State = Best<acc_t<T>>;
  using Base = ExtremeState<acc_t<T>>;
  static constexpr int kWide = kPack<T>;
  explicit Extreme(bool least) : Base{least} {}
  GPU State element(T x, int64_t j) const { return {j, up(x)}; }
  GPU T value(const State& s) const { return down<T>(s.value); }
};

// log(sum of exp(x)) = high + log(rest). Infinities are not taken from each other: where both are high, each counts as 1.
struct Log { double high, rest; };
struct LogState {
  using State = Log;
  GPU State none() const { return {-Float<double>::infinity, 0}; }
  GPU State join(const State& a, const State& b) const {
    const double high = vmax_nan(a.high, b.high);
    return {high, (a.high == high ? a.rest : a.rest * vexp(a.high - high)) +
                      (b.high == high ? b.rest : b.rest * vexp(b.high - high))};
  }
};
template <class T_> struct LogSum : LogState {
  using T = T_;
  using Base = LogState;
  static constexpr int kWide = 2;
  GPU State element(T x, int64_t) const { return {double(up(x)), 1}; }
  GPU T value(const State& s) const { return down<T>(acc_t<T>(s.high + vlog(s.rest))); }
};

template <class S> GPU S from_lane(const S& s, int lane, int width) {
  if constexpr (sizeof(S) <= 8) return __shfl_sync(~0u, s, lane, width);
  else {
    uint64_t word[2];
    memcpy(word, &s, 16);
    word[0] = __shfl_sync(~0u, word[0], lane, width);
    word[1] = __shfl_sync(~0u, word[1], lane, width);
    S t;
    memcpy(&t, word, 16);
    return t;
  }
}

// The joined states of all lanes before this one, of `width` lanes; `all` becomes that of all of them. Every lane calls.
template <class Op, class S> GPU S lanes_before(const Op& op, S& all, int width) {
  const int lane = int(threadIdx.x) & (width - 1);
  S s = all;
#pragma unroll 1
  for (int by = 1; by < width; by *= 2) {
    const S t = from_lane(s, lane >= by ? lane - by : lane, width);
    if (lane >= by) s = op.join(t, s);
  }
  all = from_lane(s, width - 1, width);
  const S t = from_lane(s, lane ? lane - 1 : 0, width);
  return lane ? t : op.none();
}

constexpr int kWarps = kThreads / 32;
// The same of the whole block. Ends so that it may be called again.
template <class Op, class S> GPU S block_before(const Op& op, S& all, S* share) {
  const S before = lanes_before(op, all, 32);
  __syncthreads();
  if ((threadIdx.x & 31) == 31) share[threadIdx.x / 32] = all;
  __syncthreads();
  S mine = op.none();
  all = op.none();
#pragma unroll 1
  for (int w = 0; w < kWarps; ++w) {
    if (w == int(threadIdx.x) / 32) mine = all;
    all = op.join(all, share[w]);
  }
  return op.join(mine, before);
}

// ---- rows ----------------------------------------------------------------------------------------------------------------
struct Plan { int64_t rows, n, inner, part, parts; int width; bool packs; };  // of columns, rows are outer * inner

// width lanes take a row, or all of the block a part of it. carry (rows, parts): what comes before each part, or null;
// total (rows, parts): where to leave the part's state, and nothing else is written.
template <class Op>
__global__ void __launch_bounds__(kThreads) scan_rows(Op op, const typename Op::T* x, typename Op::T* y, int64_t* index,
                                                      Plan plan, const typename Op::State* carry, typename Op::State* total) {
  using T = typename Op::T;
  using S = typename Op::State;
  constexpr int P = Op::kWide;
  SHARED(S, share, [kWarps]);
  const int width = plan.width, lane = int(threadIdx.x) & (width - 1);
  const int64_t part = blockIdx.y, row = int64_t(blockIdx.x) * (kThreads / width) + threadIdx.x / width;
  const bool live = row < plan.rows;
  const int64_t end = least((part + 1) * plan.part, plan.n), base = live ? row * plan.n : 0;
  S run = carry && live ? carry[row * plan.parts + part] : op.none();
  for (int64_t tile = part * plan.part; tile < end; tile += int64_t(width) * P) {  // alike for all: they exchange states
    const int64_t j = tile + lane * P;
    const bool whole = live && plan.packs && j + P <= end;
    Pack<T, P> v;
    if (whole) v = load_pack<T, P>(x + base + j);
    else
#pragma unroll
      for (int e = 0; e < P; ++e) v.v[e] = live && j + e < end ? x[base + j + e] : T{};
    S all = op.none();
#pragma unroll
    for (int e = 0; e < P; ++e) if (j + e < end) all = op.join(all, op.element(v.v[e], j + e));
    S before = width == kThreads ? block_before(op, all, share) : lanes_before(op, all, width);
    before = op.join(run, before);
    run = op.join(run, all);
    if (total) continue;
    [[maybe_unused]] int64_t at[P];
#pragma unroll
    for (int e = 0; e < P; ++e) {
      if (j + e < end) before = op.join(before, op.element(v.v[e], j + e));
      v.v[e] = op.value(before);
      if constexpr (requires { before.at; }) at[e] = before.at;
    }
    if (whole) {
      store_pack(y + base + j, v);
      if constexpr (requires { before.at; })
        if (index)
#pragma unroll
          for (int e = 0; e < P; e += 2) store_pack(index + base + j + e, Pack<int64_t, 2>{at[e], at[e + 1]});
    } else if (live) {
#pragma unroll
      for (int e = 0; e < P; ++e)
        if (j + e < end) {
          y[base + j + e] = v.v[e];
          if constexpr (requires { before.at; }) if (index) index[base + j + e] = at[e];
        }
    }
  }
  if (total && lane == 0 && live) total[row * plan.parts + part] = run;
}

// ---- columns ---------------------------------------------------------------------------------------------------------------
constexpr int kDeep = 4;
// A thread runs down a part of a column; with `total` it only leaves the part's state there.
template <class Op>
__global__ void __launch_bounds__(kThreads) scan_cols(Op op, const typename Op::T* x, typename Op::T* y, int64_t* index,
                                                      Plan plan, Divisor inner, const typename Op::State* carry,
                                                      typename Op::State* total) {
  using T = typename Op::T;
  using S = typename Op::State;
  const int64_t column = int64_t(blockIdx.x) * kThreads + threadIdx.x, part = blockIdx.y;
  if (column >= plan.rows) return;
  int64_t i;
  const int64_t base = inner.divide(column, i) * plan.n * plan.inner + i, end = least((part + 1) * plan.part, plan.n);
  S run = carry ? carry[column * plan.parts + part] : op.none();
  for (int64_t j = part * plan.part; j < end; j += kDeep) {
    T v[kDeep];
#pragma unroll
    for (int u = 0; u < kDeep; ++u) v[u] = j + u < end ? x[base + (j + u) * plan.inner] : T{};
#pragma unroll
    for (int u = 0; u < kDeep; ++u) {
      if (j + u >= end) break;
      run = op.join(run, op.element(v[u], j + u));
      if (total) continue;
      y[base + (j + u) * plan.inner] = op.value(run);
      if constexpr (requires { run.at; }) if (index) index[base + (j + u) * plan.inner] = run.at;
    }
  }
  if (total) total[column * plan.parts + part] = run;
}

// Each row of state (rows, parts) becomes what comes before each part. A block a row.
template <class Op>
__global__ void __launch_bounds__(kThreads) scan_carries(Op op, int64_t parts, typename Op::State* state) {
  using S = typename Op::State;
  SHARED(S, share, [kWarps]);
  S* row = state + blockIdx.x * parts;
  S run = op.none();
  for (int64_t tile = 0; tile < parts; tile += kThreads) {
    const int64_t j = tile + threadIdx.x;
    S all = j < parts ? row[j] : op.none();
    const S before = block_before(op, all, share);
    if (j < parts) row[j] = op.join(run, before);
    run = op.join(run, all);
  }
}

template <class Op> void scan_with(const Op& op, const Scan& a) {
  using T = typename Op::T;
  using S = typename Op::State;
  constexpr int P = Op::kWide;
  const T* x = static_cast<const T*>(a.x);
  T* y = static_cast<T*>(a.y);
  const typename Op::Base base = op;
  S* const none = nullptr;
  Plan p{a.outer * a.inner, a.n, a.inner, most(a.n, 1), 1, kThreads, false};
  if (p.rows == 0 || a.n == 0) return;
  if (a.inner > 1) {
    if (p.rows < 32768 && a.n > 64) {
      p.part = most(32, ceil_div(a.n, ceil_div(131072, p.rows)));
      p.part = most(p.part, ceil_div(a.n, 4096));
      p.parts = ceil_div(a.n, p.part);
    }
    const Temp temp(p.parts > 1 ? size_t(p.rows * p.parts) * sizeof(S) : 0);
    const dim3 grid(unsigned(ceil_div(p.rows, kThreads)), unsigned(p.parts));
    if (p.parts > 1) {
      launch("scan", scan_cols<Op>, grid, dim3(kThreads), 0, op, x, y, a.index, p, Divisor(a.inner), none, temp.as<S>());
      launch("scan", scan_carries<typename Op::Base>, dim3(unsigned(p.rows)), dim3(kThreads), 0, base, p.parts, temp.as<S>());
    }
    launch("scan", scan_cols<Op>, grid, dim3(kThreads), 0, op, x, y, a.index, p, Divisor(a.inner), temp.as<S>(), none);
    return;
  }
  p.packs = a.n % P == 0 && is_aligned(x) && is_aligned(y) && is_aligned(a.index);
  if (a.n <= 32 * P * 4)
    for (p.width = 1; p.width < 32 && p.width * P < a.n;) p.width *= 2;
  else if (a.n > 65536) {
    p.part = most(32768, ceil_div(ceil_div(a.n, 2048), kThreads * P) * kThreads * P);
    p.parts = ceil_div(a.n, p.part);
  }
  const Temp temp(p.parts > 1 ? size_t(p.rows * p.parts) * sizeof(S) : 0);
  const dim3 grid(unsigned(ceil_div(p.rows, kThreads / p.width)), unsigned(p.parts));
  if (p.parts > 1) {
    launch("scan", scan_rows<Op>, grid, dim3(kThreads), 0, op, x, y, a.index, p, none, temp.as<S>());
    launch("scan", scan_carries<typename Op::Base>, dim3(unsigned(p.rows)), dim3(kThreads), 0, base, p.parts, temp.as<S>());
  }
  launch("scan", scan_rows<Op>, grid, dim3(kThreads), 0, op, x, y, a.index, p, temp.as<S>(), none);
}

template <class T> void scan_type(const Scan& a) {
  if (a.op == ScanOp::max || a.op == ScanOp::min) return scan_with(Extreme<T>(a.op == ScanOp::min), a);
  scan_with(Linear<T>(a.op == ScanOp::prod), a);
}

// The smaller integers run as int32.
template <class From, class To> __global__ void scan_convert(const From* x, To* y, int64_t n) {
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < n; i += int64_t(gridDim.x) * kThreads) y[i] = To(x[i]);
}
template <class T> void scan_small(const Scan& a) {
  const int64_t n = a.outer * a.n * a.inner;
  const Temp wide(size_t(n) * 4);
  int32_t* const w = wide.as<int32_t>();
  Scan b = a;
  b.x = b.y = w;  // each element is read before it is written, by the thread that writes it
  launch("scan", scan_convert<T, int32_t>, dim3(blocks_for(n, kThreads)), dim3(kThreads), 0, static_cast<const T*>(a.x), w, n);
  scan_type<int32_t>(b);
  launch("scan", scan_convert<int32_t, T>, dim3(blocks_for(n, kThreads)), dim3(kThreads), 0, w, static_cast<T*>(a.y), n);
}

}  // namespace

void scan(const Scan& a) {
  if (a.op == ScanOp::logsumexp) return by_float(a.dtype, [&](auto t) { scan_with(LogSum<decltype(t)>{}, a); });
  by_dtype(a.dtype, [&](auto t) {
    using T = decltype(t);
    if constexpr (kFloat<T> || sizeof(T) > 2) scan_type<T>(a);
    else scan_small<T>(a);
  });
}

}  // namespace lamella::cuda
