// SPDX-License-Identifier: MIT
#include "ops/rotary.h"
#include "families.h"

namespace lamella {

void bind_rotary(py::module_& m) {
  def(m, "rotary", &ops::rotary, nogil());
}

}  // namespace lamella
