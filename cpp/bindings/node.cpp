// SPDX-License-Identifier: MIT
// Node: one recorded op. Recording is what an op does after computing: it ties outputs to inputs through a rule.
#include <new>
#include "object.h"

namespace lamella {

PyTypeObject* NodeType = nullptr;

static thread_local bool recording = true;
static bool anomaly = false;            // keep the line that made each node
static bool check_nan = false;          // and look for NaN in gradients
static thread_local PyObject* watching = nullptr;  // list that new nodes are put into, or null
static PyObject* leaf_node = nullptr;   // Tensor -> what stands for a leaf among next_functions, given by Python
static PyObject* describe_line = nullptr;  // () -> str, given by Python
static uint64_t next_sequence = 0;      // under the GIL

bool grad_enabled() { return recording; }
void set_grad_enabled(bool on) { recording = on; }
bool nan_is_error() { return anomaly && check_nan; }

// ---- making ----------------------------------------------------------------------------------------------------------
static bool needs_gradient(PyObject* const* inputs, int n) {
  for (int i = 0; i < n; ++i)
    if (wants_gradient(inputs[i])) return true;
  return false;
}

static void set_edge(Edge& e, PyObject* input) {
  new (&e) Edge();
  if (!wants_gradient(input)) return;
  TensorObject* t = as_tensor(input);
  e.target = Py_NewRef(t->node ? t->node : input);
  e.output = t->output;
  e.dtype = t->array.dtype;
  e.shape = t->array.shape;
}

static void set_output(Output& o, const Array& a, bool keep) {
  new (&o) Output();
  o.shape = a.shape;
  o.dtype = a.dtype;
  o.kept = keep;
  if (keep) {
    o.array = a;
    o.version = a.storage->version;
  }
}

static PyObject* new_node(PyObject* rule, PyObject* const* inputs, int n_inputs, PyObject* ctx, int n_outputs) {
  NodeObject* node = PyObject_GC_NewVar(NodeObject, NodeType, n_inputs);
  if (!node) return nullptr;
  node->rule = Py_NewRef(rule);
  node->ctx = Py_NewRef(ctx);
  node->where = nullptr;
  node->versions = nullptr;
  node->sequence = ++next_sequence;
  node->unwanted = 0;
  node->outputs = n_outputs;
  node->more = n_outputs > 1 ? new Output[n_outputs - 1]() : nullptr;
  new (&node->first) Output();
  for (int i = 0; i < n_inputs; ++i) set_edge(node->edges[i], inputs[i]);
  Py_ssize_t n = PyTuple_GET_SIZE(ctx);
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* item = PyTuple_GET_ITEM(ctx, i);
    if (!is_tensor(item)) continue;
    if (!node->versions) node->versions = new uint32_t[n]();
    node->versions[i] = as_tensor(item)->array.storage->version;
  }
  if (anomaly && describe_line) {
    node->where = PyObject_CallNoArgs(describe_line);
    if (!node->where) PyErr_Clear();
  }
  PyObject_GC_Track(node);
  if (watching && PyList_Append(watching, reinterpret_cast<PyObject*>(node)) < 0) PyErr_Clear();
  return reinterpret_cast<PyObject*>(node);
}

static void attach(TensorObject* t, PyObject* node, int output, bool keep) {
  set_output(as_node(node)->out(output), t->array, keep);
  Py_INCREF(node);
  Py_XSETREF(t->node, node);
  t->output = output;
  t->requires_grad = true;
  t->seen = t->array.storage->version;
}

bool record(PyObject* const* outputs, int n_outputs, PyObject* rule, PyObject* const* inputs, int n_inputs, PyObject* ctx,
            bool keep) {
  if (!recording) return true;
  if (n_inputs && is_tensor(inputs[0]))
    for (int i = 0; i < n_outputs; ++i) if (is_tensor(outputs[i])) set_base(outputs[i], inputs[0]);
  if (!needs_gradient(inputs, n_inputs)) return true;
  PyObject* node = new_node(rule, inputs, n_inputs, ctx, n_outputs);
  if (!node) return false;
  for (int i = 0; i < n_outputs; ++i) {
    if (!is_tensor(outputs[i])) continue;
    TensorObject* t = as_tensor(outputs[i]);
    if (!is_floating(t->array.dtype)) continue;
    if (t->is_view && !t->base) t->array.storage->recorded_view = true;
    attach(t, node, i, keep);
  }
  Py_DECREF(node);
  return true;
}

