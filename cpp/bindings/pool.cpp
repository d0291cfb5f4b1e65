// SPDX-License-Identifier: MIT
#include "families.h"
#include "ops/pool.h"

namespace lamella {

void bind_pool(py::module_& m) {
  def(m, "max_pool", [](const Array& x, const Dims& kernel, const Dims& stride, const Dims& padding, const Dims& dilation,
                       bool ceil_mode, bool keep_index, bool return_index) {
    const auto kind = return_index ? ops::PoolIndex::whole : keep_index ? ops::PoolIndex::small : ops::PoolIndex::none;
    return ops::max_pool(x, {kernel, stride, padding, dilation, ceil_mode}, kind);
  }, nogil());
  def(m, "max_pool_grad", &ops::max_pool_grad, nogil());
  def(m, "avg_pool", [](const Array& x, const Dims& kernel, const Dims& stride, const Dims& padding, const Dims& dilation,
                       bool ceil_mode, bool count_include_pad, int64_t divisor) {
    return ops::avg_pool(x, {kernel, stride, padding, dilation, ceil_mode}, {count_include_pad, divisor});
  }, nogil());
  def(m, "avg_pool_grad", [](const Array& dy, const Shape& input, const Dims& kernel, const Dims& stride, const Dims& padding,
                            const Dims& dilation, bool ceil_mode, bool count_include_pad, int64_t divisor) {
    return ops::avg_pool_grad(dy, input, {kernel, stride, padding, dilation, ceil_mode}, {count_include_pad, divisor});
  }, nogil());
  def(m, "adaptive_avg_pool", &ops::adaptive_avg_pool, nogil());
  def(m, "adaptive_avg_pool_grad", &ops::adaptive_avg_pool_grad, nogil());
  def(m, "adaptive_max_pool", &ops::adaptive_max_pool, nogil());
}

}  // namespace lamella
