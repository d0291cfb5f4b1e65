// SPDX-License-Identifier: MIT
// Elementwise kernels, gates and the vector product on the emulated device, beside the CPU's on the same loops: every op and
// dtype, every branch of the walk, what lies between strided elements untouched.
#include "cuda/elementwise.cuh"
#include <cmath>
#include <random>
#include <set>
#include <string>
#include <vector>
#include "check.h"
#include "dispatch/dispatch.h"

using namespace lamella;

namespace {

std::mt19937 dice(11);
const DType kFloats[] = {DType::f64, DType::f32, DType::f16, DType::bf16};
const DType kAll[] = {DType::f64, DType::f32, DType::f16, DType::bf16, DType::i64,
                      DType::i32, DType::i16, DType::i8,  DType::u8,   DType::b8};

double value(DType t, const void* p, int64_t i) {
  double y = 0;
  cuda::by_dtype(t, [&](auto s) { y = double(cuda::up(static_cast<const decltype(s)*>(p)[i])); });
  return y;
}

// Memory at a multiple of 16 bytes, plus `shift` elements.
struct Memory {
  std::vector<char> raw;
  DType t;
  int64_t n;
  int shift;
  Memory(DType dtype, int64_t count, int offset = 0)
      : raw(size_t((count + 8) * 8 + 64), dtype == DType::b8 ? 1 : 0x55), t(dtype), n(count), shift(offset) {}
  Memory(const Memory& o) : raw(o.raw), t(o.t), n(o.n), shift(o.shift) { std::memcpy(start(), o.start(), raw.size() - 32); }
  char* start() const { return reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(raw.data()) + 31) / 32 * 32); }
  void* p() { return start() + shift * size_of(t); }
  // range 0: any number and the special ones; else within +-range
  Memory& fill(double range = 0) {
    for (int64_t i = 0; i < n; ++i) {
      double x = std::normal_distribution<double>(0, 2)(dice);
      const int kind = int(dice() % 16);
      if (range != 0) x = std::uniform_real_distribution<double>(-range, range)(dice);
      else if (kind == 0) x = std::round(x);
      else if (kind == 1) x *= 30;
      else if (kind == 2) { const double special[] = {0.0, -0.0, 1, -1, INFINITY, -INFINITY, NAN, 3}; x = special[dice() % 8]; }
      cuda::by_dtype(t, [&](auto s) {
        using T = decltype(s);
        T& to = static_cast<T*>(p())[i];
        if constexpr (std::is_same_v<T, bool>) to = dice() & 1;
        else if constexpr (std::is_integral_v<T>)
          to = T(range != 0 ? int64_t(x) : int64_t((uint64_t(dice()) << 32 | dice()) >> (dice() % 60)));
        else to = cuda::narrowed<T>(x);
      });
    }
    return *this;
  }
};

// Units in the last place that results of `t` may differ by.
double slack(DType t) {
  return t == DType::f64 ? 40 * 0x1p-53 : t == DType::f32 ? 16 * 0x1p-24 : t == DType::f16 ? 2 * 0x1p-11 : 2 * 0x1p-8;
}

// scale: what was added up or underflowed on the way to b, whose zero then has no sign. underflows: of a product's factors one may be
// zero on one side and tiny on the other; times infinity, no number there and infinite here.
bool agree(DType t, double a, double b, double factor, double scale, bool underflows) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) == std::isnan(b) || (underflows && (std::isinf(a) || std::isinf(b)));
  if (a == b) return a != 0 || scale > 0 || std::signbit(a) == std::signbit(b);
  if (!is_floating(t)) return false;
  const double tiny = t == DType::f64 ? 1e-305 : t == DType::f32 ? 2e-37 : 2e-7;
  return std::fabs(a - b) <= factor * slack(t) * (std::fabs(b) + scale) + tiny;
}
void compare(const std::string& what, Memory& a, Memory& b, double factor = 1, double scale = 0, bool underflows = false) {
  int shown = 0;
  for (int64_t i = 0; i < a.n + 8; ++i) {
    const double x = value(a.t, a.start(), i), y = value(b.t, b.start(), i);
    if (agree(a.t, x, y, factor, scale, underflows)) continue;
    ++failures();
    if (shown++ < 3) std::printf("%s %s: element %lld is %.17g, not %.17g\n", what.c_str(), name_of(a.t), (long long)i, x, y);
  }
}

