// SPDX-License-Identifier: MIT
#include "families.h"
#include "ops/quant.h"

namespace lamella {

void bind_quant(py::module_& m) {
  def(m, "int_mm", &ops::int_mm, nogil(), py::arg("a"), py::arg("b"), py::arg("a_scale") = py::none(),
        py::arg("b_scale") = py::none(), py::arg("bias") = py::none());
}

}  // namespace lamella