// ---- views -----------------------------------------------------------------------------------------------------------
static PyObject* view_rule = nullptr;   // of a view as a function of its base, given by Python
static PyObject* write_rule = nullptr;  // of a base as a function of what it was and of a view that was written

void set_base(PyObject* view, PyObject* of) {
  TensorObject *v = as_tensor(view), *t = as_tensor(of);
  if (v == t || !v->is_view || v->base || v->node || v->array.storage.get() != t->array.storage.get()) return;
  v->base = Py_NewRef(t->base ? t->base : of);
  v->seen = v->array.storage->version;
}

static PyObject* dims_tuple(const Dims& d) {
  PyObject* t = PyTuple_New(d.n);
  for (int i = 0; t && i < d.n; ++i) PyTuple_SET_ITEM(t, i, PyLong_FromLongLong(d[i]));
  return t;
}

// (shape, strides, offset) of the base, then of the view: the ctx of both rules.
static PyObject* geometry(const Array& base, const Array& view) {
  return Py_BuildValue("(NNLNNL)", dims_tuple(base.shape), dims_tuple(base.strides), (long long)base.offset,
                       dims_tuple(view.shape), dims_tuple(view.strides), (long long)view.offset);
}

void renew_history(TensorObject* v) {
  TensorObject* base = as_tensor(v->base);
  const bool own_leaf = v->requires_grad && !v->node;
  if (base->requires_grad && is_floating(v->array.dtype) && !own_leaf) {
    PyObject* ctx = geometry(base->array, v->array);
    PyObject* node = ctx ? new_node(view_rule, &v->base, 1, ctx, 1) : nullptr;
    Py_XDECREF(ctx);
    if (!node) { PyErr_Clear(); return; }
    attach(v, node, 0, false);
    Py_DECREF(node);
  }
  v->seen = v->array.storage->version;
}

// x, a view, was written: its base is now what it was, with x in its place.
static bool written_through(TensorObject* x) {
  TensorObject* base = as_tensor(x->base);
  PyObject* ctx = geometry(base->array, x->array);
  PyObject* inputs[2] = {x->base, reinterpret_cast<PyObject*>(x)};
  PyObject* node = ctx ? new_node(write_rule, inputs, 2, ctx, 1) : nullptr;
  Py_XDECREF(ctx);
  if (!node) return false;
  attach(base, node, 0, false);
  Py_DECREF(node);
  return true;
}

static PyObject* py_set_view_rules(PyObject*, PyObject* args) {
  PyObject *view, *write;
  if (!PyArg_ParseTuple(args, "OO", &view, &write)) return nullptr;
  Py_INCREF(view);
  Py_INCREF(write);
  Py_XSETREF(view_rule, view);
  Py_XSETREF(write_rule, write);
  Py_RETURN_NONE;
}

bool prepare_inplace(TensorObject* x, PyObject* const* inputs, int n_inputs) {
  if (x->array.storage->readonly) {
    PyErr_SetString(PyExc_ValueError, "[in-place] tensor must be writable, got one that shares read-only memory: clone() it");
    return false;
  }
  if (!recording || !needs_gradient(inputs, n_inputs)) return true;
  if (x->requires_grad && !x->node) {
    PyErr_SetString(PyExc_RuntimeError,
                    "[in-place] tensor must not be a leaf that requires gradient: write under no_grad(), or out of place");
    return false;
  }
  if (x->base && as_tensor(x->base)->requires_grad && !as_tensor(x->base)->node) {
    PyErr_SetString(PyExc_RuntimeError, "[in-place] tensor must not be a view of a leaf that requires gradient: write under "
                                        "no_grad(), or out of place");
    return false;
  }
  if ((x->is_view && !x->base && x->node) || x->array.storage->recorded_view) {
    PyErr_SetString(PyExc_RuntimeError, "[in-place] tensor must not share its storage with a view while gradients are "
                                        "recorded: write out of place, or into a clone()");
    return false;
  }
  if (!is_floating(x->array.dtype)) {
    PyErr_Format(PyExc_RuntimeError, "[in-place] tensor must have a floating dtype to take a gradient, got %s",
                 name_of(x->array.dtype));
    return false;
  }
  return true;
}

bool record_inplace(TensorObject* x, PyObject* rule, PyObject* const* inputs, int n_inputs, PyObject* ctx, bool keep) {
  ++x->array.storage->version;
  if (!recording || !needs_gradient(inputs, n_inputs)) return true;
  PyObject* node = new_node(rule, inputs, n_inputs, ctx, 1);
  if (!node) return false;
  attach(x, node, 0, keep);
  Py_DECREF(node);
  return !x->base || written_through(x);
}

