// SPDX-License-Identifier: MIT
#include "ops/elementwise.h"
#include <cmath>
#include "core/backend.h"
#include "dispatch/dispatch.h"
#include "ops/layout.h"
#include "ops/loop.h"
#include "ops/reduce.h"

namespace lamella::ops {

// ---- names ----------------------------------------------------------------------------------------------------------
#define NAME(name) #name,
static const char* const kUnaryNames[] = {LAMELLA_UNARY_OPS(NAME)};
static const char* const kBinaryNames[] = {LAMELLA_BINARY_OPS(NAME)};
#undef NAME

const char* name_of(UnaryOp op) { return kUnaryNames[int(op)]; }
const char* name_of(BinaryOp op) { return kBinaryNames[int(op)]; }

UnaryOp unary_op(const std::string& name) {
  for (int i = 0; i < int(UnaryOp::count); ++i) if (name == kUnaryNames[i]) return UnaryOp(i);
  throw ValueError("[elementwise] name must be that of a unary op, got '" + name + "'");
}
BinaryOp binary_op(const std::string& name) {
  for (int i = 0; i < int(BinaryOp::count); ++i) if (name == kBinaryNames[i]) return BinaryOp(i);
  throw ValueError("[elementwise] name must be that of a binary op, got '" + name + "'");
}

// ---- types ----------------------------------------------------------------------------------------------------------
static bool is_weak(const Operand& a) { return !a.is_array() || a.array->shape.n == 0; }
static DType dtype_of_operand(const Operand& a) {
  return a.kind == Operand::array_kind ? a.array->dtype
         : a.kind == Operand::float_kind ? default_dtype
         : a.kind == Operand::int_kind   ? DType::i64
                                         : DType::b8;
}

DType result_type(const Operand& a, const Operand& b) {
  const DType s = dtype_of_operand(a), t = dtype_of_operand(b);
  if (s == t) return s;
  if (a.is_array() != b.is_array()) {
    if (a.is_array()) return promote_weak(s, t);
    return promote_weak(t, s);
  }
  if (is_weak(a) == is_weak(b)) return promote(s, t);
  return is_weak(b) ? promote_weak(s, t) : promote_weak(t, s);
}

static Device lift(const char* op, Operand& a, const Device& to, Array& held) {
  check<RuntimeError>(a.array->device().is_cpu() && a.array->ndim() == 0, "[", op, "] tensors must lie on one device, got ",
                      a.array->device().str(), " and ", to.str(), ": use .to()");
  held = to_device(*a.array, to);
  a = Operand(held);
  return to;
}

Device meeting_place(const char* op, Operand& a, Operand& b, Array& held) {
  if (!a.is_array()) return b.is_array() ? b.array->device() : Device{};
  const Device d = a.array->device();
  if (!b.is_array() || __builtin_expect(b.array->device() == d, 1)) return d;
  return d.is_cpu() ? lift(op, a, b.array->device(), held) : lift(op, b, d, held);
}

static bool is_predicate(UnaryOp op) { return op >= UnaryOp::isnan; }
static bool is_comparison(BinaryOp op) { return op >= BinaryOp::eq && op <= BinaryOp::logical_xor; }
static bool takes_integers(UnaryOp op) {
  return op == UnaryOp::neg || op == UnaryOp::abs || op == UnaryOp::sign || op == UnaryOp::square ||
         op == UnaryOp::relu || op == UnaryOp::clamp || is_predicate(op);
}
static bool is_rounding(UnaryOp op) { return op >= UnaryOp::floor && op <= UnaryOp::trunc; }

// The dtype that the op is computed in.
static DType compute_type(BinaryOp op, const Operand& a, const Operand& b) {
  DType t = result_type(a, b);
  if ((op == BinaryOp::div || op == BinaryOp::atan2 || (op >= BinaryOp::hypot && op <= BinaryOp::xlogy)) && !is_floating(t))
    return default_dtype;
  if (op >= BinaryOp::bitwise_and && op <= BinaryOp::gcd)
    check<TypeError>(!is_floating(t), "[", name_of(op), "] operands must be integers or bool, got ", name_of(t));
  if (op >= BinaryOp::relu_bwd)
    check<TypeError>(is_floating(t), "[", name_of(op), "] operands must be floating, got ", name_of(t));
  if (t == DType::b8) {
    check<TypeError>(op != BinaryOp::sub,
                     "[sub] operands must not both be bool, got bool and bool; use logical_xor or the ^ operator");
    check<TypeError>(op != BinaryOp::floor_divide && op != BinaryOp::remainder && op != BinaryOp::pow && op != BinaryOp::fmod &&
                         op < BinaryOp::bitwise_left_shift, "[", name_of(op),
                     "] operands must be numbers, got bool and bool");
  }
  return t;
}

static void check_divisor(BinaryOp op, DType t, const Operand& b) {
  if ((op != BinaryOp::floor_divide && op != BinaryOp::remainder && op != BinaryOp::fmod) || is_floating(t)) return;
  if (b.is_array() && !b.array->device().is_cpu()) return;  // a GPU's result is 0 there: to look would be to wait for it
  bool zero = b.is_array() ? scalar_bool(reduce(ReduceOp::any, binary(BinaryOp::eq, b, 0), {}, false)) : b.i == 0;
  check(!zero, "[", name_of(op), "] divisor must not be zero for integers");
}

// ---- operands -------------------------------------------------------------------------------------------------------
union Number {
  double f64; float f32; f16 h; bf16 b; int64_t i64; int32_t i32; int16_t i16; int8_t i8; uint8_t u8; bool b8;
};

template <class S> static void store_number(DType t, S v, Number& to) {
  switch (t) {
    case DType::f64: to.f64 = double(v); break;
    case DType::f32: to.f32 = float(v); break;
    case DType::f16: to.h = f16::from(float(v)); break;
    case DType::bf16: to.b = bf16::from(float(v)); break;
    case DType::i64: to.i64 = int64_t(v); break;
    case DType::i32: to.i32 = int32_t(int64_t(v)); break;
    case DType::i16: to.i16 = int16_t(int64_t(v)); break;
    case DType::i8: to.i8 = int8_t(int64_t(v)); break;
    case DType::u8: to.u8 = uint8_t(int64_t(v)); break;
    case DType::b8: to.b8 = v != 0; break;
  }
}

// An operand as the kernel reads it: of the op's dtype, with strides over the result's shape.
struct Input {
  Array held;              // a converted copy, where one was needed
  Number number;
  const void* data;
  Dims strides;
  const Array* array = nullptr;

