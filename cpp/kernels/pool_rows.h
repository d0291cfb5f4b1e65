// SPDX-License-Identifier: MIT
// What pooling's windows see along a dim, and rows of images: which there are, read and written.
#pragma once
#include "vec.h"

namespace lamella {
namespace LAMELLA_ISA {

// Inputs [begin, end) under output o along dim i, and the window's size as average pooling counts it.
struct Window { int64_t begin, end, size; };

static Window window(const ConvGeometry& g, int i, int64_t o, bool adaptive, bool count_pad) {
  int64_t in = g.in[i], out = g.out[i];
  if (adaptive) {
    int64_t begin = o * in / out, end = ((o + 1) * in + out - 1) / out;
    return {begin, end, end - begin};
  }
  int64_t begin = o * g.stride[i] - g.pad[i], end = begin + g.kernel[i];
  if (end > in + g.pad[i]) end = in + g.pad[i];
  int64_t padded = end - begin;
  if (begin < 0) begin = 0;
  if (end > in) end = in;
  return {begin, end, count_pad ? padded : end - begin};
}

// Outputs [begin, end) whose window holds input i along dim d.
static Window covering(const ConvGeometry& g, int d, int64_t i, bool adaptive) {
  int64_t in = g.in[d], out = g.out[d], begin, end;
  if (adaptive) {
    begin = Division(i * out, in).quotient;
    end = Division((i + 1) * out + in - 1, in).quotient;
  } else {
    const int64_t past = i + g.pad[d] - g.kernel[d];
    begin = past < 0 ? 0 : Division(past, g.stride[d]).quotient + 1;
    end = Division(i + g.pad[d], g.stride[d]).quotient + 1;
    if (end > out) end = out;
  }
  return {begin, end, 0};
}

// Calls f(n, c, d, h) for rows [begin, end) of an (N, C, D, H) grid.
template <class F> static void each_row(int64_t begin, int64_t end, int64_t C, int64_t D, int64_t H, const F& f) {
  int64_t h = begin % H, r = begin / H, d = r % D, c = r / D % C, n = r / D / C;
  for (int64_t i = begin; i < end; ++i) {
    f(n, c, d, h);
    if (++h == H) { h = 0; if (++d == D) { d = 0; if (++c == C) { c = 0; ++n; } } }
  }
}

// to = x, or to += x: n elements, `step` apart in x.
template <bool Add, class T> static void load_row(acc_t<T>* to, const T* x, int64_t n, int64_t step) {
  constexpr int L = kLanes<acc_t<T>>;
  int64_t i = 0;
  if (step == 1) {
    for (; i + L <= n; i += L) vstore(to + i, Add ? vload(to + i) + vload(x + i) : vload(x + i));
    if (i < n) vstore(to + i, Add ? vload(to + i, n - i) + vload(x + i, n - i) : vload(x + i, n - i), n - i);
  } else {
    for (; i < n; ++i) to[i] = Add ? to[i] + up(x[i * step]) : up(x[i * step]);
  }
}

template <class T> static void store_row(T* y, const acc_t<T>* from, int64_t n, int64_t step) {
  constexpr int L = kLanes<acc_t<T>>;
  int64_t i = 0;
  if (step == 1) {
    for (; i + L <= n; i += L) vstore(y + i, vload(from + i));
    if (i < n) vstore(y + i, vload(from + i, n - i), n - i);
  } else {
    for (; i < n; ++i) y[i * step] = down<T>(from[i]);
  }
}

// Every Step-th (0: step-th) element from p, one a lane. Step 2 reads one element past the last.
template <int Step, class A> LAMELLA_INLINE vec<A> load_every(const A* p, int64_t step) {
  constexpr int L = kLanes<A>;
  if constexpr (Step == 1) return vload(p);
  else if constexpr (Step == 2) return every_second<0, A>(vload(p), vload(p + L));
  else {
    vec<A> v;
    for (int i = 0; i < L; ++i) v[i] = p[i * step];
    return v;
  }
}

}  // namespace LAMELLA_ISA
}  // namespace lamella
