// SPDX-License-Identifier: MIT
#include "dtype.h"

namespace lamella {

DType default_dtype = DType::f32;

static int category(DType t) { return t == DType::b8 ? 0 : is_floating(t) ? 2 : 1; }

DType promote(DType a, DType b) {
  if (a == b) return a;
  int ca = category(a), cb = category(b);
  if (ca != cb) return ca > cb ? a : b;
  if (ca == 2) {  // of two different 16-bit floats neither holds the other
    bool halves = size_of(a) == 2 && size_of(b) == 2;
    return halves ? DType::f32 : size_of(a) > size_of(b) ? a : b;
  }
  if (size_of(a) != size_of(b)) return size_of(a) > size_of(b) ? a : b;
  return DType::i16;  // uint8 with int8
}

DType promote_weak(DType a, DType b) { return category(b) > category(a) ? b : a; }

}  // namespace lamella
