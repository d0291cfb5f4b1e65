// SPDX-License-Identifier: MIT
#include "families.h"
#include "ops/elementwise.h"
#include "ops/random.h"

namespace lamella {

void bind_random(py::module_& m) {
  py::class_<Generator>(m, "Generator", "A seed, and the number of the next stream: each random op takes one stream.")
      .def(py::init<>())
      .def_readwrite("_seed", &Generator::seed)
      .def_readwrite("_stream", &Generator::stream);
  m.def("default_generator", &default_generator, py::return_value_policy::reference);
  auto fill = [](const Array& x, RandomOp op, double p0, double p1, Generator& g) {
    check<ValueError>(!x.storage->readonly, "[random] tensor must be writable, got read-only memory");
    Array y = x;
    const On device(x.device());
    py::gil_scoped_release unlocked;
    ops::random_(y, op, p0, p1, g);
    ++y.storage->version;
  };
  m.def("uniform_", [fill](const Array& x, double low, double high, Generator& g) { fill(x, RandomOp::uniform, low, high, g); });
  m.def("normal_", [fill](const Array& x, double mean, double std, Generator& g) { fill(x, RandomOp::normal, mean, std, g); });
  m.def("randint_", [fill](const Array& x, double low, double high, Generator& g) { fill(x, RandomOp::integer, low, high, g); });
  m.def("bernoulli_", [fill](const Array& x, double p, Generator& g) { fill(x, RandomOp::bernoulli, p, 0, g); });
  def(m, "dropout", &ops::dropout, nogil());
  def(m, "randperm", [](int64_t n, Generator& g, const Place&) { return ops::randperm(n, g); }, py::arg("n"), py::arg("generator"),
      py::arg("place") = Place{}, nogil());
  def(m, "multinomial", &ops::multinomial, nogil());
  m.def("poisson", [](const Array& x, Generator& g) { return ops::poisson(on_host(ops::contiguous(x)), g); }, nogil());
}

}  // namespace lamella
