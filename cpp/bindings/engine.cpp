// SPDX-License-Identifier: MIT
// Backward: walks nodes from newest to oldest, asks each rule for the gradients of its inputs, sums what meets.
#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <vector>
#include "object.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"

namespace lamella {

static PyObject* sum_to_size = nullptr;  // differentiable: (dy, shape) -> Tensor; given by Python
static PyObject* cast_to = nullptr;      // differentiable: (dy, dtype) -> Tensor

namespace {

class Ref {  // an owned PyObject*
 public:
  Ref() = default;
  explicit Ref(PyObject* o) : o_(o) {}
  Ref(const Ref& r) : o_(Py_XNewRef(r.o_)) {}
  Ref(Ref&& r) noexcept : o_(r.o_) { r.o_ = nullptr; }
  Ref& operator=(Ref r) noexcept { std::swap(o_, r.o_); return *this; }
  ~Ref() { Py_XDECREF(o_); }
  PyObject* get() const { return o_; }
  PyObject* release() { PyObject* o = o_; o_ = nullptr; return o; }
  explicit operator bool() const { return o_ != nullptr; }
 private:
  PyObject* o_ = nullptr;
};

struct Failed {};  // a Python error is set

Ref checked(PyObject* o) {
  if (!o) throw Failed();
  return Ref(o);
}

struct Pending {
  Ref node;
  std::vector<Ref> grads;  // one per output, empty where none came yet
};

struct Capture {           // an input of grad(): its gradient is handed back instead of being accumulated
  PyObject* target;        // Node or leaf
  int32_t output;
  Ref grad;
};

class Backward {
 public:
  Backward(bool retain, bool create) : retain_(retain), create_(create) {}

  void seed(TensorObject* root, Ref grad) {
    refresh(root);
    if (root->node) add_to_node(root->node, root->output, std::move(grad));
    else add_to_leaf(reinterpret_cast<PyObject*>(root), std::move(grad));
  }

  void capture(TensorObject* input) {
    refresh(input);
    PyObject* target = input->node ? input->node : reinterpret_cast<PyObject*>(input);
    captures_.push_back({target, input->node ? input->output : -1, Ref()});
    // A node older than every captured one cannot lead to any; a leaf has no age.
    oldest_ = std::min(oldest_, input->node ? as_node(input->node)->sequence : uint64_t(0));
  }

