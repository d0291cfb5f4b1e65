// SPDX-License-Identifier: MIT
// Elementwise ops as callables and as the number slots of Tensor. `elementwise(name, saves)(rule)` makes the callable;
// the operators of Tensor use the callable of their name once it is made. This is the hottest path of the library: raw
// vectorcall, no argument tuples, one allocation for the result.
#include <Python.h>
#include <structmember.h>
#include <cstddef>
#include "object.h"
#include "ops/elementwise.h"
#include "slots.h"

namespace lamella {

using ops::Operand;

// other: each input for the other's gradient; second: as other, and the second input for its own.
enum class Saves : uint8_t { none, inputs, output, other, second };

struct ElementwiseObject {
  PyObject_HEAD
  vectorcallfunc vectorcall;
  PyObject *name, *doc, *rule;
  int op;
  bool binary;
  Saves saves;
};

static PyTypeObject* ElementwiseType = nullptr;
static ElementwiseObject* unary_ops[int(UnaryOp::count)];
static ElementwiseObject* binary_ops[int(BinaryOp::count)];
static PyObject* keyword_call = nullptr;  // (op, *args, **names): calls with keywords go there
static PyObject* to_tensor = nullptr;  // lamella.as_tensor, for lists and NumPy arrays

static constexpr int64_t kReleaseGil = 1 << 15;  // elements from which letting go of the GIL pays

class MaybeNoGil {
 public:
  explicit MaybeNoGil(int64_t work) : state_(work >= kReleaseGil ? PyEval_SaveThread() : nullptr) {}
  ~MaybeNoGil() { if (state_) PyEval_RestoreThread(state_); }
 private:
  PyThreadState* state_;
};

// ---- operands --------------------------------------------------------------------------------------------------------
// A Tensor, or a Python number; anything else is refused (false, no error set).
static bool number_or_tensor(PyObject* o, Operand& out) {
  if (is_tensor(o)) { out = Operand(as_tensor(o)->array); return true; }
  if (PyFloat_CheckExact(o)) { out = Operand(PyFloat_AS_DOUBLE(o)); return true; }
  if (PyBool_Check(o)) { out = Operand(o == Py_True); return true; }
  if (PyLong_CheckExact(o)) {
    int overflow;
    long long v = PyLong_AsLongLongAndOverflow(o, &overflow);
    out = overflow ? Operand(PyLong_AsDouble(o)) : Operand(int64_t(v));
    return !(overflow && PyErr_Occurred());
  }
  if (PyFloat_Check(o)) { out = Operand(PyFloat_AsDouble(o)); return true; }
  return false;
}

// As above; other objects go through lamella.as_tensor, whose result is kept in `held`.
static bool operand(PyObject*& o, Operand& out, PyObject*& held) {
  if (number_or_tensor(o, out)) return true;
  if (PyErr_Occurred()) return false;
  held = PyObject_CallOneArg(to_tensor, o);
  if (!held) return false;
  o = held;
  return number_or_tensor(o, out);
}

static int64_t work_of(const Operand& a) { return a.is_array() ? a.array->numel() : 1; }

// ---- computing and recording -------------------------------------------------------------------------------------------
static PyObject* saved_inputs(ElementwiseObject* e, PyObject* a, PyObject* b, PyObject* const* constants, int n_constants) {
  int n = e->binary ? 2 : 1;
  PyObject* ctx = PyTuple_New(n + n_constants);
  if (!ctx) return nullptr;
  bool either = e->saves == Saves::other || e->saves == Saves::second;
  bool keep_a = e->saves == Saves::inputs || (either && wants_gradient(b));
  bool keep_b = e->saves == Saves::inputs || e->saves == Saves::second || (either && wants_gradient(a));
  PyTuple_SET_ITEM(ctx, 0, Py_NewRef(keep_a ? a : Py_None));
  if (e->binary) PyTuple_SET_ITEM(ctx, 1, Py_NewRef(keep_b ? b : Py_None));
  for (int i = 0; i < n_constants; ++i) PyTuple_SET_ITEM(ctx, n + i, Py_NewRef(constants[i]));
  return ctx;
}

// Ties y to its inputs; y itself on success, null (y dropped) on failure.
static PyObject* recorded(ElementwiseObject* e, PyObject* y, PyObject* a, PyObject* b, PyObject* const* constants,
                          int n_constants) {
  if (!grad_enabled() || !(wants_gradient(a) || (b && wants_gradient(b))) || e->rule == Py_None ||
      !is_floating(as_tensor(y)->array.dtype))
    return y;
  PyObject* ctx = saved_inputs(e, a, b, constants, n_constants);
  PyObject* inputs[2] = {a, b};
  bool ok = ctx && record(&y, 1, e->rule, inputs, e->binary ? 2 : 1, ctx, e->saves == Saves::output);
  Py_XDECREF(ctx);
  if (ok) return y;
  Py_DECREF(y);
  return nullptr;
}

static bool constants_of(PyObject* const* args, int n, double* p) {
  for (int i = 0; i < n; ++i) {
    p[i] = PyFloat_AsDouble(args[i]);
    if (p[i] == -1.0 && PyErr_Occurred()) return false;
  }
  return true;
}

static PyObject* apply_unary(ElementwiseObject* e, PyObject* x, PyObject* const* constants = nullptr, int n_constants = 0) {
  double p[2] = {0, 0};
  if (!constants_of(constants, n_constants, p)) return nullptr;
  PyObject* held = nullptr;
  if (!is_tensor(x)) {
    held = x = PyObject_CallOneArg(to_tensor, x);
    if (!x) return nullptr;
  }
  PyObject* y = nullptr;
  try {
    const Array& a = as_tensor(x)->array;
    Array out;
    {
      const On device(a.device());
      MaybeNoGil unlocked(a.numel());
      out = ops::unary(UnaryOp(e->op), a, p[0], p[1]);
    }
    y = wrap(std::move(out));
  } catch (...) {
    raise_current_exception();
  }
  if (y) y = recorded(e, y, x, nullptr, constants, n_constants);
  Py_XDECREF(held);
  return y;
}

static PyObject* apply_binary(ElementwiseObject* e, PyObject* a, PyObject* b, PyObject* const* constants = nullptr,
                              int n_constants = 0) {
  double p[2] = {0, 0};
  if (!constants_of(constants, n_constants, p)) return nullptr;
  PyObject *held_a = nullptr, *held_b = nullptr, *y = nullptr;
  Operand oa(0.0), ob(0.0);
  if (operand(a, oa, held_a) && operand(b, ob, held_b)) {
    try {
      Array out, lifted;
      {
        const On device(ops::meeting_place(ops::name_of(BinaryOp(e->op)), oa, ob, lifted));
        MaybeNoGil unlocked(work_of(oa) > work_of(ob) ? work_of(oa) : work_of(ob));
        out = ops::binary(BinaryOp(e->op), oa, ob, p[0], p[1]);
      }
      y = wrap(std::move(out));
    } catch (...) {
      raise_current_exception();
    }
    if (y) y = recorded(e, y, a, b, constants, n_constants);
  }
  Py_XDECREF(held_a);
  Py_XDECREF(held_b);
  return y;
}

// What x is before it is written, for rules that read it and may be differentiated themselves.
static PyObject* copy_with_history(TensorObject* x) {
  const On device(x->array.device());
  PyObject* o = wrap(ops::clone(x->array));
  if (!o) return nullptr;
  as_tensor(o)->node = Py_XNewRef(x->node);
  as_tensor(o)->output = x->output;
  as_tensor(o)->requires_grad = x->requires_grad && x->node;
  return o;
}

// x = op(x, b) or op(x) in place. A rule that reads x gets a copy made before it is overwritten.
static PyObject* apply_inplace(ElementwiseObject* e, PyObject* x, PyObject* b, PyObject* const* constants, int n_constants) {
  double p[2] = {0, 0};
  if (!constants_of(constants, n_constants, p)) return nullptr;
  PyObject *held = nullptr, *before = nullptr, *ctx = nullptr, *result = nullptr;
  Operand ob(0.0);
  if (b && !operand(b, ob, held)) return nullptr;
  PyObject* inputs[2] = {x, b};
  int n = b ? 2 : 1;
  try {
    if (prepare_inplace(as_tensor(x), inputs, n)) {
      Array& a = as_tensor(x)->array;
      Array lifted;
      Operand oa(a);
      const On device(b ? ops::meeting_place(ops::name_of(BinaryOp(e->op)), oa, ob, lifted) : a.device());
      check<RuntimeError>(a.device() == here(), "[elementwise] in-place result must lie where the other operand does, got ",
                          a.device().str(), " and ", here().str());
      bool recording = grad_enabled() && (wants_gradient(x) || (b && wants_gradient(b)));
      if (recording && (e->saves == Saves::inputs || (e->saves >= Saves::other && b && wants_gradient(b))))
        before = copy_with_history(as_tensor(x));
      {
        MaybeNoGil unlocked(a.numel());
        if (b) ops::binary_out(BinaryOp(e->op), a, Operand(a), ob, p[0], p[1]);
        else ops::unary_(UnaryOp(e->op), a, p[0], p[1]);
      }
      // saved_inputs decides by the gradient flags of x and b; `before` then stands in for x
      ctx = saved_inputs(e, x, b, constants, n_constants);
      if (ctx && PyTuple_GET_ITEM(ctx, 0) == x && before) {
        PyTuple_SET_ITEM(ctx, 0, Py_NewRef(before));
        Py_DECREF(x);
      }
      if (ctx && record_inplace(as_tensor(x), e->rule, inputs, n, ctx, e->saves == Saves::output)) result = Py_NewRef(x);
    }
  } catch (...) {
    raise_current_exception();
  }
  Py_XDECREF(ctx);
  Py_XDECREF(before);
  Py_XDECREF(held);
  return result;
}

// ---- the callable ------------------------------------------------------------------------------------------------------
static PyObject* elementwise_vectorcall(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  auto* e = reinterpret_cast<ElementwiseObject*>(self);
  Py_ssize_t n = PyVectorcall_NARGS(nargsf);
  int arity = e->binary ? 2 : 1;
  if (kwnames && PyTuple_GET_SIZE(kwnames) && keyword_call) {
    PyObject* all = PyTuple_New(n + 1);
    if (!all) return nullptr;
    PyTuple_SET_ITEM(all, 0, Py_NewRef(self));
    for (Py_ssize_t i = 0; i < n; ++i) PyTuple_SET_ITEM(all, i + 1, Py_NewRef(args[i]));
    PyObject* named = PyDict_New();
    for (Py_ssize_t i = 0; named && i < PyTuple_GET_SIZE(kwnames); ++i)
      if (PyDict_SetItem(named, PyTuple_GET_ITEM(kwnames, i), args[n + i]) < 0) Py_CLEAR(named);
    PyObject* y = named ? PyObject_Call(keyword_call, all, named) : nullptr;
    Py_DECREF(all);
    Py_XDECREF(named);
    return y;
  }
  if (n < arity || n > arity + 2 || (kwnames && PyTuple_GET_SIZE(kwnames))) {
    PyErr_Format(PyExc_TypeError, "[%U] takes %d positional argument%s, got %zd", e->name, arity, arity > 1 ? "s" : "",
                 n + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0));
    return nullptr;
  }
  int constants = int(n) - arity;
  return e->binary ? apply_binary(e, args[0], args[1], args + 2, constants) : apply_unary(e, args[0], args + 1, constants);
}

