// SPDX-License-Identifier: MIT
// Scatters that join: entries are sorted by slot, and those of a slot are taken in their order, a sum in registers that is
// rounded once. A long run is cut into pieces of kPiece entries, counted from the run's start, whose sums are then added
// in order. No float atomics: the same bits always.
#include "index.cuh"

namespace lamella::cuda {
namespace {

constexpr int kPiece = 128;

template <class A> GPU A joined(ScatterOp op, A a, A b) {
  switch (op) {
    case ScatterOp::max: return a > b || a != a ? a : b;
    case ScatterOp::min: return a < b || a != a ? a : b;
    case ScatterOp::prod:
      if constexpr (std::is_integral_v<A>) return A(uint64_t(a) * uint64_t(b));  // unsigned: overflow wraps
      else return a * b;
    case ScatterOp::add:
      if constexpr (std::is_integral_v<A>) return A(uint64_t(a) + uint64_t(b));
      else return a + b;
    default: return b;
  }
}

// y (outer, rows, width) joined with dy (outer, count, width); `units` packs of V elements a row.
struct Join {
  ScatterOp op;
  DType dtype;
  int64_t outer, count, rows, width, skip;
  const int64_t* index;
  Divisor units, groups;   // groups: what else a thread's number counts, entries or pieces
  const void* dy;
  void* y;
};

// Elements by themselves: dtypes of one accumulator are one kernel, which asks for theirs.
template <class A> GPU A element(const void* p, int64_t i, DType t) {
  if constexpr (std::is_same_v<A, double>) return static_cast<const double*>(p)[i];
  else if constexpr (std::is_same_v<A, float>) {
    if (t == DType::f32) return static_cast<const float*>(p)[i];
    return t == DType::bf16 ? static_cast<const bf16*>(p)[i].to() : static_cast<const f16*>(p)[i].to();
  } else switch (t) {
    case DType::i64: return static_cast<const int64_t*>(p)[i];
    case DType::i32: return static_cast<const int32_t*>(p)[i];
    case DType::i16: return static_cast<const int16_t*>(p)[i];
    case DType::i8: return static_cast<const int8_t*>(p)[i];
    default: return static_cast<const uint8_t*>(p)[i];
  }
}
template <class A> GPU void set_element(void* p, int64_t i, DType t, A v) {
  if constexpr (std::is_same_v<A, double>) static_cast<double*>(p)[i] = v;
  else if constexpr (std::is_same_v<A, float>) {
    if (t == DType::f32) static_cast<float*>(p)[i] = v;
    else static_cast<uint16_t*>(p)[i] = t == DType::bf16 ? bf16::from(v).bits : f16::from(v).bits;
  } else switch (t) {
    case DType::i64: static_cast<int64_t*>(p)[i] = v; break;
    case DType::i32: static_cast<int32_t*>(p)[i] = int32_t(v); break;
    case DType::i16: static_cast<int16_t*>(p)[i] = int16_t(v); break;
    case DType::b8: static_cast<bool*>(p)[i] = v != 0; break;
    default: static_cast<uint8_t*>(p)[i] = uint8_t(v); break;
  }
}

// V elements of T, or (V 1) one of a dtype that sums in T.
template <class T, int V> struct Sum {
  using A = acc_t<T>;
  A v[V];
  GPU void load(const void* p, int64_t i, DType t) {
    if constexpr (V == 1) v[0] = element<A>(p, i, t);
    else {
      const Pack<T, V> w = load_pack<T, V>(static_cast<const T*>(p) + i);
#pragma unroll
      for (int k = 0; k < V; ++k) v[k] = up(w.v[k]);
    }
  }
  GPU void join(ScatterOp op, const Sum& b) {
#pragma unroll
    for (int k = 0; k < V; ++k) v[k] = V == 1 ? joined(op, v[k], b.v[k]) : v[k] + b.v[k];
  }
  GPU void store(void* p, int64_t i, DType t) const {
    if constexpr (V == 1) set_element<A>(p, i, t, v[0]);
    else {
      Pack<T, V> w;
#pragma unroll
      for (int k = 0; k < V; ++k) w.v[k] = down<T>(v[k]);
      store_pack(static_cast<T*>(p) + i, w);
    }
  }
};

// f(T{}, number V) of the Sum for a dtype.
template <int V> struct Width { static constexpr int value = V; };
template <class F> void by_sum(DType t, bool packs, const F& f) {
  if (!is_floating(t)) f(int64_t{}, Width<1>{});
  else if (packs) by_float(t, [&](auto e) { f(e, Width<kPack<decltype(e)>>{}); });
  else if (t == DType::f64) f(double{}, Width<1>{});
  else f(float{}, Width<1>{});
}

// Few entries: the thread of a slot's first entry takes them all. Thread: (outer, entry, unit).
template <class T, int V> __global__ void join_few(Join a) {
  int64_t u, i, e = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  const int64_t o = a.groups.divide(a.units.divide(e, u), i);
  if (o >= a.outer) return;
  const int64_t row = a.index[i];
  bool first = row != a.skip;
  for (int64_t j = 0; j < i; ++j) first &= a.index[j] != row;
  if (!first) return;
  const int64_t dy = o * a.count * a.width + u * V, y = (o * a.rows + row) * a.width + u * V;
  Sum<T, V> sum, v;
  sum.load(a.y, y, a.dtype);
  for (int64_t j = i; j < a.count; ++j) {
    if (a.index[j] != row) continue;
    v.load(a.dy, dy + j * a.width, a.dtype);
    sum.join(a.op, v);
  }
  sum.store(a.y, y, a.dtype);
}

// What the sorted place p begins: nothing, a run of at most kPiece, or a later piece of a longer one. Its first piece is
// left to join_long. later[p / kPiece] = p of the later piece that begins there, or -1: no two begin within kPiece places.
enum Role : uint8_t { kNothing, kRun, kLater };

__global__ void join_roles(const uint32_t* key, int64_t count, uint32_t none, uint8_t* role, int* later) {
  const int64_t p = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (p >= count) return;
  const uint32_t k = key[p];
  uint8_t r = kNothing;
  if (k == none) r = kNothing;
  else if (p == 0 || key[p - 1] != k) r = p + kPiece < count && key[p + kPiece] == k ? kNothing : kRun;
  else if (p >= kPiece && key[p - kPiece] == k) {
    int64_t low = 0, high = p - kPiece;  // the first place of the run
    while (low < high) {
      const int64_t mid = (low + high) / 2;
      if (key[mid] < k) low = mid + 1;
      else high = mid;
    }
    if ((p - low) % kPiece == 0) {
      r = kLater;
      later[p / kPiece] = int(p);
    }
  }
  role[p] = r;
}

struct Runs {
  const uint32_t *key, *at;
  int64_t count, first, base;  // sorted entries; the entry that at counts from; the slot that keys count from
  const uint8_t* role;
  const int* later;
  void* partial;               // (piece, outer, width) of acc_t
};

// sum joined with the entries of places [p, p + kPiece) that have key k.
template <class T, int V>
GPU void join_piece(const Join& a, const Runs& r, int64_t p, uint32_t k, int64_t dy, Sum<T, V>& sum) {
  constexpr int kAhead = 4;
  for (int64_t end = least(p + kPiece, r.count); p < end;) {
    int64_t n = 0;
    while (n < kAhead && p + n < end && r.key[p + n] == k) ++n;
    if (n == kAhead) {
      Sum<T, V> v[kAhead];
#pragma unroll
      for (int j = 0; j < kAhead; ++j) v[j].load(a.dy, dy + (r.first + r.at[p + j]) * a.width, a.dtype);
#pragma unroll
      for (int j = 0; j < kAhead; ++j) sum.join(a.op, v[j]);
    } else {
      for (int64_t j = 0; j < n; ++j) {
        Sum<T, V> v;
        v.load(a.dy, dy + (r.first + r.at[p + j]) * a.width, a.dtype);
        sum.join(a.op, v);
      }
      return;
    }
    p += n;
  }
}

// Thread: (outer, place, unit).
template <class T, int V> __global__ void join_runs(Join a, Runs r) {
  int64_t u, p, e = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  const int64_t o = a.groups.divide(a.units.divide(e, u), p);
  if (o >= a.outer || r.role[p] == kNothing) return;
  const uint32_t k = r.key[p];
  const int64_t dy = o * a.count * a.width + u * V;
  Sum<T, V> sum;
  if (r.role[p] == kRun) {
    const int64_t y = (o * a.rows + r.base + k) * a.width + u * V;
    sum.load(a.y, y, a.dtype);
    join_piece(a, r, p, k, dy, sum);
    sum.store(a.y, y, a.dtype);
    return;
  }
  sum.load(a.dy, dy + (r.first + r.at[p]) * a.width, a.dtype);
  // the rest of the piece: [p + 1, p + kPiece)
  Runs rest = r;
  rest.count = least(r.count, p + kPiece);
  join_piece(a, rest, p + 1, k, dy, sum);
  auto* to = static_cast<acc_t<T>*>(r.partial) + ((p / kPiece) * a.outer + o) * a.width + u * V;
#pragma unroll
  for (int j = 0; j < V; ++j) to[j] = sum.v[j];
}

// The runs of several pieces: the first, then the others' sums. Thread: (outer, piece, unit).
template <class T, int V> __global__ void join_long(Join a, Runs r) {
  int64_t u, s, e = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  const int64_t o = a.groups.divide(a.units.divide(e, u), s);
  if (o >= a.outer || r.later[s] < 0) return;
  const int64_t p = r.later[s] - kPiece;
  const uint32_t k = r.key[p];
  if (p > 0 && r.key[p - 1] == k) return;  // not the second piece
  const int64_t dy = o * a.count * a.width + u * V;
  const int64_t y = (o * a.rows + r.base + k) * a.width + u * V;
  Sum<T, V> sum, v;
  sum.load(a.y, y, a.dtype);
  join_piece(a, r, p, k, dy, sum);
  const int64_t step = a.outer * a.width;
  const auto* from = static_cast<const acc_t<T>*>(r.partial) + (s * a.outer + o) * a.width + u * V;
  for (int64_t at = p + kPiece; at < r.count && r.key[at] == k; at += kPiece, from += step) {
#pragma unroll
    for (int j = 0; j < V; ++j) v.v[j] = from[j];
    sum.join(a.op, v);
  }
  sum.store(a.y, y, a.dtype);
}

template <class T, int V> void join_as(Join a, const Slots& of) {
  const int64_t units = a.width / V;
  a.units = Divisor(units);
  const auto blocks = [&](int64_t groups) {
    a.groups = Divisor(groups);
    return dim3(unsigned(ceil_div(a.outer * groups * units, kThreads)));
  };
  if (a.count <= kFewEntries && of.inner.d == 0)
    return launch("join_few", join_few<T, V>, blocks(a.count), dim3(kThreads), 0, a);
  for (int64_t e = 0; e < a.count; e += kSortEntries)
    for (int64_t s = 0; s < a.rows; s += kSortSlots) {
      const int64_t n = least(kSortEntries, a.count - e), slots = least(kSortSlots, a.rows - s);
      const int64_t pieces = ceil_div(n, kPiece);
      const Sorted sorted({of, e, n, s, slots, a.skip});
      Temp role{size_t(n)}, later{size_t(pieces) * sizeof(int)},
          partial{size_t(n > kPiece ? pieces * a.outer * a.width : 0) * sizeof(acc_t<T>)};
      ok(cudaMemsetAsync(later.p, 0xff, later.bytes, stream()), "memset");
      const Runs r{sorted.key, sorted.at, n, e, s, role.as<uint8_t>(), later.as<int>(), partial.p};
      launch("join_roles", join_roles, dim3(unsigned(ceil_div(n, kThreads))), dim3(kThreads), 0, sorted.key, n,
             uint32_t(slots), role.as<uint8_t>(), later.as<int>());
      const dim3 runs = blocks(n);
      launch("join_runs", join_runs<T, V>, runs, dim3(kThreads), 0, a, r);
      if (n <= kPiece) continue;
      const dim3 longs = blocks(pieces);
      launch("join_long", join_long<T, V>, longs, dim3(kThreads), 0, a, r);
    }
}

void join(const Join& a, const Slots& of) {
  const bool packs = a.op == ScatterOp::add && a.width * size_of(a.dtype) % 16 == 0 && is_aligned(a.dy) && is_aligned(a.y);
  by_sum(a.dtype, packs, [&](auto t, auto v) { join_as<decltype(t), decltype(v)::value>(a, of); });
}

// ---- along a dimension -------------------------------------------------------------------------------------------------
// Many lines or short ones: a thread walks a line of (outer, inner) in order of m.
template <class A> __global__ void walk_lines(ScatterOp op, DType dtype, Divisor inner, int64_t lines, int64_t n, int64_t m,
                                              const int64_t* index, const void* y, void* x) {
  constexpr int kAhead = 4;
  int64_t k, l = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (l >= lines) return;
  const int64_t o = inner.divide(l, k), step = inner.d, first = o * m * step + k, to = o * n * step + k;
  for (int64_t j = 0; j < m; j += kAhead) {
    int64_t at[kAhead];
    A v[kAhead];
#pragma unroll
    for (int a = 0; a < kAhead; ++a)
      if (j + a < m) {
        at[a] = to + index[first + (j + a) * step] * step;
        v[a] = element<A>(y, first + (j + a) * step, dtype);
      }
#pragma unroll
    for (int a = 0; a < kAhead; ++a)
      if (j + a < m) {
        if (op != ScatterOp::put) v[a] = joined(op, element<A>(x, at[a], dtype), v[a]);
        set_element<A>(x, at[a], dtype, v[a]);
      }
  }
}

template <class U> __global__ void put_last(Slots of, int64_t first, int64_t count, const uint8_t* last, const U* y, U* x) {
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i < count && last[i]) x[of(first + i)] = y[first + i];
}

}  // namespace

