// SPDX-License-Identifier: MIT
#include "ops/gate.h"
#include "families.h"

namespace lamella {

void bind_gate(py::module_& m) {
  m.def("gate_fwd", &ops::gate_fwd, nogil());
  m.def("gate_bwd", &ops::gate_bwd, nogil());
}

}  // namespace lamella
