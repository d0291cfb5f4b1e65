// SPDX-License-Identifier: MIT
#include "shape.h"
#include "errors.h"

namespace lamella {

void Dims::push(int64_t x) {
  check<ValueError>(n < kMaxDims, "[shape] a tensor must have at most ", kMaxDims, " dimensions");
  v[n++] = x;
}

void Dims::insert(int at, int64_t x) {
  push(x);
  for (int i = n - 1; i > at; --i) v[i] = v[i - 1];
  v[at] = x;
}

void Dims::erase(int at) {
  for (int i = at; i + 1 < n; ++i) v[i] = v[i + 1];
  --n;
}

bool Dims::operator==(const Dims& o) const {
  if (n != o.n) return false;
  for (int i = 0; i < n; ++i) if (v[i] != o.v[i]) return false;
  return true;
}

int64_t Dims::product() const {
  int64_t p = 1;
  for (int i = 0; i < n; ++i) p *= v[i];
  return p;
}

std::ostream& operator<<(std::ostream& s, const Dims& d) {
  s << '(';
  for (int i = 0; i < d.n; ++i) s << (i ? ", " : "") << d[i];
  return s << (d.n == 1 ? ",)" : ")");
}

Dims contiguous_strides(const Shape& shape) {
  Dims strides;
  strides.n = shape.n;
  int64_t step = 1;
  for (int i = shape.n - 1; i >= 0; --i) {
    strides[i] = step;
    step *= shape[i] > 0 ? shape[i] : 1;
  }
  return strides;
}

Shape broadcast(const char* op, const Shape& a, const Shape& b) {
  const Shape &longer = a.n >= b.n ? a : b, &shorter = a.n >= b.n ? b : a;
  Shape r = longer;
  for (int i = 0; i < shorter.n; ++i) {
    int64_t& x = r[longer.n - shorter.n + i];
    int64_t y = shorter[i];
    if (x == y || y == 1) continue;
    check<ValueError>(x == 1, "[", op, "] shapes must broadcast, got ", a, " and ", b);
    x = y;
  }
  return r;
}

int normalize_dim(const char* op, int64_t dim, int ndim) {
  int64_t n = ndim > 0 ? ndim : 1;  // a scalar takes 0 and -1
  check<IndexError>(dim >= -n && dim < n, "[", op, "] dim must be in [", -n, ", ", n, "), got ", dim);
  return int(dim < 0 ? dim + n : dim);
}

}  // namespace lamella
