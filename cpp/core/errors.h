// SPDX-License-Identifier: MIT
// The one way to raise. Text: "[op] argument must ..., got ...". Bindings map each class to Python's own.
#pragma once
#include <sstream>
#include <stdexcept>
#include <string>

namespace lamella {

struct ValueError : std::runtime_error { using runtime_error::runtime_error; };
struct TypeError : std::runtime_error { using runtime_error::runtime_error; };
struct IndexError : std::runtime_error { using runtime_error::runtime_error; };
struct MemoryError : std::runtime_error { using runtime_error::runtime_error; };
struct RuntimeError : std::runtime_error { using runtime_error::runtime_error; };

template <class... A> std::string text(const A&... a) { std::ostringstream s; (s << ... << a); return s.str(); }

// check<ValueError>(k == x.shape[1], "[linear] weight must have ", k, " columns, got ", shape)
template <class E = ValueError, class... A> inline void check(bool ok, const A&... a) {
  if (__builtin_expect(!ok, 0)) throw E(text(a...));
}

}  // namespace lamella
