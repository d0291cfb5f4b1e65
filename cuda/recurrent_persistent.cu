// SPDX-License-Identifier: MIT
// Recurrent layers, forward, all steps in one launch; and how the work of such a launch is cut.
#include "recurrent_steps.cuh"

namespace lamella::cuda {
namespace {

template <class T> struct ForwardWork {
  static constexpr bool kAcross = false;
  int64_t width;
  int gates;
  const T* r[2];
  ForwardSide<T> side[2];
  GPU bool forward(int d) const { return d == 0; }
  GPU const T* weight(int d, int64_t l, int64_t u, int64_t k) const { return r[d] + (l * width + u) * width + k; }
  GPU const T* row(int d, const Moment& m, int64_t b) const {
    const ForwardSide<T>& s = side[d];
    if (b < m.known) return s.y + (m.before + b) * s.y_row;
    return s.h0 ? s.h0 + b * width : nullptr;
  }
  GPU void cell(int d, const Moment& m, int64_t b, int64_t u, const acc_t<T> (&sum)[4]) const {
    forward_cell(side[d], m, b, u, sum);
  }
  GPU void ahead(int d, const Moment& m, int64_t b, int64_t u) const {
    const ForwardSide<T>& s = side[d];
    for (int v = 0; v < gates; ++v) prefetch(s.gates + (m.first + b) * s.columns + v * width + u);
  }
};

template <class T> void forward(const RecurrentFwd& a, const RecurrentPlan& plan) {
  const RecurrentShape& s = a.shape;
  const bool lstm = s.cell == RecurrentCell::lstm;
  const Temp carry(lstm ? size_t(s.sides * s.batch * s.hidden) * sizeof(acc_t<T>) : 0);
  ForwardWork<T> w{};
  w.width = s.hidden;
  w.gates = gates_of(s.cell);
  bool packed = s.hidden % kPack<T> == 0 && is_aligned(a.y);
  for (int d = 0; d < s.sides; ++d) {
    w.side[d] = forward_side<T>(a, d, lstm ? carry.as<acc_t<T>>() + d * s.batch * s.hidden : nullptr);
    w.r[d] = static_cast<const T*>(a.side[d].r);
    packed = packed && is_aligned(w.r[d]) && is_aligned(a.side[d].h0);
  }
  launch_all_steps<T>("recurrent_fwd", s, plan, w, packed);
}

int64_t round_up(int64_t x, int64_t to) { return ceil_div(x, to) * to; }

// A product's tile, and what a plan takes of shared memory.
struct Shape {
  int64_t size, sums, width, m, n, pitch;
  Shape(const RecurrentShape& s, bool backward)
      : size(size_of(s.dtype)), sums(backward ? 1 : gates_of(s.cell)),
        width(backward ? gates_of(s.cell) * s.hidden : s.hidden), m(size == 2 ? 16 : 4), n(size == 2 ? 8 : 4),
        pitch(size == 2 ? round_up(width, 32) + 8 : round_up(width, 16 / size)) {}
  int64_t tile_rows(int64_t units) const { return round_up(sums * units, m); }
  int64_t bytes(int64_t units, int64_t chunk) const {
    return (tile_rows(units) + chunk) * pitch * size + (tile_rows(units) + kSumPad) * chunk * most(4, size);
  }
};

}  // namespace

bool recurrent_persists(const RecurrentShape& s, bool projected, bool backward, int64_t shared_bytes) {
  if (projected || s.hidden == 0 || s.hidden > 4096) return false;
  const Shape shape(s, backward);
  const double size = double(shape.size), weights = double(s.sides * gates_of(s.cell) * s.hidden * s.hidden);
  const double most_work = size == 2 ? 5e8 : size == 4 ? 5e7 : 2e7;  // multiply-adds of a step: more are faster as a product
  // Each block reads its group's rows: bytes of a step, for as many blocks in a group as hold the weights.
  const double blocks = weights * size < 200e3 ? 1 : weights * size / 200e3;
  const double read = double(s.sides * s.batch * shape.width) * size * blocks;
  return shape.bytes(1, shape.n) <= shared_bytes && weights * size <= 22e6 && weights * double(s.batch) <= most_work &&
         read <= 16e6;
}

RecurrentPlan recurrent_plan(const RecurrentShape& s, bool backward, int processors, int64_t shared_bytes) {
  const Shape shape(s, backward);
  const int64_t n = shape.n;
  const auto bytes = [&](int64_t units, int64_t chunk) { return shape.bytes(units, chunk); };
  // As many groups as leave each of them enough rows for a tile, and blocks enough for all weights: few blocks wait for each
  // other, and each reads few rows of h.
  const int64_t together = most(1, processors / s.sides);
  int64_t groups = most(1, least(together, s.batch / n)), rows, chunk, units;
  for (;; --groups) {
    rows = ceil_div(s.batch, groups);
    chunk = least(round_up(rows, n), 4 * n);
    units = ceil_div(s.hidden, together / groups);
    if (groups == 1 || bytes(units, chunk) <= shared_bytes) break;
  }
  // A block with too little to do for a step costs more in barriers than it saves.
  const int64_t least_work = shape.size == 2 ? 1 << 18 : 1 << 15;
  const int64_t enough = least(s.hidden, ceil_div(least_work, shape.sums * shape.width * rows));
  while (units < enough && bytes(units + 1, chunk) <= shared_bytes) ++units;
  if (bytes(units, chunk) > shared_bytes) chunk = n;
  int64_t pass = units;
  while (pass > 1 && bytes(pass, chunk) > shared_bytes) --pass;
  while (chunk < round_up(rows, n) && bytes(pass, chunk + n) <= shared_bytes) chunk += n;
  RecurrentPlan p{};
  p.sums = int(shape.sums);
  p.pitch = int(shape.pitch);
  p.groups = int(ceil_div(s.batch, rows));
  p.slices = int(ceil_div(s.hidden, units));
  p.units = int(units);
  p.pass_units = int(pass);
  p.passes = int(ceil_div(units, pass));
  p.rows = int(rows);
  p.chunk = int(chunk);
  p.tile_rows = int(shape.tile_rows(pass));
  p.shared_bytes = bytes(pass, chunk);
  return p;
}

void recurrent_fwd_persistent(const RecurrentFwd& a, const RecurrentPlan& plan) {
  by_float(a.shape.dtype, [&](auto t) { forward<decltype(t)>(a, plan); });
}

}  // namespace lamella::cuda