  // What steps far along the result's innermost dimension is first read in tiles.
  static bool reads_badly(const Dims& strides, const Array& y) {
    if (y.shape.n < 2 || y.numel() < 16384) return false;
    int in = -1;
    for (int d = y.shape.n - 1; d >= 0; --d)
      if (y.shape.v[d] != 1 && (in < 0 || y.strides.v[d] < y.strides.v[in])) in = d;
    return in >= 0 && strides.v[in] > 16 && y.strides.v[in] == 1;
  }

  void set(const Operand& o, DType t, const Array& y) {
    const Shape& shape = y.shape;
    if (!o.is_array()) {
      if (o.kind == Operand::float_kind) store_number(t, o.f, number); else store_number(t, o.i, number);
      data = &number;
      strides.n = shape.n;
      for (int d = 0; d < shape.n; ++d) strides.v[d] = 0;
      return;
    }
    array = o.array;
    if (array->dtype != t) { held = cast(*array, t); array = &held; }
    strides = broadcast_strides(*array, shape);
    if (reads_badly(strides, y)) {
      held = array->shape == shape ? copy(*array, Order(y)) : contiguous(*array);
      array = &held;
      strides = broadcast_strides(held, shape);
    }
    data = array->bytes();
  }
};

// ---- unary ----------------------------------------------------------------------------------------------------------
static void check_unary(UnaryOp op, DType t) {
  check<TypeError>(is_floating(t) || takes_integers(op) || is_rounding(op), "[", name_of(op),
                   "] input must be floating, got ", name_of(t));
  check<TypeError>(t != DType::b8 || is_predicate(op), "[", name_of(op), "] input must be a number, got bool");
}

static void run_unary(UnaryOp op, const Array& x, Array& y, double p0, double p1) {
  if (x.strides == y.strides && is_dense(x)) {
    kernels().unary({op, x.dtype, x.bytes(), y.bytes(), p0, p1, flat_loop<2>(x.numel())});
    return;
  }
  const int64_t* strides[2] = {y.strides.v, x.strides.v};
  kernels().unary({op, x.dtype, x.bytes(), y.bytes(), p0, p1, make_loop(x.shape.n, x.shape.v, strides)});
}

Array unary(UnaryOp op, const Array& x, double p0, double p1) {
  const bool integer = !is_floating(x.dtype);
  if (integer && !is_predicate(op)) {
    if (!takes_integers(op) && !is_rounding(op)) return unary(op, cast(x, default_dtype), p0, p1);
    check_unary(op, x.dtype);
    if (is_rounding(op)) return clone(x);
  }
  if (integer && is_predicate(op) && op < UnaryOp::signbit) {  // integers are finite
    Array y = empty(x.shape, DType::b8);
    fill_(y, int64_t(op == UnaryOp::isfinite));
    return y;
  }
  if (integer && op == UnaryOp::signbit) return binary(BinaryOp::lt, x, 0);
  Array y = empty_in_layout(x.shape, is_predicate(op) ? DType::b8 : x.dtype, {&x});
  run_unary(op, x, y, p0, p1);
  return y;
}

void unary_(UnaryOp op, Array& x, double p0, double p1) {
  check_unary(op, x.dtype);
  if (is_predicate(op)) { copy_(x, unary(op, x, p0, p1)); return; }
  if (is_rounding(op) && !is_floating(x.dtype)) return;
  run_unary(op, x, x, p0, p1);
}

// ---- binary ---------------------------------------------------------------------------------------------------------
static void run_binary(BinaryOp op, DType t, const Input& a, const Input& b, const Array& y, double p0, double p1) {
  const int64_t* strides[3] = {y.strides.v, a.strides.v, b.strides.v};
  const uint8_t numbers = uint8_t(!a.array) | uint8_t(!b.array) << 1;
  kernels().binary({op, t, a.data, b.data, y.bytes(), p0, p1, make_loop(y.shape.n, y.shape.v, strides), numbers});
}

// x ** number as a cheaper op of the same value; false where there is none.
static bool simple_power(const Array& x, double exponent, Array& y) {
  if (!is_floating(x.dtype)) return false;
  if (exponent == 2) y = unary(UnaryOp::square, x);
  else if (exponent == 1) y = clone(x);
  else if (exponent == 0.5) y = unary(UnaryOp::sqrt, x);
  else if (exponent == -1) y = unary(UnaryOp::reciprocal, x);
  else if (exponent == 3) y = unary(UnaryOp::cube, x);
  else return false;
  return true;
}

Array binary(BinaryOp op, const Operand& a, const Operand& b, double p0, double p1) {
  const DType t = compute_type(op, a, b);
  if (op == BinaryOp::pow && a.is_array() && !b.is_array()) {
    const double exponent = b.kind == Operand::float_kind ? b.f : double(b.i);
    check(is_floating(t) || exponent >= 0, "[pow] exponent of integers must not be negative, got ", exponent);
    Array y;
    if (a.array->dtype == t && simple_power(*a.array, exponent, y)) return y;
  }
  check_divisor(op, t, b);
  const DType to = is_comparison(op) ? DType::b8 : t;
  if (a.is_array() && b.is_array()) {  // the short way: same shape and dtype, contiguous
    const Array &x = *a.array, &z = *b.array;
    if (x.dtype == t && z.dtype == t && x.shape == z.shape && x.is_contiguous() && z.is_contiguous()) {
      Array y = empty(x.shape, to);
      kernels().binary({op, t, x.bytes(), z.bytes(), y.bytes(), p0, p1, flat_loop<3>(x.numel())});
      return y;
    }
  }
  if (a.is_array() != b.is_array()) {  // likewise an array and a number
    const Array& x = a.is_array() ? *a.array : *b.array;
    const Operand& o = a.is_array() ? b : a;
    if (x.dtype == t && x.is_contiguous()) {
      Number number;
      if (o.kind == Operand::float_kind) store_number(t, o.f, number); else store_number(t, o.i, number);
      Array y = empty(x.shape, to);
      Loop<3> loop = flat_loop<3>(x.numel());
      loop.stride[a.is_array() ? 2 : 1][0] = 0;
      const void *p = x.bytes(), *q = &number;
      kernels().binary({op, t, a.is_array() ? p : q, a.is_array() ? q : p, y.bytes(), p0, p1, loop, uint8_t(a.is_array() ? 2 : 1)});
      return y;
    }
  }
  const Shape shape = a.is_array() && b.is_array() ? broadcast(name_of(op), a.array->shape, b.array->shape)
                      : a.is_array()               ? a.array->shape
                      : b.is_array()               ? b.array->shape
                                                   : Shape{};
  Array y = empty_in_layout(shape, to, {a.is_array() ? a.array : nullptr, b.is_array() ? b.array : nullptr});
  Input x, z;
  x.set(a, t, y);
  z.set(b, t, y);
  run_binary(op, t, x, z, y, p0, p1);
  return y;
}

static bool category_fits(DType from, DType to) {
  auto rank = [](DType t) { return is_floating(t) ? 2 : t == DType::b8 ? 0 : 1; };
  return rank(from) <= rank(to);
}

void binary_out(BinaryOp op, Array& out, const Operand& a, const Operand& b, double p0, double p1) {
  const DType t = compute_type(op, a, b), to = is_comparison(op) ? DType::b8 : t;
  check<TypeError>(category_fits(to, out.dtype), "[", name_of(op), "] in-place result must fit ", name_of(out.dtype),
                   ", got ", name_of(to));
  check_divisor(op, t, b);
  auto overlaps = [&](const Operand& o) {  // shares memory, but is not the same view
    return o.is_array() && o.array->storage.get() == out.storage.get() &&
           !(o.array->offset == out.offset && o.array->shape == out.shape && o.array->strides == out.strides &&
             o.array->dtype == out.dtype);
  };
  if (to != out.dtype || overlaps(a) || overlaps(b)) {
    Array y = binary(op, a, b, p0, p1);
    check(y.shape == out.shape, "[", name_of(op), "] in-place result must have shape ", out.shape, ", got ", y.shape);
    copy_(out, y);
    return;
  }
  for (const Operand* o : {&a, &b})
    if (o->is_array() && o->array->shape != out.shape) {
      Shape shape = broadcast(name_of(op), out.shape, o->array->shape);
      check(shape == out.shape, "[", name_of(op), "] in-place result must have shape ", out.shape, ", got ", shape);
    }
  Input x, z;
  x.set(a, t, out);
  z.set(b, t, out);
  run_binary(op, t, x, z, out, p0, p1);
}

Array ternary(const std::string& op, const Array& a, const Array& b, const Operand& c, double p) {
  const TernaryOp kind = op == "lerp" ? TernaryOp::lerp : op == "addcmul" ? TernaryOp::addcmul : TernaryOp::addcdiv;
  const DType t = a.dtype;
  Shape shape = broadcast(op.c_str(), a.shape, b.shape);
  if (c.is_array()) shape = broadcast(op.c_str(), shape, c.array->shape);
  Array y = empty_in_layout(shape, t, {&a, &b, c.is_array() ? c.array : nullptr});
  Input x[3];
  x[0].set(a, t, y);
  x[1].set(b, t, y);
  x[2].set(c, t, y);
  const int64_t* strides[4] = {y.strides.v, x[0].strides.v, x[1].strides.v, x[2].strides.v};
  const uint8_t numbers = x[2].array ? 0 : 4;
  kernels().ternary({kind, t, x[0].data, x[1].data, x[2].data, y.bytes(), p, make_loop(shape.n, shape.v, strides), numbers});
  return y;
}

Array where(const Array& condition, const Operand& a, const Operand& b) {
  check<TypeError>(condition.dtype == DType::b8, "[where] condition must be bool, got ", name_of(condition.dtype));
  const DType t = result_type(a, b);
  Shape shape = condition.shape;
  if (a.is_array()) shape = broadcast("where", shape, a.array->shape);
  if (b.is_array()) shape = broadcast("where", shape, b.array->shape);
  Array y = empty_in_layout(shape, t, {a.is_array() ? a.array : nullptr, b.is_array() ? b.array : nullptr, &condition});
  Input c, x, z;
  c.set(condition, DType::b8, y);
  x.set(a, t, y);
  z.set(b, t, y);
  const int64_t* strides[4] = {y.strides.v, c.strides.v, x.strides.v, z.strides.v};
  const uint8_t numbers = uint8_t(!x.array) | uint8_t(!z.array) << 1;
  kernels().where({t, c.data, x.data, z.data, y.bytes(), make_loop(shape.n, shape.v, strides), numbers});
  return y;
}

// ---- copies ---------------------------------------------------------------------------------------------------------
static void run_cast(const Array& out, const Array& x, const Dims& x_strides) {
  const int64_t* strides[2] = {out.strides.v, x_strides.v};
  kernels().cast({x.dtype, out.dtype, x.bytes(), out.bytes(), make_loop(out.shape.n, out.shape.v, strides)});
}

Array cast(const Array& x, DType dtype) {
  if (x.dtype == dtype) return x;
  Array y = empty_in_layout(x.shape, dtype, {&x});
  if (Input::reads_badly(x.strides, y)) {
    const Array c = copy(x, Order(y));
    run_cast(y, c, c.strides);
  } else {
    run_cast(y, x, x.strides);
  }
  return y;
}

Array copy(const Array& x) {
  Array y = empty(x.shape, x.dtype);
  run_cast(y, x, x.strides);
  return y;
}

Array copy(const Array& x, const Order& order) {
  Array y = order.make(x.shape, x.dtype);
  run_cast(y, x, x.strides);
  return y;
}

Array clone(const Array& x) { return copy(x, Order(x)); }

Array channels_last(const Array& x) {
  check(x.ndim() >= 3, "[contiguous] input must have at least 3 dimensions for channels_last, got ", x.shape);
  if (x.is_channels_last()) return x;
  Array y = empty_channels_last(x.shape, x.dtype);
  run_cast(y, x, x.strides);
  return y;
}

Array contiguous(const Array& x) { return x.is_contiguous() ? x : copy(x); }

// From one device to another: made dense, and of out's dtype where that is smaller, before it travels.
static void copy_across(Array& out, const Array& x, bool wait) {
  Array dense;
  {
    const On source(x.device());
    dense = contiguous(size_of(out.dtype) < size_of(x.dtype) ? cast(x, out.dtype) : x);
  }
  if (out.is_contiguous() && out.dtype == dense.dtype && out.shape == dense.shape) return transfer(out, dense, wait);
  const On target(out.device());
  const Array arrived = to_device(dense, out.device(), wait);
  run_cast(out, arrived, broadcast_strides(arrived, out.shape));
}

void copy_(Array& out, const Array& x, bool wait) {
  check(broadcast("copy_", out.shape, x.shape) == out.shape, "[copy_] source must broadcast to ", out.shape, ", got ",
        x.shape);
  if (x.device() != out.device()) { copy_across(out, x, wait); return; }
  const bool overlap = x.storage.get() == out.storage.get();
  if (overlap && x.offset == out.offset && x.shape == out.shape && x.strides == out.strides && x.dtype == out.dtype)
    return;
  if (overlap) { Array c = copy(x); run_cast(out, c, broadcast_strides(c, out.shape)); return; }
  run_cast(out, x, broadcast_strides(x, out.shape));
}

template <class S> static void fill_number(Array& out, S value) {
  Number number;
  store_number(out.dtype, value, number);
  const int64_t* strides[1] = {out.strides.v};
  kernels().fill({out.dtype, &number, out.bytes(), make_loop(out.shape.n, out.shape.v, strides)});
}
uint64_t number_bits(DType dtype, double value) {
  Number number;
  store_number(dtype, value, number);
  uint64_t bits = 0;
  std::memcpy(&bits, &number, size_t(size_of(dtype)));
  return bits;
}
void fill_(Array& out, double value) { fill_number(out, value); }
void fill_(Array& out, int64_t value) { fill_number(out, value); }

}  // namespace lamella::ops
