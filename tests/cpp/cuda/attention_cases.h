// SPDX-License-Identifier: MIT
// Cases of attention for the GPU's kernels, held against the CPU's in float64 on the same rounded numbers.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>
#include "check.h"
#include "cuda/attention_hopper.h"
#include "cuda/hopper.cuh"
#include "dispatch/dispatch.h"

using namespace lamella;

constexpr double kNan = __builtin_nan(""), kInfinity = __builtin_inf();
enum class Mask { none, boolean, padding, added, added_wide, half };  // padding: one row for all; wide: float64, transposed

struct Case {
  DType dtype;
  int64_t batch, shared, group, l, s, e, ev;
  bool causal = false;
  Mask mask = Mask::none;
  double dropout = 0, scale = 0.3;
  int slack = 0;                       // elements between rows: odd ones defeat 16-byte words
  double strange = 0;                  // NaN or infinity in some rows of every operand
  bool one_batch = false;              // all batches have the first one's keys and values
  bool mild = false;                   // strange: in the middle row of q and dy alone, which later keys do not meet
};

inline uint64_t state = 1;
inline double draw() {                        // in [-1, 1)
  state = state * 6364136223846793005u + 1442695040888963407u;
  return double(int64_t(state >> 11)) * 0x1p-52 - 1;
}

inline double get(DType t, const void* p, int64_t i) {
  switch (t) {
    case DType::f64: return static_cast<const double*>(p)[i];
    case DType::f32: return static_cast<const float*>(p)[i];
    case DType::bf16: return static_cast<const bf16*>(p)[i].to();
    default: return static_cast<const f16*>(p)[i].to();
  }
}
inline void put(DType t, void* p, int64_t i, double x) {
  switch (t) {
    case DType::f64: static_cast<double*>(p)[i] = x; break;
    case DType::f32: static_cast<float*>(p)[i] = float(x); break;
    case DType::bf16: static_cast<bf16*>(p)[i] = bf16::from(float(x)); break;
    default: static_cast<f16*>(p)[i] = f16::from(float(x)); break;
  }
}

// (batch, rows, heads, n) in memory, twice: as dtype and as float64.
struct Operand {
  DType dtype;
  int64_t heads, n, row, count, batch_stride;
  std::vector<char> raw;
  std::vector<double> wide;
  Operand(DType t, int64_t batch, int64_t heads, int64_t rows, int64_t n, int slack)
      : dtype(t), heads(heads), n(n), row(heads * (n + slack)), count(batch * rows * row), batch_stride(rows * row),
        raw(size_t(count + 1) * 8 + 64), wide(size_t(count + 1)) {
    for (int64_t i = 0; i < count; ++i) set(i, draw());
  }
  char* at() { return raw.data() + (64 - reinterpret_cast<uintptr_t>(raw.data()) % 64) % 64; }
  void set(int64_t i, double x) { put(dtype, at(), i, x); wide[size_t(i)] = get(dtype, at(), i); }
  void set_row(int64_t r, double x) {  // an element of it
    for (int64_t h = 0; h < heads; ++h) set(r * row + h * (row / heads) + (r + h) % n, x);
  }
  template <class H> void place(H& h, bool wide_one, int64_t group) {
    h.x = wide_one ? static_cast<void*>(wide.data()) : static_cast<void*>(at());
    const int64_t each = row / heads;
    h.batch[0] = batch_stride, h.batch[1] = group ? group * each : each, h.batch[2] = group ? each : 0, h.row = row;
  }
};

inline double tolerance(DType t) { return t == DType::f64 ? 1e-11 : t == DType::f32 ? 1e-5 : t == DType::f16 ? 3e-3 : 2e-2; }

