// SPDX-License-Identifier: MIT
// Convolution of many groups of one channel each (depthwise), or of few channels and as many filters: vectors run across channels. A
// task takes a vector's channels of one image, a band of rows at a time: what the band sees is copied to cells of a vector each,
// transposed where channels lie apart, with cells of zeros around the image, and sums are made from there, tap by tap. Of a group's
// `members` channels each in turn is spread over the group's lanes.
#pragma once
#include "conv_pixels.h"
#include "turn.h"

namespace lamella {
namespace LAMELLA_ISA {

constexpr int kCellSlot = 12;  // a task's cells; what tasks share is in kPixelSlot

// Of planes, fewer channels than half a vector go the direct way (conv_direct.h).
LAMELLA_INLINE bool groups_apt(const ConvGeometry& g) {
  const int64_t members = g.c / g.groups;
  if (g.c != g.k || (members > 1 && (g.groups == 1 || size_of(g.dtype) != 4 || kLanes<float> % members != 0))) return false;
  return pixels_dense(g) || (g.x_stride[4] == 1 && g.y_stride[4] == 1 && g.c * size_of(g.dtype) * 2 >= kVecBytes);
}

// A vector's channels, from `channel` on, of a band of rows of the grid, or of a part of their columns, of one image and depth.
struct GroupTask { int64_t image, slice, row, rows, column, columns, block, channel, lanes; };

// Images under a window, cut into tasks.
template <class A> struct GroupBands {
  static constexpr int L = kLanes<A>;
  static constexpr int kSlack = 16;    // positions past a row's end that tiles may compute
  ImageWindow w;
  int64_t images, channels, blocks;    // blocks: vectors of channels
  int64_t rows, columns, bands, cuts;  // rows and columns of a task; bands of a slice, cuts of a row
  int64_t high, wide;                  // rows and columns of cells that a task sees
  bool last, joined;                   // adjacent channels; else, rows short enough to be transposed as one, where a task sees all of them
  int32_t* place = nullptr;            // of joined rows' elements: cells, in elements

  // beside: cells that a task has besides, of each position of the grid.
  GroupBands(const ImageWindow& window, int64_t n, int64_t c, int64_t beside)
      : w(window), images(n), channels(c), blocks(ceil_div(c, L)), last(w.stride[4] != 1) {
    const int64_t cells = ((last ? 48 : 128) << 10) / (L * sizeof(A));  // stay in L2
    const int64_t down = w.reach(1), over = down > w.step[1] ? down - w.step[1] : 0;  // over: rows that two bands see
    columns = w.grid[2];
    const auto fit = [&] {
      wide = (columns - 1) * w.step[2] + w.reach(2);
      return (cells - over * wide * w.taps[0]) / (w.step[1] * wide * w.taps[0] + beside * columns);
    };
    while (fit() < least(w.grid[1], 1 + 2 * over) && columns > 64 + 2 * w.reach(2)) columns = ceil_div(columns, 2);
    cuts = ceil_div(w.grid[2], columns);
    const int64_t few = least(w.grid[1], 1 + over), most = least(fit(), w.grid[1]);
    rows = most < few ? few : most;
    bands = ceil_div(w.grid[1], rows);
    const int64_t others = images * w.grid[0] * blocks * cuts;
    if (others * bands < 8) bands = least(ceil_div(8, others), ceil_div(w.grid[1], 1 + 2 * over));  // for the threads
    rows = ceil_div(w.grid[1], bands);
    bands = ceil_div(w.grid[1], rows);
    high = (rows - 1) * w.step[1] + down;
    joined = !last && cuts == 1 && w.stride[3] == w.size[2] && w.size[2] < 4 * L;
  }
  int64_t size() const { return (w.taps[0] * high * wide + kSlack * w.step[2]) * L; }  // elements of a task's cells
  int64_t places() const { return joined ? high * w.size[2] : 0; }
  void set_place(int32_t* to) {
    place = to;
    for (int64_t r = 0; r < places(); r += w.size[2])
      for (int64_t i = 0; i < w.size[2]; ++i) *to++ = int32_t((r / w.size[2] * wide + i) * L);
  }

  int64_t tasks() const { return images * w.grid[0] * bands * cuts * blocks; }
  int64_t grain(int64_t taps) const { return 1 + 100000 / (rows * columns * L * (taps + 4)); }
  GroupTask task(int64_t t) const {
    const int64_t block = t % blocks, cut = t / blocks % cuts, band = t / (blocks * cuts) % bands, s = t / (blocks * cuts * bands);
    const int64_t row = band * rows, column = cut * columns, channel = block * L;
    return {s / w.grid[0], s % w.grid[0], row, least(rows, w.grid[1] - row), column, least(columns, w.grid[2] - column),
            block, channel, least(L, channels - channel)};
  }

  // What a task sees. Of lanes past its channels there is something.
  void load(const A* x, const GroupTask& t, A* to) const {
    const int64_t top = t.row * w.step[1] + w.first[1], left = t.column * w.step[2] + w.first[2];
    const Inside down(top, (t.rows - 1) * w.step[1] + w.reach(1), w.size[1]);
    const Inside across(left, (t.columns - 1) * w.step[2] + w.reach(2), w.size[2]);
    const int64_t seen = across.end - across.begin;
    for (int64_t u0 = 0; u0 < w.taps[0]; ++u0, to += high * wide * L) {
      const int64_t depth = t.slice * w.step[0] + w.first[0] + u0 * w.next[0];
      if (uint64_t(depth) >= uint64_t(w.size[0]) || seen == 0 || down.begin == down.end) {
        zero_row(to, down.all * wide * L);
        continue;
      }
      zero_row(to, (down.begin * wide + across.begin) * L);
      for (int64_t r = down.begin + 1; r < down.end; ++r)  // from a row's end to the next one's begin
        zero_row(to + ((r - 1) * wide + across.end) * L, (wide - seen) * L);
      const int64_t end = (down.end - 1) * wide + across.end;
      zero_row(to + end * L, (down.all * wide - end) * L);
      const A* from = x + t.image * w.stride[0] + t.channel * w.stride[1] + depth * w.stride[2] + (top + down.begin) * w.stride[3] +
                      (left + across.begin) * w.stride[4];
      A* cell = to + (down.begin * wide + across.begin) * L;
      if (joined && seen == w.size[2]) {
        const int32_t* const at = place;
        turn_in_to(from, w.stride[1], t.lanes, (down.end - down.begin) * seen, [=](int64_t i) { return cell + at[i]; });
      } else {
        for (int64_t r = down.begin; r < down.end; ++r, from += w.stride[3], cell += wide * L)
          load_cells(from, w.stride[1], w.stride[4], seen, t.lanes, cell);
      }
    }
  }
  // n positions, of channels `apart`, to cells side by side.
  void load_cells(const A* from, int64_t apart, int64_t step, int64_t n, int64_t lanes, A* to) const {
    if (!last) return turn_in(from, apart, lanes, n, to, L);
    for (int64_t i = 0; i < n; ++i) vstore(to + i * L, lanes == L ? vload(from + i * step) : vload(from + i * step, lanes));
  }

 private:
  struct Inside {  // of `all` rows or columns of cells, the first at `from`, those within the image
    int64_t all, begin, end;
    Inside(int64_t from, int64_t count, int64_t size) : all(count), begin(least(from < 0 ? -from : 0, count)), end(least(size - from, count)) {
      if (end < begin) end = begin;
    }
  };
};

// ---- results ----------------------------------------------------------------------------------------------------------------
struct GroupTaps {
  int64_t count, rows;    // rows: of the kernel, of count / rows taps each
  const int32_t* offset;  // of every tap's source, from the first's
  int64_t members;        // channels of a group
};

// Member c of every group, in all the group's lanes.
template <class A> struct Spread {
  vec<int_of<A>> lanes;
  Spread(int64_t members, int64_t c) : lanes((lane_numbers<A>() & ~splat(int_of<A>(members - 1))) + splat(int_of<A>(c))) {}
  vec<A> operator()(vec<A> v) const { return __builtin_shuffle(v, lanes); }
};

// U positions side by side, of which `count` are stored: their sources under a tap are `jump` apart, they themselves `step`.
// weights: the bias, then taps, a vector each, or one for each member of a group where it has several (`grouped`). K > 0: a row of the
// kernel has K taps, side by side as positions are, so that a source is loaded once for all of them.
template <class A, int U, int K, bool grouped>
static void group_tile(const A* from, int64_t jump, const GroupTaps& taps, const A* weights, A* to, int64_t step, int64_t count,
                       int64_t lanes, Act act) {
  constexpr int L = kLanes<A>;
  vec<A> acc[U];
  acc[0] = vload(weights);
#pragma GCC unroll 8
  for (int i = 1; i < U; ++i) acc[i] = acc[0];
#pragma GCC unroll 8
  for (int i = 0; i < U; ++i) __builtin_prefetch(to + i * step, 1);
  const int64_t members = grouped ? taps.members : 1;
  weights += L;
  for (int64_t c = 0; c < members; ++c, weights += L) {
    const Spread<A> spread(members, c);
    const auto load = [&](const A* p) __attribute__((always_inline)) { return grouped ? spread(vload(p)) : vload(p); };
    if constexpr (K > 0) {
      const A* w = weights;
      for (int64_t r = 0; r < taps.rows; ++r, w += K * members * L) {
        const A* x = from + taps.offset[r * K];
        vec<A> f[K];
#pragma GCC unroll 8
        for (int k = 0; k < K; ++k) f[k] = vload(w + k * members * L);
#pragma GCC unroll 16
        for (int j = 0; j < U + K - 1; ++j) {
          const vec<A> seen = load(x + j * L);
#pragma GCC unroll 8
          for (int k = 0; k < K; ++k)
            if (j >= k && j - k < U) acc[j - k] = fma(f[k], seen, acc[j - k]);
        }
      }
    } else {
      for (int64_t t = 0; t < taps.count; ++t) {
        const vec<A> f = vload(weights + t * members * L);
        const A* x = from + taps.offset[t];
#pragma GCC unroll 8
        for (int i = 0; i < U; ++i) acc[i] = fma(f, load(x + i * jump), acc[i]);
      }
    }
  }
  if (act == Act::relu) {
#pragma GCC unroll 8
    for (int i = 0; i < U; ++i) acc[i] = relu(acc[i]);
  } else if (act != Act::none) {  // through memory, so that the function's code stands here once
    A sums[U * L];
#pragma GCC unroll 8
    for (int i = 0; i < U; ++i) vstore(sums + i * L, acc[i]);
#pragma GCC unroll 1
    for (int i = 0; i < count; ++i) store_last(to + i * step, apply_act(act, vload(sums + i * L)), int(lanes));
    return;
  }
#pragma GCC unroll 8
  for (int i = 0; i < U; ++i)
    if (i < count) store_last(to + i * step, acc[i], int(lanes));
}
template <class A> using GroupTile = decltype(&group_tile<A, 8, 0, false>);
// Tiles of 8 and of 4 positions.
template <class A> struct GroupTiles {
  GroupTile<A> of8, of4;
  GroupTiles(int64_t across, bool side_by_side, bool grouped) : of8(group_tile<A, 8, 0, false>), of4(group_tile<A, 4, 0, false>) {
    if (!side_by_side) across = 0;
    if constexpr (sizeof(A) == 4)
      if (grouped) {
        of8 = across == 3 ? group_tile<A, 8, 3, true> : across == 5 ? group_tile<A, 8, 5, true> : group_tile<A, 8, 0, true>;
        of4 = group_tile<A, 4, 0, true>;
        return;
      }
    if (across == 3) of8 = group_tile<A, 8, 3, false>;
    if (across == 5) of8 = group_tile<A, 8, 5, false>;
    if (across == 7) of8 = group_tile<A, 8, 7, false>;
  }
};

// One or several windows over the same images, whose results stand between one another's: the phases of an input gradient.
template <class A> class GroupProduct {
 public:
  static constexpr int L = kLanes<A>;
  // seen: a window over what all of them see. between, size: how far apart a window's results are, and how many there are of all,
  // down and across. parts: how many windows. taps: of the kernel, all of theirs at least. members: channels of a group.
  GroupProduct(const ImageWindow& seen, int64_t images, int64_t channels, int64_t members, const ImageOut<A>& out,
               const int64_t* between, const int64_t* size, int64_t parts, int64_t taps)
      : bands_(seen, images, channels, seen.stride[4] == 1 ? between[0] * between[1] : 0), out_(out), between_{between[0], between[1]},
        size_{size[0], size[1]}, taps_(taps), members_(members), own_((parts + taps * members + 1) * L) {
    const size_t weights = size_t(bands_.blocks * own_) * sizeof(A), tables = size_t((members + 1) * taps + bands_.places()) * sizeof(int32_t);
    weights_ = static_cast<A*>(scratch(weights + size_t(parts) * sizeof(Part) + tables, kPixelSlot));
    parts_ = reinterpret_cast<Part*>(weights_ + weights / sizeof(A));
    vector_ = reinterpret_cast<int32_t*>(parts_ + parts);
    offset_ = vector_ + members * taps;
    bands_.set_place(offset_ + taps);
    for (int64_t t = 0; t < members * taps; ++t) vector_[t] = int32_t(own_ - L);
  }

  // A window, whose first result is at (down, across); tap(t): what the kernel counts its tap t.
  template <class F> void add(const ImageWindow& w, int64_t down, int64_t across, const F& tap) {
    const int64_t taps = w.tap_count();
    const GroupTiles<A> tiles(w.taps[2], w.step[2] == 1 && w.next[2] == 1, members_ > 1);
    parts_[count_++] = {{w.grid[1], w.grid[2]}, {down, across}, {taps, w.taps[0] * w.taps[1], offset_, members_}, used_, tiles};
    used_ += L;
    Tap at = {};
    for (int64_t t = 0; t < taps; ++t, at.next(w), used_ += members_ * L) {
      const int64_t row = w.first[1] + at.u[1] * w.next[1] - bands_.w.first[1], column = w.first[2] + at.u[2] * w.next[2] - bands_.w.first[2];
      *offset_++ = int32_t(((at.u[0] * bands_.high + row) * bands_.wide + column) * L);
      for (int64_t m = 0; m < members_; ++m) vector_[m * taps_ + tap(t)] = int32_t(used_ + m * L);
    }
  }

  // transposed: weights of a group are (channel, member), as of an input gradient.
  void run(const A* x, const A* weights, bool transposed) const {
    parallel_blocks(bands_.blocks, 1 + 5000 / own_, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) lay_weights(weights, b, transposed);
    });
    const int64_t cells = bands_.size(), ended = bands_.last ? 0 : (bands_.rows * between_[0] * bands_.columns * between_[1] + L) * L;
    parallel_blocks(bands_.tasks(), bands_.grain(taps_ * members_), [&](int64_t begin, int64_t end) {
      A* const image = static_cast<A*>(scratch(size_t(cells + ended) * sizeof(A), kCellSlot));
      for (int64_t i = begin; i < end; ++i) {
        const GroupTask t = bands_.task(i);
        bands_.load(x, t, image);
        if (bands_.last) to_pixels(t, image);
        else to_planes(t, image, image + cells);
      }
    });
  }