// ---- the type --------------------------------------------------------------------------------------------------------
static int node_traverse(PyObject* o, visitproc visit, void* arg) {
  NodeObject* n = as_node(o);
  Py_VISIT(n->rule);
  Py_VISIT(n->ctx);
  for (int i = 0; i < n->outputs; ++i) Py_VISIT(n->out(i).hooks);
  for (Py_ssize_t i = 0; i < Py_SIZE(n); ++i) Py_VISIT(n->edges[i].target);
  Py_VISIT(Py_TYPE(o));
  return 0;
}

// Drops what the rule needs; the node stays as a marker that its graph was freed.
void release_node(NodeObject* n) {
  for (int i = 0; i < n->outputs; ++i) {
    n->out(i).array = Array();
    n->out(i).kept = false;
  }
  for (Py_ssize_t i = 0; i < Py_SIZE(n); ++i) Py_CLEAR(n->edges[i].target);
  Py_CLEAR(n->rule);
  Py_CLEAR(n->ctx);
}

static int node_clear(PyObject* o) {
  NodeObject* n = as_node(o);
  release_node(n);
  for (int i = 0; i < n->outputs; ++i) {
    Py_CLEAR(n->out(i).hooks);
    Py_CLEAR(n->out(i).retained);
  }
  return 0;
}

static void node_dealloc(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  PyObject_GC_UnTrack(o);
  Py_TRASHCAN_BEGIN(o, node_dealloc)  // long chains free each other without deep recursion
  NodeObject* n = as_node(o);
  node_clear(o);
  Py_CLEAR(n->where);
  n->first.~Output();
  delete[] n->more;
  delete[] n->versions;
  PyObject_GC_Del(o);
  Py_DECREF(type);
  Py_TRASHCAN_END
}

static PyObject* get_ctx(PyObject* o, void*) { return Py_NewRef(as_node(o)->ctx ? as_node(o)->ctx : Py_None); }

static PyObject* output_tensor(NodeObject* n, int i) {
  Output& out = n->out(i);
  if (!out.kept) Py_RETURN_NONE;
  if (out.array.storage->version != out.version) {
    PyErr_SetString(PyExc_RuntimeError,
                    text("[backward] the output of an op (", describe(out.array), ") was changed in place before its "
                         "gradient was taken: change a clone() instead").c_str());
    return nullptr;
  }
  PyObject* t = wrap_view(Array(out.array));
  if (!t) return nullptr;
  as_tensor(t)->node = Py_NewRef(reinterpret_cast<PyObject*>(n));
  as_tensor(t)->output = i;
  as_tensor(t)->requires_grad = true;
  return t;
}

static PyObject* get_output(PyObject* o, void*) {
  NodeObject* n = as_node(o);
  if (n->outputs == 1) return output_tensor(n, 0);
  PyObject* all = PyTuple_New(n->outputs);
  for (int i = 0; all && i < n->outputs; ++i) {
    PyObject* t = output_tensor(n, i);
    if (!t) { Py_DECREF(all); return nullptr; }
    PyTuple_SET_ITEM(all, i, t);
  }
  return all;
}

static PyObject* get_needs(PyObject* o, void*) {
  NodeObject* n = as_node(o);
  PyObject* t = PyTuple_New(Py_SIZE(n));
  for (Py_ssize_t i = 0; t && i < Py_SIZE(n); ++i) {
    const bool unwanted = i < 64 && (n->unwanted >> i & 1);
    PyTuple_SET_ITEM(t, i, PyBool_FromLong(n->edges[i].target && !unwanted));
  }
  return t;
}

static PyObject* name(PyObject* o, PyObject*) {  // that of the rule, without its "_vjp"
  NodeObject* n = as_node(o);
  if (!n->rule) return PyUnicode_FromString("freed");
  PyObject* full = PyObject_GetAttrString(n->rule, "__name__");
  PyObject* parts = full ? PyObject_CallMethod(full, "removesuffix", "s", "_vjp") : nullptr;
  Py_XDECREF(full);
  return parts;
}

static PyObject* get_where(PyObject* o, void*) { return Py_NewRef(as_node(o)->where ? as_node(o)->where : Py_None); }

