// SPDX-License-Identifier: MIT
// The ternary ops, for lanes of a CPU's vectors and for threads of a GPU.
#pragma once
#include "lanes.h"

namespace lamella {
namespace LAMELLA_ISA {

template <TernaryOp op, class V> LAMELLA_INLINE V ternary_of(V a, V b, V c, elem_t<V> p) {
  if constexpr (op == TernaryOp::lerp) return fma(c, b - a, a);
  else if constexpr (op == TernaryOp::addcmul) return fma(p * b, c, a);
  else return a + p * (b / c);
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
