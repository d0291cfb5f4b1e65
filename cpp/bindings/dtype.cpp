// SPDX-License-Identifier: MIT
// lamella.dtype and its ten instances.
#include "object.h"

namespace lamella {

PyTypeObject* DTypeType = nullptr;
static PyObject* singletons[kDTypes];

PyObject* dtype_object(DType t) { return singletons[int(t)]; }

static DType value(PyObject* o) { return reinterpret_cast<DTypeObject*>(o)->value; }
static PyObject* repr(PyObject* o) { return PyUnicode_FromFormat("lamella.%s", name_of(value(o))); }
static PyObject* reduce(PyObject* o, PyObject*) { return PyUnicode_FromString(name_of(value(o))); }  // lamella.<name>
static PyObject* get_name(PyObject* o, void*) { return PyUnicode_FromString(name_of(value(o))); }
static PyObject* get_module(PyObject*, void*) { return PyUnicode_FromString("lamella"); }
static PyObject* get_itemsize(PyObject* o, void*) { return PyLong_FromLong(size_of(value(o))); }
static PyObject* get_floating(PyObject* o, void*) { return PyBool_FromLong(is_floating(value(o))); }

static PyObject* get_signed(PyObject* o, void*) { return PyBool_FromLong(value(o) != DType::u8 && value(o) != DType::b8); }
static PyObject* get_complex(PyObject*, void*) { Py_RETURN_FALSE; }

static PyGetSetDef getset[] = {
    {"name", get_name, nullptr, "\"float32\", ...", nullptr},
    {"__module__", get_module, nullptr, nullptr, nullptr},
    {"itemsize", get_itemsize, nullptr, "bytes per element", nullptr},
    {"is_signed", get_signed, nullptr, "whether it holds negative numbers", nullptr},
    {"is_complex", get_complex, nullptr, "False: there are no complex dtypes", nullptr},
    {"is_floating_point", get_floating, nullptr, "whether gradients can flow through it", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};
static PyObject* set_default(PyObject*, PyObject* o) {
  if (Py_TYPE(o) != DTypeType || !is_floating(value(o))) {
    PyErr_SetString(PyExc_TypeError, "[set_default_dtype] dtype must be a floating lamella dtype");
    return nullptr;
  }
  default_dtype = value(o);
  Py_RETURN_NONE;
}
static PyMethodDef functions[] = {{"set_default_dtype", set_default, METH_O, nullptr}, {nullptr, nullptr, 0, nullptr}};
static PyMethodDef methods[] = {{"__reduce__", reduce, METH_NOARGS, nullptr}, {nullptr, nullptr, 0, nullptr}};
static PyType_Slot slots[] = {
    {Py_tp_repr, (void*)repr}, {Py_tp_getset, getset}, {Py_tp_methods, methods}, {0, nullptr}};
static PyType_Spec spec = {"lamella.dtype", sizeof(DTypeObject), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};

bool init_dtype_type(PyObject* module) {
  DTypeType = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  if (!DTypeType || PyModule_AddFunctions(module, functions) < 0 || PyModule_AddObjectRef(module, "dtype", reinterpret_cast<PyObject*>(DTypeType)) < 0) return false;
  for (int i = 0; i < kDTypes; ++i) {
    DTypeObject* o = PyObject_New(DTypeObject, DTypeType);
    if (!o) return false;
    o->value = DType(i);
    singletons[i] = reinterpret_cast<PyObject*>(o);
    if (PyModule_AddObjectRef(module, kDTypeInfo[i].name, singletons[i]) < 0) return false;
  }
  return true;
}

}  // namespace lamella
