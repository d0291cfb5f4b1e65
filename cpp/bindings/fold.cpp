// SPDX-License-Identifier: MIT
#include "ops/fold.h"
#include "families.h"

namespace lamella {

void bind_fold(py::module_& m) {
  def(m, "unfold", [](const Array& x, const Dims& kernel, const Dims& dilation, const Dims& padding, const Dims& stride) {
    return ops::unfold(x, {kernel, dilation, padding, stride});
  }, nogil());
  def(m, "fold", [](const Array& columns, const Dims& output, const Dims& kernel, const Dims& dilation, const Dims& padding,
                   const Dims& stride) {
    return ops::fold(columns, output, {kernel, dilation, padding, stride});
  }, nogil());
  def(m, "pixel_shuffle", &ops::pixel_shuffle, nogil());
}

}  // namespace lamella
