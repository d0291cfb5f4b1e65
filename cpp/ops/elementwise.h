// SPDX-License-Identifier: MIT
// Elementwise ops with NumPy's broadcasting and PyTorch's type promotion: Python numbers and 0-d arrays change the
// result's dtype only where their category (bool < integer < float) is higher. A result lies in memory as its operand
// does (layout.h): channels-last stays channels-last.
#pragma once
#include <concepts>
#include "core/array.h"
#include "kernels/kernels.h"
#include "layout.h"

namespace lamella::ops {

// What an operator takes: an array (not owned), or a Python number.
struct Operand {
  enum Kind : uint8_t { array_kind, bool_kind, int_kind, float_kind };
  Kind kind;
  union { const Array* array; int64_t i; double f; };
  Operand(const Array& a) : kind(array_kind), array(&a) {}
  Operand(bool v) : kind(bool_kind), i(v) {}
  template <std::integral T> Operand(T v) : kind(int_kind), i(int64_t(v)) {}
  template <std::floating_point T> Operand(T v) : kind(float_kind), f(double(v)) {}
  bool is_array() const { return kind == array_kind; }
};

// Where an op on these runs. A 0-d array of the CPU beside one of a GPU goes there (into `held`); else both must lie together.
Device meeting_place(const char* op, Operand& a, Operand& b, Array& held);

const char* name_of(UnaryOp);
const char* name_of(BinaryOp);
UnaryOp unary_op(const std::string& name);    // ValueError where there is none
BinaryOp binary_op(const std::string& name);

DType result_type(const Operand& a, const Operand& b);

// div and atan2 of integers give float32; comparisons and logic give bool. x_bwd ops take (s, dy): see kernels.h.
Array unary(UnaryOp op, const Array& x, double p0 = 0, double p1 = 0);
Array binary(BinaryOp op, const Operand& a, const Operand& b, double p0 = 0, double p1 = 0);
// By name: lerp, addcmul, addcdiv as in kernels.h. a, b and the array among c have one floating dtype.
Array ternary(const std::string& op, const Array& a, const Array& b, const Operand& c, double p);
Array where(const Array& condition, const Operand& a, const Operand& b);

// In place. The result must fit `out`: its shape, and a category no higher than its dtype's. out may be an operand, or
// overlap one.
void unary_(UnaryOp op, Array& x, double p0 = 0, double p1 = 0);
void binary_out(BinaryOp op, Array& out, const Operand& a, const Operand& b, double p0 = 0, double p1 = 0);

Array cast(const Array& x, DType dtype);      // x itself if it has that dtype
Array contiguous(const Array& x);             // x itself if it is
Array copy(const Array& x);                   // a new contiguous array
Array copy(const Array& x, const Order&);     // a new one in that order
Array clone(const Array& x);                  // a new one that lies as x does
Array channels_last(const Array& x);          // x itself if it is; (N, C, ...) with at least 3 dimensions
void copy_(Array& out, const Array& x, bool wait = true);  // broadcasts, casts; x may overlap out; wait: as in to_device
void fill_(Array& out, double value);
void fill_(Array& out, int64_t value);
uint64_t number_bits(DType, double value);    // of one element, in the lowest bytes

}  // namespace lamella::ops