// ---- loops ---------------------------------------------------------------------------------------------------
// A letter for each operand says how it lies over `shape`: c contiguous, t transposed, s every other element, r reversed,
// b broadcast along the last dimension, a along the first, n one number.
template <int N> struct Layout {
  Loop<N> loop{};
  int64_t size[N], first[N] = {};
  Layout(std::vector<int64_t> shape, const char* letters) {
    const int nd = int(shape.size());
    std::vector<std::vector<int64_t>> strides;
    for (int k = 0; k < N; ++k) {
      std::vector<int64_t> s(shape.size());
      int64_t step = letters[k] == 's' ? 2 : 1;
      const bool turned = letters[k] == 't';
      for (int i = 0; i < nd; ++i) {
        const int d = turned ? i : nd - 1 - i;
        const bool one = letters[k] == 'n' || (letters[k] == 'b' && d == nd - 1) || (letters[k] == 'a' && d == 0);
        s[size_t(d)] = one ? 0 : step;
        if (!one) step *= shape[size_t(d)];
      }
      size[k] = step + 1;
      if (letters[k] == 'r') { first[k] = (shape[size_t(nd - 1)] - 1) * s[size_t(nd - 1)]; s[size_t(nd - 1)] *= -1; }
      strides.push_back(s);
    }
    for (int d = 0; d < nd; ++d) {  // merged where that can be
      bool joins = loop.ndim > 0;
      for (int k = 0; k < N && joins; ++k)
        joins = loop.stride[k][loop.ndim - 1] == strides[size_t(k)][size_t(d)] * shape[size_t(d)];
      if (shape[size_t(d)] == 1 && nd > 1) continue;
      if (!joins) loop.shape[loop.ndim++] = 1;
      loop.shape[loop.ndim - 1] *= shape[size_t(d)];
      for (int k = 0; k < N; ++k) loop.stride[k][loop.ndim - 1] = strides[size_t(k)][size_t(d)];
    }
  }
};
void* at(Memory& m, int64_t elements) { return static_cast<char*>(m.p()) + elements * size_of(m.t); }

const std::vector<std::vector<int64_t>> kShapes = {{0}, {1}, {3}, {16}, {17}, {1031}, {2051}, {5, 24}, {7, 33}, {3, 5, 32}, {4, 0, 3},
                                                   {2, 3, 4, 5}, {1, 67}, {300, 2}};

// ---- unary, binary, ternary, where ---------------------------------------------------------------------------------------------
bool allowed(UnaryOp op, DType t) {
  if (is_floating(t) || op == UnaryOp::logical_not) return true;
  if (t == DType::b8) return false;
  return op <= UnaryOp::square || op == UnaryOp::relu || op == UnaryOp::clamp;
}
bool allowed(BinaryOp op, DType t) {
  const bool bits = op >= BinaryOp::bitwise_and && op <= BinaryOp::gcd;
  if (is_floating(t)) return !bits;
  if (op == BinaryOp::div || op == BinaryOp::atan2 || (op >= BinaryOp::hypot && op <= BinaryOp::xlogy)) return false;
  if (op >= BinaryOp::relu_bwd) return false;
  return t != DType::b8 || (op >= BinaryOp::eq && op <= BinaryOp::bitwise_xor) || op == BinaryOp::maximum || op == BinaryOp::add;
}
#define NAME(name) #name,
const char* const kUnary[] = {LAMELLA_UNARY_OPS(NAME)};
const char* const kBinary[] = {LAMELLA_BINARY_OPS(NAME)};
#undef NAME