 private:
  // weights: where, in a block's, its bias and then its taps are.
  struct Part { int64_t grid[2], first[2]; GroupTaps taps; int64_t weights; GroupTiles<A> tiles; };
  GroupBands<A> bands_;
  const ImageOut<A> out_;
  const int64_t between_[2], size_[2], taps_, members_, own_;  // own: elements of a block's weights, the last vector for taps of no window
  A* weights_;
  Part* parts_;
  int32_t *vector_, *offset_;  // of every (member, tap): where in a block's weights; of every tap: where its source is
  int64_t count_ = 0, used_ = 0;

  void lay_weights(const A* weights, int64_t block, bool transposed) const {
    const int64_t channel = block * L, lanes = least(L, bands_.channels - channel), filter = members_ * taps_;
    A* const own = weights_ + block * own_;
    for (int64_t p = 0; p < count_; ++p) vstore(own + parts_[p].weights, out_.bias ? vload(out_.bias + channel, lanes) : vec<A>{});
    if (!transposed || members_ == 1)
      return turn_in_to(weights + channel * filter, filter, lanes, filter, [=, this](int64_t i) { return own + vector_[i]; });
    for (int64_t l = 0; l < lanes; ++l) {
      const int64_t member = l % members_, first = channel + l - member;  // of the group
      for (int64_t m = 0; m < members_; ++m)
        for (int64_t t = 0; t < taps_; ++t) own[vector_[m * taps_ + t] + l] = weights[(first + m) * filter + member * taps_ + t];
    }
  }