static PyObject* get_next(PyObject* o, void*) {
  NodeObject* n = as_node(o);
  PyObject* t = PyTuple_New(Py_SIZE(n));
  for (Py_ssize_t i = 0; t && i < Py_SIZE(n); ++i) {
    PyObject* target = n->edges[i].target;
    PyObject* to = !target ? Py_NewRef(Py_None) : is_node(target) ? Py_NewRef(target) : PyObject_CallOneArg(leaf_node, target);
    PyObject* pair = to ? Py_BuildValue("(Ni)", to, int(n->edges[i].output)) : nullptr;
    if (!pair) { Py_DECREF(t); return nullptr; }
    PyTuple_SET_ITEM(t, i, pair);
  }
  return t;
}

static PyObject* node_repr(PyObject* o) {
  PyObject* text = name(o, nullptr);
  PyObject* r = text ? PyUnicode_FromFormat("<%U>", text) : nullptr;
  Py_XDECREF(text);
  return r;
}

static PyObject* get_rule(PyObject* o, void*);
static PyGetSetDef getset[] = {{"rule", get_rule, nullptr, "rule(node, *dy) -> gradients of the inputs", nullptr},
                               {"ctx", get_ctx, nullptr, "what the op put by for its rule", nullptr},
                               {"output", get_output, nullptr, "the op's output (a tuple if several), if kept", nullptr},
                               {"needs", get_needs, nullptr, "which inputs want a gradient", nullptr},
                               {"where", get_where, nullptr, "the line that made it, in anomaly mode", nullptr},
                               {"next_functions", get_next, nullptr, "per input: (the Node it leads to or None, which output of it)", nullptr},
                               {nullptr, nullptr, nullptr, nullptr, nullptr}};
// Forgets what the op put by; `rule` will be asked instead of its own.
static PyObject* strip(PyObject* o, PyObject* rule) {
  NodeObject* n = as_node(o);
  Py_INCREF(rule);
  Py_XSETREF(n->rule, rule);
  for (int i = 0; i < n->outputs; ++i) {
    n->out(i).array = Array();
    n->out(i).kept = false;
  }
  PyObject* empty = PyTuple_New(0);
  if (!empty) return nullptr;
  Py_XSETREF(n->ctx, empty);
  Py_RETURN_NONE;
}
static PyObject* get_rule(PyObject* o, void*) { return Py_NewRef(as_node(o)->rule ? as_node(o)->rule : Py_None); }

static PyMethodDef methods[] = {{"name", name, METH_NOARGS, "The op's name."},
                                {"_strip", strip, METH_O, "Forget what was put by; this rule will bring it back."},
                                {nullptr, nullptr, 0, nullptr}};
static PyType_Slot slots[] = {{Py_tp_methods, methods},
                              {Py_tp_dealloc, (void*)node_dealloc}, {Py_tp_traverse, (void*)node_traverse},
                              {Py_tp_clear, (void*)node_clear},     {Py_tp_getset, getset},
                              {Py_tp_repr, (void*)node_repr},       {0, nullptr}};
static PyType_Spec spec = {"lamella._core.Node", offsetof(NodeObject, edges), sizeof(Edge),
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};

// ---- functions -------------------------------------------------------------------------------------------------------
// record(output, rule, inputs, ctx=(), keep_output=False) and record_inplace(x, rule, inputs, ctx=(), keep_output=False)
static PyObject* record_call(const char* name, bool inplace, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
  PyObject* slot[5] = {nullptr, nullptr, nullptr, nullptr, nullptr};
  static const char* const names[5] = {"output", "rule", "inputs", "ctx", "keep_output"};
  Py_ssize_t nkw = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
  bool ok = nargs <= 5;
  for (Py_ssize_t i = 0; ok && i < nargs; ++i) slot[i] = args[i];
  for (Py_ssize_t k = 0; ok && k < nkw; ++k) {
    ok = false;
    for (int i = 0; i < 5 && !ok; ++i)
      if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, k), names[i]) == 0) slot[i] = args[nargs + k], ok = true;
  }
  if (!ok || !slot[2] || !PyTuple_Check(slot[2]) || (slot[3] && !PyTuple_Check(slot[3]))) {
    PyErr_Format(PyExc_TypeError, "%s(output, rule, inputs: tuple, ctx: tuple = (), keep_output=False)", name);
    return nullptr;
  }
  PyObject* empty = slot[3] ? nullptr : PyTuple_New(0);
  PyObject* ctx = slot[3] ? slot[3] : empty;
  bool keep = slot[4] && PyObject_IsTrue(slot[4]);
  PyObject* const* inputs = &PyTuple_GET_ITEM(slot[2], 0);
  int n = int(PyTuple_GET_SIZE(slot[2]));
  if (inplace) {
    ok = record_inplace(as_tensor(slot[0]), slot[1], inputs, n, ctx, keep);
  } else if (PyTuple_Check(slot[0])) {
    ok = record(&PyTuple_GET_ITEM(slot[0], 0), int(PyTuple_GET_SIZE(slot[0])), slot[1], inputs, n, ctx, keep);
  } else {
    ok = record(&slot[0], 1, slot[1], inputs, n, ctx, keep);
  }
  Py_XDECREF(empty);
  return ok ? Py_NewRef(slot[0]) : nullptr;
}

