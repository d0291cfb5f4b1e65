// SPDX-License-Identifier: MIT
#include "ops/ctc.h"
#include "families.h"

namespace lamella {

void bind_ctc(py::module_& m) {
  m.def("ctc_fwd", &ops::ctc_fwd, nogil());
  m.def("ctc_bwd", &ops::ctc_bwd, nogil());
}

}  // namespace lamella
