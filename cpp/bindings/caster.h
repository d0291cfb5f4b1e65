// SPDX-License-Identifier: MIT
// What pybind11 needs to pass our types: Array <-> Tensor, DType <-> lamella.dtype, Dims <-> int or sequence of ints.
#pragma once
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include "object.h"

namespace py = pybind11;

namespace lamella {
using nogil = py::call_guard<py::gil_scoped_release>;
}

namespace pybind11::detail {

template <> struct type_caster<lamella::Array> {
  PYBIND11_TYPE_CASTER(lamella::Array, const_name("Tensor"));
  bool load(handle src, bool) {
    if (!lamella::is_tensor(src.ptr())) return false;
    value = lamella::as_tensor(src.ptr())->array;
    return true;
  }
  static handle cast(lamella::Array a, return_value_policy, handle) {
    if (!a.defined()) return none().release();
    PyObject* t = lamella::wrap(std::move(a));
    if (!t) throw error_already_set();
    return t;
  }
};

template <> struct type_caster<lamella::DType> {
  PYBIND11_TYPE_CASTER(lamella::DType, const_name("dtype"));
  bool load(handle src, bool) {
    if (Py_TYPE(src.ptr()) != lamella::DTypeType) return false;
    value = reinterpret_cast<lamella::DTypeObject*>(src.ptr())->value;
    return true;
  }
  static handle cast(lamella::DType t, return_value_policy, handle) {
    return handle(lamella::dtype_object(t)).inc_ref();
  }
};

template <> struct type_caster<lamella::Dims> {
  PYBIND11_TYPE_CASTER(lamella::Dims, const_name("int | Sequence[int]"));
  bool load(handle src, bool) {
    value = lamella::Dims();
    PyObject* o = src.ptr();
    if (PyLong_Check(o)) {
      value.push(PyNumber_AsSsize_t(o, nullptr));
      return !failed();
    }
    bool list = PyList_Check(o);
    if (!list && !PyTuple_Check(o)) return false;
    Py_ssize_t n = list ? PyList_GET_SIZE(o) : PyTuple_GET_SIZE(o);
    for (Py_ssize_t i = 0; i < n; ++i) {
      value.push(PyNumber_AsSsize_t(list ? PyList_GET_ITEM(o, i) : PyTuple_GET_ITEM(o, i), nullptr));
      if (failed()) return false;
    }
    return true;
  }
  static handle cast(const lamella::Dims& d, return_value_policy, handle) {
    PyObject* t = PyTuple_New(d.n);
    for (int i = 0; i < d.n; ++i) PyTuple_SET_ITEM(t, i, PyLong_FromLongLong(d[i]));
    return t;
  }

 private:
  static bool failed() {
    if (!PyErr_Occurred()) return false;
    PyErr_Clear();
    return true;
  }
};

}  // namespace pybind11::detail
