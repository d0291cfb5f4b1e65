// SPDX-License-Identifier: MIT
#include "ops/products.h"
#include "families.h"

namespace lamella {

void bind_products(py::module_& m) { def(m, "cross", &ops::cross, nogil()); }

}  // namespace lamella
