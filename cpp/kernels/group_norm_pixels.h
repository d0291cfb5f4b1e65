// SPDX-License-Identifier: MIT
// Group normalisation of images with adjacent channels, x (n, inner, c): vectors lie across channels, and sums are made for each of
// them, over chunks of pixels, before channels are taken together as groups. Small images go through all steps in one task.
#pragma once
#include "rows.h"

namespace lamella {
namespace LAMELLA_ISA {

template <class T> class GroupedPixels {
 public:
  using A = acc_t<T>;
  static constexpr int64_t L = kLanes<A>;

  template <class Args> explicit GroupedPixels(const Args& a)
      : n_(a.n), c_(a.c), inner_(a.inner), groups_(a.groups), members_(a.c / a.groups), x_((const T*)a.x), weight_((const T*)a.weight),
        mean_((A*)a.mean), rstd_((A*)a.rstd) {
    chunk_ = kTask / c_;
    chunk_ = chunk_ < 16 ? 16 : chunk_ > 256 ? 256 : chunk_;
    chunks_ = ceil_div(inner_, chunk_);
  }

  void forward(const GroupNormFwd& a) {
    const auto* bias = (const T*)a.bias;
    auto* y = (T*)a.y;
    room(3);
    steps([&](int64_t image, int64_t j) { chunk_moments(image, j); }, [&](int64_t image) { moments(image, bias, a.eps); },
          [&](int64_t image, int64_t j) {
            chunk(image, j, [&](int64_t at, int64_t rows, int64_t ch, auto count, auto k) {
              constexpr int V = decltype(count)::value;
              const A* coef = coef_ + image * 4 * c_ + ch;
              vec<A> hi[V], lo[V], by[V], to[V];
#pragma GCC unroll 4
              for (int v = 0; v < V; ++v) {
                hi[v] = ld(coef + v * L, k), lo[v] = ld(coef + c_ + v * L, k);
                by[v] = ld(coef + 2 * c_ + v * L, k), to[v] = ld(coef + 3 * c_ + v * L, k);
              }
              for (int64_t i = 0; i < rows; ++i, at += c_)
#pragma GCC unroll 4
                for (int v = 0; v < V; ++v) st(y + at + v * L, (ld(x_ + at + v * L, k) - hi[v] - lo[v]) * by[v] + to[v], k);
            });
          });
  }

  // With h = (x - mean) rstd and g = dy w: dx = rstd (g - mean(g) - h mean(g h)) over the group.
  void backward(const GroupNormBwd& a) {
    const auto* dy = (const T*)a.dy;
    auto* dx = (T*)a.dx;
    room(2);
    total_ = scratch_of<double>(n_ * 2 * c_, 2);
    for (int64_t i = 0; i < n_; ++i)
      for (int64_t ch = 0; ch < c_; ++ch) coef_[i * 4 * c_ + ch] = mean_[i * groups_ + ch / members_];
    steps([&](int64_t image, int64_t j) { chunk_sums(image, j, dy); }, [&](int64_t image) { sums(image); },
          [&](int64_t image, int64_t j) {
            if (!dx) return;
            chunk(image, j, [&](int64_t at, int64_t rows, int64_t ch, auto count, auto k) {
              constexpr int V = decltype(count)::value;
              const A* coef = coef_ + image * 4 * c_ + ch;
              vec<A> mean[V], by[V], by_x[V], to[V];
#pragma GCC unroll 4
              for (int v = 0; v < V; ++v) {
                mean[v] = ld(coef + v * L, k), by[v] = ld(coef + c_ + v * L, k);
                by_x[v] = ld(coef + 2 * c_ + v * L, k), to[v] = ld(coef + 3 * c_ + v * L, k);
              }
              for (int64_t i = 0; i < rows; ++i, at += c_)
#pragma GCC unroll 4
                for (int v = 0; v < V; ++v)
                  st(dx + at + v * L, by[v] * ld(dy + at + v * L, k) + (by_x[v] * (ld(x_ + at + v * L, k) - mean[v]) + to[v]), k);
            });
          });
    auto *dw = (T*)a.dweight, *db = (T*)a.dbias;
    for (int64_t ch = 0; ch < c_; ++ch) {
      double s = 0, sh = 0;
      for (int64_t i = 0; i < n_; ++i) {
        s += total_[i * 2 * c_ + ch];
        sh += total_[(i * 2 + 1) * c_ + ch] * double(rstd_[i * groups_ + ch / members_]);
      }
      if (db) db[ch] = down<T>(A(s));
      if (dw) dw[ch] = down<T>(A(sh));
    }
  }

 private:
  int64_t n_, c_, inner_, groups_, members_, chunk_, chunks_;
  const T *x_, *weight_;
  A *mean_, *rstd_;
  A *part_, *coef_;  // values for each channel: `parts` of each chunk, four coefficients of each image
  double* total_;    // sums of dy and dy (x - mean) of each image
  int64_t parts_;

  void room(int64_t parts) {
    parts_ = parts;
    part_ = scratch_of<A>(n_ * chunks_ * parts * c_, 0);
    coef_ = scratch_of<A>(n_ * 4 * c_, 1);
  }
  A* part(int64_t image, int64_t j) const { return part_ + (image * chunks_ + j) * parts_ * c_; }

  // Over an image's chunks, over images, over chunks again.
  template <class F, class G, class H> void steps(const F& before, const G& between, const H& after) const {
    if (n_ >= 4 && c_ * inner_ <= 4 * kRow) {
      parallel_blocks(n_, row_grain(n_, c_ * inner_), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          for (int64_t j = 0; j < chunks_; ++j) before(i, j);
          between(i);
          for (int64_t j = 0; j < chunks_; ++j) after(i, j);
        }
      });
      return;
    }
    const int64_t tasks = n_ * chunks_, grain = row_grain(tasks, chunk_ * c_);
    const auto each = [&](const auto& f) {
      parallel_blocks(tasks, grain, [&](int64_t begin, int64_t end) {
        for (int64_t t = begin; t < end; ++t) f(t / chunks_, t % chunks_);
      });
    };
    each(before);
    parallel_blocks(n_, row_grain(n_, chunks_ * c_ * 8), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) between(i);
    });
    each(after);
  }
  // f(first element, rows, channel, Count, step) for the chunk's tiles of channels.
  template <class F> LAMELLA_INLINE void chunk(int64_t image, int64_t j, const F& f) const {
    const int64_t first = j * chunk_, rows = least(chunk_, inner_ - first), at = (image * inner_ + first) * c_;
    int64_t ch = 0;
    for (; ch + 4 * L <= c_; ch += 4 * L) f(at + ch, rows, ch, Count<4>{}, Whole{});
    for (; ch < c_; ch += L) f(at + ch, rows, ch, Count<1>{}, Part{least(L, c_ - ch)});
  }

  void chunk_moments(int64_t image, int64_t j) const {
    chunk(image, j, [&](int64_t at, int64_t rows, int64_t ch, auto count, auto k) {
      constexpr int V = decltype(count)::value;
      vec<A> s[V] = {}, d[V] = {}, q[V] = {};
      for (int64_t i = 0; i < rows; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) s[v] += ld(x_ + at + i * c_ + v * L, k);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) s[v] = s[v] / A(rows);
      for (int64_t i = 0; i < rows; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) {
          const vec<A> e = ld(x_ + at + i * c_ + v * L, k) - s[v];
          d[v] += e;
          q[v] += e * e;
        }
      A* out = part(image, j) + ch;
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        st(out + v * L, s[v], k);
        st(out + c_ + v * L, d[v], k);
        st(out + 2 * c_ + v * L, q[v], k);
      }
    });
  }

  // A group's moments from its channels', and y = (x - v0 - v1) v2 + v3.
  void moments(int64_t image, const T* bias, double eps) const {
    double *mean = scratch_of<double>(2 * c_, 3), *m2 = mean + c_, done = 0;
    __builtin_memset(mean, 0, size_t(2 * c_) * sizeof(double));
    for (int64_t j = 0; j < chunks_; ++j) {  // as Stats::merge, for all channels
      const A* p = part(image, j);
      const double rows = double(least(chunk_, inner_ - j * chunk_)), f = rows / (done + rows), h = done * f, each = 1 / rows;
      for (int64_t ch = 0; ch < c_; ++ch) {
        const double shift = double(p[c_ + ch]) * each, d = double(p[ch]) + shift - mean[ch];
        mean[ch] += d * f;
        m2[ch] += double(p[2 * c_ + ch]) - shift * shift * rows + d * d * h;
      }
      done += rows;
    }
    for (int64_t g = 0; g < groups_; ++g) {
      double m = 0, q = 0;
      for (int64_t ch = g * members_; ch < (g + 1) * members_; ++ch) m += mean[ch];
      m /= double(members_);
      for (int64_t ch = g * members_; ch < (g + 1) * members_; ++ch) q += m2[ch] + (mean[ch] - m) * (mean[ch] - m) * done;
      const A rs = A(1 / __builtin_sqrt(q / (done * double(members_)) + eps));
      mean_[image * groups_ + g] = A(m);
      rstd_[image * groups_ + g] = rs;
      A* coef = coef_ + image * 4 * c_;
      for (int64_t ch = g * members_; ch < (g + 1) * members_; ++ch) {
        coef[ch] = A(m);
        coef[c_ + ch] = A(m - double(A(m)));
        coef[2 * c_ + ch] = weight_ ? rs * up(weight_[ch]) : rs;
        coef[3 * c_ + ch] = bias ? up(bias[ch]) : A(0);
      }
    }
  }

  void chunk_sums(int64_t image, int64_t j, const T* dy) const {
    const A* means = coef_ + image * 4 * c_;
    chunk(image, j, [&](int64_t at, int64_t rows, int64_t ch, auto count, auto k) {
      constexpr int V = decltype(count)::value;
      vec<A> s[V] = {}, h[V] = {}, m[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) m[v] = ld(means + ch + v * L, k);
      for (int64_t i = 0; i < rows; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) {
          const vec<A> g = ld(dy + at + i * c_ + v * L, k);
          s[v] += g;
          h[v] += g * (ld(x_ + at + i * c_ + v * L, k) - m[v]);
        }
      A* out = part(image, j) + ch;
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        st(out + v * L, s[v], k);
        st(out + c_ + v * L, h[v], k);
      }
    });
  }

  // dx = v1 dy + v2 (x - v0) + v3.
  void sums(int64_t image) const {
    double *s = total_ + image * 2 * c_, *h = s + c_;
    __builtin_memset(s, 0, size_t(2 * c_) * sizeof(double));
    for (int64_t j = 0; j < chunks_; ++j) {
      const A* p = part(image, j);
      for (int64_t ch = 0; ch < c_; ++ch) s[ch] += double(p[ch]), h[ch] += double(p[c_ + ch]);
    }
    for (int64_t g = 0; g < groups_; ++g) {
      const double rs = double(rstd_[image * groups_ + g]), count = double(members_ * inner_);
      double of_g = 0, of_gh = 0;
      const auto weight = [&](int64_t ch) { return weight_ ? double(up(weight_[ch])) : 1.0; };
      for (int64_t ch = g * members_; ch < (g + 1) * members_; ++ch) of_g += weight(ch) * s[ch], of_gh += weight(ch) * h[ch];
      A* coef = coef_ + image * 4 * c_;
      for (int64_t ch = g * members_; ch < (g + 1) * members_; ++ch) {
        coef[c_ + ch] = A(rs * weight(ch));
        coef[2 * c_ + ch] = A(-rs * rs * rs * of_gh / count);
        coef[3 * c_ + ch] = A(-rs * of_g / count);
      }
    }
  }
};

}  // namespace LAMELLA_ISA
}  // namespace lamella
