// SPDX-License-Identifier: MIT
#include "ops/resize.h"
#include "families.h"

namespace lamella {

void bind_resize(py::module_& m) {
  def(m, "resize", [](const Array& x, const Dims& size, const std::string& mode, bool align_corners,
                     const std::vector<double>& scales, bool antialias) {
    return ops::resize(x, size, {mode, align_corners, scales, antialias});
  }, nogil());
  def(m, "resize_grad", [](const Array& dy, const Shape& input, const std::string& mode, bool align_corners,
                          const std::vector<double>& scales, bool antialias) {
    return ops::resize_grad(dy, input, {mode, align_corners, scales, antialias});
  }, nogil());
}

}  // namespace lamella
