// SPDX-License-Identifier: MIT
// Ops run where their tensors lie: `def` binds a function so that its arguments' device is this thread's while it runs.
#pragma once
#include <optional>
#include <vector>
#include "caster.h"

namespace lamella {

// The device that new tensors are wanted on: None, a Tensor (where it lies) or an index (-1: the CPU).
struct Place { Device device; bool given = false; };

// The device of the arguments seen so far; another one is an error that names the op.
struct Found {
  const char* op;
  Device device;
  bool any = false;

  void see(const Array& a) {
    if (!a.defined()) return;
    const Device d = a.device();
    if (!any) { device = d; any = true; return; }
    if (__builtin_expect(d != device, 0))
      throw RuntimeError(text("[", op, "] tensors must lie on one device, got ", device.str(), " and ", d.str(), ": use .to()"));
  }
  void see(const std::optional<Array>& a) { if (a) see(*a); }
  void see(const std::vector<Array>& list) { for (const Array& a : list) see(a); }
  void see(const Place& p) { if (p.given) { device = p.device; any = true; } }
  template <class T> void see(const T&) {}
};

template <class... A> Device device_of(const char* op, const A&... args) {
  Found f{op, {}, false};
  (f.see(args), ...);
  return f.device;
}

namespace detail {
template <class F> struct Signature : Signature<decltype(&F::operator())> {};
template <class C, class R, class... A> struct Signature<R (C::*)(A...) const> { using type = R (*)(A...); };
template <class C, class R, class... A> struct Signature<R (C::*)(A...)> { using type = R (*)(A...); };
template <class R, class... A> struct Signature<R (*)(A...)> { using type = R (*)(A...); };

template <class F, class R, class... A, class... Extra>
void def(py::module_& m, const char* name, F f, R (*)(A...), const Extra&... extra) {
  m.def(name, [f, name](A... args) -> R {
    const On device(device_of(name, args...));
    return f(std::forward<A>(args)...);
  }, extra...);
}
}  // namespace detail

template <class F, class... Extra> void def(py::module_& m, const char* name, F f, const Extra&... extra) {
  detail::def(m, name, f, typename detail::Signature<F>::type{}, extra...);
}

}  // namespace lamella

namespace pybind11::detail {
template <> struct type_caster<lamella::Place> {
  PYBIND11_TYPE_CASTER(lamella::Place, const_name("Tensor | int | None"));
  bool load(handle src, bool) {
    value = {};
    if (src.is_none()) return true;
    value.given = true;
    if (lamella::is_tensor(src.ptr())) {
      value.device = lamella::as_tensor(src.ptr())->array.device();
      return true;
    }
    if (!PyLong_Check(src.ptr())) return false;
    const long index = PyLong_AsLong(src.ptr());
    if (index >= 0) value.device = {lamella::DeviceType::cuda, int8_t(index)};
    return true;
  }
  static handle cast(lamella::Place, return_value_policy, handle) { return none().release(); }
};
}  // namespace pybind11::detail
