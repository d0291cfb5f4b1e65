// SPDX-License-Identifier: MIT
// y = op(a, b).
#include "elementwise.cuh"
#include "../cpp/kernels/binary_formulas.h"

namespace lamella::cuda {
namespace {

using namespace binary_formulas;

// The op on one pair, in any arithmetic type; comparisons and logic give 1 and 0.
template <BinaryOp op, class A> GPU A binary_of(A a, A b, A p0, A p1) {
  if constexpr (requires { Compare<op>::none; } == false) return A(Compare<op>::on(a, b));
  else if constexpr (requires { Logic<op>::none; } == false) return A(Logic<op>::on(a != A(0), b != A(0)));
  else if constexpr (A(0.5) != A(0)) {
    if constexpr (requires { Of<op>::none; }) return a; else return Of<op>::on(a, b, p0, p1);
  } else {
    if constexpr (requires { OfInt<op>::none; }) return a; else return OfInt<op>::on(a, b);
  }
}
template <class A> struct AnyBinary {
  static constexpr bool kUnroll = false;
  BinaryOp op;
  A p0, p1;
  GPU A operator()(A a, A b) const {
    switch (op) {
#define CASE(name) case BinaryOp::name: return binary_of<BinaryOp::name, A>(a, b, p0, p1);
      LAMELLA_BINARY_OPS(CASE)
#undef CASE
      case BinaryOp::count: break;
    }
    return a;
  }
};

// Hot ops where rows are whole 16-byte packs (or all is one row): an operand's pack is read, or is one element of the
// array or a number throughout. The walk's innermost dimension counts packs.
enum class Source : int { packs, single, number };
template <class T> struct PackOperand { const T* p; acc_t<T> value; Source source; };

constexpr int kFlight = 2;  // packs of a thread in flight, of each operand
constexpr bool is_cheap(BinaryOp op) {
  return op < BinaryOp::div || op == BinaryOp::maximum || op == BinaryOp::minimum || op == BinaryOp::relu_bwd;
}

template <class T> GPU Pack<T, kPack<T>> pack_at(const PackOperand<T>& o, int64_t at) {
  const Source source = opaque(o.source);
  if (source == Source::packs) return load_pack<T, kPack<T>>(o.p + at);
  const T one = source == Source::number ? down<T>(o.value) : o.p[at];
  Pack<T, kPack<T>> v;
#pragma unroll
  for (int i = 0; i < kPack<T>; ++i) v.v[i] = one;
  return v;
}
template <BinaryOp op, class T> GPU void apply(Pack<T, kPack<T>>& u, const Pack<T, kPack<T>>& v) {
#pragma unroll
  for (int i = 0; i < kPack<T>; ++i) u.v[i] = down<T>(binary_of<op, acc_t<T>>(up(u.v[i]), up(v.v[i]), 0, 0));
}
template <BinaryOp op, class T>
__global__ void __launch_bounds__(kThreads)
binary_packs(const __grid_constant__ Walk<3> w, const PackOperand<T> a, const PackOperand<T> b, T* y, int rest) {
  constexpr int L = kPack<T>;
  const uint32_t tile = kThreads * kFlight;
#pragma unroll 1
  for (uint32_t base = blockIdx.x * tile + threadIdx.x; base < w.n; base += gridDim.x * tile) {
    Pack<T, L> u[kFlight], v[kFlight];
    int64_t at[kFlight][3];
#pragma unroll
    for (int j = 0; j < kFlight; ++j)
      if (base + j * kThreads < w.n) {
        w.locate(base + j * kThreads, at[j]);
        u[j] = pack_at(a, at[j][1]);
        v[j] = pack_at(b, at[j][2]);
      }
    if constexpr (is_cheap(op)) {
#pragma unroll
      for (int j = 0; j < kFlight; ++j)
        if (base + j * kThreads < w.n) {
          apply<op, T>(u[j], v[j]);
          store_pack(y + at[j][0], u[j]);
        }
    } else {  // the op's code once: the packs rotate
#pragma unroll 1
      for (uint32_t i = base; i < w.n && i < base + tile; i += kThreads) {
        apply<op, T>(u[0], v[0]);
        store_pack(y + at[0][0], u[0]);
#pragma unroll
        for (int j = 0; j + 1 < kFlight; ++j) { u[j] = u[j + 1]; v[j] = v[j + 1]; at[j][0] = at[j + 1][0]; }
      }
    }
  }
  if (blockIdx.x == 0 && int(threadIdx.x) < rest) {  // one row alone has a rest
    const int64_t at = int64_t(w.n) * L + threadIdx.x;
    const auto one = [&](const PackOperand<T>& o) {
      return o.source == Source::number ? o.value : up(o.p[o.source == Source::single ? 0 : at]);
    };
    y[at] = down<T>(binary_of<op, acc_t<T>>(one(a), one(b), 0, 0));
  }
}

#define HOT_OPS(B)                                                                                             \
  B(add) B(sub) B(mul) B(div) B(maximum) B(minimum) B(relu_bwd) B(tanh_bwd) B(sigmoid_bwd) B(silu_bwd) B(gelu_bwd) \
  B(gelu_tanh_bwd)
constexpr bool is_hot(BinaryOp op) {
  switch (op) {
#define CASE(name) case BinaryOp::name:
    HOT_OPS(CASE)
#undef CASE
    return true;
    default: return false;
  }
}

template <class T> bool binary_hot(const Binary& s) {
  constexpr int L = kPack<T>;
  Walk<3> walk(s.loop);
  const int last = walk.ndim - 1;
  const void* p[3] = {s.y, s.a, s.b};
  if (!walk.has_rows_of(L) || walk.inner(0) != 1) return false;
  PackOperand<T> operand[2];
  for (int k = 0; k < 3; ++k) {
    const bool number = k && s.numbers >> (k - 1) & 1, single = k && walk.inner(k) == 0;
    if (!number && !single && !walk.in_words(k, p[k], sizeof(T), L)) return false;
    if (k)
      operand[k - 1] = {static_cast<const T*>(p[k]), number ? number_as<acc_t<T>>(s.dtype, p[k]) : 0,
                        number ? Source::number : single ? Source::single : Source::packs};
  }
  const int rest = int(walk.row() % L);
  walk.n = uint32_t(walk.n / walk.row() * (walk.row() / L));
  walk.set_size(last, walk.row() / L);
  for (int k = 0; k < 3; ++k) walk.stride[k][last] *= L;
  const auto run = [&](auto kernel) {
    launch("binary", kernel, dim3(unsigned(most(1, blocks_for(walk.n, kThreads * kFlight)))), dim3(kThreads), 0, walk, operand[0],
           operand[1], static_cast<T*>(s.y), rest);
  };
  switch (s.op) {
#define CASE(name) case BinaryOp::name: run(binary_packs<BinaryOp::name, T>); break;
    HOT_OPS(CASE)
#undef CASE
    default: break;
  }
  return true;
}

}  // namespace

void binary(const Binary& all) {
  in_parts(all.loop, kMostElements, [&](const Loop<3>& part, const int64_t (&first)[3]) {
    const int size = size_of(all.dtype);
    const bool to_bool = all.op >= BinaryOp::eq && all.op <= BinaryOp::logical_xor;
    Binary s = all;
    s.loop = part;
    s.a = moved(all.a, first[1], size);
    s.b = moved(all.b, first[2], size);
    s.y = const_cast<void*>(moved(all.y, first[0], to_bool ? 1 : size));
    if (is_hot(s.op)) {
      if (s.dtype == DType::f32 && binary_hot<float>(s)) return;
      if (s.dtype == DType::bf16 && binary_hot<bf16>(s)) return;
      if (s.dtype == DType::f16 && binary_hot<f16>(s)) return;
    }
    const Given given[3] = {{s.y, to_bool ? DType::b8 : s.dtype}, {s.a, s.dtype}, {s.b, s.dtype}};
    if (s.dtype == DType::f64) run_loop<double, 2>("binary", part, given, s.numbers, AnyBinary<double>{s.op, s.p0, s.p1});
    else if (is_floating(s.dtype))
      run_loop<float, 2>("binary", part, given, s.numbers, AnyBinary<float>{s.op, float(s.p0), float(s.p1)});
    else if (s.dtype == DType::i64) run_loop<int64_t, 2>("binary", part, given, s.numbers, AnyBinary<int64_t>{s.op, 0, 0});
    else run_loop<int32_t, 2>("binary", part, given, s.numbers, AnyBinary<int32_t>{s.op, 0, 0});
  });
}

}  // namespace lamella::cuda
