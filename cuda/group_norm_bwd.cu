// SPDX-License-Identifier: MIT
// Backward of group normalisation. With g = dy w and h = (x - mean) rstd: dx = rstd (g - mean(g) - h mean(g h)) over the
// group; dweight = sum of dy h, dbias = sum of dy over the channel. Where inner is long, the sums of each plane give all
// three, and dx is one pass with coefficients by plane; else dx goes by rows, and the sums go down columns.
#include "norm_columns.cuh"
#include "norm_planes.cuh"
#include "norm_rows.cuh"

namespace lamella::cuda {
namespace {

template <class T> struct PlaneParts {
  using A = acc_t<T>;
  const Pair<A>* part;  // (n * c, pieces): sums of dy and of dy (x - mean)
  int64_t n, c, inner, pieces, groups;
  const T* weight;
  const A *mean, *rstd;
  GPU Pair<double> plane(int64_t i) const {
    Pair<double> s{0, 0};
#pragma unroll 1
    for (int64_t j = 0; j < pieces; ++j) { s.a += double(part[i * pieces + j].a); s.b += double(part[i * pieces + j].b); }
    return s;
  }
};

// dx = a dy + s (x - m) + b with a = w rstd, s = -rstd^2 mean(g h), b = -rstd mean(g): a warp for each group of a sample.
template <class T> __global__ void group_coefficients(PlaneParts<T> p, acc_t<T>* m, acc_t<T>* a, acc_t<T>* b, acc_t<T>* s) {
  using A = acc_t<T>;
  const int64_t row = int64_t(blockIdx.x) * (kThreads / 32) + threadIdx.x / 32, channels = p.c / p.groups;
  const int lane = int(threadIdx.x) % 32;
  const bool used = row < p.n * p.groups;
  const double rstd = used ? double(p.rstd[row]) : 0;
  Pair<double> sum{0, 0};
  const T* weight = p.weight ? p.weight + row % p.groups * channels : nullptr;
  if (used)
#pragma unroll 1
    for (int64_t i = lane; i < channels; i += 32) {
      const Pair<double> q = p.plane(row * channels + i);
      const double w = weight ? double(up(weight[i])) : 1;
      sum.a += q.a * w;
      sum.b += q.b * w * rstd;
    }
  sum = group_reduce(sum, AddPair{}, Pair<double>{0, 0}, 32);
  if (!used) return;
  const double count = double(channels) * double(p.inner);
  const A at = p.mean[row], shift = A(-rstd * sum.a / count), slope = A(-rstd * rstd * sum.b / count);
#pragma unroll 1
  for (int64_t i = lane; i < channels; i += 32) {
    const int64_t plane = row * channels + i;
    m[plane] = at;
    a[plane] = A(weight ? double(up(weight[i])) * rstd : rstd);
    b[plane] = shift;
    s[plane] = slope;
  }
}

// 32 channels to a block, whose rows of threads go through the samples.
template <class T>
__global__ void __launch_bounds__(kAcross * kFold) group_parameters(PlaneParts<T> p, WriteParameters<T> write) {
  const int lane = int(threadIdx.x) % kAcross, down = int(threadIdx.x) / kAcross;
  const int64_t ch = int64_t(blockIdx.x) * kAcross + lane, channels = p.c / p.groups;
  double s = 0, sh = 0;
  if (ch < p.c)
    for (int64_t i = down; i < p.n; i += kFold) {
      const Pair<double> q = p.plane(i * p.c + ch);
      s += q.a;
      sh += q.b * double(p.rstd[i * p.groups + ch / channels]);
    }
  SHARED(double, held, [2][kFold][kAcross]);
  held[0][down][lane] = s;
  held[1][down][lane] = sh;
  __syncthreads();
  if (down || ch >= p.c) return;
  for (int j = 1; j < kFold; ++j) { s += held[0][j][lane]; sh += held[1][j][lane]; }
  write(ch, s, sh);
}

template <class T> void by_planes(const GroupNormBwd& a, const WriteParameters<T>& write) {
  using A = acc_t<T>;
  const T *x = (const T*)a.x, *dy = (const T*)a.dy;
  const A *mean = (const A*)a.mean, *rstd = (const A*)a.rstd;
  const int64_t planes = a.n * a.c;
  by_packing<T>(a.inner % kPack<T> == 0 && is_aligned(x) && is_aligned(dy), [&](auto packed) {
    const PlaneGrid<T, decltype(packed)::value> g(1, planes, a.inner);
    const Temp part(size_t(g.parts()) * sizeof(Pair<A>)), held(size_t(a.dx ? 4 * planes : 0) * sizeof(A));
    launch("group_norm_bwd", plane_sums<T, decltype(packed)::value>, g.blocks(), kThreads, 0, g, x, dy, mean,
           Divisor(a.c / a.groups), part.template as<Pair<A>>());
    const PlaneParts<T> p{part.template as<Pair<A>>(), a.n, a.c, a.inner, g.pieces.d, a.groups, (const T*)a.weight, mean,
                          rstd};
    if (write.dweight || write.dbias)
      launch("group_norm_bwd", group_parameters<T>, unsigned(ceil_div(a.c, kAcross)), kAcross * kFold, 0, p, write);
    if (!a.dx) return;
    A *m = held.template as<A>(), *scale = m + planes, *b = scale + planes, *s = b + planes;
    launch("group_norm_bwd", group_coefficients<T>, unsigned(ceil_div(a.n * a.groups, kThreads / 32)), kThreads, 0, p, m,
           scale, b, s);
    apply_planes<T, true>(planes, planes, a.inner, x, dy, (T*)a.dx, {m, scale, nullptr, b, s}, false);
  });
}

template <class T> void by_rows(const GroupNormBwd& a, const WriteParameters<T>& write) {
  using A = acc_t<T>;
  const T *x = (const T*)a.x, *dy = (const T*)a.dy;
  const A *mean = (const A*)a.mean, *rstd = (const A*)a.rstd;
  const int64_t channels = a.c / a.groups, cols = channels * a.inner;
  const NormBwd<T> rows{a.n * a.groups, cols, x, dy, (T*)a.dx, mean, rstd, false, 0};
  const ByChannel<T> affine{(const T*)a.weight, nullptr, Divisor(a.groups), Divisor(most(a.inner, 1)), channels};
  norm_rows_dx<T, false>(rows, affine);
  if (write.dweight || write.dbias)
    sum_columns<T>(a.n, a.c, a.inner, x, dy, CentreOfRow<A>{mean, rstd, a.groups, Divisor(most(cols, 1))}, write);
}

}  // namespace

void group_norm_bwd(const GroupNormBwd& a) {
  if (a.c == 0) return;
  by_float(a.dtype, [&](auto t) {
    using T = decltype(t);
    const WriteParameters<T> write{(T*)a.dweight, (T*)a.dbias};
    a.inner >= kPlane && a.n > 0 ? by_planes<T>(a, write) : by_rows<T>(a, write);
  });
}

}  // namespace lamella::cuda
