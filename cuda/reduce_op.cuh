// SPDX-License-Identifier: MIT
// What is reduced: a state of nothing, a chunk of elements taken into it, two states joined, a result written.
// A chunk is an array of N raw elements; at(i) is where element i stands in the row (it rises, from chunk to chunk too),
// has(i) whether it is one; those that are not hold fill().
#pragma once
#include "device.cuh"

namespace lamella::cuda {

struct ReduceOut { DType to; void *y, *y2; double count; };  // y2: the second moment

template <class V> GPU void store_as(DType to, void* y, int64_t k, V v) {
  switch (to) {
    case DType::f64: static_cast<double*>(y)[k] = double(v); break;
    case DType::f32: static_cast<float*>(y)[k] = float(v); break;
    case DType::f16: static_cast<f16*>(y)[k] = f16::from(float(v)); break;
    case DType::bf16: static_cast<bf16*>(y)[k] = bf16::from(float(v)); break;
    case DType::i64: static_cast<int64_t*>(y)[k] = int64_t(v); break;
    case DType::i32: static_cast<int32_t*>(y)[k] = int32_t(v); break;
    case DType::i16: static_cast<int16_t*>(y)[k] = int16_t(v); break;
    case DType::i8: static_cast<int8_t*>(y)[k] = int8_t(v); break;
    case DType::u8: static_cast<uint8_t*>(y)[k] = uint8_t(v); break;
    case DType::b8: static_cast<bool*>(y)[k] = v != 0; break;
  }
}

template <class A> constexpr bool kReal = std::is_same_v<A, float> || std::is_same_v<A, double>;
template <class T> constexpr bool kFloating = kReal<acc_t<T>>;
// Values: float, double, and int32_t or int64_t for integers. Sums and products: float, double, uint64_t (it wraps).
template <class T>
using value_t = std::conditional_t<kFloating<T>, acc_t<T>, std::conditional_t<sizeof(T) == 8, int64_t, int32_t>>;
template <class T> using total_t = std::conditional_t<kFloating<T>, acc_t<T>, uint64_t>;

template <int kFirst, int N, class F, class J> GPU auto join_tree(const F& f, const J& join) {  // f(kFirst) .. pairwise
  if constexpr (N == 1) return f(kFirst);
  else return join(join_tree<kFirst, N / 2>(f, join), join_tree<kFirst + N / 2, N - N / 2>(f, join));
}

// ---- sums and products -------------------------------------------------------------------------------------------------
enum class ReduceMap : int { plain, square, magnitude };

template <class S, bool kProduct> struct Total {
  using State = S;
  ReduceMap map;
  bool mean;
  GPU State none() const { return S(kProduct); }
  GPU State join(State a, State b) const { return kProduct ? a * b : a + b; }
  GPU auto value(State s, const ReduceOut& out) const {
    if constexpr (kReal<S>) return mean ? s / S(out.count) : s;
    else return int64_t(s);
  }
  GPU void write(const ReduceOut& out, int64_t k, State s) const { store_as(out.to, out.y, k, value(s, out)); }
};
template <class T_, bool kProduct> struct TotalOf : Total<total_t<T_>, kProduct> {
  using T = T_;
  using Base = Total<total_t<T>, kProduct>;
  using S = total_t<T>;
  // Bytes and their squares are summed in 32 bits, a chunk at a time.
  using C = std::conditional_t<!kProduct && sizeof(T) == 1, int32_t, S>;
  static constexpr bool kSame = kFloating<T>;  // results may be stored as T
  explicit TotalOf(ReduceMap map = ReduceMap::plain, bool mean = false) : Base{map, mean} {}
  GPU T fill() const { return down<T>(acc_t<T>(kProduct)); }
  GPU C mapped(T raw) const {
    if constexpr (kProduct) return C(value_t<T>(up(raw)));
    else if constexpr (kFloating<T>) {
      const C x = up(raw);
      return this->map == ReduceMap::square ? x * x : this->map == ReduceMap::magnitude ? (x < 0 ? -x : x) : x;
    } else {
      const C x = C(int64_t(raw));
      const bool negative = value_t<T>(raw) < 0;
      return this->map == ReduceMap::square ? C(x * x) : this->map == ReduceMap::magnitude && negative ? C(0 - x) : x;
    }
  }
  template <int N, class G, class P, class H> GPU void take(S& s, const G& get, const P&, const H&) const {
    const C chunk = join_tree<0, N>([&](int i) { return mapped(get(i)); },
                                    [](C a, C b) { return kProduct ? C(a * b) : C(a + b); });
    if constexpr (std::is_same_v<C, S>) s = this->join(s, chunk);
    else s = this->join(s, S(int64_t(chunk)));
  }
};

// ---- extremes: the minimum is the maximum of values turned round -----------------------------------------------------
template <class A> constexpr A kLowest = A(A(1) << (sizeof(A) * 8 - 1));
template <> constexpr float kLowest<float> = -__builtin_inff();
template <> constexpr double kLowest<double> = -__builtin_inf();

template <class A> GPU A turned(A x, bool turn) {
  if constexpr (kReal<A>) return x * (turn ? A(-1) : A(1));
  else return A(x ^ (turn ? A(-1) : A(0)));
}
template <class T> GPU T extreme_fill(bool turn) {  // no better than any
  if constexpr (kFloating<T>) return down<T>(turned(acc_t<T>(-__builtin_inff()), turn));
  else if constexpr (std::is_same_v<T, uint8_t>) return turn ? 255 : 0;
  else return turn ? T(~kLowest<T>) : kLowest<T>;
}

template <class A> struct Extreme {
  using State = A;
  bool turn;
  GPU State none() const { return kLowest<A>; }
  GPU State join(State a, State b) const { return a != a || a > b ? a : b; }
  GPU A value(State s, const ReduceOut&) const { return turned(s, turn); }
  GPU void write(const ReduceOut& out, int64_t k, State s) const { store_as(out.to, out.y, k, turned(s, turn)); }
};
template <class T_> struct ExtremeOf : Extreme<value_t<T_>> {
  using T = T_;
  using Base = Extreme<value_t<T>>;
  using A = value_t<T>;
  static constexpr bool kSame = true;
  explicit ExtremeOf(bool turn) : Base{turn} {}
  GPU T fill() const { return extreme_fill<T>(this->turn); }
  template <int N, class G, class P, class H> GPU void take(A& s, const G& get, const P&, const H&) const {
    s = this->join(s, join_tree<0, N>([&](int i) { return turned(A(up(get(i))), this->turn); },
                                      [&](A a, A b) { return this->join(a, b); }));
  }
};

// Where nothing was above the lowest value (kNowhere), all elements are that, and the first is the answer.
constexpr int64_t kNowhere = int64_t(~uint64_t(0) >> 1);
template <class A> struct Place { int64_t at; A value; };
template <class A> struct Arg {
  using State = Place<A>;
  bool turn;
  GPU State none() const { return {kNowhere, kLowest<A>}; }
  GPU State join(State a, State b) const {
    const bool nan_a = a.value != a.value, nan_b = b.value != b.value, first = b.at < a.at;
    const bool b_wins = nan_a || nan_b ? nan_b && (!nan_a || first) : b.value > a.value || (b.value == a.value && first);
    return {b_wins ? b.at : a.at, b_wins ? b.value : a.value};
  }
  GPU void write(const ReduceOut& out, int64_t k, State s) const {
    static_cast<int64_t*>(out.y)[k] = s.at == kNowhere ? 0 : s.at;
  }
};
template <class T_> struct ArgOf : Arg<value_t<T_>> {
  using T = T_;
  using Base = Arg<value_t<T>>;
  using A = value_t<T>;
  static constexpr bool kSame = false;
  explicit ArgOf(bool turn) : Base{turn} {}
  GPU T fill() const { return extreme_fill<T>(this->turn); }
  template <int N, class G, class P, class H> GPU void take(Place<A>& s, const G& get, const P& at, const H&) const {
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const A x = turned(A(up(get(i))), this->turn);
      if (!(x <= s.value) && s.value == s.value) s = {at(i), x};
    }
  }
};