  // f(part, row, from): each row of a task's results, and its first cell.
  template <class F> LAMELLA_INLINE void each_row(const GroupTask& t, const A* image, const F& f) const {
    const int64_t down = bands_.w.step[1] * bands_.wide * L;
    for (int64_t p = 0; p < count_; ++p)
      for (int64_t r = 0; r < least(t.rows, parts_[p].grid[0] - t.row); ++r) f(parts_[p], r, image + r * down);
  }
  void row(const Part& p, const GroupTask& t, const A* from, A* to, int64_t step, int64_t lanes) const {
    const A* const weights = weights_ + t.block * own_ + p.weights;
    const int64_t jump = bands_.w.step[2] * L, columns = least(t.columns, p.grid[1] - t.column);
    for (int64_t i = 0; i < columns; i += 8) {
      const int64_t n = least(columns - i, 8);
      (n <= 4 ? p.tiles.of4 : p.tiles.of8)(from + i * jump, jump, p.taps, weights, to + i * step, step, n, lanes, out_.act);
    }
  }
  A* first(const GroupTask& t) const {
    return out_.y + t.image * out_.stride[0] + t.channel * out_.stride[1] + t.slice * out_.stride[2] +
           t.row * between_[0] * out_.stride[3] + t.column * between_[1] * out_.stride[4];
  }
  void to_pixels(const GroupTask& t, const A* image) const {
    A* const y = first(t);
    each_row(t, image, [&](const Part& p, int64_t r, const A* from) {
      row(p, t, from, y + (r * between_[0] + p.first[0]) * out_.stride[3] + p.first[1] * out_.stride[4], between_[1] * out_.stride[4], t.lanes);
    });
  }
  // By cells, which are transposed: whole rows as one.
  void to_planes(const GroupTask& t, const A* image, A* ended) const {
    const int64_t rows = least(t.rows * between_[0], size_[0] - t.row * between_[0]);
    const int64_t columns = least(t.columns * between_[1], size_[1] - t.column * between_[1]);
    each_row(t, image, [&](const Part& p, int64_t r, const A* from) {
      row(p, t, from, ended + ((r * between_[0] + p.first[0]) * columns + p.first[1]) * L, between_[1] * L, L);
    });
    A* y = first(t);
    const bool joined = columns == size_[1] && out_.stride[3] == columns;
    const int64_t pieces = joined ? 1 : rows, n = joined ? rows * columns : columns;
    for (int64_t r = 0; r < pieces; ++r, y += out_.stride[3], ended += n * L)
      turn_out(reinterpret_cast<const vec<A>*>(ended), y, out_.stride[1], t.lanes, n);
  }
};