void unary_case(UnaryOp op, DType t, const std::vector<int64_t>& shape, const char* letters, int shift, double p0, double p1) {
  if (!allowed(op, t)) return;
  const Layout<2> l(shape, letters);
  const DType to = op >= UnaryOp::isnan ? DType::b8 : t;
  Memory x(t, l.size[1], shift), y(to, l.size[0], shift), z(to, l.size[0], shift);
  x.fill();
  Unary u{op, t, at(x, l.first[1]), at(y, l.first[0]), p0, p1, l.loop};
  cuda::unary(u);
  u.y = at(z, l.first[0]);
  kernels().unary(u);
  const bool cancels = op == UnaryOp::lgamma || op == UnaryOp::digamma || op == UnaryOp::logit || op == UnaryOp::gelu ||
                       op == UnaryOp::tanhshrink;
  compare(std::string(kUnary[int(op)]) + " " + letters, y, z, op == UnaryOp::sinc ? 16 : 1, cancels ? 1 : 0);
}
void binary_case(BinaryOp op, DType t, const std::vector<int64_t>& shape, const char* letters, int shift, double range = 0) {
  if (!allowed(op, t)) return;
  const Layout<3> l(shape, letters);
  const DType to = op >= BinaryOp::eq && op <= BinaryOp::logical_xor ? DType::b8 : t;
  Memory a(t, l.size[1], shift), b(t, l.size[2], shift), y(to, l.size[0], shift), z(to, l.size[0], shift);
  a.fill(range); b.fill(range);
  const uint8_t numbers = uint8_t((letters[1] == 'n') | (letters[2] == 'n') << 1);
  Binary s{op, t, at(a, l.first[1]), at(b, l.first[2]), at(y, l.first[0]), 0.75, 1.5, l.loop, numbers};
  cuda::binary(s);
  s.y = at(z, l.first[0]);
  kernels().binary(s);
  const bool cancels = op >= BinaryOp::relu_bwd || op == BinaryOp::logaddexp || op == BinaryOp::xlogy || op == BinaryOp::pow;
  compare(std::string(kBinary[int(op)]) + " " + letters, y, z, cancels ? 4 : 1,
          op >= BinaryOp::relu_bwd || op == BinaryOp::remainder || op == BinaryOp::logaddexp ? 1 : 0,
          op >= BinaryOp::relu_bwd);
}
void ops() {
  for (DType t : kAll) {
    for (int op = 0; op < int(UnaryOp::count); ++op) {
      const double p0 = UnaryOp(op) == UnaryOp::polygamma ? 2 : 0.5;
      unary_case(UnaryOp(op), t, {1031}, "cc", 0, p0, 1.25);
      unary_case(UnaryOp(op), t, {5, 67}, "ct", 1, p0, 1.25);
    }
    unary_case(UnaryOp::clamp, t, {100}, "cc", 0, -INFINITY, 3);
    unary_case(UnaryOp::polygamma, t, {100}, "cc", 0, 1, 0);
    for (int op = 0; op < int(BinaryOp::count); ++op) {
      binary_case(BinaryOp(op), t, {1031}, "ccc", 0);
      binary_case(BinaryOp(op), t, {5, 67}, "ctb", 1);
    }
  }
}
void layouts() {
  for (DType t : kAll) for (const auto& shape : kShapes) for (int shift = 0; shift < 2; ++shift) {
    for (const char* l : {"cc", "tt", "ct", "cs", "sc", "cr", "cb", "ca"})
      for (UnaryOp op : {UnaryOp::neg, UnaryOp::gelu, UnaryOp::logical_not}) unary_case(op, t, shape, l, shift, 0, 1);
    for (const char* l : {"ccc", "ccn", "cnc", "cca", "cbc", "ccb", "cab", "tcc", "crs"})
      for (BinaryOp op : {BinaryOp::add, BinaryOp::lt, BinaryOp::gelu_bwd, BinaryOp::floor_divide})
        binary_case(op, t, shape, l, shift, 50);
    for (const char* l : {"cccc", "ccnc", "ccnn", "ctab", "sccc"}) {
      const Layout<4> w(shape, l);
      Memory c(DType::b8, w.size[1], shift), a(t, w.size[2], shift), b(t, w.size[3], shift), y(t, w.size[0], shift), z = y;
      c.fill(); a.fill(); b.fill();
      const uint8_t numbers = uint8_t((l[2] == 'n') | (l[3] == 'n') << 1);
      Where s{t, c.p(), a.p(), b.p(), y.p(), w.loop, numbers};
      cuda::where(s);
      s.y = z.p();
      kernels().where(s);
      compare(std::string("where ") + l, y, z, 0);
      if (!is_floating(t)) continue;
      for (TernaryOp op : {TernaryOp::lerp, TernaryOp::addcmul, TernaryOp::addcdiv}) {
        Memory d(t, w.size[1], shift);
        d.fill(5); a.fill(5); b.fill(5);
        Ternary q{op, t, d.p(), a.p(), b.p(), y.p(), 0.7, w.loop, uint8_t(numbers << 1)};
        cuda::ternary(q);
        q.y = z.p();
        kernels().ternary(q);
        compare(std::string("ternary ") + l, y, z, 1, 30);
      }
    }
  }
  Memory x(DType::f32, 99), z = x.fill(3);  // onto itself
  const Loop<2> loop = Layout<2>({99}, "cc").loop;
  cuda::unary({UnaryOp::exp, DType::f32, x.p(), x.p(), 0, 0, loop});
  kernels().unary({UnaryOp::exp, DType::f32, z.p(), z.p(), 0, 0, loop});
  compare("in place", x, z);
}