// ---- any and all, of bits: a float's sign is masked off, so that -0 is false --------------------------------------------
struct Logic {
  using State = int;
  uint64_t mask;
  bool all;  // of all: whether any is false, turned round at the end
  GPU State none() const { return 0; }
  GPU State join(State a, State b) const { return a | b; }
  GPU void write(const ReduceOut& out, int64_t k, State s) const { store_as(out.to, out.y, k, int((s != 0) != all)); }
};
template <class U> struct LogicOf : Logic {
  using T = U;
  using Base = Logic;
  static constexpr bool kSame = false;
  LogicOf(uint64_t mask, bool all) : Logic{mask, all} {}
  GPU T fill() const { return T(all); }
  template <int N, class G, class P, class H> GPU void take(int& s, const G& get, const P&, const H&) const {
    const U bits = U(mask);
    s |= join_tree<0, N>([&](int i) { return int(((get(i) & bits) != 0) != all); }, [](int a, int b) { return a | b; });
  }
};

// ---- moments: two passes over a chunk, merged as by Chan, Golub and LeVeque 1979 ----------------------------------------
template <class A> struct Spread { A n, mean, m2; };
template <class A> struct Moment {
  using State = Spread<A>;
  GPU State none() const { return {0, 0, 0}; }
  GPU State join(const State& s, const State& t) const {
    if (t.n == 0) return s;
    if (s.n == 0) return t;
    const A n = s.n + t.n, d = t.mean - s.mean;
    A share;
    if constexpr (sizeof(A) == 4) share = __fdividef(t.n, n);
    else share = t.n / n;
    return {n, s.mean + d * share, s.m2 + t.m2 + d * d * (s.n * share)};
  }
  GPU void write(const ReduceOut& out, int64_t k, const State& s) const {
    if (out.y) static_cast<A*>(out.y)[k] = s.mean;
    if (out.y2) static_cast<A*>(out.y2)[k] = s.m2;
  }
};
template <class T_> struct MomentOf : Moment<acc_t<T_>> {
  using T = T_;
  using A = acc_t<T>;
  using Base = Moment<A>;
  static constexpr bool kSame = false;
  GPU T fill() const { return down<T>(A(0)); }
  template <int N, class G, class P, class H> GPU void take(Spread<A>& s, const G& get, const P&, const H& has) const {
    const auto plus = [](A a, A b) { return a + b; };
    int n = 0;
#pragma unroll
    for (int i = 0; i < N; ++i) n += has(i);
    if (n == 0) return;
    A mean = join_tree<0, N>([&](int i) { return up(get(i)); }, plus);
    mean = n == N ? mean * A(1.0 / N) : mean / A(n);
    const A m2 = join_tree<0, N>([&](int i) { const A d = up(get(i)) - mean; return has(i) ? d * d : A(0); }, plus);
    s = this->join(s, {A(n), mean, m2});
  }
};

}  // namespace lamella::cuda