  void run(PyObject* const* roots, Py_ssize_t n) {
    if (!captures_.empty()) {
      for (Py_ssize_t i = 0; i < n; ++i)
        if (as_tensor(roots[i])->node) mark(as_node(as_tensor(roots[i])->node));
    }
    if (post_hooked && captures_.empty()) expect(roots, n);
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), older);
      NodeObject* node = heap_.back();
      heap_.pop_back();
      auto it = pending_.find(node);
      Pending p = std::move(it->second);
      pending_.erase(it);
      step(node, p);
    }
    for (auto& [leaf, grad] : leaves_) if (grad) finish_leaf(leaf, std::move(grad));
  }

  std::vector<Capture>& captures() { return captures_; }

 private:
  static bool older(NodeObject* a, NodeObject* b) { return a->sequence < b->sequence; }

  // With captures: which nodes lead to one.
  void mark(NodeObject* root) {
    std::vector<NodeObject*> reached;
    auto reach = [&](NodeObject* n) { if (wanted_.try_emplace(n, false).second) reached.push_back(n); };
    reach(root);
    for (size_t k = 0; k < reached.size(); ++k)
      for (Py_ssize_t i = 0; i < Py_SIZE(reached[k]); ++i) {
        PyObject* t = reached[k]->edges[i].target;
        if (t && is_node(t) && as_node(t)->sequence >= oldest_) reach(as_node(t));
      }
    std::sort(reached.begin(), reached.end(), older);  // oldest first: targets are decided before those who need them
    for (NodeObject* n : reached)
      for (Py_ssize_t i = 0; i < Py_SIZE(n); ++i)
        if (n->edges[i].target && reaches_capture(n->edges[i])) wanted_[n] = true;
  }

  // How many gradients the leaves with post hooks will get: they are called as soon as the last has come.
  void expect(PyObject* const* roots, Py_ssize_t n) {
    std::vector<NodeObject*> reached;
    std::unordered_set<NodeObject*> seen;
    auto reach = [&](PyObject* o) { if (seen.insert(as_node(o)).second) reached.push_back(as_node(o)); };
    for (Py_ssize_t i = 0; i < n; ++i) if (as_tensor(roots[i])->node) reach(as_tensor(roots[i])->node);
    for (size_t k = 0; k < reached.size(); ++k)
      for (Py_ssize_t i = 0; i < Py_SIZE(reached[k]); ++i) {
        PyObject* t = reached[k]->edges[i].target;
        if (t && is_node(t)) reach(t);
        else if (t && as_tensor(t)->post_hooks) ++expected_[t];
      }
  }

  void arrived(PyObject* leaf) {
    auto it = expected_.find(leaf);
    if (it == expected_.end() || --it->second) return;
    for (auto& [l, g] : leaves_)
      if (l.get() == leaf && g) { finish_leaf(l, std::move(g)); g = Ref(); }
  }

  bool leads(NodeObject* n) const {
    auto it = wanted_.find(n);
    return it != wanted_.end() && it->second;
  }

  // a + b, into a where nobody else can see it.
  Ref sum(Ref a, Ref b) {
    TensorObject* t = as_tensor(a.get());
    if (!create_ && Py_REFCNT(a.get()) == 1 && t->array.storage->refs.load(std::memory_order_relaxed) == 1 &&
        ops::is_dense(t->array)) {
      const On device(t->array.device());
      ops::binary_out(BinaryOp::add, t->array, t->array, as_tensor(b.get())->array);
      return a;
    }
    return checked(PyNumber_Add(a.get(), b.get()));
  }

  void add_to_node(PyObject* target, int32_t output, Ref grad) {
    NodeObject* node = as_node(target);
    Pending& p = pending_[node];
    if (!p.node) {
      p.node = Ref(Py_NewRef(target));
      p.grads.resize(size_t(node->outputs));
      heap_.push_back(node);
      std::push_heap(heap_.begin(), heap_.end(), older);
    }
    Ref& slot = p.grads[size_t(output)];
    slot = slot ? sum(std::move(slot), std::move(grad)) : std::move(grad);
  }

  void add_to_leaf(PyObject* leaf, Ref grad) {
    for (auto& c : captures_)
      if (c.target == leaf) {
        c.grad = c.grad ? sum(std::move(c.grad), std::move(grad)) : std::move(grad);
        return;
      }
    if (!captures_.empty()) return;
    if (as_tensor(leaf)->hooks || as_tensor(leaf)->post_hooks) {  // hooks see the whole gradient, once
      for (auto& [l, g] : leaves_)
        if (l.get() == leaf) {
          g = !g ? std::move(grad) : sum(std::move(g), std::move(grad));
          return;
        }
      leaves_.emplace_back(Ref(Py_NewRef(leaf)), std::move(grad));
    } else {
      accumulate(as_tensor(leaf), std::move(grad));
    }
  }

  Ref call_hooks(PyObject* hooks, Ref grad) {
    Ref list = checked(PyDict_Values(hooks));
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list.get()); ++i) {
      Ref r = checked(PyObject_CallOneArg(PyList_GET_ITEM(list.get(), i), grad.get()));
      if (r.get() == Py_None) continue;
      if (!is_tensor(r.get())) {
        PyErr_Format(PyExc_TypeError, "[register_hook] hook must return a Tensor or None, got %s",
                     Py_TYPE(r.get())->tp_name);
        throw Failed();
      }
      grad = std::move(r);
    }
    return grad;
  }

  void finish_leaf(const Ref& leaf, Ref grad) {
    TensorObject* t = as_tensor(leaf.get());
    accumulate(t, t->hooks ? call_hooks(t->hooks, std::move(grad)) : std::move(grad));
    if (!t->post_hooks) return;
    Ref list = checked(PyDict_Values(t->post_hooks));
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list.get()); ++i)
      checked(PyObject_CallOneArg(PyList_GET_ITEM(list.get(), i), leaf.get()));
  }

  // leaf.grad += grad, in place unless the graph of the gradient is wanted.
  void accumulate(TensorObject* leaf, Ref grad) {
    if (__builtin_expect(as_tensor(grad.get())->array.device() != leaf->array.device(), 0)) {  // of a number on the CPU
      const On device(as_tensor(grad.get())->array.device());
      grad = checked(wrap(to_device(ops::contiguous(as_tensor(grad.get())->array), leaf->array.device())));
    }
    if (leaf->grad) {
      TensorObject* old = as_tensor(leaf->grad);
      if (!create_ && !old->node && !old->array.storage->readonly) {
        const On device(old->array.device());
        ops::binary_out(BinaryOp::add, old->array, old->array, as_tensor(grad.get())->array);
        ++old->array.storage->version;
        return;
      }
      grad = checked(PyNumber_Add(leaf->grad, grad.get()));
    } else if (!create_) {
      TensorObject* g = as_tensor(grad.get());
      bool ours = Py_REFCNT(grad.get()) == 1 && g->array.storage->refs.load(std::memory_order_relaxed) == 1;
      const ops::Order order(leaf->array);  // a gradient lies as its leaf does
      if (!ours || !order.apply(g->array).is_contiguous()) {
        const On device(g->array.device());
        grad = checked(wrap(ops::copy(g->array, order)));
      }
    }
    PyObject* old = leaf->grad;
    leaf->grad = grad.release();
    Py_XDECREF(old);
  }

  void step(NodeObject* node, Pending& p) {
    for (int i = 0; i < node->outputs; ++i) {
      Ref& g = p.grads[size_t(i)];
      if (!g) continue;
      Output& out = node->out(i);
      if (out.hooks) g = call_hooks(out.hooks, std::move(g));
      if (out.retained) {
        PyObject* t = PyWeakref_GetObject(out.retained);
        if (t != Py_None && as_tensor(t)->node == reinterpret_cast<PyObject*>(node)) accumulate(as_tensor(t), g);
      }
      for (auto& c : captures_)
        if (c.target == reinterpret_cast<PyObject*>(node) && c.output == i) c.grad = g;
    }
    if (!captures_.empty() && !leads(node)) return;
    call_rule(node, p);
    if (!expected_.empty())
      for (Py_ssize_t i = 0; i < Py_SIZE(node); ++i)
        if (node->edges[i].target && !is_node(node->edges[i].target)) arrived(node->edges[i].target);
    if (!retain_) release_node(node);
  }

  void check_saved(NodeObject* node) {
    if (!node->rule) {
      PyErr_SetString(PyExc_RuntimeError, "[backward] the graph must not have been freed, got a second backward through "
                                          "it: pass retain_graph=True to the first");
      throw Failed();
    }
    if (!node->versions) return;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(node->ctx); ++i) {
      PyObject* item = PyTuple_GET_ITEM(node->ctx, i);
      if (!is_tensor(item)) continue;
      uint32_t now = as_tensor(item)->array.storage->version;
      if (now == node->versions[i]) continue;
      Ref name = Ref(PyObject_GetAttrString(node->rule, "__name__"));
      PyErr_SetString(PyExc_RuntimeError,
                      text("[backward] a tensor saved for ", name ? PyUnicode_AsUTF8(name.get()) : "an op", " (",
                           describe(as_tensor(item)->array), ") was changed in place afterwards: it is at version ", now,
                           ", expected ", node->versions[i], "; change a clone() instead",
                           node->where ? "; the op was called at " : "",
                           node->where ? PyUnicode_AsUTF8(node->where) : "").c_str());
      throw Failed();
    }
  }

  // Gives grad the shape and dtype of the input.
  Ref fit(Ref grad, const Edge& e, NodeObject* node) {
    Array& a = as_tensor(grad.get())->array;
    if (a.shape != e.shape) {
      if (create_) {
        Ref shape = checked(PyTuple_New(e.shape.n));
        for (int i = 0; i < e.shape.n; ++i) PyTuple_SET_ITEM(shape.get(), i, PyLong_FromLongLong(e.shape[i]));
        grad = checked(PyObject_CallFunctionObjArgs(sum_to_size, grad.get(), shape.get(), nullptr));
      } else {
        try {
          const On device(a.device());
          grad = checked(wrap(ops::sum_to(a, e.shape)));
        } catch (const ValueError&) {
          Ref name = Ref(PyObject_GetAttrString(node->rule, "__name__"));
          throw ValueError(text("[backward] ", name ? PyUnicode_AsUTF8(name.get()) : "a rule", " must give a gradient of shape ",
                                e.shape, ", got ", a.shape));
        }
      }
    }
    if (as_tensor(grad.get())->array.dtype != e.dtype) {
      const On device(as_tensor(grad.get())->array.device());
      grad = create_ ? checked(PyObject_CallFunctionObjArgs(cast_to, grad.get(), dtype_object(e.dtype), nullptr))
                     : checked(wrap(ops::cast(as_tensor(grad.get())->array, e.dtype)));
    }
    return grad;
  }

  void refuse_nan(const Ref& grad, NodeObject* node, Py_ssize_t input) {
    const Array& a = as_tensor(grad.get())->array;
    const On device(a.device());
    if (!ops::scalar_bool(ops::reduce(ReduceOp::any, ops::unary(UnaryOp::isnan, a), {}, false))) return;
    Ref name = Ref(PyObject_GetAttrString(node->rule, "__name__"));
    throw RuntimeError(text("[backward] ", name ? PyUnicode_AsUTF8(name.get()) : "an op", " gave NaN in the gradient of its input ",
                            input, node->where ? "; the op was called at " : "",
                            node->where ? PyUnicode_AsUTF8(node->where) : ""));
  }

  void call_rule(NodeObject* node, Pending& p) {
    check_saved(node);
    std::vector<PyObject*> args(size_t(node->outputs) + 2);
    args[1] = reinterpret_cast<PyObject*>(node);
    for (int i = 0; i < node->outputs; ++i) args[size_t(i) + 2] = p.grads[size_t(i)] ? p.grads[size_t(i)].get() : Py_None;
    node->unwanted = unwanted(node);
    Ref result = Ref(PyObject_Vectorcall(node->rule, &args[1], size_t(node->outputs + 1) | PY_VECTORCALL_ARGUMENTS_OFFSET,
                                         nullptr));
    node->unwanted = 0;
    if (!result) {
      add_where(node);
      throw Failed();
    }
    p.grads.clear();
    Py_ssize_t n = Py_SIZE(node);
    bool tuple = PyTuple_Check(result.get());
    if (tuple ? PyTuple_GET_SIZE(result.get()) != n : n != 1) {
      Ref name = Ref(PyObject_GetAttrString(node->rule, "__name__"));
      PyErr_Format(PyExc_RuntimeError, "[backward] %U must return %zd gradients, one per input", name.get(), n);
      throw Failed();
    }
    for (Py_ssize_t i = 0; i < n; ++i) {
      const Edge& e = node->edges[i];
      PyObject* item = tuple ? PyTuple_GET_ITEM(result.get(), i) : result.get();
      if (!e.target || item == Py_None) continue;
      if (!captures_.empty() && !reaches_capture(e)) continue;
      if (!is_tensor(item)) {
        PyErr_Format(PyExc_TypeError, "[backward] a gradient must be a Tensor or None, got %s", Py_TYPE(item)->tp_name);
        throw Failed();
      }
      Ref g(Py_NewRef(item));
      if (tuple && Py_REFCNT(result.get()) == 1) {  // let go of the tuple's reference: g may then be reused in place
        PyTuple_SET_ITEM(result.get(), i, Py_NewRef(Py_None));
        Py_DECREF(item);
      } else if (!tuple) {
        result = Ref();
      }
      g = fit(std::move(g), e, node);
      if (nan_is_error()) refuse_nan(g, node, i);
      if (is_node(e.target)) add_to_node(e.target, e.output, std::move(g));
      else add_to_leaf(e.target, std::move(g));
    }
  }

  // With captures: the inputs that lead to none, as bits, so that the rule does not compute their gradients.
  uint64_t unwanted(NodeObject* node) const {
    uint64_t bits = 0;
    if (!captures_.empty())
      for (Py_ssize_t i = 0; i < Py_SIZE(node) && i < 64; ++i)
        if (node->edges[i].target && !reaches_capture(node->edges[i])) bits |= uint64_t(1) << i;
    return bits;
  }

  bool reaches_capture(const Edge& e) const {
    for (auto& c : captures_) if (c.target == e.target) return true;
    return is_node(e.target) && leads(as_node(e.target));
  }

  void add_where(NodeObject* node) {
    if (!node->where) return;
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    if (value) {
      Ref note = Ref(PyUnicode_FromFormat("in the backward of an op called at %U", node->where));
      Ref done = Ref(note ? PyObject_CallMethod(value, "add_note", "O", note.get()) : nullptr);
      if (!done) PyErr_Clear();
    }
    PyErr_Restore(type, value, trace);
  }

  bool retain_, create_;
  uint64_t oldest_ = UINT64_MAX;
  std::vector<NodeObject*> heap_;
  std::unordered_map<NodeObject*, Pending> pending_;
  std::unordered_map<NodeObject*, bool> wanted_;
  std::vector<std::pair<Ref, Ref>> leaves_;              // with hooks: the whole gradient comes first
  std::unordered_map<PyObject*, int64_t> expected_;      // of leaves with post hooks: gradients still to come
  std::vector<Capture> captures_;
};

