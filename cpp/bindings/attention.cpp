// SPDX-License-Identifier: MIT
#include "families.h"
#include "ops/attention.h"

namespace lamella {

void bind_attention(py::module_& m) {
  using Mask = std::optional<Array>;
  def(m, "attention_fwd", [](const Array& q, const Array& k, const Array& v, const Mask& mask, double scale, double dropout,
                            bool causal, bool grouped, uint64_t seed, uint64_t stream) {
    return ops::attention_fwd(q, k, v, mask, {scale, dropout, causal, grouped, seed, stream});
  }, nogil());
  def(m, "attention_bwd", [](const Array& q, const Array& k, const Array& v, const Mask& mask, const Array& y,
                            const Array& lse, const Array& dy, double scale, double dropout, bool causal, bool grouped,
                            uint64_t seed, uint64_t stream) {
    return ops::attention_bwd(q, k, v, mask, y, lse, dy, {scale, dropout, causal, grouped, seed, stream});
  }, nogil());
}

}  // namespace lamella