static PyObject* call_inplace(PyObject* self, PyObject* const* args, Py_ssize_t n) {
  auto* e = reinterpret_cast<ElementwiseObject*>(self);
  int arity = e->binary ? 2 : 1;
  if (n < arity || n > arity + 2 || !is_tensor(args[0])) {
    PyErr_Format(PyExc_TypeError, "[%U_] takes a Tensor%s", e->name, e->binary ? " and another operand" : "");
    return nullptr;
  }
  return apply_inplace(e, args[0], e->binary ? args[1] : nullptr, args + arity, int(n) - arity);
}

static void elementwise_dealloc(PyObject* o) {
  auto* e = reinterpret_cast<ElementwiseObject*>(o);
  PyTypeObject* type = Py_TYPE(o);
  PyObject_GC_UnTrack(o);
  Py_XDECREF(e->name);
  Py_XDECREF(e->doc);
  Py_XDECREF(e->rule);
  type->tp_free(o);
  Py_DECREF(type);
}
static int elementwise_traverse(PyObject* o, visitproc visit, void* arg) {
  Py_VISIT(reinterpret_cast<ElementwiseObject*>(o)->rule);
  Py_VISIT(Py_TYPE(o));
  return 0;
}
static PyObject* elementwise_repr(PyObject* o) {
  return PyUnicode_FromFormat("<op %U>", reinterpret_cast<ElementwiseObject*>(o)->name);
}
// x.tanh(): as functions do, an op found on the type becomes a method.
static PyObject* bind_method(PyObject* self, PyObject* o, PyObject*) {
  return o && o != Py_None ? PyMethod_New(self, o) : Py_NewRef(self);
}
static PyObject* get_signature(PyObject* o, void*) {
  return PyUnicode_FromString(reinterpret_cast<ElementwiseObject*>(o)->binary ? "(input, other, /)" : "(input, /)");
}
// elementwise(name, saves)(rule): takes the rule, its docstring becomes the op's.
static PyObject* set_rule(PyObject* o, PyObject* rule) {
  auto* e = reinterpret_cast<ElementwiseObject*>(o);
  Py_XSETREF(e->rule, Py_NewRef(rule));
  PyObject* doc = PyObject_GetAttrString(rule, "__doc__");
  if (!doc) return nullptr;
  Py_XSETREF(e->doc, doc);
  return Py_NewRef(o);
}

static PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(ElementwiseObject, vectorcall), READONLY, nullptr},
    {"__name__", T_OBJECT, offsetof(ElementwiseObject, name), READONLY, nullptr},
    {"__qualname__", T_OBJECT, offsetof(ElementwiseObject, name), READONLY, nullptr},
    {"__doc__", T_OBJECT, offsetof(ElementwiseObject, doc), READONLY, nullptr},
    {"rule", T_OBJECT, offsetof(ElementwiseObject, rule), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};
static PyGetSetDef getset[] = {{"__text_signature__", get_signature, nullptr, nullptr, nullptr},
                               {nullptr, nullptr, nullptr, nullptr, nullptr}};
static PyMethodDef methods[] = {
    {"inplace", (PyCFunction)(void (*)())call_inplace, METH_FASTCALL, "inplace(x, ...): the op, written into x."},
    {"set_rule", set_rule, METH_O, "Give the rule of differentiation; returns the op."},
    {nullptr, nullptr, 0, nullptr}};
static PyType_Slot slots[] = {{Py_tp_dealloc, (void*)elementwise_dealloc},
                              {Py_tp_traverse, (void*)elementwise_traverse},
                              {Py_tp_call, (void*)PyVectorcall_Call},
                              {Py_tp_repr, (void*)elementwise_repr},
                              {Py_tp_descr_get, (void*)bind_method},
                              {Py_tp_members, members},
                              {Py_tp_getset, getset},
                              {Py_tp_methods, methods},
                              {0, nullptr}};
