// SPDX-License-Identifier: MIT
// GradMode: what `no_grad` and its kin are made of in Python (autograd/__init__.py); a block of no_grad costs three calls in C.
#include "object.h"
#include <structmember.h>

namespace lamella {
namespace {

struct GradModeObject {
  PyObject_HEAD
  char on, before;  // while inside; restored at the end
};
GradModeObject* as_mode(PyObject* self) { return reinterpret_cast<GradModeObject*>(self); }

// A mode. One without an __init__ takes a function, or None, and gives that in the mode: `@no_grad` beside `@no_grad()`.
PyObject* mode_new(PyTypeObject* type, PyObject* args, PyObject* named) {
  PyObject* self = type->tp_alloc(type, 0);
  const Py_ssize_t n = PyTuple_GET_SIZE(args) + (named ? PyDict_GET_SIZE(named) : 0);
  if (!self || n == 0 || type->tp_init != PyBaseObject_Type.tp_init) return self;
  PyObject* function = PyTuple_GET_SIZE(args) ? PyTuple_GET_ITEM(args, 0) : PyDict_GetItemString(named, "function");
  PyObject* result = nullptr;
  if (n > 1 || !function) {
    PyErr_Format(PyExc_TypeError, "[%s] takes one argument, function", type->tp_name);
  } else if (function == Py_None) {
    return self;
  } else if (PyCallable_Check(function)) {
    result = PyObject_CallOneArg(self, function);
  } else {
    PyErr_Format(PyExc_TypeError, "[%s] function must be a function, got %s", type->tp_name, Py_TYPE(function)->tp_name);
  }
  Py_DECREF(self);
  return result;
}

PyObject* mode_enter(PyObject* self, PyObject*) {
  as_mode(self)->before = grad_enabled();
  set_grad_enabled(as_mode(self)->on);
  Py_RETURN_NONE;
}

PyObject* mode_exit(PyObject* self, PyObject* const*, Py_ssize_t) {
  set_grad_enabled(as_mode(self)->before);
  Py_RETURN_NONE;
}

PyMethodDef methods[] = {
    {"__enter__", mode_enter, METH_NOARGS, nullptr},
    {"__exit__", (PyCFunction)(void (*)())mode_exit, METH_FASTCALL, nullptr},
    {nullptr, nullptr, 0, nullptr}};
PyMemberDef members[] = {
    {"_on", T_BOOL, offsetof(GradModeObject, on), 0, "Whether ops inside are recorded."},
    {"_before", T_BOOL, offsetof(GradModeObject, before), 0, "Whether they were outside."},
    {nullptr, 0, 0, 0, nullptr}};
PyType_Slot slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(mode_new)}, {Py_tp_methods, methods}, {Py_tp_members, members}, {0, nullptr}};
PyType_Spec spec = {"lamella._core.GradMode", sizeof(GradModeObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};

}  // namespace

bool init_grad_mode(PyObject* module) {
  PyObject* type = PyType_FromSpec(&spec);
  return type && PyModule_AddObject(module, "GradMode", type) == 0;
}

}  // namespace lamella
