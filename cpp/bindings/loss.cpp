// SPDX-License-Identifier: MIT
#include "ops/loss.h"
#include "families.h"

namespace lamella {

void bind_loss(py::module_& m) {
  def(m, "loss_fwd", &ops::loss_fwd, nogil());
  def(m, "loss_bwd", &ops::loss_bwd, nogil());
}

}  // namespace lamella