static PyType_Spec spec = {"lamella._core.Elementwise", sizeof(ElementwiseObject), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR |
                               Py_TPFLAGS_DISALLOW_INSTANTIATION,
                           slots};

// One callable per op of the lists, made with the module; Python gives rules and docstrings.
static bool make_op(PyObject* module, const char* name, int op, bool binary) {
  auto* e = reinterpret_cast<ElementwiseObject*>(ElementwiseType->tp_alloc(ElementwiseType, 0));
  if (!e) return false;
  e->vectorcall = elementwise_vectorcall;
  e->name = PyUnicode_InternFromString(name);
  e->doc = Py_NewRef(Py_None);
  e->rule = Py_NewRef(Py_None);
  e->op = op;
  e->binary = binary;
  (binary ? binary_ops : unary_ops)[op] = e;
  return PyModule_AddObjectRef(module, name, reinterpret_cast<PyObject*>(e)) == 0;
}

// elementwise(name, saves="") -> decorator of the rule: the op of that name.
static PyObject* elementwise(PyObject* module, PyObject* args, PyObject* kwargs) {
  static const char* keys[] = {"name", "saves", nullptr};
  const char *name, *saves = "";
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s|s", const_cast<char**>(keys), &name, &saves)) return nullptr;
  PyObject* o = PyObject_GetAttrString(module, name);
  if (!o) return nullptr;
  static const char* const kinds[] = {"", "inputs", "output", "other", "second"};
  for (int i = 0; i < 5; ++i)
    if (std::string(saves) == kinds[i]) reinterpret_cast<ElementwiseObject*>(o)->saves = Saves(i);
  PyObject* decorator = PyObject_GetAttrString(o, "set_rule");
  Py_DECREF(o);
  return decorator;
}

static PyObject* set_to_tensor(PyObject*, PyObject* f) {
  Py_INCREF(f);
  Py_XSETREF(to_tensor, f);
  Py_RETURN_NONE;
}

