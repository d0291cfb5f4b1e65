// SPDX-License-Identifier: MIT
#include "ops/gate.h"
#include "families.h"

namespace lamella {

void bind_gate(py::module_& m) {
  def(m, "gate_fwd", &ops::gate_fwd, nogil());
  def(m, "gate_bwd", &ops::gate_bwd, nogil());
}

}  // namespace lamella
