// SPDX-License-Identifier: MIT
#include "ops/batch_norm.h"
#include "families.h"

namespace lamella {

void bind_batch_norm(py::module_& m) {
  def(m, "batch_norm_fwd", &ops::batch_norm_fwd, nogil());
  def(m, "batch_norm_apply", &ops::batch_norm_apply, nogil());
  def(m, "batch_norm_bwd", &ops::batch_norm_bwd, nogil());
}

}  // namespace lamella