struct GradMode {
  bool before = grad_enabled();
  explicit GradMode(bool on) { set_grad_enabled(on); }
  ~GradMode() { set_grad_enabled(before); }
};

Ref seed_gradient(TensorObject* root, PyObject* given) {
  const Array& a = root->array;
  if (!wants_gradient(reinterpret_cast<PyObject*>(root))) throw RuntimeError("[backward] tensor must require gradient, got one that does not");
  if (given == Py_None) {
    check<RuntimeError>(a.numel() == 1, "[backward] tensor must have one element where no gradient is given, got ",
                        a.shape);
    const On device(a.device());
    Array one = empty(a.shape, a.dtype);
    ops::fill_(one, 1.0);
    return checked(wrap(std::move(one)));
  }
  check<TypeError>(is_tensor(given), "[backward] gradient must be a Tensor or None, got ", Py_TYPE(given)->tp_name);
  check<RuntimeError>(as_tensor(given)->array.device() == a.device(), "[backward] gradient must lie on ", a.device().str(), ", got ",
                      as_tensor(given)->array.device().str());
  check<ValueError>(as_tensor(given)->array.shape == a.shape, "[backward] gradient must have shape ", a.shape, ", got ",
                    as_tensor(given)->array.shape);
  return Ref(Py_NewRef(given));
}

}  // namespace