static PyObject* set_keyword_call(PyObject*, PyObject* f) {
  Py_INCREF(f);
  Py_XSETREF(keyword_call, f);
  Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"set_keyword_call", set_keyword_call, METH_O, "What takes calls of ops with keywords: f(op, *args, **names)."},
    {"elementwise", (PyCFunction)(void (*)())elementwise, METH_VARARGS | METH_KEYWORDS,
     "elementwise(name, saves=''): decorator that turns a rule into the op of that name; saves: '', 'inputs', 'output', "
     "'other' (each input, if the other wants a gradient) or 'second' (as other, and always the second)."},
    {"set_to_tensor", set_to_tensor, METH_O, "What turns lists and NumPy arrays into Tensors."},
    {nullptr, nullptr, 0, nullptr}};

bool init_elementwise(PyObject* module) {
  ElementwiseType = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  if (!ElementwiseType || PyModule_AddFunctions(module, functions) < 0) return false;
#define U(name) if (!make_op(module, #name, int(UnaryOp::name), false)) return false;
  LAMELLA_UNARY_OPS(U)
#undef U
#define B(name) if (!make_op(module, #name, int(BinaryOp::name), true)) return false;
  LAMELLA_BINARY_OPS(B)
#undef B
  return true;
}

// ---- number slots --------------------------------------------------------------------------------------------------------
// NotImplemented for what is neither number, Tensor, list nor array, so that Python tries the other operand.
static bool acceptable(PyObject* o) {
  return is_tensor(o) || PyFloat_Check(o) || PyLong_Check(o) || PyList_Check(o) ||
         PyObject_HasAttrString(o, "__array__");
}

static PyObject* slot(BinaryOp op, PyObject* a, PyObject* b) {
  if (!acceptable(a) || !acceptable(b)) Py_RETURN_NOTIMPLEMENTED;
  return apply_binary(binary_ops[int(op)], a, b);
}

#define SLOT(name) \
  PyObject* tensor_##name(PyObject* a, PyObject* b) { return slot(BinaryOp::name, a, b); }
SLOT(add) SLOT(sub) SLOT(mul) SLOT(div) SLOT(floor_divide) SLOT(remainder)
#undef SLOT

PyObject* tensor_pow(PyObject* a, PyObject* b, PyObject*) { return slot(BinaryOp::pow, a, b); }
PyObject* tensor_neg(PyObject* a) { return apply_unary(unary_ops[int(UnaryOp::neg)], a); }
PyObject* tensor_abs(PyObject* a) { return apply_unary(unary_ops[int(UnaryOp::abs)], a); }

// & | ^: logic on bool, bitwise on integers.
static bool is_bool(PyObject* o) {
  return PyBool_Check(o) || (is_tensor(o) && as_tensor(o)->array.dtype == DType::b8);
}
static PyObject* logic(BinaryOp of_bool, BinaryOp of_int, PyObject* a, PyObject* b) {
  return slot(is_bool(a) && is_bool(b) ? of_bool : of_int, a, b);
}
PyObject* tensor_and(PyObject* a, PyObject* b) { return logic(BinaryOp::logical_and, BinaryOp::bitwise_and, a, b); }
PyObject* tensor_or(PyObject* a, PyObject* b) { return logic(BinaryOp::logical_or, BinaryOp::bitwise_or, a, b); }
PyObject* tensor_xor(PyObject* a, PyObject* b) { return logic(BinaryOp::logical_xor, BinaryOp::bitwise_xor, a, b); }

static PyObject* inplace_slot(BinaryOp op, PyObject* a, PyObject* b) {
  if (!acceptable(b)) Py_RETURN_NOTIMPLEMENTED;
  return apply_inplace(binary_ops[int(op)], a, b, nullptr, 0);
}
PyObject* tensor_iadd(PyObject* a, PyObject* b) { return inplace_slot(BinaryOp::add, a, b); }
PyObject* tensor_isub(PyObject* a, PyObject* b) { return inplace_slot(BinaryOp::sub, a, b); }
PyObject* tensor_imul(PyObject* a, PyObject* b) { return inplace_slot(BinaryOp::mul, a, b); }
PyObject* tensor_idiv(PyObject* a, PyObject* b) { return inplace_slot(BinaryOp::div, a, b); }

PyObject* tensor_compare(PyObject* a, PyObject* b, int op) {
  static constexpr BinaryOp of[] = {BinaryOp::lt, BinaryOp::le, BinaryOp::eq, BinaryOp::ne, BinaryOp::gt, BinaryOp::ge};
  return slot(of[op], a, b);
}

}  // namespace lamella
