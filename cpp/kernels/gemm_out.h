// SPDX-License-Identifier: MIT
// The result of gemm_core.h as a matrix with adjacent columns, with bias and activation in its last step.
#pragma once
#include "activation.h"

namespace lamella {
namespace LAMELLA_ISA {

template <class T> struct Epilogue {
  BiasAxis axis = BiasAxis::none;
  const T* bias = nullptr;
  Act act = Act::none;
  bool empty() const { return axis == BiasAxis::none && act == Act::none; }
};

template <class T> struct MatrixOut {
  using A = acc_t<T>;
  static constexpr bool kDirect = __is_same(T, A);
  T* c;
  int64_t row;
  bool accumulate;
  Epilogue<T> epilogue;

  T* at(int64_t i, int64_t j) const { return c + i * row + j; }
  bool starts() const { return kDirect && epilogue.axis == BiasAxis::column && !accumulate; }  // sums do, from the bias
  const A* start(int64_t j) const {
    if constexpr (kDirect) return starts() ? epilogue.bias + j : nullptr;
    else return nullptr;
  }
  void finish(int64_t i, int64_t j, int rows, int cols, A* tile, int64_t stride) const {
    MatrixOut rest = *this;
    if (starts()) rest.epilogue.axis = BiasAxis::none;
    if (kDirect && rest.epilogue.empty()) return;
    for (int r = 0; r < rows; ++r, tile += stride) rest.write(i + r, j, cols, tile, !kDirect && accumulate);
  }
  // C's row i from column j on: act(sum + bias), or C + sum.
  void write(int64_t i, int64_t j, int cols, const A* sum, bool add = false) const {
    constexpr int L = kLanes<A>;
    T* to = at(i, j);
    vec<A> b = epilogue.axis == BiasAxis::row ? splat(up(epilogue.bias[i])) : vec<A>{};
    const T* beside = add ? to : epilogue.axis == BiasAxis::column ? epilogue.bias + j : nullptr;
    for (int s = 0; s < cols; s += L) {
      const int n = cols - s < L ? cols - s : L;
      if (beside) b = n == L ? vload(beside + s) : vload(beside + s, n);
      vec<A> v = (n == L ? vload(sum + s) : vload(sum + s, n)) + b;
      if (epilogue.act != Act::none) v = apply_act(epilogue.act, v);
      if (n == L) vstore(to + s, v);
      else vstore(to + s, v, n);
    }
  }
};

}  // namespace LAMELLA_ISA
}  // namespace lamella