template <class A> static void groups_forward(const ConvFwd& a, const ImageWindow& w, const ImageOut<A>& out) {
  constexpr int64_t side_by_side[2] = {1, 1};
  GroupProduct<A> product(w, a.g.n, a.g.c, a.g.c / a.g.groups, out, side_by_side, w.grid + 1, 1, w.tap_count());
  product.add(w, 0, 0, [](int64_t t) { return t; });
  product.run(static_cast<const A*>(a.x), static_cast<const A*>(a.w), false);
}

// ---- weight gradients ---------------------------------------------------------------------------------------------------------
// sums[q] += dy . x under tap q, of `rows` rows of positions, x spread where it is `grouped`. Taps past the last repeat it, and are not
// stored.
template <class A, int Q, bool grouped>
static void group_dots(const A* x, int64_t down, int64_t jump, const int32_t* offset, const A* dy, int64_t rows, int64_t columns,
                       int64_t taps, const Spread<A>& spread, A* sums) {
  constexpr int L = kLanes<A>;
  vec<A> acc[Q];
  int64_t at[Q];
#pragma GCC unroll 9
  for (int q = 0; q < Q; ++q) {
    at[q] = offset[least(q, taps - 1)];
    acc[q] = vload(sums + least(q, taps - 1) * L);
  }
  for (int64_t r = 0; r < rows; ++r, x += down) {
    const A* from = x;
    for (int64_t i = 0; i < columns; ++i, from += jump, dy += L) {
      const vec<A> g = vload(dy);
#pragma GCC unroll 9
      for (int q = 0; q < Q; ++q) acc[q] = fma(g, grouped ? spread(vload(from + at[q])) : vload(from + at[q]), acc[q]);
    }
  }
#pragma GCC unroll 9
  for (int q = 0; q < Q; ++q)
    if (q < taps) vstore(sums + q * L, acc[q]);
}