// run_backward(roots, grads, inputs or None, retain_graph, create_graph) -> None, or a tuple of gradients of inputs
static PyObject* run_backward(PyObject*, PyObject* args) {
  PyObject *roots, *grads, *inputs;
  int retain, create;
  if (!PyArg_ParseTuple(args, "O!O!Opp", &PyTuple_Type, &roots, &PyTuple_Type, &grads, &inputs, &retain, &create))
    return nullptr;
  try {
    Py_ssize_t n = PyTuple_GET_SIZE(roots);
    Backward b(retain, create);
    GradMode mode(create);
    if (inputs != Py_None)
      for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(inputs); ++i) b.capture(as_tensor(PyTuple_GET_ITEM(inputs, i)));
    for (Py_ssize_t i = 0; i < n; ++i) {
      TensorObject* root = as_tensor(PyTuple_GET_ITEM(roots, i));
      b.seed(root, seed_gradient(root, PyTuple_GET_ITEM(grads, i)));
    }
    b.run(&PyTuple_GET_ITEM(roots, 0), n);
    if (inputs == Py_None) Py_RETURN_NONE;
    Ref result = checked(PyTuple_New(Py_ssize_t(b.captures().size())));
    for (size_t i = 0; i < b.captures().size(); ++i) {
      PyObject* g = b.captures()[i].grad.get();
      PyTuple_SET_ITEM(result.get(), Py_ssize_t(i), Py_NewRef(g ? g : Py_None));
    }
    return result.release();
  } catch (const Failed&) {
    return nullptr;
  } catch (...) {
    raise_current_exception();
    return nullptr;
  }
}

static PyObject* set_backward_ops(PyObject*, PyObject* args) {
  PyObject *sum, *cast;
  if (!PyArg_ParseTuple(args, "OO", &sum, &cast)) return nullptr;
  Py_INCREF(sum);
  Py_INCREF(cast);
  Py_XSETREF(sum_to_size, sum);
  Py_XSETREF(cast_to, cast);
  Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"run_backward", run_backward, METH_VARARGS, "run_backward(roots, grads, inputs | None, retain_graph, create_graph)"},
    {"set_backward_ops", set_backward_ops, METH_VARARGS, "set_backward_ops(sum_to_size, cast): differentiable forms."},
    {nullptr, nullptr, 0, nullptr}};

bool init_engine(PyObject* module) { return PyModule_AddFunctions(module, functions) == 0; }

}  // namespace lamella