void scatter_add_rows(const ScatterAddRows& a) {
  if (a.outer == 0 || a.count == 0 || a.rows == 0 || a.width == 0) return;
  join({ScatterOp::add, a.dtype, a.outer, a.count, a.rows, a.width, a.skip, a.index, Divisor(1), Divisor(1), a.dy, a.y},
       row_slots(a.index));
}

void scatter_along(const ScatterAlong& a) {
  const int64_t lines = a.outer * a.inner, count = lines * a.m;
  if (count == 0) return;
  const Slots of = along_slots(a.index, a.n, a.m, a.inner);
  if (lines >= 16384 || a.m <= 16) {
    const DType moved[] = {DType::u8, DType::i16, DType::i32, DType::i64};  // what only moves: bits of 1, 2, 4, 8 bytes
    const int size = size_of(a.dtype);
    const DType dtype = a.op != ScatterOp::put ? a.dtype : moved[size == 8 ? 3 : size / 2];
    by_sum(dtype, false, [&](auto t, auto) {
      const dim3 grid(unsigned(ceil_div(lines, kThreads)));
      launch("walk_lines", walk_lines<acc_t<decltype(t)>>, grid, dim3(kThreads), 0, a.op, dtype, Divisor(a.inner), lines,
             a.n, a.m, a.index, a.y, a.x);
    });
  } else if (a.op == ScatterOp::put) {
    for (int64_t e = 0; e < count; e += kSortEntries - 1) {
      const int64_t n = least(kSortEntries - 1, count - e);
      const LastOfSlot last(of, e, n);
      by_size(size_of(a.dtype), [&](auto u) {
        using U = decltype(u);
        launch("put_last", put_last<U>, dim3(unsigned(ceil_div(n, kThreads))), dim3(kThreads), 0, of, e, n, last.flag(),
               static_cast<const U*>(a.y), static_cast<U*>(a.x));
      });
    }
  } else {
    join({a.op, a.dtype, 1, count, a.outer * a.n * a.inner, 1, -1, a.index, Divisor(1), Divisor(1), a.y, a.x}, of);
  }
}

}  // namespace lamella::cuda
