// SPDX-License-Identifier: MIT
// The Python objects that are extension types, because every op touches them: Tensor (an Array that remembers), Node
// (one recorded op) and dtype. Rules of differentiation are Python functions; nothing here knows a formula.
#pragma once
#include <Python.h>
#include <cstdint>
#include "core/array.h"

namespace lamella {

struct TensorObject {
  PyObject_HEAD
  Array array;
  PyObject* grad;       // Tensor or null
  PyObject* node;       // the Node that made it, or null for a leaf
  PyObject* hooks;      // of a leaf: dict id -> callable, or null
  PyObject* post_hooks;  // of a leaf: the same, called once .grad has been added to
  PyObject* base;       // of a view: the Tensor, no view itself, whose elements it shows; or null
  PyObject* weakrefs;
  int32_t output;       // which output of `node` this is
  bool requires_grad;
  bool is_view;         // shares its storage with the tensor it was taken from
  uint32_t seen;        // of a view: the storage's version when `node` was right
};

// One input of a recorded op: where its gradient goes, and the shape and dtype it must have there.
struct Edge {
  PyObject* target;     // a Node, a leaf Tensor, or null (no gradient wanted); owned
  int32_t output;       // of the target Node
  DType dtype;
  Shape shape;
};

struct Output {
  Shape shape;
  DType dtype;
  bool kept;            // array is the value, for rules that are written in terms of it
  uint32_t version;     // of its storage, when kept
  Array array;
  PyObject* hooks;      // dict id -> callable, or null
  PyObject* retained;   // weak reference to a tensor with retain_grad(), or null
};

struct NodeObject {
  PyObject_VAR_HEAD     // ob_size: number of edges
  PyObject* rule;       // rule(node, *dy) -> gradients of the inputs; null once the graph was freed
  PyObject* ctx;        // tuple
  PyObject* where;      // text of the line that made it (anomaly mode), or null
  uint32_t* versions;   // of the Tensors in ctx, when recorded; null where ctx holds none
  uint64_t sequence;    // creation order: an edge always leads to a smaller one
  uint64_t unwanted;    // bit i: this backward pass has no use for the gradient of input i (the first 64)
  int32_t outputs;
  Output first;         // output 0; the others follow in `more`
  Output* more;
  Edge edges[1];

  Output& out(int i) { return i == 0 ? first : more[i - 1]; }
};

struct DTypeObject {
  PyObject_HEAD
  DType value;
};

extern PyTypeObject* TensorBase;   // lamella._core.TensorBase
extern PyTypeObject* TensorClass;  // lamella.Tensor, its Python subclass: what ops return
extern PyTypeObject* NodeType;
extern PyTypeObject* DTypeType;

inline bool is_tensor(PyObject* o) { return Py_TYPE(o) == TensorClass || PyObject_TypeCheck(o, TensorBase); }
inline TensorObject* as_tensor(PyObject* o) { return reinterpret_cast<TensorObject*>(o); }
// A view whose storage was written since gets its history anew, from its base's.
void renew_history(TensorObject* t);
inline void refresh(TensorObject* t) {
  if (__builtin_expect(t->base && t->seen != t->array.storage->version, 0)) renew_history(t);
}
inline bool wants_gradient(PyObject* o) {
  if (!is_tensor(o)) return false;
  refresh(as_tensor(o));
  return as_tensor(o)->requires_grad;
}
void set_base(PyObject* view, PyObject* of);  // where they share memory
inline bool is_node(PyObject* o) { return Py_TYPE(o) == NodeType; }
inline NodeObject* as_node(PyObject* o) { return reinterpret_cast<NodeObject*>(o); }

PyObject* wrap(Array&& a);                     // new Tensor without gradient; null with an error set
PyObject* wrap_view(Array&& a);                // the same, marked as a view
PyObject* dtype_object(DType t);               // borrowed singleton
void raise_current_exception();                // C++ exception in flight -> Python error

void release_node(NodeObject* n);              // drops what its rule needs

// ---- gradient mode and recording (node.cpp) ------------------------------------------------------------------------
bool grad_enabled();
bool nan_is_error();            // anomaly mode that looks for NaN in gradients
extern int64_t post_hooked;     // tensors that have post_hooks
void set_grad_enabled(bool on);

// Makes the Node of an op and hangs it on its outputs. `inputs` may hold non-Tensors. Does nothing where no input needs
// gradient or recording is off. `keep`: the rule reads node.output. Steals nothing. False with an error set.
bool record(PyObject* const* outputs, int n_outputs, PyObject* rule, PyObject* const* inputs, int n_inputs, PyObject* ctx,
            bool keep);
// For an op that writes into `x` (inputs[0]): `prepare_inplace` before anything is written (it refuses what would make a
// wrong gradient), `record_inplace` after, when x becomes the op's output.
bool prepare_inplace(TensorObject* x, PyObject* const* inputs, int n_inputs);
bool record_inplace(TensorObject* x, PyObject* rule, PyObject* const* inputs, int n_inputs, PyObject* ctx, bool keep);

bool init_tensor_type(PyObject* module);
bool init_node_type(PyObject* module);
bool init_grad_mode(PyObject* module);
bool init_dtype_type(PyObject* module);
bool init_engine(PyObject* module);
bool init_elementwise(PyObject* module);

}  // namespace lamella