template <class A> using GroupDots = decltype(&group_dots<A, 5, false>);
template <class A> static GroupDots<A> group_dots_of(bool few, bool grouped) {
  if constexpr (sizeof(A) == 4)
    if (grouped) return few ? group_dots<A, 5, true> : group_dots<A, 9, true>;
  return few ? group_dots<A, 5, false> : group_dots<A, 9, false>;
}

// dw: tasks of a vector's channels in parts, whose sums are added in order.
template <class A> static void groups_weight(const ConvBwdWeight& a, const ImageWindow& w) {
  constexpr int L = kLanes<A>;
  const ConvGeometry& g = a.g;
  GroupBands<A> bands(w, g.n, g.c, 1);
  const int64_t taps = w.tap_count(), blocks = bands.blocks, each = bands.tasks() / blocks, cells = bands.size();
  const int64_t members = g.c / g.groups, all = members * taps, own = (all + L - 1) * L;  // sums, and what is transposed besides
  const int64_t part = ceil_div(each, least(ceil_div(64, blocks), ceil_div(each, bands.grain(all)))), parts = ceil_div(each, part);
  A* const sums = static_cast<A*>(scratch(size_t(blocks * parts * own) * sizeof(A) + size_t(taps + bands.places()) * sizeof(int32_t), kPixelSlot));
  int32_t* const offset = reinterpret_cast<int32_t*>(sums + blocks * parts * own);
  bands.set_place(offset + taps);
  Tap tap = Tap::of(w, 0);
  for (int64_t t = 0; t < taps; ++t, tap.next(w))
    offset[t] = int32_t(((tap.u[0] * bands.high + tap.u[1] * w.next[1]) * bands.wide + tap.u[2] * w.next[2]) * L);
  parallel(blocks * parts, [&](int64_t p) {
    A* const total = sums + p * own;
    __builtin_memset(total, 0, size_t(own) * sizeof(A));
    A* const image = static_cast<A*>(scratch(size_t(cells + bands.rows * bands.columns * L) * sizeof(A), kCellSlot));
    A* const gradient = image + cells;
    for (int64_t i = p / blocks * part, end = least(i + part, each); i < end; ++i) {
      const GroupTask t = bands.task(i * blocks + p % blocks);
      const A* dy = static_cast<const A*>(a.dy) + t.image * g.y_stride[0] + t.channel * g.y_stride[1] + t.slice * g.y_stride[2] +
                    t.row * g.y_stride[3] + t.column * g.y_stride[4];
      bands.load(static_cast<const A*>(a.x), t, image);
      const bool joined = !bands.last && t.columns == g.y_stride[3];
      const int64_t pieces = joined ? 1 : t.rows, n = joined ? t.rows * t.columns : t.columns;
      for (int64_t r = 0; r < pieces; ++r)
        bands.load_cells(dy + r * g.y_stride[3], g.y_stride[1], g.y_stride[4], n, t.lanes, gradient + r * n * L);
      for (int64_t m = 0; m < members; ++m) {
        const Spread<A> spread(members, m);
        for (int64_t q = 0; q < taps;) {
          const bool few = taps - q <= 5;
          const int64_t count = least(taps - q, few ? 5 : 9);
          const auto dots = group_dots_of<A>(few, members > 1);
          dots(image, w.step[1] * bands.wide * L, w.step[2] * L, offset + q, gradient, t.rows, t.columns, count, spread, total + (m * taps + q) * L);
          q += count;
        }
      }
    }
  });
  parallel_blocks(blocks, 1 + 5000 / (own * parts), [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      A* const total = sums + b * own;
      for (int64_t p = 1; p < parts; ++p)
        for (int64_t t = 0; t < all * L; t += L) vstore(total + t, vload(total + t) + vload(total + p * blocks * own + t));
      turn_out(reinterpret_cast<const vec<A>*>(total), static_cast<A*>(a.dw) + b * L * all, all, least(L, g.c - b * L), all);
    }
  });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
