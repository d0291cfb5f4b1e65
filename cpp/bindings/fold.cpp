// SPDX-License-Identifier: MIT
#include "ops/fold.h"
#include "ops/pad.h"
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
  def(m, "pad", [](const Array& x, const std::vector<std::tuple<int, int64_t, int64_t>>& sides, int mode, double value) {
    std::vector<ops::PadSide> s;
    for (const auto& [dim, before, after] : sides) s.push_back({dim, before, after});
    return ops::pad(x, s, PadMode(mode), value);
  }, nogil());
}

}  // namespace lamella
