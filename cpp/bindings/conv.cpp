// SPDX-License-Identifier: MIT
#include "families.h"
#include "ops/conv.h"

namespace lamella {

void bind_conv(py::module_& m) {
  m.def("conv_winograd", &ops::conv_winograd);
  m.def("set_conv_winograd", &ops::set_conv_winograd, py::arg("on"));
  def(m, "conv", [](const Array& x, const Array& w, const std::optional<Array>& bias, const Dims& stride, const Dims& padding,
                   const Dims& dilation, int64_t groups) {
    return ops::conv(x, w, bias ? &*bias : nullptr, {stride, padding, dilation, groups});
  }, nogil());
  def(m, "conv_input_grad", [](const Array& dy, const Array& w, const Shape& input, const Dims& stride, const Dims& padding,
                              const Dims& dilation, int64_t groups, const std::optional<Array>& bias) {
    return ops::conv_input_grad(dy, w, input, {stride, padding, dilation, groups}, bias ? &*bias : nullptr);
  }, nogil());
  def(m, "conv_weight_grad", [](const Array& dy, const Array& x, const Shape& kernel, const Dims& stride, const Dims& padding,
                               const Dims& dilation, int64_t groups, bool with_bias) {
    return ops::conv_weight_grad(dy, x, kernel, {stride, padding, dilation, groups}, with_bias);
  }, nogil());
}

}  // namespace lamella