inline void compare(const char* what, const Case& c, DType t, const void* mine, const double* want, int64_t count) {
  double most = 1, worst = 0;
  int64_t wrong = 0;
  for (int64_t i = 0; i < count; ++i) if (std::isfinite(want[i])) most = std::max(most, std::fabs(want[i]));
  for (int64_t i = 0; i < count; ++i) {
    const double x = get(t, mine, i), y = want[i];
    if (std::isnan(x) != std::isnan(y) || std::isinf(x) != std::isinf(y) || (std::isinf(y) && x != y)) ++wrong;
    else if (std::isfinite(y)) worst = std::max(worst, std::fabs(x - y));
  }
  if (wrong || worst > tolerance(c.dtype) * most) {
    std::printf("%s: %s (%ld, %ld, %ld) l %ld s %ld e %ld ev %ld causal %d mask %d dropout %g slack %d strange %g: ", what,
                name_of(c.dtype), c.batch, c.shared, c.group, c.l, c.s, c.e, c.ev, c.causal, int(c.mask), c.dropout,
                c.slack, c.strange);
    std::printf("%ld classes wrong, off by %g of %g\n", wrong, worst, most);
    ++failures();
  }
}

// The contract as it reads, in float64: what numbers that are not finite may reach.
struct Plain {
  const Attention& a;
  int64_t head;
  template <class H> double* row(const H& h, int64_t i) const {
    int64_t at = i * h.row, rest = head;
    for (int d = a.ndim - 1; d >= 0; --d) at += rest % a.heads[d] * h.batch[d], rest /= a.heads[d];
    return static_cast<double*>(const_cast<void*>(static_cast<const void*>(h.x))) + at;
  }
  double score(int64_t i, int64_t j) const {
    double sum = 0, add = 0;
    for (int64_t c = 0; c < a.e; ++c) sum += row(a.q, i)[c] * row(a.k, j)[c];
    if (a.mask) {
      const int64_t at = head / (a.heads[1] * a.heads[2]) * a.mask_batch[0] + i * a.mask_row + j * a.mask_col;
      if (a.mask_dtype == DType::b8) add = static_cast<const bool*>(a.mask)[at] ? 0 : -kInfinity;
      else add = get(a.mask_dtype, a.mask, at);
    }
    return add == -kInfinity || (a.causal && j > i) ? -kInfinity : sum * a.scale + add;
  }
  void forward(const AttentionFwd& f, int64_t i) const {
    double top = -kInfinity, sum = 0;
    std::vector<double> x(size_t(a.s), 0.0);
    for (int64_t j = 0; j < a.s; ++j) top = std::max(top, x[size_t(j)] = score(i, j));
    double* y = row(f.y, i);
    std::fill(y, y + a.ev, 0.0);
    for (double& p : x) sum += p = p == -kInfinity ? 0 : std::exp(p - top);
    static_cast<double*>(f.lse)[head * a.l + i] = sum == 0 ? kInfinity : top + std::log(sum);
    for (int64_t j = 0; j < a.s; ++j)
      for (int64_t c = 0; c < a.ev; ++c) if (x[size_t(j)] != 0) y[c] += x[size_t(j)] / sum * row(a.v, j)[c];
  }
  void backward(const AttentionBwd& f, int64_t i, int64_t j) const {
    const double x = score(i, j);
    if (x == -kInfinity) return;
    const double p = std::exp(x - static_cast<const double*>(f.lse)[head * a.l + i]);
    if (p == 0) return;
    double dp = 0, d = 0;
    for (int64_t c = 0; c < a.ev; ++c) dp += row(f.dy, i)[c] * row(a.v, j)[c], d += row(f.dy, i)[c] * row(f.y, i)[c];
    for (int64_t c = 0; c < a.ev; ++c) row(f.dv, j)[c] += p * row(f.dy, i)[c];
    const double ds = p * (dp - d) * a.scale;
    if (ds == 0) return;
    for (int64_t c = 0; c < a.e; ++c) row(f.dq, i)[c] += ds * row(a.k, j)[c], row(f.dk, j)[c] += ds * row(a.q, i)[c];
  }
};
inline void plain(const AttentionFwd& f) {
  const int64_t heads = cuda::attention::head_count(f.a);
  for (int64_t h = 0; h < heads; ++h) for (int64_t i = 0; i < f.a.l; ++i) Plain{f.a, h}.forward(f, i);
}
inline void plain(const AttentionBwd& f) {
  const int64_t heads = cuda::attention::head_count(f.a), l = f.a.l, s = f.a.s;
  for (int64_t h = 0; h < heads; ++h) {
    const Plain p{f.a, h};
    for (int64_t i = 0; i < l; ++i) std::fill(p.row(f.dq, i), p.row(f.dq, i) + f.a.e, 0.0);
    for (int64_t j = 0; j < s; ++j) std::fill(p.row(f.dk, j), p.row(f.dk, j) + f.a.e, 0.0);
    for (int64_t j = 0; j < s; ++j) std::fill(p.row(f.dv, j), p.row(f.dv, j) + f.a.ev, 0.0);
  }
  for (int64_t h = 0; h < heads; ++h) for (int64_t i = 0; i < l * s; ++i) Plain{f.a, h}.backward(f, i / s, i % s);
}

