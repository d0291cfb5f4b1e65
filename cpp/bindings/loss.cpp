// SPDX-License-Identifier: MIT
#include "ops/loss.h"
#include "families.h"

namespace lamella {

void bind_loss(py::module_& m) {
  m.def("loss_fwd", &ops::loss_fwd, nogil());
  m.def("loss_bwd", &ops::loss_bwd, nogil());
}

}  // namespace lamella
