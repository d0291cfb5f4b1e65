// SPDX-License-Identifier: MIT
#include "ops/softmax.h"
#include "families.h"

namespace lamella {

void bind_softmax(py::module_& m) {
  m.def("softmax_fwd", &ops::softmax_fwd, nogil());
  m.def("softmax_bwd", &ops::softmax_bwd, nogil());
  m.def("cross_entropy_fwd", &ops::cross_entropy_fwd, nogil());
  m.def("cross_entropy_bwd", &ops::cross_entropy_bwd, nogil());
}

}  // namespace lamella
