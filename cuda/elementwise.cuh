// SPDX-License-Identifier: MIT
// How elementwise kernels walk memory. Hot ops have kernels of their own that move 16-byte packs; everything else goes
// through one kernel for each arithmetic type (float, double, int32_t, int64_t), with the op and the storage types as
// run-time switches that are the same for the whole grid, any strides, a few elements of a thread at a time.
#pragma once
#include "lanes.cuh"

namespace lamella::cuda {

// Elements of a thread at a time: what makes 16 bytes in the arithmetic type.
template <class A> constexpr int kGroup = sizeof(A) == 8 ? 2 : 4;

// f(part, first) for parts of a loop that have no more than `most_elements`: first[k] is the offset of operand k's first
// element. A part begins at a multiple of 64 of the dimension that is cut, where it can. outer: first of the loop itself.
template <int N, class F>
void in_parts(const Loop<N>& loop, int64_t most_elements, const F& f, const int64_t* outer = nullptr) {
  int64_t n = 1, first[N] = {};
  for (int d = 0; d < loop.ndim; ++d) n *= loop.shape[d];
  for (int k = 0; k < N && outer; ++k) first[k] = outer[k];
  if (n <= most_elements) { if (n > 0) f(loop, first); return; }
  const int64_t fit = most_elements / (n / loop.shape[0]), step = fit > 64 ? fit / 64 * 64 : most(fit, 1);
  for (int64_t begin = 0; begin < loop.shape[0]; begin += step) {
    Loop<N> part = loop;
    part.shape[0] = least(step, loop.shape[0] - begin);
    if (part.shape[0] == 1 && loop.ndim > 1) {
      --part.ndim;
      for (int d = 0; d < part.ndim; ++d) {
        part.shape[d] = loop.shape[d + 1];
        for (int k = 0; k < N; ++k) part.stride[k][d] = loop.stride[k][d + 1];
      }
    }
    in_parts(part, most_elements, f, first);
    for (int k = 0; k < N; ++k) first[k] += step * loop.stride[k][0];
  }
}
constexpr int64_t kMostElements = (int64_t(1) << 31) - 1024;  // of a launch: its indices have 32 bits
inline const void* moved(const void* p, int64_t elements, int size) { return static_cast<const char*>(p) + elements * size; }

// Element i (row-major) of a loop lies at locate(i): an offset for each operand, 0 the output.
struct Extent { uint32_t size, magic, shift; };  // of a dimension, as in Divisor
template <int N> struct Walk {
  uint32_t n;     // elements
  int ndim;       // at least 1
  bool whole;     // a group of G adjacent elements lies in one row, and is one aligned word of each operand of stride 1
  Extent extent[kLoopDims];
  int64_t stride[N][kLoopDims];

  explicit Walk(const Loop<N>& loop) : n(1), ndim(loop.ndim ? loop.ndim : 1), whole(false) {
    for (int d = 0; d < ndim; ++d) {
      set_size(d, loop.ndim ? loop.shape[d] : 1);
      n *= extent[d].size;
      for (int k = 0; k < N; ++k) stride[k][d] = loop.ndim ? loop.stride[k][d] : 1;
    }
  }
  void set_size(int d, int64_t size) {
    const Divisor by(size);
    extent[d] = {uint32_t(size), by.magic, by.shift};
  }
  int64_t row() const { return extent[ndim - 1].size; }
  int64_t inner(int k) const { return stride[k][ndim - 1]; }
  // True where operand k at p can be read by words of `count` elements: whole rows of them, aligned.
  bool in_words(int k, const void* p, int size_of_one, int count) const {
    if (!is_aligned(p, count * size_of_one)) return false;
    for (int d = 0; d < ndim - 1; ++d) if (stride[k][d] % count) return false;
    return inner(k) == 1;
  }
  bool has_rows_of(int count) const { return ndim == 1 || row() % count == 0; }

  GPU void locate(uint32_t i, int64_t (&at)[N]) const {
#pragma unroll
    for (int k = 0; k < N; ++k) at[k] = 0;
#pragma unroll 1
    for (int d = ndim - 1; d > 0; --d) {
      const uint32_t q = (__umulhi(i, extent[d].magic) + i) >> extent[d].shift, rest = i - q * extent[d].size;
      i = q;
#pragma unroll
      for (int k = 0; k < N; ++k) at[k] += int64_t(rest) * stride[k][d];
    }
#pragma unroll
    for (int k = 0; k < N; ++k) at[k] += int64_t(i) * stride[k][0];
  }
};

// x, of which the compiler knows nothing: a loop is not copied for each value that a switch in it may have.
template <class E> GPU E opaque(E e) {
  int x = int(e);
#ifdef __CUDA_ARCH__
  asm volatile("" : "+r"(x));
#endif
  return E(x);
}

// ---- storage types as the arithmetic type A ------------------------------------------------------------------------------
template <class T, class A> BOTH T narrowed(A x) {
  if constexpr (std::is_same_v<T, bool>) return x != A(0);
  else if constexpr (!std::is_same_v<acc_t<T>, T>) return down<T>(float(x));
  else if constexpr (std::is_integral_v<T> && sizeof(T) < 4) return T(int32_t(x));
  else return T(x);
}

// f(T{}) with the storage type T, among those whose arithmetic is A's (bool_too: or bool), or all that A can hold (kCast),
// or A itself where A only carries bits.
template <class A, bool kCast = false, class F> BOTH void by_storage(DType t, bool bool_too, const F& f) {
  if constexpr (std::is_same_v<A, float>) {
    if (t == DType::f32) f(float{});
    else if (t == DType::bf16) f(bf16{});
    else if (t == DType::f16) f(f16{});
    else if (bool_too) f(bool{});
  } else if constexpr (std::is_same_v<A, double>) {
    if (t == DType::f64) f(double{}); else if (bool_too) f(bool{});
  } else if constexpr (std::is_same_v<A, int64_t> && !kCast) {
    if (t == DType::i64) f(int64_t{}); else if (bool_too) f(bool{});
  } else if constexpr (std::is_signed_v<A>) {
    switch (t) {
      case DType::i64: if constexpr (kCast) f(int64_t{}); break;
      case DType::i32: f(int32_t{}); break;
      case DType::i16: f(int16_t{}); break;
      case DType::i8: f(int8_t{}); break;
      case DType::u8: f(uint8_t{}); break;
      default: f(bool{}); break;
    }
  } else {
    f(A{});
  }
}
template <class F> GPU void by_any(DType t, const F& f) {  // by_dtype, on the device
  switch (t) {
    case DType::f64: f(double{}); break;
    case DType::f32: f(float{}); break;
    case DType::f16: f(f16{}); break;
    case DType::bf16: f(bf16{}); break;
    case DType::i64: f(int64_t{}); break;
    case DType::i32: f(int32_t{}); break;
    case DType::i16: f(int16_t{}); break;
    case DType::i8: f(int8_t{}); break;
    case DType::u8: f(uint8_t{}); break;
    case DType::b8: f(bool{}); break;
  }
}
// A number in the host's memory.
template <class A> A number_as(DType t, const void* p) {
  A value{};
  by_storage<A>(t, false, [&](auto s) { value = A(up(*static_cast<const decltype(s)*>(p))); });
  return value;
}

template <class A> struct Operand {
  const void* p;
  A value;       // of a number
  DType dtype;
  bool number, word;
};
struct Output { void* p; DType dtype; bool word; };

// An operand as its kernel was given it; `numbers` below: bit k for operand k + 1, as in the contract.
struct Given { const void* p; DType dtype; };
template <int G, int N> void plan_words(Walk<N>& walk, const Given (&given)[N], unsigned numbers) {
  walk.whole = walk.has_rows_of(G);
  for (int k = 0; k < N; ++k)
    if (!(k && numbers >> (k - 1) & 1) && walk.inner(k) == 1)
      walk.whole = walk.whole && walk.in_words(k, given[k].p, size_of(given[k].dtype), G);
}
template <class A, int N> Operand<A> operand(const Walk<N>& walk, int k, const Given& g, unsigned numbers) {
  const bool number = numbers >> (k - 1) & 1;
  return {g.p, number ? number_as<A>(g.dtype, g.p) : A(0), g.dtype, number, walk.whole && walk.inner(k) == 1};
}

// The first `count` of G elements at `at`; the others are 0.
template <bool kCast = false, int G, class A> GPU void read(const Operand<A>& o, const int64_t (&at)[G], int count, A (&v)[G]) {
#pragma unroll
  for (int j = 0; j < G; ++j) v[j] = o.value;
  if (opaque(o.number)) return;
  by_storage<A, kCast>(opaque(o.dtype), false, [&](auto s) {
    using T = decltype(s);
    const T* p = static_cast<const T*>(o.p);
    if (opaque(o.word) && count == G) {
      const auto w = load_pack<T, G>(p + at[0]);
#pragma unroll
      for (int j = 0; j < G; ++j) v[j] = A(up(w.v[j]));
    } else {
#pragma unroll
      for (int j = 0; j < G; ++j) if (j < count) v[j] = A(up(p[at[j]]));
    }
  });
}
template <bool kCast = false, int G, class A>
GPU void write(const Output& o, const int64_t (&at)[G], int count, const A (&v)[G]) {
  const auto put = [&](auto s) {
    using T = decltype(s);
    T* p = static_cast<T*>(o.p);
    if (opaque(o.word) && count == G) {
      Pack<T, G> w;
#pragma unroll
      for (int j = 0; j < G; ++j) w.v[j] = narrowed<T>(v[j]);
      store_pack(p + at[0], w);
    } else {
#pragma unroll
      for (int j = 0; j < G; ++j) if (j < count) p[at[j]] = narrowed<T>(v[j]);
    }
  };
  if constexpr (kCast) by_any(opaque(o.dtype), put); else by_storage<A>(opaque(o.dtype), true, put);
}

// A thread's next G elements, and how many of them there are: adjacent ones where the walk is whole, else a block's
// width apart.
template <int N, int G> GPU int find_group(const Walk<N>& w, uint32_t base, int64_t (&at)[N][G]) {
  const uint32_t i = base + threadIdx.x * (w.whole ? G : 1), step = w.whole ? 1 : kThreads;
  if (i >= w.n) return 0;
  const int count = int(least((w.n - i + step - 1) / step, G));
  int64_t first[N];
  if (opaque(w.whole)) {
    w.locate(i, first);
#pragma unroll
    for (int k = 0; k < N; ++k)
#pragma unroll
      for (int j = 0; j < G; ++j) at[k][j] = first[k] + j * w.stride[k][w.ndim - 1];
  } else {
#pragma unroll
    for (int j = 0; j < G; ++j) {
      w.locate(i + uint32_t(j < count ? j : 0) * kThreads, first);
#pragma unroll
      for (int k = 0; k < N; ++k) at[k][j] = first[k];
    }
  }
  return count;
}

template <class A, int N> struct Operands { Operand<A> of[N]; };

// y = op(x0, x1, ...) in arithmetic type A. Unless Op::kUnroll the op's code stands there once: the elements rotate
// through the registers that it works on.
template <class A, int N, class Op, bool kCast = false, int G = kGroup<A>>
__global__ void __launch_bounds__(kThreads, 2)
general_loop(const __grid_constant__ Walk<N + 1> w, const __grid_constant__ Operands<A, N> x, const Output y, const Op op) {
  const uint32_t tile = kThreads * G;
#pragma unroll 1
  for (uint32_t base = blockIdx.x * tile; base < w.n; base += gridDim.x * tile) {
    int64_t at[N + 1][G];
    const int count = find_group(w, base, at);
    if (count == 0) continue;
    A v[N][G];
#pragma unroll
    for (int k = 0; k < N; ++k) read<kCast>(x.of[k], at[k + 1], count, v[k]);
    if constexpr (Op::kUnroll) {
#pragma unroll
      for (int j = 0; j < G; ++j) {
        if constexpr (N == 1) v[0][j] = op(v[0][j]);
        else if constexpr (N == 2) v[0][j] = op(v[0][j], v[1][j]);
        else v[0][j] = op(v[0][j], v[1][j], v[2][j]);
      }
    } else {
#pragma unroll 1
      for (int turn = 0; turn < G; ++turn) {
        A z;
        if constexpr (N == 1) z = op(v[0][0]);
        else if constexpr (N == 2) z = op(v[0][0], v[1][0]);
        else z = op(v[0][0], v[1][0], v[2][0]);
#pragma unroll
        for (int k = 0; k < N; ++k)
#pragma unroll
          for (int j = 0; j + 1 < G; ++j) v[k][j] = v[k][j + 1];
        v[0][G - 1] = z;
      }
    }
    write<kCast>(y, at[0], count, v[0]);
  }
}

template <class A, int N, bool kCast = false, int G = kGroup<A>, class Op>
void run_loop(const char* name, const Loop<N + 1>& all, const Given (&all_given)[N + 1], unsigned numbers, const Op& op) {
  in_parts(all, kMostElements, [&](const Loop<N + 1>& loop, const int64_t (&first)[N + 1]) {
    Given given[N + 1];
    for (int k = 0; k <= N; ++k) given[k] = {moved(all_given[k].p, first[k], size_of(all_given[k].dtype)), all_given[k].dtype};
    Walk<N + 1> walk(loop);
    plan_words<G>(walk, given, numbers);
    Operands<A, N> x;
    for (int k = 0; k < N; ++k) x.of[k] = operand<A>(walk, k + 1, given[k + 1], numbers);
    const Output y{const_cast<void*>(given[0].p), given[0].dtype, walk.whole && walk.inner(0) == 1};
    launch(name, general_loop<A, N, Op, kCast, G>, dim3(blocks_for(walk.n, kThreads * G)), dim3(kThreads), 0, walk, x, y, op);
  });
}

// The tile in shared memory that a transposing copy goes through: a warp writes rows and reads columns, whose pitch makes
// their banks differ.
template <class A> constexpr int kTile = sizeof(A) <= 2 ? 64 : 32;
template <class A> constexpr int kPitch = kTile<A> + (sizeof(A) < 4 ? 4 / int(sizeof(A)) : 1);

}  // namespace lamella::cuda
