// SPDX-License-Identifier: MIT
// Gated linear units: one half of the input scales the other.
#include "gate_formulas.h"
#include "rows.h"

namespace lamella {
namespace LAMELLA_ISA {

// f(row, first, count) over runs of the halves.
template <class F> static void runs(int64_t outer, int64_t n, const F& f) {
  const int64_t chunks = ceil_div(n, kTask), all = outer * chunks;
  parallel_blocks(all, row_grain(all, least(n, kTask)), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) f(t / chunks, t % chunks * kTask, least(kTask, n - t % chunks * kTask));
  });
}

template <GateOp op, class T> static void forward(const GateFwd& g) {
  using A = acc_t<T>;
  runs(g.outer, g.n, [&](int64_t r, int64_t first, int64_t count) {
    const T *a = (const T*)g.x + 2 * r * g.n + first, *b = a + g.n;
    T* y = (T*)g.y + r * g.n + first;
    sweep<A, 2>(count, [&](int64_t i, int, auto k) { st(y + i, gated<op>(ld(a + i, k), ld(b + i, k)), k); });
  });
}

template <GateOp op, class T> static void backward(const GateBwd& g) {
  using A = acc_t<T>;
  runs(g.outer, g.n, [&](int64_t r, int64_t first, int64_t count) {
    const int64_t at = 2 * r * g.n + first;
    const T *a = (const T*)g.x + at, *b = a + g.n, *dy = (const T*)g.dy + r * g.n + first;
    T *da = (T*)g.dx + at, *db = da + g.n;
    sweep<A, 1>(count, [&](int64_t i, int, auto k) {
      vec<A> u, v;
      d_gated<op>(ld(a + i, k), ld(b + i, k), ld(dy + i, k), u, v);
      st(da + i, u, k);
      st(db + i, v, k);
    });
  });
}

void gate_fwd(const GateFwd& g) {
  by_float(g.dtype, [&](auto t) {
    using T = decltype(t);
    if (g.op == GateOp::glu) forward<GateOp::glu, T>(g);
    else if (g.op == GateOp::swiglu) forward<GateOp::swiglu, T>(g);
    else forward<GateOp::geglu, T>(g);
  });
}
void gate_bwd(const GateBwd& g) {
  by_float(g.dtype, [&](auto t) {
    using T = decltype(t);
    if (g.op == GateOp::glu) backward<GateOp::glu, T>(g);
    else if (g.op == GateOp::swiglu) backward<GateOp::swiglu, T>(g);
    else backward<GateOp::geglu, T>(g);
  });
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