// ---- cast, fill ----------------------------------------------------------------------------------------------------------------
void cast_case(DType from, DType to, const std::vector<int64_t>& shape, const char* letters, int shift) {
  const Layout<2> l(shape, letters);
  Memory x(from, l.size[1], shift), y(to, l.size[0], shift), z(to, l.size[0], shift);
  x.fill(from == to || is_floating(to) ? 0 : 120);
  cuda::cast({from, to, at(x, l.first[1]), at(y, l.first[0]), l.loop});
  kernels().cast({from, to, at(x, l.first[1]), at(z, l.first[0]), l.loop});
  compare(std::string("cast ") + name_of(from) + " " + letters + " to", y, z, 0);
}
void casts() {
  for (DType from : kAll) for (DType to : kAll) {
    for (const auto& shape : kShapes) cast_case(from, to, shape, "cc", int(dice() % 2));
    for (const char* l : {"ct", "tc", "sc", "cr", "ca"})
      for (int shift = 0; shift < 2; ++shift) cast_case(from, to, {3, 67, 9}, l, shift);
    cast_case(from, to, {70, 131}, "ct", 0);
  }
  for (DType t : kAll) {
    for (const auto& shape : kShapes) for (const char* l : {"cs", "ts"}) cast_case(t, t, shape, l, 0);
    cast_case(t, t, {5003}, "cc", 0);
    cast_case(t, t, {2, 40, 3, 33}, "ct", 0);
    Memory number = Memory(t, 1).fill();
    for (const auto& shape : kShapes) for (const char* l : {"c", "t", "s"}) for (int shift = 0; shift < 2; ++shift) {
      const Layout<1> w(shape, l);
      Memory y(t, w.size[0], shift), z(t, w.size[0], shift);
      cuda::fill({t, number.p(), y.p(), w.loop});
      kernels().fill({t, number.p(), z.p(), w.loop});
      compare(std::string("fill ") + l, y, z, 0);
    }
  }
}

// ---- gate, cross -------------------------------------------------------------------------------------------------
void gates() {
  for (DType t : kFloats) for (int64_t n : {0, 1, 7, 8, 64, 129, 520}) for (int64_t outer : {1, 3}) {
    for (int op = 0; op < 3; ++op) for (int shift = 0; shift < 2; ++shift) {
      const int64_t all = outer * n;
      Memory x(t, 2 * all, shift), dy(t, all, shift), y(t, all, shift), z = y, dx(t, 2 * all, shift), dz = dx;
      x.fill(9); dy.fill(2);
      cuda::gate_fwd({GateOp(op), t, outer, n, x.p(), y.p()});
      kernels().gate_fwd({GateOp(op), t, outer, n, x.p(), z.p()});
      compare("gate_fwd", y, z, 1, op == int(GateOp::geglu) ? 1 : 0);  // the CPU's gelu is rougher in its far tail
      cuda::gate_bwd({GateOp(op), t, outer, n, x.p(), dy.p(), dx.p()});
      kernels().gate_bwd({GateOp(op), t, outer, n, x.p(), dy.p(), dz.p()});
      compare("gate_bwd", dx, dz, 4, 1);
    }
    Memory a(t, 3 * outer * n), b(t, 3 * outer * n), y(t, 3 * outer * n), z = y;
    a.fill(3); b.fill(3);
    cuda::cross({t, outer, n, a.p(), b.p(), y.p()});
    kernels().cross({t, outer, n, a.p(), b.p(), z.p()});
    compare("cross", y, z, 1, 9);
  }
}

// ---- index arithmetic --------------------------------------------------------------------------------------------------------------
void parts() {
  const std::vector<std::vector<int64_t>> shapes = {{1000}, {3, 500}, {7, 11, 13}, {2, 3, 4, 5}, {0, 9}};
  for (const auto& shape : shapes) for (int64_t most : {1, 10, 130, 700}) {
    const Layout<2> l(shape, "ct");
    std::multiset<std::pair<int64_t, int64_t>> seen;
    int64_t all = 1;
    for (int64_t m : shape) all *= m;
    cuda::in_parts(l.loop, most, [&](const Loop<2>& part, const int64_t (&first)[2]) {
      const cuda::Walk<2> w(part);
      CHECK(w.n <= uint64_t(most) && w.n > 0);
      for (uint32_t i = 0; i < w.n; ++i) {
        int64_t o[2];
        w.locate(i, o);
        seen.insert({first[0] + o[0], first[1] + o[1]});
      }
    });
    CHECK(int64_t(seen.size()) == all && (all == 0 || int64_t(std::set(seen.begin(), seen.end()).size()) == all));
    int64_t i = 0;
    for (const auto& [a, b] : seen) CHECK(a == i++ && b >= 0 && b < all);
  }
}
template <class A> void banks() {  // a warp's column of the tile: no bank twice in one transaction
  const int lanes = sizeof(A) == 8 ? 16 : 32;
  for (int c = 0; c < cuda::kTile<A>; ++c) {
    std::set<int> words;
    std::set<std::pair<int, int>> used;
    for (int lane = 0; lane < lanes; ++lane) {
      const int byte = (lane * cuda::kPitch<A> + c) * int(sizeof(A));
      used.insert({byte / 4 % 32, byte / 4});
    }
    for (const auto& [bank, word] : used) CHECK(words.insert(bank).second);
  }
}

}  // namespace

int main() {
  ops(); layouts(); casts(); gates(); parts();
  banks<uint8_t>(); banks<uint16_t>(); banks<uint32_t>(); banks<uint64_t>();
  return failures() != 0;
}
