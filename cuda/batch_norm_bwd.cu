// SPDX-License-Identifier: MIT
// Backward of batch normalisation. With s1 = sum(dy), s2 = sum(dy (x - mean)) of the channel and N values in it: dbias = s1,
// dweight = s2 rstd, and dx = weight rstd (dy - s1 / N - (x - mean) rstd^2 s2 / N); frozen: dx = weight rstd dy.
#include "batch_norm.cuh"

namespace lamella::cuda {
namespace {

template <class A> struct FinishBwd {  // dx = a dy + s (x - m) + b
  const A *weight, *rstd;
  A *dweight, *dbias, *a, *b, *s;
  double n;
  bool frozen;
  GPU void operator()(int64_t ch, double s1, double s2) const {
    const double rs = double(rstd[ch]), f = weight ? rs * double(weight[ch]) : rs;
    if (dbias) dbias[ch] = A(s1);
    if (dweight) dweight[ch] = A(s2 * rs);
    a[ch] = A(f);
    if (frozen) return;
    b[ch] = A(-f * s1 / n);
    s[ch] = A(-f * rs * rs * s2 / n);
  }
};
template <class A> __global__ void finish_plane_sums(const Pair<A>* part, int64_t c, int64_t pieces, FinishBwd<A> finish) {
  const int64_t ch = int64_t(blockIdx.x) * (kThreads / 32) + threadIdx.x / 32;
  const int lane = int(threadIdx.x) % 32;
  Pair<double> s{0, 0};
  if (ch < c)
    for (int64_t i = lane; i < pieces; i += 32) {
      s.a += double(part[ch * pieces + i].a);
      s.b += double(part[ch * pieces + i].b);
    }
  s = group_reduce(s, AddPair{}, s, 32);
  if (lane == 0 && ch < c) finish(ch, s.a, s.b);
}

template <class T> void bwd(const BatchNormBwd& a) {
  using A = acc_t<T>;
  const T *x = (const T*)a.x, *dy = (const T*)a.dy;
  const A* mean = (const A*)a.mean;
  const Temp held(size_t(3 * a.c) * sizeof(A));
  A *scale = held.as<A>(), *b = scale + a.c, *s = b + a.c;
  const FinishBwd<A> finish{(const A*)a.weight, (const A*)a.rstd, (A*)a.dweight, (A*)a.dbias, scale, b, s,
                            double(a.n) * double(a.inner), a.frozen};
  if (a.inner >= kPlane) {
    by_packing<T>(a.inner % kPack<T> == 0 && is_aligned(x) && is_aligned(dy), [&](auto p) {
      const PlaneGrid<T, decltype(p)::value> g(a.n, a.c, a.inner);
      const Temp part(size_t(g.parts()) * sizeof(Pair<A>));
      launch("batch_norm_bwd", plane_sums<T, decltype(p)::value>, g.blocks(), kThreads, 0, g, x, dy, mean, Divisor(1),
             part.template as<Pair<A>>());
      launch("batch_norm_bwd", finish_plane_sums<A>, unsigned(ceil_div(a.c, kThreads / 32)), kThreads, 0,
             part.template as<Pair<A>>(), a.c,
             g.pieces.d, finish);
    });
  } else {
    sum_columns<T>(a.n, a.c, a.inner, x, dy, CentreOfColumn<A>{mean, Divisor(a.inner)}, finish);
  }
  if (a.frozen) b = s = nullptr;
  if (a.dx) apply_channels<T, true>(a.n, a.c, a.inner, x, dy, (T*)a.dx, {mean, scale, nullptr, b, s}, false);
}

}  // namespace

void batch_norm_bwd(const BatchNormBwd& a) {
  if (a.c == 0) return;
  by_float(a.dtype, [&](auto t) { bwd<decltype(t)>(a); });
}

}  // namespace lamella::cuda
