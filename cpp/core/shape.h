// SPDX-License-Identifier: MIT
// Sizes and strides of up to eight dimensions, inline. Strides count elements.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <string>

namespace lamella {

constexpr int kMaxDims = 8;

struct Dims {  // a short vector of int64: a shape, strides, or a list of axes
  int n = 0;
  int64_t v[kMaxDims];
  Dims() = default;
  Dims(std::initializer_list<int64_t> l) { for (int64_t x : l) push(x); }
  template <class It> Dims(It first, It last) { for (; first != last; ++first) push(*first); }
  void push(int64_t x);            // ValueError past kMaxDims
  void insert(int at, int64_t x);
  void erase(int at);
  int64_t& operator[](int i) { return v[i]; }
  int64_t operator[](int i) const { return v[i]; }
  int64_t back() const { return v[n - 1]; }
  int size() const { return n; }
  const int64_t* begin() const { return v; }
  const int64_t* end() const { return v + n; }
  bool operator==(const Dims& o) const;
  bool operator!=(const Dims& o) const { return !(*this == o); }
  int64_t product() const;
};
using Shape = Dims;

std::ostream& operator<<(std::ostream&, const Dims&);  // (2, 3, 4) and (5,)

Dims contiguous_strides(const Shape&);
// NumPy's rule; ValueError names `op` and both shapes.
Shape broadcast(const char* op, const Shape& a, const Shape& b);
// -1 counts from the end; IndexError names `op`, the dimension and the range.
int normalize_dim(const char* op, int64_t dim, int ndim);

}  // namespace lamella
