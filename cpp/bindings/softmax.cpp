// SPDX-License-Identifier: MIT
#include "ops/softmax.h"
#include "families.h"

namespace lamella {

void bind_softmax(py::module_& m) {
  def(m, "softmax_fwd", &ops::softmax_fwd, nogil());
  def(m, "softmax_bwd", &ops::softmax_bwd, nogil());
  def(m, "cross_entropy_fwd", &ops::cross_entropy_fwd, nogil());
  def(m, "cross_entropy_bwd", &ops::cross_entropy_bwd, nogil());
}

}  // namespace lamella
