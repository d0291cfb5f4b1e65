// SPDX-License-Identifier: MIT
// The gates and their gradients, for lanes of a CPU's vectors and for threads of a GPU.
#pragma once
#include "activation.h"

namespace lamella {
namespace LAMELLA_ISA {

template <GateOp op, class V> LAMELLA_INLINE V gated(V a, V b) {
  if constexpr (op == GateOp::glu) return a * vsigmoid(b);
  else if constexpr (op == GateOp::swiglu) return silu(a) * b;
  else return gelu(a) * b;
}

template <GateOp op, class V> LAMELLA_INLINE void d_gated(V a, V b, V dy, V& da, V& db) {
  if constexpr (op == GateOp::glu) {
    const V s = vsigmoid(b);
    da = dy * s;
    db = dy * a * d_sigmoid(s);
  } else if constexpr (op == GateOp::swiglu) {
    const V s = vsigmoid(a);
    da = dy * b * s * fma(a, elem_t<V>(1) - s, constant<V>(1));
    db = dy * a * s;
  } else {
    da = dy * b * d_gelu(a);
    db = dy * gelu(a);
  }
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