static PyObject* py_record(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
  return record_call("record", false, args, nargs, kwnames);
}

static PyObject* py_record_inplace(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
  if (nargs < 1 || !is_tensor(args[0])) {
    PyErr_SetString(PyExc_TypeError, "[record_inplace] x must be a Tensor");
    return nullptr;
  }
  return record_call("record_inplace", true, args, nargs, kwnames);
}

static PyObject* py_prepare_inplace(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  if (nargs < 1 || !is_tensor(args[0])) {
    PyErr_SetString(PyExc_TypeError, "[prepare_inplace] x must be a Tensor");
    return nullptr;
  }
  if (!prepare_inplace(as_tensor(args[0]), args, int(nargs))) return nullptr;
  Py_RETURN_NONE;
}

static PyObject* py_is_grad_enabled(PyObject*, PyObject*) { return PyBool_FromLong(recording); }

static PyObject* py_set_grad_enabled(PyObject*, PyObject* on) {
  bool before = recording;
  recording = PyObject_IsTrue(on);
  return PyBool_FromLong(before);
}

static PyObject* py_set_anomaly(PyObject*, PyObject* args) {
  PyObject* line;
  int nan;
  if (!PyArg_ParseTuple(args, "Op", &line, &nan)) return nullptr;
  anomaly = line != Py_None;
  check_nan = nan;
  Py_INCREF(line);
  Py_XSETREF(describe_line, line);
  Py_RETURN_NONE;
}

static PyObject* py_watch_nodes(PyObject*, PyObject* list) {
  if (list != Py_None && !PyList_Check(list)) {
    PyErr_SetString(PyExc_TypeError, "watch_nodes(list or None)");
    return nullptr;
  }
  PyObject* before = watching ? watching : Py_NewRef(Py_None);
  watching = list == Py_None ? nullptr : Py_NewRef(list);
  return before;
}

static PyObject* py_set_leaf_node(PyObject*, PyObject* f) {
  Py_INCREF(f);
  Py_XSETREF(leaf_node, f);
  Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"record", (PyCFunction)(void (*)())py_record, METH_FASTCALL | METH_KEYWORDS,
     "record(output, rule, inputs, ctx=(), keep_output=False) -> output, tied to inputs if any wants a gradient."},
    {"record_inplace", (PyCFunction)(void (*)())py_record_inplace, METH_FASTCALL | METH_KEYWORDS,
     "record_inplace(x, rule, inputs, ctx=(), keep_output=False) -> x, which an op has just written; inputs[0] is x."},
    {"prepare_inplace", (PyCFunction)(void (*)())py_prepare_inplace, METH_FASTCALL,
     "prepare_inplace(x, *others): refuses an in-place write that would make a wrong gradient."},
    {"is_grad_enabled", py_is_grad_enabled, METH_NOARGS, "Whether ops are being recorded on this thread."},
    {"set_grad_enabled", py_set_grad_enabled, METH_O, "Switch recording on this thread; returns what it was."},
    {"set_anomaly", py_set_anomaly, METH_VARARGS,
     "set_anomaly(line, check_nan): a callable that names the current line, or None for off; whether NaN is an error."},
    {"watch_nodes", py_watch_nodes, METH_O, "Put the nodes this thread makes into this list (None: no more); returns the last."},
    {"set_view_rules", py_set_view_rules, METH_VARARGS, "Rules of a view of its base, and of a base that a view was written of."},
    {"set_leaf_node", py_set_leaf_node, METH_O, "What stands for a leaf in Node.next_functions: a callable on the leaf."},
    {nullptr, nullptr, 0, nullptr}};

bool init_node_type(PyObject* module) {
  NodeType = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  return NodeType && PyModule_AddObjectRef(module, "Node", reinterpret_cast<PyObject*>(NodeType)) == 0 &&
         PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace lamella
