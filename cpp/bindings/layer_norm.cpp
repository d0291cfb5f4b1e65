// SPDX-License-Identifier: MIT
#include "ops/layer_norm.h"
#include "families.h"

namespace lamella {

void bind_layer_norm(py::module_& m) {
  def(m, "layer_norm_fwd", &ops::layer_norm_fwd, nogil());
  def(m, "layer_norm_bwd", &ops::layer_norm_bwd, nogil());
  def(m, "group_norm_fwd", &ops::group_norm_fwd, nogil());
  def(m, "group_norm_bwd", &ops::group_norm_bwd, nogil());
}

}  // namespace lamella
