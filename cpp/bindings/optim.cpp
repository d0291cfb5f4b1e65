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

// states[i][name] of every i.
static ops::Arrays states_of(const std::string& op, const py::list& states, py::handle name, const char* text) {
  ops::Arrays out;
  out.reserve(states.size());
  for (py::handle s : states) {
    PyObject* value = PyDict_Check(s.ptr()) ? PyDict_GetItemWithError(s.ptr(), name.ptr()) : nullptr;
    check<ValueError>(value && is_tensor(value), "[", op, "] the state of a parameter must have a Tensor ", text);
    out.push_back(as_tensor(value)->array);
  }
  return out;
}

void bind_optim(py::module_& m) {
  // grads: a list of Tensors, or None for the parameters' own. states: a dict of each parameter, of which `names` are used.
  m.def("optim_step", [](const std::string& op, const std::string& rule, const py::list& params, const py::object& grads,
                         const py::list& states, const py::tuple& names, const std::vector<double>& numbers, double decay,
                         double shrink, bool maximize, const std::optional<Array>& live) {
    const auto p = arrays(params), g = grads.is_none() ? gradients(params) : arrays(grads);
    ops::OptimOptions options{op.c_str(), rule.c_str(), {}, numbers, decay, shrink, maximize, live};
    std::vector<ops::Arrays> lists;
    for (py::handle name : names) {
      options.names.push_back(PyUnicode_AsUTF8(name.ptr()));
      lists.push_back(states_of(op, states, name, options.names.back()));
    }
    const On device(device_of(options.op, p, g, live));
    py::gil_scoped_release unlocked;
    ops::optim_step(p, g, lists, options);
  }, py::arg("op"), py::arg("rule"), py::arg("params"), py::arg("grads"), py::arg("states"), py::arg("names"), py::arg("numbers"),
     py::arg("decay"), py::arg("shrink"), py::arg("maximize"), py::arg("live") = py::none());
  m.def("grad_norm", [](const py::list& tensors, double p) {
    auto g = arrays(tensors);
    const On device(device_of("grad_norm", g));
    py::gil_scoped_release unlocked;
    return ops::grad_norm(g, p);
  });
  m.def("clamp_all", [](const py::list& tensors, double low, double high) {
    auto g = arrays(tensors);
    const On device(device_of("clamp_all", g));
    py::gil_scoped_release unlocked;
    ops::clamp_all(g, low, high);
  });
  m.def("scale_all", [](const py::list& tensors, double scale, const std::optional<Array>& factor) {
    auto g = arrays(tensors);
    const On device(device_of("scale_all", g, factor));
    py::gil_scoped_release unlocked;
    ops::scale_all(g, scale, factor ? &*factor : nullptr);
  }, py::arg("tensors"), py::arg("scale"), py::arg("factor") = py::none());
  // Those that have a gradient, in order.
  m.def("with_grads", [](const py::list& tensors) {
    py::list out;
    for (py::handle h : tensors)
      if (is_tensor(h.ptr()) && as_tensor(h.ptr())->grad) out.append(h);
    return out;
  });
  // Lets go of the gradients of all, at once.
  m.def("clear_grads", [](const py::list& tensors) {
    for (py::handle h : tensors)
      if (is_tensor(h.ptr())) Py_CLEAR(as_tensor(h.ptr())->grad);
  });
}

}  // namespace lamella
