// SPDX-License-Identifier: MIT
// The Tensor type: life cycle and attributes. Its number slots are in elementwise.cpp.
#include <Python.h>
#include <structmember.h>
#include <cstddef>
#include <new>
#include "object.h"
#include "slots.h"

namespace lamella {

PyTypeObject* TensorBase = nullptr;
PyTypeObject* TensorClass = nullptr;
int64_t post_hooked = 0;
static PyObject* device_class = nullptr;  // lamella.device, given by Python
static PyObject* devices[17];             // its instances: the CPU, then GPU 0 and on, as they are asked for

static PyObject* make(Array&& a, bool view) {
  PyObject* o = TensorClass->tp_alloc(TensorClass, 0);  // zeroed
  if (!o) return nullptr;
  new (&as_tensor(o)->array) Array(std::move(a));
  as_tensor(o)->is_view = view;
  return o;
}
PyObject* wrap(Array&& a) { return make(std::move(a), false); }
PyObject* wrap_view(Array&& a) { return make(std::move(a), true); }

// TensorBase(data): shares data's elements; how subclasses such as Parameter are made.
static PyObject* tensor_new(PyTypeObject* type, PyObject* args, PyObject*) {
  PyObject* data = PyTuple_GET_SIZE(args) ? PyTuple_GET_ITEM(args, 0) : Py_None;
  if (!is_tensor(data)) {
    PyErr_Format(PyExc_TypeError, "[Tensor] data must be a Tensor, got %s: lamella.tensor(data) makes one",
                 Py_TYPE(data)->tp_name);
    return nullptr;
  }
  PyObject* o = type->tp_alloc(type, 0);
  if (o) new (&as_tensor(o)->array) Array(as_tensor(data)->array);
  return o;
}

static int tensor_traverse(PyObject* o, visitproc visit, void* arg) {
  TensorObject* t = as_tensor(o);
  Py_VISIT(t->grad);
  Py_VISIT(t->node);
  Py_VISIT(t->base);
  Py_VISIT(t->hooks);
  Py_VISIT(t->post_hooks);
  Py_VISIT(Py_TYPE(o));
  return 0;
}

static int tensor_clear(PyObject* o) {
  TensorObject* t = as_tensor(o);
  Py_CLEAR(t->grad);
  Py_CLEAR(t->node);
  Py_CLEAR(t->base);
  Py_CLEAR(t->hooks);
  if (t->post_hooks) --post_hooked;
  Py_CLEAR(t->post_hooks);
  return 0;
}

static void tensor_dealloc(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  PyObject_GC_UnTrack(o);
  if (as_tensor(o)->weakrefs) PyObject_ClearWeakRefs(o);
  tensor_clear(o);
  as_tensor(o)->array.~Array();
  type->tp_free(o);
  Py_DECREF(type);
}

static Py_hash_t tensor_hash(PyObject* o) { return Py_hash_t(reinterpret_cast<uintptr_t>(o) >> 4); }

static Py_ssize_t tensor_len(PyObject* o) {
  const Array& a = as_tensor(o)->array;
  if (a.ndim()) return Py_ssize_t(a.shape[0]);
  PyErr_SetString(PyExc_TypeError, "[len] tensor must have at least one dimension, got a scalar");
  return -1;
}

// ---- attributes ------------------------------------------------------------------------------------------------------
static PyObject* dims_tuple(const Dims& d) {
  PyObject* t = PyTuple_New(d.n);
  for (int i = 0; t && i < d.n; ++i) PyTuple_SET_ITEM(t, i, PyLong_FromLongLong(d[i]));
  return t;
}
static PyObject* own(PyObject* o) { return Py_NewRef(o ? o : Py_None); }

static PyObject* get_shape(PyObject* o, void*) { return dims_tuple(as_tensor(o)->array.shape); }
static PyObject* get_ndim(PyObject* o, void*) { return PyLong_FromLong(as_tensor(o)->array.ndim()); }
static PyObject* get_dtype(PyObject* o, void*) { return Py_NewRef(dtype_object(as_tensor(o)->array.dtype)); }
static PyObject* get_device(PyObject* o, void*) {
  const Device d = as_tensor(o)->array.device();
  PyObject*& known = devices[d.is_cpu() ? 0 : 1 + d.index];
  if (!known) {
    if (!device_class) return own(nullptr);
    known = d.is_cpu() ? PyObject_CallFunction(device_class, "s", "cpu") : PyObject_CallFunction(device_class, "si", "cuda", int(d.index));
  }
  return Py_XNewRef(known);
}
static PyObject* get_grad(PyObject* o, void*) { return own(as_tensor(o)->grad); }
static PyObject* get_node(PyObject* o, void*) {
  refresh(as_tensor(o));
  return own(as_tensor(o)->node);
}
static PyObject* get_requires_grad(PyObject* o, void*) { return PyBool_FromLong(wants_gradient(o)); }
static PyObject* get_is_leaf(PyObject* o, void*) {
  refresh(as_tensor(o));
  return PyBool_FromLong(!as_tensor(o)->node);
}
static PyObject* get_base(PyObject* o, void*) { return own(as_tensor(o)->base); }
static PyObject* get_is_view(PyObject* o, void*) { return PyBool_FromLong(as_tensor(o)->is_view); }
static PyObject* get_version(PyObject* o, void*) {
  return PyLong_FromUnsignedLong(as_tensor(o)->array.storage->version);
}
static PyObject* get_retains_grad(PyObject* o, void*) {
  TensorObject* t = as_tensor(o);
  if (!t->node) Py_RETURN_FALSE;
  PyObject* ref = as_node(t->node)->out(t->output).retained;
  return PyBool_FromLong(ref && PyWeakref_GetObject(ref) == o);
}
static PyObject* get_output(PyObject* o, void*) { return PyLong_FromLong(as_tensor(o)->output); }

static int set_requires_grad(PyObject* o, PyObject* v, void*) {
  TensorObject* t = as_tensor(o);
  int on = v ? PyObject_IsTrue(v) : 0;
  if (on < 0) return -1;
  if (on && !is_floating(t->array.dtype)) {
    PyErr_Format(PyExc_RuntimeError, "[requires_grad] tensor must have a floating dtype, got %s",
                 name_of(t->array.dtype));
    return -1;
  }
  if (!on && t->node) {
    PyErr_SetString(PyExc_RuntimeError,
                    "[requires_grad] tensor must be a leaf to be set to False, got the result of an op: use detach()");
    return -1;
  }
  t->requires_grad = on;
  return 0;
}

static int set_grad(PyObject* o, PyObject* v, void*) {
  TensorObject* t = as_tensor(o);
  if (!v || v == Py_None) {
    Py_CLEAR(t->grad);
    return 0;
  }
  if (!is_tensor(v)) {
    PyErr_Format(PyExc_TypeError, "[grad] value must be a Tensor or None, got %s", Py_TYPE(v)->tp_name);
    return -1;
  }
  const Array& a = as_tensor(v)->array;
  if (a.shape != t->array.shape || a.dtype != t->array.dtype) {
    PyErr_SetString(PyExc_ValueError,
                    text("[grad] value must be ", describe(t->array), " like the tensor, got ", describe(a)).c_str());
    return -1;
  }
  Py_INCREF(v);
  Py_XSETREF(t->grad, v);
  return 0;
}

static PyGetSetDef tensor_getset[] = {
    {"shape", get_shape, nullptr, "tuple of sizes", nullptr},
    {"ndim", get_ndim, nullptr, "number of dimensions", nullptr},
    {"dtype", get_dtype, nullptr, "element type", nullptr},
    {"device", get_device, nullptr, "where the elements lie", nullptr},
    {"grad", get_grad, set_grad, "gradient accumulated by backward(), or None", nullptr},
    {"grad_fn", get_node, nullptr, "the recorded op that made this tensor, or None", nullptr},
    {"output_nr", get_output, nullptr, "which output of grad_fn this is", nullptr},
    {"requires_grad", get_requires_grad, set_requires_grad, "whether ops on this tensor are recorded", nullptr},
    {"is_leaf", get_is_leaf, nullptr, "True where no recorded op made this tensor", nullptr},
    {"retains_grad", get_retains_grad, nullptr, "whether retain_grad() was called on it", nullptr},
    {"_base", get_base, nullptr, "of a view the Tensor whose elements it shows, or None", nullptr},
    {"_is_view", get_is_view, nullptr, "shares its storage with the tensor it was taken from", nullptr},
    {"_version", get_version, nullptr, "number of in-place writes to the storage", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

// ---- methods ---------------------------------------------------------------------------------------------------------
static PyObject* dim(PyObject* o, PyObject*) { return PyLong_FromLong(as_tensor(o)->array.ndim()); }
static PyObject* numel(PyObject* o, PyObject*) { return PyLong_FromLongLong(as_tensor(o)->array.numel()); }
static PyObject* is_contiguous(PyObject* o, PyObject*) { return PyBool_FromLong(as_tensor(o)->array.is_contiguous()); }
static PyObject* is_channels_last(PyObject* o, PyObject*) { return PyBool_FromLong(as_tensor(o)->array.is_channels_last()); }
static PyObject* data_ptr(PyObject* o, PyObject*) { return PyLong_FromVoidPtr(as_tensor(o)->array.bytes()); }
static PyObject* strides(PyObject* o, PyObject*) { return dims_tuple(as_tensor(o)->array.strides); }
static PyObject* offset(PyObject* o, PyObject*) { return PyLong_FromLongLong(as_tensor(o)->array.offset); }
static PyObject* detach(PyObject* o, PyObject*) { return wrap_view(Array(as_tensor(o)->array)); }
static PyObject* bump(PyObject* o, PyObject*) {
  ++as_tensor(o)->array.storage->version;
  Py_RETURN_NONE;
}

static PyObject* set_array(PyObject* o, PyObject* other) {
  if (!is_tensor(other)) {
    PyErr_Format(PyExc_TypeError, "[data] value must be a Tensor, got %s", Py_TYPE(other)->tp_name);
    return nullptr;
  }
  as_tensor(o)->array = Array(as_tensor(other)->array);
  Py_RETURN_NONE;
}

// Hooks live with the leaf, or with the output of the node.
static PyObject* hooks(PyObject* o, PyObject*) {
  TensorObject* t = as_tensor(o);
  PyObject** slot = t->node ? &as_node(t->node)->out(t->output).hooks : &t->hooks;
  if (!*slot && !(*slot = PyDict_New())) return nullptr;
  return Py_NewRef(*slot);
}

static PyObject* post_hooks(PyObject* o, PyObject*) {
  TensorObject* t = as_tensor(o);
  if (!t->post_hooks) {
    if (!(t->post_hooks = PyDict_New())) return nullptr;
    ++post_hooked;
  }
  return Py_NewRef(t->post_hooks);
}

// Elements, node and flags of `other`: what an in-place change of the shape leaves behind.
static PyObject* become(PyObject* o, PyObject* other) {
  if (!is_tensor(other)) {
    PyErr_SetString(PyExc_TypeError, "[_become] other must be a Tensor");
    return nullptr;
  }
  TensorObject *t = as_tensor(o), *from = as_tensor(other);
  t->array = Array(from->array);
  Py_XINCREF(from->node);
  Py_XSETREF(t->node, from->node);
  t->output = from->output;
  t->requires_grad = from->requires_grad;
  t->is_view = from->is_view;
  Py_XINCREF(from->base);
  Py_XSETREF(t->base, from->base == o ? nullptr : from->base);
  t->seen = from->seen;
  return Py_NewRef(o);
}

static PyObject* retain_grad(PyObject* o, PyObject*) {
  TensorObject* t = as_tensor(o);
  if (!t->requires_grad) {
    PyErr_SetString(PyExc_RuntimeError, "[retain_grad] tensor must require gradient, got one that does not");
    return nullptr;
  }
  if (t->node) {
    PyObject* ref = PyWeakref_NewRef(o, nullptr);
    if (!ref) return nullptr;
    Py_XSETREF(as_node(t->node)->out(t->output).retained, ref);
  }
  Py_RETURN_NONE;
}

static PyMethodDef tensor_methods[] = {
    {"dim", dim, METH_NOARGS, "Number of dimensions."},
    {"numel", numel, METH_NOARGS, "Number of elements."},
    {"_is_channels_last", is_channels_last, METH_NOARGS, "Dense (N, ..., C) memory seen as (N, C, ...)."},
    {"_is_row_major", is_contiguous, METH_NOARGS, "Whether the elements lie in row-major order without gaps."},
    {"data_ptr", data_ptr, METH_NOARGS, "Address of the first element."},
    {"_strides", strides, METH_NOARGS, "Step of each dimension, in elements."},
    {"storage_offset", offset, METH_NOARGS, "Place of the first element in the storage, in elements."},
    {"detach", detach, METH_NOARGS, "The same elements (shared), outside of the graph."},
    {"retain_grad", retain_grad, METH_NOARGS, "Keep .grad of a tensor that is not a leaf."},
    {"_set_array", set_array, METH_O, "Take over another tensor's elements."},
    {"_bump", bump, METH_NOARGS, "Count an in-place write."},
    {"_hooks", hooks, METH_NOARGS, "The dict of gradient hooks."},
    {"_post_hooks", post_hooks, METH_NOARGS, "The dict of hooks called once .grad has been added to."},
    {"_become", become, METH_O, "Take over another tensor's elements and history."},
    {nullptr, nullptr, 0, nullptr}};

static PyMemberDef tensor_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(TensorObject, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

static PyType_Slot tensor_slots[] = {{Py_tp_new, (void*)tensor_new},
                                     {Py_tp_dealloc, (void*)tensor_dealloc},
                                     {Py_tp_traverse, (void*)tensor_traverse},
                                     {Py_tp_clear, (void*)tensor_clear},
                                     {Py_tp_hash, (void*)tensor_hash},
                                     {Py_tp_getset, tensor_getset},
                                     {Py_tp_methods, tensor_methods},
                                     {Py_tp_members, tensor_members},
                                     {Py_mp_length, (void*)tensor_len},
                                     {Py_tp_richcompare, (void*)tensor_compare},
                                     {Py_nb_add, (void*)tensor_add},
                                     {Py_nb_subtract, (void*)tensor_sub},
                                     {Py_nb_multiply, (void*)tensor_mul},
                                     {Py_nb_true_divide, (void*)tensor_div},
                                     {Py_nb_floor_divide, (void*)tensor_floor_divide},
                                     {Py_nb_remainder, (void*)tensor_remainder},
                                     {Py_nb_power, (void*)tensor_pow},
                                     {Py_nb_and, (void*)tensor_and},
                                     {Py_nb_or, (void*)tensor_or},
                                     {Py_nb_xor, (void*)tensor_xor},
                                     {Py_nb_negative, (void*)tensor_neg},
                                     {Py_nb_absolute, (void*)tensor_abs},
                                     {Py_nb_inplace_add, (void*)tensor_iadd},
                                     {Py_nb_inplace_subtract, (void*)tensor_isub},
                                     {Py_nb_inplace_multiply, (void*)tensor_imul},
                                     {Py_nb_inplace_true_divide, (void*)tensor_idiv},
                                     {0, nullptr}};

static PyType_Spec tensor_spec = {"lamella._core.TensorBase", sizeof(TensorObject), 0,
                                  Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, tensor_slots};

static PyObject* set_tensor_class(PyObject*, PyObject* args) {
  PyObject *cls, *device;
  if (!PyArg_ParseTuple(args, "O!O", &PyType_Type, &cls, &device)) return nullptr;
  TensorClass = reinterpret_cast<PyTypeObject*>(Py_NewRef(cls));
  Py_INCREF(device);
  Py_XSETREF(device_class, device);
  Py_RETURN_NONE;
}

static PyMethodDef functions[] = {{"set_tensor_class", set_tensor_class, METH_VARARGS,
                                   "set_tensor_class(cls, device): what ops return, and the class of Tensor.device."},
                                  {nullptr, nullptr, 0, nullptr}};

bool init_tensor_type(PyObject* module) {
  TensorBase = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&tensor_spec));
  if (!TensorBase) return false;
  TensorClass = TensorBase;
  return PyModule_AddObjectRef(module, "TensorBase", reinterpret_cast<PyObject*>(TensorBase)) == 0 &&
         PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace lamella