inline int cases = 0;
// By::hopper: the Hopper kernels must take the case.
enum class By { any, hopper };
inline void check(const Case& c, By by = By::any) {
  ++cases;
  const DType t = c.dtype, acc = t == DType::f64 ? DType::f64 : DType::f32;
  const int64_t heads = c.shared * c.group, queries = c.batch * heads * c.l;
  Operand q(t, c.batch, heads, c.l, c.e, c.slack), k(t, c.batch, c.shared, c.s, c.e, c.slack);
  Operand v(t, c.batch, c.shared, c.s, c.ev, c.slack);
  Operand dy(t, c.batch, heads, c.l, c.ev, c.slack), y(t, c.batch, heads, c.l, c.ev, c.slack);
  Operand dq(t, c.batch, heads, c.l, c.e, c.slack), dk(t, c.batch, c.shared, c.s, c.e, c.slack);
  Operand dv(t, c.batch, c.shared, c.s, c.ev, c.slack);
  // Rows of the mask are the query's, or with `padding` one for a whole batch; query 1 sees no key, key 2 is seen by none.
  const bool per_row = c.mask != Mask::padding, boolean = c.mask == Mask::boolean || c.mask == Mask::padding;
  const DType mask_type = boolean                 ? DType::b8
                          : c.mask == Mask::added ? DType::f32
                          : c.mask == Mask::half  ? DType::bf16
                                                  : DType::f64;
  const int64_t masks = c.mask == Mask::added ? heads : 1;    // of a batch: one each, or one for all
  std::vector<char> mask(size_t(c.batch * masks * (c.l + 1) * (c.s + 1)) * 8);
  const bool transposed = c.mask == Mask::added_wide;
  const int64_t mask_row = !per_row ? 0 : transposed ? 1 : c.s, mask_col = transposed ? c.l : 1;
  const int64_t mask_batch = per_row ? c.l * c.s : c.s;
  for (int64_t b = 0; b < c.batch * masks; ++b)
    for (int64_t i = 0; i < (per_row ? c.l : 1); ++i)
      for (int64_t j = 0; j < c.s; ++j) {
        const bool out = (per_row && i == 1) || j == 2 || draw() < -0.5 || (!per_row && j > c.s * 2 / 3);
        const int64_t at = b * mask_batch + i * mask_row + j * mask_col;
        if (boolean) mask[size_t(at)] = !out;
        else put(mask_type, mask.data(), at, out ? -kInfinity : draw());
      }
  if (c.mild) {
    q.set_row(c.l / 2, c.strange), dy.set_row(c.l / 2 + 2, c.strange);
  } else if (c.strange != 0) {
    const bool masked = c.mask != Mask::none;
    if (c.s > 2 && (masked || c.causal)) k.set_row(masked ? 2 : c.s - 1, c.strange), v.set_row(2, c.strange);
    if (c.l > 3) q.set_row(3, c.strange), dy.set_row(c.l - 2, c.strange);
    for (int64_t r = 5; r < c.s; r += 31) v.set_row(r, r % 2 ? c.strange : -c.strange);
  }
  const auto attention = [&](bool wide) {
    Attention a{};
    a.dtype = wide ? DType::f64 : t, a.ndim = 3, a.l = c.l, a.s = c.s, a.e = c.e, a.ev = c.ev;
    a.heads[0] = c.batch, a.heads[1] = c.shared, a.heads[2] = c.group;
    q.place(a.q, wide, c.group), k.place(a.k, wide, 0), v.place(a.v, wide, 0);
    if (c.one_batch) a.k.batch[0] = a.v.batch[0] = 0;
    a.mask = c.mask == Mask::none ? nullptr : mask.data(), a.mask_dtype = mask_type;
    a.mask_batch[0] = masks * mask_batch, a.mask_row = mask_row, a.mask_col = mask_col;
    if (masks > 1) a.mask_batch[1] = c.group * mask_batch, a.mask_batch[2] = mask_batch;
    a.scale = c.scale, a.dropout = c.dropout, a.causal = c.causal, a.seed = 42, a.stream = 7;
    return a;
  };
  std::vector<double> lse(size_t(queries + 1)), lse_mine(size_t(queries + 1));
  AttentionFwd want{attention(true), {}, lse.data()}, mine{attention(false), {}, lse_mine.data()};
  y.place(want.y, true, c.group), y.place(mine.y, false, c.group);
  if (c.strange != 0) plain(want); else kernels().attention_fwd(want);
  if (by == By::hopper) CHECK(cuda::attention::forward_hopper(mine)); else cuda::attention_fwd(mine);
  CHECK(emulate::unfinished() == 0);
  compare("y", c, t, y.at(), y.wide.data(), y.count);
  compare("lse", c, acc, lse_mine.data(), lse.data(), queries);
  if (c.l == 1 && c.s > 100) return;   // gradients know no decoding

  for (int64_t i = 0; i < y.count; ++i) y.set(i, y.wide[size_t(i)]);   // the same y and lse for both
  for (int64_t i = 0; i < queries; ++i) {
    put(acc, lse_mine.data(), i, lse[size_t(i)]);
    lse[size_t(i)] = get(acc, lse_mine.data(), i);
  }
  AttentionBwd back{attention(true), {}, {}, lse.data(), {}, {}, {}};
  AttentionBwd back_mine{attention(false), {}, {}, lse_mine.data(), {}, {}, {}};
  for (const bool wide : {true, false}) {
    AttentionBwd& b = wide ? back : back_mine;
    y.place(b.y, wide, c.group), dy.place(b.dy, wide, c.group), dq.place(b.dq, wide, c.group);
    dk.place(b.dk, wide, 0), dv.place(b.dv, wide, 0);
  }
  if (c.strange != 0) plain(back); else kernels().attention_bwd(back);
  if (by == By::hopper) {
    using namespace cuda::attention;
    std::vector<float> delta(size_t(queries + 1));
    row_products(back_mine, delta.data());
    const AttentionBwd& b = back_mine;
    const float* const of_rows = static_cast<const float*>(b.lse);
    const BackwardCall call{b.a, b.dy, b.dq, b.dk, b.dv, of_rows, delta.data(), 0, 0, float(c.scale) * kLog2e, 1};
    CHECK(keys_bwd_hopper(call) && queries_bwd_hopper(call));
  } else {
    cuda::attention_bwd(back_mine);
  }
  CHECK(emulate::unfinished() == 0);
  compare("dq", c, t, dq.at(), dq.wide.data(), dq.count);
  compare("dk", c, t, dk.at(), dk.wide.data(), dk.count);
  compare("dv", c, t, dv.at(), dv.wide.data(), dv.count);
}
