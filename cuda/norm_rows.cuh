// SPDX-License-Identifier: MIT
// Normalisation of rows (rows, cols) with weight and bias by column (layer_norm) or by channel (group_norm): rows that a
// block can hold are read once; longer ones are cut in pieces, with the pieces' moments (or sums) merged in between.
#pragma once
#include "rows.cuh"

namespace lamella::cuda {
namespace {

// ---- weight and bias of what a thread has of a row; at(row, first) for its elements from `first` on -----------------
template <class T> struct ByColumn {
  using A = acc_t<T>;
  static constexpr int V = kPack<T>;
  static constexpr int most_fwd = 1024, most_bwd = 640;
  const T *weight, *bias;
  GPU ByColumn at(int64_t, int64_t first) const {
    return {weight ? weight + first : nullptr, bias ? bias + first : nullptr};
  }
  template <class S> GPU void get(const S& s, int k, A (&w)[V], A (&b)[V]) const {
    Pack<T, V> pw, pb;
    if (weight) pw = s.get(weight, k);
    if (bias) pb = s.get(bias, k);
#pragma unroll
    for (int e = 0; e < V; ++e) {
      w[e] = weight ? up(pw.v[e]) : A(1);
      b[e] = bias ? up(pb.v[e]) : A(0);
    }
  }
};

template <class T> struct OfChannels {
  using A = acc_t<T>;
  static constexpr int V = kPack<T>;
  const T *weight, *bias;
  int64_t channel, skip;  // where the row's part begins: its channel and the elements of that before it
  Divisor inner;
  GPU int64_t divide(int64_t i, int64_t& rest) const {  // i < inner + 2^30
    if (inner.d >> 30) {
      rest = i < inner.d ? i : i - inner.d;
      return i >= inner.d;
    }
    const uint32_t n = uint32_t(i), q = uint32_t((uint64_t(__umulhi(n, inner.magic)) + n) >> inner.shift);
    rest = n - q * uint32_t(inner.d);
    return q;
  }
  GPU A weight_of(int64_t ch) const { return weight ? up(weight[ch]) : A(1); }
  GPU A bias_of(int64_t ch) const { return bias ? up(bias[ch]) : A(0); }
  template <class S> GPU void get(const S& s, int k, A (&w)[V], A (&b)[V]) const {
    no_earlier();
    int64_t i, ch = channel + divide(skip + s.index(k, 0), i);
    if (S::kIsPacked && i + V <= inner.d) {
      const A w0 = weight_of(ch), b0 = bias_of(ch);
#pragma unroll
      for (int e = 0; e < V; ++e) { w[e] = w0; b[e] = b0; }
      return;
    }
#pragma unroll
    for (int e = 0; e < V; ++e) {
      if (e && !S::kIsPacked) ch = channel + divide(skip + s.index(k, e), i);
      else if (e && ++i == inner.d) { i = 0; ++ch; }
      const bool there = k * V + e < s.held;
      w[e] = there ? weight_of(ch) : A(0);
      b[e] = there ? bias_of(ch) : A(0);
    }
  }
};
template <class T> struct ByChannel {
  static constexpr int most_fwd = 896, most_bwd = 512;  // backward comes here with few elements to a channel
  const T *weight, *bias;
  Divisor groups, inner;
  int64_t channels;  // of a group
  GPU OfChannels<T> at(int64_t row, int64_t first) const {
    int64_t group, skip;
    groups.divide(row, group);
    const int64_t ch = group * channels + inner.divide(first, skip);
    return {weight, bias, ch, skip, inner};
  }
};

// The most threads to a row, for the registers that each needs.
template <class Affine, bool P> constexpr int kMostFwd = P ? Affine::most_fwd : 512;
template <class Affine, bool P> constexpr int kMostBwd = P ? Affine::most_bwd : 512;

template <class A> GPU A rstd_of(A var, A eps) { return A(1) / vsqrt((var < A(0) ? A(0) : var) + eps); }

// Moments of what a group of threads holds, for every thread; rms: about zero.
template <class T, bool P, int K>
GPU Stats<acc_t<T>> held_moments(const Share<T, P, K>& s, Pack<T, kPack<T>> (&x)[K], acc_t<T> n, bool rms) {
  using A = acc_t<T>;
  constexpr int V = kPack<T>;
  A mean = 0;
  if (!rms) {
    A sum = 0;
#pragma unroll
    for (int k = 0; k < K; ++k)
#pragma unroll
      for (int e = 0; e < V; ++e) sum += up(x[k].v[e]);
    mean = group_reduce(sum, Sum{}, A(0), s.group) / n;
    stay_packed(x);
  }
  Pair<A> d{0, 0};  // what rounding left in the mean; squares
#pragma unroll
  for (int k = 0; k < K; ++k)
#pragma unroll
    for (int e = 0; e < V; ++e) {
      const A c = k * V + e < s.held ? up(x[k].v[e]) - mean : A(0);
      d.a += c;
      d.b += c * c;
    }
  d = group_reduce(d, AddPair{}, Pair<A>{0, 0}, s.group);
  stay_packed(x);
  const A lo = rms ? A(0) : d.a / n;
  return {mean, lo, d.b - d.a * lo, n};
}

// ---- forward --------------------------------------------------------------------------------------------------------
template <class T> struct NormFwd {
  using A = acc_t<T>;
  int64_t rows, cols;
  const T* x;
  T* y;
  A *mean, *rstd, eps;
  bool rms;
  int group;
};
template <class A> struct Centre { A hi, lo, rstd; };

template <class T, class Affine, bool P, int K>
GPU void write_norm(const Share<T, P, K>& s, const Pack<T, kPack<T>> (&x)[K], T* y, const Affine& affine,
                    const Centre<acc_t<T>>& c) {
  using A = acc_t<T>;
  constexpr int V = kPack<T>;
#pragma unroll
  for (int k = 0; k < K; ++k) {
    if (k * V >= s.held) break;
    A w[V], b[V];
    affine.get(s, k, w, b);
    Pack<T, V> out;
#pragma unroll
    for (int e = 0; e < V; ++e) out.v[e] = down<T>((up(x[k].v[e]) - c.hi - c.lo) * c.rstd * w[e] + b[e]);
    s.put(y, k, out);
  }
}

template <class T, class Affine, bool P>
__global__ void __launch_bounds__(kMostFwd<Affine, P>) norm_held(NormFwd<T> a, Affine affine) {
  using A = acc_t<T>;
  const Place at(a.group);
  const bool used = at.row < a.rows;
  const Share<T, P> s(used ? a.cols : 0, at.lane, a.group);
  Pack<T, kPack<T>> x[kHeld<T, P>];
  s.load(a.x + at.row * a.cols, x);
  const Stats<A> m = held_moments(s, x, A(a.cols), a.rms);
  if (!used) return;
  const A rstd = rstd_of(m.m2 / m.n, a.eps);
  if (at.lane == 0) {
    if (a.mean) a.mean[at.row] = m.hi + m.lo;
    if (a.rstd) a.rstd[at.row] = rstd;
  }
  write_norm(s, x, a.y + at.row * a.cols, affine.at(at.row, 0), Centre<A>{m.hi, m.lo, rstd});
}

template <class T, bool P>
__global__ void __launch_bounds__(kPieceThreads) norm_moments(NormFwd<T> a, Pieces cut, Stats<acc_t<T>>* part) {
  int64_t row, first, n;
  cut.place(row, first, n);
  const Share<T, P> s(n, int(threadIdx.x), kPieceThreads);
  Pack<T, kPack<T>> x[kHeld<T, P>];
  s.load(a.x + row * a.cols + first, x);
  const Stats<acc_t<T>> m = held_moments(s, x, acc_t<T>(n), a.rms);
  if (threadIdx.x == 0) part[blockIdx.x] = m;
}

// A block per row.
template <class T>
__global__ void norm_merge(NormFwd<T> a, int64_t pieces, const Stats<acc_t<T>>* part, Centre<acc_t<T>>* centre) {
  using A = acc_t<T>;
  const int64_t row = blockIdx.x;
  Stats<double> m{0, 0, 0, 0};
  for (int64_t i = threadIdx.x; i < pieces; i += blockDim.x) m.merge(part[row * pieces + i].template as<double>());
  m = group_reduce(m, MergeStats{}, Stats<double>{0, 0, 0, 0}, int(blockDim.x));
  if (threadIdx.x) return;
  const double mean = m.hi + m.lo;
  const A hi = A(mean), rstd = A(rstd_of(m.m2 / m.n, double(a.eps)));
  if (a.mean) a.mean[row] = hi;
  if (a.rstd) a.rstd[row] = rstd;
  centre[row] = {hi, A((m.hi - double(hi)) + m.lo), rstd};
}

template <class T, class Affine, bool P>
__global__ void __launch_bounds__(kPieceThreads) norm_apply(NormFwd<T> a, Affine affine, Pieces cut,
                                                            const Centre<acc_t<T>>* centre) {
  int64_t row, first, n;
  cut.place(row, first, n);
  const Share<T, P> s(n, int(threadIdx.x), kPieceThreads);
  Pack<T, kPack<T>> x[kHeld<T, P>];
  s.load(a.x + row * a.cols + first, x);
  write_norm(s, x, a.y + row * a.cols + first, affine.at(row, first), centre[row]);
}

// P: cols is a multiple of a pack, and x, y, weight and bias by column lie on 16-byte boundaries.
template <class T, bool P, class Affine> void norm_rows_fwd(NormFwd<T> a, const Affine& affine) {
  using A = acc_t<T>;
  if (a.rows == 0) return;
  const Deal deal = deal_rows(a.rows, a.cols, kPack<T>, kHeld<T, P>, kMostFwd<Affine, P>);
  if (deal.group) {
    a.group = deal.group;
    return launch("norm_fwd", norm_held<T, Affine, P>, deal.blocks(a.rows), deal.threads, 0, a, affine);
  }
  const Pieces cut(a.cols, kPiece<T, P>);
  const Temp part(size_t(a.rows * cut.pieces.d) * sizeof(Stats<A>)), centre(size_t(a.rows) * sizeof(Centre<A>));
  launch("norm_fwd", norm_moments<T, P>, cut.blocks(a.rows), kPieceThreads, 0, a, cut, part.as<Stats<A>>());
  launch("norm_fwd", norm_merge<T>, unsigned(a.rows), 128, 0, a, cut.pieces.d, part.as<Stats<A>>(), centre.as<Centre<A>>());
  launch("norm_fwd", norm_apply<T, Affine, P>, cut.blocks(a.rows), kPieceThreads, 0, a, affine, cut,
         centre.as<Centre<A>>());
}

// ---- dx: with g = dy w and h = (x - mean) rstd, dx = rstd (g - mean(g) - h mean(g h)), without mean(g) for rms ------
template <class T> struct NormBwd {
  using A = acc_t<T>;
  int64_t rows, cols;
  const T *x, *dy;
  T* dx;
  const A *mean, *rstd;
  bool rms;
  int group;
};

// A thread's sums of g and of g h.
template <class T, class Affine, bool P, int K>
GPU Pair<acc_t<T>> held_sums(const Share<T, P, K>& s, const Pack<T, kPack<T>> (&x)[K], const Pack<T, kPack<T>> (&dy)[K],
                             const Affine& affine,
                             acc_t<T> mean, acc_t<T> rstd) {
  using A = acc_t<T>;
  constexpr int V = kPack<T>;
  Pair<A> sum{0, 0};
#pragma unroll
  for (int k = 0; k < K; ++k) {
    if (k * V >= s.held) break;
    no_earlier();
    A w[V], b[V];
    affine.get(s, k, w, b);
#pragma unroll
    for (int e = 0; e < V; ++e)
      if (k * V + e < s.held) {
        const A g = up(dy[k].v[e]) * w[e];
        sum.a += g;
        sum.b += g * ((up(x[k].v[e]) - mean) * rstd);
      }
  }
  return sum;
}
template <class T, class Affine, bool P, int K>
GPU void write_dx(const Share<T, P, K>& s, const Pack<T, kPack<T>> (&x)[K], const Pack<T, kPack<T>> (&dy)[K], T* dx,
                  const Affine& affine,
                  acc_t<T> mean, acc_t<T> rstd, const Pair<acc_t<T>>& c) {
  using A = acc_t<T>;
  constexpr int V = kPack<T>;
#pragma unroll
  for (int k = 0; k < K; ++k) {
    if (k * V >= s.held) break;
    no_earlier();
    A w[V], b[V];
    affine.get(s, k, w, b);
    Pack<T, V> out;
#pragma unroll
    for (int e = 0; e < V; ++e)
      out.v[e] = down<T>((up(dy[k].v[e]) * w[e] - c.a - (up(x[k].v[e]) - mean) * rstd * c.b) * rstd);
    s.put(dx, k, out);
  }
}

template <class T, class Affine, bool P>
__global__ void __launch_bounds__(kMostBwd<Affine, P>) norm_bwd_held(NormBwd<T> a, Affine affine) {
  using A = acc_t<T>;
  const Place at(a.group);
  const bool used = at.row < a.rows;
  const Share<T, P> s(used ? a.cols : 0, at.lane, a.group);
  Pack<T, kPack<T>> x[kHeld<T, P>], dy[kHeld<T, P>];
  s.load(a.x + at.row * a.cols, x);
  s.load(a.dy + at.row * a.cols, dy);
  const A mean = used && !a.rms ? a.mean[at.row] : A(0), rstd = used ? a.rstd[at.row] : A(0);
  Pair<A> c = held_sums(s, x, dy, affine.at(at.row, 0), mean, rstd);
  c = group_reduce(c, AddPair{}, Pair<A>{0, 0}, a.group);
  stay_packed(x);
  stay_packed(dy);
  if (!used) return;
  const A n = A(a.cols);
  write_dx(s, x, dy, a.dx + at.row * a.cols, affine.at(at.row, 0), mean, rstd, Pair<A>{a.rms ? A(0) : c.a / n, c.b / n});
}

// sums null: each piece's sums are written to part; else dx is.
template <class T, class Affine, bool P>
__global__ void __launch_bounds__(kPieceThreads) norm_bwd_piece(NormBwd<T> a, Affine affine, Pieces cut,
                                                                Pair<acc_t<T>>* part,
                                                                const Pair<acc_t<T>>* sums) {
  using A = acc_t<T>;
  int64_t row, first, n;
  cut.place(row, first, n);
  const Share<T, P> s(n, int(threadIdx.x), kPieceThreads);
  Pack<T, kPack<T>> x[kHeld<T, P>], dy[kHeld<T, P>];
  s.load(a.x + row * a.cols + first, x);
  s.load(a.dy + row * a.cols + first, dy);
  const A mean = a.rms ? A(0) : a.mean[row], rstd = a.rstd[row];
  if (sums) return write_dx(s, x, dy, a.dx + row * a.cols + first, affine.at(row, first), mean, rstd, sums[row]);
  const Pair<A> c = group_reduce(held_sums(s, x, dy, affine.at(row, first), mean, rstd), AddPair{}, Pair<A>{0, 0},
                                 kPieceThreads);
  if (threadIdx.x == 0) part[blockIdx.x] = c;
}
template <class T>
__global__ void norm_bwd_merge(NormBwd<T> a, int64_t pieces, const Pair<acc_t<T>>* part, Pair<acc_t<T>>* sums) {
  using A = acc_t<T>;
  const int64_t row = blockIdx.x;
  Pair<double> c{0, 0};
  for (int64_t i = threadIdx.x; i < pieces; i += blockDim.x) {
    c.a += double(part[row * pieces + i].a);
    c.b += double(part[row * pieces + i].b);
  }
  c = group_reduce(c, AddPair{}, Pair<double>{0, 0}, int(blockDim.x));
  if (threadIdx.x == 0) sums[row] = {A(a.rms ? 0 : c.a / double(a.cols)), A(c.b / double(a.cols))};
}

template <class T, bool P, class Affine> void norm_rows_dx(NormBwd<T> a, const Affine& affine) {
  using A = acc_t<T>;
  if (a.rows == 0 || a.cols == 0 || !a.dx) return;
  const Deal deal = deal_rows(a.rows, a.cols, kPack<T>, kHeld<T, P>, kMostBwd<Affine, P>);
  if (deal.group) {
    a.group = deal.group;
    return launch("norm_bwd", norm_bwd_held<T, Affine, P>, deal.blocks(a.rows), deal.threads, 0, a, affine);
  }
  const Pieces cut(a.cols, kPiece<T, P>);
  const Temp part(size_t(a.rows * cut.pieces.d) * sizeof(Pair<A>)), sums(size_t(a.rows) * sizeof(Pair<A>));
  const auto piece = norm_bwd_piece<T, Affine, P>;
  launch("norm_bwd", piece, cut.blocks(a.rows), kPieceThreads, 0, a, affine, cut, part.as<Pair<A>>(), nullptr);
  launch("norm_bwd", norm_bwd_merge<T>, unsigned(a.rows), 128, 0, a, cut.pieces.d, part.as<Pair<A>>(), sums.as<Pair<A>>());
  launch("norm_bwd", piece, cut.blocks(a.rows), kPieceThreads, 0, a, affine, cut, nullptr, sums.as<Pair<A>>());
}

}  // namespace
}  // namespace lamella::cuda
