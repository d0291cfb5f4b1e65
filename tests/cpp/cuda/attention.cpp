// SPDX-License-Identifier: MIT
// The GPU's attention kernels against the CPU's in float64 on the same rounded numbers.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>
#include "check.h"
#include "cuda/attention.cuh"
#include "dispatch/dispatch.h"

using namespace lamella;

namespace {

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
};

uint64_t state = 1;
double draw() {                        // in [-1, 1)
  state = state * 6364136223846793005u + 1442695040888963407u;
  return double(int64_t(state >> 11)) * 0x1p-52 - 1;
}

double get(DType t, const void* p, int64_t i) {
  switch (t) {
    case DType::f64: return static_cast<const double*>(p)[i];
    case DType::f32: return static_cast<const float*>(p)[i];
    case DType::bf16: return static_cast<const bf16*>(p)[i].to();
    default: return static_cast<const f16*>(p)[i].to();
  }
}
void put(DType t, void* p, int64_t i, double x) {
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

double tolerance(DType t) { return t == DType::f64 ? 1e-11 : t == DType::f32 ? 1e-5 : t == DType::f16 ? 3e-3 : 2e-2; }

void compare(const char* what, const Case& c, DType t, const void* mine, const double* want, int64_t count) {
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
void plain(const AttentionFwd& f) {
  const int64_t heads = cuda::attention::head_count(f.a);
  for (int64_t h = 0; h < heads; ++h) for (int64_t i = 0; i < f.a.l; ++i) Plain{f.a, h}.forward(f, i);
}
void plain(const AttentionBwd& f) {
  const int64_t heads = cuda::attention::head_count(f.a), l = f.a.l, s = f.a.s;
  for (int64_t h = 0; h < heads; ++h) {
    const Plain p{f.a, h};
    for (int64_t i = 0; i < l; ++i) std::fill(p.row(f.dq, i), p.row(f.dq, i) + f.a.e, 0.0);
    for (int64_t j = 0; j < s; ++j) std::fill(p.row(f.dk, j), p.row(f.dk, j) + f.a.e, 0.0);
    for (int64_t j = 0; j < s; ++j) std::fill(p.row(f.dv, j), p.row(f.dv, j) + f.a.ev, 0.0);
  }
  for (int64_t h = 0; h < heads; ++h) for (int64_t i = 0; i < l * s; ++i) Plain{f.a, h}.backward(f, i / s, i % s);
}

int cases = 0;
void check(const Case& c) {
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
  if (c.strange != 0) {
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
  cuda::attention_fwd(mine);
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
  cuda::attention_bwd(back_mine);
  compare("dq", c, t, dq.at(), dq.wide.data(), dq.count);
  compare("dk", c, t, dk.at(), dk.wide.data(), dk.count);
  compare("dv", c, t, dv.at(), dv.wide.data(), dv.count);
}

void tensor_cores(DType t) {
  const bool brain = t == DType::bf16;   // the other one's conversions take long here, and differ in nothing else
  for (const int64_t e : {8, 64, 72, 128, 136})
    for (const bool causal : {false, true}) if (brain || (e == 72 && causal)) check({t, 1, 1, 1, 65, 70, e, e, causal});
  check({t, 1, 1, 3, 40, 70, 40, 40, true});
  check({t, 1, 1, 1, 130, 129, 128, 64, true});
  check({t, 2, 1, 2, 5, 3, 16, 48, false});
  check({t, 1, 1, 1, 63, 64, 256, 8, false, Mask::boolean});
  check({t, 1, 2, 1, 66, 65, 32, 64, true, Mask::padding, 0.3});
  check({t, 1, 1, 2, 64, 100, 128, 128, false, Mask::added, 0.2, -0.2});
  check({t, 2, 1, 1, 20, 65, 64, 64, false, Mask::added_wide, 0, 0.2});
  check({t, 1, 1, 1, 67, 67, 16, 16, false, Mask::half, 0, 0.2, 8});
  check({t, 1, 1, 1, 70, 131, 24, 24, false, Mask::none, 0.5, -0.1});
  const double strange = brain ? kNan : kInfinity;
  check({t, 1, 1, 1, 80, 90, 64, 64, true, Mask::none, 0, 0.3, 0, strange});
  check({t, 1, 1, 1, 70, 40, 136, 24, true, Mask::boolean, 0, 0.3, 0, strange});
  check({t, 1, 1, 1, 70, 70, 128, 128, false, Mask::padding, 0, 0.3, 0, strange});
}

void any_size(DType t) {
  for (const int slack : {0, 1}) {
    check({t, 1, 1, 1, 65, 66, 7, 9, true, Mask::none, 0, 0.3, slack});
    check({t, 1, 2, 2, 17, 70, 33, 130, false, Mask::boolean, 0.25, 0.3, slack});
    check({t, 2, 1, 1, 64, 64, 300, 65, true, Mask::added, 0, 0.05, slack});
    check({t, 1, 1, 1, 66, 5, 1, 1, false, Mask::padding, 0, 0.3, slack});
  }
  check({t, 1, 1, 2, 30, 70, 19, 21, false, Mask::boolean, 0, 0.3, 1, kNan});
  check({t, 1, 1, 1, 70, 70, 19, 21, true, Mask::none, 0, 0.3, 1, kInfinity});
  check({t, 1, 2, 1, 9, 0, 8, 8});
  check({t, 1, 2, 1, 0, 9, 8, 8});
  check({t, 0, 2, 1, 3, 9, 8, 8});
  check({t, 1, 1, 1, 9, 9, 0, 8, false});
  check({t, 1, 1, 1, 9, 9, 8, 0, false});
}

void decode(DType t) {
  check({t, 1, 2, 1, 1, 300, 64, 64});
  check({t, 1, 1, 7, 1, 257, 128, 72, false, Mask::padding});
  check({t, 2, 1, 3, 4, 256, 16, 40, false, Mask::added, 0.3});
  check({t, 1, 1, 2, 3, 321, 33, 35, false, Mask::boolean, 0, 0.3, 1, kNan});
  check({t, 1, 1, 1, 2, 500, 8, 512, false, Mask::none, 0.4});
  if (t == DType::f32) check({t, 1, 1, 1, 1, 8200, 8, 8});
  check({t, 1, 1, 1, 2, 300, 8, 0});
  check({t, 1, 1, 1, 1, 1, 8, 8});
}

// A row all of whose keys have float32's least number added weighs them alike; gradients stay finite.
void least_number() {
  std::vector<bf16> q(64 * 8, bf16::from(1)), k = q, v = q, y(64 * 8), dy = q, dq = q, dk = q, dv = q;
  for (int i = 0; i < 64 * 8; ++i) v[size_t(i)] = bf16::from(float(i / 8));
  const float low = -3.402823466e38f;
  std::vector<float> lse(64);
  Attention a{};
  a.dtype = DType::bf16, a.ndim = 1, a.heads[0] = 1, a.l = a.s = 64, a.e = a.ev = 8, a.scale = 1;
  a.q = {q.data(), {}, 8}, a.k = {k.data(), {}, 8}, a.v = {v.data(), {}, 8}, a.mask = &low, a.mask_dtype = DType::f32;
  cuda::attention_fwd({a, {y.data(), {}, 8}, lse.data()});
  for (const bf16& x : y) CHECK(std::fabs(x.to() - 31.5f) < 0.2f);
  cuda::attention_bwd({a, {y.data(), {}, 8}, {dy.data(), {}, 8}, lse.data(), {dq.data(), {}, 8}, {dk.data(), {}, 8},
                       {dv.data(), {}, 8}});
  for (const auto* g : {&dq, &dk, &dv}) for (const bf16& x : *g) CHECK(std::isfinite(x.to()));
}

}  // namespace

int main() {
  for (const DType t : {DType::bf16, DType::f16}) {
    tensor_cores(t);
    cuda::attention::wide_from = 0;      // blocks of 128 queries
    for (const int64_t e : {40, 128}) check({t, 1, 1, 1, 131, 65, e, e, true});
    check({t, 1, 1, 1, 100, 130, 64, 128});
    check({t, 1, 1, 1, 100, 100, 64, 64, true, Mask::none, 0, 0.3, 0, kNan});
    cuda::attention::wide_from = 128;
  }
  for (const DType t : {DType::f32, DType::f64, DType::bf16}) any_size(t);
  for (const DType t : {DType::f32, DType::f64, DType::bf16, DType::f16}) decode(t);
  least_number();
  std::printf("%d cases\n", cases);
  return failures() != 0;
}
