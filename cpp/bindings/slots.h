// SPDX-License-Identifier: MIT
// The number slots of Tensor (elementwise.cpp): a + b goes from the interpreter straight to the op.
#pragma once
#include <Python.h>

namespace lamella {

PyObject* tensor_add(PyObject* a, PyObject* b);
PyObject* tensor_sub(PyObject* a, PyObject* b);
PyObject* tensor_mul(PyObject* a, PyObject* b);
PyObject* tensor_div(PyObject* a, PyObject* b);
PyObject* tensor_floor_divide(PyObject* a, PyObject* b);
PyObject* tensor_remainder(PyObject* a, PyObject* b);
PyObject* tensor_and(PyObject* a, PyObject* b);
PyObject* tensor_or(PyObject* a, PyObject* b);
PyObject* tensor_xor(PyObject* a, PyObject* b);
PyObject* tensor_pow(PyObject* a, PyObject* b, PyObject* modulus);
PyObject* tensor_neg(PyObject* a);
PyObject* tensor_abs(PyObject* a);
PyObject* tensor_iadd(PyObject* a, PyObject* b);
PyObject* tensor_isub(PyObject* a, PyObject* b);
PyObject* tensor_imul(PyObject* a, PyObject* b);
PyObject* tensor_idiv(PyObject* a, PyObject* b);
PyObject* tensor_compare(PyObject* a, PyObject* b, int op);

}  // namespace lamella
