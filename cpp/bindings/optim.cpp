// SPDX-License-Identifier: MIT
#include "families.h"
#include "ops/optim.h"

namespace lamella {

// A Python list of Tensors.
static ops::Arrays arrays(const py::list& list) {
  ops::Arrays out;
  out.reserve(list.size());
  for (py::handle h : list) {
    check<TypeError>(is_tensor(h.ptr()), "[optim] lists must hold Tensors, got ", Py_TYPE(h.ptr())->tp_name);
    out.push_back(as_tensor(h.ptr())->array);
  }
  return out;
}

// Their gradients; all must have one.
static ops::Arrays gradients(const py::list& list) {
  ops::Arrays out;
  out.reserve(list.size());
  for (py::handle h : list) {
    PyObject* g = is_tensor(h.ptr()) ? as_tensor(h.ptr())->grad : nullptr;
    check<ValueError>(g != nullptr, "[optim] every parameter of the list must have a gradient");
    out.push_back(as_tensor(g)->array);
  }
  return out;
}

void bind_optim(py::module_& m) {
  m.def("sgd_step", [](const py::list& params, const py::list& momentum, double lr, double mu, double dampening,
                       double decay, bool nesterov, bool maximize, bool first) {
    auto p = arrays(params), g = gradients(params), v = arrays(momentum);
    py::gil_scoped_release unlocked;
    ops::sgd_step(p, g, v, {lr, mu, dampening, decay, nesterov, maximize, first});
  });
  m.def("adam_step", [](const py::list& params, const py::list& m, const py::list& v, const py::list& vmax, double lr,
                        double beta1, double beta2, double eps, double decay, int64_t step, bool decoupled,
                        bool maximize) {
    auto p = arrays(params), g = gradients(params), am = arrays(m), av = arrays(v), ax = arrays(vmax);
    py::gil_scoped_release unlocked;
    ops::adam_step(p, g, am, av, ax, {lr, beta1, beta2, eps, decay, step, decoupled, maximize});
  });
  m.def("grad_norm", [](const py::list& tensors, double p) {
    auto g = arrays(tensors);
    py::gil_scoped_release unlocked;
    return ops::grad_norm(g, p);
  });
  m.def("clamp_all", [](const py::list& tensors, double low, double high) {
    auto g = arrays(tensors);
    py::gil_scoped_release unlocked;
    ops::clamp_all(g, low, high);
  });
  m.def("scale_all", [](const py::list& tensors, double scale) {
    auto g = arrays(tensors);
    py::gil_scoped_release unlocked;
    ops::scale_all(g, scale);
  });
  // Lets go of the gradients of all, at once.
  m.def("clear_grads", [](const py::list& tensors) {
    for (py::handle h : tensors)
      if (is_tensor(h.ptr())) Py_CLEAR(as_tensor(h.ptr())->grad);
  });
}

}  // namespace lamella
