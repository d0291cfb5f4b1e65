// SPDX-License-Identifier: MIT
// How results lie: as their operands do. An order of dimensions is taken from an array's strides, also of a view with holes, and a
// result is dense memory in that order: what is made of a part of a channels-last image is channels-last.
#pragma once
#include <initializer_list>
#include "core/array.h"

namespace lamella::ops {

// An array's dimensions, the farthest apart in memory first. Those of one element keep their places, and all do where some are
// broadcast. Images that are channels-last have that order whatever their sizes.
struct Order {
  Dims to, from;        // from an array's dimensions to the order's, and back
  bool natural = true;  // as they are
  Order() = default;    // row-major
  explicit Order(const Array&);
  bool fits(const Array&) const;  // whether its dimensions come in this order
  Array apply(const Array& x) const { return natural ? x : x.permute(to); }
  int dim(int d) const { return natural ? d : int(from[d]); }  // where dimension d comes in the order
  Array make(const Shape&, DType) const;                       // uninitialised, of the shape before `apply`
};

bool is_dense(const Array&);  // every element of a run of memory once, in whatever order of dimensions
// As the first of these (null: none) lies that has that shape and is not broadcast.
Array empty_in_layout(const Shape&, DType, std::initializer_list<const Array*>);

}  // namespace lamella::ops
